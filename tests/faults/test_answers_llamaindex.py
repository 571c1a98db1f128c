"""What real providers send, through `AutoLLM`: the cases of `AutoChatModel` that change output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from faults.cases import ends, messages, tools
from faults.cases.case import Answers, Filtered, HandedOut, Interrupted
from inference_providers import StreamInterrupted
from inference_providers.errors import ContentFilteredError

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from faults.cases.case import Case
    from raw_server import RawServer

pytestmark = pytest.mark.usefixtures("_no_backoff", "_short_grace")

CASES = [*messages.CASES, *ends.CASES, *tools.CASES]
HI = [ChatMessage("Hi")]


async def _chat(llm: Any) -> Any:
    return llm.chat(HI)


async def _achat(llm: Any) -> Any:
    return await llm.achat(HI)


async def _stream_chat(llm: Any) -> Any:
    return [*llm.stream_chat(HI)][-1]


async def _astream_chat(llm: Any) -> Any:
    return [part async for part in await llm.astream_chat(HI)][-1]


WHOLE = {"chat": _chat, "achat": _achat}
STREAMED = {"stream_chat": _stream_chat, "astream_chat": _astream_chat}


def ways(cases: list[Case], kind: str, calls: dict[str, Any]) -> list[Any]:
    """Return each case that has a response of this kind, with one of the calls in turn."""
    names = [*calls]
    fitting = [case for case in cases if getattr(case, kind) is not None]
    return [
        pytest.param(case, calls[names[n % 2]], id=f"{case.name}-{names[n % 2]}")
        for n, case in enumerate(fitting)
    ]


def check(response: Any, expected: Any) -> None:
    """Check what LlamaIndex got: the provider's own answer, or the healthy one's."""
    answer = expected.answer if isinstance(expected, HandedOut) else expected
    if not isinstance(answer, Answers):
        assert response.message.content == "from second"
        return
    assert (response.message.content or "") == answer.text + answer.refusal
    calls = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
    good = [
        (call.tool_name, call.tool_kwargs) for call in calls if isinstance(call.tool_kwargs, dict)
    ]
    assert good == [*answer.calls]


async def play(
    faulty: RawServer, pair: Pair, call: Callable[..., Any], response: Any, expected: Any
) -> None:
    """Make one call while the first provider sends `response`."""
    faulty.answer = lambda _: response
    llm = pair.llm()
    if isinstance(expected, Interrupted):
        with pytest.raises(StreamInterrupted) as broken:
            await call(llm)
        assert (broken.value.partial.content or "") == expected.partial
    elif isinstance(expected, Filtered):
        with pytest.raises(ContentFilteredError):
            await call(llm)
    else:
        check(await call(llm), expected)


@pytest.mark.parametrize(("case", "call"), ways(CASES, "whole", WHOLE))
async def test_auto_llm_answer(
    faulty_pair: Pair, faulty: RawServer, case: Case, call: Callable[..., Any]
) -> None:
    await play(faulty, faulty_pair, call, case.whole, case.expected)


@pytest.mark.parametrize(("case", "call"), ways(CASES, "streamed", STREAMED))
async def test_auto_llm_streamed_answer(
    faulty_pair: Pair, faulty: RawServer, case: Case, call: Callable[..., Any]
) -> None:
    await play(faulty, faulty_pair, call, case.streamed, case.expected_stream)
