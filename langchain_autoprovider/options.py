"""The keyword arguments of the public classes, for type checkers and editors.

Each class accepts one of these sets as `**options: Unpack[...]`, so an editor reports a misspelled
name before the program runs. Defaults and descriptions come from the class's fields;
`tests/test_constructors.py` checks that the names match.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import Doc

from inference_providers.registry.registry import Registry
from inference_providers.types import Names, Sort

__all__ = [
    "ChatModelOptions",
    "ChatOptions",
    "EmbeddingsOptions",
    "LangChainOptions",
    "ModelNames",
    "RoutingOptions",
    "arguments_section",
]

ModelNames = str | Sequence[str] | None
"""One model, several in order of preference, or `None` for the best one available."""


class RoutingOptions(TypedDict, total=False):
    """Which providers may serve a model, with which keys, and how often to try."""

    only: Names
    exclude: Names
    order: Names
    sort: Sort
    local: bool
    max_attempts: int
    max_retries: int | None
    cooldown: bool
    registry: str | PathLike[str] | Mapping[str, Any] | Registry | None
    api_keys: Mapping[str, str | SecretStr] | None
    api_key: str | SecretStr | None


class ChatOptions(RoutingOptions, total=False):
    """What a chat model accepts in every framework."""

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    stop_sequences: str | Sequence[str] | None
    timeout: float | None
    first_token_timeout: float
    inter_chunk_timeout: float
    fallback_on_content_filter: bool
    sticky: bool
    hedge_after: float | Literal["p95"] | None
    streaming: bool


class LangChainOptions(TypedDict, total=False):
    """What every LangChain chat model accepts, with the descriptions that its fields lack."""

    name: Annotated[str | None, Doc("Name of this model in traces.")]
    cache: Annotated[
        BaseCache | bool | None,
        Doc("Cache of answers. `True` uses LangChain's global cache, `False` uses none, and\n"
            "`None` uses the global one if it is set."),
    ]  # fmt: skip
    verbose: Annotated[bool, Doc("Whether to print the prompt and the answer.")]
    callbacks: Annotated[Callbacks, Doc("Callback handlers, or a callback manager.")]
    tags: Annotated[list[str] | None, Doc("Tags of each run in traces.")]
    metadata: Annotated[dict[str, Any] | None, Doc("Metadata of each run in traces.")]
    custom_get_token_ids: Annotated[
        Callable[[str], list[int]] | None,
        Doc("Tokenizer that `get_num_tokens` uses instead of an estimate."),
    ]
    rate_limiter: Annotated[
        BaseRateLimiter | None,
        Doc("Limits the rate of calls. A call counts once, however many routes it tries."),
    ]
    disable_streaming: Annotated[
        bool | Literal["tool_calling"],
        Doc("Whether `stream` calls `invoke`; `'tool_calling'`: only for requests with tools."),
    ]
    output_version: Annotated[
        str | None,
        Doc("Form of a message's content: `'v0'` as the provider sent it, `'v1'` standard blocks.\n"
            "Defaults to the environment variable `LC_OUTPUT_VERSION`."),
    ]  # fmt: skip
    profile: Annotated[
        ModelProfile | None,
        Doc("What the model can do. By default, what all current routes have in common."),
    ]


class ChatModelOptions(ChatOptions, LangChainOptions, total=False):
    """The keyword arguments of `AutoChatModel`."""


class EmbeddingsOptions(RoutingOptions, total=False):
    """The keyword arguments of `AutoEmbeddings`."""

    dimensions: int | None
    batch_size: int
    timeout: float | None
    on_trace: Callable[[dict[str, Any]], None] | None


def arguments_section(fields: Mapping[str, FieldInfo]) -> str:
    """Return the `Args:` section of a constructor's docstring, for `help()`.

    `model` comes first. A field without a description is left out.
    """
    descriptions = {**_langchain_descriptions(), **_field_descriptions(fields)}
    names = [name for name in dict.fromkeys(("model", *fields)) if name in descriptions]
    entries = (f"{name}: {descriptions[name]}".replace("\n", "\n    ") for name in names)
    return "Args:\n" + "\n".join(textwrap.indent(entry, "    ") for entry in entries)


def _field_descriptions(fields: Mapping[str, FieldInfo]) -> dict[str, str]:
    return {name: field.description for name, field in fields.items() if field.description}


def _langchain_descriptions() -> dict[str, str]:
    return {
        name: annotation.__metadata__[0].documentation
        for name, annotation in LangChainOptions.__annotations__.items()
    }
