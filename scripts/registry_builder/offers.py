"""One model at one provider: whether it is listed, under which name, with which facts."""

from __future__ import annotations

import re
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from inference_providers.model_names.canonical import ModelName, parse_model_id
from registry_builder.quirks import combined, of_compat, of_provider
from registry_builder.sources import Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_builder.overlay import Overlay, PerModel, Row
    from registry_builder.sources import Inputs, Listed, Newer, Price

__all__ = ["STALE", "Dropped", "Offer", "Shelf", "shelf_of"]

STALE = "no catalogue lists it"
"""Why an id that only the overlay has is left out, unless it says who lists it."""

KINDS = ("text", "image", "audio", "video", "pdf")
"""Kinds of input, in the order they are written."""

FIELDS = (
    "id",
    "context",
    "output",
    "input",
    "tools",
    "structured",
    "reasoning",
    "cost",
    "released",
    "shutdown",
    "tier",
    "snapshot",
    "quantization",
    "dimensions",
    "endpoint",
    "quirks",
)
"""Fields of the registry's `Model`, in the order they are written."""

_FREE = re.compile(r"\bfree\b")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Offer(NamedTuple):
    """A model that is listed."""

    provider: str
    name: str
    entry: dict[str, Any]
    family: str | None
    embeds: bool
    vectors: dict[str, Any] | None = None
    """Its entry among the embedding models, where a chat model is listed there too."""


class Dropped(NamedTuple):
    """A model that is left out, and why."""

    provider: str
    id: str
    why: str


class _Seen(NamedTuple):
    """One id with everything that is known of it."""

    id: str
    older: Listed | None
    newer: Newer | None
    said: tuple[PerModel, ...]
    shutdown: str | None
    embeds: bool

    def word(self, field: str) -> Any:
        """Return the strongest word of the overlay on a field."""
        return next((said for one in reversed(self.said) if (said := getattr(one, field))), None)


class Shelf(NamedTuple):
    """What is known of one provider's models."""

    provider: str
    row: Row
    overlay: Overlay
    older: Mapping[str, Listed]
    newer: Mapping[str, Newer]
    dates: Mapping[str, str]
    quirks: dict[str, Any]
    docs: str | None

    def judged(self) -> list[Offer | Dropped]:
        """Judge each model id that the catalogues or the overlay have."""
        ids = sorted({*self.older, *self.newer, *self.row.models})
        return [self._judged(self._seen(model_id)) for model_id in ids]

    def _seen(self, model_id: str) -> _Seen:
        said = self.row.said_of(model_id)
        embeds = any(one.embedding for one in said) or re.search(self.overlay.embedding, model_id)
        return _Seen(
            model_id,
            self.older.get(model_id),
            self.newer.get(model_id),
            said,
            self.dates.get(model_id),
            bool(embeds),
        )

    def _judged(self, seen: _Seen) -> Offer | Dropped:
        why = self._why_not(seen)
        return Dropped(self.provider, seen.id, why) if why else self._offer(seen)

    def _why_not(self, seen: _Seen) -> str | None:
        if not (seen.older or seen.newer or seen.word("add")):
            return STALE
        for one in reversed(seen.said):
            if one.drop or one.keep:
                return one.drop
        older, shutdown = seen.older, _shutdown(seen)
        gone = self.row.complete and older and older.tool_call and not (seen.newer or seen.embeds)
        reasons = (
            ("no chat model", not seen.embeds and re.search(self.overlay.not_chat, seen.id)),
            ("does not answer in text", older and older.modalities.output != ("text",)),
            ("does not take text", older and "text" not in older.modalities.input),
            ("models.dev counts it as deprecated", older and older.status == "deprecated"),
            (f"shut down on {shutdown}", shutdown and shutdown <= self.overlay.as_of.isoformat()),
            ("gone from pi-ai's newer catalogue", gone),
        )
        return next((reason for reason, holds in reasons if holds), None)

    def _offer(self, seen: _Seen) -> Offer:
        parsed = parse_model_id(seen.id, self.provider)
        by_hand = seen.word("name")
        name = parsed._replace(name=by_hand) if by_hand else _by_alias(parsed, self.overlay.aliases)
        entry: dict[str, Any] = {
            "id": seen.id,
            **_facts(seen, self.row),
            "shutdown": seen.shutdown,
            "tier": name.tier,
            "snapshot": name.snapshot,
            "quantization": name.quantization,
            "endpoint": self._endpoint(seen),
        }
        if seen.embeds:
            entry |= dict.fromkeys(("output", "tools", "structured", "reasoning"))
            entry["dimensions"] = self.overlay.dimensions.get(name.name)
        else:
            entry["quirks"] = self._quirks(seen)
        for one in seen.said:
            entry |= {**one.facts, **dict.fromkeys(one.unset)}
        written = {field: _plain(entry[field]) for field in FIELDS if entry.get(field) is not None}
        family = seen.older.family if seen.older else None
        vectors = seen.word("embeds_too")
        too = {"id": seen.id, **vectors} if vectors else None
        return Offer(self.provider, name.name, written, family, seen.embeds, too)

    def _endpoint(self, seen: _Seen) -> str | None:
        way = seen.older.provider if seen.older else None
        return self.row.ways.get(way.api) if way and way.api else None

    def _quirks(self, seen: _Seen) -> dict[str, Any] | None:
        """Return a model's quirks where they differ from its provider's."""
        stated = [of_compat(seen.newer.compat)] if seen.newer and seen.newer.compat else []
        fixed = seen.older and seen.older.temperature is False
        if fixed and "temperature" not in self.row.older_unset:
            stated.append({"drop_params": ["temperature"]})
        own = reduce(combined, [*stated, *(one.quirks for one in seen.said)], self.quirks)
        return own if own != self.quirks else None


def shelf_of(provider_id: str, overlay: Overlay, inputs: Inputs) -> Shelf:
    """Gather what the catalogues and the overlay know of one provider's models."""
    row = overlay.providers[provider_id]
    newer = inputs.newer[row.newer] if row.newer else {}
    dates: dict[str, str] = {}
    for group in row.shutdowns:
        prefix = f"{group.partition('-')[0]}/"
        listed = inputs.dates.get(group, {})
        dates |= {model_id.removeprefix(prefix): day for model_id, day in sorted(listed.items())}
    vendor = inputs.catalogue[row.catalogue] if row.catalogue else Vendor({})
    return Shelf(
        provider_id,
        row,
        overlay,
        vendor.models,
        newer,
        dates,
        of_provider(row.quirks, newer.values()),
        vendor.doc,
    )


def _shutdown(seen: _Seen) -> str | None:
    facts = seen.word("facts") or {}
    day = facts.get("shutdown", seen.shutdown)
    return day.isoformat() if isinstance(day, date) else day


def _by_alias(parsed: ModelName, aliases: Mapping[str, str]) -> ModelName:
    """Put an alias's target in the name's place; a number it had more is a snapshot."""
    target = aliases.get(parsed.name)
    if target is None:
        return parsed
    more = parsed.name.removeprefix(f"{target}-")
    dated = more if re.fullmatch(r"[\d.]+", more) else None
    return parsed._replace(name=target, snapshot=parsed.snapshot or dated)


def _facts(seen: _Seen, row: Row) -> dict[str, Any]:
    older, newer = seen.older, seen.newer
    if older and not (newer and seen.word("newer")):
        context, output, kinds = older.limit.context, older.limit.output, older.modalities.input
        price = newer.cost if newer and row.newer_prices else older.cost
        facts: dict[str, Any] = {
            "tools": older.tool_call,
            "structured": older.structured_output,
            "reasoning": older.reasoning or None,
            "released": older.release_date if _DAY.fullmatch(older.release_date or "") else None,
        }
    elif newer:
        context, output, kinds = newer.context_window, newer.max_tokens, newer.input
        context = None if "context" in row.newer_unset else context
        price = None if "cost" in row.newer_unset else newer.cost
        facts = {"tools": True, "reasoning": newer.reasoning or None}
    else:
        return {}
    inputs = [kind for kind in KINDS if kind in kinds]
    cannot_be = context and output and output > context
    return facts | {
        "context": int(context) if context else None,
        "output": int(output) if output and not cannot_be else None,
        "input": inputs if inputs != ["text"] else None,
        "cost": _cost(seen.id, price),
    }


def _cost(model_id: str, price: Price | None) -> dict[str, float] | None:
    """Return the price, unless it is none: what costs nothing says so in its id."""
    if price is None or price.input is None or price.output is None:
        return None
    if not price.input and not price.output and not _FREE.search(model_id):
        return None
    return {"in": price.input, "out": price.output}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
