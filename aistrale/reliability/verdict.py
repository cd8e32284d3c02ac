"""What a failure means: for another attempt at the same target, for other targets, for the breaker and the limiter.

One table by class of error, read by every policy, so that none of them has an opinion of its own:

    kind                 same target   other targets  breaker      remark
    connect              quick         yes            failure      refused or reset before anything was sent
    name_resolution      once          yes            failure      names do not come back within milliseconds
    connect_timeout      once          yes            failure
    tls                  never         never          ignore       a security signal: never routed around
    proxy_credentials    never         never          ignore       likewise
    connection_lost      backoff       yes            failure      may have been billed
    malformed            once          yes            failure      HTML, broken JSON, coding or framing
    truncated            once          yes            failure      a stream without its end, nothing delivered yet
    rejected             once          yes            failure      by the caller's `fail_if`
    empty_answer         once          yes            slow
    model_output         once          yes            ignore       the model's fault, not its provider's (Groq)
    too_large_answer     never         yes            failure      what nobody can read, or (ignore) wants to keep back
    server               backoff       yes            failure      500, 502, 504, 408, 409, 424, 425
    overloaded           backoff       first          failure      503, 529
    capacity             never         first          failure      Groq's 498: this service tier is full
    loading              announced     first          ignore       a model that is not in memory yet
    rate_limit           announced     yes            ignore       backoff where no wait was announced
    quota                never         yes            open (key)   money, spend limits; one model's own: open (target)
    authentication       never         never          open (key)
    permission           never         never          ignore       speaks of a model or feature, not of the key
    model_not_found      never         never          ignore
    invalid_request      never         never          ignore
    unsupported          never         yes            ignore       refused by us: this target cannot be asked so
    context_length       never         larger         ignore
    too_large            never         yes            ignore       one request beyond the tokens per minute of this key
    content_filter       never         never          ignore       routing round a refusal is a decision for a person
    output_validation    never         yes            ignore
    redirect             never         yes            failure
    unknown              never         yes            ignore       an undocumented status of the request's kind (4xx)
    unknown_error        once          yes            failure      an error that nothing says anything about
    first_token_timeout  never         yes            slow
    share_timeout        never         yes            slow         the attempt's part of the call's time
    slow_stream          never         yes            slow
    idle_timeout         never         yes            failure      a stream fell silent before anything was delivered
    interrupted          never         as its cause   as its cause for those who may resume a stream; others raise it
    (cut by a policy)    never         never          ignore       a budget had no room for the rest
    deadline, cancelled  never         never          ignore       the caller's own
    circuit_open, queue  never         yes            ignore       nothing was sent
    policy               never         never          ignore       budgets alone may allow a cheaper target (yes)
    configuration        never         never          ignore
    internal             never         never          ignore       a bug, of ours or of a policy's

A provider's own word changes what it speaks of: a wait that it announces replaces the backoff, and `x-should-retry`
decides about another attempt at the same target.

Sources: the providers' documentation as named in `aistrale.providers`; Envoy, Finagle and gRPC A6 for what counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from aistrale.core.exchange import HttpDecodeError, HttpProtocolError, HttpProxyDenied, HttpTooLarge
from aistrale.errors import (
    AistraleError,
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
    InvalidRequestError,
    ModelLoadingError,
    ModelNotFoundError,
    NetworkError,
    OutputValidationError,
    OverloadedError,
    PermissionDeniedError,
    PolicyError,
    QueueFull,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterrupted,
    TLSError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aistrale.providers.base import Provider
    from aistrale.types import Completion

    Row: TypeAlias = "Verdict | Callable[[BaseException], Verdict]"

Retry: TypeAlias = Literal["never", "quick", "once", "backoff", "announced"]
Failover: TypeAlias = Literal["never", "yes", "first", "larger"]
Breaker: TypeAlias = Literal["ignore", "success", "failure", "slow", "open"]
Scope: TypeAlias = Literal["target", "key"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means for each policy.

    Args:
        kind: Its name, as in the table of this module.
        retry: At the same target: "never"; "quick", once at once and then by backoff; "once", one attempt more;
            "backoff"; "announced", after `wait` and never before.
        failover: To other targets: "never"; "yes"; "first", rather than another attempt here; "larger", only to a
            model with a larger context window.
        breaker: What the target's breaker counts; "open" is authoritative news, for `wait` seconds if that is known.
        throttle: Whether the limiter sends less.
        wait: Seconds that the provider announced; None when it did not.
        scope: What "open" concerns: the target, or everything that uses the key.
        drains: Whether the failure costs the provider's retry budget, and another attempt after it too.
    """

    kind: str
    retry: Retry
    failover: Failover
    breaker: Breaker
    throttle: bool = False
    wait: float | None = None
    scope: Scope = "target"
    drains: bool = False


def judge(error: BaseException) -> Verdict:
    """What an error means.

    Args:
        error: Any exception. What is no Exception (cancellation, GeneratorExit, KeyboardInterrupt) is the caller's
            doing: it is never retried and nothing counts it.
    """
    row: Row = _INTERNAL
    for kind in type(error).__mro__:
        found = _ROWS.get(kind)
        if found is not None:
            row = found
            break
    verdict = row if isinstance(row, Verdict) else row(error)
    should_retry = getattr(error, "should_retry", None)
    return verdict if should_retry is None else _as_told(verdict, should_retry=should_retry is True)


def classify(
    provider: str | Provider,
    *,
    status: int | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    body: bytes = b"",
    phase: str = "response",
    exception: BaseException | None = None,
    dialect: str | None = None,
    now: float | None = None,
) -> Verdict:
    """What an exchange that was observed means, given as it came over the wire.

    It becomes the error that the engine would have raised, which is then judged. An answer is the engine's result
    however it ended, so that nothing acts on its verdict by itself: its kind is "success", "length", "content_filter",
    "context_length" (the window was full) or "model_output" (the model broke off).

    Args:
        provider: A provider, or the name of one.
        status: The HTTP status; None when no response came.
        headers: The response's headers.
        body: The response's body, still in its content coding; a stream's as far as it came.
        phase: Where an exception broke the exchange: "resolve", "connect", "tls", "write", "headers", "body",
            "first_token" or "stream" (after content had come). "response": the response is complete.
        exception: What was raised: an error of aistrale, of httpx or httpx2, or of the operating system.
        dialect: The wire format, where it is not the provider's first.
        now: Unix seconds; what a date in the error is measured against when the response has no `Date`.

    Raises:
        ConfigurationError: There is no such provider, dialect or phase.
    """
    from aistrale.reliability.observed import Observed, outcome_of

    outcome = outcome_of(
        Observed(
            provider=provider,
            dialect=dialect,
            status=status,
            headers=headers,
            body=body,
            phase=phase,
            exception=exception,
            now=now,
        )
    )
    if isinstance(outcome, BaseException):
        return judge(outcome)
    return _SUCCESS if outcome is None else _answered(outcome)


# --- the rows --------------------------------------------------------------------------------------------------------

_SUCCESS: Final = Verdict("success", "never", "never", "success")
_MODEL_OUTPUT: Final = Verdict("model_output", "once", "yes", "ignore", drains=True)
_ENDINGS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "length": Verdict("length", "never", "never", "success"),
        "content_filter": Verdict("content_filter", "never", "never", "success"),
        "error": _MODEL_OUTPUT,
    }
)
_WINDOW_FULL: Final = Verdict("context_length", "never", "larger", "success")
_INTERNAL: Final = Verdict("internal", "never", "never", "ignore")
_CONNECT: Final = Verdict("connect", "quick", "yes", "failure", drains=True)
_RESOLVE: Final = Verdict("name_resolution", "once", "yes", "failure", drains=True)
_PROXY: Final = Verdict("proxy_credentials", "never", "never", "ignore")
_LOST: Final = Verdict("connection_lost", "backoff", "yes", "failure", drains=True)
_TOO_LARGE_ANSWER: Final = Verdict("too_large_answer", "never", "yes", "failure", drains=True)
_MALFORMED: Final = Verdict("malformed", "once", "yes", "failure", drains=True)
# Codes of ResponseErrors: our own, and Groq's for what the model wrote and Groq itself refused.
_ANSWERS: Final[Mapping[str | None, Verdict]] = MappingProxyType(
    {
        "truncated": Verdict("truncated", "once", "yes", "failure", drains=True),
        "rejected": Verdict("rejected", "once", "yes", "failure", drains=True),
        "empty_answer": Verdict("empty_answer", "once", "yes", "slow", drains=True),
        "too_large": Verdict("too_large_answer", "never", "yes", "ignore"),
        "tool_use_failed": _MODEL_OUTPUT,
        "json_validate_failed": _MODEL_OUTPUT,
        "output_parse_failed": _MODEL_OUTPUT,
    }
)
_SERVER: Final = Verdict("server", "backoff", "yes", "failure", drains=True)
_OVERLOADED: Final = Verdict("overloaded", "backoff", "first", "failure", throttle=True, drains=True)
_CAPACITY: Final = Verdict("capacity", "never", "first", "failure", throttle=True, drains=True)
_LOADING: Final = Verdict("loading", "backoff", "first", "ignore", drains=True)
_RATE_LIMIT: Final = Verdict("rate_limit", "backoff", "yes", "ignore", throttle=True, drains=True)
_CONTEXT: Final = Verdict("context_length", "never", "larger", "ignore")
_TOO_LARGE: Final = Verdict("too_large", "never", "yes", "ignore")
_INVALID: Final = Verdict("invalid_request", "never", "never", "ignore")
_UNSUPPORTED: Final = Verdict("unsupported", "never", "yes", "ignore")
_REDIRECT: Final = Verdict("redirect", "never", "yes", "failure", drains=True)
_UNKNOWN: Final = Verdict("unknown", "never", "yes", "ignore")
_UNKNOWN_ERROR: Final = Verdict("unknown_error", "once", "yes", "failure", drains=True)
_INTERRUPTED: Final = Verdict("interrupted", "never", "yes", "failure", drains=True)
_CUT: Final = Verdict("interrupted", "never", "never", "ignore")
_TIMEOUTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "connect": Verdict("connect_timeout", "once", "yes", "failure", drains=True),
        "first_token": Verdict("first_token_timeout", "never", "yes", "slow", throttle=True, drains=True),
        "share": Verdict("share_timeout", "never", "yes", "slow", drains=True),
        "min_rate": Verdict("slow_stream", "never", "yes", "slow", drains=True),
        "between_tokens": Verdict("idle_timeout", "never", "yes", "failure", throttle=True, drains=True),
    }
)

# A quota without a date is looked at again after ten minutes; a shorter wait beside it (Gemini sends its RetryInfo with
# daily quotas too) does not mean it.
_QUOTA_WAIT: Final = 600.0


def _answered(answer: Completion) -> Verdict:
    for choice in answer.choices:
        # Anthropic's word, for which the hub has none of its own.
        if choice.wire is not None and choice.wire.form == "model_context_window_exceeded":
            return _WINDOW_FULL
    return _ENDINGS.get(answer.finish_reason, _SUCCESS)


def _network(error: BaseException) -> Verdict:
    cause = error.__cause__
    if isinstance(cause, (HttpProtocolError, HttpDecodeError)):
        return _MALFORMED
    if isinstance(cause, HttpTooLarge):
        return _TOO_LARGE_ANSWER
    # Nothing was sent: as harmless to repeat as a connection that was refused.
    return _LOST if getattr(error, "sent", True) else _CONNECT


def _connect(error: BaseException) -> Verdict:
    if isinstance(error.__cause__, HttpProxyDenied):
        return _PROXY
    return _RESOLVE if getattr(error, "phase", None) == "resolve" else _CONNECT


def _timeout(error: BaseException) -> Verdict:
    error = cast("AttemptTimeout", error)
    before = error.phase in {"resolve", "connect", "tls"}
    clock = error.clock or ("connect" if before else "first_token")
    return _TIMEOUTS.get(clock, _TIMEOUTS["first_token"])


def _interrupted(error: BaseException) -> Verdict:
    cause = error.__cause__
    if not isinstance(cause, AistraleError):
        return _INTERRUPTED
    if isinstance(cause, PolicyError):
        # We ourselves cut it: nobody failed, and whoever went on with it would pass the same limit.
        return _CUT
    return replace(judge(cause), kind="interrupted", retry="never")


def _unsorted(error: BaseException) -> Verdict:
    status = cast("APIError", error).status
    if status is None or status >= 500 or 200 <= status < 300:
        return _UNKNOWN_ERROR
    if status == 407:
        return _PROXY
    return _REDIRECT if status < 400 else _UNKNOWN


def _response(error: BaseException) -> Verdict:
    return _ANSWERS.get(cast("ResponseError", error).code, _MALFORMED)


def _rate_limit(error: BaseException) -> Verdict:
    return _waiting(_RATE_LIMIT, error, drains=False)


def _loading(error: BaseException) -> Verdict:
    return _waiting(_LOADING, error, drains=False)


def _server(error: BaseException) -> Verdict:
    return _waiting(_SERVER, error, drains=True)


def _overloaded(error: BaseException) -> Verdict:
    error = cast("OverloadedError", error)
    if error.status == 498 or error.code == "capacity_exceeded":
        return replace(_CAPACITY, wait=error.retry_after)
    return _waiting(_OVERLOADED, error, drains=True)


def _waiting(verdict: Verdict, error: BaseException, *, drains: bool) -> Verdict:
    wait = cast("APIError", error).retry_after
    if wait is None:
        return verdict
    return Verdict(verdict.kind, "announced", verdict.failover, verdict.breaker, verdict.throttle, wait, drains=drains)


def _quota(error: BaseException) -> Verdict:
    error = cast("QuotaExceededError", error)
    wait = error.retry_after
    if wait is not None and error.resets_at is None and wait < _QUOTA_WAIT:
        wait = None
    return Verdict("quota", "never", "yes", "open", wait=wait, scope="target" if error.per_model else "key")


def _invalid(error: BaseException) -> Verdict:
    return _UNSUPPORTED if cast("InvalidRequestError", error).status is None else _INVALID


def _context(error: BaseException) -> Verdict:
    # What a rate limit calls too large is a matter of the key, not of the model's window.
    return _TOO_LARGE if cast("ContextLengthError", error).code == "rate_limit_exceeded" else _CONTEXT


def _refused(kind: str) -> Callable[[BaseException], Verdict]:
    return lambda error: Verdict(kind, "never", "yes", "ignore", wait=getattr(error, "retry_after", None))


def _as_told(verdict: Verdict, *, should_retry: bool) -> Verdict:
    if not should_retry:
        return verdict if verdict.retry == "never" else replace(verdict, retry="never")
    if verdict.retry != "never" or verdict.breaker == "open":
        return verdict
    return replace(verdict, retry="backoff" if verdict.wait is None else "announced", drains=True)


_ROWS: Final[Mapping[type, Row]] = MappingProxyType(
    {
        BaseException: Verdict("cancelled", "never", "never", "ignore"),
        Exception: _INTERNAL,
        ConfigurationError: Verdict("configuration", "never", "never", "ignore"),
        DeadlineExceeded: Verdict("deadline", "never", "never", "ignore"),
        APIError: _unsorted,
        AuthenticationError: Verdict("authentication", "never", "never", "open", scope="key"),
        PermissionDeniedError: Verdict("permission", "never", "never", "ignore"),
        ModelNotFoundError: Verdict("model_not_found", "never", "never", "ignore"),
        RateLimitError: _rate_limit,
        QuotaExceededError: _quota,
        InvalidRequestError: _invalid,
        ContextLengthError: _context,
        ContentFilterError: Verdict("content_filter", "never", "never", "ignore"),
        OverloadedError: _overloaded,
        ModelLoadingError: _loading,
        ServerError: _server,
        ResponseError: _response,
        OutputValidationError: Verdict("output_validation", "never", "yes", "ignore"),
        NetworkError: _network,
        ConnectError: _connect,
        TLSError: Verdict("tls", "never", "never", "ignore"),
        AttemptTimeout: _timeout,
        StreamInterrupted: _interrupted,
        PolicyError: Verdict("policy", "never", "never", "ignore"),
        BudgetExceeded: Verdict("policy", "never", "yes", "ignore"),
        CircuitOpen: _refused("circuit_open"),
        QueueFull: _refused("queue"),
        QueueTimeout: _refused("queue"),
    }
)
