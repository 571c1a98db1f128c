"""The JSON Schema follows the types, and accepts what the loader accepts."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import inference_providers
from inference_providers.registry import json_schema
from inference_providers.registry.registry import Registry

VALIDATOR = jsonschema.Draft202012Validator(json_schema.schema())


def test_json_schema_as_shipped_is_up_to_date() -> None:
    """To update it, run `autoprovider registry schema > …/providers.schema.json`."""
    shipped = Path(inference_providers.__file__).with_name("registry") / json_schema.FILE_NAME
    assert shipped.read_text() == json_schema.as_text()


@pytest.mark.slow
def test_json_schema_accepts_the_bundled_registry() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema.schema())
    bundled = json.loads(Path(Registry.load().origin).read_text())
    assert list(VALIDATOR.iter_errors(bundled)) == []


@pytest.mark.parametrize(
    "file",
    [
        {"$schema": "x", "providers": {"groq": {"models": {"m": "id", "old": None}}}},
        {"providers": {"groq": None}, "aliases": {"a": "b"}},
        {"providers": {"x": {"models": {"m": ["a", {"id": "b", "cost": {"in": 1}}]}}}},
    ],
)
def test_json_schema_accepts_a_sparse_file(file: dict) -> None:
    assert list(VALIDATOR.iter_errors(file)) == []


@pytest.mark.parametrize(
    "file",
    [
        {"provider": {}},
        {"providers": {"groq": {"modles": {}}}},
        {"providers": {"groq": {"models": {"m": 5}}}},
        {"providers": {"groq": {"kind": "planet"}}},
        {"providers": {"groq": {"models": {"m": {"id": "x", "shutdown": 5}}}}},
        {"providers": {"groq": {"models": {"m": {"id": "x", "context": 0}}}}},
        {"providers": {"groq": {"models": {"m": {"id": "x", "cost": {"in": -1, "out": 1}}}}}},
        {"providers": {"groq": {"limits": {"tpm": 0}}}},
        {"providers": {"groq": {"quirks": {"max_n": -1}}}},
    ],
)
def test_json_schema_refuses_what_the_loader_refuses(file: dict) -> None:
    assert not VALIDATOR.is_valid(file)
