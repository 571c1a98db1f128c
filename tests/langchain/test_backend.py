"""The core's `Backend` on LangChain's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.registry.registry import Registry
from inference_providers.types import Selection
from langchain_autoprovider.backend import chat_model

if TYPE_CHECKING:
    from factories import Pair


def test_chat_model_has_every_field_of_the_selection(pair: Pair) -> None:
    changed: dict[str, Any] = {
        "models": ("m-1", "first/m-1"),
        "only": ("first", "second"),
        "exclude": ("second",),
        "order": ("first",),
        "local": True,
        "sort": "price",
    }
    assert set(changed) == set(Selection.__struct_fields__)
    selection = Selection(**changed)
    model = chat_model(selection, Registry.load(pair.registry()))
    assert msgspec.structs.asdict(model._selection) == changed
