"""Whatever a vendor's class raises while it reads a 2xx is the provider's fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import TypeAdapter, ValidationError

from factories import http_error
from inference_providers import StreamInterrupted, health
from inference_providers.testing import Reply
from inference_providers.wire.exchange import current_exchange
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.base import message_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from factories import Pair


def validation_error() -> ValidationError:
    try:
        TypeAdapter(int).validate_python("word")
    except ValidationError as error:
        return error
    raise AssertionError


UNREADABLE = [
    AttributeError("'NoneType' object has no attribute 'get'"),
    IndexError("list index out of range"),
    KeyError("choices"),
    RecursionError("maximum recursion depth exceeded"),
    TypeError("'int' object is not iterable"),
    ValueError("not a valid value"),
    validation_error(),
]


class Stub:
    """A vendor's class that receives a response with `status`, then raises `error`."""

    def __init__(self, error: Exception, status: int | None, text: str = "") -> None:
        self.error = error
        self.status = status
        self.text = text

    def _receive(self) -> None:
        exchange = current_exchange()
        assert exchange is not None
        exchange.status = self.status

    def _generate(self, **_: Any) -> ChatResult:
        self._receive()
        raise self.error

    async def _agenerate(self, **_: Any) -> ChatResult:
        self._receive()
        raise self.error

    def _stream(self, **_: Any) -> Iterator[Any]:
        self._receive()
        if self.text:
            yield message_chunk(content=self.text)
        raise self.error

    async def _astream(self, **_: Any) -> AsyncIterator[Any]:
        for chunk in self._stream():
            yield chunk


@pytest.fixture
def first_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stub], None]:
    """Replace the first provider's class by a stub."""
    connect, aconnect = connections.connect, connections.aconnect

    def replace(stub: Stub) -> None:
        async def aconnect_to(route: Any, access: Any) -> Any:
            return stub if route.provider == "first" else await aconnect(route, access)

        def connect_to(route: Any, access: Any) -> Any:
            return stub if route.provider == "first" else connect(route, access)

        monkeypatch.setattr(connections, "connect", connect_to)
        monkeypatch.setattr(connections, "aconnect", aconnect_to)

    return replace


@pytest.mark.parametrize("error", UNREADABLE, ids=lambda error: type(error).__name__)
async def test_error_while_reading_a_2xx_is_an_invalid_response(
    pair: Pair, first_is: Callable[[Stub], None], ask: Callable[..., Any], error: Exception
) -> None:
    first_is(Stub(error, 201))
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from second"
    first, _ = answer.response_metadata["autoprovider"]["attempts"]
    assert first["class"] == "invalid_response"


@pytest.mark.parametrize("status", [None, 302, 400])
async def test_error_without_a_2xx_is_raised_as_it_is(
    pair: Pair, first_is: Callable[[Stub], None], ask: Callable[..., Any], status: int | None
) -> None:
    error = TypeError("create() got an unexpected keyword argument")
    first_is(Stub(error, status))
    with pytest.raises(TypeError) as caught:
        await ask(pair.model(), "Hi")
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "failure_class"),
    [
        (http_error(429), "rate_limited"),
        (ConnectionResetError("reset"), "overloaded"),
        (TimeoutError("late"), "overloaded"),
    ],
    ids=repr,
)
async def test_known_error_while_reading_a_2xx_keeps_its_class(
    pair: Pair,
    first_is: Callable[[Stub], None],
    ask: Callable[..., Any],
    error: Exception,
    failure_class: str,
) -> None:
    first_is(Stub(error, 200))
    answer = await ask(pair.model(), "Hi")
    assert answer.response_metadata["autoprovider"]["attempts"][0]["class"] == failure_class


async def test_error_after_output_interrupts_the_stream(
    pair: Pair, first_is: Callable[[Stub], None]
) -> None:
    error = KeyError("delta")
    first_is(Stub(error, 200, text="Hel"))
    with pytest.raises(StreamInterrupted, match="could not be read: KeyError") as caught:
        [_ async for _ in pair.model().astream("Hi")]
    assert caught.value.partial.text == "Hel"
    assert caught.value.__cause__.__cause__ is error


async def test_empty_list_of_generations_is_an_invalid_response(
    pair: Pair, first_is: Callable[[Stub], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub(KeyError(), 200)
    monkeypatch.setattr(stub, "_generate", lambda **_: ChatResult(generations=[]), raising=False)
    first_is(stub)
    assert pair.model().invoke("Hi").text == "from second"


async def test_usage_that_is_not_a_number_is_left_out(
    pair: Pair, first_is: Callable[[Stub], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = AIMessage("from first", response_metadata={"finish_reason": "stop"})
    message.usage_metadata = {"input_tokens": "many", "output_tokens": None, "total_tokens": []}  # type: ignore[typeddict-item]
    result = ChatResult(generations=[ChatGeneration(message=message)])
    stub = Stub(KeyError(), 200)
    monkeypatch.setattr(stub, "_generate", lambda **_: result, raising=False)
    first_is(stub)
    answer = pair.model().invoke("Hi")
    assert (answer.text, answer.usage_metadata) == ("from first", None)
    assert answer.response_metadata["autoprovider"]["cost_usd"] is None


class Raising(BaseCallbackHandler):
    """A callback of the caller that raises an error."""

    raise_error = True

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        raise KeyError(token)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        raise KeyError(response)


async def test_error_of_a_callback_is_the_callers(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("from first"))
    with pytest.raises(KeyError):
        await ask(pair.model(callbacks=[Raising()]), "Hi")
    assert not pair.second.requests
    assert health().rows == ()
