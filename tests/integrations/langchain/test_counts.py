"""Every token is told once: by the run of a model that others call, or by the call of ours that the run names."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

pytest.importorskip("langchain_core")

from langchain_core.messages import HumanMessage

import aistrale
from aistrale.integrations.langchain import AistraleCallbackHandler
from aistrale.telemetry import MemorySink
from aistrale.testing import Fault, Say
from tests.integrations.langchain.fakes import FakeChat

PROMPTS = [[HumanMessage(text)] for text in ("one", "two words", "three of them")]


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def dropin(sim, sink, monkeypatch):
    """LangChain's own class for OpenAI, whose SDK goes through the drop-in."""
    openai = pytest.importorskip("langchain_openai")
    for name, value in sim.environ().items():
        monkeypatch.setenv(name, value)
    aistrale.init(**{**sim.settings(), "retry": False}, sinks=[sink], ledger="off", instrument=["openai"])
    yield openai.ChatOpenAI(model="gpt-4.1-mini", max_retries=0, stream_usage=True)
    aistrale.shutdown()


@pytest.fixture
def process(sim, sink):
    """The process-wide client without the drop-in."""
    yield aistrale.init(**sim.settings(), sinks=[sink], ledger="off", instrument=False)
    aistrale.shutdown()


def served(sim):
    answers = [each.answer.usage for each in sim.requests if each.answer is not None]
    return sum(usage.input_total for usage in answers), sum(usage.output_total for usage in answers)


def told(sink):
    """Tokens of all events together, and the calls that runs name."""
    assert aistrale.flush()
    runs, rows = sink.of("run.finished"), [event.row for event in sink.of("attempt.finished")]
    counts = [(event.input_tokens or 0, event.output_tokens or 0) for event in runs]
    counts += [((row.input or 0) + (row.cache_read or 0), row.output or 0) for row in rows]
    return tuple(map(sum, zip(*counts, strict=True))), [event.call_id for event in runs]


def asked_of(sim, sink):
    """Which question each call was about, by the time at which it arrived."""
    calls = [event.row.call_id for event in sink.of("attempt.finished")]
    return dict(zip(calls, [each.request.messages[-1].text for each in sim.requests], strict=True))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_several_prompts_at_once_under_the_dropin(sim, sink, dropin, asynchronous):
    """All runs begin before the first call: the last one was taken for all, and the others' tokens counted twice."""
    config = {"callbacks": [AistraleCallbackHandler(capture=True)]}
    if asynchronous:
        asyncio.run(dropin.agenerate(PROMPTS, **config))
    else:
        dropin.generate(PROMPTS, **config)
    tokens, calls = told(sink)
    assert tokens == served(sim)
    assert Counter(calls) == Counter(event.row.call_id for event in sink.of("call.finished"))
    if not asynchronous:
        runs = {event.call_id: event.content.input[0]["parts"][0]["content"] for event in sink.of("run.finished")}
        assert runs == asked_of(sim, sink)


def test_one_of_several_prompts_fails_under_the_dropin(sim, sink, dropin):
    sim.script(Say(text="good"), Fault(status=400))
    config = {"callbacks": [AistraleCallbackHandler()]}
    with pytest.raises(Exception, match="400"):
        asyncio.run(dropin.agenerate(PROMPTS, **config))
    tokens, calls = told(sink)
    assert tokens == served(sim)
    assert Counter(calls) == Counter(event.row.call_id for event in sink.of("call.finished"))


def test_readers_of_a_stream_make_calls_of_their_own(sim, sink, process):
    """A stream runs in its reader's context: a call that the reader makes was taken for the stream's own."""
    for _ in FakeChat().stream("hi", {"callbacks": [AistraleCallbackHandler()]}):
        aistrale.run("mine", model="openai/gpt-4.1-mini")
    (run,) = sink.of("run.finished")
    assert (run.call_id, run.input_tokens, run.output_tokens) == (None, 100, 20)


def test_readers_of_a_stream_make_calls_of_their_own_under_the_dropin(sim, sink, dropin):
    stream = dropin.stream("hi", {"callbacks": [AistraleCallbackHandler()]})
    inner = [aistrale.run("mine", model="openai/gpt-4.1-mini").call_id for _ in stream]
    (run,) = sink.of("run.finished")
    assert run.call_id not in {None, *inner}
    assert told(sink)[0] == served(sim)


def test_streams_that_are_read_by_turns_under_the_dropin(sim, sink, dropin):
    config = {"callbacks": [AistraleCallbackHandler(capture=True)]}
    streams = [dropin.stream(text, config) for text in ("one", "two words")]
    for stream in (*streams, *streams[::-1]):
        next(stream)
    for stream in streams:
        list(stream)
    runs = {event.call_id: event.content.input[0]["parts"][0]["content"] for event in sink.of("run.finished")}
    assert len(runs) == 2
    assert told(sink)[0] == served(sim)


def test_a_model_of_your_own_that_asks_ours_in_a_thread(sim, sink, process):
    """No frame of the run is on the stack there; the context is."""

    class Threaded(FakeChat):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            await asyncio.to_thread(aistrale.run, "hi", model="openai/gpt-4.1-mini")
            return self._generate(messages)

    asyncio.run(Threaded().ainvoke("hi", {"callbacks": [AistraleCallbackHandler()]}))
    (run,), (call,) = sink.of("run.finished"), sink.of("call.finished")
    assert (run.call_id, run.input_tokens) == (call.row.call_id, None)


def test_a_tool_inside_a_models_context_is_no_part_of_the_model(sim, sink, process):
    """What runs after a model in the same context, with its own run around it, belongs to that."""
    from langchain_core.runnables import RunnableLambda

    def more(message):
        return aistrale.run(message.text, model="openai/gpt-4.1-mini").text

    (FakeChat() | RunnableLambda(more)).invoke("hi", {"callbacks": [AistraleCallbackHandler()]})
    runs = {event.type: event for event in sink.of("run.finished") if event.type == "llm"}
    assert (runs["llm"].call_id, runs["llm"].input_tokens) == (None, 100)
