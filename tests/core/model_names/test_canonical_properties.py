"""Properties of canonical names that hold for any input.

`HYPOTHESIS_PROFILE=long` runs 10,000 examples.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from inference_providers.model_names.canonical import canonical_name, parse_model_id

DATA = Path(__file__).parents[2] / "data"
BY_PROVIDER = json.loads((DATA / "models-dev-ids.json").read_text())["ids"]
IDS = sorted({model_id for ids in BY_PROVIDER.values() for model_id in ids})
NAMES = sorted({canonical_name(model_id) for model_id in IDS} - {""})
WORDS = sorted({word for model_id in IDS for word in re.split(r"[-/:@._ ]", model_id)} - {""})

OPEN_WEIGHTS = re.compile(r"(?!qwen3-(?:235b|30b|4b)-?)[a-z0-9.-]+-\d+b(?:-a\d+b)?")
"""Names that end in a size. `-instruct` after it states nothing, except for Qwen3's first
sizes, whose `-instruct` is a later model."""

ids = st.sampled_from(IDS)
names = st.sampled_from(NAMES)
versions = st.sampled_from([name for name in NAMES if re.search(r"\d", name)])
sizes = st.sampled_from([name for name in NAMES if OPEN_WEIGHTS.fullmatch(name)])
made_up = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from("----../:@_ ")), min_size=1, max_size=6
).map(lambda words: "".join(word + mark for word, mark in words))
cut_and_joined = st.builds(
    lambda one, other, at, to: one[: at % (len(one) + 1)] + other[to % (len(other) + 1) :],
    ids,
    ids,
    st.integers(0, 200),
    st.integers(0, 200),
)
anything = st.one_of(ids, made_up, cut_and_joined, st.text(max_size=40))


@given(anything)
def test_canonical_name_maps_to_itself(model_id: str) -> None:
    name = canonical_name(model_id)
    assert canonical_name(name) == name


@given(anything)
def test_canonical_name_is_one_lower_case_word(model_id: str) -> None:
    name = canonical_name(model_id)
    assert not set(name) & set("/@: _")
    assert name == name.lower()


@given(names)
def test_parse_model_id_takes_nothing_off_a_canonical_name(name: str) -> None:
    assert parse_model_id(name) == (name, None, None, None)


@given(ids, st.randoms(use_true_random=False))
def test_parse_model_id_ignores_case(model_id: str, random: object) -> None:
    swapped = "".join(
        letter.upper() if random.random() < 0.5 else letter.lower()  # type: ignore[attr-defined]
        for letter in model_id
    )
    assert parse_model_id(swapped) == parse_model_id(model_id)


@given(names, st.sampled_from(["openai", "some-org", "accounts/some/models", "@cf/some", "a/b/c"]))
def test_canonical_name_ignores_the_organization(name: str, path: str) -> None:
    assert canonical_name(f"{path}/{name}") == name


@given(sizes, st.sampled_from(["-instruct", "-chat", "-Instruct", ":latest", "-latest"]))
def test_canonical_name_ignores_instruct_and_chat(name: str, suffix: str) -> None:
    assert canonical_name(f"{name}{suffix}") == name


@given(versions, st.sampled_from(["-FP8", ".Q4_K_M.gguf", "-AWQ", "-GGUF", "-nvfp4"]))
def test_canonical_name_ignores_quantization(name: str, suffix: str) -> None:
    assert canonical_name(f"{name}{suffix}") == name


@given(names, st.sampled_from([":free", "-free", "-TEE", ":thinking:8192", "@eu", "-batch"]))
def test_parse_model_id_separates_the_tier(name: str, suffix: str) -> None:
    parsed = parse_model_id(f"{name}{suffix}")
    assert parsed.name == name
    assert parsed.tier
