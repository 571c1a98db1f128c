"""The libraries compared, each configured as its documentation recommends.

All get the same three providers in the same order and the same timeout for a request,
`ATTEMPT_S`. The functions import the SDKs, since a process loads one contender only.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from outages.schedule import CITY, TOOL, Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from outages.clock import Clock

    Ask = Callable[[Call], str]

ATTEMPT_S = 2.0
"""The timeout of one request; for peers it is the library's own timeout."""
KEY = "no-key"


class Contender(NamedTuple):
    """A library in one configuration.

    Attributes:
        name: The name in the tables.
        environment: The environment it runs in.
        configuration: What was set; everything else is at its default.
        build: Builds it from the base URLs of the providers.
    """

    name: str
    environment: str
    configuration: str
    build: Callable[[Sequence[str], Clock], Ask]


def autochatmodel(urls: Sequence[str], clock: Clock) -> Ask:  # noqa: ARG001
    """Return AutoChatModel."""
    from langchain_autoprovider import AutoChatModel

    rows = {
        f"p{n}": {
            "name": f"Provider {n}",
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": url}},
            "models": {"m": "m"},
        }
        for n, url in enumerate(urls)
    }
    model = AutoChatModel(
        "m",
        only=list(rows),
        registry={"providers": rows},
        timeout=2 * ATTEMPT_S,  # an attempt gets half of what is left of it
        first_token_timeout=ATTEMPT_S,
        inter_chunk_timeout=ATTEMPT_S,
    )
    return _langchain(model, model.bind_tools([TOOL]))


def with_fallbacks(urls: Sequence[str], **arguments: Any) -> Ask:
    """Return LangChain's own fallbacks."""
    from langchain_openai import ChatOpenAI

    models = [
        ChatOpenAI(model="m", base_url=url, api_key=KEY, timeout=ATTEMPT_S, **arguments)
        for url in urls
    ]
    with_tools = [model.bind_tools([TOOL]) for model in models]
    return _langchain(
        models[0].with_fallbacks(models[1:]), with_tools[0].with_fallbacks(with_tools[1:])
    )


def _langchain(plain: Any, with_tools: Any) -> Ask:
    def ask(call: Call) -> str:
        model = with_tools if call.has_tools else plain
        if call.streams:
            message = None
            for chunk in model.stream(call.prompt):
                message = chunk if message is None else message + chunk
        else:
            message = model.invoke(call.prompt)
        if not call.has_tools:
            return str(message.text)
        return str(message.tool_calls[0]["args"].get("city")) if message.tool_calls else ""

    return ask


def litellm_fallbacks(urls: Sequence[str], clock: Clock) -> Ask:
    """Return LiteLLM's Router: a model group for each provider, chained by fallbacks."""
    groups = [f"m{n}" for n in range(len(urls))]
    rows = [_deployment(group, url) for group, url in zip(groups, urls, strict=True)]
    return _litellm(clock, rows, groups[0], fallbacks=[{groups[0]: groups[1:]}])


def litellm_ordered(urls: Sequence[str], clock: Clock) -> Ask:
    """Return LiteLLM's Router: one model group, its deployments tried in order."""
    rows = [_deployment("m", url, order=n) for n, url in enumerate(urls, 1)]
    return _litellm(clock, rows, "m", allowed_fails=0)


def _deployment(group: str, url: str, **params: Any) -> dict[str, Any]:
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/m", "api_base": url, "api_key": KEY, **params},
    }


def _litellm(clock: Clock, rows: list[dict[str, Any]], group: str, **arguments: Any) -> Ask:
    from litellm import Router

    router = Router(model_list=rows, timeout=ATTEMPT_S, **arguments)

    async def ask(call: Call) -> str:
        fields: dict[str, Any] = {"tools": [TOOL]} if call.has_tools else {}
        messages = [{"role": "user", "content": call.prompt}]
        if not call.streams:
            answer = await router.acompletion(group, messages, **fields)
            message = answer.choices[0].message
            if not call.has_tools:
                return str(message.content)
            calls = message.tool_calls or []
            return str(json.loads(calls[0].function.arguments)["city"]) if calls else ""
        text, arguments = "", ""
        async for chunk in await router.acompletion(group, messages, stream=True, **fields):
            if chunk.choices:
                delta = chunk.choices[0].delta
                text += delta.content or ""
                arguments += "".join(c.function.arguments or "" for c in delta.tool_calls or ())
        if not call.has_tools:
            return text
        return str(json.loads(arguments)["city"]) if arguments else ""

    return _on_a_loop(ask, clock)


def fallback_model(
    urls: Sequence[str],
    clock: Clock,
    fallback_on: tuple[type[Exception], ...] = (),
    profile: Any = None,
    **client_options: Any,
) -> Ask:
    """Return a pydantic-ai agent with a FallbackModel."""
    from openai import AsyncOpenAI
    from pydantic_ai import Agent, DeferredToolRequests, ModelAPIError, ToolDefinition
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.toolsets import ExternalToolset

    models = [
        OpenAIChatModel(
            "m",
            provider=OpenAIProvider(
                openai_client=AsyncOpenAI(base_url=url, api_key=KEY, **client_options)
            ),
            settings={"timeout": ATTEMPT_S},
            profile=profile,
        )
        for url in urls
    ]
    model = FallbackModel(*models, fallback_on=fallback_on or (ModelAPIError,))
    function: Any = TOOL["function"]
    tool = ToolDefinition(
        name=function["name"],
        description=function["description"],
        parameters_json_schema=function["parameters"],
    )
    plain = Agent(model)
    with_tools = Agent(
        model, output_type=[str, DeferredToolRequests], toolsets=[ExternalToolset([tool])]
    )

    async def ask(call: Call) -> str:
        agent: Any = with_tools if call.has_tools else plain
        if call.streams:
            async with agent.run_stream(call.prompt) as run:
                async for _ in run.stream_output():
                    pass
                output = await run.get_output()
        else:
            output = (await agent.run(call.prompt)).output
        if not call.has_tools:
            return str(output)
        calls = getattr(output, "calls", ())
        return str(calls[0].args_as_dict().get("city")) if calls else ""

    return _on_a_loop(ask, clock)


def fallback_model_wide(urls: Sequence[str], clock: Clock) -> Ask:
    """Return the same without SDK retries, which also falls back after unexpected answers."""
    from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior
    from pydantic_ai.profiles.openai import OpenAIModelProfile

    profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
    fallback_on = (ModelAPIError, UnexpectedModelBehavior)
    return fallback_model(urls, clock, fallback_on=fallback_on, profile=profile, max_retries=0)


def _on_a_loop(ask: Callable[[Call], Awaitable[str]], clock: Clock) -> Ask:
    """Return a synchronous `ask`; its loop keeps running, so background tasks can continue."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def timed(call: Call) -> str:
        clock.begin()
        return await ask(call)

    return lambda call: asyncio.run_coroutine_threadsafe(timed(call), loop).result()


CONTENDERS = (
    Contender(
        "AutoChatModel",
        "autoprovider",
        f"timeout={2 * ATTEMPT_S:g} for the whole call, half of it for its first attempt;"
        f" first_token_timeout and inter_chunk_timeout={ATTEMPT_S:g}",
        autochatmodel,
    ),
    Contender(
        "LangChain with_fallbacks",
        "autoprovider",
        f"ChatOpenAI(timeout={ATTEMPT_S:g}), the SDK's two retries",
        lambda urls, _: with_fallbacks(urls),
    ),
    Contender(
        "LangChain with_fallbacks, no retries",
        "autoprovider",
        f"ChatOpenAI(timeout={ATTEMPT_S:g}, max_retries=0)",
        lambda urls, _: with_fallbacks(urls, max_retries=0),
    ),
    Contender(
        "LiteLLM Router",
        "litellm",
        f"one group each, fallbacks=[first: second, third], timeout={ATTEMPT_S:g};"
        " num_retries=2 and cooldown_time=5 are its defaults",
        litellm_fallbacks,
    ),
    Contender(
        "LiteLLM Router, for production",
        "litellm",
        f"one group, order=1, 2, 3, allowed_fails=0, timeout={ATTEMPT_S:g}; a longer"
        " cooldown_time, or num_retries=0, answered fewer calls",
        litellm_ordered,
    ),
    Contender(
        "pydantic-ai FallbackModel",
        "pydantic-ai",
        f"Agent, settings timeout={ATTEMPT_S:g}, the SDK's two retries",
        fallback_model,
    ),
    Contender(
        "pydantic-ai FallbackModel, no retries",
        "pydantic-ai",
        f"Agent, settings timeout={ATTEMPT_S:g}, AsyncOpenAI(max_retries=0),"
        " fallback_on=(ModelAPIError, UnexpectedModelBehavior),"
        " openai_chat_streaming_requires_finish_reason=True",
        fallback_model_wide,
    ),
)

__all__ = ["ATTEMPT_S", "CITY", "CONTENDERS", "Contender"]
