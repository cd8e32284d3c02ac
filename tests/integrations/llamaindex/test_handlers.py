"""What sinks are told of LlamaIndex's steps, and the failures that others had in doing so."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from decimal import Decimal

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMChatInProgressEvent, LLMChatStartEvent
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import instrument_tags
from llama_index_instrumentation.events.span import SpanDropEvent
from pydantic import BaseModel

import aistrale
from aistrale.integrations.llamaindex import (
    AistraleEmbedding,
    AistraleEventHandler,
    AistraleLLM,
    AistraleSpanHandler,
    instrument,
    uninstrument,
)
from aistrale.integrations.llamaindex.tracker import Tracker
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import AttemptFinished, RunFinished
from aistrale.testing import Fault
from tests.integrations.llamaindex.models import QUESTION, Own, Router, Vendor, runs, stands_in

USAGE = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 200}}}


@pytest.fixture(autouse=True)
def followed(client):
    yield instrument(client)
    uninstrument()


@pytest.fixture
def told(client, sink):
    return lambda *types: runs(client, sink, *types)


def under_way(handle) -> int:
    tracker = handle.span_handler._tracker
    return len(tracker.spans) + len(tracker.reports.runs)


# --- failures that others had -------------------------------------------------------------------------------------------


def test_a_span_of_a_stream_ends_before_its_first_token_and_the_step_does_not(told, followed):
    stream = Vendor(raw=USAGE).stream_chat(QUESTION)
    assert told("llm") == []
    assert next(stream).delta == "Oslo"
    assert told("llm") == []
    list(stream)
    (run,) = told("llm")
    assert (run.outcome, run.streamed, run.output_tokens) == ("success", True, 500)
    assert 0 <= run.first_token <= run.latency
    assert under_way(followed) == 0


@pytest.mark.parametrize("method", ["chat", "complete", "stream_chat", "stream_complete"])
def test_one_call_that_is_told_of_several_times_is_counted_once(told, followed, method):
    llm = Vendor(raw=USAGE)
    answer = getattr(llm, method)(QUESTION if "chat" in method else "What?")
    if "stream" in method:
        list(answer)
    (run,) = told()
    assert (run.type, run.name, run.input_tokens, run.output_tokens) == ("llm", f"Vendor.{method}", 1000, 500)
    assert under_way(followed) == 0


@pytest.mark.parametrize("method", ["achat", "acomplete", "astream_chat", "astream_complete"])
def test_achat_which_calls_chat_which_calls_complete_is_counted_once(told, followed, method):
    async def ask():
        answer = await getattr(Vendor(raw=USAGE), method)(QUESTION if "chat" in method else "What?")
        if "stream" in method:
            async for _ in answer:
                pass

    asyncio.run(ask())
    (run,) = told()
    assert (run.name, run.input_tokens, run.output_tokens) == (f"Vendor.{method}", 1000, 500)
    assert under_way(followed) == 0


def test_an_async_stream_inside_a_step_is_counted_once(told):
    # The inner call begins when the outer span is over, beside it and not inside it.
    async def ask():
        return await FunctionAgentLike().ask()

    class FunctionAgentLike:
        @get_dispatcher("application").span
        async def ask(self):
            return [piece async for piece in await Vendor(raw=USAGE).astream_chat(QUESTION)]

    asyncio.run(ask())
    assert [(run.name, run.input_tokens) for run in told("llm")] == [("Vendor.astream_chat", 1000)]


@pytest.mark.parametrize("method", ["chat", "achat"])
def test_an_error_without_an_end_event_ends_the_step(told, followed, method):
    llm = Vendor(fails_at=0)
    with pytest.raises(RuntimeError):
        llm.chat(QUESTION) if method == "chat" else asyncio.run(llm.achat(QUESTION))
    (run,) = told()
    assert (run.outcome, run.error) == ("error", "RuntimeError")
    assert "sesame" not in repr(run)
    assert under_way(followed) == 0


def test_an_error_in_a_stream_ends_the_step(told, followed):
    stream = Vendor(fails_at=1).stream_chat(QUESTION)
    next(stream)
    with pytest.raises(RuntimeError):
        next(stream)
    (run,) = told()
    assert (run.outcome, run.error, run.streamed) == ("error", "RuntimeError", True)
    assert run.first_token is not None
    assert under_way(followed) == 0


@pytest.mark.parametrize("way", ["close", "drop", "break", "throw"])
def test_an_abandoned_stream_ends_the_step(told, followed, way):
    stream = Vendor().stream_chat(QUESTION)
    next(stream)
    if way == "close":
        stream.close()
    elif way == "throw":
        with pytest.raises(KeyboardInterrupt):
            stream.throw(KeyboardInterrupt)
    elif way == "break":
        for _ in stream:
            break
    del stream
    gc.collect()
    (run,) = told()
    assert (run.outcome, run.error) == ("cancelled", None)
    assert under_way(followed) == 0


def test_a_stream_that_nobody_ever_reads_ends_the_step(told, followed):
    # The framework tells of no end here at all.
    stream = Vendor().stream_chat(QUESTION)
    assert told() == []
    del stream
    gc.collect()
    (run,) = told()
    assert (run.outcome, run.first_token) == ("cancelled", None)
    assert under_way(followed) == 0


@pytest.mark.parametrize("begun", [False, True])
def test_an_abandoned_async_stream_ends_the_step(told, followed, begun):
    async def ask():
        stream = await Vendor().astream_chat(QUESTION)
        if begun:
            await stream.__anext__()
            await stream.aclose()

    asyncio.run(ask())
    gc.collect()
    assert [run.outcome for run in told()] == ["cancelled"]
    assert under_way(followed) == 0


def test_a_cancelled_task_ends_the_step(told, followed):
    @stands_in("openai")
    class Slow(Vendor):
        async def achat(self, messages, **kwargs):
            await asyncio.Event().wait()

    async def ask():
        task = asyncio.create_task(Slow().achat(QUESTION))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    assert [(run.name, run.outcome) for run in told()] == [("Slow.achat", "cancelled")]
    assert under_way(followed) == 0


def test_nothing_is_left_in_open_spans(followed):
    llm = Vendor()
    kept = [llm.stream_chat(QUESTION) for _ in range(50)]
    for _ in range(200):
        llm.chat(QUESTION)
    handler = followed.span_handler
    assert (handler.open_spans, handler.completed_spans, handler.dropped_spans) == ({}, [], [])
    del kept
    gc.collect()
    assert under_way(followed) == 0


def test_steps_that_never_end_are_given_up_and_their_number_is_bounded():
    events, now = [], [0.0]
    tracker = Tracker(emit=events.append, ttl=60.0, limit=100, clock=lambda: now[0])
    handler = AistraleSpanHandler(tracker=tracker)
    arguments = bound()
    for index in range(250):
        handler.span_enter(f"Vendor.chat-{index:036d}", arguments, Vendor())
    assert len(tracker.spans) <= 100
    assert {event.outcome for event in events} == {"incomplete"}
    now[0] = 61.0
    tracker.reports.runs.reap()
    tracker.spans.reap()
    assert len(events) == 250
    assert len(tracker.spans) == len(tracker.reports.runs) == 0
    # What comes too late is ignored.
    handler.span_exit(f"Vendor.chat-{249:036d}", arguments, result=None)
    assert len(events) == 250


def test_a_broken_handler_is_logged_once_and_breaks_nothing(told, followed, caplog, monkeypatch):
    tracker = followed.span_handler._tracker
    monkeypatch.setattr(tracker, "enter", broken)
    monkeypatch.setattr(tracker, "told", broken)
    with caplog.at_level(logging.WARNING):
        assert Vendor().chat(QUESTION).message.content == "Oslo it is."
        assert Vendor().chat(QUESTION).message.content == "Oslo it is."
    logged = [record.getMessage() for record in caplog.records if record.name == "aistrale.integrations"]
    assert len(logged) == len(set(logged)) >= 2
    assert "Norway" not in caplog.text


def broken(*_: object, **__: object) -> None:
    raise ValueError("Norway")


def bound():
    import inspect

    return inspect.signature(lambda: None).bind()


def test_a_sink_that_raises_or_blocks_is_no_concern_of_the_application(sim):
    gate = threading.Event()

    class Blocked:
        def write(self, batch):
            gate.wait(10)
            raise RuntimeError("down")

    uninstrument()
    client = aistrale.Client(**sim.settings(), ledger="off", sinks=[Blocked()])
    instrument(client)
    for _ in range(20):
        assert Vendor().chat(QUESTION).message.content == "Oslo it is."
    gate.set()
    client.close()


def test_pieces_of_a_stream_are_not_kept(told, followed):
    tracker = followed.span_handler._tracker
    big = ChatResponse(message=ChatMessage("x" * 100_000), delta="x")
    span = f"Vendor.stream_chat-{1:036d}"
    tracker.enter(span, Vendor(), None, {})
    handler = followed.event_handler
    handler.handle(LLMChatStartEvent(messages=QUESTION, additional_kwargs={}, model_dict={}, span_id=span))
    for _ in range(100):
        handler.handle(LLMChatInProgressEvent(messages=QUESTION, response=big, span_id=span))
    assert not any(isinstance(item, LLMChatInProgressEvent) for item in gc.get_objects())
    handler.handle(LLMChatEndEvent(messages=QUESTION, response=None, span_id=span))
    assert [run.outcome for run in told("llm")] == ["success"]


# --- tokens, money, names -----------------------------------------------------------------------------------------------


def test_a_foreign_call_has_its_tokens_and_its_price(told):
    Vendor(raw=USAGE).chat(QUESTION)
    (run,) = told()
    assert (run.framework, run.provider, run.model) == ("llamaindex", "openai", "gpt-5-mini")
    assert (run.input_tokens, run.output_tokens, run.cache_read_tokens) == (1000, 500, 200)
    expected = aistrale.cost.price("openai", "gpt-5-mini", USAGE["usage"])
    assert run.cost == expected.usd > Decimal(0)
    assert run.call_id is None


def test_a_price_is_never_guessed(told):
    @stands_in("openai_like")
    class Anyone(Own):
        pass

    @stands_in("groq")
    class Groq(Anyone):
        pass

    class Mine(Vendor):
        pass

    class Local(Vendor):
        api_base: str = "http://localhost:8000/v1"

    for cls in (Own, Anyone, Local):
        cls(raw=USAGE).chat(QUESTION)
    assert [(run.provider, run.cost, run.input_tokens) for run in told()] == [(None, None, 1000)] * 3
    # A class that was made out of a vendor's asks that vendor.
    Mine(raw=USAGE).chat(QUESTION)
    Groq(raw=USAGE, model="openai/gpt-oss-20b").chat(QUESTION)
    mine, groq = told()[3:]
    assert (mine.provider, groq.provider) == ("openai", "groq")
    assert groq.cost == aistrale.cost.price("groq", "openai/gpt-oss-20b", USAGE["usage"]).usd


def test_our_own_call_carries_its_id_and_no_tokens(told, client, sink):
    AistraleLLM("openai/gpt-5-mini", client=client).chat(QUESTION)
    (run,) = told()
    (attempt,) = [event for event in sink.events if isinstance(event, AttemptFinished)]
    assert run.call_id == attempt.call_id
    assert (run.provider, run.model) == ("openai", "gpt-5-mini")
    assert (run.input_tokens, run.output_tokens, run.cost) == (None, None, None)
    assert attempt.row.input > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_call_of_ours_carries_its_id_too(told, client, sim, sink, streamed):
    sim.script(Fault(kind="context_length"), Fault(kind="context_length"))
    llm = AistraleLLM("openai/gpt-5-mini", client=client)
    with pytest.raises(aistrale.errors.ContextLengthError):
        list(llm.stream_chat(QUESTION)) if streamed else llm.chat(QUESTION)
    (run,) = told()
    (attempt,) = [event for event in sink.events if isinstance(event, AttemptFinished)]
    assert (run.outcome, run.error, run.call_id) == ("error", "ContextLengthError", attempt.call_id)


def test_an_abandoned_stream_of_ours_carries_its_id(told, client):
    stream = AistraleLLM("openai/gpt-5-mini", client=client).stream_chat(QUESTION)
    next(stream)
    stream.close()
    (run,) = told()
    assert run.outcome == "cancelled"
    assert run.call_id


def test_a_model_made_of_others_has_their_tokens_once(told):
    Router(inner=Vendor(raw=USAGE), times=2).chat(QUESTION)
    (run,) = told()
    assert (run.name, run.model, run.input_tokens, run.output_tokens) == ("Router.chat", "router", 2000, 1000)
    list(Router(inner=Vendor(raw=USAGE)).stream_chat(QUESTION))
    assert [(each.name, each.input_tokens) for each in told()][1:] == [("Router.stream_chat", 1000)]


def test_a_model_made_of_ours_is_ours(told, client):
    llm = AistraleLLM("openai/gpt-5-mini", client=client)
    Router(inner=llm).chat(QUESTION)
    Router(inner=llm, times=2).chat(QUESTION)
    one, two = told()
    assert one.call_id
    # Of two calls no single one can be named, and the tokens are theirs all the same.
    assert (two.call_id, two.input_tokens) == (None, None)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_vendors_class_whose_sdk_goes_through_us_is_counted_once(sim, streamed):
    openai = pytest.importorskip("openai")
    sink = MemorySink()
    client = aistrale.init(**sim.settings(), ledger="off", sinks=[sink])

    @stands_in("openai")
    class WithSDK(Own):
        @llm_completion_callback()
        def complete(self, prompt, formatted=False, **kwargs):
            answer = self.sdk().create(model=self.model, messages=[{"role": "user", "content": prompt}])
            return CompletionResponse(text=answer.choices[0].message.content, raw=answer)

        @llm_completion_callback()
        def stream_complete(self, prompt, formatted=False, **kwargs):
            def pieces():
                text = ""
                asked = {"model": self.model, "messages": [{"role": "user", "content": prompt}]}
                for chunk in self.sdk().create(**asked, stream=True, stream_options={"include_usage": True}):
                    delta = chunk.choices[0].delta.content or "" if chunk.choices else ""
                    text += delta
                    yield CompletionResponse(text=text, delta=delta, raw=chunk)

            return pieces()

        def sdk(self):
            return openai.OpenAI(api_key="sim", base_url=sim.base_url("openai")).chat.completions

    try:
        uninstrument()
        instrument()
        llm = WithSDK()
        if streamed:
            list(llm.stream_complete("What is the capital?"))
        else:
            llm.complete("What is the capital?")
        (run,) = runs(client, sink, "llm")
        (attempt,) = [event for event in sink.events if isinstance(event, AttemptFinished)]
        assert (run.call_id, run.input_tokens, run.cost) == (attempt.call_id, None, None)
        assert attempt.row.input > 0
    finally:
        uninstrument()
        aistrale.shutdown()


def test_streams_that_are_read_in_turns_are_told_apart(told):
    one, two = Vendor(raw=USAGE).stream_chat(QUESTION), Vendor(raw=USAGE, model="gpt-5").stream_chat(QUESTION)
    for _ in zip(one, two, strict=True):
        Vendor(raw=USAGE, model="gpt-5-nano").chat(QUESTION)
    list(one), list(two)
    assert sorted(run.model for run in told()) == ["gpt-5", "gpt-5-mini", *["gpt-5-nano"] * 3]


def test_a_model_in_another_thread_is_no_part_of_a_stream_that_is_read_here(told):
    inner = threading.Event(), threading.Event()

    @stands_in("openai")
    class Waits(Vendor):
        def stream_complete(self, prompt, formatted=False, **kwargs):
            def pieces():
                inner[0].set()
                assert inner[1].wait(10)
                yield from Vendor(raw=USAGE).stream_complete(prompt)

            return pieces()

    thread = threading.Thread(target=lambda: list(Waits(model="gpt-5").stream_complete("What?")))
    thread.start()
    assert inner[0].wait(10)
    Vendor(raw=USAGE).chat(QUESTION)
    inner[1].set()
    thread.join(10)
    assert len(told("llm")) == 2


def test_a_class_without_the_frameworks_decorators_is_followed(told):
    class Bare(LLM):
        @property
        def metadata(self):
            return LLMMetadata(model_name="bare-1", is_chat_model=True)

        def chat(self, messages, **kwargs):
            return ChatResponse(message=ChatMessage(role="assistant", content="Yes."), raw=USAGE)

        def complete(self, prompt, formatted=False, **kwargs): ...
        def stream_chat(self, messages, **kwargs): ...
        def stream_complete(self, prompt, formatted=False, **kwargs): ...
        async def achat(self, messages, **kwargs): ...
        async def acomplete(self, prompt, formatted=False, **kwargs): ...
        async def astream_chat(self, messages, **kwargs): ...
        async def astream_complete(self, prompt, formatted=False, **kwargs): ...

    Bare().chat(QUESTION)
    (run,) = told()
    assert (run.type, run.model, run.input_tokens, run.provider) == ("llm", "bare-1", 1000, None)


# --- what stands inside of what -----------------------------------------------------------------------------------------


def tree(events):
    names = {event.run_id: event.name for event in events}
    return {(event.name, names.get(event.parent_run_id)) for event in events}


@pytest.fixture
def index(client):
    documents = [Document(text="Oslo is the capital of Norway."), Document(text="Paris is in France.")]
    embedding = AistraleEmbedding("openai/text-embedding-3-small", client=client)
    return VectorStoreIndex.from_documents(documents, embed_model=embedding)


@pytest.mark.parametrize("way", ["query", "stream", "aquery"])
def test_a_query_engine_is_a_tree(told, client, index, way):
    engine = index.as_query_engine(
        llm=AistraleLLM("openai/gpt-5-mini", client=client),
        streaming=way == "stream",
        node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=-1.0)],
    )
    if way == "aquery":

        async def ask():
            await engine.aquery("What is the capital of Norway?")
            await client.as_async().close()

        asyncio.run(ask())
    else:
        answer = engine.query("What is the capital of Norway?")
        if way == "stream":
            assert "".join(answer.response_gen)
    events = told()
    own = {"query": ("query", "retrieve", "get_query_embedding", "synthesize", "chat"),
           "stream": ("query", "retrieve", "get_query_embedding", "synthesize", "stream_chat"),
           "aquery": ("aquery", "aretrieve", "aget_query_embedding", "asynthesize", "achat")}[way]  # fmt: skip
    query, retrieve, embed, synthesize, chat = own
    assert tree(events) == {
        ("AistraleEmbedding.get_text_embedding_batch", None),
        (f"RetrieverQueryEngine.{query}", None),
        (f"VectorIndexRetriever.{retrieve}", f"RetrieverQueryEngine.{query}"),
        (f"AistraleEmbedding.{embed}", f"VectorIndexRetriever.{retrieve}"),
        ("SimilarityPostprocessor._postprocess_nodes", f"RetrieverQueryEngine.{query}"),
        (f"CompactAndRefine.{synthesize}", f"RetrieverQueryEngine.{query}"),
        (f"AistraleLLM.{chat}", f"CompactAndRefine.{synthesize}"),
    }
    kinds = {event.name.partition(".")[0]: event.type for event in events}
    assert kinds == {
        "AistraleEmbedding": "embedding",
        "RetrieverQueryEngine": "query",
        "VectorIndexRetriever": "retriever",
        "SimilarityPostprocessor": "chain",
        "CompactAndRefine": "chain",
        "AistraleLLM": "llm",
    }
    assert [event.documents for event in events if event.type == "retriever"] == [2]
    assert all(event.call_id for event in events if event.type in {"llm", "embedding"})


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent_is_a_tree(told, client, streaming):
    def weather(city: str) -> str:
        """Tells the weather of a city."""
        return f"sunny in {city}"

    async def ask():
        agent = FunctionAgent(
            name="meteorologist",
            tools=[FunctionTool.from_defaults(weather)],
            llm=AistraleLLM("openai/gpt-5-mini", client=client),
            streaming=streaming,
        )
        answer = await agent.run("What is the weather in 'Oslo'?")
        await client.as_async().close()
        return str(answer)

    assert asyncio.run(ask()) == "The tools said: sunny in Oslo"
    events = told()
    found = tree(events)
    chat = "AistraleLLM.astream_chat" if streaming else "AistraleLLM.achat"
    assert {
        ("meteorologist", None),
        ("BaseWorkflowAgent.run_agent_step", "meteorologist"),
        (chat, "BaseWorkflowAgent.run_agent_step"),
        ("BaseWorkflowAgent.call_tool", "meteorologist"),
        ("weather", "BaseWorkflowAgent.call_tool"),
    } <= found
    assert [event.type for event in events if event.name in {"meteorologist", "weather"}] == ["tool", "agent"]
    assert len([event for event in events if event.type == "llm"]) == 2
    # The framework's own labels quote what was said.
    assert all(event.tags == () for event in events)


def test_a_tool_that_fails_says_so(told):
    def fails(city: str) -> str:
        raise LookupError(city)

    tool = FunctionTool.from_defaults(fails)
    with pytest.raises(LookupError):
        tool(city="Oslo")
    (run,) = told()
    assert (run.type, run.name, run.outcome, run.error) == ("tool", "fails", "error", "LookupError")


def test_structured_output_is_a_chain_around_one_call(told, client):
    class City(BaseModel):
        """A city."""

        name: str

    AistraleLLM("openai/gpt-5-mini", client=client).as_structured_llm(City).complete("Oslo")
    assert [(run.type, run.name) for run in told()] == [
        ("llm", "AistraleLLM.chat"),
        ("tool", "City"),
        ("chain", "AistraleLLM.structured_predict"),
        ("chain", "StructuredLLM.complete"),
    ]


def test_functions_and_labels_of_the_application(told):
    @get_dispatcher("application").span
    def answer():
        return Vendor().chat(QUESTION)

    with instrument_tags({"tenant": "acme", "trial": True, "llamaindex.run_id": "x"}):
        answer()
    inner, outer = told()
    assert (outer.type, outer.name.rpartition(".")[2]) == ("chain", "answer")
    assert inner.parent_run_id == outer.run_id
    assert inner.tags == outer.tags == ("tenant=acme", "trial=True")


def test_embeddings_of_others_are_told_of(told):
    MockEmbedding(embed_dim=3).get_text_embedding_batch(["one", "two"])
    (run,) = told()
    assert (run.type, run.name, run.input_tokens) == ("embedding", "MockEmbedding.get_text_embedding_batch", None)


# --- content --------------------------------------------------------------------------------------------------------------


def test_nothing_is_kept_of_what_is_said_unless_asked(told):
    Vendor(raw=USAGE).chat([ChatMessage("Write to ada@example.org.")])
    (run,) = told()
    assert run.content is None
    with aistrale.context(capture=True):
        Vendor(raw=USAGE).chat([ChatMessage("Write to ada@example.org.")])
    content = told()[1].content
    said = content.input[0]["parts"][0]["content"]
    assert said.startswith("Write to [[EMAIL_")
    assert content.output[0]["parts"] == [{"type": "text", "content": "[[LOCATION_1]] it is."}]


def test_what_queries_and_tools_say_is_kept_redacted(client, told, index):
    def weather(city: str) -> str:
        """Tells the weather of a city."""
        return f"{city}: ask ada@example.org"

    with aistrale.context(capture=True):
        index.as_query_engine(llm=MockLLM(max_tokens=3)).query("Who is ada@example.org?")
        FunctionTool.from_defaults(weather)(city="anywhere")
    shown = {run.type: run.content for run in told() if run.content is not None}
    assert shown["query"].input[0]["parts"][0]["content"].startswith("Who is [[EMAIL_")
    assert shown["query"].output[0]["parts"][0]["content"]
    assert shown["retriever"].input
    assert shown["tool"].input[0]["parts"][0]["arguments"] == {"city": "anywhere"}
    assert "ada@example.org" not in repr([(each.input, each.output) for each in shown.values()])


# --- on and off -------------------------------------------------------------------------------------------------------------


def test_instrumenting_twice_is_once_and_off_is_off(client, told, followed):
    assert instrument(client) is followed
    assert instrument(client.as_async()) is followed
    root = get_dispatcher()
    mine = [each for each in root.event_handlers if isinstance(each, AistraleEventHandler)]
    assert len(mine) == 1
    Vendor().chat(QUESTION)
    assert len(told()) == 1
    uninstrument(followed)
    uninstrument(followed)
    followed.uninstrument()
    assert not any(
        isinstance(each, (AistraleEventHandler, AistraleSpanHandler))
        for each in [*root.event_handlers, *root.span_handlers]
    )
    Vendor().chat(QUESTION)
    assert len(told()) == 1


def test_two_clients_are_both_told(sim, told):
    other = MemorySink()
    with aistrale.Client(**sim.settings(), ledger="off", sinks=[other]) as second:
        handle = instrument(second)
        Vendor().chat(QUESTION)
        assert second.flush()
        assert len([event for event in other.events if isinstance(event, RunFinished)]) == len(told()) == 1
        uninstrument(handle)
        Vendor().chat(QUESTION)
        assert len(told()) == 2


def test_switching_off_gives_up_what_is_under_way(told, followed):
    stream = Vendor().stream_chat(QUESTION)
    next(stream)
    uninstrument(followed)
    assert [run.outcome for run in told()] == ["incomplete"]
    assert [piece.delta for piece in stream] == [" it", " is."]
    assert len(told()) == 1


def test_the_dispatchers_shutdown_gives_up_what_is_under_way(told, followed):
    stream = Vendor().stream_chat(QUESTION)
    get_dispatcher().shutdown()
    assert [run.outcome for run in told()] == ["incomplete"]
    stream.close()


def test_handlers_put_on_by_hand_see_the_same_steps(told, client, followed):
    uninstrument(followed)
    root = get_dispatcher()
    root.add_event_handler(AistraleEventHandler(client))
    root.add_span_handler(AistraleSpanHandler(client))
    # Put on twice, as by two libraries.
    root.add_span_handler(AistraleSpanHandler(client))
    Vendor(raw=USAGE).chat(QUESTION)
    assert [(run.name, run.input_tokens) for run in told()] == [("Vendor.chat", 1000)]


@pytest.mark.parametrize("method", ["chat", "stream_chat"])
def test_events_alone_are_enough_to_count_once(told, client, followed, method):
    uninstrument(followed)
    get_dispatcher().add_event_handler(AistraleEventHandler(client))
    answer = getattr(Vendor(raw=USAGE), method)(QUESTION)
    if method == "stream_chat":
        list(answer)
    with pytest.raises(RuntimeError):
        Vendor(fails_at=0).chat(QUESTION)
    first, second = told()
    assert (first.type, first.name, first.input_tokens) == ("llm", f"Vendor.{method}", 1000)
    # Without a span handler the framework tells only the error's text, which may quote anything.
    assert (second.outcome, second.error) == ("error", "UnknownError")


def test_events_of_steps_that_nobody_knows_are_ignored(told, followed):
    followed.event_handler.handle(SpanDropEvent(span_id="never-seen", err_str="x"))
    followed.event_handler.handle(LLMChatEndEvent(messages=QUESTION, response=None, span_id="never-seen"))
    followed.event_handler.handle(LLMChatEndEvent(messages=QUESTION, response=None, span_id=None))
    followed.span_handler.span_exit("never-seen", bound())
    followed.span_handler.span_drop("never-seen", bound(), err=ValueError())
    assert told() == []


def test_without_sinks_nothing_is_told_and_nothing_is_kept(sim):
    uninstrument()
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        handle = instrument(client)
        Vendor().chat(QUESTION)
        list(Vendor().stream_chat(QUESTION))
        assert under_way(handle) == 0
