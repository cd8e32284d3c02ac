"""Classification from what comes over the wire, in the shapes of all providers. All bodies here are synthetic."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import zlib

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.exchange import HttpClosed, HttpConnectError, HttpProxyDenied, HttpTimeout, HttpTLSError
from aistrale.core.network import Wire
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import CircuitOpen, ConfigurationError, DeadlineExceeded
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.reliability.verdict import classify

RPC = "type.googleapis.com/google.rpc."
SHAPES = {
    "openai": "chat",
    "groq": "chat",
    "huggingface": "chat",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "responses": "responses",
}


def provider_of(shape):
    """The provider that speaks the shape, and the dialect where it is not its first."""
    return ("openai", "openai_responses") if shape == "responses" else (shape, None)


def refused(shape, word, message="no", code=None, status=500):
    """An error body as the shape words it."""
    kind = SHAPES[shape]
    if kind == "anthropic":
        return {"type": "error", "error": {"type": word, "message": message}, "request_id": "req_1"}
    if kind == "gemini":
        return {"error": {"code": status, "message": message, "status": word}}
    return {"error": {"message": message, "type": word, "param": None, "code": code}}


def see(shape, status, body, headers=None, phase="response", **more):
    name, dialect = provider_of(shape)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(name, status=status, headers=headers or {}, body=data, phase=phase, dialect=dialect, **more)


def brief(found):
    return found.kind, found.retry, found.failover, found.breaker


# --- statuses, whatever the body ---------------------------------------------------------------------------------------

BY_STATUS = {
    400: ("invalid_request", "never", "never", "ignore"),
    401: ("authentication", "never", "never", "open"),
    402: ("quota", "never", "yes", "open"),
    403: ("permission", "never", "never", "ignore"),
    404: ("model_not_found", "never", "never", "ignore"),
    407: ("proxy_credentials", "never", "never", "ignore"),
    408: ("server", "backoff", "yes", "failure"),
    409: ("server", "backoff", "yes", "failure"),
    413: ("invalid_request", "never", "never", "ignore"),
    422: ("invalid_request", "never", "never", "ignore"),
    429: ("rate_limit", "backoff", "yes", "ignore"),
    500: ("server", "backoff", "yes", "failure"),
    502: ("server", "backoff", "yes", "failure"),
    503: ("overloaded", "backoff", "first", "failure"),
    504: ("server", "backoff", "yes", "failure"),
    520: ("server", "backoff", "yes", "failure"),
    529: ("overloaded", "backoff", "first", "failure"),
    301: ("redirect", "never", "yes", "failure"),
    307: ("redirect", "never", "yes", "failure"),
    418: ("unknown", "never", "yes", "ignore"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("body", [b"", b"<html><h1>502 Bad Gateway</h1></html>", b"\x00\xff", b"null", b"{}"])
@pytest.mark.parametrize("status", BY_STATUS)
def test_the_status_alone(shape, status, body):
    assert brief(see(shape, status, body)) == BY_STATUS[status]


def test_a_tier_of_groq_that_is_full_is_not_asked_again():
    body = refused("groq", "invalid_request_error", code="capacity_exceeded")
    for found in (see("groq", 498, body), see("groq", 498, b"")):
        assert brief(found) == ("capacity", "never", "first", "failure")


# --- the faults of providers, in every shape ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted", "project_spend_limit_exceeded"])
@pytest.mark.parametrize("shape", ["openai", "responses"])
def test_quota(shape, code):
    found = see(shape, 429, refused(shape, "insufficient_quota", code=code), {"retry-after": "1"})
    assert brief(found) == ("quota", "never", "yes", "open")
    assert (found.wait, found.scope) == (None, "key")


def test_a_spend_limit_is_open_until_its_date():
    said = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
    body = refused("anthropic", "invalid_request_error", said)
    headers = {"date": "Mon, 30 Nov 2026 23:00:00 GMT", "x-should-retry": "false"}
    found = see("anthropic", 400, body, headers)
    assert brief(found) == ("quota", "never", "yes", "open")
    assert (found.wait, found.scope) == (3600.0, "key")
    assert see("anthropic", 400, body, now=1_796_083_200.0 - 60).wait == 60.0
    assert see("anthropic", 400, body).wait is None


def gemini_429(quota, delay="2s"):
    failure = {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": quota}]}
    info = {"@type": f"{RPC}RetryInfo", "retryDelay": delay}
    return {"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": [failure, info]}}


def test_gemini_tells_in_the_body():
    minute = see("gemini", 429, gemini_429("GenerateRequestsPerMinutePerProjectPerModel"))
    assert brief(minute) == ("rate_limit", "announced", "yes", "ignore")
    assert (minute.wait, minute.drains, minute.throttle) == (2.0, False, True)
    day = see("gemini", 429, gemini_429("GenerateRequestsPerDayPerProjectPerModel"))
    assert brief(day) == ("quota", "never", "yes", "open")
    assert (day.wait, day.scope) == (None, "target")


@pytest.mark.parametrize("shape", SHAPES)
def test_rate_limits_in_every_shape(shape):
    word = {"anthropic": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED"}.get(shape, "tokens")
    body = refused(shape, word, "Rate limit reached", "rate_limit_exceeded", 429)
    found = see(shape, 429, body, {"retry-after": "1", "x-ratelimit-remaining-requests": "0"})
    assert brief(found) == ("rate_limit", "announced", "yes", "ignore")
    assert (found.wait, found.drains, found.throttle) == (1.0, False, True)


def test_slow_down_is_a_rate_limit_that_gives_no_wait():
    found = see("openai", 429, refused("openai", "rate_limit_error", "Slow down", "slow_down"))
    assert brief(found) == ("rate_limit", "backoff", "yes", "ignore")
    assert found.throttle


@pytest.mark.parametrize("shape", SHAPES)
def test_overload_in_every_shape(shape):
    status = 529 if shape == "anthropic" else 503
    word = {"anthropic": "overloaded_error", "gemini": "UNAVAILABLE"}.get(shape, "service_unavailable_error")
    body = refused(shape, word, "Overloaded", "server_is_overloaded", status)
    assert brief(see(shape, status, body)) == ("overloaded", "backoff", "first", "failure")
    announced = see(shape, status, body, {"retry-after": "4"})
    assert (announced.retry, announced.wait, announced.drains) == ("announced", 4.0, True)
    forbidden = see(shape, status, body, {"x-should-retry": "false"})
    assert (forbidden.retry, forbidden.failover) == ("never", "first")


def test_a_model_that_is_loading_is_no_outage():
    found = see("huggingface", 503, {"error": "Model is currently loading", "estimated_time": 20.0})
    assert brief(found) == ("loading", "announced", "first", "ignore")
    assert (found.wait, found.drains, found.throttle) == (20.0, False, False)
    assert see("huggingface", 503, {"error": "Model is currently loading", "estimated_time": 1e300}).wait is None


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("openai", refused("openai", "invalid_request_error", "maximum context length", "context_length_exceeded")),
        ("responses", refused("responses", "invalid_request_error", "exceeds", "context_length_exceeded")),
        ("groq", refused("groq", "invalid_request_error", "no", "context_length_exceeded")),
        ("anthropic", refused("anthropic", "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        ("gemini", refused("gemini", "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8).")),
        ("huggingface", refused("huggingface", "BadRequestError", "This model's maximum context length is 8192 tokens.")),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_needs_a_larger_window(shape, body):
    assert brief(see(shape, 400, body)) == ("context_length", "never", "larger", "ignore")


@pytest.mark.parametrize("shape", ["openai", "responses"])
def test_content_policy(shape):
    body = refused(shape, "invalid_request_error", "content policy", "content_policy_violation")
    assert brief(see(shape, 400, body)) == ("content_filter", "never", "never", "ignore")


def test_a_refused_prefill_is_a_bad_request():
    body = refused("anthropic", "invalid_request_error", "This model does not support assistant message prefill.")
    assert brief(see("anthropic", 400, body)) == ("invalid_request", "never", "never", "ignore")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after": "2"}, 2.0),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:02 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 2.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:02 GMT"}, 42.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "999999999"}, None),
    ],
)
def test_every_form_of_retry_after(headers, wait):
    now = 1_795_341_602.0 - 42.0
    found = see("openai", 429, refused("openai", "tokens", code="rate_limit_exceeded"), headers, now=now)
    assert found.wait == wait
    assert found.retry == ("backoff" if wait is None else "announced")


# --- answers that are none ----------------------------------------------------------------------------------------------


def answer(shape, text="Hi.", finish=None):
    kind = SHAPES[shape]
    if kind == "anthropic":
        content = [{"type": "text", "text": text}] if text else []
        usage = {"input_tokens": 1, "output_tokens": 1}
        told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": usage}
        return {**told, "stop_reason": finish or "end_turn", "stop_sequence": None}
    if kind == "gemini":
        content = {"role": "model", "parts": [{"text": text}]} if text else {"role": "model"}
        return {"candidates": [{"content": content, "finishReason": finish or "STOP", "index": 0}]}
    if kind == "responses":
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        return {
            "id": "resp_1",
            "object": "response",
            "model": "m",
            "status": "completed",
            "output": [item] if text else [],
        }
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish or "stop"}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_is_a_success(shape):
    found = see(shape, 200, answer(shape), {"retry-after": "7", "x-should-retry": "true"})
    assert brief(found) == ("success", "never", "never", "success")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("body", [b"", b"<html>ok</html>", b'{"id": "x', b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_what_is_no_answer_gets_one_more_attempt(shape, body):
    found = see(shape, 200, body)
    assert (found.retry, found.failover, found.drains) == ("once", "yes", True)
    assert found.breaker in {"failure", "slow"}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_empty_answer_counts_as_slow(shape):
    assert brief(see(shape, 200, answer(shape, text=""))) == ("empty_answer", "once", "yes", "slow")


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_in_a_good_answer_is_judged_by_what_it_says(shape):
    word = {"anthropic": "overloaded_error", "gemini": "UNAVAILABLE"}.get(shape, "server_error")
    body = refused(shape, word, code="server_is_overloaded", status=503)
    assert brief(see(shape, 200, body)) == ("overloaded", "backoff", "first", "failure")


def test_an_error_of_which_nothing_is_known_gets_one_more_attempt():
    found = see("anthropic", 200, refused("anthropic", "server_error", "upstream failed"))
    assert brief(found) == ("unknown_error", "once", "yes", "failure")


def test_openrouter_tells_of_broken_answers_in_a_choice_or_beside_it():
    provider = openai_compatible("openrouter", "https://openrouter.test/api/v1")
    error = {"code": 502, "message": "Provider disconnected"}
    whole = answer("openai", finish="error")
    beside = {**whole, "error": error}
    inside = {**whole, "choices": [{**whole["choices"][0], "error": error}]}
    for body in (beside, inside, {"error": error}):
        found = classify(provider, status=200, body=json.dumps(body).encode())
        assert brief(found) == ("server", "backoff", "yes", "failure")
    flagged = {"error": {"code": 403, "message": "no", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}}
    assert classify(provider, status=403, body=json.dumps(flagged).encode()).kind == "content_filter"
    # Without an error the finish reason is the model's own end.
    assert classify(provider, status=200, body=json.dumps(whole).encode()).kind == "model_output"


@pytest.mark.parametrize(
    ("shape", "finish", "kind", "failover"),
    [
        ("openai", "length", "length", "never"),
        ("openai", "content_filter", "content_filter", "never"),
        ("anthropic", "max_tokens", "length", "never"),
        ("anthropic", "refusal", "content_filter", "never"),
        ("anthropic", "model_context_window_exceeded", "context_length", "larger"),
        ("gemini", "MAX_TOKENS", "length", "never"),
        ("gemini", "SAFETY", "content_filter", "never"),
        ("gemini", "MALFORMED_FUNCTION_CALL", "model_output", "yes"),
    ],
)
def test_how_an_answer_ended(shape, finish, kind, failover):
    found = see(shape, 200, answer(shape, finish=finish))
    assert (found.kind, found.failover) == (kind, failover)


def test_openrouter_breaks_off_streams_in_a_choice_or_beside_it():
    provider = openai_compatible("openrouter", "https://openrouter.test/api/v1")
    error = {"code": 429, "message": "Rate limited upstream"}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    inside = {**chunk, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": error}]}
    beside = {**chunk, "error": error, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}
    for last in (inside, beside):
        assert classify(provider, status=200, headers=STREAM, body=data(last)).kind == "rate_limit"
        after = classify(provider, status=200, headers=STREAM, body=begin("openai", "Hello") + data(last))
        assert brief(after) == ("interrupted", "never", "yes", "ignore")


def test_a_blocked_prompt_of_gemini_has_no_candidates():
    assert see("gemini", 200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}).kind == "content_filter"


# --- codings ------------------------------------------------------------------------------------------------------------


def test_bodies_are_taken_in_their_coding():
    body = gzip.compress(json.dumps(refused("openai", "insufficient_quota")).encode())
    assert see("openai", 429, body, {"content-encoding": "gzip"}).kind == "quota"
    for broken, coding in ((b"garbage", "gzip"), (body[:-10], "gzip"), (body, "zstd"), (zlib.compress(b"x"), "br")):
        found = see("openai", 200, broken, {"content-encoding": coding})
        assert brief(found) == ("malformed", "once", "yes", "failure")


# --- streams ------------------------------------------------------------------------------------------------------------


def data(*documents):
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


def named(*documents):
    return b"".join(f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode() for document in documents)


def begin(shape, text=None):
    """The first events of a stream, up to `text`; only what goes before content where it is None."""
    kind = SHAPES[shape]
    if kind == "anthropic":
        message = {**answer("anthropic", text=""), "stop_reason": None}
        events = [{"type": "message_start", "message": message}]
        if text:
            block = {"type": "text", "text": ""}
            events += [
                {"type": "content_block_start", "index": 0, "content_block": block},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            ]
        return named(*events)
    if kind == "responses":
        response = {**answer("responses", text=""), "status": "in_progress"}
        events = [{"type": "response.created", "sequence_number": 0, "response": response}]
        if text:
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
            part = {"type": "output_text", "text": "", "annotations": []}
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            events += [
                {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item},
                {"type": "response.content_part.added", "sequence_number": 2, **place, "part": part},
                {"type": "response.output_text.delta", "sequence_number": 3, **place, "delta": text},
            ]
        return named(*events)
    if kind == "gemini":
        return (
            data({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]})
            if text
            else b""
        )
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    first = {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text or ""}}]}
    return data(first)


def broken_off(shape, word, code=None, status=503):
    body = refused(shape, word, "no", code, status)
    if SHAPES[shape] == "anthropic":
        return named({**body, "type": "error"})
    if SHAPES[shape] == "responses":
        return named({"type": "error", "sequence_number": 9, **body})
    return data(body)


STREAM = {"content-type": "text/event-stream"}
OVERLOADED = {"anthropic": "overloaded_error", "gemini": "UNAVAILABLE"}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_before_content_is_what_its_type_says(shape):
    stream = begin(shape) + broken_off(shape, OVERLOADED.get(shape, "server_error"), "server_is_overloaded")
    assert brief(see(shape, 200, stream, STREAM)) == ("overloaded", "backoff", "first", "failure")


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_after_content_interrupts(shape):
    stream = begin(shape, "Hello") + broken_off(shape, OVERLOADED.get(shape, "server_error"), "server_is_overloaded")
    assert brief(see(shape, 200, stream, STREAM)) == ("interrupted", "never", "first", "failure")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_quota_that_ends_within_a_stream_holds_the_key(shape):
    word = {"anthropic": "billing_error", "gemini": "RESOURCE_EXHAUSTED"}.get(shape, "insufficient_quota")
    status = 402 if shape == "gemini" else 429
    stream = begin(shape) + broken_off(shape, word, "insufficient_quota", status)
    found = see(shape, 200, stream, STREAM)
    assert brief(found) == ("quota", "never", "yes", "open")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("start", [None, "Hello"])
def test_a_stream_without_its_end_is_no_success(shape, start):
    found = see(shape, 200, begin(shape, start), STREAM)
    assert found.kind == ("interrupted" if start else "truncated")
    assert (found.breaker, found.drains) == ("failure", True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("body", [b"", b": ping\n\n", b"data: {broken\n\n"])
def test_a_stream_that_says_nothing_gets_one_more_attempt(shape, body):
    found = see(shape, 200, body, STREAM)
    assert (found.retry, found.failover, found.breaker) == ("once", "yes", "failure")


# --- exceptions ---------------------------------------------------------------------------------------------------------

REFUSED = ConnectionRefusedError(111, "Connection refused")
RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    ("exception", "phase", "expected"),
    [
        (REFUSED, "connect", ("connect", "quick", "yes", "failure")),
        (REFUSED, "response", ("connect", "quick", "yes", "failure")),
        (RESET, "connect", ("connect", "quick", "yes", "failure")),
        (RESET, "tls", ("connect", "quick", "yes", "failure")),
        (ssl.SSLEOFError(8, "EOF"), "tls", ("connect", "quick", "yes", "failure")),
        (OSError(113, "No route to host"), "connect", ("connect", "quick", "yes", "failure")),
        (socket.gaierror(-2, "Name or service not known"), "resolve", ("name_resolution", "once", "yes", "failure")),
        (socket.gaierror(-2, "Name or service not known"), "response", ("name_resolution", "once", "yes", "failure")),
        (TimeoutError(), "connect", ("connect_timeout", "once", "yes", "failure")),
        (TimeoutError(), "tls", ("connect_timeout", "once", "yes", "failure")),
        (ssl.SSLCertVerificationError("self-signed"), "tls", ("tls", "never", "never", "ignore")),
        (ssl.SSLError(1, "wrong version number"), "response", ("tls", "never", "never", "ignore")),
        (RESET, "write", ("connection_lost", "backoff", "yes", "failure")),
        (RESET, "headers", ("connection_lost", "backoff", "yes", "failure")),
        (RESET, "body", ("connection_lost", "backoff", "yes", "failure")),
        (RESET, "first_token", ("connection_lost", "backoff", "yes", "failure")),
        (RESET, "stream", ("interrupted", "never", "yes", "failure")),
        (BrokenPipeError(32, "Broken pipe"), "write", ("connection_lost", "backoff", "yes", "failure")),
        (TimeoutError(), "headers", ("first_token_timeout", "never", "yes", "slow")),
        (TimeoutError(), "first_token", ("first_token_timeout", "never", "yes", "slow")),
        (TimeoutError(), "stream", ("interrupted", "never", "yes", "failure")),
        (zlib.error("bad"), "body", ("malformed", "once", "yes", "failure")),
        (json.JSONDecodeError("bad", "x", 0), "body", ("malformed", "once", "yes", "failure")),
        (MalformedBody("choices", "an array"), "response", ("malformed", "once", "yes", "failure")),
        (MalformedBody("choices", "an array"), "stream", ("interrupted", "never", "yes", "failure")),
        (HttpConnectError("x", phase="connect"), "connect", ("connect", "quick", "yes", "failure")),
        (HttpTLSError("x", phase="tls"), "tls", ("tls", "never", "never", "ignore")),
        (HttpTimeout("x", phase="headers", sent=True), "headers", ("first_token_timeout", "never", "yes", "slow")),
        (HttpClosed("x", phase="body", sent=True), "stream", ("interrupted", "never", "yes", "failure")),
        (asyncio.CancelledError(), "headers", ("cancelled", "never", "never", "ignore")),
        (asyncio.CancelledError(), "stream", ("cancelled", "never", "never", "ignore")),
        (KeyboardInterrupt(), "response", ("cancelled", "never", "never", "ignore")),
        (GeneratorExit(), "stream", ("cancelled", "never", "never", "ignore")),
        (DeadlineExceeded("late"), "headers", ("deadline", "never", "never", "ignore")),
        (CircuitOpen("open"), "response", ("circuit_open", "never", "yes", "ignore")),
        (KeyError("bug"), "response", ("internal", "never", "never", "ignore")),
    ],
    ids=repr,
)
def test_what_was_raised(exception, phase, expected):
    for name in PROVIDERS:
        assert brief(classify(name, phase=phase, exception=exception)) == expected


def raised_by(library):
    request = library.Request("POST", "https://x.test/")
    verify = library.ConnectError("certificate")
    verify.__cause__ = ssl.SSLCertVerificationError("self-signed")
    cut = library.ConnectError("cut")
    cut.__cause__ = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    name = library.ConnectError("no name")
    name.__cause__ = socket.gaierror(-2, "Name or service not known")
    return [
        (library.ConnectError("refused"), ("connect", "quick", "yes", "failure")),
        (verify, ("tls", "never", "never", "ignore")),
        (cut, ("connect", "quick", "yes", "failure")),
        (name, ("name_resolution", "once", "yes", "failure")),
        (library.ConnectTimeout("x"), ("connect_timeout", "once", "yes", "failure")),
        (library.ReadTimeout("x"), ("first_token_timeout", "never", "yes", "slow")),
        (library.WriteTimeout("x"), ("first_token_timeout", "never", "yes", "slow")),
        (library.PoolTimeout("x"), ("connect_timeout", "once", "yes", "failure")),
        (library.ReadError("x"), ("connection_lost", "backoff", "yes", "failure")),
        (library.WriteError("x"), ("connection_lost", "backoff", "yes", "failure")),
        (library.RemoteProtocolError("Server disconnected without sending a response."), ("connection_lost", "backoff", "yes", "failure")),
        (library.RemoteProtocolError("illegal status line"), ("malformed", "once", "yes", "failure")),
        (library.DecodingError("bad gzip", request=request), ("malformed", "once", "yes", "failure")),
        (library.ProxyError("407 Proxy Authentication Required"), ("proxy_credentials", "never", "never", "ignore")),
        (library.ProxyError("502 Bad Gateway"), ("connect", "quick", "yes", "failure")),
    ]  # fmt: skip


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
def test_errors_of_the_http_libraries(library):
    for exception, expected in raised_by(library):
        assert brief(classify("openai", exception=exception)) == expected, exception


# --- the function itself ------------------------------------------------------------------------------------------------


def test_a_proxy_that_wants_credentials_is_told_from_one_that_fails():
    wire = Wire()
    with pytest.raises(HttpProxyDenied, match="407"):
        wire.check_proxy_answer(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    with pytest.raises(HttpConnectError) as caught:
        wire.check_proxy_answer(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    assert type(caught.value) is HttpConnectError


def test_a_provider_that_is_not_built_in_is_given_as_an_object():
    provider = openai_compatible("local", "http://localhost:8000/v1")
    assert classify(provider, status=503).kind == "overloaded"
    assert classify(get_provider("groq"), status=498).kind == "capacity"


@pytest.mark.parametrize("wrong", [{"phase": "lunch"}, {"dialect": "french"}])
def test_what_it_cannot_take_is_named(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong.values()))) as caught:
        classify("openai", status=500, **wrong)
    assert caught.value.field in wrong


def test_an_unknown_provider_is_named():
    with pytest.raises(ConfigurationError, match="nobody"):
        classify("nobody", status=500)


def test_nothing_seen_is_nothing_wrong():
    assert classify("openai").kind == "success"


def test_it_is_pure():
    arguments = {"status": 429, "headers": {"retry-after": "2"}, "body": b'{"error": {"message": "x"}}'}
    assert classify("openai", **arguments) == classify("openai", **arguments)


@given(
    name=st.sampled_from(PROVIDERS),
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(
            ["retry-after", "retry-after-ms", "date", "content-type", "content-encoding", "x-should-retry"]
        ),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
        | st.sampled_from(["text/event-stream", "gzip", "true", "false", "3", "-1"]),
    ),
    body=st.binary(max_size=200)
    | st.sampled_from([b'{"error": {"message": "x", "code": 429}}', b"data: [DONE]\n\n", b'data: {"error": {}}\n\n']),
    phase=st.sampled_from(["response", "first_token", "stream"]),
)
def test_whatever_comes_there_is_a_verdict(name, status, headers, body, phase):
    found = classify(name, status=status, headers=headers, body=body, phase=phase)
    assert found.wait is None or 0 <= found.wait <= 31 * 86400
    if not 200 <= status < 300:
        assert found.breaker != "success"
