"""No call blocks the event loop, the first one of a process included.

LangChain's own tests use blockbuster in the same way: it raises where code on a loop reads a file,
sleeps or waits for a socket.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from inference_providers.testing import FakeProvider, Reply

PROGRAM = """
import asyncio, json, os, sys
from blockbuster import blockbuster_ctx
from langchain_autoprovider import AutoChatModel

registry, name = json.loads(sys.argv[1])
model = AutoChatModel(name, registry=registry)

async def main():
    with blockbuster_ctx():
        texts = [(await model.ainvoke("Hi")).text for _ in range(2)]
        for _ in range(2):
            texts.append("".join([chunk.text async for chunk in model.astream("Hi")]))
        second = AutoChatModel(name, registry=registry)
        texts.append((await second.ainvoke("Hi")).text)
        texts.append((await model.bind(model="fake/m").ainvoke("Hi")).text)
        profile = model.profile
    print(json.dumps([texts, profile["text_inputs"]]), flush=True)

asyncio.run(main())
os._exit(0)  # blockbuster patches built-in types, and the interpreter crashes when it frees them
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m", "fake/m", None])
def test_ainvoke_and_astream_never_block_the_event_loop(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", "fake-key-value")
    with FakeProvider(Reply("hi there")) as fake:
        row = fake.row({"m": "id"}, key="FAKE_KEY")
        row["models"]["m"] = {"id": "id", "input": ["text"]}
        registry = {"providers": {"fake": row}, "auto_model_priority": ["m"]}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([registry, name])],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["hi there"] * 6, True]
