"""OpenAI's protocols against real and fake servers, and clients for plain use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from inference_providers import ProviderList
from inference_providers.errors import ContentFilteredError
from inference_providers.local import llama_server
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from factories import Pair


@pytest.fixture
def responses_registry(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The embedded server, which supports OpenAI's Responses API as well."""
    server = llama_server.start(weights_file, model="smollm2-135m")
    monkeypatch.setenv("RESPONSES_KEY", server.key)
    endpoint = {"protocol": "openai-responses", "base_url": server.base_url}
    row = {
        "name": "Responses",
        "auth": {"any_of": [["RESPONSES_KEY"]]},
        "endpoints": {"default": endpoint},
        "models": {"m-1": "smollm2-135m"},
    }
    return {"providers": {"responses": row}}


async def test_openai_responses_answers(
    responses_registry: dict[str, Any], ask: Callable[..., Any]
) -> None:
    model = AutoChatModel("m-1", registry=responses_registry, temperature=0, max_tokens=20)
    answer = await ask(model, "Hello")
    assert len(answer.text) > 3
    trace = answer.response_metadata["autoprovider"]
    assert [attempt["outcome"] for attempt in trace["attempts"]] == ["success"]


def cut_response(reason: str) -> Reply:
    """Return a response that was cut inside the arguments of a tool call."""
    call = {"type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a": 1, "b'}
    return Reply(body={
        "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "incomplete",
        "incomplete_details": {"reason": reason}, "output": [call], "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": True,
    })  # fmt: skip


def test_openai_responses_cut_at_max_tokens_is_accepted(pair: Pair) -> None:
    pair.plays(cut_response("max_output_tokens"))
    answer = pair.model_over("openai-responses", suffix="/v1").invoke("1 + 2?")
    assert answer.response_metadata["autoprovider"]["provider"] == "first"
    assert answer.invalid_tool_calls


def test_openai_responses_filtered_moves_on_if_allowed(pair: Pair) -> None:
    pair.plays(cut_response("content_filter"))
    model = pair.model_over("openai-responses", suffix="/v1")
    with pytest.raises(ContentFilteredError):
        model.invoke("1 + 2?")
    answer = model.model_copy(update={"fallback_on_content_filter": True}).invoke("1 + 2?")
    assert answer.response_metadata["autoprovider"]["provider"] == "second"


def test_openai_responses_have_a_plain_client(responses_registry: dict[str, Any]) -> None:
    client, model_id = ProviderList(json_merge=responses_registry).connect_to_model(
        "m-1", test=True
    )
    request: dict[str, Any] = {
        "model": model_id, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0,
        "max_tokens": 20,
    }  # fmt: skip
    answer = client.chat.completions.create(**request)
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert len(answer.choices[0].message.content) > 3
    assert answer.usage.total_tokens > 3
    chunks = list(client.chat.completions.create(**request, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content


def test_plain_client_of_a_chat_endpoint_is_openais(pair: Pair) -> None:
    client, model_id = ProviderList(json_merge=pair.registry()).connect_to_model("m-1")
    assert type(client) is openai.OpenAI
    assert model_id == "first-id"


def test_an_unknown_protocol_is_a_reason_to_skip(pair: Pair) -> None:
    endpoint = {"protocol": "telepathy", "base_url": pair.first.base_url}
    plan = AutoChatModel("m-1", registry=pair.registry(endpoints={"default": endpoint})).explain()
    assert not plan.routes
    reasons = {skip.provider: skip.reason for skip in plan.skipped}
    assert "its protocol 'telepathy' is not supported" in reasons["first"]


async def test_a_local_server_serves_what_it_lists(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProvider(Reply("from here"), models=("llama3.2:3b", "my-own:latest")) as fake:
        monkeypatch.setenv("OLLAMA_HOST", fake.base_url.removesuffix("/v1"))
        for name, model_id in {
            "llama-3.2-3b": "llama3.2:3b",
            "my-own": "my-own:latest",
        }.items():
            model = AutoChatModel(name, local=True)
            answer = await ask(model, "Hi")
            assert answer.text == "from here"
            assert answer.response_metadata["autoprovider"]["model_id"] == model_id
        assert AutoChatModel("ollama/my-own").routes[0].model_id == "my-own:latest"
        assert "authorization" not in fake.listings[0].headers
        any_model = AutoChatModel()
        assert any_model.invoke("Hi").response_metadata["autoprovider"]["provider"] == "ollama"
