"""What `AutoLLM` and `AutoEmbedding` share: a LlamaIndex component on a routed LangChain model.

* A constructor argument is either a field of LlamaIndex's base class, or a setting of the model.
* Settings read as attributes. They cannot be assigned; `model_copy(update=...)` changes them.
* A dump holds both, without keys, and recreates the component. A registry that was passed as a
  `Registry` object is left out.
"""

from __future__ import annotations

import inspect
import pickle
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from langchain_core.language_models import BaseChatModel
from llama_index.core.schema import BaseComponent
from pydantic import ConfigDict, Field, model_serializer

from inference_providers.errors import ConfigError
from inference_providers.registry.registry import Registry
from langchain_autoprovider.options import arguments_section
from llamaindex_autoprovider.options import UNDESCRIBED_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SerializationInfo, SerializerFunctionWrapHandler

    from inference_providers.types import Plan, Route
    from langchain_autoprovider.options import ModelNames
    from langchain_autoprovider.routed_model import RoutedModel

__all__ = ["RoutedComponent"]

_LANGCHAIN_ONLY = frozenset(BaseChatModel.model_fields)
"""Settings without a meaning in LlamaIndex."""


class RoutedComponent(BaseComponent):
    """Base of a LlamaIndex component that runs on a routed LangChain model."""

    model_field: ClassVar[str]
    """The name of the field that holds the model."""
    setting_names: ClassVar[frozenset[str]] = frozenset()
    """The model's settings: its fields, except LangChain's own."""

    model_config: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)

    def __init__(self, model: ModelNames = None, **options: Any) -> None:
        options.pop("class_name", None)  # part of every dump
        fields = {name: options.pop(name) for name in type(self).model_fields if name in options}
        if foreign := sorted(_LANGCHAIN_ONLY.intersection(options)):
            msg = (
                f"LangChain settings are not accepted: {', '.join(foreign)};"
                " LlamaIndex has its own, such as callback_manager"
            )
            raise ConfigError(msg)
        if self.model_field not in fields:
            fields[self.model_field] = self._model_class()(model, **options)
        elif model is not None or options:
            msg = f"Pass either {self.model_field} or its settings, not both"
            raise ConfigError(msg)
        super().__init__(**fields)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.setting_names = frozenset(cls._model_class().model_fields) - _LANGCHAIN_ONLY
        _describe_constructor(cls)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).setting_names:
            return getattr(self._model, name)
        return super().__getattr__(name)  # type: ignore[misc]  # hidden from type checkers

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).setting_names:
            msg = (
                f"{name!r} cannot be changed on an existing {type(self).__name__};"
                f" use model_copy(update={{{name!r}: ...}})"
            )
            raise ConfigError(msg)
        super().__setattr__(name, value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the changes of `update`, which are not validated."""
        changes = dict(update or {})
        names = type(self).setting_names & changes.keys()
        if settings := {name: changes.pop(name) for name in names}:
            changes[self.model_field] = self._model.model_copy(update=settings)
        return super().model_copy(update=changes, deep=deep)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that a call would try now, in order."""
        return self.explain().routes

    def explain(self) -> Plan:
        """Return who would serve this model now, and why the others would not.

        Prints as a table, also in a notebook. Nothing is sent to a provider. Model servers on
        this machine are looked for if a call would look for them.
        """
        return self._model.explain()

    @model_serializer(mode="wrap")
    def custom_model_dump(
        self,
        handler: SerializerFunctionWrapHandler,
        info: SerializationInfo,  # noqa: ARG002 - LlamaIndex's signature
    ) -> dict[str, Any]:
        """Return everything that recreates this component, without keys."""
        return {**handler(self), **self._dump_settings(), "class_name": self.class_name()}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        settings = self._dump_settings()
        settings.pop("registry", None)
        return settings.items()

    def __getstate__(self) -> dict[str, Any]:
        # LlamaIndex silently drops fields that cannot be pickled; raise the reason instead.
        pickle.dumps(self._model)
        return super().__getstate__()

    @property
    def _model(self) -> RoutedModel:
        model: RoutedModel = getattr(self, self.model_field)
        return model

    @classmethod
    def _model_class(cls) -> type[RoutedModel]:
        return cast("type[RoutedModel]", cls.model_fields[cls.model_field].annotation)

    def _dump_settings(self) -> dict[str, Any]:
        """Return the model's settings as JSON values, without defaults and keys."""
        names = set(type(self).setting_names)
        if isinstance(self._model.registry, Registry):
            names.remove("registry")
        settings = self._model.model_dump(mode="json", include=names, exclude_defaults=True)
        return {"model": None, **settings}


def _describe_constructor(cls: type[RoutedComponent]) -> None:
    """Add the model's settings to the constructor's signature and docstring, for `help()`."""
    model_class = cls._model_class()
    parameters = inspect.signature(cls).parameters.values()
    subclass_parameters = [it for it in parameters if it.name not in cls.model_fields]
    fields = [
        it.replace(default=None) if it.name == cls.model_field else it
        for it in parameters
        if it.name in cls.model_fields
    ]
    names = cls.setting_names - {it.name for it in subclass_parameters}
    settings = [it for it in inspect.signature(model_class).parameters.values() if it.name in names]
    # The constructor of a subclass may have parameters of any kind, also `*args`.
    cls.__signature__ = inspect.Signature(
        sorted([*subclass_parameters, *settings, *fields], key=lambda it: it.kind)
    )

    constructor = vars(cls).get("__init__")
    if constructor is not None and not constructor.__doc__:
        described = {n: it for n, it in model_class.model_fields.items() if n in cls.setting_names}
        for name, it in cls.model_fields.items():
            if not it.description and name in UNDESCRIBED_FIELDS:
                described[name] = Field(description=UNDESCRIBED_FIELDS[name])
            else:
                described[name] = it
        constructor.__doc__ = arguments_section(described)
