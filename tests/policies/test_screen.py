"""The window over a stream: what it holds back, gives, replaces and ends, however the text is cut."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.errors import DLPViolation
from aistrale.policies.screen import HOLD, Judge, Screen, replaced
from aistrale.privacy import default_scanner
from aistrale.privacy.dlp import Rule, Where
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Finish,
    Message,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)

MAIL = "ann.smith@example.com"
WORDS = ["town", "the", "sea", "once", "a quiet", "\n", "time.", MAIL, "bob@example.org", "x" * 50]


class Told(list):
    """What was told, and whether it ends the reply."""

    def __call__(self, verdict):
        self.append(verdict)
        if verdict.blocking:
            raise DLPViolation("blocked", direction="in")


def screen(action="redact", spared=(), replacing=True, **fields):
    rule = Rule(**{"name": "mails", "types": {"EMAIL_ADDRESS"}, "direction": "in", "action": action, **fields})
    told = Told()
    judge = Judge(
        default_scanner(),
        [rule],
        Where(),
        judged=told,
        failed=lambda name: None,
        spared=lambda _, value: value in spared,
        replacing=replacing,
    )
    made = Screen(judge)
    return made, told


def fed(made, events):
    out = []
    for event in events:
        out += made.feed(event)
    return [*out, *made.finish()]


def cut(text, places):
    places = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[one:other] for one, other in pairwise(places)]


def said(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


TEXTS = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)
PLACES = st.lists(st.integers(0, 1500), max_size=60)


@settings(max_examples=40)
@given(TEXTS, PLACES)
def test_however_a_stream_is_cut_the_same_is_replaced(text, places):
    made, _ = screen()
    out = fed(made, [TextDelta(piece) for piece in cut(text, places)])
    expected = text.replace(MAIL, "[[EMAIL_ADDRESS]]").replace("bob@example.org", "[[EMAIL_ADDRESS]]")
    assert said(out) == expected


@settings(max_examples=40)
@given(st.text(max_size=900), PLACES)
def test_what_no_rule_speaks_of_comes_as_it_was(text, places):
    made, told = screen(types=set(), words=("no such word",))
    events = [TextDelta(piece) for piece in cut(text, places)]
    assert said(fed(made, events)) == text
    assert told == []


@settings(max_examples=40)
@given(TEXTS, PLACES)
def test_little_is_held_back_and_nothing_of_a_value_leaves_before_it_is_judged(text, places):
    made, _ = screen("block")
    given_, came = "", ""
    try:
        for piece in cut(text, places):
            came += piece
            given_ += said(made.feed(TextDelta(piece)))
            assert len(came) - len(given_) <= HOLD
        given_ += said(made.finish())
    except DLPViolation:
        assert "@" in text
    else:
        assert "@" not in text
    assert text.startswith(given_)
    # Not even the beginning of a value was given.
    first = text.find(MAIL) if MAIL in text else len(text)
    assert len(given_) <= first


def test_events_that_are_not_changed_stay_the_same_objects():
    made, _ = screen()
    events = [TextDelta("a quiet town ", wire=Wire("openai_chat", {"logprobs": [1]})) for _ in range(50)]
    out = fed(made, events)
    assert len(out) == 50
    assert all(one is other for one, other in zip(out, events, strict=True))


def test_log_probabilities_do_not_spell_what_was_replaced():
    made, _ = screen()
    wire = Wire("openai_chat", {"logprobs": {"content": [{"token": MAIL}]}})
    out = fed(made, [TextDelta(f"Ask {MAIL}", wire=wire), TextDelta(" now.", wire=wire)])
    assert said(out) == "Ask [[EMAIL_ADDRESS]] now."
    assert all(event.wire is None for event in out)


def test_nothing_overtakes_what_was_held():
    made, _ = screen()
    tool = BlockStart(1, ToolCallPart("c1", "mail"))
    end, finish, over = BlockEnd(1), Finish("tool_calls"), ReplyEnd()
    events = [
        BlockStart(0, TextPart("")), TextDelta("Short."), tool, ArgumentsDelta('{"to": "', 1),
        ArgumentsDelta(f'{MAIL}"}}', 1), end, finish, over,
    ]  # fmt: skip
    out = fed(made, events)
    assert [type(event) for event in out] == [
        BlockStart, TextDelta, BlockStart, ArgumentsDelta, BlockEnd, Finish, ReplyEnd,
    ]  # fmt: skip
    assert json.loads(out[3].arguments) == {"to": "[[EMAIL_ADDRESS]]"}


def test_what_is_no_text_passes_at_once():
    made, _ = screen()
    for event in (UsageUpdate(Usage(input=1)), Other("openai_chat", "ping")):
        assert list(made.feed(event)) == [event]


@pytest.mark.parametrize("event", [Finish("stop"), ReplyStart("id", "m"), ReplyEnd(), BlockEnd(0)], ids=repr)
def test_fields_that_the_hub_does_not_know_are_looked_at(event):
    tap = screen()[0]
    noted = replace(event, wire=Wire("openai_chat", {"record": MAIL, "signature": MAIL, "other": "kept"}))
    (given,) = tap.feed(noted)
    assert given.wire.fields == {"record": "[[EMAIL_ADDRESS]]", "signature": MAIL, "other": "kept"}
    plain = replace(event, wire=Wire("openai_chat", {"other": "kept"}))
    assert list(tap.feed(plain)) == [plain]


def test_thoughts_are_looked_at():
    made, _ = screen()
    out = fed(made, [ReasoningDelta(f"Ask {MAIL}")])
    assert [event.reasoning for event in out] == ["Ask [[EMAIL_ADDRESS]]"]


@pytest.mark.parametrize("part", [TextPart(MAIL), ReasoningPart(MAIL), ToolCallPart("c", "f", f'"{MAIL}"')])
def test_a_block_that_begins_with_its_text(part):
    made, _ = screen()
    completion = collect(fed(made, [BlockStart(0, part), BlockEnd(0)]))
    (got,) = completion.choices[0].message.parts
    assert (got.arguments if isinstance(got, ToolCallPart) else got.text).strip('"') == "[[EMAIL_ADDRESS]]"


def test_a_part_that_comes_whole():
    made, _ = screen()
    part = ProviderPart("openai_responses", {"type": "search", "results": [{"text": f"from {MAIL}"}]})
    (out,) = fed(made, [BlockStart(0, part)])
    assert out.part.data == {"type": "search", "results": [{"text": "from [[EMAIL_ADDRESS]]"}]}
    assert MAIL in str(part.data)


def test_several_choices_are_told_apart():
    made, _ = screen()
    events = [TextDelta("ann.smith@", choice=0), TextDelta("bob@", choice=1), TextDelta("example.com", choice=0)]
    out = fed(made, [*events, TextDelta("example.org", choice=1)])
    assert {event.choice: event.text for event in out} == {0: "[[EMAIL_ADDRESS]]", 1: "[[EMAIL_ADDRESS]]"}


def test_what_follows_a_value_that_is_longer_than_the_window_goes_with_it():
    token = "Nightjar" + "x" * 900
    made, _ = screen(types=set(), patterns=(r"Nightjar\w{0,950}",))
    pieces = [token[at : at + 30] for at in range(0, len(token), 30)]
    out = said(fed(made, [TextDelta(piece) for piece in ["See ", *pieces, " then."]]))
    assert out == "See [[MAILS]] then."


def test_a_whole_answer_is_changed_in_a_copy():
    made, told = screen()
    message = Message("assistant", [TextPart(f"Ask {MAIL}"), ToolResultPart("c", [TextPart(MAIL)])])
    clean = Choice(Message("assistant", [TextPart("Fine.")]), index=1, wire=Wire("openai_chat", {"logprobs": []}))
    completion = Completion(choices=[Choice(message, wire=Wire("openai_chat", {"logprobs": [MAIL]})), clean])
    (out,) = made.feed(Whole(completion))
    assert out.text.startswith("Ask [[EMAIL_ADDRESS]]")
    assert MAIL not in str(out.completion.choices[0])
    assert out.completion.choices[1] is clean
    assert MAIL in message.text
    assert [dict(hit.types) for verdict in told for hit in verdict.hits] == [{"EMAIL_ADDRESS": 1}]


def test_what_is_the_callers_own_passes():
    made, told = screen("block", spared={MAIL})
    assert said(fed(made, [TextDelta(f"Ask {MAIL}")])) == f"Ask {MAIL}"
    assert told == []


def test_where_nothing_is_replaced_it_is_told_all_the_same():
    made, told = screen("redact", replacing=False)
    assert said(fed(made, [TextDelta(f"Ask {MAIL}")])) == f"Ask {MAIL}"
    assert len(told) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"card": 4111111111111111}', '{"card": 0}'),
        ('{"card": "4111111111111111"}', '{"card": "[[CARD]]"}'),
        ("[1, 4111111111111111]", "[1, 0]"),
    ],
)
def test_a_number_in_json_stays_one(text, expected):
    start = text.index("4")
    changed = replaced(text, 0, len(text), [(start, start + 16, "[[CARD]]")], json=True)
    assert changed == expected
    json.loads(changed)


# --- a tap that ends a reply -------------------------------------------------------------------------------------


class Refusing:
    """A tap that refuses a word."""

    def feed(self, event):
        if event.text == "no":
            raise DLPViolation("refused", direction="in")
        return (event,)

    def finish(self):
        return ()


class Source:
    """Two batches, and how it was ended."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.closed = 0

    async def pull(self):
        return self.batches.pop(0) if self.batches else None

    async def close(self):
        self.closed += 1

    def abandon(self):
        self.closed += 1

    def broken(self, error, partial):
        return error


def test_a_tap_that_raises_ends_the_reply_once():
    source = Source([TextDelta("yes"), TextDelta("no"), TextDelta("more")])
    reply = Reply([TextDelta("first")], source)
    closes = []
    reply.on_close(lambda closed, error: closes.append((closed.outcome, type(error).__name__)))
    reply.tap(Refusing())
    assert run_sync(reply.next()).text == "first"
    with pytest.raises(DLPViolation):
        run_sync(reply.next())
    assert (closes, source.closed, reply.outcome) == ([("error", "DLPViolation")], 1, "error")
    assert run_sync(reply.next()) is None
    run_sync(reply.close())
    assert len(closes) == 1
