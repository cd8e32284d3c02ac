"""Spans and metrics of tools, agents, retrievals and workflows, by the convention tables."""

from __future__ import annotations

import asyncio
import json
import sys
import types

import pytest

pytest.importorskip("langchain_core")

from opentelemetry.trace import SpanKind, StatusCode

# By operation: kind, and every attribute that its table has, of those that we can know.
TABLES = {
    "invoke_agent": (SpanKind.INTERNAL, {"gen_ai.agent.name", "gen_ai.conversation.id"}),
    "execute_tool": (
        SpanKind.INTERNAL,
        {
            "gen_ai.tool.name",
            "gen_ai.tool.type",
            "gen_ai.tool.call.id",
            "gen_ai.tool.description",
            "gen_ai.agent.name",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
        },
    ),
    "retrieval": (SpanKind.CLIENT, {"gen_ai.agent.name", "gen_ai.retrieval.query.text"}),
    "invoke_workflow": (SpanKind.INTERNAL, {"gen_ai.workflow.name"}),
}
MESSAGES = {"gen_ai.input.messages", "gen_ai.output.messages", "error.type", "gen_ai.operation.name"}
ASKED = {"messages": [{"role": "user", "content": "What is the weather in 'Tulln'?"}]}


def check(span):
    kind, table = TABLES[span.attributes["gen_ai.operation.name"]]
    assert span.kind is kind
    names = {name for name in span.attributes if not name.startswith("aistrale.")}
    assert names <= table | MESSAGES
    assert not any(name.startswith("gen_ai.usage.") for name in names)


def named(rig, beginning):
    return [span for span in rig.spans if span.name.startswith(beginning)]


def parent_of(rig, span):
    return next((other for other in rig.spans if span.parent and other.context.span_id == span.parent.span_id), None)


@pytest.fixture
def told(client):
    """A client with an agent of LangChain's, whose tool makes a call of ours, and a handler."""

    def make(**settings):
        agents = pytest.importorskip("langchain.agents")
        from langchain_core.tools import tool

        from aistrale.integrations.langchain import AistraleCallbackHandler, ChatAistrale

        own = client(**settings)

        @tool
        def weather(city: str) -> str:
            """Tells the weather."""
            return own.run(f"The weather in {city}?", model="groq/llama-3.3-70b-versatile").text

        agent = agents.create_agent(ChatAistrale(model="openai/gpt-5-mini", client=own), [weather], name="forecaster")
        return agent, AistraleCallbackHandler(client=own)

    return make


@pytest.mark.parametrize("later", [False, True], ids=["blocking", "async"])
def test_an_agents_spans_stand_within_each_other(told, rig, later):
    agent, handler = told()
    config = {"callbacks": [handler], "configurable": {"thread_id": "t-1"}}
    with rig.tracers.get_tracer("shop").start_as_current_span("checkout"):
        if later:
            asyncio.run(agent.ainvoke(ASKED, config))
        else:
            agent.invoke(ASKED, config)
    (outer,), (tool,) = named(rig, "invoke_agent"), named(rig, "execute_tool")
    check(outer)
    check(tool)
    assert (outer.name, tool.name) == ("invoke_agent forecaster", "execute_tool weather")
    assert outer.attributes["gen_ai.conversation.id"] == "t-1"
    assert tool.attributes["gen_ai.tool.type"] == "function"
    assert tool.attributes["gen_ai.tool.description"] == "Tells the weather."
    assert tool.attributes["gen_ai.tool.call.id"].startswith("call_")
    assert tool.attributes["gen_ai.agent.name"] == "forecaster"
    assert "gen_ai.tool.call.arguments" not in tool.attributes
    assert parent_of(rig, outer).name == "checkout"
    assert parent_of(rig, tool) is outer
    assert [parent_of(rig, call).name for call in sorted(rig.calls, key=lambda call: call.start_time)] == [
        outer.name,
        tool.name,
        outer.name,
    ]
    _, (point,) = rig.points("gen_ai.execute_tool.duration")
    assert dict(point.attributes) == {
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.agent.name": "forecaster",
    }
    unit, (point,) = rig.points("gen_ai.invoke_agent.duration")
    assert (unit, len(point.explicit_bounds), point.explicit_bounds[-1]) == ("s", 13, 409.6)


def test_a_span_of_the_application_inside_a_tool_stays_between(client, rig):
    from langchain_core.tools import tool

    from aistrale.integrations.langchain import AistraleCallbackHandler

    own = client()

    @tool
    def lookup(what: str) -> str:
        """Looks something up."""
        with rig.tracers.get_tracer("shop").start_as_current_span("inner"):
            return own.run(what, model="openai/gpt-5-mini").text

    lookup.invoke("x", {"callbacks": [AistraleCallbackHandler(client=own)]})
    assert parent_of(rig, rig.calls[0]).name == "inner"


@pytest.mark.parametrize(
    ("capture", "mode", "there"),
    [(False, None, False), (True, None, True), (True, "off", False), (True, "event", False), (False, "span", True)],
)
def test_what_was_said_is_there_when_that_is_asked_for(told, rig, capture, mode, there):
    agent, handler = told(sinks=["otel" if mode is None else f"otel:?content={mode}"], capture=capture)
    agent.invoke({"messages": [{"role": "user", "content": "Weather in 'joe@example.com'?"}]}, {"callbacks": [handler]})
    (outer,), (tool,) = named(rig, "invoke_agent"), named(rig, "execute_tool")
    assert not any("joe@example.com" in str(span.attributes) for span in rig.spans)
    assert ("gen_ai.input.messages" in outer.attributes) is there
    assert ("gen_ai.tool.call.result" in tool.attributes) is there
    if there:
        assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"city": "[[EMAIL_1]]"}
        assert json.loads(outer.attributes["gen_ai.input.messages"]) == [
            {"role": "user", "parts": [{"type": "text", "content": "Weather in '[[EMAIL_1]]'?"}]}
        ]
        (answer,) = json.loads(outer.attributes["gen_ai.output.messages"])
        assert answer["role"] == "assistant"
        assert answer["parts"][0]["content"].startswith("The tools said:")


def test_workflows_retrievals_and_failures(client, rig):
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import RunnableLambda

    from aistrale.integrations.langchain import AistraleCallbackHandler

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return []

    def fail(_):
        raise KeyError("secret")

    with pytest.raises(KeyError):
        (Shelf() | RunnableLambda(fail)).invoke(
            "where?", {"callbacks": [AistraleCallbackHandler(client=client())], "run_name": "rag"}
        )
    (outer,), (found,) = named(rig, "invoke_workflow"), named(rig, "retrieval")
    check(outer)
    check(found)
    assert (outer.name, found.name, len(rig.spans)) == ("invoke_workflow rag", "retrieval", 2)
    assert (outer.status.status_code, outer.status.description) == (StatusCode.ERROR, "KeyError")
    assert outer.attributes["error.type"] == "KeyError"
    assert found.status.status_code is StatusCode.UNSET
    unit, (point,) = rig.points("gen_ai.invoke_workflow.duration")
    assert dict(point.attributes) == {"gen_ai.workflow.name": "rag", "error.type": "KeyError"}
    assert (unit, len(point.explicit_bounds)) == ("s", 11)


def test_llamaindex(client, rig):
    pytest.importorskip("llama_index.core")
    from llama_index.core import Document, VectorStoreIndex

    from aistrale.integrations.llamaindex import AistraleEmbedding, AistraleLLM, instrument, uninstrument

    own = client()
    llm = AistraleLLM("openai/gpt-5-mini", client=own)
    vectors = AistraleEmbedding("openai/text-embedding-3-small", client=own)
    index = VectorStoreIndex.from_documents([Document(text="Tulln is in Austria.")], embed_model=vectors)
    rig.spans_kept.clear()
    handle = instrument(own)
    try:
        index.as_query_engine(llm=llm).query("Where is Tulln?")
    finally:
        uninstrument(handle)
    (outer,), (found,) = named(rig, "invoke_workflow"), named(rig, "retrieval")
    check(outer)
    check(found)
    assert parent_of(rig, found) is outer
    assert {parent_of(rig, call).name for call in rig.calls} == {outer.name, found.name}


@pytest.mark.parametrize(
    ("version", "names"), [("1.37", {"execute_tool x"}), ("1.41", {"execute_tool x", "retrieval", "invoke_workflow x"})]
)
def test_older_conventions_have_fewer(client, rig, version, names):
    from aistrale.integrations.reports import Reports

    reports = Reports("langchain", client=client([f"otel:?semconv={version}"]))
    reports.begin("chain", "chain", "x")
    for kind in ("tool", "retriever", "llm", "chain"):
        reports.begin(f"{kind} within", kind, "x", "chain")
        reports.end(f"{kind} within")
    reports.end("chain")
    assert {span.name for span in rig.spans} == names
    assert rig.points("gen_ai.execute_tool.duration") == (None, [])


def test_a_chain_whose_surroundings_are_not_followed_is_a_workflow(client, rig):
    from aistrale.integrations.reports import Reports

    reports = Reports("langchain", client=client())
    reports.begin("1", "chain", "x", "not followed")
    reports.end("1")
    assert [span.name for span in rig.spans] == ["invoke_workflow x"]


@pytest.mark.parametrize(
    "case", [("auto", True, False), ("auto", False, True), ("always", True, True), ("never", False, False)]
)
def test_steps_are_measured_once(client, rig, monkeypatch, case):
    from aistrale.integrations.reports import Reports

    count, active, measured = case

    class LangChainInstrumentor:
        is_instrumented_by_opentelemetry = active

    LangChainInstrumentor._instance = LangChainInstrumentor()
    name = "opentelemetry.instrumentation.genai.langchain"
    module = types.ModuleType(name)
    module.LangChainInstrumentor = LangChainInstrumentor
    monkeypatch.setitem(sys.modules, name, module)
    reports = Reports("langchain", client=client([f"otel:?count={count}"]))
    reports.begin("1", "tool", "x")
    reports.end("1")
    assert [span.name for span in rig.spans] == ["execute_tool x"]
    assert bool(rig.points("gen_ai.execute_tool.duration")[1]) is measured


def test_steps_that_never_end_are_given_up(client, rig):
    from aistrale.integrations.reports import Reports

    now = [0.0]
    reports = Reports("langchain", client=client(), ttl=10.0, clock=lambda: now[0])
    reports.begin("1", "tool", "x")
    now[0] = 11.0
    assert reports.runs.reap() == 1
    (span,) = rig.spans
    assert span.attributes["aistrale.outcome"] == "incomplete"
    assert span.status.status_code is StatusCode.UNSET


def test_langfuse_knows_what_they_are(told, rig, collector):
    address = collector.url.replace("://", "://pk:sk@")
    agent, handler = told(sinks=[f"langfuse:{address}"])
    agent.invoke(ASKED, {"callbacks": [handler]})
    assert handler.reports.engine().reporting.flush(20)
    found = {span.name: attributes for span, attributes, _, _ in collector.spans()}
    assert found["invoke_agent forecaster"]["langfuse.observation.type"] == "agent"
    assert found["invoke_agent forecaster"]["langfuse.trace.name"] == "forecaster"
    assert found["execute_tool weather"]["langfuse.observation.type"] == "tool"
    assert not any("langfuse.internal.as_root" in attributes for attributes in found.values())
    assert "langfuse.trace.name" not in found["aistrale chat openai/gpt-5-mini"]


def test_a_call_that_was_announced_and_never_made_is_forgotten(monkeypatch, client, rig):
    from aistrale.integrations.reports import Reports
    from aistrale.telemetry.otel import steps

    monkeypatch.setattr(steps, "_LIMIT", 3)
    own = client()
    reports = Reports("langchain", client=own)
    run = reports.begin("1", "tool", "x")
    for number in range(10):
        run.around[0].surrounds(str(number))
    assert len(own._engine.reporting.hub.instruments[0]._steps._calls) == 3
