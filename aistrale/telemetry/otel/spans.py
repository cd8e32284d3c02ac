"""Spans: an INTERNAL one for every call, beneath it a CLIENT one for every exchange with a provider.

Only the exchange carries tokens and money, so that sums over all spans are right. Where somebody above us counts them
already, the exchange is an INTERNAL span as well, without a word of the conventions on it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, set_span_in_context

from aistrale.core.exchange import HttpRequest
from aistrale.core.stream import says
from aistrale.telemetry.otel import attributes as reading
from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.current import Current, Inside
from aistrale.telemetry.otel.events import emit_details, emit_exception
from aistrale.telemetry.otel.flavour import Flavour, Plain
from aistrale.telemetry.otel.functions import Functions
from aistrale.telemetry.otel.messages import span_content
from aistrale.telemetry.otel.requests import request_attributes
from aistrale.telemetry.otel.steps import Steps
from aistrale.telemetry.otel.suppression import Counter, beneath, counted_by, is_function, muted
from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OTelSpan

    from aistrale.core.call import Attempt, Call
    from aistrale.core.reply import Reply
    from aistrale.telemetry.events import Content
    from aistrale.telemetry.instrument import Span
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.telemetry.otel.settings import OTelSettings
    from aistrale.telemetry.otel.sources import Source
    from aistrale.types import Event

_NEVER = Counter("never", measures=True)
# Gaps between pieces that one stream keeps; longer ones are a sample of it.
_MOST_GAPS = 10_000


class SpanMaker:
    """Follows calls with spans.

    Args:
        source: Where they go.
        settings: How.
        flavour: What the backend wants besides.
        shared: Says whether other instrumentations in this process send to the same place, so that what they count must
            not be counted again.
    """

    def __init__(
        self,
        source: Source,
        settings: OTelSettings,
        flavour: Flavour | None = None,
        *,
        shared: Callable[[], bool] = lambda: True,
    ) -> None:
        self.source = source
        self.settings = settings
        self.profile = settings.profile
        self.flavour: Flavour = flavour or Plain()
        self._shared = shared
        self.mode = settings.content_mode()
        self.events = settings.emits_events()
        self._inside = Inside()
        self._steps = Steps(source, settings, self.flavour, self.mode, shared, self._inside)
        self.step = self._steps.begin
        self.function = Functions(source, self.flavour, self._steps, self._inside).begin

    @property
    def content(self) -> bool:
        """Whether it wants content although the client's settings do not ask for it."""
        return self.mode not in {None, "off"}

    @property
    def chunks(self) -> bool:
        """Whether it wants to know of every piece of a stream."""
        metrics = self.source.call_metrics()
        return metrics is not None and metrics.chunks

    def call(self, call: Call) -> Span | None:
        """A call begins; None where nobody listens, or silence is wanted."""
        tracer = self.source.tracer()
        if tracer is None and self.source.call_metrics() is None:
            return None
        shared = self._shared()
        counter = self._counter(call, shared=shared)
        # Who counts itself wants silence of others who count. Else it is meant as it is said.
        if shared and counter is None and muted():
            return None
        parent = otel_context.get_current()
        above = self._steps.around(call.id, parent) or self._inside.found(parent)
        if counter is not None and counter.span is not None:
            parent = set_span_in_context(counter.span, parent)
        elif above is not None:
            parent = above
        if tracer is None:
            return CallSpan(None, parent, counter)
        vectors = isinstance(call.request, EmbedRequest)
        found = reading.call_attributes(call)
        if counter is not None:
            found[words.COUNTED_BY] = counter.name
        rooted = parent is above or not get_current_span(parent).get_span_context().is_valid
        # The name of a call's context is that of the function around it.
        named = parent is above and (not call.context.name or is_function(get_current_span(parent)))
        found.update(self.flavour.call(call, rooted=rooted, named=named))
        name = f"aistrale {'embeddings' if vectors else 'chat'} {call.asked}"
        span = tracer.start_span(name, parent, SpanKind.INTERNAL, reading.sendable(found))
        return CallSpan(span, parent, counter, call)

    def attempt(self, call: Call, attempt: Attempt, parent: Span | None) -> Span | None:
        """An exchange begins; None where its call is not followed."""
        if not isinstance(parent, CallSpan):
            return None
        counted = parent.counter is None
        identity = reading.identity(call, attempt.target)
        found = reading.attempt_attributes(call, attempt)
        if counted:
            found = {**identity, **request_attributes(call, attempt.target, self.profile), **found}
        tracer, span = self.source.tracer(), None
        above = parent.context
        if tracer is not None:
            name = (
                f"{identity[words.OPERATION]} {attempt.target.model}" if counted else f"attempt {attempt.target.name}"
            )
            kind = SpanKind.CLIENT if counted else SpanKind.INTERNAL
            span = tracer.start_span(name, above, kind, reading.sendable(found))
            if self.settings.propagate:
                _propagate(call, attempt, span)
        own = identity if parent.measured else None
        return AttemptSpan(self, call, attempt, span=span, above=above, counted=counted, identity=own, begun=found)

    def _counter(self, call: Call, *, shared: bool) -> Counter | None:
        """Who counts the tokens of a call instead of us."""
        if self.settings.count == "never":
            return _NEVER
        if self.settings.count == "always" or not shared:
            return None
        return counted_by(call)


class CallSpan(Current):
    """The span of a call.

    Args:
        span: It; None where only metrics are wanted.
        parent: The context that the call was made in.
        counter: Who counts its tokens instead of us.
        call: It.
    """

    __slots__ = ("_call", "_ended", "_span", "context", "counter")

    def __init__(
        self, span: OTelSpan | None, parent: Context, counter: Counter | None, call: Call | None = None
    ) -> None:
        super().__init__()
        self._span = span
        self._call = call
        self._ended = False
        self.counter = counter
        self.context = parent if span is None else set_span_in_context(span, parent)

    @property
    def measured(self) -> bool:
        """Whether metrics of its exchanges are ours to give."""
        return self.counter is None or not self.counter.measures

    def make(self) -> Context:
        """The context in which it is current."""
        return self.context

    def chunk(self, event: Event) -> None:
        """Pieces are the attempts' business."""

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        """The call is over."""
        span = self._span
        if span is None or self._ended:
            return
        try:
            row = None if self._call is None else self._call.row
            if row is not None and span.is_recording():
                found = reading.row_attributes(row)
                failed = row.error if row.outcome in {"error", "interrupted"} else None
                if row.outcome == "cancelled":
                    failed = reading.CANCELLED
                if failed is not None:
                    found[words.ERROR_TYPE] = failed
                    span.set_status(Status(StatusCode.ERROR, failed))
                span.set_attributes(reading.sendable(found))
        finally:
            self._ended = True
            span.end()


class AttemptSpan(Current):
    """The span of one exchange with a provider, and its measurements.

    Args:
        maker: Says how.
        call: Its call, or the leg of it.
        attempt: It.
        span: None where only metrics are wanted.
        above: The context of the call's span.
        counted: Whether its tokens are counted here, and not by somebody above us.
        identity: What its measurements are filed under; None where somebody else measures.
        begun: The attributes that it began with.
    """

    __slots__ = (
        "_attempt",
        "_begun",
        "_call",
        "_context",
        "_counted",
        "_ended",
        "_gaps",
        "_identity",
        "_last",
        "_maker",
        "_span",
    )

    def __init__(
        self,
        maker: SpanMaker,
        call: Call,
        attempt: Attempt,
        *,
        span: OTelSpan | None,
        above: Context,
        counted: bool,
        identity: Attributes | None,
        begun: Attributes,
    ) -> None:
        super().__init__()
        self._maker = maker
        self._call = call
        self._attempt = attempt
        self._span = span
        self._counted = counted
        self._identity = identity
        self._begun = begun
        self._context = above if span is None else set_span_in_context(span, above)
        self._ended = False
        self._last: float | None = None
        self._gaps: list[float] = []

    def make(self) -> Context:
        """The context in which it is current, and in which nested instrumentations do not count."""
        if not self._counted:
            return self._context
        return beneath(self._context, self._call, mute=self._maker.settings.suppress)

    def chunk(self, event: Event) -> None:
        """Time it, where it brings content."""
        if self._identity is None or not says(event):
            return
        now = time.perf_counter()
        if self._last is not None and len(self._gaps) < _MOST_GAPS:
            self._gaps.append(now - self._last)
        self._last = now

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        """The exchange is over, and settled."""
        if self._ended:
            return
        span = self._span
        try:
            found, content = self._found(reply), self._content()
            if span is not None and span.is_recording():
                self._close(span, found, content)
            if content is not None or self._maker.events:
                self._details(found, content)
            if self._attempt.outcome == "success" and self._maker.source.logger() is not None:
                response = found.get(words.RESPONSE_ID)
                told = response if isinstance(response, str) else None
                self._maker.source.evaluations.remember(self._call.id, self._context, told)
        finally:
            self._ended = True
            if span is not None:
                span.end()
        metrics = None if self._identity is None else self._maker.source.call_metrics()
        if metrics is not None and self._identity is not None:
            request = self._call.request
            metrics.attempt(
                self._attempt,
                self._identity,
                self._context,
                self._gaps,
                stream=self._call.stream,
                vectors=isinstance(request, EmbedRequest),
            )

    def _found(self, reply: Reply | None) -> Attributes:
        """What is known now and was not before."""
        call, attempt, maker = self._call, self._attempt, self._maker
        found = reading.outcome_attributes(attempt)
        if self._counted:
            if reply is not None:
                found.update(reading.answer_attributes(call, attempt, reply, maker.profile))
            elif call.stream and reading.broke_off(attempt):
                found[words.FINISH_REASONS] = reading.NO_END
            if maker.flavour.usage:
                vectors = isinstance(call.request, EmbedRequest)
                tokens = maker.settings.cache_tokens
                found.update(reading.usage_attributes(attempt.usage, maker.profile, tokens, embedding=vectors))
                if (usd := found.get(words.COST)) is not None:
                    found.update(dict.fromkeys(maker.settings.cost, usd))
        if (failed := reading.error_type(attempt)) is not None:
            found[words.ERROR_TYPE] = failed
        found.update(maker.flavour.attempt(call, attempt, counted=self._counted))
        return reading.sendable(found)

    def _content(self) -> Content | None:
        """What was said, where this sink shows it."""
        said = self._attempt.said
        if said is None or not self._counted or self._maker.mode == "off":
            return None
        return said.content()

    def _close(self, span: OTelSpan, found: Attributes, content: Content | None) -> None:
        if content is not None and self._maker.mode in {None, "span", "span_and_event"}:
            # First: when an SDK's limit on the number of attributes is reached, the oldest ones go.
            span.set_attributes(span_content(content, tools=self._maker.profile.details))
        span.set_attributes(found)
        failed = found.get(words.ERROR_TYPE)
        if failed is not None:
            # The class alone: what an error says may quote the prompt.
            span.set_status(Status(StatusCode.ERROR, str(failed)))

    def _details(self, found: Attributes, content: Content | None) -> None:
        maker = self._maker
        logger = maker.source.logger() if maker.events and self._counted else None
        if logger is not None:
            shown = content if maker.mode in {"event", "span_and_event"} else None
            attributes = {**reading.sendable(self._begun), **found}
            emit_details(logger, self._context, attributes, shown, tools=maker.profile.details)
            failed = found.get(words.ERROR_TYPE)
            if isinstance(failed, str) and failed != reading.CANCELLED and maker.profile.details:
                emit_exception(logger, self._context, failed)


def _propagate(call: Call, attempt: Attempt, span: OTelSpan) -> None:
    """Tell the provider of the trace that its exchange belongs to (W3C Trace Context)."""
    from dataclasses import replace

    prepared = call.prepared.get(attempt.target.name)
    own = span.get_span_context()
    if prepared is None or not own.is_valid:
        return
    header = f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}"
    http = prepared.http
    headers = [(name, value) for name, value in http.headers if name.lower() != "traceparent"]
    sent = HttpRequest(http.method, http.url, [*headers, ("traceparent", header)], http.body)
    call.prepared[attempt.target.name] = replace(prepared, http=sent)
