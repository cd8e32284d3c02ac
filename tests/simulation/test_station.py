"""The provider's queue against what queueing theory says of it."""

from __future__ import annotations

import math
import random

import pytest

from aistrale.simulation.distributions import Constant, Empirical, Exponential, Lognormal
from aistrale.simulation.kernel import Kernel
from aistrale.simulation.scenario import Outage, Quota, TargetSpec
from aistrale.simulation.station import Job, Refusal, Station

COUNT = 60_000


def station(kernel=None, seed=5, **spec):
    spec = TargetSpec(**{"name": "here/model", "latency": Exponential(1.0), **spec})
    return Station(spec, kernel or Kernel(), random.Random(seed), tokens=700, stream=False)


def load(place, kernel, rate, count=COUNT, seed=9):
    """Poisson arrivals; the jobs and refusals in order."""
    rng, taken = random.Random(seed), []

    def arrive(number, _):
        taken.append((kernel.now, place.take()))
        if number + 1 < count:
            kernel.at(kernel.now + rng.expovariate(rate), arrive, number + 1, None)

    kernel.at(0.0, arrive, 0, None)
    kernel.run()
    return taken


def erlang_c(servers, offered):
    """Probability of waiting in M/M/c; `offered` in erlangs (Erlang 1917)."""
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(offered**n / math.factorial(n) for n in range(servers)) + last)


def erlang_b(servers, offered):
    """Probability of being refused in M/M/c/c."""
    return (offered**servers / math.factorial(servers)) / sum(
        offered**n / math.factorial(n) for n in range(servers + 1)
    )


@pytest.mark.parametrize(("servers", "load_factor"), [(1, 0.5), (4, 0.7), (20, 0.8)])
def test_waiting_is_as_in_m_m_c(servers, load_factor):
    rate, waits = servers * load_factor, []
    for seed in range(4):
        kernel = Kernel()
        taken = load(station(kernel, servers=servers, seed=seed), kernel, rate, seed=10 + seed)
        waits += [job.begun - at for at, job in taken]
    chance = erlang_c(servers, rate)
    assert sum(wait > 1e-9 for wait in waits) / len(waits) == pytest.approx(chance, rel=0.05)
    assert sum(waits) / len(waits) == pytest.approx(chance / (servers - rate), rel=0.08)


def test_losses_without_a_queue_are_as_in_erlangs_formula():
    kernel = Kernel()
    place = station(kernel, servers=8, queue=0)
    taken = load(place, kernel, 8.0)
    refused = sum(isinstance(job, Refusal) for _, job in taken)
    assert refused / COUNT == pytest.approx(erlang_b(8, 8.0), rel=0.05)
    assert place.tally.full == refused


def test_a_bounded_queue_loses_as_in_m_m_1_k():
    kernel = Kernel()
    taken = load(station(kernel, servers=1, queue=4), kernel, 0.9)
    refused = sum(isinstance(job, Refusal) for _, job in taken) / COUNT
    rho, places = 0.9, 5
    assert refused == pytest.approx((1 - rho) * rho**places / (1 - rho ** (places + 1)), rel=0.06)


@pytest.mark.parametrize(("capacity", "mean"), [(500.0, 0.1), (3.0, 0.7), (0.8, 0.25)])
def test_a_capacity_is_met_exactly(capacity, mean):
    kernel = Kernel()
    place = station(kernel, capacity=capacity, latency=Constant(mean))
    load(place, kernel, 3 * capacity, count=6000)
    assert 6000 / (kernel.now) == pytest.approx(capacity, rel=0.02)
    assert place.tally.work == pytest.approx(6000 * mean)


def test_a_brownout_leaves_its_share_of_the_capacity():
    kernel = Kernel()
    outage = Outage(kind="brownout", start=100.0, end=200.0, capacity=0.25)
    place = station(kernel, servers=10, latency=Constant(1.0), outages=(outage,))
    jobs = [place.take() for _ in range(3000)]
    kernel.run()
    answered = [job.begun + job.latency for job in jobs]
    per_second = [sum(start < at <= start + 50 for at in answered) / 50 for start in (40.0, 120.0, 210.0)]
    assert per_second == pytest.approx([10.0, 2.5, 10.0], rel=0.03)


def test_slowness_takes_longer_and_ends():
    kernel = Kernel()
    outage = Outage(kind="slow", start=10.0, end=20.0, factor=4.0)
    place = station(kernel, latency=Constant(1.0), outages=(outage,))
    jobs = []
    for at in (9.0, 10.0, 19.0, 20.0):
        kernel.at(at, lambda *_: jobs.append(place.take()), None, None)
    kernel.run()
    assert [job.latency for job in jobs] == [1.0, 4.0, 4.0, 1.0]


def test_work_goes_on_for_callers_who_have_left():
    kernel = Kernel()
    place = station(kernel, servers=1, latency=Constant(1.0))
    jobs = [place.take() for _ in range(4)]
    for job in jobs[1:3]:
        place.leave(job)
        place.leave(job)
    kernel.run()
    assert [job.begun for job in jobs] == [0.0, 1.0, 2.0, 3.0]
    tally = place.tally
    assert (tally.abandoned, tally.answered, tally.finished) == (2, 2, 4)
    assert (tally.work, tally.wasted) == (4.0, 2.0)


def test_a_provider_that_cancels_stops_working_for_them():
    kernel = Kernel()
    place = station(kernel, servers=1, queue=3, latency=Constant(1.0), cancels=True)
    jobs = [place.take() for _ in range(4)]
    assert isinstance(place.take(), Refusal)
    kernel.at(0.25, lambda *_: place.leave(jobs[0]), None, None)
    kernel.at(0.25, lambda *_: place.leave(jobs[2]), None, None)
    kernel.at(0.3, lambda *_: jobs.append(place.take()), None, None)
    kernel.run()
    assert [job.begun for job in jobs] == [0.0, 0.25, math.inf, 1.25, 2.25]
    assert (place.waiting, place.busy) == (0, 0)
    tally = place.tally
    assert (tally.work, tally.wasted, tally.stopped, tally.stops, tally.answered) == (3.25, 0.25, 0.25, 1, 3)


def test_a_server_that_rests_is_freed_once_when_its_work_is_cancelled():
    kernel = Kernel()
    place = station(kernel, capacity=1.0, latency=Constant(0.4), cancels=True)
    jobs = [place.take() for _ in range(3)]
    kernel.at(0.1, lambda *_: place.leave(jobs[0]), None, None)
    kernel.run()
    assert [job.begun for job in jobs] == pytest.approx([0.0, 0.1, 1.1])
    assert place.busy == 0


def test_the_peak_is_the_busiest_second():
    kernel = Kernel()
    place = station(kernel)
    for at in (0.1, 0.9, 1.0, 1.5, 1.99, 2.0, 7.0):
        kernel.at(at, lambda *_: place.arrive(), None, None)
    kernel.run()
    assert (place.tally.arrived, place.tally.peak) == (7, 3)


# --- quotas -----------------------------------------------------------------------------------------------------------


def refusals(quota, *instants):
    kernel, seen = Kernel(), []
    place = station(kernel, quota=quota)
    for at in instants:
        kernel.at(at, lambda *_: seen.append(place.take()), None, None)
    kernel.run()
    return [None if isinstance(job, Job) else job.retry_after for job in seen]


def test_a_window_refills_at_once():
    assert refusals(Quota(requests=2, window=10.0), 0.0, 9.0, 9.5, 10.0, 10.0, 10.1) == [
        None,
        None,
        1.0,
        None,
        None,
        10.0,
    ]


def test_a_steady_quota_refills_evenly():
    quota = Quota(requests=2, window=10.0, refill="steady")
    assert refusals(quota, 0.0, 0.0, 0.0, 4.9, 5.0, 5.0) == [None, None, 5.0, 1.0, None, 5.0]


def test_tokens_count_as_well():
    assert refusals(Quota(tokens=1500, window=60.0), 1.0, 2.0, 3.0, 60.0) == [None, None, 57.0, None]


# --- distributions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [Constant(2.0), Exponential(2.0), Lognormal(2.0, 9.0), Empirical((1.0, 2.0, 6.0))], ids=repr
)
def test_the_mean_is_the_mean_of_what_is_drawn(shape):
    rng = random.Random(4)
    drawn = [shape.draw(rng) for _ in range(40_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(shape.mean, rel=0.03)
    assert min(drawn) >= 0.0


def test_a_lognormal_has_its_median_and_tail():
    rng = random.Random(4)
    drawn = sorted(Lognormal(2.0, 9.0).draw(rng) for _ in range(40_000))
    assert drawn[20_000] == pytest.approx(2.0, rel=0.03)
    assert drawn[39_600] == pytest.approx(9.0, rel=0.06)


def test_an_exponential_has_its_quantiles():
    rng = random.Random(4)
    drawn = sorted(Exponential(2.0).draw(rng) for _ in range(40_000))
    assert drawn[20_000] == pytest.approx(2.0 * math.log(2), rel=0.03)
