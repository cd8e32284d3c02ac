"""What cannot be sent is refused before sending: one error that names the field, one row in the ledger, no request."""

from __future__ import annotations

import base64
import math
import re

import pytest

import aistrale
from aistrale.errors import AistraleError, ConfigurationError, DeadlineExceeded, InvalidRequestError
from aistrale.options import EmbedOptions, Options
from aistrale.scope import ContextValues
from aistrale.types import (
    CacheHint,
    MediaPart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

MODEL = "openai/gpt-5-mini"
EMBEDDER = "openai/text-embedding-3-small"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 30).decode()
CALL = [Message.user("a"), Message.assistant(ToolCallPart("c", "f", "{}"))]


class Odd:
    """Nothing that anybody could mean."""


WRONG = [
    5,
    -1,
    "x",
    "",
    b"x",
    [],
    ["x", 5],
    {},
    {"a": 5},
    {5: 5},
    True,
    math.nan,
    math.inf,
    Odd(),
    Odd,
    [None],
    (1,),
    {1},
]


def named(error):
    """The field that an error is about."""
    whole = getattr(error, "field", None) or getattr(error, "param", None) or ""
    return re.split(r"[.\[]", whole)[0]


def error_of(ask, *args, **options):
    """The error of the tree that it raises, if any; a deadline that has passed is none."""
    try:
        ask(*args, **options)
    except DeadlineExceeded:
        return None
    except AistraleError as error:
        return error
    return None


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings()) as made:
        yield made


@pytest.mark.parametrize("name", Options.__annotations__)
def test_an_option_of_a_wrong_type_is_named(client, balance, name):
    calls = 0
    for value in WRONG:
        options = {"model": MODEL, "on_unsupported": "drop", name: value}
        for ask in (client.run, lambda *args, **kwargs: client.stream(*args, **kwargs).result()):
            calls += 1
            error = error_of(ask, "Hi", **options)
            assert error is None or named(error) == name, repr(error)
    balance(client, calls)


@pytest.mark.parametrize("name", EmbedOptions.__annotations__)
def test_an_embedding_option_of_a_wrong_type_is_named(client, balance, name):
    for value in WRONG:
        error = error_of(client.embed, "Hi", **{"model": EMBEDDER, "on_unsupported": "drop", name: value})
        assert error is None or named(error) == name, repr(error)
    balance(client, len(WRONG))


@pytest.mark.parametrize("texts", [None, 5, [], [""], [5], {"a": 1}, b"x", Odd()])
def test_texts_that_are_none_are_named(client, sim, texts):
    with pytest.raises(InvalidRequestError) as caught:
        client.embed(texts, model=EMBEDDER)
    assert caught.value.param.startswith("texts")
    assert sim.requests == []


@pytest.mark.parametrize("name", ContextValues.__annotations__)
def test_a_context_of_a_wrong_type_is_named_and_loses_no_row(client, balance, name):
    calls = 0
    for value in WRONG:

        def ask(value=value):
            nonlocal calls
            with aistrale.context(**{name: value}):
                calls += 1
                client.run("Hi", **({} if name == "route" else {"model": MODEL}))

        error = error_of(ask)
        # A route that nobody has is named by its name.
        assert error is None or named(error) in (name, value), repr(error)
    balance(client, calls)


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (Message("user", "Hello"), "prompt.parts"),
        (Message("user", None), "prompt.parts"),
        (Message("user", ["Hello"]), "prompt.parts[0]"),
        (Message("user", [None]), "prompt.parts[0]"),
        (Message("user", [{"type": "text", "text": "x"}]), "prompt.parts[0]"),
        (Message("user", [TextPart(None)]), "prompt.parts[0].text"),
        (Message("user", [TextPart("x", cache=True)]), "prompt.parts[0].cache"),
        (Message.user(""), "prompt"),
        (Message.user(" \n", ""), "prompt"),
        ({"role": "user", "content": "x"}, "prompt"),
        ([{"role": "user", "content": ""}], "messages[0]"),
        ([{"role": "user"}], "messages[0]"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{}], "messages[0].role"),
        ([None], "messages[0]"),
        (None, "prompt"),
        (b"Hi", "prompt"),
        (iter(["Hi"]), "prompt"),
        (Message("User", [TextPart("x")]), "prompt.role"),
        (Message(["user"], [TextPart("x")]), "prompt.role"),
        (Message("assistant", []), "messages"),
        (Message.user(ReasoningPart("x")), "prompt.parts[0]"),
        (Message.user(RefusalPart("x")), "prompt.parts[0]"),
        ([*CALL[:1], Message.assistant(ToolCallPart("c", None))], "messages[1].parts[0].name"),
        ([*CALL[:1], Message.assistant(ToolCallPart("c", "f", {"a": 1}))], "messages[1].parts[0].arguments"),
        ([*CALL, Message("tool", [ToolResultPart("c", "text")])], "messages[2].parts[0].content"),
        ([*CALL, Message("tool", [ToolResultPart("c", ["text"])])], "messages[2].parts[0].content[0]"),
        ([*CALL, Message("tool", [TextPart("x")])], "messages[1]"),
        ([*CALL, {"role": "tool", "content": "x"}], "messages[2]"),
        ([{"role": "tool", "tool_call_id": "c", "content": "x"}], "messages[0]"),
        (Message.user(MediaPart("imag", data=PNG)), "prompt.parts[0]"),
        (Message.user(MediaPart("image", data=PNG, media_type="image/bmp")), "prompt.parts[0]"),
        (Message.user(MediaPart("image", data=base64.b64encode(b"BM not known").decode())), "prompt.parts[0]"),
        (Message.user(MediaPart("image", data=b"raw")), "prompt.parts[0]"),
        (Message.user(MediaPart("image", data="!" * 64)), "prompt.parts[0]"),
        (Message.user(MediaPart("image", url=5)), "prompt.parts[0]"),
        (Message.user(MediaPart("image")), "prompt.parts[0]"),
        ([{"role": "user", "content": "x", "field": {1, 2}}], "messages"),
        ([{"role": "user", "content": "x", "field": math.nan}], "messages"),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_named(client, sim, balance, prompt, param):
    with pytest.raises(InvalidRequestError) as caught:
        client.run(prompt, model=MODEL)
    assert caught.value.param == param
    assert caught.value.status is None
    assert sim.requests == []
    ((call,), (attempts,)) = balance(client)
    assert (call.outcome, call.error, attempts) == ("error", "InvalidRequestError", [])


def test_good_prompts_of_the_same_kinds_are_sent(client):
    for prompt in (
        Message.user("x", MediaPart("image", data=PNG)),
        Message("user", [TextPart("x", cache=CacheHint())]),
        [*CALL, Message.tool("c", "")],
        [Message.user("a"), Message.assistant(""), Message.user("b")],
        Message.user(MediaPart("image", url="https://example.com/a.png")),
    ):
        assert client.run(prompt, model=MODEL).text


@pytest.mark.parametrize("extra", [{"x": {1}}, {"x": math.nan}, {"x": b"x"}, {"x": Odd()}])
def test_extra_fields_that_are_no_json_are_named(client, sim, balance, extra):
    with pytest.raises(InvalidRequestError) as caught:
        client.run("Hi", model=MODEL, extra=extra)
    assert caught.value.param == "x"
    assert sim.requests == []
    balance(client)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "opnai/gpt"}, "model"),
        ({"model": ""}, "model"),
        ({"provider": "opnai"}, "provider"),
        ({"route": "nowhere"}, "nowhere"),
        ({"model": MODEL, "temperatur": 1}, "temperatur"),
        ({"model": MODEL, "max_tool_rounds": -1}, "max_tool_rounds"),
        ({"model": MODEL, "on_lossy": "maybe"}, "on_lossy"),
    ],
)
def test_a_call_that_never_began_has_its_row(client, sim, balance, options, field):
    with aistrale.context(user="ada"), pytest.raises(ConfigurationError) as caught:
        client.run("Hi", **options)
    assert caught.value.field == field
    ((call,), _) = balance(client)
    assert (call.outcome, call.error, call.user, call.kind) == ("error", "ConfigurationError", "ada", "chat")
    assert call.model_asked == next(iter(options.values()))
    with pytest.raises(AistraleError):
        client.embed("", model=EMBEDDER)
    assert [row.kind for row in balance(client, 2)[0]] == ["chat", "embed"]
    assert sim.requests == []


def test_a_missing_key_has_its_row(balance):
    with aistrale.Client() as client:
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            client.run("Hi", model=MODEL)
        ((call,), _) = balance(client)
        assert (call.error, call.model_asked) == ("ConfigurationError", MODEL)


def test_an_embedding_option_is_compared_with_embedding_options(client):
    with pytest.raises(ConfigurationError, match="dimensions") as caught:
        client.embed("Hi", model=EMBEDDER, dimension=4)
    assert "temperature" not in str(caught.value)


def test_a_deadline_that_has_passed_sends_nothing(client, sim, balance):
    for left in (0, -1.5):
        with pytest.raises(DeadlineExceeded):
            client.run("Hi", model=MODEL, deadline=left)
    assert sim.requests == []
    balance(client, 2)


def test_a_huge_request_is_sent_and_a_monstrous_one_is_refused(client, sim, monkeypatch, balance):
    text = "word " * 4_000_000
    assert client.run(text, model=MODEL).text
    monkeypatch.setattr("aistrale.policies.encode.MAX_REQUEST", 1_000_000)
    with pytest.raises(InvalidRequestError, match="MiB"):
        client.run(text, model=MODEL)
    assert len(sim.requests) == 1
    balance(client, 2)
