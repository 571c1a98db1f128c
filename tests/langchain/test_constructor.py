"""Constructors: what `help()` shows, which names are accepted, and subclasses of the models."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.load import dumpd, load
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel, Field, PrivateAttr

from inference_providers import ConfigError
from langchain_autoprovider import AutoChatModel, AutoEmbeddings
from langchain_autoprovider.options import ChatModelOptions, EmbeddingsOptions, LangChainOptions

if TYPE_CHECKING:
    from factories import Pair

ALIASES = {"max_retries", "api_key", "stop_sequences"}
CLASSES = [(AutoChatModel, ChatModelOptions), (AutoEmbeddings, EmbeddingsOptions)]


class Branded(AutoChatModel):
    """A subclass with a default of its own, a further field and an overridden method."""

    temperature: float | None = 0.25
    brand: str = "acme"

    def get_num_tokens(self, text: str) -> int:
        return len(text)


class Deeper(Branded):
    """A subclass of a subclass."""

    brand: str = "deeper"
    extra: dict[str, int] = {}  # noqa: RUF012 - pydantic copies it


class Plain(AutoChatModel):
    """A subclass that changes nothing."""


class Counting(BaseModel):
    """A mixin with a field and a private attribute."""

    step: int = 1
    _count: int = PrivateAttr(default=0)

    def count(self) -> int:
        self._count += self.step
        return self._count


class Mixed(Counting, Branded):
    """A subclass with a mixin."""


SUBCLASSES = [Plain, Branded, Deeper, Mixed]

NOT_NAMES = [
    (3, "3"),
    ({"groq": "gsk-made-up"}, "<dict>"),
    (b"groq", "<bytes>"),
    (["groq", 3], "['groq', 3]"),
    ([{"groq": "gsk-made-up"}, None], "[<dict>, None]"),
]


@pytest.mark.parametrize(("cls", "options"), CLASSES)
def test_options_and_fields_are_the_same_names(cls: Any, options: Any) -> None:
    named = options.__annotations__.keys() | {"model"}
    aliases = ALIASES if cls is AutoChatModel else ALIASES - {"stop_sequences"}
    assert named - aliases == set(cls.model_fields)
    assert aliases <= named


def test_langchain_options_are_the_fields_of_its_base() -> None:
    assert set(LangChainOptions.__annotations__) == set(BaseChatModel.model_fields)


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
def test_signature_lists_every_field(cls: Any) -> None:
    parameters = inspect.signature(cls).parameters
    assert next(iter(parameters)) == "model"
    assert parameters["model"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(parameters) == set(cls.model_fields)
    assert parameters["max_attempts"].default == 4


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
def test_help_describes_every_argument(cls: Any) -> None:
    text = pydoc.plain(pydoc.render_doc(cls))
    for name in cls.model_fields:
        assert f" {name}: " in text.split("Args:")[1], name
    schema = cls.model_json_schema(mode="serialization")["properties"]
    assert "cheapest first" in schema["sort"]["description"]
    undescribed = {n for n, field in cls.model_fields.items() if not field.description}
    assert undescribed <= set(BaseChatModel.model_fields)


def test_stop_sequences_is_stop(pair: Pair) -> None:
    for stop in ({"stop": "X"}, {"stop": ["X"]}, {"stop_sequences": "X"}):
        assert pair.model(**stop).stop == ["X"]


@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_one_provider_may_be_a_plain_string(pair: Pair, argument: str) -> None:
    model = pair.model(**{argument: "second"})
    assert model == pair.model(**{argument: ["second"]}) == pair.model(**{argument: {"second"}})
    first = model.explain().routes[0].provider
    assert first == ("first" if argument == "exclude" else "second")
    setattr(model, argument, "first")
    assert getattr(model, argument) == ("first",)
    copied = model.model_copy(update={argument: "second"})
    assert copied.explain().routes[0].provider == first


@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_providers_in_one_string_are_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=rf"pass a list: {argument}=\['groq', 'cerebras'\]"):
        AutoChatModel(**{argument: "groq, cerebras"})  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_provider_ids_may_be_none_or_any_iterable(cls: Any, argument: str) -> None:
    name = "smollm2-135m"
    assert getattr(cls(name, **{argument: None}), argument) == ()
    ids = (provider_id for provider_id in ("groq", "cerebras"))
    assert getattr(cls(name, **{argument: ids}), argument) == ("groq", "cerebras")


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
@pytest.mark.parametrize("argument", ["model", "only", "exclude", "order"])
@pytest.mark.parametrize(("value", "shown"), NOT_NAMES)
def test_names_that_are_not_strings_are_refused(
    cls: Any, argument: str, value: Any, shown: str
) -> None:
    expected = "a model name" if argument == "model" else "a provider id"
    for extra in ({}, {"api_key": "given-value"}):
        with pytest.raises(ConfigError) as caught:
            cls(**{"model": "smollm2-135m", argument: value, **extra})
        assert str(caught.value) == f"{argument}={shown}: pass {expected} or a list of them"


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
def test_model_may_be_any_iterable_of_names(cls: Any) -> None:
    model = cls(name for name in ("smollm2-135m", "embedded/smollm2-135m"))
    assert model.model == ("smollm2-135m", "embedded/smollm2-135m")


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
def test_max_retries_is_converted_like_other_numbers(cls: Any) -> None:
    for retries in (2, "2", 2.0):
        assert cls("smollm2-135m", max_retries=retries).max_attempts == 3


@pytest.mark.parametrize("cls", [AutoChatModel, AutoEmbeddings])
@pytest.mark.parametrize("retries", [-1, 2.5, "many", [2]])
def test_max_retries_that_is_not_a_number_is_refused(cls: Any, retries: Any) -> None:
    with pytest.raises(ConfigError, match=r"^max_retries=.*: pass a whole number, 0 or more$"):
        cls("smollm2-135m", max_retries=retries)


def test_api_key_is_accepted_beside_api_keys_of_none(pair: Pair) -> None:
    pair.model(only="second", api_key="given-value", api_keys=None).invoke("Hi")
    assert pair.second.requests[-1].headers["authorization"] == "Bearer given-value"
    assert pair.model(api_keys=None) == pair.model()


def test_api_keys_that_are_not_a_dict_are_refused_without_a_key(pair: Pair) -> None:
    with pytest.raises(ValueError, match="api_keys") as caught:
        pair.model(only="second", api_key="given-value", api_keys="other-value")
    assert "value" not in str(caught.value).replace("api_keys", "")


def test_stop_and_stop_sequences_together_are_refused(pair: Pair) -> None:
    with pytest.raises(ConfigError, match=r"stop and stop_sequences .* pass one of them"):
        pair.model(stop="X", stop_sequences=["Y"])
    for unset in ({"stop": None, "stop_sequences": "X"}, {"stop": "X", "stop_sequences": None}):
        assert pair.model(**unset).stop == ["X"]


def test_api_key_goes_to_the_provider_of_only(pair: Pair) -> None:
    for only in ("second", ["second"]):
        pair.model(only=only, api_key="given-value").invoke("Hi")
        assert pair.second.requests[-1].headers["authorization"] == "Bearer given-value"


@pytest.mark.parametrize(
    "arguments",
    [{"only": ["first", "second"]}, {}, {"model": ["first/m-1", "m-1"]}, {"model": None}],
)
def test_api_key_needs_exactly_one_provider(pair: Pair, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="api_key needs exactly one provider") as caught:
        AutoChatModel(
            registry=pair.registry(), api_key="given-value", **{"model": "m-1", **arguments}
        )
    assert "given-value" not in str(caught.value)


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_subclass_profile_follows_the_environment(
    cls: type[AutoChatModel], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cls("m-1", registry=pair.registry())
    assert "profile" in cls.model_fields
    assert cls.model_fields["profile"].default is None
    assert model.profile == {"name": "m-1"}
    for variable in ("FIRST_KEY", "SECOND_KEY"):
        monkeypatch.delenv(variable)
    assert model.profile is None


@pytest.mark.parametrize("cls", [AutoChatModel, *SUBCLASSES])
def test_profile_that_is_passed_in_stays(cls: type[AutoChatModel], pair: Pair) -> None:
    passed_in: ModelProfile = {"max_input_tokens": 7}
    model = cls("m-1", registry=pair.registry(), profile=passed_in)
    for same in (
        model,
        model.model_copy(),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert same.profile == passed_in
    model.profile = {"max_input_tokens": 8}
    assert model.profile == {"max_input_tokens": 8}
    model.profile = None
    assert model.profile == {"name": "m-1"}


def test_subclass_may_have_a_default_profile(pair: Pair) -> None:
    class Known(AutoChatModel):
        profile: ModelProfile | None = Field(default={"max_input_tokens": 9}, exclude=True)

    assert Known("m-1", registry=pair.registry()).profile == {"max_input_tokens": 9}
    assert pair.model().profile == {"name": "m-1"}


def test_subclass_may_resolve_its_own_profile(pair: Pair) -> None:
    class Resolving(AutoChatModel):
        def _resolve_model_profile(self) -> ModelProfile | None:
            return {"max_input_tokens": 11}

    assert Resolving("m-1", registry=pair.registry()).profile == {"max_input_tokens": 11}


@pytest.mark.filterwarnings("ignore:.*is in beta")
@pytest.mark.parametrize("cls", SUBCLASSES)
def test_subclass_copies_dumps_and_pickles(cls: type[AutoChatModel], pair: Pair) -> None:
    model = cls(["m-1"], registry=pair.registry(), max_tokens=9, only="second")
    model.invoke("Hi")
    allowed = {"allowed_objects": [cls], "valid_namespaces": [cls.__module__.split(".")[0]]}
    copies = {
        "model_copy": model.model_copy(),
        "deep model_copy": model.model_copy(deep=True),
        "copy": copy.copy(model),
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "model_dump": cls(**model.model_dump()),
        "load": load(dumpd(model), **allowed),
    }
    for how, same in copies.items():
        assert type(same) is cls, how
        assert same == model, how
        assert same.invoke("Hi").text == "from second", how


def test_subclass_fields_and_methods_are_used(pair: Pair) -> None:
    model = Deeper("m-1", registry=pair.registry(), extra={"a": 1})
    assert (model.brand, model.temperature, model.extra) == ("deeper", 0.25, {"a": 1})
    assert model.get_num_tokens("four") == 4
    model.invoke("Hi")
    assert pair.first.requests[0].body["temperature"] == 0.25
    assert "brand" not in pair.first.requests[0].body
    mixed = Mixed("m-1", registry=pair.registry(), step=2)
    assert (mixed.count(), mixed.count(), mixed.brand) == (2, 4, "acme")
    with pytest.raises(ValueError, match="brnad"):
        Deeper("m-1", registry=pair.registry(), brnad="x")  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_subclass_is_configured_like_any_runnable(cls: type[AutoChatModel], pair: Pair) -> None:
    model = cls("m-1", registry=pair.registry())
    assert model.bind(max_tokens=3).invoke("Hi").text == "from first"
    assert pair.first.requests[-1].body["max_tokens"] == 3
    assert model.with_config(tags=["t"]).invoke("Hi").text == "from first"
    fields = {name: ConfigurableField(id=name) for name in ("model", "only", "temperature")}
    chosen = model.configurable_fields(**fields).with_config(
        configurable={"only": "second", "temperature": 0.75}
    )
    assert chosen.invoke("Hi").text == "from second"
    assert pair.second.requests[-1].body["temperature"] == 0.75
    assert model.with_structured_output({"title": "A", "type": "object"}) is not None
    assert model.as_fallbacks().invoke("Hi").text == "from first"
