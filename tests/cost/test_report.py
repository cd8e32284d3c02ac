from __future__ import annotations

import csv
import decimal
import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aistrale.cost.book.price_book import PriceBook, price_book
from aistrale.cost.report import CostReport, costs
from aistrale.cost.saved import amount, cache_savings
from aistrale.errors import ConfigurationError
from aistrale.store import NullLedger
from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import AT, CURSOR, DAY, attempt, call

PRICES = {
    "format": 1,
    "as_of": "2026-11-20",
    "sources": ["test"],
    "models": [
        {
            "provider": "anthropic",
            "id": "claude-x",
            "aliases": [],
            "periods": [
                {"rates": {"input": "1", "output": "5", "cache_read": "0.1", "cache_write": "1.25", "cache_write_1h": "2"}},
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def book():
    return PriceBook.load(json.dumps(PRICES).encode())


@pytest.fixture
def ledger(tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


@pytest.fixture
def filled(ledger):
    ledger.write_batch(
        [
            attempt("a", cost="0.25"),
            call("a", user="ann"),
            attempt("b", outcome="error", cost="0.05", at=AT + 1),
            attempt("b", attempt=2, outcome="success", model="gpt-5", cost="0.5", at=AT + 2),
            call("b", user="=1+1"),
            attempt("c", outcome="interrupted", cost="0.125", usage_source="estimated", at=AT + 90_000),
            call("c", outcome="interrupted"),
            attempt("d", outcome="success", cost="0.0625", at=AT + 90_001),
            attempt("d", attempt=2, outcome="cancelled", cost="0.03125", usage_source="estimated", at=AT + 90_002),
            call("d"),
            attempt("e", model="gpt-99", cost=None, cost_reason="no price", book=None, at=AT + 90_003, input=None, output=None),
            call("e"),
            call("f", attempts=0, avoided="0.75"),
        ],
        CURSOR,
    )  # fmt: skip
    return ledger


def test_rows_the_total_and_what_is_left_out(filled):
    report = costs(filled, by="model")
    assert [(row.key, row.calls, row.attempts, row.usd, row.unpriced) for row in report.rows] == [
        (("openai/gpt-5-mini",), 4, 5, Decimal("0.51875"), 0),
        (("openai/gpt-5",), 1, 1, Decimal("0.5"), 0),
        (("openai/gpt-99",), 1, 1, None, 1),
    ]
    total = report.total
    assert (total.calls, total.attempts, total.failed, total.usd) == (5, 7, 3, Decimal("1.01875"))
    assert (total.tokens_in, total.tokens_out, total.unpriced) == (60, 30, 1)
    assert [row.share for row in report.rows] == [pytest.approx(0.51875 / 1.01875), pytest.approx(0.5 / 1.01875), None]
    assert report.unknown_share == pytest.approx(1 / 7)
    assert report.estimated_share == pytest.approx(0.15625 / 1.01875)
    assert report.avoided == Decimal("0.75")


def test_what_was_wasted(filled):
    waste = costs(filled).waste
    assert waste.attempts_usd == Decimal("0.05") + Decimal("0.125") + Decimal("0.03125")
    assert waste.calls_usd == Decimal("0.125")
    assert waste.hedges_usd == Decimal("0.03125")
    assert waste.usd == Decimal("0.20625")
    assert waste.unpriced == 0


def test_several_dimensions_bounds_and_filters(filled):
    report = costs(filled, by=["day", "model"], since=DAY + timedelta(days=1), where={"call_outcome": "success"})
    assert [row.key for row in report.rows] == [("2026-11-03", "openai/gpt-5-mini"), ("2026-11-03", "openai/gpt-99")]
    assert (report.total.calls, report.total.usd, report.avoided) == (2, Decimal("0.09375"), 0)
    assert costs(filled, where={"region": "eu"}).avoided is None
    with pytest.raises(ConfigurationError, match="tag:NAME"):
        costs(filled, by="tag")


def test_only_unknown_prices_are_no_zero(filled):
    report = costs(filled, by=[], where={"model": "openai/gpt-99"})
    assert report.total.usd is None
    assert report.rows[0].usd is None
    assert report.estimated_share is None
    document = json.loads(report.to_json())
    assert document["total"]["usd"] is None
    assert "unknown" in str(report)


def test_nothing_recorded():
    report = costs(NullLedger(), by=["day", "model"])
    assert (report.rows, report.total.attempts, report.unknown_share, report.total.share) == ([], 0, None, None)
    assert str(report) == "nothing is recorded for that time"
    assert report.to_csv().count("\r\n") == 1


def test_what_people_read(filled):
    text = str(costs(filled, by=["day", "model"]))
    lines = text.splitlines()
    assert lines[0].split() == ["day", "model", "calls", "attempts", "in", "out", "usd", "share"]
    assert lines[-5].startswith("total")
    assert "1 of 7 attempts (14.3%) have no known price" in text
    assert "wasted: $0.20625" in text
    assert "$0.15625 of it is estimated (15.3%)" in text
    assert "remembered answers saved $0.75" in text


def test_csv_is_read_back_and_runs_no_formula(filled):
    report = costs(filled, by=["user", "model"])
    rows = list(csv.DictReader(io.StringIO(report.to_csv(), newline="")))
    assert len(rows) == len(report.rows)
    for read, row in zip(rows, report.rows, strict=True):
        assert read["user"] == {None: "", "=1+1": "'=1+1"}.get(row.key[0], row.key[0])
        assert read["usd"] == ("" if row.usd is None else amount(row.usd))
        assert int(read["attempts"]) == row.attempts


# -- caches ---------------------------------------------------------------------------------------------------------


def cached(**fields):
    values = {
        "provider": "anthropic",
        "model": "claude-x",
        "input": 1000,
        "output": 0,
        "cache_read": 0,
        "cache_write": 0,
    }
    return attempt("c", **(values | fields))


def test_reading_saves_the_difference_of_the_rates_and_writing_costs_more(book):
    savings = cache_savings([cached(cache_read=1_000_000), cached(cache_write=1_000_000), cached()], book)
    assert (savings.attempts, savings.read_tokens, savings.written_tokens) == (2, 1_000_000, 1_000_000)
    assert (savings.reads_usd, savings.writes_usd, savings.usd) == (Decimal("0.9"), Decimal("0.25"), Decimal("0.65"))
    assert savings.book == book.label


def test_lifetimes_of_a_cache_are_those_that_were_metered(book):
    metered = {"lines": [{"units": {"cache_write_1h": 1_000_000, "cache_read": 1_000_000}, "prompt": 5}]}
    savings = cache_savings([cached(cache_write=1_000_000, cache_read=1_000_000, metered=metered)], book)
    assert (savings.reads_usd, savings.writes_usd) == (Decimal("0.9"), Decimal(1))


def test_a_cache_that_is_written_and_never_read_loses_money(book):
    assert cache_savings([cached(cache_write=1_000_000)], book).usd == Decimal("-0.25")


def test_what_cannot_be_priced_is_counted(book):
    savings = cache_savings(
        [cached(model="claude-unheard-of", cache_read=5), cached(cache_read=7, metered={"lines": 5})], book
    )
    assert (savings.unpriced, savings.attempts, savings.usd, savings.read_tokens) == (2, 2, 0, 12)


def test_without_caches_no_book_is_read():
    assert cache_savings([cached()]).book is None


def test_the_report_tells_what_caches_saved(ledger, book):
    ledger.write_batch(
        [attempt("x", provider="anthropic", model="claude-x", cache_read=1_000_000), attempt("y", cache_read=0)], CURSOR
    )
    report = costs(ledger, book=book)
    assert report.cache.usd == Decimal("0.9")
    assert json.loads(report.to_json())["cache"]["usd"] == "0.9"
    assert "prompt caches saved $0.9 net" in str(report)
    assert costs(ledger, savings=False).cache is None


def test_the_shipped_book_prices_a_cache(ledger):
    row = attempt("x", provider="anthropic", model="claude-haiku-4-5", cache_read=1000, book=price_book().label)
    savings = cache_savings([row])
    assert savings.unpriced == 0
    assert savings.usd > 0


# -- sums -----------------------------------------------------------------------------------------------------------

amounts = st.none() | st.decimals(min_value=0, max_value=10**12, places=15).map(str)
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
made = st.lists(
    st.tuples(
        amounts,
        st.sampled_from(["success", "error", "cancelled", "abandoned"]),
        st.sampled_from(["success", "error"]),
        texts,
        st.integers(0, 2),
    ),
    max_size=15,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made, st.lists(st.sampled_from(["day", "model", "outcome", "user", "tag:n"]), unique=True, max_size=3))
def test_rows_add_up_and_come_back_from_csv_and_json(tmp_path_factory, rows, by):
    ledger = SQLiteLedger(tmp_path_factory.mktemp("report") / "ledger.sqlite3")
    for number, (cost, outcome, of_call, user, day) in enumerate(rows):
        at = AT + day * 86_400
        ledger.write_batch(
            [attempt(str(number), cost=cost, outcome=outcome, at=at, model=f"m{number % 2}"),
             call(str(number), user=user, outcome=of_call, tags={"n": user}, at=at)],
            CURSOR,
        )  # fmt: skip
    with decimal.localcontext(prec=5):
        report = costs(ledger, by=by)
    ledger.close()
    known = [Decimal(row[0]) for row in rows if row[0] is not None]
    with decimal.localcontext(prec=60):
        check_sums(report, rows, known)
    read = list(csv.DictReader(io.StringIO(report.to_csv(), newline="")))
    document = json.loads(report.to_json())
    assert len(read) == len(document["rows"]) == len(report.rows)
    for line, node, row in zip(read, document["rows"], report.rows, strict=True):
        usd = None if row.usd is None else amount(row.usd)
        assert node["usd"] == usd
        assert line["usd"] == (usd or "")
        assert tuple(node["key"]) == row.key
        for name, part in zip(by, row.key, strict=True):
            assert line[name].removeprefix("'") == (part or "").removeprefix("'")


def check_sums(report: CostReport, rows, known):
    assert sum((row.usd or 0 for row in report.rows), Decimal(0)) == sum(known, Decimal(0))
    assert (report.total.usd or 0) == sum(known, Decimal(0))
    assert sum(row.attempts for row in report.rows) == report.total.attempts == report.total.calls == len(rows)
    assert report.total.unpriced == len(rows) - len(known)
    wasted = [Decimal(row[0]) for row in rows if row[0] is not None and (row[1] != "success" or row[2] != "success")]
    assert report.waste.usd == sum(wasted, Decimal(0))
    assert report.waste.usd <= (report.total.usd or 0)
