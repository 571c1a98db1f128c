"""The wheel, installed in a clean environment beside openai 2, with the source out of reach."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLEAN = ROOT / ".venv-wheel"
"""Made by `make test` from requirements/openai2.txt; holds our dependencies, not us."""

SCRIPT = """
import asyncio, sys, warnings
from importlib.metadata import entry_points, version
from pathlib import Path

import inference_providers, langchain_autoprovider, llamaindex_autoprovider, openai
from inference_providers import ProviderList, Registry
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from llama_index.llms.openai import OpenAI  # whose package keeps openai at 2
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


def test_the_wheel_holds_the_registry_and_nothing_that_runs_by_itself(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "inference_providers/providers.json" in names
    assert "inference_providers/registry/providers.schema.json" in names
    assert "inference_providers/local/smollm2-tools.jinja" in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"inference_providers", "langchain_autoprovider", "llamaindex_autoprovider"}
    assert not [name for name in names if name.endswith((".pth", ".pyc"))]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel and without the source."""
    assert CLEAN.is_dir(), "run the tests with `make test`"
    environment = tmp_path_factory.mktemp("clean") / "env"
    shutil.copytree(CLEAN, environment, symlinks=True)
    own = environment / "bin" / "python"
    install = [str(own), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return own


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ours = ("PYTHONPATH", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [str(python), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_wheel_works_with_the_source_out_of_reach(python: Path, tmp_path: Path) -> None:
    done = run(python, "-W", "error", "-c", SCRIPT.format(root=str(ROOT)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the wheel works\n"
    listing = run(python, "-m", "inference_providers.cli", "models", cwd=tmp_path)
    assert "gpt-oss-120b" in listing.stdout, listing.stderr


def test_llamaindex_users_get_the_same_beside_its_own_openai_class(python: Path) -> None:
    suite = ("tests/llamaindex", "tests/test_parity.py")  # as they pass here with openai 3
    done = run(python, "-P", "-m", "pytest", "-p", "no:cacheprovider", *suite, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"=+ (\d+) passed in ", done.stdout)
    assert passed, done.stdout[-500:]
    assert int(passed[1]) > 300
