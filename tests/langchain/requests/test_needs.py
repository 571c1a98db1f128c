"""Routes that cannot serve a request are skipped: window, media, tools, protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage

from inference_providers import AllRoutesFailed, NoRouteError
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.requests.needs import needs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def model_with(pair: Pair, first: dict[str, Any], second: dict[str, Any]) -> AutoChatModel:
    registry = pair.registry()
    registry["providers"]["first"]["models"] = {"m-1": {"id": "first-id", **first}}
    registry["providers"]["second"]["models"] = {"m-1": {"id": "second-id", **second}}
    return AutoChatModel("m-1", registry=registry)


def reasons(answer: Any) -> dict[str, str]:
    skipped = answer.response_metadata["autoprovider"]["skipped"]
    return {skip["provider"]: skip["reason"] for skip in skipped}


async def test_route_with_a_small_window_is_skipped(pair: Pair, ask: Callable[..., Any]) -> None:
    model = model_with(pair, {"context": 100}, {"context": 100_000})
    answer = await ask(model, "word " * 1000)
    assert answer.text == "from second"
    assert reasons(answer)["first"] == "holds 100 tokens, and the prompt has 833"
    assert not pair.first.requests


async def test_prompt_too_long_for_all_is_a_context_overflow(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    model = model_with(pair, {"context": 100}, {"context": 200})
    numbers = r"at least 833 tokens; .* holds 200"
    with pytest.raises(ContextOverflowError, match=numbers) as caught:
        await ask(model, "word " * 1000)
    assert isinstance(caught.value, NoRouteError)
    assert not pair.first.requests


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": PIXEL}}, "image"),
        ({"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}, "image"),
        ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, "audio"),
        ({"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}, "pdf"),
    ],
)
def test_route_without_the_media_kind_is_skipped(
    pair: Pair, block: dict[str, Any], kind: str
) -> None:
    model = model_with(pair, {"input": ["text"]}, {"input": ["text", kind]})
    message = HumanMessage([{"type": "text", "text": "What is this?"}, block])
    assert kind in needs_of([message], {}).input
    plan = model._resolver.plan(needs_of([message], {}))
    assert [route.provider for route in plan.routes] == ["second"]
    reasons_by_provider = {skip.provider: skip.reason for skip in plan.skipped}
    assert reasons_by_provider["first"] == f"does not take {kind} input"


def test_unknown_capability_does_not_skip_a_route(pair: Pair) -> None:
    message = HumanMessage([{"type": "image_url", "image_url": {"url": PIXEL}}])
    assert pair.model().invoke([message]).text == "from first"


def test_needs_of_tools_and_schemas_skip_routes(pair: Pair) -> None:
    model = model_with(
        pair, {"tools": False, "structured": False}, {"tools": True, "structured": True}
    )
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    for runnable in (model.bind_tools([tool]), model.bind(response_format={"type": "json_object"})):
        assert runnable.invoke("Hi").text == "from second"


@pytest.mark.parametrize(
    ("block", "is_pdf"),
    [
        ({"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}, True),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}, True),
        ({"type": "file", "file": {"filename": "Report.PDF", "file_id": "file-1"}}, True),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "data:;base64,AAAA"}, True),
        ({"type": "document", "source": {"media_type": "application/pdf", "data": "A"}}, True),
        ({"type": "file", "base64": "pdfpdf", "mime_type": "text/csv"}, False),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,pdfpdf"}}, False),
        ({"type": "file", "file": {"file_id": "file-1"}}, False),
        ({"type": "document", "source": {"media_type": "text/plain", "data": "a pdf"}}, False),
        ({"type": "file", "file": None, "mime_type": None}, False),
    ],
)
def test_needs_of_documents_follow_their_declared_type(block: dict[str, Any], is_pdf: bool) -> None:
    needs = needs_of([HumanMessage([block])], {})
    assert ("pdf" in needs.input) is is_pdf


def test_needs_of_base64_data_counts_no_text() -> None:
    big = {"type": "image", "base64": "A" * 600_000, "mime_type": "image/png"}
    assert needs_of([HumanMessage([big])], {}).context == 0


LINKS = [
    ({"type": "file", "url": "https://a.test/x.pdf", "mime_type": "application/pdf"}, "file"),
    ({"type": "audio", "url": "https://a.test/x.wav"}, "audio"),
]


@pytest.mark.parametrize(("block", "kind"), LINKS)
async def test_protocol_without_urls_is_skipped_with_advice(
    pair: Pair, ask: Callable[..., Any], block: dict[str, Any], kind: str
) -> None:
    reason = rf"first: its protocol 'openai-chat' does not accept {kind} by URL; pass the bytes"
    with pytest.raises(NoRouteError, match=reason):
        await ask(pair.model(), [HumanMessage([{"type": "text", "text": "Read"}, block])])
    assert not pair.first.requests


def test_route_that_accepts_urls_serves_the_request(pair: Pair) -> None:
    registry = pair.registry()
    endpoint = registry["providers"]["second"]["endpoints"]["default"]
    endpoint["protocol"] = "openai-responses"
    model = AutoChatModel("m-1", registry=registry)
    plan = model._resolver.plan(needs_of([HumanMessage([LINKS[0][0]])], {}))
    assert [route.provider for route in plan.routes] == ["second"]
    assert "first" in {skip.provider for skip in plan.skipped}


SEARCH = {"type": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
GOOGLE = {"google_search": {}}


@pytest.mark.parametrize(
    ("builtin_tool", "supporting", "other"),
    [
        (SEARCH, ("openai-responses", "/v1"), "anthropic"),
        (FETCH, ("anthropic", "/v1"), "openai-chat"),
        (GOOGLE, ("google-genai", "/v1beta"), "openai-chat"),
        (SEARCH, ("openai-chat", "/v1"), "google-genai"),
        (FETCH, ("anthropic", "/v1"), "bedrock"),
    ],
)
def test_builtin_tool_goes_to_protocols_that_know_it(
    pair: Pair, builtin_tool: Any, supporting: tuple[str, str], other: str
) -> None:
    pair.plays(Reply(status=503))
    reason = rf"its protocol '{other}' has no built-in tool"
    with pytest.raises(NoRouteError, match=reason):
        pair.model_over(other, only=["first"]).bind_tools([builtin_tool]).invoke("Hi")
    assert not pair.first.requests
    protocol, suffix = supporting
    model = pair.model_over(protocol, suffix=suffix, only=["first"], max_retries=0)
    with pytest.raises(AllRoutesFailed):
        model.bind_tools([builtin_tool]).invoke("Hi")
    kinds = {"googleSearch", builtin_tool.get("type")}
    assert any(kind in str(pair.first.requests[0].body["tools"]) for kind in kinds if kind)


@pytest.mark.parametrize(
    "function",
    [
        {"name": "run"},
        {"toolSpec": {"name": "run", "inputSchema": {"json": {"type": "object"}}}},
    ],
    ids=["openai", "bedrock"],
)
def test_function_with_one_key_is_not_a_builtin_tool(pair: Pair, function: Any) -> None:
    pair.model().bind_tools([function]).invoke("Hi")
    (tool,) = pair.first.requests[-1].body["tools"]
    assert (tool["type"], tool["function"]["name"]) == ("function", "run")
