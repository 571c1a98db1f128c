"""What the HTTP clients of all routes share; each protocol's own facts are in `protocols/`."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import route
from inference_providers.errors import ConfigError, KeyBindingError
from inference_providers.failover.state import FailoverState
from inference_providers.routing.backend import Access
from inference_providers.settings import DEFAULT_SETTINGS
from langchain_autoprovider.http.clients import (
    client_options,
    install_hooks,
    quote_model_id,
    reject_foreign_hosts,
)

ACCESS = Access("https://api.test/v1", None, FailoverState())


def test_vendors_clients_drop_idle_connections_before_servers_do() -> None:
    limits = client_options(ACCESS)["limits"]
    assert limits.keepalive_expiry < 5


@pytest.mark.parametrize(
    "url",
    ["https://evil.test/v1", "http://api.test/v1", "https://api.test:8443/v1"],
    ids=["host", "scheme", "port"],
)
async def test_reject_foreign_hosts_stops_a_request_elsewhere(url: str) -> None:
    transport = httpx.MockTransport(lambda _: pytest.fail("the request left"))
    client = httpx.Client(transport=transport)
    install_hooks(client, route(), ACCESS)
    with client, pytest.raises(KeyBindingError, match=r"for 'https://api\.test/v1' to"):
        await asyncio.to_thread(client.get, url)
    async with httpx.AsyncClient(transport=transport) as async_client:
        install_hooks(async_client, route(), ACCESS)
        with pytest.raises(KeyBindingError):
            await async_client.get(url)


@pytest.mark.parametrize("timeout", [None, 5.0, 900.0])
def test_reject_foreign_hosts_bounds_the_time_to_connect(timeout: float | None) -> None:
    request = httpx.Request(
        "GET",
        "https://api.test:443/v1/chat",
        extensions={"timeout": httpx.Timeout(timeout).as_dict()},
    )
    reject_foreign_hosts(ACCESS)(request)
    limit_s = DEFAULT_SETTINGS.connect_timeout_s
    assert request.extensions["timeout"]["connect"] == min(timeout or limit_s, limit_s)
    assert request.extensions["timeout"]["read"] == timeout


@pytest.mark.parametrize(
    "model_id", ["..", "a/../b", "../../admin/x", "./x", "a//b", "/a", "a/", ""]
)
def test_quote_model_id_refuses_ids_that_change_the_path(model_id: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a model id"):
        quote_model_id(model_id)


@settings(derandomize=True)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quote_model_id_keeps_every_id_below_its_path(model_id: str) -> None:
    try:
        quoted = quote_model_id(model_id)
    except ConfigError:
        return
    base = httpx.URL("https://api.test/v1/models/")
    url = base.join(f"/v1/models/{quoted}/predictions")
    assert url.raw_path.startswith(b"/v1/models/")
    assert url.raw_path.endswith(b"/predictions")
    assert (url.query, url.fragment) == (b"", "")
    assert url.raw_path.count(b"/") == 4 + model_id.count("/")
