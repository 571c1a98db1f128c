"""What a provider sends during a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outages.schedule import CITY, CUT_AT, RETRY_AFTER_S, SLOW_S

from inference_providers.testing import Reply

if TYPE_CHECKING:
    from outages.schedule import Call


def reply(fault: str | None, call: Call) -> Reply:
    """Return a provider's reply to a call."""
    whole = Reply(call.answer)
    if call.has_tools:
        whole = Reply(
            "",
            tool_calls=({"name": "weather", "arguments": {"city": CITY}},),
            argument_chunks=8,
            finish_reason="tool_calls",
        )
    if fault is None:
        return whole
    cut = whole._replace(cut_after=CUT_AT)
    partial_call = {"name": "weather", "arguments": f'{{"city": "{CITY[:9]}'}
    cut_call = whole._replace(tool_calls=(partial_call,)) if call.has_tools else whole
    by_kind: dict[str, Reply] = {
        "slow": whole._replace(delay_s=SLOW_S),
        "cut": cut._replace(fault="close"),
        "short": cut if call.streams else whole,
        "cut tool call": cut if call.streams else cut_call,
        "empty": whole._replace(cut_after=1)
        if call.streams
        else Reply(body={"id": "1", "object": "chat.completion", "choices": []}),
        "error in a 200": whole._replace(cut_after=1, at_cut=_OVERLOADED)
        if call.streams
        else Reply(body=_OVERLOADED),
    }
    return by_kind.get(fault) or _WHOLE_FAULTS[fault]


def _error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_OVERLOADED = _error("The server is overloaded, please try again later", "server_error")
_SLOW_DOWN = _error("Rate limit reached for requests", "requests", "rate_limit_exceeded")
_NO_CREDIT = _error(
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    "insufficient_quota",
)
_BAD_KEY = _error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")

_WHOLE_FAULTS = {
    "outage": Reply(status=503, body=_OVERLOADED),
    "rate limit": Reply(status=429, body=_SLOW_DOWN),
    "rate limit with Retry-After": Reply(
        status=429, body=_SLOW_DOWN, headers={"retry-after": str(RETRY_AFTER_S)}
    ),
    "hang": Reply(fault="hang"),
    "reset": Reply(fault="reset"),
    "page": Reply(body="<html><body><h1>We will be back soon</h1></body></html>"),
    "garbage": Reply(body='{"id": "chatcmpl-1", "choices": [{"index": 0, "mess'),
    "no credit": Reply(status=429, body=_NO_CREDIT),
    "refused key": Reply(status=401, body=_BAD_KEY),
}
