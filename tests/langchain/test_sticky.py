"""`sticky=True`: a conversation stays with the route that answered it, until that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from inference_providers.failover.state import PROCESS_STATE
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.messages.fingerprint import conversation_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGUN = [SystemMessage("Be brief."), HumanMessage("Hi")]
LATER = [*BEGUN, AIMessage("Hello"), HumanMessage("And now?")]


@pytest.fixture
def two() -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with FakeProvider(Reply("from first")) as first, FakeProvider(Reply("from second")) as second:
        yield first, second


def model(two: tuple[FakeProvider, FakeProvider], **arguments: Any) -> AutoChatModel:
    first, second = two
    rows = {"first": first.row({"m": "m-1"}), "second": second.row({"m": "m-2"})}
    return AutoChatModel("m", registry={"providers": rows}, **arguments)


def well_again(first: FakeProvider) -> None:
    """The first provider recovers, and nobody remembers its failure."""
    first.replies = [Reply("from first")]
    PROCESS_STATE._cooldowns.clear()


async def test_a_conversation_stays_where_it_was_answered(two: Any) -> None:
    llm = model(two, sticky=True)
    two[0].replies = [Reply(status=503)]
    assert llm.invoke(BEGUN).text == "from second"
    well_again(two[0])
    assert llm.invoke(LATER).text == "from second"
    assert (await llm.ainvoke(LATER)).text == "from second"
    assert "".join(chunk.text for chunk in llm.stream(LATER)) == "from second"
    assert "".join([chunk.text async for chunk in llm.astream(LATER)]) == "from second"


def test_another_conversation_goes_its_own_way(two: Any) -> None:
    llm = model(two, sticky=True)
    two[0].replies = [Reply(status=503)]
    llm.invoke(BEGUN)
    well_again(two[0])
    assert llm.invoke("Something else").text == "from first"


def test_a_conversation_moves_when_its_route_fails_and_stays_there(two: Any) -> None:
    llm = model(two, sticky=True)
    first, second = two
    first.replies = [Reply(status=503)]
    llm.invoke(BEGUN)
    well_again(first)
    second.replies = [Reply(status=503)]
    assert llm.invoke(LATER).text == "from first"
    second.replies = [Reply("from second")]
    PROCESS_STATE._cooldowns.clear()
    assert llm.invoke(LATER).text == "from first"


def test_without_sticky_the_order_is_the_registrys(two: Any) -> None:
    two[0].replies = [Reply(status=503)]
    llm = model(two)
    llm.invoke(BEGUN)
    well_again(two[0])
    assert llm.invoke(LATER).text == "from first"


def test_a_digest_is_of_the_first_messages_and_tells_nothing() -> None:
    assert conversation_fingerprint(BEGUN) == conversation_fingerprint(LATER)
    assert conversation_fingerprint([HumanMessage("Hi")]) != conversation_fingerprint(BEGUN)
    assert conversation_fingerprint([HumanMessage("a\udc00")]) == conversation_fingerprint(
        [HumanMessage("a\udc00")]
    )
    assert "brief" not in conversation_fingerprint(BEGUN)


def test_conversations_not_heard_of_for_longest_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch, two: Any
) -> None:
    monkeypatch.setattr("inference_providers.failover.state.MAX_CONVERSATIONS", 2)
    llm = model(two, sticky=True)
    for asked in ("one", "two", "one", "three"):
        llm.invoke(asked)
    kept = [
        PROCESS_STATE.preferred_route(conversation_fingerprint([HumanMessage(x)]))
        for x in ("one", "two", "three")
    ]
    assert kept == [("first", "m-1"), None, ("first", "m-1")]
