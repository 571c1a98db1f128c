"""`adapt_history`: what each rule does to a conversation."""

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


def adapt(messages: Any, to: Route) -> list[BaseMessage]:
    protocol = PROTOCOL_TABLE.get(to.endpoint.protocol)
    base = protocol.message_format if protocol else MessageFormat()
    return adapt_history(messages, to, adjust_format(base, to.kind, to.quirks))


def call(id_: str | None, name: str = "add") -> Any:
    return {"name": name, "args": {}, "id": id_, "type": "tool_call"}


def calling(*ids: str | None, content: Any = "", **fields: Any) -> AIMessage:
    return AIMessage(content, tool_calls=[call(id_) for id_ in ids], **fields)


def tool_result(id_: str, content: Any = "3", **fields: Any) -> ToolMessage:
    return ToolMessage(content, tool_call_id=id_, **fields)


def traced(
    message: AIMessage, provider: str = "here", model_provider: str = "anthropic"
) -> AIMessage:
    trace = {"provider": provider, "model_id": "m-id"}
    message.response_metadata = {"model_provider": model_provider, "autoprovider": trace}
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
def test_plain_conversation_is_reused(protocol: str) -> None:
    messages: list[BaseMessage] = [
        SystemMessage("Be kind."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage([{"type": "text", "text": "1 + 2?"}, IMAGE]),
        calling("abcDEF123"),
        tool_result("abcDEF123", name="add"),
    ]
    adapted = adapt(messages, route(protocol))
    assert all(new is old for new, old in zip(adapted, messages, strict=True))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_adapt_history_modifies_no_message(protocol: str) -> None:
    messages: list[BaseMessage] = [
        SystemMessage([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]),
        HumanMessage([{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]),
        traced(
            calling("a:1", content=[{"type": "tool_use", "id": "a:1", "name": "add", "input": {}}])
        ),
        tool_result("a:1", [{"type": "text", "text": "3", "cache_control": {}}, IMAGE]),
        SystemMessage("later"),
        traced(AIMessage([{"type": "thinking", "thinking": "x", "signature": "y"}]), "there"),
    ]
    before = deepcopy(messages)
    adapt(messages, route(protocol))
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
def test_call_ids_are_valid_and_match_their_results(protocol: str, pattern: str) -> None:
    old = ["functions.add:0", "x" * 90, "ä é", "chatcmpl-tool-1f", ""]
    messages = [calling(*old), *[tool_result(id_) for id_ in old]]
    adapted = ids_of(adapt(messages, route(protocol)))
    assert adapted[:5] == adapted[5:]
    assert len(set(adapted)) == 5
    assert all(re.fullmatch(pattern, id_ or "") for id_ in adapted)
    assert adapted == ids_of(adapt(messages, route(protocol)))


def test_call_ids_depend_on_earlier_messages_only() -> None:
    start = [calling("a:1"), tool_result("a:1")]
    short = adapt(start, route("anthropic"))
    long = adapt(
        [*start, HumanMessage("Go on"), calling("a:2"), tool_result("a:2")], route("anthropic")
    )
    assert long[:2] == short


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_repeated_call_id_is_replaced(protocol: str) -> None:
    messages = [
        calling("call_0"),
        tool_result("call_0", "one"),
        calling("call_0"),
        tool_result("call_0", "two"),
    ]
    adapted = adapt(messages, route(protocol))
    first, first_result, second, second_result = ids_of(adapted)
    assert (first, second) == (first_result, second_result)
    assert first != second
    assert [m.text for m in adapted if isinstance(m, ToolMessage)] == ["one", "two"]


def test_result_belongs_to_the_latest_call_with_its_id() -> None:
    messages = [
        calling("call_0"),
        HumanMessage("Again"),
        calling("call_0"),
        tool_result("call_0", "late"),
    ]
    adapted = adapt(messages, route())
    assert [m.text for m in adapted] == ["", MISSING_RESULT, "Again", "", "late"]


def test_calls_that_share_an_id_get_results_in_order() -> None:
    messages = [calling("same", "same"), tool_result("same", "one"), tool_result("same", "two")]
    _, one, two = adapt(messages, route())
    assert (one.text, two.text) == ("one", "two")
    assert len(set(ids_of([one, two]))) == 2


def test_native_answer_with_a_shared_id_is_stripped() -> None:
    use = {"type": "tool_use", "id": "same", "name": "add", "input": {}}
    turn = [
        traced(calling("same", "same", content=[use, use])),
        tool_result("same"),
        tool_result("same"),
    ]
    adapted: list[Any] = adapt(turn, route("anthropic"))
    assert adapted[0].content == ""
    first, second, *results = ids_of(adapted)
    assert first != second
    assert results == [first, second]


@pytest.mark.parametrize("provider", ["here", "there"])
def test_refusal_of_any_provider_becomes_text(provider: str) -> None:
    refused = traced(AIMessage("", additional_kwargs={"refusal": "No."}), provider)
    adapted = adapt([HumanMessage("Do it"), refused, HumanMessage("Why?")], route())
    assert [(it.type, it.content) for it in adapted] == [
        ("human", "Do it"),
        ("ai", "No."),
        ("human", "Why?"),
    ]


def test_new_call_id_also_replaces_the_one_in_blocks() -> None:
    content = [{"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}]
    turn = [traced(calling("toolu_1", content=content)), tool_result("toolu_1")]
    adapted = adapt([*turn, *turn], route("anthropic"))
    assert adapted[0] is turn[0]
    block: Any = adapted[2].content[0]
    assert [block["id"], block["id"]] == ids_of(adapted[2:])
    assert block["id"] != "toolu_1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_call_without_a_result_gets_one(protocol: str) -> None:
    adapted = adapt([calling("abcDEF123", "abcDEF124"), tool_result("abcDEF123")], route(protocol))
    assert kinds(adapted) == ["ai", "tool", "tool"]
    assert adapted[2].content == MISSING_RESULT
    assert adapted[2].status == "error"
    assert ids_of(adapted) == ["abcDEF123", "abcDEF124"] * 2


def test_result_without_a_call_is_dropped() -> None:
    messages = [
        tool_result("gone"),
        HumanMessage("Hi"),
        calling("a"),
        tool_result("a"),
        tool_result("a", "again"),
    ]
    assert [m.text for m in adapt(messages, route())] == ["Hi", "", "3"]


def test_result_directly_follows_its_call() -> None:
    messages = [
        calling("a", "b"),
        HumanMessage("Hurry"),
        tool_result("b", "B"),
        tool_result("a", "A"),
    ]
    adapted = adapt(messages, route())
    assert [m.text for m in adapted] == ["", "B", "A", "Hurry"]
    assert ids_of(adapted) == ["a", "b", "b", "a"]


def test_invalid_arguments_become_empty_ones() -> None:
    invalid: Any = {
        "name": "add", "args": "{", "id": "a", "error": "x", "type": "invalid_tool_call",
    }  # fmt: skip
    messages = [AIMessage("", invalid_tool_calls=[invalid]), tool_result("a", "Try again")]
    adapted: list[Any] = adapt(messages, route())
    assert (adapted[0].tool_calls, adapted[0].invalid_tool_calls) == ([call("a")], [])
    assert adapted[1].text == "Try again"


def test_results_of_builtin_tools_stay() -> None:
    content = [{"type": "computer_call", "call_id": "call_c", "id": "cu_1", "action": {}}]
    messages = [traced(AIMessage(content), model_provider="openai"), tool_result("call_c", "seen")]
    assert adapt(messages, route("openai-responses")) == messages


def test_results_in_a_user_message_become_tool_messages() -> None:
    content: Any = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "3", "is_error": True},
        {"type": "text", "text": "And now?"},
    ]
    use: Any = [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}]
    adapted: list[Any] = adapt([AIMessage(use), HumanMessage(content)], route())
    assert kinds(adapted) == ["ai", "tool", "human"]
    assert adapted[0].tool_calls == [{**call("t1"), "args": {"a": 1}}]
    assert (adapted[1].content, adapted[1].status) == ("3", "error")
    assert adapted[2].content == [{"type": "text", "text": "And now?"}]


def test_results_in_a_user_message_keep_anthropic_blocks() -> None:
    marker = {"cache_control": {"type": "ephemeral"}}
    references: Any = [{"type": "tool_reference", "tool_name": "x"}]
    content: Any = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "3", **marker},
        {"type": "tool_result", "tool_use_id": "t2", "content": references, **marker},
    ]
    adapted = adapt([calling("t1", "t2"), HumanMessage(content)], route("anthropic"))
    assert [message.content for message in adapted[1:]] == [
        [{"type": "text", "text": "3", **marker}],
        [{**references[0], **marker}],
    ]
    adapted = adapt([calling("t1", "t2"), HumanMessage(content)], route())
    assert [message.content for message in adapted[1:]] == ["3", json.dumps(references[0])]


PROVIDER_BLOCKS: list[Any] = [
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
def test_other_providers_answer_becomes_text_and_calls(protocol: str) -> None:
    message = traced(calling("abcDEF123", content=PROVIDER_BLOCKS, name="bob"), "there", "openai")
    adapted = adapt([message, tool_result("abcDEF123", name="add")], route(protocol))
    answers: list[Any] = [m for m in adapted if isinstance(m, AIMessage)]
    assert "".join(m.content for m in answers) == "It is not my business."
    assert answers[-1].tool_calls == [call("abcDEF123")]
    assert not any(m.additional_kwargs for m in answers)


def test_refusal_without_a_trace_becomes_text() -> None:
    message = AIMessage("", additional_kwargs={"refusal": "No."})
    assert adapt([message], route())[0].text == "No."


def test_merged_stream_becomes_an_answer() -> None:
    chunk = AIMessageChunk("Hello", response_metadata={"model_provider": "anthropic"})
    (adapted,) = adapt([chunk], route())
    assert (type(adapted), adapted.content) == (AIMessage, "Hello")


def test_answer_without_content_is_dropped() -> None:
    reasoning = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]
    messages = [HumanMessage("Hi"), AIMessage(""), traced(AIMessage(reasoning), "there")]
    assert kinds(adapt(messages, route("anthropic"))) == ["human"]
    assert kinds(adapt([traced(AIMessage(reasoning))], route("anthropic"))) == ["ai"]


def test_function_call_of_older_langchain_stays() -> None:
    old = {"function_call": {"name": "add", "arguments": "{}"}}
    adapted = adapt([AIMessage("", additional_kwargs={**old, "parsed": 1})], route())
    assert adapted[0].additional_kwargs == old
    with_calls = calling("a", additional_kwargs=old)
    assert not adapt([with_calls], route())[0].additional_kwargs


def test_mistral_prefix_stays() -> None:
    unfinished = AIMessage("It is", additional_kwargs={"prefix": True})
    assert adapt([HumanMessage("Hi"), unfinished], route("mistral"))[1] is unfinished


def test_reasoning_is_replayed_where_a_quirk_requires_it() -> None:
    to = route(quirks=Quirks(replay_reasoning=True))
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]
    from_another = traced(calling("a", content=blocks), "there")
    from_route = traced(calling("b"), model_provider="openai")
    adapted = adapt(
        [from_another, tool_result("a"), from_route, tool_result("b"), AIMessage("Done")], to
    )
    thoughts = [m.additional_kwargs.get("reasoning_content") for m in adapted if m.type == "ai"]
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
def test_cache_markers_stay_where_they_are_accepted(
    protocol: str, kind: Any, *, kept: bool
) -> None:
    marker = {"cache_control": {"type": "ephemeral"}}
    text = {"type": "text", "text": "Long."}
    messages = [
        SystemMessage([{**text, **marker}]),
        HumanMessage([{**text, **marker}, {**IMAGE, "extras": marker}]),
    ]
    adapted = adapt(messages, route(protocol, kind=kind))
    sent = str([message.content for message in adapted])
    assert sent.count("ephemeral") == (3 if kept else 0)


def test_openai_cache_breakpoint_stays_with_openai() -> None:
    block: Any = {"type": "text", "text": "Hi", "extras": {"prompt_cache_breakpoint": {}}}
    for protocol in PROTOCOLS:
        adapted = adapt([HumanMessage([block])], route(protocol))
        assert ("extras" in adapted[0].content[0]) is protocol.startswith("openai")


def test_text_block_loses_unknown_keys() -> None:
    block = {"type": "text", "text": "Hi", "id": "lc_1", "index": 0, "extras": {"x": 1}}
    for protocol in PROTOCOLS:
        adapted = adapt([HumanMessage([block])], route(protocol))
        assert adapted[0].content == [{"type": "text", "text": "Hi"}]


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
def test_vendor_blocks_become_standard_blocks(block: Any, standard: Any) -> None:
    adapted = adapt([HumanMessage([block])], route("telepathy"))
    assert adapted[0].content == [standard]


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
def test_accepted_and_unknown_blocks_stay(protocol: str, block: Any) -> None:
    messages = [HumanMessage([block])]
    assert adapt(messages, route(protocol))[0] is messages[0]


def test_images_of_results_move_to_a_user_message() -> None:
    blocks: list[Any] = [{"type": "text", "text": "one"}, IMAGE, "two", {"type": "odd", "x": 1}]
    messages = [
        calling("a", "b"),
        tool_result("a", blocks),
        tool_result("b"),
        HumanMessage("Well?"),
    ]
    adapted = adapt(messages, route())
    assert kinds(adapted) == ["ai", "tool", "tool", "human", "human"]
    assert adapted[1].content == 'one\ntwo\n{"type": "odd", "x": 1}'
    assert adapted[3].content == [
        {"type": "text", "text": ATTACHMENT_HEADING.format(name="add")},
        IMAGE,
    ]
    for protocol in ("anthropic", "openai-responses", "google-genai"):
        held = adapt(messages, route(protocol))
        assert kinds(held) == ["ai", "tool", "tool", "human"]
        assert IMAGE in held[1].content


@pytest.mark.parametrize("protocol", ["anthropic", "google-genai", "mistral", "bedrock"])
def test_system_messages_are_merged_at_the_start(protocol: str) -> None:
    blocks: list[Any] = [{"type": "text", "text": "b"}]
    messages = [SystemMessage("a"), SystemMessage(blocks), HumanMessage("Hi"), SystemMessage("c")]
    adapted = adapt(messages, route(protocol))
    assert kinds(adapted) == ["system", "human", "human"]
    assert adapted[0].content == [{"type": "text", "text": "a"}, *blocks]
    assert adapted[2].content == "<system>\nc\n</system>"
    assert adapt(messages, route()) == messages


@pytest.mark.parametrize(
    "to",
    [route("mistral"), route(quirks=Quirks(tool_call_ids="alnum9"))],
    ids=["from_route", "chat"],
)
def test_strict_turns_get_an_answer_between_results_and_user(to: Route) -> None:
    messages = [
        calling("abcDEF123", content="Wait."),
        tool_result("abcDEF123"),
        HumanMessage("Well?"),
    ]
    adapted: list[Any] = adapt(messages, to)
    assert [(m.type, m.text) for m in adapted] == [
        ("ai", "Wait."), ("ai", ""), ("tool", "3"), ("ai", RESULTS_SEEN), ("human", "Well?"),
    ]  # fmt: skip
    assert [bool(m.tool_calls) for m in adapted if m.type == "ai"] == [False, True, False]
    assert adapted[2].name == "add"


def test_author_names_keep_letters_and_digits() -> None:
    messages = [HumanMessage("Hi", name="Anna B. <x>"), HumanMessage("Hi", name="anna_b")]
    adapted = adapt(messages, route())
    assert adapted[0].name == "Anna_B___x_"
    assert adapted[1] is messages[1]
    assert adapt(messages, route("anthropic")) == messages
