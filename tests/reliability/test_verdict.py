"""What errors mean: every row of the table, from the errors that the engine raises."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale import errors
from aistrale.core.exchange import (
    HttpClosed,
    HttpConnectError,
    HttpDecodeError,
    HttpProtocolError,
    HttpProxyDenied,
    HttpTooLarge,
)
from aistrale.errors import (
    AccessDenied,
    AistraleError,
    AllTargetsFailed,
    APIError,
    AttemptTimeout,
    AuthenticationError,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    DecryptionError,
    DLPViolation,
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    NetworkError,
    OutputValidationError,
    OverloadedError,
    PermissionDeniedError,
    QueueFull,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    RedactionError,
    ResidencyError,
    ResponseError,
    ServerError,
    StreamInterrupted,
    Suspended,
    TLSError,
    VaultFull,
)
from aistrale.reliability import verdict
from aistrale.reliability.verdict import Verdict, judge


def caused(error, cause):
    error.__cause__ = cause
    return error


def quota(*, resets=None, per_model=False, **facts):
    error = QuotaExceededError("no credit", **facts)
    error.resets_at, error.per_model = resets, per_model
    return error


CLOSED = HttpClosed("gone", phase="headers", sent=True)

# Each row: the error, then kind, retry, failover and breaker, and whether it costs the retry budget.
ROWS = [
    # Never sent.
    (ConnectError("refused", phase="connect"), "connect", "quick", "yes", "failure", True),
    (ConnectError("reset in the handshake", phase="tls"), "connect", "quick", "yes", "failure", True),
    (
        caused(NetworkError("reset", phase="write", sent=False), HttpClosed("x", phase="write")),
        "connect",
        "quick",
        "yes",
        "failure",
        True,
    ),
    (ConnectError("no such name", phase="resolve"), "name_resolution", "once", "yes", "failure", True),
    (AttemptTimeout("slow", phase="connect", clock="connect"), "connect_timeout", "once", "yes", "failure", True),
    (AttemptTimeout("slow", phase="tls"), "connect_timeout", "once", "yes", "failure", True),
    # Security signals.
    (TLSError("certificate", phase="tls"), "tls", "never", "never", "ignore", False),
    (
        caused(ConnectError("407", phase="connect"), HttpProxyDenied("407", phase="connect")),
        "proxy_credentials",
        "never",
        "never",
        "ignore",
        False,
    ),
    (APIError("the proxy wants a password", status=407), "proxy_credentials", "never", "never", "ignore", False),
    # Lost and broken exchanges.
    (caused(NetworkError("lost", phase="headers", sent=True), CLOSED), "connection_lost", "backoff", "yes", "failure", True),
    (NetworkError("lost", phase="body", sent=True), "connection_lost", "backoff", "yes", "failure", True),
    (
        caused(NetworkError("no HTTP", sent=True), HttpProtocolError("x", phase="headers", sent=True)),
        "malformed",
        "once",
        "yes",
        "failure",
        True,
    ),
    (
        caused(NetworkError("bad gzip", sent=True), HttpDecodeError("x", phase="body", sent=True)),
        "malformed",
        "once",
        "yes",
        "failure",
        True,
    ),
    (
        caused(NetworkError("64 MiB", sent=True), HttpTooLarge("x", phase="body", sent=True)),
        "too_large_answer",
        "never",
        "yes",
        "failure",
        True,
    ),
    (ResponseError("html", status=200, code="malformed"), "malformed", "once", "yes", "failure", True),
    (ResponseError("cut", status=200, code="truncated"), "truncated", "once", "yes", "failure", True),
    (ResponseError("no", status=200, code="rejected"), "rejected", "once", "yes", "failure", True),
    (ResponseError("much", status=200, code="too_large"), "too_large_answer", "never", "yes", "ignore", False),
    (ResponseError("nothing", status=200, code="empty_answer"), "empty_answer", "once", "yes", "slow", True),
    (ResponseError("no call", status=400, code="tool_use_failed"), "model_output", "once", "yes", "ignore", True),
    (APIError("what?"), "unknown_error", "once", "yes", "failure", True),
    (APIError("moved", status=302), "redirect", "never", "yes", "failure", True),
    (APIError("teapot", status=418), "unknown", "never", "yes", "ignore", False),
    # The provider's trouble.
    *((ServerError("down", status=status), "server", "backoff", "yes", "failure", True) for status in (408, 409, 500, 502, 504)),
    *((OverloadedError("busy", status=status), "overloaded", "backoff", "first", "failure", True) for status in (503, 529)),
    (OverloadedError("busy", status=503, retry_after=3.0), "overloaded", "announced", "first", "failure", True),
    (ServerError("down", status=502, retry_after=3.0), "server", "announced", "yes", "failure", True),
    (OverloadedError("flex", status=498), "capacity", "never", "first", "failure", True),
    (OverloadedError("flex", status=503, code="capacity_exceeded"), "capacity", "never", "first", "failure", True),
    (ModelLoadingError("loading", status=503, retry_after=20.0), "loading", "announced", "first", "ignore", False),
    (ModelLoadingError("loading", status=503), "loading", "backoff", "first", "ignore", True),
    # Limits of the key.
    (RateLimitError("slow", status=429, retry_after=2.0), "rate_limit", "announced", "yes", "ignore", False),
    (RateLimitError("slow", status=429, retry_after=0.0), "rate_limit", "announced", "yes", "ignore", False),
    (RateLimitError("slow", status=429), "rate_limit", "backoff", "yes", "ignore", True),
    (quota(status=429), "quota", "never", "yes", "open", False),
    (quota(status=402), "quota", "never", "yes", "open", False),
    (quota(status=400), "quota", "never", "yes", "open", False),
    (AuthenticationError("bad key", status=401), "authentication", "never", "never", "open", False),
    # The request's own faults.
    (PermissionDeniedError("no", status=403), "permission", "never", "never", "ignore", False),
    (ModelNotFoundError("no", status=404), "model_not_found", "never", "never", "ignore", False),
    *((InvalidRequestError("no", status=status), "invalid_request", "never", "never", "ignore", False) for status in (400, 413, 422)),
    (InvalidRequestError("no images here"), "unsupported", "never", "yes", "ignore", False),
    (ContextLengthError("long", status=400), "context_length", "never", "larger", "ignore", False),
    (ContextLengthError("long", status=413, code="context_length_exceeded"), "context_length", "never", "larger", "ignore", False),
    (ContextLengthError("long", status=413, code="rate_limit_exceeded"), "too_large", "never", "yes", "ignore", False),
    (ContextLengthError("long", status=429, code="rate_limit_exceeded"), "too_large", "never", "yes", "ignore", False),
    (ContentFilterError("refused", status=400), "content_filter", "never", "never", "ignore", False),
    (OutputValidationError("no schema"), "output_validation", "never", "yes", "ignore", False),
    # Clocks.
    (AttemptTimeout("slow", phase="headers", clock="first_token"), "first_token_timeout", "never", "yes", "slow", True),
    (AttemptTimeout("slow", phase="body"), "first_token_timeout", "never", "yes", "slow", True),
    (AttemptTimeout("slow", phase="headers", clock="share"), "share_timeout", "never", "yes", "slow", True),
    (AttemptTimeout("slow", phase="connect", clock="share"), "share_timeout", "never", "yes", "slow", True),
    (AttemptTimeout("slow", phase="body", clock="min_rate"), "slow_stream", "never", "yes", "slow", True),
    (AttemptTimeout("silent", phase="body", clock="between_tokens"), "idle_timeout", "never", "yes", "failure", True),
    (AttemptTimeout("slow", phase="body", clock="new"), "first_token_timeout", "never", "yes", "slow", True),
    # Streams that broke after content, by their cause.
    (StreamInterrupted("cut"), "interrupted", "never", "yes", "failure", True),
    (caused(StreamInterrupted("cut"), NetworkError("reset", sent=True)), "interrupted", "never", "yes", "failure", True),
    (caused(StreamInterrupted("cut"), ValueError("bug")), "interrupted", "never", "yes", "failure", True),
    (
        caused(StreamInterrupted("cut"), AttemptTimeout("silent", clock="between_tokens")),
        "interrupted",
        "never",
        "yes",
        "failure",
        True,
    ),
    (
        caused(StreamInterrupted("cut"), AttemptTimeout("slow", clock="min_rate")),
        "interrupted",
        "never",
        "yes",
        "slow",
        True,
    ),
    (
        caused(StreamInterrupted("cut"), RateLimitError("slow", status=429, retry_after=2.0)),
        "interrupted",
        "never",
        "yes",
        "ignore",
        False,
    ),
    (caused(StreamInterrupted("cut"), quota(status=429)), "interrupted", "never", "yes", "open", False),
    (caused(StreamInterrupted("cut"), BudgetExceeded("spent")), "interrupted", "never", "never", "ignore", False),
    # The caller's own.
    (DeadlineExceeded("late"), "deadline", "never", "never", "ignore", False),
    (asyncio.CancelledError(), "cancelled", "never", "never", "ignore", False),
    (GeneratorExit(), "cancelled", "never", "never", "ignore", False),
    (KeyboardInterrupt(), "cancelled", "never", "never", "ignore", False),
    (SystemExit(1), "cancelled", "never", "never", "ignore", False),
    # Nothing was sent.
    (CircuitOpen("open", retry_after=5.0), "circuit_open", "never", "yes", "ignore", False),
    (QueueFull("full"), "queue", "never", "yes", "ignore", False),
    (QueueTimeout("late"), "queue", "never", "yes", "ignore", False),
    (BudgetExceeded("spent"), "policy", "never", "yes", "ignore", False),
    *((kind("no"), "policy", "never", "never", "ignore", False) for kind in
      (DLPViolation, RedactionError, VaultFull, ResidencyError, AccessDenied)),
    (DecryptionError("sealed"), "internal", "never", "never", "ignore", False),
    (ConfigurationError("what?"), "configuration", "never", "never", "ignore", False),
    (AllTargetsFailed("all", [ServerError("down")]), "internal", "never", "never", "ignore", False),
    (errors.WebhookVerificationError("stale", reason="stale"), "internal", "never", "never", "ignore", False),
    (Suspended("io"), "internal", "never", "never", "ignore", False),
    (ValueError("bug"), "internal", "never", "never", "ignore", False),
    (TimeoutError("somebody's"), "internal", "never", "never", "ignore", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "retry", "failover", "breaker", "drains"),
    ROWS,
    ids=[f"{type(row[0]).__name__}-{row[1]}-{number}" for number, row in enumerate(ROWS)],
)
def test_every_row(error, kind, retry, failover, breaker, drains):  # noqa: PLR0917
    found = judge(error)
    assert (found.kind, found.retry, found.failover, found.breaker, found.drains) == (
        kind,
        retry,
        failover,
        breaker,
        drains,
    )


def test_the_table_in_the_documentation_has_every_kind():
    documented = set(verdict.__doc__.replace(",", " ").split())
    assert {row[1] for row in ROWS} <= documented | {"queue"}


def test_every_error_of_the_tree_was_judged():
    tree = {
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, AistraleError) and kind.__name__[0] != "_"
    }
    assert tree - {type(row[0]) for row in ROWS} == {AistraleError, errors.PolicyError}
    assert judge(AistraleError("odd")).kind == "internal"
    assert judge(errors.PolicyError("odd")).kind == "policy"


def test_a_class_of_somebody_else_is_judged_by_its_base():
    class Mine(RateLimitError):
        pass

    assert judge(Mine("slow", retry_after=1.0)) == judge(RateLimitError("slow", retry_after=1.0))


@pytest.mark.parametrize(
    ("error", "throttle"),
    [
        (RateLimitError("slow", status=429), True),
        (RateLimitError("slow", status=429, retry_after=1.0), True),
        (OverloadedError("busy", status=529), True),
        (OverloadedError("flex", status=498), True),
        (AttemptTimeout("slow", clock="first_token"), True),
        (ModelLoadingError("loading", retry_after=20.0), False),
        (AttemptTimeout("slow", clock="share"), False),
        (AttemptTimeout("slow", clock="connect"), False),
        (ServerError("down", status=500), False),
        (quota(status=429), False),
    ],
)
def test_what_the_limiter_hears(error, throttle):
    assert judge(error).throttle is throttle


@pytest.mark.parametrize(
    ("error", "wait", "scope"),
    [
        (quota(status=429), None, "key"),
        (quota(status=429, per_model=True), None, "target"),
        # Without a date a short wait cannot be meant; with one, and beyond ten minutes, it is.
        (quota(status=429, retry_after=34.4), None, "key"),
        (quota(status=429, retry_after=3600.0), 3600.0, "key"),
        (quota(status=400, retry_after=60.0, resets="tomorrow"), 60.0, "key"),
        (AuthenticationError("bad key", status=401), None, "key"),
        (RateLimitError("slow", status=429, retry_after=120.0), 120.0, "target"),
        (OverloadedError("flex", status=498, retry_after=5.0), 5.0, "target"),
        (CircuitOpen("open", retry_after=5.0), 5.0, "target"),
        (CircuitOpen("forced"), None, "target"),
        (QueueFull("full"), None, "target"),
        (QueueTimeout("late", expected_wait=4.0), 4.0, "target"),
    ],
)
def test_how_long_and_for_what(error, wait, scope):
    assert (judge(error).wait, judge(error).scope) == (wait, scope)


def told(error, should_retry):
    error.should_retry = should_retry
    return judge(error)


def test_the_providers_word_decides_about_this_target_and_no_more():
    for error in (ServerError("down", status=503), RateLimitError("slow", status=429, retry_after=1.0)):
        assert told(error, should_retry=False) == replace(
            judge(type(error)("x", status=error.status, retry_after=error.retry_after)), retry="never"
        )
    again = told(InvalidRequestError("odd", status=400), should_retry=True)
    assert (again.retry, again.failover, again.breaker, again.drains) == ("backoff", "never", "ignore", True)
    assert told(OverloadedError("flex", status=498, retry_after=2.0), should_retry=True).retry == "announced"
    # What it would have done anyway stays as it was.
    assert told(ServerError("down", status=500), should_retry=True) == judge(ServerError("down", status=500))
    # No word of the header brings credit, or makes a key right.
    assert told(quota(status=429), should_retry=True).retry == "never"
    assert told(AuthenticationError("bad", status=401), should_retry=True).retry == "never"
    assert told(InvalidRequestError("odd", status=400), should_retry=False).retry == "never"


CLASSES = sorted(
    (kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, APIError)),
    key=lambda kind: kind.__name__,
)


@given(
    kind=st.sampled_from(CLASSES),
    status=st.none() | st.integers(100, 999),
    wait=st.none() | st.floats(0, 31 * 86400),
    code=st.none() | st.sampled_from(["empty_answer", "capacity_exceeded", "rate_limit_exceeded", "malformed", "odd"]),
    should_retry=st.none() | st.booleans(),
)
def test_whatever_a_provider_says_the_verdict_holds_together(kind, status, wait, code, should_retry):
    error = kind("x", status=status, retry_after=wait, code=code)
    error.should_retry = should_retry
    found = judge(error)
    assert (found.retry == "announced") <= (found.wait is not None)
    assert found.retry != "quick"
    if should_retry is False:
        assert found.retry == "never"
    if found.breaker == "open":
        assert found.retry == "never"
    if issubclass(kind, (AuthenticationError, ContentFilterError)):
        assert found.failover == "never"


def test_a_verdict_can_be_kept_and_sent():
    found = judge(RateLimitError("slow", status=429, retry_after=2.0))
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301
    assert hash(found) == hash(Verdict("rate_limit", "announced", "yes", "ignore", throttle=True, wait=2.0))


def test_connect_errors_without_a_cause_are_judged_too():
    assert judge(caused(ConnectError("x", phase="connect"), HttpConnectError("x", phase="connect"))).kind == "connect"
