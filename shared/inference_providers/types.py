"""The values everything else passes around: frozen, printable, without keys.

`Provider`, `Endpoint`, `Model` and `Quirks` have the shape of the registry
file (see `inference_providers.registry.registry`); `Route`, `Plan` and what follows are
made from them. A `Route` names the variable that holds a key, never the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date  # noqa: TC003 - msgspec reads annotations at run time
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct, field

from inference_providers import tables
from inference_providers.errors import NoRouteError, PromptTooLongError

__all__ = [
    "ANYTHING",
    "NOT_IN_ONLY",
    "ON_THIS_MACHINE",
    "AtLeastOne",
    "Auth",
    "Cost",
    "Endpoint",
    "Kind",
    "Listing",
    "LocalModels",
    "Model",
    "Names",
    "Needs",
    "Plan",
    "Provider",
    "Quirks",
    "RateLimits",
    "Route",
    "Selection",
    "Skipped",
    "Sort",
    "Unavailable",
    "Value",
    "as_names",
]

Names = str | Iterable[str] | None
"""One name, several, or none."""
Sort = Literal["registry", "price", "latency", "random"]
Kind = Literal["direct", "gateway", "cloud", "local", "embedded"]
_Input = Literal["text", "image", "audio", "video", "pdf"]
_Price = Annotated[float, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]

ON_THIS_MACHINE = frozenset({"local", "embedded"})
"""Kinds whose models are found by looking, not read from the registry."""


class Value(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all values: immutable, hashable, strict about its fields."""


class Cost(Value, frozen=True, kw_only=True, gc=False):
    """Price in USD per million tokens."""

    input: _Price = field(name="in")
    output: _Price = field(name="out")


class RateLimits(Value, frozen=True, kw_only=True):
    """Requests and tokens a minute that one model takes with one key."""

    rpm: AtLeastOne | None = None
    tpm: AtLeastOne | None = None


class Quirks(Value, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """Declared differences of one provider, or one model there, from the protocol it speaks.

    Attributes:
        max_tokens_field: The request field that limits the answer's length.
        drop_params: Request fields the provider refuses.
        stream_usage: Whether a stream may be asked to report token counts.
        named_tool_choice: Whether a single tool can be demanded by its name.
            Without it, only that tool is sent and `required` is demanded.
        forced_tool_choice: Whether a tool call can be demanded at all; else it is left
            to the model.
        strict_tools: Whether a tool may ask for its schema to be kept exactly.
        response_format: The strictest form of JSON output that can be asked for.
        schema_with_json_object: Whether `json_object` takes the schema along.
        developer_role: Whether the `developer` role is known; else it is `system`.
        single_system: Whether only one system message is taken, at the start.
        drop_message_name: Whether `name` on a message is refused.
        replay_reasoning: Whether an earlier answer's `reasoning_content` is to be sent back.
        tool_call_ids: What ids of tool calls must look like: `alnum9` is nine letters
            and digits.
        max_n: The most answers one request may ask for.
    """

    max_tokens_field: str = "max_tokens"
    drop_params: tuple[str, ...] = ()
    stream_usage: bool = True
    named_tool_choice: bool = True
    forced_tool_choice: bool = True
    strict_tools: bool = True
    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    schema_with_json_object: bool = False
    developer_role: bool = True
    single_system: bool = False
    drop_message_name: bool = False
    replay_reasoning: bool = False
    tool_call_ids: Literal["any", "alnum9"] = "any"
    max_n: AtLeastOne | None = None


class Model(Value, frozen=True, kw_only=True, gc=False):
    """One model as one provider serves it.

    `None` means unknown, never "no": a capability nobody stated does not rule a
    route out; so does an `input` without any kind. `context` and `output` are in tokens.
    `quirks` and `limits` stand in place of the provider's. `dimensions` is of a vector.
    """

    id: str
    context: AtLeastOne | None = None
    output: AtLeastOne | None = None
    input: tuple[_Input, ...] = ("text",)
    tools: bool | None = None
    structured: bool | None = None
    reasoning: bool | None = None
    cost: Cost | None = None
    released: date | None = None
    shutdown: date | None = None
    tier: str | None = None
    snapshot: str | None = None
    quantization: str | None = None
    dimensions: AtLeastOne | None = None
    endpoint: str = "default"
    quirks: Quirks | None = None
    limits: RateLimits | None = None


class Auth(Value, frozen=True, kw_only=True):
    """Which variables open a provider.

    `any_of` lists alternatives in order of preference; each alternative is a
    list of variables that must all be set. An empty alternative needs no key.
    `opt_in` marks variables that people set for other reasons: all of them, or the
    `opt_in_variables`. They count only where the provider is named.
    """

    any_of: tuple[tuple[str, ...], ...] = ((),)
    opt_in: bool = False
    opt_in_variables: tuple[str, ...] = ()


class Endpoint(Value, frozen=True, kw_only=True):
    """Where a provider listens, and which protocol it speaks there.

    `quirks` stand in place of all others, where they are those of this endpoint alone.
    `models_path` is where its models are listed; empty where another endpoint does that.
    """

    protocol: str
    base_url: str
    base_url_env: tuple[str, ...] = ()
    models_path: str = "/models"
    quirks: Quirks | None = None


Listing = str | Model | tuple[Model | str, ...]
"""How a file may write one model: its id, an object, or a list of either."""


class Provider(Value, frozen=True, kw_only=True):
    """Who serves models: one row of the registry.

    `models` are chat models, `embeddings` embedding models, both by canonical name.
    `variant_of` names the provider that this one is in another region or on another plan,
    opened by the same key: a twin is used only when it is named. `accepts_any_model` tells that
    its users name models there themselves: any name passes that is pinned to it.
    """

    name: str
    kind: Kind = "direct"
    docs: str | None = None
    source: str | None = None
    checked: date | None = None
    auth: Auth = Auth()
    endpoints: dict[str, Endpoint]
    quirks: Quirks = Quirks()
    limits: RateLimits | None = None
    variant_of: str | None = None
    accepts_any_model: bool = False
    models: dict[str, Listing] = {}
    embeddings: dict[str, Listing] = {}

    @property
    def takes_any_name(self) -> bool:
        """Whether a name that nobody lists may be a model there, where it is pinned to it."""
        return self.accepts_any_model or self.kind in ON_THIS_MACHINE


class Selection(Value, frozen=True, kw_only=True):
    """The models a user chose, in order of preference, and the providers that may serve them.

    Attributes:
        models: Names of models; none means the best that can be reached.
        only: Providers that may be used; none means all.
        exclude: Providers that may not be used.
        order: Providers to try first. Takes precedence over `sort`.
        local: Whether model servers on this machine are used as well.
        sort: How the other providers of one model are ordered.
    """

    models: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    local: bool = False
    sort: Sort = "registry"

    @classmethod
    def of(  # noqa: PLR0913 - the fields
        cls,
        models: Names = None,
        *,
        only: Names = None,
        exclude: Names = None,
        order: Names = None,
        local: bool = False,
        sort: Sort = "registry",
    ) -> Self:
        """Return a selection; a single name may be given as a string."""
        return cls(
            models=as_names(models),
            only=as_names(only),
            exclude=as_names(exclude),
            order=as_names(order),
            local=local,
            sort=sort,
        )


class Needs(Value, frozen=True, kw_only=True):
    """What a request requires of a route. Nothing by default.

    `shaped` is an answer in a given shape, by schema or as a tool's arguments. `context`
    is an estimate of the prompt's tokens, rather too low than too high. `ruled_out_protocols` are
    protocols in which it cannot be said, each with what to do.
    """

    tools: bool = False
    structured: bool = False
    structured_or_tools: bool = False
    input: frozenset[str] = frozenset({"text"})
    context: int = 0
    ruled_out_protocols: tuple[tuple[str, str], ...] = ()


def as_names(names: Names) -> tuple[str, ...]:
    """Return one name, several or none as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names or ())


ANYTHING = Needs()

NOT_IN_ONLY = "not in only="
"""Why a provider is skipped that the caller did not list."""


class Route(Value, frozen=True, kw_only=True, cache_hash=True):
    """One way to one model: who serves it, where, under which name.

    Attributes:
        model: The canonical name.
        provider: The provider's id in the registry.
        model_id: The provider's own name for the model.
        key_variable: The environment variable (or `api_keys` entry) with the
            key; `None` when no key is needed.
        key_fingerprint: Tells that variable's values apart without telling any.
        instead: What the registry names in its place, for a provider that no longer
            has the model.
    """

    model: str
    provider: str
    model_id: str
    endpoint: Endpoint
    kind: Kind = "direct"
    key_variable: str | None = None
    key_fingerprint: str | None = None
    quirks: Quirks = Quirks()
    limits: RateLimits | None = None
    model_info: Model
    replacement: str | None = None

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Skipped(Value, frozen=True, kw_only=True):
    """A candidate that cannot serve this time, and why; the reason says what to do.

    `context` is its window in tokens, where that is what is too small.
    """

    provider: str
    model: str
    reason: str
    context: int | None = None


class LocalModels(Value, frozen=True, kw_only=True):
    """What a look at this machine showed for one local provider."""

    base_url: str
    models: tuple[str, ...]


class Unavailable(Value, frozen=True, kw_only=True):
    """Why a local provider cannot be used; says what to do."""

    reason: str


class Plan(Value, frozen=True, kw_only=True):
    """Usable routes in order, and the candidates passed over, each with its reason.

    `models` are the canonical names asked for, in order; empty when any will do.
    `resting` are routes that failed a short while ago, each with its row in `skipped`.
    `conversation` names the conversation whose next answer shall come from the same route,
    `tokens` is an estimate of the prompt's.
    Prints as a table; in a notebook it shows as one.
    """

    models: tuple[str, ...]
    routes: tuple[Route, ...]
    skipped: tuple[Skipped, ...]
    cooling_down: tuple[Route, ...] = ()
    conversation: str | None = None
    tokens: int = 0

    def require(self) -> Self:
        """Return the plan if it has a route, be it in a cooldown.

        Raises:
            PromptTooLongError: The prompt is longer than every window of a route that would
                otherwise be usable.
            NoRouteError: There is no route for other reasons, all of which are in the message.
                Providers that `only` rules out are named only if there are no others.
        """
        if self.routes or self.cooling_down:
            return self
        if windows := [skip.context for skip in self.skipped if skip.context]:
            msg = (
                f"The prompt has at least {self.tokens:,} tokens; the largest window of"
                f" {len(windows)} usable routes holds {max(windows):,}. Shorten it, or name a"
                " model with a larger window"
            )
            raise PromptTooLongError(msg)
        names = ", ".join(map(repr, self.models)) or "any model"
        skipped = [skip for skip in self.skipped if skip.reason != NOT_IN_ONLY] or self.skipped
        reasons = "; ".join(f"{skip.provider}: {skip.reason}" for skip in skipped)
        msg = f"No usable route to {names}: {reasons or 'the registry lists no provider'}"
        raise NoRouteError(msg)

    def table(self) -> tables.Table:
        """Return routes and skipped candidates as a table."""
        serving = [
            (str(n), r.provider, r.model, r.model_id, r.key_variable or "none needed")
            for n, r in enumerate(self.routes, 1)
        ]
        passed = [("", s.provider, s.model, "", s.reason) for s in self.skipped]
        return tables.Table(
            title=f"Routes to {', '.join(self.models) or 'any model'}",
            columns=("", "provider", "model", "model id", "key, or why not"),
            rows=(*serving, *passed),
        )

    def __str__(self) -> str:
        return tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return tables.as_html(self.table())
