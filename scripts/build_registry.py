"""Make `providers.json` from the catalogues and the overlay under `registry/`.

Without options, what is committed there is enough, and the same inputs give the
same bytes. `--refresh` writes the compact copies of the catalogues anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference_providers import tables
from registry_builder import changes, overlay, registry, sources

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "registry"
TARGET = ROOT / "providers.json"

WRONG = 2
"""Exit code for inputs that make no registry."""

DIFFERENT = 1
"""Exit code of `--check` for a file that is not what the inputs make."""

_PLACE = "Full catalogue, a path or an https URL; the copy under registry/ unless given."
_VERSION = "Version of that catalogue; needed with it."


def main(  # noqa: PLR0913, PLR0917 - a command's options are its arguments
    models_dev: Annotated[str | None, typer.Option(help=f"models.dev. {_PLACE}")] = None,
    models_dev_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    pi_ai: Annotated[str | None, typer.Option(help=f"pi-ai. {_PLACE}")] = None,
    pi_ai_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    shutdowns: Annotated[str | None, typer.Option(help=f"Shutdown dates. {_PLACE}")] = None,
    shutdowns_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Write the copies anew.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only compare with the file.")] = False,
    dropped: Annotated[bool, typer.Option("--dropped", help="Say what was left out.")] = False,
) -> None:
    """Make providers.json, and say what changed in it."""
    out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    full = {
        "models_dev": (models_dev, models_dev_version),
        "pi_ai": (pi_ai, pi_ai_version),
        "shutdowns": (shutdowns, shutdowns_version),
    }
    try:
        said = overlay.read(FOLDER / "overlay.toml")
        inputs = sources.gathered(FOLDER, full, overlay.used(said))
        built = registry.build(said, inputs)
        text = registry.checked(built, said)
    except (overlay.OverlayError, sources.SourceError, registry.RegistryFault) as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(WRONG) from None
    if dropped:
        out.print(
            tables.draw(tables.Table("Left out", ("provider", "model id", "why"), built.dropped))
        )
    before = TARGET.read_text(encoding="utf-8") if TARGET.exists() else "{}"
    out.print(tables.draw(changes.changes(json.loads(before), built.document)))
    if check:
        if text != before:
            err.print("providers.json is not what registry/ makes; run scripts/build_registry.py")
            raise typer.Exit(DIFFERENT)
        return
    if refresh:
        sources.write(FOLDER, inputs)
    TARGET.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    typer.run(main)
