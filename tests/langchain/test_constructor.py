"""What the constructor of `AutoChatModel` does with its arguments, and subclasses of it."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest
from langchain_core.language_models import ModelProfile  # noqa: TC002 - pydantic reads it
from langchain_core.load import dumpd, load
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel, Field, PrivateAttr

from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from factories import Pair


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


def test_api_key_is_accepted_beside_api_keys_of_none(pair: Pair) -> None:
    pair.model(only="second", api_key="given-value", api_keys=None).invoke("Hi")
    assert pair.second.requests[-1].headers["authorization"] == "Bearer given-value"
    assert pair.model(api_keys=None) == pair.model()


def test_api_key_goes_to_the_provider_of_only(pair: Pair) -> None:
    for only in ("second", ["second"]):
        pair.model(only=only, api_key="given-value").invoke("Hi")
        assert pair.second.requests[-1].headers["authorization"] == "Bearer given-value"


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
