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
    help="Ask language models by name; your environment decides which provider serves them.",
    epilog="Exit codes: 0 success, 1 every route failed, 2 invalid input, 3 no route,"
    " 130 interrupted.",
)
local_app = typer.Typer(no_args_is_help=True, help="Manage the embedded model on this machine.")
app.add_typer(local_app, name="local")
app.add_typer(registry_commands.registry_app, name="registry")

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="Model to ask. Repeat it for a priority list. Default: the best model available.",
    ),
]
Only = Annotated[
    list[str] | None, typer.Option(help="Allow only this provider. Repeat it to allow several.")
]
Exclude = Annotated[list[str] | None, typer.Option(help="Do not use this provider. Repeatable.")]
Local = Annotated[bool, typer.Option("--local", help="Also use model servers on this machine.")]


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it
    if requested:
        typer.echo(f"autoprovider {metadata.version('autoprovider')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@app.command()
def ask(
    question: Annotated[
        str, typer.Argument(help="The question, or '-' to read it from standard input.")
    ],
    model: Models = None,
    only: Only = None,
    exclude: Exclude = None,
    local: Local = False,
    registry: registry_commands.RegistryFile = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print the attempts to stderr.")] = False,
) -> None:
    """Ask a question and stream the answer."""
    prompt = sys.stdin.read() if question == "-" else question
    if not prompt.strip():
        msg = "QUESTION is empty; pass a question, or '-' to read it from standard input"
        raise ConfigError(msg)
    selection = Selection.of(model, only=only, exclude=exclude, local=local)
    pieces = find_backend().stream(selection, active_registry(registry), prompt)
    record = None
    try:
        for piece in pieces:
            typer.echo(piece.text, nl=False)
            record = piece.trace
    except KeyboardInterrupt:
        typer.echo()
        _exit_with("interrupted; the answer above is incomplete", EXIT_INTERRUPTED)
    typer.echo()
    if trace and record:
        output.print_trace(record)


@app.command()
def explain(
    model: Annotated[
        list[str] | None, typer.Argument(help="Models to explain. Default: any model.")
    ] = None,
    only: Only = None,
    exclude: Exclude = None,
    local: Local = False,
    registry: registry_commands.RegistryFile = None,
) -> None:
    """Show which routes would serve a model now, and why the others would not."""
    selection = Selection.of(model, only=only, exclude=exclude, local=local)
    backend = find_backend()
    resolver = Resolver(selection, active_registry(registry), Keys(), backend.unsupported_protocols)
    plan = resolver.plan()
    output.print_table(plan.table())
    if not plan.routes:
        raise typer.Exit(EXIT_NO_ROUTE)


@app.command()
def models(registry: registry_commands.RegistryFile = None) -> None:
    """List the models in the registry and the providers that serve them."""
    output.print_models(active_registry(registry))


@app.command()
def providers(
    registry: registry_commands.RegistryFile = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Show totals instead of the list.")
    ] = False,
) -> None:
    """List the providers, the variable each reads its key from, and whether it is set."""
    if stats:
        output.print_stats(active_registry(registry))
    else:
        output.print_providers(active_registry(registry), Keys())


app.command("update")(registry_commands.update_registry)
app.command("verify")(registry_commands.verify_registry)


@local_app.command()
def install() -> None:
    """Download the embedded model's weights (93 MB) to your data directory; verify their hash."""
    weights.install(echo=typer.echo)


def main() -> None:
    """Run the command, and end the process with its exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    _run_and_exit(lambda: app(standalone_mode=True))


def _run_and_exit(run: Callable[[], None]) -> NoReturn:
    try:
        run()
    except KeyboardInterrupt:
        _exit_with("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone. Exit silently, as programs in a pipe do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except NoRouteError as error:
        _exit_with(str(error), EXIT_NO_ROUTE)
    except ConfigError as error:
        _exit_with(str(error), EXIT_CONFIG)
    except InferenceProvidersError as error:
        _exit_with(str(error), EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - users of the command never see a traceback
        notes = "; ".join(getattr(error, "__notes__", ()))
        _exit_with(f"{type(error).__name__}: {error}{f' ({notes})' if notes else ''}", EXIT_FAILED)
    sys.exit(0)


def _exit_with(message: str, code: int) -> NoReturn:
    typer.echo(f"autoprovider: {' '.join(message.split())}", err=True)
    sys.exit(code)
