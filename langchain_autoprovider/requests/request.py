"""One call of an `AutoChatModel`, as each of its routes is asked it.

The request stays neutral until a route is tried: tools are bound by the route's own
class, which knows how its protocol spells them, and the conversation is made acceptable
to it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from inference_providers.errors import InvalidResponseError
from inference_providers.failover.engine import failover
from langchain_autoprovider.errors import LangChainErrors
from langchain_autoprovider.messages.history import adapt_history
from langchain_autoprovider.messages.streaming import record_answer, truncated_call
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.requests.tools import fields_for_route

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

__all__ = ["Request", "traced"]


class Request(NamedTuple):
    """Messages, stop words, request fields and what they need, and the resolver of routes.

    `conversation` names what goes on with one provider where it can, and `accepts` makes
    of an answer what was asked for; one that it cannot parse is none.

    The inner model's `_generate` and `_stream` are called, not `invoke` and `stream`:
    those would report every token and every token count a second time.
    """

    resolver: Resolver
    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]
    settings: FailoverSettings
    needs: Needs
    conversation: str | None = None
    accepts: Callable[[list[Generation]], Any] | None = None

    def engine(self, plan: Plan) -> Engine:
        """Return the failover engine over the routes of `plan`."""
        return failover(
            plan,
            state=self.resolver.state,
            settings=self.settings,
            now=time.monotonic(),
            errors=LangChainErrors(),
        )

    def send(self, attempt: Attempt, run_manager: CallbackManagerForLLMRun | None) -> ChatResult:
        """Ask one route."""
        model = connections.connect(attempt.route, self.resolver.access(attempt.route))
        messages, fields = self._asked(model, attempt)
        return self._accepted(model._generate(messages, self.stop, run_manager, **fields))

    async def asend(
        self, attempt: Attempt, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> ChatResult:
        """Ask one route, on the running event loop."""
        access = await self.resolver.aaccess(attempt.route)
        model = await connections.aconnect(attempt.route, access)
        messages, fields = self._asked(model, attempt)
        return self._accepted(await model._agenerate(messages, self.stop, run_manager, **fields))

    def open(self, attempt: Attempt) -> Generator[ChatGenerationChunk]:
        """Open a stream on one route; callbacks are the outer model's to call."""
        model = connections.connect(attempt.route, self.resolver.access(attempt.route))
        messages, fields = self._asked(model, attempt, self._longest_silence_s)
        yield from model._stream(messages, self.stop, **fields)

    async def aopen(self, attempt: Attempt) -> AsyncGenerator[ChatGenerationChunk]:
        """Open a stream on one route, on the running event loop."""
        access = await self.resolver.aaccess(attempt.route)
        model = await connections.aconnect(attempt.route, access)
        messages, fields = self._asked(model, attempt, self._longest_silence_s)
        async for chunk in model._astream(messages, self.stop, **fields):
            yield chunk

    @property
    def _longest_silence_s(self) -> float:
        return max(self.settings.first_token_timeout_s, self.settings.inter_chunk_timeout_s)

    def _accepted(self, result: ChatResult) -> ChatResult:
        if fault := truncated_call(result):
            raise InvalidResponseError(fault)
        if self.accepts is None:
            return result
        try:
            parsed = self.accepts(list(result.generations))
        except OutputParserException as error:
            msg = f"the answer does not parse: {error}"
            raise InvalidResponseError(msg) from error
        if parsed is None:
            msg = "the answer holds no call of the tool that was demanded"
            raise InvalidResponseError(msg)
        return result

    def _asked(
        self, model: BaseChatModel, attempt: Attempt, silence_s: float = math.inf
    ) -> tuple[list[BaseMessage], dict[str, Any]]:
        """Return the messages and request fields as the route and its class take them."""
        fields = {**self.fields, "timeout": min(attempt.timeout_s, silence_s)}
        if attempt.without:
            fields["without"] = attempt.without
        return adapt_history(self.messages, attempt.route), fields_for_route(
            model, attempt.route, fields
        )


def traced(
    result: ChatResult, tried: Sequence[AttemptRecord], plan: Plan, state: FailoverState
) -> ChatResult:
    """Put the trace on the answer's messages."""
    for generation in result.generations:
        message = generation.message
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        tokens = (usage["input_tokens"], usage["output_tokens"]) if usage else None
        message.response_metadata["autoprovider"] = record_answer(plan, tried, tokens, state)
    return result
