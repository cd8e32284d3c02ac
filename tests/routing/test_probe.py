from __future__ import annotations

import gc
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.routing.health import TargetStats
from aistrale.routing.probe import Prober, Probes, ProbeSettings


class Scene:
    """A busy target "a" and others that nobody calls."""

    def __init__(self, *idle, **settings):
        self.settings = ProbeSettings(**settings)
        self.probes = Probes(self.settings)
        self.stats = {name: TargetStats() for name in ("a", *idle)}
        self.now = 1000.0
        self.due()

    def due(self):
        return self.probes.due(self.stats, self.now)

    def pause(self):
        return self.probes.pause(self.stats, self.now)

    def traffic(self, seconds, *, every=1.0, name="a"):
        for _ in range(int(seconds / every)):
            self.now += every
            self.stats[name].began(self.now)
            self.stats[name].ended(self.now, outcome="success", latency=0.5)

    def probe(self, name, *, ok=True):
        """What the real thing does: a call through the client, then the word of how it went."""
        self.stats[name].began(self.now)
        self.stats[name].ended(self.now, outcome="success" if ok else "failure", latency=0.5)
        self.probes.probed(name, self.stats[name], self.now, ok=ok)


def test_a_target_is_due_after_five_minutes_without_traffic():
    scene = Scene("b")
    scene.traffic(299)
    assert scene.due() == []
    scene.traffic(1)
    assert scene.due() == ["b"]
    assert scene.due() == []
    scene.probe("b")
    scene.traffic(299)
    assert scene.due() == []
    scene.traffic(1)
    assert scene.due() == ["b"]


def test_a_probe_that_was_due_waits_its_time_even_if_nothing_came_of_it():
    scene = Scene("b")
    scene.traffic(300)
    assert scene.due() == ["b"]
    scene.traffic(299)
    assert scene.due() == []
    scene.traffic(1)
    assert scene.due() == ["b"]


def test_traffic_of_its_own_makes_a_probe_unnecessary():
    scene = Scene("b")
    scene.traffic(200)
    scene.traffic(1, name="b")
    scene.traffic(299)
    assert scene.due() == []
    scene.traffic(1)
    assert scene.due() == ["b"]


def test_a_call_under_way_is_traffic():
    scene = Scene("b")
    scene.stats["b"].began(scene.now)
    scene.traffic(400)
    assert scene.due() == []


def test_calls_have_to_be_made_before_probes():
    scene = Scene("b", every=10.0)
    scene.traffic(99)
    assert scene.due() == []
    assert scene.pause() is None
    scene.traffic(1)
    assert scene.due() == ["b"]


def test_when_traffic_ends_so_do_the_probes():
    scene = Scene("b", "c", every=10.0)
    scene.traffic(5000, every=0.1)
    sent = 0
    for _ in range(100):
        scene.now += 10.0
        for name in scene.due():
            scene.probe(name)
            sent += 1
    assert sent == 3
    assert scene.pause() is None


def test_the_longest_idle_comes_first_where_not_all_may_be_asked():
    scene = Scene("b", "c", "d", every=10.0)
    scene.traffic(1, name="d")
    scene.traffic(1, name="b")
    scene.traffic(1, name="c")
    scene.traffic(197)
    assert scene.due() == ["d", "b"]


def test_a_target_that_fails_is_asked_less_and_less_often():
    scene = Scene("b", every=10.0, share=1.0)
    waits = []
    for _ in range(6):
        start = scene.now
        while not scene.due():
            scene.traffic(1)
        waits.append(scene.now - start)
        scene.probe("b", ok=False)
    assert waits == [10.0, 20.0, 40.0, 80.0, 80.0, 80.0]
    scene.traffic(1, name="b")
    scene.traffic(10)
    assert scene.due() == ["b"]
    scene.probe("b", ok=False)
    scene.traffic(20)
    assert scene.due() == ["b"]
    scene.probe("b")
    scene.traffic(10)
    assert scene.due() == ["b"]


def test_targets_that_are_gone_are_forgotten_and_new_ones_wait():
    scene = Scene("b")
    scene.traffic(200)
    del scene.stats["b"]
    scene.stats["c"] = TargetStats()
    assert scene.due() == []
    scene.traffic(299)
    assert scene.due() == []
    scene.traffic(1)
    assert scene.due() == ["c"]


def test_it_says_when_to_look_again():
    scene = Scene("b")
    scene.traffic(100)
    assert scene.due() == []
    assert scene.pause() == 200.0
    scene.traffic(199.5, every=0.5)
    scene.due()
    assert scene.pause() == 1.0


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0.0, 20.0), st.booleans()), max_size=150),
    st.floats(0.01, 1.0),
)
def test_probes_never_exceed_their_share_of_the_calls(steps, share):
    scene = Scene("b", "c", every=5.0, share=share)
    calls = probes = 0
    for name, gap, ok in steps:
        scene.now += gap
        if name in scene.stats:
            scene.traffic(1, name=name)
            calls += 1
        for due in scene.due():
            assert scene.now >= (scene.stats[due].last_seen or 1000.0) + 5.0
            scene.probe(due, ok=ok)
            probes += 1
        assert probes <= share * calls + 1e-9


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"every": 0.5}, "every"),
        ({"every": float("nan")}, "every"),
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
    ],
)
def test_settings_out_of_range_are_refused(settings, field):
    with pytest.raises(ConfigurationError) as caught:
        ProbeSettings(**settings)
    assert caught.value.field == field


# --- the thread ------------------------------------------------------------------------------------------------------


class Shop:
    """What a prober is given: targets, a clock that is set, and a way to send."""

    def __init__(self):
        self.stats = {"a": TargetStats(), "b": TargetStats(), "c": TargetStats()}
        self.now = 1000.0
        self.sent = []
        self.rang = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def send(self, target):
        self.sent.append(target)
        self.stats[target.removesuffix("!")].began(self.now)
        self.stats[target.removesuffix("!")].ended(self.now, outcome="success", latency=0.1)
        self.rang.set()
        self.hold.wait(20)
        return True

    def prober(self, **settings):
        # A target is whatever `targets` gives; the prober only passes it on.
        return Prober(
            ProbeSettings(**settings),
            targets=lambda: {name: (f"{name}!", stats) for name, stats in self.stats.items()},
            send=self.send,
            now=lambda: self.now,
        )

    def calls(self, count):
        for _ in range(count):
            self.stats["a"].began(self.now)
            self.stats["a"].ended(self.now, outcome="success", latency=0.1)


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.hold.set()


def test_a_step_sends_what_is_due(shop):
    prober = shop.prober()
    assert prober.step() is None
    shop.now += 300.0
    shop.calls(300)
    assert prober.step() == 300.0
    assert shop.sent == ["b!", "c!"]
    shop.now += 300.0
    assert prober.step() is None
    assert len(shop.sent) == 3


def test_the_thread_starts_with_traffic_and_ends_with_close(shop):
    prober = shop.prober(every=1.0, share=1.0)
    prober.step()
    assert not prober._worker.alive
    shop.now += 5.0
    shop.calls(50)
    prober.wake()
    assert shop.rang.wait(20)
    prober.close(20)
    assert not prober._worker.alive
    prober.wake()
    assert not prober._worker.alive


def test_closing_lets_the_probe_under_way_be_the_last(shop):
    prober = shop.prober(every=1.0, share=1.0)
    prober.step()
    shop.now += 5.0
    shop.calls(50)
    shop.hold.clear()
    prober.wake()
    assert shop.rang.wait(20)
    thread = prober._worker._thread
    prober.close(0.0)
    shop.hold.set()
    thread.join(20)
    assert not thread.is_alive()
    assert shop.sent == ["b!"]


def test_a_prober_that_is_forgotten_leaves_no_thread(shop):
    prober = shop.prober(every=1.0, share=1.0)
    prober.wake()
    worker = prober._worker
    thread = worker._thread
    gone = weakref.ref(prober)
    del prober, worker
    gc.collect()
    assert gone() is None
    thread.join(20)
    assert not thread.is_alive()


def test_a_child_process_has_earned_nothing(shop):
    prober = shop.prober()
    prober.step()
    shop.now += 300.0
    shop.calls(300)
    prober._after_fork()
    shop.now += 300.0
    assert prober.step() is None
    shop.now += 300.0
    assert prober.step() is None
    assert shop.sent == []
    shop.calls(100)
    assert prober.step() is None
    assert shop.sent == ["b!"]
