"""Each declared difference of a provider, as it shows in the request that arrives."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from inference_providers.testing import Reply
from inference_providers.types import Quirks
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.protocols.openai import OpenAIRoute
from langchain_autoprovider.protocols.quirks import ELSEWHERE, RULES, apply_quirks, rules_for
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

FIELDS = [field.name for field in msgspec.structs.fields(Quirks)]

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}},
}
OTHER = {**TOOL, "function": {**TOOL["function"], "name": "other"}}
SCHEMA = {"title": "Sum", "type": "object", "properties": {"sum": {"type": "integer"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "Sum", "schema": SCHEMA}}
MESSAGES: list[Any] = [{"role": "user", "content": "Hi", "name": "anna"}]


class Sum(BaseModel):
    """A sum."""

    sum: int


def sent(pair: Pair, quirks: dict[str, Any], **request: Any) -> Any:
    """Return the body that arrives at a provider with these quirks."""
    model = AutoChatModel("m-1", registry=pair.registry(quirks=quirks), max_tokens=5)
    messages = request.pop("messages", MESSAGES)
    tools = request.pop("tools", None)
    runnable: Any = model.bind_tools(tools, **request.pop("binding", {})) if tools else model
    if request.pop("stream", False):
        list(runnable.stream(messages, **request))
    else:
        runnable.invoke(messages, **request)
    return pair.first.requests[-1].body


def applied(quirks: Quirks, protocol: str = "openai-chat", **fields: Any) -> dict[str, Any]:
    """Return the neutral request after these quirks."""
    return {**apply_quirks(fields, quirks, PROTOCOLS[protocol])}


def test_every_quirk_has_a_rule_and_a_test() -> None:
    assert set(RULES) | ELSEWHERE == set(FIELDS)
    assert not set(RULES) & ELSEWHERE
    assert not {f"test_quirk_{name}" for name in FIELDS} - globals().keys()


def test_apply_quirks_does_not_modify_its_argument() -> None:
    quirks = Quirks(
        max_tokens_field="max_completion_tokens",
        drop_params=("seed",),
        stream_usage=False,
        named_tool_choice=False,
        strict_tools=False,
        response_format="none",
        developer_role=False,
        drop_message_name=True,
        max_n=1,
    )
    fields: dict[str, Any] = {
        "messages": [
            SystemMessage("x", name="n", additional_kwargs={"__openai_role__": "developer"}),
            HumanMessage("Hi", name="anna"),
        ],
        "tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}, OTHER],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "response_format": JSON_SCHEMA,
        "max_tokens": 1,
        "seed": 1,
        "n": 3,
        "stream_options": {},
    }
    before = deepcopy(fields)
    changed = applied(quirks, **fields)
    assert fields == before
    assert set(changed) == {"messages", "tools", "tool_choice", "max_completion_tokens"}
    assert changed["messages"][0].additional_kwargs == {}
    assert [message.name for message in changed["messages"]] == [None, None]


def test_rules_for_runs_only_what_a_route_needs() -> None:
    names = {rule: name for name, rule in RULES.items()}

    def needed(quirks: Quirks, *, schema: bool = True) -> set[str]:
        rules = rules_for(quirks, json_mode_takes_schema=schema)
        return {names[rule] for rule in rules} - {"max_tokens_field"}

    assert needed(Quirks()) == set()
    assert needed(Quirks(drop_params=("seed",))) == {"drop_params"}
    assert needed(Quirks(max_n=1, strict_tools=False)) == {"max_n", "strict_tools"}
    json_rule = {names[RULES["response_format"]]}
    assert needed(Quirks(), schema=False) == json_rule
    assert needed(Quirks(drop_params=("response_format",))) == {"drop_params"} | json_rule


def test_quirks_mean_the_same_for_a_vendors_class(pair: Pair) -> None:
    quirks = {
        "drop_params": ["stop"],
        "max_n": 1,
        "response_format": "none",
        "named_tool_choice": False,
    }
    message = {"content": "", "role": "assistant"}
    reply = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {}}
    pair.plays(Reply(body=reply))
    model = pair.model_over("mistral", suffix="/v1", row={"quirks": quirks}, only=["first"])
    bound: Any = model.bind_tools([TOOL, OTHER], tool_choice="add")
    bound.invoke("Hi", stop=["END"], n=3, response_format=JSON_SCHEMA)
    body = pair.first.requests[-1].body
    assert not {"stop", "n", "response_format"} & body.keys()
    assert body["messages"][0]["content"].startswith("Answer with one JSON object")
    assert [tool["function"]["name"] for tool in body["tools"]] == ["add"]
    assert body["tool_choice"] == "any"


def test_quirk_max_tokens_field(pair: Pair) -> None:
    assert sent(pair, {})["max_tokens"] == 5
    body = sent(pair, {"max_tokens_field": "max_completion_tokens"})
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


def test_max_tokens_field_also_renames_the_newer_name() -> None:
    assert applied(Quirks(), max_completion_tokens=7) == {"max_tokens": 7}
    assert applied(Quirks(), max_completion_tokens=7, max_tokens=8) == {"max_tokens": 8}


def test_quirk_drop_params(pair: Pair) -> None:
    assert sent(pair, {}, seed=1)["seed"] == 1
    assert "seed" not in sent(pair, {"drop_params": ["seed"]}, seed=1)
    assert sent(pair, {}, stop=["END"])["stop"] == ["END"]
    assert "stop" not in sent(pair, {"drop_params": ["stop"]}, stop=["END"])


def test_quirk_stream_usage(pair: Pair) -> None:
    assert sent(pair, {}, stream=True)["stream_options"] == {"include_usage": True}
    for quirks in ({"stream_usage": False}, {"drop_params": ["stream_options"]}):
        assert "stream_options" not in sent(pair, quirks, stream=True)
    assert not applied(Quirks(stream_usage=False), stream_options={"include_usage": True})


def test_quirk_named_tool_choice(pair: Pair) -> None:
    pair.plays(Reply(tool_calls=({"name": "add", "arguments": {}},)))
    request: dict[str, Any] = {"tools": [TOOL, OTHER], "binding": {"tool_choice": "add"}}
    plain = sent(pair, {}, **request)
    assert plain["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert len(plain["tools"]) == 2
    limited = sent(pair, {"named_tool_choice": False}, **request)
    assert limited["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in limited["tools"]] == ["add"]


def test_quirk_forced_tool_choice(pair: Pair) -> None:
    pair.plays(Reply(tool_calls=({"name": "add", "arguments": {}},)))

    def with_choice(choice: str, **quirks: Any) -> Any:
        return sent(pair, quirks, tools=[TOOL, OTHER], binding={"tool_choice": choice})

    assert with_choice("any")["tool_choice"] == "required"
    unforced = with_choice("any", forced_tool_choice=False)
    assert "tool_choice" not in unforced
    assert len(unforced["tools"]) == 2
    named = with_choice("add", forced_tool_choice=False)
    assert "tool_choice" not in named
    assert [tool["function"]["name"] for tool in named["tools"]] == ["add"]
    assert with_choice("none", forced_tool_choice=False)["tool_choice"] == "none"


def test_an_anthropic_tool_choice_keeps_its_parallel_switch(pair: Pair) -> None:
    pair.plays(Reply(tool_calls=({"name": "add", "arguments": {}},)))
    choice = {"type": "tool", "name": "add", "disable_parallel_tool_use": True}
    for quirks in ({}, {"named_tool_choice": False}):
        body = sent(pair, quirks, tools=[TOOL, OTHER], binding={"tool_choice": choice})
        assert body["parallel_tool_calls"] is False


def test_quirk_strict_tools(pair: Pair) -> None:
    request: dict[str, Any] = {"tools": [Sum], "binding": {"strict": True}}
    assert sent(pair, {}, **request)["tools"][0]["function"]["strict"] is True
    assert "strict" not in sent(pair, {"strict_tools": False}, **request)["tools"][0]["function"]


def test_quirks_hold_for_the_responses_protocol(pair: Pair) -> None:
    tool = {**TOOL, "function": {**TOOL["function"], "strict": True}}
    quirks = {"named_tool_choice": False, "strict_tools": False, "developer_role": False}
    model = pair.model_over(
        "openai-responses", suffix="/v1", row={"quirks": quirks}, only=["first"], max_retries=0
    )
    pair.plays(Reply(status=400, body={"error": {"message": "enough seen"}}))
    bound: Any = model.bind_tools([tool, OTHER], tool_choice="add")
    with pytest.raises(Exception, match="enough seen"):
        bound.invoke([{"role": "developer", "content": "x"}, *MESSAGES])
    body = pair.first.requests[-1].body
    assert body["input"][0]["role"] == "system"
    assert [(tool["name"], "strict" in tool) for tool in body["tools"]] == [("add", False)]
    assert body["tool_choice"] == "required"


def test_quirk_response_format(pair: Pair) -> None:
    assert sent(pair, {}, response_format=JSON_SCHEMA)["response_format"] == JSON_SCHEMA
    system = [{"role": "system", "content": "Be kind."}, *MESSAGES]
    lesser = sent(
        pair, {"response_format": "json_object"}, response_format=JSON_SCHEMA, messages=system
    )
    assert lesser["response_format"] == {"type": "json_object"}
    instruction = lesser["messages"][0]
    assert instruction["role"] == "system"
    assert instruction["content"].startswith("Be kind.\n\nAnswer with one JSON object")
    assert '"sum": {"type": "integer"}' in instruction["content"]
    assert lesser["messages"][1:] == sent(pair, {})["messages"]


@pytest.mark.parametrize(
    "quirk", [{"response_format": "none"}, {"drop_params": ["response_format"]}]
)
@pytest.mark.parametrize("response_format", [JSON_SCHEMA, {"type": "json_object"}])
def test_without_response_format_json_is_asked_for_in_words(
    pair: Pair, quirk: dict[str, Any], response_format: dict[str, Any]
) -> None:
    body = sent(pair, quirk, response_format=response_format)
    assert "response_format" not in body
    instruction, *rest = body["messages"]
    assert instruction["role"] == "system"
    assert instruction["content"].startswith("Answer with one JSON object")
    assert ('"integer"' in instruction["content"]) is (response_format is JSON_SCHEMA)
    assert rest == sent(pair, {})["messages"]


def test_words_for_json_follow_a_system_message_of_blocks() -> None:
    blocks: list[Any] = [{"type": "text", "text": "Be kind."}]
    changed = applied(
        Quirks(response_format="none"),
        messages=[SystemMessage(blocks)],
        response_format=JSON_SCHEMA,
    )
    content = changed["messages"][0].content
    assert content[0] == blocks[0]
    assert content[1]["text"].startswith("Answer with one JSON object")


def test_quirk_schema_with_json_object(pair: Pair) -> None:
    pair.plays(Reply('{"sum": 3}'))

    def response_format(method: Any, **quirks: Any) -> Any:
        model = AutoChatModel("m-1", registry=pair.registry(quirks=quirks))
        structured = model.with_structured_output(Sum, method=method)
        assert structured.invoke("1 + 2") == Sum(sum=3)
        return pair.first.requests[-1].body["response_format"]

    assert response_format("json_mode") == {"type": "json_object"}
    assert response_format("json_schema")["type"] == "json_schema"
    with_schema = response_format("json_mode", schema_with_json_object=True)
    assert with_schema["type"] == "json_object"
    assert with_schema["schema"]["properties"].keys() == {"sum"}
    quirks = {"schema_with_json_object": True, "response_format": "json_object"}
    assert response_format("json_schema", **quirks) == with_schema


def test_json_mode_of_the_responses_protocol_has_no_schema() -> None:
    model = OpenAIRoute(model="m", use_responses_api=True, client=1, root_client=1)
    body = model._get_request_payload(
        "Hi", response_format={"type": "json_object", "schema": SCHEMA}
    )
    assert body["text"] == {"format": {"type": "json_object"}}


def test_quirk_strict_schemas(pair: Pair) -> None:
    closed = {**SCHEMA, "required": ["sum"], "additionalProperties": False}
    open_schema = {**SCHEMA, "required": ["sum"], "additionalProperties": {"type": "string"}}

    def json_schema(quirks: dict[str, Any], **named: Any) -> Any:
        request = {"type": "json_schema", "json_schema": {"name": "Sum", "schema": closed, **named}}
        return sent(pair, quirks, response_format=request)["response_format"]["json_schema"]

    strict = {"strict_schemas": True}
    assert json_schema(strict, description="d") == {
        "name": "Sum",
        "description": "d",
        "schema": closed,
        "strict": True,
    }
    assert "strict" not in json_schema({})
    assert json_schema(strict, strict=False)["strict"] is False
    assert json_schema(strict, schema=open_schema) == {"name": "Sum", "schema": open_schema}
    json_object = sent(pair, strict, response_format={"type": "json_object"})
    assert json_object["response_format"] == {"type": "json_object"}
    without_schemas = {**strict, "response_format": "json_object"}
    request = {"type": "json_schema", "json_schema": {"name": "Sum", "schema": closed}}
    body = sent(pair, without_schemas, response_format=request)
    assert body["response_format"] == {"type": "json_object"}


def test_quirk_developer_role(pair: Pair) -> None:
    messages = [{"role": "developer", "content": "Be kind."}, *MESSAGES]
    assert sent(pair, {}, messages=messages)["messages"][0]["role"] == "developer"
    messages[1:1] = [ChatMessage("Be brief.", role="developer")]
    body = sent(pair, {"developer_role": False}, messages=messages)
    assert body["messages"][:2] == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
    ]


def test_quirk_drop_message_name(pair: Pair) -> None:
    assert sent(pair, {})["messages"][0]["name"] == "anna"
    assert "name" not in sent(pair, {"drop_message_name": True})["messages"][0]


def test_quirk_max_n(pair: Pair) -> None:
    assert sent(pair, {}, n=3)["n"] == 3
    assert sent(pair, {"max_n": 2}, n=3)["n"] == 2
    assert sent(pair, {"max_n": 2}, n=2)["n"] == 2
    assert "n" not in sent(pair, {"max_n": 1}, n=3)


REPLAY: list[Any] = [
    HumanMessage("1 + 2?"),
    AIMessage(
        "",
        tool_calls=[{"name": "add", "args": {}, "id": "call_0"}],
        additional_kwargs={"reasoning_content": "Let me add."},
    ),
    ToolMessage("3", tool_call_id="call_0"),
]


def test_quirk_replay_reasoning(pair: Pair) -> None:
    assert "reasoning_content" not in sent(pair, {}, messages=REPLAY)["messages"][1]
    body = sent(pair, {"replay_reasoning": True}, messages=REPLAY)
    assert body["messages"][1]["reasoning_content"] == "Let me add."
    assert "reasoning_content" not in body["messages"][2]


async def test_reasoning_of_an_answer_is_replayed_in_the_next_turn(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("3", reasoning="Let me add."), Reply("4"))
    model = AutoChatModel("m-1", registry=pair.registry(quirks={"replay_reasoning": True}))
    conversation: list[Any] = [HumanMessage("1 + 2?")]
    conversation += [await ask(model, conversation), HumanMessage("+ 1?")]
    await ask(model, conversation)
    assert pair.first.requests[1].body["messages"][1]["reasoning_content"] == "Let me add."


def test_the_embedded_model_obeys_a_named_tool_choice(embedded: AutoChatModel) -> None:
    class Product(Sum):
        """A product."""

    for name in ("Sum", "Product"):
        answer = embedded.bind_tools([Sum, Product], tool_choice=name).invoke("Hello!")
        assert [call["name"] for call in answer.tool_calls] == [name]


def test_the_embedded_model_keeps_a_schema_in_json_mode(embedded: AutoChatModel) -> None:
    model = embedded.with_structured_output(Sum, method="json_mode")
    assert isinstance(model.invoke("Tell me a joke."), Sum)


def test_quirk_single_system(pair: Pair) -> None:
    messages = [SystemMessage("Be kind."), SystemMessage("Be brief."), *MESSAGES]
    messages += [AIMessage("Hello"), SystemMessage("In French."), HumanMessage("Bye")]
    plain = sent(pair, {}, messages=messages)["messages"]
    assert [m["role"] for m in plain] == [
        "system", "system", "user", "assistant", "system", "user",
    ]  # fmt: skip
    single = sent(pair, {"single_system": True}, messages=messages)["messages"]
    assert [m["role"] for m in single] == ["system", "user", "assistant", "user", "user"]
    assert single[0]["content"] == "Be kind.\n\nBe brief."
    assert single[3]["content"] == "<system>\nIn French.\n</system>"


def test_quirk_tool_call_ids(pair: Pair) -> None:
    plain = sent(pair, {}, messages=REPLAY)["messages"]
    assert (plain[1]["tool_calls"][0]["id"], plain[2]["tool_call_id"]) == ("call_0", "call_0")
    short = sent(pair, {"tool_call_ids": "alnum9"}, messages=REPLAY)["messages"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", short[2]["tool_call_id"])
    assert short[1]["tool_calls"][0]["id"] == short[2]["tool_call_id"]
