from __future__ import annotations

import os
import sqlite3
import stat
import statistics
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import Cursor, LedgerUnavailable
from aistrale.store.records import COLUMNS, TOKEN_BUCKETS, AttemptRow, CallRow, CountRow, IntentRow, ScoreRow
from aistrale.store.schema import MIGRATIONS
from aistrale.store.summary import EXACT, Spread, added

WRITER = "0badb007-4711-1790000000000000000"
CURSOR = Cursor(f"{WRITER}-00c0ffee", 10)
DAY = datetime(2026, 9, 21, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "ledger.sqlite3"


@pytest.fixture
def ledger(path):
    ledger = SQLiteLedger(path)
    yield ledger
    ledger.close()


def query(path, text):
    connection = sqlite3.connect(path)
    found = connection.execute(text).fetchall()
    connection.close()
    return found


def test_an_absent_file_reads_as_empty_and_is_not_created(ledger, path):
    assert ledger.calls() == []
    assert ledger.attempts("x") == []
    assert ledger.summary("model") == []
    assert ledger.open_intents() == []
    assert ledger.cursors() == {}
    ledger.forget(["x"])
    assert not path.parent.exists()


def test_rows_come_back_as_they_went(ledger, intent, attempt, call):
    row = call(tags={"team": "a", "ü": "'; DROP TABLE calls"}, lossy=["seed"], degraded="cache", user="u\0v",
               privacy={"out.redact.EMAIL_ADDRESS": 2})  # fmt: skip
    failed = attempt(attempt=1, outcome="error", error="RateLimitError", status=429, retry_after=1.5, cost="0")
    second = attempt(attempt=2, streamed=True, first_token=0.25, region="eu", **dict.fromkeys(TOKEN_BUCKETS, 7))
    ledger.write_batch([second, intent("open", max_output_tokens=5), failed, row], CURSOR)
    assert ledger.calls() == [row]
    assert ledger.attempts(row.call_id) == [failed, second]
    (unsettled,) = ledger.open_intents()
    assert unsettled.intent == intent("open", max_output_tokens=5)
    assert (unsettled.writer, unsettled.outcome) == (WRITER, "unknown")
    assert ledger.cursors() == {CURSOR.segment: 10}


def test_only_the_owner_may_read(ledger, path, call):
    ledger.write_batch([call()], CURSOR)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_the_file_is_in_wal_mode_and_at_the_newest_schema(ledger, path, call):
    ledger.write_batch([call()], CURSOR)
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_file_of_an_older_version_is_brought_up_to_date_with_its_rows(ledger, path, call, intent, version):
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    for migration in MIGRATIONS[:version]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(
        "INSERT INTO calls (call_id, at, latency, kind, model_asked, outcome, attempts, tags, lossy)"
        " VALUES ('old', 1.0, 1.0, 'chat', 'm', 'success', 1, '{}', '[]')"
    )
    connection.execute(
        "INSERT INTO attempts (call_id, attempt, at, latency, provider, model, target, streamed, outcome, cost)"
        " VALUES ('old', 1, 1.0, 1.0, 'p', 'm', 'p/m', 0, 'success', '0.25')"
    )
    connection.execute(
        "INSERT INTO intents (call_id, attempt, at, provider, model, target, streamed, writer, settled)"
        " VALUES ('old', 1, 1.0, 'p', 'm', 'p/m', 0, 'w', 1)"
    )
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    new = call(privacy={"in.block.SECRET": 1}, avoided="0.5", optimized=["whitespace"])
    ledger.write_batch([new, intent(messages=3, prefix="f", prefix_tokens=2, last_tokens=1)], CURSOR)
    assert query(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert [(row.call_id, row.privacy, row.avoided, row.optimized) for row in ledger.calls()] == [
        ("call-1", {"in.block.SECRET": 1}, "0.5", ["whitespace"]),
        ("old", {}, None, []),
    ]
    (attempt,) = ledger.attempts("old")
    assert (attempt.cost, attempt.book, attempt.metered) == ("0.25", None, {})
    (exchange,) = ledger.exchanges()
    assert (exchange.intent.target, exchange.intent.messages, exchange.call_outcome) == ("p/m", None, "success")


def test_a_file_of_a_newer_version_is_left_alone(ledger, path, call):
    path.parent.mkdir(parents=True)
    query(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LedgerUnavailable, match="newer version"):
        ledger.write_batch([call()], CURSOR)


def test_every_column_of_a_row_has_one_in_its_table(ledger, path, call):
    ledger.write_batch([call()], CURSOR)
    for cls, table, own in (
        (IntentRow, "intents", {"writer", "settled"}),
        (AttemptRow, "attempts", set()),
        (CallRow, "calls", set()),
        (ScoreRow, "scores", set()),
        (CountRow, "counts", set()),
    ):
        columns = {column[1] for column in query(path, f"PRAGMA table_info({table})")}
        assert columns == {*COLUMNS[cls], *own}


def test_a_repeated_batch_changes_nothing(ledger, intent, attempt, call):
    rows = [intent(), attempt(), call()]
    ledger.write_batch(rows, CURSOR)
    ledger.write_batch(rows, CURSOR)
    assert len(ledger.calls()) == len(ledger.attempts("call-1")) == 1
    assert ledger.open_intents() == []
    assert ledger.summary("model")[0].attempts == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_attempt_settles_its_intent_in_either_order(ledger, intent, attempt, order):
    rows = [intent(), attempt()]
    for place in order:
        ledger.write_batch([rows[place]], CURSOR)
    assert ledger.open_intents() == []


def test_intents_of_living_processes_are_not_reported(ledger, intent):
    ledger.write_batch([intent("a", at=2.0), intent("b", at=1.0)], CURSOR)
    ledger.write_batch([intent("c")], Cursor("other-1-1-1", 5))
    assert [found.intent.call_id for found in ledger.open_intents({"other-1-1"})] == ["b", "a"]
    assert len(ledger.open_intents()) == 3


def test_a_failing_batch_leaves_nothing(ledger, path, call):
    ledger.write_batch([call("a")], CURSOR)
    query(path, "CREATE TRIGGER refuse BEFORE INSERT ON segments BEGIN SELECT raise(ABORT, 'no cursor'); END")
    with pytest.raises(LedgerUnavailable, match="no cursor"):
        ledger.write_batch([call("b")], Cursor("another-1-1-1", 5))
    assert [row.call_id for row in ledger.calls()] == ["a"]
    assert ledger.cursors() == {CURSOR.segment: 10}


def test_rows_that_sqlite_cannot_hold_are_cleaned_or_set_aside(ledger, path, call, attempt):
    rows = [call("good"), call("half \ud83d"), call("big", input=1 << 70), call("fine")]
    ledger.write_batch([*rows, attempt("big", attempt=1 << 70)], CURSOR)
    assert sorted(row.call_id for row in ledger.calls()) == ["fine", "good", "half ?"]
    rejected = query(path, "SELECT payload, reason FROM rejected")
    assert len(rejected) == 2
    assert all('"big"' in payload and reason for payload, reason in rejected)


@pytest.mark.parametrize("cost", ["cheap", "NaN", "Infinity", "", "1e999999999", "1e-999999999", "1e60"])
def test_a_cost_that_is_no_number_is_unknown(ledger, attempt, cost):
    ledger.write_batch([attempt(cost=cost)], CURSOR)
    (row,) = ledger.attempts("call-1")
    assert (row.cost, row.cost_reason) == (None, "the cost is not a number")
    assert ledger.summary("model")[0].unpriced == 1


@pytest.mark.parametrize(
    ("cost", "kept"),
    [("0.0000130", "0.0000130"), ("1.5E-7", "1.5E-7"), ("12", "12"), ("1_000", "1000"), (" 1 ", "1"), ("\u0661", "1"),
     ("+.5", "0.5"), ("-1", "-1"), (0.25, "0.25")],
)  # fmt: skip
def test_a_cost_is_kept_as_it_was_written_unless_databases_would_not_read_it(ledger, attempt, cost, kept):
    ledger.write_batch([attempt(cost=cost)], CURSOR)
    assert ledger.attempts("call-1")[0].cost == kept
    assert ledger.summary("model")[0].cost == ledger.spend()[0].cost == Decimal(kept)


def test_the_latest_calls_come_first(ledger, call):
    ledger.write_batch([call(str(number), at=float(number)) for number in range(5)], CURSOR)
    assert [row.call_id for row in ledger.calls(limit=2)] == ["4", "3"]


def test_an_unusable_file_is_said_with_what_to_do(tmp_path, call):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"no database at all " * 100)
    ledger = SQLiteLedger(path)
    with pytest.raises(LedgerUnavailable, match="not a database") as caught:
        ledger.write_batch([call()], CURSOR)
    assert str(path) in str(caught.value)
    assert caught.value.busy is False
    with pytest.raises(LedgerUnavailable):
        ledger.summary("model")


def test_a_fork_leaves_the_connection_to_the_parent(run_python, path):
    run_python(
        """
from pathlib import Path
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import Cursor
ledger = SQLiteLedger(sys.argv[1])
ledger.write_batch([attempt("parent")], Cursor("a", 1))
child = os.fork()
if child == 0:
    ledger.write_batch([attempt("child")], Cursor("b", 1))
    ledger.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(ledger.attempts("child")) == 1
ledger.write_batch([attempt("again")], Cursor("a", 2))
assert ledger.cursors() == {"a": 2, "b": 1}
ledger.close()
""",
        path,
    )
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


# -- totals -----------------------------------------------------------------------------------------------------


def settle(ledger, call, attempt, call_id, *, attempts=None, **fields):
    made = attempts or [{}]
    rows = [attempt(call_id, attempt=number, **given) for number, given in enumerate(made, 1)]
    ledger.write_batch([*rows, call(call_id, attempts=len(rows), **fields)], CURSOR)


@pytest.fixture
def filled(ledger, call, attempt):
    at = DAY.timestamp()
    settle(ledger, call, attempt, "a", at=at, user="ann", tags={"team": "x"}, latency=1.0,
           attempts=[{"at": at, "cost": "0.1", "output": 10, "latency": 1.0}])  # fmt: skip
    settle(ledger, call, attempt, "b", at=at + 60, user="bob", tags={"team": "x", "app": "y"}, latency=3.0,
           attempts=[{"at": at + 60, "cost": "0", "outcome": "error", "output": None, "input": None, "latency": 0.5},
                     {"at": at + 61, "cost": "0.2", "provider": "groq", "model": "llama", "output": 1, "latency": 2.0}])  # fmt: skip
    settle(ledger, call, attempt, "c", at=at + 90_000, outcome="error", latency=5.0,
           attempts=[{"at": at + 90_000, "cost": None, "outcome": "interrupted", "cost_reason": "no price", "latency": 5.0}])  # fmt: skip
    ledger.write_batch([call("refused", at=at, attempts=0, outcome="error", latency=0.0, user="bob")], CURSOR)
    ledger.write_batch([attempt("running", at=at, cost="1")], CURSOR)
    return ledger


def test_totals_by_a_fact_of_the_attempts(filled):
    openai, groq = filled.summary("provider")
    assert (openai.key, openai.calls, openai.failed_calls, openai.attempts, openai.errors) == ("openai", 4, 1, 4, 2)
    assert (openai.cost, openai.unpriced) == (Decimal("1.1"), 1)
    assert openai.tokens == {"input": 36, "output": 20}
    assert openai.latency_p50 == pytest.approx(0.875)
    assert (groq.key, groq.calls, groq.attempts, groq.cost) == ("groq", 1, 1, Decimal("0.2"))
    assert [row.key for row in filled.summary("model")] == ["openai/gpt-5-mini", "groq/llama"]


def test_totals_by_a_fact_of_the_calls(filled):
    rows = {row.key: row for row in filled.summary("user")}
    assert (rows["ann"].calls, rows["ann"].cost) == (1, Decimal("0.1"))
    bob = rows["bob"]
    assert (bob.calls, bob.failed_calls, bob.attempts, bob.errors, bob.cost) == (2, 1, 2, 1, Decimal("0.2"))
    assert (bob.latency_mean, bob.latency_p50) == (1.5, 1.5)
    # The failed call of nobody, and the attempt whose call has not ended.
    assert (rows[None].calls, rows[None].attempts, rows[None].cost, rows[None].unpriced) == (1, 2, Decimal(1), 1)


def test_totals_by_time_are_in_utc_and_in_order(filled):
    rows = filled.summary("day")
    assert [(row.key, row.calls, row.cost) for row in rows] == [
        ("2026-09-21", 3, Decimal("1.3")),
        ("2026-09-22", 1, Decimal(0)),
    ]
    assert [row.key for row in filled.summary("hour")] == ["2026-09-21T00:00Z", "2026-09-22T01:00Z"]
    assert [row.key for row in filled.summary("month")] == ["2026-09"]


def test_totals_by_tag(filled):
    assert [(row.key, row.calls, row.cost) for row in filled.summary("tag")] == [
        ("team=x", 2, Decimal("0.3")),
        ("app=y", 1, Decimal("0.2")),
    ]
    assert [(row.key, row.calls) for row in filled.summary("tag:app")] == [(None, 3), ("y", 1)]


def test_totals_within_bounds(filled):
    berlin = timezone(timedelta(hours=2))
    assert filled.summary("day", since=DAY + timedelta(days=1))[0].key == "2026-09-22"
    (row,) = filled.summary("day", since=DAY.astimezone(berlin), until=DAY + timedelta(seconds=60))
    assert (row.calls, row.cost) == (2, Decimal("1.1"))


def test_what_totals_cannot_be_made_of_is_said(filled):
    with pytest.raises(ConfigurationError, match=r"'moon'.*provider.*tag:NAME") as caught:
        filled.summary("moon")
    assert caught.value.field == "by"
    for by in ("tag:", "tags", 'user" --'):
        with pytest.raises(ConfigurationError):
            filled.summary(by)
    with pytest.raises(ConfigurationError, match="since"):
        filled.summary("day", since=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


@given(st.lists(st.decimals(min_value=0, max_value=10**6, places=12), max_size=30))
def test_money_is_added_up_exactly(amounts):
    with localcontext(EXACT):
        assert added(" ".join(map(str, amounts))) == sum(amounts, Decimal(0))
        assert added(None) == 0


@given(st.lists(st.floats(0, 1000), min_size=2))
def test_percentiles_are_those_of_the_inclusive_method(latencies):
    import json

    spread = Spread()
    for latency in latencies:
        spread.step(latency)
    mean, p50, p95 = json.loads(spread.finalize())
    assert mean == pytest.approx(statistics.fmean(latencies))
    assert p50 == pytest.approx(statistics.median(latencies))
    assert p95 == pytest.approx(statistics.quantiles(latencies, n=20, method="inclusive")[18])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["ledger", "answers"])
def test_no_child_is_forked_while_a_thread_is_inside_sqlite(tmp_path, kind):
    """It would inherit SQLite's own locks as they are, and wait for ever for what nobody releases."""
    code = """
import os, sys, threading, time
from pathlib import Path
from aistrale.store.answers_sqlite import SQLiteAnswers
from aistrale.store.ledger import SQLiteLedger
if sys.argv[2] == "ledger":
    run = SQLiteLedger(sys.argv[1])._run
else:
    run = SQLiteAnswers(Path(sys.argv[1]), max_entries=9, max_bytes=10**6)._writing.run
inside, entered = [], threading.Event()
def work(connection):
    inside.append(1)
    entered.set()
    time.sleep(0.2)
    inside.clear()
thread = threading.Thread(target=run, args=(work,), kwargs={"create": True})
thread.start()
entered.wait()
pid = os.fork()
if not pid:
    os._exit(len(inside))
print(os.waitpid(pid, 0)[1])
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", code, str(tmp_path / "file"), kind],
        capture_output=True, timeout=60, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")
