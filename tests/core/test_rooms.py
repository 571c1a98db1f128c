"""Imports go down the ladder only, files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "inference_providers": ROOT / "shared" / "inference_providers",
    "langchain_autoprovider": ROOT / "langchain_autoprovider",
    "llamaindex_autoprovider": ROOT / "llamaindex_autoprovider",
}
RUNGS = (
    {
        "conflict",
        "embedded_server",
        "errors",
        "evidence",
        "patience",
        "policy",
        "private_files",
        "tables",
        "wordings",
    },
    {"allowance", "hints", "name_aliases", "name_rules", "original_format", "strict_json"},
    {"routes"},
    {"keys", "names", "outcomes", "verdicts", "weights"},
    {"fetch", "registry_rules", "signatures"},
    {"registry_file"},
    {"catalogue"},
    {"meaning"},
    {"cooldown", "registry", "registry_schema", "trust"},
    {"update"},
    {"layers"},
    {"plan"},
    {"failover", "reading"},
    {"contenders", "hedge"},
    {"connector", "drive", "embedded", "trace"},
    {"local"},
    {"resolver"},
    {"provider_list", "testing.replies", "verify"},
    {"testing.server"},
    {"testing"},
    {"__init__"},
    {"cli.show"},
    {"cli.upkeep"},
    {"cli.main"},
    {"cli"},
    {"cli.__main__"},
)
"""Lowest first. A module imports from lower rungs only, so there is no circle."""

ADAPTER_RUNGS = (
    {"blocks", "conversation", "errors", "loops", "needs", "quirks", "reads"},
    {"chunks", "history", "profile", "structured", "transport"},
    {"plain_client", "route_model"},
    {
        "anthropic_protocol",
        "bedrock_protocol",
        "binding",
        "cohere_protocol",
        "connect",
        "google_protocol",
        "mistral_protocol",
        "openai_protocol",
        "replicate_protocol",
    },
    {"vertex_protocol"},
    {"request", "selection"},
    {"chat_models", "embeddings"},
    {"connector"},
    {"__init__"},
)
LLAMAINDEX_RUNGS = (
    {"blocks", "facts", "standing"},
    {"embedding", "messages"},
    {"exchange"},
    {"llm"},
    {"__init__"},
)
MAX_LINES = 400
MAX_FUNCTION_LINES = 50


def modules(package: str) -> dict[str, Path]:
    root = PACKAGES[package]
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def rung_of(name: str, rungs: tuple[set[str], ...]) -> int:
    assert any(name in rung for rung in rungs), f"{name} stands on no rung; give it one"
    return next(n for n, rung in enumerate(rungs) if name in rung)


def imported(path: Path, package: str) -> set[str]:
    """Return the modules of `package` that a file imports, at any depth, types aside."""
    names: set[str] = set()
    known = modules(package)
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == package:
                names |= {a.name if a.name in known else "__init__" for a in node.names}
            elif node.module.startswith(f"{package}."):
                module = node.module.removeprefix(f"{package}.")
                submodules = {f"{module}.{alias.name}" for alias in node.names} & set(known)
                names |= submodules or {module}
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix(f"{package}.")
                for alias in node.names
                if alias.name.startswith(f"{package}.")
            }
    return names


@pytest.mark.parametrize(
    ("package", "rungs"),
    [
        ("inference_providers", RUNGS),
        ("langchain_autoprovider", ADAPTER_RUNGS),
        ("llamaindex_autoprovider", LLAMAINDEX_RUNGS),
    ],
)
def test_imports_go_down_the_ladder(package: str, rungs: tuple[set[str], ...]) -> None:
    for name, path in modules(package).items():
        for other in imported(path, package):
            assert rung_of(other, rungs) < rung_of(name, rungs), f"{name} imports {other}"


def test_the_core_imports_no_adapter() -> None:
    for path in modules("inference_providers").values():
        assert not imported(path, "langchain_autoprovider"), path
        assert not imported(path, "llamaindex_autoprovider"), path


def test_langchains_adapter_imports_nothing_of_llamaindexs() -> None:
    for path in modules("langchain_autoprovider").values():
        assert not imported(path, "llamaindex_autoprovider"), path


def test_only_keys_reads_the_environment() -> None:
    allowed = {"keys"}
    for name, path in modules("inference_providers").items():
        tree = ast.parse(path.read_text())
        reads = any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(tree)
        )
        assert not reads or name in allowed, f"{name} reads the environment"


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_stay_small(package: str) -> None:
    for name, path in modules(package).items():
        text = path.read_text()
        assert len(text.splitlines()) <= MAX_LINES, f"{name} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= MAX_FUNCTION_LINES, f"{name}.{node.name} has {lines} lines"
