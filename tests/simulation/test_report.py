"""The figures of a report, against cases small enough to count by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aistrale.simulation import parse, simulate
from aistrale.simulation.report import CallRecord, disturbances, percentile, summarize
from aistrale.simulation.runtime import SimRuntime
from aistrale.simulation.world import World


def report(tables, records, sent=()):
    scenario = parse(tables)
    world = World(scenario, SimRuntime(), 1)
    world.sent.extend(sent)
    return summarize(scenario, "by hand", records, world)


def call(made, *, ok=True, latency=0.1, attempts=1):
    return CallRecord(made, latency, ok, attempts, "" if ok else "ServerError")


def steady(first, last, ok=lambda made: True):
    """A call every half second, in no order."""
    made = [first + number / 2 for number in range(int((last - first) * 2))]
    return [call(at, ok=ok(at)) for at in reversed(made)]


def test_calls_are_counted(tables):
    records = [call(1.0), call(2.0, ok=False), call(59.0, latency=2.0), call(3.0, attempts=3)]
    found = report(tables, records, [1.0, 2.0, 3.0, 3.5, 3.9, 59.0])
    assert (found.offered, found.ok, found.attempts, found.peak) == (4, 3, 6, 3)
    assert (found.ok_share, found.amplification) == (0.75, 1.5)
    assert (found.p50, found.p99, found.errors) == (0.1, 2.0, {"ServerError": 1})
    assert found.episodes == ()


def test_the_time_line_tells_when_calls_were_made_and_when_answered(tables):
    found = report(tables, [call(1.0, latency=6.0), call(4.8), call(5.0, ok=False)], [1.0, 4.8, 5.0, 6.0])
    first, second, *rest = found.buckets
    assert (first.start, first.offered, first.ok, first.answered, first.attempts) == (0.0, 2, 2, 1, 2)
    assert (second.start, second.offered, second.ok, second.answered, second.attempts) == (5.0, 1, 0, 1, 2)
    assert len(rest) == 10
    assert not any(bucket.offered for bucket in rest)


def outage(tables, *spans):
    tables["targets"][0]["outages"] = [{"kind": "error", "start": start, "end": end} for start, end in spans]
    return tables


def test_recovery_is_the_moment_from_which_on_it_stays_good(tables):
    outage(tables, (10, 20))
    (episode,) = report(tables, steady(0, 60, lambda made: not 10 <= made < 24)).episodes
    # The first window of 5 s without a failure begins at 24 s.
    assert (episode.start, episode.end, episode.offered, episode.ok) == (10.0, 20.0, 20, 0.0)
    assert episode.back_after == 4.0
    assert episode.ok_after == 72 / 80


def test_a_relapse_counts_as_not_recovered(tables):
    outage(tables, (10, 20))
    (episode,) = report(tables, steady(0, 60, lambda made: not (10 <= made < 20 or made == 40.0))).episodes
    assert episode.back_after == 20.5


def test_without_recovery_there_is_none(tables):
    outage(tables, (10, 20))
    (episode,) = report(tables, steady(0, 60, lambda made: made < 10)).episodes
    assert (episode.back_after, episode.ok_after) == (None, 0.0)


def test_what_was_never_lost_is_back_at_once(tables):
    outage(tables, (10, 20))
    (episode,) = report(tables, steady(0, 60)).episodes
    assert (episode.back_after, episode.ok) == (0.0, 1.0)


def test_recovery_is_measured_against_what_was_usual_before(tables):
    outage(tables, (10, 20))
    half_of_them = steady(0, 60, lambda made: made % 1 == 0 and not 10 <= made < 21)
    (episode,) = report(tables, half_of_them).episodes
    # From 20 s on the window has four good calls of ten, from 20.5 s on five, as before the outage.
    assert episode.back_after == 0.5


def test_attempts_are_counted_during_and_after(tables):
    outage(tables, (10, 20))
    sent = sorted([*(10 + n / 4 for n in range(40)), *(20 + n / 2 for n in range(60)), *range(50, 60)])
    (episode,) = report(tables, steady(0, 60), sent).episodes
    assert (episode.attempts, episode.attempts_after) == (2.0, 1.0)


def test_disturbances_that_overlap_are_one(tables):
    outage(tables, (30, 35), (10, 20), (15, 25), (90, 99))
    tables["clients"]["surges"] = [{"start": 35, "end": 40, "factor": 2}]
    assert disturbances(parse(tables)) == [(10.0, 25.0), (30.0, 40.0)]


def test_each_disturbance_has_an_end_of_its_own(tables):
    outage(tables, (10, 20), (40, 50))
    first, second = report(tables, steady(0, 60, lambda made: not 10 <= made < 45)).episodes
    assert (first.back_after, second.back_after) == (None, 0.0)


def test_percentiles_are_values_that_occurred():
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([], 0.5) is None


def test_money_is_exact_and_a_document_is_plain(tables):
    tables["targets"][0]["price"] = {"input": 0.1, "output": 0.3}
    tables["calls"].update(input_tokens=1000, output_tokens=100)
    found = simulate(parse(tables), "none")
    each = Decimal("0.00013")
    assert found.cost == each * found.ok
    assert found.cost_per_answer == each
    document = found.as_document()
    assert Decimal(document["cost_per_answer"]) == each
    assert document["targets"][0]["answered"] == found.ok
    assert document["ok_share"] == 1.0


def test_waste_costs_too(tables):
    tables["targets"][0].update(latency=3.0, price={"input": 0, "output": 10})
    found = simulate(parse(tables), "none")
    assert (found.ok, found.wasted, found.cost_per_answer) == (0, 1.0, None)
    assert found.cost == Decimal("0.002") * found.offered


def test_work_that_was_stopped_costs_its_share(tables):
    tables["targets"][0].update(latency=4.0, cancels=True, price={"input": 1, "output": 10})
    found = simulate(parse(tables), "none")
    # Half of each answer, and the whole prompt.
    assert float(found.cost) == pytest.approx((0.0005 + 0.001) * found.offered)
