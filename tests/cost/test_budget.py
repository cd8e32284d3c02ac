from __future__ import annotations

import decimal
import gc
import math
import os
import threading
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aistrale.cost.budgets.memory import Hold, MemoryStore
from aistrale.cost.budgets.store import Short, Slot

ONE = Decimal(1)
DAY = 86_400.0


def slot(key="a", limit="1", *, hard=True, start=0.0, end=math.inf, **more):
    return Slot(key, Decimal(limit), hard, start, end, **more)


def rolling(limit="1", length=60.0, **more):
    return slot(limit=limit, start=-math.inf, length=length, step=length / 60, **more)


def usd(*amounts):
    return [Decimal(amount) for amount in amounts]


def stands(store, *slots, now=0.0):
    return [(balance.spent, balance.reserved) for balance in store.snapshot(slots, now)]


def test_reserved_money_is_replaced_by_what_was_spent():
    store, a = MemoryStore(), slot()
    hold = store.reserve([a], usd("0.6"), 0.0)
    assert stands(store, a) == [(0, Decimal("0.6"))]
    store.settle(hold, usd("0.25"), 1.0)
    assert stands(store, a) == [(Decimal("0.25"), 0)]


def test_settling_twice_counts_once():
    store, a = MemoryStore(), slot()
    hold = store.reserve([a], usd("0.6"), 0.0)
    store.settle(hold, usd("0.5"), 1.0)
    store.settle(hold, usd("0.5"), 2.0)
    store.release(hold, 3.0)
    assert stands(store, a) == [(Decimal("0.5"), 0)]


def test_settling_with_nothing_known_spends_what_was_set_aside():
    store, a = MemoryStore(), slot()
    store.settle(store.reserve([a], usd("0.6"), 0.0), [None], 1.0)
    assert stands(store, a) == [(Decimal("0.6"), 0)]


def test_what_fits_exactly_fits_and_not_a_femtodollar_more():
    store, a = MemoryStore(), slot()
    assert isinstance(store.reserve([a], usd("1.000000000000001"), 0.0), Short)
    assert isinstance(store.reserve([a], usd("1"), 0.0), Hold)


def test_sums_are_exact_whatever_precision_the_caller_has_set():
    store, a = MemoryStore(), slot(limit="1000000")
    with decimal.localcontext() as context:
        context.prec = 3
        for _ in range(1000):
            store.settle(store.reserve([a], usd("123.456789012"), 0.0), usd("123.456789012"), 0.0)
    assert stands(store, a) == [(Decimal("123456.789012"), 0)]


def test_several_budgets_are_taken_all_or_none():
    store, a, b = MemoryStore(), slot("a", "5"), slot("b", "1")
    short = store.reserve([a, b], usd("2", "2"), 0.0)
    assert short.slot is b
    assert stands(store, a, b) == [(0, 0), (0, 0)]


def test_a_refusal_says_what_it_stands_at():
    store, a = MemoryStore(), slot(end=DAY)
    store.settle(store.reserve([a], usd("0.5"), 0.0), usd("0.5"), 0.0)
    held = store.reserve([a], usd("0.25"), 0.0)
    short = store.reserve([a], usd("0.75"), 0.0)
    assert (short.spent, short.reserved, short.needed) == (Decimal("0.5"), Decimal("0.25"), Decimal("0.75"))
    assert (short.passing, short.resets) == (False, DAY)
    assert (short.room, short.left) == (Decimal("0.25"), Decimal("0.5"))
    passing = store.reserve([a], usd("0.4"), 0.0)
    assert (passing.passing, passing.resets) == (True, None)
    assert held is not None


def test_what_no_period_has_room_for_never_resets():
    assert MemoryStore().reserve([slot(end=DAY)], usd("2"), 0.0).resets is None


def test_soft_budgets_refuse_nothing():
    store, a = MemoryStore(), slot(hard=False)
    store.settle(store.reserve([a], usd("3"), 0.0), usd("4"), 0.0)
    assert stands(store, a) == [(Decimal(4), 0)]


def test_an_attempt_that_cost_more_than_its_bound_blocks_what_follows():
    store, a = MemoryStore(), slot()
    store.settle(store.reserve([a], usd("0.5"), 0.0), usd("1.5"), 0.0)
    assert stands(store, a) == [(Decimal("1.5"), 0)]
    assert isinstance(store.reserve([a], usd("0"), 0.0), Short)


def test_growing_sets_more_aside_for_the_same_attempt():
    store, a, b = MemoryStore(), slot("a"), slot("b", "0.7")
    hold = store.reserve([a, b], usd("0.5", "0.5"), 0.0)
    assert store.grow(hold, usd("0.2", "0.2"), 0.0) is None
    short = store.grow(hold, usd("0.1", "0.1"), 0.0)
    assert (short.index, short.passing) == (1, False)
    assert stands(store, a, b) == [(0, Decimal("0.7")), (0, Decimal("0.7"))]
    store.settle(hold, usd("0.6", "0.6"), 0.0)
    assert stands(store, a, b) == [(Decimal("0.6"), 0), (Decimal("0.6"), 0)]


def test_growing_tells_when_only_others_are_in_the_way():
    store, a = MemoryStore(), slot()
    other, hold = store.reserve([a], usd("0.5"), 0.0), store.reserve([a], usd("0.4"), 0.0)
    assert store.grow(hold, usd("0.2"), 0.0).passing
    store.release(other, 0.0)
    assert store.grow(hold, usd("0.2"), 0.0) is None


def test_what_is_settled_late_belongs_to_the_period_in_which_it_was_reserved():
    store = MemoryStore()
    first, second = slot(start=0.0, end=DAY), slot(start=DAY, end=2 * DAY)
    hold = store.reserve([first], usd("0.9"), DAY - 1)
    new = store.reserve([second], usd("1"), DAY + 1)
    assert isinstance(new, Hold), "the new period has all of its money"
    store.settle(hold, usd("0.9"), DAY + 2)
    assert stands(store, second, now=DAY + 2) == [(0, ONE)]


def test_a_clock_that_is_set_back_does_not_give_money_back():
    store = MemoryStore()
    store.settle(store.reserve([slot(start=DAY)], usd("1"), DAY), usd("1"), DAY)
    assert isinstance(store.reserve([slot(start=0.0)], usd("0.1"), DAY - 5), Short)


def test_a_rolling_window_forgets_step_by_step_and_never_too_early():
    store, window = MemoryStore(), rolling(length=60.0)
    for second in range(0, 60, 6):
        store.settle(store.reserve([window], usd("0.1"), float(second)), usd("0.1"), float(second))
    short = store.reserve([window], usd("0.1"), 59.9)
    assert (short.passing, short.resets) == (False, 61.0), "what was spent in second 0 counts until it is 61"
    assert isinstance(store.reserve([window], usd("0.1"), 60.9), Short)
    held = store.reserve([window], usd("0.1"), 61.0)
    assert isinstance(held, Hold)
    assert stands(store, window, now=1000.0) == [(0, Decimal("0.1"))]


def test_a_rolling_window_has_bounded_memory():
    store, window = MemoryStore(), rolling("1000000", length=60.0)
    for tenth in range(20_000):
        store.settle(store.reserve([window], usd("0.1"), tenth / 10), usd("0.1"), tenth / 10)
    assert len(store._accounts["a"].window.buckets) <= 62
    assert stands(store, window, now=1999.9)[0][0] <= Decimal(61)


def test_marks_are_told_once_in_a_period():
    told = []
    store = MemoryStore(told.append)
    marks = tuple(usd("0.5", "0.8", "1"))
    first, second = slot(end=DAY, marks=marks), slot(start=DAY, end=2 * DAY, marks=marks)
    for amount in usd("0.4", "0.2", "0.1", "0.25"):
        store.settle(store.reserve([first], [amount], 1.0), [amount], 1.0)
    assert [notice.mark for notice in told] == [1, 2]
    store.settle(store.reserve([second], usd("1"), DAY), usd("1"), DAY)
    assert [notice.mark for notice in told[2:]] == [1, 2, 3]
    assert [notice.balance.spent for notice in told[2:]] == [ONE] * 3


def test_a_rolling_window_tells_a_mark_once_in_its_length():
    told = []
    store, window = MemoryStore(told.append), rolling(limit="10", marks=tuple(usd("1")))
    for second in (0.0, 62.0, 63.0, 130.0):
        store.settle(store.reserve([window], usd("1"), second), usd("1"), second)
    assert [notice.at for notice in told] == [0.0, 62.0, 130.0]


def test_the_first_refusal_of_a_period_is_told():
    told = []
    store, a = MemoryStore(told.append), slot(end=DAY)
    for _ in range(3):
        short = store.reserve([a], usd("2"), 5.0)
        assert isinstance(short, Short)
        store.refuse(short, 5.0)
    assert [(notice.mark, notice.at) for notice in told] == [(0, 5.0)]


def test_a_listener_that_raises_breaks_nothing():
    def told(_):
        raise RuntimeError

    store, a = MemoryStore(told), slot(marks=tuple(usd("0.5")))
    store.settle(store.reserve([a], usd("1"), 0.0), usd("1"), 0.0)
    assert stands(store, a) == [(ONE, 0)]


def test_a_counter_is_seeded_once_and_silently():
    told = []
    store, a = MemoryStore(told.append), slot(marks=tuple(usd("0.5", "0.8")))
    store.seed(a, [(0.0, Decimal("0.6"))], "a note")
    store.seed(a, [(0.0, Decimal("0.6"))])
    assert stands(store, a) == [(Decimal("0.6"), 0)]
    assert (told, store.seeded("a"), store.snapshot([a], 0.0)[0].note) == ([], True, "a note")
    store.settle(store.reserve([a], usd("0.3"), 0.0), usd("0.3"), 0.0)
    assert [notice.mark for notice in told] == [2]


def test_seeds_of_a_rolling_window_are_forgotten_in_their_turn():
    store, window = MemoryStore(), rolling()
    store.seed(window, [(10.0, Decimal("0.4")), (40.0, Decimal("0.5"))])
    assert stands(store, window, now=50.0) == [(Decimal("0.9"), 0)]
    assert stands(store, window, now=80.0) == [(Decimal("0.5"), 0)]


def test_what_is_spent_is_found_before_anything_is_reserved():
    store, a = MemoryStore(), slot(end=DAY)
    assert store.spent([a], 0.0) is None
    store.settle(store.reserve([a], usd("1"), 0.0), usd("1"), 0.0)
    assert store.spent([a], 0.0).resets == DAY
    assert store.spent([slot("b", hard=False, limit="0")], 0.0) is None


# --- the line ---------------------------------------------------------------------------------------------------------


def waiting(store, slots, amounts, order, name):
    return store.enter(slots, amounts, lambda: order.append(name), 0.0)


def test_those_who_wait_are_served_in_order_and_nobody_else_is_woken():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("1"), 0.0)
    tickets = [waiting(store, [a], usd("0.5"), order, name) for name in range(4)]
    store.release(hold, 0.0)
    assert order == [0, 1]
    store.release(tickets[0].hold, 0.0)
    assert order == [0, 1, 2]
    assert tickets[3].hold is tickets[3].short is None


def test_nobody_passes_those_who_wait():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("0.8"), 0.0)
    waiting(store, [a], usd("0.5"), order, "large")
    assert store.reserve([a], usd("0.1"), 0.0).passing, "there is room, but somebody came before"
    store.release(hold, 0.0)
    assert order == ["large"]
    assert isinstance(store.reserve([a], usd("0.1"), 0.0), Hold)


def test_who_can_never_be_served_is_told_and_the_next_one_is_served():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("1"), 0.0)
    large, small = (waiting(store, [a], usd(amount), order, amount) for amount in ("0.9", "0.2"))
    store.settle(hold, usd("0.5"), 0.0)
    assert order == ["0.9", "0.2"]
    assert large.short.spent == Decimal("0.5")
    assert small.hold is not None


def test_who_leaves_makes_room_for_the_next():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("0.7"), 0.0)
    first = waiting(store, [a], usd("0.9"), order, "first")
    waiting(store, [a], usd("0.3"), order, "second")
    store.leave(first, 0.0)
    assert order == ["second"]
    assert hold is not None


def test_money_that_comes_in_the_moment_of_leaving_is_given_back():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("1"), 0.0)
    ticket = waiting(store, [a], usd("0.9"), order, "x")
    store.release(hold, 0.0)
    store.leave(ticket, 0.0)
    assert stands(store, a) == [(0, 0)]


def test_lines_of_several_budgets_do_not_block_each_other_for_ever():
    store, a, b, order = MemoryStore(), slot("a"), slot("b"), []
    both = store.reserve([a, b], usd("1", "1"), 0.0)
    first = waiting(store, [a, b], usd("0.6", "0.6"), order, "both")
    later = [waiting(store, [each], usd("0.6"), order, each.key) for each in (b, a)]
    store.release(both, 0.0)
    assert order == ["both"]
    store.release(first.hold, 0.0)
    assert sorted(order) == ["a", "b", "both"]
    assert all(ticket.hold for ticket in later)


def test_growing_does_not_stand_in_line():
    store, a, order = MemoryStore(), slot(), []
    hold = store.reserve([a], usd("0.5"), 0.0)
    waiting(store, [a], usd("0.9"), order, "x")
    assert store.grow(hold, usd("0.3"), 0.0) is None


# --- what gets lost ---------------------------------------------------------------------------------------------------


def test_a_lost_hold_is_given_back_or_spent():
    store, a = MemoryStore(), slot()
    store.reserve([a], usd("0.4"), 0.0)
    gc.collect()
    assert stands(store, a) == [(0, 0)]
    hold = store.reserve([a], usd("0.4"), 0.0)
    hold.sent = True
    del hold
    gc.collect()
    assert stands(store, a) == [(Decimal("0.4"), 0)]


def test_counters_of_ended_windows_are_forgotten_and_running_ones_are_not():
    store = MemoryStore(keep=20)
    for number in range(100):
        old = slot(str(number), end=10.0)
        store.settle(store.reserve([old], usd("0.5"), 0.0), usd("0.5"), 0.0)
    assert len(store.slots()) == 100, "all of their windows run"
    for number in range(100, 160):
        store.reserve([slot(str(number), start=10.0, end=20.0)], usd("0.5"), 11.0)
    assert len(store.slots()) <= 60


def test_a_counter_under_way_is_kept_although_its_window_has_ended():
    store = MemoryStore(keep=16)
    kept = slot("kept", end=10.0)
    hold = store.reserve([kept], usd("0.5"), 0.0)
    for number in range(100):
        store.settle(store.reserve([slot(str(number), end=10.0)], usd("0.1"), 0.0), usd("0.1"), 0.0)
    store.reserve([slot("late", start=10.0)], usd("0.1"), 11.0)
    store.settle(hold, usd("0.5"), 11.0)
    assert stands(store, kept, now=11.0) == [(Decimal("0.5"), 0)]


def test_settling_in_a_finalizer_never_waits_for_the_lock_that_its_own_thread_holds():
    store, a = MemoryStore(), slot()
    hold = store.reserve([a], usd("0.5"), 0.0)
    store._one.run(lambda: store.settle(hold, usd("0.5"), 0.0))
    assert stands(store, a) == [(Decimal("0.5"), 0)]


def test_threads_never_pass_the_limit_together():
    store, a = MemoryStore(), slot(limit="10")
    spent = []

    def work():
        while isinstance(hold := store.reserve([a], usd("0.3"), 0.0), Hold):
            assert store.snapshot([a], 0.0)[0].spent <= 10
            store.settle(hold, usd("0.1"), 0.0)
            spent.append(1)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    balance = store.snapshot([a], 0.0)[0]
    assert (balance.spent, balance.reserved, balance.in_flight) == (Decimal("0.1") * len(spent), 0, 0)
    assert balance.spent <= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_keeps_what_was_spent_and_forgets_what_its_parent_has_under_way():
    store, a = MemoryStore(), slot()
    store.settle(store.reserve([a], usd("0.25"), 0.0), usd("0.25"), 0.0)
    hold = store.reserve([a], usd("0.5"), 0.0)
    child = os.fork()
    if child == 0:
        try:
            store.settle(hold, usd("0.5"), 0.0)
            good = stands(store, a) == [(Decimal("0.25"), 0)]
            good = good and isinstance(store.reserve([a], usd("0.75"), 0.0), Hold)
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert stands(store, a) == [(Decimal("0.25"), Decimal("0.5"))]


# --- for all interleavings --------------------------------------------------------------------------------------------

AMOUNTS = st.decimals(min_value=0, max_value=2, places=4)


class Interleavings(RuleBasedStateMachine):
    """Attempts that begin, grow, end and get lost in any order, over periods that turn."""

    @initialize(limits=st.lists(st.decimals(min_value=0, max_value=4, places=2), min_size=3, max_size=3))
    def begin(self, limits):
        self.store = MemoryStore()
        self.limits = limits
        self.period = 0
        self.now = 0.0
        self.open = []
        self.ended = []
        self.lines = []
        self.over = set()

    def slot(self, index):
        # The third one is a rolling window.
        if index == 2:
            return Slot("2", self.limits[2], True, -math.inf, math.inf, 10.0, 1.0)
        return Slot(str(index), self.limits[index], True, self.period * 100.0, self.period * 100.0 + 100.0)

    @rule(which=st.sets(st.integers(0, 2), min_size=1), amount=AMOUNTS)
    def reserve(self, which, amount):
        slots = [self.slot(index) for index in sorted(which)]
        before = self.store.snapshot(slots, self.now)
        result = self.store.reserve(slots, [amount] * len(slots), self.now)
        if isinstance(result, Hold):
            self.open.append(result)
        else:
            assert self.store.snapshot(slots, self.now) == before
            full = [
                slot
                for slot, balance in zip(slots, before, strict=True)
                if balance.spent + balance.reserved + amount > slot.limit
            ]
            assert full or any(balance.waiting for balance in before)

    @rule(which=st.sets(st.integers(0, 2), min_size=1), amount=AMOUNTS)
    def enter(self, which, amount):
        slots = [self.slot(index) for index in sorted(which)]
        woken = []
        ticket = self.store.enter(slots, [amount] * len(slots), lambda: woken.append(1), self.now)
        self.lines.append((ticket, woken, ticket.hold is None and ticket.short is None))

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def leave(self, data):
        ticket, woken, waited = self.lines.pop(data.draw(st.integers(0, len(self.lines) - 1)))
        assert len(woken) == (waited and (ticket.hold is not None or ticket.short is not None))
        if ticket.hold is not None and data.draw(st.booleans()):
            self.open.append(ticket.hold)
        else:
            self.store.leave(ticket, self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), more=AMOUNTS)
    def grow(self, data, more):
        hold = data.draw(st.sampled_from(self.open))
        self.store.grow(hold, [more] * len(hold.slots), self.now)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.sampled_from([None, Decimal(0), Decimal("0.5"), Decimal(1), Decimal("1.5")]))
    def settle(self, data, share):
        hold = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if share is not None and share > 1:
            self.over.update(slot.key for slot in hold.slots)
        actual = [None if share is None else amount * share for amount in hold.amounts]
        self.store.settle(hold, actual, self.now)
        self.ended.append(hold)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def settle_again(self, data):
        slots = [self.slot(index) for index in range(3)]
        before = self.store.snapshot(slots, self.now)
        self.store.settle(data.draw(st.sampled_from(self.ended)), [Decimal(1)] * 3, self.now)
        assert self.store.snapshot(slots, self.now) == before

    @rule(seconds=st.floats(0, 5))
    def pass_time(self, seconds):
        self.now = min(self.now + seconds, self.period * 100.0 + 99.0)

    @rule()
    def turn(self):
        self.period += 1
        self.now = self.period * 100.0

    @invariant()
    def the_limit_holds(self):
        slots = [self.slot(index) for index in range(3)]
        for slot, balance in zip(slots, self.store.snapshot(slots, self.now), strict=True):
            assert balance.spent >= 0
            assert balance.reserved >= 0
            if slot.key not in self.over:
                assert balance.spent + balance.reserved <= slot.limit

    def teardown(self):
        if not hasattr(self, "store"):
            return
        for hold in self.open:
            self.store.settle(hold, [None] * len(hold.slots), self.now)
        for ticket, _, _ in self.lines:
            self.store.leave(ticket, self.now)
        slots = [self.slot(index) for index in range(3)]
        for balance in self.store.snapshot(slots, self.now):
            assert (balance.reserved, balance.in_flight, balance.waiting) == (0, 0, 0)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(spending=st.lists(st.tuples(st.floats(0, 300), st.decimals(0, 1, places=3)), max_size=60))
def test_a_rolling_window_never_holds_more_than_the_limit_in_any_stretch_of_its_length(spending):
    store, window = MemoryStore(), rolling(length=60.0)
    done = []
    for at, amount in sorted(spending):
        result = store.reserve([window], [amount], at)
        if isinstance(result, Hold):
            store.settle(result, [amount], at)
            done.append((at, amount))
    for start, _ in done:
        assert sum(amount for at, amount in done if start <= at < start + 60.0) <= 1
