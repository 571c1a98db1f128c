"""The path of one healthy call stays short: `benchmarks/call_counts.py` shows where calls go."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inference_providers.testing import FakeProvider, Reply

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "call_counts.py"
MAX_CALLS, MAX_FILES, MAX_SWITCHES = 180, 33, 100


@pytest.fixture(scope="module")
def call_counts() -> Any:
    spec = spec_from_file_location("call_counts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_invoke_crosses_few_functions_and_files(call_counts: Any, tmp_path: Path) -> None:
    with FakeProvider(Reply("one two three")) as fake:
        calls = call_counts.counted(call_counts.actions(fake, tmp_path)["invoke"]())
    files = [call_counts.place(code) for code in calls]
    assert 0 < len(calls) <= MAX_CALLS
    assert len(set(files)) <= MAX_FILES, sorted(set(files))
    assert sum(a != b for a, b in pairwise(files)) <= MAX_SWITCHES
