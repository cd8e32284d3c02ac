# needs: langchain_core, langgraph
"""A LangGraph agent with a tool, whose every step is told to the client's sinks.

Needs `pip install "aistrale[langchain]" langgraph`.
"""

from __future__ import annotations

from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler, ChatAistrale
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import CallFinished, RunFinished

STOCK = {"apples": 12, "pears": 0}


@tool
def in_stock(fruit: str) -> int:
    """How many pieces of a fruit are in stock."""
    return STOCK.get(fruit, 0)


events = MemorySink()
aistrale.init(sinks=[events], routes={"chat": ["anthropic/claude-haiku-4-5", "openai/gpt-5-mini"]}, instrument=False)
model = ChatAistrale(route="chat").bind_tools([in_stock])


def ask(state: MessagesState) -> dict[str, list[object]]:
    """The model's turn."""
    return {"messages": [model.invoke(state["messages"])]}


flow = StateGraph(MessagesState)
flow.add_node("ask", ask)
flow.add_node("tools", ToolNode([in_stock]))
flow.add_edge(START, "ask")
flow.add_conditional_edges("ask", tools_condition)
flow.add_edge("tools", "ask")
agent = flow.compile(checkpointer=InMemorySaver())

answer = agent.invoke(
    {"messages": [("human", "How many 'apples' and 'pears' do we have?")]},
    {"callbacks": [AistraleCallbackHandler()], "configurable": {"thread_id": "shop-1"}},
)
print(answer["messages"][-1].text)

for event in events.of(RunFinished):
    print(f"{event.type:6} {event.name:14} {event.outcome} {event.latency:.3f} s")
for call in events.of(CallFinished):
    print(f"call of session {call.row.session}: {call.row.outcome}")
