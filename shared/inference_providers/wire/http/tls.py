"""The TLS settings of all clients."""

from __future__ import annotations

import ssl
from functools import cache

import certifi

from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError

__all__ = ["tls_context"]


def tls_context() -> ssl.SSLContext:
    """Return the TLS context that all clients share, since loading certificates is slow.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` replace certifi's certificates.

    Raises:
        ConfigError: The certificates that a variable names cannot be loaded.
    """
    keys = Keys()
    return _context(keys.setting("SSL_CERT_FILE"), keys.setting("SSL_CERT_DIR"))


@cache
def _context(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=cert_file or (None if cert_dir else certifi.where()), capath=cert_dir
        )
    except OSError as error:  # includes SSLError
        variable, path = ("SSL_CERT_FILE", cert_file) if cert_file else ("SSL_CERT_DIR", cert_dir)
        msg = f"{variable} names {path!r}, which cannot be loaded: {error}; correct or unset it"
        raise ConfigError(msg) from None
    context.set_alpn_protocols(["http/1.1"])
    return context
