from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aistrale.cost.outlook import find_anomalies, in_sentences, look_ahead
from aistrale.cost.series import daily_spend
from aistrale.errors import AistraleError
from aistrale.store.ledger import SQLiteLedger
from tests.cost.ledgers import CURSOR, attempt, call

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    """Sixty days of two projects, of which only one uses a route; ten days ago the other one ran wild."""
    rows = []
    for ago in range(61):
        at = (NOW - timedelta(days=ago, hours=1)).timestamp()
        for project, route, count in (("shop", "chat", 1), ("lab", None, 30 if ago == 10 else 1)):
            for index in range(count):
                name = f"{ago}-{project}-{index}"
                rows += [attempt(name, at=at, cost=f"1.{ago % 5}"), call(name, at=at, project=project, route=route)]
    rows.append(attempt("unpriced", at=NOW.timestamp() - 60, cost=None))
    found = SQLiteLedger(tmp_path / "l.sqlite3")
    found.write_batch(rows, CURSOR)
    yield found
    found.close()


def test_of_two_explanations_that_are_as_good_the_one_with_names_is_given(ledger):
    (found,) = find_anomalies(ledger, daily_spend(ledger, now=NOW), since=NOW - timedelta(days=30))
    assert (found.explanation.dimension, found.contributions[0].key) == ("project", "lab")


def test_what_has_no_route_can_be_asked_for(ledger):
    whole, part = (daily_spend(ledger, now=NOW, where=where) for where in (None, {"route": None, "project": "lab"}))
    assert part.today == Decimal("1.0")
    assert whole.today == 2 * part.today
    # An attempt whose call has not ended is nobody's yet.
    assert (whole.unpriced, part.unpriced) == (1, 0)
    look = look_ahead(ledger, now=NOW, where={"route": None, "project": "lab"})
    assert sum(look.by_model["openai/gpt-5-mini"].values()) < sum(whole.values)
    assert len(look.anomalies) == 1


def test_a_refusal_is_whole_sentences(tmp_path):
    empty = SQLiteLedger(tmp_path / "none.sqlite3")
    look = look_ahead(empty, now=NOW)
    empty.close()
    assert look.forecast is None
    assert look.refusal.count(". ") == 1
    assert look.refusal.endswith(".")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AistraleError("It is late", hint="Come back"), "It is late. Come back."),
        (AistraleError("It is late.", hint="Come back."), "It is late. Come back."),
        (AistraleError("It is late"), "It is late."),
    ],
)
def test_sentences(error, told):
    assert in_sentences(error) == told
