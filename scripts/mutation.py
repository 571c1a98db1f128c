"""Which defects the tests of the core would not notice: breaks one thing at a time.

Each mutant is one changed operator, number, condition, call or return of a module, run
in a forked process against the fast tests that should notice it. Prints the share that
was killed, and the survivors: each is a missing test, or changes nothing that matters.

    python scripts/mutation.py cooldown failover
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
PACKAGE = "inference_providers"
_OF_THE_POLICY = (
    "test_failover.py",
    "test_failover_edges.py",
    "test_allowance.py",
    "test_failover_properties.py",
)
TESTS = {
    "catalogue": ("test_registry.py", "test_plan.py", "test_trust.py", "test_verify.py"),
    "cooldown": ("test_cooldown.py", *_OF_THE_POLICY),
    "failover": (*_OF_THE_POLICY, "test_drive.py"),
    "meaning": ("test_registry.py", "test_layers.py"),
    "trust": ("test_trust.py", "test_layers.py"),
    "classifications": ("test_verdicts.py", "test_failover.py"),
    "verify": ("test_verify.py",),
}
EXAMPLES = 40
TIME_LIMIT_S = 120
"""A mutant that still runs after this is killed: it loops, or waits for ever."""

_OTHER = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """A module with one defect."""

    line: int
    change: str
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(source)
    for index, node in enumerate(_walk(tree)):
        for change in _changes(node):
            mutated = copy.deepcopy(tree)
            # Nodes of a copy come in the same order, so the index finds the same one.
            twin = next(n for i, n in enumerate(_walk(mutated)) if i == index)
            before = ast.unparse(twin)
            change(twin)
            ast.fix_missing_locations(mutated)
            yield Mutant(node.lineno, f"{before}  ->  {ast.unparse(twin)}", mutated)


def _walk(node: ast.AST) -> Iterator[Any]:
    """Yield the nodes that may be changed: no annotations, nor what only checkers read."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if hasattr(child, "lineno"):
                yield child
            yield from _walk(child)


def _changes(node: Any) -> Iterator[Callable[[Any], None]]:
    yield from _of_operators(node)
    yield from _of_values(node)
    match node:
        case ast.Expr(value=ast.Call()):
            yield _set("value", ast.Constant(None))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield _set("value", ast.Constant(None))
        case ast.If() | ast.IfExp() | ast.While() if not isinstance(node.test, ast.Compare):
            yield _set("test", ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)))
        case ast.comprehension(ifs=[_, *_]):
            yield _set("ifs", [])


def _of_operators(node: Any) -> Iterator[Callable[[Any], None]]:
    match node:
        case ast.Compare(ops=ops):
            yield from (_operator(n) for n, op in enumerate(ops) if type(op) in _OTHER)
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in _OTHER:
            yield _set("op", _OTHER[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield _become(operand)


def _of_values(node: Any) -> Iterator[Callable[[Any], None]]:
    match node:
        case ast.Constant(value=bool() as value):
            yield _set("value", not value)
        case ast.Constant(value=int() | float() as value):
            yield _set("value", value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in _OTHER_NAME:
            yield _set("func", ast.Name(_OTHER_NAME[name], ast.Load()))


def _set(field: str, value: Any) -> Callable[[Any], None]:
    return lambda twin: setattr(twin, field, value)


def _become(operand: ast.expr) -> Callable[[Any], None]:
    def change(twin: Any) -> None:
        twin.op, twin.operand = ast.UAdd(), copy.deepcopy(operand)
        if not isinstance(operand, ast.Constant):  # a plus would not do for all types
            twin.op = ast.Not()
            twin.operand = ast.UnaryOp(ast.Not(), copy.deepcopy(operand))

    return change


def _operator(n: int) -> Callable[[Any], None]:
    def change(twin: Any) -> None:
        twin.ops[n] = _OTHER[type(twin.ops[n])]()

    return change


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports a mutant in place of its module."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._tree = tree

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Find nothing but the one module."""
        del path, target
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def get_source(self, fullname: str) -> str:
        """Return the source of the mutant."""
        del fullname
        return ast.unparse(self._tree)


def _play(module: str, mutant: Mutant | None) -> None:
    """Run the tests against a mutant, and end the process with what they say."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if mutant:
        sys.meta_path.insert(0, _Importer(f"{PACKAGE}.{module}", mutant.tree))
    hypothesis.settings.register_profile(
        "mutation", max_examples=EXAMPLES, derandomize=True, database=None, deadline=None
    )
    tests = [str(ROOT / "tests/core" / name) for name in TESTS[module]]
    options = [
        "-x",
        "-q",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=mutation",
    ]
    os._exit(0 if pytest.main([*options, *tests]) == pytest.ExitCode.OK else 1)


def survives(module: str, mutant: Mutant | None) -> bool:
    """Say whether the tests pass with a mutant, or with the module as it is."""
    process = multiprocessing.get_context("fork").Process(target=_play, args=(module, mutant))
    process.start()
    process.join(TIME_LIMIT_S)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return process.exitcode == 0


def check(module: str, jobs: int, lines: Sequence[int]) -> float:
    """Try all mutants of a module; print the survivors, return the share that was killed.

    Raises:
        SystemExit: The tests do not pass without a mutant either.
    """
    if not survives(module, None):
        sys.exit(f"the tests of {module} fail as it is")
    source = (ROOT / "shared" / PACKAGE / f"{module}.py").read_text()
    found = [m for m in mutants(source) if not lines or m.line in lines]
    survivors = 0
    with ThreadPoolExecutor(jobs) as pool:
        alive = pool.map(lambda mutant: survives(module, mutant), found)
        for mutant, lives in zip(found, alive, strict=True):
            survivors += lives
            if lives:
                print(f"{module}.py:{mutant.line}: {mutant.change}", flush=True)
    killed = 1 - survivors / len(found)
    print(f"{module}: {killed:.1%} of {len(found)} killed, {survivors} survive", flush=True)
    return killed


def main() -> None:
    """Check the modules that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--least", type=float, default=0.85, help="share that must be killed")
    parser.add_argument("--lines", type=int, nargs="*", default=(), help="only these lines")
    options = parser.parse_args()
    os.chdir(ROOT)
    killed = [check(module, options.jobs, options.lines) for module in options.modules]
    sys.exit(min(killed) < options.least)


if __name__ == "__main__":
    main()
