"""Errors inside a 2xx: in the provider's words, without the keys that were sent."""

from __future__ import annotations

import json

import pytest

from inference_providers.credentials import Key
from inference_providers.errors import InferenceProvidersError
from inference_providers.wire.chat_reader import read_completion
from inference_providers.wire.exchange import Exchange

SECRET = "sk-very-secret-key-123456"


@pytest.mark.parametrize("lead", range(160, 215))
@pytest.mark.parametrize("shape", ["html", "event", "reason", "error"])
def test_an_excerpt_holds_no_part_of_a_key(shape: str, lead: int) -> None:
    text = "x" * (lead - 120 if shape == "reason" else lead) + SECRET
    choice = {"message": {"content": "Hi"}, "finish_reason": f"error {text}"}
    body = {
        "html": f"<html>{text}",
        "event": f"data: {text}\n\n",
        "reason": json.dumps({"choices": [choice]}),
        "error": json.dumps({"error": {"message": text, "details": [{text: text}]}}),
    }[shape]
    with Exchange() as exchange:
        exchange.record_key(Key("SOME_KEY", SECRET, ["https://api.example"]))
        with pytest.raises(InferenceProvidersError) as error:
            read_completion(body.encode())
    shown = f"{error.value}{vars(error.value)}"
    assert "xx" in shown
    assert not any(SECRET[:length] in shown for length in range(6, len(SECRET) + 1))
