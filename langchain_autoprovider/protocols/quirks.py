"""A provider's declared differences from its protocol, applied to the neutral request.

* Requests of every protocol pass through here, so a quirk means the same in all of them.
* `RULES` has one rule for each field of `Quirks` that concerns a request. `ELSEWHERE` names the
  fields that concern the conversation; `messages.message_format` applies those.
* Only the rules whose quirk differs from its default run, in the order of the table. Each returns a
  request; none modifies its argument.
* Where no parameter can require JSON, the system message asks for it in words.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict, cast

from langchain_core.messages import BaseMessage, ChatMessage, SystemMessage

from inference_providers.types import Quirks
from langchain_autoprovider.protocols.strict_schema import strict_schema
from langchain_autoprovider.protocols.tool_choice import limit_tool_choice, normalize_tool_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_autoprovider.protocols.table import Protocol

    Rule = Callable[["RequestFields", Quirks], "RequestFields"]

__all__ = ["ELSEWHERE", "MAX_TOKENS_FIELDS", "RULES", "RequestFields", "apply_quirks", "rules_for"]


class RequestFields(TypedDict, total=False):
    """A neutral request: LangChain's messages, and parameters under OpenAI's names.

    This package reads these fields. Others that a caller adds, such as `top_p`, pass through
    unchanged.
    """

    messages: list[BaseMessage]
    stop: list[str] | None
    tools: list[dict[str, Any]]
    tool_choice: str | bool | dict[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: dict[str, Any]
    max_tokens: int | None
    max_completion_tokens: int | None
    n: int | None
    stream_options: dict[str, Any]
    timeout: float
    without: tuple[str, ...]


ELSEWHERE = frozenset({"single_system", "tool_call_ids", "replay_reasoning"})
"""Quirks of the conversation, not of a request's parameters."""

MAX_TOKENS_FIELDS = ("max_tokens", "max_completion_tokens")
"""Both names of the parameter that limits the length of an answer."""

_NO_QUIRKS = Quirks()
_TYPES_WITH_ROLES = frozenset({"system", "chat", "SystemMessageChunk", "ChatMessageChunk"})
"""Types of LangChain messages that may have the role `developer`."""


def apply_quirks(fields: RequestFields, quirks: Quirks, protocol: Protocol) -> RequestFields:
    """Return a request as a provider with these quirks accepts it."""
    for rule in rules_for(quirks, json_mode_takes_schema=protocol.json_mode_takes_schema):
        fields = rule(fields, quirks)
    return fields


@lru_cache(maxsize=4096)
def rules_for(quirks: Quirks, *, json_mode_takes_schema: bool) -> tuple[Rule, ...]:
    """Return the rules that can change a request to a route with these quirks."""
    needed = {
        name
        for name in RULES
        if name == "max_tokens_field" or getattr(quirks, name) != getattr(_NO_QUIRKS, name)
    }
    if not json_mode_takes_schema or "response_format" in quirks.drop_params:
        needed.add("response_format")
    return tuple(dict.fromkeys(rule for name, rule in RULES.items() if name in needed))


def _response_format(fields: RequestFields, quirks: Quirks) -> RequestFields:
    request = fields.get("response_format")
    if not isinstance(request, dict) or "type" not in request:
        return fields
    schema = (request.get("json_schema") or request).get("schema")
    dropped = "response_format" in quirks.drop_params
    supported = "none" if dropped else quirks.response_format
    if supported == "none":
        return _ask_for_json(_without_fields(fields, ["response_format"]), schema)
    if request["type"] == "json_schema" and supported == "json_schema":
        return fields
    if schema is not None and quirks.schema_with_json_object:
        return {**fields, "response_format": {"type": "json_object", "schema": schema}}
    if request["type"] != "json_object":
        fields = _ask_for_json(fields, schema)
    return {**fields, "response_format": {"type": "json_object"}}


def _strict_schemas(fields: RequestFields, _: Quirks) -> RequestFields:
    """Ask the provider to enforce the schema, unless the caller or the schema says otherwise."""
    request = fields.get("response_format")
    named = request.get("json_schema") if isinstance(request, dict) else None
    if not isinstance(named, dict) or "strict" in named:
        return fields
    schema = strict_schema(named.get("schema"))
    if schema is None:
        return fields
    strict = {"type": "json_schema", "json_schema": {**named, "schema": schema, "strict": True}}
    return {**fields, "response_format": strict}


def _max_tokens_field(fields: RequestFields, quirks: Quirks) -> RequestFields:
    present = [name for name in MAX_TOKENS_FIELDS if fields.get(name) is not None]
    if not present or present == [quirks.max_tokens_field]:
        return fields
    limit = cast("Mapping[str, Any]", fields)[present[0]]
    others = _without_fields(fields, MAX_TOKENS_FIELDS)
    return cast("RequestFields", {**others, quirks.max_tokens_field: limit})


def _drop_params(fields: RequestFields, quirks: Quirks) -> RequestFields:
    return _without_fields(fields, quirks.drop_params)


def _stream_usage(fields: RequestFields, _: Quirks) -> RequestFields:
    return _without_fields(fields, ["stream_options"])


def _tool_choice(fields: RequestFields, quirks: Quirks) -> RequestFields:
    choice = normalize_tool_choice(fields.get("tool_choice"))
    if choice is None:
        return fields
    supported = {
        "auto": quirks.forced_tool_choice,
        "any": quirks.forced_tool_choice,
        "tool": quirks.named_tool_choice,
        "none": True,
    }
    tools, choice = limit_tool_choice(fields.get("tools", []), choice, supported.__getitem__)
    limited: RequestFields = {**_without_fields(fields, ["tool_choice"]), "tools": tools}
    if choice is not None:
        limited["tool_choice"] = choice
    return limited


def _strict_tools(fields: RequestFields, _: Quirks) -> RequestFields:
    if "tools" not in fields:
        return fields
    return {**fields, "tools": [_without_strict(tool) for tool in fields["tools"]]}


def _developer_role(fields: RequestFields, _: Quirks) -> RequestFields:
    messages = fields.get("messages", [])
    if not any(message.type in _TYPES_WITH_ROLES for message in messages):
        return fields
    return {**fields, "messages": [_as_system_message(message) for message in messages]}


def _drop_message_name(fields: RequestFields, _: Quirks) -> RequestFields:
    return {**fields, "messages": [_without_name(m) for m in fields.get("messages", [])]}


def _max_n(fields: RequestFields, quirks: Quirks) -> RequestFields:
    limit = quirks.max_n or 1
    if (fields.get("n") or 0) <= limit:
        return fields
    return {**fields, "n": limit} if limit > 1 else _without_fields(fields, ["n"])


RULES: Mapping[str, Rule] = {
    "response_format": _response_format,
    "schema_with_json_object": _response_format,
    "strict_schemas": _strict_schemas,
    "max_tokens_field": _max_tokens_field,
    "drop_params": _drop_params,
    "stream_usage": _stream_usage,
    "named_tool_choice": _tool_choice,
    "forced_tool_choice": _tool_choice,
    "strict_tools": _strict_tools,
    "developer_role": _developer_role,
    "drop_message_name": _drop_message_name,
    "max_n": _max_n,
}
"""The rule of each field of `Quirks`, in the order they run."""


def _without_fields(fields: RequestFields, names: Iterable[str]) -> RequestFields:
    if fields.keys().isdisjoint(names):
        return fields
    return cast("RequestFields", {name: fields[name] for name in fields if name not in names})  # type: ignore[literal-required] # of callers' own fields, too


def _without_strict(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict) or "strict" not in function:
        return tool
    return {**tool, "function": {key: function[key] for key in function if key != "strict"}}


def _as_system_message(message: BaseMessage) -> BaseMessage:
    if isinstance(message, ChatMessage) and message.role == "developer":
        return SystemMessage(message.content)
    role = message.additional_kwargs.get("__openai_role__")
    if not isinstance(message, SystemMessage) or role != "developer":
        return message
    kwargs = {k: v for k, v in message.additional_kwargs.items() if k != "__openai_role__"}
    return message.model_copy(update={"additional_kwargs": kwargs})


def _without_name(message: BaseMessage) -> BaseMessage:
    if message.name is None and "name" not in message.additional_kwargs:
        return message
    kwargs = {key: value for key, value in message.additional_kwargs.items() if key != "name"}
    return message.model_copy(update={"name": None, "additional_kwargs": kwargs})


def _ask_for_json(fields: RequestFields, schema: Any) -> RequestFields:
    """Ask for JSON at the end of the first system message, or in a new one."""
    instruction = "Answer with one JSON object and nothing else."
    if schema is not None:
        instruction = f"{instruction} It must match this JSON schema:\n{json.dumps(schema)}"
    messages = fields.get("messages", [])
    first = messages[0] if messages else None
    if not isinstance(first, SystemMessage):
        return {**fields, "messages": [SystemMessage(instruction), *messages]}
    content: str | list[Any] = first.content
    if isinstance(content, str):
        content = f"{content}\n\n{instruction}" if content else instruction
    else:
        content = [*content, {"type": "text", "text": instruction}]
    changed = first.model_copy(update={"content": content})
    return {**fields, "messages": [changed, *messages[1:]]}
