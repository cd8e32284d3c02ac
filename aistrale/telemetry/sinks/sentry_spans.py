"""Spans of attempts in Sentry, made while calls run, beneath the span that is current there."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.telemetry.lines import input_tokens, output_tokens
from aistrale.telemetry.otel.conventions import PROVIDERS
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentry_sdk import Scope

    from aistrale.core.call import Attempt, Call
    from aistrale.core.reply import Reply
    from aistrale.telemetry.instrument import Span
    from aistrale.types import Event

_ORIGIN: Final = "auto.ai.aistrale"
_LIMIT: Final = 10_000


class _SentrySpan(Protocol):
    """What the spans of both of the SDK's ways of tracing can do, by the names of the older one."""

    def set_data(self, key: str, value: object) -> None: ...
    def set_status(self, value: str) -> None: ...
    def finish(self) -> None: ...


class Spans:
    """Makes spans, and remembers in which trace calls were made that are not over, or have failed.

    Args:
        spans: Whether it makes any.
    """

    chunks = False

    def __init__(self, *, spans: bool) -> None:
        self._spans = spans
        self._traces: dict[str, tuple[str, str]] = {}

    def call(self, call: Call) -> Span | None:
        """Remember its trace."""
        import sentry_sdk

        if not sentry_sdk.get_client().is_active():
            return None
        # "trace-span-sampled"; of a transaction, or of the scope where there is none.
        parts = (sentry_sdk.get_traceparent() or "").split("-")
        if len(parts) < 2:
            return None
        traces = self._traces
        if len(traces) >= _LIMIT:
            # Other threads may be at it as well; one too many does no harm.
            with contextlib.suppress(RuntimeError):
                traces.pop(next(iter(traces), ""), None)
        traces[call.id] = parts[0], parts[1]
        return _CallSpan(self, call.id)

    def attempt(self, call: Call, attempt: Attempt, parent: Span | None) -> Span | None:
        """A span beneath the one that is current; None where none is."""
        if not self._spans:
            return None
        import sentry_sdk

        scope = sentry_sdk.get_current_scope()
        operation = "embeddings" if isinstance(call.request, EmbedRequest) else "chat"
        name, op = f"{operation} {attempt.target.model}", f"gen_ai.{operation}"
        if scope.span is not None:
            child = scope.span.start_child(op=op, name=name, origin=_ORIGIN)
            return _AttemptSpan(cast("_SentrySpan", child), child, (scope, "span"), call, attempt, operation)
        streamed = getattr(scope, "streamed_span", None)
        if streamed is None:
            return None
        made = _Streamed(name, op, streamed)
        return _AttemptSpan(made, made.span, (scope, "streamed_span"), call, attempt, operation)

    def trace(self, call_id: str | None) -> tuple[str, str] | None:
        """Ids of the trace and the span in which a call was made; None where that is not known."""
        return self._traces.get(call_id or "")

    def forget(self, call_ids: Iterable[str | None]) -> None:
        """These calls are told of."""
        for call_id in call_ids:
            self._traces.pop(call_id or "", None)


class _CallSpan:
    """A call has no span of its own: the application's transaction is around it."""

    def __init__(self, spans: Spans, call_id: str) -> None:
        self._spans = spans
        self._call_id = call_id

    def activate(self) -> object:
        return None

    def deactivate(self, token: object) -> None:
        pass

    def chunk(self, event: Event) -> None:
        pass

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        if error is None:
            self._spans.forget((self._call_id,))


class _AttemptSpan:
    def __init__(  # noqa: PLR0917 - what belongs to one attempt
        self,
        span: _SentrySpan,
        made: object,
        place: tuple[Scope, str],
        call: Call,
        attempt: Attempt,
        operation: str,
    ) -> None:
        self._span = span
        self._made = made
        self._scope, self._place = place
        self._attempt = attempt
        self._over = False
        provider = attempt.target.provider.name
        for key, value in (
            ("gen_ai.operation.name", operation),
            ("gen_ai.provider.name", PROVIDERS.get(provider, provider)),
            ("gen_ai.system", PROVIDERS.get(provider, provider)),
            ("gen_ai.request.model", attempt.target.model),
            ("gen_ai.response.streaming", call.stream),
            ("aistrale.attempt", attempt.number),
        ):
            span.set_data(key, value)

    def activate(self) -> object:
        before: object = getattr(self._scope, self._place)
        setattr(self._scope, self._place, self._made)
        return before

    def deactivate(self, token: object) -> None:
        if getattr(self._scope, self._place) is self._made:
            setattr(self._scope, self._place, token)

    def chunk(self, event: Event) -> None:
        pass

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        attempt, row, span = self._attempt, self._attempt.row, self._span
        if row is not None:
            taken, given = input_tokens(row), output_tokens(row)
            for key, value in (
                ("gen_ai.response.model", row.response_model),
                ("gen_ai.usage.input_tokens", taken),
                ("gen_ai.usage.input_tokens.cached", row.cache_read),
                ("gen_ai.usage.input_tokens.cache_write", row.cache_write),
                ("gen_ai.usage.output_tokens", given),
                ("gen_ai.usage.output_tokens.reasoning", row.reasoning),
                ("gen_ai.usage.total_tokens", None if taken is None or given is None else taken + given),
                ("gen_ai.response.time_to_first_token", row.first_token if row.streamed else None),
            ):
                if value is not None:
                    span.set_data(key, value)
        if attempt.outcome in {"error", "interrupted"}:
            span.set_data("error.type", attempt.error or "_OTHER")
            span.set_status("internal_error")
        elif attempt.outcome == "cancelled":
            span.set_status("cancelled")
        else:
            span.set_status("ok")
        span.finish()


class _Streamed:
    """A span of the SDK's newer way (`trace_lifecycle="stream"`), by the names of the older one."""

    def __init__(self, name: str, op: str, parent: object) -> None:
        traces = sys.modules["sentry_sdk.traces"]
        attributes = {"sentry.op": op, "sentry.origin": _ORIGIN}
        self.span = traces.start_span(name=name, attributes=attributes, parent_span=parent, active=False)

    def set_data(self, key: str, value: object) -> None:
        self.span.set_attribute(key, value)

    def set_status(self, value: str) -> None:
        self.span.status = "ok" if value == "ok" else "error"

    def finish(self) -> None:
        self.span.end()
