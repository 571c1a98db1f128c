"""`sticky=True`: a conversation stays with the route that answered it until the route fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from inference_providers.failover.state import PROCESS_STATE
from inference_providers.testing import Reply
from langchain_autoprovider.messages.fingerprint import conversation_fingerprint

if TYPE_CHECKING:
    import pytest

    from factories import Pair
    from inference_providers.testing import FakeProvider

FIRST_TURN = [SystemMessage("Be brief."), HumanMessage("Hi")]
SECOND_TURN = [*FIRST_TURN, AIMessage("Hello"), HumanMessage("And now?")]


def recover(provider: FakeProvider) -> None:
    """Let a provider answer again, and end its cooldown."""
    provider.replies = [Reply("from first")]
    PROCESS_STATE._cooldowns.clear()


async def test_sticky_conversation_stays_with_its_route(pair: Pair) -> None:
    llm = pair.model(sticky=True)
    pair.first.replies = [Reply(status=503)]
    assert llm.invoke(FIRST_TURN).text == "from second"
    recover(pair.first)
    assert llm.invoke(SECOND_TURN).text == "from second"
    assert (await llm.ainvoke(SECOND_TURN)).text == "from second"
    assert "".join(chunk.text for chunk in llm.stream(SECOND_TURN)) == "from second"
    assert "".join([chunk.text async for chunk in llm.astream(SECOND_TURN)]) == "from second"


def test_sticky_does_not_bind_other_conversations(pair: Pair) -> None:
    llm = pair.model(sticky=True)
    pair.first.replies = [Reply(status=503)]
    llm.invoke(FIRST_TURN)
    recover(pair.first)
    assert llm.invoke("Something else").text == "from first"


def test_sticky_conversation_moves_when_its_route_fails(pair: Pair) -> None:
    llm = pair.model(sticky=True)
    first, second = pair.first, pair.second
    first.replies = [Reply(status=503)]
    llm.invoke(FIRST_TURN)
    recover(first)
    second.replies = [Reply(status=503)]
    assert llm.invoke(SECOND_TURN).text == "from first"
    second.replies = [Reply("from second")]
    PROCESS_STATE._cooldowns.clear()
    assert llm.invoke(SECOND_TURN).text == "from first"


def test_without_sticky_the_first_route_comes_first(pair: Pair) -> None:
    pair.first.replies = [Reply(status=503)]
    llm = pair.model()
    llm.invoke(FIRST_TURN)
    recover(pair.first)
    assert llm.invoke(SECOND_TURN).text == "from first"


def test_conversation_fingerprint_hides_the_messages() -> None:
    assert conversation_fingerprint(FIRST_TURN) == conversation_fingerprint(SECOND_TURN)
    assert conversation_fingerprint([HumanMessage("Hi")]) != conversation_fingerprint(FIRST_TURN)
    assert conversation_fingerprint([HumanMessage("a\udc00")]) == conversation_fingerprint(
        [HumanMessage("a\udc00")]
    )
    assert "brief" not in conversation_fingerprint(FIRST_TURN)


def test_sticky_forgets_the_least_recent_conversation(
    monkeypatch: pytest.MonkeyPatch, pair: Pair
) -> None:
    monkeypatch.setattr("inference_providers.failover.state.MAX_CONVERSATIONS", 2)
    llm = pair.model(sticky=True)
    for prompt in ("one", "two", "one", "three"):
        llm.invoke(prompt)
    routes = [
        PROCESS_STATE.preferred_route(conversation_fingerprint([HumanMessage(x)]))
        for x in ("one", "two", "three")
    ]
    assert routes == [("first", "first-id"), None, ("first", "first-id")]
