"""A protocol whose extra is missing: another endpoint answers, or the plan says what to do."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers import NoRouteError
from inference_providers.routing import resolver
from inference_providers.testing import Reply
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.connector import Connector, WireConnector
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from langchain_autoprovider import AutoChatModel

WITH_EXTRA = {name: row for name, row in PROTOCOLS.items() if row.extra}


@pytest.fixture(params=WITH_EXTRA)
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a protocol whose package is not installed."""
    package = WITH_EXTRA[request.param].package
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(connections, "_installed", set())
    resolver._warn_of_fallback_once.cache_clear()
    return request.param


def endpoints(pair: Pair, protocol: str, *, compatible: bool) -> dict[str, Any]:
    native = {"protocol": protocol, "base_url": pair.second.base_url}
    openai = {"protocol": "openai-chat", "base_url": pair.first.base_url}
    return {"default": native, **({"openai": openai} if compatible else {})}


def model_over(pair: Pair, protocol: str, *, compatible: bool) -> AutoChatModel:
    row = {"endpoints": endpoints(pair, protocol, compatible=compatible)}
    return pair.model_over(protocol, row=row, only=["first"])


async def test_without_the_extra_the_compatible_endpoint_answers(
    absent: str, pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("as OpenAI would"))
    answer = await ask(model_over(pair, absent, compatible=True), "Hi")
    assert answer.text == "as OpenAI would"
    assert pair.first.requests[0].path == "/v1/chat/completions"
    assert not pair.second.requests


def test_without_the_extra_one_warning_names_it(
    absent: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            model_over(pair, absent, compatible=True).invoke("Hi")
    (record,) = caplog.records
    extra = WITH_EXTRA[absent].extra
    assert f"pip install 'autoprovider[{extra}]'" in record.getMessage()
    assert record.getMessage().startswith("first:")


def test_without_compatible_endpoint_the_reason_is_pip_install(absent: str, pair: Pair) -> None:
    model = model_over(pair, absent, compatible=False)
    extra = WITH_EXTRA[absent].extra
    with pytest.raises(NoRouteError, match=rf"pip install 'autoprovider\[{extra}\]'"):
        model.invoke("Hi")


def test_with_the_extra_the_native_endpoint_is_used(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    (route,) = model_over(pair, "anthropic", compatible=True).routes
    assert route.endpoint.protocol == "anthropic"
    assert not caplog.records


def test_every_protocol_module_has_a_connector() -> None:
    for name, row in PROTOCOLS.items():
        module = __import__(
            f"langchain_autoprovider.protocols.{row.module}", fromlist=["CONNECTOR"]
        )
        assert isinstance(module.CONNECTOR, Connector | WireConnector), name


def test_every_extra_is_declared() -> None:
    from importlib.metadata import metadata

    declared = metadata("autoprovider").get_all("Provides-Extra")
    assert {row.extra for row in WITH_EXTRA.values()} <= set(declared or ())
