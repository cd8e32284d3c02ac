# needs: llama_index.core
"""An agent of LlamaIndex with tools, whose model is any that aistrale reaches.

Needs `pip install "aistrale[llamaindex]"`, OPENAI_API_KEY, and ANTHROPIC_API_KEY for when the first cannot answer.
"""

from __future__ import annotations

import asyncio

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult

import aistrale
from aistrale.integrations.llamaindex import AistraleLLM

STOCK = {"apples": 12, "pears": 0}


def in_stock(fruit: str) -> int:
    """How many pieces of a fruit are in stock."""
    return STOCK.get(fruit, 0)


async def main() -> None:
    """Ask the agent once."""
    routes = {"agents": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"]}
    async with aistrale.AsyncClient(routes=routes) as client:
        agent = FunctionAgent(tools=[in_stock], llm=AistraleLLM(route="agents", client=client))
        running = agent.run("How many 'apples' and 'pears' are in stock?")
        async for event in running.stream_events():
            if isinstance(event, ToolCallResult):
                print(event.tool_name, event.tool_kwargs, "->", event.tool_output.content)
        print(await running)


asyncio.run(main())
