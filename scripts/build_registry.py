"""Build `providers.json` from the catalogues and the overlay under `registry/`.

Without options it needs only what is committed, and the same inputs give the same bytes.
`--refresh` also writes the compact copies of the catalogues.
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

EXIT_INVALID = 2
"""Exit code if the inputs do not produce a valid registry."""

EXIT_DIFFERENT = 1
"""Exit code of `--check` if `providers.json` differs from what the inputs produce."""

_PLACE = "Full catalogue, a path or https URL. Default: the copy under registry/."
_VERSION = "Version of that catalogue; required with it."


def main(  # noqa: PLR0913, PLR0917 - a command's options are its arguments
    models_dev: Annotated[str | None, typer.Option(help=f"models.dev. {_PLACE}")] = None,
    models_dev_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    pi_ai: Annotated[str | None, typer.Option(help=f"pi-ai. {_PLACE}")] = None,
    pi_ai_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    shutdowns: Annotated[str | None, typer.Option(help=f"Shutdown dates. {_PLACE}")] = None,
    shutdowns_version: Annotated[str | None, typer.Option(help=_VERSION)] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Write the compact copies again.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare with the existing file.")
    ] = False,
    dropped: Annotated[bool, typer.Option("--dropped", help="Show what was left out.")] = False,
) -> None:
    """Build providers.json, and show what changed in it."""
    out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    full = {
        "models_dev": (models_dev, models_dev_version),
        "pi_ai": (pi_ai, pi_ai_version),
        "shutdowns": (shutdowns, shutdowns_version),
    }
    try:
        edits = overlay.read(FOLDER / "overlay.toml")
        inputs = sources.gather(FOLDER, full, overlay.used_ids(edits))
        built = registry.build(edits, inputs)
        text = registry.checked_text(built, edits)
    except (overlay.OverlayError, sources.SourceError, registry.FaultyRegistryError) as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_INVALID) from None
    if dropped:
        columns = ("provider", "model id", "reason")
        out.print(tables.draw(tables.Table("Left out", columns, built.left_out)))
    before = TARGET.read_text(encoding="utf-8") if TARGET.exists() else "{}"
    out.print(tables.draw(changes.changes(json.loads(before), built.document)))
    if check:
        if text != before:
            err.print("providers.json is out of date; run `make registry`")
            raise typer.Exit(EXIT_DIFFERENT)
        return
    if refresh:
        sources.write_copies(FOLDER, inputs)
    TARGET.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    typer.run(main)
