"""Constructors of the four public classes: names, signature, `help()`, refused arguments."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any, NamedTuple

import pytest
from langchain_core.language_models import BaseChatModel

from inference_providers import ConfigError
from langchain_autoprovider import AutoChatModel, AutoEmbeddings
from langchain_autoprovider.options import ChatModelOptions, EmbeddingsOptions, LangChainOptions
from llamaindex_autoprovider import AutoEmbedding, AutoLLM
from llamaindex_autoprovider.options import AutoEmbeddingOptions, AutoLLMOptions

ALIASES = {"max_retries", "api_key", "stop_sequences"}
LANGCHAIN_FIELDS = frozenset(BaseChatModel.model_fields)
MODEL = "smollm2-135m"
NOT_NAMES = [
    (3, "3"),
    ({"groq": "gsk-made-up"}, "<dict>"),
    (b"groq", "<bytes>"),
    (["groq", 3], "['groq', 3]"),
    ([{"groq": "gsk-made-up"}, None], "[<dict>, None]"),
]


class Constructor(NamedTuple):
    """A public class, its typed keyword arguments, and the names that it accepts."""

    cls: Any
    options: Any
    names: set[str]


CONSTRUCTORS = [
    Constructor(AutoChatModel, ChatModelOptions, {*AutoChatModel.model_fields}),
    Constructor(AutoEmbeddings, EmbeddingsOptions, {*AutoEmbeddings.model_fields}),
    Constructor(
        AutoLLM,
        AutoLLMOptions,
        {*AutoLLM.model_fields} | AutoChatModel.model_fields.keys() - LANGCHAIN_FIELDS,
    ),
    Constructor(
        AutoEmbedding,
        AutoEmbeddingOptions,
        {*AutoEmbedding.model_fields} | AutoEmbeddings.model_fields.keys() - LANGCHAIN_FIELDS,
    ),
]
CHAT = (AutoChatModel, AutoLLM)

each_constructor = pytest.mark.parametrize(
    "constructor", CONSTRUCTORS, ids=lambda it: it.cls.__name__
)
each_class = pytest.mark.parametrize("cls", [it.cls for it in CONSTRUCTORS])


@each_constructor
def test_options_name_every_argument(constructor: Constructor) -> None:
    names = constructor.options.__annotations__.keys() | {"model"}
    aliases = ALIASES if constructor.cls in CHAT else ALIASES - {"stop_sequences"}
    assert names - aliases == constructor.names
    assert aliases <= names
    assert constructor.options.__doc__


def test_langchain_options_are_the_fields_of_its_base() -> None:
    assert set(LangChainOptions.__annotations__) == LANGCHAIN_FIELDS


@each_constructor
def test_signature_lists_every_argument(constructor: Constructor) -> None:
    parameters = inspect.signature(constructor.cls).parameters
    assert next(iter(parameters)) == "model"
    assert parameters["model"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(parameters) == constructor.names
    assert parameters["max_attempts"].default == 4


@pytest.mark.parametrize("cls", [AutoLLM, AutoEmbedding])
def test_signature_makes_an_existing_model_optional(cls: Any) -> None:
    assert inspect.signature(cls).parameters[cls.model_field].default is None


@each_constructor
def test_help_describes_every_argument(constructor: Constructor) -> None:
    text = pydoc.plain(pydoc.render_doc(constructor.cls)).split("Args:")[1]
    for name in constructor.names:
        assert f" {name}: " in text, name


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
def test_json_schema_describes_every_field(cls: Any) -> None:
    schema = cls.model_json_schema(mode="serialization")["properties"]
    assert "cheapest first" in schema["sort"]["description"]
    undescribed = {n for n, field in cls.model_fields.items() if not field.description}
    assert undescribed <= LANGCHAIN_FIELDS


@each_class
@pytest.mark.parametrize("argument", ["temprature", "sytem_prompt", "exlude"])
def test_misspelled_argument_is_refused(cls: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        cls(MODEL, **{argument: 0})


@each_class
@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_provider_ids_may_be_none_or_any_iterable(cls: Any, argument: str) -> None:
    assert getattr(cls(MODEL, **{argument: None}), argument) == ()
    assert getattr(cls(MODEL, **{argument: "groq"}), argument) == ("groq",)
    ids = (provider_id for provider_id in ("groq", "cerebras"))
    assert getattr(cls(MODEL, **{argument: ids}), argument) == ("groq", "cerebras")


@each_class
@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_providers_in_one_string_are_refused(cls: Any, argument: str) -> None:
    with pytest.raises(ConfigError, match=rf"pass a list: {argument}=\['groq', 'cerebras'\]"):
        cls(**{argument: "groq, cerebras"})


@each_class
@pytest.mark.parametrize("argument", ["model", "only", "exclude", "order"])
@pytest.mark.parametrize(("value", "shown"), NOT_NAMES)
def test_names_that_are_not_strings_are_refused(
    cls: Any, argument: str, value: Any, shown: str
) -> None:
    expected = "a model name" if argument == "model" else "a provider id"
    for extra in ({}, {"api_key": "given-value"}):
        with pytest.raises(ConfigError) as caught:
            cls(**{"model": MODEL, argument: value, **extra})
        assert str(caught.value) == f"{argument}={shown}: pass {expected} or a list of them"


@each_class
def test_model_may_be_any_iterable_of_names(cls: Any) -> None:
    model = cls(name for name in (MODEL, f"embedded/{MODEL}"))
    assert model.model == (MODEL, f"embedded/{MODEL}")


@each_class
def test_max_retries_is_converted_like_other_numbers(cls: Any) -> None:
    for retries in (2, "2", 2.0):
        assert cls(MODEL, max_retries=retries).max_attempts == 3


@each_class
@pytest.mark.parametrize("retries", [-1, 2.5, "many", [2]])
def test_max_retries_that_is_not_a_number_is_refused(cls: Any, retries: Any) -> None:
    with pytest.raises(ConfigError, match=r"^max_retries=.*: pass a whole number, 0 or more$"):
        cls(MODEL, max_retries=retries)


@pytest.mark.parametrize("cls", CHAT)
def test_stop_sequences_is_stop(cls: Any) -> None:
    for stop in ({"stop": "X"}, {"stop": ["X"]}, {"stop_sequences": "X"}):
        assert cls(MODEL, **stop).stop == ["X"]
    for unset in ({"stop": None, "stop_sequences": "X"}, {"stop": "X", "stop_sequences": None}):
        assert cls(MODEL, **unset).stop == ["X"]


@pytest.mark.parametrize("cls", CHAT)
def test_stop_and_stop_sequences_together_are_refused(cls: Any) -> None:
    with pytest.raises(ConfigError, match=r"stop and stop_sequences .* pass one of them"):
        cls(MODEL, stop="X", stop_sequences=["Y"])


@each_class
def test_api_keys_that_are_not_a_dict_are_refused_without_a_key(cls: Any) -> None:
    with pytest.raises(ValueError, match="api_keys") as caught:
        cls(MODEL, only="groq", api_key="given-value", api_keys="other-value")
    assert "value" not in str(caught.value).replace("api_keys", "")


@each_class
@pytest.mark.parametrize(
    "arguments",
    [{"only": ["groq", "cerebras"]}, {}, {"model": [f"embedded/{MODEL}", MODEL]}, {"model": None}],
)
def test_api_key_needs_exactly_one_provider(cls: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="api_key needs exactly one provider") as caught:
        cls(api_key="given-value", **{"model": MODEL, **arguments})
    assert "given-value" not in str(caught.value)
