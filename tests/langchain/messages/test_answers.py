"""How answers are judged: by the same rules for whole answers and streams."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.utils.json import parse_partial_json

import factories
from inference_providers.errors import ContentFilteredError, InvalidResponseError
from inference_providers.failover.events import AttemptRecord, Flaw, Success
from inference_providers.failover.state import FailoverState
from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.wire import finish_reasons
from langchain_autoprovider.messages.answers import AnswerRules, has_words, token_counts
from langchain_autoprovider.messages.streaming import MessageChunkInspector

ROUTE = factories.route("a")
PLAN = factories.plan(ROUTE)
QUESTION = [HumanMessage("Hi")]
RESULT = [*QUESTION, AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])]
RESULT += [ToolMessage("done", tool_call_id="1")]
OFFERS_F = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}


def rules(conversation: Any = QUESTION, fields: Any = None) -> AnswerRules:
    return AnswerRules(finish_reasons.CHAT, conversation, fields or {})


def call(name: str = "f", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": "1", "type": "tool_call"}


def invalid(args: str) -> dict[str, Any]:
    return {"name": "f", "args": args, "id": "2", "error": None, "type": "invalid_tool_call"}


def result(word: str | None = "stop", content: Any = "", **fields: Any) -> ChatResult:
    message = AIMessage(content, **fields)
    info = {"finish_reason": word} if word else {}
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def part(
    args: str | None = "", name: str | None = None, call_id: str | None = None, index: Any = 0
) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "index": index, "type": "tool_call_chunk"}


def chunk(content: Any = "", *parts: Any, word: str | None = None, **fields: Any) -> Any:
    message = AIMessageChunk(content, tool_call_chunks=list(parts), **fields)
    info = {"finish_reason": word} if word else None
    return ChatGenerationChunk(message=message, generation_info=info)


def inspector(*chunks: Any, **of_rules: Any) -> MessageChunkInspector:
    inspected = MessageChunkInspector(PLAN, FailoverState(), rules(**of_rules))
    for each in chunks:
        inspected.inspect(each)
    return inspected


# Flaws


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        (result(), Flaw.EMPTY_ANSWER),
        (result(content=[]), Flaw.EMPTY_ANSWER),
        (result(content=" \n"), Flaw.EMPTY_ANSWER),
        (result(content=[{"type": "text", "text": ""}]), Flaw.EMPTY_ANSWER),
        (result(content=[{"type": "thinking", "thinking": ""}]), Flaw.EMPTY_ANSWER),
        (result(content=[{"type": "reasoning", "summary": [], "id": "r"}]), Flaw.EMPTY_ANSWER),
        (result("tool_calls"), Flaw.EMPTY_ANSWER),
        (result("length"), None),
        (result("model_context_window_exceeded"), None),
        (result(content="text"), None),
        (result(None, content="text"), None),
        (result("mystery", content="text"), None),
        (result(content=[{"type": "image_url", "image_url": {"url": "u"}}]), None),
        (result(content=[{"type": "reasoning", "summary": [{"text": "so"}]}]), None),
        (result(additional_kwargs={"refusal": "no"}), None),
        (result(additional_kwargs={"reasoning_content": "so"}), None),
        (result(additional_kwargs={"audio": {"data": "x"}}), None),
        (result(additional_kwargs={"citations": []}), Flaw.EMPTY_ANSWER),
        (result("tool_calls", tool_calls=[call()]), None),
        (result("stop", tool_calls=[call("g")]), Flaw.UNKNOWN_TOOL),
        (result("stop", tool_calls=[call("")]), Flaw.UNKNOWN_TOOL),
        (result("stop", tool_calls=[call(), call("ff")]), Flaw.UNKNOWN_TOOL),
        (result("stop", invalid_tool_calls=[invalid("x")]), Flaw.MALFORMED_TOOL_CALL),
        (
            result("stop", tool_calls=[call()], invalid_tool_calls=[invalid("x")]),
            Flaw.MALFORMED_TOOL_CALL,
        ),
        (result("length", invalid_tool_calls=[invalid('{"a')]), None),
    ],
    ids=repr,
)
def test_flaw_of_a_whole_answer(answer: ChatResult, flaw: Flaw | None) -> None:
    assert rules(fields=OFFERS_F).judge(answer) is flaw


@pytest.mark.parametrize(
    "conversation",
    [
        RESULT,
        [HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": "x"}])],
        [*QUESTION, AIMessage("The capital is")],
    ],
)
def test_flaw_of_an_empty_answer_depends_on_the_last_message(conversation: Any) -> None:
    assert rules(conversation).judge(result()) is None
    assert inspector(chunk(word="stop"), conversation=conversation).flaw() is None
    asked_again = [*conversation, HumanMessage("And?")]
    assert rules(asked_again).judge(result()) is Flaw.EMPTY_ANSWER


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [{"type": "web_search"}, *OFFERS_F["tools"]]},
        {"tools": [{"google_search": {}}]},
        {"tools": [{"name": "g", "input_schema": {}}]},
        {"functions": [{"name": "g"}]},
        {"answer_schema": {"tool": {"function": {"name": "g"}}, "schema": {}}},
    ],
    ids=str,
)
def test_flaw_of_a_call_depends_on_what_the_request_offers(fields: Any) -> None:
    assert rules(fields=fields).judge(result(tool_calls=[call("g")])) is None


@pytest.mark.parametrize(
    ("word", "error"),
    [("content_filter", ContentFilteredError), ("error", InvalidResponseError)],
)
def test_judge_raises_for_a_finish_reason_that_is_not_good(
    word: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rules().judge(result(word, content="half"))
    assert isinstance(inspector(chunk("half"), chunk(word=word)).fault(), error)


def test_judge_finds_the_finish_reason_in_the_result() -> None:
    answer = ChatResult(
        generations=result(None, content="half").generations,
        llm_output={"finish_reason": "content_filter"},
    )
    with pytest.raises(ContentFilteredError) as caught:
        rules().judge(answer)
    assert caught.value.partial == "half"


# Streams


@pytest.mark.parametrize(
    ("each", "output"),
    [
        (chunk("text"), True),
        (chunk(" "), False),
        (chunk([{"type": "text", "text": "", "index": 0}]), False),
        (chunk([{"type": "text", "text": "a", "index": 0}]), True),
        (chunk([{"type": "server_tool_use", "id": "s", "index": 0}]), True),
        (chunk([{"index": 0}]), False),
        (chunk("", part("", "f", "1")), True),
        (chunk("", part('{"a', None, "1")), False),
        (chunk(additional_kwargs={"refusal": "no"}), True),
        (chunk(usage_metadata={"input_tokens": 1, "output_tokens": 0, "total_tokens": 1}), False),
    ],
    ids=repr,
)
def test_inspect_says_whether_a_chunk_has_output(each: Any, output: bool) -> None:
    assert inspector().inspect(each) == ChunkSignals(output=output, finish=False)


def test_inspect_counts_spaces_and_arguments_later() -> None:
    after_text, after_name = inspector(chunk("a")), inspector(chunk("", part("", "f", "1")))
    assert after_text.inspect(chunk(" ")).output
    assert after_name.inspect(chunk("", part('{"a"'))).output
    assert not after_name.inspect(chunk("", part(""))).output


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ('{"a": 1', "truncated"),
        ('{"a": 1,', "truncated"),
        ('{"a": "x', "truncated"),
        ('{"a": "\\u12', "truncated"),
        ('{"a": tr', "truncated"),
        ('{"a": -', "truncated"),
        ('{"a": 1.', "truncated"),
        ('{"a"', "truncated"),
        ("{", "truncated"),
        ('{"a": [1, 2', "truncated"),
        ('{"a": 2, "b": oops', "malformed"),
    ],
)
def test_fault_of_a_call_that_langchain_would_complete(args: str, word: str) -> None:
    stream = inspector(chunk("", part(args, "f", "1")), chunk(word="tool_calls"))
    fault = stream.fault()
    assert isinstance(fault, InvalidResponseError)
    assert f"arguments are {word}: " in str(fault)


@pytest.mark.parametrize("args", ['{"a": 1,000}', "7", '["a"]', "oops", '{"a": 1}}', "[" * 9999])
def test_malformed_call_of_a_stream_is_a_flaw(args: str) -> None:
    stream = inspector(chunk("", part(args, "f", "1")), chunk(word="tool_calls"))
    assert stream.fault() is None
    assert stream.flaw() is Flaw.MALFORMED_TOOL_CALL


PIECES = st.lists(
    st.lists(
        st.builds(
            part,
            st.sampled_from(["", '{"a": 1}', '{"a', '": 1}', "{}", "null", "oops", None]),
            st.sampled_from(["f", "g", "", None]),
            st.sampled_from(["1", "2", "", None]),
            st.sampled_from([0, 1, None]),
        ),
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)


@given(pieces=PIECES)
def test_judgement_agrees_with_what_langchain_hands_out(pieces: list[list[Any]]) -> None:
    chunks = [chunk("", *parts) for parts in pieces]
    stream = inspector(*chunks, chunk(word="tool_calls"), fields=OFFERS_F)
    final = stream.final_chunk((AttemptRecord(route=ROUTE, outcome=Success(ms=1.0)),))
    merged = merge_chat_generation_chunks([*chunks, final])
    assert merged is not None
    message = merged.message
    assert isinstance(message, AIMessageChunk)
    assert (stream.fault() is not None) == any(map(is_completed, message.tool_call_chunks))
    if stream.fault() is not None:
        return
    expected = None
    if message.invalid_tool_calls:
        expected = Flaw.MALFORMED_TOOL_CALL
    elif any(each["name"] != "f" for each in message.tool_calls):
        expected = Flaw.UNKNOWN_TOOL
    elif not message.tool_calls:
        expected = Flaw.EMPTY_ANSWER
    assert stream.flaw() is expected


def is_completed(sent: Any) -> bool:
    """Whether LangChain makes a call of arguments that are not JSON."""
    try:
        json.loads(sent["args"] or "{}", strict=False)
    except ValueError:
        try:
            return isinstance(parse_partial_json(sent["args"]), dict)
        except ValueError:
            return False
    return False


def test_chunk_that_langchain_cannot_add_is_refused() -> None:
    stream = inspector(chunk("a", response_metadata={"finish_reason": -1.5}))
    with pytest.raises(InvalidResponseError, match="cannot be added up"):
        stream.inspect(chunk(word="stop"))
    blocks = inspector(chunk([{"type": "text", "text": "a", "index": 0}]))
    with pytest.raises(InvalidResponseError):
        blocks.inspect(chunk([{"type": "text", "text": 7, "index": 0}]))


# Parts


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("a", True),
        ("", False),
        (7, False),
        (None, False),
        ({"type": "text", "text": "a"}, True),
        ({"type": ["text"], "text": "a"}, True),
        ({"type": "text", "text": None, "index": 3, "id": "x"}, False),
        ({"type": "reasoning_content", "reasoning_content": {"text": "so"}}, True),
        ({"type": "thinking", "thinking": [{"type": "text", "text": ""}]}, False),
        ({"type": "thinking", "thinking": "", "signature": "sig"}, False),
        ({"type": "redacted_thinking", "data": "x"}, True),
        ({"type": "tool_use", "name": "f"}, False),
    ],
    ids=repr,
)
def test_has_words(block: Any, words: bool) -> None:
    assert has_words(block) is words


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2)),
        ({"input_tokens": "1", "output_tokens": 2}, None),
        ({"input_tokens": 1, "output_tokens": None}, None),
    ],
)
def test_token_counts_are_numbers_or_none(usage: Any, counts: tuple[int, int] | None) -> None:
    assert token_counts(usage) == counts
