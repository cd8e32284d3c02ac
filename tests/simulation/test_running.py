"""Whole runs: repeatable, the same calls for all policies, everything counted once."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from aistrale.errors import ConfigurationError
from aistrale.simulation import NAMES, Naive, parse, simulate
from aistrale.simulation.policies import contender, full_jitter
from aistrale.simulation.running import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def herd(tables):
    """A twentieth of the herd: 20 calls a second at a provider that can answer 25."""

    def made(queue, **outage):
        tables.update(duration=150.0, clients={"count": 50, "rate": 0.4})
        tables["targets"][0].update(
            latency={"kind": "exponential", "mean": 0.1},
            capacity=25,
            queue=queue,
            outages=[{"start": 30, "end": 60, **outage}],
        )
        return parse(tables)

    return made


BROWNOUT = {"kind": "brownout", "capacity": 0.1}


@pytest.mark.parametrize("policy", NAMES)
def test_the_same_seed_gives_the_same_run(herd, policy):
    scenario = herd(40, **BROWNOUT)
    assert simulate(scenario, policy) == simulate(scenario, policy)


def test_another_process_gives_the_same_run(herd, tables):
    here = simulate(herd(40, **BROWNOUT))
    code = f"from aistrale.simulation import parse, simulate; print(simulate(parse({tables!r})))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.strip() == str(here)


def test_another_seed_gives_another_run(herd):
    scenario = herd(40, **BROWNOUT)
    first, second = simulate(scenario, "full_jitter"), simulate(scenario, "full_jitter", seed=2)
    assert (first.seed, second.seed) == (1, 2)
    assert first.buckets != second.buckets


def test_all_policies_meet_the_same_calls(herd):
    scenario = herd(40, kind="error")
    offered = [[bucket.offered for bucket in simulate(scenario, name).buckets] for name in ("none", "to_deadline")]
    assert offered[0] == offered[1]


def test_arrivals_are_a_poisson_process(tables):
    tables.update(duration=2000.0, bucket=1.0, clients={"count": 10, "rate": 1.0})
    counts = [bucket.offered for bucket in simulate(parse(tables), "none").buckets]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert mean == pytest.approx(10.0, rel=0.03)
    assert variance == pytest.approx(10.0, rel=0.12)


def test_a_surge_brings_more_and_silence_none(tables):
    tables["duration"] = 300.0
    tables["clients"]["surges"] = [
        {"start": 100, "end": 150, "factor": 4},
        {"start": 200, "end": 250, "factor": 0},
    ]
    buckets = simulate(parse(tables), "none").buckets
    per_second = [sum(b.offered for b in buckets if start <= b.start < start + 50) / 50 for start in range(0, 300, 50)]
    assert per_second == pytest.approx([10, 10, 40, 10, 0, 10], rel=0.12)


def test_calls_that_cannot_end_are_counted_as_unfinished(tables):
    tables["calls"] = {"deadline": "none"}
    tables["targets"][0]["outages"] = [{"kind": "black_hole", "start": 30, "end": 61}]
    found = simulate(parse(tables), "none")
    assert found.errors == {"unfinished": found.offered - found.ok}
    assert found.errors["unfinished"] > 200


def test_every_call_and_attempt_is_counted_once(herd):
    found = simulate(herd(40, **BROWNOUT), "full_jitter")
    (target,) = found.targets
    assert found.offered == found.ok + sum(found.errors.values()) == sum(bucket.offered for bucket in found.buckets)
    assert found.attempts == target.arrived
    assert target.arrived == target.answered + target.full + target.abandoned
    assert found.ok == target.answered


def test_policies_can_be_made_by_a_function(tables):
    made = []

    def eager(world):
        made.append(world)
        return {"retry": Naive(2, full_jitter)}

    tables["targets"][0]["outages"] = [{"kind": "error", "start": 0, "end": 100}]
    found = simulate(parse(tables), eager)
    assert (found.policy, found.amplification) == ("eager", 2.0)
    # A client is a process: its policies are its own.
    assert len(made) == 20


def test_policies_of_the_scenario_are_known_by_name(tables):
    tables["policies"] = {"patient": {"retry": {"attempts": 5, "base": 0.1, "cap": 0.1}, "breaker": False}}
    tables["targets"][0]["outages"] = [{"kind": "error", "start": 0, "end": 100, "status": 500}]
    scenario = parse(tables)
    assert scenario.compare[-1] == "patient" or "patient" in scenario.compare
    assert simulate(scenario, "patient").amplification > simulate(scenario, "none").amplification == 1.0
    with pytest.raises(ConfigurationError, match="patient"):
        simulate(scenario, "patietn")


def test_an_announced_wait_is_obeyed_to_the_second(tables):
    tables.update(duration=120.0, clients={"count": 10, "rate": 1.0})
    tables["calls"] = {"deadline": 60}
    tables["targets"][0]["quota"] = {"requests": 300, "window": 60}
    herd, jittered = (simulate(parse(tables), name) for name in ("retry_after", "full_jitter"))
    # All who were refused come back in the second in which the window begins.
    assert herd.peak > 200
    assert jittered.peak < 100
    assert herd.ok_share > jittered.ok_share


# --- the herd, scaled down: the findings hold with fifty clients ------------------------------------------------------


def test_fast_errors_multiply_attempts_but_do_no_lasting_harm(herd):
    scenario = herd(40, kind="error")
    sent = {}
    for name in ("none", "at_once", "exponential", "full_jitter"):
        (episode,) = simulate(scenario, name).episodes
        sent[name] = episode.attempts
        assert episode.back_after is not None
        assert episode.back_after <= 5.0
    assert sent["none"] == 1.0
    assert min(sent[name] for name in ("at_once", "exponential", "full_jitter")) > 3.5


@pytest.mark.parametrize("name", ["at_once", "exponential", "full_jitter", "to_deadline"])
def test_retries_hold_a_provider_with_a_long_queue_under_water(herd, name):
    found = simulate(herd(150, **BROWNOUT), name)
    (episode,) = found.episodes
    assert (episode.back_after, episode.attempts_after > 3.5) == (None, True)
    assert episode.ok_after < 0.05
    assert found.wasted > 0.5


def test_without_retries_it_comes_back_by_itself(herd):
    found = simulate(herd(150, **BROWNOUT), "none")
    (episode,) = found.episodes
    assert episode.back_after is not None
    assert 10.0 < episode.back_after < 35.0
    assert found.wasted < 0.4


def test_a_short_queue_protects_the_provider(herd):
    (episode,) = simulate(herd(40, **BROWNOUT), "full_jitter").episodes
    assert episode.back_after is not None
    assert episode.back_after < 5.0


def test_a_black_hole_ends_like_a_brownout(herd):
    scenario = herd(150, kind="black_hole")
    (naive,), (none,) = (simulate(scenario, name).episodes for name in ("full_jitter", "none"))
    assert naive.back_after is None
    assert none.back_after == 0.0


def test_a_second_target_takes_over(tables):
    tables["targets"][0]["outages"] = [{"kind": "error", "start": 10, "end": 40}]
    tables["targets"].append({"name": "anthropic/claude-haiku-4-5", "latency": 0.1})
    for name in ("none", "default"):
        found = simulate(parse(tables), name)
        assert found.ok == found.offered
        assert found.targets[1].answered > 200


# --- the real policies on this runtime --------------------------------------------------------------------------------


def test_hedging_shortens_the_tail_and_costs(tables):
    tables.update(duration=120.0, clients={"count": 10, "rate": 2.0})
    tables["calls"] = {"deadline": 30}
    tables["targets"][0]["latency"] = {"kind": "lognormal", "median": 0.5, "p99": 4.0}
    tables["policies"] = {"hedged": {"hedge": {"delay": 1.5}}}
    scenario = parse(tables)
    plain, hedged = simulate(scenario, "default"), simulate(scenario, "hedged")
    assert plain.ok_share == hedged.ok_share == 1.0
    assert hedged.p99 < 0.85 * plain.p99
    assert plain.amplification == 1.0 < hedged.amplification < 1.3
    assert hedged.cost > plain.cost
    # The losers were left by their callers, and the provider went on with them.
    assert hedged.wasted > 0.1 > plain.wasted


def test_modes_of_streams_survive_as_much_as_they_promise(tables):
    tables["calls"] = {"deadline": 30, "first_token": 10, "stream": True}
    tables["targets"][0].update(latency=1.0, outages=[{"kind": "cut", "start": 10, "end": 50, "share": 0.5}])
    tables["targets"].append({"name": "anthropic/claude-haiku-4-5", "latency": 0.5})
    tables["policies"] = {mode: {"streams": {"mode": mode}} for mode in ("raise", "buffered", "resume")}
    scenario = parse(tables)
    found = {name: simulate(scenario, name) for name in ("none", "raise", "buffered", "resume")}
    assert found["buffered"].ok_share == found["resume"].ok_share == 1.0
    assert found["buffered"].targets[1].answered > 20
    assert set(found["raise"].errors) == set(found["none"].errors) == {"StreamInterrupted"}


def test_a_cache_never_has_the_answer(tables):
    tables["policies"] = {"cached": {"cache": {}}}
    assert simulate(parse(tables), "cached").amplification == 1.0


def test_errors_leave_nothing_to_the_garbage_collector(tables):
    tables["targets"][0]["outages"] = [{"kind": "error", "start": 0, "end": 100}]
    scenario = parse(tables)
    simulate(scenario)
    gc.collect()
    before = sum(isinstance(item, BaseException) for item in gc.get_objects())
    gc.disable()
    try:
        run = Run(scenario, contender("default", {}, ["openai/gpt-5-mini"]))
        run.run()
        calls = len(run.records)
        del run
        found = gc.collect()
    finally:
        gc.enable()
    # What is left belongs to the clients that are gone, not to the calls that failed.
    assert calls > 500
    assert sum(isinstance(item, BaseException) for item in gc.get_objects()) < before + 50
    assert found < 20 * 200
