"""The wheel in a clean environment with openai 2, without the source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[1]
CLEAN = ROOT / ".venv-wheel"
"""`make test` creates it from requirements/openai2.txt: our dependencies without this package."""

SCRIPT = """
import asyncio, sys, warnings
from importlib.metadata import entry_points, version
from pathlib import Path

import inference_providers, langchain_autoprovider, llamaindex_autoprovider, openai
from inference_providers import ProviderList, Registry
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from llama_index.llms.openai import OpenAI  # its package requires openai 2
from llamaindex_autoprovider import AutoLLM

source = Path({root!r})
for module in (inference_providers, langchain_autoprovider, llamaindex_autoprovider):
    assert source not in Path(module.__file__).parents, module.__file__
    assert Path(module.__file__).with_name("py.typed").is_file()
assert Path(Registry.load().origin).parent == Path(inference_providers.__file__).parent
assert openai.__version__.startswith("2."), openai.__version__
assert version("autoprovider")
assert [point.name for point in entry_points(group="autoprovider.connectors")] == ["langchain"]

with FakeProvider(Reply(status=503)) as down, FakeProvider(Reply("from second")) as up:
    rows = {{"first": down.row({{"m": "a"}}), "second": up.row({{"m": "b"}})}}
    model = AutoChatModel("m", registry={{"providers": rows}})

    async def in_async():
        streamed = [chunk.text async for chunk in model.astream("Hi")]
        return [(await model.ainvoke("Hi")).text, "".join(streamed)]

    answers = [model.invoke("Hi").text, "".join(c.text for c in model.stream("Hi"))]
    answers += asyncio.run(in_async())
    assert answers == ["from second"] * 4, answers

    llm = AutoLLM("m", registry={{"providers": rows}})
    answers = [llm.complete("Hi").text, [part.text for part in llm.stream_complete("Hi")][-1]]
    assert answers == ["from second"] * 2, answers
    providers = ProviderList(json_merge={{"providers": rows}})
    client, model_id = providers.connect_to_model("m", test=True)
    assert (type(client), model_id) == (openai.OpenAI, "b")

assert ProviderList().ask_ai("Hello"), "the embedded model does not answer"
print("the wheel works")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_has_the_registry_and_no_startup_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "inference_providers/providers.json" in names
    assert "inference_providers/registry/providers.schema.json" in names
    assert "inference_providers/local/smollm2-tools.jinja" in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"inference_providers", "langchain_autoprovider", "llamaindex_autoprovider"}
    assert not [name for name in names if name.endswith((".pth", ".pyc"))]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the wheel but not the source."""
    assert CLEAN.is_dir(), "run the tests with `make test`"
    environment = tmp_path_factory.mktemp("clean") / "env"
    shutil.copytree(CLEAN, environment, symlinks=True)
    interpreter = environment / "bin" / "python"
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return interpreter


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    removed = ("PYTHONPATH", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    command = [str(python), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_wheel_works_without_the_source(python: Path, tmp_path: Path) -> None:
    process = run(python, "-W", "error", "-c", SCRIPT.format(root=str(ROOT)), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "the wheel works\n"
    listing = run(python, "-m", "inference_providers.cli", "models", cwd=tmp_path)
    assert "gpt-oss-120b" in listing.stdout, listing.stderr


def test_wheel_passes_the_llamaindex_tests_with_openai_2(python: Path) -> None:
    suite = ("tests/llamaindex", "tests/test_parity.py")  # they pass here with openai 3
    process = run(python, "-P", "-m", "pytest", "-p", "no:cacheprovider", *suite, cwd=ROOT)
    assert process.returncode == 0, process.stdout[-5000:]
    passed = re.search(r"=+ (\d+) passed in ", process.stdout)
    assert passed, process.stdout[-500:]
    assert int(passed[1]) > 300
