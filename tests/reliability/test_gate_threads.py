from __future__ import annotations

import contextlib
import gc
import linecache
import os
import random
import sys
import threading
import time

import pytest

from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import QueueFull, QueueTimeout
from aistrale.reliability.gate import Gate
from aistrale.reliability.limits import LimitSettings

PATIENCE = 30.0


class Waiter:
    """Blocks a thread until it is woken or its time is over."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def wake(self):
        with contextlib.suppress(RuntimeError):
            self.lock.release()

    def wait(self, seconds):
        self.lock.acquire(timeout=seconds)


def wait_for_turn(gate, waiter, ticket):
    while pause := gate.poll(ticket, time.monotonic()):
        waiter.wait(pause)


def in_threads(count, work):
    """Run it in so many threads; the first thing that went wrong is raised here."""
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "a thread still waits"


@pytest.fixture
def switching():
    """Threads that take turns a thousand times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching")
def test_32_threads_never_exceed_the_limit_and_all_get_through():
    gate = Gate("openai/x", LimitSettings(concurrency=5, tpm=6e9))
    under_way = []
    most = []
    done = []

    def work(number):
        rng = random.Random(number)
        for _ in range(60):
            waiter = Waiter()
            priority = rng.choice(["high", "normal", "low"])
            wait = rng.choice([None, None, 10.0, 0.0])
            try:
                ticket = gate.admit(priority=priority, tokens_in=5, now=time.monotonic()) or gate.enter(
                    waiter.wake, priority=priority, tokens_in=5, now=time.monotonic(), wait=wait
                )
            except (QueueFull, QueueTimeout):
                done.append("refused")
                continue
            if rng.random() < 0.1:
                gate.leave(ticket, time.monotonic(), outcome="unsent")
                done.append("gave up")
                continue
            wait_for_turn(gate, waiter, ticket)
            under_way.append(ticket)
            most.append(len(under_way))
            assert gate.in_flight <= 5
            if rng.random() < 0.3:
                time.sleep(0)  # lets another thread run
            under_way.remove(ticket)
            gate.leave(ticket, time.monotonic(), outcome=rng.choice(["success", "failed", "dropped", "cancelled"]))
            done.append("answered")

    in_threads(32, work)
    assert len(done) == 32 * 60
    assert done.count("answered") > 1000
    assert max(most) <= 5
    assert (gate.in_flight, gate.waiting) == (0, 0)
    assert gate._state.rates._reserved == [0.0] * 4


@pytest.mark.usefixtures("switching")
def test_places_are_handed_on_without_a_patrol():
    """Every wait here is ended by a wake-up; one that got lost would cost the whole five seconds of a patrol."""
    gate = Gate("openai/x", LimitSettings(concurrency=2))

    def work(number):
        for _ in range(40):
            waiter = Waiter()
            ticket = gate.enter(waiter.wake, now=time.monotonic())
            if not ticket.admitted:
                gate.poll(ticket, time.monotonic())
                waiter.lock.acquire(timeout=PATIENCE)
            assert ticket.admitted
            gate.leave(ticket, time.monotonic(), outcome="success")

    in_threads(16, work)
    assert (gate.in_flight, gate.waiting) == (0, 0)


def test_a_place_is_given_back_in_the_middle_of_another_admission():
    """A collection of garbage may end a forgotten reply while its thread holds the gate's lock."""
    gate = Gate("openai/x", LimitSettings(concurrency=1))
    woken = []

    def work(number):
        holder = gate.admit(now=0.0)
        waiter = gate.enter(lambda: woken.append(1), now=0.0)
        with gate._lock:
            gate.leave(holder, 1.0, outcome="success")
            assert (gate.in_flight, waiter.state) == (1, "waiting")
        assert gate.expected_wait(1.0) is None
        assert (gate.in_flight, waiter.state, woken) == (1, "admitted", [1])

    in_threads(1, work)


class Forgotten:
    """A reply that nobody closes: it gives its place back when it is collected, wherever that happens."""

    def __init__(self, gate, ticket):
        self.gate = gate
        self.ticket = ticket
        self.cycle = self

    def __del__(self):
        self.gate.leave(self.ticket, time.monotonic(), outcome="cancelled")


@pytest.mark.usefixtures("switching")
def test_collections_in_the_middle_of_an_admission_do_not_lock_up():
    # What is forgotten is found when the collector gets to it, which may be late: there must be a place for each.
    gate = Gate("openai/x", LimitSettings(concurrency=1000, queue=3200, rpm=1e9, tpm=1e12))
    thresholds = gc.get_threshold()
    gc.set_threshold(3, 2, 2)
    try:

        def work(number):
            for turn in range(400):
                now = time.monotonic()
                ticket = gate.admit(now=now, tokens_in=turn) or gate.enter(int, now=now, wait=5.0)
                Forgotten(gate, ticket)
                if turn % 7 == 0:
                    gate.snapshot(now)
                    gate.throttled(1e-6, now)

        in_threads(8, work)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    gate.snapshot(time.monotonic())
    assert gate.in_flight == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_while_others_hold_the_gate_can_use_it():
    gate = Gate("openai/x", LimitSettings(concurrency=2))
    held = [gate.admit(now=0.0), gate.admit(now=0.0)]
    stop = threading.Event()

    def busy(number):
        while not stop.is_set():
            gate.snapshot(0.0)

    thread = threading.Thread(target=busy, args=(0,), daemon=True)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                gate.after_fork()
                fine = gate.admit(now=0.0) is not None
                held.clear()
                os._exit(0 if fine and gate.in_flight == 0 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()
    assert gate.in_flight == len(held) == 2


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line that is run in the package, as Ctrl-C may."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, argument):
        if "reliability" not in frame.f_code.co_filename or frame.f_code.co_name == "__del__":
            return None  # what is raised in a finalizer goes nowhere
        if event == "line" and not self.is_with(frame):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

    def is_with(self, frame):
        # A tracer is asked between the block and the release of the lock, where no interrupt can strike.
        return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def business(gate, waiting):
    """Everything that a gate does, with two calls under way and two in line."""
    holders = [gate.admit(now=0.0, tokens_in=10), gate.admit(now=0.0, tokens_in=10)]
    waiting.append(gate.enter(int, now=0.0, tokens_in=10))
    waiting.append(gate.enter(int, now=0.0, priority="low", wait=9.0))
    gate.throttled(1.0, 0.5)
    gate.headers(RateLimits(requests=Window(60, 30, 30.0)), 0.6, holders[0])
    gate.leave(holders[0], 2.0, outcome="success", tokens_in=12, tokens_out=3)
    gate.poll(waiting[0], 2.0)
    gate.leave(holders[1], 3.0, outcome="dropped")
    for ticket in waiting:
        gate.leave(ticket, 4.0, outcome="cancelled")


def see_through(gate, ticket):
    """The caller of a ticket waits on, whatever has happened to the others."""
    for instant in range(5, 50, 5):
        try:
            if not gate.poll(ticket, float(instant)):
                gate.leave(ticket, float(instant), outcome="success")
                return
        except QueueTimeout:
            return
    pytest.fail("a call waits for ever")


def test_an_interrupt_anywhere_leaves_a_gate_that_works():
    count = 0
    interrupted = True
    while interrupted:
        count += 1
        gate = Gate("openai/x", LimitSettings(concurrency="auto", max_concurrency=2, tpm=60_000))
        interrupted = False
        waiting = []
        before = sys.gettrace()
        sys.settrace(Interrupt(count))
        try:
            business(gate, waiting)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(before)
        gc.collect(0)
        assert not gate._lock.locked()
        while waiting:
            see_through(gate, waiting.pop(0))
        for instant in (100.0, 101.0, 102.0):
            gate.expected_wait(instant)
            ticket = gate.admit(priority="low", now=instant) or gate.enter(int, priority="low", now=instant)
            gate.leave(ticket, instant, outcome="success")
            del ticket
        assert gate.in_flight == 0, count
        assert all(gate.admit(now=103.0) for _ in range(2)), count
    assert count > 200
