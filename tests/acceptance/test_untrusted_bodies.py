"""Bodies that are valid JSON or nearly, and mean mischief: every value replaced by every kind of nonsense."""

from __future__ import annotations

import copy
import json
import math

import pytest

import aistrale
from aistrale.errors import AistraleError, RateLimitError, ResponseError

MODELS = {"openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-4-5", "gemini": "gemini/gemini-2.5-flash"}
EMBEDDERS = {"openai": "openai/text-embedding-3-small", "gemini": "gemini/gemini-embedding-001"}
NONSENSE = [None, 5, -1, 1.5, math.nan, math.inf, 10**30, -(10**30), "x", "", [], {}, [None], {"a": 1}, True, "\ud800"]
WHOLE = {
    "openai": {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    },
    "anthropic": {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
        "modelVersion": "m", "responseId": "r",
    },
}  # fmt: skip
PIECES = {
    "openai": [
        {"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "he"}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "content": [], "model": "m", "usage": {"input_tokens": 7}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ],
    "gemini": [WHOLE["gemini"]],
}  # fmt: skip
VECTORS = {
    "openai": {"data": [{"index": 0, "embedding": [0.1, 0.2]}], "model": "m", "usage": {"prompt_tokens": 1}},
    "gemini": {"embeddings": [{"values": [0.1, 0.2]}]},
}


def spoilt(document):
    """Copies of a document, each with one value replaced."""
    for path in paths(document):
        for value in NONSENSE:
            if not path:
                yield value
                continue
            made = copy.deepcopy(document)
            inner = made
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            yield made


def paths(document, path=()):
    yield path
    for step in document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield from paths(document[step], (*path, step))


def stream_of(events, answer_bytes):
    """The events as one SSE answer."""
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return answer_bytes(body + b"data: [DONE]\n\n", headers=(("Content-Type", "text/event-stream"),))


@pytest.fixture
def client(raw):
    with aistrale.Client(**raw.settings(), retry=False, breaker=False, limits=False, timeout=20.0) as made:
        yield made
    made.ledger.close()


def check(ask, provider):
    """What was answered can be used, or the error names the provider."""
    try:
        answer = ask()
    except AistraleError as error:
        assert provider in str(error)  # noqa: PT017 - either way is right, one must hold
        return
    assert isinstance(answer.text, str)
    assert answer.usage is None or answer.usage.total is None or answer.usage.total >= 0
    assert answer.cost.usd is None or answer.cost.usd >= 0
    assert repr(answer)
    assert isinstance(answer.reasoning, str)


@pytest.mark.parametrize("provider", WHOLE)
def test_a_spoilt_answer_is_an_answer_or_an_error_and_loses_no_row(client, raw, balance, answer_bytes, provider):
    calls = 0
    for document in spoilt(WHOLE[provider]):
        raw.say(answer_bytes(json.dumps(document).encode()))
        check(lambda: client.run("Hi", model=MODELS[provider]), provider)
        calls += 1
    balance(client, calls)


@pytest.mark.parametrize("provider", PIECES)
def test_a_spoilt_stream_is_an_answer_or_an_error_and_loses_no_row(client, raw, balance, answer_bytes, provider):
    calls = 0
    for events in spoilt(PIECES[provider]):
        raw.say(stream_of(events if isinstance(events, list) else [events], answer_bytes))
        check(lambda: client.stream("Hi", model=MODELS[provider]).result(), provider)
        calls += 1
    balance(client, calls)


@pytest.mark.parametrize("provider", VECTORS)
def test_spoilt_vectors_are_never_returned(client, raw, balance, answer_bytes, provider):
    calls = 0
    for document in spoilt(VECTORS[provider]):
        raw.say(answer_bytes(json.dumps(document).encode()))
        calls += 1
        try:
            answer = client.embed("Hi", model=EMBEDDERS[provider])
        except AistraleError as error:
            assert provider in str(error)  # noqa: PT017 - either way is right, one must hold
        else:
            (vector,) = answer.vectors
            assert all(math.isfinite(number) for number in vector)
    balance(client, calls)


@pytest.mark.parametrize("tokens", [-5, 10**30])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_counts_that_cannot_be_are_no_counts(client, raw, balance, answer_bytes, tokens, streamed):  # noqa: PLR0917
    usage = {"input_tokens": tokens, "output_tokens": 2}
    if streamed:
        events = copy.deepcopy(PIECES["anthropic"])
        events[4]["usage"] = usage
        raw.say(stream_of(events, answer_bytes))
        answer = client.stream("Hi", model=MODELS["anthropic"]).result()
    else:
        raw.say(answer_bytes(json.dumps({**WHOLE["anthropic"], "usage": usage}).encode()))
        answer = client.run("Hi", model=MODELS["anthropic"])
    (call,), _ = balance(client)
    assert call.outcome == "success"
    if streamed:
        # What a stream has not reported is estimated from what was delivered.
        assert (answer.usage.source, call.usage_source) == ("estimated", "estimated")
        assert 0 < answer.usage.total < 100
    else:
        assert answer.usage is None
        assert (answer.cost.usd, answer.cost.reason) == (None, "no usage reported (success)")
        assert (call.input, call.cost) == (None, None)


@pytest.mark.parametrize("status", ["401 X", "404 X", "429 X", "500 X", "302 Found", "200 OK"])
def test_spoilt_errors_are_errors(client, raw, balance, answer_bytes, status):
    bodies = {
        "openai": {"error": {"message": "boom", "type": "server_error", "code": "x", "param": "messages"}},
        "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}},
        "gemini": {"error": {"code": 429, "message": "boom", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}]}},
    }  # fmt: skip
    calls = 0
    for provider, body in bodies.items():
        for document in spoilt(body):
            raw.say(answer_bytes(json.dumps(document).encode(), status=status))
            calls += 1
            with pytest.raises(AistraleError, match=provider):
                client.run("Hi", model=MODELS[provider])
    balance(client, calls)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Retry-After", "-5"),), None),
        ((("Retry-After", "soon"),), None),
        ((("Retry-After", "nan"),), None),
        ((("Retry-After", "inf"),), None),
        ((("Retry-After", "1e999"),), None),
        ((("Retry-After", "99999999999999999999"),), None),
        ((("Retry-After", "86400"),), 86400.0),
        ((("Retry-After", "Fri, 13 Nov 2020 00:00:00 GMT"), ("Date", "Fri, 13 Nov 2026 00:00:00 GMT")), 0.0),
        ((("Retry-After", "Fri, 99 Nov 2020 00:00:00 GMT"),), None),
        ((("Retry-After", "1"), ("Retry-After", "2")), None),
        ((("Retry-After", ""),), None),
        ((("Retry-After-Ms", "-1"), ("Retry-After", "7")), 7.0),
        ((("Retry-After-Ms", "x"), ("Retry-After", "7")), 7.0),
    ],
)
def test_what_retry_after_can_say(client, raw, balance, answer_bytes, headers, expected):  # noqa: PLR0917
    raw.say(answer_bytes(b'{"error": {"message": "slow down"}}', status="429 X", headers=headers))
    with pytest.raises(RateLimitError) as caught:
        client.run("Hi", model=MODELS["openai"])
    assert caught.value.retry_after == expected
    _, ((attempt,),) = balance(client)
    assert attempt.retry_after == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-16\r\nContent-Length: 4\r\n\r\n\xff\xfe{\x00",
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_answers_that_are_none(client, raw, balance, answer, streamed):
    raw.say(answer)
    with pytest.raises(AistraleError, match="openai"):
        client.stream("Hi", model=MODELS["openai"]).result() if streamed else client.run("Hi", model=MODELS["openai"])
    balance(client)


def test_one_event_of_a_megabyte_is_read_and_one_beyond_reason_is_refused(client, raw, balance, answer_bytes):
    first, end = PIECES["openai"][0], PIECES["openai"][2]
    big = json.loads(json.dumps(first))
    big["choices"][0]["delta"]["content"] = "x" * 1_000_000
    raw.say(stream_of([big, end], answer_bytes))
    assert len(client.stream("Hi", model=MODELS["openai"]).result().text) == 1_000_000
    big["choices"][0]["delta"]["content"] = "x" * 20_000_000
    raw.say(stream_of([big, end], answer_bytes))
    with pytest.raises(ResponseError, match="bounded"):
        client.stream("Hi", model=MODELS["openai"]).result()
    balance(client, 2)


@pytest.mark.parametrize("body", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
def test_nesting_beyond_reason_is_refused(client, raw, balance, answer_bytes, body):
    for ask in (client.run, lambda prompt, model: client.stream(prompt, model=model).result()):
        raw.say(answer_bytes(body))
        with pytest.raises(ResponseError):
            ask("Hi", model=MODELS["openai"])
    balance(client, 2)
