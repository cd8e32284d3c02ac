"""From what broke below HTTP to the error that the caller gets; one place, for plain answers and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.core.call import StreamRules
from aistrale.core.http import (
    HttpConnectError,
    HttpError,
    HttpTimeout,
    HttpTLSError,
)
from aistrale.errors import (
    AistraleError,
    AttemptTimeout,
    ConnectError,
    DeadlineExceeded,
    NetworkError,
    ResponseError,
    StreamInterrupted,
    TLSError,
)

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call
    from aistrale.dialects.shape import MalformedBody
    from aistrale.types import Completion

# The earliest instant is what runs out first; rounding of timers may wake us a little before the deadline.
_EARLY = 0.005

MALFORMED: Final = "malformed"
"""Code of the error for an answer that does not have its dialect's shape."""


def network_error(error: HttpError, call: Call, attempt: Attempt, *, clock: str = "first_token") -> AistraleError:
    """The error for a failed exchange.

    Args:
        error: What the connection reported.
        call: Its deadline decides between DeadlineExceeded and AttemptTimeout.
        attempt: Named in the message.
        clock: Which clock was running, for the message of a timeout.
    """
    if isinstance(error, HttpTimeout):
        return timeout_error(call, attempt, phase=error.phase, sent=error.sent, clock=clock)
    kind = NetworkError
    hint = None
    if isinstance(error, HttpTLSError):
        kind = TLSError
        hint = "Check the certificate chain (SSL_CERT_FILE, verify=) and the base URL; this is never routed around."
    elif isinstance(error, HttpConnectError):
        kind = ConnectError
        hint = "Check the network, the proxy settings and the base URL."
    return kind(
        str(error),
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        phase=error.phase,
        sent=error.sent,
        hint=hint,
    )


def timeout_error(call: Call, attempt: Attempt, *, phase: str, sent: bool, clock: str) -> AistraleError:
    """DeadlineExceeded when the call's time is up, else AttemptTimeout naming the clock."""
    remaining = call.remaining()
    if remaining is not None and remaining <= _EARLY:
        return deadline_error(call, attempt)
    name = "connect" if phase in {"resolve", "connect", "tls"} else clock
    seconds = getattr(call.clocks, name)
    # A share is for getting to the first content; what has begun may go on beyond it.
    shared = call.share_until if clock != "between_tokens" else None
    if shared is not None and shared - call.runtime.now() <= _EARLY:
        return _share_error(call, attempt, phase=phase, sent=sent)
    return AttemptTimeout(
        f"no {'connection' if name == 'connect' else 'content'} within {seconds} s ({name})",
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        phase=phase,
        sent=sent,
        clock=name,
        hint=f"Raise clocks={{'{name}': ...}} or add a target to the route.",
    )


def _share_error(call: Call, attempt: Attempt, *, phase: str, sent: bool) -> AttemptTimeout:
    return AttemptTimeout(
        f"no content within {call.runtime.now() - attempt.started:.3g} s, this target's share of the deadline",
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        phase=phase,
        sent=sent,
        clock="share",
        hint="Raise timeout= if the target is just slow, or set clocks={'first_token': ...}.",
    )


def deadline_error(call: Call, attempt: Attempt | None = None) -> DeadlineExceeded:
    """The error for a call whose time is up."""
    total = 0.0 if call.deadline is None else call.deadline - call.started
    # The time may be that of a function around it, which was up before.
    said = f"the call's deadline of {total:.3g} s passed" if total > 0.0 else "the deadline had passed before the call"
    return DeadlineExceeded(
        said,
        provider=attempt.target.provider.name if attempt else None,
        target=attempt.target.name if attempt else None,
        attempt=attempt.number if attempt else None,
        hint="Raise timeout= or deadline=, or choose a faster model.",
    )


def malformed(error: MalformedBody, attempt: Attempt) -> ResponseError:
    """The error for an answer that does not have its dialect's shape."""
    return ResponseError(
        f"the answer is malformed: {error.field}: expected {error.expected}",
        status=attempt.status,
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        request_id=attempt.request_id,
        code=MALFORMED,
        hint="Check that base_url points at an API of this provider.",
    )


def too_slow(call: Call, attempt: Attempt) -> AttemptTimeout:
    """The error for a stream that comes more slowly than `min_rate` allows."""
    rules = call.streaming or StreamRules()
    return AttemptTimeout(
        f"fewer than {rules.min_rate} tokens a second came during {rules.rate_window} s of waiting (min_rate)",
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        phase="body",
        sent=True,
        clock="min_rate",
        hint="Lower streams={'min_rate': ...}, or choose a faster model.",
    )


def interrupted(error: AistraleError, attempt: Attempt, partial: Completion) -> AistraleError:
    """The error for a stream that broke after it had begun; a deadline stays a deadline."""
    if isinstance(error, DeadlineExceeded):
        error.partial_text = partial.text
        error.usage = partial.usage
        error.request_id = attempt.request_id
        return error
    when = "after content had arrived" if partial.choices else "before any content"
    return StreamInterrupted(
        f"the stream broke {when}: {error.message}",
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        partial_text=partial.text,
        usage=partial.usage,
        request_id=attempt.request_id,
        hint="partial_text holds what arrived." if partial.choices else "Ask again.",
    )
