"""The guard in a whole client: what is sent, what is delivered, what errors, events and the ledger say."""

from __future__ import annotations

import asyncio
import logging

import pytest

import aistrale
from aistrale.core.pipeline import Pipeline
from aistrale.core.send import send
from aistrale.errors import DLPViolation, RedactionError
from aistrale.policies.guard import Guard
from aistrale.policies.report import Report
from aistrale.privacy import default_scanner
from aistrale.privacy.dlp import Rule
from aistrale.privacy.settings import PrivacySettings
from aistrale.testing import Say, simulator
from aistrale.types import MediaPart, Message, TextPart

MODEL = "openai/gpt-5-mini"
MAIL = "ann.smith@example.com"
MAILS = Rule(name="mails", types={"EMAIL_ADDRESS"}, action="block")


def rule(action, **fields):
    return Rule(**{"name": "mails", "types": {"EMAIL_ADDRESS"}, "action": action, **fields})


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


class Guarded:
    """A client whose pipeline has a guard with these settings, its events, and what it sent."""

    def __init__(self, sim, *, scanner=None, **settings):
        self.sim = sim
        self.events = []
        self.client = aistrale.Client(**{**sim.settings(), "retry": False})
        own = PrivacySettings(redact=False, **settings)
        guard = Guard(own, scanner or default_scanner(), Report(self.events.append, dry_run=own.dry_run))
        engine = self.client._engine
        places = [(name, {"guard": guard}.get(name, policy)) for name, policy in engine.pipeline.places]
        engine.pipeline = Pipeline(places, send)

    def rows(self):
        assert self.client.flush()
        return list(reversed(self.client.ledger.calls(20)))


@pytest.fixture
def guarded(running):
    running.reset()
    made = []

    def make(*rules, **settings):
        made.append(Guarded(running, rules=rules, **settings))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


# --- what is sent ------------------------------------------------------------------------------------------------


def test_a_blocked_request_is_not_sent_and_nobody_is_told_the_value(guarded, running, caplog):
    own = guarded(MAILS)
    with caplog.at_level(logging.DEBUG), pytest.raises(DLPViolation) as caught:
        own.client.run(f"Write to {MAIL}.", model=MODEL)
    error = caught.value
    assert running.requests == []
    assert (error.rule, error.direction, error.types) == ("mails", "out", {"EMAIL_ADDRESS": 1})
    assert (error.provider, error.target, error.exit_code) == ("openai", MODEL, 8)
    (event,) = own.events
    assert (event.rule, event.action, event.direction, event.types) == ("mails", "block", "out", {"EMAIL_ADDRESS": 1})
    assert (event.provider, event.target, event.dry_run) == ("openai", MODEL, False)
    (row,) = own.rows()
    assert (row.call_id, row.outcome, row.error, row.attempts) == (event.call_id, "error", "DLPViolation", 0)
    assert row.privacy == {"out.block.EMAIL_ADDRESS": 1}
    told = f"{error} {error!r} {event} {caplog.text}"
    assert "ann.smith" not in told
    assert [record.levelname for record in caplog.records if record.name == "aistrale.privacy"] == ["WARNING"]


def test_what_no_rule_speaks_of_passes_without_a_trace(guarded, running):
    own = guarded(MAILS)
    assert "Hello" in own.client.run("Hello", model=MODEL).text
    assert (own.events, own.rows()[0].privacy) == ([], {})


def test_a_warning_is_an_event_and_the_request_is_sent(guarded, running, caplog):
    own = guarded(rule("warn"))
    with caplog.at_level(logging.INFO):
        own.client.run(f"Write to {MAIL}.", model=MODEL)
    assert MAIL in str(running.last.body)
    assert [event.action for event in own.events] == ["warn"]
    assert own.rows()[0].privacy == {"out.warn.EMAIL_ADDRESS": 1}


def test_a_dry_run_reports_what_would_be_done(guarded, running):
    own = guarded(MAILS, dry_run=True)
    own.client.run(f"Write to {MAIL}.", model=MODEL)
    assert MAIL in str(running.last.body)
    (event,) = own.events
    assert (event.action, event.dry_run) == ("block", True)
    assert own.rows()[0].privacy == {"dry.out.block.EMAIL_ADDRESS": 1}


def test_every_place_of_a_request_is_looked_at(guarded, running):
    own = guarded(MAILS)
    tool = aistrale.Tool("send", f"Sends to {MAIL}.", {"type": "object", "properties": {}})
    for prompt, options in (
        ([{"role": "system", "content": f"You are {MAIL}"}, {"role": "user", "content": "Hi"}], {}),
        ("Hi", {"tools": [tool]}),
        (
            [
                Message(
                    "user",
                    [
                        TextPart("Hi"),
                        MediaPart("document", data="YQ==", media_type="application/pdf", filename=f"{MAIL}.pdf"),
                    ],
                )
            ],
            {},
        ),
        ("Hi", {"extra": {"metadata": {"who": MAIL}}}),
    ):
        with pytest.raises(DLPViolation):
            own.client.run(prompt, model=MODEL, **options)
    with pytest.raises(DLPViolation):
        own.client.embed(["Hi", MAIL], model="openai/text-embedding-3-small")
    assert running.requests == []


def test_a_rule_speaks_of_its_own_calls_only(guarded, running):
    own = guarded(rule("block", project="sales-*"), rule("block", name="users", user="ann"))
    own.client.run(MAIL, model=MODEL)
    with aistrale.context(project="legal"):
        own.client.run(MAIL, model=MODEL)
    with aistrale.context(project="sales-eu"), pytest.raises(DLPViolation):
        own.client.run(MAIL, model=MODEL)
    with pytest.raises(DLPViolation):
        own.client.run(MAIL, model=MODEL, user="ann")
    assert len(running.requests) == 2


def test_a_route_can_have_rules_of_its_own(running):
    running.reset()
    own = Guarded(running, rules=(rule("block", route="abroad"),))
    own.client.close()
    client = aistrale.Client(**{**running.settings(), "routes": {"abroad": [MODEL], "home": [MODEL]}})
    client._engine.pipeline = own.client._engine.pipeline
    client.run(MAIL, route="home")
    with pytest.raises(DLPViolation):
        client.run(MAIL, route="abroad")
    client.close()


def test_a_card_that_is_split_over_two_messages_is_found(guarded, running):
    own = guarded(Rule(name="cards", types={"CREDIT_CARD"}, action="redact"))
    with pytest.raises(DLPViolation) as caught:
        own.client.run(
            [
                {"role": "user", "content": "My card is 4111 1111"},
                {"role": "assistant", "content": "Go on."},
                {"role": "user", "content": "1111 1111, thanks"},
            ],
            model=MODEL,
        )
    # It cannot be replaced where it stands.
    assert caught.value.types == {"CREDIT_CARD": 1}
    assert running.requests == []


@pytest.mark.parametrize(("wanted", "sent"), [("allow", True), ("warn", True), ("block", False)])
def test_what_nobody_can_look_into_is_told_or_blocked(guarded, running, wanted, sent):
    own = guarded(media=wanted)
    prompt = [
        Message("user", [TextPart("What is it?"), MediaPart("image", data="iVBORw0KGgo=", media_type="image/png")])
    ]
    if sent:
        own.client.run(prompt, model=MODEL)
    else:
        with pytest.raises(DLPViolation, match="media"):
            own.client.run(prompt, model=MODEL)
    assert len(running.requests) == sent
    assert [(event.rule, event.action, event.types) for event in own.events] == (
        [] if wanted == "allow" else [("media", wanted, {"IMAGE": 1})]
    )


class Broken:
    """A scanner that fails and quotes what it failed at."""

    recognizers = ()

    def scan(self, text):
        raise RuntimeError(text)


def test_a_scanner_that_fails_blocks_unless_told_otherwise(guarded, running, caplog):
    own = guarded(MAILS, scanner=Broken())
    with pytest.raises(RedactionError) as caught:
        own.client.run(MAIL, model=MODEL)
    assert running.requests == []
    assert MAIL not in f"{caught.value!r}"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert own.rows()[0].error == "RedactionError"
    lenient = guarded(MAILS, scanner=Broken(), on_error="allow")
    with caplog.at_level(logging.WARNING):
        lenient.client.run(MAIL, model=MODEL)
    assert len(running.requests) == 1
    assert "RuntimeError" in caplog.text
    assert MAIL not in caplog.text


def test_a_listener_that_fails_breaks_nothing(guarded, running):
    own = guarded(rule("warn"))

    def listen(event):
        raise RuntimeError("listener")

    guard = next(policy for policy in own.client._engine.pipeline.policies if isinstance(policy, Guard))
    guard._report = Report(listen)
    assert own.client.run(MAIL, model=MODEL).text


def test_redaction_is_told_which_types_go(guarded, running):
    seen = {}
    own = guarded(
        rule("redact"),
        Rule(name="names", words=("Nightjar",), action="redact"),
        Rule(name="kept", types={"URL"}, action="allow"),
    )

    async def spy(call, call_next):
        seen.update(call.redact_types)
        return await call_next(call)

    engine = own.client._engine
    engine.pipeline = Pipeline(
        [(name, spy if name == "redact" else each) for name, each in engine.pipeline.places], send
    )
    own.client.run(f"Ask {MAIL} about Nightjar", model=MODEL)
    assert seen == {"EMAIL_ADDRESS": "placeholder", "NAMES": "placeholder"}


# --- what is answered --------------------------------------------------------------------------------------------

LONG = "Once upon a time there was a quiet town by the sea. " * 12


def streamed(own, prompt="Hi"):
    """The text as it was delivered, and the error that ended it."""
    got = []
    try:
        with own.client.stream(prompt, model=MODEL) as stream:
            got += stream.texts()
    except aistrale.AistraleError as error:
        return "".join(got), error
    return "".join(got), None


def test_an_answer_can_be_blocked(guarded, running):
    own = guarded(rule("block", direction="in"))
    running.script(Say(text=f"Ask {MAIL}."))
    with pytest.raises(DLPViolation) as caught:
        own.client.run("Hi", model=MODEL)
    assert (caught.value.direction, caught.value.types) == ("in", {"EMAIL_ADDRESS": 1})
    assert "ann" not in str(caught.value)
    (row,) = own.rows()
    assert (row.outcome, row.error, row.attempts) == ("error", "DLPViolation", 1)
    assert row.privacy == {"in.block.EMAIL_ADDRESS": 1}
    (attempt,) = own.client.ledger.attempts(row.call_id)
    assert (attempt.outcome, attempt.error, attempt.usage_source) == ("error", "DLPViolation", "reported")


@pytest.mark.parametrize("before", [0, 1, 40, 190, 193, 255, 256, 257, 600])
def test_a_stream_is_ended_before_the_value_is_delivered(guarded, running, before):
    own = guarded(rule("block", direction="in"))
    running.script(Say(text=f"{LONG[:before]} {MAIL} {LONG}"))
    text, error = streamed(own)
    assert isinstance(error, DLPViolation)
    assert LONG.startswith(text.rstrip())
    (row,) = own.rows()
    assert (row.outcome, row.error) == ("error", "DLPViolation")
    assert row.privacy == {"in.block.EMAIL_ADDRESS": 1}
    (attempt,) = own.client.ledger.attempts(row.call_id)
    assert (attempt.outcome, attempt.error) == ("error", "DLPViolation")
    assert own.client.breakers()[MODEL].state == "closed"
    assert [event.direction for event in own.events] == ["in"]


@pytest.mark.parametrize("before", [0, 60, 190, 193, 250, 256, 600])
def test_a_value_in_an_answer_can_be_masked(guarded, running, before):
    own = guarded(rule("redact", direction="both"))
    said = f"Well. {LONG[:before]} Ask {MAIL} or bob@example.org, then {MAIL}. {LONG}"
    masked = said.replace(MAIL, "[[EMAIL_ADDRESS]]").replace("bob@example.org", "[[EMAIL_ADDRESS]]")
    running.script(Say(text=said), Say(text=said))
    answer = own.client.run("Hi", model=MODEL)
    assert answer.text == masked
    assert "example" not in str(answer.raw)
    assert streamed(own) == (masked, None)
    assert [row.privacy for row in own.rows()] == [{"in.redact.EMAIL_ADDRESS": 2}] * 2


def test_what_is_clean_is_delivered_as_it_came(guarded, running):
    own = guarded(rule("redact", direction="in"))
    running.script(Say(text=LONG), Say(text="Short."), Say(text="Short."))
    assert streamed(own) == (LONG, None)
    assert streamed(own) == ("Short.", None)
    assert own.client.run("Hi", model=MODEL).text == "Short."
    assert own.events == []


def test_the_arguments_of_a_tool_are_looked_at(guarded, running):
    own = guarded(rule("redact", direction="in"))
    tool = aistrale.Tool("mail", "Mails.", {"type": "object", "properties": {"to": {"type": "string"}}})
    call = Say(tool_calls=[("mail", {"to": MAIL, "n": 5})])
    running.script(call, call)
    answer = own.client.run("Mail", model=MODEL, tools=[tool])
    assert [each.input for each in answer.tool_calls] == [{"to": "[[EMAIL_ADDRESS]]", "n": 5}]
    with own.client.stream("Mail", model=MODEL, tools=[tool]) as stream:
        completion = stream.result()
    assert [each.input for each in completion.tool_calls] == [{"to": "[[EMAIL_ADDRESS]]", "n": 5}]


def test_an_answer_that_cannot_be_looked_at_is_not_delivered(guarded, running):
    own = guarded(rule("block", direction="in"), scanner=Broken())
    running.script(Say(text="Fine."), Say(text=LONG))
    with pytest.raises(DLPViolation, match="RuntimeError"):
        own.client.run("Hi", model=MODEL)
    text, error = streamed(own)
    assert (text, type(error)) == ("", DLPViolation)
    assert [row.error for row in own.rows()] == ["DLPViolation"] * 2
    lenient = guarded(rule("block", direction="in"), scanner=Broken(), on_error="allow")
    running.script(Say(text="Fine."), Say(text=LONG))
    assert lenient.client.run("Hi", model=MODEL).text == "Fine."
    assert streamed(lenient) == (LONG, None)


def test_a_traceback_does_not_show_the_answer(guarded, running):
    own = guarded(rule("block", direction="in"))
    running.script(Say(text=f"Ask {MAIL}."), Say(text=f"{LONG}{MAIL} {LONG}"))
    for ask in (lambda: own.client.run("Hi", model=MODEL), lambda: own.client.stream("Hi", model=MODEL).result()):
        with pytest.raises(DLPViolation) as caught:
            ask()
        trace, shown = caught.value.__traceback__, []
        assert caught.value.__context__ is None
        while trace is not None:
            if "aistrale/policies" in trace.tb_frame.f_code.co_filename:
                shown += [repr(value) for value in trace.tb_frame.f_locals.values()]
            trace = trace.tb_next
        assert "ann.smith" not in "".join(shown)


def test_a_threshold_counts_over_the_whole_answer(guarded, running):
    own = guarded(rule("block", direction="in", at_least=3))
    some = f"a@example.com {LONG} b@example.com {LONG} a@example.com {LONG}"
    running.script(Say(text=some), Say(text=f"{some} c@example.com {LONG}"))
    assert streamed(own) == (some, None)
    text, error = streamed(own)
    assert isinstance(error, DLPViolation)
    assert "c@" not in text


def test_the_async_client_is_guarded_alike(guarded, running):
    own = guarded(rule("block", direction="both"))
    running.script(Say(text="Fine."), Say(text=f"Ask {MAIL}"), Say(text=f"{LONG}{MAIL}"))

    async def main():
        client = own.client.as_async()
        with pytest.raises(DLPViolation):
            await client.run(MAIL + LONG * 80, model=MODEL)
        assert (await client.run("Hi", model=MODEL)).text == "Fine."
        with pytest.raises(DLPViolation):
            await client.run("Hi", model=MODEL)
        with pytest.raises(DLPViolation):
            await client.stream("Hi", model=MODEL).result()
        await client.close()

    asyncio.run(main())
    assert [(row.outcome, row.error) for row in own.rows()] == [
        ("error", "DLPViolation"),
        ("success", None),
        ("error", "DLPViolation"),
        ("error", "DLPViolation"),
    ]
    assert own.client.ledger.open_intents() == []
