"""What all connections have in common; each protocol's own are in `test_protocol_wire`."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize(("idle_s", "opened"), [(60.0, 1), (0.0, 2)])
async def test_an_idle_connection_is_kept_for_so_long_only(
    pair: Any, call: str, idle_s: float, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_autoprovider.http.clients.IDLE_CONNECTION_S", idle_s)
    connections = pair.connections()
    model = pair.model()
    for _ in range(2):
        answer = model.invoke("Hi") if call == "invoke" else await model.ainvoke("Hi")
        assert answer.text == "from first"
    assert len(connections) == opened
