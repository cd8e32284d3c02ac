from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aistrale.cost.invoices.invoice import Reading, read_invoice
from aistrale.cost.invoices.reconcile import reconcile
from aistrale.errors import ConfigurationError
from aistrale.store import NullLedger
from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import AT, CURSOR, attempt, call

DAY = 86_400


@pytest.fixture
def ledger(tmp_path):
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def invoice(*rows, provider="openai", **how):
    lines = ["date,model,cost", *(",".join(map(str, row)) for row in rows)]
    return read_invoice("\n".join(lines).encode(), Reading(provider=provider, **how))


def spent(ledger, *rows):
    ledger.write_batch([attempt(str(number), **row) for number, row in enumerate(rows)], CURSOR)


def reasons(found, model=None):
    (line,) = [line for line in found.lines if not line.within and (model is None or line.model == model)]
    return " | ".join(line.reasons)


def test_what_agrees_agrees(ledger):
    spent(ledger, {"cost": "1.5", "model": "gpt-4o-2024-08-06"}, {"cost": "0.5", "model": "gpt-4o"},
          {"cost": "2", "at": AT + DAY}, {"cost": "9", "provider": "groq"}, {"cost": "9", "at": AT + 2 * DAY})  # fmt: skip
    found = reconcile(
        ledger, invoice(("2026-11-02", "gpt-4o-2024-08-06", "2.00"), ("2026-11-03", "gpt-5-mini", "2.01"))
    )
    assert found.agrees
    assert (found.ours, found.theirs, found.difference) == (Decimal(4), Decimal("4.01"), Decimal("0.01"))
    assert [(str(line.first), line.ours, line.theirs, line.attempts) for line in found.lines] == [
        ("2026-11-02", Decimal(2), Decimal(2), 2),
        ("2026-11-03", Decimal(2), Decimal("2.01"), 1),
    ]


def test_unknown_prices(ledger):
    spent(ledger, {"cost": "1"}, {"cost": None})
    found = reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "2")))
    assert not found.agrees
    assert (found.unpriced, found.lines[0].ours) == (1, Decimal(1))
    assert "1 of our 2 attempts have no known price" in reasons(found)
    assert any("our sums leave them out" in note for note in found.notes)


def test_estimates(ledger):
    spent(ledger, {"cost": "1", "usage_source": "estimated"})
    assert "$1 of ours is estimated" in reasons(reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "1.3"))))


def test_calls_that_did_not_go_through_us(ledger):
    spent(ledger, {"cost": "1"})
    found = reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "1.7"), ("2026-11-02", "gpt-6", "5")))
    assert "did not go through here" in reasons(found, "gpt-5-mini")
    assert "did not go through here, or a model that the two sides name differently" in reasons(found, "gpt-6")


def test_days_that_are_missing(ledger):
    spent(ledger, {"cost": "1"})
    found = reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "1"), ("2026-11-01", "gpt-5-mini", "1")))
    assert "the ledger has nothing of that time" in reasons(found)
    spent(ledger, {"cost": "1"}, {"cost": "3", "model": "gpt-5"})
    assert "the file has no charge for it" in reasons(reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "1"))))


def test_days_of_another_time_zone(ledger):
    # Half of each day's money falls into the day before in California.
    spent(ledger, *({"cost": "1", "at": AT + day * DAY + hour * 3600} for day in range(3) for hour in (3, 12)))
    rows = [("2026-11-01", "gpt-5-mini", "1"), ("2026-11-02", "gpt-5-mini", "2"), ("2026-11-03", "gpt-5-mini", "2"),
            ("2026-11-04", "gpt-5-mini", "1")]  # fmt: skip
    found = reconcile(ledger, invoice(*rows, zone="America/Los_Angeles"))
    assert found.agrees
    assert found.zone == "America/Los_Angeles"
    shifted = [("2026-11-02", "gpt-5-mini", "3"), ("2026-11-03", "gpt-5-mini", "1"), ("2026-11-04", "gpt-5-mini", "2")]
    found = reconcile(ledger, invoice(*shifted))
    assert found.within
    assert not found.agrees
    assert all("time zone" in " ".join(line.reasons) for line in found.lines if not line.within)


@pytest.mark.parametrize(
    ("theirs", "word"),
    [("5", "batch or flex"), ("20", "priority"), ("11", "data residency"), ("7", "negotiated prices")],
)
def test_factors(ledger, theirs, word):
    spent(ledger, {"cost": "10"})
    assert word in reasons(reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", theirs))))


def test_tools_stand_apart(ledger):
    spent(ledger, {"cost": "1.25"})
    found = reconcile(
        ledger, invoice(("2026-11-02", "gpt-5-mini", "1"), ("2026-11-02", "web search tool calls", "0.25"))
    )
    assert (found.theirs, found.tools, found.within) == (Decimal("1.25"), Decimal("0.25"), True)
    assert "$0.25 of tool fees stand apart" in reasons(found)


def test_rounded_amounts_may_be_off(ledger):
    spent(ledger, *({"cost": "0.004"} for _ in range(10)))
    found = reconcile(ledger, invoice(*(("2026-11-02", "gpt-5-mini", "0.01") for _ in range(10))))
    assert found.lines[0].within is False
    assert "10 rounded amounts may be off by $0.05" in reasons(found)
    exact = reconcile(ledger, invoice(*(("2026-11-02", "gpt-5-mini", "0.01") for _ in range(8))))
    assert exact.lines[0].within


def test_credits_tax_and_other_services_stand_apart(ledger):
    data = (
        "BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,ChargePeriodStart,ResourceName,ServiceProviderName\n"
        "1.25,USD,Usage,Output tokens,2026-11-02T00:00:00Z,claude-sonnet-4-5,Anthropic\n"
        "9,USD,Usage,VM,2026-11-02T00:00:00Z,vm-1,Microsoft\n-0.25,USD,Credit,Goodwill,2026-11-02T00:00:00Z,,Anthropic\n"
        "0.1,USD,Tax,VAT,2026-11-02T00:00:00Z,,Anthropic\n-0.5,USD,Usage,Refund,2026-11-02T00:00:00Z,claude-sonnet-4-5,Anthropic\n"
    )
    spent(ledger, {"cost": "0.75", "provider": "anthropic", "model": "claude-sonnet-4-5"}, {"cost": "4"})
    found = reconcile(ledger, read_invoice(data.encode()))
    # Ours at OpenAI is not in a file that is about Anthropic.
    assert (found.ours, found.theirs, found.agrees) == (Decimal("0.75"), Decimal("0.75"), True)
    assert (found.credits, found.tax, found.others) == (Decimal("-0.25"), Decimal("0.1"), (1, Decimal(9)))
    assert found.lines[0].model == "anthropic/claude-sonnet-4-5"


def test_months_are_compared_where_the_file_has_no_days(ledger):
    spent(ledger, {"cost": "1", "provider": "gemini", "model": "gemini-2.5-flash", "at": AT + 12 * 3600},
          {"cost": "1.5", "provider": "gemini", "model": "gemini-2.5-flash", "at": AT + 20 * DAY},
          {"cost": "2", "provider": "gemini", "model": "gemini-2.5-flash-lite", "at": AT + 20 * DAY})  # fmt: skip
    data = (
        "Service description,SKU description,Cost type,Usage start date,Usage end date,Cost ($)\n"
        "Gemini API,Generate content input token count gemini 2.5 flash short input text,Usage,2026-11-01,2026-11-30,1.00\n"
        "Gemini API,Generate content output token count gemini 2.5 flash short input text,Usage,2026-11-03,2026-11-30,1.50\n"
        "Gemini API,Generate content output token count gemini 2.5 flash lite text,Usage,2026-11-03,2026-11-30,2\n"
    )
    found = reconcile(ledger, read_invoice(data.encode()))
    assert found.agrees
    assert [(line.model, line.ours, str(line.first), str(line.last)) for line in found.lines] == [
        ("gemini-2.5-flash", Decimal("2.5"), "2026-11-01", "2026-11-30"),
        ("gemini-2.5-flash-lite", Decimal(2), "2026-11-01", "2026-11-30"),
    ]
    assert any("days cannot be compared" in note for note in found.notes)


def test_without_models_all_of_a_day_are_compared(ledger):
    spent(ledger, {"cost": "1"}, {"cost": "2", "model": "gpt-5"})
    found = reconcile(ledger, read_invoice(b"date,cost\n2026-11-02,3\n", Reading(provider="openai")))
    assert found.agrees
    assert [(line.model, line.ours) for line in found.lines] == [(None, Decimal(3))]


def test_use_without_a_model_among_others_is_told(ledger):
    spent(ledger, {"cost": "1"})
    found = reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "1"), ("2026-11-02", "", "0.5")))
    assert (found.unnamed, found.difference) == (Decimal("0.5"), Decimal("0.5"))
    assert any("names no model" in note for note in found.notes)


def test_only_a_part_of_the_ledger(ledger):
    ledger.write_batch(
        [attempt("a", cost="1"), call("a", project="x"), attempt("b", cost="2"), call("b", project="y")], CURSOR
    )
    found = reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "2")), where={"project": "y"})
    assert found.agrees


def test_the_tolerance(ledger):
    spent(ledger, {"cost": "100"})
    theirs = invoice(("2026-11-02", "gpt-5-mini", "102.00"))
    assert not reconcile(ledger, theirs).agrees
    assert reconcile(ledger, theirs, tolerance=0.02).agrees
    assert reconcile(ledger, theirs, least=Decimal(2)).agrees
    with pytest.raises(ConfigurationError, match="tolerance"):
        reconcile(ledger, theirs, tolerance=2)


def test_what_cannot_be_compared():
    with pytest.raises(ConfigurationError, match="no charges"):
        reconcile(NullLedger(), invoice())
    with pytest.raises(ConfigurationError, match="read rightly"):
        reconcile(NullLedger(), invoice(("2016-11-02", "a", 1), ("2026-11-02", "a", 1)))


def test_people_read_what_differs_and_why(ledger):
    spent(ledger, {"cost": "1"}, {"cost": "1", "model": "gpt-5"})
    text = str(reconcile(ledger, invoice(("2026-11-02", "gpt-5-mini", "2"), ("2026-11-02", "gpt-5", "1"))))
    assert "ours $2, theirs $3, difference $1" in text
    assert "2026-11-02  gpt-5-mini: ours $1, theirs $2, difference $1" in text
    assert "gpt-5:" not in text


money = st.decimals(min_value=0, max_value=10**5, places=6)
models = st.sampled_from(["gpt-5", "gpt-5-mini", "gpt-4o-2024-08-06", "gpt-4o", "=x"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(money, models, st.integers(0, 3)), max_size=10),
       st.lists(st.tuples(money, models, st.integers(0, 3)), min_size=1, max_size=10))  # fmt: skip
def test_lines_add_up_and_come_back(tmp_path_factory, ours, theirs):
    ledger = SQLiteLedger(tmp_path_factory.mktemp("reconcile") / "ledger.sqlite3")
    spent(ledger, *({"cost": str(usd), "model": model, "at": AT + day * DAY} for usd, model, day in ours))
    found = reconcile(ledger, invoice(*((f"2026-11-0{2 + day}", model, usd) for usd, model, day in theirs)))
    ledger.close()
    assert sum((line.theirs for line in found.lines), Decimal(0)) == found.theirs == sum(row[0] for row in theirs)
    days = [row[2] for row in theirs]
    within = [row[0] for row in ours if min(days) <= row[2] <= max(days)]
    assert sum((line.ours for line in found.lines), Decimal(0)) == found.ours == sum(within, Decimal(0))
    read = list(csv.DictReader(io.StringIO(found.to_csv(), newline="")))
    nodes = json.loads(found.to_json())["lines"]
    assert len(read) == len(nodes) == len(found.lines)
    for line, node, row in zip(read, nodes, found.lines, strict=True):
        assert Decimal(line["difference"]) == Decimal(node["difference"]) == row.difference == row.theirs - row.ours
        assert row.within or row.reasons
        assert line["model"].removeprefix("'") == node["model"] == row.model
