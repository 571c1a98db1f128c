"""A room imports from rooms below it only; the core knows no framework."""

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
ROOMS = {
    "inference_providers": (
        {"errors", "scrubbing", "settings", "tables"},
        {"types"},
        {"credentials", "failures", "model_names"},
        {"wire"},
        {"failover", "registry"},
        {"local", "updates"},
        {"routing"},
        {"provider_list", "testing"},
        {"__init__"},
        {"cli"},
    ),
    "langchain_autoprovider": (
        {"field_docs", "http", "messages", "options"},
        {"protocols"},
        {"errors"},
        {"requests"},
        {"routed_model"},
        {"chat_models", "embeddings"},
        {"backend"},
        {"__init__"},
    ),
    "llamaindex_autoprovider": (
        {"content", "metadata", "options"},
        {"messages", "routed_component"},
        {"embedding", "requests", "responses"},
        {"llm"},
        {"__init__"},
    ),
}
"""The rooms of each package, lowest rung first. Rooms on one rung do not import each other."""

ENVIRONMENT_READER = "credentials.py"


def files(package: str) -> dict[str, Path]:
    """Return a package's Python files by their path inside it."""
    root = PACKAGES[package]
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py"))}


def room_of(file: str) -> str:
    return file.split("/", maxsplit=1)[0].removesuffix(".py")


def rung_of(package: str, room: str) -> int:
    for rung, rooms in enumerate(ROOMS[package]):
        if room in rooms:
            return rung
    message = f"{package} has no room {room!r}: put the file into a room, or add one to ROOMS"
    raise AssertionError(message)


def imported_rooms(path: Path, package: str) -> set[str]:
    """Return the rooms of `package` that a file imports, also inside functions and for types."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            all_rooms = set().union(*ROOMS[package])
            rooms |= {a.name if a.name in all_rooms else "__init__" for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            rooms.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            rooms |= {parts[1] for parts in names if parts[0] == package and len(parts) > 1}
    return rooms


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_import_only_rooms_below_them(package: str) -> None:
    for file, path in files(package).items():
        room = room_of(file)
        for other in imported_rooms(path, package) - {room}:
            below = rung_of(package, other) < rung_of(package, room)
            assert below, f"{package}/{file} imports {other}, which is not below {room}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_exists(package: str) -> None:
    assert set().union(*ROOMS[package]) == {room_of(file) for file in files(package)}


@pytest.mark.parametrize(
    ("package", "foreign"),
    [
        ("inference_providers", "langchain_autoprovider"),
        ("inference_providers", "llamaindex_autoprovider"),
        ("langchain_autoprovider", "llamaindex_autoprovider"),
    ],
)
def test_no_package_imports_one_above_it(package: str, foreign: str) -> None:
    for file, path in files(package).items():
        assert not imported_rooms(path, foreign), f"{package}/{file} imports {foreign}"


def test_only_credentials_reads_the_environment() -> None:
    for file, path in files("inference_providers").items():
        reads = any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(ast.parse(path.read_text()))
        )
        assert not reads or file == ENVIRONMENT_READER, f"{file} reads the environment"
