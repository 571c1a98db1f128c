"""The one port upward: what speaks to a route lives above the core.

Protocol code registers itself in the entry point group `autoprovider.connectors`;
`langchain_autoprovider` does. The plain API and the command find it there, so
they take the same road as a chain.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from msgspec import Struct

from inference_providers.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_providers.credentials import Key
    from inference_providers.failover.state import FailoverState
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Route, Selection

__all__ = ["GROUP", "Access", "Backend", "Chat", "ModelListing", "Piece", "find_backend"]

GROUP = "autoprovider.connectors"


class Access(NamedTuple):
    """What is needed to call a route now: where it listens, its key, and the failover state.

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


class Chat(Protocol):
    """Something that answers prompts, failing over between routes."""

    def answer(self, prompt: str) -> Piece:
        """Return the whole answer."""

    def stream(self, prompt: str) -> Iterator[Piece]:
        """Yield the answer as it comes; the last piece carries the trace."""


class Backend(Protocol):
    """Speaks to routes."""

    def unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        """Return the registry's protocols that cannot be spoken here, each with what to do."""

    def model_listing(self, protocol: str) -> ModelListing | None:
        """Return how to list a provider's models in `protocol`, or `None` if that is impossible."""

    def client(self, route: Route, access: Access) -> Any:
        """Return an `openai.OpenAI` client, or an object with its `chat.completions.create`."""

    def chat(self, selection: Selection, registry: Registry) -> Chat:
        """Return what answers over all routes of `selection`."""


@cache
def find_backend() -> Backend:
    """Return the installed connector.

    Raises:
        MissingPackageError: None is registered: the installation is incomplete.
    """
    for point in entry_points(group=GROUP):
        return cast("Backend", point.load())
    msg = "No connector is registered; reinstall: pip install --force-reinstall autoprovider"
    raise MissingPackageError(msg)
