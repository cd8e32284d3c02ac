"""Rates that processes share, one step at a time; how they hold under load is for test_processes."""

from __future__ import annotations

import time
from itertools import count

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import QueueTimeout
from aistrale.reliability.gate import Gate
from aistrale.reliability.limits import LimitSettings, TokenBucket
from aistrale.store.redis.limits import _LEASE, _RETURN
from tests.store.redis.quiet import QuietFleet, until

NAMES = count()
PLACE = "openai/gpt"


class Processes:
    def __init__(self, server):
        self.server = server
        self.url = f"{server.url}?prefix=l{next(NAMES)}&timeout=2"
        self.fleets = []

    def start(self, url=None, **limits):
        fleet = QuietFleet(url or self.url)
        self.fleets.append(fleet)
        settings = LimitSettings(**limits)
        gate = Gate(PLACE, settings, fleet.lessor(PLACE))
        return fleet, gate


def go(gate, *, tokens=0, out=0, wait=0.0):
    """A call that comes now: its ticket, if it may go at once."""
    now = time.monotonic()
    ticket = gate.admit(tokens_in=tokens, tokens_out=out, now=now)
    if ticket is None and gate.lessor.slow:
        gate.lessor.lease(gate, gate.most(tokens, out), wait)
        ticket = gate.admit(tokens_in=tokens, tokens_out=out, now=time.monotonic())
    return ticket


def test_what_one_takes_another_cannot(processes):
    (_, one), (_, two) = processes.start(rpm=5, burst=60), processes.start(rpm=5, burst=60)
    assert all(go(one) for _ in range(3))
    assert all(go(two) for _ in range(2))
    assert go(one) is None
    assert go(two) is None
    with pytest.raises(QueueTimeout, match="requests per minute"):
        two.enter(lambda: None, now=time.monotonic(), wait=0.0)


def test_tokens_come_back_to_all_when_an_answer_was_short(processes):
    (_, one), (_, two) = processes.start(tpm=1000, burst=60), processes.start(tpm=1000, burst=60)
    ticket = go(one, tokens=100, out=800)
    assert go(two, tokens=100, out=800) is None
    one.leave(ticket, time.monotonic(), outcome="success", tokens_in=100, tokens_out=5)
    one.lessor.give_back(one)
    assert until(lambda: go(two, tokens=100, out=700))


def test_all_limits_of_a_target_give_or_none(processes):
    (fleet, one) = processes.start(rpm=10, tpm=100, burst=60)
    assert go(one, tokens=60, out=0)
    assert go(one, tokens=60, out=0) is None
    client = fleet.connection.client()
    (key,) = client.keys(fleet.key("rate", "*", "rpm"))
    assert float(client.hget(key, "l")) == pytest.approx(9.0, abs=0.1)


def test_one_larger_than_the_bucket_goes_when_it_is_full_and_holds_up_the_others(processes):
    (_, one), (_, two) = processes.start(tpm=60, burst=60), processes.start(tpm=60, burst=60)
    assert go(one, tokens=500)
    assert go(two, tokens=1) is None


def test_who_waits_is_promised_an_instant_and_those_after_him_a_later_one(processes):
    gates = [processes.start(rpm=600, burst=0)[1] for _ in range(3)]
    assert go(gates[0])
    pauses = []
    for gate in gates:
        now = time.monotonic()
        ticket = gate.enter(lambda: None, now=now, wait=5.0)
        assert gate.poll(ticket, now) > 0.0
        assert gate.lacks(ticket, now)
        gate.lessor.lease(gate, ticket.most, 5.0)
        assert not gate.lacks(ticket, time.monotonic())
        pauses.append(now + gate.poll(ticket, now))
    # Ten a second: a tenth of a second apart.
    assert pauses[1] - pauses[0] == pytest.approx(0.1, abs=0.02)
    assert pauses[2] - pauses[1] == pytest.approx(0.1, abs=0.02)


def test_nothing_is_promised_far_ahead(processes):
    (_, one), (_, two) = processes.start(rpm=6, burst=0), processes.start(rpm=6, burst=0)
    assert go(one)
    now = time.monotonic()
    ticket = two.enter(lambda: None, now=now, wait=30.0)
    two.lessor.lease(two, ticket.most, 30.0)
    # One in ten seconds: he is to ask again when it is near.
    assert two.snapshot(now).left["requests"] == 0.0
    assert not two.lacks(ticket, time.monotonic())
    two.poll(ticket, now)
    assert two._state.rates.delay(ticket.most, ticket.usual, now) == pytest.approx(9.5, abs=0.3)


def test_a_process_that_sends_much_takes_a_slice_at_a_time(processes):
    fleet, one = processes.start(rpm=600_000, burst=60)
    asked = 0
    run = fleet.connection.run

    def counted(*args):
        nonlocal asked
        asked += 1
        return run(*args)

    fleet.connection.run = counted
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        one.leave(go(one), time.monotonic(), outcome="success")
    before, asked = asked, 0
    for _ in range(1000):
        one.leave(go(one), time.monotonic(), outcome="success")
    assert before > asked
    assert asked < 200


def test_what_is_not_used_goes_back(processes):
    fleet, one = processes.start(tpm=1000, burst=60)
    one.leave(go(one, tokens=900), time.monotonic(), outcome="unsent")
    one.lessor.give_back(one)
    assert one.snapshot(time.monotonic()).left["tokens"] <= 1.0
    client = fleet.connection.client()
    (key,) = client.keys(fleet.key("rate", "*", "tpm"))
    assert float(client.hget(key, "l")) >= 998.0
    assert 0 < client.ttl(key) < 200


def test_without_redis_each_has_its_share_and_with_it_nothing_is_doubled(frail):
    (fleet, one), (other, two) = frail.start(rpm=600, burst=6), frail.start(rpm=600, burst=6)
    for each in (fleet, other):
        each.back()
    for each in (fleet, other):
        each._sign(join=False)
    assert go(one)
    assert go(two)
    frail.server.kill()
    for gate in (one, two):
        # The first finds out, with what it has got; 5 a second are its share then.
        while go(gate):
            pass
    assert fleet.connection.down
    assert fleet.connection.processes == 2
    assert not one.lessor.slow
    now = time.monotonic()
    assert one._state.rates.delay((1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), now) == pytest.approx(0.2, abs=0.05)
    frail.server.start()
    assert fleet.back()
    assert other.back()
    # Redis lost the bucket: it is not full again for those who have seen it in use.
    assert go(one) is None
    assert go(two) is None


def test_a_redis_that_was_never_there_means_the_share_of_the_setting(tmp_path):
    fleet = QuietFleet(f"unix://{tmp_path}/none.sock?processes=10")
    settings = LimitSettings(rpm=600, burst=60)
    gate = Gate(PLACE, settings, fleet.lessor(PLACE))
    # Nothing is known to be left, so that it begins with none of its sixty.
    assert go(gate) is None
    assert fleet.connection.down
    now = time.monotonic()
    assert gate._state.rates.delay((1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), now) == pytest.approx(1.0, abs=0.1)
    fleet.drop()


def test_limits_that_are_none_ask_nobody(processes):
    fleet, one = processes.start()
    assert not one.lessor.slow
    assert go(one)
    assert not fleet.connection.joined


def test_headers_are_told_when_less_than_half_is_left(processes):
    fleet, one = processes.start()
    messages = []
    fleet.post = lambda work, hurry=False: messages.append(work)
    fleet.news.places[PLACE] = type("Known", (), {"left_at": -10.0})()
    one.lessor.told(RateLimits(requests=Window(100, 60, 1.0)))
    assert messages == []
    one.lessor.told(RateLimits(requests=Window(100, 40, 1.0)))
    one.lessor.told(RateLimits(requests=Window(100, 39, 1.0)))
    assert len(messages) == 1


AMOUNTS = st.sampled_from([0.0, 1.0, 2.5, 4.0, 9.0, 10.0, 11.0, 25.0])


@given(steps=st.lists(st.tuples(st.booleans(), AMOUNTS), max_size=20))
@hypothesis.settings(max_examples=60)
def check_bucket(url, steps):
    """Takes and returns of one process, which leases no more than it needs."""
    fleet = QuietFleet(f"{url}?prefix=b{next(NAMES)}&timeout=2")
    # So slow that the time that all of this takes fills nothing.
    rate, capacity, wait = 1e-6, 10.0, 0.5
    local = TokenBucket(rate, capacity, now=0.0)
    keys = [fleet.key("rate", "x", "requests")]
    try:
        # What comes back to a bucket that Redis does not know was lost there, and fills an empty one.
        for taking, amount in [(True, 0.0), *steps]:
            if not taking:
                fleet.connection.run(_RETURN, keys, [repr(rate), repr(capacity), repr(amount)])
                local.take(-amount, 0.0)
                continue
            asked = [repr(wait), repr(rate), repr(capacity), repr(amount), "0.0", 0]
            given_it, pause, *_ = fleet.connection.run(_LEASE, keys, asked)
            delay = local.delay(amount, 0.0)
            assert bool(given_it) == (delay <= wait)
            assert float(pause) == pytest.approx(delay, abs=60.0)
            if given_it:
                local.take(amount, 0.0)
    finally:
        fleet.drop()


def test_the_bucket_in_redis_counts_as_the_one_here_does(lasting):
    check_bucket(lasting.url)
