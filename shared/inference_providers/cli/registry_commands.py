"""Commands that keep the registry right: `update`, `verify` and `registry …`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from inference_providers import tables
from inference_providers.cli import output, registry_audit
from inference_providers.credentials import Keys
from inference_providers.errors import (
    ConfigError,
    FetchError,
    NoRouteError,
    UnknownModelError,
    UpdateError,
)
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.registry import json_schema, loader, validation
from inference_providers.registry.registry import Registry
from inference_providers.routing.backend import find_backend
from inference_providers.updates import (
    effective_registry,
    merge_policy,
    private_files,
    signatures,
    updater,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["registry_app", "update_registry", "verify_registry"]

VALID_DAYS = 90
MAX_DAYS = 36_500
"""A hundred years; some day there is no date any more."""

MAX_TOLD = 8
"""Names of what a file adds, changes or removes; more would not be read on one line."""

registry_app = typer.Typer(
    no_args_is_help=True, help="Registry files: checking them, their schema, signing them."
)

RegistryFile = Annotated[
    str | None, typer.Option("--registry", help="Registry file laid over the one in force here.")
]


def update_registry(
    url: Annotated[
        str | None, typer.Option(help=f"Where to fetch it, in place of {updater.URL_VARIABLE}.")
    ] = None,
    trusted_key: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Public key that may have signed it, in place of {updater.KEYS_VARIABLE}."
        ),
    ] = None,
) -> None:
    """Fetch a newer registry and keep it; it cannot change where a key goes."""
    source = effective_registry.require_source(
        updater.update_source(Keys(), url=url, trusted_keys=trusted_key)
    )
    new, registry = effective_registry.fetch_registry(source)
    bundled = Registry.load()
    added = sorted(registry.models.keys() - bundled.models.keys())
    gone = sorted(bundled.models.keys() - registry.models.keys())
    typer.echo(
        f"The registry of {new.document.generated_at:%Y-%m-%d} has {len(registry.models)} models:"
        f" {len(added)} more than this package's, {len(gone)} gone."
    )
    for provider_id, host in merge_policy.new_providers(bundled.document, new.document):
        if provider_id not in registry.providers:
            typer.echo(
                f"It also knows {provider_id!r}. To use it, with the key in"
                f" {merge_policy.key_variable(provider_id)}:"
                f" {updater.ALLOW_VARIABLE}={provider_id}@{host}"
            )
    if new.cache_error:
        msg = f"It is not kept: {new.cache_error}; free space, or mend its directory"
        raise UpdateError(msg)
    if url and Keys().setting(updater.URL_VARIABLE) != url:
        typer.echo(f"It is used wherever {updater.URL_VARIABLE} is set to this URL.")


def verify_registry(
    provider: Annotated[
        str | None, typer.Argument(help="Provider to ask; all whose keys are set, if none.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="New file for what mends the registry.")
    ] = None,
    registry: RegistryFile = None,
) -> None:
    """Ask providers for their models; show what the registry has too many or too few of."""
    loaded = effective_registry.active_registry(registry)
    findings = registry_audit.verify(loaded, Keys(), provider)
    if not findings:
        msg = "No provider can be asked: no key is set; `autoprovider providers` shows which"
        raise NoRouteError(msg)
    output.table(_table(findings))
    if write:
        _write_new(write, registry_audit.mending(findings, loaded))
        typer.echo(f"Use it with {effective_registry.REGISTRY_VARIABLE}={write}")
    if all(finding.fault for finding in findings):
        raise FetchError("; ".join(f"{f.provider}: {f.fault}" for f in findings))


@registry_app.command("schema")
def registry_json_schema() -> None:
    """Print the JSON Schema of registry files."""
    typer.echo(json_schema.as_text(), nl=False)


@registry_app.command("check")
def check_registry(
    file: Annotated[str, typer.Argument(help="Registry file to check.")],
) -> None:
    """Say what is wrong with a registry file, or what it changes in the bundled registry."""
    before = Registry.load()
    after = before.merged(file)
    for complaint in (*_odd_rows(before, after), *_loose_names(before, after)):
        loader.refuse(*complaint, after.origin)
    changes = "; ".join(_changes(before, after)) or "changes nothing"
    typer.echo(f"{after.origin}: ok; {changes}")


@registry_app.command("keygen")
def make_key(
    key: Annotated[Path, typer.Argument(help="New file for the private key; keep it secret.")],
) -> None:
    """Make a key to sign registries with; print its public half."""
    typer.echo(signatures.keygen(key))


@registry_app.command("sign")
def sign_registry(
    file: Annotated[str, typer.Argument(help="Registry file to sign.")],
    key: Annotated[Path, typer.Option(help="File with the private key.")],
    output: Annotated[Path, typer.Option(help="New file for the signed registry.")],
    days: Annotated[
        int, typer.Option(help="How long it may be used.", min=1, max=MAX_DAYS)
    ] = VALID_DAYS,
    version: Annotated[
        int | None, typer.Option(help="Higher than any before; the time in seconds unless given.")
    ] = None,
) -> None:
    """Sign a registry file, for who trusts the key."""
    registry = Registry.load(file)
    if registry.document.generated_at is None:
        example = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        complaint = f"got no 'generated_at', expected one such as '{example}'"
        loader.refuse("$", complaint, registry.origin)
    version = int(time.time()) if version is None else version
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    signed = signatures.sign(registry.raw, key, version=version, expires=expires)
    if len(signed) > updater.MAX_BYTES:
        msg = f"{file}: signed, it has more than the {updater.MAX_BYTES:,} bytes that are fetched"
        raise ConfigError(msg)
    _write(output, signed)
    typer.echo(f"Signed as version {version}, until {expires:%Y-%m-%d}: {output}")


def _odd_rows(before: Registry, after: Registry) -> Iterator[validation.Complaint]:
    """Yield the protocols that nobody speaks, and the twins of nobody."""
    unsupported_protocols = find_backend().unsupported_protocols(after)
    # Of a protocol that the bundled registry has, only the package is not installed here.
    odd = unsupported_protocols.keys() - before.protocols
    for provider_id, row in after.providers.items():
        at = f"$.providers.{provider_id}"
        for name, endpoint in row.endpoints.items():
            if endpoint.protocol in odd:
                yield f"{at}.endpoints.{name}.protocol", unsupported_protocols[endpoint.protocol]
        if row.variant_of is not None and row.variant_of not in after.providers:
            near = did_you_mean(row.variant_of, after.providers)
            yield f"{at}.variant_of", f"got {row.variant_of!r}, no provider{near}"


def _loose_names(before: Registry, after: Registry) -> Iterator[validation.Complaint]:
    """Yield the aliases and priorities of one registry, and not of another, that name nothing.

    Loading takes them: an alias may lead to what only a later layer lists.
    """
    was, now = before.document, after.document
    listed = {*after.models, *after.embeddings.models}
    for alias, model in now.aliases.items():
        if model not in listed and was.aliases.get(alias) != model:
            near = did_you_mean(model, listed)
            yield f"$.aliases.{alias}", f"got {model!r}, which no provider lists{near}"
    for place, name in enumerate(now.auto_model_priority):
        try:
            after.target(name)
        except UnknownModelError as error:
            if name not in was.auto_model_priority:
                yield f"$.auto_model_priority[{place}]", str(error)


def _changes(before: Registry, after: Registry) -> Iterator[str]:
    """Yield what one registry adds to, changes in and removes from another."""
    was, now = before.document, after.document
    priority = "auto_model_priority"
    kinds: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("provider", was.providers, now.providers),
        ("model", before.models, after.models),
        ("embedding model", before.embeddings.models, after.embeddings.models),
        ("alias", was.aliases, now.aliases),
        ("retired provider", was.retired_providers, now.retired_providers),
        ("retired model", was.retired_models, now.retired_models),
        ("field", {priority: was.auto_model_priority}, {priority: now.auto_model_priority}),
    )
    done: dict[str, list[str]] = {"adds": [], "changes": [], "removes": []}
    for kind, old, new in kinds:
        for name in {**old, **new}:
            if old.get(name) != new.get(name):
                verb = "adds" if name not in old else "changes" if name in new else "removes"
                done[verb].append(f"{kind} {name!r}")
    for verb, names in done.items():
        if names:
            more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
            yield f"{verb} {', '.join(names[:MAX_TOLD])}{more}"


def _table(findings: Sequence[registry_audit.Finding]) -> tables.Table:
    rows: list[tuple[str, ...]] = []
    for finding in findings:
        for is_, found in (("gone", finding.gone), ("new", finding.new)):
            rows += [(finding.provider, is_, model, ", ".join(found[model])) for model in found]
        if finding.fault:
            rows.append((finding.provider, "not asked", "", finding.fault))
        elif not (finding.gone or finding.new):
            rows.append((finding.provider, "agrees", "", ""))
        if finding.untold:
            untold = ", ".join(map(repr, finding.untold))
            rows.append(
                (finding.provider, "in part", "", f"its endpoint {untold} has no such list")
            )
    return tables.Table(
        "What providers list", ("provider", "is", "model", "own id, or why not"), rows
    )


def _write_new(path: Path, content: dict[str, Any]) -> None:
    _write(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _write(path: Path, content: bytes) -> None:
    try:
        private_files.create(path, content, is_public=True)
    except FileExistsError as error:
        msg = f"{path} exists already; name another file"
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror or error}"
        raise ConfigError(msg) from error
