"""One model at one provider: whether it is listed, under which name, with which facts."""

from __future__ import annotations

import re
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from inference_providers.model_names.canonical import ModelName, parse_model_id
from registry_builder.quirks import combined, from_compat, provider_quirks
from registry_builder.sources import ModelsDevProvider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry_builder.overlay import ModelEdit, Overlay, ProviderTable
    from registry_builder.sources import Inputs, ModelsDevModel, PiAiModel, Price

__all__ = ["UNLISTED", "LeftOut", "Offer", "ProviderFacts", "facts_about"]

UNLISTED = "no catalogue lists it"
"""Why an id that only the overlay has is left out, unless it says who lists it."""

INPUT_KINDS = ("text", "image", "audio", "video", "pdf")
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
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Offer(NamedTuple):
    """A model that is listed.

    Attributes:
        family: What models.dev states.
        is_embedding: Whether it is an embedding model.
        embedding_entry: Its entry among the embedding models, if it is a chat model that
            is listed there too.
    """

    provider: str
    name: str
    entry: dict[str, Any]
    family: str | None
    is_embedding: bool
    embedding_entry: dict[str, Any] | None = None


class LeftOut(NamedTuple):
    """A model that is not listed, and why."""

    provider: str
    id: str
    reason: str


class _Candidate(NamedTuple):
    """One model id with everything that is known about it."""

    id: str
    models_dev: ModelsDevModel | None
    pi_ai: PiAiModel | None
    edits: tuple[ModelEdit, ...]
    shutdown: str | None
    is_embedding: bool

    def edited(self, field: str) -> Any:
        """Return the overlay's strongest value of a field, or `None`."""
        values = (getattr(edit, field) for edit in reversed(self.edits))
        return next((value for value in values if value), None)


class ProviderFacts(NamedTuple):
    """Everything that is known about one provider's models."""

    provider: str
    table: ProviderTable
    overlay: Overlay
    models_dev: Mapping[str, ModelsDevModel]
    pi_ai: Mapping[str, PiAiModel]
    shutdown_dates: Mapping[str, str]
    quirks: dict[str, Any]
    docs: str | None

    def offers(self) -> list[Offer | LeftOut]:
        """Decide about each model id that a catalogue or the overlay has."""
        ids = sorted({*self.models_dev, *self.pi_ai, *self.table.models})
        return [self._offer_or_reason(self._candidate(model_id)) for model_id in ids]

    def _candidate(self, model_id: str) -> _Candidate:
        edits = self.table.edits_of(model_id)
        looks_like_embedding = re.search(self.overlay.embedding, model_id) is not None
        return _Candidate(
            id=model_id,
            models_dev=self.models_dev.get(model_id),
            pi_ai=self.pi_ai.get(model_id),
            edits=edits,
            shutdown=self.shutdown_dates.get(model_id),
            is_embedding=looks_like_embedding or any(edit.embedding for edit in edits),
        )

    def _offer_or_reason(self, candidate: _Candidate) -> Offer | LeftOut:
        reason = self._reason_to_leave_out(candidate)
        if reason is not None:
            return LeftOut(self.provider, candidate.id, reason)
        return self._offer(candidate)

    def _reason_to_leave_out(self, candidate: _Candidate) -> str | None:
        if not (candidate.models_dev or candidate.pi_ai or candidate.edited("listed_by")):
            return UNLISTED
        for edit in reversed(candidate.edits):
            if edit.drop or edit.keep:
                return edit.drop
        if not candidate.is_embedding and re.search(self.overlay.not_chat, candidate.id):
            return "not a chat model"
        if reason := self._models_dev_reason(candidate):
            return reason
        shutdown = _shutdown_date(candidate)
        if shutdown and shutdown <= self.overlay.as_of.isoformat():
            return f"shut down on {shutdown}"
        return self._gone_from_pi_ai(candidate)

    def _models_dev_reason(self, candidate: _Candidate) -> str | None:
        model = candidate.models_dev
        if model is None:
            return None
        if model.modalities.output != ("text",):
            return "does not answer in text"
        if "text" not in model.modalities.input:
            return "does not take text"
        if model.status == "deprecated":
            return "deprecated in models.dev"
        return None

    def _gone_from_pi_ai(self, candidate: _Candidate) -> str | None:
        """Say that pi-ai, which is newer, would list a model if it still existed."""
        model = candidate.models_dev
        should_be_listed = self.table.pi_ai_is_complete and model and model.tool_call
        if should_be_listed and not candidate.pi_ai and not candidate.is_embedding:
            return "gone from pi-ai, which is newer"
        return None

    def _offer(self, candidate: _Candidate) -> Offer:
        parsed = parse_model_id(candidate.id, self.provider)
        if name := candidate.edited("name"):
            parsed = parsed._replace(name=name)
        else:
            parsed = _with_alias_resolved(parsed, self.overlay.aliases)
        entry = self._entry(candidate, parsed)
        family = candidate.models_dev.family if candidate.models_dev else None
        also_embeds = candidate.edited("also_embeds")
        embedding_entry = {"id": candidate.id, **also_embeds} if also_embeds else None
        return Offer(
            self.provider, parsed.name, entry, family, candidate.is_embedding, embedding_entry
        )

    def _entry(self, candidate: _Candidate, parsed: ModelName) -> dict[str, Any]:
        """Return the registry's `Model` of a candidate, without unknown fields."""
        entry: dict[str, Any] = {
            "id": candidate.id,
            **_catalogue_facts(candidate, self.table),
            "shutdown": candidate.shutdown,
            "tier": parsed.tier,
            "snapshot": parsed.snapshot,
            "quantization": parsed.quantization,
            "endpoint": self._endpoint(candidate),
        }
        if candidate.is_embedding:
            entry |= dict.fromkeys(("output", "tools", "structured", "reasoning"))
            entry["dimensions"] = self.overlay.dimensions.get(parsed.name)
        else:
            entry["quirks"] = self._model_quirks(candidate)
        for edit in candidate.edits:
            entry |= {**edit.overrides, **dict.fromkeys(edit.omit)}
        return {field: _as_json(entry[field]) for field in FIELDS if entry.get(field) is not None}

    def _endpoint(self, candidate: _Candidate) -> str | None:
        endpoint = candidate.models_dev.provider if candidate.models_dev else None
        if endpoint is None or endpoint.api is None:
            return None
        return self.table.endpoint_by_url.get(endpoint.api)

    def _model_quirks(self, candidate: _Candidate) -> dict[str, Any] | None:
        """Return a model's quirks if they differ from its provider's."""
        stated = []
        if candidate.pi_ai and candidate.pi_ai.compat:
            stated.append(from_compat(candidate.pi_ai.compat))
        has_fixed_temperature = candidate.models_dev and candidate.models_dev.temperature is False
        if has_fixed_temperature and "temperature" not in self.table.models_dev_ignored:
            stated.append({"drop_params": ["temperature"]})
        stated += [edit.quirks for edit in candidate.edits]
        quirks = reduce(combined, stated, self.quirks)
        return quirks if quirks != self.quirks else None


def facts_about(provider_id: str, overlay: Overlay, inputs: Inputs) -> ProviderFacts:
    """Gather what the catalogues and the overlay know about one provider's models."""
    table = overlay.providers[provider_id]
    pi_ai = inputs.pi_ai_models[table.pi_ai] if table.pi_ai else {}
    models_dev = (
        inputs.models_dev_providers[table.models_dev] if table.models_dev else ModelsDevProvider({})
    )
    return ProviderFacts(
        provider=provider_id,
        table=table,
        overlay=overlay,
        models_dev=models_dev.models,
        pi_ai=pi_ai,
        shutdown_dates=_shutdown_dates(table.litellm, inputs),
        quirks=provider_quirks(table.quirks, pi_ai.values()),
        docs=models_dev.doc,
    )


def _shutdown_dates(litellm_ids: Iterable[str], inputs: Inputs) -> dict[str, str]:
    """Return shutdown dates by model id, without the prefix that LiteLLM writes first."""
    dates: dict[str, str] = {}
    for litellm_id in litellm_ids:
        prefix = f"{litellm_id.partition('-')[0]}/"
        listed = inputs.shutdown_dates.get(litellm_id, {})
        dates |= {model_id.removeprefix(prefix): day for model_id, day in sorted(listed.items())}
    return dates


def _shutdown_date(candidate: _Candidate) -> str | None:
    overrides = candidate.edited("overrides") or {}
    day = overrides.get("shutdown", candidate.shutdown)
    return day.isoformat() if isinstance(day, date) else day


def _with_alias_resolved(parsed: ModelName, aliases: Mapping[str, str]) -> ModelName:
    """Replace an alias by its target; a number that only the alias has is a snapshot."""
    target = aliases.get(parsed.name)
    if target is None:
        return parsed
    suffix = parsed.name.removeprefix(f"{target}-")
    snapshot = suffix if re.fullmatch(r"[\d.]+", suffix) else None
    return parsed._replace(name=target, snapshot=parsed.snapshot or snapshot)


def _catalogue_facts(candidate: _Candidate, table: ProviderTable) -> dict[str, Any]:
    """Return the facts of the catalogue that is used for a candidate."""
    models_dev, pi_ai = candidate.models_dev, candidate.pi_ai
    if models_dev and not (pi_ai and candidate.edited("prefer_pi_ai")):
        price = pi_ai.cost if pi_ai and table.pi_ai_prices else models_dev.cost
        return _models_dev_facts(models_dev) | _cost_fact(candidate.id, price)
    if pi_ai:
        price = None if "cost" in table.pi_ai_ignored else pi_ai.cost
        facts = _pi_ai_facts(pi_ai, knows_context="context" not in table.pi_ai_ignored)
        return facts | _cost_fact(candidate.id, price)
    return {}


def _models_dev_facts(model: ModelsDevModel) -> dict[str, Any]:
    released = model.release_date
    return {
        "tools": model.tool_call,
        "structured": model.structured_output,
        "reasoning": model.reasoning or None,
        "released": released if released and _ISO_DATE.fullmatch(released) else None,
        **_size_facts(model.limit.context, model.limit.output),
        **_input_fact(model.modalities.input),
    }


def _pi_ai_facts(model: PiAiModel, *, knows_context: bool) -> dict[str, Any]:
    return {
        "tools": True,
        "reasoning": model.reasoning or None,
        **_size_facts(model.context_window if knows_context else None, model.max_tokens),
        **_input_fact(model.input),
    }


def _size_facts(context: float | None, output: float | None) -> dict[str, Any]:
    """Return window and output limit; 0 is unknown, and so is an output beyond the window."""
    is_possible = not (context and output and output > context)
    return {
        "context": int(context) if context else None,
        "output": int(output) if output and is_possible else None,
    }


def _input_fact(kinds: Iterable[str]) -> dict[str, Any]:
    """Return the kinds of input; text alone is the default and is not written."""
    inputs = [kind for kind in INPUT_KINDS if kind in kinds]
    return {"input": inputs if inputs != ["text"] else None}


def _cost_fact(model_id: str, price: Price | None) -> dict[str, Any]:
    """Return the price; a price of zero counts only if the id says that it is free."""
    if price is None or price.input is None or price.output is None:
        return {"cost": None}
    if not price.input and not price.output and not _FREE.search(model_id):
        return {"cost": None}
    return {"cost": {"in": price.input, "out": price.output}}


def _as_json(value: Any) -> Any:
    """Return a value as it is written: dates as text, whole numbers without a fraction."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
