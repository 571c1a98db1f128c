"""How many connections may be open, and how long an idle one is kept."""

from __future__ import annotations

__all__ = ["MAX_CONNECTIONS", "MAX_IDLE_CONNECTIONS", "MAX_IDLE_CONNECTION_S"]

MAX_IDLE_CONNECTION_S = 4.0
"""Seconds after which an idle connection is closed. Servers built on Node.js, uvicorn or llama.cpp
close theirs after 5 s, and a request sent at that moment would be lost."""

MAX_CONNECTIONS = 1000
MAX_IDLE_CONNECTIONS = 100
"""The limits of OpenAI's SDK, which our own clients apply to each origin."""
