"""The catalogues: what is read from them, and the compact copies under `registry/`.

The types below name the fields that are used; reading a catalogue drops everything else.
So a full catalogue and its compact copy give the same values, bytes and hash.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import requests
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "About",
    "Inputs",
    "ModelsDevModel",
    "ModelsDevProvider",
    "PiAiCompat",
    "PiAiModel",
    "Price",
    "Source",
    "SourceError",
    "gather",
    "write_copies",
]

FETCH_TIMEOUT_S = 30.0


class SourceError(ValueError):
    """A catalogue cannot be read; the message says which and why."""


class Price(Struct, frozen=True, omit_defaults=True):
    """USD per million tokens."""

    input: float | None = None
    output: float | None = None


class Limit(Struct, frozen=True, omit_defaults=True):
    """Sizes in tokens; 0 means unknown."""

    context: float | None = None
    output: float | None = None


class Modalities(Struct, frozen=True, omit_defaults=True):
    """What a model reads and what it writes."""

    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class ModelsDevEndpoint(Struct, frozen=True, omit_defaults=True):
    """The base URL of one model, if it differs from its provider's."""

    api: str | None = None


class ModelsDevModel(Struct, frozen=True, omit_defaults=True):
    """One model in models.dev's catalogue."""

    modalities: Modalities
    family: str | None = None
    tool_call: bool = False
    structured_output: bool | None = None
    reasoning: bool = False
    temperature: bool | None = None
    release_date: str | None = None
    status: str | None = None
    cost: Price | None = None
    limit: Limit = Limit()
    provider: ModelsDevEndpoint | None = None


class ModelsDevProvider(Struct, frozen=True, omit_defaults=True):
    """One provider in models.dev's catalogue."""

    models: dict[str, ModelsDevModel]
    doc: str | None = None


class PiAiCompat(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """How pi-ai says that a model departs from OpenAI's protocol."""

    supports_store: bool | None = None
    supports_developer_role: bool | None = None
    supports_strict_mode: bool | None = None
    supports_reasoning_effort: bool | None = None
    supports_usage_in_streaming: bool | None = None
    supports_temperature: bool | None = None
    requires_reasoning_content_on_assistant_messages: bool | None = None
    max_tokens_field: str | None = None


class PiAiModel(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One model in pi-ai's catalogue, which lists only chat models that call tools."""

    api: str
    context_window: float | None = None
    max_tokens: float | None = None
    input: tuple[str, ...] = ()
    reasoning: bool = False
    cost: Price | None = None
    compat: PiAiCompat | None = None


ModelsDev = dict[str, ModelsDevProvider]
"""Providers by their id in models.dev."""
PiAi = dict[str, dict[str, PiAiModel]]
"""Models by provider id and model id in pi-ai."""
ShutdownDates = dict[str, dict[str, str]]
"""Dates by provider id and model id in LiteLLM's price map."""


class About(Struct, frozen=True):
    """What a catalogue is, and its licence."""

    name: str
    version: str
    license: str
    url: str


class Source(Struct, frozen=True):
    """The used part of a catalogue, with its hash."""

    about: About
    data: Any
    sha256: str

    def origin(self) -> dict[str, str]:
        """Return the row that records this input in the registry file."""
        about: dict[str, str] = msgspec.to_builtins(self.about)
        return {**about, "sha256": self.sha256}


class Inputs(Struct, frozen=True):
    """All catalogues."""

    models_dev: Source
    pi_ai: Source
    shutdowns: Source

    @property
    def models_dev_providers(self) -> ModelsDev:
        """The data of models.dev."""
        data: ModelsDev = self.models_dev.data
        return data

    @property
    def pi_ai_models(self) -> PiAi:
        """The data of pi-ai."""
        data: PiAi = self.pi_ai.data
        return data

    @property
    def shutdown_dates(self) -> ShutdownDates:
        """The data of LiteLLM's price map."""
        data: ShutdownDates = self.shutdowns.data
        return data


class CatalogueFile(NamedTuple):
    """A compact copy, and the type of its data."""

    name: str
    about: About
    shape: Any


FILES: Mapping[str, CatalogueFile] = {
    "models_dev": CatalogueFile(
        "models-dev.json.gz",
        About("models.dev", "", "MIT", "https://models.dev/api.json"),
        ModelsDev,
    ),
    "pi_ai": CatalogueFile(
        "pi-ai.json.gz",
        About(
            "@earendil-works/pi-ai",
            "",
            "MIT",
            "https://www.npmjs.com/package/@earendil-works/pi-ai",
        ),
        PiAi,
    ),
    "shutdowns": CatalogueFile(
        "shutdown-dates.json.gz",
        About("litellm (shutdown dates)", "", "MIT", "https://pypi.org/project/litellm/"),
        ShutdownDates,
    ),
}
"""The catalogues by field of `Inputs`."""


def gather(
    folder: Path,
    full: Mapping[str, tuple[str | None, str | None]],
    used: Mapping[str, Collection[str]],
) -> Inputs:
    """Read each catalogue: the full one if it is given, or else the compact copy.

    Args:
        folder: Where the compact copies are.
        full: Path or URL and version of full catalogues, by field of `Inputs`.
        used: The provider ids that the registry needs from each.

    Raises:
        SourceError: A catalogue cannot be read, is malformed, or lacks a provider.
    """
    sources = {}
    for field in FILES:
        location, version = full.get(field, (None, None))
        if location is None:
            about, data = _read_copy(folder, field)
        else:
            about, data = _read_full(field, location, version)
        if missing := sorted(set(used[field]).difference(data)):
            msg = f"{about.name} has no {', '.join(map(repr, missing))}; correct the overlay"
            raise SourceError(msg)
        used_data = {name: data[name] for name in used[field]}
        raw = msgspec.json.encode(used_data, order="sorted")
        sources[field] = Source(about, used_data, hashlib.sha256(raw).hexdigest())
    return Inputs(**sources)


def _read_copy(folder: Path, field: str) -> tuple[About, Any]:
    path = folder / FILES[field].name
    raw = _decompressed(_read_bytes(str(path)))
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        about = msgspec.json.decode(parts["about"], type=About)
        return about, msgspec.json.decode(parts["data"], type=FILES[field].shape)
    except (msgspec.DecodeError, KeyError) as error:
        msg = f"{path}: not a compact catalogue: {error}; write it again with --refresh"
        raise SourceError(msg) from error


def _read_full(field: str, location: str, version: str | None) -> tuple[About, Any]:
    about = FILES[field].about
    if not version:
        msg = f"{location}: the version of {about.name} is missing"
        raise SourceError(msg)
    try:
        data = msgspec.json.decode(_decompressed(_read_bytes(location)), type=FILES[field].shape)
    except msgspec.DecodeError as error:
        msg = f"{location}: not the catalogue of {about.name}: {error}"
        raise SourceError(msg) from error
    return msgspec.structs.replace(about, version=version), data


def write_copies(folder: Path, inputs: Inputs) -> None:
    """Write the compact copies; the same values give the same bytes."""
    for field, file in FILES.items():
        source: Source = getattr(inputs, field)
        raw = msgspec.json.encode({"about": source.about, "data": source.data}, order="sorted")
        (folder / file.name).write_bytes(gzip.compress(raw, mtime=0))


def _decompressed(raw: bytes) -> bytes:
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def _read_bytes(location: str) -> bytes:
    if "://" not in location:
        try:
            return Path(location).read_bytes()
        except OSError as error:
            msg = f"{location}: cannot be read: {error.strerror or error}"
            raise SourceError(msg) from error
    if not location.startswith("https://"):
        msg = f"{location}: a catalogue is fetched over https only"
        raise SourceError(msg)
    try:
        response = requests.get(location, timeout=FETCH_TIMEOUT_S)
        response.raise_for_status()
    except requests.RequestException as error:
        msg = f"{location}: cannot be fetched: {error}"
        raise SourceError(msg) from error
    return response.content
