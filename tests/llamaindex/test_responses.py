"""`StreamedResponse`: extending a response by text gives what merging the stream gives."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from llama_index.core.base.llms.types import TextBlock, ToolCallBlock

from llamaindex_autoprovider.responses import StreamedResponse

if TYPE_CHECKING:
    import pytest
    from llama_index.core.base.llms.types import ChatResponse

FEWER = settings(max_examples=settings().max_examples // 5)
USAGE: Any = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
PROVIDER = {"model_provider": "openai"}
TRACE = {"autoprovider": {"provider": "p", "model_id": "m"}}


def chunk(content: Any = "", info: dict[str, Any] | None = None, **fields: Any) -> Any:
    fields.setdefault("response_metadata", PROVIDER)
    message = AIMessageChunk(content=content, id="run-1", **fields)
    return ChatGenerationChunk(message=message, generation_info=info)


def call_chunk(arguments: str, name: str | None = None, call_id: str | None = None) -> Any:
    part = {"name": name, "args": arguments, "id": call_id, "index": 0, "type": "tool_call_chunk"}
    return chunk(tool_call_chunks=[part])


texts = st.text(max_size=5).map(chunk)
chunks = st.one_of(
    texts,
    texts,
    st.text(max_size=5).map(lambda text: chunk([{"type": "text", "text": text}])),
    st.text(max_size=5).map(lambda text: chunk(additional_kwargs={"reasoning_content": text})),
    st.just(chunk([{"type": "text", "text": "so", "citations": [{"url": "u"}]}])),
    st.just(chunk([{"type": "thinking", "thinking": "hm", "signature": "s"}])),
    st.builds(call_chunk, st.just('{"a": '), st.just("add"), st.just("call_1")),
    st.builds(call_chunk, st.just("1}")),
    st.just(chunk(info={"finish_reason": "stop"}, response_metadata={"model_name": "x"})),
    st.just(chunk(usage_metadata=USAGE)),
)
endings = st.sampled_from(
    [
        [],
        [chunk(response_metadata=TRACE)],
        [chunk(response_metadata=TRACE, additional_kwargs={"refusal": "No."})],
    ]
)


def view(response: ChatResponse) -> Any:
    return response.message, response.delta, response.raw, response.additional_kwargs


@FEWER
@given(st.lists(chunks, max_size=10), endings, st.booleans())
def test_add_gives_what_merging_everything_gives(
    begin: list[Any], end: list[Any], single_call: bool
) -> None:
    extending = StreamedResponse(single_call=single_call)
    merged: Any = None
    for part in begin + end:
        merged = part if merged is None else merged + part
        converted = StreamedResponse(single_call=single_call)._convert(merged, part)
        assert view(extending.add(part)) == view(converted)


def test_add_merges_nothing_while_only_text_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StreamedResponse(single_call=False)
    stream.add(chunk("one "))

    def refuse(*_args: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(StreamedResponse, "_merge", refuse)
    response = [stream.add(chunk(text)) for text in ("two ", "three")][-1]
    assert (response.message.content, response.delta) == ("one two three", "three")
    monkeypatch.undo()
    last = stream.add(chunk(response_metadata=TRACE, usage_metadata=USAGE))
    assert last.message.content == "one two three"
    assert last.additional_kwargs["autoprovider"] == TRACE["autoprovider"]
    assert last.additional_kwargs["total_tokens"] == 5


def test_add_leaves_earlier_responses_alone() -> None:
    stream = StreamedResponse(single_call=False)
    first = stream.add(chunk("one "))
    before = deepcopy(first)
    second = stream.add(chunk("two"))
    second.raw["x"] = second.additional_kwargs["x"] = 1  # type: ignore[index]
    second.message.blocks.append(TextBlock(text="!"))
    assert first == before
    assert stream.add(chunk("")).message.content == "one two"
    assert stream.add(chunk(info={"finish_reason": "stop"})).message.content == "one two"


def test_add_ignores_an_empty_text_before_reasoning() -> None:
    stream = StreamedResponse(single_call=False)
    parts = [chunk(""), chunk([{"type": "thinking", "thinking": "hm"}]), chunk("three")]
    assert [stream.add(part).message.content for part in parts] == ["", None, "three"]


def test_add_shows_a_call_only_while_its_arguments_parse() -> None:
    stream = StreamedResponse(single_call=False)
    parts = [
        ("", "add", "call_1"),
        ('{"a": 1', None, None),
        (', "b"', None, None),
        (": 2}", None, None),
    ]
    responses = [stream.add(call_chunk(*part)) for part in parts]
    arguments = [
        [it.tool_kwargs for it in response.message.blocks if isinstance(it, ToolCallBlock)]
        for response in responses
    ]
    assert arguments == [[{}], [{"a": 1}], [{"a": 1}], [{"a": 1, "b": 2}]]
