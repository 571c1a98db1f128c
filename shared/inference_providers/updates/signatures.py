"""Signed registries: a publisher signs one, and users who trust the publisher's key verify it.

A signed file is `{"signed": TEXT, "signatures": [{"key": …, "signature": …}]}`, where TEXT
is the JSON of `{"format", "version", "expires", "registry"}`. The Ed25519 signature covers
a fixed prefix and the bytes of TEXT. So no canonical JSON is needed, and a signature that was
made for another purpose is not valid here.

* One signature by one trusted key is enough.
* `version` never decreases, so a file that was valid earlier cannot be replayed.
* `expires` is checked on every read, so an old file cannot be served to users forever.
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

__all__ = ["SignedContent", "check_keys", "keygen", "open_file", "sign"]

MAX_VERSION = (1 << 53) - 1
_SIGNED_PREFIX = b"autoprovider registry 1\n"
_KEY_PREFIX = "ed25519:"
_PUBLIC_KEY_BYTES = 32
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


class SignedContent(NamedTuple):
    """A registry's JSON, and what its signer stated; without a trusted key, no version."""

    registry: bytes
    version: int | None = None
    expires: datetime | None = None


def check_keys(trusted_keys: Sequence[str]) -> tuple[str, ...]:
    """Return public keys in one spelling.

    Raises:
        ConfigError: A key is not an Ed25519 public key.
        MissingPackageError: There are keys, but the package to verify with is missing.
    """
    if trusted_keys:
        _ed25519()
    return tuple(_KEY_PREFIX + _base64(_public_key_bytes(key)) for key in trusted_keys)


def open_file(raw: bytes, trusted_keys: Sequence[str], *, max_bytes: int) -> SignedContent:
    """Return the content of a registry file, signed or not.

    Args:
        raw: The file.
        trusted_keys: As `check_keys` returns them. One of them must have signed the file;
            if there are none, signatures are ignored.
        max_bytes: The largest size to accept.

    Raises:
        UpdateError: The file is not JSON, malformed, or not signed by a trusted key.
    """
    try:
        plain = strict_json.decode(raw, max_bytes=max_bytes)
        if not (isinstance(plain, dict) and "signed" in plain):
            if trusted_keys:
                msg = "it is not signed"
                raise UpdateError(msg)
            return SignedContent(raw)
        envelope = msgspec.convert(plain, _Envelope)
        if trusted_keys:
            _verify(envelope, trusted_keys)
        inner = envelope.signed.encode()
        strict_json.decode(inner, max_bytes=max_bytes)
        signed = msgspec.json.decode(inner, type=_Signed)
    except (ValueError, msgspec.ValidationError) as error:
        msg = one_line(f"the file is malformed: {error}")
        raise UpdateError(msg) from error
    if not 0 < signed.version <= MAX_VERSION or signed.expires.tzinfo is None:
        msg = "`version` must be 1..2**53-1 and `expires` must have a time zone"
        raise UpdateError(msg)
    # An unverified version could be so high that no later file would be accepted.
    version = signed.version if trusted_keys else None
    return SignedContent(bytes(signed.registry), version, signed.expires)


def keygen(path: Path) -> str:
    """Write a new private key to a new file; return its public key.

    Raises:
        ConfigError: The file exists, or cannot be written.
        MissingPackageError: The package to sign with is missing.
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
    return _public_key(key)


def sign(registry: bytes, key_file: Path, *, version: int, expires: datetime) -> bytes:
    """Return a signed file for a registry's JSON.

    Raises:
        ConfigError: The version is out of range, or the key file is missing or not a key.
        MissingPackageError: The package to sign with is missing.
    """
    if not 0 < version <= MAX_VERSION:
        msg = f"version: got {version}, expected a number from 1 to {MAX_VERSION}"
        raise ConfigError(msg)
    key = _private_key(key_file)
    signed = msgspec.json.encode(
        _Signed("autoprovider-registry/1", version, expires, msgspec.Raw(registry))
    )
    signature = _Signature(_public_key(key), _base64(key.sign(_SIGNED_PREFIX + signed)))
    return msgspec.json.encode(_Envelope(signed.decode(), (signature,)))


def _verify(envelope: _Envelope, trusted_keys: Sequence[str]) -> None:
    """Accept an envelope that a trusted key has signed.

    Raises:
        UpdateError: No trusted key has signed it.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    message = _SIGNED_PREFIX + envelope.signed.encode()
    for signature in envelope.signatures:
        if signature.key not in trusted_keys:
            continue
        public = ed25519.Ed25519PublicKey.from_public_bytes(_public_key_bytes(signature.key))
        try:
            public.verify(_base64_bytes(signature.signature), message)
        except (InvalidSignature, ValueError):
            continue
        return
    msg = "no trusted key has signed it"
    raise UpdateError(msg)


def _private_key(key_file: Path) -> Ed25519PrivateKey:
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key: Any
    try:
        content = private_files.read(key_file, max_bytes=_KEY_FILE_MAX_BYTES, secret=True)
        key = load_pem_private_key(content, password=None)
    except OSError as error:
        msg = f"{key_file}: the key cannot be read: {error.strerror or error}"
        raise ConfigError(msg) from error
    except (TypeError, ValueError):  # the error's text may quote the file
        key = None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return cast("Ed25519PrivateKey", key)
    msg = (
        f"{key_file} does not contain an Ed25519 private key; create one with"
        " `autoprovider registry keygen`"
    )
    raise ConfigError(msg)


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"Signed registries need the package 'cryptography': {_INSTALL}"
        raise MissingPackageError(msg) from error
    return ed25519


def _public_key(key: Ed25519PrivateKey) -> str:
    return _KEY_PREFIX + _base64(key.public_key().public_bytes_raw())


def _public_key_bytes(key: str) -> bytes:
    try:
        public = _base64_bytes(key.strip().removeprefix(_KEY_PREFIX))
    except ValueError:
        public = b""
    if len(public) != _PUBLIC_KEY_BYTES:
        # Not quoted: someone may have passed the private key by mistake.
        msg = (
            f"trusted_keys: got {len(key)} characters, expected a public key as printed by"
            f" `autoprovider registry keygen`, {_KEY_PREFIX}…"
        )
        raise ConfigError(msg)
    return public


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _base64_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
