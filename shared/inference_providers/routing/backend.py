"""The port between the core and the code that supports the protocols, which is above the core.

A backend registers itself in the entry-point group `autoprovider.connectors`;
`langchain_autoprovider` does. `ProviderList` and the command line find it there, so their calls
take the same path as a LangChain model's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from msgspec import Struct

from inference_providers.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_providers.credentials import Key
    from inference_providers.failover.state import FailoverState
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Route, Selection

__all__ = ["GROUP", "Access", "Backend", "ModelListing", "Piece", "find_backend"]

GROUP = "autoprovider.connectors"


class Access(NamedTuple):
    """What a call of a route needs: its base URL, its key, and the failover state.

    The HTTP client of the route writes the rate limits that it reads from headers to `state`.
    """

    base_url: str
    key: Key | None
    state: FailoverState


class ModelListing(Struct, frozen=True, kw_only=True):
    """How to request the list of a provider's models in one protocol.

    Attributes:
        header: The header that carries the key.
        prefix: What precedes the key in that header.
        headers: Further headers, as pairs of name and value.
        path: The path for an endpoint that names none itself; `None` for `/models`.
    """

    header: str
    prefix: str
    headers: tuple[tuple[str, str], ...]
    path: str | None

    def headers_for(self, key_value: str) -> dict[str, str]:
        """Return the headers of a request with this key."""
        return {self.header: f"{self.prefix}{key_value}", **dict(self.headers)}


class Piece(NamedTuple):
    """A part of an answer; the last one carries the trace."""

    text: str
    trace: dict[str, Any] | None = None


class Backend(Protocol):
    """Calls routes."""

    def unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        """Return the registry's protocols that cannot be used here, each with what to do."""

    def model_listing(self, protocol: str) -> ModelListing | None:
        """Return how to list a provider's models in `protocol`, or `None` if that is impossible."""

    def client(self, route: Route, access: Access) -> Any:
        """Return an `openai.OpenAI` client, or an object with its `chat.completions.create`."""

    def answer(self, selection: Selection, registry: Registry, prompt: str) -> Piece:
        """Return the whole answer to a prompt, failing over between the routes of `selection`."""

    def stream(self, selection: Selection, registry: Registry, prompt: str) -> Iterator[Piece]:
        """Yield the answer to a prompt as it comes; the last piece carries the trace."""


@cache
def find_backend() -> Backend:
    """Return the installed backend.

    Raises:
        MissingPackageError: None is registered: the installation is incomplete.
        ConfigError: Several are registered.
    """
    # An editable install beside a wheel registers one backend twice.
    points = {point.value: point for point in entry_points(group=GROUP)}
    if not points:
        msg = "No backend is registered; reinstall: pip install --force-reinstall autoprovider"
        raise MissingPackageError(msg)
    if len(points) > 1:
        msg = f"Several backends are registered: {', '.join(sorted(points))}; uninstall all but one"
        raise ConfigError(msg)
    (point,) = points.values()
    return cast("Backend", point.load())
