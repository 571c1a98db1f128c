"""What a call learns lands in the state that its resolver holds, and nowhere else."""

from __future__ import annotations

import copy
import pickle
import time
from typing import Any

import pytest

from inference_providers.failover.state import PROCESS_STATE, FailoverState
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

USED_UP = {"x-ratelimit-reset-requests": "60s", "x-ratelimit-remaining-requests": "0"}
TPM = 1000


async def invoke(model: AutoChatModel) -> None:
    model.invoke("Hi")


async def ainvoke(model: AutoChatModel) -> None:
    await model.ainvoke("Hi")


async def stream(model: AutoChatModel) -> None:
    list(model.stream("Hi"))


async def astream(model: AutoChatModel) -> None:
    _ = [chunk async for chunk in model.astream("Hi")]


@pytest.fixture(params=[invoke, ainvoke, stream, astream])
def call(request: pytest.FixtureRequest) -> Any:
    return request.param


def model_with(state: FailoverState, fake: FakeProvider, **entry: Any) -> AutoChatModel:
    row = fake.row({"m-1": {"id": "first-id", **entry}})
    model = AutoChatModel("m-1", registry={"providers": {"first": row}})
    model._state = state
    return model


async def test_header_rate_limit_lands_in_the_injected_state(call: Any) -> None:
    state = FailoverState()
    with FakeProvider(Reply("hello", headers=USED_UP)) as fake:
        await call(model_with(state, fake))
    (row,) = state.report(time.monotonic()).rows
    assert row[0] == "route"
    assert row[2].startswith("at its rate limit for ")
    assert PROCESS_STATE.report(time.monotonic()).rows == ()


async def test_two_states_do_not_share_a_header_rate_limit(call: Any) -> None:
    first, second = FailoverState(), FailoverState()
    with FakeProvider(Reply("hello", headers=USED_UP), Reply("hello")) as fake:
        await call(model_with(first, fake))
        await call(model_with(second, fake))
    assert first.report(time.monotonic()).rows
    assert second.report(time.monotonic()).rows == ()


@pytest.mark.usefixtures("_frozen_wall_clock")
async def test_answer_tokens_count_in_the_injected_state(call: Any) -> None:
    state = FailoverState()
    with FakeProvider(
        Reply(
            "hello", usage={"prompt_tokens": TPM - 10, "completion_tokens": 10, "total_tokens": TPM}
        )
    ) as fake:
        model = model_with(state, fake, limits={"tpm": TPM})
        (route,) = model.routes
        await call(model)
    now = time.monotonic()
    assert not state.claim(route, now, 30.0, tokens=1), "the tokens were not counted"
    assert PROCESS_STATE.claim(route, now, 30.0, tokens=1), "they were counted elsewhere"


async def test_call_for_another_model_uses_the_injected_state() -> None:
    state = FailoverState()
    with FakeProvider(Reply("hello", headers=USED_UP)) as fake:
        model_with(state, fake).invoke("Hi", model="first/m-1")
    assert len(state.report(time.monotonic()).rows) == 1
    assert PROCESS_STATE.report(time.monotonic()).rows == ()


COPIES = {
    "model_copy": lambda model: model.model_copy(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "other settings": lambda model: model.model_copy(update={"temperature": 0.5}),
    "other routing": lambda model: model.model_copy(update={"order": ("first",)}),
    "assignment": lambda model: assign(copy.copy(model), "order", "first"),
    "other model": lambda model: model._for_model("first/m-1"),
}


def assign(model: AutoChatModel, name: str, value: Any) -> AutoChatModel:
    setattr(model, name, value)
    return model


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_share_the_injected_state(copied: Any) -> None:
    state = FailoverState()
    with FakeProvider(Reply("hello", headers=USED_UP)) as fake:
        copied(model_with(state, fake)).invoke("Hi")
    assert [row[0] for row in state.report(time.monotonic()).rows] == ["route"]
    assert PROCESS_STATE.report(time.monotonic()).rows == ()


def test_structured_output_shares_the_injected_state() -> None:
    state = FailoverState()
    with FakeProvider(Reply('{"a": 1}', headers=USED_UP)) as fake:
        schema = {"title": "answer", "type": "object", "properties": {"a": {"type": "integer"}}}
        model = model_with(state, fake)
        model.with_structured_output(schema, fallback_on_parse_error=True).invoke("Hi")
    assert [row[0] for row in state.report(time.monotonic()).rows] == ["route"]
    assert PROCESS_STATE.report(time.monotonic()).rows == ()


def test_pickled_model_uses_the_state_of_its_process() -> None:
    with FakeProvider() as fake:
        model = model_with(FailoverState(), fake)
        assert pickle.loads(pickle.dumps(model))._resolver.state is PROCESS_STATE
