from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import CURSOR, attempt, call

SPIKE = 10


@pytest.fixture
def spent(nobody, monkeypatch, tmp_path):
    """So many days at the same cost, but for one ten days ago, on which a model ran wild."""

    def fill(days, *, wild=20):
        path = tmp_path / "spent.sqlite3"
        monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{path}")
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        rows = []
        for ago in range(1, days + 1):
            at = (noon - timedelta(days=ago)).timestamp()
            rows += [attempt(f"a{ago}", at=at, cost=f"2.{ago % 5}"), call(f"a{ago}", at=at)]
            for index in range(wild if ago == SPIKE else 0):
                name = f"w{index}"
                rows += [
                    attempt(name, at=at, cost="1", model="gpt-5", input=900),
                    call(name, at=at, project="<lab>\x1b[31m"),
                ]
        ledger = SQLiteLedger(path)
        ledger.write_batch(rows, CURSOR)
        ledger.close()

    return fill


def day():
    return (datetime.now(UTC).date() - timedelta(days=SPIKE)).isoformat()


def test_the_day_the_kind_and_who(cli, spent):
    spent(60)
    result = cli("anomalies")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["day", "kind", "days", "spent", "expected", "usual"]
    assert lines[1].split()[:2] == [day(), "spike"]
    assert "$22.00" in lines[1]
    assert lines[3].startswith(f"Spend on {day()} was 22.00 USD")
    assert "is new and spent 20.00 USD" in lines[4]
    assert "\x1b" not in result.stdout


def test_the_document(cli, spent):
    spent(60)
    found = json.loads(cli("anomalies", "--json").stdout)
    (episode,) = found["anomalies"]
    assert (episode["day"], episode["kind"], episode["actual"]) == (day(), "spike", 22.0)
    assert episode["contributions"][0]["excess"] == pytest.approx(20, abs=1)
    assert (found["silent"], found["unpriced"]) == (None, 0)


def test_since_and_where_leave_out(cli, spent):
    spent(60)
    result = cli("anomalies", "--since", "5d")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no unusual days since" in result.stderr
    assert json.loads(cli("anomalies", "--json", "--where", "model=openai/gpt-5-mini").stdout)["anomalies"] == []


def test_too_little_history_is_said(cli, spent):
    spent(5)
    result = cli("anomalies")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing can be said about the latest day: A day is judged by at least 14 days" in result.stderr


def test_an_empty_ledger_is_no_error(cli, nobody):
    result = cli("anomalies")
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(cli("anomalies", "--json").stdout)["anomalies"] == []


def test_where_nothing_is_recorded_that_is_said(cli, spent):
    assert "nothing is recorded yet in" in cli("anomalies").stderr
    spent(20)
    assert "nothing is recorded that fits" in cli("anomalies", "--where", "project=nobody").stderr


def test_a_day_that_has_not_ended_is_not_judged(cli, nobody, monkeypatch, tmp_path):
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{tmp_path}/new.sqlite3")
    ledger = SQLiteLedger(tmp_path / "new.sqlite3")
    ledger.write_batch([attempt("a", at=datetime.now(UTC).timestamp()), call("a")], CURSOR)
    ledger.close()
    assert "No day (UTC) has ended since the first call." in cli("anomalies").stderr


@pytest.mark.parametrize(
    "arguments", [["--since", "soon"], ["--since", "2099-01-01"], ["--where", "colour=red"], ["--where", "model=gpt-5"]]
)
def test_wrong_words_are_named(cli, nobody, arguments):
    result = cli("anomalies", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert arguments[1].partition("=")[0] in result.stderr or "--since is not in the past" in result.stderr
