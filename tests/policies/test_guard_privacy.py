"""Rules together with redaction: what rules ask for is redacted, what they allow is not, what is the caller's comes back."""

from __future__ import annotations

import base64

import pytest

import aistrale
from aistrale.errors import DLPViolation
from aistrale.testing import Say, simulator

MODEL = "openai/gpt-5-mini"
MAIL = "ann.smith@example.com"
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def client(running):
    running.reset()
    made = []

    def make(*rules, **privacy):
        events = []
        one = aistrale.Client(
            **{**running.settings(), "retry": False}, privacy={"rules": rules, **privacy}, on_event=events.append
        )
        one.events = events
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def rows(client):
    assert client.flush()
    return list(reversed(client.ledger.calls(20)))


NAMES = {"name": "project names", "words": ["Nightjar"], "action": "redact"}


@pytest.mark.parametrize("redact", [True, False])
def test_the_words_of_a_rule_leave_as_placeholders_and_come_back(client, running, redact):
    own = client(NAMES, redact=redact)
    answer = own.run(f"Nightjar is run by {MAIL}, says nightjar.", model=MODEL)
    sent = str(running.last.body)
    assert "ightjar" not in sent
    assert "[[PROJECT_NAMES_1]]" in sent
    assert (MAIL in sent) is not redact
    assert f"Nightjar is run by {MAIL}, says nightjar." in answer.text
    (row,) = rows(own)
    assert row.privacy["out.redact.PROJECT_NAMES"] == 2
    told = [(event.rule, event.action, event.types) for event in own.events]
    by_itself = [("redact", "redact", {"EMAIL_ADDRESS": 1})] if redact else []
    assert told == [("project names", "redact", {"PROJECT_NAMES": 1}), *by_itself]


def test_an_exception_leaves_a_type_as_it_is_for_its_project_only(client, running):
    own = client({"name": "support", "types": ["EMAIL_ADDRESS"], "project": "support", "action": "allow"})
    own.run(f"Ask {MAIL}", model=MODEL)
    assert MAIL not in str(running.last.body)
    with aistrale.context(project="support"):
        own.run(f"Ask {MAIL}", model=MODEL)
    assert MAIL in str(running.last.body)


def test_a_value_is_encrypted_where_a_rule_says_so(client, running):
    own = client({"name": "mails", "types": ["EMAIL_ADDRESS"], "action": "encrypt"}, key=KEY)
    own.run(f"Ask {MAIL}", model=MODEL)
    assert MAIL not in str(running.last.body)
    assert rows(own)[0].privacy == {"out.encrypt.EMAIL_ADDRESS": 1}


def test_a_dry_run_leaves_redaction_as_it_is(client, running):
    own = client(NAMES, {"name": "mails", "types": ["EMAIL_ADDRESS"], "action": "block"}, dry_run=True)
    own.run(f"Nightjar: {MAIL}", model=MODEL)
    sent = str(running.last.body)
    assert "Nightjar" in sent
    assert MAIL not in sent
    assert rows(own)[0].privacy == {
        "dry.out.redact.PROJECT_NAMES": 1,
        "dry.out.block.EMAIL_ADDRESS": 1,
        "out.redact.EMAIL_ADDRESS": 1,
    }


IN = {"name": "foreign mails", "types": ["EMAIL_ADDRESS"], "direction": "in", "action": "block"}


def test_the_callers_own_values_may_come_back_and_others_may_not(client, running):
    own = client(IN)
    assert MAIL in own.run(f"Repeat: {MAIL}", model=MODEL).text
    with own.stream(f"Repeat: {MAIL}", model=MODEL) as stream:
        assert MAIL in "".join(stream.texts())
    running.script(Say(text="Ask [[EMAIL_1]] or bob@example.org"))
    with pytest.raises(DLPViolation):
        own.run(f"Who? {MAIL}", model=MODEL)
    assert [row.error for row in rows(own)] == [None, None, "DLPViolation"]


def test_what_a_session_has_redacted_stays_its_own(client, running):
    own = client(IN)
    with own.session() as session:
        session.run(f"Remember {MAIL}", model=MODEL)
        running.script(Say(text="It is [[EMAIL_1]]."))
        assert session.run("Which one was it?", model=MODEL).text == f"It is {MAIL}."


def test_a_call_that_is_blocked_leaves_nothing_open(client, running):
    own = client({**IN, "direction": "both"})
    with pytest.raises(DLPViolation):
        own.run(MAIL, model=MODEL)
    assert running.requests == []
    assert own.ledger.open_intents() == []
    assert "guard" in own.pipeline.describe()
    assert "1 rule" in own.pipeline.describe()


def test_embeddings(client, running):
    own = client(NAMES, {"name": "mails", "types": ["EMAIL_ADDRESS"], "action": "block"})
    own.embed(["about Nightjar", "x"], model="openai/text-embedding-3-small")
    assert "Nightjar" not in str(running.last.body)
    with pytest.raises(DLPViolation):
        own.embed(MAIL, model="openai/text-embedding-3-small")
