"""Rules about data under the official SDKs: what they get, and what they do not."""

from __future__ import annotations

import pytest

import aistrale
from aistrale.testing import Say
from tests.dropin.asking import MODELS

MAIL = "ann.smith@example.com"
LONG = "Once upon a time there was a quiet town by the sea. " * 12
OUT = {"name": "mails", "types": ["EMAIL_ADDRESS"], "action": "block"}
IN = {"name": "foreign mails", "types": ["EMAIL_ADDRESS"], "direction": "in", "action": "block"}
MASK = {**IN, "action": "redact"}

SDKS = ["openai", "anthropic", "groq"]


@pytest.fixture
def guarded(sim):
    """Starts the process-wide client with these rules."""

    def start(*rules, **privacy):
        aistrale.init(**{**sim.settings(), "retry": False}, privacy={"redact": False, "rules": rules, **privacy})

    yield start
    aistrale.shutdown()


class Caller:
    """One SDK, its errors, and its words for a question."""

    def __init__(self, provider, sim):
        self.sdk = pytest.importorskip(provider)
        kind = {"openai": "OpenAI", "anthropic": "Anthropic", "groq": "Groq"}[provider]
        self.client = getattr(self.sdk, kind)(base_url=sim.base_url(provider), api_key="k", max_retries=0)
        self.anthropic = provider == "anthropic"
        self.asked = {"model": MODELS[provider]} | ({"max_tokens": 500} if self.anthropic else {})

    def ask(self, text):
        messages = [{"role": "user", "content": text}]
        if self.anthropic:
            return self.client.messages.create(messages=messages, **self.asked).content[0].text
        return self.client.chat.completions.create(messages=messages, **self.asked).choices[0].message.content

    def stream(self, text):
        """The text as it came, and the error."""
        messages = [{"role": "user", "content": text}]
        got, error = [], None
        create = self.client.messages.create if self.anthropic else self.client.chat.completions.create
        try:
            with create(messages=messages, stream=True, **self.asked) as stream:
                for event in stream:
                    if not self.anthropic:
                        got += [choice.delta.content or "" for choice in event.choices]
                    elif event.type == "content_block_delta":
                        got.append(event.delta.text)
        except self.sdk.APIError as raised:
            error = raised
        return "".join(got), error


@pytest.fixture(params=SDKS)
def caller(request, sim):
    return Caller(request.param, sim)


def test_a_blocked_request_is_an_error_of_the_sdk_and_is_not_sent(guarded, caller, sim):
    guarded(OUT)
    with pytest.raises(caller.sdk.APIStatusError) as caught:
        caller.ask(f"Write to {MAIL}.")
    assert "mails" in str(caught.value)
    assert "ann.smith" not in str(caught.value)
    assert sim.requests == []
    assert caller.stream(f"Write to {MAIL}.")[1] is not None
    assert sim.requests == []
    assert "Hello" in caller.ask("Hello")


def test_an_answer_can_be_blocked(guarded, caller, sim):
    guarded(IN)
    sim.script(Say(text=f"Ask {MAIL}."), Say(text=f"{LONG}{MAIL} {LONG}"))
    with pytest.raises(caller.sdk.APIError) as caught:
        caller.ask("Hi")
    assert "ann.smith" not in str(caught.value)
    text, error = caller.stream("Hi")
    assert error is not None
    assert LONG.startswith(text.rstrip())


def test_an_answer_can_be_masked(guarded, caller, sim):
    guarded(MASK)
    said = f"Well. {LONG}Ask {MAIL} now. {LONG}"
    sim.script(Say(text=said), Say(text=said))
    masked = said.replace(MAIL, "[[EMAIL_ADDRESS]]")
    assert caller.ask("Hi") == masked
    assert caller.stream("Hi") == (masked, None)
