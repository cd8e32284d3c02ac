"""What sinks get of what was said: nothing of it that is personal, wherever it stands, and never more than a bound."""

from __future__ import annotations

import json

import pytest

import aistrale
from aistrale.integrations.content import copied, cut
from aistrale.integrations.reports import Reports
from aistrale.telemetry.content import MOST_TEXT, MOST_TOTAL

MAIL = "ada@example.org"
CARD = 4111111111111111


@pytest.fixture
def tell():
    events = []
    with aistrale.Client(providers={"openai": {"api_key": "x"}}, ledger="off") as client:
        reports = Reports("langchain", client=client, emit=events.append, capture=True)

        def told(**said):
            run = reports.begin("a", "llm", "Model")
            for name, value in said.items():
                setattr(run, name, value)
            reports.end("a")
            return events[-1].content

        yield told


def message(content, **more):
    return {"role": "user", "parts": [{"type": "text", "content": content}], **more}


@pytest.mark.parametrize(
    "said",
    [
        MAIL,
        {MAIL: 1},
        {"name": MAIL},
        {"id": MAIL},
        {"type": MAIL},
        [[MAIL]],
        CARD,
        {"card": [CARD]},
        {"parts": [{"name": MAIL}]},
        "x" * (MOST_TEXT - 5) + " " + MAIL,
        {"deep": "x" * (MOST_TEXT - 5) + " " + MAIL},
    ],
)
def test_nothing_personal_is_left_wherever_it_stands(tell, said):
    for value in (copied(said), cut(said) if isinstance(said, str) else copied([said])):
        content = tell(
            input=[message(value)], output=[message(value)], tools=[{"type": "function", "parameters": value}]
        )
        written = json.dumps([content.input, content.output, content.tools])
        for part in (MAIL, "ada@", str(CARD)):
            assert part not in written


def test_names_of_messages_are_somebodys_and_those_of_tools_are_not(tell):
    call = {"type": "tool_call", "id": "call_1", "name": "send_mail", "arguments": {"to": MAIL}}
    content = tell(input=[{"role": "assistant", "name": MAIL, "parts": [call]}])
    (shown,) = content.input
    assert shown == {
        "role": "assistant",
        "name": "[[EMAIL_1]]",
        "parts": [{**call, "arguments": {"to": "[[EMAIL_1]]"}}],
    }


def test_a_long_conversation_has_a_bound_and_the_answer_goes_first(tell):
    """Redaction is done in the application's thread: a history of hundreds of documents must not stop it."""
    content = tell(input=[message("word " * 10_000) for _ in range(200)], output=[message("the answer")])
    assert content.output[0]["parts"][0]["content"] == "the answer"
    assert len(json.dumps(content.input)) < MOST_TOTAL + 200 * 200


def test_what_is_copied_has_a_bound():
    huge = {str(number): ["x" * 100_000] * 1000 for number in range(1000)}
    assert len(json.dumps(copied(huge))) < 300_000


def test_secrets_and_hidden_fields_of_models_are_not_copied():
    pydantic = pytest.importorskip("pydantic")

    class Settings(pydantic.BaseModel):
        name: str = "n"
        key: pydantic.SecretStr = pydantic.SecretStr("sk-canary")
        token: str = pydantic.Field("canary", repr=False)

    assert "canary" not in json.dumps(copied({"settings": Settings(), "kind": Settings}))
