"""The exceptions that both HTTP clients raise for failures below HTTP.

Each message says what happened, at which host, and what to do about it, if anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from inference_providers.errors import (
    ConfigError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    one_line,
)
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.exchange import current_exchange

__all__ = [
    "Limits",
    "Translations",
    "broken",
    "connect_timeout",
    "pool_exhausted",
    "proxy_failed",
    "reason_in",
    "silent",
    "translated",
    "unconnected",
    "unsendable",
]


class Limits(NamedTuple):
    """How long a request may wait, in seconds.

    Attributes:
        connect_s: For a connection.
        silence_s: For the next byte.
    """

    connect_s: float
    silence_s: float

    @staticmethod
    @lru_cache(maxsize=256)
    def of(timeout_s: float) -> Limits:
        """Return the limits of a request that the server may leave waiting for `timeout_s`."""
        return Limits(min(timeout_s, DEFAULT_SETTINGS.connect_timeout_s), timeout_s)


Translations = tuple[tuple[type[BaseException], Callable[[Any, str, Limits], Exception]], ...]
"""What is raised for a library's exceptions, the most specific ones first."""


def translated(
    error: BaseException, table: Translations, host: str, limits: Limits
) -> BaseException:
    """Return the exception to raise instead of one that passed through an HTTP library.

    It has no traceback, cause or context, since their frames may hold the request. An exception
    that is not in the table, such as Ctrl-C or cancellation, is itself returned.
    """
    for kind, translation in table:
        if isinstance(error, kind):
            return translation(error, host, limits)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def reason_in(error: BaseException) -> str:
    """Return the text of an exception, or its class if it has none."""
    return one_line(str(error)) or type(error).__name__


def connect_timeout(host: str, limits: Limits) -> ProviderUnreachableError:
    """Return the exception for a connection that was not opened in time."""
    return ProviderUnreachableError(f"no connection to {host} within {limits.connect_s:g} s")


def pool_exhausted(host: str, connections: int) -> ProviderTimeoutError:
    """Return the exception for a request that found no free connection in time."""
    return ProviderTimeoutError(f"all {connections} connections to {host} are in use")


def unsendable(host: str, reason: str) -> ConfigError:
    """Return the exception for a request that is not valid HTTP."""
    return ConfigError(f"the request to {host} cannot be sent: {reason}; check its headers")


def unconnected(host: str, reason: str) -> ProviderUnreachableError:
    """Return the exception for a connection that could not be opened."""
    hint = ""
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate verify failed" in reason:
        hint = "; SSL_CERT_FILE can name a file with the certificates to trust"
    return ProviderUnreachableError(f"no connection to {host}: {reason}{hint}")


def proxy_failed(host: str, reason: str) -> ProviderUnreachableError:
    """Return the exception for a proxy that refused to connect."""
    hint = "; check the password in HTTPS_PROXY" if reason.startswith("407") else ""
    return ProviderUnreachableError(f"the proxy did not connect to {host}: {reason}{hint}")


def broken(host: str, reason: str) -> ProviderUnreachableError:
    """Return the exception for a connection that broke, or whose server does not speak HTTP."""
    return ProviderUnreachableError(f"the connection to {host} broke: {reason}")


def silent(host: str, limits: Limits) -> ProviderTimeoutError:
    """Return the exception for a server that sent nothing for too long."""
    exchange = current_exchange()
    if exchange is not None and min(exchange.deadline, exchange.ends_at) <= time.monotonic():
        return ProviderTimeoutError(f"{host} did not finish before the attempt's deadline")
    return ProviderTimeoutError(f"{host} sent nothing for {limits.silence_s:g} s")
