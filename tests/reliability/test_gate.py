from __future__ import annotations

import gc
import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import QueueFull, QueueTimeout
from aistrale.reliability import admission
from aistrale.reliability.gate import Gate
from aistrale.reliability.limits import LimitSettings

NAME = "openai/gpt-5-mini"
STEPS = {"high": 0, "normal": 1, "low": 2}


def gate_of(**limits):
    return Gate(NAME, LimitSettings(**limits))


class Caller:
    """A call at the gate that notes how often it was woken."""

    def __init__(self, gate, now=0.0, **options):
        self.woken = 0
        self.ticket = gate.enter(self.wake, now=now, **options)

    def wake(self):
        self.woken += 1

    @property
    def state(self):
        return self.ticket.state


# --- concurrency -----------------------------------------------------------------------------------------------------


def test_a_place_is_handed_to_the_first_in_line():
    gate = gate_of(concurrency=2)
    first, second = gate.admit(now=0.0), gate.admit(now=0.0)
    assert gate.admit(now=0.0) is None
    third, fourth = Caller(gate), Caller(gate)
    assert (gate.in_flight, gate.waiting) == (2, 2)
    gate.leave(second, 1.0, outcome="success")
    assert (third.state, third.woken, fourth.state) == ("admitted", 1, "waiting")
    assert gate.poll(third.ticket, 1.0) == 0.0
    assert gate.admit(now=1.0) is None
    gate.leave(first, 1.0, outcome="failed")
    gate.leave(third.ticket, 1.0, outcome="success")
    assert fourth.state == "admitted"
    gate.leave(fourth.ticket, 1.0, outcome="success")
    assert (gate.in_flight, gate.waiting) == (0, 0)


def test_a_place_is_given_back_once():
    gate = gate_of(concurrency=2)
    tickets = [gate.admit(now=0.0), gate.admit(now=0.0)]
    for _ in range(3):
        gate.leave(tickets[0], 1.0, outcome="cancelled")
    assert gate.in_flight == 1


def test_a_waiter_that_gives_up_leaves_nothing_behind():
    gate = gate_of(concurrency=1, rpm=60, tpm=6000)
    holder = gate.admit(now=0.0, tokens_in=10, tokens_out=0)
    before = gate.snapshot(0.0)
    one, two = Caller(gate, tokens_in=5000), Caller(gate)
    gate.leave(one.ticket, 0.0, outcome="unsent")
    gate.leave(two.ticket, 0.0, outcome="unsent")
    assert gate.snapshot(0.0) == before
    gate.leave(holder, 0.0, outcome="success")
    assert gate.in_flight == 0


def test_a_waiter_that_gives_up_in_the_moment_it_is_admitted_passes_the_place_on():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    one, two = Caller(gate), Caller(gate)
    gate.leave(holder, 1.0, outcome="success")
    assert one.state == "admitted"
    gate.leave(one.ticket, 1.0, outcome="unsent")
    assert (two.state, gate.in_flight) == ("admitted", 1)


def test_a_ticket_that_is_lost_gives_its_place_back():
    gate = gate_of(concurrency=1)
    assert gate.admit(now=0.0) is not None
    gc.collect()
    assert gate.in_flight == 0


def test_a_callback_that_raises_keeps_nobody_asleep():
    gate = gate_of(concurrency=2)
    holders = [gate.admit(now=0.0), gate.admit(now=0.0)]

    def broken():
        raise RuntimeError

    first = gate.enter(broken, now=0.0)
    other = Caller(gate)
    gate.throttled(1.0, 0.0)
    for holder in holders:
        gate.leave(holder, 0.0, outcome="success")
    gate.headers(RateLimits(requests=Window(60, 60, 0.0)), 2.0)
    assert first.admitted
    assert (other.state, other.woken) == ("admitted", 1)


def test_without_a_limit_everybody_goes():
    gate = gate_of(concurrency=None)
    tickets = [gate.admit(now=0.0) for _ in range(5000)]
    assert gate.in_flight == 5000
    assert gate.limit is None
    for ticket in tickets:
        gate.leave(ticket, 1.0, outcome="dropped")
    assert gate.limit is None


def test_auto_goes_down_with_throttling_and_up_with_success():
    gate = gate_of(max_concurrency=100, min_concurrency=3)
    tickets = [gate.admit(now=0.0) for _ in range(50)]
    assert gate.limit == 100
    for ticket in tickets:
        gate.leave(ticket, 1.0, outcome="dropped")
    assert gate.limit == 45
    tickets = [gate.admit(now=1.0) for _ in range(46)]
    assert tickets.pop() is None
    for ticket in tickets:
        gate.leave(ticket, 2.0, outcome="success")
    assert gate.limit == 45  # the last twenty were too few under way to prove anything
    tickets = [gate.admit(now=2.0) for _ in range(45)]
    for ticket in tickets[:25]:
        gate.leave(ticket, 3.0, outcome="success")
    assert gate.limit == 46
    for outcome in ("failed", "cancelled", "unsent"):
        gate.leave(tickets.pop(), 3.0, outcome=outcome)
    assert gate.limit == 46


def test_the_default_is_what_the_process_can_open(monkeypatch):
    monkeypatch.setattr(admission, "default_concurrency", lambda: 16)
    assert Gate(NAME).limit == 16
    assert gate_of(min_concurrency=20).limit == 20
    assert gate_of(max_concurrency=300).limit == 300


# --- order -----------------------------------------------------------------------------------------------------------


def test_high_goes_before_normal_before_low_and_first_come_first_served():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    order = []
    callers = {}
    for name in ("low a", "normal a", "high a", "low b", "high b", "normal b"):
        callers[name] = Caller(gate, priority=name.split()[0])
    while callers:
        gate.leave(holder, 0.0, outcome="success")
        name = next(name for name, caller in callers.items() if caller.state == "admitted")
        holder = callers.pop(name).ticket
        order.append(name)
    assert order == ["high a", "high b", "normal a", "normal b", "low a", "low b"]


def test_a_low_call_is_not_overtaken_for_ever():
    gate = gate_of(concurrency=1, ageing=10.0)
    holder = gate.admit(now=0.0)
    low = Caller(gate, priority="low")
    highs = []
    now = 0.0
    while low.state == "waiting" and now < 99.0:
        highs.append(Caller(gate, now=now, priority="high"))
        now += 1.0
        gate.leave(holder, now, outcome="success")
        holder = next((caller.ticket for caller in highs if caller.state == "admitted"), low.ticket)
    assert 20.0 < now < 23.0


@pytest.mark.parametrize(("later", "first"), [(9.9, "high"), (10.1, "normal")])
def test_ageing_outweighs_a_step_of_priority(later, first):
    gate = gate_of(concurrency=1, ageing=10.0)
    holder = gate.admit(now=0.0)
    callers = {"normal": Caller(gate), "high": Caller(gate, now=later, priority="high")}
    gate.leave(holder, 20.0, outcome="success")
    assert [name for name, caller in callers.items() if caller.state == "admitted"] == [first]


def test_a_higher_call_goes_at_once_where_only_the_lower_one_is_too_large():
    gate = gate_of(concurrency=None, tpm=6000)
    gate.admit(now=0.0, tokens_in=5000, tokens_out=0)
    gate.admit(now=0.0, tokens_in=500, tokens_out=0)
    large = Caller(gate, tokens_in=3000, tokens_out=0)
    assert large.state == "waiting"
    assert gate.admit(now=0.0, tokens_in=100, tokens_out=0) is None
    assert gate.admit(now=0.0, priority="high", tokens_in=100, tokens_out=0) is not None


# --- rates -----------------------------------------------------------------------------------------------------------


def test_the_first_in_line_is_told_when_time_lets_it_through():
    gate = gate_of(concurrency=None, rpm=60, burst=2.0)
    held = [gate.admit(now=0.0), gate.admit(now=0.0)]
    assert all(held)
    one, two = Caller(gate), Caller(gate)
    assert gate.poll(one.ticket, 0.0) == pytest.approx(1.0)
    assert gate.poll(two.ticket, 0.0) == 5.0
    assert gate.poll(one.ticket, 0.4) == pytest.approx(0.6)
    assert gate.poll(one.ticket, 1.0) == 0.0
    assert two.woken == 1
    assert gate.poll(two.ticket, 1.0) == pytest.approx(1.0)


def test_the_next_takes_over_the_clock_when_the_first_gives_up():
    gate = gate_of(concurrency=None, rpm=60, burst=0.0)
    assert gate.admit(now=0.0)
    one, two = Caller(gate), Caller(gate)
    gate.poll(one.ticket, 0.0)
    gate.leave(one.ticket, 0.2, outcome="unsent")
    assert two.woken == 1
    assert gate.poll(two.ticket, 0.2) == pytest.approx(0.8)


def test_an_amount_beyond_the_bucket_waits_for_a_full_one_and_holds_up_the_next():
    gate = gate_of(concurrency=None, tpm=6000)
    first = gate.admit(now=0.0, tokens_in=100, tokens_out=0)
    large = Caller(gate, tokens_in=60_000, tokens_out=0)
    assert gate.poll(large.ticket, 0.0) == pytest.approx(1.0)
    assert gate.poll(large.ticket, 1.0) == 0.0
    gate.leave(first, 1.0, outcome="success")
    assert gate.expected_wait(1.0, tokens_in=100, tokens_out=0) == pytest.approx((54_000 + 100) / 100)


@pytest.mark.parametrize(
    ("outcome", "tokens", "left"),
    [
        ("success", {}, (59, 2000, 3000, 5000)),
        ("success", {"tokens_in": 800, "tokens_out": 50}, (59, 5150, 5200, 5950)),
        ("success", {"tokens_in": 900, "tokens_out": 50, "cached": 600}, (59, 5050, 5700, 5950)),
        ("success", {"tokens_in": 900}, (59, 4100, 5100, 5000)),
        ("unsent", {}, (60, 6000, 6000, 6000)),
        ("cancelled", {}, (59, 3000, 3000, 6000)),
        ("cancelled", {"tokens_in": 900, "tokens_out": 40}, (59, 5060, 5100, 5960)),
        ("failed", {}, (59, 3000, 3000, 6000)),
        ("dropped", {"tokens_in": 0, "tokens_out": 0}, (59, 6000, 6000, 6000)),
    ],
)
def test_what_was_reserved_is_settled_with_what_was_used(outcome, tokens, left):
    gate = gate_of(rpm=60, tpm=6000, itpm=6000, otpm=6000)
    ticket = gate.admit(now=0.0, tokens_in=3000, tokens_out=1000)
    assert gate.snapshot(0.0).left == {
        "requests": 59,
        "tokens": 2000,
        "input_tokens": 3000,
        "output_tokens": 5000,
    }
    gate.leave(ticket, 0.0, outcome=outcome, **tokens)
    assert tuple(gate.snapshot(0.0).left.values()) == left


def test_a_refund_lets_the_next_go_at_once():
    gate = gate_of(concurrency=None, tpm=6000)
    ticket = gate.admit(now=0.0, tokens_in=1000, tokens_out=5000)
    waiter = Caller(gate, tokens_in=2000, tokens_out=0)
    gate.leave(ticket, 0.5, outcome="success", tokens_in=1000, tokens_out=10)
    assert (waiter.state, waiter.woken) == ("admitted", 1)


def test_headers_hold_calls_up_and_let_them_go():
    gate = gate_of()
    assert not gate.counts_tokens
    ticket = gate.admit(now=0.0)
    gate.headers(RateLimits(requests=Window(60, 0, 60.0), tokens=Window(6000, 5990, 0.1)), 0.0, ticket)
    assert gate.counts_tokens
    assert gate.admit(now=0.0, tokens_in=10, tokens_out=10) is None
    waiter = Caller(gate, tokens_in=10, tokens_out=10)
    assert gate.poll(waiter.ticket, 0.0) == pytest.approx(1.0)
    gate.headers(RateLimits(requests=Window(15_000, 14_990, 0.1)), 0.5, ticket)
    assert (waiter.state, waiter.woken) == ("admitted", 1)


# --- the provider asks for a pause -----------------------------------------------------------------------------------


def test_nothing_goes_before_an_announced_pause_is_over():
    gate = gate_of(concurrency=4)
    gate.throttled(3.0, 10.0)
    gate.throttled(1.0, 10.0)
    assert gate.admit(now=12.999) is None
    callers = [Caller(gate, now=12.0) for _ in range(6)]
    assert gate.poll(callers[0].ticket, 12.0) == pytest.approx(1.0)
    assert gate.poll(callers[0].ticket, 13.0) == 0.0
    assert [caller.state for caller in callers] == ["admitted"] * 4 + ["waiting"] * 2


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_pause_that_is_none_is_ignored(seconds):
    gate = gate_of()
    gate.throttled(seconds, 0.0)
    assert gate.admit(now=0.0)


@pytest.mark.parametrize("seconds", [601.0, 1e9, math.inf])
def test_a_pause_of_ages_is_cut_to_ten_minutes(seconds):
    gate = gate_of()
    gate.throttled(seconds, 0.0)
    assert gate.admit(now=599.0) is None
    assert gate.admit(now=600.0)


def test_who_cannot_wait_out_a_pause_leaves_at_once():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    short, long = Caller(gate, wait=5.0), Caller(gate, wait=50.0)
    gate.throttled(20.0, 0.0)
    assert (short.state, short.woken, long.state) == ("expired", 1, "waiting")
    with pytest.raises(
        QueueTimeout, match=r"waited 0\.1 s, position 1 of 2; the provider asked to wait for another 19\.9 s"
    ):
        gate.poll(short.ticket, 0.1)
    gate.leave(holder, 1.0, outcome="dropped")
    assert gate.poll(long.ticket, 1.0) == 5.0
    assert gate.poll(long.ticket, 20.0) == 0.0


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_full_queue_says_so_and_how_long_it_takes():
    gate = gate_of(concurrency=2, queue=3)
    gate.leave(gate.admit(now=0.0), 4.0, outcome="success")
    kept = [Caller(gate, now=4.0) for _ in range(5)]
    with pytest.raises(QueueFull) as caught:
        gate.enter(int, now=4.0)
    error = caught.value
    assert error.expected_wait == error.retry_after == pytest.approx((3 + 1) * 4.0 / 2)
    assert (error.provider, error.target) == ("openai", NAME)
    assert "3 calls wait" in str(error)
    assert "expected wait: 8 s" in str(error)
    assert gate.waiting == 3
    assert [caller.state for caller in kept] == ["admitted"] * 2 + ["waiting"] * 3


def test_a_queue_of_none_never_waits():
    gate = gate_of(concurrency=1, queue=0)
    assert gate.enter(int, now=0.0).admitted


def test_who_may_not_wait_is_refused_at_once():
    gate = gate_of(concurrency=1)
    holder = gate.enter(int, now=0.0, wait=0.0)
    assert holder.admitted
    with pytest.raises(QueueTimeout, match="1 calls are under way, the limit is 1; expected wait: not known") as caught:
        gate.enter(int, now=0.0, wait=0.0)
    assert caught.value.expected_wait is None
    assert gate.waiting == 0


def test_a_wait_that_cannot_end_in_time_is_refused_at_once():
    gate = gate_of(concurrency=None, rpm=60, burst=0.0)
    assert gate.admit(now=0.0)
    callers = [Caller(gate, wait=4.5) for _ in range(4)]
    with pytest.raises(QueueTimeout, match="in 5 s at the earliest, position 5 of 5") as caught:
        gate.enter(int, now=0.0, wait=4.5)
    assert caught.value.expected_wait == pytest.approx(5.0)
    assert "requests per minute" in str(caught.value)
    assert gate.enter(int, now=0.0, wait=5.5).state == "waiting"
    gate.throttled(3.0, 0.0)
    with pytest.raises(QueueTimeout, match="asked to wait"):
        gate.enter(int, now=0.0, wait=2.9)
    assert [caller.state for caller in callers] == ["waiting"] * 4


def test_a_wait_that_refunds_may_shorten_is_not_refused():
    gate = gate_of(concurrency=None, tpm=6000)
    holder = gate.admit(now=0.0, tokens_in=100, tokens_out=5900)
    waiter = Caller(gate, tokens_in=2000, tokens_out=0, wait=5.0)
    assert gate.expected_wait(0.0, tokens_in=100, tokens_out=0) == pytest.approx(21.0)
    gate.leave(holder, 1.0, outcome="success", tokens_in=100, tokens_out=10)
    assert waiter.state == "admitted"
    gate.leave(waiter.ticket, 1.0, outcome="success", tokens_in=8000, tokens_out=0)
    with pytest.raises(QueueTimeout, match="tokens per minute"):
        gate.enter(int, now=1.0, tokens_in=1000, tokens_out=0, wait=5.0)


def test_only_what_is_still_reserved_can_come_back():
    gate = gate_of(concurrency=None, tpm=6000)
    one, other = (gate.admit(now=0.0, tokens_in=0, tokens_out=2900) for _ in range(2))
    waiter = Caller(gate, tokens_in=4000, tokens_out=0, wait=1.0)
    assert waiter.state == "waiting"
    gate.leave(waiter.ticket, 0.0, outcome="unsent")
    gate.leave(one, 0.0, outcome="success", tokens_in=0, tokens_out=2900)
    with pytest.raises(QueueTimeout, match="in 9 s"):
        gate.enter(int, now=0.0, tokens_in=4000, tokens_out=0, wait=1.0)
    assert other.admitted


def test_who_has_waited_too_long_leaves_the_queue_unsent():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    one, two = Caller(gate, wait=3.0), Caller(gate, wait=9.0)
    assert gate.poll(one.ticket, 1.0) == pytest.approx(2.0)
    with pytest.raises(QueueTimeout, match=r"waited 3 s, position 1 of 2; 1 calls are under way, the limit is 1"):
        gate.poll(one.ticket, 3.0)
    assert (gate.waiting, two.state) == (1, "waiting")
    gate.leave(one.ticket, 3.0, outcome="unsent")
    gate.leave(holder, 4.0, outcome="success")
    assert two.state == "admitted"


def test_an_expired_call_is_passed_over_when_a_place_comes_free():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    one, two = Caller(gate, wait=3.0), Caller(gate, wait=9.0)
    gate.leave(holder, 3.5, outcome="success")
    assert (one.state, one.woken, two.state) == ("expired", 1, "admitted")
    with pytest.raises(QueueTimeout):
        gate.poll(one.ticket, 3.5)
    assert gate.in_flight == 1


def test_the_expected_wait_counts_those_who_go_before():
    gate = gate_of(concurrency=2, ageing=10.0)
    gate.leave(gate.admit(now=0.0), 6.0, outcome="success")
    assert gate.expected_wait(6.0) == 0.0
    priorities = ("normal", "normal", "low", "low", "low", "normal", "normal", "high")
    kept = [gate.enter(int, now=6.0, priority=priority) for priority in priorities]
    assert gate.waiting == len(kept) - 2
    waits = {name: gate.expected_wait(6.0, name) for name in STEPS}
    assert waits == {"high": 2 * 3.0, "normal": 4 * 3.0, "low": 7 * 3.0}
    assert gate.expected_wait(27.0, "high") == 7 * 3.0
    assert gate.expected_wait(17.0, "high") == 4 * 3.0


def test_the_time_in_line_is_no_time_of_service():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    waiter = Caller(gate)
    gate.leave(holder, 4.0, outcome="success")
    gate.leave(waiter.ticket, 6.0, outcome="success")
    last = gate.admit(now=6.0)
    assert gate.expected_wait(6.0) == pytest.approx(0.8 * 4.0 + 0.2 * 2.0)
    assert last.admitted


def test_of_a_lower_priority_only_those_that_have_waited_long_are_counted():
    gate = gate_of(concurrency=1, ageing=10.0)
    gate.leave(gate.admit(now=0.0), 4.0, outcome="success")
    kept = [gate.enter(int, now=instant, priority="low") for instant in (4.0, 4.0, 5.0, 20.0)]
    assert gate.waiting == len(kept) - 1
    assert [gate.expected_wait(now, "high") for now in (23.9, 24.5, 25.5, 40.0)] == [4.0, 8.0, 12.0, 16.0]


def test_messages_hold_nothing_of_the_call():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    assert holder
    for wait in (0.0, 1.0):
        gate.throttled(5.0, 0.0)
        with pytest.raises(QueueTimeout) as caught:
            gate.enter(int, now=0.0, wait=wait, tokens_in=4711)
        assert "4711" not in str(caught.value)
        assert caught.value.hint


# --- processes -------------------------------------------------------------------------------------------------------


def test_a_forked_child_forgets_what_its_parent_had_under_way():
    gate = gate_of(concurrency=2, rpm=600)
    tickets = [gate.admit(now=0.0), gate.admit(now=0.0)]
    waiter = Caller(gate)
    gate._lock.acquire()
    gate.after_fork()
    assert not gate._lock.locked()
    assert (gate.in_flight, gate.waiting) == (0, 0)
    mine = [gate.admit(now=0.0), gate.admit(now=0.0)]
    assert all(mine)
    for ticket in [*tickets, waiter.ticket]:
        gate.leave(ticket, 1.0, outcome="success")
    assert gate.in_flight == 2
    assert waiter.woken == 0


def test_a_wait_that_a_fork_cut_off_ends():
    gate = gate_of(concurrency=1)
    holder = gate.admit(now=0.0)
    waiter = Caller(gate)
    gate.after_fork()
    assert holder.admitted
    with pytest.raises(QueueTimeout):
        gate.poll(waiter.ticket, 1.0)


def test_what_was_learned_stays_after_a_fork():
    gate = gate_of(max_concurrency=50)
    tickets = [gate.admit(now=0.0) for _ in range(20)]
    gate.leave(tickets[0], 1.0, outcome="dropped")
    gate.throttled(60.0, 0.0)
    gate.after_fork()
    assert gate.limit == 18
    assert gate.admit(now=59.0) is None


# --- the whole, against a model --------------------------------------------------------------------------------------


class GateMachine(RuleBasedStateMachine):
    """L2, L5, T1, T2, T3, T5 and the order of admissions, against lists that are sorted anew at each step.

    All times are sums of powers of two, so that both come to the same numbers.
    """

    limit = 3
    ageing = 5.03  # no multiple of the steps of time, so that no two lanes tie
    rate = 2.0
    burst = 6.0

    def __init__(self):
        super().__init__()
        self.gate = gate_of(
            concurrency=self.limit, rpm=self.rate * 60, burst=self.burst / self.rate, queue=8, ageing=self.ageing
        )
        self.now = 100.0
        self.count = 0
        self.tickets = {}
        self.woken = set()
        # The model: who waits as (key, lane, number), who is under way, and the requests in the bucket.
        self.line = []
        self.until = {}
        self.flying = set()
        self.level, self.stamp = self.burst, self.now
        self.blocked = 0.0

    def refill(self):
        self.level = min(self.burst, self.level + (self.now - self.stamp) * self.rate)
        self.stamp = self.now

    def move(self):
        """What the gate should do now; the numbers of those who are admitted or expire."""
        changed = []
        self.refill()
        while self.line:
            number = min(self.line)[2]
            if self.until[number] < self.now:
                self.forget(number)
                changed.append(number)
                continue
            if len(self.flying) >= self.limit or self.now < self.blocked or self.level < 1.0:
                break
            self.forget(number)
            self.flying.add(number)
            self.level -= 1.0
            changed.append(number)
        return changed

    def forget(self, number):
        self.line = [entry for entry in self.line if entry[2] != number]

    def check(self, changed):
        for number, ticket in self.tickets.items():
            waiting = any(entry[2] == number for entry in self.line)
            assert (ticket.state == "waiting") == waiting
            assert (ticket.state == "admitted") == (number in self.flying)
        assert set(changed) <= self.woken

    @rule(priority=st.sampled_from(sorted(STEPS)), wait=st.sampled_from([0.0, 1.0, 4.0, 30.0, None]))
    def enter(self, priority, wait):
        self.count += 1
        number = self.count
        lane = STEPS[priority]
        self.line.append((self.now + lane * self.ageing, lane, number))
        self.until[number] = math.inf if wait is None else self.now + wait
        changed = self.move()
        self.woken.clear()
        ticket = error = None
        try:
            ticket = self.gate.enter(lambda: self.woken.add(number), priority=priority, now=self.now, wait=wait)
        except (QueueFull, QueueTimeout) as refusal:
            error = refusal
        if ticket is None:
            assert number not in self.flying
            full = len(self.line) - 1 >= 8
            assert isinstance(error, QueueFull) == full
            ahead = sum(entry < (self.now + lane * self.ageing, lane, number) for entry in self.line)
            certain = max(self.blocked - self.now, (ahead + 1 - self.level) / self.rate)
            assert full or (wait is not None and (wait == 0.0 or certain > wait))
            self.forget(number)
            changed = [other for other in changed if other != number] + self.move()
        else:
            assert not (wait == 0.0 and ticket.state == "waiting")
            self.tickets[number] = ticket
        self.check([other for other in changed if other != number])

    @rule(priority=st.sampled_from(sorted(STEPS)))
    def admit(self, priority):
        if len(self.flying) >= self.limit or self.now < self.blocked:
            assert self.gate.admit(priority=priority, now=self.now) is None
            return
        self.count += 1
        number = self.count
        lane = STEPS[priority]
        self.line.append((self.now + lane * self.ageing, lane, number))
        self.until[number] = math.inf
        self.move()
        ticket = self.gate.admit(priority=priority, now=self.now)
        assert (ticket is not None) == (number in self.flying)
        self.forget(number)
        if ticket is not None:
            self.tickets[number] = ticket

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "failed", "cancelled", "unsent", "dropped"]))
    def leave(self, data, outcome):
        number = data.draw(st.sampled_from(sorted(self.flying)))
        self.flying.remove(number)
        self.refill()
        if outcome == "unsent":
            self.level = min(self.burst, self.level + 1.0)
        changed = self.move()
        self.woken.clear()
        self.gate.leave(self.tickets.pop(number), self.now, outcome=outcome)
        self.check(changed)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data):
        number = data.draw(st.sampled_from(sorted(entry[2] for entry in self.line)))
        self.forget(number)
        ticket = self.tickets.pop(number)
        changed = self.move()
        self.woken.clear()
        self.gate.leave(ticket, self.now, outcome="unsent")
        self.check(changed)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def poll(self, data):
        number = data.draw(st.sampled_from(sorted(entry[2] for entry in self.line)))
        changed = self.move()
        if any(entry[2] == number for entry in self.line) and self.until[number] <= self.now:
            self.forget(number)
            changed += [number, *self.move()]
        self.woken.clear()
        try:
            pause = self.gate.poll(self.tickets[number], self.now)
        except QueueTimeout:
            assert number not in self.flying
        else:
            assert (pause == 0.0) == (number in self.flying)
            if pause and min(self.line)[2] == number:
                self.check_pause(number, pause)
        self.check([other for other in changed if other != number])

    def check_pause(self, number, pause):
        """The first in line looks again at the instant at which it can go, give up, or once in five seconds."""
        instants = [self.until[number] - self.now, 5.0]
        if len(self.flying) < self.limit:
            instants.append(max(self.blocked - self.now, (1.0 - self.level) / self.rate))
        assert pause == pytest.approx(max(min(instants), 0.001), abs=1e-6)

    @rule(seconds=st.sampled_from([0.0, 0.25, 1.0, 7.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(seconds=st.sampled_from([0.25, 2.0]))
    def throttled(self, seconds):
        self.blocked = max(self.blocked, self.now + seconds)
        changed = [number for _, _, number in self.line if self.until[number] < self.blocked]
        for number in changed:
            self.forget(number)
        changed += self.move()
        self.woken.clear()
        self.gate.throttled(seconds, self.now)
        self.check(changed)

    @invariant()
    def places_add_up(self):
        assert self.gate.in_flight == len(self.flying) <= self.limit
        assert self.gate.waiting == len(self.line) <= 8


GateMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestGateAgainstModel = GateMachine.TestCase


# --- liveness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_wakes_and_pauses_alone_bring_everybody_through(monkeypatch, seed):
    """Callers look at the gate only when they are woken or their pause is over; nobody is forgotten or late."""
    monkeypatch.setattr(admission, "_PATROL", math.inf)
    rng = random.Random(seed)
    gate = gate_of(concurrency=rng.choice([1, 3, None]), rpm=rng.choice([None, 600]), tpm=60_000, burst=3.0, queue=500)
    world = World(gate, rng)
    for number in range(60):
        world.arrive(number, rng.uniform(0.0, 4.0))
    world.run()
    assert (gate.in_flight, gate.waiting) == (0, 0)
    assert world.done == 60


class World:
    """Virtual time: arrivals, ends of calls and of pauses, in order."""

    def __init__(self, gate, rng):
        self.gate = gate
        self.rng = rng
        self.now = 0.0
        self.events = []
        self.done = 0
        self.tickets = {}
        self.versions = {}

    def at(self, instant, action, *values):
        self.events.append((instant, len(self.events), action, values))

    def arrive(self, number, instant):
        self.at(instant, self.enter, number)

    def run(self):
        for _ in range(20_000):
            if not self.events:
                return
            event = min(self.events, key=lambda event: event[:2])
            self.events.remove(event)
            self.now = max(self.now, event[0])
            event[2](*event[3])
            self.somebody_looks()
        pytest.fail("calls are still under way")

    def somebody_looks(self):
        """The first in line has its eye on the instant at which time lets it through."""
        state = self.gate._state
        head = state.line.head()
        if head is not None and (pause := state._pause(head, self.now)) < math.inf:
            number = next(number for number, ticket in self.tickets.items() if ticket is head)
            looks = [
                instant
                for instant, _, action, values in self.events
                if action == self.look and values[0] == number and values[1] in {None, self.versions[number]}
            ]
            assert looks
            assert min(looks) <= min(self.now + pause, head.until) + 0.003

    def enter(self, number):
        options = {
            "priority": self.rng.choice(sorted(STEPS)),
            "tokens_in": self.rng.choice([0, 50, 800, 5000]),
            "tokens_out": self.rng.choice([None, 0, 700]),
            "wait": self.rng.choice([None, None, 2.0, 30.0]),
        }
        self.versions[number] = 0
        try:
            ticket = self.gate.enter(lambda: self.at(self.now, self.look, number, None), now=self.now, **options)
        except QueueTimeout:
            self.done += 1
            return
        self.tickets[number] = ticket
        self.look(number, None)

    def look(self, number, version):
        if number not in self.tickets or (version is not None and version != self.versions[number]):
            return
        self.versions[number] += 1
        try:
            pause = self.gate.poll(self.tickets[number], self.now)
        except QueueTimeout:
            del self.tickets[number]
            self.done += 1
            return
        if pause:
            if pause < math.inf:
                self.at(self.now + pause, self.look, number, self.versions[number])
            if self.rng.random() < 0.05:
                self.gate.leave(self.tickets.pop(number), self.now, outcome="unsent")
                self.done += 1
            return
        self.at(self.now + self.rng.uniform(0.05, 1.0), self.leave, self.tickets.pop(number))
        if self.rng.random() < 0.05:
            self.gate.throttled(self.rng.uniform(0.1, 2.0), self.now)

    def leave(self, ticket):
        outcome = self.rng.choice(["success", "failed", "cancelled", "unsent", "dropped"])
        self.gate.leave(ticket, self.now, outcome=outcome, tokens_in=self.rng.choice([None, 40]))
        self.done += 1
