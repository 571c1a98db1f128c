"""The process of one contender: it makes the calls it is told to, on a clock of its own.

First line in: the base URLs. Then a call on each line, `[n, kind, seconds since the last one]`,
answered by `[text, error, ms]`, with `null` for the text of a call that raised. Sleeps between
attempts count.
"""

from __future__ import annotations

import json
import os
import sys
import time

from outages.clock import Clock


def main(name: str) -> None:
    """Play until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library may print; that is no answer
    clock = Clock()
    clock.install()
    # Imported now, since whatever it loads may keep a reference to a function of `time`.
    from outages.contenders import CONTENDERS
    from outages.schedule import Call

    build = next(c.build for c in CONTENDERS if c.name == name)
    ask = build(json.loads(sys.stdin.readline()), clock)
    for line in sys.stdin:
        n, kind, gap_s = json.loads(line)
        clock.forward(gap_s)
        text, error, started = None, None, time.monotonic()
        try:
            text = ask(Call(n, kind))
        except Exception as raised:  # noqa: BLE001 - a failed call is a result here
            error = f"{type(raised).__name__}: {raised}"[:300]
        ms = (time.monotonic() - started) * 1000
        clock.end()
        print(json.dumps([text, error, ms]), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
