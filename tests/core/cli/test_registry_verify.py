"""The registry is compared with providers' own lists, and corrected by them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from factories import provider_row
from inference_providers.cli.registry_verify import Finding, compare, corrections, verify
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


def verify_list(site, page, body: bytes, status: int = 200, **headers: str) -> Finding:
    site.pages["/v1/models"] = page(body, status, headers)
    (finding,) = verify(registry(site.url("/v1")), keys())
    return finding


def test_verify_agrees_with_an_equal_list(site, page) -> None:
    finding = verify_list(site, page, listing("org/big", "small-1", "models/dated", "DATED-0101"))
    assert finding == Finding(provider="a")
    (request,) = site.requests
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_compare_reports_gone_and_new_by_canonical_name() -> None:
    finding = compare(
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
def test_compare_ignores_ids_of_models_that_do_not_chat(model_id: str) -> None:
    finding = compare("a", registry("https://a.test/v1"), ["org/big", model_id])
    assert finding.new == {}


def test_verify_ignores_rows_whose_type_does_not_chat(site, page) -> None:
    rows = [{"id": "org/big", "type": "chat"}, {"id": "odd", "type": "image"}, {"id": 5}, "x"]
    assert verify_list(site, page, json.dumps(rows).encode()).new == {}


def test_corrections_agree_and_reach_new_models_by_both_names() -> None:
    before = registry("https://a.test/v1")
    listed = ["small-1", "dated", "dated-0202", "org/Huge-Instruct", "big-v2"]
    finding = compare("a", before, listed)
    after = before.merged(corrections([finding], before))
    assert compare("a", after, listed) == Finding(provider="a")
    assert after.entries("a", "small") == before.entries("a", "small"), "an entry lost its fields"
    assert after.entries("a", "dated")[0] == before.entries("a", "dated")[0]
    around = PlanningContext(keys=keys(), today=date(2026, 11, 22))
    for name in ("huge", "org/Huge-Instruct", "a/org/huge-instruct", "dated-0202", "a/big-v2"):
        (route,) = plan(Selection(models=(name,)), after, around).routes
        assert route.model_id in {"org/Huge-Instruct", "dated-0202", "big-v2"}
    assert "big" not in after.providers["a"].models or after.entries("a", "big")[0].id == "big-v2"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{}", 200, "did not send a list of models"),
        (b"[]", 200, "did not send a list of models"),
        (b"<html>", 200, "did not send a list of models"),
        (b"[" * 100_000, 200, "did not send a list of models"),
        (b"", 401, "HTTP 401; check A_KEY"),
        (b"", 403, "HTTP 403; check A_KEY"),
        (b"", 404, "HTTP 404"),
    ],
    ids=str,
)
def test_finding_says_why_a_list_was_not_fetched(
    site, page, body: bytes, status: int, message: str
) -> None:
    finding = verify_list(site, page, body, status)
    assert message in finding.error
    assert SECRET not in repr(finding)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_verify_follows_no_redirect(site, page, status: int) -> None:
    site.pages["/v2"] = page(listing("x"))
    finding = verify_list(site, page, b"", status, Location="/v2")
    assert "redirects" in finding.error
    assert [request.path for request in site.requests] == ["/v1/models"]


def test_verify_gives_up_an_endless_list(site, page) -> None:
    site.pages["/v1/models"] = page(endless=True)
    (finding,) = verify(registry(site.url("/v1")), keys())
    assert "sent more than" in finding.error


def test_verify_asks_a_local_provider_without_tls() -> None:
    with FakeProvider(models=("org/big",)) as fake:
        (finding,) = verify(registry(fake.base_url, {"big": "org/big"}), keys())
    assert finding == Finding(provider="a")


@pytest.mark.parametrize(
    ("protocol", "path", "header"),
    [
        ("anthropic", "/v1/models?limit=1000", "x-api-key"),
        ("google-genai", "/v1beta/models?pageSize=1000", "x-goog-api-key"),
    ],
)
def test_verify_uses_the_path_and_key_header_of_the_protocol(
    site, page, protocol: str, path: str, header: str
) -> None:
    rows = [
        {"name": "models/big", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/vectors", "supportedGenerationMethods": ["embedContent"]},
    ]
    site.pages[path] = page(json.dumps({"models": rows}).encode())
    endpoint = {"default": {"protocol": protocol, "base_url": site.url("")}}
    active = registry("https://a.test", {"big": "big"}, endpoints=endpoint)
    assert verify(active, keys()) == [Finding(provider="a")]
    (request,) = site.requests
    assert request.headers[header] == SECRET
    assert "authorization" not in request.headers


def test_coheres_list_covers_its_compatible_endpoint(site, page) -> None:
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
    active = registry("https://a.test", {"big": "big", "old": "old-1"}, endpoints=endpoints)
    (finding,) = verify(active, keys())
    assert finding == Finding(provider="a", gone={"old": ("old-1",)}, new={"tiny-9": ("tiny-9",)})
    corrected = Registry.load({"providers": active.as_dict()["providers"]}).merged(
        corrections([finding], active)
    )
    assert [entry.endpoint for entry in corrected.entries("a", "tiny-9")] == ["default"]


def test_models_in_another_list_are_reported_as_unlisted(site, page) -> None:
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
    active = registry("https://a.test", models, endpoints=endpoints)
    (finding,) = verify(active, keys())
    assert finding.gone == {"lost": ("lost",)}
    assert finding.unlisted_endpoints == ("default",)
    entry = {"id": "fresh", "input": [], "endpoint": "mantle"}
    assert corrections([finding], active)["providers"]["a"]["models"]["fresh"] == [entry]


@pytest.mark.parametrize("more", [{"has_more": True}, {"next_page_token": "b"}])
def test_verify_rejects_one_page_of_a_list(site, page, more: dict[str, Any]) -> None:
    finding = verify_list(site, page, json.dumps({"data": [{"id": "big"}], **more}).encode())
    assert finding.error == f"{site.url('/v1/models')} sent one page of its list only"
    assert not finding.gone


def test_compare_ignores_registered_embedding_models() -> None:
    active = registry(
        "https://a.test/v1", {"big": "big"}, embeddings={"minilm-l6": "org/minilm-l6"}
    )
    assert compare("a", active, ["big", "org/minilm-l6", "other/minilm-l6"]) == Finding(
        provider="a"
    )


def test_verify_reports_a_protocol_without_a_list_if_named() -> None:
    endpoint = {"default": {"protocol": "made-up", "base_url": "https://a.test"}}
    active = registry("https://a.test", endpoints=endpoint)
    assert verify(active, keys()) == []
    (finding,) = verify(active, keys(), "a")
    assert finding.error == "its models cannot be listed over 'made-up'"


def test_verify_asks_only_providers_whose_key_is_set() -> None:
    active = registry("https://a.test/v1")
    assert verify(active, Keys(environ={})) == []
    with pytest.raises(ConfigError, match="a: set A_KEY"):
        verify(active, Keys(environ={}), "a")
    with pytest.raises(ConfigError, match="PROVIDER: 'b' is not a provider"):
        verify(active, keys(), "b")


@pytest.mark.parametrize("fields", [{"auth": {"any_of": [["A_KEY"]], "opt_in": True}},
                                    {"variant_of": "b"}])  # fmt: skip
def test_verify_asks_opt_in_providers_only_if_named(site, page, fields: dict) -> None:
    site.pages["/v1/models"] = page(listing("org/big"))
    active = registry(site.url("/v1"), {"big": "org/big"}, **fields)
    assert verify(active, keys()) == []
    assert verify(active, keys(), "a") == [Finding(provider="a")]
