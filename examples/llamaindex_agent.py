"""A LlamaIndex agent that continues with the next provider when one fails."""

from __future__ import annotations

import asyncio

from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult

from llamaindex_autoprovider import AutoLLM


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def main() -> None:
    """Run the agent and print its steps."""
    # Name a model that supports tools; without a key, the small embedded one is used.
    llm = AutoLLM(temperature=0, max_tokens=60)
    agent = FunctionAgent(tools=[multiply], llm=llm, system_prompt="Use your tools.")
    print(f"Asking {llm.routes[0]}: What is 3 times 4?\n")

    run = agent.run("What is 3 times 4?", max_iterations=5)
    async for event in run.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"[{event.tool_name}({event.tool_kwargs}) = {event.tool_output}]")
        elif isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)

    trace = (await run).raw["autoprovider"]
    print(f"\n\nAnswered by {trace['provider']} as {trace['model_id']!r}", end=" ")
    print(f"after {len(trace['attempts'])} attempt(s).")


asyncio.run(main())
