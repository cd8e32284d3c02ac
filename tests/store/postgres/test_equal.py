# ruff: noqa: PLR0917 - fixtures are asked for by name, not by position
"""The same rows give the same answers in PostgreSQL as in SQLite, whatever is asked."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aistrale.errors import ConfigurationError
from aistrale.store import questions as questions_module
from aistrale.store.ledger import SQLiteLedger
from aistrale.store.protocol import Cursor
from aistrale.store.queries import SPEND_DIMENSIONS
from aistrale.store.records import AttemptRow, CallRow, CountRow, IntentRow, ScoreRow
from aistrale.store.summary import DIMENSIONS

CURSOR = Cursor("0badb007-4711-1790000000000000000-00c0ffee", 10)
DAY = datetime(2026, 9, 30, tzinfo=UTC)
AT = DAY.timestamp()
TAGS = ("team", "a.b", "o'b", '"', "$", "ü", "\\", "[", "x y", "%s", ":name")
# The order of these differs between languages and bytes, and `a` and `A` are the same in none of them.
IDS = ("a", "A", "b", "B", "ä", "Z", "_", "-", "a-1", "a 1", "é", "\U0001f600", "ﬁ", "%", "")
BY = [name for name in SPEND_DIMENSIONS if name != "tag:NAME"] + [f"tag:{tag}" for tag in TAGS]

texts = st.sampled_from([None, "", "x", "X", "ä", "o'b", "a/b", "%(x)s"])
ids = st.sampled_from(IDS)
numbers = st.integers(1, 3)
# At the edges of days and months, and two at the same moment.
times = st.sampled_from([AT, AT + 0.5, AT + 86_399.9997, AT + 86_400, AT - 0.0001, AT + 40 * 86_400, 0.0, 3600.0, -5.5])
seconds = st.floats(0, 1000) | st.sampled_from([0.1, 0.2, 0.3, 1e-9])
tokens = st.none() | st.integers(0, 10**12)
amounts = st.none() | st.decimals(0, 10**6, places=12).map(str) | st.sampled_from(["0", "0E-10", "1E-7", "12", "1E+3"])
usage = {
    "input": tokens, "cache_read": tokens, "cache_write": tokens, "output": tokens, "reasoning": tokens,
    "image_output": tokens, "usage_source": st.sampled_from([None, "reported", "estimated"]), "cost": amounts,
    "cost_reason": st.sampled_from([None, "no price"]),
}  # fmt: skip
outcomes = st.sampled_from(["success", "error", "cancelled", "interrupted"])
names = {"provider": st.sampled_from(["openai", "groq"]), "model": st.sampled_from(["m", "M"])}
intents = st.builds(
    IntentRow, call_id=ids, attempt=numbers, at=times, **names, target=st.just("p/m"), streamed=st.booleans(),
    messages=tokens, prefix=texts,
)  # fmt: skip
attempts = st.builds(
    AttemptRow, call_id=ids, attempt=numbers, at=times, latency=seconds, first_token=st.none() | seconds, **names,
    target=st.just("p/m"), region=texts, streamed=st.booleans(), outcome=outcomes, **usage,
    metered=st.dictionaries(st.sampled_from(["searches", "tier"]), st.integers(0, 5) | st.just("x") | st.just(0.1)),
)  # fmt: skip
calls = st.builds(
    CallRow, call_id=ids, at=times, latency=seconds, kind=st.sampled_from(["chat", "embed"]), model_asked=st.just("chat"),
    outcome=outcomes, attempts=numbers, route=texts, **names, user=texts, workspace=texts, project=texts, session=texts,
    name=texts, tags=st.dictionaries(st.sampled_from(TAGS), st.sampled_from(["", "1", "2", "ä", "null", "true"])),
    lossy=st.lists(st.sampled_from(["seed", "ü"]), max_size=2), privacy=st.dictionaries(st.just("out.x"), numbers),
    avoided=amounts, optimized=st.lists(st.just("whitespace"), max_size=1), **usage,
)  # fmt: skip
scores = st.builds(
    ScoreRow, call_id=ids, name=st.sampled_from(["b", "B", "ä"]), at=times, score=st.sampled_from([0.0, 0.1, 0.7, 1.0])
)
counts = st.builds(
    CountRow, call_id=ids, attempt=numbers, at=times, provider=st.just("p"), model=st.just("m"), counted=numbers,
    actual=numbers,
)  # fmt: skip
rows = st.lists(st.one_of(attempts, calls, intents, scores, counts), max_size=40)
windows = st.sampled_from([(None, None), (DAY, None), (None, DAY + timedelta(days=1)), (DAY, DAY + timedelta(days=40))])
conditions = st.dictionaries(
    st.sampled_from(BY), st.none() | st.sampled_from(["x", "X", "success", "openai", "openai/m", "", "1"]), max_size=2
).filter(lambda where: not {"minute", "hour", "day", "month"} & where.keys())


def nearly(row):
    """Means are rounded differently by the two; all else is the same to the last digit."""
    if getattr(row, "latency_mean", None) is not None:
        return replace(row, latency_mean=float(f"{row.latency_mean:.10g}"))
    score = getattr(row, "score", None)
    if score is None or isinstance(row, ScoreRow):
        return row
    rounded = float(f"{score:.10g}")
    return row._replace(score=rounded) if isinstance(row, tuple) else replace(row, score=rounded)


def answers(ledger, by, window, where, limit):
    """Everything that can be asked."""
    since, until = window
    alone = {name: value for name, value in where.items() if name not in {"target", "region"}}
    return {
        **{
            f"summary {name}": ledger.summary(name, since, until)
            for name in (*DIMENSIONS[:-1], *(f"tag:{tag}" for tag in TAGS))
        },
        "spend": ledger.spend(by, since, until, where=where),
        "total": ledger.spend(),
        "exchanges": list(ledger.exchanges(since, until, where=where)),
        "newest exchanges": list(ledger.exchanges(since, until, limit=limit)),
        "samples": list(ledger.samples(since, until, where=where)),
        "cached": list(ledger.cached(since, until, where=where)),
        "counts": ledger.counts(since, limit),
        "calls": ledger.calls(limit),
        "all calls": ledger.calls(-1),
        "avoided": ledger.avoided(since, until, where=alone),
        "unsettled": ledger.open_intents(),
        **{f"attempts {name}": ledger.attempts(name) for name in IDS[:3]},
        **{f"scores {name}": ledger.scores(name) for name in IDS[:3]},
    }


@pytest.fixture
def both(ledger, tmp_path, query):
    """A pair of empty ledgers, made anew at each call."""
    made = []
    places = itertools.count()

    def make():
        made.append(SQLiteLedger(tmp_path / f"{next(places)}.sqlite3"))
        if made[1:]:
            query("TRUNCATE intents, attempts, calls, scores, counts, segments, rejected")
        else:
            ledger.write_batch([], CURSOR)
        return made[-1], ledger

    yield make
    for each in made:
        each.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.lists(rows, min_size=1, max_size=3),
    by=st.lists(st.sampled_from(BY), unique=True, max_size=3),
    window=windows,
    where=conditions,
    limit=st.integers(0, 12),
    size=st.sampled_from([1, 3, 1000]),
)
def test_every_question_has_the_same_answer(both, query, written, by, window, where, limit, size):
    pair = both()
    for number, batch in enumerate(written):
        for ledger in pair:
            ledger.write_batch(batch, Cursor(f"boot-1-{number}-1", number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions_module, "EXCHANGES", size)
        expected, found = (answers(ledger, by, window, where, limit) for ledger in pair)
    for question, answer in expected.items():
        if isinstance(answer, list):
            assert [nearly(row) for row in found[question]] == [nearly(row) for row in answer], question
        else:
            assert found[question] == answer, question
    assert query("SELECT count(*) FROM rejected") == [(0,)]


@pytest.mark.parametrize("by", BY)
def test_every_dimension_alone_and_as_a_filter(both, attempt, call, by):
    pair = both()
    batch = [
        attempt("a", at=AT - 1, region="eu"), call("a", at=AT - 1, tags=dict.fromkeys(TAGS, "1"), user="ann"),
        attempt("b", at=AT, cost="0.1", outcome="error"), call("b", at=AT, user="bob", name="", session="s"),
        attempt("c", at=AT + 90_000, cost=None, provider="groq"),
    ]  # fmt: skip
    for ledger in pair:
        ledger.write_batch(batch, CURSOR)
    expected, found = (ledger.spend([by]) for ledger in pair)
    assert found == expected
    assert found
    for row in found:
        first, second = (ledger.spend(["outcome"], where={by: row.key[0]}) for ledger in pair)
        assert second == first
        assert sum(each.attempts for each in second) == row.attempts


def test_moments_that_no_calendar_has_have_no_day(both, attempt, call):
    pair = both()
    batch = [
        row
        for number, at in enumerate([1e30, -1e30, 253402300799.5, 253402300800.0, -62135596800.0, float("inf"), 1e9])
        for row in (attempt(str(number), at=at), call(str(number), at=at))
    ]
    for ledger in pair:
        ledger.write_batch(batch, CURSOR)
    for name in ("minute", "hour", "day", "month"):
        expected, found = (ledger.spend([name]) for ledger in pair)
        assert found == expected
    for name in ("hour", "day", "month"):
        expected, found = (ledger.summary(name) for ledger in pair)
        assert found == expected


@pytest.mark.parametrize(
    "arguments",
    [{"by": ["moon"]}, {"by": ["tag:"]}, {"where": {"day": "yesterday"}}, {"since": datetime(2026, 1, 1)}],  # noqa: DTZ001
)
def test_wrong_questions_are_refused_in_the_same_words(both, arguments):
    said = []
    for ledger in both():
        with pytest.raises(ConfigurationError) as caught:
            ledger.spend(**arguments)
        said.append((str(caught.value), caught.value.field))
    assert said[0] == said[1]


def test_what_sql_could_mistake_is_only_a_value(both, attempt, call):
    evil = ["'; DROP TABLE calls; --", '"', "%", "%s", "%(since)s", ":since", "\\", "$1", "$$", "?"]
    pair = both()
    batch = [
        row for number, text in enumerate(evil) for row in (attempt(text, at=float(number)), call(text, user=text))
    ]
    for ledger in pair:
        ledger.write_batch(batch, CURSOR)
    for text in evil:
        for ledger in pair:
            assert ledger.spend(where={"user": text})[0].attempts == 1
            assert len(ledger.attempts(text)) == 1
            assert ledger.spend(where={f"tag:{text}": text}) == []
    assert pair[1].calls(100) == pair[0].calls(100)
