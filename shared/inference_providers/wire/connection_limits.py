"""How many connections there may be, and how long they are kept."""

from __future__ import annotations

__all__ = ["MAX_CONNECTIONS", "MAX_IDLE_CONNECTIONS", "MAX_IDLE_CONNECTION_S"]

MAX_IDLE_CONNECTION_S = 4.0
"""Seconds after which an unused connection is closed. Servers built on Node.js, uvicorn or
llama.cpp close theirs after 5 s: a request sent at that moment would be lost."""

MAX_CONNECTIONS = 1000
MAX_IDLE_CONNECTIONS = 100
"""As many as OpenAI's SDK allows. Our own clients allow as many for each origin."""
