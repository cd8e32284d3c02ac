from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.anomalies.tail import Tail
from aistrale.errors import ConfigurationError


def noise(count, seed=3):
    dice = random.Random(seed)
    return [dice.gauss(10.0, 1.0) for _ in range(count)]


def scores(values, **settings):
    tail = Tail(**settings)
    return [tail.update(value) for value in values]


def test_a_jump_scores_once():
    found = scores([*noise(300), *[20.0] * 5, *noise(50, seed=4)])
    assert found[300] > 8.0
    assert found[301:] == [0.0] * 54


def test_a_larger_jump_scores_again():
    found = scores([*noise(300), 20.0, 10.0, 40.0])
    assert found[302] > found[300] > 8.0


def test_a_fall_is_as_far_as_a_rise():
    assert scores([*noise(300), 0.0])[-1] == pytest.approx(scores([*noise(300), 20.0])[-1], rel=0.1)


def test_what_one_memory_knows_is_no_news():
    values = [*noise(900), *[30.0] * 200, *noise(600, seed=5), 30.0]
    assert scores(values, fade=0.0)[-1] < scores(values, memories=(0.995,), fade=0.0)[-1]


def test_nothing_is_said_before_fifty_samples():
    assert scores([1.0] * 49 + [100.0]) == [0.0] * 50


def test_the_first_samples_weigh_the_same():
    tail = Tail((0.999,))
    for value in range(100):
        tail.update(float(value))
    assert tail.level == pytest.approx(49.5)
    assert tail.distance(49.5 + 28.866) == pytest.approx(1.0, rel=1e-3)  # the standard deviation of 0 to 99


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_no_number_is_refused(wrong):
    tail = Tail()
    with pytest.raises(ConfigurationError, match="Sample 0"):
        tail.update(wrong)


@pytest.mark.parametrize("settings", [{"memories": ()}, {"memories": (1.0,)}, {"fade": 1.0}, {"fade": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigurationError):
        Tail(**settings)


@given(st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=40, max_size=80), st.floats(-1e3, 1e3))
def test_scores_are_finite_and_do_not_know_the_future(values, later):
    found = scores(values)
    assert all(0.0 <= score < math.inf for score in found)
    assert scores([*values, later])[:-1] == found
