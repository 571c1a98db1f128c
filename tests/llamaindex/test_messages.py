"""Messages of LlamaIndex as LangChain's and back: nothing that a model reads is lost."""

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


def there(message: ChatMessage) -> BaseMessage:
    (said,) = to_langchain([message])
    return said


def content_of(*blocks: BaseContentBlock) -> Any:
    return there(ChatMessage(list(blocks))).content


def test_a_text_is_a_string_and_two_are_a_list() -> None:
    assert content_of(TextBlock(text="Hi")) == "Hi"
    assert content_of(TextBlock(text="a"), TextBlock(text="b")) == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


@pytest.mark.parametrize(
    ("block", "said"),
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
def test_a_block_is_said_as(block: BaseContentBlock, said: dict[str, Any]) -> None:
    assert there(ChatMessage([TextBlock(text="x"), block], role="assistant")).content[1] == said


def test_a_file_is_read(tmp_path: Path) -> None:
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
def test_the_kind_of_a_file_is_found_out(
    tmp_path: Path, kind: Any, name: str, data: bytes, mime: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (said,) = content_of(kind(path=tmp_path / name))
    assert (said["base64"], said["mime_type"]) == (b64(data), mime)


def test_the_kind_of_an_open_file_is_found_out() -> None:
    block = ImageBlock(image=io.BytesIO(JPEG))
    for _ in range(2):  # it is read anew each time
        (said,) = content_of(block)
        assert (said["base64"], said["mime_type"]) == (b64(JPEG), "image/jpeg")


def test_a_cache_point_rides_on_the_block_before_it() -> None:
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
    ("blocks", "told"),
    [
        ([CitableBlock(title="t", source="s", content="c")], "CitableBlock cannot be sent"),
        ([EPHEMERAL], "this one follows nothing"),
        ([TextBlock(text="a"), EPHEMERAL, EPHEMERAL], "this one follows nothing"),
        ([ImageBlock()], "ImageBlock is empty; give it data, a path or a url"),
        ([ImageBlock(image=b"\x00\x01?")], "The data of this ImageBlock is of an unknown type"),
        ([AudioBlock(audio=b"\x00\x01?")], "The data of this AudioBlock is of an unknown type"),
    ],
)
def test_what_cannot_be_sent_is_an_error(blocks: list[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        to_langchain([ChatMessage(blocks)])


def test_roles_are_kept() -> None:
    said = [
        there(ChatMessage("x", role=role, additional_kwargs=aside))
        for role, aside in [
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
    assert said == [
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
def test_a_result_must_say_which_call_it_answers(role: str) -> None:
    with pytest.raises(ConfigError, match=f"role '{role}' must name the call it answers"):
        to_langchain([ChatMessage("x", role=role)])


def test_tool_calls_stand_beside_the_text() -> None:
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
    said = there(message)
    assert isinstance(said, AIMessage)
    assert said.content == "Let me see."
    assert said.additional_kwargs == {"reasoning_content": "hm"}
    assert [(call["id"], call["args"]) for call in said.tool_calls] == [
        ("c1", {"a": 1}),
        ("c2", {"a": 2}),
    ]
    assert [(call["id"], call["args"]) for call in said.invalid_tool_calls] == [("c3", '{"a": ')]


def test_tool_calls_that_older_classes_left_aside_are_sent() -> None:
    """They write them in OpenAI's form, and blocks beside it say the same."""
    left = to_openai_tool_calls(
        [ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"a": 1})]
    )
    sdk = [ChatCompletionMessageFunctionToolCall.model_validate(call) for call in left]
    for told in (left, sdk):
        said = there(ChatMessage(role="assistant", additional_kwargs={"tool_calls": told}))
        assert [(call["id"], call["name"], call["args"]) for call in said.tool_calls] == [
            ("c", "f", {"a": 1})
        ]
        assert not said.additional_kwargs


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
def test_what_providers_answer_becomes_blocks(content: Any, blocks: list[BaseContentBlock]) -> None:
    assert from_langchain(AIMessage(content)).blocks == blocks


@pytest.mark.parametrize("field", ["citations", "annotations"])  # Anthropic's, OpenAI's
def test_what_an_answer_cites_is_kept_aside_word_for_word(field: str) -> None:
    cited = [{"type": "char_location", "cited_text": "a"}, {"type": "url_citation", "url": "b"}]
    content: list[str | dict[str, Any]] = [
        {"type": "text", "text": "So ", field: []},
        {"type": "text", "text": "it ", field: cited[:1]},
        {"type": "text", "text": "is.", field: cited[1:]},
    ]
    told = from_langchain(AIMessage(content))
    assert told.additional_kwargs["citations"] == cited
    assert there(told).content == [{"type": "text", "text": text} for text in ("So ", "it ", "is.")]


def test_thoughts_are_sent_back_word_for_word() -> None:
    content: list[str | dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "unsigned"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "e"},
        {"type": "reasoning", "reasoning": "v1", "extras": {"signature": "u"}},
    ]
    assert there(from_langchain(AIMessage(content))).content == content


def test_signed_thoughts_keep_who_signed_them() -> None:
    """History leaves them as they are for the route that gave them, and only for that."""
    origin = {
        "model_provider": "anthropic",
        "autoprovider": {"provider": "anthropic", "model_id": "some-id"},
    }
    said = {**origin, "autoprovider": {**origin["autoprovider"], "attempts": []}, "usage": {}}
    signed = AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "so"}],
        response_metadata=said,
    )
    again = there(from_langchain(signed))
    assert again.content == signed.content
    assert again.response_metadata == origin
    plain = from_langchain(AIMessage("so", response_metadata=said))
    assert plain.additional_kwargs == {}, "prompts that quote the history would hold it"


def test_the_thought_of_a_chunk() -> None:
    assert reasoning_text(AIMessage("x", additional_kwargs={"reasoning_content": "hm"})) == "hm"
    assert reasoning_text(AIMessage([{"type": "thinking", "thinking": "a"}, "b"])) == "a"
    assert reasoning_text(AIMessage("x")) == ""


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            AIMessage([{"type": "server_tool_call", "id": "s"}]),
            "no block for LangChain's content block 'server_tool_call'",
        ),
        (HumanMessage([{"type": "image"}]), "no block for LangChain's content block 'image'"),
        (RemoveMessage(id="x"), "no message like LangChain's of type 'remove'"),
    ],
)
def test_what_llamaindex_cannot_hold_is_an_error(message: BaseMessage, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        from_langchain(message)


def test_a_failed_tool_says_so_in_both() -> None:
    failed = ToolMessage("boom", tool_call_id="c", name="f", status="error")
    assert there(from_langchain(failed)) == failed


def test_a_cut_call_is_kept_as_text() -> None:
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


def where(kind: Any, name: str, mime: str, mimes: st.SearchStrategy[str]) -> Any:
    """Return blocks with data, and blocks with a URL."""
    held = st.builds(lambda it, m: kind(**{name: it, mime: m}), data, mimes)
    linked = st.builds(lambda url, m: kind(**{"url": url, mime: m}), urls, mimes)
    return held | linked


media = st.one_of(
    where(ImageBlock, "image", "image_mimetype", st.just("image/png")),
    where(AudioBlock, "audio", "format", names),
    where(VideoBlock, "video", "video_mimetype", st.just("video/mp4")),
    where(DocumentBlock, "data", "document_mimetype", st.just("application/pdf")),
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
said = st.lists(
    st.tuples(st.builds(TextBlock, text=texts) | media, st.none() | points),
    min_size=1,
    max_size=4,
).map(lambda pairs: [block for pair in pairs for block in pair if block is not None])
signed = st.builds(
    ThinkingBlock,
    content=texts,
    additional_information=st.builds(lambda s: {"signature": s}, texts),
)
plain_thoughts = st.lists(st.builds(ThinkingBlock, content=texts), max_size=1)
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
        lambda role, blocks, aside: ChatMessage(blocks, role=role, additional_kwargs=aside),
        st.sampled_from([MessageRole.USER, MessageRole.SYSTEM, MessageRole.DEVELOPER]),
        said,
        named,
    ),
    st.builds(
        lambda blocks, call: ChatMessage(
            blocks, role=MessageRole.TOOL, additional_kwargs={"tool_call_id": call}
        ),
        said,
        names,
    ),
    st.builds(
        lambda plain, more, blocks, asked, aside: ChatMessage(
            [*plain, *more, *blocks, *asked], role="assistant", additional_kwargs=aside
        ),
        plain_thoughts,
        st.lists(signed, max_size=2),
        said,
        calls,
        named,
    ),
)


@given(messages)
def test_there_and_back_is_the_same(message: ChatMessage) -> None:
    assert from_langchain(there(message)) == message


@given(messages)
def test_back_and_there_is_the_same(message: ChatMessage) -> None:
    once = there(message)
    assert there(from_langchain(once)) == once
