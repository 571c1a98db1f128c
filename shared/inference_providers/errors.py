"""Every error this package raises on purpose.

```
InferenceProvidersError
├── ConfigError                          before any network
│   ├── RegistryError (ValueError)       file, JSON path, got / expected
│   ├── UnknownModelError (LookupError)  unknown or retired name; did you mean …?
│   ├── NoRouteError                     one line per candidate: why it was skipped
│   ├── KeyBindingError                  a key was about to go to a host that is not its own
│   └── MissingPackageError (ImportError) the pip line to run
├── LocalServerError                     a server on this machine does not start or answer
├── FetchError                           something cannot be fetched within its limits
├── UpdateError                          a registry that was fetched is refused; says why
├── InvalidResponseError                    a success that is no answer: HTML, no choices, cut stream
├── AllRoutesFailed                      every attempt failed; one line each
└── StreamInterrupted                    a stream broke after output began
```

A request that is itself wrong (HTTP 400) is none of these: the provider's own
exception is raised again, so `except openai.BadRequestError` keeps working.
Messages name variables, models and providers; they never hold a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AllRoutesFailed",
    "ConfigError",
    "FetchError",
    "InferenceProvidersError",
    "InvalidResponseError",
    "KeyBindingError",
    "LocalServerError",
    "MissingPackageError",
    "NoRouteError",
    "RegistryError",
    "StreamInterrupted",
    "UnknownModelError",
    "UpdateError",
    "one_line",
]


def one_line(text: str) -> str:
    """Return a text from outside as a message may hold it: on one line, steering no terminal."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else repr(char)[1:-1] for char in text
    ).strip()


class InferenceProvidersError(Exception):
    """Base of everything raised here on purpose."""


class ConfigError(InferenceProvidersError):
    """What was asked for cannot work as it stands; nothing was contacted.

    No `ValueError`: calls raise it, too, and LlamaIndex's query engines take one of those for
    an answer that does not parse, and go on without it.
    """


class RegistryError(ConfigError, ValueError):
    """A registry file is not what it should be."""


class UnknownModelError(ConfigError, LookupError):
    """No provider in the registry lists the model, or it is retired."""


class NoRouteError(ConfigError):
    """The model is known, but nothing in this environment can serve it."""


class KeyBindingError(ConfigError):
    """A key was about to be sent to a host it does not belong to."""


class MissingPackageError(ConfigError, ImportError):
    """An optional package is not installed; the message holds the pip line."""


class LocalServerError(InferenceProvidersError):
    """A model server on this machine does not start or does not answer."""


class FetchError(InferenceProvidersError):
    """A server does not give what it was asked for, within limits of size and time."""


class UpdateError(InferenceProvidersError):
    """A registry that was fetched, or kept from before, is refused; says why."""


class InvalidResponseError(InferenceProvidersError):
    """The provider reported success, but what came is not an answer.

    Attributes:
        body: What came, decoded, where it may hold an error; its code then says what is meant.
    """

    def __init__(self, message: str, *, body: Any = None) -> None:
        super().__init__(message)
        self.body = body


class AllRoutesFailed(InferenceProvidersError):  # noqa: N818 - the name says it; "Error" adds nothing
    """Every route that could be tried failed.

    Attributes:
        attempts: What was tried, in order, as `inference_providers.types.AttemptRecord`.
            The last provider's own exception is the `__cause__`.
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
        partial: What was received, joined, in the caller's own message type.
        route: The route that was streaming.
    """

    def __init__(self, message: str, partial: Any = None, route: Any = None) -> None:
        super().__init__(message)
        self.partial = partial
        self.route = route
