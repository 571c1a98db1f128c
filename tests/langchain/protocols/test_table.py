"""One row per protocol: a row is complete, and whatever depends on a protocol reads it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from msgspec.structs import replace

from inference_providers import NoRouteError, StreamInterrupted
from inference_providers.routing.backend import ModelListing, find_backend
from inference_providers.testing import Reply
from inference_providers.wire.finish_reasons import FinishReasons
from langchain_autoprovider import AutoEmbeddings
from langchain_autoprovider.protocols import openai as openai_protocol
from langchain_autoprovider.protocols.table import PROTOCOLS, Protocol, message_format_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from langchain_autoprovider import AutoChatModel

FIELDS = [field.name for field in msgspec.structs.fields(Protocol)]
NAME = "telepathy"


@pytest.fixture
def telepathy(monkeypatch: pytest.MonkeyPatch) -> Protocol:
    """A protocol that exists through its module and its row alone."""
    listing = ModelListing(header="x-mind", prefix="", headers=(), path="/minds")
    row = replace(
        PROTOCOLS["openai-chat"],
        module=NAME,
        model_listing=listing,
        builtin_tools=None,
        embeddings=False,
        no_urls_for=frozenset({"video"}),
    )
    monkeypatch.setitem(PROTOCOLS, NAME, row)
    path = f"langchain_autoprovider.protocols.{NAME}"
    module = ModuleType(path)
    vars(module)["CONNECTOR"] = openai_protocol.CONNECTOR
    monkeypatch.setitem(sys.modules, path, module)
    return row


def telepath(pair: Pair, **row: Any) -> AutoChatModel:
    return pair.model_over(NAME, suffix="/v1", only=["first"], row=row)


@pytest.mark.parametrize("field", FIELDS)
def test_a_protocol_row_without_a_fact_is_refused(field: str) -> None:
    facts = msgspec.structs.asdict(PROTOCOLS["openai-chat"])
    del facts[field]
    with pytest.raises(TypeError, match=f"Missing required argument '{field}'"):
        Protocol(**facts)


def test_an_extra_and_its_package_come_together() -> None:
    for name, row in PROTOCOLS.items():
        assert (row.package is None) is (row.extra is None), name


@pytest.mark.usefixtures("telepathy")
def test_a_protocol_is_reached_through_its_row_alone(pair: Pair) -> None:
    pair.plays(Reply("read your mind"))
    assert telepath(pair).invoke("Hi").text == "read your mind"


def test_without_a_row_a_protocol_is_unsupported(pair: Pair) -> None:
    with pytest.raises(NoRouteError, match=f"its protocol '{NAME}' is not"):
        telepath(pair).invoke("Hi")


@pytest.mark.usefixtures("telepathy")
def test_a_row_says_whose_builtin_tools_a_protocol_names(pair: Pair) -> None:
    reason = f"its protocol '{NAME}' has no built-in tool 'web_search'"
    with pytest.raises(NoRouteError, match=reason):
        telepath(pair).bind_tools([{"type": "web_search"}]).invoke("Hi")


@pytest.mark.usefixtures("telepathy")
def test_a_row_says_what_a_protocol_cannot_take_by_url(pair: Pair) -> None:
    block = {"type": "video", "url": "https://example.com/a.mp4"}
    with pytest.raises(NoRouteError, match=f"its protocol '{NAME}' does not accept video by URL"):
        telepath(pair, models={"m-1": {"id": "first-id", "input": ["text", "video"]}}).invoke(
            [HumanMessage([block])]
        )


def test_a_row_says_how_models_are_listed(telepathy: Protocol) -> None:
    assert find_backend().model_listing(NAME) == telepathy.model_listing
    assert find_backend().model_listing("unheard-of") is None


def test_a_row_says_how_a_stream_ends(
    pair: Pair, telepathy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.plays(Reply("read your mind"))
    assert "".join(chunk.text for chunk in telepath(pair).stream("Hi")) == "read your mind"
    unheard_of = FinishReasons(keys=("silence",), words={})
    monkeypatch.setitem(PROTOCOLS, NAME, replace(telepathy, finish_reasons=unheard_of))
    with pytest.raises(StreamInterrupted, match="without a finish reason"):
        list(telepath(pair).stream("Hi"))


async def test_a_row_says_which_ends_are_failures(
    pair: Pair,
    telepathy: Protocol,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[..., Any],
) -> None:
    failed = FinishReasons(keys=("finish_reason",), words={"stop": "error"})
    monkeypatch.setitem(PROTOCOLS, NAME, replace(telepathy, finish_reasons=failed))
    pair.plays(Reply(""))
    answer = await ask(pair.model_over(NAME, suffix="/v1"), "Hi")
    assert answer.text == "from second"
    first, _ = answer.response_metadata["autoprovider"]["attempts"]
    assert first["class"] == "invalid_response"


def test_a_row_says_what_a_conversation_may_contain(
    pair: Pair, telepathy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = replace(telepathy.message_format, single_system=True)
    monkeypatch.setitem(PROTOCOLS, NAME, replace(telepathy, message_format=accepted))
    message_format_of.cache_clear()
    telepath(pair).invoke([SystemMessage("Be kind."), SystemMessage("Be brief."), "Hi"])
    roles = [message["role"] for message in pair.first.requests[0].body["messages"]]
    message_format_of.cache_clear()
    assert roles == ["system", "user"]


def test_a_row_says_whether_json_mode_takes_a_schema(
    pair: Pair, telepathy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.plays(Reply("{}"))
    request: Any = {"type": "json_object", "schema": {"type": "object"}}
    telepath(pair).invoke("Hi", response_format=request)
    assert pair.first.requests[-1].body["response_format"] == {"type": "json_object"}
    monkeypatch.setitem(PROTOCOLS, NAME, replace(telepathy, json_mode_takes_schema=True))
    telepath(pair).invoke("Hi", response_format=request)
    assert pair.first.requests[-1].body["response_format"] == request


@pytest.mark.usefixtures("telepathy")
def test_a_row_says_whether_a_protocol_serves_embeddings(pair: Pair) -> None:
    row = pair.first.row({}, key="FIRST_KEY", embeddings={"e-1": "first-e"})
    row["endpoints"]["default"]["protocol"] = NAME
    with pytest.raises(NoRouteError, match=NAME):
        AutoEmbeddings("e-1", registry={"providers": {"first": row}}).embed_query("Hi")


def test_the_first_finish_reason_that_is_set_counts() -> None:
    reasons = FinishReasons(
        keys=("details.reason", "status"), words={"too_long": "length", "failed": "error"}
    )
    assert reasons.reason_in({"status": "completed", "details": {"reason": "TOO_LONG"}}) == "length"
    assert reasons.reason_in({"status": "failed", "details": None}) == "error"
    assert reasons.reason_in({"status": "completed"}) == "stop"
    assert reasons.reason_in({"status": ""}) is None
