"""Providers are asked for their models, and the registry is mended by what they say."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from factories import provider_row
from inference_providers.cli.registry_audit import Finding, compared, mending, verify
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError
from inference_providers.registry.registry import Registry
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.planner import plan
from inference_providers.testing import FakeProvider
from inference_providers.types import Selection

SECRET = "sk-canary-0123456789"
MODELS: dict[str, Any] = {
    "big": "org/big",
    "small": {"id": "small-1", "tools": True},
    "dated": [{"id": "dated"}, {"id": "dated-0101", "snapshot": "0101"}],
}


def registry(url: str, models: dict | None = None, **fields: Any) -> Registry:
    row = provider_row(MODELS if models is None else models, "A_KEY", base_url=url, **fields)
    return Registry.load({"providers": {"a": row}, "aliases": {"marketing": "big"}})


def keys(**values: str) -> Keys:
    return Keys(environ={"A_KEY": SECRET, **values})


def listing(*ids: str) -> bytes:
    return json.dumps({"data": [{"id": model_id} for model_id in ids]}).encode()


def asked(site, page, answer: bytes, status: int = 200, **headers: str) -> Finding:
    site.pages["/v1/models"] = page(answer, status, headers)
    (finding,) = verify(registry(site.url("/v1")), keys())
    return finding


def test_a_provider_that_lists_what_the_registry_has_agrees(site, page) -> None:
    finding = asked(site, page, listing("org/big", "small-1", "models/dated", "DATED-0101"))
    assert finding == Finding("a")
    (request,) = site.asked
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_what_is_too_many_and_too_few_is_told_by_canonical_name() -> None:
    finding = compared(
        "a", registry("https://a.test/v1"), ["small-1", "dated", "dated-0202", "org/Huge-Instruct"]
    )
    assert finding.gone == {"big": ("org/big",), "dated": ("dated-0101",)}
    assert "huge" in finding.new
    assert finding.new["huge"] == ("org/Huge-Instruct",)
    assert "dated-0202" in [model_id for ids in finding.new.values() for model_id in ids]


@pytest.mark.parametrize(
    "model_id",
    ["text-embedding-3", "whisper-1", "org/reranker", "dall-e-3", "x-tts", "llama-guard-4"],
)
def test_what_does_not_chat_is_no_chat_model(model_id: str) -> None:
    found = compared("a", registry("https://a.test/v1"), ["org/big", model_id])
    assert found.new == {}


def test_kinds_a_list_states_are_believed(site, page) -> None:
    rows = [{"id": "org/big", "type": "chat"}, {"id": "odd", "type": "image"}, {"id": 5}, "x"]
    assert asked(site, page, json.dumps(rows).encode()).new == {}


def test_the_mended_registry_agrees_and_reaches_the_new_ones_by_both_names() -> None:
    before = registry("https://a.test/v1")
    listed = ["small-1", "dated", "dated-0202", "org/Huge-Instruct", "big-v2"]
    finding = compared("a", before, listed)
    after = before.merged(mending([finding], before))
    assert compared("a", after, listed) == Finding("a")
    assert after.entries("a", "small") == before.entries("a", "small"), "facts were lost"
    assert after.entries("a", "dated")[0] == before.entries("a", "dated")[0]
    around = PlanningContext(keys=keys(), today=date(2026, 11, 22))
    for name in ("huge", "org/Huge-Instruct", "a/org/huge-instruct", "dated-0202", "a/big-v2"):
        (route,) = plan(Selection(models=(name,)), after, around).routes
        assert route.model_id in {"org/Huge-Instruct", "dated-0202", "big-v2"}
    assert "big" not in after.providers["a"].models or after.entries("a", "big")[0].id == "big-v2"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"{}", 200, "does not answer with a list of models"),
        (b"[]", 200, "does not answer with a list of models"),
        (b"<html>", 200, "does not answer with a list of models"),
        (b"[" * 100_000, 200, "does not answer with a list of models"),
        (b"", 401, "HTTP 401; check A_KEY"),
        (b"", 403, "HTTP 403; check A_KEY"),
        (b"", 404, "HTTP 404"),
    ],
    ids=str,
)
def test_a_provider_that_cannot_be_asked_says_why(
    site, page, answer: bytes, status: int, said: str
) -> None:
    finding = asked(site, page, answer, status)
    assert said in finding.fault
    assert SECRET not in repr(finding)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(site, page, status: int) -> None:
    site.pages["/v2"] = page(listing("x"))
    finding = asked(site, page, b"", status, Location="/v2")
    assert "redirects" in finding.fault
    assert [request.path for request in site.asked] == ["/v1/models"]


def test_an_answer_without_end_is_given_up(site, page) -> None:
    site.pages["/v1/models"] = page(endless=True)
    (finding,) = verify(registry(site.url("/v1")), keys())
    assert "sent more than" in finding.fault


def test_a_provider_on_this_machine_is_asked_without_tls() -> None:
    with FakeProvider(models=("org/big",)) as fake:
        (finding,) = verify(registry(fake.base_url, {"big": "org/big"}), keys())
    assert finding == Finding("a")


@pytest.mark.parametrize(
    ("protocol", "path", "header"),
    [
        ("anthropic", "/v1/models?limit=1000", "x-api-key"),
        ("google-genai", "/v1beta/models?pageSize=1000", "x-goog-api-key"),
    ],
)
def test_a_protocol_has_its_own_list_and_shows_its_key_its_own_way(
    site, page, protocol: str, path: str, header: str
) -> None:
    rows = [
        {"name": "models/big", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/vectors", "supportedGenerationMethods": ["embedContent"]},
    ]
    site.pages[path] = page(json.dumps({"models": rows}).encode())
    endpoint = {"default": {"protocol": protocol, "base_url": site.url("")}}
    made = registry("https://a.test", {"big": "big"}, endpoints=endpoint)
    assert verify(made, keys()) == [Finding("a")]
    (request,) = site.asked
    assert request.headers[header] == SECRET
    assert "authorization" not in request.headers


def test_coheres_own_list_stands_for_its_compatible_endpoint(site, page) -> None:
    rows = [
        {"name": "big", "endpoints": ["generate", "chat"]},
        {"name": "rerank-9", "endpoints": ["rerank"]},
        {"name": "tiny-9", "endpoints": ["chat"]},
    ]
    body = {"models": rows, "next_page_token": ""}
    site.pages["/v1/models?endpoint=chat&page_size=1000"] = page(json.dumps(body).encode())
    endpoints = {
        "default": {"protocol": "openai-chat", "base_url": "https://c.test", "models_path": ""},
        "cohere": {"protocol": "cohere", "base_url": site.url("")},
    }
    made = registry("https://a.test", {"big": "big", "old": "old-1"}, endpoints=endpoints)
    (finding,) = verify(made, keys())
    assert finding == Finding("a", {"old": ("old-1",)}, {"tiny-9": ("tiny-9",)})
    mended = Registry.load({"providers": made.as_dict()["providers"]}).merged(
        mending([finding], made)
    )
    assert [entry.endpoint for entry in mended.entries("a", "tiny-9")] == ["default"]


def test_models_of_another_list_are_neither_gone_nor_agreed_with(site, page) -> None:
    site.pages["/v1/models"] = page(listing("listed", "fresh"))
    endpoints = {
        "default": {"protocol": "made-up", "base_url": "https://runtime.test"},
        "mantle": {"protocol": "openai-chat", "base_url": site.url("/v1")},
        "mantle-too": {"protocol": "openai-responses", "base_url": site.url("/openai/v1")},
    }
    models = {
        "elsewhere": "elsewhere",
        "listed": {"id": "listed", "endpoint": "mantle"},
        "lost": {"id": "lost", "endpoint": "mantle-too"},
    }
    made = registry("https://a.test", models, endpoints=endpoints)
    (finding,) = verify(made, keys())
    assert finding.gone == {"lost": ("lost",)}
    assert finding.untold == ("default",)
    entry = {"id": "fresh", "input": [], "endpoint": "mantle"}
    assert mending([finding], made)["providers"]["a"]["models"]["fresh"] == [entry]


@pytest.mark.parametrize("more", [{"has_more": True}, {"next_page_token": "b"}])
def test_a_part_of_a_list_is_compared_with_nothing(site, page, more: dict[str, Any]) -> None:
    finding = asked(site, page, json.dumps({"data": [{"id": "big"}], **more}).encode())
    assert finding.fault == f"{site.url('/v1/models')} answers with a part of its models only"
    assert not finding.gone


def test_an_embedding_model_that_is_known_is_no_new_chat_model() -> None:
    made = registry("https://a.test/v1", {"big": "big"}, embeddings={"minilm-l6": "org/minilm-l6"})
    assert compared("a", made, ["big", "org/minilm-l6", "other/minilm-l6"]) == Finding("a")


def test_a_protocol_without_a_list_is_told_when_it_is_named() -> None:
    endpoint = {"default": {"protocol": "made-up", "base_url": "https://a.test"}}
    made = registry("https://a.test", endpoints=endpoint)
    assert verify(made, keys()) == []
    (finding,) = verify(made, keys(), "a")
    assert finding.fault == "its list cannot be asked for over 'made-up'"


def test_only_providers_whose_key_is_at_hand_are_asked() -> None:
    made = registry("https://a.test/v1")
    assert verify(made, Keys(environ={})) == []
    with pytest.raises(ConfigError, match="a: set A_KEY"):
        verify(made, Keys(environ={}), "a")
    with pytest.raises(ConfigError, match="PROVIDER: 'b' is not a provider"):
        verify(made, keys(), "b")


@pytest.mark.parametrize("fields", [{"auth": {"any_of": [["A_KEY"]], "opt_in": True}},
                                    {"variant_of": "b"}])  # fmt: skip
def test_a_provider_that_must_be_named_is_asked_only_when_it_is(site, page, fields: dict) -> None:
    site.pages["/v1/models"] = page(listing("org/big"))
    made = registry(site.url("/v1"), {"big": "org/big"}, **fields)
    assert verify(made, keys()) == []
    assert verify(made, keys(), "a") == [Finding("a")]
