from __future__ import annotations

import math

import pytest

from aistrale.errors import ConfigurationError
from aistrale.store import NullLedger, open_ledger
from aistrale.store.records import ScoreRow
from aistrale.store.scores import score


def test_a_score_is_recorded_and_replaced(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    assert score(ledger, "call", 0.25, wall=lambda: 1.0) is True
    assert score(ledger, "call", 1, wall=lambda: 2.0) is True
    assert score(ledger, "call", 0, "tone", wall=lambda: 2.0) is True
    assert ledger.scores("call") == [
        ScoreRow(call_id="call", name="quality", at=2.0, score=1.0),
        ScoreRow(call_id="call", name="tone", at=2.0, score=0.0),
    ]
    ledger.close()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", 0.5), "call_id"),
        ((" ", 0.5), "call_id"),
        ((None, 0.5), "call_id"),
        (("x" * 201, 0.5), "call_id"),
        (("call", 0.5, ""), "name"),
        (("call", -0.01), "value"),
        (("call", 1.01), "value"),
        (("call", math.nan), "value"),
        (("call", math.inf), "value"),
        (("call", True), "value"),
        (("call", "0.5"), "value"),
        (("call", 10**400), "value"),
    ],
)
def test_what_is_no_score_is_refused(arguments, field):
    with pytest.raises(ConfigurationError) as caught:
        score(NullLedger(), *arguments)
    assert caught.value.field == field
