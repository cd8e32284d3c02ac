from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.reliability.leased import LeasedBucket


@dataclass
class Fleet:
    era: int = 0
    down: bool = False
    processes: int = 4

    def goes(self, *, down):
        self.era += 1
        self.down = down


@pytest.fixture
def fleet():
    return Fleet()


def test_nothing_is_there_before_it_was_leased(fleet):
    bucket = LeasedBucket(10.0, 5.0, fleet)
    assert bucket.level(0.0) == 0.0
    assert bucket.delay(1.0, 0.0) > 0.0
    assert bucket.wants(1.0, 0.0) == 1.0
    bucket.granted(3.0, 0.0, 0.0)
    assert bucket.delay(3.0, 0.0) == 0.0
    assert bucket.take(1.0, 0.0) == 2.0
    # Time alone brings nothing: it is the bucket elsewhere that fills.
    assert bucket.level(100.0) == 2.0


def test_what_is_promised_is_there_at_its_time_and_not_asked_for_again(fleet):
    bucket = LeasedBucket(10.0, 5.0, fleet)
    bucket.granted(2.0, 0.5, 0.0)
    assert bucket.delay(2.0, 0.0) == 0.5
    assert bucket.wants(2.0, 0.0) == 0.0
    assert bucket.wants(3.0, 0.0) == 1.0
    assert bucket.delay(2.0, 0.5) == 0.0


def test_who_was_refused_waits_before_asking_again(fleet):
    bucket = LeasedBucket(10.0, 5.0, fleet)
    bucket.refused(2.0, 0.0)
    assert bucket.delay(1.0, 0.5) == 1.5
    assert bucket.wants(1.0, 0.5) == 0.0
    assert bucket.wants(1.0, 2.0) == 1.0


def test_a_debt_is_asked_for_with_what_follows(fleet):
    bucket = LeasedBucket(10.0, 100.0, fleet)
    bucket.granted(10.0, 0.0, 0.0)
    bucket.take(10.0, 0.0)
    bucket.take(5.0, 0.0)  # it used more than it had reserved
    assert bucket.wants(1.0, 0.0) == 6.0
    bucket.take(-20.0, 0.0)  # and another one less
    assert bucket.wants(1.0, 0.0) == 0.0


def test_alone_it_has_its_share_and_saves_nothing_up_for_later(fleet):
    bucket = LeasedBucket(40.0, 8.0, fleet)
    bucket.granted(100.0, 0.0, 0.0)
    fleet.goes(down=True)
    assert bucket.level(0.0) == 2.0
    assert bucket.wants(50.0, 0.0) == 0.0
    assert bucket.delay(2.0, 0.0) == 0.0
    bucket.take(2.0, 0.0)
    assert bucket.delay(1.0, 0.0) == pytest.approx(0.1)
    bucket.granted(50.0, 0.0, 0.0)  # comes too late to count
    assert bucket.level(0.1) == pytest.approx(1.0)
    fleet.goes(down=False)
    assert bucket.level(60.0) == 0.0


def test_a_debt_is_not_forgotten_when_the_others_are_back(fleet):
    bucket = LeasedBucket(40.0, 8.0, fleet)
    fleet.goes(down=True)
    bucket.take(5.0, 0.0)
    fleet.goes(down=False)
    assert bucket.wants(1.0, 0.0) == pytest.approx(6.0)


def test_a_forked_child_has_nothing_of_its_parents(fleet):
    bucket = LeasedBucket(40.0, 8.0, fleet)
    bucket.granted(5.0, 0.0, 0.0)
    bucket.granted(5.0, 0.5, 0.0)
    assert bucket.level(0.0) == 5.0
    fleet.era += 1
    assert bucket.level(1.0) == 0.0


def test_a_slice_follows_the_use_and_what_is_beyond_it_is_spare(fleet):
    bucket = LeasedBucket(1000.0, 1000.0, fleet)
    assert bucket.ahead(0.0) == 0.0
    for step in range(201):
        bucket.granted(1.0, 0.0, step / 100)
        bucket.take(1.0, step / 100)
    assert bucket.ahead(2.0) == pytest.approx(10.0, rel=0.02)
    bucket.granted(50.0, 0.0, 2.0)
    assert bucket.spare(2.0) == pytest.approx(40.0, rel=0.02)
    assert bucket.spare(2.0) == 0.0
    assert bucket.spare(3.5) == pytest.approx(10.0, rel=0.02)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.floats(-5, 20)),
            st.tuples(st.just("grant"), st.floats(0, 20)),
            st.tuples(st.just("spare"), st.just(0.0)),
        )
    )
)
def test_what_is_taken_and_given_back_is_what_was_leased(steps):
    bucket, now, leased, used = LeasedBucket(10.0, 100.0, Fleet()), 0.0, 0.0, 0.0
    for name, amount in steps:
        now += 0.3
        if name == "grant":
            bucket.granted(amount, 0.0, now)
            leased += amount
        elif name == "spare":
            leased -= bucket.spare(now)
        elif bucket.delay(amount, now) == 0.0:
            bucket.take(amount, now)
            used += amount
    assert bucket.level(now) == pytest.approx(leased - used, abs=1e-6)


def test_what_was_promised_is_let_go_when_nobody_can_be_asked(fleet):
    bucket = LeasedBucket(8.0, 8.0, fleet)
    bucket.granted(1.0, 0.5, 0.0)
    fleet.goes(down=True)
    # Whoever forgot the limit has forgotten the promise as well, and gives as much again.
    assert bucket.level(0.0) == 0.0
    assert bucket.level(10.0) == 2.0


def test_one_who_is_back_and_gives_nothing_does_not_take_what_was_saved_up_alone(fleet):
    bucket = LeasedBucket(0.4, 40.0, fleet)
    now = 0.0
    for _ in range(10):
        fleet.goes(down=True)
        bucket.level(now)
        now += 1.0
        bucket.level(now)
        fleet.goes(down=False)
        assert bucket.level(now) == 0.0
    fleet.goes(down=True)
    assert bucket.level(now) == pytest.approx(1.0)
    fleet.goes(down=False)
    bucket.level(now)
    bucket.granted(1.0, 0.0, now)
    fleet.goes(down=True)
    assert bucket.level(now) == 1.0
    bucket.take(1.0, now)
    assert bucket.level(now) == 0.0
