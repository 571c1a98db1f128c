"""What chat models and embeddings share: the arguments that choose models and providers.

A routed model is a value. It holds names of models, providers and key variables, but neither
connections nor keys from the environment. So it can be copied, pickled and compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, Unpack

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError
from inference_providers.failover.state import FailoverState
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.routing.resolver import Resolver
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.types import Plan, Route, Selection, Sort, as_names
from inference_providers.updates.effective_registry import active_registry
from langchain_autoprovider.field_docs import add_descriptions, describe_fields
from langchain_autoprovider.options import ModelNames, RoutingOptions
from langchain_autoprovider.protocols import connections

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from inference_providers.registry.registry import Registry

__all__ = ["RoutedModel"]

_NAME_LISTS = ("model", "only", "exclude", "order")
_NONE_MEANS_DEFAULT = ("max_retries", "timeout", "api_keys")
_RETRIES = TypeAdapter(Annotated[int, Field(ge=0)])


@describe_fields
class RoutedModel(BaseModel):
    """Base of models that any provider with a key may serve."""

    # `kw_only=False` is for type checkers, which derive a subclass's constructor from the fields.
    model: ModelNames = Field(default=None, kw_only=False)
    """The model's name, or several names in order of preference. Defaults to the best model that
    the keys in the environment can reach."""
    only: str | Sequence[str] = ()
    """One or several ids of the providers that may be used. Defaults to all."""
    exclude: str | Sequence[str] = ()
    """One or several ids of providers that may not be used."""
    order: str | Sequence[str] = ()
    """One or several ids of providers to try first."""
    sort: Sort = "registry"
    """How to order the providers of one model. `"registry"` keeps the registry's order,
    `"price"` puts the cheapest first, `"latency"` the one whose first output came fastest in
    this process, and `"random"` spreads calls evenly."""
    local: bool = False
    """Whether to use model servers on this machine (Ollama, LM Studio and the like) as well."""
    max_attempts: int = Field(default=DEFAULT_SETTINGS.max_attempts, ge=1)
    """Attempts per call, over all routes. `max_retries=n` means `max_attempts=n + 1`."""
    cooldown: bool = DEFAULT_SETTINGS.cooldown
    """Whether to leave a route alone for a while after it failed."""
    registry: Any = Field(default=None, repr=False)
    """A path, JSON text or dict to merge on top of the active registry, or a `Registry` that
    replaces it."""
    api_keys: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, repr=False)
    """API keys by provider id. They take precedence over the environment. `api_key=` sets the
    key of the one provider that `only` or the model's name selects."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        hide_input_in_errors=True,  # the input may be a key
    )

    def __init__(self, model: ModelNames = None, **options: Unpack[RoutingOptions]) -> None:
        arguments: dict[str, Any] = {"model": model, **options}
        try:
            super().__init__(**arguments)
        except ValidationError as error:
            _note_unknown_arguments(error, type(self).model_fields)
            raise
        _ = self._resolver  # checks the names

    @model_validator(mode="before")
    @classmethod
    def _rename_arguments(cls, values: Any) -> Any:
        """Store `max_retries` as `max_attempts`, `api_key` in `api_keys`, and names as tuples."""
        if not isinstance(values, dict):
            return values
        # LangChain passes `None` to its own models where a default applies.
        fields = {
            name: value
            for name, value in values.items()
            if value is not None or name not in _NONE_MEANS_DEFAULT
        }
        for name in _NAME_LISTS:
            if name in fields:
                fields[name] = _normalize_names(name, fields[name])
        if "max_retries" in fields:
            fields.setdefault("max_attempts", _retries(fields.pop("max_retries")) + 1)
        if (api_key := fields.pop("api_key", None)) is not None:
            provider_id = _provider_of_key(as_names(fields.get("model")), fields.get("only", ()))
            api_keys = fields.setdefault("api_keys", {})
            if isinstance(api_keys, Mapping):  # pydantic refuses anything else
                fields["api_keys"] = {**api_keys, provider_id: api_key}
        return fields

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        add_descriptions(cls, handler.resolve_ref_schema(schema).get("properties", {}))
        return schema

    @property
    def model_name(self) -> str:
        """The first model in order of preference, or `"auto"` if none is named."""
        return next(iter(as_names(self.model)), "auto")

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that a call would try now, in order."""
        return self.explain().routes

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not.

        The plan prints as a table, also in a notebook. Nothing is sent to a provider. Model
        servers on this machine are looked for if a call would look for them.
        """
        return self._resolver.plan()

    def plan_offline(self) -> Plan:
        """Return the plan as `explain` does, without looking for servers on this machine."""
        return self._resolver.plan_offline()

    def _for_model(self, model: ModelNames) -> Self:
        """Return a copy for other models that shares the registry, the keys and the state."""
        copied = self.model_copy(update={"model": _normalize_names("model", model)})
        copied.__dict__["_resolver"] = self._resolver.for_selection(copied._selection)  # noqa: SLF001 - of a copy
        return copied

    @cached_property
    def _resolver(self) -> Resolver:
        keys = Keys({name: key.get_secret_value() for name, key in self.api_keys.items()})
        return Resolver(
            self._selection,
            self._load_registry(),
            keys,
            self._unsupported_protocols,
            self._state,
        )

    @property
    def _selection(self) -> Selection:
        return Selection.of(
            self.model,
            only=self.only,
            exclude=self.exclude,
            order=self.order,
            local=self.local,
            sort=self.sort,
        )

    def _load_registry(self) -> Registry:
        return active_registry(self.registry)

    def _unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        """Return the registry's protocols that cannot be used here, each with the reason."""
        return connections.unsupported_protocols(registry)

    _state: FailoverState | None = PrivateAttr(default=None)
    """Cooldowns, rate limits and latencies; those of the process if `None`. Copies share it."""

    _derived: ClassVar[tuple[str, ...]] = ("_resolver",)
    """Attributes computed from the fields; copies and pickles leave them out."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in RoutedModel.model_fields:
            super().__setattr__(name, value)
            if name == "_state":
                self.__dict__.pop("_resolver", None)
            return
        if name in _NAME_LISTS:
            value = _normalize_names(name, value)
        resolver = self.model_copy(update={name: value})._resolver  # noqa: SLF001 - checks the names
        super().__setattr__(name, value)
        self.__dict__["_resolver"] = resolver

    def __copy__(self) -> Self:
        # `model_copy` calls this, then changes fields of the copy.
        copied = super().__copy__()
        for name in self._derived:
            copied.__dict__.pop(name, None)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return BaseModel.__deepcopy__(self.__copy__(), memo)  # a resolver holds locks

    def __getstate__(self) -> dict[Any, Any]:
        if self.api_keys:
            msg = (
                "a model with api_keys cannot be pickled;"
                " set the keys' environment variables where it will run"
            )
            raise TypeError(msg)
        state = super().__getstate__()
        fields = {k: v for k, v in state["__dict__"].items() if k not in self._derived}
        private = {**(state["__pydantic_private__"] or {}), "_state": None}
        return {**state, "__dict__": fields, "__pydantic_private__": private}


def _note_unknown_arguments(error: ValidationError, names: Iterable[str]) -> None:
    """Add a note with similar names for each argument that does not exist."""
    for detail in error.errors(include_input=False, include_context=False, include_url=False):
        if detail["type"] == "extra_forbidden":
            name = str(detail["loc"][0])
            error.add_note(f"unknown argument {name!r}{did_you_mean(name, names)}")


def _normalize_names(argument: str, value: Any) -> Any:
    """Return names as a tuple; a single model stays a string, and no model `None`.

    Raises:
        ConfigError: `value` is neither a string nor strings, or it is one string with several
            provider ids, separated by commas.
    """
    if value is None:
        return None if argument == "model" else ()
    if isinstance(value, str):
        return value if argument == "model" else (_one_provider_id(argument, value),)
    is_list = isinstance(value, Iterable) and not isinstance(value, Mapping | bytes)
    names = tuple(value) if is_list else ()
    if not is_list or not all(isinstance(name, str) for name in names):
        got = f"[{', '.join(map(_without_keys, names))}]" if is_list else _without_keys(value)
        expected = "a model name" if argument == "model" else "a provider id"
        msg = f"{argument}={got}: pass {expected} or a list of them"
        raise ConfigError(msg)
    return names


def _one_provider_id(argument: str, value: str) -> str:
    if "," in value:
        provider_ids = [part.strip() for part in value.split(",")]
        msg = f"{argument}={value!r} is one string; pass a list: {argument}={provider_ids!r}"
        raise ConfigError(msg)
    return value


def _without_keys(value: Any) -> str:
    """Return a name or number as it is written, and the type of anything that may hold a key."""
    is_plain = value is None or isinstance(value, str | int | float)
    return repr(value) if is_plain else f"<{type(value).__name__}>"


def _retries(value: Any) -> int:
    """Return `max_retries` as a number, converted as pydantic converts fields.

    Raises:
        ConfigError: It is not a whole number, or is negative.
    """
    try:
        return _RETRIES.validate_python(value)
    except ValidationError:
        msg = f"max_retries={_without_keys(value)}: pass a whole number, 0 or more"
        raise ConfigError(msg) from None


def _provider_of_key(models: tuple[str, ...], only: tuple[str, ...]) -> str:
    """Return the one provider that `only` or the models' names select.

    Raises:
        ConfigError: They select several providers, or none.
    """
    if only:
        provider_ids = set(only)
    elif all(re.search("[:/]", name) for name in models):
        provider_ids = {re.split("[:/]", name, maxsplit=1)[0] for name in models}
    else:
        provider_ids = set()
    if len(provider_ids) != 1:
        msg = (
            "api_key needs exactly one provider: select it with only= or in the model's name,"
            " as in 'groq/llama-3.3-70b', or pass api_keys={'groq': ...}"
        )
        raise ConfigError(msg)
    return provider_ids.pop()
