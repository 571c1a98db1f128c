"""The process of one contender: makes calls on request, and measures its own CPU time.

It first writes the names of its measures. Each line of input is `[measure, count]`, and each
answer the CPU seconds of all those calls. It runs in the contender's own environment, so it imports
nothing of ours.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from peers.contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Callable


def cpu_seconds(run: Callable[[int], object], count: int) -> float:
    """Return the CPU seconds of `count` calls.

    What is alive before is exempt from garbage collection: a process that holds the objects of
    many measures must not pay for them in each.
    """
    gc.collect()
    gc.freeze()
    start = time.process_time()
    run(count)
    return time.process_time() - start


def main(name: str, base_url: str) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a result
    measures = CONTENDERS[name].measures(base_url)
    print(json.dumps([*measures]), file=answers, flush=True)
    for line in sys.stdin:
        measure, count = json.loads(line)
        print(cpu_seconds(measures[measure], count), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
