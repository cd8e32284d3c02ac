"""Burn rates over a real ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aistrale.cost.burning import STEP, burning
from aistrale.store import open_ledger
from aistrale.store.records import AttemptRow, CallRow

NOW = datetime(2026, 11, 25, 15, 2, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    made = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    yield made
    made.close()


def spend(ledger, moment, usd, number, project=None):
    call_id = f"{number}-{moment.timestamp()}"
    rows = (
        AttemptRow(
            call_id=call_id, attempt=1, at=moment.timestamp(), latency=1.0, provider="openai", model="gpt-5-mini",
            target="openai/gpt-5-mini", streamed=False, outcome="success", cost=f"{usd:.6f}",
        ),
        CallRow(
            call_id=call_id, at=moment.timestamp(), latency=1.0, kind="chat", model_asked="openai/gpt-5-mini",
            outcome="success", attempts=1, cost=f"{usd:.6f}", project=project,
        ),
    )  # fmt: skip
    assert ledger.append(*rows)


def weeks(ledger, *, loop_minutes=0):
    """Three quiet weeks of working hours; at the end a loop, if there is one, of ten times as much."""
    moment, number = NOW - timedelta(days=20), 0
    while moment < NOW:
        if 8 <= moment.hour < 18:
            looping = moment >= NOW - timedelta(minutes=loop_minutes)
            spend(ledger, moment, (0.5 + 0.02 * (number * 7 % 5)) * (10 if looping else 1), number, "shop")
        moment += timedelta(seconds=STEP)
        number += 1


def test_a_loop_is_found_while_it_goes_on(ledger):
    weeks(ledger, loop_minutes=20)
    found = burning(ledger, now=NOW)
    assert {each.rule for each in found} >= {"runaway"}
    runaway = next(each for each in found if each.rule == "runaway")
    assert NOW - timedelta(minutes=20) < runaway.at <= NOW + timedelta(seconds=STEP)
    assert runaway.factor > 3


def test_quiet_weeks_burn_nothing(ledger):
    weeks(ledger)
    assert burning(ledger, now=NOW) == []


def test_what_is_over_for_long_is_not_told(ledger):
    weeks(ledger, loop_minutes=20)
    later = NOW + timedelta(days=3)
    assert burning(ledger, now=later, within=timedelta(hours=24)) == []


def test_a_budget_is_measured_against_from_the_first_hour(ledger):
    for step in range(24):
        spend(ledger, NOW - timedelta(seconds=STEP * (step + 1)), 5.0, step, "shop")
    found = burning(ledger, now=NOW, budget=24.0)
    assert any(each.basis == "budget" for each in found)
    assert burning(ledger, now=NOW, budget=24.0, where={"project": "another"}) == []


def test_an_empty_ledger_burns_nothing(ledger):
    assert burning(ledger, now=NOW) == []
