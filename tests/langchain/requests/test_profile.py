"""`profile`: what every route of an `AutoChatModel` can do."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from inference_providers import UnknownModelError
from inference_providers.testing import FakeProvider
from langchain_autoprovider import AutoChatModel


def model_with(*entries: dict[str, Any], **rows: Any) -> AutoChatModel:
    with FakeProvider() as fake:  # a profile contacts no provider
        providers = {
            f"p-{n}": fake.row({"m-1": {"id": "x", **entry}}, key=f"P{n}_KEY", **rows)
            for n, entry in enumerate(entries)
        }
    return AutoChatModel("m-1", registry={"providers": providers})


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P0_KEY", "a-key-value")
    monkeypatch.setenv("P1_KEY", "another-key-value")


def test_profile_of_routes_is_what_all_can_do() -> None:
    model = model_with(
        {
            "context": 8000,
            "output": 900,
            "tools": True,
            "structured": True,
            "input": ["text", "image"],
        },
        {"context": 4000, "tools": True, "structured": False, "input": ["text"]},
    )
    assert model.profile == {
        "name": "m-1",
        "max_input_tokens": 4000,
        "max_output_tokens": 900,
        "tool_calling": True,
        "tool_choice": True,
        "structured_output": False,
        "text_inputs": True,
        "image_inputs": False,
        "audio_inputs": False,
        "video_inputs": False,
        "pdf_inputs": False,
    }


def test_profile_leaves_out_what_is_unknown_for_a_route() -> None:
    assert model_with({"tools": True}, {"input": ["text"]}).profile == {
        "name": "m-1",
        "text_inputs": True,
        **dict.fromkeys(("image_inputs", "audio_inputs", "video_inputs", "pdf_inputs"), False),
    }
    assert model_with({"input": []}).profile == {"name": "m-1"}


def test_profile_respects_quirks() -> None:
    quirks = {"response_format": "json_object", "forced_tool_choice": False}
    profile = model_with({"tools": True, "structured": True}, quirks=quirks).profile
    assert profile is not None
    assert profile["structured_output"] is profile["tool_choice"] is False


def test_profile_follows_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with({"context": 8000}, {"context": 4000})
    monkeypatch.delenv("P1_KEY")
    assert model.profile == {**model_with({"context": 8000}).profile}  # type: ignore[dict-item] - not None
    monkeypatch.delenv("P0_KEY")
    assert model.profile is None
    monkeypatch.setenv("P1_KEY", "set-again-value")
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 4000


def test_profile_is_computed_only_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_autoprovider.chat_models.profile_of", None)
    model = model_with({"context": 8000})
    with pytest.raises(TypeError):
        _ = model.profile


def test_profile_that_is_passed_in_is_kept_and_checked() -> None:
    model = AutoChatModel("gpt-oss-120b", profile={"max_input_tokens": 5})
    assert model.profile == model.model_copy().profile == {"max_input_tokens": 5}
    model.profile = {"max_input_tokens": 6}
    assert model.profile == {"max_input_tokens": 6}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        AutoChatModel("gpt-oss-120b", profile={"unheard_of": 5})
    assert "unheard_of" in str(caught[0].message)


def test_profile_does_not_hide_an_unknown_model_error() -> None:
    with pytest.raises(UnknownModelError):
        AutoChatModel("no-such-model-anywhere")


def test_profile_of_the_embedded_model(embedded: AutoChatModel) -> None:
    assert embedded.profile is not None
    assert embedded.profile["max_input_tokens"] == 2048
    assert embedded.profile["structured_output"] is True
