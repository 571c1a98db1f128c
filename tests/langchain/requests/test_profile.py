"""What an `AutoChatModel` says it can do."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from inference_providers import UnknownModelError
from inference_providers.testing import FakeProvider
from langchain_autoprovider import AutoChatModel


def over(*entries: dict[str, Any], **rows: Any) -> AutoChatModel:
    with FakeProvider() as fake:  # a profile asks nobody
        providers = {
            f"p-{n}": fake.row({"m-1": {"id": "x", **entry}}, key=f"P{n}_KEY", **rows)
            for n, entry in enumerate(entries)
        }
    return AutoChatModel("m-1", registry={"providers": providers})


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P0_KEY", "a-key-value")
    monkeypatch.setenv("P1_KEY", "another-key-value")


def test_it_is_what_every_route_can_do() -> None:
    model = over(
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


def test_what_is_not_known_of_every_route_is_left_out() -> None:
    assert over({"tools": True}, {"input": ["text"]}).profile == {
        "name": "m-1",
        "text_inputs": True,
        **dict.fromkeys(("image_inputs", "audio_inputs", "video_inputs", "pdf_inputs"), False),
    }
    assert over({"input": []}).profile == {"name": "m-1"}


def test_quirks_count() -> None:
    quirks = {"response_format": "json_object", "forced_tool_choice": False}
    profile = over({"tools": True, "structured": True}, quirks=quirks).profile
    assert profile is not None
    assert profile["structured_output"] is profile["tool_choice"] is False


def test_it_follows_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    model = over({"context": 8000}, {"context": 4000})
    monkeypatch.delenv("P1_KEY")
    assert model.profile == {**over({"context": 8000}).profile}  # type: ignore[dict-item] - not None
    monkeypatch.delenv("P0_KEY")
    assert model.profile is None
    monkeypatch.setenv("P1_KEY", "set-again-value")
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 4000


def test_it_is_made_when_it_is_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_autoprovider.chat_models.profile_of", None)
    model = over({"context": 8000})
    with pytest.raises(TypeError):
        _ = model.profile


def test_a_profile_that_is_given_stays_and_is_checked() -> None:
    model = AutoChatModel("gpt-oss-120b", profile={"max_input_tokens": 5})
    assert model.profile == model.model_copy().profile == {"max_input_tokens": 5}
    model.profile = {"max_input_tokens": 6}
    assert model.profile == {"max_input_tokens": 6}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        AutoChatModel("gpt-oss-120b", profile={"unheard_of": 5})
    assert "unheard_of" in str(told[0].message)


def test_an_unknown_model_fails_as_itself() -> None:
    with pytest.raises(UnknownModelError):
        AutoChatModel("no-such-model-anywhere")


def test_the_embedded_models_profile(embedded: AutoChatModel) -> None:
    assert embedded.profile is not None
    assert embedded.profile["max_input_tokens"] == 2048
    assert embedded.profile["structured_output"] is True
