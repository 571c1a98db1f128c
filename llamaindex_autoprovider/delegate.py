"""What LlamaIndex's LLM and embeddings have in common: they stand on one of LangChain's."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_core.language_models import BaseChatModel
from llama_index.core.schema import BaseComponent
from pydantic import model_serializer

from inference_providers.errors import ConfigError
from inference_providers.registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SerializationInfo, SerializerFunctionWrapHandler

    from inference_providers.types import Plan, Route

__all__ = ["Standing"]

_LANGCHAINS = frozenset(BaseChatModel.model_fields)
"""Settings that mean something to LangChain only."""


class Standing(BaseComponent):
    """Base of what takes the arguments of a model of ours, and LlamaIndex's own beside them.

    Arguments are handed on by name, so what that model learns is known here at once. They
    read as attributes, and stand in dumps, all but keys. A dump makes another one like it,
    unless a `Registry` object was given, which is left out.
    """

    stands_on: ClassVar[str]
    """The field that holds the model."""

    def __init__(self, model: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        kwargs.pop("class_name", None)  # stands in every dump
        own = {name: kwargs.pop(name) for name in set(kwargs) & set(type(self).model_fields)}
        if foreign := sorted(_LANGCHAINS.intersection(kwargs)):
            msg = f"{', '.join(foreign)}: LangChain's own; LlamaIndex has callback_manager and such"
            raise ConfigError(msg)
        if self.stands_on not in own:
            own[self.stands_on] = self._kind()(model, **kwargs)
        elif model is not None or kwargs:
            msg = f"Give a {self.stands_on}, or what it is made of; both were given"
            raise ConfigError(msg)
        super().__init__(**own)

    def __getattr__(self, name: str) -> Any:
        if name in self._setting_names():
            return getattr(self._base, name)
        return super().__getattr__(name)  # type: ignore[misc]  # hidden from type checkers

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._setting_names():
            msg = f"{name!r} is not changed any more; take model_copy(update={{{name!r}: ...}})"
            raise ConfigError(msg)
        super().__setattr__(name, value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return another one like this, with the changes of `update`, which are not checked."""
        own = dict(update or {})
        if changed := {name: own.pop(name) for name in self._setting_names() & own.keys()}:
            own[self.stands_on] = self._base.model_copy(update=changed)
        return super().model_copy(update=own, deep=deep)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that would be tried now, in order."""
        return self.explain().routes

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not.

        Prints as a table, and shows as one in a notebook. Nothing is sent to a provider.
        """
        plan: Plan = self._base.explain()
        return plan

    @model_serializer(mode="wrap")
    def custom_model_dump(
        self,
        handler: SerializerFunctionWrapHandler,
        info: SerializationInfo,  # noqa: ARG002 - LlamaIndex's signature
    ) -> dict[str, Any]:
        """Return all that makes another one like this, without keys."""
        return {**handler(self), **self._settings(), "class_name": self.class_name()}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        settings = self._settings()
        settings.pop("registry", None)
        return settings.items()

    def __getstate__(self) -> dict[str, Any]:
        pickle.dumps(self._base)  # says what is in the way; LlamaIndex would leave it out
        return super().__getstate__()

    @property
    def _base(self) -> Any:
        return getattr(self, self.stands_on)

    @classmethod
    def _kind(cls) -> Any:
        """Return the class of the model it stands on."""
        return cls.model_fields[cls.stands_on].annotation

    @classmethod
    def _setting_names(cls) -> frozenset[str]:
        return frozenset(cls._kind().model_fields) - _LANGCHAINS

    def _settings(self) -> dict[str, Any]:
        """Return what the model is made of, but for keys, as JSON has it."""
        left_out = {"registry"} if isinstance(self._base.registry, Registry) else set()
        settings = self._base.model_dump(
            mode="json", include=set(self._setting_names()) - left_out, exclude_defaults=True
        )
        return {"model": None, **settings}
