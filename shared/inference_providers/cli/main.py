"""Commands and exit codes of `autoprovider`."""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from inference_providers.cli import output, registry_commands
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, InferenceProvidersError, NoRouteError
from inference_providers.local import weights
from inference_providers.routing.backend import find_backend
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Selection
from inference_providers.updates.effective_registry import active_registry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_NO_ROUTE = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Ask language models by name; your environment decides who serves them.",
    epilog="Exit codes: 0 done, 1 every route failed, 2 wrong input, 3 no route, 130 interrupted.",
)
local_app = typer.Typer(no_args_is_help=True, help="The embedded model on this machine.")
app.add_typer(local_app, name="local")
app.add_typer(registry_commands.registry_app, name="registry")

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="Model to ask; repeat it for a list of preferences. None means the best at hand.",
    ),
]
Only = Annotated[list[str] | None, typer.Option(help="Provider that may be used; repeatable.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Provider that may not; repeatable.")]
Local = Annotated[bool, typer.Option("--local", help="Ask model servers on this machine too.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        typer.echo(f"autoprovider {metadata.version('autoprovider')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question; '-' reads standard input.")],
    model: Models = None,
    only: Only = None,
    exclude: Exclude = None,
    local: Local = False,
    registry: registry_commands.RegistryFile = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print what was tried, on stderr.")
    ] = False,
) -> None:
    """Ask a question and stream the answer."""
    prompt = sys.stdin.read() if question == "-" else question
    if not prompt.strip():
        raise typer.BadParameter("there is none", param_hint="QUESTION")  # noqa: EM101, TRY003 - typer's way
    tried = None
    selection = _selection(model, only, exclude, local=local)
    pieces = find_backend().stream(selection, active_registry(registry), prompt)
    try:
        for piece in pieces:
            typer.echo(piece.text, nl=False)
            tried = piece.trace
    except KeyboardInterrupt:
        typer.echo()
        _fail("interrupted; the answer above is not complete", EXIT_INTERRUPTED)
    typer.echo()
    if trace and tried:
        output.trace(tried)


@app.command()
def explain(
    model: Annotated[list[str] | None, typer.Argument(help="Models; none means any.")] = None,
    only: Only = None,
    exclude: Exclude = None,
    local: Local = False,
    registry: registry_commands.RegistryFile = None,
) -> None:
    """Show who would serve a model now, and why the others would not."""
    selection = _selection(model, only, exclude, local=local)
    connector = find_backend()
    plan = Resolver(
        selection, active_registry(registry), Keys(), connector.unsupported_protocols
    ).plan()
    output.table(plan.table())
    if not plan.routes:
        raise typer.Exit(EXIT_NO_ROUTE)


@app.command()
def models(registry: registry_commands.RegistryFile = None) -> None:
    """List the models the registry knows, and who serves them."""
    output.models(active_registry(registry))


@app.command()
def providers(
    registry: registry_commands.RegistryFile = None,
    stats: Annotated[bool, typer.Option("--stats", help="Count them and their models.")] = False,
) -> None:
    """List the providers, the variable each reads its key from, and whether it is set."""
    if stats:
        output.stats(active_registry(registry))
    else:
        output.providers(active_registry(registry), Keys())


app.command("update")(registry_commands.update_registry)
app.command("verify")(registry_commands.verify_registry)


@local_app.command()
def install() -> None:
    """Fetch the embedded model's weights (89 MiB), checked by hash, into your data directory."""
    weights.install(echo=typer.echo)


def main() -> None:
    """Run the command; end the process with its exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    _ended(lambda: app(standalone_mode=True))


def _ended(run: Callable[[], None]) -> NoReturn:
    try:
        run()
    except KeyboardInterrupt:
        _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; closing quietly is what a pipe expects.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except NoRouteError as error:
        _fail(str(error), EXIT_NO_ROUTE)
    except ConfigError as error:
        _fail(str(error), EXIT_CONFIG)
    except InferenceProvidersError as error:
        _fail(str(error), EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - the command shows no traceback, whatever happens
        notes = "; ".join(getattr(error, "__notes__", ()))
        _fail(f"{type(error).__name__}: {error}{f' ({notes})' if notes else ''}", EXIT_FAILED)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"autoprovider: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _selection(
    model: list[str] | None, only: list[str] | None, exclude: list[str] | None, *, local: bool
) -> Selection:
    return Selection.of(model, only=only, exclude=exclude, local=local)
