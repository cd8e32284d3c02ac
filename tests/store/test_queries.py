from __future__ import annotations

import itertools
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.store import NullLedger, open_ledger
from aistrale.store import questions as questions_module
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import Cursor, Exchange, Sample
from aistrale.store.queries import SPEND_DIMENSIONS, Place, choose, exchange_statement, spend_statement
from aistrale.store.records import TOKEN_BUCKETS, CountRow, ScoreRow

CURSOR = Cursor("0badb007-4711-1790000000000000000-00c0ffee", 10)
DAY = datetime(2026, 9, 21, tzinfo=UTC)
AT = DAY.timestamp()


@pytest.fixture
def ledger(tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


@pytest.fixture
def filled(ledger, intent, attempt, call):
    """Three calls on two days: one that took two attempts, one that failed, one that runs still; one remembered."""
    ledger.write_batch(
        [
            intent("a", at=AT, messages=4, prefix="fp"),
            attempt("a", at=AT, outcome="error", cost="0.1", latency=9.0, usage_source="estimated"),
            attempt("a", attempt=2, at=AT + 1, provider="groq", model="llama", target="groq/llama", region="eu",
                    cost="0.25", latency=1.0, cache_read=7),
            call("a", at=AT, user="ann", route="chat", tags={"team": "x", "o'b": "1"}, attempts=2, name="sum"),
            attempt("b", at=AT + 90_000, outcome="interrupted", cost=None, cost_reason="no price", input=None),
            call("b", at=AT + 90_000, user="bob", route=None, outcome="interrupted", tags={"team": "y"}),
            attempt("c", at=AT + 90_001, cost="1", cost_reason="the tokens are estimated"),
            call("d", at=AT + 90_002, attempts=0, cost="0", avoided="0.75", user="ann", degraded="cache"),
            ScoreRow(call_id="a", name="quality", at=AT, score=0.5),
            ScoreRow(call_id="a", name="tone", at=AT, score=1.0),
        ],
        CURSOR,
    )  # fmt: skip
    return ledger


def test_one_total(filled):
    (row,) = filled.spend()
    assert (row.key, row.calls, row.attempts, row.failed, row.unpriced) == ((), 3, 4, 2, 1)
    assert (row.cost, row.failed_cost, row.estimated_cost) == (Decimal("1.35"), Decimal("0.1"), Decimal("1.1"))
    assert row.tokens == {"input": 36, "output": 20, "cache_read": 7}
    # Of those that succeeded.
    assert (row.latency_p50, row.latency_p95) == (pytest.approx(0.875), pytest.approx(0.9875))


def test_several_dimensions_at_once_in_order_of_time(filled):
    rows = [(row.key, row.calls, row.cost) for row in filled.spend(["day", "model"])]
    assert rows == [
        (("2026-09-21", "groq/llama"), 1, Decimal("0.25")),
        (("2026-09-21", "openai/gpt-5-mini"), 1, Decimal("0.1")),
        (("2026-09-22", "openai/gpt-5-mini"), 2, Decimal(1)),
    ]
    assert [row.key for row in filled.spend(["user", "outcome", "call_outcome"])] == [
        (None, "success", None),
        ("ann", "success", "success"),
        ("ann", "error", "success"),
        ("bob", "interrupted", "interrupted"),
    ]
    assert [row.key for row in filled.spend(["tag:team", "tag:o'b"])] == [(None, None), ("x", "1"), ("y", None)]


@pytest.mark.parametrize(
    ("where", "attempts"),
    [
        ({"user": "ann"}, 2),
        ({"user": None}, 1),
        ({"model": "openai/gpt-5-mini"}, 3),
        ({"provider": "openai", "outcome": "success"}, 1),
        ({"call_outcome": "interrupted"}, 1),
        ({"tag:team": "x"}, 2),
        ({"tag:team": None}, 1),
        ({"tag:o'b": "1", "region": "eu"}, 1),
        ({"day": "2026-09-21"}, 2),
        ({"month": "2026-09"}, 4),
        ({"month": "2026-10"}, 0),
        ({"hour": "2026-09-22T01:00Z"}, 2),
        ({"minute": "2026-09-22T01:59Z"}, 0),
        ({"hour": "2026-09-22T01:00Z", "day": "2026-09-21"}, 0),
        ({"user": "x' OR 1=1 --"}, 0),
        ({}, 4),
    ],
)
def test_filters(filled, where, attempts):
    assert sum(row.attempts for row in filled.spend(where=where)) == attempts
    assert len(list(filled.exchanges(where=where))) == attempts


def test_every_dimension_is_one_of_groups_and_filters(filled):
    for name in SPEND_DIMENSIONS:
        by = "tag:team" if name == "tag:NAME" else name
        for row in filled.spend([by]):
            (again,) = filled.spend(where={by: row.key[0]})
            assert (again.attempts, again.cost) == (row.attempts, row.cost), by


@pytest.mark.parametrize("tag", ["team", "a.b", "a[0]", '"', "$", "ü", "o'b", "\\", "x y", "[", "#-1"])
def test_any_tag_can_be_asked_for(ledger, attempt, call, tag):
    ledger.write_batch([attempt(), call(tags={tag: "1", "other": "2"})], CURSOR)
    assert [row.key for row in ledger.spend([f"tag:{tag}"])] == [("1",)]
    assert ledger.spend(where={f"tag:{tag}": "1"})[0].attempts == 1


def test_bounds_are_half_open(filled):
    (row,) = filled.spend(since=DAY, until=DAY + timedelta(seconds=1))
    assert row.attempts == 1
    assert filled.spend(since=DAY + timedelta(days=2)) == []


def test_the_last_half_millisecond_of_a_day_belongs_to_it(ledger, attempt, call):
    ledger.write_batch([attempt(at=AT + 86_399.9997), call(at=AT + 86_399.9997)], CURSOR)
    assert [row.key for row in ledger.spend(["day"])] == [("2026-09-21",)]
    assert [row.key for row in ledger.summary("day")] == ["2026-09-21"]


def test_exchanges_are_whole(filled, intent, attempt):
    first, second, third, running = filled.exchanges()
    assert first.attempt == attempt("a", at=AT, outcome="error", cost="0.1", latency=9.0, usage_source="estimated")
    assert first.intent == intent("a", at=AT, messages=4, prefix="fp")
    assert (first.route, first.user, first.name, first.tags) == ("chat", "ann", "sum", {"team": "x", "o'b": "1"})
    assert (first.kind, first.model_asked, first.call_outcome, first.score) == ("chat", "chat", "success", 0.75)
    assert second.intent is None
    assert (third.call_outcome, third.score) == ("interrupted", None)
    assert running == Exchange(attempt=attempt("c", at=AT + 90_001, cost="1", cost_reason="the tokens are estimated"))


def test_attempts_that_used_a_cache_can_be_asked_for_alone(ledger, attempt):
    ledger.write_batch(
        [
            attempt("none"),
            attempt("zero", cache_read=0),
            attempt("read", cache_read=1),
            attempt("write", cache_write=2),
        ],
        CURSOR,
    )
    assert list(ledger.cached()) == [attempt("read", cache_read=1), attempt("write", cache_write=2)]
    assert list(ledger.cached(where={"model": "nobody/nothing"})) == []
    assert list(ledger.cached(where={"user": "nobody"})) == []


def test_samples_are_exchanges_in_brief(filled, attempt):
    filled.write_batch(
        [attempt("e", at=AT + 95_000, output=None), attempt("f", at=AT + 95_001, reasoning=3, image_output=4)], CURSOR
    )
    found, exchanges = list(filled.samples()), list(filled.exchanges())
    assert [sample.output for sample in found] == [5, 5, 5, 5, None, 12]
    for sample, exchange in zip(found, exchanges, strict=True):
        row = exchange.attempt
        outputs = [
            count for count in (row.output, row.reasoning, row.audio_output, row.image_output) if count is not None
        ]
        assert sample == Sample(
            row.at, row.call_id, row.attempt, f"{row.provider}/{row.model}", row.outcome, row.cost,
            sum(outputs) if outputs else None, row.latency, row.first_token, exchange.score,
        )  # fmt: skip
    where = {"route": "chat"}
    assert [sample.call_id for sample in filled.samples(where=where)] == ["a", "a"]


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
@pytest.mark.parametrize("limit", [None, 0, 1, 3, 5, 6, 7])
def test_exchanges_come_in_order_whatever_the_batches_and_the_newest_within_a_limit(
    ledger, attempt, monkeypatch, batch, limit
):
    monkeypatch.setattr(questions_module, "EXCHANGES", batch)
    # Two at the same moment, two attempts of the same call at the same moment.
    rows = [attempt(f"call-{name}", attempt=number, at=at) for at, name, number in
            [(1.0, "b", 1), (1.0, "a", 1), (1.0, "a", 2), (2.0, "a", 3), (3.0, "c", 1), (0.5, "z", 1)]]  # fmt: skip
    ledger.write_batch(rows, CURSOR)
    expected = sorted(rows, key=lambda row: (row.at, row.call_id, row.attempt))
    found = [exchange.attempt for exchange in ledger.exchanges(limit=limit)]
    assert found == (expected if limit is None else expected[len(expected) - min(limit, 6) :])


def test_others_write_while_exchanges_are_read(ledger, attempt, monkeypatch):
    monkeypatch.setattr(questions_module, "EXCHANGES", 2)
    ledger.write_batch([attempt(str(number), at=float(number)) for number in range(6)], CURSOR)
    exchanges = ledger.exchanges()
    next(exchanges)
    other = SQLiteLedger(ledger.path, busy_timeout=0.0)
    other.write_batch([attempt("late", at=9.0)], Cursor("other-1-1-1", 1))
    other.close()
    assert [exchange.attempt.call_id for exchange in exchanges] == ["1", "2", "3", "4", "5", "late"]


def test_scores_are_kept_by_name_and_the_latest_counts_in_any_order(ledger):
    def score(value, at, name="quality"):
        return ScoreRow(call_id="a", name=name, at=at, score=value)

    ledger.write_batch([score(0.9, 2.0), score(0.1, 1.0), score(1.0, 1.0, "tone")], CURSOR)
    ledger.write_batch([score(0.5, 3.0), score(0.2, 2.5)], CURSOR)
    assert ledger.scores("a") == [score(0.5, 3.0), score(1.0, 1.0, "tone")]
    assert ledger.scores("b") == []


def test_the_newest_counts_come_last(ledger):
    rows = [
        CountRow(call_id=str(number), attempt=1, at=float(number), provider="p", model="m", counted=1, actual=2)
        for number in range(5)
    ]
    ledger.write_batch(rows, CURSOR)
    assert ledger.counts() == rows
    assert ledger.counts(limit=2) == rows[3:]
    assert ledger.counts(since=datetime.fromtimestamp(4, UTC)) == rows[4:]
    assert ledger.counts(limit=-1) == []


def test_what_remembered_answers_saved(filled):
    assert filled.avoided() == Decimal("0.75")
    assert filled.avoided(where={"user": "ann", "provider": "openai"}) == Decimal("0.75")
    assert filled.avoided(where={"user": "bob"}) == 0
    assert filled.avoided(until=DAY + timedelta(days=1)) == 0
    with pytest.raises(ConfigurationError, match="region"):
        filled.avoided(where={"region": "eu"})


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"by": ["moon"]}, "by"),
        ({"by": ["tag"]}, "by"),
        ({"by": ["tag:"]}, "by"),
        ({"by": "model"}, "by"),
        ({"by": ["day", "day"]}, "by"),
        ({"by": ['user" --']}, "by"),
        ({"where": {"moon": "full"}}, "by"),
        ({"where": {"day": "yesterday"}}, "where"),
        ({"where": {"month": "2026-13"}}, "where"),
        ({"where": {"hour": "2026-09-22"}}, "where"),
        ({"where": {"minute": "2026-09-22T01"}}, "where"),
        ({"where": {"day": "9999-12-31"}}, "where"),
        ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001 - what is refused
        ({"until": datetime(2026, 1, 1)}, "until"),  # noqa: DTZ001 - what is refused
    ],
)
def test_wrong_questions_are_refused_also_by_an_empty_ledger(ledger, arguments, field):
    with pytest.raises(ConfigurationError) as caught:
        ledger.spend(**arguments)
    assert caught.value.field == field
    if "by" not in arguments:
        with pytest.raises(ConfigurationError):
            ledger.exchanges(**arguments)


def test_nothing_is_asked_of_a_file_that_is_not_there(ledger):
    assert (
        ledger.spend()
        == ledger.spend(["day"])
        == ledger.counts()
        == ledger.scores("x")
        == list(ledger.exchanges())
        == []
    )
    assert ledger.avoided() == 0
    assert not ledger.path.exists()


def test_without_attempts_there_is_no_total(ledger, call):
    ledger.write_batch([call()], CURSOR)
    assert ledger.spend() == []
    assert ledger.avoided() == 0


def test_a_damaged_column_ends_no_question(ledger, attempt, call):
    ledger.write_batch([attempt("a", metered="[1"), call("a", tags=5, optimized={"x": 1}, avoided="much")], CURSOR)
    assert [row.key for row in ledger.spend(["tag:team"])] == [(None,)]
    (exchange,) = ledger.exchanges()
    assert (exchange.attempt.metered, exchange.tags, exchange.optimized) == ({}, {}, [])
    assert ledger.calls()[0].avoided is None
    connection = sqlite3.connect(ledger.path)
    connection.execute("UPDATE attempts SET metered = '{', latency = NULL")
    connection.commit()
    connection.close()
    assert ledger.attempts("a")[0].metered == {}
    assert ledger.spend()[0].latency_p50 is None


def test_the_handle_passes_questions_on_after_shipping(tmp_path, attempt, call):
    handle = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    handle.append(attempt(), call(avoided="0.5"), ScoreRow(call_id="call-1", name="quality", at=1.0, score=1.0),
                  CountRow(call_id="call-1", attempt=1, at=1.0, provider="p", model="m", counted=1, actual=2))  # fmt: skip
    assert handle.spend(["provider"])[0].key == ("openai",)
    assert [exchange.score for exchange in handle.exchanges(limit=5)] == [1.0]
    assert [sample.score for sample in handle.samples()] == [1.0]
    assert list(handle.cached()) == []
    assert (len(handle.counts()), len(handle.scores("call-1")), handle.avoided()) == (1, 1, Decimal("0.5"))
    handle.close()


def test_a_ledger_that_is_off_knows_nothing():
    ledger = NullLedger()
    assert ledger.spend(["day"]) == ledger.counts() == ledger.scores("x") == list(ledger.exchanges()) == []
    assert list(ledger.samples()) == list(ledger.cached()) == []
    assert ledger.avoided() == 0


# -- how they are read --------------------------------------------------------------------------------------------


def plan(ledger, statement, values):
    connection = sqlite3.connect(ledger.path)
    from aistrale.store.queries import add_functions

    add_functions(connection)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    connection.close()
    return steps


@pytest.mark.parametrize(
    "where", [{}, {"user": "ann"}, {"call_outcome": "success", "tag:team": "x"}, {"model": "p/m"}, {"name": None}]
)
def test_a_question_about_a_day_reads_the_attempts_of_that_day(filled, where):
    chosen = choose(DAY, DAY + timedelta(days=1), where)
    for by in ([], ["day", "model"], ["user"]):
        statement = spend_statement(by, chosen)
        steps = plan(filled, statement, chosen.values)
        reads = [step for step in steps if step.startswith(("SEARCH", "SCAN"))]
        assert reads[0] == "SEARCH a USING INDEX attempts_at (at>? AND at<?)"
        assert not [step for step in reads if step.startswith("SCAN") and "json_each" not in step]


def test_calls_are_only_looked_up_where_something_of_them_is_asked_for(filled):
    for by, where, expected in (
        (["day", "model", "outcome"], {"provider": "p", "day": "2026-09-21"}, 0),
        (["user"], {}, 1),
        ([], {"tag:x": "1"}, 1),
    ):
        chosen = choose(DAY, None, where)
        steps = plan(filled, spend_statement(by, chosen), chosen.values)
        assert sum(step.startswith("SEARCH c ") for step in steps) == expected


def test_a_batch_of_exchanges_starts_where_the_last_one_ended(filled):
    chosen = choose(None, None, {"user": "ann"})
    steps = plan(filled, exchange_statement(chosen, Place(AT, "a", 1), 10), chosen.values)
    assert steps[0] == "SEARCH a USING INDEX attempts_at (at>? AND at<?)"
    # Sorted only among attempts of the same moment, not the whole.
    assert not [step for step in steps if step == "USE TEMP B-TREE FOR ORDER BY"]


amounts = st.none() | st.decimals(min_value=0, max_value=10**4, places=9).map(str)
made = st.lists(
    st.tuples(
        amounts,
        st.sampled_from(["success", "error", "cancelled"]),
        st.sampled_from([None, "reported", "estimated"]),
        st.sampled_from(["openai", "groq"]),
        st.integers(0, 3),
        st.none() | st.integers(0, 10**9),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made, st.lists(st.sampled_from(["day", "provider", "outcome", "user", "tag:n"]), unique=True, max_size=3))
def test_rows_add_up_to_the_total_exactly(tmp_path_factory, attempt, call, rows, by):
    ledger = SQLiteLedger(tmp_path_factory.mktemp("sums") / "ledger.sqlite3")
    attempts = [
        attempt(str(number), cost=cost, outcome=outcome, usage_source=source, provider=provider, at=AT + day * 86_400,
                input=tokens)
        for number, (cost, outcome, source, provider, day, tokens) in enumerate(rows)
    ]  # fmt: skip
    ledger.write_batch([*attempts, *(call(str(number), tags={"n": str(number % 3)}) for number in range(5))], CURSOR)
    found = ledger.spend(by)
    known = [row for row in attempts if row.cost is not None]
    assert sum((row.cost for row in found), Decimal(0)) == sum((Decimal(row.cost) for row in known), Decimal(0))
    assert sum((row.failed_cost for row in found), Decimal(0)) == sum(
        (Decimal(row.cost) for row in known if row.outcome != "success"), Decimal(0)
    )
    assert sum((row.estimated_cost for row in found), Decimal(0)) == sum(
        (Decimal(row.cost) for row in known if row.usage_source == "estimated"), Decimal(0)
    )
    assert sum(row.attempts for row in found) == len(attempts)
    assert sum(row.unpriced for row in found) == len(attempts) - len(known)
    for bucket in TOKEN_BUCKETS:
        assert sum(row.tokens.get(bucket, 0) for row in found) == sum(getattr(row, bucket) or 0 for row in attempts)
    keys = [row.key for row in found]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == len(by) for key in keys)
    if by and by[0] == "day":
        assert all(first[0] <= second[0] for first, second in itertools.pairwise(keys))
    ledger.close()
