"""One row per protocol: a row is complete, and whatever depends on a protocol reads it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from langchain_core.messages import HumanMessage
from msgspec.structs import replace

from inference_providers import NoRouteError
from inference_providers.routing.backend import ModelListing, find_backend
from inference_providers.testing import Reply
from langchain_autoprovider.messages.finish_reasons import FinishReasons
from langchain_autoprovider.protocols import openai as openai_protocol
from langchain_autoprovider.protocols.table import PROTOCOLS, Protocol

if TYPE_CHECKING:
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
    vars(module).update(connect=openai_protocol.connect, aconnect=openai_protocol.aconnect)
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


def test_the_first_finish_reason_that_is_set_counts() -> None:
    reasons = FinishReasons(
        keys=("details.reason", "status"), words={"too_long": "length", "failed": "error"}
    )
    assert reasons.reason_in({"status": "completed", "details": {"reason": "TOO_LONG"}}) == "length"
    assert reasons.reason_in({"status": "failed", "details": None}) == "error"
    assert reasons.reason_in({"status": "completed"}) == "stop"
    assert reasons.reason_in({"status": ""}) is None
