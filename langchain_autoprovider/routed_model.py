"""The arguments that say which model is meant, who may serve it, and how many are asked.

Chat models and embeddings share them, with what follows from them: the resolver, the
routes, and that a model is a value, which holds the names of keys and no connection.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError
from inference_providers.routing.resolver import Resolver
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.types import Plan, Route, Selection, Sort
from inference_providers.updates.effective_registry import registry_here
from langchain_autoprovider.protocols import connections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inference_providers.registry.registry import Registry

__all__ = ["RoutedModel"]

_LEFT_TO_US = ("max_retries", "timeout")
_Names = str | tuple[str, ...] | None


class RoutedModel(BaseModel):
    """Base of what is named by a model, and served by whichever provider holds a key."""

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
    max_attempts: int = Field(default=DEFAULT_SETTINGS.max_attempts, ge=1)
    """Attempts of one request, over all routes. `max_retries=n` means `n + 1`."""
    cooldown: bool = DEFAULT_SETTINGS.cooldown
    """Whether routes that failed rest, so that the next call does not ask them again."""
    registry: Any = Field(default=None, repr=False)
    """A path, JSON text or dict laid over the registry in force here, or a `Registry`."""
    api_keys: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, repr=False)
    """Keys by provider id, in place of the environment's. `api_key=` is the key of the
    one provider that `only` or the model's name pins."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)  # it may be a key

    def __init__(self, model: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**{"model": model, **_with_key(model, kwargs)})
        _ = self._resolver  # made now, since it checks the names

    @field_validator("model", "only", "exclude", "order", mode="before")
    @classmethod
    def _as_names(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="before")
    @classmethod
    def _retries_as_attempts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        # LangChain's own models are given `None` for what is left to them.
        made = {k: v for k, v in values.items() if v is not None or k not in _LEFT_TO_US}
        if isinstance(made.get("max_retries"), int):
            made.setdefault("max_attempts", made.pop("max_retries") + 1)
        return made

    @property
    def model_name(self) -> str:
        """The first model asked for, or `auto`."""
        return next(iter(self._names()), "auto")

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that would be tried now, in order."""
        return self.explain().routes

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not.

        Prints as a table, and shows as one in a notebook. Nothing is sent to a
        provider; model servers on this machine are looked for where a call would.
        """
        return self._resolver.plan()

    def _names(self) -> tuple[str, ...]:
        return (self.model,) if isinstance(self.model, str) else (self.model or ())

    def _for_model(self, model: str | Sequence[str] | None) -> Self:
        return self.model_copy(update={"model": self._as_names(model)})

    @cached_property
    def _resolver(self) -> Resolver:
        keys = Keys({name: key.get_secret_value() for name, key in self.api_keys.items()})
        return Resolver(self._selection, self._loaded(), keys, self._unspoken)

    @property
    def _selection(self) -> Selection:
        return Selection(
            models=self._names(),
            only=self.only,
            exclude=self.exclude,
            order=self.order,
            local=self.local,
            sort=self.sort,
        )

    def _loaded(self) -> Registry:
        return registry_here(self.registry)

    def _unspoken(self, registry: Registry) -> Mapping[str, str]:
        return connections.unsupported_protocols(registry)

    _made_from_it: ClassVar[tuple[str, ...]] = ("_resolver",)
    """What is made from the arguments and goes neither into copies nor into pickles."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in RoutedModel.model_fields:
            super().__setattr__(name, value)
            return
        if name in {"model", "only", "exclude", "order"}:
            value = self._as_names(value)
        made = self.model_copy(update={name: value})._resolver  # noqa: SLF001 - it checks the names
        super().__setattr__(name, value)
        self.__dict__["_resolver"] = made

    def __copy__(self) -> Self:
        # `model_copy` changes fields of the copy: what was made from the old ones is not its own.
        copied = super().__copy__()
        for name in self._made_from_it:
            copied.__dict__.pop(name, None)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return BaseModel.__deepcopy__(self.__copy__(), memo)  # of what has no lock inside

    def __getstate__(self) -> dict[Any, Any]:
        if self.api_keys:
            msg = "a model with api_keys is not pickled; set the keys' variables where it will run"
            raise TypeError(msg)
        state = super().__getstate__()
        fields = {k: v for k, v in state["__dict__"].items() if k not in self._made_from_it}
        return {**state, "__dict__": fields}


def _with_key(model: str | Sequence[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `api_key` into an entry of `api_keys`.

    Raises:
        ConfigError: It is not clear whose key it is.
    """
    kwargs = dict(given)
    key = kwargs.pop("api_key", None)
    if key is None:
        return kwargs
    only = kwargs.get("only") or ()
    names = [model] if isinstance(model, str) else (model or ())
    pinned = {re.split("[:/]", name, maxsplit=1)[0] for name in names}
    whose = set(only) or pinned
    if len(whose) != 1 or not (only or all(re.search("[:/]", name) for name in names)):
        msg = (
            "api_key does not say whose key it is: pass api_keys={'groq': ...}, or name one"
            " provider in only= or before the model, as in 'groq/llama-3.3-70b'"
        )
        raise ConfigError(msg)
    kwargs["api_keys"] = {**kwargs.get("api_keys", {}), whose.pop(): key}
    return kwargs
