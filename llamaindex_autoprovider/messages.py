"""LlamaIndex's chat messages ↔ LangChain's.

Everything that a model reads survives both directions. Where LlamaIndex has two forms of
one thing, one of them comes back:

* The roles `chatbot` and `model` become `assistant`.
* Tool calls come after all other blocks.
* Reasoning that no provider signed comes before all other blocks.
* A refusal becomes text.

The citations of an answer are in `additional_kwargs["citations"]`, and the parts of it that
LlamaIndex has no block for in `additional_kwargs["other_content"]`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from inference_providers.errors import ConfigError
from llamaindex_autoprovider.content import REASONING_TYPES, answer_blocks, to_blocks, to_content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = ["from_langchain", "reasoning_text", "to_langchain", "to_openai_tool_calls"]

_DEVELOPER = {"__openai_role__": "developer"}
"""LangChain's mark on a system message with the role `developer`."""

_KWARGS_HELD_BY_BLOCKS = frozenset({"reasoning_content", "refusal", "tool_calls"})
"""`additional_kwargs` of an answer that LlamaIndex has blocks for."""

_ORIGIN = "answered_by"
"""Where a message keeps who gave it. Only that route may get its signed reasoning back."""


def to_langchain(messages: Iterable[ChatMessage]) -> list[BaseMessage]:
    """Return messages as LangChain's.

    Raises:
        ConfigError: A block cannot be sent, or a tool message does not name its call.
        OSError: A block's file cannot be read.
    """
    return [_to_langchain_message(message) for message in messages]


def from_langchain(message: BaseMessage) -> ChatMessage:
    """Return a message as LlamaIndex's.

    Raises:
        ConfigError: The message, or a part of it, has no equivalent in LlamaIndex.
    """
    kwargs = {name: value for name, value in message.additional_kwargs.items() if value is not None}
    if message.name:
        kwargs["name"] = message.name
    match message:
        case AIMessage():
            return _from_answer(message, kwargs)
        case HumanMessage():
            role = MessageRole.USER
        case SystemMessage():
            is_developer = kwargs.pop("__openai_role__", None) == "developer"
            role = MessageRole.DEVELOPER if is_developer else MessageRole.SYSTEM
        case ToolMessage():
            role = MessageRole.TOOL
            kwargs["tool_call_id"] = message.tool_call_id
            if message.status == "error":
                kwargs["status"] = message.status
        case FunctionMessage():
            role = MessageRole.FUNCTION
        case _:
            msg = f"LlamaIndex has no message like LangChain's of type {message.type!r}"
            raise ConfigError(msg)
    blocks = list(to_blocks(message.content))
    return ChatMessage(role=role, blocks=blocks, additional_kwargs=kwargs)


def reasoning_text(message: BaseMessage) -> str:
    """Return the text of the reasoning in a message or chunk."""
    text = message.additional_kwargs.get("reasoning_content")
    if text or isinstance(message.content, str):
        return text or ""
    reasoning = [
        part
        for part in message.content
        if isinstance(part, dict) and str(part.get("type")) in REASONING_TYPES
    ]
    blocks, _ = answer_blocks(reasoning)
    return "".join(block.content or "" for block in blocks if isinstance(block, ThinkingBlock))


def to_openai_tool_calls(calls: Iterable[ToolCallBlock]) -> list[dict[str, Any]]:
    """Return tool calls in the form of OpenAI's API, which LlamaIndex's core reads."""
    return [
        {
            "id": call.tool_call_id,
            "type": "function",
            "function": {
                "name": call.tool_name,
                "arguments": call.tool_kwargs
                if isinstance(call.tool_kwargs, str)
                else json.dumps(call.tool_kwargs),
            },
        }
        for call in calls
    ]


# LlamaIndex → LangChain


def _to_langchain_message(message: ChatMessage) -> BaseMessage:
    kwargs = dict(message.additional_kwargs)
    kwargs.pop("images", None)
    name = kwargs.pop("name", None)
    match message.role:
        case MessageRole.USER:
            return HumanMessage(to_content(message.blocks), name=name, additional_kwargs=kwargs)
        case MessageRole.SYSTEM:
            return SystemMessage(to_content(message.blocks), name=name, additional_kwargs=kwargs)
        case MessageRole.DEVELOPER:
            kwargs |= _DEVELOPER
            return SystemMessage(to_content(message.blocks), name=name, additional_kwargs=kwargs)
        case MessageRole.TOOL | MessageRole.FUNCTION:
            return _to_tool_message(message, name, kwargs)
    return _to_answer(message, name, kwargs)


def _to_tool_message(message: ChatMessage, name: str | None, kwargs: dict[str, Any]) -> BaseMessage:
    content = to_content(message.blocks)
    if call_id := kwargs.pop("tool_call_id", None):
        return ToolMessage(
            content,
            tool_call_id=call_id,
            name=name,
            status=kwargs.pop("status", "success"),
            additional_kwargs=kwargs,
        )
    if message.role == MessageRole.FUNCTION and name:
        return FunctionMessage(content=content, name=name, additional_kwargs=kwargs)
    msg = (
        f"A message with role {message.role.value!r} must name the call it answers:"
        " set additional_kwargs={'tool_call_id': ...}"
    )
    raise ConfigError(msg)


def _to_answer(message: ChatMessage, name: str | None, kwargs: dict[str, Any]) -> AIMessage:
    openai_calls = kwargs.pop("tool_calls", None) or ()
    unsigned_reasoning: list[str] = []
    call_blocks: list[ToolCallBlock] = []
    other: list[BaseContentBlock] = []
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            call_blocks.append(block)
        elif isinstance(block, ThinkingBlock) and not block.additional_information:
            unsigned_reasoning.append(block.content or "")
        else:
            other.append(block)
    if unsigned_reasoning:
        kwargs["reasoning_content"] = "\n\n".join(unsigned_reasoning)
    if not call_blocks:
        call_blocks = [_from_openai_tool_call(call) for call in openai_calls]
    calls = [_to_tool_call(block) for block in call_blocks]
    return AIMessage(
        to_content(other),
        response_metadata=kwargs.pop(_ORIGIN, None) or {},
        name=name,
        additional_kwargs=kwargs,
        tool_calls=[call for call in calls if call["type"] == "tool_call"],
        invalid_tool_calls=[call for call in calls if call["type"] == "invalid_tool_call"],
    )


def _to_tool_call(block: ToolCallBlock) -> ToolCall | InvalidToolCall:
    arguments = block.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            return InvalidToolCall(
                type="invalid_tool_call",
                id=block.tool_call_id,
                name=block.tool_name,
                args=str(block.tool_kwargs),
                error=str(error),
            )
    return ToolCall(type="tool_call", id=block.tool_call_id, name=block.tool_name, args=arguments)


def _from_openai_tool_call(openai_call: Any) -> ToolCallBlock:
    """Read a call as older LlamaIndex classes store it: the OpenAI SDK's object, or a dict."""
    call = openai_call if isinstance(openai_call, dict) else openai_call.model_dump()
    function = call["function"]
    return ToolCallBlock(
        tool_call_id=call.get("id"),
        tool_name=function["name"],
        tool_kwargs=function.get("arguments") or {},
    )


# LangChain → LlamaIndex


def _from_answer(message: AIMessage, kwargs: dict[str, Any]) -> ChatMessage:
    blocks: list[BaseContentBlock] = []
    if reasoning := kwargs.get("reasoning_content"):
        blocks.append(ThinkingBlock(content=reasoning))
    content_blocks, other_content = answer_blocks(message.content or kwargs.get("refusal") or [])
    blocks += content_blocks
    for call in message.tool_calls:
        blocks.append(
            ToolCallBlock(tool_call_id=call["id"], tool_name=call["name"], tool_kwargs=call["args"])
        )
    for invalid in message.invalid_tool_calls:
        blocks.append(
            ToolCallBlock(
                tool_call_id=invalid["id"],
                tool_name=invalid["name"] or "",
                tool_kwargs=invalid["args"] or "",
            )
        )
    kept = {name: value for name, value in kwargs.items() if name not in _KWARGS_HELD_BY_BLOCKS}
    if citations := _citations_in(message.content):
        kept["citations"] = citations
    if other_content:
        kept["other_content"] = other_content
    signed = any(isinstance(it, ThinkingBlock) and it.additional_information for it in blocks)
    if (signed or kept.keys() - {"name"}) and (origin := _origin_of(message.response_metadata)):
        kept[_ORIGIN] = origin
    return ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=blocks or [TextBlock(text="")],
        additional_kwargs=kept,
    )


def _citations_in(content: str | list[str | dict[str, Any]]) -> list[Any]:
    """Return the citations of all texts, in their provider's form; a `TextBlock` holds none."""
    if isinstance(content, str):
        return []
    citations: list[Any] = []
    for block in content:
        if isinstance(block, dict) and block.get("type") == "text":
            cited = block.get("citations") or block.get("annotations")
            citations += cited if isinstance(cited, list) else []
    return citations


def _origin_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an answer's metadata that says who gave it, for `adapt_history`."""
    origin: dict[str, Any] = {
        name: metadata[name] for name in ("model_provider", "output_version") if name in metadata
    }
    if trace := metadata.get("autoprovider"):
        origin["autoprovider"] = {name: trace[name] for name in ("provider", "model_id")}
    return origin
