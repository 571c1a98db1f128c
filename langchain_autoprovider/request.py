"""One call of an `AutoChatModel`, as each of its routes is asked it.

The request stays neutral until a route is tried: tools are bound by the route's own
class, which knows how its protocol spells them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage

from inference_providers.routes import Needs
from inference_providers.trace import trace
from langchain_autoprovider import connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.resolver import Resolver
    from inference_providers.routes import Plan, Route, Tried

__all__ = ["Request", "traced"]

_OF_TOOLS = ("tool_choice", "parallel_tool_calls")


class Request(NamedTuple):
    """Messages, stop words and request fields, and the resolver of their routes.

    The inner model's `_generate` and `_stream` are called, not `invoke` and `stream`:
    those would report every token and every token count a second time.
    """

    resolver: Resolver
    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]

    @property
    def needs(self) -> Needs:
        """What a route must offer to be asked this."""
        return Needs(
            tools=bool(self.fields.get("tools")), structured="response_format" in self.fields
        )

    def send(self, route: Route, run_manager: CallbackManagerForLLMRun | None) -> ChatResult:
        """Ask one route."""
        model = connect.connect(route, self.resolver.access(route))
        return model._generate(self.messages, self.stop, run_manager, **self._bound(model))

    async def asend(
        self, route: Route, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> ChatResult:
        """Ask one route, on the running event loop."""
        model = await connect.aconnect(route, await self.resolver.aaccess(route))
        bound = self._bound(model)
        return await model._agenerate(self.messages, self.stop, run_manager, **bound)

    def open(self, route: Route) -> Generator[ChatGenerationChunk]:
        """Open a stream on one route; callbacks are the outer model's to call."""
        model = connect.connect(route, self.resolver.access(route))
        yield from model._stream(self.messages, self.stop, **self._bound(model))

    async def aopen(self, route: Route) -> AsyncGenerator[ChatGenerationChunk]:
        """Open a stream on one route, on the running event loop."""
        model = await connect.aconnect(route, await self.resolver.aaccess(route))
        async for chunk in model._astream(self.messages, self.stop, **self._bound(model)):
            yield chunk

    def _bound(self, model: BaseChatModel) -> dict[str, Any]:
        if not self.fields.get("tools"):
            return self.fields
        fields = dict(self.fields)
        tools = fields.pop("tools")
        of_tools = {name: fields.pop(name) for name in _OF_TOOLS if name in fields}
        binding: Any = model.bind_tools(tools, **of_tools)
        return {**fields, **binding.kwargs}


def traced(result: ChatResult, tried: Sequence[Tried], plan: Plan) -> ChatResult:
    """Put the trace on the answer's messages."""
    for generation in result.generations:
        message = generation.message
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        tokens = (usage["input_tokens"], usage["output_tokens"]) if usage else None
        message.response_metadata["autoprovider"] = trace(plan, tried, tokens)
    return result
