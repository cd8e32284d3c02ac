"""What becomes of a message, by the answer alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.telemetry.webhooks.outbound import Answer
from aistrale.telemetry.webhooks.schedule import DELAYS, judge


def verdict(tries=1, failures=0, **answer):
    return judge(Answer(**answer), tries, failures, random.Random(1))


def test_the_schedule_is_the_one_of_the_specification():
    at, instants = 0.0, []
    for delay in DELAYS:
        at += delay
        instants.append(f"{int(at // 3600):02}:{int(at % 3600 // 60):02}:{int(at % 60):02}")
    assert instants == [
        "00:00:00", "00:00:05", "00:05:05", "00:35:05", "02:35:05", "07:35:05", "17:35:05", "31:35:05", "51:35:05", "75:35:05",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_2xx(status):
    assert verdict(status=status).state == "delivered"


@pytest.mark.parametrize(
    "status", [100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 405, 408, 422, 429, 500, 502, 503, 504, 599]
)
def test_everything_else_is_tried_again(status):
    made = verdict(status=status)
    assert (made.state, made.reason, made.disable) == ("pending", None, False)
    assert 4.5 <= made.wait <= 5.5


def test_gone_is_the_end_of_the_endpoint():
    made = verdict(status=410, retry_after=60.0)
    assert (made.state, made.reason, made.disable) == ("dead", "gone", True)


@given(st.integers(min_value=1, max_value=len(DELAYS) - 1), st.integers(), st.none() | st.floats(0, 10**6))
def test_waits_grow_by_the_schedule_within_a_tenth_and_are_never_shorter_than_asked(tries, seed, asked):
    made = judge(Answer(status=500, retry_after=asked), tries, 0, random.Random(seed))
    asked = min(asked or 0.0, 86_400.0)
    assert made.wait >= max(DELAYS[tries] * 0.9, asked)
    assert made.wait <= max(DELAYS[tries] * 1.1, asked)


def test_the_last_try_is_the_last():
    assert verdict(tries=len(DELAYS) - 1, status=500).state == "pending"
    made = verdict(tries=len(DELAYS), status=500)
    assert (made.state, made.reason) == ("dead", "exhausted")


@pytest.mark.parametrize(
    "answer", [{"status": 429}, {"status": 502}, {"status": 503}, {"status": 504}, {"error": "HttpTimeout"}]
)
def test_signs_of_load_hold_the_whole_endpoint_for_a_growing_while(answer):
    holds = [verdict(failures=failures, **answer).hold for failures in range(12)]
    assert holds == sorted(holds)
    assert 0.9 <= holds[0] <= 1.0
    assert 50 <= holds[-1] <= 60
    assert verdict(retry_after=500.0, **answer).hold == 500.0


def test_a_message_that_is_not_understood_does_not_hold_the_others_but_five_in_a_row_do():
    assert [verdict(failures=failures, status=400).hold > 0 for failures in range(6)] == [False] * 4 + [True] * 2
