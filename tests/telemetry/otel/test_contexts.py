"""Whose child a span is, when it is current, and that it never is when it must not be."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from aistrale.testing.faults import Slow

MODEL = "openai/gpt-5-mini"


@pytest.fixture(autouse=True)
def quiet(caplog):
    """OpenTelemetry complains in its log when a context is given back where it was not taken."""
    caplog.set_level(logging.WARNING)
    before = otel_context.get_current()
    yield
    assert otel_context.get_current() is before
    assert [record.getMessage() for record in caplog.records if "detach" in record.getMessage()] == []


@pytest.fixture
def tracer(rig):
    return rig.tracers.get_tracer("application")


def test_parent_is_the_span_that_is_current_when_the_call_is_made(client, rig, tracer):
    made = client()
    with tracer.start_as_current_span("mine") as mine:
        made.run("hi", model=MODEL)
        assert trace.get_current_span() is mine
    (call,), (attempt,) = rig.calls, rig.attempts
    assert call.parent.span_id == mine.get_span_context().span_id
    assert attempt.parent.span_id == call.context.span_id
    assert attempt.context.trace_id == mine.get_span_context().trace_id


def test_without_one_a_call_begins_a_trace(client, rig):
    client().run("hi", model=MODEL)
    assert rig.calls[0].parent is None


def test_tasks_side_by_side_have_each_their_own_parent(async_client, sim, rig, tracer):
    async def one(made, number):
        with tracer.start_as_current_span(f"task {number}") as mine:
            async with made.stream(f"hi {number}", model=MODEL) as events:
                async for _ in events:
                    assert trace.get_current_span() is mine
            return mine.get_span_context().span_id

    async def run():
        async with async_client() as made:
            return await asyncio.gather(*(one(made, number) for number in range(8)))

    parents = asyncio.run(run())
    assert sorted(call.parent.span_id for call in rig.calls) == sorted(parents)
    by_id = {call.context.span_id: call for call in rig.calls}
    assert all(by_id[attempt.parent.span_id] for attempt in rig.attempts)
    assert len(rig.spans) == 8 * 3


def test_attempt_is_current_while_it_is_sent(client, rig, monkeypatch):
    made = client()
    seen = []
    send = made._engine.sync_runtime().open

    async def opened(*arguments, **options):
        seen.append(trace.get_current_span())
        return await send(*arguments, **options)

    monkeypatch.setattr(made._engine.sync_runtime(), "open", opened)
    made.run("hi", model=MODEL)
    assert [span.name for span in seen] == ["chat gpt-5-mini"]


def test_stream_is_never_current_between_its_pieces(client, rig, tracer):
    made = client()
    with tracer.start_as_current_span("mine") as mine:
        stream = made.stream("Say hello, please.", model=MODEL)
        with stream as events:
            for _ in events:
                assert trace.get_current_span() is mine
    assert len(rig.attempts) == 1


def test_stream_that_is_closed_in_another_thread(client, rig, tracer):
    with tracer.start_as_current_span("mine"):
        stream = client().stream("Say hello, please.", model=MODEL)
        stream.__enter__()
        next(iter(stream))
    worker = threading.Thread(target=stream.close)
    worker.start()
    worker.join(10)
    assert len(rig.attempts) == len(rig.calls) == 1


def test_stream_that_is_closed_in_another_context(client, rig):
    stream = client().stream("Say hello, please.", model=MODEL)
    contextvars.copy_context().run(lambda: next(iter(stream)))
    contextvars.Context().run(stream.close)
    assert len(rig.attempts) == len(rig.calls) == 1


def test_async_stream_that_is_closed_in_another_task(async_client, sim, rig):
    async def run():
        async with async_client() as made:
            stream = made.stream("Say hello, please.", model=MODEL)
            await asyncio.create_task(stream.__aenter__())
            await asyncio.create_task(anext(aiter(stream)))
            await asyncio.create_task(stream.close())

    asyncio.run(run())
    assert len(rig.attempts) == len(rig.calls) == 1


def test_stream_that_is_forgotten_ends_when_it_is_collected(client, rig):
    made = client()
    stream = made.stream("Say hello, please.", model=MODEL)
    next(iter(stream))
    del stream
    gc.collect()
    (attempt,) = rig.attempts
    assert attempt.attributes["aistrale.outcome"] == "abandoned"
    assert len(rig.calls) == 1


def test_generator_of_a_stream_that_is_collected_in_another_thread(client, rig):
    made = client()

    def words():
        with made.stream("Say hello, please.", model=MODEL) as events:
            yield from events

    kept = [words()]
    next(kept[0])
    worker = threading.Thread(target=kept.clear)
    worker.start()
    worker.join(10)
    gc.collect()
    assert len(rig.attempts) == len(rig.calls) == 1


def test_cancelled_call_ends_once_and_says_so(async_client, sim, rig):
    async def run():
        async with async_client() as made:
            with sim.script(Slow(headers=30.0)):
                task = asyncio.create_task(made.run("hi", model=MODEL))
                while not sim.requests:  # noqa: ASYNC110 - the simulator knows no event loop
                    await asyncio.sleep(0.005)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(run())
    (attempt,), (call,) = rig.attempts, rig.calls
    assert attempt.attributes["error.type"] == call.attributes["error.type"] == "CancelledError"


def test_coroutine_that_is_closed_where_it_was_not_begun(async_client, sim, rig):
    """What an event loop does that stops in the midst of a call: the frames are closed by whoever collects them."""
    made = async_client()
    with sim.script(Slow(headers=30.0)):
        loop = asyncio.new_event_loop()

        async def begin():
            task = asyncio.current_task()
            assert task is not None
            inner = made.run("hi", model=MODEL)

            class Stop:
                def __await__(self):
                    yield from inner.__await__()

            await Stop()

        coroutine = begin()
        task = loop.create_task(coroutine)
        loop.call_later(0.2, loop.stop)
        loop.run_forever()
        task.cancel()
        contextvars.Context().run(lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
        loop.run_until_complete(made.close())
        loop.close()
    assert len(rig.attempts) == len(rig.calls) == 1


def test_what_is_current_elsewhere_is_left_alone(rig):
    """A context that is given back in another one than it was taken in changes nothing there."""
    from aistrale.telemetry.otel.spans import CallSpan

    span = CallSpan(rig.tracers.get_tracer("x").start_span("x"), otel_context.get_current(), None)
    token = span.activate()
    other = otel_context.set_value("other", 1, otel_context.get_current())

    def elsewhere():
        otel_context.attach(other)
        span.deactivate(token)
        return otel_context.get_current()

    assert contextvars.Context().run(elsewhere) is other
    span.deactivate(token)
    span.end(None, None)


def test_baggage_of_the_application_stays(client, rig, monkeypatch):
    made = client()
    seen = []
    send = made._engine.sync_runtime().open

    async def opened(*arguments, **options):
        seen.append(otel_context.get_value("mine"))
        return await send(*arguments, **options)

    monkeypatch.setattr(made._engine.sync_runtime(), "open", opened)
    token = otel_context.attach(otel_context.set_value("mine", "kept"))
    made.run("hi", model=MODEL)
    otel_context.detach(token)
    assert seen == ["kept"]
