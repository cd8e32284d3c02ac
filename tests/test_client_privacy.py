"""Looking at texts and redacting them outside of calls."""

from __future__ import annotations

import asyncio

import pytest

import aistrale
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers

TEXT = "Ask ann@example.com or bob@example.org."


class Tickets:
    """Finds our own ticket numbers."""

    name = "tickets"
    types = ("TICKET",)
    triggers = Triggers(literals=("TKT-",))

    def recognize(self, candidate):
        yield Finding(candidate.start, candidate.end + 4, "TICKET", 1.0, self.name)


@pytest.fixture
def client():
    made = []

    def make(**settings):
        made.append(aistrale.Client(ledger="off", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def found(client, text=TEXT):
    return [(text[each.start : each.end], each.type) for each in client.scan(text)]


@pytest.mark.parametrize("privacy", ["off", "redact", {"redact": False}])
def test_texts_are_looked_at_whether_or_not_calls_are_redacted(client, privacy):
    own = client(privacy=privacy)
    assert found(own) == [("ann@example.com", "EMAIL_ADDRESS"), ("bob@example.org", "EMAIL_ADDRESS")]
    redacted = own.redact(TEXT)
    assert "example" not in redacted.text
    assert str(redacted) == redacted.text
    assert redacted.restore(redacted.text) == TEXT
    assert redacted.restore(f"Yes: {redacted.text}") == f"Yes: {TEXT}"
    assert "ann" not in repr(redacted)


def test_the_settings_say_what_counts(client):
    own = client(privacy={"allow": ["@example.com"], "recognizers": [Tickets()]})
    text = f"{TEXT} TKT-1234"
    assert found(own, text) == [("bob@example.org", "EMAIL_ADDRESS"), ("TKT-1234", "TICKET")]
    assert own.redact(text).text.startswith("Ask ann@example.com or [[")
    assert "TKT" not in own.redact(text).text
    assert found(client(privacy={"types": ["CREDIT_CARD"]})) == []
    assert found(client(privacy={"except_types": ["EMAIL_ADDRESS"], "redact": False})) == []


def test_modes(client):
    own = client(privacy={"redact": False, "modes": {"EMAIL_ADDRESS": "drop"}})
    assert own.redact("Ask ann@example.com").text.strip() == "Ask"


def test_the_async_client_looks_alike(client):
    own = client().as_async()

    async def main():
        findings = await own.scan(TEXT)
        redacted = await own.redact(TEXT)
        return [each.type for each in findings], redacted.restore(redacted.text)

    assert asyncio.run(main()) == (["EMAIL_ADDRESS", "EMAIL_ADDRESS"], TEXT)
