"""The language of the repository: plain English, and test names that state a fact briefly.

The patterns find phrases that a native reader stumbles over. A finding is a reason to rewrite
the sentence, not to reorder its words.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "shared", "langchain_autoprovider", "llamaindex_autoprovider", "tests", "docs", "examples",
    "benchmarks", "scripts", "registry", ".github",
)  # fmt: skip
"""Where the project's own text is. `requirements/` is generated."""

EXCLUDED = ("CHANGELOG.md", "tests/data/", "tests/corpus/", "tests/test_language.py")
"""History, recorded data, and this file."""

MAX_TEST_NAME = 60

PHRASES = re.compile(
    r"""\b(?:
        (?<!there\s)(?:is|are|was|holds)[ ]no
            [ ](?!longer\b|more\b|such\b|key\b|need\b|way\b)\w+
      | that[ ]is[ ]none
      | (?:or|and|expiry|version)[ ]is[ ]none
      | (?:for|than|of|to|by)[ ]who
      | (?:made[ ])?anew
      | stands?[ ](?:in[ ]place|behind|beside|twice|on)
      | stood[ ]in
      | lays?[ ]an?[ ]\w+[ ]on
      | what[ ](?:is|was)[ ](?:told|said|asked|meant)
      | was[ ]said
      | told[ ](?:by|with|of|apart[ ]by)
      | mend(?:s|ed|ing)?
      | spelt
      | some[ ]spellings?[ ]nobody
      | whoever
      | what[ ]no[ ]rule[ ]knows
      | who[ ]rests
      | at[ ]rest
      | in[ ]vain
      | such[ ]a[ ]one
      | heed(?:s|ed)?
    )\b""".replace("[ ]", r"[\s#]+"),  # also across a line break
    re.IGNORECASE | re.VERBOSE,
)
"""Phrases of a translation, each with a plain form: `is not a file`, `recreated`, `replaces`."""

NAMES = frozenset({"said", "told", "made", "meant", "asked", "found", "own", "known"})
"""Participles as names of variables; a noun says what the value is: `message`, `plan`, `match`."""


def texts() -> list[Path]:
    """Return the files to check, each relative to the repository."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    for folder in FOLDERS:
        files += (f for f in (ROOT / folder).rglob("*") if f.suffix in {".py", ".md", ".toml"})
    relative = (file.relative_to(ROOT) for file in files if "node_modules" not in file.parts)
    return sorted(f for f in relative if not f.as_posix().startswith(EXCLUDED))


def phrases(text: str) -> Iterator[str]:
    """Yield `line: phrase` for each odd phrase."""
    for match in PHRASES.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield f"{line}: {match[0]!r}"


def names(tree: ast.AST) -> Iterator[str]:
    """Yield `line: name` for each variable, argument and loop variable in `NAMES`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        else:
            continue
        if name in NAMES:
            yield f"{node.lineno}: the name {name!r}"


def long_test_names(tree: ast.AST) -> Iterator[str]:
    """Yield `line: name` for each test whose name is too long to read."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
            and len(node.name) > MAX_TEST_NAME
        ):
            yield f"{node.lineno}: {node.name} has {len(node.name)} characters"


def findings(file: Path) -> list[str]:
    """Return what is to be rewritten in a file of the repository."""
    text = (ROOT / file).read_text("utf-8")
    result = [*phrases(text)]
    if file.suffix == ".py":
        tree = ast.parse(text)
        result += names(tree)
        if file.name.startswith("test_"):
            result += long_test_names(tree)
    return result


@pytest.mark.parametrize("file", texts(), ids=Path.as_posix)
def test_language_is_plain(file: Path) -> None:
    assert findings(file) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a file that is no list", "is no list"),
        ("the answer,\n    # what is\n    # told", "2: 'what is"),
        ("It is made anew.", "made anew"),
        ("faster than who asks", "than who"),
    ],
)
def test_language_check_finds_a_phrase(text: str, phrase: str) -> None:
    assert phrase in " ".join(phrases(text))


def test_language_check_finds_names() -> None:
    tree = ast.parse("told = 1\nfor asked in said: pass\ndef f(own): pass\nx.made = 1")
    assert [*names(tree)] == ["1: the name 'told'", "2: the name 'asked'", "3: the name 'own'"]
    long = "def test_" + "x" * 56 + "(): pass"
    assert len([*long_test_names(ast.parse(long))]) == 1
