"""Builders of the values that many tests need.

Each builder fills in what a test does not care about; a test names only what it asserts.
Import them by name: `from factories import provider_row, route`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from inference_providers.failover.events import Failure
from inference_providers.testing import FakeProvider, Reply
from inference_providers.types import Endpoint, Model, Plan, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import AttemptRecord, Outcome, RaceResult
    from inference_providers.types import Skipped
    from langchain_autoprovider import AutoChatModel
    from llamaindex_autoprovider import AutoLLM

PAIR_KEYS = {"FIRST_KEY": "first-key-value", "SECOND_KEY": "second-key-value"}
"""Environment variables with the keys of the two providers of a `Pair`."""

EVENT_TIMEOUT_S = 60.0
"""How long `eventually` waits: far longer than a busy machine needs."""


def route(
    provider: str = "p",
    *,
    model: str = "m",
    protocol: str = "openai-chat",
    base_url: str | None = None,
    model_info: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Route:
    """Build a route to `model` at `provider`.

    Args:
        provider: The provider's id; also part of the default model id and host.
        model: The canonical model name.
        protocol: The protocol of the route's endpoint.
        base_url: The endpoint's URL, `https://<provider>.test/v1` by default.
        model_info: Fields of the registry's `Model` entry besides `id`.
        **fields: Further fields of `Route`.
    """
    model_id = fields.pop("model_id", f"{provider}-{model}")
    return Route(
        model=model,
        provider=provider,
        model_id=model_id,
        endpoint=Endpoint(protocol=protocol, base_url=base_url or f"https://{provider}.test/v1"),
        model_info=Model(id=model_id, **(model_info or {})),
        **fields,
    )


def plan(
    *routes: Route,
    models: tuple[str, ...] = ("m",),
    skipped: tuple[Skipped, ...] = (),
    **fields: Any,
) -> Plan:
    """Build a plan of these routes, in this order."""
    return Plan(models=models, routes=routes, skipped=skipped, **fields)


def provider_row(
    models: Mapping[str, Any],
    key: str | None = None,
    *,
    base_url: str = "https://a.test/v1",
    protocol: str = "openai-chat",
    auth: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Build a provider's row of a registry document.

    Args:
        models: Canonical name → model id, entry, or list of them.
        key: The variable with the key; without it no key is needed.
        base_url: The URL of the default endpoint.
        protocol: The protocol of the default endpoint.
        auth: Fields of `auth` that add to or replace what `key` gives.
        **fields: Further fields of the row; they replace the ones above.
    """
    return {
        "name": "A",
        "auth": {"any_of": [[key] if key else []], **(auth or {})},
        "endpoints": {"default": {"protocol": protocol, "base_url": base_url}},
        "models": dict(models),
        **fields,
    }


class HTTPError(Exception):
    """An exception as SDKs raise it: it has a status, a parsed body and headers."""

    def __init__(
        self, status: int | None, body: object = None, headers: object = None, message: str = ""
    ) -> None:
        super().__init__(message or f"Error code: {status}")
        self.status_code = status
        self.body = body
        self.headers = headers


def http_error(
    status: int | None, body: object = None, *, message: str = "", **headers: str
) -> HTTPError:
    """Build the exception an SDK raises for this response.

    Args:
        status: The HTTP status, or `None` for an exception without one.
        body: The parsed body.
        message: The exception's text.
        **headers: Response headers, with `_` for `-`: `retry_after="7"`.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPError(status, body, named, message)


def failure(error: Exception, **fields: Any) -> Failure:
    """Build the outcome of an attempt that raised `error`."""
    return Failure(error=error, **{"ms": 1.0, **fields})


def finish(engine: Engine, report: Outcome | RaceResult) -> tuple[AttemptRecord, ...]:
    """Send a failover engine the report that ends it; return the records of all attempts."""
    try:
        engine.send(report)
    except StopIteration as done:
        records: tuple[AttemptRecord, ...] = done.value
        return records
    msg = "the engine goes on"
    raise AssertionError(msg)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition()` is true, for what other threads are about to do."""
    end = time.monotonic() + EVENT_TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"not true after {EVENT_TIMEOUT_S:g} s"
        await asyncio.sleep(0.005)


class Pair:
    """Two fake providers, `first` and `second`, that serve one model.

    Each has its own id for the model (`first-id`, `second-id`) and its own key
    (`FIRST_KEY`, `SECOND_KEY`).
    """

    def __init__(
        self,
        first: FakeProvider,
        second: FakeProvider,
        *,
        model: str = "m-1",
        down: FakeProvider | None = None,
    ) -> None:
        self.first = first
        self.second = second
        self.model_name = model
        self._down = down

    def registry(
        self, *, model_info: Mapping[str, Any] | None = None, **row: Any
    ) -> dict[str, Any]:
        """Return a registry with both providers; `row` and `model_info` go to both."""

        def provider(name: str, fake: FakeProvider) -> dict[str, Any]:
            model_id = f"{name}-id"
            entry = {"id": model_id, **model_info} if model_info else model_id
            return fake.row({self.model_name: entry}, key=f"{name.upper()}_KEY", **row)

        return {
            "providers": {
                "first": provider("first", self.first),
                "second": provider("second", self.second),
            }
        }

    def plays(self, *replies: Reply) -> None:
        """Let `first` play these replies."""
        self.first.replies = list(replies)

    def take_first_down(self) -> None:
        """Replace `first` by a provider that refuses every connection."""
        assert self._down, "this pair was built without a provider that is down"
        self.first = self._down

    def model(self, name: Any = None, **arguments: Any) -> AutoChatModel:
        """Return a LangChain model over both providers."""
        from langchain_autoprovider import AutoChatModel

        return AutoChatModel(name or self.model_name, registry=self.registry(), **arguments)

    def model_over(
        self,
        protocol: str,
        *,
        suffix: str = "",
        model_info: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> AutoChatModel:
        """Return a LangChain model whose first provider uses `protocol`.

        Args:
            protocol: The protocol of the first provider's endpoint.
            suffix: What its base URL has after host and port.
            model_info: Fields of its model entry besides `id`.
            row: Further fields of its row.
            **arguments: Arguments of `AutoChatModel`.
        """
        from langchain_autoprovider import AutoChatModel

        base_url = self.first.base_url.removesuffix("/v1") + suffix
        registry = self.registry()
        registry["providers"]["first"] |= {
            "endpoints": {"default": {"protocol": protocol, "base_url": base_url}},
            "models": {self.model_name: {"id": "first-id", **(model_info or {})}},
            **(row or {}),
        }
        return AutoChatModel(self.model_name, registry=registry, **arguments)

    def llm(self, **arguments: Any) -> AutoLLM:
        """Return a LlamaIndex LLM over both providers."""
        from llamaindex_autoprovider import AutoLLM

        return AutoLLM(self.model_name, registry=self.registry(), **arguments)

    def connections(self) -> list[Any]:
        """Return a list that grows by the address of each new connection to `first`."""
        server, opened = self.first._server, []
        process = server.process_request

        def record(connection: Any, address: Any) -> None:
            opened.append(address)
            process(connection, address)

        server.process_request = record
        return opened


@contextmanager
def two_providers(*, model: str = "m-1") -> Iterator[Pair]:
    """Run two providers that answer `from first` and `from second`."""
    with FakeProvider(Reply("from first")) as first, FakeProvider(Reply("from second")) as second:
        yield Pair(first, second, model=model)
