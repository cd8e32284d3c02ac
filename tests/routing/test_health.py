from __future__ import annotations

import math
import random
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.routing.health import WINDOW, Health, TargetStats, report

SECONDS = st.floats(0.0, 200.0)
END = st.fixed_dictionaries(
    {"outcome": st.sampled_from(["success", "failure", "slow", "ignored"])},
    optional={"latency": SECONDS, "first_token": SECONDS, "severity": st.floats(0.0, 10.0)},
)
HISTORY = st.lists(st.tuples(st.floats(0.0, 100.0), END), max_size=40)
FAILURE = {"outcome": "failure", "latency": 3.0}


def live(history, stats=None, now=1000.0):
    """Let it all happen, one call after the other, each `gap` seconds after the one before."""
    stats = stats or TargetStats()
    for gap, end in history:
        now += gap
        stats.began(now)
        stats.ended(now, **end)
    return stats, now


def successes(count, *, gap=1.0, latency=1.0):
    return [(gap, {"outcome": "success", "latency": latency})] * count


# --- the score -------------------------------------------------------------------------------------------------------


def test_nothing_known_is_full_marks_without_a_sample():
    assert TargetStats().score(5.0) == Health(
        score=100.0, success=40.0, latency=30.0, errors=30.0, samples=0, in_flight=0, state="closed", idle=None
    )


@given(HISTORY, st.floats(0.0, 400.0))
def test_the_score_is_the_sum_of_parts_within_their_bounds(history, later):
    stats, now = live(history)
    health = stats.score(now + later)
    assert 0.0 <= health.success <= 40.0
    assert 0.0 <= health.latency <= 30.0
    assert 0.0 <= health.errors <= 30.0
    assert health.score == pytest.approx(health.success + health.latency + health.errors)
    assert health.score == pytest.approx(stats.points(now + later), abs=0.2)
    assert health.in_flight == 0


@given(HISTORY, st.integers(0, 40), st.floats(0.0, 1.0), END, st.floats(0.0, 400.0))
def test_one_more_failure_anywhere_never_raises_the_score(history, place, when, failure, later):
    place = min(place, len(history))
    stats, now = live(history)
    gap, end = history[place] if place < len(history) else (later, None)
    worse = [*history[:place], (gap * when, failure | {"outcome": "failure"})]
    if end is not None:
        worse += [(gap * (1.0 - when), end), *history[place + 1 :]]
    other, _ = live(worse)
    assert other.points(now + later) <= stats.points(now + later) + 1e-6


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_a_failure_instead_of_a_success_never_raises_the_score(outcomes, data):
    place = data.draw(st.integers(0, len(outcomes) - 1))

    def points(flags):
        history = [(2.0, {"outcome": "success" if ok else "failure", "latency": 1.0}) for ok in flags]
        stats, now = live(history)
        return stats.points(now)

    worse = [*outcomes[:place], False, *outcomes[place + 1 :]]
    assert points(worse) <= points(outcomes) + 1e-9


@given(HISTORY)
def test_every_success_at_the_usual_pace_helps_until_the_target_is_well(history):
    history = [(gap, end | {"latency": 1.0, "first_token": None}) for gap, end in history]
    stats, now = live(history)
    before = stats.points(now)
    for _ in range(40):
        stats, now = live(successes(1), stats, now)
        # Beyond rounding: a slice with many successes may leave the window meanwhile.
        assert stats.points(now) >= before - 4.0
        before = stats.points(now)
    assert stats.score(now).errors == pytest.approx(30.0, abs=0.1)
    stats, now = live(successes(320), stats, now)
    assert stats.score(now).score == 100.0


def test_an_outage_takes_most_points_and_a_few_successes_bring_the_errors_back():
    stats, now = live([*successes(20), *[(1.0, FAILURE)] * 20])
    down = stats.score(now)
    assert down.success == pytest.approx(40.0 * 21 / 41, abs=0.1)
    assert down.errors < 1.0
    stats, now = live(successes(6), stats, now)
    assert stats.score(now).errors > 27.0


def test_a_dead_target_scores_next_to_nothing_but_for_its_pace():
    stats, now = live([(1.0, FAILURE)] * 30)
    assert stats.score(now).score == pytest.approx(30.0, abs=2.0)


def test_the_first_failure_is_no_proof():
    stats, now = live([(1.0, FAILURE)])
    assert stats.score(now) == Health(
        score=65.0, success=20.0, latency=30.0, errors=15.0, samples=1, in_flight=0, state="closed", idle=0.0
    )


@given(HISTORY)
def test_five_minutes_without_a_call_and_it_is_all_forgotten(history):
    stats, now = live(history)
    quiet = stats.score(now + WINDOW)
    assert (quiet.score, quiet.samples) == (100.0, 0)


@given(HISTORY, st.floats(0.0, 400.0))
def test_the_window_counts_whole_slices_of_half_a_minute(history, later):
    stats, end = live(history)
    now = end + later
    at, kept = 1000.0, []
    for gap, event in history:
        at += gap
        if event["outcome"] != "ignored" and int(at // 30.0) > int(now // 30.0) - 10:
            kept.append({"success": 1.0, "slow": 0.5, "failure": 0.0}[event["outcome"]])
    health = stats.score(now)
    assert health.samples == len(kept)
    assert health.success == round(40.0 * (sum(kept) + 1.0) / (len(kept) + 1), 1)


def test_errors_count_by_recency_and_severity_not_by_rate():
    early, now = live([*[(1.0, FAILURE)] * 5, *successes(20)])
    late, _ = live([*successes(20), *[(1.0, FAILURE)] * 5])
    assert early.score(now).success == late.score(now).success
    assert early.score(now).errors == 30.0
    assert late.score(now).errors < 2.0
    parts = []
    for severity in (0.0, 0.5, 1.0, 2.0):
        stats, at = live([(1.0, FAILURE | {"severity": severity})])
        parts.append(stats.score(at).errors)
    assert parts == [30.0, 21.2, 15.0, 7.5]


def test_errors_fade_without_a_success_too():
    stats, now = live([*successes(20), *[(1.0, FAILURE)] * 3])
    assert [round(stats.score(now + later).errors) for later in (0, 60, 120, 240)] == [4, 14, 23, 29]


def test_a_slow_answer_is_half_a_success_and_half_an_error():
    stats, now = live([(1.0, {"outcome": "slow", "latency": 50.0})])
    health = stats.score(now)
    assert (health.success, health.errors, health.samples) == (30.0, 21.2, 1)


def test_what_is_ignored_leaves_no_trace_but_the_time():
    stats, now = live([*successes(9), (5.0, {"outcome": "ignored", "latency": 99.0})])
    other, _ = live(successes(9))
    assert stats.score(now) == other.score(now - 5.0)
    assert stats.ewma(now) == other.ewma(now)
    assert stats.score(now + 7.0).idle == 7.0


# --- the latency part ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "least", "most"), [(0.2, 30.0, 30.0), (1.4, 30.0, 30.0), (2.5, 15.0, 25.0), (10.0, 0.0, 6.0)]
)
def test_latency_is_judged_against_what_is_usual_for_the_target(factor, least, most):
    stats, now = live(successes(1000, gap=4.0, latency=2.0))
    stats, now = live(successes(20, gap=4.0, latency=2.0 * factor), stats, now)
    assert least <= stats.score(now).latency <= most


@given(st.lists(st.floats(0.01, 60.0), min_size=1, max_size=60), st.floats(1.0, 100.0))
def test_a_target_that_was_always_slower_scores_the_same(latencies, factor):
    def run(scale):
        return live([(5.0, {"outcome": "success", "latency": value * scale}) for value in latencies])

    (stats, now), (slower, _) = run(1.0), run(factor)
    assert slower.points(now) == pytest.approx(stats.points(now), abs=1e-6)


def test_one_long_answer_costs_little():
    stats, now = live([*successes(100, gap=60.0), (60.0, {"outcome": "success", "latency": 60.0})])
    assert stats.score(now).latency > 25.0


def test_a_lasting_change_becomes_usual_within_hours_and_a_short_one_passes():
    slow = successes(40, gap=4.0, latency=6.0)
    stats, now = live([*successes(1000, gap=4.0), *slow])
    assert stats.score(now).latency < 16.0
    stats, now = live(successes(40, gap=4.0), stats, now)
    assert stats.score(now).latency == 30.0
    stats, now = live(successes(3000, gap=4.0, latency=6.0), stats, now)
    assert stats.score(now).latency == 30.0


def test_slowness_is_forgotten_while_nothing_is_heard():
    stats, now = live([*successes(1000, gap=4.0), *successes(20, gap=4.0, latency=5.0)])
    assert stats.score(now).latency < stats.score(now + 120.0).latency < stats.score(now + 250.0).latency


def test_the_first_answers_do_not_say_what_is_usual():
    stats, now = live([*successes(1, latency=0.05), *successes(3, gap=60.0, latency=3.0)])
    assert stats.score(now).latency == 30.0


def test_streams_are_compared_with_streams():
    mixed = [
        (2.0, {"outcome": "success", "latency": 20.0}),
        (2.0, {"outcome": "success", "latency": 20.0, "first_token": 0.5}),
    ]
    stats, now = live(mixed * 500)
    assert stats.score(now).latency == 30.0
    assert stats.ewma(now, streaming=True) == pytest.approx(0.5)
    assert stats.ewma(now) == pytest.approx(20.0)
    stats, now = live([(2.0, {"outcome": "success", "latency": 20.0, "first_token": 5.0})] * 30, stats, now)
    assert stats.score(now).latency < 10.0


# --- the load --------------------------------------------------------------------------------------------------------


def test_the_load_rises_at_once_and_falls_back_within_seconds():
    stats, now = live(successes(50))
    assert stats.ewma(now) == pytest.approx(1.0)
    stats, now = live([(0.0, {"outcome": "success", "latency": 9.0})], stats, now)
    assert stats.ewma(now) == pytest.approx(9.0)
    usual = math.exp(math.log(9.0) / 51)
    assert stats.ewma(now + 10.0) == pytest.approx(usual + (9.0 - usual) / math.e)
    assert stats.ewma(now + 60.0) == pytest.approx(usual, abs=0.05)


def test_a_faster_answer_does_not_take_the_peak_away():
    stats, now = live([*successes(50, latency=4.0), (0.0, {"outcome": "success", "latency": 0.1})])
    assert stats.ewma(now) == pytest.approx(4.0)


@given(HISTORY, st.floats(0.0, 300.0))
def test_looking_changes_nothing(history, later):
    stats, now = live(history)
    seen = (stats.ewma(now + later), stats.ewma(now + later, streaming=True), stats.score(now + later))
    for step in range(10):
        stats.ewma(now + later * step / 10)
        stats.points(now + later * step / 10)
    assert seen == (stats.ewma(now + later), stats.ewma(now + later, streaming=True), stats.score(now + later))


def test_who_fails_fast_does_not_look_fast():
    stats, now = live(successes(50, latency=0.5))
    stats, now = live([(1.0, {"outcome": "failure", "latency": 0.01})], stats, now)
    assert stats.ewma(now) == 5.0
    assert stats.ewma(now, streaming=True) == 5.0
    slow, now = live([*successes(50, latency=20.0), (1.0, {"outcome": "failure", "latency": 0.01})])
    assert slow.ewma(now) == pytest.approx(80.0)
    hung, now = live([(1.0, {"outcome": "failure", "latency": 60.0})])
    assert hung.ewma(now) == 60.0


def test_who_never_answered_is_unknown_again_after_half_a_minute():
    stats, now = live([(1.0, {"outcome": "failure", "latency": 0.1})])
    assert [stats.ewma(now + later) for later in (0.0, 15.0, 30.0)] == [5.0] * 3
    assert stats.ewma(now + 30.1) is None


def test_failures_do_not_become_usual():
    stats, now = live(successes(50))
    stats, now = live([(1.0, {"outcome": "failure", "latency": 60.0})] * 50, stats, now)
    assert stats.ewma(now + 200.0) == pytest.approx(1.0, abs=0.01)


def test_a_slow_answer_counts_for_its_own_kind():
    stats, now = live([(1.0, {"outcome": "slow", "latency": 50.0})])
    assert (stats.ewma(now), stats.ewma(now, streaming=True)) == (50.0, None)


def test_slow_answers_do_not_become_usual():
    stats, now = live([*successes(50), *[(1.0, {"outcome": "slow", "latency": 50.0})] * 50])
    assert stats.ewma(now) == 50.0
    assert stats.ewma(now + 200.0) == pytest.approx(1.0, abs=0.01)


def test_a_success_of_unknown_length_says_nothing_of_pace():
    stats, now = live([(1.0, {"outcome": "success"})])
    assert stats.ewma(now) is None
    assert stats.score(now).samples == 1


def test_after_five_minutes_the_load_is_unknown_again():
    stats, now = live(successes(50))
    assert stats.ewma(now + WINDOW) is not None
    assert stats.ewma(now + WINDOW + 1.0) is None
    assert stats.ewma(now, streaming=True) is None


# --- under way, threads, forks ---------------------------------------------------------------------------------------


def test_calls_under_way_are_counted_and_never_below_zero():
    stats = TargetStats()
    stats.began(1.0)
    stats.began(2.0)
    assert (stats.in_flight, stats.calls, stats.last_seen) == (2, 2, 2.0)
    for _ in range(3):
        stats.ended(4.0, outcome="ignored")
    assert (stats.in_flight, stats.calls, stats.last_seen) == (0, 2, 4.0)
    assert stats.score(6.0).in_flight == 0


def test_a_thread_that_comes_late_with_its_time_is_counted():
    stats = TargetStats()
    stats.ended(1000.0, outcome="success", latency=1.0)
    stats.ended(900.0, outcome="failure", latency=1.0)
    assert stats.score(1000.0).samples == 2
    assert stats.ewma(899.0) == 5.0
    assert stats.score(899.0).idle == 0.0


@pytest.fixture
def hurried_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_lose_nothing(hurried_threads):
    stats = TargetStats()
    threads, calls, waiting = 8, 1500, 1000
    wrong = []
    start = threading.Barrier(threads + 1)
    # So many that a count which is off in either direction stays off.
    for _ in range(waiting):
        stats.began(30.0)
    done = threading.Event()

    def work(seed):
        rng = random.Random(seed)
        start.wait()
        for step in range(calls):
            now = 30.0 + step / 10.0
            stats.began(now)
            stats.ended(now, outcome=rng.choice(["success", "failure", "slow"]), latency=rng.random())

    def watch():
        start.wait()
        while not done.is_set():
            health = stats.score(180.0)
            if not (0.0 <= health.score <= 100.0 and waiting <= health.in_flight <= waiting + threads):
                wrong.append(health)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    watcher = threading.Thread(target=watch)
    for thread in (*workers, watcher):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    watcher.join()
    assert wrong == []
    done_calls = threads * calls
    assert (stats.in_flight, stats.calls, stats.score(180.0).samples) == (waiting, waiting + done_calls, done_calls)
    assert sum(stats._totals) == stats._samples
    assert sum(stats._goods) == stats._good


@pytest.mark.parametrize(
    "enter",
    [
        lambda stats: stats.began(31.0),
        lambda stats: stats.ended(31.0, outcome="failure", latency=1.0),
        lambda stats: stats.points(31.0),
        lambda stats: stats.score(31.0),
    ],
    ids=["began", "ended", "points", "score"],
)
def test_one_thread_at_a_time_changes_or_sums_up(enter):
    stats = TargetStats()
    inside, leave, entered = threading.Event(), threading.Event(), threading.Event()

    class Halting(float):
        """A latency that stops whoever looks at it."""

        def __bool__(self):
            inside.set()
            return leave.wait(20)

    def other():
        enter(stats)
        entered.set()

    first = threading.Thread(target=lambda: stats.ended(31.0, outcome="success", latency=Halting(1.0)))
    second = threading.Thread(target=other)
    first.start()
    assert inside.wait(20)
    second.start()
    assert not entered.wait(0.1)
    leave.set()
    assert entered.wait(20)
    first.join(20)
    second.join(20)
    assert stats.ewma(31.0) is not None


def test_a_finaliser_may_end_a_call_while_its_thread_is_inside():
    stats = TargetStats()
    stats.began(1.0)

    def collected():
        with stats._lock:
            stats.ended(2.0, outcome="failure", latency=1.0)

    thread = threading.Thread(target=collected, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert stats.in_flight == 0


def test_a_child_process_starts_with_nothing_under_way_and_a_lock_of_its_own():
    stats, now = live(successes(3))
    stats.began(now)
    held = stats._lock
    with held:
        stats.after_fork()
        assert stats.in_flight == 0
        thread = threading.Thread(target=stats.began, args=(now,), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    assert stats.score(now).samples == 3


def test_the_report_has_every_target_with_the_state_of_its_breaker():
    one, now = live(successes(3))
    states = {"a/x": "closed", "b/y": "open"}
    found = report({"a/x": one, "b/y": TargetStats()}, now, lambda name, at: states[name] if at == now else "?")
    assert {name: (health.samples, health.state) for name, health in found.items()} == {
        "a/x": (3, "closed"),
        "b/y": (0, "open"),
    }
    assert report({"a/x": one}, now)["a/x"] == one.score(now)
