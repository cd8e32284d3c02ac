"""Budgets of several processes; each QuietFleet is one, and does what it does in the background when it is told to."""

from __future__ import annotations

import gc
import math
import os
import threading
from decimal import Decimal
from itertools import count

import pytest

from aistrale.cost.budgets.hold import Hold
from aistrale.cost.budgets.store import Short, Slot
from tests.store.redis.quiet import Clock, QuietFleet

DAY = 86_400.0
NOW = 20_000 * DAY + 100.0
ONE = Decimal(1)
NAMES = count()


def slot(key="a", limit="1", *, hard=True, **more):
    return Slot(key, Decimal(limit), hard, NOW // DAY * DAY, NOW // DAY * DAY + DAY, **more)


def usd(*amounts):
    return [Decimal(amount) for amount in amounts]


class Processes:
    def __init__(self, server):
        self.server = server
        self.url = f"{server.url}?prefix=p{next(NAMES)}"
        self.wall, self.clock = Clock(NOW), Clock()
        self.fleets = []
        self.told = []

    def start(self, url=None):
        fleet = QuietFleet(url or self.url, self.wall, self.clock)
        self.fleets.append(fleet)
        store = fleet.budgets(lambda notice: self.told.append((notice.slot.key, notice.mark, notice.balance.spent)))
        return fleet, store

    def stands(self, store, which):
        self.clock.now += 10.0
        (balance,) = store.snapshot([which], self.wall.now)
        return balance.spent, balance.reserved


def reserve(store, which, amount, *, now=NOW):
    return store.reserve([which], usd(amount), now)


def spend(fleet, store, which, amount):
    hold = reserve(store, which, amount)
    assert isinstance(hold, Hold)
    store.settle(hold, usd(amount), NOW)
    fleet.tell()


# --- with Redis ------------------------------------------------------------------------------------------------------


def test_what_one_process_reserves_another_cannot(processes):
    (_, one), (_, two) = processes.start(), processes.start()
    kept = reserve(one, slot(), "0.6")
    short = reserve(two, slot(), "0.5")
    assert isinstance(kept, Hold)
    assert isinstance(short, Short)
    assert (short.passing, short.reserved, short.needed) == (True, Decimal("0.6"), Decimal("0.5"))
    assert isinstance(reserve(two, slot(), "0.4"), Hold)


def test_what_was_spent_is_gone_for_all_until_the_period_ends(processes):
    (fleet, one), (_, two) = processes.start(), processes.start()
    spend(fleet, one, slot(), "0.75")
    short = reserve(two, slot(), "0.5")
    assert (short.passing, short.spent, short.resets) == (False, Decimal("0.75"), slot().end)
    tomorrow = Slot("a", ONE, True, slot().end, slot().end + DAY)
    assert isinstance(reserve(two, tomorrow, "1", now=slot().end), Hold)


def test_all_counters_of_an_attempt_or_none(processes):
    (_, one) = processes.start()
    wide, narrow = slot("wide", "10"), slot("narrow", "0.1")
    assert isinstance(one.reserve([wide, narrow], usd("1", "1"), NOW), Short)
    assert processes.stands(one, wide) == (0, 0)


def test_a_settlement_is_told_once_though_its_answer_was_lost(processes):
    fleet, one = processes.start()
    one.settle(reserve(one, slot(), "0.5"), usd("0.25"), NOW)
    batch = one._books.take_batch()  # what the flush sends, to send it twice
    one._wire.settle(batch, NOW)
    fleet.tell()
    assert processes.stands(one, slot()) == (Decimal("0.25"), 0)


def test_calls_of_one_process_settle_together(processes):
    fleet, one = processes.start()
    holds = [reserve(one, slot(limit="100"), "0.5") for _ in range(50)]
    for hold in holds:
        one.settle(hold, usd("0.1"), NOW)
    assert one.pending == 1
    fleet.tell()
    assert processes.stands(one, slot(limit="100")) == (Decimal(5), 0)


def test_thresholds_are_told_by_whoever_passes_them_and_once(processes):
    (fleet, one), (other, two) = processes.start(), processes.start()
    marked = slot(marks=(Decimal("0.5"), ONE))
    spend(fleet, one, marked, "0.375")
    spend(other, two, marked, "0.25")
    spend(fleet, one, marked, "0.375")
    assert processes.told == [("a", 1, Decimal("0.625")), ("a", 2, ONE)]


def test_a_refusal_is_told_by_one_of_them(processes):
    (fleet, one), (other, two) = processes.start(), processes.start()
    spend(fleet, one, slot(), "1")
    for process, store in ((fleet, one), (other, two)):
        store.refuse(reserve(store, slot(), "0.5"), NOW)
        process.tell()
    assert processes.told == [("a", 0, ONE)]


def test_the_past_is_brought_in_by_the_first(processes):
    (_, one), (_, two) = processes.start(), processes.start()
    one.seed(slot(), [(NOW - 50.0, Decimal("0.75"))], "a note")
    two.seed(slot(), [(NOW - 50.0, Decimal("0.75"))])
    assert one.seeded("a")
    assert two.seeded("a")
    assert not one.seeded("b")
    assert processes.stands(two, slot()) == (Decimal("0.75"), 0)
    assert one.snapshot([slot()], NOW)[0].note == "a note"


def test_a_rolling_window_forgets_the_past_too(processes):
    _, one = processes.start()
    rolling = Slot("r", ONE, True, -math.inf, math.inf, 60.0, 1.0)
    one.seed(rolling, [(NOW - 59.0, Decimal("0.5")), (NOW - 10.0, Decimal("0.25"))])
    assert processes.stands(one, rolling) == (Decimal("0.75"), 0)
    processes.wall.now += 3.0
    assert processes.stands(one, rolling) == (Decimal("0.25"), 0)


def test_a_single_calls_own_limit_is_nobody_elses(processes):
    (_, one), (_, two) = processes.start(), processes.start()
    own = slot("call", shared=False)
    hold = one.reserve([slot(), own], usd("0.5", "0.9"), NOW)
    assert isinstance(two.reserve([own], usd("0.9"), NOW), Hold)
    short = one.reserve([slot(), own], usd("0.1", "0.2"), NOW)
    assert (short.index, short.slot.key, short.passing) == (1, "call", True)
    assert one.grow(hold, usd("0.1", "0.2"), NOW).index == 1
    one.settle(hold, usd("0.25", "0.25"), NOW)
    one.flush()
    assert processes.stands(one, slot()) == (Decimal("0.25"), 0)
    assert one.snapshot([own], NOW)[0].spent == Decimal("0.25")
    one.forget("call")
    assert one.snapshot([own], NOW)[0].spent == 0


def test_what_is_spent_is_known_without_asking_for_a_moment(processes):
    fleet, one = processes.start()
    assert one.spent([slot()], NOW) is None
    spend(fleet, one, slot(), "1")
    asked = fleet.connection.run
    fleet.connection.run = None
    short = one.spent([slot("b"), slot()], NOW)
    assert (short.index, short.slot.key, short.resets) == (1, "a", slot().end)
    fleet.connection.run = asked
    processes.clock.now += 2.0
    assert one.spent([slot()], NOW) is None


def test_a_hold_that_gets_lost_gives_its_money_back(processes):
    fleet, one = processes.start()
    reserve(one, slot(), "0.5")
    gc.collect()
    fleet.tell()
    assert processes.stands(one, slot()) == (0, 0)
    hold = reserve(one, slot(), "0.5")
    hold.sent = True
    del hold
    gc.collect()
    fleet.tell()
    assert processes.stands(one, slot()) == (Decimal("0.5"), 0)


# --- the line --------------------------------------------------------------------------------------------------------


def test_who_waits_is_served_when_another_process_settles_and_in_order(processes):
    (fleet, one), (other, two) = processes.start(), processes.start()
    kept = reserve(one, slot(), "0.9")
    woken = []
    first = two.enter([slot()], usd("0.5"), lambda: woken.append(1), NOW)
    second = two.enter([slot()], usd("0.5"), lambda: woken.append(2), NOW)
    assert two.serve() is not None
    assert woken == []
    # A newcomer does not pass them, though there is enough for it.
    short = reserve(two, slot(), "0.05")
    assert (short.passing, short.reserved) == (True, Decimal("0.9"))
    one.settle(kept, usd("0.25"), NOW)
    fleet.tell()
    two.serve()
    assert woken == [1]
    two.settle(first.hold, usd("0.5"), NOW)
    other.tell()
    assert two.serve() is None
    assert (woken, second.hold, second.short.passing) == ([1, 2], None, False)


def test_who_gives_up_waiting_gets_nothing(processes):
    (fleet, one), (_, two) = processes.start(), processes.start()
    kept = reserve(one, slot(), "0.9")
    ticket = two.enter([slot()], usd("0.5"), lambda: None, NOW)
    two.leave(ticket, NOW)
    one.settle(kept, usd("0"), NOW)
    fleet.tell()
    assert two.serve() is None
    assert ticket.hold is None
    late = two.enter([slot()], usd("0.5"), lambda: None, NOW)
    two.serve()
    two.leave(late, NOW)
    two.flush()
    assert processes.stands(two, slot()) == (0, 0)


def test_those_who_wait_for_other_money_are_not_held_up(processes):
    (_, one), (_, two) = processes.start(), processes.start()
    kept = reserve(one, slot(), "0.9")
    two.enter([slot()], usd("0.5"), lambda: None, NOW)
    other = two.enter([slot("b")], usd("0.5"), lambda: None, NOW)
    two.serve()
    assert isinstance(other.hold, Hold)
    assert kept.done is False


# --- processes that die ----------------------------------------------------------------------------------------------


def reap(processes, fleet):
    """Take it that the process was not heard of for too long, and let another one live on."""
    other, _ = processes.start()
    other.back()
    client = other.connection.client()
    client.zadd(other.key("alive"), {fleet.id: 1.0})
    other._sign(join=False)
    return client


def test_what_a_dead_process_had_reserved_counts_as_spent(processes):
    fleet, one = processes.start()
    hold = reserve(one, slot(), "0.75")
    reap(processes, fleet)
    _, two = processes.start()
    assert processes.stands(two, slot()) == (Decimal("0.75"), 0)
    assert hold.done is False


def test_one_that_was_only_silent_takes_it_back(processes):
    fleet, one = processes.start()
    hold, rolling = reserve(one, slot(), "0.75"), Slot("r", ONE, True, -math.inf, math.inf, 60.0, 1.0)
    other = reserve(one, rolling, "0.5")
    reap(processes, fleet)
    assert isinstance(reserve(one, slot(), "0.125"), Hold)  # by its own share: Redis did not know it
    assert fleet.connection.down
    one.settle(hold, usd("0.25"), NOW)
    assert fleet.back()
    fleet.tell()
    _, two = processes.start()
    assert processes.stands(two, rolling) == (0, Decimal("0.5"))
    assert processes.stands(two, slot())[0] == Decimal("0.25")
    one.settle(other, usd("0.125"), NOW)
    fleet.tell()
    assert processes.stands(two, rolling) == (Decimal("0.125"), 0)


def test_nothing_of_a_process_stays_where_it_reserved_nothing(processes):
    fleet, one = processes.start()
    spend(fleet, one, slot(), "0.5")
    fleet._exit()
    client = processes.start()[0].connection.client()
    assert client.hlen(fleet.key("procs")) == 0
    assert client.zcard(fleet.key("alive")) == 0
    assert not client.keys(fleet.key("batch", "*"))
    assert all(client.ttl(key) > 0 for key in client.keys(fleet.key("*")))


# --- without Redis ---------------------------------------------------------------------------------------------------


def test_each_keeps_to_its_share_and_all_of_it_is_told_when_redis_is_back(frail):
    fleets = [frail.start() for _ in range(4)]
    spend(*fleets[0], slot(), "0.2")
    holding = reserve(fleets[0][1], slot(), "0.2")
    for fleet, _ in fleets:
        fleet.back()
    for fleet, store in fleets:
        fleet._sign(join=False)
        store._books.use([slot()], frail.clock.now)
        store.refresh()
    frail.server.kill()
    for fleet, store in fleets:
        # 1 less 0.2 spent and 0.2 reserved, by four.
        assert isinstance(reserve(store, slot(), "0.16"), Short)
        taken = reserve(store, slot(), "0.15")
        assert fleet.connection.down
        assert isinstance(taken, Hold)
        assert isinstance(reserve(store, slot(), "0.01"), Short)
        assert store.spent([slot()], NOW) is None
        store.settle(taken, usd("0.15"), NOW)
        assert store.spent([slot()], NOW).index == 0
        fleet.tell()
    fleets[0][1].settle(holding, usd("0.1"), NOW)
    frail.server.start()
    for fleet, _ in fleets:
        assert fleet.back()
        fleet.tell()
    # Nothing was lost although Redis lost everything: 0.2 and 0.1, and four times 0.15.
    for _, store in fleets:
        assert frail.stands(store, slot()) == (Decimal("0.9"), 0)


def test_what_is_reserved_when_redis_comes_back_is_told(frail):
    (fleet, one), (other, two) = frail.start(), frail.start()
    before = reserve(one, slot(), "0.25")
    frail.server.kill()
    during = reserve(one, slot(), "0.125")
    frail.server.start()
    assert fleet.back()
    assert other.back()
    assert frail.stands(two, slot()) == (0, Decimal("0.375"))
    one.settle(before, usd("0.0625"), NOW)
    one.settle(during, [None], NOW)
    fleet.tell()
    assert frail.stands(two, slot()) == (Decimal("0.1875"), 0)


def test_who_is_back_first_does_not_spend_what_others_have_spent_meanwhile(frail):
    (early, one), (late, two) = frail.start(), frail.start()
    for fleet in (early, late, early):
        fleet.back()
        fleet._sign(join=False)
    frail.server.kill()
    spend(late, two, slot(), "0.5")
    taken = reserve(one, slot(), "0.25")
    frail.server.start()
    assert early.back()
    # The other one's half is not known yet; its own share is.
    assert isinstance(reserve(one, slot(), "0.5"), Short)
    more = reserve(one, slot(), "0.125")
    assert isinstance(more, Hold)
    assert late.back()
    late.tell()
    frail.clock.now += 2.0
    early.back()
    assert frail.stands(two, slot()) == (Decimal("0.5"), Decimal("0.375"))
    assert isinstance(reserve(one, slot(), "0.25"), Short)
    assert isinstance(reserve(one, slot(), "0.125"), Hold)
    assert taken.done is False


def test_the_one_who_knows_most_restores_it(frail):
    (early, one), (late, two) = frail.start(), frail.start()
    spend(early, one, slot(), "0.25")
    spend(late, two, slot(), "0.5")
    frail.server.kill()
    for _, store in ((early, one), (late, two)):
        assert isinstance(reserve(store, slot(), "0.9"), Short)
    frail.server.start()
    assert early.back()
    assert late.back()
    assert frail.stands(one, slot()) == (Decimal("0.75"), 0)
    newcomer = frail.start()[1]
    newcomer.seed(slot(), [(NOW, Decimal("0.75"))])
    assert frail.stands(newcomer, slot()) == (Decimal("0.75"), 0)


def test_data_that_is_flushed_away_is_restored_as_well(frail):
    fleet, one = frail.start()
    spend(fleet, one, slot(), "0.75")
    kept = reserve(one, slot(), "0.125")
    fleet.connection.client().flushall()
    assert isinstance(reserve(one, slot(), "0.5"), Short)
    assert fleet.connection.down
    assert fleet.back()
    assert frail.stands(one, slot()) == (Decimal("0.75"), Decimal("0.125"))
    assert kept.done is False


def test_a_counter_that_redis_throws_away_is_missed(frail):
    (fleet, one), (other, two) = frail.start(), frail.start()
    spend(fleet, one, slot(), "0.75")
    frail.stands(two, slot())
    client = fleet.connection.client()
    client.delete(*client.keys(fleet.key("budget", "*")))
    # The first to be asked for is given once too often; then it is noticed.
    reserve(one, slot(), "0.125")
    assert fleet.connection.down
    assert fleet.back()
    fleet.tell()
    for store in (one, two):
        assert frail.stands(store, slot()) == (Decimal("0.75"), 0)
    reserve(two, slot(), "0.125")
    assert not other.connection.down


def test_a_past_that_could_not_be_told_is_told_later(frail):
    fleet, one = frail.start()
    frail.server.kill()
    one.seed(slot(), [(NOW, Decimal("0.75"))])
    assert isinstance(reserve(one, slot(), "0.5"), Short)
    assert one.snapshot([slot()], NOW)[0].note.startswith("Redis is away")
    frail.server.start()
    assert fleet.back()
    other = frail.start()[1]
    assert frail.stands(other, slot()) == (Decimal("0.75"), 0)


def test_a_stream_goes_on_to_grow_from_the_share(frail):
    fleet, one = frail.start()
    hold = reserve(one, slot(), "0.25")
    frail.server.kill()
    # Its own 0.25 is gone from what there is to share.
    assert one.grow(hold, usd("0.5"), NOW) is None
    assert one.grow(hold, usd("0.5"), NOW).index == 0
    assert hold.amounts == usd("0.75")
    frail.server.start()
    assert fleet.back()
    assert frail.stands(one, slot()) == (0, Decimal("0.75"))
    assert one.grow(hold, usd("0.125"), NOW) is None
    one.settle(hold, usd("0.8"), NOW)
    fleet.tell()
    assert frail.stands(one, slot()) == (Decimal("0.8"), 0)


def test_who_waits_is_served_from_the_share(frail):
    (_, one), (other, two) = frail.start(), frail.start()
    kept = reserve(one, slot(), "0.5")
    ticket = two.enter([slot()], usd("0.75"), lambda: None, NOW)
    two.serve()
    frail.server.kill()
    two.serve()
    assert other.connection.down
    # Redis told it of 0.5 that was reserved; two share the rest.
    assert ticket.hold is None
    assert ticket.short.passing is False
    assert kept.done is False


def test_a_refusal_alone_is_told_once(frail):
    _, one = frail.start()
    frail.server.kill()
    for _ in range(3):
        one.refuse(reserve(one, slot(), "2"), NOW)
    assert [told[:2] for told in frail.told] == [("a", 0)]


def test_a_new_day_has_a_share_of_its_own(frail):
    fleet, one = frail.start(f"{frail.url}&processes=4")
    frail.server.kill()
    tomorrow = Slot("a", ONE, True, slot().end, slot().end + DAY)
    today = reserve(one, slot(), "0.25")
    assert fleet.connection.down
    assert isinstance(today, Hold)
    assert isinstance(reserve(one, slot(), "0.01"), Short)
    assert isinstance(reserve(one, tomorrow, "0.3", now=tomorrow.start), Short)
    assert isinstance(reserve(one, tomorrow, "0.25", now=tomorrow.start), Hold)


def test_soft_budgets_limit_nobody_and_are_counted(frail):
    fleet, one = frail.start()
    soft = slot("s", hard=False)
    frail.server.kill()
    spend(fleet, one, soft, "5")
    frail.server.start()
    assert fleet.back()
    fleet.tell()
    assert frail.stands(one, soft) == (Decimal(5), 0)


# --- threads and forks -----------------------------------------------------------------------------------------------


def test_threads_of_several_processes_never_reserve_more_than_there_is(processes):
    stores = [processes.start()[1] for _ in range(3)]
    got = []

    def take(store):
        for _ in range(20):
            hold = reserve(store, slot(), "0.03")
            if isinstance(hold, Hold):
                got.append(hold)

    threads = [threading.Thread(target=take, args=(store,)) for store in stores for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 33
    assert processes.stands(stores[0], slot()) == (0, Decimal("0.99"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_a_process_of_its_own(processes):
    fleet, one = processes.start()
    spend(fleet, one, slot(), "0.25")
    hold = reserve(one, slot(), "0.25")
    parent, (reading, writing) = fleet.id, os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # What the parent holds is not the child's to settle.
            one.settle(hold, usd("0.25"), NOW)
            own = reserve(one, slot(), "0.5")
            one.settle(own, usd("0.375"), NOW)
            fleet.tell()
            os.write(writing, b"y" if isinstance(own, Hold) and fleet.id != parent else b"n")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1) == b"y"
    os.close(reading)
    os.close(writing)
    assert processes.stands(one, slot()) == (Decimal("0.625"), Decimal("0.25"))
    one.settle(hold, usd("0.125"), NOW)
    fleet.tell()
    assert processes.stands(one, slot()) == (Decimal("0.75"), 0)


def test_who_thought_to_be_alone_has_a_share_as_soon_as_it_knows_better(frail):
    others = [frail.start() for _ in range(3)]
    for fleet, _ in others:
        fleet.back()
        fleet._sign(join=False)
    frail.server.hang()
    fleet, one = frail.start(f"{frail.url}&timeout=0.2")
    spend(fleet, one, slot(), "0.2")
    assert isinstance(reserve(one, slot(), "0.9"), Short)
    frail.server.go_on()
    assert fleet.back()
    fleet.tell()
    # Four share the 0.8 that are left; the others have not had time to tell what they spent.
    assert isinstance(reserve(one, slot(), "0.25"), Short)
    taken = reserve(one, slot(), "0.2")
    assert isinstance(taken, Hold)
    assert isinstance(reserve(one, slot(), "0.01"), Short)


def test_a_redis_that_comes_and_goes_gives_no_share_twice(frail):
    fleets = [frail.start() for _ in range(2)]
    for fleet, _ in (*fleets, fleets[0]):
        fleet.back()
        fleet._sign(join=False)
    fleet, one = fleets[0]
    spent = Decimal(0)
    for _ in range(6):
        fleet.connection.failed(ConnectionError())
        while isinstance(taken := reserve(one, slot(), "0.0625"), Hold):
            one.settle(taken, usd("0.0625"), NOW)
            spent += Decimal("0.0625")
        # It makes itself known, and fails again before it was told what was spent.
        assert fleet.back()
    assert spent == Decimal("0.9375")
