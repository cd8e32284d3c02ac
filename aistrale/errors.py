"""Every error that aistrale raises.

    AistraleError                     provider, target, attempt, hint, exit_code
    ├── ConfigurationError            settings, keys, names: fix them and try again
    ├── APIError                      a provider refused or broke: status, request_id, retry_after
    │   ├── AuthenticationError
    │   ├── PermissionDeniedError
    │   ├── RateLimitError
    │   ├── QuotaExceededError        waiting a moment does not help: money or a spend limit
    │   ├── InvalidRequestError       param names the field; status is None when we refused before sending
    │   │   └── ContextLengthError
    │   ├── ContentFilterError
    │   ├── ModelNotFoundError
    │   ├── OverloadedError
    │   │   └── ModelLoadingError     nothing is wrong: retry_after says when the model will be there
    │   ├── ServerError
    │   └── ResponseError             an answer arrived that is not one: broken JSON, empty, wrong shape
    │       └── OutputValidationError structured output that does not fit its schema
    ├── NetworkError
    │   ├── ConnectError
    │   ├── AttemptTimeout            also a builtin TimeoutError
    │   └── StreamInterrupted         partial_text and usage up to the break
    ├── DeadlineExceeded              also a builtin TimeoutError
    ├── PolicyError                   nothing was sent (but for a DLPViolation about an answer)
    │   ├── BudgetExceeded
    │   ├── DLPViolation
    │   ├── RedactionError            what is sensitive could not be taken out
    │   │   └── VaultFull
    │   ├── ResidencyError
    │   ├── AccessDenied
    │   ├── CircuitOpen
    │   ├── QueueFull
    │   └── QueueTimeout
    ├── DecryptionError               a token or a sealed vault cannot be opened
    ├── WebhookVerificationError      a webhook that was received is not authentic, not fresh, or came before
    ├── AllTargetsFailed              an ExceptionGroup: one error per failed attempt
    └── Suspended                     async I/O was reached inside a synchronous client: a bug in a policy

Messages never contain keys, prompts or answers. `exit_code` is what the command line exits with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from aistrale.types import AttemptInfo, Usage


class AistraleError(Exception):
    """Base of everything that aistrale raises.

    Args:
        message: What happened, without keys, prompts or answers.
        provider: Which provider was involved, if any.
        target: Which target of a route, written `provider/model`.
        attempt: Number of the attempt within the call, from 1.
        hint: What to do next, one sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        attempt: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.target = target
        self.attempt = attempt
        self.hint = hint
        self.attempts: tuple[AttemptInfo, ...] = ()
        """Every exchange of the call that ended so, in order; empty where nothing was sent."""

    def _facts(self) -> list[tuple[str, object]]:
        return [("provider", self.provider), ("target", self.target), ("attempt", self.attempt)]

    def __str__(self) -> str:
        where = ", ".join(f"{name}={value}" for name, value in self._facts() if value is not None)
        text = f"{self.message} ({where})" if where else self.message
        if not self.hint:
            return text
        # Messages are written with and without a period; a hint begins a sentence of its own.
        return f"{text} {self.hint}" if text.endswith((".", "!", "?", ":")) or not text else f"{text}. {self.hint}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ConfigurationError(AistraleError):
    """A setting, name or key is missing or wrong; the message names the field."""

    exit_code = 2

    def __init__(
        self,
        message: str = "",
        *,
        field: str | None = None,
        provider: str | None = None,
        target: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, hint=hint)
        self.field = field


class APIError(AistraleError):
    """A provider answered with an error.

    Args:
        message: What the provider said, shortened, keys removed.
        status: HTTP status; None when the request was refused before it was sent.
        request_id: The provider's id of the exchange: quote it to its support.
        retry_after: Seconds that the provider asked us to wait, if it did.
        code: The provider's own error code or type, verbatim.
        param: The request field that the error is about.
    """

    exit_code = 3

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        provider: str | None = None,
        target: str | None = None,
        attempt: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        param: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, attempt=attempt, hint=hint)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.code = code
        self.param = param
        self.should_retry: bool | None = None

    def _facts(self) -> list[tuple[str, object]]:
        own = [("status", self.status), ("code", self.code), ("param", self.param), ("request_id", self.request_id)]
        return [*super()._facts(), *own]


class AuthenticationError(APIError):
    """The key is missing, wrong or expired."""

    exit_code = 4


class PermissionDeniedError(APIError):
    """The key is valid but may not do this."""

    exit_code = 4


class RateLimitError(APIError):
    """Too many requests or tokens for now; `retry_after` says for how long, if known."""

    exit_code = 5


class QuotaExceededError(APIError):
    """Credit, quota or a spend limit is used up; retrying soon cannot help."""

    exit_code = 5
    resets_at: datetime | None = None
    """When the provider lets calls through again (aware UTC), where it says so."""

    per_model: bool = False
    """Whether the limit is one of the model alone; otherwise it holds for everything that the key may use."""


class InvalidRequestError(APIError):
    """The request is wrong; `param` names the field."""

    exit_code = 2


class ContextLengthError(InvalidRequestError):
    """The prompt does not fit the model's context window."""


class ContentFilterError(APIError):
    """The provider's safety system refused the prompt or the answer."""


class ModelNotFoundError(APIError):
    """The provider does not know the model, or the key may not see it."""

    exit_code = 2


class OverloadedError(APIError):
    """The provider is temporarily out of capacity."""

    exit_code = 6


class ModelLoadingError(OverloadedError):
    """The provider is loading the model, which nobody had asked for lately; `retry_after` says how long that takes."""


class ServerError(APIError):
    """The provider failed (5xx)."""

    exit_code = 6


class ResponseError(APIError):
    """Something arrived that is not an answer: broken JSON or SSE, an empty answer, a wrong shape."""

    exit_code = 6


class OutputValidationError(ResponseError):
    """The structured output does not fit the requested schema, also after the repair turn."""


class NetworkError(AistraleError):
    """The exchange failed below HTTP.

    Args:
        sent: Whether any byte of the request may have reached the provider (it may have been billed).
        phase: Where it broke: resolve, connect, tls, write, headers, body, stream.
    """

    exit_code = 6

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        attempt: int | None = None,
        phase: str | None = None,
        sent: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, attempt=attempt, hint=hint)
        self.phase = phase
        self.sent = sent

    def _facts(self) -> list[tuple[str, object]]:
        return [*super()._facts(), ("phase", self.phase)]


class ConnectError(NetworkError):
    """No connection could be made; nothing was sent."""


class TLSError(ConnectError):
    """The peer's certificate or TLS handshake failed: a security signal, never routed around."""


class AttemptTimeout(NetworkError, TimeoutError):
    """One of the attempt's clocks ran out.

    Args:
        clock: Which: "connect", "first_token", "between_tokens", "min_rate", or "share" for the part of the call's
            time that an attempt gets while other targets are untried.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        attempt: int | None = None,
        phase: str | None = None,
        sent: bool = False,
        clock: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, attempt=attempt, phase=phase, sent=sent, hint=hint)
        self.clock = clock


class StreamInterrupted(NetworkError):
    """The stream broke after content had been delivered.

    Args:
        partial_text: The text that had arrived.
        usage: Token usage as far as the provider had reported it.
        request_id: The provider's id of the exchange.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        attempt: int | None = None,
        partial_text: str = "",
        usage: Usage | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            message, provider=provider, target=target, attempt=attempt, phase="stream", sent=True, hint=hint
        )
        self.partial_text = partial_text
        self.usage = usage
        self.request_id = request_id


class DeadlineExceeded(AistraleError, TimeoutError):
    """The call's deadline passed; it spans queueing, retries and failover.

    For a stream, `partial_text` and `usage` hold what had arrived, and `request_id` names the exchange.
    """

    exit_code = 7
    partial_text: str = ""
    usage: Usage | None = None
    request_id: str | None = None


class PolicyError(AistraleError):
    """A policy refused the call; nothing was sent, but for a DLPViolation about an answer."""

    exit_code = 8


class BudgetExceeded(PolicyError):
    """A hard budget has no room for the call, or not for the rest of a stream.

    Args:
        budget: The budget's name.
        scope: Whose money it is: "global", "user:alice", ...
        limit: US dollars.
        spent: US dollars that are settled.
        reserved: US dollars that other calls under way may still cost.
        needed: US dollars that the attempt may cost at most; None where that is not known.
        resets_at: When there will be room again, aware UTC; None where waiting does not help, or nobody knows.
        passing: Whether only those reservations are why, so that it may fit when they are settled.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        budget: str | None = None,
        scope: str | None = None,
        limit: Decimal | None = None,
        spent: Decimal | None = None,
        reserved: Decimal | None = None,
        needed: Decimal | None = None,
        resets_at: datetime | None = None,
        passing: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, hint=hint)
        self.budget = budget
        self.scope = scope
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.needed = needed
        self.resets_at = resets_at
        self.passing = passing


class DLPViolation(PolicyError):
    """A rule about data blocked the request, so that nothing was sent, or the answer, which then ends here.

    Args:
        rule: The rule's name; "media" for the setting of that name.
        direction: "out" for the request, "in" for the answer.
        types: Distinct values by type; never the values.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        rule: str | None = None,
        direction: str = "out",
        types: Mapping[str, int] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, hint=hint)
        self.rule = rule
        self.direction = direction
        self.types = dict(types or {})


class RedactionError(PolicyError):
    """What is sensitive in a request could not be taken out of it, so it was not sent."""


class VaultFull(RedactionError):
    """A conversation has more redacted values than its vault may keep."""


class ResidencyError(PolicyError):
    """No target lies in an allowed region."""


class AccessDenied(PolicyError):
    """The caller's role may not use this provider, model or route."""


class CircuitOpen(PolicyError):
    """The target's circuit breaker is open.

    Args:
        retry_after: Seconds until the breaker may let a call through again; None when it was opened by hand.
        reason: Why it is open, in a word: "failures", "slow", "quota", "retry_after", "forced".
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        retry_after: float | None = None,
        reason: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, hint=hint)
        self.retry_after = retry_after
        self.reason = reason


class _Queued(PolicyError):
    """What both refusals of a queue tell.

    Args:
        expected_wait: Seconds that the call would have had to wait (longer), as far as was known; else None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        target: str | None = None,
        expected_wait: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, target=target, hint=hint)
        self.expected_wait = expected_wait

    @property
    def retry_after(self) -> float | None:
        """The same, under the name that it has on every error that tells a wait."""
        return self.expected_wait


class QueueFull(_Queued):
    """The target's queue has no free place; `expected_wait` says how long the last one in it has to wait."""


class QueueTimeout(_Queued):
    """The call could not wait long enough in the target's queue; `expected_wait` says how long it would take."""


class DecryptionError(AistraleError):
    """Something encrypted cannot be opened: another key, another place, or it was changed. Which one is not told."""


class WebhookVerificationError(AistraleError):
    """A webhook that was received must not be worked on.

    Args:
        message: What is wrong, without the secret and without the body.
        reason: "headers": one of the three is missing or malformed. "stale": its time lies too far in the past or the
            future. "signature": none fits. "payload": it is authentic, but nothing that can be read. "replayed": it
            came before, and is to be answered like the first time.
        hint: What to do next.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reason: Literal["headers", "stale", "signature", "payload", "replayed"] = "signature",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class AllTargetsFailed(AistraleError, ExceptionGroup[Exception]):
    """Every target of the route failed; `exceptions` holds one error per failed attempt or refusal, in order."""

    exit_code = 6

    def __new__(cls, message: str, errors: Sequence[Exception]) -> Self:
        """Make the group; an ExceptionGroup takes its arguments here."""
        return super().__new__(cls, message, errors)

    def __init__(self, message: str, errors: Sequence[Exception]) -> None:
        self.target = self.provider = self.hint = None
        self.attempt = None
        self.attempts = ()

    # An ExceptionGroup, unlike its base, holds no BaseException, which the type stubs cannot say.
    def derive(self, excs: Sequence[Exception], /) -> AllTargetsFailed:  # type: ignore[override]
        """Keep the type when the group is split."""
        return AllTargetsFailed(self.message, excs)

    def __str__(self) -> str:
        reasons = "; ".join(f"{type(error).__name__}: {error}" for error in self.exceptions)
        return f"{self.message}: {reasons}"


class Suspended(AistraleError, RuntimeError):
    """A policy reached real async I/O inside a synchronous client.

    A policy waits with `call.runtime.sleep` and never awaits a foreign awaitable; the message names the chain of
    frames.
    """
