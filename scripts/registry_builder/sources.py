"""The catalogues: what is read of them, and the compact copies under `registry/`.

Reading is compacting: the types below name the fields used, whatever else a
catalogue holds is passed over. So the full file and its compact copy give the
same values, the same bytes and the same hash.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import requests
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "About",
    "Compat",
    "Inputs",
    "Listed",
    "Newer",
    "Price",
    "Source",
    "SourceError",
    "Vendor",
    "gathered",
    "write",
]

FETCH_TIMEOUT_S = 30.0


class SourceError(ValueError):
    """A catalogue cannot be read; the message says which and why."""


class Price(Struct, frozen=True, omit_defaults=True):
    """USD per million tokens."""

    input: float | None = None
    output: float | None = None


class Limit(Struct, frozen=True, omit_defaults=True):
    """Sizes in tokens; 0 means that nobody knows."""

    context: float | None = None
    output: float | None = None


class Modalities(Struct, frozen=True, omit_defaults=True):
    """What goes in and what comes out."""

    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class OwnWay(Struct, frozen=True, omit_defaults=True):
    """How one model is reached, where that differs from its provider's way."""

    npm: str | None = None
    api: str | None = None
    shape: str | None = None


class Listed(Struct, frozen=True, omit_defaults=True):
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
    provider: OwnWay | None = None


class Vendor(Struct, frozen=True, omit_defaults=True):
    """One provider in models.dev's catalogue."""

    models: dict[str, Listed]
    doc: str | None = None


class Compat(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What pi-ai states of a model's departures from OpenAI's protocol."""

    supports_store: bool | None = None
    supports_developer_role: bool | None = None
    supports_strict_mode: bool | None = None
    supports_reasoning_effort: bool | None = None
    supports_usage_in_streaming: bool | None = None
    supports_temperature: bool | None = None
    requires_reasoning_content_on_assistant_messages: bool | None = None
    max_tokens_field: str | None = None


class Newer(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One model in pi-ai's catalogue, which lists chat models that call tools."""

    api: str
    context_window: float | None = None
    max_tokens: float | None = None
    input: tuple[str, ...] = ()
    reasoning: bool = False
    cost: Price | None = None
    compat: Compat | None = None


Catalogue = dict[str, Vendor]
PiAi = dict[str, dict[str, Newer]]
Shutdowns = dict[str, dict[str, str]]


class About(Struct, frozen=True):
    """What a catalogue is, and under which licence."""

    name: str
    version: str
    license: str
    url: str


class Source(Struct, frozen=True):
    """A catalogue with what it is and the hash of what is read of it."""

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
    def catalogue(self) -> Catalogue:
        """models.dev's providers by their id there."""
        catalogue: Catalogue = self.models_dev.data
        return catalogue

    @property
    def newer(self) -> PiAi:
        """pi-ai's models by its provider's id and the model's id."""
        newer: PiAi = self.pi_ai.data
        return newer

    @property
    def dates(self) -> Shutdowns:
        """Shutdown dates by LiteLLM's provider and the model's id there."""
        dates: Shutdowns = self.shutdowns.data
        return dates


FILES: Mapping[str, tuple[str, About, Any]] = {
    "models_dev": (
        "models-dev.json.gz",
        About("models.dev", "", "MIT", "https://models.dev/api.json"),
        Catalogue,
    ),
    "pi_ai": (
        "pi-ai.json.gz",
        About(
            "@earendil-works/pi-ai",
            "",
            "MIT",
            "https://www.npmjs.com/package/@earendil-works/pi-ai",
        ),
        PiAi,
    ),
    "shutdowns": (
        "shutdown-dates.json.gz",
        About("litellm (shutdown dates)", "", "MIT", "https://pypi.org/project/litellm/"),
        Shutdowns,
    ),
}
"""Field of `Inputs` → its compact copy, what it is, and what is read of it."""


def gathered(
    folder: Path,
    full: Mapping[str, tuple[str | None, str | None]],
    used: Mapping[str, Collection[str]],
) -> Inputs:
    """Read each catalogue: the full one where a place is given, else the compact copy.

    Args:
        folder: Where the compact copies lie.
        full: Place and version of full catalogues, by field of `Inputs`.
        used: The providers the registry needs of each.

    Raises:
        SourceError: A catalogue cannot be read, is not one, or lacks a provider.
    """
    sources = {}
    for field in FILES:
        place, version = full.get(field, (None, None))
        source = _copy(folder, field) if place is None else _full(field, place, version)
        if missing := sorted(set(used[field]).difference(source.data)):
            msg = f"{source.about.name} has no {', '.join(map(repr, missing))}; mend the overlay"
            raise SourceError(msg)
        sources[field] = _source(source.about, {name: source.data[name] for name in used[field]})
    return Inputs(**sources)


def _copy(folder: Path, field: str) -> Source:
    name, _, shape = FILES[field]
    path = folder / name
    raw = _unpacked(_bytes_of(str(path)))
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        about = msgspec.json.decode(parts["about"], type=About)
        data = msgspec.json.decode(parts["data"], type=shape)
    except (msgspec.DecodeError, KeyError) as error:
        msg = f"{path}: is not a compact catalogue: {error}; make it anew with --refresh"
        raise SourceError(msg) from error
    return _source(about, data)


def _full(field: str, place: str, version: str | None) -> Source:
    _, about, shape = FILES[field]
    if not version:
        msg = f"{place}: say which version of {about.name} it is"
        raise SourceError(msg)
    try:
        data = msgspec.json.decode(_unpacked(_bytes_of(place)), type=shape)
    except msgspec.DecodeError as error:
        msg = f"{place}: is not the catalogue of {about.name}: {error}"
        raise SourceError(msg) from error
    return _source(msgspec.structs.replace(about, version=version), data)


def write(folder: Path, inputs: Inputs) -> None:
    """Write the compact copies; the same values give the same bytes."""
    for field, (name, _, _) in FILES.items():
        source: Source = getattr(inputs, field)
        raw = msgspec.json.encode({"about": source.about, "data": source.data}, order="sorted")
        (folder / name).write_bytes(gzip.compress(raw, mtime=0))


def _source(about: About, data: Any) -> Source:
    raw = msgspec.json.encode(data, order="sorted")
    return Source(about, data, hashlib.sha256(raw).hexdigest())


def _unpacked(raw: bytes) -> bytes:
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def _bytes_of(place: str) -> bytes:
    if "://" not in place:
        try:
            return Path(place).read_bytes()
        except OSError as error:
            msg = f"{place}: cannot be read: {error.strerror or error}"
            raise SourceError(msg) from error
    if not place.startswith("https://"):
        msg = f"{place}: a catalogue is fetched over https only"
        raise SourceError(msg)
    try:
        answer = requests.get(place, timeout=FETCH_TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        msg = f"{place}: cannot be fetched: {error}"
        raise SourceError(msg) from error
    return answer.content
