"""The plain API, as documented for the original project."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING

import openai
import pytest

from inference_providers import (
    AllRoutesFailed,
    ConfigError,
    InvalidResponseError,
    NoRouteError,
    Plan,
    ProviderList,
    RegistryError,
    Route,
    UnknownModelError,
)
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGINAL = Path(__file__).parents[1] / "data" / "original-inference-providers.json"
SECRET = "sk-canary-0123456789"
BUSY = Reply(status=503)


def override(*fakes: FakeProvider, key: str | None = None) -> dict:
    """Return a registry of the fakes as p0, p1, …; all serve `m`, and each its own model."""
    return {
        "providers": {
            f"p{n}": fake.row({"m": f"m-at-p{n}", f"only-{n}": f"o{n}"}, key=key)
            for n, fake in enumerate(fakes)
        },
        "auto_model_priority": ["m"],
    }


def at(client: openai.OpenAI) -> str:
    return str(client.base_url).rstrip("/")


# Registries


@pytest.mark.parametrize(
    "given",
    [
        lambda document, _: document,
        lambda document, _: json.dumps(document),
        lambda document, file: file.write_text(json.dumps(document)) and file,
        lambda document, file: file.write_text(json.dumps(document)) and str(file),
    ],
    ids=["dict", "text", "path", "path as text"],
)
def test_json_override_replaces_the_bundled_registry(given: Callable, tmp_path: Path) -> None:
    with FakeProvider() as fake:
        source = given(override(fake), tmp_path / "mine.json")
    providers = ProviderList(json_override=source)
    assert providers.get_canonical_model_names() == ["m", "only-0"]


def test_json_merge_extends_the_bundled_registry() -> None:
    with FakeProvider() as fake:
        providers = ProviderList(json_merge=override(fake))
    names = providers.get_canonical_model_names()
    assert set(names) == {*Registry.load().models, "m", "only-0"}
    assert names == sorted(names)


def test_json_merge_accepts_the_original_readmes_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    text = '{"providers": {"openai": {"model_names": {"gpt-9": "gpt-9-instruct-preview"}}}}'
    client, name = ProviderList(json_merge=text).connect_to_model("gpt-9")
    with client:
        assert (at(client), name) == ("https://api.openai.com/v1", "gpt-9-instruct-preview")


def test_json_override_accepts_the_originals_file(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = ProviderList(False, ORIGINAL)  # noqa: FBT003 - positional in the original
    assert "codellama-70b" in providers.get_canonical_model_names()
    monkeypatch.setenv("FIREWORKS_API_KEY", SECRET)
    client, name = providers.connect_to_model("mixtral-8x7b")
    with client:
        assert at(client) == "https://api.fireworks.ai/inference/v1"
        assert name == "accounts/fireworks/models/mixtral-8x7b-instruct"
    monkeypatch.setenv("LEPTON_API_KEY", SECRET)
    client, name = providers.connect_to_model("lepton/llama-2-7b")
    with client:
        assert at(client) == "https://llama2-7b.lepton.run/api/v1"
        assert SECRET not in repr(vars(client)), "the key is added when a request leaves"


def test_json_override_refuses_an_invalid_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{"providers": {"x": 5}}')
    with pytest.raises(RegistryError, match=r"broken\.json: at \$\.providers\.x: got"):
        ProviderList(json_override=file)


# Models and routes


def test_get_canonical_model_names_sorts_unique_names() -> None:
    names = ProviderList().get_canonical_model_names()
    assert names == sorted(set(names))
    assert {"mixtral-8x7b", "smollm2-135m"} <= set(names)


def test_find_model_providers_orders_routes_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SECRET)
    with FakeProvider() as one, FakeProvider() as two:
        routes = ProviderList(json_override=override(one, two, key="A_KEY")).find_model_providers(
            "m"
        )
    assert all(isinstance(route, Route) for route in routes)
    assert [str(route) for route in routes] == ["p0/m", "p1/m"]
    assert [route.model_id for route in routes] == ["m-at-p0", "m-at-p1"]
    assert SECRET not in repr(routes)
    assert "A_KEY" in repr(routes)
    assert one.requests == two.requests == []


def test_find_model_providers_may_find_no_route() -> None:
    with FakeProvider() as fake:
        providers = ProviderList(json_override=override(fake, key="A_KEY"))
    assert providers.find_model_providers("m") == []
    plan = providers.explain("m")
    assert isinstance(plan, Plan)
    assert [skip.reason for skip in plan.skipped] == ["set A_KEY"]


@pytest.mark.parametrize("call", ["find_model_providers", "connect_to_model", "explain"])
def test_unknown_names_get_a_suggestion(call: str) -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'mixtral-8x7b'"):
        getattr(ProviderList(), call)("mixtral-8x7")


def test_connect_to_model_names_a_retired_ones_successor() -> None:
    with pytest.raises(UnknownModelError, match=r"retired; use 'llama-3\.3-70b'"):
        ProviderList().connect_to_model("codellama-70b")


# Connecting


def test_connect_to_model_returns_an_openai_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SECRET)
    with FakeProvider(Reply("hi there")) as fake:
        providers = ProviderList(json_override=override(fake, key="A_KEY"))
        client, name = providers.connect_to_model("m")
        with client:
            assert type(client) is openai.OpenAI
            assert (at(client), name) == (fake.base_url, "m-at-p0")
            assert fake.requests == [], "connecting without test sent something"
            assert providers.get_response(client, name, "Hi") == "hi there"
    (request,) = fake.requests
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.body["model"] == "m-at-p0"
    assert request.body["messages"] == [{"role": "user", "content": "Hi"}]


def test_connect_to_model_ignores_openais_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Secret: {SECRET}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/evil")
    with FakeProvider() as fake:
        client, name = ProviderList(json_override=override(fake)).connect_to_model("m", test=True)
        with client:
            assert at(client) == fake.base_url
            client.chat.completions.create(model=name, messages=[])
    assert len(fake.requests) == 2
    assert SECRET not in str(fake.requests)


def test_connecting_without_a_route_says_what_to_set() -> None:
    with FakeProvider() as fake:
        providers = ProviderList(json_override=override(fake, key="A_KEY"))
    with pytest.raises(NoRouteError, match=r"^No usable route to 'm': p0: set A_KEY$"):
        providers.connect_to_model("m")
    with pytest.raises(NoRouteError, match="p0: set A_KEY"):
        providers.connect_to_first_available_model(["m", "only-0"])
    with pytest.raises(NoRouteError, match="any model: p0: set A_KEY"):
        providers.connect_to_ai()
    with pytest.raises(NoRouteError, match="any model: p0: set A_KEY"):
        providers.ask_ai("Hi")


def test_connect_to_model_takes_the_first_route_unseen() -> None:
    with FakeProvider(BUSY) as busy, FakeProvider() as well:
        client, name = ProviderList(json_override=override(busy, well)).connect_to_model("m")
        with client:
            assert (at(client), name) == (busy.base_url, "m-at-p0")


def test_connect_to_model_runs_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_providers.provider_list.failover", None)
    with FakeProvider() as fake:
        client, _ = ProviderList(json_override=override(fake)).connect_to_model("m")
        client.close()
        assert fake.requests == []


def test_connect_to_model_changes_no_failover_state() -> None:
    with FakeProvider(BUSY) as busy, FakeProvider() as well:
        providers = ProviderList(json_override=override(busy, well))
        providers.connect_to_model("m", test=True)[0].close()
        (resting,) = providers.explain("m").cooling_down
        providers.connect_to_model("m")[0].close()
        assert providers.explain("m").cooling_down == (resting,), "a client was taken for an answer"
        (free,) = providers.explain("m").routes
        before = PROCESS_STATE.latency_ms(free)
        providers.connect_to_model("m")[0].close()
        assert PROCESS_STATE.latency_ms(free) == before


def test_connect_to_model_may_use_a_route_in_a_cooldown() -> None:
    with FakeProvider(Reply(status=401)) as only:
        providers = ProviderList(json_override=override(only))
        with pytest.raises(AllRoutesFailed):
            providers.connect_to_model("m", test=True)
        client, name = providers.connect_to_model("m")
        with client:
            assert (at(client), name) == (only.base_url, "m-at-p0")


@pytest.mark.parametrize(
    "reply",
    [
        BUSY,
        Reply(status=400),
        Reply(status=401),
        Reply(body="<html>Welcome</html>"),
        Reply(body={"error": {"message": "no"}}),
        Reply(body={"choices": []}),
    ],
    ids=["503", "400", "401", "html", "error with 200", "no choices"],
)
def test_connect_to_model_with_test_skips_bad_routes(reply: Reply) -> None:
    with FakeProvider(reply) as bad, FakeProvider() as well:
        providers = ProviderList(json_override=override(bad, well))
        client, name = providers.connect_to_model("m", test=True)
        with client:
            assert (at(client), name) == (well.base_url, "m-at-p1")
    assert len(bad.requests) == len(well.requests) == 1
    assert well.requests[0].body["max_tokens"] <= 16


def test_connect_to_model_tests_with_the_right_length_field() -> None:
    with FakeProvider(Reply("")) as fake:
        document = override(fake)
        document["providers"]["p0"]["quirks"] = {"max_tokens_field": "max_completion_tokens"}
        client, _ = ProviderList(json_override=document).connect_to_model("m", test=True)
        client.close()
    assert "max_tokens" not in fake.requests[0].body
    assert fake.requests[0].body["max_completion_tokens"] <= 16


def test_connect_to_model_names_every_route_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_KEY", SECRET)
    echo = Reply(status=401, body={"error": {"message": f"Incorrect API key: {SECRET}"}})
    with FakeProvider(BUSY) as busy, FakeProvider(echo) as refuses:
        providers = ProviderList(json_override=override(busy, refuses, key="A_KEY"))
        with pytest.raises(AllRoutesFailed) as caught:
            providers.connect_to_model("m", test=True)
    message = str(caught.value)
    assert "p0/m: overloaded (HTTP 503)" in message
    assert "p1/m: auth_failed (HTTP 401), check A_KEY" in message
    assert isinstance(caught.value.__cause__, openai.AuthenticationError)
    assert SECRET not in message + str(caught.value.__cause__) + str(caught.value.__cause__.body)


def test_choose_randomly_reaches_every_route() -> None:
    with FakeProvider() as one, FakeProvider() as two, FakeProvider() as three:
        providers = ProviderList(json_override=override(one, two, three))

        def chosen() -> list[str]:
            random.seed(5)
            names = []
            for _ in range(20):
                client, name = providers.connect_to_model("m", choose_randomly=True)
                client.close()
                names.append(name)
            return names

        first = chosen()
        assert set(first) == {"m-at-p0", "m-at-p1", "m-at-p2"}
        assert chosen() == first


def test_choose_randomly_still_fails_over() -> None:
    with FakeProvider(BUSY) as busy, FakeProvider() as well:
        providers = ProviderList(json_override=override(busy, well))
        for _ in range(5):
            client, name = providers.connect_to_model("m", choose_randomly=True, test=True)
            client.close()
            assert name == "m-at-p1"


def test_connect_to_first_available_model_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider() as one, FakeProvider() as two:
        document = override(one, two)
        document["providers"]["p0"]["auth"] = {"any_of": [["A_KEY"]]}
        providers = ProviderList(json_override=document)
        wanted = ["only-0", "only-1"]
        client, name = providers.connect_to_first_available_model(wanted)
        client.close()
        assert name == "o1"
        monkeypatch.setenv("A_KEY", SECRET)
        client, name = providers.connect_to_first_available_model(wanted, test=True)
        client.close()
        assert name == "o0"


def test_connect_to_first_available_model_accepts_one_name() -> None:
    with FakeProvider() as fake:
        providers = ProviderList(json_override=override(fake))
        client, name = providers.connect_to_first_available_model("only-0")
        client.close()
    assert name == "o0"


@pytest.mark.parametrize("names", [[], (), ""])
def test_connect_to_first_available_model_needs_a_name(names: list[str]) -> None:
    with FakeProvider() as fake:
        providers = ProviderList(json_override=override(fake))
    with pytest.raises(ConfigError, match=r"at least one model name, or call connect_to_ai\(\)"):
        providers.connect_to_first_available_model(names)


def test_connect_to_ai_tests_the_priority_list() -> None:
    with FakeProvider(BUSY) as busy, FakeProvider() as well:
        document = {**override(busy, well), "auto_model_priority": ["only-0", "only-1", "m"]}
        client, name = ProviderList(json_override=document).connect_to_ai()
        with client:
            assert (at(client), name) == (well.base_url, "o1")
    assert len(busy.requests) == 1


def test_connect_to_model_wraps_other_protocols() -> None:
    body = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "x",
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "from responses",
                                 "annotations": []}]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0},
                  "total_tokens": 5},
    }  # fmt: skip
    with FakeProvider(Reply(body=body)) as fake:
        row = fake.row({"m": "x"})
        row["endpoints"]["default"]["protocol"] = "openai-responses"
        providers = ProviderList(json_override={"providers": {"p": row}})
        client, name = providers.connect_to_model("m")
        answer = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Hi"}]
        )
        assert providers.get_response(client, name, "Hi") == "from responses"
    assert answer.choices[0].message.content == "from responses"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 5
    assert {request.path for request in fake.requests} == {"/v1/responses"}


# Answers


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(body="<html>Welcome</html>"), "has no choices: <html>"),
        (Reply(body={"error": "busy"}), "has no choices"),
        (Reply(body={"choices": []}), "has no choices"),
        (Reply(""), "has no text"),
    ],
)
def test_get_response_refuses_an_unusable_answer(reply: Reply, message: str) -> None:
    with FakeProvider(reply) as fake:
        providers = ProviderList(json_override=override(fake))
        client, name = providers.connect_to_model("m")
        with client, pytest.raises(InvalidResponseError, match=message):
            providers.get_response(client, name, "Hi")


def test_get_response_raises_the_clients_own_exception() -> None:
    with FakeProvider(Reply(status=400)) as fake:
        providers = ProviderList(json_override=override(fake))
        client, name = providers.connect_to_model("m")
        with client, pytest.raises(openai.BadRequestError):
            providers.get_response(client, name, "Hi")


@pytest.mark.parametrize("test", [True, False])
def test_ask_ai_fails_over_with_one_request_per_route(test: bool) -> None:
    with FakeProvider(BUSY) as busy, FakeProvider(Reply("forty-two")) as well:
        providers = ProviderList(json_override=override(busy, well))
        assert providers.ask_ai("What is it?", test=test) == "forty-two"
    assert len(busy.requests) == len(well.requests) == 1
    assert well.requests[0].body["messages"][-1]["content"] == "What is it?"


@pytest.mark.usefixtures("weights_file")
def test_ask_ai_without_a_key_uses_the_embedded_model() -> None:
    document = {"providers": {"embedded": json.loads(Registry.load().raw)["providers"]["embedded"]}}
    assert ProviderList(json_override=document).ask_ai("Say hello.").strip()


# Logging


def test_verbose_logs_every_attempt(caplog: pytest.LogCaptureFixture) -> None:
    with FakeProvider(BUSY) as busy, FakeProvider() as well, caplog.at_level(logging.INFO):
        for verbose in (True, False):
            caplog.clear()
            providers = ProviderList(verbose, override(busy, well))
            client, _ = providers.connect_to_model("m", test=True)
            client.close()
            message = [
                record.getMessage()
                for record in caplog.records
                if record.name.startswith("inference_providers")
            ]
            expected = ["p0/m: overloaded (HTTP 503)", "p1/m: answered"]
            assert message == (expected if verbose else [])
