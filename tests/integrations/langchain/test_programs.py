"""Whole programs: a graph with tools, an agent with structured output, and retrieval, with handlers and without."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler, AistraleEmbeddings, ChatAistrale
from aistrale.telemetry import MemorySink
from aistrale.testing import Say
from tests.integrations.langchain.fakes import FakeChat

pytestmark = pytest.mark.anyio


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def client(sim, sink):
    with aistrale.Client(**sim.settings(), sinks=[sink], ledger="off") as made:
        yield made


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sunny"


# --- retrieval ---------------------------------------------------------------------------------------------------------


def rag(client, model):
    store = InMemoryVectorStore(AistraleEmbeddings(model="openai/text-embedding-3-small", client=client))
    store.add_documents([Document(text, id=text[:3]) for text in ("Rome is old.", "Oslo is cold.", "Lima is far.")])
    prompt = ChatPromptTemplate.from_template("{context}\nQuestion: {question}")
    found = store.as_retriever(search_kwargs={"k": 2}) | (lambda documents: [each.page_content for each in documents])
    return {"context": found, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()


def results(chain, config):
    async def asynchronously():
        pieces = [piece async for piece in chain.astream("Oslo?", config)]
        return await chain.ainvoke("Rome?", config), await chain.abatch(["a", "b"], config), pieces

    return (
        chain.invoke("Rome?", config),
        chain.batch(["Rome?", "Lima?"], config),
        list(chain.stream("Oslo?", config)),
        asyncio.run(asynchronously()),
    )


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_rag_gives_the_same_with_handlers_and_without(client, sink, theirs, capture):
    model = FakeChat() if theirs else ChatAistrale(model="openai/gpt-4.1-mini", client=client)
    chain = rag(client, model)
    without = results(chain, {})
    handler = AistraleCallbackHandler(client=client, capture=capture)
    assert results(chain, {"callbacks": [handler]}) == without
    events = sink.of("run.finished")
    assert {event.outcome for event in events} == {"success"}
    assert {event.documents for event in events if event.type == "retriever"} == {2}
    # Three of one question each, two of two, and nothing is told twice.
    assert len([event for event in events if event.type == "llm"]) == 8
    assert len({event.run_id for event in events}) == len(events)
    assert len(handler.reports.runs) == 0


# --- graphs and agents -------------------------------------------------------------------------------------------------


def events_of(sink, kind):
    return [event for event in sink.of("run.finished") if event.type == kind]


async def test_langgraph_agent_runs_end_to_end(sim, client, sink):
    prebuilt = pytest.importorskip("langgraph.prebuilt")
    graph = pytest.importorskip("langgraph.graph")
    memory = pytest.importorskip("langgraph.checkpoint.memory")
    model = ChatAistrale(model="anthropic/claude-sonnet-4-5", client=client).bind_tools([weather])

    def ask(state):
        return {"messages": [model.invoke(state["messages"])]}

    flow = graph.StateGraph(graph.MessagesState)
    flow.add_node("ask", ask)
    flow.add_node("tools", prebuilt.ToolNode([weather]))
    flow.add_edge(graph.START, "ask")
    flow.add_conditional_edges("ask", prebuilt.tools_condition)
    flow.add_edge("tools", "ask")
    app = flow.compile(checkpointer=memory.InMemorySaver())
    handler = AistraleCallbackHandler(client=client)
    config = {"callbacks": [handler], "configurable": {"thread_id": "trip"}}
    question = {"messages": [("human", "the weather of 'Rome' and 'Oslo'")]}
    answer = app.invoke(question, config)
    assert answer["messages"][-1].text == "The tools said: Rome: sunny; Oslo: sunny"
    pieces = [
        piece async for piece in app.astream({"messages": [("human", "and 'Lima'?")]}, config, stream_mode="messages")
    ]
    assert pieces[-1][0].text or pieces[-2][0].text
    assert [event.outcome for event in events_of(sink, "tool")] == ["success"] * 3
    runs = events_of(sink, "llm")
    assert len(runs) == 4
    assert sorted(event.call_id for event in runs) == sorted(event.call_id for event in sink.of("call.finished"))
    assert {event.row.session for event in sink.of("call.finished")} == {"trip"}
    everything = {event.run_id: event for event in sink.of("run.finished")}
    assert [event.name for event in everything.values() if event.parent_run_id is None] == ["LangGraph"] * 2
    assert all(event.parent_run_id in everything for event in everything.values() if event.parent_run_id is not None)
    assert len(handler.reports.runs) == 0


def test_created_agent_calls_tools_and_answers_in_form(sim, client, sink):
    agents = pytest.importorskip("langchain.agents")

    class Report(BaseModel):
        """What was found."""

        city: str
        sunny: bool

    sim.script(Say(tool_calls=[("weather", {"city": "Rome"})]), Say(text='{"city": "Rome", "sunny": true}'))
    agent = agents.create_agent(
        ChatAistrale(model="openai/gpt-4.1-mini", client=client), [weather], response_format=Report, name="forecaster"
    )
    handler = AistraleCallbackHandler(client=client)
    answer = agent.invoke({"messages": [("human", "weather of Rome?")]}, {"callbacks": [handler]})
    assert answer["structured_response"] == Report(city="Rome", sunny=True)
    assert sim.last.body["response_format"]["type"] == "json_schema"
    (event,) = events_of(sink, "agent")
    assert (event.name, event.outcome, event.parent_run_id) == ("forecaster", "success", None)
    assert len(events_of(sink, "llm")) == 2


def test_a_graph_that_is_interrupted_has_not_failed(client, sink):
    graph = pytest.importorskip("langgraph.graph")
    types = pytest.importorskip("langgraph.types")
    memory = pytest.importorskip("langgraph.checkpoint.memory")
    flow = graph.StateGraph(dict)
    flow.add_node("ask", lambda state: types.interrupt("may I?"))
    flow.add_edge(graph.START, "ask")
    app = flow.compile(checkpointer=memory.InMemorySaver())
    handler = AistraleCallbackHandler(client=client)
    app.invoke({"a": 1}, {"callbacks": [handler], "configurable": {"thread_id": "t"}})
    events = sink.of("run.finished")
    assert events
    assert {event.outcome for event in events} == {"success"}
