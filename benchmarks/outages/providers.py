"""Three providers in a process of their own, for one contender: they play a schedule.

Reads the schedule from the first line of its input, writes the three base URLs, and at
the end of its input all the requests that came: provider, call, and whether it failed.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from outages.schedule import GAPS, Call, Schedule, Window, fails, reply

from inference_providers.testing import FakeProvider, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

Asked = tuple[int, int, bool]
"""A provider, the number of a call, and whether what it got was a failure."""


class ScheduledProvider(FakeProvider):
    """Answers by the number of the call that the prompt names.

    Args:
        provider: Its place in the order.
        schedule: What goes wrong.
        asked: Where each request is noted.
    """

    def __init__(self, provider: int, schedule: Schedule, asked: list[Asked]) -> None:
        super().__init__(models=["m"])
        self._provider = provider
        self._schedule = schedule
        self._asked = asked

    def _next(self, request: Request) -> Reply:
        call = _call(request.body)
        fault = self._schedule.fault(self._provider, call.n)
        self._asked.append((self._provider, call.n, fails(fault, call)))
        return reply(fault, call)


def _call(body: Any) -> Call:
    """Return the call that a request belongs to."""
    found = re.search(r"call (-?\d+)", json.dumps(body["messages"]))
    assert found
    kind = "stream" if body.get("stream") else "invoke"
    if body.get("tools"):
        kind = "tool stream" if body.get("stream") else "tool"
    return Call(int(found[1]), kind)


def main(windows: Sequence[Sequence[Any]]) -> None:
    """Serve until the input ends."""
    schedule = Schedule((), tuple(Window(*window) for window in windows))
    asked: list[Asked] = []
    with ExitStack() as stack:
        three = [
            stack.enter_context(ScheduledProvider(place, schedule, asked))
            for place in range(len(GAPS))
        ]
        print(json.dumps([provider.base_url for provider in three]), flush=True)
        sys.stdin.read()
    print(json.dumps(asked), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
