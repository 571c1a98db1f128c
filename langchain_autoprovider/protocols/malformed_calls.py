"""Tool calls of a whole answer whose arguments are not a JSON object.

LangChain's converters accept any JSON here, and then fail on the whole message. So such calls are
taken out before the conversion and returned as `invalid_tool_calls`, which an agent can repair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, InvalidToolCall

from inference_providers.wire import json_codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

__all__ = ["add_malformed_calls", "take_malformed_calls", "take_malformed_items"]

_ERROR = "the arguments are not a JSON object"


def take_malformed_calls(choices: Sequence[dict[str, Any]]) -> dict[int, list[InvalidToolCall]]:
    """Take the malformed tool calls out of a chat completion; return them by choice."""
    taken = {}
    for index, choice in enumerate(choices):
        message = choice["message"]
        if "tool_calls" not in message:
            continue
        calls = message["tool_calls"]
        malformed = [call for call in calls if not _is_object(call["function"]["arguments"])]
        if malformed:
            message["tool_calls"] = [call for call in calls if call not in malformed]
            taken[index] = [_invalid_call(call["id"], **call["function"]) for call in malformed]
    return taken


def take_malformed_items(response: dict[str, Any]) -> list[InvalidToolCall]:
    """Take the malformed function calls out of the output of a response; return them."""
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    malformed = [item for item in calls if not _is_object(item["arguments"])]
    if malformed:
        response["output"] = [item for item in response["output"] if item not in malformed]
    return [_invalid_call(item["call_id"], item["name"], item["arguments"]) for item in malformed]


def add_malformed_calls(message: BaseMessage, calls: Sequence[InvalidToolCall]) -> None:
    """Add the calls that were taken out to the converted message."""
    if calls and isinstance(message, AIMessage):
        message.invalid_tool_calls = [*message.invalid_tool_calls, *calls]


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json_codec.decode(arguments.encode("utf-8", "replace")), dict)
    except ValueError:
        return False


def _invalid_call(call_id: str, name: str, arguments: str) -> InvalidToolCall:
    return InvalidToolCall(
        type="invalid_tool_call", id=call_id, name=name, args=arguments, error=_ERROR
    )
