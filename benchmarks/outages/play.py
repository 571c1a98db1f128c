"""The process of one contender, which makes calls on request and has its own clock.

The first input line has the base URLs. Each further line is a call,
`[n, kind, seconds since the last one]`; the output line is `[text, error, ms]`, with `null` as
the text of a call that raised. Sleeps between attempts count.
"""

from __future__ import annotations

import json
import os
import sys
import time

from outages.clock import Clock


def main(name: str) -> None:
    """Make calls until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a result
    clock = Clock()
    clock.install()
    # Imported after the clock, since a library may keep a reference to a function of `time`.
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
        except Exception as exception:  # noqa: BLE001 - a failed call is a result here
            error = f"{type(exception).__name__}: {exception}"[:300]
        ms = (time.monotonic() - started) * 1000
        clock.end()
        print(json.dumps([text, error, ms]), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
