"""What was said, in the schema of the GenAI conventions: every kind of part, redacted, bounded, and never an error."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aistrale
from aistrale.core.call import Context
from aistrale.telemetry import MemorySink
from aistrale.telemetry import content as module
from aistrale.telemetry.content import MOST_TEXT, MOST_TOTAL, Capture
from aistrale.testing import simulator
from aistrale.testing.faults import Fault, Say
from aistrale.types import (
    Choice,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

# Per type of part: what must be there, and what may be.
PARTS = {
    "text": ({"content"}, set()),
    "reasoning": ({"content"}, set()),
    "tool_call": ({"name"}, {"id", "arguments"}),
    "tool_call_response": ({"response"}, {"id"}),
    "server_tool_call": ({"name", "server_tool_call"}, {"id"}),
    "server_tool_call_response": ({"server_tool_call_response"}, {"id"}),
    "blob": ({"modality", "content"}, {"mime_type"}),
    "file": ({"modality", "file_id"}, {"mime_type"}),
    "uri": ({"modality", "uri"}, {"mime_type"}),
    "compaction": (set(), {"id", "content"}),
}


def check(content):
    """It is valid by the schema, and JSON."""
    for message in (*content.input, *content.output):
        assert set(message) <= {"role", "parts", "name", "finish_reason"}
        assert isinstance(message["role"], str)
        for part in message["parts"]:
            check_part(part)
    for message in content.output:
        assert message["finish_reason"]
    for part in content.system:
        check_part(part)
    for tool in content.tools:
        assert {"type", "name"} <= set(tool) <= {"type", "name", "description", "parameters"}
    assert json.loads(json.dumps([*content.system, *content.input, *content.output, *content.tools], allow_nan=False))


def check_part(part):
    required, optional = PARTS[part["type"]]
    assert required <= set(part) - {"type"} <= required | optional
    if part["type"] == "tool_call_response" and isinstance(part["response"], list):
        for inner in part["response"]:
            check_part(inner)


def shown(*parts, redact=None, role="user", dialect="openai_chat"):
    capture = Capture(always=True, redact=redact)
    content = capture.content(Request(model="m", messages=[Message(role, list(parts))]), dialect, [])
    check(content)
    return list(content.input[0]["parts"])


@pytest.mark.parametrize(
    ("part", "table"),
    [
        (TextPart("hi"), {"type": "text", "content": "hi"}),
        (RefusalPart("no"), {"type": "text", "content": "no"}),
        (ReasoningPart("hm"), {"type": "reasoning", "content": "hm"}),
        (ToolCallPart("c", "f", '{"a": [1, "b"]}'), {"type": "tool_call", "name": "f", "id": "c", "arguments": {"a": [1, "b"]}}),
        (ToolCallPart("c", "f", '{"a": '), {"type": "tool_call", "name": "f", "id": "c", "arguments": '{"a": '}),
        (ToolCallPart("", "f"), {"type": "tool_call", "name": "f"}),
        (ToolResultPart("c", [TextPart("1"), TextPart("2")]), {"type": "tool_call_response", "response": "12", "id": "c"}),
        (
            ToolResultPart("c", [TextPart("1"), MediaPart("image", url="https://h/x.png")]),
            {
                "type": "tool_call_response",
                "response": [{"type": "text", "content": "1"}, {"type": "uri", "modality": "image", "uri": "https://h/x.png"}],
                "id": "c",
            },
        ),
        (MediaPart("image", data="aGk=", media_type="image/png"), {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}),
        (MediaPart("document", data="aGk=", media_type="application/pdf"), {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "aGk="}),
        (MediaPart("audio", file_id="f-1"), {"type": "file", "modality": "audio", "file_id": "f-1"}),
        (MediaPart("video", url="https://h/v"), {"type": "uri", "modality": "video", "uri": "https://h/v"}),
        (
            ProviderPart("anthropic_messages", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}),
            {"type": "server_tool_call", "name": "web_search", "id": "s", "server_tool_call": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}},
        ),
        (
            ProviderPart("anthropic_messages", {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "t", "encrypted_content": "zzz"}]}),
            {"type": "server_tool_call_response", "id": "s", "server_tool_call_response": {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "t"}]}},
        ),
        (
            ProviderPart("openai_responses", {"type": "web_search_call", "id": "w", "status": "completed"}),
            {"type": "server_tool_call", "name": "web_search", "id": "w", "server_tool_call": {"type": "web_search_call", "id": "w", "status": "completed"}},
        ),
        (
            ProviderPart("gemini_generate", {"executableCode": {"language": "PYTHON", "code": "1"}}),
            {"type": "server_tool_call", "name": "executableCode", "server_tool_call": {"type": "executableCode", "executableCode": {"language": "PYTHON", "code": "1"}}},
        ),
        (ProviderPart("openai_responses", {"type": "compaction", "id": "k", "encrypted_content": "zzz"}), {"type": "compaction", "id": "k"}),
    ],
)  # fmt: skip
def test_parts(part, table):
    assert shown(part) == [table]


@pytest.mark.parametrize(
    "part",
    [
        TextPart(""),
        ReasoningPart("", redacted=True),
        MediaPart("image"),
        ProviderPart("openai_responses", {"type": "odd"}),
    ],
)
def test_parts_that_have_nothing_to_show(part):
    assert shown(part, TextPart("hi")) == [{"type": "text", "content": "hi"}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_call"),
        ("content_filter", "content_filter"),
        ("unknown", "error"),
        ("error", "error"),
    ],
)
def test_finish_reasons(reason, word):
    content = Capture(always=True, redact=None).content(
        Request(model="m", messages=[]), "openai_chat", [Choice(Message.assistant("a"), reason)]
    )
    check(content)
    assert content.output[0]["finish_reason"] == word
    assert content.output[0]["role"] == "assistant"


@pytest.mark.parametrize(
    ("dialect", "apart"),
    [("openai_chat", False), ("openai_responses", True), ("anthropic_messages", True), ("gemini_generate", True)],
)
def test_instructions_stand_apart_where_the_api_takes_them_so(dialect, apart):
    messages = [Message.system("be brief"), Message.user("hi"), Message.system("and kind")]
    content = Capture(always=True, redact=None).content(Request(model="m", messages=messages), dialect, [])
    assert (
        [message["role"] for message in content.input] == ["user", "system"] if apart else ["system", "user", "system"]
    )
    assert content.system == (({"type": "text", "content": "be brief"},) if apart else ())


def test_tools():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [Tool("weather", "Looks it up.", schema), Tool("search", hosted={"type": "web_search"})]
    content = Capture(always=True, redact=None).content(Request(model="m", messages=[], tools=tools), "openai_chat", [])
    check(content)
    assert content.tools == (
        {"type": "function", "name": "weather", "description": "Looks it up.", "parameters": schema},
        {"type": "web_search", "name": "search"},
    )


# --- whether ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("always", "asked", "context", "wanted"),
    [
        (False, False, None, False),
        (True, False, None, True),
        (False, True, None, True),
        (True, True, False, False),
        (False, False, True, True),
    ],
)
def test_who_decides(always, asked, context, wanted):
    assert Capture(always=always, redact=None).wanted(Context(capture=context), asked=asked) is wanted


# --- redaction -------------------------------------------------------------------------------------------------------

SECRET = "bob@example.com"


def hide(text):
    return text.replace(SECRET, "X").replace("4111111111111111", "Y")


def test_every_text_is_redacted_wherever_it_stands():
    document = base64.b64encode(f"to {SECRET}".encode()).decode()
    parts = [
        TextPart(f"to {SECRET}"),
        ReasoningPart(f"for {SECRET}"),
        ToolCallPart("c", "f", json.dumps({"to": [SECRET], SECRET: 1, "card": 4111111111111111})),
        ToolCallPart("c", "f", f"not json {SECRET}"),
        ToolResultPart("c", [TextPart(SECRET)]),
        MediaPart("image", url=f"https://h/?who={SECRET}"),
        MediaPart("document", data=document, media_type="text/plain"),
        ProviderPart("anthropic_messages", {"type": "server_tool_use", "name": "n", "input": {"q": SECRET}}),
    ]
    request = Request(
        model="m",
        messages=[Message("user", parts, name=SECRET)],
        tools=[Tool("f", SECRET, {"enum": [SECRET]})],
    )
    content = Capture(always=True, redact=hide).content(
        request, "openai_chat", [Choice(Message("assistant", parts), "stop")]
    )
    check(content)
    whole = json.dumps([content.input, content.output, content.tools])
    assert SECRET not in whole
    assert "4111111111111111" not in whole
    assert base64.b64encode(b"to X").decode() in whole


def test_requests_that_are_redacted_already_are_left_as_they_are_and_answers_are_not():
    request = Request(model="m", messages=[Message.user(f"to {SECRET}")])
    capture = Capture(always=True, redact=hide, screened=True)
    content = capture.content(request, "openai_chat", [Choice(Message.assistant(f"to {SECRET}"), "stop")])
    assert content.input[0]["parts"][0]["content"] == f"to {SECRET}"
    assert content.output[0]["parts"][0]["content"] == "to X"


@given(before=st.integers(MOST_TEXT - 300, MOST_TEXT + 300))
def test_what_is_cut_in_two_is_not_told_by_half(before):
    text = "a" * before + SECRET + "b" * 2000
    (part,) = shown(TextPart(text), redact=hide)
    assert "bob@" not in part["content"]
    assert len(part["content"]) <= MOST_TEXT + 1


@given(count=st.integers(0, 400))
def test_what_was_cut_stays_cut_when_redaction_makes_texts_shorter(count):
    text = SECRET * count + "a" * (MOST_TEXT + 250 - len(SECRET) * count) + SECRET + "b" * 2000
    (part,) = shown(TextPart(text), redact=hide)
    assert "bob" not in part["content"]


# --- bounds ----------------------------------------------------------------------------------------------------------


def length(value):
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(length(item) for item in value.values())
    return sum(map(length, value)) if isinstance(value, (list, tuple)) else 0


def test_long_conversations_are_bounded_and_the_answer_is_there():
    messages = [Message.user("x" * 10_000) for _ in range(500)]
    content = Capture(always=True, redact=None).content(
        Request(model="m", messages=messages), "openai_chat", [Choice(Message.assistant("the answer"), "stop")]
    )
    check(content)
    assert len(content.input) == 500
    assert length(content.input) < MOST_TOTAL + 500 * 20
    assert content.output[0]["parts"][0]["content"] == "the answer"


def test_long_texts_end_with_an_ellipsis():
    (part,) = shown(TextPart("x" * (MOST_TEXT + 1)))
    assert part["content"].endswith("…")
    assert len(part["content"]) <= MOST_TEXT + 1


def test_pictures_that_are_too_long_are_named_and_left_out():
    (part,) = shown(MediaPart("image", data="A" * (MOST_TEXT + 4), media_type="image/png"))
    assert part == {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""}


def test_deep_tables_end():
    arguments = json.loads("[" * 200 + "]" * 200)
    (part,) = shown(ToolCallPart("c", "f", json.dumps(arguments)))
    assert "…" in json.dumps(part, ensure_ascii=False)


def test_numbers_that_json_has_not():
    (part,) = shown(ToolCallPart("c", "f", '{"a": NaN, "b": Infinity, "c": 1.5, "d": true, "e": null}'))
    assert part["arguments"] == {"a": "nan", "b": "inf", "c": 1.5, "d": True, "e": None}


def test_half_a_surrogate_pair_is_replaced():
    assert shown(TextPart("a\ud800b")) == [{"type": "text", "content": "a?b"}]


texts = st.text(alphabet=st.characters(), max_size=40)
parts = st.one_of(
    st.builds(TextPart, texts),
    st.builds(ReasoningPart, texts),
    st.builds(ToolCallPart, texts, texts, texts),
    st.builds(ToolResultPart, texts, st.lists(st.builds(TextPart, texts), max_size=2)),
    st.builds(MediaPart, st.sampled_from(["image", "audio", "document", "video"]), data=texts, media_type=texts),
    st.builds(ProviderPart, st.just("x"), st.dictionaries(texts, texts, max_size=3)),
)


@given(st.lists(parts, max_size=5))
def test_anything_is_valid(found):
    check(
        Capture(always=True, redact=str.upper).content(
            Request(model="m", messages=[Message("user", found)]),
            "openai_chat",
            [Choice(Message("assistant", found), "stop")],
        )
    )


def test_what_goes_wrong_harms_nobody_and_is_said_once(caplog):
    caplog.set_level(logging.WARNING)
    module._reported.clear()

    def broken(text):
        raise KeyError(SECRET)

    for _ in range(3):
        content = Capture(always=True, redact=broken).content(
            Request(model="m", messages=[Message.user(SECRET)]), "openai_chat", []
        )
        assert content == type(content)()
    (record,) = caplog.records
    assert "KeyError" in record.getMessage()
    assert SECRET not in record.getMessage()


# --- through a client ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


@pytest.fixture
def ask(sim):
    sim.reset()
    made = []

    def make(stream=False, **settings):
        memory = MemorySink()
        client = aistrale.Client(**sim.settings(), sinks=[memory], ledger="off", retry=None, **settings)
        made.append(client)
        prompt = f"Write to {SECRET}"
        if stream:
            with client.stream(prompt, model="openai/gpt-5-mini") as events:
                for _ in events:
                    pass
            answer = events.completion
        else:
            answer = client.run(prompt, model="openai/gpt-5-mini")
        return answer, memory.of("attempt.finished")[-1].content

    yield make
    for client in made:
        client.close()


@pytest.mark.parametrize("privacy", ["off", "redact"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_sinks_never_see_what_the_caller_does(ask, privacy, stream):
    answer, content = ask(stream=stream, capture=True, privacy=privacy)
    # The simulator repeats the prompt; to the caller it is restored.
    assert SECRET in answer.text
    assert SECRET not in json.dumps([content.input, content.output])
    assert content.output[0]["parts"][0]["content"].startswith("This is a simulated answer to: Write to ")
    check(content)


def test_nothing_is_kept_unless_that_was_asked_for(ask):
    assert ask()[1] is None
    with aistrale.context(capture=True):
        assert ask()[1] is not None
    with aistrale.context(capture=False):
        assert ask(capture=True)[1] is None


def test_failed_attempts_have_what_was_asked(sim):
    memory = MemorySink()
    client = aistrale.Client(**sim.settings(), sinks=[memory], ledger="off", retry=None, capture=True)
    with sim.script(Fault(status=400)), pytest.raises(aistrale.errors.AistraleError):
        client.run("hi", model="openai/gpt-5-mini")
    content = memory.of("attempt.finished")[0].content
    assert (len(content.input), content.output) == (1, ())
    client.close()


def test_answers_that_never_end_are_remembered_up_to_a_bound(sim):
    memory = MemorySink()
    client = aistrale.Client(**sim.settings(), sinks=[memory], ledger="off", capture=True)
    with sim.script(Say(text="word " * 60_000)), client.stream("hi", model="openai/gpt-5-mini") as events:
        for _ in events:
            pass
    content = memory.of("attempt.finished")[0].content
    assert length(content.output) <= MOST_TEXT + 50
    assert len(events.completion.text) == 300_000
    client.close()


@pytest.mark.parametrize(
    "privacy", [{"redact": False}, {"redact": True, "on_error": "allow"}, {"rules": [], "redact": False}]
)
def test_what_providers_get_as_it_is_sinks_do_not(ask, privacy):
    # Rules alone are privacy settings too, and nothing is redacted on its way there.
    _, content = ask(capture=True, privacy=privacy)
    assert SECRET not in json.dumps([content.input, content.output])


def test_answers_are_redacted_by_the_recognizers_of_the_client(ask, sim):
    own = {"name": "badge", "type": "BADGE", "pattern": r"ZX-\d{5}"}
    with sim.script("your badge is ZX-48213"):
        _, content = ask(capture=True, privacy={"recognizers": [own]})
    assert "ZX-48213" not in json.dumps(content.output)


def test_placeholders_are_told_as_they_were_sent(ask):
    _, content = ask(capture=True, privacy="redact")
    assert "[[EMAIL_1]]" in content.output[0]["parts"][0]["content"]
