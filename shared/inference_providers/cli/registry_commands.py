"""Commands that maintain the registry: `update`, `verify` and `registry …`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from inference_providers import tables
from inference_providers.cli import output as cli_output
from inference_providers.cli import registry_check, registry_verify
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, FetchError, NoRouteError, UpdateError
from inference_providers.registry import json_schema, loader
from inference_providers.registry.registry import Registry
from inference_providers.updates import (
    effective_registry,
    merge_policy,
    private_files,
    signatures,
    updater,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["registry_app", "update_registry", "verify_registry"]

DEFAULT_VALID_DAYS = 90
MAX_VALID_DAYS = 36_500
"""A hundred years; `datetime` ends in the year 9999."""

registry_app = typer.Typer(no_args_is_help=True, help="Check, sign and describe registry files.")

RegistryFile = Annotated[
    str | None,
    typer.Option("--registry", help="Overlay file merged on top of the active registry."),
]


def update_registry(
    url: Annotated[
        str | None, typer.Option(help=f"Download from this URL instead of {updater.URL_VARIABLE}.")
    ] = None,
    trusted_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept a registry signed with this public key, instead of those in"
            f" {updater.KEYS_VARIABLE}. Repeatable."
        ),
    ] = None,
) -> None:
    """Download a newer registry. It cannot change where a key is sent."""
    source = effective_registry.require_source(
        updater.update_source(Keys(), url=url, trusted_keys=trusted_key)
    )
    update, registry = effective_registry.fetch_registry(source)
    bundled = Registry.load()
    added = registry.models.keys() - bundled.models.keys()
    gone = bundled.models.keys() - registry.models.keys()
    typer.echo(
        f"The registry of {update.document.generated_at:%Y-%m-%d} has {len(registry.models)}"
        f" models. It adds {len(added)} to the bundled registry and removes {len(gone)}."
    )
    for provider_id, host in merge_policy.new_providers(bundled.document, update.document):
        if provider_id not in registry.providers:
            typer.echo(
                f"It has a new provider {provider_id!r}. To allow it, with the key in"
                f" {merge_policy.key_variable(provider_id)}, set"
                f" {updater.ALLOW_VARIABLE}={provider_id}@{host}"
            )
    if update.cache_error:
        msg = (
            f"The registry was not saved: {update.cache_error};"
            " free disk space or fix the directory"
        )
        raise UpdateError(msg)
    if url and Keys().setting(updater.URL_VARIABLE) != url:
        typer.echo(f"It is used wherever {updater.URL_VARIABLE} is set to this URL.")


def verify_registry(
    provider: Annotated[
        str | None, typer.Argument(help="Provider to check. Default: all whose keys are set.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the corrections to this new overlay file.")
    ] = None,
    registry: RegistryFile = None,
) -> None:
    """Compare the registry with each provider's live model list."""
    active = effective_registry.active_registry(registry)
    findings = registry_verify.verify(active, Keys(), provider)
    if not findings:
        msg = "No provider key is set; `autoprovider providers` lists the variables"
        raise NoRouteError(msg)
    cli_output.print_table(_findings_table(findings))
    if write:
        content = msgspec.json.encode(registry_verify.corrections(findings, active))
        _create_file(write, msgspec.json.format(content, indent=1) + b"\n")
        typer.echo(f"To use it, set {effective_registry.REGISTRY_VARIABLE}={write}")
    if all(finding.error for finding in findings):
        raise FetchError("; ".join(f"{f.provider}: {f.error}" for f in findings))


@registry_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of registry files."""
    typer.echo(json_schema.as_text(), nl=False)


@registry_app.command("check")
def check_registry(
    file: Annotated[str, typer.Argument(help="Registry file to check.")],
) -> None:
    """Validate a registry file, and show what it changes in the bundled registry."""
    before = Registry.load()
    after = before.merged(file)
    for path, complaint in registry_check.complaints(before, after):
        loader.refuse(path, complaint, after.origin)
    changes = "; ".join(registry_check.changes(before, after)) or "changes nothing"
    typer.echo(f"{after.origin}: ok; {changes}")


@registry_app.command("keygen")
def create_key(
    key: Annotated[Path, typer.Argument(help="New file for the private key. Keep it secret.")],
) -> None:
    """Create a key to sign registries with, and print its public half."""
    typer.echo(signatures.keygen(key))


@registry_app.command("sign")
def sign_registry(
    file: Annotated[str, typer.Argument(help="Registry file to sign.")],
    key: Annotated[Path, typer.Option(help="File with the private key.")],
    output: Annotated[Path, typer.Option(help="New file for the signed registry.")],
    days: Annotated[
        int, typer.Option(help="Days until the signature expires.", min=1, max=MAX_VALID_DAYS)
    ] = DEFAULT_VALID_DAYS,
    version: Annotated[
        int | None,
        typer.Option(help="Must exceed the last version. Default: the time in seconds since 1970."),
    ] = None,
) -> None:
    """Sign a registry file for anyone who trusts the key."""
    registry = Registry.load(file)
    if registry.document.generated_at is None:
        example = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        complaint = f"'generated_at' is missing; add a time such as '{example}'"
        loader.refuse("$", complaint, registry.origin)
    version = version if version is not None else int(time.time())
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    signed = signatures.sign(registry.raw, key, version=version, expires=expires)
    if len(signed) > updater.MAX_BYTES:
        msg = f"{file}: the signed registry exceeds the limit of {updater.MAX_BYTES:,} bytes"
        raise ConfigError(msg)
    _create_file(output, signed)
    typer.echo(f"Signed as version {version}, valid until {expires:%Y-%m-%d}: {output}")


def _findings_table(findings: Sequence[registry_verify.Finding]) -> tables.Table:
    rows = [row for finding in findings for row in _finding_rows(finding)]
    columns = ("provider", "result", "model", "model id or reason")
    return tables.Table("Models that providers list", columns, rows)


def _finding_rows(finding: registry_verify.Finding) -> Iterator[tuple[str, ...]]:
    for result, models in (("gone", finding.gone), ("new", finding.new)):
        for model, model_ids in models.items():
            yield finding.provider, result, model, ", ".join(model_ids)
    if finding.error:
        yield finding.provider, "failed", "", finding.error
    elif not (finding.gone or finding.new):
        yield finding.provider, "agrees", "", ""
    if finding.unlisted_endpoints:
        endpoints = ", ".join(map(repr, finding.unlisted_endpoints))
        yield finding.provider, "partial", "", f"endpoint {endpoints} does not list models"


def _create_file(path: Path, content: bytes) -> None:
    try:
        private_files.create(path, content, is_public=True)
    except FileExistsError as error:
        msg = f"{path} already exists; choose another name"
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror or error}"
        raise ConfigError(msg) from error
