"""The breaker between threads, under finalisers and signals, and in a forked child."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import random
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from aistrale.reliability.breaker import Breaker, BreakerEvent, BreakerSettings, Permit, Rejected
from aistrale.reliability.circuit import Circuit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Hook(random.Random):
    """Runs something in the midst of an opening, under the breaker's lock, where a finaliser could."""

    def __init__(self) -> None:
        super().__init__(0)
        self.act: Callable[[], object] | None = None

    def uniform(self, a: float, b: float) -> float:
        act, self.act = self.act, None
        if act is not None:
            act()
        return (a + b) / 2


class GoneError(BaseException):
    """Ends a thread of the parent where it stands: in a child it does not exist."""


def permit(breaker: Breaker, now: float) -> Permit:
    answer = breaker.admit(now)
    assert isinstance(answer, Permit)
    return answer


def fail(breaker: Breaker, times: int = 3, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.report(permit(breaker, now), "failure", now)


def within(seconds: float, work: Callable[[], object]) -> None:
    """Run in a thread of its own, so that a deadlock fails the test instead of hanging it."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    if failures:
        raise failures[0]


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change places as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_never_have_two_probes_out_and_leave_a_line_of_events(restless: None) -> None:
    events: list[BreakerEvent] = []
    ticks = itertools.count()
    breaker = Breaker("x", BreakerSettings(trickle=0.5), random.Random(1), events.append)
    guard, out, most, counts = threading.Lock(), 0, 0, {"success": 0, "failure": 0, "ignored": 0}

    def caller(seed: int) -> None:
        nonlocal out, most
        rng = random.Random(seed)
        for _ in range(1500):
            now = next(ticks) / 100
            answer = breaker.admit(now, last=rng.random() < 0.3)
            if isinstance(answer, Rejected):
                continue
            if answer.probe:
                with guard:
                    out += 1
                    most = max(most, out)
            down = int(now) % 20 < 10
            outcome = "ignored" if rng.random() < 0.1 else "failure" if down else "success"
            if answer.probe:
                with guard:
                    out -= 1
            breaker.report(answer, outcome, next(ticks) / 100)
            with guard:
                counts[outcome] += 1
            assert answer.returned

    threads = [threading.Thread(target=caller, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
    assert min(counts.values()) > 0
    state = "closed"
    for event in events:
        assert event.before == state
        assert event.before != event.after
        state = event.after
    assert {event.name for event in events} == {"opened", "half_opened", "closed"}
    assert [event.at for event in events] == sorted(event.at for event in events)
    now = next(ticks) / 100
    shown = breaker.snapshot(now)
    assert shown.openings == sum(event.name == "opened" for event in events)
    assert shown.probes == 0


def test_every_concurrent_report_counts_and_only_once(restless: None) -> None:
    breaker = Breaker("x", BreakerSettings(), random.Random(1))
    breaker.force("metrics_only", 0.0)
    permits = [permit(breaker, 1.0) for _ in range(2000)]

    def reporter() -> None:
        for given in permits:
            breaker.report(given, "failure", 1.0)

    threads = [threading.Thread(target=reporter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = breaker.snapshot(1.0)
    assert (shown.calls, shown.in_a_row, shown.late) == (2000, 2000, 0)


def test_calls_under_way_make_nobody_wait() -> None:
    breaker = Breaker("x", BreakerSettings(), random.Random(1))
    under_way = [permit(breaker, 0.0) for _ in range(10)]

    def others() -> None:
        fail(breaker)
        assert isinstance(breaker.admit(0.0), Rejected)
        probe = permit(breaker, 8.0)
        assert isinstance(breaker.admit(8.0), Rejected)
        breaker.report(probe, "ignored", 8.0)

    within(10.0, others)
    assert not any(given.returned for given in under_way)


def test_admission_while_closed_takes_no_lock() -> None:
    breaker = Breaker("x", BreakerSettings(), random.Random(1))
    held, release = threading.Event(), threading.Event()

    def holder() -> None:
        with breaker._lock:
            held.set()
            release.wait(10.0)

    thread = threading.Thread(target=holder)
    thread.start()
    held.wait(10.0)
    try:
        within(5.0, lambda: [permit(breaker, 0.0) for _ in range(10)])
        # Neither does looking at it, which choosing a target does for every call.
        within(5.0, lambda: (breaker.ready_in(0.0), breaker.state(0.0)))
    finally:
        release.set()
        thread.join()


def test_a_breaker_that_closed_while_a_caller_waited_for_its_lock_gives_no_probe() -> None:
    circuit = Circuit("x", BreakerSettings(), random.Random(1))
    answer = circuit.admit(0.0, last=False, busy=False, lease=None)
    assert isinstance(answer, Permit)
    assert not answer.probe
    assert circuit.snapshot(0.0).probes == 0


def test_a_listener_that_hangs_holds_up_nobody_else() -> None:
    entered, release = threading.Event(), threading.Event()
    heard: list[str] = []

    def listener(event: BreakerEvent) -> None:
        entered.set()
        release.wait(10.0)
        heard.append(event.name)

    breaker = Breaker("x", BreakerSettings(), Hook(), listener)
    stuck = threading.Thread(target=fail, args=(breaker,))
    stuck.start()
    entered.wait(10.0)

    def others() -> None:
        for _ in range(2):
            breaker.report(permit(breaker, 5.0), "success", 5.0)
        assert breaker.state(5.0) == "closed"

    try:
        within(5.0, others)
        assert heard == []
    finally:
        release.set()
        stuck.join()
    assert heard == ["opened", "half_opened", "closed"]


def test_an_event_that_comes_while_the_teller_leaves_is_told() -> None:
    heard: list[str] = []
    breaker = Breaker("x", BreakerSettings(), Hook(), lambda event: heard.append(event.name))

    class Leaving:
        """Lets another thread come between the teller's last look and its leave."""

        def __init__(self) -> None:
            self.lock, self.released = threading.Lock(), 0

        def acquire(self, *, blocking: bool) -> bool:
            return self.lock.acquire(blocking=blocking)

        def release(self) -> None:
            self.released += 1
            if self.released == 1:
                breaker.force(None, 2.0)
            self.lock.release()

    breaker._delivering = Leaving()
    breaker.force("open", 1.0)
    assert heard == ["forced", "released"]


def test_a_stuck_listener_costs_bounded_memory() -> None:
    entered, release = threading.Event(), threading.Event()

    def listener(event: BreakerEvent) -> None:
        entered.set()
        release.wait(10.0)

    breaker = Breaker("x", BreakerSettings(), Hook(), listener)
    stuck = threading.Thread(target=breaker.force, args=("open", 0.0))
    stuck.start()
    entered.wait(10.0)
    try:
        for _ in range(1000):
            breaker.force(None, 1.0)
            breaker.force("open", 1.0)
        assert len(breaker._circuit.events) == 256
    finally:
        release.set()
        stuck.join()
    assert not breaker._circuit.events


# --- what may come in the midst of a change ---


def test_a_finaliser_in_the_midst_of_a_change_reports_after_it() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    abandoned = permit(breaker, 0.0)
    hook.act = lambda: breaker.report(abandoned, "failure", 0.0)
    within(10.0, lambda: fail(breaker))
    shown = breaker.snapshot(0.0)
    assert abandoned.returned
    assert (shown.state, shown.calls, shown.late, shown.openings) == ("open", 3, 1, 1)


def test_a_finaliser_in_the_midst_of_an_admission_reports_after_it() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    abandoned = permit(breaker, 0.0)
    fail(breaker)
    hook.act = lambda: breaker.report(abandoned, "failure", 5.0)
    within(10.0, lambda: permit(breaker, 5.0))
    assert breaker.snapshot(5.0).late == 1


def test_steering_in_the_midst_of_a_change_is_done_after_it() -> None:
    events: list[BreakerEvent] = []
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook, events.append)
    seen = []

    def interrupt() -> None:
        breaker.open_until(100.0, 0.0, "quota")
        seen.append(breaker.snapshot(0.0).state)

    hook.act = interrupt
    within(10.0, lambda: fail(breaker))
    assert seen == ["closed"]
    assert [event.name for event in events] == ["opened", "extended"]
    assert breaker.snapshot(0.0).until == 100.0


def test_what_waited_is_not_interrupted_either() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    fail(breaker)
    overdue = permit(breaker, 5.0)

    def first() -> None:
        hook.act = second
        breaker.report(overdue, "failure", 65.0)

    def second() -> None:
        breaker.reset(65.0)

    hook.act = first
    within(10.0, lambda: permit(breaker, 65.0))
    assert breaker.snapshot(65.0).openings == 2
    assert breaker.state(65.0) == "closed"


def test_asking_in_the_midst_of_a_change_does_not_hang() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    fail(breaker)
    answers: list[object] = []
    hook.act = lambda: answers.append(breaker.admit(5.0))
    within(10.0, lambda: permit(breaker, 5.0))
    (answer,) = answers
    assert isinstance(answer, Rejected)
    assert answer.retry_after == 1.0


def interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_in_the_midst_of_a_report_leaves_it_usable() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    hook.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        fail(breaker)
    assert breaker.state(0.0) == "closed"
    within(10.0, lambda: fail(breaker, 1))
    assert breaker.state(0.0) == "open"


def test_an_interrupt_in_the_midst_of_an_admission_leaves_it_usable() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    fail(breaker)
    hook.act = interrupt
    with pytest.raises(KeyboardInterrupt):
        breaker.admit(5.0)
    assert breaker.snapshot(5.0).probes == 0
    within(10.0, lambda: permit(breaker, 5.0))


def test_an_interrupted_listener_passes_the_interrupt_on_and_is_called_again() -> None:
    heard = []

    def listener(event: BreakerEvent) -> None:
        heard.append(event.name)
        if event.name == "opened":
            raise KeyboardInterrupt

    breaker = Breaker("x", BreakerSettings(), Hook(), listener)
    with pytest.raises(KeyboardInterrupt):
        fail(breaker)
    permit(breaker, 5.0)
    assert heard == ["opened", "half_opened"]


def test_streams_that_the_garbage_collector_finds_in_the_midst_of_a_change_report() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    midst: list[bool] = []

    class Stream:
        """Abandoned at once, and part of a cycle, so that only the collector ends it."""

        def __init__(self) -> None:
            self.given, self.me = permit(breaker, 0.0), self

        def __del__(self) -> None:
            midst.append(breaker._busy)
            breaker.report(self.given, "success", 0.0)

    gc.disable()
    try:
        for _ in range(5):
            Stream()
        hook.act = gc.collect
        within(10.0, lambda: fail(breaker))
    finally:
        gc.enable()
    assert midst == [True] * 5
    assert (breaker.state(0.0), breaker.snapshot(0.0).late) == ("open", 5)
    assert not breaker._mail


# --- fork ---


def test_a_child_keeps_what_was_learned_and_none_of_the_calls_in_flight() -> None:
    breaker = Breaker("x", BreakerSettings(), Hook())
    fail(breaker, 2)
    parents = permit(breaker, 0.0)
    breaker.after_fork()
    breaker.report(parents, "failure", 0.0)
    shown = breaker.snapshot(0.0)
    assert (shown.state, shown.calls, shown.in_a_row, shown.late) == ("closed", 2, 2, 1)
    fail(breaker, 1)
    assert breaker.state(0.0) == "open"
    breaker.after_fork()
    assert breaker.state(0.0) == "open"
    assert isinstance(breaker.admit(4.9), Rejected)
    probe = permit(breaker, 5.0)
    breaker.after_fork()
    assert breaker.snapshot(5.0).probes == 0
    assert permit(breaker, 5.0) is not probe
    breaker.report(probe, "success", 5.0)
    assert breaker.snapshot(5.0).successes == 0


@pytest.mark.parametrize("state", ["open", "closed", "metrics_only"])
def test_a_child_keeps_what_was_forced(state: str) -> None:
    breaker = Breaker("x", BreakerSettings(), Hook())
    breaker.force(state, 0.0)
    breaker.after_fork()
    assert isinstance(breaker.admit(0.0), Rejected if state == "open" else Permit)
    assert breaker.snapshot(0.0).state in {f"forced_{state}", state}


def test_a_child_of_a_half_made_change_starts_closed_with_free_locks() -> None:
    hook = Hook()
    events: list[BreakerEvent] = []
    breaker = Breaker("x", BreakerSettings(), hook, events.append)
    inside, release = threading.Event(), threading.Event()

    def pause() -> None:
        inside.set()
        release.wait(10.0)
        raise GoneError

    def fail_and_be_gone() -> None:
        with contextlib.suppress(GoneError):
            fail(breaker)

    hook.act = pause
    parent = threading.Thread(target=fail_and_be_gone)
    parent.start()
    inside.wait(10.0)
    breaker.after_fork()

    def child() -> None:
        shown = breaker.snapshot(0.0)
        assert (shown.state, shown.calls, shown.in_a_row) == ("closed", 0, 0)
        fail(breaker, 2)
        assert breaker.state(0.0) == "closed"

    try:
        within(5.0, child)
    finally:
        release.set()
        parent.join()
    assert events == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_not_held_up_by_a_lock_of_its_parent() -> None:
    hook = Hook()
    breaker = Breaker("x", BreakerSettings(), hook)
    inside, release = threading.Event(), threading.Event()

    def pause() -> None:
        inside.set()
        release.wait(10.0)

    hook.act = pause
    parent = threading.Thread(target=fail, args=(breaker,))
    parent.start()
    inside.wait(10.0)
    with warnings.catch_warnings():
        # Python 3.12 warns about forking with threads; that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(10)
        breaker.after_fork()
        fail(breaker)
        breaker.report(permit(breaker, 5.0), "success", 5.0)
        os._exit(7 if breaker.state(5.0) == "half_open" else 8)
    release.set()
    parent.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert breaker.state(0.0) == "open"


def test_a_listener_may_fork() -> None:
    heard = []

    def listener(event: BreakerEvent) -> None:
        heard.append(event.name)
        breaker.after_fork()

    breaker = Breaker("x", BreakerSettings(), Hook(), listener)
    fail(breaker)
    permit(breaker, 5.0)
    assert heard == ["opened", "half_opened"]


def test_a_child_does_not_tell_what_the_parent_has_yet_to_tell() -> None:
    entered, release = threading.Event(), threading.Event()
    heard = []

    def listener(event: BreakerEvent) -> None:
        heard.append(event.name)
        entered.set()
        release.wait(10.0)

    breaker = Breaker("x", BreakerSettings(), Hook(), listener)
    stuck = threading.Thread(target=fail, args=(breaker,))
    stuck.start()
    entered.wait(10.0)
    within(5.0, lambda: permit(breaker, 5.0))
    breaker.after_fork()
    release.set()
    within(5.0, lambda: breaker.reset(6.0))
    stuck.join()
    assert heard == ["opened", "reset"]
