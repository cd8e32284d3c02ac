"""A server that always sends a little more outlives no deadline; bounds are generous here, and tight in the soak."""

from __future__ import annotations

import pytest

from aistrale.errors import AttemptTimeout, DeadlineExceeded

MODEL = "openai/gpt-5-mini"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "
SSE = HEAD + b"text/event-stream\r\n\r\n"
PIECE = b'data: {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
DONE = b'data: {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

# What a server drips, for a plain call and for a stream.
DRIPS = {
    "headers": (HEAD, HEAD),
    "body": (HEAD + b"application/json\r\nContent-Length: 9999\r\n\r\n" + b" " * 500, None),
    "keep-alives": (None, SSE + b": ping\n\n" * 100),
    "empty lines": (None, SSE + b"\n" * 500),
    "half an event": (None, SSE + b"data: " + b" " * 500),
    "preamble": (None, SSE + b'data: {"id": "c", "model": "m", "choices": []}\n\n' * 20),
    "content": (None, SSE + PIECE * 20),
}
CASES = [
    pytest.param(name, streamed, id=f"{name}-{'stream' if streamed else 'plain'}")
    for name, pair in DRIPS.items()
    for streamed in (False, True)
    if pair[streamed] is not None
]


@pytest.mark.parametrize(("name", "streamed"), CASES)
def test_a_dripping_server_does_not_outlive_the_deadline(face, raw, balance, no_leak, colour, name, streamed):  # noqa: PLR0917
    raw.say(*pieces(name, streamed), pause=0.02)
    with no_leak():
        asked = face(colour, streamed, **raw.settings(), timeout=0.3)
        seen = asked.ask(model=MODEL)
        asked.client.close()
        raw.close()
    assert isinstance(seen.error, DeadlineExceeded), repr(seen.error)
    assert seen.seconds < 3.0
    assert seen.tasks == []
    (call,), (attempts,) = balance(asked.client)
    assert (call.outcome, call.error, len(attempts)) == (attempts[0].outcome, "DeadlineExceeded", 1)
    if name == "content":
        assert seen.error.partial_text == seen.text


def pieces(name, streamed):
    """The head at once, then byte by byte."""
    data = DRIPS[name][streamed]
    start = data.find(b"\r\n\r\n") + 4 if name != "headers" else 0
    if name == "content":
        return [data[:start], *[PIECE] * 200]
    return [data[:start], *(data[index : index + 1] for index in range(start, len(data)))]


def test_the_end_of_the_body_is_not_awaited_beyond_the_deadline(face, raw, balance, colour):
    raw.say(SSE + PIECE + DONE, b"", pause=5.0)
    asked = face(colour, True, **raw.settings(), timeout=0.2)
    seen = asked.ask(model=MODEL)
    assert (seen.error, seen.text) == (None, "x")
    assert seen.seconds < 3.0
    balance(asked.client)


def test_a_silent_server_is_not_asked_again_and_counts_as_slow(face, raw, balance, colour):
    raw.say(b"", pause=5.0)
    asked = face(colour, False, **raw.settings(), timeout=0.3, clocks={"first_token": 0.1}, retry={"base": 0.001})
    seen = asked.ask(model=MODEL)
    assert isinstance(seen.error, AttemptTimeout)
    assert seen.seconds < 3.0
    ((call,), (attempts,)) = balance(asked.client)
    assert call.attempts == len(attempts) == 1
    assert asked.client.breakers()[MODEL].slow_rate == 1.0


@pytest.mark.soak
@pytest.mark.parametrize(("name", "streamed"), CASES)
def test_a_deadline_is_kept_within_50_milliseconds(face, raw, colour, name, streamed):
    raw.say(*pieces(name, streamed), pause=0.05)
    asked = face(colour, streamed, **raw.settings(), timeout=1.0)
    # The first call loads the HTTP library, which is not what is measured.
    asked.ask(model=MODEL, deadline=0.2)
    seen = asked.ask(model=MODEL)
    assert isinstance(seen.error, DeadlineExceeded)
    assert seen.seconds < 1.05
