"""The budgets in Redis decide and count as those in memory do, whatever happens in whichever order."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.cost.budgets.hold import Hold
from aistrale.cost.budgets.memory import MemoryStore
from aistrale.cost.budgets.store import Slot
from aistrale.store.redis.money import STEP, exact, read, write
from tests.store.redis.quiet import Clock, QuietFleet

DAY = 86_400.0
PREFIX = count()
# Tenths of a dollar meet the limits exactly, and so does the smallest step more; the others carry from one number into
# the other, or are larger than any limit.
AMOUNTS = st.one_of(
    st.sampled_from(["0", "0.1", "0.3", "0.5", "0.7", "1", "0.500000000001", "0.999999999999", "1E-12", "3E-12"]),
    st.sampled_from(["0.000000999999", "0.000001000001", "8999999999.5", "9000000000", "10000000000"]),
).map(Decimal)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sets(st.integers(0, 3), min_size=1), AMOUNTS),
        st.tuples(st.just("reserve"), st.sets(st.integers(0, 1), min_size=1), AMOUNTS),
        st.tuples(st.just("grow"), st.integers(0, 9), AMOUNTS),
        st.tuples(st.just("settle"), st.integers(0, 9), st.one_of(st.none(), AMOUNTS)),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 0.75, 7.0, 30.0, 61.0, DAY / 3]), st.none()),
    ),
    min_size=6,
    max_size=30,
)


def slots(now):
    """A day, a rolling minute, a life, and one that only tells."""
    start = now // DAY * DAY
    marks = (Decimal("0.5"), Decimal(1))
    return [
        Slot("day", Decimal(2), True, start, start + DAY, marks=marks),
        Slot("minute", Decimal(1), True, -math.inf, math.inf, 60.0, 1.0, marks),
        Slot("life", Decimal(9000000000), True, -math.inf, math.inf),
        Slot("soft", Decimal("0.6"), False, start, start + DAY, marks=(Decimal("0.3"), Decimal("0.6"))),
    ]


def same(one, other):
    if isinstance(one, Hold):
        assert isinstance(other, Hold)
    elif one is None:
        assert other is None
    else:
        assert (one.index, one.slot.key, one.spent, one.reserved, one.needed, one.passing, one.resets) == (
            other.index,
            other.slot.key,
            other.spent,
            other.reserved,
            other.needed,
            other.passing,
            other.resets,
        )


@given(OPERATIONS)
@settings(max_examples=150)
def check(url, operations):
    clock, mono = Clock(20_000 * DAY + 7.25), Clock()
    fleet = QuietFleet(f"{url}?prefix=m{next(PREFIX)}&timeout=5", clock, mono)
    told, expected = [], []
    shared = fleet.budgets(lambda notice: told.append((notice.slot.key, notice.mark, notice.balance.spent)))
    memory = MemoryStore(lambda notice: expected.append((notice.slot.key, notice.mark, notice.balance.spent)))
    holds = []
    try:
        for name, which, amount in operations:
            known = slots(clock.now)
            if name == "pass":
                clock.now += which
            elif name == "reserve":
                chosen = [known[at] for at in sorted(which)]
                one = memory.reserve(chosen, [amount] * len(chosen), clock.now)
                other = shared.reserve(chosen, [amount] * len(chosen), clock.now)
                same(one, other)
                if isinstance(one, Hold):
                    holds.append((one, other))
            elif holds:
                one, other = holds[which % len(holds)]
                if name == "grow":
                    same(
                        memory.grow(one, [amount] * len(one.slots), clock.now),
                        shared.grow(other, [amount] * len(one.slots), clock.now),
                    )
                    assert one.amounts == other.amounts
                else:
                    memory.settle(one, [amount] * len(one.slots), clock.now)
                    shared.settle(other, [amount] * len(one.slots), clock.now)
                    fleet.tell()
                    holds.remove((one, other))
            mono.now += 10.0
            now = slots(clock.now)
            assert [(each.spent, each.reserved, each.in_flight) for each in shared.snapshot(now, clock.now)] == [
                (each.spent, each.reserved, each.in_flight) for each in memory.snapshot(now, clock.now)
            ]
        assert told == expected
        assert not fleet.connection.errors
    finally:
        for one, other in holds:
            one.done = other.done = True
        fleet.drop()


def test_redis_decides_as_memory_does(lasting):
    check(lasting.url)


@given(st.decimals("0", "9e9", places=20, allow_nan=False))
@settings(max_examples=300)
def test_amounts_are_never_written_down_smaller_than_they_are(amount):
    kept = exact(amount)
    assert amount <= kept < amount + STEP
    assert read(write(kept)) == kept
