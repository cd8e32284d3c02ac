from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aistrale.store.protocol import Cursor, LedgerUnavailable
from aistrale.store.records import COLUMNS, TOKEN_BUCKETS, AttemptRow, CallRow, CountRow, IntentRow, ScoreRow
from aistrale.store.summary import EXACT
from aistrale.store.tables import TABLES

WRITER = "0badb007-4711-1790000000000000000"
CURSOR = Cursor(f"{WRITER}-00c0ffee", 10)


def test_an_absent_schema_reads_as_empty_and_is_not_created(ledger, server, schema):
    assert ledger.calls() == ledger.attempts("x") == ledger.summary("model") == ledger.spend(["day"]) == []
    assert ledger.open_intents() == ledger.counts() == ledger.scores("x") == list(ledger.exchanges(limit=3)) == []
    assert (ledger.avoided(), ledger.cursors()) == (0, {})
    ledger.forget(["x"])
    with server.connect() as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() == (None,)


def test_rows_come_back_as_they_went(ledger, intent, attempt, call):
    row = call(tags={"team": "a", "ü": "'; DROP TABLE calls"}, lossy=["seed"], degraded="cache", user="u\tv\\N\n",
               privacy={"out.redact.EMAIL_ADDRESS": 2}, optimized=["x"], avoided="0.10")  # fmt: skip
    failed = attempt(attempt=1, outcome="error", error="RateLimitError", status=429, retry_after=1.5, cost="0")
    second = attempt(attempt=2, streamed=True, first_token=0.1 + 0.2, region="eu", metered={"searches": 2, "tier": "x"},
                     **dict.fromkeys(TOKEN_BUCKETS, 1 << 62))  # fmt: skip
    score = ScoreRow(call_id=row.call_id, name="quality", at=1e9 / 3, score=1 / 3)
    count = CountRow(call_id=row.call_id, attempt=1, at=1e9 / 3, provider="p", model="m", counted=1, actual=2)
    ledger.write_batch([second, intent("open", max_output_tokens=5), failed, row, score, count], CURSOR)
    assert ledger.calls() == [row]
    assert ledger.attempts(row.call_id) == [failed, second]
    assert (ledger.scores(row.call_id), ledger.counts()) == ([score], [count])
    (unsettled,) = ledger.open_intents()
    assert unsettled.intent == intent("open", max_output_tokens=5)
    assert (unsettled.writer, unsettled.outcome) == (WRITER, "unknown")
    assert ledger.cursors() == {CURSOR.segment: 10}


def test_every_column_of_a_row_has_one_in_its_table(ledger, query):
    ledger.write_batch([], CURSOR)
    for cls, table in TABLES.items():
        found = query(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s",
            table,
        )
        own = {"writer", "settled", "installation"} if cls is IntentRow else set()
        assert {name for (name,) in found} == {*COLUMNS[cls], *own}


def test_a_repeated_batch_changes_nothing(ledger, intent, attempt, call, query):
    rows = [intent(), attempt(), call(), ScoreRow(call_id="call-1", name="quality", at=1.0, score=0.5)]
    for _ in range(2):
        ledger.write_batch(rows, CURSOR)
    assert len(ledger.calls()) == len(ledger.attempts("call-1")) == len(ledger.scores("call-1")) == 1
    assert ledger.open_intents() == query("SELECT * FROM rejected") == []


def test_of_rows_with_the_same_key_the_last_one_counts(ledger, call, attempt):
    ledger.write_batch([call(user="a"), call(user="b"), attempt(cost="1"), attempt(cost="2")], CURSOR)
    assert (ledger.calls()[0].user, ledger.spend()[0].cost) == ("b", 2)
    ledger.write_batch([call(user="c"), call("new", at=1.0), call(user="d")], CURSOR)
    assert [row.user for row in ledger.calls()] == ["d", None]


def test_scores_are_kept_by_name_and_the_latest_counts_in_any_order(ledger):
    def score(value, at, name="quality"):
        return ScoreRow(call_id="a", name=name, at=at, score=value)

    ledger.write_batch([score(0.9, 2.0), score(0.1, 1.0), score(1.0, 1.0, "tone")], CURSOR)
    ledger.write_batch([score(0.5, 3.0), score(0.2, 2.5)], CURSOR)
    ledger.write_batch([score(0.0, 2.9)], CURSOR)
    assert ledger.scores("a") == [score(0.5, 3.0), score(1.0, 1.0, "tone")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_attempt_settles_its_intent_in_either_order(ledger, intent, attempt, order):
    rows = [intent(), attempt()]
    for place in order:
        ledger.write_batch([rows[place], intent("other")], CURSOR)
    assert [found.intent.call_id for found in ledger.open_intents()] == ["other"]
    # Written again, it stays what it was.
    ledger.write_batch([intent()], CURSOR)
    assert [found.intent.call_id for found in ledger.open_intents()] == ["other"]


def test_a_failing_batch_leaves_nothing(ledger, query, call):
    ledger.write_batch([call("a")], CURSOR)
    query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no cursor'; END $$")
    query("CREATE TRIGGER refuse BEFORE INSERT ON segments FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(LedgerUnavailable, match="no cursor"):
        ledger.write_batch([call("b")], Cursor("another-1-1-1", 5))
    assert [row.call_id for row in ledger.calls()] == ["a"]
    assert ledger.cursors() == {CURSOR.segment: 10}


# -- what PostgreSQL cannot hold --------------------------------------------------------------------------------------


def test_rows_that_cannot_be_held_are_cleaned_or_set_aside(ledger, query, call, attempt):
    rows = [
        call("good"), call("half \ud83d"), call("nul \0", tags={"a\0": "\udc00"}, lossy=["\0"]), call("big", input=1 << 70),
        call("fine"), call("timeless", at=float("nan")), call("none", at=None), attempt("number", status="abc"),
    ]  # fmt: skip
    ledger.write_batch([*rows, attempt("huge", attempt=1 << 70), attempt("ok")], CURSOR)
    found = {row.call_id: row for row in ledger.calls()}
    assert set(found) == {"good", "half ?", "nul ?", "fine"}
    assert (found["nul ?"].tags, found["nul ?"].lossy) == ({"a?": "?"}, ["?"])
    assert len(ledger.attempts("ok")) == 1
    rejected = query("SELECT payload, reason FROM rejected")
    assert len(rejected) == 5
    assert all(reason and any(name in payload for name in ("big", "timeless", "none", "number", "huge"))
               for payload, reason in rejected)  # fmt: skip


def test_what_was_cleaned_is_found_under_what_was_asked(ledger, call, attempt):
    ledger.write_batch([attempt("a\0"), call("a\0", user="u\0", tags={"t\0": "v\ud83d"})], CURSOR)
    assert len(ledger.attempts("a\0")) == 1
    assert ledger.spend(where={"user": "u\0", "tag:t\0": "v\ud83d"})[0].attempts == 1
    assert ledger.summary("tag:t\0")[0].key == "v?"


def test_numbers_that_are_none_spoil_nothing(ledger, attempt):
    ledger.write_batch(
        [attempt("a", latency=float("nan"), first_token=float("nan")), attempt("b", latency=2.0)], CURSOR
    )
    assert ledger.attempts("a")[0].latency is None
    assert ledger.spend()[0].latency_p95 == 2.0


@pytest.mark.parametrize("cost", ["cheap", "NaN", "Infinity", "", "1e999999999", "1e-999999999", "1e60", True, [1]])
def test_a_cost_that_is_no_number_is_unknown(ledger, attempt, call, cost, query):
    ledger.write_batch([attempt(cost=cost), call(cost=cost, avoided=cost)], CURSOR)
    (row,) = ledger.attempts("call-1")
    assert (row.cost, row.cost_reason) == (None, "the cost is not a number")
    assert (ledger.summary("model")[0].unpriced, ledger.avoided()) == (1, 0)


@pytest.mark.parametrize(
    "cost", ["0.0000130", "1E-7", "1E+3", "1_000", " 7 ", "\u0661", "+.5", "-1", "0.1" + "0" * 50 + "1"]
)
def test_money_is_kept_as_it_was_written_and_added_up_exactly(ledger, attempt, cost):
    ledger.write_batch([attempt("a", cost=cost), attempt("b", cost="0.000000000001")], CURSOR)
    total = EXACT.add(Decimal(cost), Decimal("0.000000000001"))
    assert ledger.summary("model")[0].cost == ledger.spend()[0].cost == total


def test_damaged_columns_end_no_question(ledger, attempt, call, query):
    ledger.write_batch([attempt("a", metered="[1"), call("a", tags=5, optimized={"x": 1}, avoided="much")], CURSOR)
    assert [row.key for row in ledger.spend(["tag:team"])] == [(None,)]
    assert ledger.summary("tag") == []
    query("""UPDATE calls SET tags = '[1]', privacy = '"x"'""")
    assert [row.key for row in ledger.summary("tag:team")] == [None]
    assert ledger.summary("tag") == []
    assert ledger.calls()[0].privacy == {}


# -- machines ---------------------------------------------------------------------------------------------------------


def test_machines_know_nothing_of_each_others_segments_and_processes(make_ledger, intent, attempt):
    here, there = make_ledger("here"), make_ledger("there")
    here.write_batch([intent("a", at=2.0), intent("b", at=1.0)], CURSOR)
    there.write_batch([intent("c"), attempt("d")], CURSOR)
    here.write_batch([], Cursor("only-1-1-1", 7))
    assert (here.cursors(), there.cursors()) == ({CURSOR.segment: 10, "only-1-1-1": 7}, {CURSOR.segment: 10})
    here.forget([CURSOR.segment])
    assert (here.cursors(), there.cursors()) == ({"only-1-1-1": 7}, {CURSOR.segment: 10})
    assert [found.intent.call_id for found in here.open_intents()] == ["b", "a"]
    assert [found.intent.call_id for found in there.open_intents({"other"})] == ["c"]
    assert there.open_intents({WRITER}) == []
    # What calls cost is everybody's.
    assert here.spend()[0].attempts == 1
    assert make_ledger("an admin's").spend()[0].attempts == 1
    assert make_ledger("an admin's").open_intents() == []


def test_cursors_of_machines_that_are_gone_are_swept_away(make_ledger, query):
    gone, idle = make_ledger("gone"), make_ledger("idle")
    for ledger in (gone, idle):
        ledger.write_batch([], CURSOR)
    query(
        """UPDATE segments SET moved = now() - interval '91 days' WHERE installation = %s""", gone._installation.name()
    )
    new = make_ledger("new")
    new.write_batch([], CURSOR)
    assert (gone.cursors(), idle.cursors(), new.cursors()) == ({}, {CURSOR.segment: 10}, {CURSOR.segment: 10})


# -- threads and processes --------------------------------------------------------------------------------------------


def test_many_threads_share_one_ledger(ledger, attempt):
    failures = []

    def work(number):
        try:
            for count in range(5):
                ledger.write_batch([attempt(f"{number}-{count}")], Cursor(f"w-1-1-{number}", count))
                assert len(ledger.attempts(f"{number}-{count}")) == 1
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.spend()[0].attempts == 30


def test_others_write_while_exchanges_are_read(make_ledger, attempt, monkeypatch):
    monkeypatch.setattr("aistrale.store.questions.EXCHANGES", 2)
    ledger = make_ledger()
    ledger.write_batch([attempt(str(number), at=float(number)) for number in range(6)], CURSOR)
    exchanges = ledger.exchanges()
    next(exchanges)
    make_ledger("there").write_batch([attempt("late", at=9.0)], Cursor("other-1-1-1", 1))
    assert [exchange.attempt.call_id for exchange in exchanges] == ["1", "2", "3", "4", "5", "late"]


def test_a_fork_leaves_the_connection_to_the_parent(run_python, address, tmp_path, query):
    run_python(
        """
from aistrale.store.postgres.address import Address
from aistrale.store.postgres.installation import Installation
from aistrale.store.postgres.ledger import PostgresLedger
from aistrale.store.protocol import Cursor
ledger = PostgresLedger(Address.parse(sys.argv[1]), Installation(sys.argv[2]))
ledger.write_batch([attempt("parent")], Cursor("a", 1))
mine = ledger._writing._connection.info.backend_pid
child = os.fork()
if child == 0:
    assert ledger._writing._connection is None
    ledger.write_batch([attempt("child")], Cursor("b", 1))
    assert ledger._writing._connection.info.backend_pid != mine
    ledger.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert len(ledger.attempts("child")) == 1
ledger.write_batch([attempt("again")], Cursor("a", 2))
assert ledger._writing._connection.info.backend_pid == mine
assert ledger.cursors() == {"a": 2, "b": 1}
ledger.close()
ledger.close()
assert len(ledger.attempts("again")) == 1
ledger.close()
""",
        address,
        tmp_path,
    )
    assert query("SELECT count(*) FROM attempts") == [(3,)]


def test_a_child_that_is_forked_in_the_midst_of_a_question_can_ask(run_python, address, tmp_path):
    out = run_python(
        """
import threading
from aistrale.store.postgres.address import Address
from aistrale.store.postgres.installation import Installation
from aistrale.store.postgres.ledger import PostgresLedger
ledger = PostgresLedger(Address.parse(sys.argv[1]), Installation(sys.argv[2]))
inside, over = threading.Event(), threading.Event()
def work(cursor):
    cursor.execute("SELECT 1")
    inside.set()
    over.wait(20)
    return cursor.execute("SELECT 2").fetchall()
ledger._writing.run(lambda cursor: None, write=True)
found = []
thread = threading.Thread(target=lambda: found.append(ledger._asking.run(work)))
thread.start()
inside.wait(20)
child = os.fork()
if child == 0:
    signal.alarm(20)
    ledger.calls()
    ledger.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
over.set()
thread.join()
print(found)
""",
        address,
        tmp_path,
    )
    assert out == "7\n[[(2,)]]\n"


def test_a_signal_handler_that_asks_in_the_midst_of_a_question_is_refused(ledger, call):
    ledger.write_batch([call()], CURSOR)

    def work(cursor):
        with pytest.raises(LedgerUnavailable) as caught:
            ledger.calls()
        return caught.value.busy, cursor.execute("SELECT 1").fetchall()

    assert ledger._asking.run(work) == (True, [(1,)])


def test_bounds_are_half_open(ledger, attempt):
    ledger.write_batch([attempt(at=100.0)], CURSOR)
    moment = datetime.fromtimestamp(100, UTC)
    assert (len(ledger.spend(since=moment)), ledger.spend(until=moment)) == (1, [])


def test_rows_of_every_kind_are_known_to_the_tables():
    assert {IntentRow, AttemptRow, CallRow, ScoreRow, CountRow} == set(TABLES)
