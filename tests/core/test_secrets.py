"""A canary key appears nowhere: not printed, logged, raised, dumped, traced or pickled."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps

from inference_providers import AllRoutesFailed, ProviderList
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "sk-canary-0123456789abcdef"
GIVEN = "sk-given-canary-0123456789"
ECHO = {"error": {"message": f"Incorrect API key provided: {CANARY}", "detail": [CANARY]}}


class Recorder(BaseCallbackHandler):
    """Records everything that a tracer receives."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def _note(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append(f"{args!r} {kwargs!r}")

    on_chat_model_start = on_llm_new_token = on_llm_end = _note  # type: ignore[assignment]

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.seen += [_printed(error), f"{kwargs!r}"]


def _printed(error: BaseException) -> str:
    """Return everything that is printed of an exception, with its causes and notes."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error).get("body"))


@pytest.fixture
def surfaces(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[list[str]]:
    """Return a list for what may be seen; fail if it contains a key."""
    monkeypatch.setenv("CANARY_KEY", CANARY)
    collected: list[str] = []
    with caplog.at_level(logging.DEBUG):
        yield collected
    collected.append(caplog.text)
    assert any(part for part in collected)
    for part in collected:
        assert CANARY not in part
        assert GIVEN not in part


def registry(fake: FakeProvider) -> dict[str, Any]:
    return {"providers": {"fake": fake.row({"m": "id"}, key="CANARY_KEY")}}


def test_key_is_shown_by_no_model(surfaces: list[str]) -> None:
    with FakeProvider() as fake:
        for model in (
            AutoChatModel("m", registry=registry(fake)),
            AutoChatModel("m", registry=registry(fake), api_keys={"fake": GIVEN}),
        ):
            answer = model.invoke("Hi")
            chunks = list(model.stream("Hi"))
            surfaces += [
                repr(model), str(model), f"{model}", dumps(model), model.model_dump_json(),
                repr(model.model_dump()), repr(model._identifying_params), repr(vars(model)),
                str(model.explain()), repr(model.explain()), model.explain()._repr_html_(),
                repr(model.routes), repr(model._resolver), repr(vars(model._resolver)),
                repr(vars(model._resolver.keys)),
                repr(model.as_fallbacks) , repr(model.bind_tools([])),
                repr(answer), answer.model_dump_json(), repr(chunks),
                json.dumps(answer.response_metadata["autoprovider"]),
            ]  # fmt: skip
        sent = [request.headers["authorization"] for request in fake.requests]
    assert sent == [f"Bearer {CANARY}"] * 2 + [f"Bearer {GIVEN}"] * 2, "no key was in play"


def test_key_is_in_no_pickle(surfaces: list[str]) -> None:
    with FakeProvider() as fake:
        model = AutoChatModel("m", registry=registry(fake))
        model.invoke("Hi")
        surfaces.append(pickle.dumps(model).decode("latin-1"))
        (request,) = fake.requests
    assert request.headers["authorization"] == f"Bearer {CANARY}", "no key was in play"


def test_key_is_in_no_pickled_error(surfaces: list[str]) -> None:
    with FakeProvider(Reply(status=503)) as fake:
        model = AutoChatModel("m", registry=registry(fake), max_retries=0)
        with pytest.raises(AllRoutesFailed) as caught:
            model.invoke("Hi")
    pickled = pickle.dumps(caught.value)
    surfaces.append(pickled.decode("latin-1"))
    again = pickle.loads(pickled)
    assert str(again) == str(caught.value)
    assert [(t.failure_class, t.status) for t in again.attempts] == [("overloaded", 503)]
    assert "scripted 503" in str(again.attempts[0].outcome.error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_key_echoed_in_an_error_is_scrubbed(surfaces: list[str], status: int) -> None:
    recorder = Recorder()
    with FakeProvider(Reply(status=status, body=ECHO)) as fake:
        model = AutoChatModel(
            "m", registry=registry(fake), callbacks=[recorder], cooldown=False, max_retries=0
        )
        for call in (model.invoke, lambda prompt: list(model.stream(prompt))):
            with pytest.raises(Exception, match=r"\[CANARY_KEY\]") as caught:
                call("Hi")
            surfaces.append(_printed(caught.value))
    assert recorder.seen
    surfaces += recorder.seen


def test_key_echoed_in_an_http_200_is_scrubbed(surfaces: list[str]) -> None:
    with FakeProvider(Reply(body=ECHO), Reply(body=f"<html>{CANARY}</html>")) as fake:
        for _ in range(2):
            model = AutoChatModel("m", registry=registry(fake), cooldown=False, max_retries=0)
            with pytest.raises(Exception, match=r"\[CANARY_KEY\]") as caught:
                model.invoke("Hi")
            surfaces.append(_printed(caught.value))


def test_key_is_shown_nowhere_by_provider_list(surfaces: list[str]) -> None:
    with FakeProvider(Reply(), Reply(status=401, body=ECHO)) as fake:
        providers = ProviderList(verbose=True, json_merge=registry(fake))
        client, model_id = providers.connect_to_model("m")
        surfaces += [repr(providers), repr(client), str(providers.find_model_providers("m"))]
        surfaces.append(providers.get_response(client, model_id, "Hi"))
        with pytest.raises(Exception, match=r"\[CANARY_KEY\]") as caught:
            providers.connect_to_model("m", test=True)
        surfaces.append(_printed(caught.value))


def test_key_of_openai_goes_to_no_other_host(
    surfaces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's variables concern OpenAI only."""
    others = {
        "OPENAI_API_KEY": "sk-openai-own", "OPENAI_ORG_ID": "org-own",
        "OPENAI_PROJECT_ID": "proj-own", "OPENAI_ADMIN_KEY": "sk-admin-own",
        "OPENAI_CUSTOM_HEADERS": "X-Own: own-header",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/own", "OPENAI_API_BASE": "http://127.0.0.1:9/own",
        "OPENAI_PROXY": "http://127.0.0.1:9",
    }  # fmt: skip
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    with FakeProvider() as fake:
        keyless = {"providers": {"fake": fake.row({"m": "id"})}}
        for rows in (registry(fake), keyless):
            AutoChatModel("m", registry=rows).invoke("Hi")
            client, model_id = ProviderList(json_merge=rows).connect_to_model("m")
            client.chat.completions.create(model=model_id, messages=[])
        wire = [repr(request.headers) for request in fake.requests]
    assert len(wire) == 4
    assert not any("own" in headers for headers in wire)
    surfaces.append("looked at the wire")


@pytest.mark.slow
def test_key_and_prompt_follow_no_redirect(surfaces: list[str]) -> None:
    with FakeProvider() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            away = Reply(status=status, headers={"location": f"{elsewhere.base_url}/x"})
            with FakeProvider(away) as fake, contextlib.suppress(Exception):
                AutoChatModel("m", registry=registry(fake)).invoke("Hi")
                surfaces.append("answered through a redirect")
        assert not elsewhere.requests
        assert not elsewhere.listings
    surfaces.append("no answer")
    assert "answered through a redirect" not in surfaces
