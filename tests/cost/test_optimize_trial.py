"""Trials: a change that does no harm stays and spreads, one that does is taken back, however often one looks."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.optimization.trial import ALPHA, Betting, Rules, Trial


def _run(seed: object, treated: float, untreated: float, *, share: float = 0.5, calls: int = 2000) -> float:
    """The most evidence that was ever seen, looking after each call."""
    rng, test, most = random.Random(f"trial {seed}"), Betting(0.95), 0.0
    for _ in range(calls):
        changed = rng.random() < share
        test.add(float(rng.random() < (treated if changed else untreated)), treated=changed)
        most = max(most, test.evidence)
    return most


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_a_change_on_the_edge_of_good_enough_is_seldom_suspected(rate: float, share: float) -> None:
    suspected = sum(
        _run((rate, share, seed), 0.95 * rate, rate, share=share, calls=1000) >= 1 / ALPHA for seed in range(100)
    )
    # At most 5 % by theory; 100 runs of 5 % are above 12 once in 1,500 times.
    assert suspected <= 12


def test_a_harmless_change_is_hardly_ever_suspected() -> None:
    assert sum(_run(seed, 0.8, 0.8) >= 1 / ALPHA for seed in range(100)) <= 2


def test_a_harmful_one_is_found() -> None:
    found = 0
    for seed in range(50):
        found += _run(("bad", seed), 0.6, 0.8, calls=1500) >= 2 / ALPHA
    assert found >= 45


def test_few_calls_suffice_for_a_great_harm() -> None:
    stops = []
    for seed in range(50):
        rng, test, count = random.Random(f"great {seed}"), Betting(0.95), 0
        while test.evidence < 2 / ALPHA and count < 5000:
            count += 1
            changed = rng.random() < 0.5
            test.add(min(max(rng.gauss(0.3 if changed else 0.8, 0.1), 0.0), 1.0), treated=changed)
        stops.append(count)
    assert median(stops) < 60


def test_harm_that_comes_late_is_found_too() -> None:
    rng, test = random.Random(11), Betting(0.95)

    def more(calls: int, treated: float) -> None:
        for _ in range(calls):
            changed = rng.random() < 0.5
            test.add(float(rng.random() < (treated if changed else 0.9)), treated=changed)

    more(5000, 0.9)
    assert test.evidence < 1
    more(1000, 0.4)
    assert test.evidence > 2 / ALPHA


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=400))
def test_wealth_is_a_number_and_never_negative(values: list[tuple[bool, float]]) -> None:
    test = Betting(0.95)
    for treated, value in values:
        test.add(value, treated=treated)
        assert 0 <= test.evidence < float("inf")


def test_shares_double_step_by_step_up_to_the_most() -> None:
    trial = Trial(Rules(share=0.1, max_share=0.5, min_calls=50))
    rng, shares = random.Random(1), {trial.share: True}
    for _ in range(5000):
        trial.settle(treated=rng.random() < trial.share, succeeded=True)
        shares[trial.share] = True
    assert list(shares) == [0.1, 0.2, 0.4, 0.5]


def test_without_scores_another_model_stays_at_the_first_share() -> None:
    trial = Trial(Rules(needs_scores=True))
    for index in range(2000):
        assert trial.settle(treated=index % 10 == 0, succeeded=True) is None
    assert trial.share == 0.1
    for index in range(2000):
        trial.scored(0.8, treated=index % 10 == 0)
    assert trial.share > 0.1


def test_falling_scores_take_it_back_and_it_stays_so() -> None:
    rng, trial, decided = random.Random(3), Trial(Rules(share=0.5, max_share=0.5, min_calls=50)), []
    for _ in range(1000):
        treated = rng.random() < 0.5
        decided += [trial.scored(min(max(rng.gauss(0.5 if treated else 0.8, 0.1), 0), 1), treated=treated)]
    assert decided.count("undone") == 1
    assert trial.share == 0
    assert trial.undone is not None
    assert "the scores fell: 0." in trial.undone
    # Not before both arms have had their calls, however clear it is.
    assert decided.index("undone") >= 99


def test_failing_calls_take_it_back() -> None:
    trial = Trial(Rules(share=0.5, min_calls=50))
    for index in range(400):
        trial.settle(treated=index % 2 == 0, succeeded=index % 2 == 1 or index % 4 == 0)
    assert trial.undone is not None
    assert trial.undone.startswith("the success rates fell: 0.")


def test_nothing_rises_while_scores_are_lower_than_good_enough() -> None:
    trial = Trial(Rules(min_calls=50))
    for index in range(120):
        trial.settle(treated=index % 2 == 0, succeeded=True)
        trial.scored(0.7 if index % 2 == 0 else 0.8, treated=index % 2 == 0)
    assert trial.share in {0.1, 0.0}
