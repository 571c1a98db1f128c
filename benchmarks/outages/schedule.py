"""Which provider has which fault during which calls: one seed gives one schedule.

A fault covers a window of calls, not of time: all attempts of one call see the same faults,
however long a contender takes. At every call one provider is healthy, so any failed call
could have been answered.
"""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

CITY = "Reykjavik, the northernmost capital of a sovereign state"
WORDS = "one two three four five six seven eight nine ten eleven twelve"
END = "[end]"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Return the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}

Kind = Literal["invoke", "stream", "tool", "tool stream"]
KINDS: dict[Kind, int] = {"invoke": 35, "stream": 35, "tool": 15, "tool stream": 15}
"""The kinds of calls, each with its share in percent."""

RETRY_AFTER_S = 20
SLOW_S = 0.6
CUT_AT = 5
"""Chunks of a stream before it is cut; the first one has the role only."""


class Call(NamedTuple):
    """One call, which every contender makes."""

    n: int
    kind: Kind

    @property
    def streams(self) -> bool:
        """Whether it asks for a stream."""
        return self.kind.endswith("stream")

    @property
    def has_tools(self) -> bool:
        """Whether a tool is offered."""
        return self.kind.startswith("tool")

    @property
    def prompt(self) -> str:
        """The prompt; the provider reads the call's number from it."""
        return f"call {self.n}"

    @property
    def answer(self) -> str:
        """The expected answer."""
        return CITY if self.has_tools else f"Call {self.n}: {WORDS} {END}"


class Window(NamedTuple):
    """A fault of a provider, from call `first` up to but not including `end`."""

    provider: int
    first: int
    end: int
    fault: str


class Schedule(NamedTuple):
    """The calls, and the faults during them."""

    calls: tuple[Call, ...]
    windows: tuple[Window, ...]

    def fault(self, provider: int, n: int) -> str | None:
        """Return the fault of a provider during a call, or `None`."""
        faults = (w.fault for w in self.windows if w.provider == provider and w.first <= n < w.end)
        return next(faults, None)


LENGTHS: dict[str, tuple[int, int]] = {
    "outage": (8, 25),
    "rate limit": (3, 8),
    "rate limit with Retry-After": (3, 12),
    "hang": (2, 5),
    "slow": (3, 8),
    "reset": (3, 10),
    "cut": (1, 3),
    "short": (1, 3),
    "cut tool call": (1, 4),
    "page": (1, 4),
    "garbage": (1, 3),
    "empty": (1, 3),
    "error in a 200": (1, 4),
    "no credit": (30, 60),
    "refused key": (30, 60),
}
"""The faults, each with the fewest and the most calls that it lasts."""

LASTING = ("no credit", "refused key")
"""Faults that last until a person fixes them. The last provider has none of them: otherwise all
three would be out of credit within minutes, and a client that remembers it could not call any."""

GAPS = ((4, 14), (12, 40), (25, 70))
"""For each provider, the fewest and the most calls between two faults."""


def schedule(seed: int, count: int) -> Schedule:
    """Return the schedule of a seed; the same arguments give the same one."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    kinds, weights = list(KINDS), list(KINDS.values())
    calls = tuple(Call(n, rng.choices(kinds, weights)[0]) for n in range(count))
    windows: list[Window] = []
    for provider, (least, most) in enumerate(GAPS):
        last = provider == len(GAPS) - 1
        faults = [f for f in LENGTHS if not (last and f in LASTING)]
        deck: list[str] = []
        n = rng.randint(least, most)
        while n < count:
            if not deck:
                deck = rng.sample(faults, len(faults))
            fault = deck.pop()
            end = n + rng.randint(*LENGTHS[fault])
            windows += _while_another_is_healthy(Window(provider, n, end, fault), windows)
            n = end + rng.randint(least, most)
    return Schedule(calls, tuple(windows))


def dead_primary(fault: str, count: int) -> Schedule:
    """Return a schedule in which the first provider always fails."""
    calls = tuple(Call(n, "invoke") for n in range(count))
    return Schedule(calls, (Window(0, 0, count, fault),))


def _while_another_is_healthy(window: Window, others: list[Window]) -> list[Window]:
    """Return the parts of a window during which another provider is healthy."""
    allowed = [
        n
        for n in range(window.first, window.end)
        if {w.provider for w in others if w.first <= n < w.end} | {window.provider}
        != set(range(len(GAPS)))
    ]
    parts: list[Window] = []
    for n in allowed:
        if parts and parts[-1].end == n:
            parts[-1] = parts[-1]._replace(end=n + 1)
        else:
            parts.append(window._replace(first=n, end=n + 1))
    return parts


def fails(fault: str | None, call: Call) -> bool:
    """Whether a request during this fault cannot get the whole answer."""
    if fault in {None, "slow"}:
        return False
    if fault == "short":  # it only cuts streams
        return call.streams
    return fault != "cut tool call" or call.streams or call.has_tools
