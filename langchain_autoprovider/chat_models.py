"""`AutoChatModel`: a chat model named by what it is, served by whom the environment allows."""

from __future__ import annotations

from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import msgspec
from langchain_core.language_models import BaseChatModel
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from inference_providers import drive
from inference_providers.errors import ConfigError
from inference_providers.keys import Keys
from inference_providers.policy import DEFAULT, Policy
from inference_providers.registry import Registry
from inference_providers.resolver import Resolver
from inference_providers.routes import Route, Selection, Sort
from langchain_autoprovider import connect
from langchain_autoprovider.chunks import ChunkReader
from langchain_autoprovider.conversation import conversation_of
from langchain_autoprovider.needs import needs_of
from langchain_autoprovider.request import Request, traced
from langchain_autoprovider.structured import structured_output

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable
    from langchain_core.runnables.fallbacks import RunnableWithFallbacks
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

    from inference_providers.routes import Attempt, Plan

__all__ = ["AutoChatModel"]

_REQUEST_FIELDS = ("temperature", "max_tokens", "top_p", "seed")

_Names = str | tuple[str, ...] | None


class AutoChatModel(BaseChatModel):
    """A chat model that is named, and served by whichever provider holds a key.

    Routes are tried in order until one answers, also in streams: a stream commits at
    its first output. What was tried is in `response_metadata["autoprovider"]`.

    A name is canonical (`llama-3.3-70b`), a provider's own id
    (`meta-llama/Llama-3.3-70B-Instruct`), or pinned to a provider
    (`groq/llama-3.3-70b`). Several names are a list of preferences; none means the
    best model the environment can reach, and in the end a small embedded one.

    Keys are read from the environment when they are used. The object holds names of
    variables only, so it can be pickled, unless keys were given by `api_keys`.

    ```python
    llm = AutoChatModel("mixtral-8x7b", temperature=0)
    llm.explain()                       # who would serve, who would not, and why
    llm.invoke("Hello").response_metadata["autoprovider"]["provider"]
    ```

    Raises:
        UnknownModelError: A name is unknown or retired; says what is near.
        ConfigError: A provider id or a given key cannot be right.
        RegistryError: The registry file is not what it should be.
    """

    model: _Names = None
    only: tuple[str, ...] = ()
    """Provider ids that may be used; all others are skipped."""
    exclude: tuple[str, ...] = ()
    """Provider ids that may not be used."""
    order: tuple[str, ...] = ()
    """Provider ids to try first."""
    sort: Sort = "registry"
    """How the providers of one model are ordered: as in the registry, by `price`, by
    `latency` (to the first output, as measured in this process), or at `random`."""
    local: bool = False
    """Whether model servers on this machine are asked as well."""
    registry: Any = Field(default=None, repr=False)
    """A path, JSON text or dict laid over the bundled registry, or a `Registry`."""
    api_keys: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, repr=False)
    """Keys by provider id, in place of the environment's."""

    temperature: float | None = None
    max_tokens: int | None = None
    """Length of the answer, in tokens."""
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] | None = Field(default=None, alias="stop_sequences")
    timeout: float = Field(default=DEFAULT.timeout_s, gt=0)
    """Seconds one call may take, over all attempts and waits. While another route is free,
    an attempt may take half of what is left to answer."""
    first_token_timeout: float = Field(default=DEFAULT.first_token_timeout_s, gt=0)
    """Seconds a stream may take to its first output."""
    inter_chunk_timeout: float = Field(default=DEFAULT.inter_chunk_timeout_s, gt=0)
    """Seconds between two chunks of a stream."""
    max_attempts: int = Field(default=DEFAULT.max_attempts, ge=1)
    """Attempts of one call, over all routes. `max_retries=n` means `n + 1`."""
    cooldown: bool = DEFAULT.cooldown
    """Whether routes that failed rest, so that the next call does not ask them again."""
    move_on_policy: bool = DEFAULT.move_on_policy
    """Whether a refusal by content policy moves to another provider."""
    sticky: bool = False
    """Whether a conversation stays with the route that answered it, for its prompt cache,
    until that fails. Conversations are told apart by their first messages."""
    hedge_after: Annotated[float, Field(gt=0)] | Literal["p95"] | None = DEFAULT.hedge_after
    """Seconds without any output after which the next route is asked as well; the slower one
    is cancelled. `"p95"` is what 95 of 100 calls of that route took, once 20 are known.
    Both may bill the prompt, and a second provider sees it."""
    streaming: bool = False
    """Whether `invoke` streams underneath, for callbacks that watch tokens."""

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True, extra="forbid")

    def __init__(self, model: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**{"model": model, **kwargs})
        _ = self._resolver  # made now, since it checks the names

    @field_validator("model", "only", "exclude", "order", mode="before")
    @classmethod
    def _as_names(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("stop", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _retries_as_attempts(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("max_retries"), int):
            values = dict(values)
            values.setdefault("max_attempts", values.pop("max_retries") + 1)
        return values

    @property
    def model_name(self) -> str:
        """The first model asked for, or `auto`."""
        return next(iter(self._names()), "auto")

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that would be tried now, in order."""
        return self._resolver.plan().routes

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not.

        Prints as a table, and shows as one in a notebook. Nothing is sent to a
        provider; model servers on this machine are looked for where a call would.
        """
        return self._resolver.plan()

    def as_fallbacks(self) -> RunnableWithFallbacks[LanguageModelInput, AIMessage]:
        """Return LangChain's own fallback chain over one model per route.

        For who wants LangChain's mechanism: it keeps no chat model's interface.

        Raises:
            ConfigError: There are fewer than two routes to make a chain of.
        """
        pinned = [self._for_model(f"{route.provider}/{route.model}") for route in self.routes]
        if len(pinned) < 2:  # noqa: PLR2004 - a chain has a first and a next
            msg = f"{self.model_name!r} has {len(pinned)} routes now; a fallback chain needs two"
            raise ConfigError(msg)
        return pinned[0].with_fallbacks(pinned[1:])

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools, in a neutral form that each route's own class translates when called.

        Args:
            tools: What `convert_to_openai_tool` takes: tools, functions, classes, dicts.
            tool_choice: `"auto"`, `"none"`, `"any"`, a tool's name, or OpenAI's dict.
            strict: Whether arguments must match the tool's schema exactly.
            **kwargs: Further request fields, such as `parallel_tool_calls`.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        neutral = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        return self.bind(tools=neutral, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["function_calling", "json_schema", "json_mode"] = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable that answers in the shape of `schema`.

        Args:
            schema: A pydantic class, a `TypedDict`, or a JSON schema with a title.
            method: `function_calling`, `json_schema` or `json_mode`.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` and never raise for
                an answer that does not parse.
            strict: Whether the provider is asked to enforce the schema; with
                `function_calling`, tools carry no such demand.
            **kwargs: None are known; any raises `ValueError`.
        """
        if method == "function_calling" or kwargs:
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        return structured_output(
            self, schema, method=method, include_raw=include_raw, strict=strict
        )

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return that LangChain may write it down; keys are left out."""
        return True

    @property
    def _llm_type(self) -> str:
        return "autoprovider"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.model_dump(
            include={"model", "only", "exclude", "order", "sort", "local", *_REQUEST_FIELDS, "stop"}
        )

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "autoprovider"
        params.setdefault("ls_model_name", self.model_name)
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        plan = request.resolver.plan(request.needs, request.conversation)

        def send(attempt: Attempt) -> ChatResult:
            return request.send(attempt, run_manager)

        engine = request.engine(plan)
        return traced(*drive.call(engine, send, request.resolver.scrub), plan)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        plan = await request.resolver.aplan(request.needs, request.conversation)

        async def send(attempt: Attempt) -> ChatResult:
            return await request.asend(attempt, run_manager)

        engine = request.engine(plan)
        return traced(*await drive.acall(engine, send, request.resolver.scrub), plan)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        plan = request.resolver.plan(request.needs, request.conversation)
        engine = request.engine(plan)
        yield from drive.stream(
            engine,
            request.open,
            lambda: ChunkReader(plan),
            request.resolver.scrub,
            request.policy,
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        plan = await request.resolver.aplan(request.needs, request.conversation)
        engine = request.engine(plan)
        chunks = drive.astream(
            engine,
            request.aopen,
            lambda: ChunkReader(plan),
            request.resolver.scrub,
            request.policy,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _names(self) -> tuple[str, ...]:
        return (self.model,) if isinstance(self.model, str) else (self.model or ())

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        own = {
            name: value for name in _REQUEST_FIELDS if (value := getattr(self, name)) is not None
        }
        fields = {**own, **kwargs}
        # A call may name another model, as `bind(model=...)` does.
        chosen = self._for_model(fields.pop("model")) if "model" in fields else self
        policy = self._policy
        if (timeout := fields.pop("timeout", None)) is not None:
            policy = msgspec.structs.replace(policy, timeout_s=float(timeout))
        needs = needs_of(messages, fields)
        conversation = conversation_of(messages) if self.sticky else None
        return Request(
            chosen._resolver, messages, stop or self.stop, fields, policy, needs, conversation
        )

    @property
    def _policy(self) -> Policy:
        return Policy(
            max_attempts=self.max_attempts,
            timeout_s=self.timeout,
            first_token_timeout_s=self.first_token_timeout,
            inter_chunk_timeout_s=self.inter_chunk_timeout,
            cooldown=self.cooldown,
            move_on_policy=self.move_on_policy,
            hedge_after=self.hedge_after,
        )

    def _for_model(self, model: str | Sequence[str] | None) -> Self:
        other = self.model_copy(update={"model": self._as_names(model)})
        other.__dict__.pop("_resolver", None)
        return other

    @cached_property
    def _resolver(self) -> Resolver:
        selection = Selection(
            models=self._names(),
            only=self.only,
            exclude=self.exclude,
            order=self.order,
            local=self.local,
            sort=self.sort,
        )
        keys = Keys({name: key.get_secret_value() for name, key in self.api_keys.items()})
        return Resolver(selection, self._loaded(), keys, connect.unspoken)

    def _loaded(self) -> Registry:
        if isinstance(self.registry, Registry):
            return self.registry
        bundled = Registry.load()
        return bundled if self.registry is None else bundled.merged(self.registry)

    def __getstate__(self) -> dict[Any, Any]:
        if self.api_keys:
            msg = "a model with api_keys is not pickled; set the keys' variables where it will run"
            raise TypeError(msg)
        state = super().__getstate__()
        fields = {name: value for name, value in state["__dict__"].items() if name != "_resolver"}
        return {**state, "__dict__": fields}
