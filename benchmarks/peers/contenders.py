"""The libraries compared, each used as its documentation shows, and what is measured for each.

The functions import the libraries, because a process runs only one contender. A measure is a
function that makes a given number of calls.
"""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Measures = Mapping[str, Callable[[int], object]]

KEY = "no-key"
PROMPT = "Say hello."
HISTORY = 200
TOOLS = 50
ROUTES = 1000
FEW, MANY = 50, 500
"""Concurrent calls."""

CONVERSATION = [
    (
        ("user", "assistant")[n % 2],
        f"Message {n}: the quick brown fox jumps over the lazy dog, twice.",
    )
    for n in range(HISTORY - 1)
]


class Contender(NamedTuple):
    """A library.

    Attributes:
        environment: The environment it runs in.
        imports: The import that a program starts with.
        measures: Returns its measures, given the URL of the provider.
    """

    environment: str
    imports: str
    measures: Callable[[str], Measures]


def tool(number: int) -> dict[str, Any]:
    """Return a function tool with five parameters."""
    names = ("city", "country", "unit", "days", "language")
    properties = {name: {"type": "string", "description": f"The {name}."} for name in names}
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": "Look something up for the user, and say where it was found.",
            "parameters": {"type": "object", "properties": properties, "required": ["city"]},
        },
    }


def repeat(call: Callable[[], object]) -> Callable[[int], object]:
    """Return a measure that makes one call after the other."""

    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def concurrently(acall: Callable[[], Any], limit: int) -> Callable[[int], object]:
    """Return a measure that keeps `limit` calls under way on the event loop."""

    async def some(left: list[None]) -> None:
        while left:
            left.pop()
            await acall()

    async def run(count: int) -> None:
        left = [None] * count
        await asyncio.gather(*(some(left) for _ in range(limit)))

    return lambda count: _loop().run_until_complete(run(count))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the process: libraries bind queues and connections to it."""
    return asyncio.new_event_loop()


def _langchain(model: Any) -> dict[str, Callable[[int], object]]:
    """Return the measures of a LangChain chat model."""
    from langchain_core.messages import AIMessage, HumanMessage

    classes = {"user": HumanMessage, "assistant": AIMessage}
    conversation = [classes[role](text) for role, text in CONVERSATION]
    return {
        "invoke": repeat(lambda: model.invoke(PROMPT)),
        "history": repeat(lambda: model.invoke(conversation)),
        "few": concurrently(lambda: model.ainvoke(PROMPT), FEW),
        "many": concurrently(lambda: model.ainvoke(PROMPT), MANY),
        "stream": repeat(lambda: list(model.stream(PROMPT))),
    }


def empty(base_url: str) -> Measures:
    """Return LangChain's own work: a chat model that returns a message."""
    del base_url
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    from peers.server import CHUNKS

    class Empty(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "empty"

        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("one two three"))])

        async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
            return self._generate()

        def _stream(self, *_: Any, **__: Any) -> Any:
            for n in range(CHUNKS):
                yield ChatGenerationChunk(message=AIMessageChunk(f" word{n}"))

    return _langchain(Empty())


def chat_openai(base_url: str) -> Measures:
    """Return LangChain's ChatOpenAI."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="m", base_url=f"{base_url}/up", api_key=KEY)
    with_tools = model.bind_tools([tool(n) for n in range(TOOLS)])
    return {**_langchain(model), "tools": repeat(lambda: with_tools.invoke(PROMPT))}


def with_fallbacks(base_url: str) -> Measures:
    """Return LangChain's own fallbacks, from one ChatOpenAI to another."""
    from langchain_openai import ChatOpenAI

    first, second = (ChatOpenAI(model="m", base_url=f"{base_url}/{n}", api_key=KEY) for n in "12")
    return _langchain(first.with_fallbacks([second]))


def litellm_router(base_url: str) -> Measures:
    """Return LangChain's chat model for LiteLLM's Router, with two deployments."""
    from langchain_litellm import ChatLiteLLMRouter
    from litellm import Router

    params = [{"model": "openai/m", "api_base": f"{base_url}/{n}", "api_key": KEY} for n in "12"]
    rows = [{"model_name": "m", "litellm_params": param} for param in params]
    return _langchain(ChatLiteLLMRouter(router=Router(model_list=rows), model_name="m"))


def fallback_model(base_url: str) -> Measures:
    """Return pydantic-ai's FallbackModel of two models, called through an agent."""
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    first, second = (
        OpenAIChatModel("m", provider=OpenAIProvider(base_url=f"{base_url}/{n}", api_key=KEY))
        for n in "12"
    )
    agent = Agent(FallbackModel(first, second))

    async def stream() -> None:
        async with agent.run_stream(PROMPT) as run:
            async for _ in run.stream_text(delta=True, debounce_by=None):
                pass

    return {
        "invoke": repeat(lambda: _loop().run_until_complete(agent.run(PROMPT))),
        "few": concurrently(partial(agent.run, PROMPT), FEW),
        "many": concurrently(partial(agent.run, PROMPT), MANY),
        "stream": repeat(lambda: _loop().run_until_complete(stream())),
    }


def openai_like(base_url: str) -> Measures:
    """Return LlamaIndex's OpenAILike."""
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(model="m", api_base=f"{base_url}/up", api_key=KEY, is_chat_model=True)
    return _llamaindex(llm)


def auto_llm(base_url: str) -> Measures:
    """Return AutoLLM, our class for LlamaIndex, with two routes."""
    from llamaindex_autoprovider import AutoLLM

    return _llamaindex(AutoLLM("m", registry=_registry(base_url, "1", "2"), only=["p1", "p2"]))


def _llamaindex(llm: Any) -> Measures:
    from llama_index.core.llms import ChatMessage

    messages = [ChatMessage(PROMPT)]
    return {
        "invoke": repeat(lambda: llm.chat(messages)),
        "few": concurrently(lambda: llm.achat(messages), FEW),
        "many": concurrently(lambda: llm.achat(messages), MANY),
        "stream": repeat(lambda: list(llm.stream_chat(messages))),
    }


def auto_chat_model(base_url: str) -> Measures:
    """Return AutoChatModel with two routes, and what is measured of it alone."""
    from langchain_autoprovider import AutoChatModel

    registry = _registry(base_url, "1", "2")
    model = AutoChatModel("m", registry=registry, only=["p1", "p2"])
    with_tools = model.bind_tools([tool(n) for n in range(TOOLS)])
    many = _registry(base_url, *map(str, range(ROUTES)))
    thousand = AutoChatModel("m", registry=many, order=["p1"])
    behind = AutoChatModel("m", registry=_registry(base_url, "down", "up"), only=["pdown", "pup"])
    return {
        **_langchain(model),
        "tools": repeat(lambda: with_tools.invoke(PROMPT)),
        "routes": repeat(lambda: thousand.invoke(PROMPT)),
        "dead": repeat(lambda: behind.invoke(PROMPT)),
        "objects": _construct(many),
    }


def _construct(registry: dict[str, Any]) -> Callable[[int], object]:
    """Return a measure that creates models of one registry file, and keeps them."""
    import json
    import tempfile
    from pathlib import Path

    from langchain_autoprovider import AutoChatModel

    file = Path(tempfile.mkdtemp()) / "registry.json"
    file.write_text(json.dumps(registry))
    return lambda count: [AutoChatModel("m", registry=file) for _ in range(count)]


def _registry(base_url: str, *names: str) -> dict[str, Any]:
    """Return a registry whose providers serve `m` at these paths of the server."""
    rows = {
        f"p{name}": {
            "name": name,
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": f"{base_url}/{name}"}},
            "models": {"m": "m"},
        }
        for name in names
    }
    return {"providers": rows}


CONTENDERS = {
    "empty LangChain model": Contender(
        "autoprovider", "from langchain_core.language_models import BaseChatModel", empty
    ),
    "AutoChatModel": Contender(
        "autoprovider", "from langchain_autoprovider import AutoChatModel", auto_chat_model
    ),
    "ChatOpenAI": Contender("autoprovider", "from langchain_openai import ChatOpenAI", chat_openai),
    "with_fallbacks": Contender(
        "autoprovider", "from langchain_openai import ChatOpenAI", with_fallbacks
    ),
    "ChatLiteLLMRouter": Contender(
        "litellm", "from langchain_litellm import ChatLiteLLMRouter", litellm_router
    ),
    "pydantic-ai FallbackModel": Contender(
        "pydantic-ai", "from pydantic_ai.models.fallback import FallbackModel", fallback_model
    ),
    "AutoLLM": Contender("autoprovider", "from llamaindex_autoprovider import AutoLLM", auto_llm),
    "OpenAILike": Contender(
        "openai-like", "from llama_index.llms.openai_like import OpenAILike", openai_like
    ),
}
