from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import click
import pytest

import aistrale
from aistrale.cli.cost import moment
from aistrale.store.ledger import SQLiteLedger
from aistrale.testing import Fault
from tests.cost.ledgers import CURSOR, attempt, call

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)


@pytest.fixture
def calls(sim):
    """Three calls with a price, one without, one that failed."""
    answers = []
    with aistrale.Client(providers=sim.settings()["providers"]) as client:
        with aistrale.context(user="ada", project="one", tags={"team": "red"}):
            answers += [client.run("Hi", model="openai/gpt-5-mini"), client.run("Hello you", model="openai/gpt-5-mini")]
        with aistrale.context(user="bob", project="two", tags={"team": "blue", "tier": "free"}):
            answers.append(client.run("Hi", model="anthropic/claude-haiku-4-5"))
        answers.append(client.run("Hi", model="openai/gpt-99"))
        sim.script(Fault(status=400), provider="groq")
        with pytest.raises(aistrale.errors.InvalidRequestError):
            client.run("Hi", model="groq/openai/gpt-oss-20b")
    return answers


def rows(cli, *arguments):
    return {row["key"]: row for row in json.loads(cli("cost", "--json", *arguments).stdout)["rows"]}


def test_by_model_is_exact(cli, calls):
    found = rows(cli)
    mini = found["openai/gpt-5-mini"]
    assert (mini["calls"], mini["attempts"], mini["failed_calls"], mini["unpriced"]) == (2, 2, 0, 0)
    assert Decimal(mini["cost"]) == calls[0].cost.usd + calls[1].cost.usd
    assert mini["tokens_in"] == calls[0].usage.input_total + calls[1].usage.input_total
    assert mini["tokens_out"] == calls[0].usage.output_total + calls[1].usage.output_total
    assert (found["openai/gpt-99"]["cost"], found["openai/gpt-99"]["unpriced"]) == ("0", 1)
    assert (found["groq/openai/gpt-oss-20b"]["failed_calls"], found["groq/openai/gpt-oss-20b"]["errors"]) == (1, 1)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("provider", {"openai", "anthropic", "groq"}),
        ("user", {"ada", "bob", None}),
        ("project", {"one", "two", None}),
        ("tag", {"team=red", "team=blue", "tier=free"}),
        ("tag:team", {"red", "blue", None}),
        ("route", {None}),
        ("day", {datetime.now(UTC).date().isoformat()}),
    ],
)
def test_by_other_dimensions(cli, calls, by, keys):
    assert set(rows(cli, "--by", by)) == keys


def test_totals_and_unknown_prices_are_said(cli, calls):
    total = json.loads(cli("cost", "--json").stdout)["total"]
    assert Decimal(total["cost"]) == sum(answer.cost.usd for answer in calls[:3])
    assert (total["attempts"], total["unpriced"]) == (5, 1)
    result = cli("cost")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("openai/gpt-99")]
    assert "unknown" in line
    assert "1 call has attempts of unknown price, which" in result.stderr
    (mixed,) = [line for line in cli("cost", "--by", "provider").stdout.splitlines() if line.startswith("openai")]
    assert "+ unknown" in mixed


def test_what_is_known_of_a_table_stands_in_a_pipe_without_colours(process, calls):
    run = process("cost")
    header = run.stdout.decode().splitlines()[0].split()
    assert header == ["model", "calls", "failed", "tries", "in", "out", "cost", "p50", "p95"]
    assert b"\x1b" not in run.stdout


def test_since_leaves_out_what_is_older(cli, calls):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert rows(cli, "--since", tomorrow) == {}
    assert len(rows(cli, "--since", "1h")) == 4
    result = cli("cost", "--since", tomorrow)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is recorded" in result.stderr


def test_until_leaves_out_what_is_newer(cli, calls):
    assert rows(cli, "--until", "1h") == {}
    assert len(rows(cli, "--until", (datetime.now(UTC) + timedelta(days=1)).date().isoformat())) == 4


def test_several_dimensions_at_once(cli, calls):
    document = json.loads(cli("cost", "--json", "--by", "project", "--by", "model").stdout)
    assert document["by"] == ["project", "model"]
    found = {tuple(row["key"]): row for row in document["rows"]}
    mini = found["one", "openai/gpt-5-mini"]
    assert Decimal(mini["usd"]) == Decimal(mini["cost"]) == calls[0].cost.usd + calls[1].cost.usd
    assert (found[None, "openai/gpt-99"]["usd"], found[None, "openai/gpt-99"]["unpriced"]) == (None, 1)
    assert document["total"]["unpriced"] == 1
    assert Decimal(document["total"]["cost"]) == sum(answer.cost.usd for answer in calls[:3])
    result = cli("cost", "--by", "project", "--by", "model")
    assert result.stdout.splitlines()[0].split()[:3] == ["project", "model", "calls"]
    assert "have no known price" in result.stderr


def test_filters(cli, calls):
    document = json.loads(cli("cost", "--json", "--where", "user=ada").stdout)
    (row,) = document["rows"]
    assert (document["by"], document["where"]) == ("model", {"user": "ada"})
    assert (row["key"], row["attempts"], row["errors"]) == ("openai/gpt-5-mini", 2, 0)
    assert len(rows(cli, "--where", "user=", "--where", "outcome=success")) == 1
    assert set(rows(cli, "--by", "outcome")) == {"success", "error"}


def test_csv(cli, calls):
    found = list(csv.DictReader(io.StringIO(cli("cost", "--csv", "--by", "user").stdout, newline="")))
    assert {row["user"] for row in found} == {"ada", "bob", ""}
    assert Decimal(found[0]["usd"]) > 0


def test_savings_and_waste(cli, calls):
    result = cli("cost", "--savings")
    assert "total: $" in result.stderr
    document = json.loads(cli("cost", "--savings", "--json").stdout)
    assert document["cache"]["attempts"] >= 0
    assert document["waste"]["attempts_usd"] == "0"
    assert json.loads(cli("cost", "--json", "--where", "user=ada").stdout)["cache"] is None


def test_models_against_each_other(cli, calls):
    document = json.loads(cli("cost", "--benchmark", "--json").stdout)
    models = {row["model"]: row for row in document["models"]}
    assert models["openai/gpt-5-mini"]["calls"] == 2
    assert models["openai/gpt-99"]["on_front"] is None
    assert document["quality"] == "success rate"
    result = cli("cost", "--benchmark")
    assert "2 calls are few" in result.stderr
    assert result.stdout.splitlines()[0].split()[:3] == ["model", "calls", "answered"]
    assert cli("cost", "--benchmark", "--csv").stdout.startswith("model,calls")
    assert "nothing is recorded" in cli("cost", "--benchmark", "--where", "user=nobody").stderr


def test_an_empty_ledger_is_no_error(cli, nobody):
    result = cli("cost")
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(cli("cost", "--json").stdout)["rows"] == []


def test_an_empty_ledger_is_named_and_told_from_one_that_has_nothing_of_that_kind(cli, calls, monkeypatch, tmp_path):
    assert "nothing is recorded that fits" in cli("cost", "--where", "user=nobody").stderr
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{tmp_path}/other.sqlite3")
    assert f"nothing is recorded yet in {tmp_path}/other.sqlite3" in cli("cost").stderr


def test_errors_count_attempts_and_a_free_failure_is_no_price(cli, nobody, monkeypatch, tmp_path):
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{tmp_path}/mixed.sqlite3")
    ledger = SQLiteLedger(tmp_path / "mixed.sqlite3")
    rows = [
        attempt("a", outcome="error", error="RateLimitError", cost="0"),
        attempt("a", attempt=2, cost=None, cost_reason="no price"),
        call("a", attempts=2),
    ]
    ledger.write_batch(rows, CURSOR)
    ledger.close()
    header, line = cli("cost", "--by", "project", "--by", "model").stdout.splitlines()
    assert header.split()[2:5] == ["calls", "tries", "errors"]
    assert line.split()[2:5] == ["1", "2", "1"]
    assert line.split()[7:9] == ["unknown", "-"]


def test_another_ledger_is_read_where_the_settings_say_so(cli, calls, monkeypatch, tmp_path):
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{tmp_path}/other.sqlite3")
    assert rows(cli) == {}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--by", "colour"], "colour"),
        (["--since", "soon"], "soon"),
        (["--since", "2026-13-01"], "2026-13-01"),
        (["--until", "later"], "later"),
        (["--where", "user"], "KEY=VALUE"),
        (["--where", "colour=red"], "colour"),
        (["--where", "user=a", "--where", "user=b"], "user is there twice"),
        (["--where", "model=gpt-5-mini"], "models are written provider/model, as openai/gpt-5-mini"),
        (["--where", "outcome=sucess"], "use one of success, error"),
        (["--where", "kind=chats"], "use one of chat, embed"),
        (["--since", "2026-11-20", "--until", "2026-11-10"], "--since is not before --until"),
        (["--benchmark", "--by", "user"], "neither --by nor --savings"),
        (["--benchmark", "--savings"], "neither --by nor --savings"),
        (["--json", "--csv"], "--csv"),
        (["--by", "tag", "--by", "day"], "tag"),
    ],
)
def test_wrong_words_are_named(cli, nobody, arguments, word):
    result = cli("cost", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr


def test_a_ledger_that_is_off_is_said_to_be(cli, nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_LEDGER", "off")
    result = cli("cost")
    assert result.exit_code == 2
    assert "the ledger is off" in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        (" 2W ", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00+02:00", datetime(2026, 11, 1, 10, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_moments(text, expected):
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7y", "yesterday", "999999w", "99999999d"])
def test_what_is_no_moment(text):
    with pytest.raises(click.BadParameter):
        moment(text, NOW)
