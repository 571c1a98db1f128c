"""The values that all other modules exchange: frozen, printable, without keys.

`Provider`, `Endpoint`, `Model` and `Quirks` have the shape of the registry file (see
`inference_providers.registry.registry`). `Route` and `Plan` are built from them. A `Route` names
the variable that holds a key, never the key.
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
"""Kinds whose models are discovered at run time, not read from the registry."""


class Value(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all values: immutable, hashable, refuses unknown fields."""


class Cost(Value, frozen=True, kw_only=True, gc=False):
    """Price in USD per million tokens."""

    input: _Price = field(name="in")
    output: _Price = field(name="out")


class RateLimits(Value, frozen=True, kw_only=True):
    """Requests and tokens per minute that a provider allows for one model and one key."""

    rpm: AtLeastOne | None = None
    tpm: AtLeastOne | None = None


class Quirks(Value, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """Declared differences of a provider, endpoint or model from its protocol.

    Attributes:
        max_tokens_field: The request field that limits the answer's length.
        drop_params: Request fields that the provider rejects.
        stream_usage: Whether a stream can report token counts.
        named_tool_choice: Whether `tool_choice` can name a tool. If not, only that tool is sent,
            with `required`.
        forced_tool_choice: Whether `tool_choice` can require a tool call. If not, the model
            decides.
        strict_tools: Whether a tool may have `strict`.
        response_format: The strictest form of JSON output that is supported.
        schema_with_json_object: Whether `json_object` accepts a schema.
        strict_schemas: Whether `json_schema` is sent with `strict` where the schema allows it: the
            provider states that it then enforces the schema.
        developer_role: Whether the `developer` role is supported; `system` replaces it if not.
        single_system: Whether only one system message is accepted, at the start.
        drop_message_name: Whether `name` on a message is rejected.
        replay_reasoning: Whether `reasoning_content` of earlier answers must be sent back.
        tool_call_ids: The form of ids of tool calls: `alnum9` is nine letters and digits.
        max_n: The most answers that one request may ask for.
    """

    max_tokens_field: str = "max_tokens"
    drop_params: tuple[str, ...] = ()
    stream_usage: bool = True
    named_tool_choice: bool = True
    forced_tool_choice: bool = True
    strict_tools: bool = True
    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    schema_with_json_object: bool = False
    strict_schemas: bool = False
    developer_role: bool = True
    single_system: bool = False
    drop_message_name: bool = False
    replay_reasoning: bool = False
    tool_call_ids: Literal["any", "alnum9"] = "any"
    max_n: AtLeastOne | None = None


class Model(Value, frozen=True, kw_only=True, gc=False):
    """One model as one provider serves it.

    `None` means unknown, never "no": an unknown capability does not rule a route out, and neither
    does an empty `input`. `context` and `output` are in tokens, `dimensions` is the length of an
    embedding. `quirks` and `limits` replace the provider's.
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
    """Which environment variables hold a provider's key.

    Attributes:
        any_of: Alternatives in order of preference. The variables of an alternative must all be
            set; an empty one needs no key.
        opt_in: Whether the variables are usually set for other tools, so that the provider is
            used only if it is named.
        opt_in_variables: The variables for which that holds, if it does not hold for all.
    """

    any_of: tuple[tuple[str, ...], ...] = ((),)
    opt_in: bool = False
    opt_in_variables: tuple[str, ...] = ()


class Endpoint(Value, frozen=True, kw_only=True):
    """A base URL of a provider, and the protocol it uses there.

    Attributes:
        protocol: A name in the table of protocols.
        base_url: May contain `{VARIABLE}` and `{model_id}`.
        base_url_env: Variables that replace the URL of a local server; the first one set counts.
        models_path: Where the models are listed; empty if another endpoint lists them.
        quirks: Replace the model's and the provider's.
    """

    protocol: str
    base_url: str
    base_url_env: tuple[str, ...] = ()
    models_path: str = "/models"
    quirks: Quirks | None = None


Listing = str | Model | tuple[Model | str, ...]
"""How a registry file may write a model: as its id, an object, or a list of either."""


class Provider(Value, frozen=True, kw_only=True):
    """A provider of models: one row of the registry.

    Attributes:
        models: Chat models by canonical name.
        embeddings: Embedding models by canonical name.
        variant_of: The provider of which this is another region or plan with the same key. A
            variant is used only if it is named.
        accepts_any_model: Whether users name the models there themselves, so that every name
            that is pinned to the provider is accepted.
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
    def accepts_unlisted_models(self) -> bool:
        """Whether a name that is pinned to the provider may be a model that is not listed."""
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

    Attributes:
        tools: Tool calls.
        structured: Structured output by a schema.
        structured_or_tools: Structured output, by a schema or as a tool's arguments.
        input: The kinds of content in the prompt.
        context: The prompt's tokens, estimated rather too low than too high.
        ruled_out_protocols: Protocols that cannot express the request, each with what to do.
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
"""Why a provider is skipped that `only` does not contain."""


class Route(Value, frozen=True, kw_only=True, cache_hash=True):
    """One way to reach a model: provider, endpoint, and the model's id there.

    Attributes:
        model: The canonical name.
        provider: The provider's id in the registry.
        model_id: The provider's own name for the model.
        key_variable: The environment variable, or `api_keys` entry, that holds the key; `None`
            if no key is needed.
        key_fingerprint: Distinguishes the values of that variable without revealing them.
        replacement: What the registry names instead, if the provider no longer has the model.
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
    """A candidate that is not used, and why; the reason says what to do.

    Attributes:
        context: The model's window in tokens, if the prompt is too long for it.
    """

    provider: str
    model: str
    reason: str
    context: int | None = None


class LocalModels(Value, frozen=True, kw_only=True):
    """What a local provider serves, and where."""

    base_url: str
    models: tuple[str, ...]


class Unavailable(Value, frozen=True, kw_only=True):
    """Why a local provider cannot be used, and what to do."""

    reason: str


class Plan(Value, frozen=True, kw_only=True):
    """The usable routes in order, and the skipped candidates with their reasons.

    Prints as a table, also in a notebook.

    Attributes:
        models: The canonical names in order of preference; empty if any model will do.
        routes: The routes to try, in order.
        skipped: The candidates that are not used, those in a cooldown first.
        cooling_down: The routes in a cooldown. They are tried if nothing else is left.
        conversation: The conversation that should stay with the route that answers.
        tokens: The prompt's tokens, estimated rather too low than too high.
    """

    models: tuple[str, ...]
    routes: tuple[Route, ...]
    skipped: tuple[Skipped, ...]
    cooling_down: tuple[Route, ...] = ()
    conversation: str | None = None
    tokens: int = 0

    def require(self) -> Self:
        """Return the plan if it has a route, even one in a cooldown.

        Raises:
            PromptTooLongError: The prompt is longer than every window of a route that would
                otherwise be usable.
            NoRouteError: There is no route for any other reason; the message lists them all.
                Providers that `only` rules out are left out of it unless there are no others.
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
        usable = [
            (str(n), r.provider, r.model, r.model_id, r.key_variable or "none needed")
            for n, r in enumerate(self.routes, 1)
        ]
        skipped = [("", s.provider, s.model, "", s.reason) for s in self.skipped]
        return tables.Table(
            title=f"Routes to {', '.join(self.models) or 'any model'}",
            columns=("", "provider", "model", "model id", "key, or why not"),
            rows=(*usable, *skipped),
        )

    def __str__(self) -> str:
        return tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return tables.as_html(self.table())
