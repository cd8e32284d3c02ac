from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aistrale.cost.charts.page import page
from aistrale.cost.outlook import look_ahead
from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import CURSOR, attempt, call


@pytest.fixture
def spent(nobody, monkeypatch, tmp_path):
    """Fills the ledger of the settings with so many days, the latest yesterday, and a little of today."""

    def fill(days, *, cost="2.5", today="0.5", unpriced=0):
        path = tmp_path / "spent.sqlite3"
        monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{path}")
        now = datetime.now(UTC)
        noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
        costs = [(noon - timedelta(days=ago), cost) for ago in range(1, days + 1)] + [(now, today)]
        rows = []
        for index, (at, usd) in enumerate(costs):
            own = {"at": at.timestamp(), "cost": usd}
            rows += [
                attempt(f"c{index}", **own),
                call(f"c{index}", at=own["at"], project="shop" if index % 2 else "lab"),
            ]
        for index in range(unpriced):
            rows += [attempt(f"u{index}", at=now.timestamp(), cost=None, cost_reason="no price", book=None)]
        ledger = SQLiteLedger(path)
        ledger.write_batch(rows, CURSOR)
        return ledger

    return fill


def document(cli, *arguments):
    return json.loads(cli("forecast", "--json", *arguments).stdout)


def test_the_month_and_the_coming_days(cli, spent):
    spent(40, unpriced=2).close()
    result = cli("forecast", "--days", "14")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split("  ")[0] == "what"
    assert [line.split("  ")[0] for line in lines[1:]][0::4] == ["today so far", "next 14 days, today included"]
    assert "$0.50" in lines[1]
    assert len(lines) == 6
    assert "the forecast stands on 40 days of history" in result.stderr
    assert "2 attempts of unknown price are not in these sums" in result.stderr


def test_the_document(cli, spent):
    spent(40).close()
    found = document(cli, "--days", "14", "--limit", "1000")
    now = datetime.now(UTC)
    assert found["spent"] == {"today": "0.5", "month": f"{Decimal('2.5') * (now.day - 1) + Decimal('0.5'):f}"}
    assert len(found["forecast"]["days"]) == 14
    assert found["forecast"]["days"][0]["date"] == now.date().isoformat()
    assert found["month"]["spent"] == pytest.approx(float(found["spent"]["month"]))
    assert (found["refusal"], found["unpriced"], found["where"]) == (None, 0, {})
    assert found["limit"]["runs_out"]["p50"] is None
    assert not found["limit"]["reached"]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("0.5", "reached already"),
        ("10000", "where the forecast ends, with a probability of more than 95%"),
        ("$85", "reached on"),
    ],
)
def test_limits(cli, spent, limit, words):
    spent(40).close()
    result = cli("forecast", "--days", "60", "--limit", limit)
    assert result.exit_code == 0
    assert words in result.stdout.splitlines()[-1]


def test_too_little_history_is_said_and_no_error(cli, spent):
    spent(1).close()
    result = cli("forecast", "--limit", "100")
    assert result.exit_code == 0
    assert "$0.50" in result.stdout
    assert "cannot be said without a forecast" in result.stdout
    assert "no forecast: A forecast takes at least 3 days" in result.stderr
    found = document(cli)
    assert (found["forecast"], found["month"]) == (None, None)
    assert found["refusal"].startswith("A forecast takes")


def test_an_empty_ledger_is_no_error(cli, nobody):
    result = cli("forecast")
    assert result.exit_code == 0
    assert "no forecast" in result.stderr
    assert document(cli)["spent"] == {"today": "0", "month": "0"}


def test_only_a_part(cli, spent):
    spent(40).close()
    found = document(cli, "--where", "project=shop")
    assert found["where"] == {"project": "shop"}
    assert Decimal(found["spent"]["month"]) < Decimal(document(cli)["spent"]["month"]) or datetime.now(UTC).day <= 2
    assert document(cli, "--where", "project=")["refusal"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--days", "0"],
        ["--days", "731"],
        ["--where", "colour=red"],
        ["--limit", "much"],
        ["--limit", "-1"],
        ["--limit", "nan"],
    ],
)
def test_wrong_words_are_named(cli, nobody, arguments):
    result = cli("forecast", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert arguments[1].partition("=")[0] in result.stderr


def test_a_ledger_that_is_off_is_said_to_be(cli, nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_LEDGER", "off")
    assert cli("forecast").exit_code == 2


def test_the_page_of_a_ledger(spent):
    ledger = spent(40, unpriced=1)
    text = page(look_ahead(ledger), title="Spending")
    ledger.close()
    assert "openai/gpt-5-mini" in text
    assert "1 attempt of unknown price is not in these sums" in text
    assert "The forecast stands on 40 days" in text
