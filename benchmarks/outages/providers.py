"""The process with one contender's three providers, which follow a schedule.

It reads the schedule from the first line of its input and writes the three base URLs. At the
end of its input it writes all requests received: provider, call, and whether it failed.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from outages.replies import reply
from outages.schedule import GAPS, Call, Schedule, Window, fails

from inference_providers.testing import FakeProvider, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RequestRecord = tuple[int, int, bool]
"""A provider, the number of a call, and whether the reply was a failure."""


def scheduled_reply(
    provider: int, schedule: Schedule, records: list[RequestRecord]
) -> Callable[[Request], Reply]:
    """Return a function that replies by the number of the call that the prompt names.

    Args:
        provider: The provider's place in the order.
        schedule: The faults.
        records: Each request is appended to it.
    """

    def reply_to(request: Request) -> Reply:
        call = _call_of(request.body)
        fault = schedule.fault(provider, call.n)
        records.append((provider, call.n, fails(fault, call)))
        return reply(fault, call)

    return reply_to


def _call_of(body: Any) -> Call:
    """Return the call that a request belongs to."""
    match = re.search(r"call (-?\d+)", json.dumps(body["messages"]))
    assert match
    kind = "stream" if body.get("stream") else "invoke"
    if body.get("tools"):
        kind = "tool stream" if body.get("stream") else "tool"
    return Call(int(match[1]), kind)


def main(windows: Sequence[Sequence[Any]]) -> None:
    """Serve until the input ends."""
    schedule = Schedule((), tuple(Window(*window) for window in windows))
    records: list[RequestRecord] = []
    with ExitStack() as stack:
        providers = [
            stack.enter_context(FakeProvider(scheduled_reply(place, schedule, records)))
            for place in range(len(GAPS))
        ]
        print(json.dumps([provider.base_url for provider in providers]), flush=True)
        sys.stdin.read()
    print(json.dumps(records), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
