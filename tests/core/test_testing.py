"""The fake provider is a real server that plays its script."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import requests

from inference_providers.registry import Registry
from inference_providers.testing import FakeProvider, Reply

HI = [{"role": "user", "content": "Hi"}]


def post(fake: FakeProvider, **body) -> requests.Response:
    return requests.post(f"{fake.base_url}/chat/completions", json=body, timeout=10)


def chunks(fake: FakeProvider, **body) -> list[dict]:
    """Return the decoded events of a stream, without the closing one."""
    lines = post(fake, stream=True, **body).text.split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_replies_are_played_in_order_and_the_last_for_ever() -> None:
    with FakeProvider(Reply(status=429), Reply("one"), Reply("two")) as fake:
        statuses = [post(fake, model="m") for _ in range(4)]
    assert [answer.status_code for answer in statuses] == [429, 200, 200, 200]
    said = [a.json()["choices"][0]["message"]["content"] for a in statuses[1:]]
    assert said == ["one", "two", "two"]


def test_without_a_script_it_says_hello() -> None:
    with FakeProvider() as fake:
        answer = post(fake, model="m").json()
    assert answer["choices"][0]["message"]["content"] == Reply().text
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == sum(
        answer["usage"][kind] for kind in ("prompt_tokens", "completion_tokens")
    )


def test_requests_are_recorded_as_they_came() -> None:
    with FakeProvider() as fake:
        requests.post(
            f"{fake.base_url}/x", json={"a": 1}, headers={"X-Header": "Value"}, timeout=10
        )
    (request,) = fake.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/x", {"a": 1})
    assert request.headers["x-header"] == "Value"
    assert fake.listings == []


def test_its_models_are_listed() -> None:
    with FakeProvider(models=("a", "b")) as fake:
        listing = requests.get(f"{fake.base_url}/models", timeout=10).json()
    assert [item["id"] for item in listing["data"]] == ["a", "b"]
    assert fake.listings[0].path == "/v1/models"
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("<html>", "text/html", "<html>"),
        ({"error": "x"}, "application/json", '{"error": "x"}'),
        ([1], "application/json", "[1]"),
    ],
)
def test_a_body_is_sent_as_it_is(body: object, kind: str, text: str) -> None:
    with FakeProvider(Reply(status=402, body=body, headers={"retry-after": "9"})) as fake:
        answer = post(fake, model="m", stream=True)
    assert (answer.status_code, answer.text) == (402, text)
    assert answer.headers["content-type"] == kind
    assert answer.headers["retry-after"] == "9"


def test_headers_of_a_reply_replace_its_own() -> None:
    with FakeProvider(Reply(body="x", headers={"content-type": "text/plain"})) as fake:
        assert post(fake, model="m").headers["content-type"] == "text/plain"


def test_a_stream_comes_word_by_word_and_ends_with_a_reason() -> None:
    with FakeProvider(Reply("a bc  d", finish_reason="length")) as fake:
        events = chunks(fake, model="m")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert [delta.get("content") for delta in deltas[1:-1]] == ["a", " bc", " d"]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 4 + ["length"]


def test_a_stream_reports_usage_where_it_is_asked_to() -> None:
    with FakeProvider() as fake:
        assert all("usage" not in event for event in chunks(fake, model="m"))
        last = chunks(fake, model="m", stream_options={"include_usage": True})[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


def test_a_stream_may_lack_its_finish_reason() -> None:
    with FakeProvider(Reply("a", finish_reason=None)) as fake:
        events = chunks(fake, model="m")
    assert {event["choices"][0]["finish_reason"] for event in events} == {None}


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stream_may_be_cut(after: int) -> None:
    with FakeProvider(Reply("a b c", cut_after=after)) as fake:
        answer = post(fake, model="m", stream=True)
    assert answer.text.count("data: {") == after
    assert "[DONE]" not in answer.text


def test_tool_calls_are_played_whole_and_streamed() -> None:
    calls = ({"name": "add", "arguments": {"a": 1}}, {"name": "sub", "arguments": {}})
    with FakeProvider(Reply("", tool_calls=calls, finish_reason="tool_calls")) as fake:
        with openai.OpenAI(base_url=fake.base_url, api_key="k") as client:
            choice = client.chat.completions.create(model="m", messages=HI).choices[0]
        streamed = [
            call["function"]["name"]
            for event in chunks(fake, model="m")
            for call in event["choices"][0]["delta"].get("tool_calls", ())
        ]
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls] == ["add", "sub"]
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"a": 1}
    assert streamed == ["add", "sub"]


def test_a_reply_may_be_late() -> None:
    with FakeProvider(Reply(delay_s=0.5)) as fake, pytest.raises(requests.Timeout):
        requests.post(f"{fake.base_url}/x", json={}, timeout=0.05)


def test_many_requests_at_once_get_one_reply_each() -> None:
    replies = [Reply(str(n)) for n in range(20)]
    with FakeProvider(*replies) as fake, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: post(fake, model="m").json(), range(20)))
    said = {answer["choices"][0]["message"]["content"] for answer in answers}
    assert said == {reply.text for reply in replies}
    assert len(fake.requests) == 20


def test_after_its_context_nobody_listens() -> None:
    with FakeProvider() as fake:
        pass
    with pytest.raises(requests.ConnectionError):
        post(fake, model="m")


def test_its_row_makes_a_registry() -> None:
    with FakeProvider() as fake:
        row = fake.row({"m": "x"}, key="A_KEY", kind="gateway", quirks={"stream_usage": False})
        open_row = fake.row({"m": "x"})
    provider = Registry.load({"providers": {"p": row}}).providers["p"]
    assert provider.endpoints["default"].base_url == fake.base_url
    assert (provider.auth.any_of, provider.kind) == ((("A_KEY",),), "gateway")
    assert provider.quirks.stream_usage is False
    assert Registry.load({"providers": {"p": open_row}}).providers["p"].auth.any_of == ((),)
