"""Streams that are used in unforeseen ways: what was not read to its end is no answer, whatever is asked afterwards."""

from __future__ import annotations

import gc

import pytest

import aistrale
from aistrale.core.runtime import run_sync
from aistrale.errors import AistraleError, StreamInterrupted
from aistrale.testing import Broken, Fault, Slow

MODEL = "openai/gpt-5-mini"
PIECES = "one two three four five six"


# So that what was not read has not arrived either.
SLOWLY = Slow(between=0.05)


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings(), retry=False) as made:
        yield made
    made.ledger.close()


def test_a_broken_stream_has_no_answer(client, sim, balance):
    sim.script(Broken(wreck="truncate"))
    stream = client.stream(PIECES, model=MODEL)
    with pytest.raises(StreamInterrupted):
        list(stream)
    assert list(stream) == []
    for ask in (stream.result, lambda: stream.completion):
        with pytest.raises(AistraleError, match="not at its end"):
            ask()
    (call,), _ = balance(client)
    assert call.outcome == "interrupted"


def test_a_closed_stream_has_no_answer(client, sim, balance):
    sim.script(SLOWLY)
    with client.stream(PIECES, model=MODEL) as stream:
        next(stream)
    with pytest.raises(AistraleError, match="not at its end"):
        stream.result()
    (call,), _ = balance(client)
    assert call.outcome == "abandoned"


def test_a_session_does_not_remember_half_an_answer(client, sim):
    chat = client.session()
    sim.script(SLOWLY)
    with chat.stream(PIECES, model=MODEL) as stream:
        next(stream)
    with pytest.raises(AistraleError, match="not at its end"):
        stream.result()
    assert chat.messages == []
    sim.script(Broken(wreck="truncate"))
    with pytest.raises(StreamInterrupted):
        chat.stream(PIECES, model=MODEL).result()
    assert chat.messages == []
    chat.stream(PIECES, model=MODEL).result()
    assert [message.role for message in chat.messages] == ["user", "assistant"]


def test_a_stream_that_could_not_be_opened_is_not_opened_again(client, sim, balance):
    sim.script(Fault(status=500))
    stream = client.stream("Hi", model=MODEL)
    with pytest.raises(aistrale.errors.ServerError):
        next(stream)
    for ask in (lambda: next(stream), stream.result, stream.__enter__):
        with pytest.raises(AistraleError, match="could not be opened"):
            ask()
    stream.close()
    assert len(sim.requests) == 1
    balance(client)


def test_closing_twice_and_reading_after_the_end_is_nothing(client, balance):
    with client.stream("Hi", model=MODEL) as stream:
        first = stream.result()
        stream.close()
        assert list(stream) == []
        assert stream.result() is first
    stream.close()
    (call,), _ = balance(client)
    assert call.outcome == "success"


def test_a_stream_in_a_reference_cycle_is_closed_with_it(client, sim, balance, no_leak):
    class Holder:
        pass

    with no_leak():
        client.run("Hi", model=MODEL)
        sim.script(SLOWLY)
        holder = Holder()
        holder.stream = client.stream(PIECES, model=MODEL)
        holder.itself = holder
        next(holder.stream)
        del holder
        gc.collect()
        client.close()
    calls, _ = balance(client, 2)
    assert [call.outcome for call in calls] == ["success", "abandoned"]


def test_a_generator_that_is_dropped_closes_its_stream(client, sim, balance, no_leak):
    def words():
        with client.stream(PIECES, model=MODEL) as stream:
            yield from stream.texts()

    sim.script(SLOWLY)
    with no_leak():
        texts = words()
        next(texts)
        del texts
        gc.collect()
        client.close()
    (call,), _ = balance(client)
    assert call.outcome == "abandoned"


@pytest.mark.parametrize("step", range(1, 12))
def test_ctrl_c_in_a_stream_leaves_one_row_and_no_connection(client, balance, no_leak, monkeypatch, step):
    from aistrale.core.response import HttpResponse

    original, reads = HttpResponse.next_chunk, []

    async def interrupted(self, until):
        reads.append(until)
        if len(reads) == step:
            raise KeyboardInterrupt
        return await original(self, until)

    monkeypatch.setattr(HttpResponse, "next_chunk", interrupted)
    with no_leak():
        try:
            with client.stream(PIECES, model=MODEL) as stream:
                stream.result()
            outcome = "success"
        except KeyboardInterrupt:
            outcome = "cancelled"
        assert (outcome == "cancelled") == (len(reads) == step)
        client.close()
    (call,), ((attempt,),) = balance(client)
    assert {call.outcome, attempt.outcome} == {outcome}


def test_the_last_look_at_the_connection_keeps_the_deadline(sim):
    """After the terminal event the end of the body is awaited, so that the connection can be kept."""
    from aistrale.core.stream import StreamSource

    seen = []

    class Response:
        async def next_chunk(self, until):
            seen.append(until)
            return b""

        async def close(self):
            return

    with aistrale.Client(**sim.settings()) as client:
        stream = client.stream("Hi", model=MODEL, deadline=0.01)
        source = StreamSource(stream._call, None, Response(), None)
        source.ended = True
        assert run_sync(source.pull()) is None
    assert seen == [stream._call.deadline]
