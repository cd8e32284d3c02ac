"""Spans of decorated functions: workflows by the conventions, with what is called inside beneath them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import signal
import threading
from itertools import pairwise

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import aistrale
from aistrale.telemetry import MemorySink

MODEL = "openai/gpt-5-mini"


@pytest.fixture
def init(sim, rig, request):
    """Sets up the process-wide client, with sinks."""

    def make(*sinks, **settings):
        return aistrale.init(
            **sim.settings(), ledger="off", instrument=False, sinks=list(sinks or ("otel",)), **settings
        )

    yield make
    aistrale.shutdown()


def ask(words="Hello"):
    return aistrale.run(words, model=MODEL).text


def named(rig, name):
    return [span for span in rig.spans if span.name == f"invoke_workflow {name}"]


def beneath(rig, span):
    return [other.name for other in rig.spans if other.parent and other.parent.span_id == span.context.span_id]


def nothing_current():
    return not get_current_span().get_span_context().is_valid


def test_calls_inside_stand_beneath_the_function(init, rig):
    init()

    @aistrale.llm("triage", project="support", user="ada")
    def triage(ticket):
        return ask(ticket) + ask(ticket)

    triage("The kettle leaks.")
    (span,) = named(rig, "triage")
    assert span.kind is SpanKind.INTERNAL
    assert span.parent is None
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "triage",
        "aistrale.function": "triage",
        "aistrale.call.name": "triage",
        "aistrale.project": "support",
        "aistrale.user": "ada",
        "aistrale.outcome": "success",
    }
    assert beneath(rig, span) == [f"aistrale chat {MODEL}"] * 2
    assert len({other.context.trace_id for other in rig.spans}) == 1
    assert nothing_current()


def test_functions_within_functions_and_the_applications_own_spans_keep_their_places(init, rig):
    init()
    tracer = rig.tracers.get_tracer("application")

    @aistrale.llm("inner")
    def inner():
        with tracer.start_as_current_span("lookup"):
            return ask()

    @aistrale.llm("outer")
    def outer():
        return inner()

    with tracer.start_as_current_span("request"):
        outer()
    spans = {span.name: span for span in rig.spans}
    assert beneath(rig, spans["request"]) == ["invoke_workflow outer"]
    assert beneath(rig, spans["invoke_workflow outer"]) == ["invoke_workflow inner"]
    assert beneath(rig, spans["invoke_workflow inner"]) == ["lookup"]
    assert beneath(rig, spans["lookup"]) == [f"aistrale chat {MODEL}"]


@pytest.mark.parametrize("kind", ["async", "generator", "async generator"])
def test_every_kind_of_function_has_one(init, rig, kind):
    init()
    seen = []

    @aistrale.llm("work")
    async def later():
        await asyncio.sleep(0)
        return (await aistrale.run_async("Hello", model=MODEL)).text

    @aistrale.llm("work")
    def pieces():
        yield ask()
        yield ask()

    @aistrale.llm("work")
    async def later_pieces():
        yield (await aistrale.run_async("Hello", model=MODEL)).text
        yield (await aistrale.run_async("Hello", model=MODEL)).text

    async def body():
        if kind == "async":
            await asyncio.gather(later(), later())
        elif kind == "generator":
            seen.extend(nothing_current() for _ in pieces())
        else:
            seen.extend([nothing_current() async for _ in later_pieces()])
        assert nothing_current()

    asyncio.run(body())
    spans = named(rig, "work")
    assert [len(beneath(rig, span)) for span in spans] == ([1, 1] if kind == "async" else [2])
    assert all(seen)


def test_a_generator_stands_where_it_was_called_and_nowhere_while_it_rests(init, rig):
    init()
    tracer = rig.tracers.get_tracer("application")

    @aistrale.llm("pieces")
    def pieces():
        while True:
            yield ask()

    never = pieces()
    with tracer.start_as_current_span("request") as request:
        story = pieces()
    thread = threading.Thread(target=lambda: next(story))
    thread.start()
    thread.join(10)
    next(story)
    assert nothing_current()
    story.close()
    (span,) = named(rig, "pieces")
    assert span.parent.span_id == request.get_span_context().span_id
    assert span.attributes["aistrale.outcome"] == "cancelled"
    assert len(beneath(rig, span)) == 2
    del never
    gc.collect()
    assert len(named(rig, "pieces")) == 1


def test_a_stream_that_is_read_when_the_function_is_over_stands_beneath_it(init, rig):
    init()
    tracer = rig.tracers.get_tracer("application")

    @aistrale.llm("inner")
    def inner():
        return aistrale.stream("Hello", model=MODEL)

    @aistrale.llm("outer")
    def outer():
        return inner()

    with tracer.start_as_current_span("request") as request:
        first, second = outer(), inner()
        with first:
            assert all(get_current_span() is request for _ in first)
    with tracer.start_as_current_span("elsewhere") as elsewhere, second:
        assert all(get_current_span() is elsewhere for _ in second)
    beneath_outer, beneath_request = named(rig, "inner")
    assert beneath(rig, beneath_outer) == [f"aistrale chat {MODEL}"]
    assert beneath(rig, beneath_request) == []
    assert [span.name for span in rig.spans if span.parent and span.parent.span_id == elsewhere.context.span_id] == [
        f"aistrale chat {MODEL}"
    ]


def test_what_it_raises_is_told_by_its_class_alone(init, rig):
    init()

    @aistrale.llm("fails")
    def fails():
        raise ValueError("secret")

    with pytest.raises(ValueError, match="secret"):
        fails()
    (span,) = named(rig, "fails")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert span.attributes["error.type"] == "ValueError"
    assert not span.events
    unit, (point,) = rig.points("gen_ai.invoke_workflow.duration")
    assert unit == "s"
    assert dict(point.attributes) == {"gen_ai.workflow.name": "fails", "error.type": "ValueError"}


@pytest.mark.parametrize("asked", ["settings", "decorator", "sink", "forbidden"])
def test_arguments_and_results_stand_on_it_where_asked_for_redacted(init, rig, asked):
    memory = MemorySink()
    content = "?content=span" if asked in {"sink", "forbidden"} else ""
    init(f"otel:{content}", memory, capture=asked == "settings")
    capture = {"decorator": True, "forbidden": False}.get(asked)

    @aistrale.llm("greet", **({} if capture is None else {"capture": capture}))
    def greet(mail, *, times):
        return {"text": f"Hello {mail}", "times": times}

    greet("joe@example.com", times=2)
    (span,) = named(rig, "greet")
    told = {name: json.loads(span.attributes[name]) for name in span.attributes if name.endswith(".messages")}
    if asked == "forbidden":
        assert told == {}
    else:
        (message,) = told["gen_ai.input.messages"]
        assert json.loads(message["parts"][0]["content"]) == {"mail": "[[EMAIL_1]]", "times": 2}
        (message,) = told["gen_ai.output.messages"]
        assert json.loads(message["parts"][0]["content"]) == {"text": "Hello [[EMAIL_1]]", "times": 2}
    (event,) = memory.of("function.finished")
    assert (event.inputs is not None) is (asked in {"settings", "decorator"})


def test_two_sinks_have_trees_of_their_own(init, rig, collector, monkeypatch):
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-1")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-1")
    client = init("otel", f"langfuse:{collector.url}")

    @aistrale.llm("inner")
    def inner():
        return ask()

    @aistrale.llm("outer", session="s-1")
    def outer():
        return inner()

    outer()
    assert client.flush(10.0)
    own = {span.name: span for span in rig.spans}
    sent = {span.name: (span, attributes) for span, attributes, _, _ in collector.spans()}
    theirs = {name: span for name, (span, _) in sent.items()}
    told = {name: attributes for name, (_, attributes) in sent.items()}
    chain = ["invoke_workflow outer", "invoke_workflow inner", f"aistrale chat {MODEL}", "chat gpt-5-mini"]
    assert set(own) == set(theirs) == set(chain)
    for above, below in pairwise(chain):
        assert own[below].parent.span_id == own[above].context.span_id
        assert theirs[below].parent_span_id == theirs[above].span_id
    assert own[chain[0]].parent is None
    assert not theirs[chain[0]].parent_span_id
    assert {name: told[name].get("langfuse.trace.name") for name in chain} == {
        chain[0]: "outer",
        chain[1]: None,
        chain[2]: None,
        chain[3]: None,
    }
    types = [told[name]["langfuse.observation.type"] for name in chain]
    assert types == ["chain", "chain", "span", "generation"]
    assert not any("langfuse.internal.as_root" in attributes for attributes in told.values())


def test_a_trace_has_the_name_of_the_function_whose_stream_is_read_later(init, rig, collector, monkeypatch):
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-1")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-1")
    client = init("otel", f"langfuse:{collector.url}")

    @aistrale.llm("story")
    def story():
        return aistrale.stream("Hello", model=MODEL)

    with story() as pieces:
        assert all(nothing_current() for _ in pieces)
    assert client.flush(10.0)
    sent = {span.name: (span, attributes) for span, attributes, _, _ in collector.spans()}
    (root, named_), (call, unnamed) = sent["invoke_workflow story"], sent[f"aistrale chat {MODEL}"]
    assert call.parent_span_id == root.span_id
    assert [told.get("langfuse.trace.name") for told in (named_, unnamed)] == ["story", None]


def test_steps_of_a_framework_stand_beneath_it_and_functions_beneath_the_tool_that_runs_them(init, rig):
    agents = pytest.importorskip("langchain.agents")
    from langchain_core.tools import tool

    from aistrale.integrations.langchain import AistraleCallbackHandler, ChatAistrale

    client = init()

    @aistrale.llm("lookup")
    def lookup(city):
        return ask(f"The weather in {city}?")

    @tool
    def weather(city: str) -> str:
        """Tells the weather."""
        return lookup(city)

    agent = agents.create_agent(ChatAistrale(model=MODEL, client=client), [weather], name="forecaster")

    @aistrale.llm("plan")
    def plan():
        question = {"messages": [{"role": "user", "content": "What is the weather in 'Tulln'?"}]}
        return agent.invoke(question, {"callbacks": [AistraleCallbackHandler(client=client)]})

    plan()
    spans = {span.name: span for span in rig.spans}
    assert beneath(rig, spans["invoke_workflow plan"]) == ["invoke_agent forecaster"]
    assert beneath(rig, spans["execute_tool weather"]) == ["invoke_workflow lookup"]
    assert beneath(rig, spans["invoke_workflow lookup"]) == [f"aistrale chat {MODEL}"]
    assert len({span.context.trace_id for span in rig.spans}) == 1


def test_without_providers_or_sinks_that_make_spans_there_is_none(init, rig, monkeypatch):
    init(MemorySink())

    @aistrale.llm
    def quiet():
        return nothing_current()

    assert quiet()
    aistrale.shutdown()
    init()
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    assert quiet()
    assert rig.spans == []


def test_earlier_conventions_know_no_workflows(init, rig):
    init("otel:?semconv=1.37")

    @aistrale.llm("old")
    def old():
        return ask()

    old()
    (span,) = [span for span in rig.spans if span.name == "old"]
    assert not any(name.startswith("gen_ai.") for name in span.attributes)
    assert beneath(rig, span) == [f"aistrale chat {MODEL}"]


def test_who_counts_inside_of_a_function_counts_there_too(init, rig):
    init()

    @aistrale.llm("outer")
    def outer():
        # As OpenTelemetry's own instrumentations do around a call of a vendor's package.
        token = context.attach(context.set_value("opentelemetry.genai.client.inference.context", object()))
        try:
            return ask()
        finally:
            context.detach(token)

    outer()
    (call,) = rig.calls
    assert call.attributes["aistrale.counted_by"] == "opentelemetry-util-genai"
    assert not any(name.startswith("gen_ai.usage.") for span in rig.spans for name in span.attributes)


def test_a_span_that_the_body_holds_across_a_yield_is_its_own(init, rig):
    init()
    tracer = rig.tracers.get_tracer("application")

    @aistrale.llm("pieces")
    def pieces():
        with tracer.start_as_current_span("held"):
            yield 1
            ask()
            yield 2
        with tracer.start_as_current_span("after"):
            yield 3

    @aistrale.llm("pieces")
    async def later_pieces():
        for one in pieces.__wrapped__():
            yield one

    async def read():
        assert [nothing_current() async for _ in later_pieces()] == [True] * 3

    with tracer.start_as_current_span("reader") as reader:
        assert [get_current_span() is reader for _ in pieces()] == [True] * 3
    asyncio.run(read())
    for span in named(rig, "pieces"):
        assert beneath(rig, span) == ["held", "after"]
    assert [beneath(rig, span) for span in rig.spans if span.name == "held"] == [[f"aistrale chat {MODEL}"]] * 2


@pytest.mark.parametrize("kind", ["plain", "async", "generator"])
def test_what_the_body_leaves_current_is_not_left_to_its_caller(init, rig, kind):
    init()

    def leave():
        context.attach(context.set_value("mine", 1))

    @aistrale.llm("work")
    def plain():
        leave()

    @aistrale.llm("work")
    async def later():
        leave()

    @aistrale.llm("work")
    def pieces():
        leave()
        yield
        assert context.get_value("mine") == 1

    async def body():
        if kind == "async":
            await later()
        else:
            work = plain if kind == "plain" else lambda: list(pieces())
            work()
        return nothing_current() and context.get_value("mine") is None

    assert asyncio.run(body())
    assert len(named(rig, "work")) == 1


def test_where_only_metrics_are_wanted_nothing_is_made_current(init, rig, monkeypatch):
    tracer = rig.tracers.get_tracer("application")
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    init()

    @aistrale.llm("pieces")
    def pieces():
        while True:
            with tracer.start_as_current_span("within"):
                ask()
            yield

    story = pieces()
    for name in ("first", "second"):
        with tracer.start_as_current_span(name):
            next(story)
            next(story)
    story.close()
    within = [span for span in rig.spans if span.name == "within"]
    assert len({span.parent.span_id for span in within}) == 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
def test_an_interrupt_at_any_moment_leaves_nothing_current(init, rig):
    rig.tracers = TracerProvider(shutdown_on_exit=False)
    init()

    @aistrale.llm("work")
    def work():
        return 1

    @aistrale.llm("pieces")
    def pieces():
        while True:
            yield 1

    def interrupt(*_):
        raise KeyboardInterrupt

    rng = random.Random(5)
    # What is imported at the first call is not to be interrupted, and what garbage has to say would be lost.
    work(), next(pieces())
    gc.disable()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(1500):
            made = pieces()
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1e-4))
                while True:
                    work()
                    next(made)
            assert nothing_current()
    finally:
        signal.signal(signal.SIGALRM, before)
        gc.enable()


def test_an_interrupt_while_what_is_said_is_looked_at_leaves_no_span_open(init, rig):
    init(capture=True)

    class Impatient(list):
        def __iter__(self):
            raise KeyboardInterrupt

    @aistrale.llm("work")
    def work():
        return Impatient()

    with pytest.raises(KeyboardInterrupt):
        work()
    (span,) = named(rig, "work")
    assert nothing_current()
    assert span.end_time


def test_a_function_in_the_midst_of_a_call_of_ours_counts_its_own_calls(init, rig, monkeypatch):
    pytest.importorskip(
        "opentelemetry.util.genai.invocation", reason="none of OpenTelemetry's instrumentations is there"
    )
    runtime = init()._engine.sync_runtime()
    send, asked = runtime.open, []

    @aistrale.llm("inner")
    def inner():
        asked.append(1)
        return ask()

    async def opened(*arguments, **options):
        if not asked:
            inner()
        return await send(*arguments, **options)

    monkeypatch.setattr(runtime, "open", opened)
    ask()
    assert len(rig.calls) == 2
    assert not any("aistrale.counted_by" in call.attributes for call in rig.calls)
    assert sum("gen_ai.usage.input_tokens" in span.attributes for span in rig.attempts) == 2
