"""What processes tell each other; those of this file live in one process and hear each other through a real Redis."""

from __future__ import annotations

import json
import random
import time
from itertools import count

import pytest

from aistrale.core.call import Target
from aistrale.dialects.base import Profile
from aistrale.dialects.headers import RateLimits, Window
from aistrale.errors import AuthenticationError, QuotaExceededError
from aistrale.policies.state import States
from aistrale.providers import get_provider
from aistrale.reliability.breaker_types import BreakerSettings, Permit
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.reliability.limits import LimitSettings
from aistrale.store.redis.fleet import Fleet
from tests.store.redis.quiet import QuietFleet, until

NAMES = count()
TARGET, OTHER = (
    Target(
        name=f"{provider}/m",
        provider=get_provider(provider),
        model="m",
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider=provider, model="m"),
    )
    for provider in ("openai", "groq")
)
# The base is of no matter here, only that it does not end meanwhile.
SETTINGS = BreakerSettings(base=60.0, cap=300.0)


class Process:
    """A client's memory of its targets, and its fleet with its threads."""

    def __init__(self, url, settings=SETTINGS, kind=Fleet):
        self.fleet = kind(url)
        self.events = []
        self.states = States(
            breaker=settings,
            budget=RetryBudgetSettings(),
            limits={"default": LimitSettings()},
            rng=random.Random(1),
            on_event=self.changed,
            fleet=self.fleet,
        )
        self.fleet.start()

    def changed(self, event):
        self.events.append(event)
        self.fleet.changed(event)

    @property
    def state(self):
        return self.states.of(TARGET)

    @property
    def now(self):
        return self.state.breaker.state(time.monotonic())

    def fails(self, times=3):
        for _ in range(times):
            permit = self.state.breaker.admit(time.monotonic())
            self.state.breaker.report(permit, "failure", time.monotonic())

    def listens(self):
        """Wait until it hears what is told."""
        client = self.fleet.connection.client()
        return until(lambda: client.pubsub_numsub(self.fleet.news.channel)[0][1])


@pytest.fixture
def start(lasting):
    url, processes = f"{lasting.url}?prefix=n{next(NAMES)}&timeout=2", []

    def made(settings=SETTINGS, *, waits=True, kind=Fleet):
        process = Process(url, settings, kind)
        processes.append(process)
        process.state  # noqa: B018 - a target is known from its first use on
        if waits:
            assert until(lambda: process.fleet.connection.joined and heard_by(process) >= len(processes))
        return process

    def heard_by(process):
        client = process.fleet.connection.client()
        return client.pubsub_numsub(process.fleet.news.channel)[0][1]

    yield made
    for process in processes:
        process.fleet.close()


# --- breakers --------------------------------------------------------------------------------------------------------


def test_what_one_opens_is_open_for_all_within_a_tenth_of_a_second(start):
    one, two = start(), start()
    began = time.monotonic()
    one.fails()
    assert until(lambda: two.now == "open")
    assert time.monotonic() - began < 0.1
    (event,) = two.events
    assert (event.name, event.news, event.reason, event.breaker) == ("opened", True, "failures", "openai/m")
    mine, theirs = (each.state.breaker.snapshot(time.monotonic()) for each in (one, two))
    assert theirs.until == pytest.approx(mine.until, abs=0.05)
    assert [each.news for each in one.events] == [False]


def test_who_comes_later_finds_it_open(start):
    one = start()
    one.fails()
    assert until(lambda: not one.fleet.pending)
    late = start()
    assert until(lambda: late.now == "open")
    assert late.events[0].news


def test_a_target_that_was_not_used_yet_hears_it_at_its_first_use(start):
    one, two = start(), start()
    state = one.states.of(OTHER)
    state.breaker.open_until(time.monotonic() + 50.0, time.monotonic(), "retry_after")
    assert until(lambda: OTHER.place in two.fleet.news._breakers)
    assert two.states.of(OTHER).breaker.state(time.monotonic()) == "open"


def test_what_a_provider_said_holds_for_all_and_is_not_closed_before(start):
    one, two = start(), start()
    two.fails()
    assert until(lambda: one.now == "open")
    one.state.breaker.open_until(time.monotonic() + 200.0, time.monotonic(), "retry_after")
    assert until(lambda: [each.name for each in two.events] == ["opened", "extended"])
    snapshot = two.state.breaker.snapshot(time.monotonic())
    assert snapshot.until - time.monotonic() == pytest.approx(200.0, abs=1.0)
    assert snapshot.reason == "retry_after"
    two.state.breaker.hear_closed(time.monotonic())
    assert two.now == "open"


def test_closing_is_news_too(start):
    settings = BreakerSettings(base=0.05, cap=0.05)
    one, two = start(settings), start(settings)
    one.fails()
    assert until(lambda: two.events)
    for _ in range(2):
        permit = until(lambda: permit_of(one))
        one.state.breaker.report(permit, "success", time.monotonic())
    assert one.now == "closed"
    assert until(lambda: two.now == "closed")
    assert [(each.name, each.news) for each in two.events if each.name != "half_opened"] == [
        ("opened", True),
        ("closed", True),
    ]


def permit_of(process):
    answer = process.state.breaker.admit(time.monotonic())
    return answer if isinstance(answer, Permit) else None


def test_who_closes_does_not_close_what_opened_anew_meanwhile(start):
    one, two = start(kind=QuietFleet, waits=False), start(kind=QuietFleet, waits=False)
    one.fails()
    one.fleet.tell()
    two.fleet.news.load()
    seen = two.fleet.news.places["openai/m"].seq
    assert two.now == "open"
    # One closes and opens once more, and two, who has not heard of it, finds the target well.
    one.state.breaker.reset(time.monotonic())
    one.fleet.news._change(one.fleet.news.places["openai/m"], "closed", 0.0, "")
    one.fails()
    one.fleet.tell()
    two.fleet.news._change(two.fleet.news.places["openai/m"], "closed", 0.0, "")
    late = start(kind=QuietFleet, waits=False)
    late.fleet.news.load()
    assert late.now == "open"
    assert late.fleet.news.places["openai/m"].seq > seen


def test_old_news_is_none(start):
    one = start(kind=QuietFleet, waits=False)
    place = one.fleet.news.places["openai/m"]
    place.seq = 10
    told = {"kind": "breaker", "from": "x", "place": "openai/m", "reason": "failures", "told": False}
    now = int(time.time() * 1e6)
    for seq, state in ((10, "open"), (9, "open"), (3, "closed")):
        one.fleet.news.heard(
            json.dumps({**told, "seq": str(seq), "state": state, "at": str(now), "till": str(now + 9_000_000)}).encode()
        )
    assert one.now == "closed"
    one.fleet.news.heard(
        json.dumps({**told, "seq": "11", "state": "open", "at": str(now), "till": str(now - 1)}).encode()
    )
    assert one.now == "closed"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nothing",
        b"[]",
        b"null",
        b"{}",
        b'{"kind": "breaker", "from": "x"}',
        b'{"kind": "breaker", "from": "x", "place": "openai/m", "at": "1", "seq": "x"}',
        b'{"kind": "breaker", "from": "x", "place": ["openai/m"], "at": "1", "seq": "5"}',
        b'{"kind": "block", "from": "x", "place": "openai/m", "at": "99999999999999999", "seconds": "much"}',
        b'{"kind": "left", "from": "x", "place": "openai/m", "at": "99999999999999999", "windows": {"requests": [1]}}',
        b'{"kind": "health", "from": "x", "place": "openai/m", "at": "99999999999999999", "seen": [1]}',
        b'{"kind": "hold", "from": "x", "account": "openai ", "at": "1", "error": "SystemExit", "seconds": 5}',
        b'{"kind": "hold", "from": "x", "account": "openai ", "at": "1", "error": "ConfigurationError", "seconds": 5}',
        b"[" * 100_000,
    ],
)
def test_what_makes_no_sense_is_dropped(start, text):
    one = start(kind=QuietFleet, waits=False)
    one.fleet.news.heard(text)
    assert (one.now, one.state.key.hold) == ("closed", None)


def test_what_was_forced_by_hand_stays_and_is_told_nobody(start):
    one, two = start(), start()
    two.state.breaker.force("closed", time.monotonic())
    one.state.breaker.force("open", time.monotonic())
    one.state.breaker.force(None, time.monotonic())
    one.fails()
    assert until(lambda: two.fleet.news.places["openai/m"].seq)
    assert two.now == "forced_closed"


# --- probes ----------------------------------------------------------------------------------------------------------


def test_one_process_probes_and_the_others_let_it(start):
    one, two, three = (start(kind=QuietFleet, waits=False) for _ in range(3))
    assert one.state.link.probe(30.0)
    assert not two.state.link.probe(30.0)
    assert not two.state.link.probe(30.0)
    one.state.link.probed("failure")
    one.fleet.tell()
    assert three.state.link.probe(30.0)
    # Who was refused does not ask again at once.
    assert not two.state.link.probe(30.0)


def test_a_probe_that_never_ends_gives_its_place_up(start):
    one, two = start(kind=QuietFleet, waits=False), start(kind=QuietFleet, waits=False)
    assert one.state.link.probe(0.05)
    assert until(lambda: two.state.link.probe(1.0))


def test_who_found_it_well_once_tries_again_first(start):
    settings = BreakerSettings(base=0.01, cap=0.01)
    one, two = start(settings, kind=QuietFleet, waits=False), start(settings, kind=QuietFleet, waits=False)
    one.fails()
    permit = until(lambda: permit_of(one))
    assert one.state.link.probe(30.0)
    one.state.breaker.report(permit, "success", time.monotonic())
    one.state.link.probed("success")
    one.fleet.tell()
    assert not two.state.link.probe(30.0)
    assert one.state.link.probe(30.0)


def test_without_redis_everybody_probes(start, tmp_path):
    one = Process(f"unix://{tmp_path}/none.sock", kind=QuietFleet)
    assert one.state.link.probe(30.0)
    assert not one.state.link.slow
    one.fleet.drop()


# --- keys, pauses, what is left, health ------------------------------------------------------------------------------


def test_a_refused_key_is_used_by_nobody(start):
    one, two = start(), start()
    one.state.key.refused(QuotaExceededError("x", status=429, code="insufficient_quota"), 100.0, time.monotonic())
    one.state.link.refused()
    assert until(lambda: two.state.key.check(time.monotonic()))
    hold = two.state.key.hold
    assert (hold.error, hold.status, hold.code, hold.reason) == (QuotaExceededError, 429, "insufficient_quota", "quota")
    assert hold.until - time.monotonic() == pytest.approx(100.0, abs=1.0)
    late = start()
    assert until(lambda: late.state.key.check(time.monotonic()))
    assert late.states.of(OTHER).key.hold is None


def test_a_rejected_key_as_well(start):
    one, two = start(), start()
    one.state.key.refused(AuthenticationError("x", status=401), None, time.monotonic())
    one.state.link.refused()
    assert until(lambda: two.state.key.check(time.monotonic()))
    assert two.state.key.hold.reason == "rejected"


def test_a_pause_that_a_provider_asks_for_is_kept_by_all(start):
    one, two = start(), start()
    one.state.gate.lessor.throttled(5.0)
    assert until(lambda: two.state.gate.snapshot(time.monotonic()).blocked)
    assert two.state.gate.snapshot(time.monotonic()).blocked == pytest.approx(5.0, abs=0.5)
    assert one.state.gate.snapshot(time.monotonic()).blocked == 0.0


def test_what_a_provider_says_is_left_is_left_for_all(start):
    one, two = start(), start()
    one.state.gate.lessor.told(RateLimits(requests=Window(100, 7, 30.0), tokens=Window(1000, 900, 1.0)))
    assert until(lambda: two.state.gate.snapshot(time.monotonic()).left)
    left = two.state.gate.snapshot(time.monotonic()).left
    assert set(left) == {"requests"}
    assert left["requests"] == pytest.approx(7.0, abs=1.0)


def test_how_a_target_does_is_told_in_a_few_numbers(start):
    two = start()
    one = start(kind=QuietFleet, waits=False)
    now = time.monotonic()
    for at in range(10):
        one.state.stats.began(now + at / 10)
        outcome = "failure" if at < 5 else "success"
        one.state.stats.ended(now + at / 10, outcome=outcome, latency=2.0)
    one.fleet.news.tell_health()
    one.fleet.tell()
    assert until(lambda: two.state.stats.score(time.monotonic()).samples)
    health = two.state.stats.score(time.monotonic())
    assert health.samples == 10
    assert health.success == pytest.approx(one.state.stats.score(now + 1.0).success, abs=0.5)
    assert two.state.stats.ewma(time.monotonic()) == pytest.approx(2.0, abs=0.2)
    # What was told is not told again.
    one.fleet.news.tell_health()
    assert not one.fleet.pending


# --- the way ---------------------------------------------------------------------------------------------------------


def test_what_opened_while_redis_was_away_is_told_when_it_is_back(server):
    url = f"{server.url}?timeout=2"
    one, two = Process(url), Process(url)
    try:
        two.state  # noqa: B018
        one.state  # noqa: B018
        assert until(lambda: one.fleet.connection.joined and two.fleet.connection.joined)
        server.kill()
        assert until(lambda: one.fleet.connection.down and two.fleet.connection.down)
        one.fails()
        assert two.now == "closed"
        server.start()
        assert until(lambda: two.now == "open")
    finally:
        one.fleet.close()
        two.fleet.close()
