"""Models of one registry share it: decoded once, and never outdated."""

from __future__ import annotations

import copy
import json
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import provider_row
from inference_providers.errors import RegistryError
from inference_providers.registry import loader
from inference_providers.registry import registry as registry_module
from inference_providers.registry.registry import Registry
from inference_providers.updates.effective_registry import REGISTRY_VARIABLE, active_registry
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCUMENT = {"providers": {"mine": provider_row({"m": "m-1"})}}


def document(model_id: str) -> str:
    return json.dumps({"providers": {"mine": provider_row({"m": model_id})}})


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def write_with_the_old_time(path: Path, text: str) -> None:
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text(text)
    os.utime(path, ns=times)


def replace_atomically(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def remove(path: Path, text: str) -> None:
    del text
    path.unlink()


CHANGES = [write_in_place, write_with_the_old_time, replace_atomically, remove]
TEXTS = [document("m-1"), document("m-2"), document("m"), '{"providers": {"x": 1}}', "{", ""]


def forget_shared_registries() -> None:
    registry_module._loaded.cache_clear()
    loader._json_by_content.clear()


def outcome(load: Callable[[], Registry]) -> tuple[bytes, str] | str:
    try:
        registry = load()
    except RegistryError as error:
        return str(error)
    return registry.raw, registry.origin


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(TEXTS)), max_size=6))
def test_shared_registry_equals_a_fresh_one_after_any_change(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[Any, str]]
) -> None:
    path = tmp_path_factory.mktemp("registry") / "mine.json"
    for change, text in changes:
        if change in {write_with_the_old_time, remove} and not path.exists():
            continue
        change(path, text)
        shared = outcome(lambda: Registry.load(path))
        forget_shared_registries()
        assert shared == outcome(lambda: Registry.load(path))


@pytest.mark.parametrize("change", CHANGES[:3])
@pytest.mark.parametrize("by_variable", [True, False])
def test_active_registry_sees_every_change_of_a_file(
    change: Any, by_variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(document("m-1"))
    if by_variable:
        monkeypatch.setenv(REGISTRY_VARIABLE, str(path))
    source = None if by_variable else path
    for model_id in ("m-1", "m-2", "m-1"):
        change(path, document(model_id))
        assert [entry.id for entry in active_registry(source).entries("mine", "m")] == [model_id]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=30)
@given(st.lists(JSON, min_size=1, max_size=3))
def test_dict_that_changes_in_place_is_read_again(values: list[Any]) -> None:
    source = copy.deepcopy(DOCUMENT)
    for value in values:
        source["providers"]["mine"]["name"] = value
        shared = outcome(lambda: Registry.load(source))
        forget_shared_registries()
        assert shared == outcome(lambda: Registry.load(source))


@pytest.mark.parametrize("form", ["path", "text", "dict", "variable"])
def test_models_of_one_source_share_the_registry(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(DOCUMENT))
    sources: dict[str, Any] = {"path": path, "text": json.dumps(DOCUMENT), "dict": DOCUMENT}
    if form == "variable":
        monkeypatch.setenv(REGISTRY_VARIABLE, str(path))
    first = AutoChatModel("m", registry=sources.get(form))
    models = [
        AutoChatModel("m", registry=copy.deepcopy(sources.get(form))),
        pickle.loads(pickle.dumps(first)),
        copy.copy(first),
        copy.deepcopy(first),
        first.model_copy(update={"temperature": 0.5}),
    ]
    assert {id(model._resolver.registry) for model in models} == {id(first._resolver.registry)}
    assert all(model.routes == first.routes for model in models)
    assert all(model.routes[0] is first.routes[0] for model in models), "each made its own survey"


def test_registry_object_is_shared_by_its_copies_and_pickles() -> None:
    registry = Registry.load(DOCUMENT)
    assert copy.deepcopy(registry) is registry
    once, again = (pickle.loads(pickle.dumps(registry)) for _ in range(2))
    assert once is again
    assert outcome(lambda: once) == outcome(lambda: registry)


def test_threads_that_load_one_file_decode_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(document("decoded-once"))
    decoded: list[str] = []
    original = registry_module._decoded_registry

    def counting(raw: bytes, origin: str) -> Registry:
        decoded.append(origin)
        return original(raw, origin)

    monkeypatch.setattr(registry_module, "_decoded_registry", counting)
    start = threading.Barrier(8)
    loaded: list[Registry] = []

    def load() -> None:
        start.wait()
        loaded.append(active_registry(path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, loaded))) == 1
    assert decoded == [str(path)]


def test_models_with_other_keys_do_not_share_routes() -> None:
    registry = Registry.load({"providers": {"mine": provider_row({"m": "m-1"}, "MINE_KEY")}})
    models = [
        AutoChatModel("m", registry=registry, api_keys={"mine": key} if key else None)
        for key in ("sk-first", "sk-second", None, "sk-first")
    ]
    fingerprints = [[route.key_fingerprint for route in model.routes] for model in models]
    assert fingerprints[0] == fingerprints[3] != fingerprints[1]
    assert fingerprints[2] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_child_of_a_process_that_is_loading_can_load(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(DOCUMENT))
    with registry_module._lock:
        pid = os.fork()
        if pid == 0:
            worker = threading.Thread(target=active_registry, args=(path,), daemon=True)
            worker.start()
            worker.join(20.0)
            os._exit(int(worker.is_alive()))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
