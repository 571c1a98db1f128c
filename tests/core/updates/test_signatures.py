"""A signed registry is accepted only with a signature by a trusted key."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from inference_providers.errors import ConfigError, UpdateError
from inference_providers.updates import signatures

if TYPE_CHECKING:
    from pathlib import Path

EXPIRES = datetime(2027, 1, 1, tzinfo=UTC)
REGISTRY = b'{"providers": {}, "generated_at": "2026-11-22T00:00:00Z"}'
WHOLE = (
    '{"format": "autoprovider-registry/1", "version": 1, "registry": {},'
    ' "expires": "2027-01-01T00:00:00Z"}'
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key.pem"


@pytest.fixture
def public(key: Path) -> str:
    return signatures.keygen(key)


def opened(raw: bytes, *keys: str) -> signatures.SignedContent:
    return signatures.open_file(raw, keys, max_bytes=1 << 20)


def signed(key: Path, version: int = 3) -> bytes:
    return signatures.sign(REGISTRY, key, version=version, expires=EXPIRES)


def test_open_file_returns_what_was_signed(key: Path, public: str) -> None:
    assert opened(signed(key), public) == (REGISTRY, 3, EXPIRES)
    assert opened(signed(key)) == (REGISTRY, None, EXPIRES)


def test_open_file_needs_one_signature_by_a_trusted_key(
    key: Path, public: str, tmp_path: Path
) -> None:
    other = signatures.keygen(tmp_path / "other.pem")
    file = json.loads(signed(key))
    strange = json.loads(signed(tmp_path / "other.pem"))["signatures"]
    file["signatures"] = [*strange, *file["signatures"]]
    assert opened(json.dumps(file).encode(), public, other).version == 3
    assert opened(json.dumps(file).encode(), public).version == 3


def test_open_file_refuses_an_untrusted_key(key: Path, public: str, tmp_path: Path) -> None:
    other = signatures.keygen(tmp_path / "other.pem")
    assert other != public
    with pytest.raises(UpdateError, match="no trusted key has signed it"):
        opened(signed(key), other)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(signed=file["signed"].replace('"version":3', '"version":4')),
        lambda file: file.update(signed=file["signed"] + " "),
        lambda file: file.update(signatures=[]),
        lambda file: file["signatures"][0].update(signature="AAAA"),
        lambda file: file["signatures"][0].update(signature="not base64"),
    ],
)
def test_open_file_refuses_a_changed_file(key: Path, public: str, change) -> None:
    file = json.loads(signed(key))
    change(file)
    with pytest.raises(UpdateError, match="no trusted key has signed it"):
        opened(json.dumps(file).encode(), public)


def test_open_file_refuses_a_signature_without_the_prefix(key: Path, public: str) -> None:
    """A signature that the key made for another purpose must not be valid here."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key(key.read_bytes(), password=None)
    file = json.loads(signed(key))
    file["signatures"][0]["signature"] = base64.b64encode(
        private.sign(file["signed"].encode())
    ).decode()
    with pytest.raises(UpdateError, match="no trusted key has signed it"):
        opened(json.dumps(file).encode(), public)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (REGISTRY, "it is not signed"),
        (b"x", "the file is malformed"),
        (b'{"signed": 5, "signatures": []}', "the file is malformed"),
        (b'{"signed": "{}", "signatures": [], "more": 1}', "the file is malformed"),
        (b'{"signed": "a", "signed": "b", "signatures": []}', "duplicate key"),
    ],
)
def test_open_file_refuses_a_malformed_file(public: str, raw: bytes, message: str) -> None:
    with pytest.raises(UpdateError, match=message):
        opened(raw, public)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ('{"format": "autoprovider-registry/2"}', "format"),
        ('{"format": "autoprovider-registry/1", "version": 1}', "missing required"),
        (WHOLE.replace('"version": 1', '"version": 0'), "must be 1..2"),
        (WHOLE.replace("00Z", "00"), "must be 1..2"),
        ('{"version": 1, "version": 2}', "duplicate key"),
        ("[" * 100_000, "nested"),
    ],
)
def test_open_file_refuses_incomplete_signed_content(inner: str, message: str) -> None:
    with pytest.raises(UpdateError, match=message):
        opened(json.dumps({"signed": inner, "signatures": []}).encode())


def test_keygen_writes_a_private_file_and_never_overwrites(key: Path, public: str) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        signatures.keygen(key)
    assert key.read_bytes() == before
    assert public.startswith("ed25519:")


def test_sign_refuses_a_key_that_others_may_read(key: Path, public: str) -> None:
    del public
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="run `chmod 600` on it"):
        signed(key)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_sign_does_not_quote_a_file_without_a_key(key: Path, content: bytes) -> None:
    key.write_bytes(content)
    key.chmod(0o600)
    with pytest.raises(ConfigError, match="does not contain an Ed25519 private key") as caught:
        signed(key)
    assert caught.value.__cause__ is None
    assert "garbage" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        signed(key.with_name("missing"))


@pytest.mark.parametrize("version", [0, -1, signatures.MAX_VERSION + 1])
def test_sign_refuses_a_version_out_of_range(key: Path, public: str, version: int) -> None:
    del public
    with pytest.raises(ConfigError, match="version: got"):
        signed(key, version)


def test_check_keys_normalizes_public_keys(public: str) -> None:
    bare = public.removeprefix("ed25519:")
    assert signatures.check_keys([public, bare, f" {public} "]) == (public,) * 3
    for wrong in ("", "x", "ed25519:AAAA", public + "A"):
        with pytest.raises(ConfigError, match="expected a public key as"):
            signatures.check_keys([wrong])


def test_check_keys_does_not_quote_a_private_key(key: Path, public: str) -> None:
    assert public
    for part in (key.read_text(), key.read_text().splitlines()[1]):
        with pytest.raises(ConfigError, match="characters, expected a public key") as caught:
            signatures.check_keys([part])
        assert key.read_text().splitlines()[1] not in str(caught.value)


WITHOUT = """
import sys
sys.modules["cryptography"] = None
from inference_providers import ProviderList
from inference_providers.updates import signatures
signatures.check_keys([])
try:
    ProviderList(update_url="https://own.test/r", trusted_keys=["x"])
except ImportError as error:
    print(type(error).__name__, error)
"""


def test_check_keys_says_which_package_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("MissingPackageError ")
    assert "pip install 'autoprovider[signatures]'" in done.stdout
