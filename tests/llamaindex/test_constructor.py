"""What the constructors of `AutoLLM` and `AutoEmbedding` do with arguments, and subclasses."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from langchain_autoprovider import AutoChatModel
from llamaindex_autoprovider import AutoEmbedding, AutoLLM

if TYPE_CHECKING:
    from factories import Pair


class Branded(AutoLLM):
    """A subclass with a field of its own."""

    brand: str = "acme"


class Deeper(Branded):
    """A subclass of a subclass that overrides a method."""

    @classmethod
    def class_name(cls) -> str:
        return "Deeper"


class Plain(AutoLLM):
    """A subclass that changes nothing."""


SUBCLASSES = [Plain, Branded, Deeper]


def test_only_accepts_a_plain_string(pair: Pair) -> None:
    llm = pair.llm(only="second")
    assert llm.only == ("second",)
    assert llm.complete("Hi").text == "from second"
    assert pair.llm().model_copy(update={"only": "second"}).complete("Hi").text == "from second"


def test_api_key_is_accepted_beside_api_keys_of_none(pair: Pair) -> None:
    pair.llm(only="second", api_key="given-value", api_keys=None).complete("Hi")
    assert pair.second.requests[-1].headers["authorization"] == "Bearer given-value"


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_subclass_copies_dumps_and_pickles(cls: type[AutoLLM], pair: Pair) -> None:
    llm = cls("m", registry=pair.registry(), max_tokens=9, only="second", system_prompt="Hi.")
    llm.complete("Hi")
    copies = {
        "model_copy": llm.model_copy(),
        "deep model_copy": llm.model_copy(deep=True),
        "copy": copy.copy(llm),
        "deepcopy": copy.deepcopy(llm),
        "pickle": pickle.loads(pickle.dumps(llm)),
        "from_dict": cls.from_dict(llm.to_dict()),
        "from_dict of JSON": cls.from_dict(json.loads(llm.to_json())),
        "model_validate_json": cls.model_validate_json(llm.model_dump_json()),
    }
    for how, same in copies.items():
        assert type(same) is cls, how
        assert same.to_dict() == llm.to_dict(), how
        assert same.metadata == llm.metadata, how
        assert (same.max_tokens, same.complete("Hi").text) == (9, "from second"), how


def test_subclass_fields_stay_apart_from_settings(pair: Pair) -> None:
    llm = Deeper("m", registry=pair.registry(), brand="b", temperature=0.25)  # type: ignore[call-arg]
    assert (llm.brand, llm.temperature) == ("b", 0.25)
    assert llm.to_dict()["class_name"] == "Deeper"
    llm.brand = "c"
    changed = llm.model_copy(update={"brand": "d", "temperature": 0.5})
    assert (llm.brand, changed.brand, changed.temperature) == ("c", "d", 0.5)
    llm.complete("Hi")
    assert pair.first.requests[0].body["temperature"] == 0.25
    assert "brand" not in pair.first.requests[0].body


def test_subclass_may_use_a_subclass_of_the_model(pair: Pair) -> None:
    class Quiet(AutoChatModel):
        temperature: float | None = 0.125

    class QuietLLM(AutoLLM):
        chat_model: Quiet

    llm = QuietLLM("m", registry=pair.registry())
    assert type(llm.chat_model) is Quiet
    assert llm.temperature == 0.125
    assert "temperature" in inspect.signature(QuietLLM).parameters


def test_subclass_may_have_its_own_constructor(pair: Pair) -> None:
    class Anything(AutoLLM):
        brand: str = "acme"

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)

    class KeywordOnly(AutoLLM):
        brand: str

        def __init__(self, *, brand: str, **options: Any) -> None:
            super().__init__("m", brand=brand.upper(), **options)

    class Vectors(AutoEmbedding):
        brand: str = "acme"

        def __init__(self, *args: Any, brand: str = "b", **options: Any) -> None:
            super().__init__(*args, brand=brand, **options)

    assert Anything("m", registry=pair.registry()).complete("Hi").text == "from first"
    llm = KeywordOnly(brand="b", registry=pair.registry(), temperature=0.5)
    assert (llm.brand, llm.temperature, llm.complete("Hi").text) == ("B", 0.5, "from first")
    assert Vectors("smollm2-135m", brand="c").brand == "c"
    for cls in (Anything, KeywordOnly, Vectors):
        assert {"brand", "only"} <= inspect.signature(cls).parameters.keys()
        assert "only: One or several ids of the providers" in (cls.__init__.__doc__ or "")


def test_embedding_subclass_copies_and_pickles() -> None:
    class_of = type(AutoEmbedding("smollm2-135m", embed_batch_size=3))
    model = class_of("smollm2-135m", embed_batch_size=3, batch_size=7)
    for same in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        AutoEmbedding.from_dict(model.to_dict()),
    ):
        assert same.to_dict() == model.to_dict()
        assert (same.embed_batch_size, same.batch_size) == (3, 7)
