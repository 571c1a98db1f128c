"""Each declared difference of a provider, as it shows in the request that arrives."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from inference_providers.testing import Reply
from inference_providers.types import Quirks
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.protocols.openai import OpenAIRoute
from langchain_autoprovider.protocols.quirks import OF_HISTORY, RULES, applied

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
    model = AutoChatModel("m-1", registry=pair.registry(quirks=quirks), max_tokens=5)
    messages = request.pop("messages", MESSAGES)
    tools = request.pop("tools", None)
    runnable: Any = model.bind_tools(tools, **request.pop("binding", {})) if tools else model
    if request.pop("stream", False):
        list(runnable.stream(messages, **request))
    else:
        runnable.invoke(messages, **request)
    return pair.first.requests[-1].body


def test_every_quirk_has_a_rule_and_a_test() -> None:
    assert set(RULES) | OF_HISTORY == set(FIELDS)
    assert not set(RULES) & OF_HISTORY
    assert not {f"test_quirk_{name}" for name in FIELDS} - globals().keys()


def test_no_rule_changes_the_body_it_is_given() -> None:
    quirks = Quirks(
        max_tokens_field="max_completion_tokens",
        drop_params=("seed",),
        rename_params=(("top_p", "p"),),
        stream_usage=False,
        named_tool_choice=False,
        strict_tools=False,
        response_format="none",
        developer_role=False,
        drop_message_name=True,
        max_n=1,
    )
    body: dict[str, Any] = {
        "messages": [{"role": "developer", "content": "x", "name": "n", "reasoning_content": "t"}],
        "tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}, OTHER],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "response_format": JSON_SCHEMA,
        "max_tokens": 1,
        "seed": 1,
        "top_p": 1,
        "n": 3,
        "stream_options": {},
    }
    before = deepcopy(body)
    changed = applied(quirks, body, without=("max_completion_tokens",))
    assert body == before
    assert set(changed) == {"messages", "tools", "tool_choice", "max_tokens", "extra_body"}
    assert set(changed["messages"][0]) == {"role", "content"}


def test_quirk_max_tokens_field(pair: Pair) -> None:
    assert sent(pair, {})["max_tokens"] == 5
    body = sent(pair, {"max_tokens_field": "max_completion_tokens"})
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


def test_a_limit_given_by_its_other_name_is_renamed_as_well() -> None:
    assert applied(Quirks(), {"max_completion_tokens": 7, "messages": []})["max_tokens"] == 7


def test_quirk_drop_params(pair: Pair) -> None:
    assert sent(pair, {}, seed=1)["seed"] == 1
    assert "seed" not in sent(pair, {"drop_params": ["seed"]}, seed=1)


def test_quirk_rename_params(pair: Pair) -> None:
    body = sent(pair, {"rename_params": [["seed", "random_seed"]]}, seed=1, extra_body={"top_k": 2})
    assert body["random_seed"] == 1
    assert body["top_k"] == 2
    assert "seed" not in body


def test_quirk_stream_usage(pair: Pair) -> None:
    assert sent(pair, {}, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(pair, {"stream_usage": False}, stream=True)


def test_quirk_named_tool_choice(pair: Pair) -> None:
    pair.plays(Reply(tool_calls=({"name": "add", "arguments": {}},)))
    asked: dict[str, Any] = {"tools": [TOOL, OTHER], "binding": {"tool_choice": "add"}}
    plain = sent(pair, {}, **asked)
    assert plain["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert len(plain["tools"]) == 2
    mended = sent(pair, {"named_tool_choice": False}, **asked)
    assert mended["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in mended["tools"]] == ["add"]


def test_quirk_forced_tool_choice(pair: Pair) -> None:
    pair.plays(Reply(tool_calls=({"name": "add", "arguments": {}},)))

    def asked(choice: str, **quirks: Any) -> Any:
        return sent(pair, quirks, tools=[TOOL, OTHER], binding={"tool_choice": choice})

    assert asked("any")["tool_choice"] == "required"
    left = asked("any", forced_tool_choice=False)
    assert "tool_choice" not in left
    assert len(left["tools"]) == 2
    named = asked("add", forced_tool_choice=False)
    assert "tool_choice" not in named
    assert [tool["function"]["name"] for tool in named["tools"]] == ["add"]
    assert asked("none", forced_tool_choice=False)["tool_choice"] == "none"


def test_quirk_strict_tools(pair: Pair) -> None:
    asked: dict[str, Any] = {"tools": [Sum], "binding": {"strict": True}}
    assert sent(pair, {}, **asked)["tools"][0]["function"]["strict"] is True
    assert "strict" not in sent(pair, {"strict_tools": False}, **asked)["tools"][0]["function"]


def test_tools_in_the_responses_form_are_changed_as_well() -> None:
    tool = {"type": "function", "name": "add", "parameters": {}, "strict": True}
    body = {
        "input": [{"role": "developer", "content": "x"}, {"type": "reasoning"}],
        "tools": [tool, {**tool, "name": "other"}],
        "tool_choice": {"type": "function", "name": "add"},
    }
    quirks = Quirks(named_tool_choice=False, strict_tools=False, developer_role=False)
    assert applied(quirks, body) == {
        "input": [{"role": "system", "content": "x"}, {"type": "reasoning"}],
        "tools": [{"type": "function", "name": "add", "parameters": {}}],
        "tool_choice": "required",
    }


def test_quirk_response_format(pair: Pair) -> None:
    assert sent(pair, {}, response_format=JSON_SCHEMA)["response_format"] == JSON_SCHEMA
    system = [{"role": "system", "content": "Be kind."}, *MESSAGES]
    lesser = sent(
        pair, {"response_format": "json_object"}, response_format=JSON_SCHEMA, messages=system
    )
    assert lesser["response_format"] == {"type": "json_object"}
    told = lesser["messages"][0]
    assert told["role"] == "system"
    assert told["content"].startswith("Be kind.\n\nAnswer with one JSON object")
    assert '"sum": {"type": "integer"}' in told["content"]
    assert lesser["messages"][1:] == sent(pair, {})["messages"]


@pytest.mark.parametrize(
    "quirk", [{"response_format": "none"}, {"drop_params": ["response_format"]}]
)
@pytest.mark.parametrize("asked", [JSON_SCHEMA, {"type": "json_object"}])
def test_without_any_response_format_json_is_asked_for_in_words(
    pair: Pair, quirk: dict[str, Any], asked: dict[str, Any]
) -> None:
    body = sent(pair, quirk, response_format=asked)
    assert "response_format" not in body
    told, *rest = body["messages"]
    assert told["role"] == "system"
    assert told["content"].startswith("Answer with one JSON object")
    assert ('"integer"' in told["content"]) is (asked is JSON_SCHEMA)
    assert rest == sent(pair, {})["messages"]


def test_words_for_json_follow_a_system_message_of_blocks() -> None:
    blocks = [{"type": "text", "text": "Be kind."}]
    body = {"messages": [{"role": "system", "content": blocks}], "response_format": JSON_SCHEMA}
    content = applied(Quirks(response_format="none"), body)["messages"][0]["content"]
    assert content[0] == blocks[0]
    assert content[1]["text"].startswith("Answer with one JSON object")


def test_quirk_schema_with_json_object(pair: Pair) -> None:
    pair.plays(Reply('{"sum": 3}'))

    def asked(method: Any, **quirks: Any) -> Any:
        model = AutoChatModel("m-1", registry=pair.registry(quirks=quirks))
        structured = model.with_structured_output(Sum, method=method)
        assert structured.invoke("1 + 2") == Sum(sum=3)
        return pair.first.requests[-1].body["response_format"]

    assert asked("json_mode") == {"type": "json_object"}
    assert asked("json_schema")["type"] == "json_schema"
    along = asked("json_mode", schema_with_json_object=True)
    assert along["type"] == "json_object"
    assert along["schema"]["properties"].keys() == {"sum"}
    taken = {"schema_with_json_object": True, "response_format": "json_object"}
    assert asked("json_schema", **taken) == along


def test_the_responses_form_of_json_mode_is_bare() -> None:
    model = OpenAIRoute(model="m", use_responses_api=True, client=1, root_client=1)
    body = model._get_request_payload(
        "Hi", response_format={"type": "json_object", "schema": SCHEMA}
    )
    assert body["text"] == {"format": {"type": "json_object"}}


def test_quirk_developer_role(pair: Pair) -> None:
    messages = [{"role": "developer", "content": "Be kind."}, *MESSAGES]
    assert sent(pair, {}, messages=messages)["messages"][0]["role"] == "developer"
    body = sent(pair, {"developer_role": False}, messages=messages)
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}


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


async def test_an_answers_reasoning_is_sent_back_in_the_next_turn(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("3", reasoning="Let me add."), Reply("4"))
    model = AutoChatModel("m-1", registry=pair.registry(quirks={"replay_reasoning": True}))
    asked: list[Any] = [HumanMessage("1 + 2?")]
    asked += [await ask(model, asked), HumanMessage("+ 1?")]
    await ask(model, asked)
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
