"""Verdicts on errors: the table of documented shapes. All bodies here are synthetic; recorded ones follow elsewhere."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import chat_dialect
from aistrale.errors import (
    APIError,
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from aistrale.providers import PROVIDERS, get_provider
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.providers.secret import Secret
from aistrale.providers.verdict import MESSAGE_LIMIT, api_error, scrub
from aistrale.providers.wordings import INFERENCE_SERVERS
from aistrale.types import ErrorInfo


def openai_body(type_=None, code=None, message="no"):
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic_body(type_, error_code=None, message="no"):
    details = {"details": {"error_code": error_code}} if error_code else {}
    return {"type": "error", "error": {"type": type_, "message": message, **details}, "request_id": "req_1"}


def google_body(code, status, *details, message="no"):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def error_info(reason):
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota_failure(quota):
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}

TPM = "Request too large for gpt-6 on tokens per min (TPM): Limit 30000, Requested 40000."
SPENT = "You have reached your specified API usage limits."
LONG = "prompt is too long: 210000 tokens > 200000 maximum"

OPENAI = [
    (400, openai_body("invalid_request_error"), InvalidRequestError),
    (400, openai_body("invalid_request_error", "unsupported_parameter"), InvalidRequestError),
    (400, openai_body("invalid_request_error", "context_length_exceeded"), ContextLengthError),
    (400, openai_body("invalid_request_error", "content_policy_violation"), ContentFilterError),
    (400, openai_body(None, "content_filter"), ContentFilterError),
    (400, openai_body("invalid_request_error", "model_not_found"), ModelNotFoundError),
    (401, openai_body("invalid_request_error", "invalid_api_key"), AuthenticationError),
    (401, openai_body("invalid_request_error", "server_error"), AuthenticationError),
    (403, openai_body("request_forbidden", "unsupported_country_region_territory"), PermissionDeniedError),
    (403, openai_body(), PermissionDeniedError),
    (404, openai_body("invalid_request_error", "model_not_found"), ModelNotFoundError),
    (408, openai_body(), ServerError),
    (409, openai_body(), ServerError),
    (422, openai_body(), InvalidRequestError),
    (429, openai_body("requests", "rate_limit_exceeded"), RateLimitError),
    (429, openai_body("tokens", "rate_limit_exceeded"), RateLimitError),
    (429, openai_body("insufficient_quota", "insufficient_quota"), QuotaExceededError),
    (429, openai_body("billing_not_active", "billing_not_active"), QuotaExceededError),
    (500, openai_body("server_error"), ServerError),
    (502, openai_body(), ServerError),
    (503, openai_body("server_error"), OverloadedError),
    (429, openai_body("rate_limit_error", "slow_down"), RateLimitError),
    (503, openai_body(None, "slow_down"), RateLimitError),
    (None, openai_body(None, "slow_down"), RateLimitError),
    (503, openai_body("service_unavailable_error", "server_is_overloaded"), OverloadedError),
    (None, openai_body(None, "server_is_overloaded"), OverloadedError),
    (429, openai_body("insufficient_quota", "credit_balance_exhausted"), QuotaExceededError),
    (429, openai_body("insufficient_quota", "project_spend_limit_exceeded"), QuotaExceededError),
    (429, openai_body(None, "organization_spend_limit_exceeded"), QuotaExceededError),
    (429, openai_body(None, "organization_usage_limit_exceeded"), QuotaExceededError),
    (None, openai_body(None, "organization_usage_limit_exceeded"), QuotaExceededError),
    (429, openai_body("tokens", "rate_limit_exceeded", TPM), ContextLengthError),
    (None, openai_body("tokens", "rate_limit_exceeded", TPM), ContextLengthError),
    (429, openai_body("tokens", "rate_limit_exceeded", "Rate limit reached for m: " + TPM), RateLimitError),
    (429, openai_body("requests", "rate_limit_exceeded", TPM), RateLimitError),
    (504, openai_body(), ServerError),
    (418, openai_body(), APIError),
]
ANTHROPIC = [
    (400, anthropic_body("invalid_request_error"), InvalidRequestError),
    (400, anthropic_body("invalid_request_error", "organization_on_hold"), PermissionDeniedError),
    (400, anthropic_body("invalid_request_error", message=SPENT), QuotaExceededError),
    (
        400,
        anthropic_body("invalid_request_error", message=f"{SPENT} You will regain access on 2026-12-01"),
        QuotaExceededError,
    ),
    (400, anthropic_body("invalid_request_error", message=SPENT.replace("API", "workspace API")), QuotaExceededError),
    (400, anthropic_body("invalid_request_error", message=f"messages.0: {SPENT}"), InvalidRequestError),
    (400, anthropic_body("not_found_error", message=SPENT), ModelNotFoundError),
    (403, anthropic_body("invalid_request_error", message=SPENT), PermissionDeniedError),
    (
        400,
        anthropic_body("invalid_request_error", message="Your credit balance is too low to access the Anthropic API."),
        QuotaExceededError,
    ),
    (400, anthropic_body("invalid_request_error", message=LONG), ContextLengthError),
    (None, anthropic_body("invalid_request_error", message=LONG), ContextLengthError),
    (400, anthropic_body("invalid_request_error", message=f"tools.0: {LONG}"), InvalidRequestError),
    (
        400,
        anthropic_body(
            "invalid_request_error",
            message="input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease one of them",
        ),
        ContextLengthError,
    ),
    (400, anthropic_body("invalid_request_error", message="This model does not support prefill."), InvalidRequestError),
    (429, anthropic_body("insufficient_quota"), QuotaExceededError),
    (401, anthropic_body("insufficient_quota"), AuthenticationError),
    (401, anthropic_body("authentication_error"), AuthenticationError),
    (402, anthropic_body("billing_error"), QuotaExceededError),
    (402, anthropic_body("billing_error", "linked_organization_spend_limit_reached"), QuotaExceededError),
    (403, anthropic_body("permission_error"), PermissionDeniedError),
    (404, anthropic_body("not_found_error"), ModelNotFoundError),
    (404, anthropic_body("not_found_error", "file_expired"), InvalidRequestError),
    (409, anthropic_body("conflict_error"), ServerError),
    (413, anthropic_body("request_too_large"), InvalidRequestError),
    (429, anthropic_body("rate_limit_error"), RateLimitError),
    (429, anthropic_body("rate_limit_error", "enforced_spend_limit_reached"), QuotaExceededError),
    (429, anthropic_body("rate_limit_error", "contract_spend_limit_reached"), QuotaExceededError),
    (429, anthropic_body("rate_limit_error", "ramp_limit_exceeded"), RateLimitError),
    (500, anthropic_body("api_error"), ServerError),
    (500, anthropic_body("overloaded_error"), OverloadedError),
    (503, anthropic_body("api_error", "cmek_key_unreachable"), ServerError),
    (504, anthropic_body("timeout_error"), ServerError),
    (529, anthropic_body("overloaded_error"), OverloadedError),
    # In a stream there is no status but what the type stands for.
    (None, anthropic_body("overloaded_error"), OverloadedError),
    (None, anthropic_body("rate_limit_error"), RateLimitError),
    (None, anthropic_body("invented_error"), APIError),
]
GEMINI = [
    (400, google_body(400, "INVALID_ARGUMENT"), InvalidRequestError),
    (
        400,
        google_body(
            400,
            "INVALID_ARGUMENT",
            message="The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
        ),
        ContextLengthError,
    ),
    (
        400,
        google_body(
            400,
            "INVALID_ARGUMENT",
            message="Unable to submit request because the input token count is 32769 but model only supports up to 32768.",
        ),
        ContextLengthError,
    ),
    (400, google_body(400, "INVALID_ARGUMENT", message="In `a`: The input token count exceeds"), InvalidRequestError),
    (
        500,
        google_body(500, "INTERNAL", message="The input token count exceeds the maximum number of tokens allowed 1"),
        ServerError,
    ),
    (400, google_body(400, "INVALID_ARGUMENT", error_info("API_KEY_INVALID")), AuthenticationError),
    (400, google_body(400, "FAILED_PRECONDITION"), PermissionDeniedError),
    (401, google_body(401, "UNAUTHENTICATED"), AuthenticationError),
    (402, google_body(402, "RESOURCE_EXHAUSTED"), QuotaExceededError),
    (403, google_body(403, "PERMISSION_DENIED"), PermissionDeniedError),
    (403, google_body(403, "PERMISSION_DENIED", error_info("SERVICE_DISABLED")), PermissionDeniedError),
    (403, google_body(403, "PERMISSION_DENIED", error_info("BILLING_DISABLED")), QuotaExceededError),
    (404, google_body(404, "NOT_FOUND"), ModelNotFoundError),
    (429, google_body(429, "RESOURCE_EXHAUSTED", RETRY_INFO), RateLimitError),
    (
        429,
        google_body(429, "RESOURCE_EXHAUSTED", quota_failure("RequestsPerMinute-FreeTier"), RETRY_INFO),
        RateLimitError,
    ),
    (
        429,
        google_body(429, "RESOURCE_EXHAUSTED", quota_failure("RequestsPerDay-FreeTier"), RETRY_INFO),
        QuotaExceededError,
    ),
    (500, google_body(500, "INTERNAL"), ServerError),
    (503, google_body(503, "UNAVAILABLE"), OverloadedError),
    (503, [google_body(503, "UNAVAILABLE")], OverloadedError),
    (504, google_body(504, "DEADLINE_EXCEEDED"), ServerError),
    (None, google_body(503, "UNAVAILABLE"), OverloadedError),
]
GROQ = [
    (400, openai_body("invalid_request_error", "tool_use_failed"), ResponseError),
    (400, openai_body("invalid_request_error", "json_validate_failed"), ResponseError),
    (400, openai_body("invalid_request_error", "model_decommissioned"), ModelNotFoundError),
    (400, openai_body("invalid_request_error"), InvalidRequestError),
    (401, openai_body("invalid_request_error", "invalid_api_key"), AuthenticationError),
    (404, openai_body("invalid_request_error", "model_not_found"), ModelNotFoundError),
    (413, openai_body("tokens", "rate_limit_exceeded"), ContextLengthError),
    (413, openai_body("invalid_request_error", "request_too_large"), InvalidRequestError),
    (424, openai_body(), ServerError),
    (429, openai_body("tokens", "rate_limit_exceeded"), RateLimitError),
    (498, openai_body("invalid_request_error", "capacity_exceeded"), OverloadedError),
    (498, {}, OverloadedError),
    (503, openai_body("internal_server_error"), OverloadedError),
]
HUGGINGFACE = [
    (400, {"error": "Bad request"}, InvalidRequestError),
    (401, {"error": "Invalid credentials in Authorization header"}, AuthenticationError),
    (402, {"error": "You have used up your monthly included credits"}, QuotaExceededError),
    (403, {"error": "This token may not call Inference Providers"}, PermissionDeniedError),
    (404, {"error": "Model not found"}, ModelNotFoundError),
    (400, openai_body("invalid_request_error", "model_not_supported"), ModelNotFoundError),
    (422, {"error": "Input validation error", "error_type": "validation"}, InvalidRequestError),
    (424, {"error": "Request failed during generation", "error_type": "generation"}, ServerError),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, OverloadedError),
    (429, {"error": "Too many requests"}, RateLimitError),
    (500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}, ServerError),
    (503, {"error": "Model a/b is currently loading", "estimated_time": 20.0}, ModelLoadingError),
    (503, {"error": "Model a/b is currently loading"}, OverloadedError),
    (503, {"error": "Model a/b is currently loading", "estimated_time": True}, OverloadedError),
    (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
            "error_type": "validation",
        },
        ContextLengthError,
    ),
    (
        422,
        {"error": {"message": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"}},
        ContextLengthError,
    ),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 8192 tokens. However,",
            "type": "BadRequestError",
            "code": 400,
        },
        ContextLengthError,
    ),
    (
        400,
        openai_body("invalid_request_error", None, "This model's maximum context length is 131072 tokens."),
        ContextLengthError,
    ),
    (503, {"error": ["Service Unavailable"]}, OverloadedError),
    (504, {}, ServerError),
    (None, {"error": "Model is overloaded", "error_type": "overloaded"}, OverloadedError),
]
TABLE = [
    *(("openai", *row) for row in OPENAI),
    *(("anthropic", *row) for row in ANTHROPIC),
    *(("gemini", *row) for row in GEMINI),
    *(("groq", *row) for row in GROQ),
    *(("huggingface", *row) for row in HUGGINGFACE),
]


@pytest.mark.parametrize(("name", "status", "body", "expected"), TABLE)
def test_documented_errors(name, status, body, expected):
    provider = get_provider(name)
    info = chat_dialect(provider.dialect).decode_error(status, {}, json.dumps(body).encode())
    assert provider.classify(info) is expected


OPENROUTER = [
    (402, {"code": 402, "message": "no"}, QuotaExceededError),
    (402, {"code": 402, "message": "no", "metadata": {"limit_source": "openrouter_in_flight_budget"}}, RateLimitError),
    (402, {"code": 402, "message": "no", "metadata": {"limit_source": "openrouter_credits"}}, QuotaExceededError),
    (403, {"code": 403, "message": "no", "metadata": {"limit_source": "openrouter_key_limit"}}, QuotaExceededError),
    (403, {"code": 403, "message": "no", "metadata": {"reasons": ["violence"]}}, ContentFilterError),
    (403, {"code": 403, "message": "no", "metadata": {"flagged_input": "some words"}}, ContentFilterError),
    (403, {"code": 403, "message": "no", "metadata": {"limit_source": "else"}}, PermissionDeniedError),
    (403, {"code": 403, "message": "no", "metadata": ["odd"]}, PermissionDeniedError),
    (200, {"code": 502, "message": "The model is down"}, ServerError),
    (200, {"code": 429, "message": "no"}, RateLimitError),
    (200, {"code": 402, "message": "no"}, QuotaExceededError),
    (503, {"code": 503, "message": "Loading model", "type": "unavailable_error"}, ModelLoadingError),
]


@pytest.mark.parametrize(("status", "error", "expected"), OPENROUTER)
def test_documented_errors_of_servers_that_speak_the_chat_format(status, error, expected):
    provider = openai_compatible("openrouter", "https://openrouter.test/api/v1")
    info = chat_dialect("openai_chat").decode_error(status, {}, json.dumps({"error": error}).encode())
    assert provider.classify(info) is expected


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[]", b"null", b'{"error":null}'])
@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, AuthenticationError), (429, RateLimitError), (500, ServerError), (502, ServerError), (503, OverloadedError)],
)
def test_a_body_that_says_nothing_leaves_it_to_the_status(name, body, status, expected):
    provider = get_provider(name)
    info = chat_dialect(provider.dialect).decode_error(status, {}, body)
    assert provider.classify(info) is expected


WORDS = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.sampled_from(["insufficient_quota", "server_error", "overloaded_error", "UNAVAILABLE", "capacity_exceeded"]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "details", "violations", "reason", "quotaId", "error_type"]), inner)
    ),
    max_leaves=12,
)


INFOS = st.builds(
    ErrorInfo,
    st.one_of(st.none(), st.integers(100, 999)),
    type=WORDS,
    code=WORDS,
    kind=st.sampled_from(["unknown", "quota", "server", "context_length", "invalid_request", "overloaded"]),
    message=st.text(max_size=50) | st.sampled_from([SPENT, LONG, TPM]),
    body=JSON,
)


@given(st.sampled_from(PROVIDERS), INFOS)
def test_whatever_comes_there_is_a_class(name, info):
    found = get_provider(name).classify(info)
    assert issubclass(found, APIError)
    if info.status in {401, 402}:
        assert found in {AuthenticationError, QuotaExceededError}
    if info.status == 503:
        assert issubclass(found, (OverloadedError, ServerError, QuotaExceededError))


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("name", "status", "body", "resets", "per_model", "wait"),
    [
        ("anthropic", 400, f"{SPENT} You will regain access on 2026-12-01 at 06:30 UTC.", "2026-12-01T06:30", False, 757_800),
        ("anthropic", 400, f"{SPENT} You will regain access on 2026-12-01", "2026-12-01T00:00", False, 734_400),
        ("anthropic", 400, f"{SPENT} You will regain access on 2026-11-01 at 00:00 UTC.", "2026-11-01T00:00", False, 0),
        # Too far away to be a wait, and no day at all.
        ("anthropic", 400, f"{SPENT} You will regain access on 2046-12-01 at 00:00 UTC.", "2046-12-01T00:00", False, None),
        ("anthropic", 400, f"{SPENT} You will regain access on 2026-13-41 at 00:00 UTC.", None, False, None),
        ("anthropic", 400, SPENT, None, False, None),
        ("gemini", 429, quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), None, True, 34.4),
        ("gemini", 429, quota_failure("GenerateRequestsPerDayPerProject-FreeTier"), None, False, 34.4),
        ("openrouter", 403, "2026-11-23T00:00:00Z", "2026-11-23T00:00", False, 43_200),
        ("openrouter", 403, "2026-11-23T02:00:00+02:00", "2026-11-23T00:00", False, 43_200),
        ("openrouter", 403, "2026-11-23T00:00:00", "2026-11-23T00:00", False, 43_200),
        ("openrouter", 403, "0001-01-01T00:00:00+14:00", None, False, None),
        ("openrouter", 403, "tomorrow", None, False, None),
        ("openrouter", 403, None, None, False, None),
    ],
)  # fmt: skip
def test_when_a_quota_is_renewed(name, status, body, resets, per_model, wait):  # noqa: PLR0917
    if name == "anthropic":
        provider, body = get_provider(name), anthropic_body("invalid_request_error", message=body)
    elif name == "gemini":
        provider, body = get_provider(name), google_body(429, "RESOURCE_EXHAUSTED", body, RETRY_INFO)
    else:
        provider = openai_compatible("openrouter", "https://openrouter.test/api/v1")
        body = {
            "error": {
                "code": 403,
                "message": "no",
                "metadata": {"limit_source": "openrouter_key_limit", "resets_at": body},
            }
        }
    info = chat_dialect(provider.dialect).decode_error(status, {}, json.dumps(body).encode())
    error = api_error(info, provider, now=NOW)
    assert type(error) is QuotaExceededError
    assert error.resets_at == (None if resets is None else datetime.fromisoformat(f"{resets}+00:00"))
    assert error.per_model is per_model
    assert error.retry_after == wait
    # Without a clock the date stands, and no wait is made up.
    assert api_error(info, provider).resets_at == error.resets_at


@given(st.text(alphabet="Youhavereachdspcifd APIglmt.0123456789-:Ton", max_size=2000))
def test_no_text_breaks_the_reading_of_a_spend_limit(text):
    info = ErrorInfo(400, SPENT + text, "invalid_request_error")
    error = api_error(info, get_provider("anthropic"), now=NOW)
    assert type(error) is QuotaExceededError
    assert error.retry_after is None or error.retry_after >= 0


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf"), 1e9, 31 * 86400 + 1])
def test_a_wait_that_cannot_be_meant_is_none(wait):
    assert api_error(ErrorInfo(429, retry_after=wait), get_provider("openai")).retry_after is None


@pytest.mark.parametrize("provider", [*PROVIDERS, "openai_compatible"])
def test_wordings_are_anchored_and_quick(provider):
    module = import_module(f"aistrale.providers.{provider}")
    wordings = getattr(module, "WORDINGS", INFERENCE_SERVERS)
    for wording in wordings if provider != "groq" else ():
        for text in ("9" * 1_000_000, "prompt is too long: " + "1" * 1_000_000, SPENT + " " * 1_000_000):
            start = time.process_time()
            wording.match(ErrorInfo(wording.status, text, wording.word))
            assert time.process_time() - start < 0.05
        quoted = f"In your prompt: {wording.pattern.pattern}"
        assert wording.match(ErrorInfo(wording.status, quoted, wording.word)) is None


KEYS = [
    "sk-proj-Ab12Cd34Ef56Gh78Ij90",
    "sk-ant-api03-AAAA_bbbb-CCCC",
    "gsk_abcdefghijklmnop1234",
    "hf_AbCdEfGhIjKlMnOpQr",
    "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123",
    "ya29.a0AfH6SMB-secret_token",
    "bad-key-**********test",
    "<not-a-r****key>",
]


@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_removed(key):
    said = scrub(f"Incorrect value {key} given; see https://example.test/keys")
    assert key.strip("<>") not in said
    assert "[key]" in said
    assert "https://example.test/keys" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Incorrect API key provided: invalid-key. Go on.", "Incorrect API key provided: [key] Go on."),
        ("GET https://x.test/v1?key=abc123&alt=sse failed", "GET https://x.test/v1?key=[key]&alt=sse failed"),
        ("header Authorization: Bearer abcd1234 refused", "header Authorization: Bearer [key] refused"),
        ("  two\n lines\tand\x00 more ", "two lines and more"),
        ("risk-averse-investors task-force-leader sky-blue", "risk-averse-investors task-force-leader sky-blue"),
        ("", ""),
    ],
)
def test_scrubbing(text, expected):
    assert scrub(text) == expected


@given(st.text(alphabet="abcXYZ019-_ .", min_size=8, max_size=40), st.text(max_size=400), st.text(max_size=400))
def test_the_configured_key_never_passes(key, before, after):
    said = scrub(f"{before}{key}{after}", [Secret(key)])
    assert key not in said or key in "[key]"
    assert len(said) <= MESSAGE_LIMIT
    assert "\n" not in said


@pytest.mark.parametrize("unit", ["a", "*", "a*", "**a", "sk-", "eyJ", "key=", "Bearer ", " ", "AIza"])
def test_scrubbing_takes_time_in_proportion(unit):
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    assert len(scrub(text)) <= MESSAGE_LIMIT
    assert time.process_time() - start < 0.5


def test_a_key_that_the_cut_would_hit_is_removed_before_it():
    key = "Kdf83hfKd93jfZqp"
    said = scrub("x" * (MESSAGE_LIMIT - 6) + key, [key])
    assert key[:5] not in said


def test_the_exception_has_everything_and_no_key():
    key = "my-odd-canary-key"
    info = ErrorInfo(
        401,
        message=f"Wrong key {key}\nsent",
        type="invalid_request_error",
        code="invalid_api_key",
        param="authorization",
        request_id="req_7",
        retry_after=1.5,
        should_retry=False,
    )
    error = api_error(info, get_provider("openai"), target="openai/gpt-6-sol", attempt=2, secrets=[Secret(key)])
    assert type(error) is AuthenticationError
    assert (error.status, error.code, error.param, error.request_id) == (
        401,
        "invalid_api_key",
        "authorization",
        "req_7",
    )
    assert (error.provider, error.target, error.attempt) == ("openai", "openai/gpt-6-sol", 2)
    assert (error.retry_after, error.should_retry) == (1.5, False)
    assert error.message == "openai answered: Wrong key [key] sent"
    assert "OPENAI_API_KEY" in str(error)
    assert "canary" not in str(error) + repr(error)


def test_keys_in_other_fields_are_removed_too():
    key = "my-odd-canary-key"
    info = ErrorInfo(400, code=key, param=f"x.{key}", request_id=key)
    error = api_error(info, get_provider("openai"), secrets=[key])
    assert "canary" not in str(error) + repr(vars(error))


def test_an_error_without_words_says_so():
    error = api_error(ErrorInfo(500), get_provider("groq"))
    assert type(error) is ServerError
    assert "no message" in error.message


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_class_says_what_to_do_next(name):
    provider = get_provider(name)
    infos = [ErrorInfo(status) for status in (400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)]
    infos += [ErrorInfo(400, kind="context_length"), ErrorInfo(400, kind="content_filter")]
    for info in infos:
        error = api_error(info, provider)
        assert error.hint, type(error)
        assert error.hint.endswith(".")
