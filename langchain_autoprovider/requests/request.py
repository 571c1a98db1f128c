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

from inference_providers.errors import InferenceProvidersError, InvalidResponseError, one_line
from inference_providers.failover.engine import failover
from inference_providers.failover.trace import record_answer
from inference_providers.failures.classifier import is_recognized
from inference_providers.wire.exchange import current_exchange
from langchain_autoprovider.errors import LangChainErrors
from langchain_autoprovider.messages.answers import AnswerRules, token_counts
from langchain_autoprovider.messages.history import adapt_history
from langchain_autoprovider.messages.streaming import MessageChunkInspector
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.quirks import apply_quirks
from langchain_autoprovider.protocols.table import PROTOCOLS, message_format_of
from langchain_autoprovider.requests.tools import NEUTRAL_FIELDS, fields_for_route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult, Generation

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord, Flaw
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
    "judge",
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


def send(request: Request, attempt: Attempt) -> ChatResult:
    """Send the request to one route, and return its whole answer. Calls no callbacks.

    Raises:
        InvalidResponseError: The vendor's class could not read the response.
    """
    model = connections.connect(attempt.route, request.resolver.access(attempt.route))
    arguments = _call_arguments(request, model, attempt)
    with _VENDOR_ERRORS:
        return model._generate(**arguments)


async def asend(request: Request, attempt: Attempt) -> ChatResult:
    """Ask one route for a whole answer, on the running event loop; see `send`."""
    access = await request.resolver.aaccess(attempt.route)
    model = await connections.aconnect(attempt.route, access)
    arguments = _call_arguments(request, model, attempt)
    with _VENDOR_ERRORS:
        return await model._agenerate(**arguments)


def open_stream(request: Request, attempt: Attempt) -> Generator[ChatGenerationChunk]:
    """Stream the answer of one route. `AutoChatModel` calls the callbacks."""
    model = connections.connect(attempt.route, request.resolver.access(attempt.route))
    arguments = _call_arguments(request, model, attempt, _stream_read_timeout_s(request.settings))
    with _VENDOR_ERRORS:
        yield from model._stream(**arguments)


async def aopen_stream(request: Request, attempt: Attempt) -> AsyncGenerator[ChatGenerationChunk]:
    """Stream the answer of one route, on the running event loop; see `open_stream`."""
    access = await request.resolver.aaccess(attempt.route)
    model = await connections.aconnect(attempt.route, access)
    arguments = _call_arguments(request, model, attempt, _stream_read_timeout_s(request.settings))
    with _VENDOR_ERRORS:
        async for chunk in model._astream(**arguments):
            yield chunk


def new_inspector(request: Request, plan: Plan, attempt: Attempt) -> MessageChunkInspector:
    """Return a new inspector for the stream of one route."""
    return MessageChunkInspector(plan, request.resolver.state, _rules(request, attempt))


def judge(request: Request, attempt: Attempt, result: ChatResult) -> Flaw | None:
    """Return what is wrong with a whole answer, if anything; an answer that parses has no flaw.

    Raises:
        ContentFilteredError: The answer was withheld or cut by a content filter.
        InvalidResponseError: The answer is not usable, or does not parse.
    """
    flaw = _rules(request, attempt).judge(result)
    if request.parse is None:
        return flaw
    _check_parses(request.parse, result)
    return None


def add_trace(
    result: ChatResult, attempts: Sequence[AttemptRecord], plan: Plan, state: FailoverState
) -> ChatResult:
    """Add the trace to the messages of an answer, and count its tokens."""
    for generation in result.generations:
        message = generation.message
        tokens = None
        if isinstance(message, AIMessage) and message.usage_metadata:
            tokens = token_counts(message.usage_metadata)
            if tokens is None:
                message.usage_metadata = None  # or adding it up would raise an error
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


def _rules(request: Request, attempt: Attempt) -> AnswerRules:
    return AnswerRules(_protocol_of(attempt).finish_reasons, request.messages, request.fields)


def _protocol_of(attempt: Attempt) -> Protocol:
    return PROTOCOLS[attempt.route.endpoint.protocol]


def _stream_read_timeout_s(settings: FailoverSettings) -> float:
    return max(settings.first_token_timeout_s, settings.inter_chunk_timeout_s)


class _VendorErrors:
    """Wraps a call of a vendor's class: what it raises while reading a 2xx is the provider's fault.

    A `KeyError` or `TypeError` then means that the response has an unexpected shape. Errors that
    are known to be the provider's, such as a status or a timeout, stay as they are. So does
    anything that is raised before a 2xx was received, since the request may be at fault.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, InferenceProvidersError):
            return
        exchange = current_exchange()
        status = exchange.status if exchange else None
        if status is None or status // 100 != _SUCCESS or is_recognized(error):
            return
        msg = f"the response could not be read: {type(error).__name__}: {one_line(str(error))}"
        raise InvalidResponseError(msg[:_MESSAGE_CHARS]) from error


_VENDOR_ERRORS = _VendorErrors()
_MESSAGE_CHARS = 300
_SUCCESS = 2
"""The first digit of the status of a success."""


def _check_parses(parse: Callable[[list[Generation]], Any], result: ChatResult) -> None:
    """Check that an answer parses.

    Raises:
        InvalidResponseError: It does not parse.
    """
    try:
        parsed = parse(list(result.generations))
    except OutputParserException as error:
        msg = f"the answer does not parse: {error}"
        raise InvalidResponseError(msg) from error
    if parsed is None:
        msg = "the answer does not call the required tool"
        raise InvalidResponseError(msg)
