"""The tap: every text of an answer is restored, whatever way it comes, and what is not ours to change stays."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.accumulate import collect
from aistrale.privacy.restore import Restorer
from aistrale.privacy.tap import RestoreTap, begins_as_json
from aistrale.privacy.vault import Vault
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    ErrorInfo,
    Event,
    Finish,
    MediaPart,
    Message,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    StreamError,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    UsageUpdate,
    Whole,
    Wire,
)
from tests.privacy.rough import nasty


def make() -> Restorer:
    vault = Vault()
    vault.placeholder("EMAIL_ADDRESS", "jo@example.com")
    vault.placeholder("PERSON", 'Ann "Andy" Lee')
    vault.placeholder("US_SSN", "219099998", number=True)
    return Restorer(vault)


def through(events: list[Event], *, structured: bool = False, restorer: Restorer | None = None) -> list[Event]:
    tap = RestoreTap(restorer or make(), structured=structured)
    out = [after for event in events for after in tap.feed(event)]
    return [*out, *tap.finish()]


def deltas(text: str, size: int = 1, kind=TextDelta, block: int = 0, choice: int = 0) -> list[Event]:
    return [kind(text[at : at + size], block, choice) for at in range(0, len(text), size)]


def streamed(text: str, size: int, part, kind) -> list[Event]:
    return [
        ReplyStart("r1"),
        BlockStart(0, part),
        *deltas(text, size, kind),
        BlockEnd(0),
        Finish("stop"),
        UsageUpdate(Usage(input=1)),
        ReplyEnd(),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("part", "kind", "text", "restored"),
    [
        (TextPart(""), TextDelta, "Mail [[EMAIL_1]] or [[PERSON_1]]", 'Mail jo@example.com or Ann "Andy" Lee'),
        (RefusalPart(""), TextDelta, "I will not mail [[EMAIL_1]]", "I will not mail jo@example.com"),
        (ReasoningPart(), ReasoningDelta, "so [[PERSON_1]]", 'so Ann "Andy" Lee'),
        (
            ToolCallPart("c1", "mail"),
            ArgumentsDelta,
            '{"to":"[[EMAIL_1]]","name":"[[PERSON_1]]","ssn":"[[SSN_1]]"}',
            '{"to":"jo@example.com","name":"Ann \\"Andy\\" Lee","ssn":219099998}',
        ),
    ],
)
def test_streams_are_restored_piece_by_piece(size: int, part, kind, text: str, restored: str) -> None:
    events = streamed(text, size, part, kind)
    before = deepcopy(events)
    out = through(events)
    assert events == before
    built = collect(out).message.parts[0]
    assert (built.arguments if isinstance(built, ToolCallPart) else built.text) == restored
    # All of it before the block ends, and the order of everything else as it was.
    assert [type(event) for event in out if type(event) is not kind] == [
        type(event) for event in events if type(event) is not kind
    ]
    assert type(out[1]) is BlockStart
    assert max(place for place, event in enumerate(out) if type(event) is kind) < next(
        place for place, event in enumerate(out) if type(event) is BlockEnd
    )


def test_what_says_nothing_of_ours_is_the_same_event() -> None:
    tap = RestoreTap(make())
    for event in (
        ReplyStart("r1"), BlockStart(0, TextPart("")), TextDelta("plain"), BlockEnd(0), UsageUpdate(Usage()), ReplyEnd(),
    ):  # fmt: skip
        (after,) = tap.feed(event)
        assert after is event


def test_what_is_held_back_comes_before_the_end_of_its_block() -> None:
    for end in (BlockEnd(0), Finish("length"), ReplyEnd(), StreamError(ErrorInfo(500))):
        out = through([BlockStart(0, TextPart("")), TextDelta("so [[EMAIL_"), end])
        assert "".join(event.text for event in out if isinstance(event, TextDelta)) == "so [[EMAIL_"
        assert out[-1] == end
    assert through([TextDelta("so [[EMAIL_")])[-1] == TextDelta("[[EMAIL_")


def test_parallel_calls_and_choices_have_nothing_in_common() -> None:
    """Pieces of two calls come in turns; the beginning of one is never joined with the end of another."""
    first, second = '{"to":"[[EMAIL_1]]"}', '{"who":"[[PERSON_1]]"}'
    events: list[Event] = [
        BlockStart(0, ToolCallPart("a", "x")),
        BlockStart(1, ToolCallPart("b", "y")),
        BlockStart(0, TextPart(""), 1),
    ]
    for place in range(max(len(first), len(second))):
        events += [ArgumentsDelta(first[place : place + 1], 0), ArgumentsDelta(second[place : place + 1], 1)]
        events.append(TextDelta("[[EMAIL_1]]"[place : place + 1], 0, 1))
    events += [BlockEnd(1), BlockEnd(0), BlockEnd(0, 1), Finish("tool_calls"), Finish("stop", 1), ReplyEnd()]
    completion = collect(through(events))
    assert [call.input for call in completion.tool_calls] == [{"to": "jo@example.com"}, {"who": 'Ann "Andy" Lee'}]
    assert completion.choices[1].message.text == "jo@example.com"


def test_text_that_a_block_begins_with_is_the_beginning_of_its_text() -> None:
    out = through([BlockStart(0, TextPart("to [[EMA")), TextDelta("IL_1]] now"), BlockEnd(0)])
    assert collect(out).text == "to jo@example.com now"
    out = through([BlockStart(0, ToolCallPart("a", "x", '{"a":"[[EMAIL_1]]"}')), BlockEnd(0)])
    assert collect(out).tool_calls[0].input == {"a": "jo@example.com"}


# --- JSON answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    "text", ['{"name": "[[PERSON_1]]"}', ' [ {"name":"[[PERSON_1]]"}]', '["[[PERSON_1]]"]', '{\n "[[PERSON_1]]": 1}']
)
def test_an_answer_that_is_json_stays_json(text: str, size: int) -> None:
    name = 'Ann "Andy" Lee'
    expected = json.loads(text.replace("[[PERSON_1]]", 'Ann \\"Andy\\" Lee'))
    assert json.loads(collect(through(streamed(text, size, TextPart(""), TextDelta))).text) == expected
    (whole,) = through([Whole(Completion(choices=[Choice(Message.assistant(text))]))])
    assert json.loads(whole.text) == expected
    assert name in json.dumps(expected, ensure_ascii=False).replace('\\"', '"')


def test_an_answer_that_was_asked_for_as_json_is_json() -> None:
    text = '"[[PERSON_1]]"'
    assert collect(through(streamed(text, 3, TextPart(""), TextDelta), structured=True)).text == '"Ann \\"Andy\\" Lee"'
    assert collect(through(streamed(text, 3, TextPart(""), TextDelta))).text == '"Ann "Andy" Lee"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None), ("  ", None), ("{", None), ("[ ", None), ('{"', True), ('[ "', True), ("[{", True), ("[[EMAIL_1]]", False),
        ("{x", False), ("{{", False), ("Hi", False), ("[1]", False), (" " * 100, False),
    ],
)  # fmt: skip
def test_tells_json_by_how_it_begins(text: str, expected: bool | None) -> None:
    assert begins_as_json(text) is expected


def test_a_text_that_is_nothing_but_an_open_bracket_is_not_lost() -> None:
    assert collect(through([BlockStart(0, TextPart("")), TextDelta("["), BlockEnd(0), ReplyEnd()])).text == "["


# --- whole answers ---------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_restored_in_a_copy() -> None:
    parts = [
        TextPart(
            "Mail [[EMAIL_1]]",
            wire=Wire("d", {"citations": [{"cited_text": "[[PERSON_1]]", "encrypted_index": "[[EMAIL_1]]"}]}),
        ),
        RefusalPart("no [[EMAIL_1]]"),
        ReasoningPart("so [[EMAIL_1]]", wire=Wire("d", {"signature": "[[EMAIL_1]]", "summary": ["[[EMAIL_1]]"]})),
        ToolCallPart("[[EMAIL_1]]", "[[EMAIL_1]]", '{"a":"[[PERSON_1]]"}'),
        ToolResultPart("c", [TextPart("[[EMAIL_1]]")]),
        ProviderPart("d", {"id": "[[EMAIL_1]]", "input": {"arguments": '{"a":"[[PERSON_1]]"}', "n": "[[SSN_1]]"}}),
        MediaPart("document", data="[[EMAIL_1]]", filename="[[EMAIL_1]].pdf"),
    ]
    completion = Completion(
        id="r1",
        choices=[Choice(Message("assistant", parts), "stop", stop_sequence="[[EMAIL_1]]")],
        output={"a": ["[[SSN_1]]"]},
        raw={"x": "[[EMAIL_1]]"},
    )
    before = deepcopy(completion)
    (event,) = through([Whole(completion)])
    assert completion == before
    assert isinstance(event, Whole)
    after = event.completion
    text, refusal, reasoning, call, result, provider, media = after.message.parts
    name = 'Ann "Andy" Lee'
    assert (text.text, refusal.text, reasoning.text) == (
        "Mail jo@example.com",
        "no jo@example.com",
        "so jo@example.com",
    )
    assert text.wire.fields == {"citations": [{"cited_text": name, "encrypted_index": "[[EMAIL_1]]"}]}
    assert reasoning.wire.fields == {"signature": "[[EMAIL_1]]", "summary": ["jo@example.com"]}
    assert (call.id, call.name, call.input) == ("[[EMAIL_1]]", "[[EMAIL_1]]", {"a": name})
    assert result.content == [TextPart("jo@example.com")]
    assert provider.data == {"id": "[[EMAIL_1]]", "input": {"arguments": '{"a":"Ann \\"Andy\\" Lee"}', "n": 219099998}}
    assert (media.data, media.filename) == ("[[EMAIL_1]]", "jo@example.com.pdf")
    assert after.choices[0].stop_sequence == "jo@example.com"
    assert after.output == {"a": [219099998]}
    # The policy restores it, which knows the format.
    assert after.raw == {"x": "[[EMAIL_1]]"}
    assert (after.id, after.finish_reason) == ("r1", "stop")


def test_what_comes_at_the_end_of_a_block_is_restored_but_for_signatures() -> None:
    (end,) = through(
        [BlockEnd(0, wire=Wire("d", {"signature": "[[EMAIL_1]]", "citations": [{"title": "[[EMAIL_1]]"}]}))]
    )
    assert end.wire.fields == {"signature": "[[EMAIL_1]]", "citations": [{"title": "jo@example.com"}]}


def test_tools_of_the_provider_are_restored_across_their_pieces() -> None:
    def other(name: str, **data) -> Other:
        return Other("openai_responses", f"response.{name}", {"type": f"response.{name}", "item_id": "i1", **data})

    out = through(
        [
            other("mcp_call_arguments.delta", delta='{"a":"[[PER'),
            other("mcp_call_arguments.delta", delta='SON_1]]"}'),
            other("mcp_call_arguments.done", arguments='{"a":"[[PERSON_1]]"}'),
            other("code.delta", delta="x = [[EMAIL_"),
            other("code.delta", delta="1]] ["),
            other("code.done", code="x = [[EMAIL_1]] ["),
        ]
    )
    shown = [event.data.get("delta", event.data.get("arguments", event.data.get("code"))) for event in out]
    call = '{"a":"Ann \\"Andy\\" Lee"}'
    assert "".join(shown[:-1]).replace(call, "", 1).startswith(call)
    assert shown[-1] == "x = jo@example.com ["
    code = [event.data["delta"] for event in out if event.name == "response.code.delta"]
    assert "".join(code) == "x = jo@example.com ["


@given(
    nasty,
    st.integers(1, 9),
    st.sampled_from(
        [(TextPart(""), TextDelta), (ReasoningPart(), ReasoningDelta), (ToolCallPart("c", "x"), ArgumentsDelta)]
    ),
)
def test_a_stream_says_what_the_whole_answer_says(text: str, size: int, of) -> None:
    part, kind = of
    plain = collect(streamed(text, size, part, kind))
    (whole,) = through([Whole(plain)])
    assert collect(through(streamed(text, size, part, kind))).message.parts == whole.completion.message.parts
