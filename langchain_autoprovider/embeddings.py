"""`AutoEmbeddings`: vectors of one model, from whichever provider serves it.

Vectors of two models cannot be compared, nor can those of two lengths. So it fails over
between providers of the same model and dimension only, never to another model.
"""

from __future__ import annotations

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
from langchain_autoprovider.errors import LangChainErrors
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


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    data: list[_Vector]
    usage: _Usage | None = None


class AutoEmbeddings(RoutedModel, Embeddings):
    """Embeddings by one model, served by whichever provider of it holds a key.

    A name is as for `AutoChatModel`. Several may be given to pin several providers of one
    model; a list of different models is refused.

    ```python
    embeddings = AutoEmbeddings("text-embedding-3-small")
    embeddings.explain()                       # who would serve, who would not, and why
    embeddings.embed_documents(["first text", "second text"])
    ```

    Raises:
        UnknownModelError: A name is unknown or retired; says what is near.
        ConfigError: No model is named, or different ones.
        RegistryError: The registry file is not what it should be.
    """

    dimensions: int | None = Field(default=None, ge=1)
    """Length of the vectors, where the model can shorten them; else it is the model's own."""
    batch_size: int = Field(default=64, ge=1)
    """Texts of one request; longer lists are sent in several, one after the other."""
    timeout: float = Field(default=DEFAULT_SETTINGS.timeout_s, gt=0)
    """Seconds one request may take, over all attempts and waits."""
    on_trace: Callable[[dict[str, Any]], None] | None = Field(
        default=None, exclude=True, repr=False
    )
    """Called with the trace of each request: vectors have no place for it."""

    _seen: int | None = PrivateAttr(default=None)

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __init__(self, model: ModelNames = None, **options: Unpack[EmbeddingsOptions]) -> None:
        arguments: Any = options
        super().__init__(model, **arguments)
        meant = {self._resolver.registry.target(name).model for name in self._selection.models}
        if len(meant) != 1:
            named = f"{', '.join(map(repr, sorted(meant)))} are" if meant else "none is"
            msg = f"Embeddings are of one model, and {named} named; name one"
            raise ConfigError(msg)

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not."""
        return self._fitting(self._resolver.plan())

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text, in their order.

        Raises:
            NoRouteError: No provider of the model can be used.
            AllRoutesFailed: None answered.
        """
        vectors: list[list[float]] = []
        for part in self._parts(texts):
            vectors += self._embedded(part)
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text; as `embed_documents`."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text, without blocking the event loop."""
        vectors: list[list[float]] = []
        for part in self._parts(texts):
            vectors += await self._aembedded(part)
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one text, without blocking the event loop."""
        return (await self.aembed_documents([text]))[0]

    def _parts(self, texts: Sequence[str]) -> Iterator[list[str]]:
        for start in range(0, len(texts), self.batch_size):
            yield list(texts[start : start + self.batch_size])

    def _embedded(self, texts: list[str]) -> list[list[float]]:
        plan = self.explain()

        def send(attempt: Attempt) -> _Answer:
            access = self._resolver.access(attempt.route)
            model: Any = connections.connect(attempt.route, access)
            return self._read(model.root_client.post(**self._call(attempt, texts)), texts)

        return self._told(plan, *drivers.call(self._engine(plan), send, self._resolver.scrub))

    async def _aembedded(self, texts: list[str]) -> list[list[float]]:
        plan = self._fitting(await self._resolver.aplan())

        async def send(attempt: Attempt) -> _Answer:
            access = await self._resolver.aaccess(attempt.route)
            model: Any = await connections.aconnect(attempt.route, access)
            body = await model.root_async_client.post(**self._call(attempt, texts))
            return self._read(body, texts)

        done = await drivers.acall(self._engine(plan), send, self._resolver.scrub)
        return self._told(plan, *done)

    def _call(self, attempt: Attempt, texts: list[str]) -> dict[str, Any]:
        """Return OpenAI's request, without what not every provider takes."""
        body: dict[str, Any] = {"model": attempt.route.model_id, "input": texts}
        if self.dimensions and "dimensions" not in attempt.without:
            body["dimensions"] = self.dimensions
        timeout = {"timeout": attempt.timeout_s}
        return {"path": "/embeddings", "cast_to": object, "body": body, "options": timeout}

    def _read(self, body: Any, texts: list[str]) -> _Answer:
        """Return the vectors that a provider answered, in the order of the texts.

        Raises:
            InvalidResponseError: They are not what was asked for.
        """
        try:
            answer = msgspec.convert(body, _Answer)
        except msgspec.ValidationError as error:
            msg = f"no embeddings: {error}"
            raise InvalidResponseError(msg, body=body) from error
        answer.data.sort(key=lambda vector: vector.index)
        lengths = {len(vector.embedding) for vector in answer.data}
        if len(answer.data) != len(texts) or len(lengths) > 1:
            msg = f"{len(answer.data)} vectors of {len(lengths)} lengths for {len(texts)} texts"
            raise InvalidResponseError(msg)
        if (wanted := self._dimension()) and lengths != {wanted}:
            msg = f"vectors have {lengths.pop()} dimensions, not {wanted}"
            raise InvalidResponseError(msg)
        return answer

    def _told(
        self, plan: Plan, answer: _Answer, tried: tuple[AttemptRecord, ...]
    ) -> list[list[float]]:
        vectors = [vector.embedding for vector in answer.data]
        self._seen = len(vectors[0])
        if self.on_trace:
            tokens = (answer.usage.prompt_tokens, 0) if answer.usage else None
            self.on_trace(build_trace(plan, tried, tokens))
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

    def _fitting(self, plan: Plan) -> Plan:
        """Return the plan without routes whose vectors have another length."""
        fitting = tuple(route for route in plan.routes if self._unfit(route) is None)
        skipped = tuple(
            Skipped(provider=route.provider, model=route.model, reason=reason)
            for route in plan.routes
            if (reason := self._unfit(route))
        )
        return msgspec.structs.replace(plan, routes=fitting, skipped=(*skipped, *plan.skipped))

    def _unfit(self, route: Route) -> str | None:
        own, wanted = route.model_info.dimensions, self._dimension()
        can_be_shortened = self.dimensions is not None and own is not None and own > self.dimensions
        if own in {None, wanted} or wanted is None or can_be_shortened:
            return None
        return f"its vectors have {own} dimensions, not {wanted}"

    def _dimension(self) -> int | None:
        """Return the length all vectors must have, as far as it is known."""
        if self.dimensions:
            return self.dimensions
        registry = self._resolver.registry
        (model,) = {registry.target(name).model for name in self._selection.models}
        listed = (
            entry.dimensions
            for provider_id in registry.models.get(model, ())
            for entry in registry.entries(provider_id, model)
        )
        return next((length for length in listed if length), self._seen)

    def _load_registry(self) -> Registry:
        return super()._load_registry().embeddings

    def _unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        with_embeddings = {name for name, protocol in PROTOCOLS.items() if protocol.embeddings}
        return {
            name: f"embeddings are not asked over {name!r} by this version; use another provider"
            for name in registry.protocols - with_embeddings
        }


AutoEmbeddings.__init__.__doc__ = arguments_section(AutoEmbeddings.model_fields)  # for `help()`
