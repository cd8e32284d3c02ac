"""What events become: exactly the messages that are documented, and nothing that was said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.events import (
    EVENTS,
    AttemptFinished,
    BreakerChanged,
    BudgetCrossed,
    CallFinished,
    Content,
    DLPVerdict,
    ExperimentDecided,
    WebhookSent,
)
from aistrale.telemetry.webhooks.messages import TYPES, kinds, message_id, message_of, sample

AT = 1_795_000_000.25
ROW = CallRow(
    call_id="call1", at=AT - 2, latency=2.0, kind="chat", model_asked="chat", outcome="success", attempts=2,
    route="chat", provider="openai", model="gpt-5-mini", user="ada", project="x", tags={"team": "red"}, input=10,
    output=0, reasoning=7, usage_source="reported", cost="0.00012300",
)  # fmt: skip
OPENED = BreakerChanged(
    id="e1",
    at=AT,
    target="openai/gpt-5-mini",
    change="opened",
    before="closed",
    after="open",
    reason="failures",
    open_for=5.0,
)
VERDICT = DLPVerdict(
    id="e1", at=AT, call_id="call1", rule="cards", action="block", direction="out", types={"CREDIT_CARD": 2}
)


def payload(event):
    message = message_of(event)
    return None if message is None else json.loads(message.body)


def kind(event):
    message = message_of(event)
    return None if message is None else message.type


def test_a_call_that_was_answered():
    told = payload(CallFinished(id="e1", at=AT, row=ROW, streamed=True))
    assert told == {
        "type": "inference.completed",
        "timestamp": "2026-11-18T11:06:40.250Z",
        "data": {
            "call_id": "call1",
            "operation": "chat",
            "model_asked": "chat",
            "streamed": True,
            "route": "chat",
            "provider": "openai",
            "model": "gpt-5-mini",
            "outcome": "success",
            "attempts": 2,
            "latency": 2.0,
            "user": "ada",
            "project": "x",
            "tags": {"team": "red"},
            "cost": "0.00012300",
            # Zero is a count, and stays; what was not told is not zero, and is not there.
            "tokens": {"input": 10, "output": 0, "reasoning": 7},
            "tokens_source": "reported",
        },
    }
    assert datetime.fromisoformat(told["timestamp"]).timestamp() == AT


@pytest.mark.parametrize("outcome", ["success", "error", "cancelled", "interrupted", "abandoned"])
def test_every_call_gives_exactly_one_message(outcome):
    message = message_of(CallFinished(at=AT, row=replace(ROW, outcome=outcome, error="ServerError")))
    assert message.type == ("inference.completed" if outcome == "success" else "inference.failed")
    assert json.loads(message.body)["data"]["outcome"] == outcome


def test_an_embedding_is_an_inference_too():
    assert payload(CallFinished(at=AT, row=replace(ROW, kind="embed")))["data"]["operation"] == "embed"


def test_a_provider_fails_once_and_recovers_once():
    assert payload(OPENED)["data"] == {
        "provider": "openai", "model": "gpt-5-mini", "target": "openai/gpt-5-mini", "reason": "failures", "open_for": 5.0,
    }  # fmt: skip
    # A probe that failed is no further failure, news of another process are told there, a hand on the switch is neither.
    for change in (
        {"before": "half_open"}, {"news": True}, {"change": "half_opened", "before": "open"}, {"change": "extended"},
        {"change": "forced", "after": "forced_open"},
    ):  # fmt: skip
        assert message_of(replace(OPENED, **change)) is None
    closed = replace(OPENED, change="closed", before="half_open", after="closed", reason="recovered", open_for=None)
    assert kind(closed) == "provider.recovered"
    assert message_of(replace(closed, news=True)) is None


def test_a_target_is_known_by_its_account_where_there_are_several():
    data = payload(replace(OPENED, target="huggingface/org/model-7b (b)"))["data"]
    assert (data["provider"], data["model"], data["target"]) == (
        "huggingface",
        "org/model-7b",
        "huggingface/org/model-7b (b)",
    )


@pytest.mark.parametrize(
    ("action", "dry", "told"),
    [
        ("block", False, True),
        ("encrypt", False, True),
        ("warn", False, True),
        ("redact", False, False),
        ("block", True, False),
    ],
)
def test_which_verdicts_are_violations(action, dry, told):
    assert (kind(replace(VERDICT, action=action, dry_run=dry)) == "dlp.violation") is told


def test_a_violation_says_what_kind_of_data_and_not_which():
    assert payload(VERDICT)["data"] == {
        "call_id": "call1", "rule": "cards", "action": "block", "direction": "out", "types": {"CREDIT_CARD": 2},
    }  # fmt: skip


def test_a_budget_that_is_crossed_is_told_in_exact_amounts():
    event = BudgetCrossed(
        id="e1", at=AT, what="threshold", budget="b", scope="user:ada", period="day", limit=Decimal("5.00"),
        spent=Decimal("4.000000000000000001"), reserved=Decimal(0), hard=True, threshold=Decimal("0.8"), resets=AT + 60,
    )  # fmt: skip
    data = payload(event)["data"]
    assert (data["what"], data["limit"], data["spent"], data["threshold"]) == (
        "threshold",
        "5.00",
        "4.000000000000000001",
        "0.8",
    )
    assert datetime.fromisoformat(data["resets"]).timestamp() == AT + 60
    assert "threshold" not in payload(replace(event, what="refused", threshold=None))["data"]


def test_an_experiment_that_is_decided():
    event = ExperimentDecided(at=AT, experiment="x", winner=None, reason="no difference")
    assert payload(event)["data"] == {"experiment": "x", "reason": "no difference"}


def test_nothing_is_told_about_webhooks_or_of_what_was_said():
    sent = WebhookSent(webhook="w", type="provider.failed", message_id="msg_1", attempts=1, outcome="delivered")
    assert message_of(sent) is None
    row = AttemptRow(
        call_id="c",
        attempt=1,
        at=AT,
        latency=1.0,
        provider="p",
        model="m",
        target="p/m",
        streamed=False,
        outcome="success",
    )
    content = Content(input=({"role": "user", "parts": [{"type": "text", "content": "canary"}]},))
    assert message_of(AttemptFinished(at=AT, row=row, content=content)) is None


def test_a_sink_is_asked_for_the_kinds_that_its_types_are_made_of():
    assert kinds(["provider.failed", "provider.recovered"]) == {"breaker.changed"}
    assert kinds(TYPES) == {"call.finished", "breaker.changed", "budget.crossed", "dlp.verdict", "experiment.decided"}
    assert kinds(TYPES) <= set(EVENTS)
    assert kinds([]) == frozenset()


@pytest.mark.parametrize("type_", TYPES)
def test_there_is_a_sample_of_every_type_that_says_so(type_):
    message = sample(type_, "e1", AT)
    told = json.loads(message.body)
    assert (message.type, told["type"], told["test"], message.id) == (type_, type_, True, "msg_e1")
    assert told["data"]


def test_the_same_event_is_the_same_message_and_another_is_another():
    first, again = (message_of(replace(OPENED, reason=text)) for text in ("a", "b"))
    assert first.id == again.id == "msg_e1"
    assert message_of(replace(OPENED, id="e2")).id != first.id


@given(st.text(max_size=300))
def test_ids_have_no_full_stop_and_stand_in_a_header(event_id):
    made = message_id(event_id)
    assert "." not in made
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    assert len(made) < 200
    assert made == message_id(event_id)


@given(st.dictionaries(st.text(), st.text(), max_size=80), st.text(max_size=3000))
def test_labels_of_any_kind_make_a_message_of_bounded_size(tags, user):
    message = message_of(CallFinished(at=AT, row=replace(ROW, tags=tags, user=user)))
    assert len(message.body) < 400_000
    assert json.loads(message.body)["data"]["model"] == "gpt-5-mini"
