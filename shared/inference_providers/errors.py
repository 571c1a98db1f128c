"""Every error that this package raises on purpose.

```
InferenceProvidersError
├── ConfigError                           before any network
│   ├── RegistryError (ValueError)        file, JSON path, got / expected
│   ├── UnknownModelError (LookupError)   unknown or retired name; did you mean …?
│   ├── NoRouteError                      one reason for each candidate: what to set or change
│   │   └── PromptTooLongError            the prompt fits the window of no route
│   ├── KeyBindingError                   a key was about to go to a URL it is not bound to
│   └── MissingPackageError (ImportError) the pip command to run
├── LocalServerError                      a server on this machine does not start or answer
├── FetchError                            a download failed, or exceeded a limit
├── UpdateError                           a downloaded registry is refused; says why
├── ProviderError                         HTTP 4xx or 5xx, or an error inside a 200; in its words
├── ProviderUnreachableError (ConnectionError)   no connection, or it broke
├── ProviderTimeoutError (TimeoutError)   no bytes in time
├── InvalidResponseError                  HTTP 200 without a usable answer: HTML, no choices
├── ContentFilteredError                  HTTP 200 whose answer was withheld or cut by a filter
├── AllRoutesFailed                       every attempt failed; one line each
└── StreamInterrupted                     a stream broke after output had begun
```

A request that is itself wrong (HTTP 400) is none of these: the provider's own exception is raised
again, so `except openai.BadRequestError` keeps working. Messages name variables, models and
providers, never a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AllRoutesFailed",
    "ConfigError",
    "ContentFilteredError",
    "FetchError",
    "InferenceProvidersError",
    "InvalidResponseError",
    "KeyBindingError",
    "LocalServerError",
    "MissingPackageError",
    "NoRouteError",
    "PromptTooLongError",
    "ProviderError",
    "ProviderTimeoutError",
    "ProviderUnreachableError",
    "RegistryError",
    "StreamInterrupted",
    "UnknownModelError",
    "UpdateError",
    "one_line",
]


def one_line(text: str) -> str:
    """Escape untrusted text for a message: one line, no control characters."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else repr(char)[1:-1] for char in text
    ).strip()


class InferenceProvidersError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(InferenceProvidersError):
    """The configuration cannot work as it is; nothing was contacted.

    It is not a `ValueError`, because model calls raise it as well: LlamaIndex's query engines
    treat a `ValueError` as an answer that does not parse, and continue without that answer.
    """


class RegistryError(ConfigError, ValueError):
    """A registry file is invalid; the message has the file, the JSON path and what was expected."""


class UnknownModelError(ConfigError, LookupError):
    """No provider in the registry lists the model, or the model is retired."""


class NoRouteError(ConfigError):
    """The model is known, but nothing in this environment can serve it."""


class PromptTooLongError(NoRouteError):
    """The prompt fits the window of no route; the message has the numbers."""


class KeyBindingError(ConfigError):
    """A key was about to be sent to a URL that it is not bound to."""


class MissingPackageError(ConfigError, ImportError):
    """An optional package is not installed; the message has the pip command."""


class LocalServerError(InferenceProvidersError):
    """A model server on this machine does not start or does not answer."""


class FetchError(InferenceProvidersError):
    """A download failed, or exceeded its size or time limit."""


class UpdateError(InferenceProvidersError):
    """A downloaded or cached registry is refused; the message says why."""


class ProviderError(InferenceProvidersError):
    """A provider reported an error, with an HTTP status of 4xx or 5xx or inside a 200.

    Attributes:
        status_code: The HTTP status of the response.
        headers: The response's headers, names in lower case.
        body: The response's body, decoded if it is JSON, without keys.
        url: The base URL of the provider; empty if it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        url: str = "",
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = dict(headers or {})
        self.body = body
        self.url = url


class ProviderUnreachableError(InferenceProvidersError, ConnectionError):
    """A connection to a provider could not be opened, or broke before the response ended."""


class ProviderTimeoutError(InferenceProvidersError, TimeoutError):
    """A provider sent nothing for too long."""


class InvalidResponseError(InferenceProvidersError):
    """The provider reported success, but its response is not a usable answer.

    Attributes:
        body: The decoded response, if it may contain an error code.
    """

    def __init__(self, message: str, *, body: Any = None) -> None:
        super().__init__(message)
        self.body = body


class ContentFilteredError(InferenceProvidersError):
    """The provider's content filter withheld an answer, or cut it off.

    Attributes:
        partial: The text that arrived before, if any.
    """

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial


class AllRoutesFailed(InferenceProvidersError):  # noqa: N818 - the name says it; "Error" adds nothing
    """Every route that could be tried failed.

    The last provider's own exception is the `__cause__`.

    Attributes:
        attempts: The attempts in order, as `inference_providers.failover.events.AttemptRecord`.
        retry_after: Seconds until the first of the routes may be tried again, if known.
    """

    def __init__(
        self, message: str, attempts: Sequence[Any] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)
        self.retry_after = retry_after


class StreamInterrupted(InferenceProvidersError):  # noqa: N818 - it names an event
    """A stream broke after output had begun, so no other route was tried.

    Attributes:
        partial: The output received so far, joined, in the caller's message type.
        route: The route that was streaming.
    """

    def __init__(self, message: str, partial: Any = None, route: Any = None) -> None:
        super().__init__(message)
        self.partial = partial
        self.route = route
