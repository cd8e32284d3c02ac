"""AistraleLLM inside of LlamaIndex's own machinery: agents, chat engines, memories, tools made of queries."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.extractors import KeywordExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool, QueryEngineTool
from pydantic import BaseModel

from aistrale.integrations.llamaindex import AistraleEmbedding, AistraleLLM, instrument
from aistrale.testing import Say
from tests.integrations.llamaindex.models import runs


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture
def llm(client):
    return AistraleLLM("openai/gpt-5-mini", client=client)


@pytest.fixture
def index(client):
    embedding = AistraleEmbedding("openai/text-embedding-3-small", client=client)
    return VectorStoreIndex.from_documents([Document(text="Oslo is in Norway.")], embed_model=embedding)


def run(client, make):
    """Runs what `make` gives on a loop, whose connections are closed behind it."""

    async def whole():
        try:
            return await make()
        finally:
            await client.as_async().close()

    return asyncio.run(whole())


@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
def test_a_react_agent(client, llm, sim):
    sim.script(
        Say(text='Thought: I look it up.\nAction: weather\nAction Input: {"city": "Oslo"}'),
        Say(text="Thought: I can answer without using any more tools.\nAnswer: It is sunny."),
    )
    handle = instrument(client)
    agent = ReActAgent(tools=[weather], llm=llm)
    assert str(run(client, lambda: agent.run("What is the weather?"))) == "It is sunny."
    assert "Observation: sunny in Oslo" in sim.last.request.messages[-1].text
    handle.uninstrument()


def test_agents_that_hand_over(client, llm, sink):
    handle = instrument(client)
    first = FunctionAgent(name="first", description="asks", tools=[weather], llm=llm)
    second = FunctionAgent(name="second", description="answers", tools=[weather], llm=llm)
    workflow = AgentWorkflow(agents=[first, second], root_agent="first")
    assert "sunny in Oslo" in str(run(client, lambda: workflow.run("What is the weather in 'Oslo'?")))
    (agent,) = runs(client, sink, "agent")
    assert agent.name == "AgentWorkflow.run"
    handle.uninstrument()


def test_an_agent_that_fails_says_so(client, llm, sim, sink):
    from aistrale.testing import Fault

    handle = instrument(client)
    sim.script(Fault(kind="context_length"))
    agent = FunctionAgent(tools=[weather], llm=llm)
    with pytest.raises(Exception, match="context"):
        run(client, lambda: agent.run("What is the weather?"))
    outcomes = {event.type: (event.outcome, event.error) for event in runs(client, sink, "agent", "llm")}
    assert outcomes["llm"] == ("error", "ContextLengthError")
    assert outcomes["agent"][0] == "error"
    tracker = handle.span_handler._tracker
    assert len(tracker.spans) == len(tracker.reports.runs) == 0
    handle.uninstrument()


def test_a_query_engine_as_a_tool(client, llm, index, sink):
    handle = instrument(client)
    tool = QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), name="atlas", description="Knows cities.")
    assert llm.predict_and_call([tool], "Where is 'Oslo'?").response
    names = {event.run_id: event.name for event in runs(client, sink)}
    (query,) = runs(client, sink, "query")
    assert names[query.parent_run_id] == "atlas"
    handle.uninstrument()


@pytest.mark.parametrize("mode", ["condense_plus_context", "context", "condense_question", "simple"])
def test_chat_engines(client, llm, index, mode):
    engine = index.as_chat_engine(chat_mode=mode, llm=llm, memory=ChatMemoryBuffer.from_defaults(token_limit=3000))
    assert "Where is Oslo?" in str(engine.chat("Where is Oslo?"))
    assert "And Bergen?" in str(engine.chat("And Bergen?"))
    streamed = engine.stream_chat("And Paris?")
    assert "And Paris?" in "".join(streamed.response_gen)


def test_a_memory_keeps_what_a_tool_needs(client, sim):
    llm = AistraleLLM("anthropic/claude-haiku-4-5", client=client, options={"reasoning": 1024}, max_tokens=4000)
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    agent = FunctionAgent(tools=[weather], llm=llm)

    async def talk():
        await agent.run("What is the weather in 'Oslo'?", memory=memory)
        stored = [message.model_dump_json() for message in memory.get_all()]
        kept = ChatMemoryBuffer.from_defaults(
            token_limit=3000, chat_history=[ChatMessage.model_validate_json(each) for each in stored]
        )
        return str(await agent.run("And in 'Rome'?", memory=kept))

    assert run(client, talk) == "The tools said: sunny in Rome"
    sent = [block["type"] for message in sim.last.body["messages"] for block in message["content"] if isinstance(block, dict)]  # fmt: skip
    assert sent.count("thinking") == 3
    assert sent.count("tool_use") == sent.count("tool_result") == 2


def test_an_agent_with_structured_output(client, llm):
    class Report(BaseModel):
        """A report."""

        city: str

    agent = FunctionAgent(tools=[weather], llm=llm, output_cls=Report)
    answer = run(client, lambda: agent.run("What is the weather in 'Oslo'?"))
    assert isinstance(answer.get_pydantic_model(Report), Report)


def test_an_ingestion_pipeline(client, llm, sink):
    handle = instrument(client)
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            AistraleEmbedding("openai/text-embedding-3-small", client=client),
        ]
    )
    nodes = pipeline.run(documents=[Document(text="Oslo is in Norway. " * 40)])
    assert len(nodes) > 1
    assert all(node.embedding for node in nodes)
    assert [(event.type, event.name) for event in runs(client, sink)] == [
        ("embedding", "AistraleEmbedding.get_text_embedding_batch"),
        ("chain", "IngestionPipeline.run"),
    ]
    handle.uninstrument()


def test_an_extractor(client, llm):
    nodes = SentenceSplitter().get_nodes_from_documents([Document(text="Oslo is in Norway.")])

    async def extract():
        return await KeywordExtractor(llm=llm, num_workers=1, show_progress=False).aextract(nodes)

    assert run(client, extract)[0]["excerpt_keywords"]


def test_prompts_and_predictions(client, llm):
    assert "of Oslo" in llm.predict(PromptTemplate("Tell me of {city}."), city="Oslo")
    assert "of Oslo" in "".join(llm.stream(PromptTemplate("Tell me of {city}."), city="Oslo"))
    system = AistraleLLM("openai/gpt-5-mini", client=client, system_prompt="Be short.")
    system.predict(PromptTemplate("Tell me of {city}."), city="Oslo")
    tool = FunctionTool.from_defaults(weather)
    assert llm.get_tool_calls_from_response(llm.chat([ChatMessage("Oslo")], tools=[tool]))[0].tool_name == "weather"
