"""Whatever a server does, the caller gets one answer or one error of the tree, and the books balance."""

from __future__ import annotations

import pytest

from aistrale.errors import (
    AistraleError,
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterrupted,
)

GOOD = "The quick brown fox jumps over \u00fcber the lazy dog."
# Faults of what is said, not of how it is carried.
OF_FORMATS = {
    "ok", "empty_200", "empty_object", "html_200", "cut_json", "deep_json", "bad_utf8", "empty_answer", "no_choices",
    "sse_no_done", "sse_error", "sse_empty", "sse_bad_json", "sse_after_done", "sse_no_usage", "http", "overloaded",
}  # fmt: skip
COLOURS = ("sync", "asyncio", "trio")
MODELS = {"openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-4-5", "gemini": "gemini/gemini-2.5-flash"}

# What a plain call and a stream come to: the good answer, or an error. A stream that had begun is interrupted.
FAULTS = [
    ("ok", GOOD, GOOD),
    ("rst_before_response", NetworkError, NetworkError),
    ("fin_before_response", NetworkError, NetworkError),
    ("rst_mid_headers", NetworkError, NetworkError),
    ("fin_mid_headers", NetworkError, NetworkError),
    ("rst_mid_body", NetworkError, NetworkError),
    ("fin_mid_body", NetworkError, NetworkError),
    ("bad_chunk_len", NetworkError, NetworkError),
    ("negative_chunk_len", NetworkError, NetworkError),
    ("huge_chunk_len", NetworkError, AistraleError),
    ("chunk_too_short", NetworkError, NetworkError),
    ("two_content_lengths", NetworkError, NetworkError),
    ("bad_status_line", NetworkError, NetworkError),
    ("binary_garbage", NetworkError, NetworkError),
    ("bad_header", NetworkError, NetworkError),
    ("http10_close", GOOD, GOOD),
    ("http10_truncated", AistraleError, AistraleError),
    ("info_100_then_ok", GOOD, GOOD),
    ("switching_101", AistraleError, AistraleError),
    ("huge_header", NetworkError, NetworkError),
    ("redirect_loop", AistraleError, AistraleError),
    ("redirect_away", AistraleError, AistraleError),
    ("garbage_gzip", NetworkError, NetworkError),
    ("truncated_gzip", NetworkError, NetworkError),
    ("gzip_bomb", NetworkError, NetworkError),
    ("unknown_encoding", NetworkError, NetworkError),
    ("empty_200", ResponseError, ResponseError),
    ("empty_object", ResponseError, ResponseError),
    ("html_200", ResponseError, ResponseError),
    ("cut_json", ResponseError, ResponseError),
    ("deep_json", ResponseError, ResponseError),
    ("bad_utf8", ResponseError, ResponseError),
    ("error_in_200", ServerError, ServerError),
    ("empty_answer", ResponseError, ResponseError),
    ("no_choices", ResponseError, ResponseError),
    ("huge_body:size=70000000", NetworkError, NetworkError),
    ("sse_no_done", None, StreamInterrupted),
    ("sse_error:after=0", None, AistraleError),
    ("sse_error:after=4", None, StreamInterrupted),
    ("sse_empty", None, ResponseError),
    ("sse_done_only", None, ResponseError),
    ("sse_bad_json", None, StreamInterrupted),
    ("sse_bad_json:after=0", None, ResponseError),
    ("sse_split_bytes", None, GOOD),
    ("sse_crlf", None, GOOD),
    ("sse_crlf:eol=cr", None, GOOD),
    ("sse_multiline_data", None, GOOD),
    ("sse_after_done", None, GOOD),
    ("sse_no_usage", None, GOOD),
    ("sse_as_json", None, GOOD),
    ("http:status=401", AuthenticationError, AuthenticationError),
    ("http:status=403", PermissionDeniedError, PermissionDeniedError),
    ("http:status=404", ModelNotFoundError, ModelNotFoundError),
    ("http:status=413", InvalidRequestError, InvalidRequestError),
    ("http:status=422", InvalidRequestError, InvalidRequestError),
    ("http:status=402", QuotaExceededError, QuotaExceededError),
    ("http:status=418", AistraleError, AistraleError),
    ("http:status=500", ServerError, ServerError),
    ("http:status=503", AistraleError, AistraleError),
    ("rate_limit", RateLimitError, RateLimitError),
    ("overloaded", OverloadedError, OverloadedError),
    ("bad_gateway_html", ServerError, ServerError),
    ("bad_gateway_html:status=503", AistraleError, AistraleError),
    ("context_length", ContextLengthError, ContextLengthError),
    ("content_policy", AistraleError, AistraleError),
]


CASES = [
    pytest.param(
        fault, stream if streamed else plain, provider, colour, streamed, id=f"{colour}-{provider}-{fault}-{kind}"
    )
    for fault, plain, stream in FAULTS
    for provider in MODELS
    for colour in COLOURS
    for streamed, kind in ((False, "plain"), (True, "stream"))
    if (stream if streamed else plain) is not None
    # One format in all colours, the others where it is the format that matters.
    if provider == "openai" or (colour == "sync" and fault.partition(":")[0] in OF_FORMATS)
    # The end of a Gemini stream is the end of its body.
    if (fault, provider) != ("sse_after_done", "gemini")
]


@pytest.mark.parametrize(("fault", "expected", "provider", "colour", "streamed"), CASES)
def test_every_fault(faults, face, balance, no_leak, fault, expected, provider, colour, streamed):  # noqa: PLR0917
    with no_leak():
        asked = face(colour, streamed, **faults.settings(fault), retry=False, timeout=20.0)
        seen = asked.ask(model=MODELS[provider])
        asked.client.close()
    assert seen.tasks == []
    (call,), (attempts,) = balance(asked.client)
    assert len(attempts) == 1
    if isinstance(expected, str):
        assert seen.error is None, seen.error
        assert seen.text == seen.completion.text == expected
        assert call.outcome == attempts[0].outcome == "success"
        return
    assert isinstance(seen.error, expected), repr(seen.error)
    assert provider in str(seen.error)
    assert "canary" not in str(seen.error)
    assert len(str(seen.error)) < 1500
    assert call.error == attempts[0].error == type(seen.error).__name__
    outcome = "interrupted" if isinstance(seen.error, StreamInterrupted) else "error"
    assert call.outcome == attempts[0].outcome == outcome
