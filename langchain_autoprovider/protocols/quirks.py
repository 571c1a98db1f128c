"""A request body in OpenAI's form → what one provider takes of it.

* `RULES` has a rule for each field of `Quirks` that concerns the body; what concerns
  the conversation itself is `langchain_autoprovider.messages.history`'s.
* Rules run in that order, and each returns a body; none changes the one it was given.
* They know the chat form and, where it is spelt otherwise, the responses form.
* Where the wanted shape of an answer cannot be asked for by a field, it is asked for
  in words, in the system message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inference_providers.types import Quirks

    Rule = Callable[[Quirks, "Body"], "Body"]

__all__ = ["OF_HISTORY", "RULES", "applied"]

Body = dict[str, Any]

OF_HISTORY = frozenset({"single_system", "tool_call_ids"})
"""The quirks that change the conversation, not the form of a request."""

_LIMITS = ("max_tokens", "max_completion_tokens")
"""The two names of the field that limits an answer's length."""
_SYSTEM_ROLES = frozenset({"system", "developer"})


def applied(quirks: Quirks, payload: Body, *, without: tuple[str, ...] = ()) -> Body:
    """Return a request body as a provider with these quirks takes it.

    `without` are parameters it has refused before; the limit of an answer's length is
    asked for by its other name then.
    """
    body = payload
    for rule in dict.fromkeys(RULES.values()):
        body = rule(quirks, body)
    limit = _limit(body)
    body = _less(body, without)
    if limit is not None and _limit(body) is None:
        body |= {name: limit for name in _LIMITS if name not in without}
    return body


def _max_tokens_field(quirks: Quirks, body: Body) -> Body:
    limit = _limit(body)
    return body if limit is None else _less(body, _LIMITS) | {quirks.max_tokens_field: limit}


def _drop_params(quirks: Quirks, body: Body) -> Body:
    return _less(body, quirks.drop_params)


def _rename_params(quirks: Quirks, body: Body) -> Body:
    own = {name: body[usual] for usual, name in quirks.rename_params if usual in body}
    if not own:
        return body
    # The SDK takes no names that OpenAI does not have, but for those in `extra_body`.
    extra = (body.get("extra_body") or {}) | own
    return _less(body, [usual for usual, _ in quirks.rename_params]) | {"extra_body": extra}


def _stream_usage(quirks: Quirks, body: Body) -> Body:
    return body if quirks.stream_usage else _less(body, ("stream_options",))


def _named_tool_choice(quirks: Quirks, body: Body) -> Body:
    choice = body.get("tool_choice")
    can_be_named = quirks.named_tool_choice and quirks.forced_tool_choice
    if can_be_named or not isinstance(choice, dict):
        return body
    wanted = _name(choice)
    named = [tool for tool in body.get("tools", ()) if _name(tool) == wanted]
    return body | {"tools": named, "tool_choice": "required"} if named else body


def _forced_tool_choice(quirks: Quirks, body: Body) -> Body:
    left_out = not quirks.forced_tool_choice and body.get("tool_choice") != "none"
    return _less(body, ("tool_choice",)) if left_out else body


def _strict_tools(quirks: Quirks, body: Body) -> Body:
    if quirks.strict_tools or "tools" not in body:
        return body
    return body | {"tools": [_lax(tool) for tool in body["tools"]]}


def _response_format(quirks: Quirks, body: Body) -> Body:
    asked = body.get("response_format")
    if not isinstance(asked, dict) or "type" not in asked:
        return body
    schema = (asked.get("json_schema") or asked).get("schema")
    can_be_asked = "none" if "response_format" in quirks.drop_params else quirks.response_format
    if can_be_asked == "none":
        return _instructed(_less(body, ("response_format",)), schema)
    if asked["type"] == "json_schema" and can_be_asked == "json_schema":
        return body
    if schema is not None and quirks.schema_with_json_object:
        return body | {"response_format": {"type": "json_object", "schema": schema}}
    told = body if asked["type"] == "json_object" else _instructed(body, schema)
    return told | {"response_format": {"type": "json_object"}}


def _developer_role(quirks: Quirks, body: Body) -> Body:
    def as_system(message: Body) -> Body:
        is_developer = message.get("role") == "developer"
        return message | {"role": "system"} if is_developer else message

    return body if quirks.developer_role else _each_message(body, as_system)


def _drop_message_name(quirks: Quirks, body: Body) -> Body:
    def nameless(message: Body) -> Body:
        return _less(message, ("name",)) if "role" in message else message

    return _each_message(body, nameless) if quirks.drop_message_name else body


def _replay_reasoning(quirks: Quirks, body: Body) -> Body:
    def thoughtless(message: Body) -> Body:
        return _less(message, ("reasoning_content",))

    return body if quirks.replay_reasoning else _each_message(body, thoughtless)


def _max_n(quirks: Quirks, body: Body) -> Body:
    if quirks.max_n is None or (body.get("n") or 0) <= quirks.max_n:
        return body
    return body | {"n": quirks.max_n} if quirks.max_n > 1 else _less(body, ("n",))


RULES: Mapping[str, Rule] = {
    "response_format": _response_format,
    "schema_with_json_object": _response_format,
    "max_tokens_field": _max_tokens_field,
    "drop_params": _drop_params,
    "stream_usage": _stream_usage,
    "named_tool_choice": _named_tool_choice,
    "forced_tool_choice": _forced_tool_choice,
    "strict_tools": _strict_tools,
    "developer_role": _developer_role,
    "drop_message_name": _drop_message_name,
    "replay_reasoning": _replay_reasoning,
    "max_n": _max_n,
    "rename_params": _rename_params,
}
"""Field of `Quirks` → its rule, in the order they run."""


def _less(value: Body, names: Iterable[str]) -> Body:
    return {name: kept for name, kept in value.items() if name not in names}


def _limit(body: Body) -> Any:
    return next((body[name] for name in _LIMITS if name in body), None)


def _name(tool: Body) -> Any:
    """Return the name in a tool or in the choice of one."""
    return tool.get("function", tool).get("name")


def _lax(tool: Body) -> Body:
    if isinstance(tool.get("function"), dict):
        return tool | {"function": _less(tool["function"], ("strict",))}
    return _less(tool, ("strict",))


def _each_message(body: Body, change: Callable[[Body], Body]) -> Body:
    where = "messages" if "messages" in body else "input"
    return body | {where: [change(message) for message in body.get(where, ())]}


def _instructed(body: Body, schema: Any) -> Body:
    """Ask for JSON in words, at the end of the system message at the beginning."""
    told = "Answer with one JSON object and nothing else."
    if schema is not None:
        told = f"{told} It must match this JSON schema:\n{json.dumps(schema)}"
    first, *others = body["messages"]
    if first["role"] not in _SYSTEM_ROLES:
        return body | {"messages": [{"role": "system", "content": told}, first, *others]}
    said = first["content"]
    if isinstance(said, str):
        content: Any = f"{said}\n\n{told}" if said else told
    else:
        content = [*said, {"type": "text", "text": told}]
    return body | {"messages": [first | {"content": content}, *others]}
