from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from aistrale.config.budgets import check_budgets
from aistrale.core.call import Context
from aistrale.cost.budgets.book import BudgetBook, own_rule
from aistrale.errors import ConfigurationError

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0
ALICE = Context(user="alice", session="s1", project="p")


@dataclass
class Ledger:
    """Remembers what it was asked, and says what it was told to."""

    rows: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    broken: bool = False

    def spend(self, by=(), since=None, until=None, *, where=None):
        self.asked.append((by, since, until, where))
        if self.broken:
            raise OSError("no disk")
        return self.rows


def row(cost, *key):
    return SimpleNamespace(key=key, cost=Decimal(cost))


def book(*budgets, now=NOON, **options):
    return BudgetBook(check_budgets("budgets", list(budgets)), clock=lambda: now, **options)


def daily(scope="global", limit="1", **more):
    return {"scope": scope, "limit": limit, "period": "day", **more}


def counters(book, context=ALICE, now=NOON, call="c1"):
    return book.counters(call, context, None, None, now)


def spend(book, amount, context=ALICE, now=NOON, call="c1"):
    slots = counters(book, context, now, call)
    book.learn(slots)
    amounts = [Decimal(amount)] * len(slots)
    book.store.settle(book.store.reserve(slots, amounts, now), amounts, now)


# --- which counters ---------------------------------------------------------------------------------------------------


def test_a_call_counts_for_every_budget_that_is_about_it():
    own = book(daily(), daily("user:*"), daily("user:bob"), daily("project:p"), daily("model:*"))
    assert [slot.scope for slot in counters(own)] == ["global", "user:alice", "project:p"]


def test_one_budget_for_each_value():
    own = book(daily("user:*", "0.5"))
    spend(own, "0.4")
    spend(own, "0.3", Context(user="bob"))
    assert [(each.scope, each.spent) for each in own.status(NOON)] == [
        ("user:alice", Decimal("0.4")),
        ("user:bob", Decimal("0.3")),
    ]


def test_a_counter_begins_anew_with_its_period():
    own = book(daily())
    spend(own, "0.4")
    spend(own, "0.1", now=NOON + DAY)
    (status,) = own.status(NOON + DAY)
    assert status.spent == Decimal("0.1")
    assert (status.starts, status.resets) == (datetime(2026, 11, 28, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC))


def test_a_budget_of_sessions_counts_each_session_and_no_others():
    own = book({"scope": "user:*", "limit": "1", "period": "session"})
    spend(own, "0.4")
    spend(own, "0.1", now=NOON + 40 * DAY)
    spend(own, "0.2", Context(user="alice", session="s2"))
    assert counters(own, Context(user="alice")) == []
    assert [(each.scope, each.spent) for each in own.status(NOON)] == [
        ("user:alice session:s1", Decimal("0.5")),
        ("user:alice session:s2", Decimal("0.2")),
    ]


def test_a_budget_of_calls_counts_each_call():
    own = book({"limit": "1", "period": "call"})
    assert len({slot.key for call in "abc" for slot in counters(own, call=call)}) == 3


def test_an_amount_in_the_context_is_a_hard_limit_of_the_call():
    own = book()
    (slot,) = counters(own, Context(budget=" 0.05 "))
    assert (slot.limit, slot.hard, slot.rule.per) == (Decimal("0.05"), True, "call")
    assert counters(own, Context(budget="batch")) == []
    named = book(daily("budget:batch", "3"))
    assert [slot.limit for slot in counters(named, Context(budget="batch"))] == [Decimal(3)]


@pytest.mark.parametrize("text", ["5,00", "$5", "5 USD", "-1.5.2", "€3", ".5.5", "-1", "-0.5"])
def test_what_looks_like_an_amount_and_is_none_is_an_error(text):
    with pytest.raises(ConfigurationError) as caught:
        own_rule(text)
    assert caught.value.field == "budget"


# --- what was spent before --------------------------------------------------------------------------------------------


def test_the_ledger_is_asked_once_for_what_was_spent_before_this_process_began():
    ledger = Ledger([row("0.3")])
    own = book(daily("user:*"), ledger=ledger)
    slots = counters(own)
    assert own.unknown(slots)
    own.learn(slots)
    own.learn(slots)
    assert not own.unknown(slots)
    assert ledger.asked == [
        ((), datetime(2026, 11, 27, tzinfo=UTC), datetime(2026, 11, 27, 12, tzinfo=UTC), {"user": "alice"})
    ]
    (status,) = own.status(NOON)
    assert (status.spent, status.note) == (Decimal("0.3"), None)


def test_a_period_that_began_after_the_process_needs_no_ledger():
    ledger = Ledger()
    own = book(daily(), ledger=ledger)
    assert not own.unknown(counters(own, now=NOON + DAY))
    own.learn(counters(own, now=NOON + DAY))
    assert ledger.asked == []


def test_calls_have_no_past():
    ledger = Ledger()
    own = book({"limit": "1", "period": "call"}, ledger=ledger)
    assert not own.unknown(counters(own))


def test_the_past_of_a_rolling_window_is_asked_for_by_the_hour_and_forgotten_in_its_turn():
    ledger = Ledger([row("0.3", "2026-11-27T02"), row("0.2", "2026-11-27T10")])
    own = book({"limit": "1", "period": "rolling:12h"}, ledger=ledger)
    own.learn(counters(own))
    assert ledger.asked[0][:2] == (("hour",), datetime(2026, 11, 27, 0, tzinfo=UTC))
    assert own.status(NOON)[0].spent == Decimal("0.5")
    assert own.status(NOON + 2.9 * HOUR)[0].spent == Decimal("0.5"), "02:00 to 03:00 counts until 15:00"
    assert own.status(NOON + 3.5 * HOUR)[0].spent == Decimal("0.2")


def test_the_past_of_a_session_has_no_beginning():
    ledger = Ledger([row("0.3")])
    own = book({"scope": "session:*", "limit": "1", "period": "session"}, ledger=ledger)
    own.learn(counters(own))
    assert ledger.asked == [((), None, None, {"session": "s1"})]


def test_a_ledger_that_cannot_be_asked_begins_at_nothing_and_says_so(caplog):
    ledger = Ledger(broken=True)
    own = book(daily(), ledger=ledger)
    with caplog.at_level(logging.WARNING, "aistrale.budget"):
        own.learn(counters(own))
    (status,) = own.status(NOON)
    assert status.spent == 0
    assert "OSError" in status.note
    assert "no disk" not in caplog.text
    assert len(ledger.asked) == 1


@pytest.mark.parametrize(("budget", "context"), [(daily(), ALICE), (daily("budget:b"), Context(budget="b"))])
def test_what_no_ledger_knows_is_said(budget, context):
    ledger = Ledger() if budget["scope"] != "global" else None
    own = book(budget, ledger=ledger)
    own.learn(counters(own, context))
    assert "not known" in own.status(NOON)[0].note


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_threshold_is_an_event_and_a_line_in_the_log(caplog):
    events = []
    own = book(daily("user:*", name="people"), on_event=events.append)
    with caplog.at_level(logging.WARNING, "aistrale.budget"):
        spend(own, "0.85")
    assert [(event.what, event.threshold) for event in events] == [
        ("threshold", Decimal("0.5")),
        ("threshold", Decimal("0.8")),
    ]
    event = events[0]
    assert (event.budget, event.scope, event.period, event.hard) == ("people", "user:alice", "day", True)
    assert (event.limit, event.spent, event.reserved) == (1, Decimal("0.85"), 0)
    assert event.resets == datetime(2026, 11, 28, tzinfo=UTC)
    assert "budget people (user:alice) is used up to 50.0 %" in caplog.text


def test_thresholds_are_the_settings_own():
    events = []
    own = book(daily(alerts=["0.1", 1.5], hard=False), on_event=events.append)
    spend(own, "2")
    assert [event.threshold for event in events] == [Decimal("0.1"), Decimal("1.5")]


def test_a_refusal_is_told_once():
    events = []
    own = book(daily(), on_event=events.append)
    for _ in range(3):
        own.store.refuse(own.store.reserve(counters(own), [Decimal(2)], NOON), NOON)
    assert [(event.what, event.threshold) for event in events] == [("refused", None)]


def test_a_listener_that_raises_is_logged_and_goes_no_further(caplog):
    def listener(_):
        raise ValueError("secret")

    own = book(daily(), on_event=listener)
    with caplog.at_level(logging.WARNING, "aistrale.budget"):
        spend(own, "0.6")
    assert "on_event raised ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_the_status_shows_unused_budgets_at_nothing_and_in_order():
    own = book(daily("user:*"), daily("project:p", "2"), daily(limit="3"))
    assert [(each.scope, each.limit, each.spent) for each in own.status(NOON)] == [
        ("project:p", 2, 0),
        ("global", 3, 0),
    ]


def test_the_status_asks_the_ledger_for_budgets_that_nobody_has_used():
    ledger = Ledger([row("0.7")])
    (status,) = book(daily(limit="2"), ledger=ledger).status(NOON)
    assert (status.spent, status.left, status.used) == (Decimal("0.7"), Decimal("1.3"), 0.35)


def test_the_status_shows_what_is_under_way():
    own = book(daily())
    slots = counters(own)
    hold = own.store.reserve(slots, [Decimal("0.4")], NOON)
    (status,) = own.status(NOON)
    assert (status.reserved, status.in_flight, status.left) == (Decimal("0.4"), 1, Decimal("0.6"))
    assert hold is not None
