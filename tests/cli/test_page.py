from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aistrale.cli import _page
from aistrale.config import load
from aistrale.errors import ConfigurationError
from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import CURSOR, attempt, call

BUDGETS = """
[[budgets]]
scope = "global"
limit = "100"
period = "month"
[[budgets]]
scope = "user:*"
limit = "4"
period = "rolling:7d"
[[budgets]]
scope = "tag:team=red"
limit = "9"
period = "month"
[[budgets]]
scope = "global"
limit = "1"
period = "call"
[[budgets]]
scope = "budget:night"
limit = "1"
period = "day"
"""


@pytest.fixture
def ledger(nobody, monkeypatch, tmp_path):
    """Forty days of spend, the latest an hour ago, by two users and one project that has no user."""
    path = tmp_path / "spent.sqlite3"
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{path}")
    now, rows = datetime.now(UTC), []
    for ago in range(40):
        for index, (user, usd) in enumerate((("ada", "0.5"), ("bob", "0.25"), (None, "0.125"))):
            at = (now - timedelta(days=ago, hours=1)).timestamp()
            rows += [
                attempt(f"c{ago}-{index}", at=at, cost=usd),
                call(f"c{ago}-{index}", at=at, user=user, project="shop", tags={"team": "red"} if index else {}),
            ]
    found = SQLiteLedger(path)
    found.write_batch(rows, CURSOR)
    yield found
    found.close()


def words(text):
    """What a reader sees, without the drawings."""
    text = re.sub(r"<(style|svg|title).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_is_written_and_said_where(cli, ledger, tmp_path):
    result = cli("cost", "--html", "spend.html")
    assert (result.exit_code, result.stdout) == (0, "")
    path = tmp_path / "spend.html"
    assert f"written to {path.resolve()} (" in result.stderr
    text = path.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    shown = words(text)
    assert re.search(r"\b(39|40) complete days", shown)
    for part in ("openai/gpt-5-mini", "The forecast stands on", "There are no budgets to show."):
        assert part in shown
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".spend")] == []


def test_budgets_of_the_settings_stand_where_the_ledger_says(cli, ledger, tmp_path):
    (tmp_path / "aistrale.toml").write_text(BUDGETS, encoding="utf-8")
    result = cli("cost", "--html", "-")
    shown = words(result.stdout)
    for name in ("global per month", "user:ada", "user:bob", "tag:team=red"):
        assert name in shown
    assert "user:None" not in shown
    assert "count single calls or sessions: global per call" in result.stderr
    assert "no names of budgets: budget:night per day" in result.stderr
    assert "budget:night" not in shown


def test_standing_adds_up(ledger):
    now = datetime.now(UTC)
    budgets = [
        {"scope": "user:*", "limit": "4", "period": "rolling:7d"},
        {"scope": "global", "limit": "1", "period": "day"},
        {"scope": "project:none", "limit": "1", "period": "month"},
    ]
    found, notes = _page.standing(load({"budgets": budgets}).budgets, ledger, now.timestamp())
    assert notes == []
    spent = {each.scope: each.spent for each in found}
    # A rolling window forgets in steps, so that the eighth attempt may still count.
    assert spent["user:ada"] in {Decimal("3.5"), Decimal(4)}
    assert spent["user:bob"] == spent["user:ada"] / 2
    assert spent["global"] == (Decimal("0.875") if now.hour >= 1 else 0)
    assert spent["project:none"] == 0


def test_of_many_the_largest_spenders_are_shown(ledger, monkeypatch):
    monkeypatch.setattr(_page, "MOST", 1)
    budgets = load({"budgets": [{"scope": "user:*", "limit": "4", "period": "month"}]}).budgets
    found, notes = _page.standing(budgets, ledger)
    assert [each.scope for each in found] == ["user:ada"]
    assert notes == ["user:* per month: of 2, the 1 that spent most are shown"]


def test_only_a_part(cli, ledger, tmp_path):
    (tmp_path / "aistrale.toml").write_text(BUDGETS, encoding="utf-8")
    result = cli("cost", "--html", "-", "--where", "user=", "--since", "10d")
    shown = words(result.stdout)
    assert shown.startswith("Spending, user= ")
    assert "There are no budgets to show." in shown
    assert "budgets are not shown beside a part of the spend" in result.stderr
    # Ten days and today, an eighth of a dollar each.
    assert re.search(r"openai/gpt-5-mini \$1\.(25|37|38) 100", shown)


def test_an_empty_ledger_has_a_page_that_says_so(cli, nobody):
    result = cli("cost", "--html", "-")
    assert result.exit_code == 0
    assert "there is nothing to draw" in words(result.stdout)


def test_too_little_history_is_said_in_sentences(cli, nobody, monkeypatch, tmp_path):
    path = tmp_path / "short.sqlite3"
    monkeypatch.setenv("AISTRALE_LEDGER", f"sqlite:///{path}")
    short = SQLiteLedger(path)
    short.write_batch([attempt("c", at=datetime.now(UTC).timestamp() - 86_400), call("c")], CURSOR)
    short.close()
    told = re.search(r"There is no forecast: (.*?) The numbers of", words(cli("cost", "--html", "-").stdout))[1]
    assert re.fullmatch(r"[A-Z][^.]*\. [A-Z][^.]*\.", told)


def test_a_file_is_replaced_whole_and_keeps_its_mode(cli, ledger, tmp_path):
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    assert cli("cost", "--html", link).exit_code == 0
    assert link.is_symlink()
    assert real.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_stood_there_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="surrogates not allowed"):
        _page.write_whole(str(path), "half \ud800")
    assert path.read_text("utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert _page.write_whole(str(pipe), "page") == pipe
        assert os.read(reading, 100) == b"page"
    finally:
        os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--html", "nowhere/x.html"], "--html: nowhere/x.html cannot be written (No such file"),
        (["--html", "."], "--html: . cannot be written (Is a directory)"),
        (["--html", ""], "names no file"),
        (["--html", "x.html", "--by", "user"], "--since and --where"),
        (["--html", "x.html", "--json"], "--since and --where"),
        (["--html", "x.html", "--benchmark"], "--since and --where"),
        (["--html", "x.html", "--since", "2099-01-01"], "not in the past"),
    ],
)
def test_what_cannot_be_done_is_said(cli, nobody, tmp_path, arguments, told):
    result = cli("cost", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert not (tmp_path / "x.html").exists()
