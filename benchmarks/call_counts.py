"""Counts the Python calls that one healthy, warm call makes in our three packages.

    python benchmarks/call_counts.py                    # the table
    python benchmarks/call_counts.py --detail invoke    # every call of one row, in order

A provider on loopback answers. Counted are calls of functions, methods, properties,
comprehensions and generators (each resumption is a call), as `sys.setprofile` reports them.
A switch is a call into another file than the call before it. Calls in other packages, and
in other threads, are not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_providers import ProviderList
from inference_providers.cli.main import app
from inference_providers.testing import FakeProvider, Reply
from inference_providers.updates.effective_registry import active_registry
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

ROOTS = {
    str(Path(str(find_spec(name).origin)).parent): name
    for name in ("inference_providers", "langchain_autoprovider", "llamaindex_autoprovider")
}
WARM_UPS = 3


def counted(action: Callable[[], object]) -> list[CodeType]:
    """Return the code of each call in our packages while `action` runs, in order."""
    for _ in range(WARM_UPS):
        action()
    calls: list[CodeType] = []

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and is_ours(frame.f_code):
            calls.append(frame.f_code)

    sys.setprofile(record)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def is_ours(code: CodeType) -> bool:
    """Return whether a function belongs to one of our packages."""
    return any(code.co_filename.startswith(root) for root in ROOTS)


def place(code: CodeType) -> str:
    """Return a function's file, with its package in front."""
    root = next(root for root in ROOTS if code.co_filename.startswith(root))
    return ROOTS[root] + code.co_filename.removeprefix(root)


def actions(fake: FakeProvider, folder: Path) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return a function for each row that prepares an action and returns it."""
    document = {"providers": {"fake": fake.row({"counted-1": "m"})}}
    file = folder / "registry.json"
    file.write_text(json.dumps(document))
    registry = active_registry(document)

    def construct() -> Callable[[], object]:
        return lambda: AutoChatModel("counted-1", registry=registry)

    def invoke() -> Callable[[], object]:
        chat_model = AutoChatModel("counted-1", registry=registry)
        return lambda: chat_model.invoke("hi")

    def stream() -> Callable[[], object]:
        chat_model = AutoChatModel("counted-1", registry=registry)
        return lambda: list(chat_model.stream("hi"))

    def chat() -> Callable[[], object]:
        from llama_index.core.llms import ChatMessage  # the import takes seconds

        from llamaindex_autoprovider import AutoLLM

        llm = AutoLLM("counted-1", registry=registry)
        return lambda: llm.chat([ChatMessage(content="hi")])

    def connect() -> Callable[[], object]:
        providers = ProviderList(json_merge=document)
        return lambda: providers.connect_to_model("counted-1")

    def ask() -> Callable[[], object]:
        arguments = ["ask", "hi", "--model", "counted-1", "--registry", str(file)]

        def run() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                app(arguments, standalone_mode=False)

        return run

    return {
        "construct": construct,
        "invoke": invoke,
        "stream": stream,
        "AutoLLM.chat": chat,
        "connect_to_model": connect,
        "ask": ask,
    }


def main() -> None:
    """Print the table, or all calls of one row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--detail", metavar="ROW", help="list every call of this row")
    row = parser.parse_args().detail
    with FakeProvider(Reply("one two three")) as fake, tempfile.TemporaryDirectory() as folder:
        table = actions(fake, Path(folder))
        if row is not None:
            print_detail(counted(table[row]()))
            return
        print(f"{'':18}{'calls':>8}{'functions':>11}{'files':>7}{'switches':>10}")
        for name, prepare in table.items():
            calls = counted(prepare())
            files = [place(code) for code in calls]
            switches = sum(a != b for a, b in pairwise(files))
            counts = f"{len(calls):>8}{len(set(calls)):>11}{len(set(files)):>7}{switches:>10}"
            print(f"{name:18}{counts}")


def print_detail(calls: list[CodeType]) -> None:
    """Print each call in order, then the files with the most calls."""
    for code in calls:
        print(f"{place(code)}:{code.co_firstlineno} {code.co_qualname}")
    print()
    for file, count in Counter(place(code) for code in calls).most_common():
        print(f"{count:6} {file}")


if __name__ == "__main__":
    main()
