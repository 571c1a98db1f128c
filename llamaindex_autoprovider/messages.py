"""LlamaIndex's chat messages ↔ LangChain's, both ways.

Nothing that a model reads is lost. What LlamaIndex can say in two ways comes back in
one: a chatbot or a model is an assistant; tool calls stand behind everything else;
thoughts that no provider signed stand before it; a refusal is text. What an answer cites
is in `additional_kwargs["citations"]`.
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
from llamaindex_autoprovider.blocks import THOUGHTS, to_blocks, to_content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = ["from_langchain", "in_openais_form", "thought", "to_langchain"]

_DEVELOPER = {"__openai_role__": "developer"}
"""How LangChain marks a system message that is a developer's."""

_OF_ASSISTANTS = frozenset({"reasoning_content", "refusal", "tool_calls"})
"""What LangChain keeps aside of an assistant's message, and LlamaIndex in blocks."""

_ANSWERED_BY = "answered_by"
"""Where a message says who gave it, if it holds what only they can read: signed thoughts."""


def to_langchain(messages: Iterable[ChatMessage]) -> list[BaseMessage]:
    """Return messages as LangChain's.

    Raises:
        ConfigError: A block cannot be sent, or a tool's message does not say which call
            it answers.
        OSError: A block's file cannot be read.
    """
    return [_to_langchain(message) for message in messages]


def from_langchain(message: BaseMessage) -> ChatMessage:
    """Return a message as LlamaIndex's.

    Raises:
        ConfigError: There is something that no message or block of LlamaIndex can hold.
    """
    aside = {name: it for name, it in message.additional_kwargs.items() if it is not None}
    if message.name:
        aside["name"] = message.name
    match message:
        case AIMessage():
            return _from_assistant(message, aside)
        case HumanMessage():
            role = MessageRole.USER
        case SystemMessage():
            developer = aside.pop("__openai_role__", None) == "developer"
            role = MessageRole.DEVELOPER if developer else MessageRole.SYSTEM
        case ToolMessage():
            role = MessageRole.TOOL
            aside["tool_call_id"] = message.tool_call_id
            if message.status == "error":
                aside["status"] = message.status
        case FunctionMessage():
            role = MessageRole.FUNCTION
        case _:
            msg = f"A message of type {message.type!r} has no like in LlamaIndex"
            raise ConfigError(msg)
    return ChatMessage(role=role, blocks=list(to_blocks(message.content)), additional_kwargs=aside)


def thought(message: BaseMessage) -> str:
    """Return what a model thought in a message or a part of one, as text."""
    plain = message.additional_kwargs.get("reasoning_content")
    if plain or isinstance(message.content, str):
        return plain or ""
    parts = [
        part for part in message.content if isinstance(part, dict) and part.get("type") in THOUGHTS
    ]
    told = (block.content or "" for block in to_blocks(parts) if isinstance(block, ThinkingBlock))
    return "".join(told)


def in_openais_form(calls: Iterable[ToolCallBlock]) -> list[dict[str, Any]]:
    """Return tool calls as OpenAI's API has them, which LlamaIndex's core looks for."""
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


def _to_langchain(message: ChatMessage) -> BaseMessage:
    aside = {name: it for name, it in message.additional_kwargs.items() if name != "images"}
    name = aside.pop("name", None)
    match message.role:
        case MessageRole.USER:
            return HumanMessage(to_content(message.blocks), name=name, additional_kwargs=aside)
        case MessageRole.SYSTEM:
            return SystemMessage(to_content(message.blocks), name=name, additional_kwargs=aside)
        case MessageRole.DEVELOPER:
            aside |= _DEVELOPER
            return SystemMessage(to_content(message.blocks), name=name, additional_kwargs=aside)
        case MessageRole.TOOL | MessageRole.FUNCTION:
            return _to_result(message, name, aside)
    return _to_assistant(message, name, aside)


def _to_result(message: ChatMessage, name: str | None, aside: dict[str, Any]) -> BaseMessage:
    content = to_content(message.blocks)
    if call_id := aside.pop("tool_call_id", None):
        status = aside.pop("status", "success")
        return ToolMessage(
            content, tool_call_id=call_id, name=name, status=status, additional_kwargs=aside
        )
    if message.role == MessageRole.FUNCTION and name:
        return FunctionMessage(content=content, name=name, additional_kwargs=aside)
    msg = (
        f"A message of role {message.role.value!r} does not say which call it answers;"
        " give additional_kwargs={'tool_call_id': …}"
    )
    raise ConfigError(msg)


def _to_assistant(message: ChatMessage, name: str | None, aside: dict[str, Any]) -> AIMessage:
    told = aside.pop("tool_calls", None) or ()
    thoughts: list[str] = []
    calls: list[ToolCallBlock] = []
    other: list[BaseContentBlock] = []
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            calls.append(block)
        elif isinstance(block, ThinkingBlock) and not block.additional_information:
            thoughts.append(block.content or "")
        else:
            other.append(block)
    if thoughts:
        aside["reasoning_content"] = "\n\n".join(thoughts)
    asked = [_to_call(call) for call in calls or map(_from_openais_form, told)]
    origin = aside.pop(_ANSWERED_BY, None) or {}
    return AIMessage(
        to_content(other),
        response_metadata=origin,
        name=name,
        additional_kwargs=aside,
        tool_calls=[call for call in asked if call["type"] == "tool_call"],
        invalid_tool_calls=[call for call in asked if call["type"] == "invalid_tool_call"],
    )


def _to_call(call: ToolCallBlock) -> ToolCall | InvalidToolCall:
    arguments = call.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            return InvalidToolCall(
                type="invalid_tool_call",
                id=call.tool_call_id,
                name=call.tool_name,
                args=str(call.tool_kwargs),
                error=str(error),
            )
    return ToolCall(type="tool_call", id=call.tool_call_id, name=call.tool_name, args=arguments)


def _from_openais_form(told: Any) -> ToolCallBlock:
    """Read a call as older LlamaIndex classes leave it: the OpenAI SDK's object, or a dict."""
    call = told if isinstance(told, dict) else told.model_dump()
    function = call["function"]
    return ToolCallBlock(
        tool_call_id=call.get("id"),
        tool_name=function["name"],
        tool_kwargs=function.get("arguments") or {},
    )


def _from_assistant(message: AIMessage, aside: dict[str, Any]) -> ChatMessage:
    blocks: list[BaseContentBlock] = []
    if said := aside.get("reasoning_content"):
        blocks.append(ThinkingBlock(content=said))
    if content := message.content or aside.get("refusal"):
        blocks += to_blocks(content)
    blocks += [
        ToolCallBlock(tool_call_id=call["id"], tool_name=call["name"], tool_kwargs=call["args"])
        for call in message.tool_calls
    ]
    blocks += [
        ToolCallBlock(
            tool_call_id=cut["id"], tool_name=cut["name"] or "", tool_kwargs=cut["args"] or ""
        )
        for cut in message.invalid_tool_calls
    ]
    kept = {name: it for name, it in aside.items() if name not in _OF_ASSISTANTS}
    if cited := _cited(message.content):
        kept["citations"] = cited
    signed = any(isinstance(it, ThinkingBlock) and it.additional_information for it in blocks)
    if (signed or kept.keys() - {"name"}) and (origin := _origin(message.response_metadata)):
        kept[_ANSWERED_BY] = origin
    return ChatMessage(
        role=MessageRole.ASSISTANT,
        blocks=blocks or [TextBlock(text="")],
        additional_kwargs=kept,
    )


def _cited(content: str | list[str | dict[str, Any]]) -> list[Any]:
    """Return what texts cite, as their provider has it; a `TextBlock` has no place for it."""
    texts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    named = (text.get("citations") or text.get("annotations") or [] for text in texts)
    return [source for sources in named for source in sources]


def _origin(said: dict[str, Any]) -> dict[str, Any]:
    """Return of an answer's metadata who gave it, which history is translated by."""
    origin: dict[str, Any] = {
        name: said[name] for name in ("model_provider", "output_version") if name in said
    }
    if trace := said.get("autoprovider"):
        origin["autoprovider"] = {name: trace[name] for name in ("provider", "model_id")}
    return origin
