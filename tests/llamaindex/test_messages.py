"""Messages and content blocks, to LangChain and back: nothing that a model reads is lost."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from inference_providers import ConfigError
from llamaindex_autoprovider.messages import (
    from_langchain,
    reasoning_text,
    to_langchain,
    to_openai_tool_calls,
)

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n\x00picture"
JPEG = b"\xff\xd8\xff\xe0picture"
WAV = b"RIFF\x04\x00\x00\x00WAVEsound"
PDF = b"%PDF-1.7 a document"
EPHEMERAL = CachePoint(cache_control=CacheControl(type="ephemeral"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_langchain(message: ChatMessage) -> BaseMessage:
    (converted,) = to_langchain([message])
    return converted


def content_of(*blocks: BaseContentBlock) -> Any:
    return as_langchain(ChatMessage(list(blocks))).content


def test_to_content_returns_a_single_text_as_a_string() -> None:
    assert content_of(TextBlock(text="Hi")) == "Hi"
    assert content_of(TextBlock(text="a"), TextBlock(text="b")) == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            ImageBlock(image=PNG),
            {"type": "image", "base64": b64(PNG), "mime_type": "image/png"},
        ),
        (
            ImageBlock(image=io.BytesIO(PNG), image_mimetype="image/png"),
            {"type": "image", "base64": b64(PNG), "mime_type": "image/png"},
        ),
        (
            ImageBlock(url="https://example.org/cat.jpg"),
            {"type": "image", "url": "https://example.org/cat.jpg", "mime_type": "image/jpeg"},
        ),
        (
            ImageBlock(url=f"data:image/png;base64,{b64(PNG)}"),
            {"type": "image", "base64": b64(PNG), "mime_type": "image/png"},
        ),
        (
            ImageBlock(image=PNG, detail="low"),
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{b64(PNG)}", "detail": "low"},
            },
        ),
        (
            AudioBlock(audio=b"RIFF\x00sound", format="wav"),
            {"type": "audio", "base64": b64(b"RIFF\x00sound"), "mime_type": "audio/wav"},
        ),
        (
            VideoBlock(video=b"\x00moving", video_mimetype="video/mp4", fps=2),
            {
                "type": "video",
                "base64": b64(b"\x00moving"),
                "mime_type": "video/mp4",
                "extras": {"fps": 2},
            },
        ),
        (
            DocumentBlock(data=PDF, title="a.pdf", document_mimetype="application/pdf"),
            {
                "type": "file",
                "base64": b64(PDF),
                "mime_type": "application/pdf",
                "filename": "a.pdf",
            },
        ),
        (
            DocumentBlock(url="https://example.org/a.pdf", title="a.pdf"),
            {
                "type": "file",
                "url": "https://example.org/a.pdf",
                "mime_type": "application/pdf",
                "filename": "a.pdf",
            },
        ),
        (
            ThinkingBlock(content="hm", additional_information={"signature": "s"}),
            {"type": "thinking", "thinking": "hm", "signature": "s"},
        ),
        (
            ThinkingBlock(
                content="hm",
                additional_information={"type": "reasoning", "id": "rs_1", "summary": []},
            ),
            {"type": "reasoning", "id": "rs_1", "summary": []},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseContentBlock) else "",
)
def test_to_content_converts_each_block(block: BaseContentBlock, expected: dict[str, Any]) -> None:
    assert (
        as_langchain(ChatMessage([TextBlock(text="x"), block], role="assistant")).content[1]
        == expected
    )


def test_to_content_reads_files(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "a.pdf").write_bytes(PDF)
    image, document = content_of(
        ImageBlock(path=tmp_path / "cat.png"), DocumentBlock(path=tmp_path / "a.pdf")
    )
    assert (image["base64"], image["mime_type"]) == (b64(PNG), "image/png")
    assert (document["base64"], document["mime_type"]) == (b64(PDF), "application/pdf")


@pytest.mark.parametrize(
    ("kind", "name", "data", "mime"),
    [
        (ImageBlock, "cat.jpeg", JPEG, "image/jpeg"),
        (ImageBlock, "CAT.JPG", JPEG, "image/jpeg"),
        (ImageBlock, "cat", JPEG, "image/jpeg"),
        (AudioBlock, "LOUD.WAV", WAV, "audio/wav"),
        (DocumentBlock, "notes.md", b"# Notes", "text/markdown"),
    ],
)
def test_to_content_detects_the_type_of_a_file(
    tmp_path: Path, kind: Any, name: str, data: bytes, mime: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (converted,) = content_of(kind(path=tmp_path / name))
    assert (converted["base64"], converted["mime_type"]) == (b64(data), mime)


def test_to_content_detects_the_type_of_an_open_file() -> None:
    block = ImageBlock(image=io.BytesIO(JPEG))
    for _ in range(2):  # each conversion reads it from its start
        (converted,) = content_of(block)
        assert (converted["base64"], converted["mime_type"]) == (b64(JPEG), "image/jpeg")


def test_to_content_adds_cache_control_to_the_block_before() -> None:
    hour = CachePoint(cache_control=CacheControl(type="ephemeral", ttl="1h"))
    assert content_of(TextBlock(text="a"), EPHEMERAL, ImageBlock(image=PNG), hour) == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {
            "type": "image",
            "base64": b64(PNG),
            "mime_type": "image/png",
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ]


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        ([CitableBlock(title="t", source="s", content="c")], "CitableBlock cannot be sent"),
        ([EPHEMERAL], "this one follows nothing"),
        ([TextBlock(text="a"), EPHEMERAL, EPHEMERAL], "this one follows nothing"),
        ([ImageBlock()], "ImageBlock is empty; give it data, a path or a url"),
        ([ImageBlock(image=b"\x00\x01?")], "The data of this ImageBlock is of an unknown type"),
        ([AudioBlock(audio=b"\x00\x01?")], "The data of this AudioBlock is of an unknown type"),
    ],
)
def test_to_langchain_refuses_what_cannot_be_sent(blocks: list[Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        to_langchain([ChatMessage(blocks)])


def test_to_langchain_keeps_roles() -> None:
    converted = [
        as_langchain(ChatMessage("x", role=role, additional_kwargs=kwargs))
        for role, kwargs in [
            ("system", {}),
            ("developer", {}),
            ("user", {"name": "ada"}),
            ("assistant", {}),
            ("chatbot", {}),
            ("model", {}),
            ("tool", {"tool_call_id": "c1"}),
            ("function", {"name": "f"}),
        ]
    ]
    assert converted == [
        SystemMessage("x"),
        SystemMessage("x", additional_kwargs={"__openai_role__": "developer"}),
        HumanMessage("x", name="ada"),
        AIMessage("x"),
        AIMessage("x"),
        AIMessage("x"),
        ToolMessage("x", tool_call_id="c1"),
        FunctionMessage(content="x", name="f"),
    ]


@pytest.mark.parametrize("role", ["tool", "function"])
def test_to_langchain_requires_a_tool_call_id(role: str) -> None:
    with pytest.raises(ConfigError, match=f"role '{role}' must name the call it answers"):
        to_langchain([ChatMessage("x", role=role)])


def test_to_langchain_separates_calls_and_reasoning() -> None:
    message = ChatMessage(
        [
            ThinkingBlock(content="hm"),
            TextBlock(text="Let me see."),
            ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
            ToolCallBlock(tool_call_id="c2", tool_name="add", tool_kwargs='{"a": 2}'),
            ToolCallBlock(tool_call_id="c3", tool_name="add", tool_kwargs='{"a": '),
        ],
        role="assistant",
    )
    answer = as_langchain(message)
    assert isinstance(answer, AIMessage)
    assert answer.content == "Let me see."
    assert answer.additional_kwargs == {"reasoning_content": "hm"}
    assert [(call["id"], call["args"]) for call in answer.tool_calls] == [
        ("c1", {"a": 1}),
        ("c2", {"a": 2}),
    ]
    assert [(call["id"], call["args"]) for call in answer.invalid_tool_calls] == [("c3", '{"a": ')]


def test_to_langchain_reads_openai_tool_calls() -> None:
    """Older LlamaIndex classes store calls in OpenAI's form, not in blocks."""
    calls = to_openai_tool_calls(
        [ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"a": 1})]
    )
    sdk = [ChatCompletionMessageFunctionToolCall.model_validate(call) for call in calls]
    for form in (calls, sdk):
        answer: Any = as_langchain(
            ChatMessage(role="assistant", additional_kwargs={"tool_calls": form})
        )
        assert [(call["id"], call["name"], call["args"]) for call in answer.tool_calls] == [
            ("c", "f", {"a": 1})
        ]
        assert not answer.additional_kwargs


@pytest.mark.parametrize(
    ("content", "blocks"),
    [
        ("", [TextBlock(text="")]),
        (["a", {"type": "text", "text": "b", "index": 1}], [TextBlock(text=t) for t in "ab"]),
        (
            [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
            [ImageBlock(url="https://example.org/a.png")],
        ),
        (
            [{"type": "input_audio", "input_audio": {"data": b64(b"x\x00"), "format": "wav"}}],
            [AudioBlock(audio=b"x\x00", format="wav")],
        ),
        (
            [
                {"type": "thinking", "thinking": "hm", "signature": "s", "index": 0},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "reasoning", "id": "rs", "summary": [{"text": "so"}]},
                {"type": "reasoning_content", "reasoning_content": {"text": "m", "signature": "t"}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
                {"type": "refusal", "refusal": "No."},
            ],
            [
                ThinkingBlock(content="hm", additional_information={"signature": "s"}),
                ThinkingBlock(
                    additional_information={"type": "redacted_thinking", "data": "xyz"}
                ),
                ThinkingBlock(
                    content="so",
                    additional_information={
                        "type": "reasoning",
                        "id": "rs",
                        "summary": [{"text": "so"}],
                    },
                ),
                ThinkingBlock(
                    content="m",
                    additional_information={
                        "type": "reasoning_content",
                        "reasoning_content": {"text": "m", "signature": "t"},
                    },
                ),
                TextBlock(text="No."),
            ],
        ),
    ],
)  # fmt: skip
def test_from_langchain_converts_provider_content(
    content: Any, blocks: list[BaseContentBlock]
) -> None:
    assert from_langchain(AIMessage(content)).blocks == blocks


@pytest.mark.parametrize("field", ["citations", "annotations"])  # Anthropic's, OpenAI's
def test_from_langchain_keeps_citations(field: str) -> None:
    cited = [{"type": "char_location", "cited_text": "a"}, {"type": "url_citation", "url": "b"}]
    content: list[str | dict[str, Any]] = [
        {"type": "text", "text": "So ", field: []},
        {"type": "text", "text": "it ", field: cited[:1]},
        {"type": "text", "text": "is.", field: cited[1:]},
    ]
    answer = from_langchain(AIMessage(content))
    assert answer.additional_kwargs["citations"] == cited
    assert as_langchain(answer).content == [
        {"type": "text", "text": text} for text in ("So ", "it ", "is.")
    ]


def test_reasoning_blocks_round_trip_word_for_word() -> None:
    content: list[str | dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "unsigned"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "e"},
        {"type": "reasoning", "reasoning": "v1", "extras": {"signature": "u"}},
    ]
    assert as_langchain(from_langchain(AIMessage(content))).content == content


def test_from_langchain_keeps_the_origin_of_signatures() -> None:
    """The history is sent back unchanged to that route only."""
    origin = {
        "model_provider": "anthropic",
        "autoprovider": {"provider": "anthropic", "model_id": "some-id"},
    }
    metadata = {**origin, "autoprovider": {**origin["autoprovider"], "attempts": []}, "usage": {}}
    signed = AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "so"}],
        response_metadata=metadata,
    )
    returned = as_langchain(from_langchain(signed))
    assert returned.content == signed.content
    assert returned.response_metadata == origin
    plain = from_langchain(AIMessage("so", response_metadata=metadata))
    assert plain.additional_kwargs == {}, "prompts that quote the history would contain it"


def test_reasoning_text_reads_every_form() -> None:
    assert reasoning_text(AIMessage("x", additional_kwargs={"reasoning_content": "hm"})) == "hm"
    assert reasoning_text(AIMessage([{"type": "thinking", "thinking": "a"}, "b"])) == "a"
    assert reasoning_text(AIMessage("x")) == ""


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            HumanMessage([{"type": "server_tool_call", "id": "s"}]),
            "no block for LangChain's content block 'server_tool_call'",
        ),
        (HumanMessage([{"type": "image"}]), "no block for LangChain's content block 'image'"),
        (RemoveMessage(id="x"), "no message like LangChain's of type 'remove'"),
    ],
)
def test_from_langchain_refuses_what_has_no_equivalent(message: BaseMessage, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        from_langchain(message)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result"}]},
        {"type": "reference", "reference_ids": [1]},  # Mistral's
        {"type": "thinking", "thinking": 5},
        {"type": "text", "text": {"value": "x"}},
        {"type": ["text"]},
        {"type": "image", "source": None},
        {},
    ],
)
def test_from_langchain_keeps_an_answer_with_odd_parts(part: dict[str, Any]) -> None:
    answer = from_langchain(AIMessage([part, {"type": "text", "text": "Paris"}]))
    assert answer.blocks == [TextBlock(text="Paris")]
    assert answer.additional_kwargs["other_content"] == [part]


def test_from_langchain_reads_thinking_in_parts() -> None:
    thinking = [{"type": "text", "text": "hm"}, {"type": "text", "text": "!"}]
    content: list[str | dict[str, Any]] = [{"type": "thinking", "thinking": thinking}]
    answer = from_langchain(AIMessage(content))
    assert [block.content for block in answer.blocks if isinstance(block, ThinkingBlock)] == ["hm!"]
    assert reasoning_text(AIMessage(content)) == "hm!"
    assert as_langchain(answer).content == content


@pytest.mark.parametrize(
    ("part", "text"),
    [({"type": "text", "text": None}, ""), ({"type": "output_text", "text": "42"}, "42")],
)
def test_from_langchain_reads_other_texts(part: dict[str, Any], text: str) -> None:
    assert from_langchain(AIMessage([part])).blocks == [TextBlock(text=text)]


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ("type", "text", "thinking", "summary", "citations", "image_url", "url")
            ),
            inner | st.sampled_from(("text", "thinking", "reasoning", "refusal", "image", "file")),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(("type", "text")), PARTS), max_size=2))
def test_from_langchain_reads_any_content(content: list[Any]) -> None:
    message = AIMessage(content)
    answer = from_langchain(message)
    assert answer.role == MessageRole.ASSISTANT
    assert answer.blocks
    assert isinstance(reasoning_text(message), str)


def test_tool_status_round_trips() -> None:
    failed = ToolMessage("boom", tool_call_id="c", name="f", status="error")
    assert as_langchain(from_langchain(failed)) == failed


def test_from_langchain_keeps_unreadable_arguments_as_text() -> None:
    cut = InvalidToolCall(type="invalid_tool_call", id="c", name="f", args='{"a": ', error="cut")
    (block,) = from_langchain(AIMessage("", invalid_tool_calls=[cut])).blocks
    assert block == ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs='{"a": ')


texts = st.text(min_size=1, max_size=20)
data = st.binary(min_size=1, max_size=40)
names = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
urls = names.map(lambda name: f"https://example.org/{name}")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def media_blocks(kind: Any, name: str, mime: str, mimes: st.SearchStrategy[str]) -> Any:
    """Draw blocks with data and blocks with a URL."""
    with_data = st.builds(lambda it, m: kind(**{name: it, mime: m}), data, mimes)
    with_url = st.builds(lambda url, m: kind(**{"url": url, mime: m}), urls, mimes)
    return with_data | with_url


media = st.one_of(
    media_blocks(ImageBlock, "image", "image_mimetype", st.just("image/png")),
    media_blocks(AudioBlock, "audio", "format", names),
    media_blocks(VideoBlock, "video", "video_mimetype", st.just("video/mp4")),
    media_blocks(DocumentBlock, "data", "document_mimetype", st.just("application/pdf")),
    st.builds(
        ImageBlock,
        image=data,
        image_mimetype=st.just("image/png"),
        detail=st.sampled_from(["low", "high", "auto"]),
    ),
    st.builds(DocumentBlock, data=data, title=texts, document_mimetype=st.just("application/pdf")),
)
points = st.builds(
    lambda ttl: CachePoint(cache_control=CacheControl(type="ephemeral", ttl=ttl)),
    st.sampled_from(["5m", "1h"]),
)
contents = st.lists(
    st.tuples(st.builds(TextBlock, text=texts) | media, st.none() | points),
    min_size=1,
    max_size=4,
).map(lambda pairs: [block for pair in pairs for block in pair if block is not None])
signed = st.builds(
    ThinkingBlock,
    content=texts,
    additional_information=st.builds(lambda s: {"signature": s}, texts),
)
unsigned_reasoning = st.lists(st.builds(ThinkingBlock, content=texts), max_size=1)
calls = st.lists(
    st.builds(
        ToolCallBlock,
        tool_call_id=st.none() | names,
        tool_name=names,
        tool_kwargs=st.dictionaries(texts, json_values, max_size=3),
    ),
    max_size=3,
)
named = st.just({}) | names.map(lambda name: {"name": name})
messages = st.one_of(
    st.builds(
        lambda role, blocks, kwargs: ChatMessage(blocks, role=role, additional_kwargs=kwargs),
        st.sampled_from([MessageRole.USER, MessageRole.SYSTEM, MessageRole.DEVELOPER]),
        contents,
        named,
    ),
    st.builds(
        lambda blocks, call: ChatMessage(
            blocks, role=MessageRole.TOOL, additional_kwargs={"tool_call_id": call}
        ),
        contents,
        names,
    ),
    st.builds(
        lambda unsigned, signed, blocks, calls, kwargs: ChatMessage(
            [*unsigned, *signed, *blocks, *calls], role="assistant", additional_kwargs=kwargs
        ),
        unsigned_reasoning,
        st.lists(signed, max_size=2),
        contents,
        calls,
        named,
    ),
)


@given(messages)
def test_llamaindex_messages_round_trip(message: ChatMessage) -> None:
    assert from_langchain(as_langchain(message)) == message


@given(messages)
def test_langchain_messages_round_trip(message: ChatMessage) -> None:
    once = as_langchain(message)
    assert as_langchain(from_langchain(once)) == once
