"""`AutoChatModel`: you name a model, and the environment decides which provider serves it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Unpack, get_args

import msgspec
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from inference_providers.errors import ConfigError
from inference_providers.failover import drivers
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings
from langchain_autoprovider.field_docs import describe_fields
from langchain_autoprovider.messages.fingerprint import conversation_fingerprint
from langchain_autoprovider.messages.streaming import result_as_chunk
from langchain_autoprovider.options import ChatModelOptions, ModelNames, arguments_section
from langchain_autoprovider.protocols.response_format import Method, normalize_response_format
from langchain_autoprovider.requests.needs import needs_of
from langchain_autoprovider.requests.profile import profile_of
from langchain_autoprovider.requests.request import (
    Request,
    add_trace,
    aopen_stream,
    asend,
    judge,
    new_inspector,
    open_stream,
    send,
    start_failover,
)
from langchain_autoprovider.requests.tools import to_openai_tool
from langchain_autoprovider.routed_model import RoutedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import ModelProfile
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.outputs import ChatGenerationChunk, ChatResult, Generation
    from langchain_core.runnables.fallbacks import RunnableWithFallbacks


__all__ = ["AutoChatModel"]

CHARS_PER_TOKEN = 4
_REQUEST_FIELDS = ("temperature", "max_tokens", "top_p", "seed")
_ROUTING_FIELDS = ("model", "only", "exclude", "order", "sort", "local")
_IDENTIFYING_FIELDS = (*_ROUTING_FIELDS, *_REQUEST_FIELDS, "stop")
"""What tracers receive about the model, on every call."""


class _Profile:
    """Descriptor for `profile`: the one that was passed in, or one resolved on every read.

    LangChain fills the field once, when a model is created, but keys come and go. pydantic
    ignores this type (`ignored_types`), so `profile` stays an ordinary field of the base class.
    """

    def __get__(self, model: AutoChatModel | None, owner: type) -> ModelProfile | None:
        if model is None:
            # pydantic would take a class attribute for the field's default in subclasses.
            msg = f"profile belongs to an instance of {owner.__name__!r}, not to the class"
            raise AttributeError(msg)
        passed_in: ModelProfile | None = model.__dict__.get("profile")
        return model._resolve_model_profile() if passed_in is None else passed_in

    def __set__(self, model: AutoChatModel, profile: ModelProfile | None) -> None:
        model.__dict__["profile"] = profile


@describe_fields
class AutoChatModel(RoutedModel, BaseChatModel):
    """A chat model that any provider with an API key may serve.

    A call tries the routes to the model in order until one answers. A stream can change routes
    until its first output. `response_metadata["autoprovider"]` lists the attempts.

    A model is named by its canonical name (`llama-3.3-70b`), by a provider's own id
    (`meta-llama/Llama-3.3-70B-Instruct`), or pinned to a provider (`groq/llama-3.3-70b`).
    Several names are tried in order of preference. Without a name, the best model that the keys
    in the environment can reach is used, or a small embedded one if there are no keys.

    API keys are read from the environment when they are needed. A model holds only the names of
    variables, so it can be pickled, unless keys were passed as `api_keys`.

    ```python
    llm = AutoChatModel("mixtral-8x7b", temperature=0)
    llm.explain()                       # who would serve it, who would not, and why
    llm.invoke("Hello").response_metadata["autoprovider"]["provider"]
    ```

    Raises:
        UnknownModelError: A model is unknown or retired; the message suggests others.
        ConfigError: A provider id is unknown, or a key is malformed.
        RegistryError: The registry cannot be read or is invalid.
    """

    temperature: float | None = None
    """Sampling temperature; 0 is the most predictable. Defaults to the provider's."""
    max_tokens: int | None = None
    """Maximum length of the answer, in tokens. Defaults to the provider's limit."""
    top_p: float | None = None
    """Nucleus sampling: only the likeliest tokens, up to this share of the probability, are
    considered. Defaults to the provider's."""
    seed: int | None = None
    """Seed for reproducible sampling, where the provider supports one."""
    stop: list[str] | None = None
    """One or several strings that end the answer when the model writes them. Also accepted as
    `stop_sequences`."""
    timeout: float = Field(default=DEFAULT_SETTINGS.timeout_s, gt=0)
    """Seconds that one call may take, including all attempts and waits. While another route is
    free, an attempt may use half of the remaining time until it produces output."""
    first_token_timeout: float = Field(default=DEFAULT_SETTINGS.first_token_timeout_s, gt=0)
    """Seconds that a stream may take to produce its first output."""
    inter_chunk_timeout: float = Field(default=DEFAULT_SETTINGS.inter_chunk_timeout_s, gt=0)
    """Seconds that may pass between two chunks of a stream."""
    fallback_on_content_filter: bool = DEFAULT_SETTINGS.fallback_on_content_filter
    """Whether to try the next provider when one refuses a request under its content policy."""
    sticky: bool = False
    """Whether a conversation stays with the route that answered it, to use that provider's
    prompt cache, until the route fails. Conversations are identified by their first messages."""
    hedge_after: Annotated[float, Field(gt=0)] | Literal["p95"] | None = (
        DEFAULT_SETTINGS.hedge_after
    )
    """Seconds without output after which the next route is tried in parallel; the slower one is
    cancelled. `"p95"` uses the 95th percentile of the route's latency, once 20 calls have been
    measured. Both providers see the prompt and may bill it. By default routes are not hedged."""
    streaming: bool = False
    """Whether `invoke` streams internally, so that callbacks receive every token."""

    _parse: Callable[[list[Generation]], Any] | None = PrivateAttr(default=None)

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", ignored_types=(_Profile,))

    if not TYPE_CHECKING:  # type checkers see the field of the base class
        profile = _Profile()

    # LangChain's caches identify a model by `_serialized`, which the base class computes once.
    _computed_once: ClassVar[tuple[str, ...]] = ("_serialized", "_settings", "_request_fields")
    _derived: ClassVar[tuple[str, ...]] = (*RoutedModel._derived, *_computed_once)

    def __init__(self, model: ModelNames = None, **options: Unpack[ChatModelOptions]) -> None:
        arguments: Any = options
        super().__init__(model, **arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        for derived in self._computed_once:
            self.__dict__.pop(derived, None)

    @model_validator(mode="before")
    @classmethod
    def _rename_stop_sequences(cls, values: Any) -> Any:
        """Store `stop_sequences` as `stop`."""
        if not isinstance(values, dict) or "stop_sequences" not in values:
            return values
        fields = dict(values)
        stop_sequences = fields.pop("stop_sequences")
        if stop_sequences is None:
            return fields
        if fields.get("stop") is not None:
            msg = "stop and stop_sequences mean the same; pass one of them"
            raise ConfigError(msg)
        return {**fields, "stop": stop_sequences}

    @field_validator("stop", mode="before")
    @classmethod
    def _stop_as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return what all current routes have in common, or `None` if there are no routes."""
        plan = self.plan_offline()
        return profile_of((*plan.routes, *plan.cooling_down))

    @model_validator(mode="after")
    def _set_model_profile(self) -> Self:
        """Replace the base's validator: the profile is resolved when it is read."""
        return self

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Check a profile that was passed in, without resolving one."""
        check: Any = BaseChatModel._check_profile_keys
        if self.__dict__.get("profile") is not None:
            check(self)
        return self

    def as_fallbacks(self) -> RunnableWithFallbacks[LanguageModelInput, AIMessage]:
        """Return LangChain's own fallback chain, with one model per current route.

        The chain is a plain runnable and lacks most methods of a chat model.

        Raises:
            ConfigError: There are fewer than two routes.
        """
        pinned = [self._for_model(f"{route.provider}/{route.model_id}") for route in self.routes]
        if len(pinned) < 2:  # noqa: PLR2004 - a chain has a first and a next
            msg = (
                f"a fallback chain needs two routes, but {self.model_name!r} has {len(pinned)} now;"
                " explain() shows which keys to set"
            )
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
        """Return a runnable whose calls offer these tools to the model.

        Tools are kept in OpenAI's form and translated for each route when it is tried.

        Args:
            tools: Tools, functions, pydantic classes or dicts, as `convert_to_openai_tool`
                accepts them, or a vendor's built-in tools such as `{"type": "web_search"}`.
            tool_choice: `"auto"`, `"none"`, `"any"`, a tool's name, or a dict in OpenAI's or
                Anthropic's form.
            strict: Whether the arguments must match the tool's schema exactly. By default the
                provider decides.
            **kwargs: Further request fields, such as `parallel_tool_calls`.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[to_openai_tool(tool, strict=strict) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        fallback_on_parse_error: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose answers match `schema`.

        Args:
            schema: A pydantic class, a `TypedDict`, or a JSON schema with a title.
            method: `"function_calling"`, `"json_schema"` or `"json_mode"`. By default each
                route uses the best one that it supports.
            include_raw: Whether to return a dict of `raw`, `parsed` and `parsing_error` instead
                of raising an error for an answer that does not parse.
            strict: Whether the provider should enforce the schema. By default it decides.
            fallback_on_parse_error: Whether an answer that does not parse counts as an invalid
                response, so that the next route is tried. A stream then yields one chunk.
            **kwargs: Further request fields.

        Raises:
            ValueError: `method` is unknown.
        """
        # LangChain's parsers take long to import, and few programs use them.
        from langchain_autoprovider.requests.structured_output import (  # noqa: PLC0415
            parse_with,
            parser_for,
            structured_output_fields,
        )

        methods = get_args(Method)
        if method is not None and method not in methods:
            msg = f"unknown method {method!r}; use one of {', '.join(map(repr, methods))}"
            raise ValueError(msg)
        parser = parser_for(schema, method)
        fields = {**structured_output_fields(schema, method, strict=strict), **kwargs}
        model = self
        if fallback_on_parse_error:
            model = self.model_copy()
            model._parse = parser.parse_result
        return parse_with(parser, model.bind(**fields), include_raw=include_raw)

    def get_num_tokens(self, text: str) -> int:
        """Estimate the number of tokens in a text, at four characters per token.

        Tokenizers differ, and the provider that will answer is not known yet. The answer's
        `usage_metadata` has exact numbers.
        """
        if self.custom_get_token_ids:
            return super().get_num_tokens(text)
        return math.ceil(len(text) / CHARS_PER_TOKEN)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate the number of tokens in messages and tools, as `get_num_tokens` does."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Allow LangChain to serialize the model; API keys are left out."""
        return True

    @property
    def _llm_type(self) -> str:
        return "autoprovider"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in _IDENTIFYING_FIELDS}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the base's parameters, without its support for an overridden `dict()`."""
        return {**self.asdict(), "stop": stop, **kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "autoprovider"
        if "ls_model_name" not in params:
            params["ls_model_name"] = self.model_name
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        resolver = request.resolver
        plan = resolver.plan(request.needs, request.conversation)
        engine = start_failover(request, plan)
        result, attempts = drivers.call(engine, partial(send, request), partial(judge, request))
        return add_trace(result, attempts, plan, resolver.state)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        resolver = request.resolver
        plan = await resolver.aplan(request.needs, request.conversation)
        engine = start_failover(request, plan)
        result, attempts = await drivers.acall(
            engine, partial(asend, request), partial(judge, request)
        )
        return add_trace(result, attempts, plan, resolver.state)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        if self._parse:  # only a whole answer can be parsed
            yield result_as_chunk(self._generate(messages, stop, **kwargs))
            return
        request = self._request(messages, stop, kwargs)
        resolver = request.resolver
        plan = resolver.plan(request.needs, request.conversation)
        yield from drivers.stream(
            start_failover(request, plan),
            partial(open_stream, request),
            partial(new_inspector, request, plan),
            request.settings,
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        if self._parse:  # only a whole answer can be parsed
            yield result_as_chunk(await self._agenerate(messages, stop, **kwargs))
            return
        request = self._request(messages, stop, kwargs)
        resolver = request.resolver
        plan = await resolver.aplan(request.needs, request.conversation)
        chunks = drivers.astream(
            start_failover(request, plan),
            partial(aopen_stream, request),
            partial(new_inspector, request, plan),
            request.settings,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        """Return the request of one call: the model's fields, overridden by the call's."""
        fields = {**self._request_fields, **kwargs}
        if "response_format" in fields:
            response_format = normalize_response_format(fields.pop("response_format"))
            if response_format is not None:
                fields["response_format"] = response_format
        # A call can name another model, as `bind(model=...)` does.
        model = self._for_model(fields.pop("model")) if "model" in fields else self
        settings = self._settings
        if (timeout := fields.pop("timeout", None)) is not None:
            settings = msgspec.structs.replace(settings, timeout_s=float(timeout))
        return Request(
            resolver=model._resolver,
            messages=messages,
            stop=stop or self.stop,
            fields=fields,
            settings=settings,
            needs=needs_of(messages, fields),
            conversation=conversation_fingerprint(messages) if self.sticky else None,
            parse=self._parse,
        )

    @cached_property
    def _request_fields(self) -> dict[str, Any]:
        """The request fields that are set on the model."""
        values = {name: getattr(self, name) for name in _REQUEST_FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    @cached_property
    def _settings(self) -> FailoverSettings:
        return FailoverSettings(
            max_attempts=self.max_attempts,
            timeout_s=self.timeout,
            first_token_timeout_s=self.first_token_timeout,
            inter_chunk_timeout_s=self.inter_chunk_timeout,
            cooldown=self.cooldown,
            fallback_on_content_filter=self.fallback_on_content_filter,
            hedge_after=self.hedge_after,
        )


# LangChain asks for the signatures in each call, and computing one takes as long as a plan.
for _method in (AutoChatModel._generate, AutoChatModel._agenerate):
    _method.__dict__["__signature__"] = inspect.signature(_method)
AutoChatModel.__init__.__doc__ = arguments_section(AutoChatModel.model_fields)  # for `help()`
