"""One call of an `AutoChatModel`: the neutral request, and how it is sent to a route.

* A `Request` does not depend on a provider. When a route is tried, the class of its protocol binds
  the tools, and the conversation is adapted to what the provider accepts.
* A route's model is called through `_generate` and `_stream`, not `invoke` and `stream`: those
  would report each token and each token count to the callbacks a second time.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from inference_providers.errors import InvalidResponseError
from inference_providers.failover.engine import failover
from langchain_autoprovider.errors import LangChainErrors
from langchain_autoprovider.messages.history import adapt_history
from langchain_autoprovider.messages.streaming import (
    MessageChunkInspector,
    answer_fault,
    record_answer,
)
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.quirks import apply_quirks
from langchain_autoprovider.protocols.table import PROTOCOLS, message_format_of
from langchain_autoprovider.requests.tools import NEUTRAL_FIELDS, fields_for_route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult, Generation

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord
    from inference_providers.failover.state import FailoverState
    from inference_providers.routing.resolver import Resolver
    from inference_providers.settings import FailoverSettings
    from inference_providers.types import Needs, Plan
    from langchain_autoprovider.protocols.quirks import RequestFields
    from langchain_autoprovider.protocols.table import Protocol

__all__ = [
    "Request",
    "add_trace",
    "aopen_stream",
    "asend",
    "new_inspector",
    "open_stream",
    "send",
    "start_failover",
]

_ERRORS = LangChainErrors()


class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The request of one call.

    Attributes:
        resolver: Finds the routes and their keys.
        messages: The conversation.
        stop: Strings that end the answer.
        fields: Request fields in OpenAI's form, such as `temperature` and `tools`.
        settings: The failover settings of this call.
        needs: What the request needs from a route.
        conversation: Fingerprint of the conversation, if it should stay with one route.
        parse: Parses an answer; one that does not parse counts as an invalid response.
    """

    resolver: Resolver
    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]
    settings: FailoverSettings
    needs: Needs
    conversation: str | None = None
    parse: Callable[[list[Generation]], Any] | None = None


def start_failover(request: Request, plan: Plan) -> Engine:
    """Return the engine that tries the routes of `plan`."""
    return failover(
        plan,
        state=request.resolver.state,
        settings=request.settings,
        now=time.monotonic(),
        errors=_ERRORS,
    )


def send(
    request: Request, attempt: Attempt, run_manager: CallbackManagerForLLMRun | None
) -> ChatResult:
    """Send the request to one route, and return its whole answer.

    Raises:
        InvalidResponseError: The answer has a truncated tool call, or does not parse.
    """
    model = connections.connect(attempt.route, request.resolver.access(attempt.route))
    arguments = _call_arguments(request, model, attempt)
    result = model._generate(run_manager=run_manager, **arguments)
    _check_result(request, attempt, result)
    return result


async def asend(
    request: Request, attempt: Attempt, run_manager: AsyncCallbackManagerForLLMRun | None
) -> ChatResult:
    """Ask one route for a whole answer, on the running event loop; see `send`."""
    access = await request.resolver.aaccess(attempt.route)
    model = await connections.aconnect(attempt.route, access)
    arguments = _call_arguments(request, model, attempt)
    result = await model._agenerate(run_manager=run_manager, **arguments)
    _check_result(request, attempt, result)
    return result


def open_stream(request: Request, attempt: Attempt) -> Generator[ChatGenerationChunk]:
    """Stream the answer of one route. `AutoChatModel` calls the callbacks."""
    model = connections.connect(attempt.route, request.resolver.access(attempt.route))
    arguments = _call_arguments(request, model, attempt, _stream_read_timeout_s(request.settings))
    yield from model._stream(**arguments)


async def aopen_stream(request: Request, attempt: Attempt) -> AsyncGenerator[ChatGenerationChunk]:
    """Stream the answer of one route, on the running event loop; see `open_stream`."""
    access = await request.resolver.aaccess(attempt.route)
    model = await connections.aconnect(attempt.route, access)
    arguments = _call_arguments(request, model, attempt, _stream_read_timeout_s(request.settings))
    async for chunk in model._astream(**arguments):
        yield chunk


def new_inspector(request: Request, plan: Plan, attempt: Attempt) -> MessageChunkInspector:
    """Return a new inspector for the stream of one route."""
    finish_reasons = _protocol_of(attempt).finish_reasons
    return MessageChunkInspector(plan, request.resolver.state, finish_reasons)


def add_trace(
    result: ChatResult, attempts: Sequence[AttemptRecord], plan: Plan, state: FailoverState
) -> ChatResult:
    """Add the trace to the messages of an answer, and count its tokens."""
    for generation in result.generations:
        message = generation.message
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        tokens = (usage["input_tokens"], usage["output_tokens"]) if usage else None
        message.response_metadata["autoprovider"] = record_answer(plan, attempts, tokens, state)
    return result


def _call_arguments(
    request: Request, model: BaseChatModel, attempt: Attempt, read_timeout_s: float = math.inf
) -> dict[str, Any]:
    """Return the messages and fields of a call in the form that the route's class accepts."""
    route = attempt.route
    message_format = message_format_of(route.endpoint.protocol, route.kind, route.quirks)
    fields = {
        **request.fields,
        "messages": adapt_history(request.messages, route, message_format),
        "stop": request.stop,
        "timeout": min(attempt.timeout_s, read_timeout_s),
    }
    if attempt.without:
        fields["without"] = attempt.without
    if not NEUTRAL_FIELDS.isdisjoint(fields):
        return fields_for_route(model, route, fields)
    return {**apply_quirks(cast("RequestFields", fields), route.quirks, _protocol_of(attempt))}


def _protocol_of(attempt: Attempt) -> Protocol:
    return PROTOCOLS[attempt.route.endpoint.protocol]


def _stream_read_timeout_s(settings: FailoverSettings) -> float:
    return max(settings.first_token_timeout_s, settings.inter_chunk_timeout_s)


def _check_result(request: Request, attempt: Attempt, result: ChatResult) -> None:
    """Check that an answer can be used.

    Raises:
        InvalidResponseError: The generation failed, a tool call is truncated, or the answer
            does not parse.
    """
    if fault := answer_fault(result, _protocol_of(attempt).finish_reasons):
        raise InvalidResponseError(fault)
    if request.parse is None:
        return
    try:
        parsed = request.parse(list(result.generations))
    except OutputParserException as error:
        msg = f"the answer does not parse: {error}"
        raise InvalidResponseError(msg) from error
    if parsed is None:
        msg = "the answer does not call the required tool"
        raise InvalidResponseError(msg)
