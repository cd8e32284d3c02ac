"""Failed calls as errors in Sentry, and attempts as spans of the transaction that is under way.

The application calls `sentry_sdk.init`; this sink never does. What was said never goes to Sentry, not even where
capture was asked for, and neither do the words of providers' errors.
"""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from aistrale.core.worker import importing
from aistrale.errors import AistraleError
from aistrale.telemetry.address import flag, read_address, wrong
from aistrale.telemetry.events import AttemptFinished, BreakerChanged, CallFinished, FailedOver, Retried
from aistrale.telemetry.gathered import Gathered
from aistrale.telemetry.lines import input_tokens, line_of, output_tokens
from aistrale.telemetry.sinks.sentry_spans import Spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.store.records import AttemptRow, CallRow
    from aistrale.telemetry.events import TelemetryEvent

_ON_THE_WAY: Final = frozenset({AttemptFinished.kind, Retried.kind, FailedOver.kind})
_FAILED: Final = frozenset({"error", "interrupted"})


class SentryUnavailableError(AistraleError):
    """The application has not called `sentry_sdk.init`, or not yet."""

    retry_after = 30.0


class SentrySink:
    """Tells Sentry of each call that failed, once: attempts are its breadcrumbs, not errors of their own.

    Errors are grouped by the class of the error and the target, and belong to the trace in which the call was made.
    Without an initialised SDK nothing is sent: events wait and are dropped at last, which the status says.

    Args:
        spans: Whether attempts are spans (`gen_ai.chat`, `gen_ai.embeddings`) where a transaction is under way.
            Sentry's own integrations make such spans of calls through official SDKs: with both, tokens count twice.

    Raises:
        ImportError: sentry-sdk is not installed.
    """

    name = "sentry"
    kinds = _ON_THE_WAY | {CallFinished.kind, BreakerChanged.kind}

    def __init__(self, *, spans: bool = True) -> None:
        with importing():
            try:
                import sentry_sdk
            except ImportError as error:
                raise ImportError('The sink "sentry" needs sentry-sdk: pip install "aistrale[sentry]"') from error
        self._sdk = sentry_sdk
        self._gathered = Gathered(_ON_THE_WAY)
        self._lock = threading.Lock()
        self.instrument = Spans(spans=spans)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "sentry" or "sentry?spans=0"."""
        rest, options = read_address(url, {"spans": flag})
        if rest:
            raise wrong("sentry takes no address", "The DSN is an argument of sentry_sdk.init, or SENTRY_DSN.")
        return cls(**options)  # type: ignore[arg-type]  # as the readers of the options give them

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Give failed calls to the SDK, which has a queue of its own.

        Raises:
            SentryUnavailableError: It is not initialised.
        """
        with self._lock:
            if not self._sdk.get_client().is_active():
                raise SentryUnavailableError("sentry_sdk.init() has not been called in this process")
            self._gathered.add(events)
            for event in events:
                if isinstance(event, BreakerChanged):
                    self._sdk.get_global_scope().add_breadcrumb(_breadcrumb(event))
                elif isinstance(event, CallFinished) and event.row.outcome in _FAILED:
                    self._sdk.capture_event(self._failure(event))  # type: ignore[arg-type]  # a TypedDict of theirs
            over = [event.call_id for event in events if event.kind == CallFinished.kind]
            self._gathered.forget(over)
            self.instrument.forget(over)

    def flush(self, timeout: float) -> bool:
        """Let the SDK send what it holds, for at most `timeout` seconds; whether it did is not told."""
        self._sdk.flush(timeout=timeout)
        return True

    def after_fork(self) -> None:
        """The lock may be held by a thread that this process does not have."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """The SDK belongs to the application: nothing to do."""

    def _failure(self, event: CallFinished) -> dict[str, object]:
        row = event.row
        before = self._gathered.of(event.call_id)
        error = row.error or row.outcome
        attempts = [earlier.row for earlier in before if isinstance(earlier, AttemptFinished)]
        target = attempts[-1].target if attempts else row.model_asked
        contexts: dict[str, object] = {"aistrale": _facts(row, attempts)}
        trace = self.instrument.trace(event.call_id)
        if trace is not None:
            contexts["trace"] = {"trace_id": trace[0], "span_id": trace[1]}
        said = f"{target}, {row.attempts} attempt{'' if row.attempts == 1 else 's'}"
        return {
            "event_id": _event_id(event.id),
            "timestamp": datetime.fromtimestamp(event.at, UTC),
            "platform": "python",
            "level": "error",
            "logger": "aistrale",
            "fingerprint": ["aistrale", error, target],
            "exception": {
                "values": [
                    {
                        "type": error,
                        "value": said,
                        "module": "aistrale.errors",
                        "mechanism": {"type": "aistrale", "handled": True},
                    }
                ]
            },
            "tags": _tags(row, target),
            "contexts": contexts,
            "breadcrumbs": {"values": [_breadcrumb(earlier) for earlier in before]},
        }


def _facts(row: CallRow, attempts: Sequence[AttemptRow]) -> dict[str, object]:
    facts = {
        "call_id": row.call_id,
        "model_asked": row.model_asked,
        "latency": row.latency,
        "attempts": row.attempts,
        "first_token": row.first_token,
        "input_tokens": input_tokens(row),
        "output_tokens": output_tokens(row),
        "cost_usd": row.cost,
        "degraded": row.degraded,
        "name": row.name,
        "tags": dict(row.tags),
        "statuses": [attempt.status for attempt in attempts],
        "request_ids": [attempt.request_id for attempt in attempts if attempt.request_id],
    }
    return {name: value for name, value in facts.items() if value not in (None, {}, [])}


def _tags(row: CallRow, target: str) -> dict[str, str]:
    tags = {
        "aistrale.operation": row.kind,
        "aistrale.outcome": row.outcome,
        "aistrale.error": row.error,
        "aistrale.target": target,
        "aistrale.route": row.route,
        "aistrale.project": row.project,
        "aistrale.workspace": row.workspace,
    }
    # Sentry drops tags that are longer.
    return {name: value[:200] for name, value in tags.items() if value}


def _breadcrumb(event: TelemetryEvent) -> dict[str, object]:
    line = line_of(event)
    level = "warning" if line.mark in {"bad", "warning"} else "info"
    return {
        "timestamp": datetime.fromtimestamp(event.at, UTC),
        "type": "default",
        "category": f"aistrale.{event.kind}",
        "level": level,
        "message": line.text(),
    }


def _event_id(event_id: str) -> str:
    """The same for the same event: Sentry keeps one of those that come twice."""
    try:
        return uuid.UUID(event_id).hex
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, event_id).hex
