"""`AutoEmbeddings`: embeddings by one model, from any provider that serves it.

Vectors of different models, or of different lengths, cannot be compared. So a call fails over
only between providers of the same model and dimension, never to another model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable  # noqa: TC003 - pydantic reads annotations at run time
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import msgspec
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field, PrivateAttr

from inference_providers.errors import ConfigError, InvalidResponseError
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.trace import build_trace
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings
from inference_providers.types import Skipped
from inference_providers.wire import json_codec
from inference_providers.wire.reported_errors import invalid_response, raise_reported_error
from langchain_autoprovider.errors import LangChainErrors
from langchain_autoprovider.field_docs import describe_fields
from langchain_autoprovider.options import EmbeddingsOptions, ModelNames, arguments_section
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.table import PROTOCOLS
from langchain_autoprovider.routed_model import RoutedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Plan, Route

__all__ = ["AutoEmbeddings"]


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int | None = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = 0


class _Response(msgspec.Struct):
    """The fields of OpenAI's response that are read."""

    data: list[_Embedding]
    usage: _Usage | None = None


@describe_fields
class AutoEmbeddings(RoutedModel, Embeddings):
    """Embeddings by one model, which any provider with an API key may serve.

    Models are named as in `AutoChatModel`. Several names are accepted only if all of them name
    the same model, for example pinned to different providers.

    ```python
    embeddings = AutoEmbeddings("text-embedding-3-small")
    embeddings.explain()                       # who would serve it, who would not, and why
    embeddings.embed_documents(["first text", "second text"])
    ```

    Raises:
        UnknownModelError: The model is unknown or retired; the message suggests others.
        ConfigError: No model is named, or several different ones.
        RegistryError: The registry cannot be read or is invalid.
    """

    dimensions: int | None = Field(default=None, ge=1)
    """Length of the vectors, for models that can shorten them. Defaults to the model's own."""
    batch_size: int = Field(default=64, ge=1)
    """Maximum number of texts per request; longer lists are sent in several requests."""
    timeout: float = Field(default=DEFAULT_SETTINGS.timeout_s, gt=0)
    """Seconds that one request may take, including all attempts and waits."""
    on_trace: Callable[[dict[str, Any]], None] | None = Field(
        default=None, exclude=True, repr=False
    )
    """Called with the trace of each request; vectors cannot carry one."""

    _observed_lengths: dict[str, int] = PrivateAttr(default_factory=dict)
    """The length of the vectors received so far, by model."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __init__(self, model: ModelNames = None, **options: Unpack[EmbeddingsOptions]) -> None:
        arguments: Any = options
        super().__init__(model, **arguments)
        models = self._canonical_models()
        if not models:
            msg = "embeddings need the name of a model: AutoEmbeddings('text-embedding-3-small')"
            raise ConfigError(msg)
        if len(models) > 1:
            names = ", ".join(map(repr, sorted(map(str, models))))
            msg = f"embeddings of different models cannot be compared: name one of {names}"
            raise ConfigError(msg)

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not."""
        return self._with_one_length(self._resolver.plan())

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, in the same order.

        Raises:
            NoRouteError: No provider of the model can be used.
            AllRoutesFailed: Every provider failed.
        """
        vectors: list[list[float]] = []
        for batch in self._batches(texts):
            vectors += self._embed(batch)
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text, as `embed_documents` does."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, without blocking the event loop; see `embed_documents`."""
        vectors: list[list[float]] = []
        for batch in self._batches(texts):
            vectors += await self._aembed(batch)
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one text, without blocking the event loop; see `embed_documents`."""
        return (await self.aembed_documents([text]))[0]

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        for start in range(0, len(texts), self.batch_size):
            yield list(texts[start : start + self.batch_size])

    def _embed(self, texts: list[str]) -> list[list[float]]:
        plan = self.explain()

        def send(attempt: Attempt) -> _Response:
            access = self._resolver.access(attempt.route)
            model: Any = connections.connect(attempt.route, access)
            data = model.embed(self._request_body(attempt, texts), attempt.timeout_s)
            return self._checked_response(data, texts)

        outcome = drivers.call(self._engine(plan), send)
        return self._report(plan, *outcome)

    async def _aembed(self, texts: list[str]) -> list[list[float]]:
        plan = self._with_one_length(await self._resolver.aplan())

        async def send(attempt: Attempt) -> _Response:
            access = await self._resolver.aaccess(attempt.route)
            model: Any = await connections.aconnect(attempt.route, access)
            data = await model.aembed(self._request_body(attempt, texts), attempt.timeout_s)
            return self._checked_response(data, texts)

        outcome = await drivers.acall(self._engine(plan), send)
        return self._report(plan, *outcome)

    def _request_body(self, attempt: Attempt, texts: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": attempt.route.model_id, "input": texts}
        if self.dimensions and "dimensions" not in attempt.without:
            body["dimensions"] = self.dimensions
        return body

    def _checked_response(self, data: bytes, texts: list[str]) -> _Response:
        """Return a provider's response with its vectors in the order of the texts.

        Raises:
            InvalidResponseError: Vectors are missing, not finite, or have the wrong length.
            ProviderError: The body is an error.
        """
        response = _decode(data)
        response.data.sort(key=lambda item: item.index or 0)
        lengths = {len(item.embedding) for item in response.data}
        if len(response.data) != len(texts) or len(lengths) > 1:
            msg = (
                f"the response holds {len(response.data)} vectors of {len(lengths)} different"
                f" lengths for {len(texts)} texts"
            )
            raise InvalidResponseError(msg)
        if lengths == {0}:
            msg = "the vectors are empty"
            raise InvalidResponseError(msg)
        if not all(math.isfinite(sum(item.embedding)) for item in response.data):
            msg = "a vector has a component that is not a number"
            raise InvalidResponseError(msg)
        expected = self._expected_length()
        if expected and lengths != {expected}:
            msg = f"the vectors have {lengths.pop()} dimensions, not {expected}"
            raise InvalidResponseError(msg)
        return response

    def _report(
        self, plan: Plan, response: _Response, attempts: tuple[AttemptRecord, ...]
    ) -> list[list[float]]:
        """Record the vectors' length, pass the trace to `on_trace`, and return the vectors."""
        vectors = [item.embedding for item in response.data]
        if self.dimensions is None:
            self._observed_lengths[self._canonical_model] = len(vectors[0])
        if self.on_trace:
            tokens = (response.usage.prompt_tokens or 0, 0) if response.usage else None
            self.on_trace(build_trace(plan, attempts, tokens))
        return vectors

    def _engine(self, plan: Plan) -> Engine:
        return failover(
            plan,
            state=self._resolver.state,
            settings=FailoverSettings(
                max_attempts=self.max_attempts, timeout_s=self.timeout, cooldown=self.cooldown
            ),
            now=time.monotonic(),
            errors=LangChainErrors(),
        )

    def _with_one_length(self, plan: Plan) -> Plan:
        """Return the plan, skipping the routes whose vectors have another length."""
        expected = self._expected_length()
        routes: list[Route] = []
        skipped: list[Skipped] = []
        for route in plan.routes:
            length = route.model_info.dimensions
            if self._can_have_length(length, expected):
                routes.append(route)
            else:
                reason = f"its vectors have {length} dimensions, not {expected}"
                skipped.append(Skipped(provider=route.provider, model=route.model, reason=reason))
        if not skipped:
            return plan
        return msgspec.structs.replace(
            plan, routes=tuple(routes), skipped=(*skipped, *plan.skipped)
        )

    def _can_have_length(self, length: int | None, expected: int | None) -> bool:
        """Whether vectors of `length` fit or can be shortened; an unknown length fits."""
        if length is None or expected is None or length == expected:
            return True
        return self.dimensions is not None and length > self.dimensions

    def _expected_length(self) -> int | None:
        """Return the length that all vectors must have, or `None` if it is not known yet."""
        if self.dimensions:
            return self.dimensions
        registry, model = self._resolver.registry, self._canonical_model
        for provider_id in registry.models.get(model, ()):
            for entry in registry.entries(provider_id, model):
                if entry.dimensions:
                    return entry.dimensions
        return self._observed_lengths.get(model)

    def _canonical_models(self) -> set[str]:
        registry = self._resolver.registry
        return {registry.target(name).model for name in self._selection.models}

    @property
    def _canonical_model(self) -> str:
        (model,) = self._canonical_models()
        return model

    def _load_registry(self) -> Registry:
        return super()._load_registry().embeddings

    def _unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        with_embeddings = {name for name, protocol in PROTOCOLS.items() if protocol.embeddings}
        return {
            name: f"this version cannot request embeddings with the protocol {name!r}"
            for name in registry.protocols - with_embeddings
        }


def _decode(data: bytes) -> _Response:
    """Decode a provider's response.

    Raises:
        InvalidResponseError: It is not a list of embeddings.
        ProviderError: It is an error.
    """
    try:
        return msgspec.json.decode(data, type=_Response)
    except (ValueError, RecursionError):  # perhaps an error, or JSON that is not quite valid
        pass
    try:
        body = json_codec.decode(data)
        if isinstance(body, dict):
            raise_reported_error(body, is_answer=False)
        return msgspec.convert(body, _Response)
    except ValueError as error:
        msg = f"the response is not a list of embeddings: {error}"
        raise invalid_response(msg, data) from None


AutoEmbeddings.__init__.__doc__ = arguments_section(AutoEmbeddings.model_fields)  # for `help()`
