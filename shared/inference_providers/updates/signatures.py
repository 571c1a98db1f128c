"""Signed registries: made by who hosts one, checked by who trusts their key.

A signed file is `{"signed": TEXT, "signatures": [{"key": …, "signature": …}]}`, where TEXT
is the JSON of `{"format", "version", "expires", "registry"}`. The signature (Ed25519) is
over the text's bytes, so nothing has to be written the same way twice, and begins with
words of our own, so a signature made for something else never counts.

* One signature by one trusted key is enough.
* `version` only ever grows, so an older file that was once right is refused.
* `expires` is looked at whenever the file is, so nobody can keep you on it for ever.
"""

from __future__ import annotations

import base64
from datetime import datetime  # noqa: TC003 - msgspec reads annotations at run time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from inference_providers.errors import ConfigError, MissingPackageError, UpdateError, one_line
from inference_providers.registry import strict_json
from inference_providers.updates import private_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Opened", "check_keys", "keygen", "open_file", "sign"]

MAX_VERSION = (1 << 53) - 1
_CONTEXT = b"autoprovider registry 1\n"
_PREFIX = "ed25519:"
_PUBLIC_BYTES = 32
_KEY_FILE_MAX_BYTES = 4096
_INSTALL = "pip install 'autoprovider[signatures]'"


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    signature: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signed: str
    signatures: tuple[_Signature, ...]


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["autoprovider-registry/1"]
    version: int
    expires: datetime
    registry: msgspec.Raw


class Opened(NamedTuple):
    """A registry's JSON, and what its signer said of it; no version without a trusted key."""

    registry: bytes
    version: int | None = None
    expires: datetime | None = None


def check_keys(trusted_keys: Sequence[str]) -> tuple[str, ...]:
    """Return public keys in one spelling.

    Raises:
        ConfigError: One is no Ed25519 public key.
        MissingPackageError: There are keys, and nothing installed to check with.
    """
    if trusted_keys:
        _ed25519()
    return tuple(_PREFIX + _encoded(_public_bytes(key)) for key in trusted_keys)


def open_file(raw: bytes, trusted_keys: Sequence[str], *, max_bytes: int) -> Opened:
    """Return what a file holds, signed or not.

    Args:
        raw: The file.
        trusted_keys: As `check_keys` gives them. One of them must have signed; with
            none, signatures are not looked at.
        max_bytes: What the file may hold.

    Raises:
        UpdateError: It is not JSON, not signed by a trusted key, or not as it should be.
    """
    try:
        plain = strict_json.decode(raw, max_bytes=max_bytes)
        if not (isinstance(plain, dict) and "signed" in plain):
            if trusted_keys:
                msg = "it is not signed"
                raise UpdateError(msg)
            return Opened(raw)
        envelope = msgspec.convert(plain, _Envelope)
        if trusted_keys:
            _verify(envelope, trusted_keys)
        inner = envelope.signed.encode()
        strict_json.decode(inner, max_bytes=max_bytes)
        signed = msgspec.json.decode(inner, type=_Signed)
    except (ValueError, msgspec.ValidationError) as error:
        msg = one_line(f"it is not as it should be: {error}")
        raise UpdateError(msg) from error
    if not 0 < signed.version <= MAX_VERSION or signed.expires.tzinfo is None:
        msg = "its version or expiry is none"
        raise UpdateError(msg)
    # One that nobody vouches for could be so high that nothing ever followed it.
    version = signed.version if trusted_keys else None
    return Opened(bytes(signed.registry), version, signed.expires)


def keygen(path: Path) -> str:
    """Write a new private key to a new file; return its public key.

    Raises:
        ConfigError: There is a file already, or it cannot be written.
    """
    key: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.generate()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        private_files.create(path, content)
    except OSError as error:
        msg = f"{path}: the key cannot be written: {error.strerror or error}"
        raise ConfigError(msg) from error
    return _public(key)


def sign(registry: bytes, key_file: Path, *, version: int, expires: datetime) -> bytes:
    """Return a signed file for a registry's JSON.

    Raises:
        ConfigError: The key file or the version is not what it should be.
    """
    if not 0 < version <= MAX_VERSION:
        msg = f"version: got {version}, expected a number from 1 to {MAX_VERSION}"
        raise ConfigError(msg)
    key = _private(key_file)
    signed = msgspec.json.encode(
        _Signed("autoprovider-registry/1", version, expires, msgspec.Raw(registry))
    )
    signature = _Signature(_public(key), _encoded(key.sign(_CONTEXT + signed)))
    return msgspec.json.encode(_Envelope(signed.decode(), (signature,)))


def _verify(envelope: _Envelope, trusted_keys: Sequence[str]) -> None:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    for signature in envelope.signatures:
        if signature.key not in trusted_keys:
            continue
        public = ed25519.Ed25519PublicKey.from_public_bytes(_public_bytes(signature.key))
        try:
            public.verify(_decoded(signature.signature), _CONTEXT + envelope.signed.encode())
        except (InvalidSignature, ValueError):
            continue
        return
    msg = "no trusted key has signed it"
    raise UpdateError(msg)


def _private(key_file: Path) -> Ed25519PrivateKey:
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key: Any
    try:
        content = private_files.read(key_file, max_bytes=_KEY_FILE_MAX_BYTES, secret=True)
        key = load_pem_private_key(content, password=None)
    except OSError as error:
        msg = f"{key_file}: the key cannot be read: {error.strerror or error}"
        raise ConfigError(msg) from error
    except (TypeError, ValueError):  # its text is left out: it may quote the file
        key = None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return cast("Ed25519PrivateKey", key)
    msg = f"{key_file} holds no Ed25519 private key; `autoprovider registry keygen` makes one"
    raise ConfigError(msg)


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"Signed registries need the package 'cryptography': {_INSTALL}"
        raise MissingPackageError(msg) from error
    return ed25519


def _public(key: Ed25519PrivateKey) -> str:
    return _PREFIX + _encoded(key.public_key().public_bytes_raw())


def _public_bytes(key: str) -> bytes:
    try:
        found = _decoded(key.strip().removeprefix(_PREFIX))
    except ValueError:
        found = b""
    if len(found) != _PUBLIC_BYTES:
        # It is not quoted: what is taken for the public half by mistake is the private one.
        msg = (
            f"trusted_keys: got {len(key)} characters, expected a public key as"
            f" `registry keygen` prints it, {_PREFIX}…"
        )
        raise ConfigError(msg)
    return found


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
