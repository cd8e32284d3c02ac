"""Delivery in memory: order, batches, bounds, retries, and sinks that raise, block, hang and tell of themselves."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.telemetry._asked import deliveries, unsettled
from aistrale.telemetry._retry import LONGEST_ASKED, OPEN_AFTER
from aistrale.telemetry._waiting import about
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import Content, FunctionFinished, WebhookSent
from aistrale.telemetry.hub import Hub
from aistrale.telemetry.settings import SinkSettings
from tests.telemetry.places import (
    Blocking,
    Clock,
    Loud,
    Place,
    attempted,
    delivery,
    event,
    events,
    finished,
    run,
    started,
)

LONG = 30.0


def send(sent, items):
    for item in items:
        sent.put(item)
    return [item.id for item in items]


def until(condition):
    """Wait for what another thread does, with a bound."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.002)


# --- batches and order ------------------------------------------------------------------------------------------------


def test_events_come_in_order_and_in_batches():
    sink = Place()
    sent = delivery(sink, batch=10)
    ids = send(sent, events(25))
    assert [sent.step() for _ in range(3)] == [0.0, 1.0, None]
    assert sink.ids == ids
    assert [len(batch) for batch in sink.batches] == [10, 10, 5]
    assert (sent.status().delivered, sent.status().waiting, sent.status().dropped) == (25, 0, {})


def test_only_the_kinds_that_are_wanted_come():
    sink = Place()
    sink.kinds = frozenset({"call.started"})
    sent, narrowed = delivery(sink), delivery(sink, kinds=frozenset({"queue.waited"}))
    for each in (sent, narrowed):
        each.put(event())
        each.put(started())
        each.step()
    assert [batch[0].kind for batch in sink.batches] == ["call.started", "queue.waited"]


def test_a_thread_delivers_after_the_interval_or_when_a_batch_is_full():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=3600.0, batch=4))
    ids = send(sent, events(4))
    until(lambda: sink.ids == ids)
    quick = Delivery(sink, SinkSettings(to=sink, interval=0.0))
    more = send(quick, events(1))
    until(lambda: sink.ids == ids + more)
    sent.close(LONG)
    quick.close(LONG)


def test_an_inline_sink_is_written_to_at_once_and_may_raise():
    sink = Place(None, ValueError("x"))
    sink.inline = True
    sent = delivery(sink)
    ids = send(sent, events(3))
    assert sink.ids == [ids[0], ids[2]]
    assert (sent.status().delivered, sent.status().dropped) == (2, {"failed": 1})


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_host_passes_through_an_inline_sink(error):
    sink = Place(error())
    sink.inline = True
    with pytest.raises(error):
        delivery(sink).put(event())


def test_who_is_interrupted_on_the_way_into_a_sink_is_not_taken_for_one_that_is_inside():
    sink = Place()
    sink.inline = True
    interrupts = [KeyboardInterrupt()]

    def clock():
        if interrupts:
            raise interrupts.pop()
        return 0.0

    sent = Delivery(sink, SinkSettings(to=sink), clock=clock, background=False)
    with pytest.raises(KeyboardInterrupt):
        sent.put(event())
    ids = send(sent, events(2))
    assert sink.ids == ids
    assert not sent.status().dropped


def test_a_sink_that_is_durable_itself_is_written_to_inline_and_kept_in_memory_while_it_fails(tmp_path):
    sink = Place(None, OSError("x"))
    sink.durable = True
    sent = delivery(sink, guarantee="durable", directory=tmp_path)
    ids = send(sent, events(4))
    assert sink.ids == ids[:1]
    sent.step()
    assert sink.ids == ids
    assert list(tmp_path.iterdir()) == []
    assert sent.status().delivered == 4


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_new_events_are_dropped_when_the_queue_is_full():
    sink = Place()
    sent = delivery(sink, queue=3)
    ids = send(sent, events(5))
    sent.step()
    assert sink.ids == ids[:3]
    assert sent.status().dropped == {"full": 2}


def test_or_the_oldest_ones():
    sink = Place()
    sent = delivery(sink, queue=3, overflow="drop_oldest")
    ids = send(sent, events(5))
    sent.step()
    assert sink.ids == ids[2:]
    assert sent.status().dropped == {"full": 2}


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_bytes_are_bounded_too(overflow):
    sink = Place()
    sent = delivery(sink, queue_bytes=3 * about(event()), overflow=overflow)
    ids = send(sent, events(5))
    huge = attempted(content=Content(input=({"text": "x" * 100_000},)))
    sent.put(huge)
    sent.step()
    assert sink.ids == (ids[:3] if overflow == "drop_newest" else ids[2:])
    assert sent.status().dropped == {"bytes": 3}


def test_what_was_said_counts():
    assert about(attempted(content=Content(output=({"parts": [{"text": "x" * 5000}]},)))) > about(attempted()) + 5000
    spoken = FunctionFinished(name="f", latency=1.0, outcome="success", inputs={"a": "x" * 5000}, output=["y" * 3000])
    assert about(spoken) > 8000
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert about(FunctionFinished(name="f", latency=1.0, outcome="success", output=deep)) < 10_000
    assert about(finished()) > about(started())


def test_memory_stays_flat_however_much_comes():
    sink = Blocking()
    sent = Delivery(sink, SinkSettings(to=sink, queue=1_000_000, queue_bytes=2_000_000, interval=0.0))
    sent.put(event())
    assert sink.entered.wait(LONG)
    text = "y" * 1000

    def emit(number):
        for index in range(number):
            sent.put(attempted(content=Content(input=({"parts": [{"text": f"{index}{text}"}]},))))

    tracemalloc.start()
    try:
        emit(2_000)
        filled, _ = tracemalloc.get_traced_memory()
        emit(5_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert filled < 3 * 2_000_000
    assert after < filled + 200_000
    status = sent.status()
    assert status.waiting + status.dropped["bytes"] == 7_001
    sink.release.set()
    assert sent.flush(LONG)
    sent.close(LONG)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [OSError(5, "x"), ValueError("x"), SystemExit(3), GeneratorExit(), MemoryError()], ids=repr
)
def test_whatever_a_sink_raises_it_is_offered_the_same_again(error):
    clock = Clock()
    sink = Place(error, error)
    sent = delivery(sink, clock)
    ids = send(sent, events(3))
    assert sent.step() == 0.5
    assert sent.step() == 0.5  # not before its time
    assert sent.status().failures == 1
    clock.now += 0.5
    assert sent.step() == 1.0
    clock.now += 1.0
    assert sent.step() is None
    assert sink.offered == [ids] * 3
    assert sink.ids == ids
    status = sent.status()
    assert (status.delivered, status.failures, status.last_error, status.retry_in) == (3, 0, None, None)


def test_a_sink_that_raises_does_not_end_its_thread():
    sink = Place(SystemExit(), KeyboardInterrupt())
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0), jitter=lambda: 0.0)
    ids = send(sent, events(2))
    until(lambda: sorted(sink.ids) == sorted(ids))
    sent.close(LONG)


class Consuming(Place):
    """Takes events out of the batch that it is given, and fails at first."""

    def write(self, batch, /):
        taken = []
        while batch:
            taken.append(batch.pop(0))
        super().write(taken)


@pytest.mark.parametrize("guarantee", ["best_effort", "durable"])
@pytest.mark.parametrize("error", [OSError(), ValueError(), Loud(permanent=True), None])
def test_a_sink_may_do_with_a_batch_what_it_likes(error, guarantee, tmp_path):
    clock = Clock()
    sink = Consuming(*[error] * 4)
    sent = delivery(sink, clock, tmp_path, batch=3, guarantee=guarantee)
    put = events(3)
    for item in put:
        sent.put(item)
    run(sent, clock, 100.0)
    permanent = isinstance(error, Loud)
    assert sink.ids == ([] if permanent else [item.id for item in put])
    assert sink.offered[0] == [item.id for item in put]
    status = sent.status()
    assert (status.delivered, status.waiting) == (0 if permanent else 3, 0)
    assert status.dropped == ({"failed permanently": 3} if permanent else {})


def test_the_order_survives_failures():
    clock = Clock()
    sink = Place(OSError(), None, OSError(), OSError())
    sent = delivery(sink, clock, batch=2)
    ids = send(sent, events(3))
    run(sent, clock, 1.0)
    ids += send(sent, events(4))
    run(sent, clock, 60.0)
    assert sink.ids == ids


def test_pauses_grow_to_a_minute_and_vary():
    clock = Clock()
    sink = Place(*[OSError()] * 20)
    sent = delivery(sink, clock)
    sent.put(event())
    pauses = []
    for _ in range(12):
        pauses.append(sent.step())
        clock.now += pauses[-1]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    shorter = Delivery(
        Place(OSError()), SinkSettings(to=sink), clock=clock, jitter=lambda: 0.0, pause=clock.pause, background=False
    )
    shorter.put(event())
    assert shorter.step() == 0.25


@pytest.mark.parametrize(
    ("asked", "pause"), [(7.0, 7.0), (0, 0.1), (1e9, LONGEST_ASKED), (float("nan"), 0.5), ("soon", 0.5), (True, 0.5)]
)
def test_a_sink_may_say_when(asked, pause):
    sent = delivery(Place(Loud(asked)))
    sent.put(event())
    assert sent.step() == pytest.approx(pause)


def test_a_dead_sink_that_says_at_once_is_not_believed():
    clock = Clock()
    sent = delivery(Place(*[Loud(0.1)] * 1000), clock)
    sent.put(event())
    assert run(sent, clock, 600.0) < 40


def test_a_permanent_error_ends_the_batch():
    sink = Place(Loud(permanent=True))
    sent = delivery(sink, batch=2)
    ids = send(sent, events(4))
    sent.step()
    sent.step()
    assert sink.ids == ids[2:]
    assert sent.status().dropped == {"failed permanently": 2}


def test_one_event_that_cannot_be_written_does_not_hold_up_the_others():
    class Picky(Place):
        def write(self, batch, /):
            if any(item.id == bad for item in batch):
                raise TypeError("that one")
            super().write(batch)

    clock = Clock()
    sink = Picky()
    sent = delivery(sink, clock)
    ids = send(sent, events(9))
    bad = ids[4]
    run(sent, clock, 60.0)
    more = send(sent, events(3))
    run(sent, clock, 1.0)
    assert sink.ids == [*ids[:4], *ids[5:], *more]
    assert sent.status().dropped == {"unwritable": 1}
    assert len(sink.batches[-1]) == 3


def test_an_outage_is_no_fault_of_events():
    clock = Clock()
    sink = Place(*[ConnectionRefusedError(111, "x")] * 30)
    sent = delivery(sink, clock)
    ids = send(sent, events(5))
    run(sent, clock, 3600.0)
    assert sink.ids == ids
    assert sent.status().dropped == {}


def test_a_sink_that_is_down_for_an_hour(caplog):
    class Down(Place):
        def write(self, batch, /):
            self.offered.append(len(batch))
            if clock.now < comes_back:
                raise OSError(111, "x")
            self.batches.append(list(batch))

    clock = Clock()
    comes_back = clock.now + 3600.0
    sink = Down()
    sent = delivery(sink, clock, queue=100, batch=10)
    total = steps = 0
    with caplog.at_level(logging.WARNING, "aistrale.telemetry"):
        while clock.now < comes_back:
            total += len(send(sent, events(50)))
            steps += run(sent, clock, 30.0)
            # Once a wake-up in between finds that nothing is due.
            assert sent.step() <= 60.0
        assert sent.status().failures > OPEN_AFTER
        waiting = sent.status().waiting
        assert waiting <= 110
    tries = len(sink.offered)
    assert tries < 75
    assert steps < 300
    assert len(caplog.records) <= 62
    assert max(sink.offered) <= 10
    run(sent, clock, 120.0)
    status = sent.status()
    assert status.delivered == len(sink.ids) == waiting
    assert status.delivered + status.dropped["full"] == total
    assert (status.failures, status.last_error, status.waiting) == (0, None, 0)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_an_error_is_told_without_what_it_quotes(caplog):
    sent = delivery(Place(Loud(), OSError(111, "Connection refused by https://user:pw@host")))
    sent.put(event())
    sent.step()
    assert sent.status().last_error == "Loud"
    assert caplog.messages == ["sink place: Loud; events lost so far: none"]
    assert sent.status().retry_in == 0.5
    sent.flush(0.1)
    assert sent.status().last_error == "ConnectionRefusedError (ECONNREFUSED: Connection refused)"
    assert "secret" not in caplog.text
    assert "pw" not in caplog.text


def test_losses_are_logged_once_a_minute(caplog):
    clock = Clock()
    sent = delivery(Place(), clock, queue=1)
    for _ in range(5):
        send(sent, events(4))
        sent.step()
    assert [record.getMessage() for record in caplog.records] == ["sink place: events lost so far: 3 full"]
    clock.now += 60.0
    sent.step()
    assert len(caplog.records) == 2
    assert "15 full" in caplog.text
    clock.now += 600.0
    sent.step()
    assert len(caplog.records) == 2


# --- sinks that block -------------------------------------------------------------------------------------------------


def test_a_sink_that_blocks_stops_itself_only():
    stuck, sink = Blocking(), Place()
    stuck.name = "stuck"
    hub = Hub([SinkSettings(to=stuck, queue=50, interval=0.0), SinkSettings(to=sink, interval=0.0)])
    hub.emit(event())
    assert stuck.entered.wait(LONG)
    items = events(200)
    began = time.monotonic()
    for item in items:
        hub.emit(item)
    assert time.monotonic() - began < 5.0
    until(lambda: len(sink.ids) == 201)
    assert sink.ids[1:] == [item.id for item in items]
    began = time.monotonic()
    assert hub.flush(0.2) is False
    assert 0.2 <= time.monotonic() - began < 5.0
    assert hub.status()[0].dropped == {"full": 150}
    began = time.monotonic()
    hub.close(0.2)
    assert time.monotonic() - began < 5.0
    assert hub.status()[0].dropped == {"full": 150, "closed": 50}
    assert "close" in sink.log
    stuck.release.set()
    until(lambda: "close" in stuck.log)
    assert len(stuck.ids) == 1
    assert hub.status()[0].delivered == 1


def test_what_comes_after_a_close_that_a_sink_hung_in_is_delivered():
    sink = Blocking()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0))
    first = send(sent, events(1))
    assert sink.entered.wait(LONG)
    lost = send(sent, events(2))
    sent.close(0.05)
    later = send(sent, events(3))
    sink.release.set()
    assert sent.flush(LONG)
    assert sink.ids == first + later
    assert lost
    assert sent.status().dropped == {"closed": 2}
    sent.close(LONG)


def test_a_sink_that_hangs_is_said_to(caplog):
    clock = Clock()
    sink = Blocking()
    sent = Delivery(sink, SinkSettings(to=sink, queue=1, interval=0.0, timeout=30.0), clock=clock)
    sent.put(event())
    assert sink.entered.wait(LONG)
    send(sent, events(3))
    assert sent.status().last_error is None
    assert caplog.records == []
    clock.now += 31.0
    send(sent, events(3))
    assert sent.status().last_error == "a delivery has not come back for more than 30 s"
    assert len(caplog.records) == 1
    sink.release.set()
    until(lambda: sent.status().waiting == 0)
    sent.close(LONG)


def test_flushes_of_several_sinks_go_on_at_once():
    both = threading.Barrier(2, timeout=LONG)

    class Meeting(Place):
        def write(self, batch, /):
            both.wait()
            super().write(batch)

    sinks = [Meeting(), Meeting()]
    sinks[0].name = "other"
    hub = Hub([SinkSettings(to=sink, interval=3600.0) for sink in sinks])
    hub.emit(event())
    assert hub.flush(LONG)
    assert [len(sink.ids) for sink in sinks] == [1, 1]
    hub.close(LONG)


# --- flush and close --------------------------------------------------------------------------------------------------


def test_a_flush_delivers_everything_and_flushes_the_sink():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=3600.0, batch=7))
    ids = send(sent, events(100))
    assert sent.flush(LONG)
    assert sink.ids == ids
    assert [name for name, _ in sink.log] == ["flush"]
    sent.close(LONG)


def test_a_flush_does_not_wait_for_what_comes_after_it():
    sink = Place()
    sent = delivery(sink, batch=2)
    send(sent, events(3))
    asked = sent.begin(sent._clock() + 10.0)
    send(sent, events(50))
    sent.step()
    assert not asked.done
    sent.step()
    assert asked.done
    assert asked.result


def test_a_flush_tries_a_sink_in_its_pause_once_and_gives_a_dead_one_up():
    clock = Clock()
    sink = Place(*[OSError()] * 40)
    sent = delivery(sink, clock)
    sent.put(event())
    assert sent.flush(0.4) is False
    assert len(sink.offered) == 1
    assert sent.flush(3600.0) is False
    assert len(sink.offered) == OPEN_AFTER
    before = clock.now
    assert sent.flush(3600.0) is False
    assert len(sink.offered) == OPEN_AFTER + 1
    assert clock.now == before
    sink.script.clear()
    assert sent.flush(5.0)


def test_a_sink_that_cannot_flush_is_told_as_not_done():
    class Unable(Place):
        def flush(self, timeout):
            raise OSError

    class Refusing(Place):
        def flush(self, timeout):
            return False

    class Silent(Place):
        def flush(self, timeout):
            return None

    for sink, done in ((Unable(), False), (Refusing(), False), (Silent(), True)):
        sent = delivery(sink)
        sent.put(event())
        assert sent.flush(1.0) is done
        assert len(sink.ids) == 1


def test_a_sink_that_flushes_itself_from_within_does_not_wait_for_itself():
    class Selfish(Place):
        def write(self, batch, /):
            assert sent.flush(LONG) is False
            super().write(batch)

    sink = Selfish()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0))
    began = time.monotonic()
    sent.put(event())
    assert sent.flush(LONG)
    assert time.monotonic() - began < LONG / 2
    sent.close(LONG)


def test_close_delivers_lets_go_and_a_later_event_begins_anew():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0))
    first = send(sent, events(3))
    sent.close(LONG)
    assert sink.ids == first
    assert sink.log[-1] == "close"
    assert not sent._worker.alive
    later = send(sent, events(2))
    until(lambda: sink.ids == first + later)
    sent.close(LONG)
    assert sink.log.count("close") == 2


def test_close_counts_what_it_gives_up():
    sink = Place(*[OSError()] * 100)
    sent = delivery(sink, batch=2)
    send(sent, events(5))
    sent.close(2.0)
    assert sent.status().dropped == {"closed": 5}
    assert sent.status().waiting == 0
    assert sink.log == ["close"]


def test_a_client_that_nobody_holds_any_more_still_delivers():
    sink = Place()

    def emit():
        Delivery(sink, SinkSettings(to=sink, interval=0.3)).put(event())

    emit()
    gc.collect()
    until(lambda: len(sink.ids) == 1)
    until(lambda: not [each for each in unsettled.copy() if each.sink is sink])
    gc.collect()
    assert not [each for each in deliveries() if each.sink is sink]


# --- events that sinks cause ------------------------------------------------------------------------------------------


class Telling(Place):
    """Emits an event for every batch that it takes."""

    def attach(self, emit):
        self.emit = emit

    def write(self, batch, /):
        super().write(batch)
        for _ in batch:
            self.emit(WebhookSent(webhook="w", type="t", message_id="m", attempts=1, outcome="delivered", status=200))


def test_what_a_sink_tells_of_itself_comes_to_the_others_but_not_to_it():
    sink, other = Telling(), Place()
    other.name = "other"
    hub = Hub([SinkSettings(to=sink, interval=0.0), SinkSettings(to=other, interval=0.0)])
    hub.emit(event())
    until(lambda: sorted(item.kind for batch in other.batches for item in batch) == ["queue.waited", "webhook.sent"])
    assert hub.flush(LONG)
    assert len(sink.ids) == 1
    assert hub.status()[0].dropped == {"echo": 1}
    hub.close(LONG)


def test_what_a_sink_of_two_clients_tells_of_itself_does_not_come_back_by_the_other():
    sink = Telling()
    first, second = delivery(sink), delivery(sink)
    sink.attach(second.put)
    first.put(event())
    first.step()
    second.step()
    assert (len(sink.ids), second.status().dropped) == (1, {"echo": 1})


@pytest.mark.parametrize("inline", [False, True])
def test_two_that_tell_of_each_other_come_to_an_end(inline):
    sinks = [Telling(), Telling()]
    sinks[0].name = "other"
    for sink in sinks:
        sink.inline = inline
    hub = Hub([SinkSettings(to=sink, interval=0.0) for sink in sinks])
    hub.emit(event())
    assert hub.flush(LONG)
    assert all(len(sink.ids) <= 3 for sink in sinks)
    hub.close(LONG)


def test_a_failing_put_reaches_the_other_sinks(caplog):
    sink = Place()
    hub = Hub([SinkSettings(to=Place(), name="broken"), SinkSettings(to=sink, interval=0.0)])

    class Odd:
        kind: ClassVar = ["unhashable"]

    hub._deliveries[0]._kinds = frozenset({"queue.waited"})
    hub.emit(Odd())
    assert "did not get to a sink" in caplog.text
    hub.close(LONG)


# --- fork -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_starts_without_what_waits_and_delivers_its_own():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=3600.0))
    mine = send(sent, events(3))
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            before = sent.status()
            own = event(id="own")
            sent.put(own)
            done = sent.flush(LONG)
            fine = done and before.dropped == {"fork": 3} and before.waiting == 0
            fine = fine and sink.ids == ["own"] and sink.log[0] == "fork"
            os.write(write, b"fine" if fine else repr((done, before, sink.ids, sink.log)).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    told = os.read(read, 10_000)
    os.close(read)
    assert told == b"fine"
    assert sent.flush(LONG)
    assert sink.ids == mine
    sent.close(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_of_a_process_whose_sink_blocks_is_free():
    sink = Blocking()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0))
    sent.put(event())
    assert sink.entered.wait(LONG)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            sink.release = threading.Event()
            sink.release.set()
            sent.put(event(id="own"))
            done = sent.flush(LONG)
            os.write(write, b"fine" if done and sink.ids == ["own"] else repr((done, sink.ids)).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    told = os.read(read, 10_000)
    os.close(read)
    sink.release.set()
    assert told == b"fine"
    sent.close(LONG)


# --- in any thread, at any moment -------------------------------------------------------------------------------------


def test_many_threads_put_and_nothing_is_lost_or_counted_twice():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0, queue=500, batch=50))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=send, args=(sent, events(2000))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sent.flush(LONG)
    status = sent.status()
    assert status.delivered == len(sink.ids) == len(set(sink.ids))
    assert status.delivered + sum(status.dropped.values()) == 8000
    sent.close(LONG)


def test_finalisers_may_put_while_the_sink_is_being_written_to():
    sink = Place()
    sent = Delivery(sink, SinkSettings(to=sink, interval=0.0))

    class Dying:
        def __del__(self):
            sent.put(event())

    for _ in range(300):
        dying = Dying()
        dying.self = dying
        del dying
        sent.put(event())
    gc.collect()
    assert sent.flush(LONG)
    assert len(sink.ids) == 600
    sent.close(LONG)


class Collecting(Place):
    """Objects are collected in its midst, of which one tells something while it goes."""

    def __init__(self):
        super().__init__()
        self.tell = []
        self.alone = threading.Lock()

    def write(self, batch, /):
        assert self.alone.acquire(blocking=False)
        tell, self.tell = self.tell, []
        dying = Dying(tell)
        dying.self = dying
        del dying
        gc.collect()
        super().write(batch)
        self.alone.release()


class Dying:
    def __init__(self, tell):
        self.tell = tell

    def __del__(self):
        for put, item in self.tell:
            put(item)


@pytest.mark.parametrize("inline", [False, True])
def test_what_a_finaliser_tells_in_the_midst_of_a_sink_is_not_the_sinks_doing(inline):
    sink = Collecting()
    sink.inline = inline
    sent = delivery(sink)
    first, told, last = events(3)
    sink.tell = [(sent.put, told)]
    sent.put(first)
    sent.step()
    sent.put(last)
    assert sent.flush(LONG)
    assert sink.ids == [first.id, told.id, last.id]
    assert not sent.status().dropped


def test_but_what_it_tells_of_a_call_that_the_sink_itself_has_begun_is():
    sink = Collecting()
    sent = delivery(sink)
    sink.tell = [(sent.put, started()), (sent.put, finished())]
    sent.put(event())
    sent.step()
    assert len(sink.ids) == 1
    assert sent.status().dropped == {"echo": 2}


STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 12)),
    st.tuples(st.just("step"), st.just(0)),
    st.tuples(st.just("pass"), st.floats(0, 70)),
    st.tuples(st.just("flush"), st.floats(0, 5)),
    st.tuples(st.just("close"), st.just(0)),
)
TURN = st.sampled_from([None, None, OSError(5, "x"), ValueError("x"), Loud(3.0), Loud(permanent=True), SystemExit()])


@given(
    st.lists(STEP, max_size=40),
    st.lists(TURN, max_size=30),
    st.integers(1, 20),
    st.integers(1, 8),
    st.sampled_from(["drop_newest", "drop_oldest"]),
)
def test_every_event_is_delivered_or_counted_once(steps, script, queue, batch, overflow):
    clock = Clock()
    sink = Place(*script)
    sent = delivery(sink, clock, queue=queue, batch=batch, overflow=overflow)
    ids = []
    for action, value in steps:
        if action == "put":
            ids += send(sent, events(value))
        elif action == "step":
            sent.step()
        elif action == "pass":
            clock.now += value
        elif action == "flush":
            sent.flush(value)
        else:
            sent.close(1.0)
        status = sent.status()
        assert status.delivered + status.waiting + sum(status.dropped.values()) == len(ids)
        assert status.waiting <= queue + batch
    assert sink.ids == sorted(sink.ids, key=ids.index)
    assert max(Counter(sink.ids).values(), default=1) == 1
    sent.close(60.0)
    status = sent.status()
    assert status.waiting == 0
    assert sent._waiting.bytes == 0
    assert status.delivered == len(sink.ids)
    assert status.delivered + sum(status.dropped.values()) == len(ids)
