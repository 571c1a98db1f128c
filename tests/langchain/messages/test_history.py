"""What becomes of a message on its way to a route, one fact each."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

import factories
from inference_providers.types import Quirks, Route
from langchain_autoprovider.messages.history import (
    ATTACHMENT_HEADING,
    MISSING_RESULT,
    RESULTS_SEEN,
    adapt_history,
)
from langchain_autoprovider.messages.message_format import MessageFormat, adjust_format
from langchain_autoprovider.protocols.table import PROTOCOLS as PROTOCOL_TABLE

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

PROTOCOLS = (
    "openai-chat", "openai-responses", "anthropic", "google-genai", "mistral", "bedrock",
    "telepathy",
)  # fmt: skip
PNG = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PNG}"
IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}


def route(protocol: str = "openai-chat", **fields: Any) -> Route:
    return factories.route("here", protocol=protocol, model_id="m-id", **fields)


def adapted(messages: Any, to: Route) -> list[BaseMessage]:
    protocol = PROTOCOL_TABLE.get(to.endpoint.protocol)
    base = protocol.message_format if protocol else MessageFormat()
    return adapt_history(messages, to, adjust_format(base, to.kind, to.quirks))


def call(id_: str | None, name: str = "add") -> Any:
    return {"name": name, "args": {}, "id": id_, "type": "tool_call"}


def asked(*ids: str | None, said: Any = "", **fields: Any) -> AIMessage:
    return AIMessage(said, tool_calls=[call(id_) for id_ in ids], **fields)


def result(id_: str, said: Any = "3", **fields: Any) -> ToolMessage:
    return ToolMessage(said, tool_call_id=id_, **fields)


def given(message: AIMessage, provider: str = "here", stamp: str = "anthropic") -> AIMessage:
    trace = {"provider": provider, "model_id": "m-id"}
    message.response_metadata = {"model_provider": stamp, "autoprovider": trace}
    return message


def ids_of(messages: list[BaseMessage]) -> list[str | None]:
    ids: list[str | None] = []
    for message in messages:
        if isinstance(message, AIMessage):
            ids += [call["id"] for call in message.tool_calls]
        if isinstance(message, ToolMessage):
            ids.append(message.tool_call_id)
    return ids


def kinds(messages: list[BaseMessage]) -> list[str]:
    return [message.type for message in messages]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plain_conversation_stays_itself(protocol: str) -> None:
    messages: list[BaseMessage] = [
        SystemMessage("Be kind."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage([{"type": "text", "text": "1 + 2?"}, IMAGE]),
        asked("abcDEF123"),
        result("abcDEF123", name="add"),
    ]
    made = adapted(messages, route(protocol))
    assert all(new is old for new, old in zip(made, messages, strict=True))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_message_is_changed(protocol: str) -> None:
    messages: list[BaseMessage] = [
        SystemMessage([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]),
        HumanMessage([{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]),
        given(asked("a:1", said=[{"type": "tool_use", "id": "a:1", "name": "add", "input": {}}])),
        result("a:1", [{"type": "text", "text": "3", "cache_control": {}}, IMAGE]),
        SystemMessage("later"),
        given(AIMessage([{"type": "thinking", "thinking": "x", "signature": "y"}]), "there"),
    ]
    before = deepcopy(messages)
    adapted(messages, route(protocol))
    assert messages == before


@pytest.mark.parametrize(
    ("protocol", "pattern"),
    [
        ("openai-chat", r".{1,40}"),
        ("openai-responses", r"[\w-]{1,64}"),
        ("anthropic", r"[a-zA-Z0-9_-]+"),
        ("mistral", r"[a-zA-Z0-9]{9}"),
        ("bedrock", r"[a-zA-Z0-9_-]{1,64}"),
    ],
)
def test_ids_fit_and_are_the_same_for_call_and_result(protocol: str, pattern: str) -> None:
    old = ["functions.add:0", "x" * 90, "ä é", "chatcmpl-tool-1f", ""]
    messages = [asked(*old), *[result(id_) for id_ in old]]
    made = ids_of(adapted(messages, route(protocol)))
    assert made[:5] == made[5:]
    assert len(set(made)) == 5
    assert all(re.fullmatch(pattern, id_ or "") for id_ in made)
    assert made == ids_of(adapted(messages, route(protocol)))


def test_an_id_does_not_depend_on_what_comes_later() -> None:
    start = [asked("a:1"), result("a:1")]
    short = adapted(start, route("anthropic"))
    long = adapted([*start, HumanMessage("Go on"), asked("a:2"), result("a:2")], route("anthropic"))
    assert long[:2] == short


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_id_that_returns_in_a_later_turn_is_another_one(protocol: str) -> None:
    messages = [
        asked("call_0"), result("call_0", "one"), asked("call_0"), result("call_0", "two"),
    ]  # fmt: skip
    made = adapted(messages, route(protocol))
    first, first_result, second, second_result = ids_of(made)
    assert (first, second) == (first_result, second_result)
    assert first != second
    assert [m.text for m in made if isinstance(m, ToolMessage)] == ["one", "two"]


def test_a_result_is_of_the_latest_call_with_its_id() -> None:
    messages = [asked("call_0"), HumanMessage("Again"), asked("call_0"), result("call_0", "late")]
    made = adapted(messages, route())
    assert [m.text for m in made] == ["", MISSING_RESULT, "Again", "", "late"]


def test_two_calls_of_one_answer_with_one_id_get_their_results_in_order() -> None:
    messages = [asked("same", "same"), result("same", "one"), result("same", "two")]
    _, one, two = adapted(messages, route())
    assert (one.text, two.text) == ("one", "two")
    assert len(set(ids_of([one, two]))) == 2


def test_an_own_answer_with_one_id_twice_is_told_anew() -> None:
    use = {"type": "tool_use", "id": "same", "name": "add", "input": {}}
    turn = [given(asked("same", "same", said=[use, use])), result("same"), result("same")]
    made: list[Any] = adapted(turn, route("anthropic"))
    assert made[0].content == ""
    first, second, *results = ids_of(made)
    assert first != second
    assert results == [first, second]


@pytest.mark.parametrize("provider", ["here", "there"])
def test_a_refusal_is_told_as_text(provider: str) -> None:
    refused = given(AIMessage("", additional_kwargs={"refusal": "No."}), provider)
    made = adapted([HumanMessage("Do it"), refused, HumanMessage("Why?")], route())
    assert [(it.type, it.content) for it in made] == [
        ("human", "Do it"),
        ("ai", "No."),
        ("human", "Why?"),
    ]


def test_an_own_answers_blocks_follow_a_new_id() -> None:
    said = [{"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}]
    turn = [given(asked("toolu_1", said=said)), result("toolu_1")]
    made = adapted([*turn, *turn], route("anthropic"))
    assert made[0] is turn[0]
    block: Any = made[2].content[0]
    assert [block["id"], block["id"]] == ids_of(made[2:])
    assert block["id"] != "toolu_1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_without_a_result_gets_one(protocol: str) -> None:
    made = adapted([asked("abcDEF123", "abcDEF124"), result("abcDEF123")], route(protocol))
    assert kinds(made) == ["ai", "tool", "tool"]
    assert made[2].content == MISSING_RESULT
    assert made[2].status == "error"
    assert ids_of(made) == ["abcDEF123", "abcDEF124"] * 2


def test_a_result_without_a_call_is_dropped() -> None:
    messages = [result("gone"), HumanMessage("Hi"), asked("a"), result("a"), result("a", "again")]
    assert [m.text for m in adapted(messages, route())] == ["Hi", "", "3"]


def test_a_result_stands_right_behind_its_call() -> None:
    messages = [asked("a", "b"), HumanMessage("Hurry"), result("b", "B"), result("a", "A")]
    made = adapted(messages, route())
    assert [m.text for m in made] == ["", "B", "A", "Hurry"]
    assert ids_of(made) == ["a", "b", "b", "a"]


def test_a_call_with_broken_arguments_is_one_without() -> None:
    broken: Any = {
        "name": "add", "args": "{", "id": "a", "error": "x", "type": "invalid_tool_call",
    }  # fmt: skip
    messages = [AIMessage("", invalid_tool_calls=[broken]), result("a", "Try again")]
    made: list[Any] = adapted(messages, route())
    assert (made[0].tool_calls, made[0].invalid_tool_calls) == ([call("a")], [])
    assert made[1].text == "Try again"


def test_the_results_of_a_providers_own_tools_stay() -> None:
    said = [{"type": "computer_call", "call_id": "call_c", "id": "cu_1", "action": {}}]
    messages = [given(AIMessage(said), stamp="openai"), result("call_c", "seen")]
    assert adapted(messages, route("openai-responses")) == messages


def test_results_that_a_user_brings_are_results() -> None:
    said: Any = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "3", "is_error": True},
        {"type": "text", "text": "And now?"},
    ]
    use: Any = [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}]
    made: list[Any] = adapted([AIMessage(use), HumanMessage(said)], route())
    assert kinds(made) == ["ai", "tool", "human"]
    assert made[0].tool_calls == [{**call("t1"), "args": {"a": 1}}]
    assert (made[1].content, made[1].status) == ("3", "error")
    assert made[2].content == [{"type": "text", "text": "And now?"}]


def test_results_that_a_user_brings_keep_what_only_anthropic_knows() -> None:
    marker = {"cache_control": {"type": "ephemeral"}}
    found: Any = [{"type": "tool_reference", "tool_name": "x"}]
    said: Any = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "3", **marker},
        {"type": "tool_result", "tool_use_id": "t2", "content": found, **marker},
    ]
    made = adapted([asked("t1", "t2"), HumanMessage(said)], route("anthropic"))
    assert [message.content for message in made[1:]] == [
        [{"type": "text", "text": "3", **marker}],
        [{**found[0], **marker}],
    ]
    made = adapted([asked("t1", "t2"), HumanMessage(said)], route())
    assert [message.content for message in made[1:]] == ["3", json.dumps(found[0])]


FOREIGN_BLOCKS: list[Any] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "text", "text": "It is ", "citations": [{}], "annotations": [], "id": "msg_1"},
    {"type": "server_tool_use", "id": "srv", "name": "search", "input": {}},
    {"type": "refusal", "refusal": "not my business."},
    {"type": "function_call", "call_id": "a", "name": "add", "arguments": "{}", "id": "fc_1"},
    {"type": "image", "base64": PNG, "mime_type": "image/png"},
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_foreign_answer_is_its_text_and_its_calls(protocol: str) -> None:
    message = given(asked("abcDEF123", said=FOREIGN_BLOCKS, name="bob"), "there", "openai")
    made = adapted([message, result("abcDEF123", name="add")], route(protocol))
    answers: list[Any] = [m for m in made if isinstance(m, AIMessage)]
    assert "".join(m.content for m in answers) == "It is not my business."
    assert answers[-1].tool_calls == [call("abcDEF123")]
    assert not any(m.additional_kwargs for m in answers)


def test_a_refusal_in_chat_is_text() -> None:
    message = AIMessage("", additional_kwargs={"refusal": "No."})
    assert adapted([message], route())[0].text == "No."


def test_a_merged_stream_is_an_answer() -> None:
    chunk = AIMessageChunk("Hello", response_metadata={"model_provider": "anthropic"})
    (made,) = adapted([chunk], route())
    assert (type(made), made.content) == (AIMessage, "Hello")


def test_an_answer_that_says_nothing_is_dropped() -> None:
    thought = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]
    messages = [HumanMessage("Hi"), AIMessage(""), given(AIMessage(thought), "there")]
    assert kinds(adapted(messages, route("anthropic"))) == ["human"]
    assert kinds(adapted([given(AIMessage(thought))], route("anthropic"))) == ["ai"]


def test_the_call_of_an_older_langchain_stays() -> None:
    old = {"function_call": {"name": "add", "arguments": "{}"}}
    made = adapted([AIMessage("", additional_kwargs={**old, "parsed": 1})], route())
    assert made[0].additional_kwargs == old
    with_calls = asked("a", additional_kwargs=old)
    assert not adapted([with_calls], route())[0].additional_kwargs


def test_the_beginning_of_an_answer_stays_one() -> None:
    begun = AIMessage("It is", additional_kwargs={"prefix": True})
    assert adapted([HumanMessage("Hi"), begun], route("mistral"))[1] is begun


def test_thinking_is_sent_back_where_a_quirk_wants_it() -> None:
    to = route(quirks=Quirks(replay_reasoning=True))
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]
    foreign = given(asked("a", said=blocks), "there")
    own = given(asked("b"), stamp="openai")
    made = adapted([foreign, result("a"), own, result("b"), AIMessage("Done")], to)
    thoughts = [m.additional_kwargs.get("reasoning_content") for m in made if m.type == "ai"]
    assert thoughts == ["Hm.", " ", None]


@pytest.mark.parametrize(
    ("protocol", "kind", "kept"),
    [
        ("anthropic", "direct", True),
        ("openai-chat", "gateway", True),
        ("openai-chat", "direct", False),
        ("google-genai", "direct", False),
        ("mistral", "gateway", False),
    ],
)
def test_cache_markers_stay_where_they_are_read(protocol: str, kind: Any, *, kept: bool) -> None:
    marker = {"cache_control": {"type": "ephemeral"}}
    text = {"type": "text", "text": "Long."}
    messages = [
        SystemMessage([{**text, **marker}]),
        HumanMessage([{**text, **marker}, {**IMAGE, "extras": marker}]),
    ]
    made = adapted(messages, route(protocol, kind=kind))
    told = str([message.content for message in made])
    assert told.count("ephemeral") == (3 if kept else 0)


def test_openais_own_cache_breakpoint_stays_there() -> None:
    block: Any = {"type": "text", "text": "Hi", "extras": {"prompt_cache_breakpoint": {}}}
    for protocol in PROTOCOLS:
        made = adapted([HumanMessage([block])], route(protocol))
        assert ("extras" in made[0].content[0]) is protocol.startswith("openai")


def test_a_text_block_holds_what_is_known_there() -> None:
    block = {"type": "text", "text": "Hi", "id": "lc_1", "index": 0, "extras": {"x": 1}}
    for protocol in PROTOCOLS:
        made = adapted([HumanMessage([block])], route(protocol))
        assert made[0].content == [{"type": "text", "text": "Hi"}]


PDF = {"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf"}


@pytest.mark.parametrize(
    ("block", "standard"),
    [
        ("Hi", {"type": "text", "text": "Hi"}),
        ({"type": "input_text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            IMAGE,
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "image", "url": "https://x/y.png"},
        ),
        ({"type": "media", "mime_type": "image/png", "data": PNG}, IMAGE),
        ({"type": "media", "mime_type": "application/pdf", "data": "JVBERg=="}, PDF),
        ({"type": "input_image", "image_url": DATA_URL}, IMAGE),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg=="},
            PDF,
        ),
        (
            {"type": "input_file", "file_url": "https://x/y.pdf"},
            {"type": "file", "url": "https://x/y.pdf"},
        ),
        (
            {"type": "document_url", "document_url": "https://x/y.pdf"},
            {"type": "file", "url": "https://x/y.pdf"},
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "T"},
            },
            {"type": "text", "text": "T"},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}},
            PDF,
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
        ),
    ],
    ids=str,
)
def test_any_spelling_of_a_block_becomes_langchains(block: Any, standard: Any) -> None:
    made = adapted([HumanMessage([block])], route("telepathy"))
    assert made[0].content == [standard]


@pytest.mark.parametrize(
    ("protocol", "block"),
    [
        ("openai-chat", {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}),
        ("openai-chat", {"type": "file", "file": {"file_id": "file-1"}}),
        ("openai-responses", {"type": "input_image", "image_url": DATA_URL}),
        (
            "anthropic",
            {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "T"},
        ),
        ("anthropic", {"type": "text-plain", "text": "T", "mime_type": "text/plain"}),
        ("google-genai", {"type": "media", "mime_type": "video/mp4", "file_uri": "https://x/y"}),
        ("mistral", {"type": "document_url", "document_url": "https://x/y.pdf"}),
        ("telepathy", {"type": "hologram", "data": "x"}),
    ],
)
def test_a_block_that_the_route_knows_or_nobody_does_stays(protocol: str, block: Any) -> None:
    messages = [HumanMessage([block])]
    assert adapted(messages, route(protocol))[0] is messages[0]


def test_images_of_a_result_are_shown_by_the_user_where_only_text_is_taken() -> None:
    blocks: list[Any] = [{"type": "text", "text": "one"}, IMAGE, "two", {"type": "odd", "x": 1}]
    messages = [asked("a", "b"), result("a", blocks), result("b"), HumanMessage("Well?")]
    made = adapted(messages, route())
    assert kinds(made) == ["ai", "tool", "tool", "human", "human"]
    assert made[1].content == 'one\ntwo\n{"type": "odd", "x": 1}'
    assert made[3].content == [
        {"type": "text", "text": ATTACHMENT_HEADING.format(name="add")},
        IMAGE,
    ]
    for protocol in ("anthropic", "openai-responses", "google-genai"):
        held = adapted(messages, route(protocol))
        assert kinds(held) == ["ai", "tool", "tool", "human"]
        assert IMAGE in held[1].content


@pytest.mark.parametrize("protocol", ["anthropic", "google-genai", "mistral", "bedrock"])
def test_there_is_one_system_message_at_the_start(protocol: str) -> None:
    blocks: list[Any] = [{"type": "text", "text": "b"}]
    messages = [SystemMessage("a"), SystemMessage(blocks), HumanMessage("Hi"), SystemMessage("c")]
    made = adapted(messages, route(protocol))
    assert kinds(made) == ["system", "human", "human"]
    assert made[0].content == [{"type": "text", "text": "a"}, *blocks]
    assert made[2].content == "<system>\nc\n</system>"
    assert adapted(messages, route()) == messages


@pytest.mark.parametrize(
    "to", [route("mistral"), route(quirks=Quirks(tool_call_ids="alnum9"))], ids=["own", "chat"]
)
def test_mistral_has_an_answer_between_results_and_a_user(to: Route) -> None:
    messages = [asked("abcDEF123", said="Wait."), result("abcDEF123"), HumanMessage("Well?")]
    made: list[Any] = adapted(messages, to)
    assert [(m.type, m.text) for m in made] == [
        ("ai", "Wait."), ("ai", ""), ("tool", "3"), ("ai", RESULTS_SEEN), ("human", "Well?"),
    ]  # fmt: skip
    assert [bool(m.tool_calls) for m in made if m.type == "ai"] == [False, True, False]
    assert made[2].name == "add"


def test_a_name_has_letters_and_digits_where_it_is_sent() -> None:
    messages = [HumanMessage("Hi", name="Anna B. <x>"), HumanMessage("Hi", name="anna_b")]
    made = adapted(messages, route())
    assert made[0].name == "Anna_B___x_"
    assert made[1] is messages[1]
    assert adapted(messages, route("anthropic")) == messages
