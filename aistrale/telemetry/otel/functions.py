"""Spans of decorated functions, which are workflows to the conventions: what is called inside stands beneath them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span

from aistrale.telemetry.instrument import Step
from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.attributes import context_attributes, sendable
from aistrale.telemetry.otel.steps import WORKFLOW, step_content
from aistrale.telemetry.otel.suppression import muted, unmarked

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OTelSpan

    from aistrale.telemetry.events import Content, FunctionFinished
    from aistrale.telemetry.instrument import Function, FunctionSpan
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.telemetry.otel.current import Inside
    from aistrale.telemetry.otel.flavour import Flavour
    from aistrale.telemetry.otel.sources import Source
    from aistrale.telemetry.otel.steps import Steps


class Functions:
    """Makes spans of decorated functions.

    Args:
        source: Where they go.
        flavour: What the backend wants besides.
        steps: Those of frameworks, in which functions may run.
        inside: Keeps which function the running code is in.
    """

    def __init__(self, source: Source, flavour: Flavour, steps: Steps, inside: Inside) -> None:
        self.source = source
        self.flavour = flavour
        self.steps = steps
        self.inside = inside

    def begin(self, function: Function) -> FunctionSpan | None:
        """A function is called; None where nobody listens, or silence is wanted."""
        if (self.source.tracer() is None and self.source.call_metrics() is None) or muted():
            return None
        outside = otel_context.get_current()
        above = self.steps.around(function.id, outside) or self.inside.found(outside)
        return OTelFunction(self, function, outside, above)

    def start(self, function: Function, outside: Context, above: Context | None) -> OTelSpan | None:
        """Its span; None where only metrics are wanted."""
        tracer = self.source.tracer()
        if tracer is None:
            return None
        found: Attributes = {words.FUNCTION: function.name, **context_attributes(function.context)}
        name = function.name
        if self.steps.profile.details:
            found[words.OPERATION] = WORKFLOW.name
            found[words.WORKFLOW_NAME] = name
            name = f"{WORKFLOW.name} {name}"
        root = above is None and not function.nested
        step = Step(type="chain", name=function.name, root=root, context=function.context)
        rooted = above is not None or not get_current_span(outside).get_span_context().is_valid
        found.update(self.flavour.step(step, rooted=rooted))
        return tracer.start_span(name, above or outside, SpanKind.INTERNAL, sendable(found))


class OTelFunction:
    """The span of one execution of a function, which begins when its body does.

    What the body makes current is its own, and rests when it does: a span around a `yield` is for no reader.

    Args:
        functions: Makes it.
        function: What was called.
        outside: The context that it was called in.
        above: The same with the span of ours that it is to stand beneath; None where there is none.
    """

    __slots__ = ("_above", "_before", "_begun", "_ended", "_function", "_functions", "_inner", "_outside", "_span")

    def __init__(self, functions: Functions, function: Function, outside: Context, above: Context | None) -> None:
        self._functions = functions
        self._function = function
        self._outside = outside
        self._above = above
        self._span: OTelSpan | None = None
        self._inner: Context | None = None
        self._before: Context | None = None
        self._begun = False
        self._ended = False

    def activate(self) -> None:
        """The body runs (on), in the context that it has left."""
        if not self._begun:
            self._begun = True
            self._span = self._functions.start(self._function, self._outside, self._above)
            if self._span is not None:
                self._inner = self._functions.inside.entered(self._function.id, self._span, unmarked(self._outside))
        if self._inner is not None:
            # First: an interrupt may come after each step.
            self._before = otel_context.get_current()
            otel_context.attach(self._inner)

    def deactivate(self) -> None:
        """It rests, or is over."""
        before = self._before
        if before is None or self._span is None:
            return
        current = otel_context.get_current()
        # Where it is closed may be another thread or task: what holds there is not ours to change.
        if self._functions.inside.holds(self._span, current):
            self._inner = current
            otel_context.attach(before)
        self._before = None

    @property
    def span(self) -> OTelSpan | None:
        """It; None where only metrics are wanted."""
        return self._span

    def admits(self, current: OTelSpan) -> bool:
        """Whether a call of its body that begins where this span is current is its own: its caller reads a stream."""
        return current is get_current_span(self._outside) or current is self._functions.inside.around(self._outside)

    def surrounds(self, call_id: str) -> None:
        """A call is made in the body."""
        self._functions.steps.announce(call_id, self)

    def end(self, event: FunctionFinished, content: Content | None) -> None:
        """It is over."""
        if self._ended:
            return
        self._ended = True
        span, steps = self._span, self._functions.steps
        failed = (event.error or "_OTHER") if event.outcome == "error" else None
        if span is not None:
            try:
                if span.is_recording():
                    self._close(span, event.outcome, failed, content)
            finally:
                span.end()
        metrics = steps.metrics("aistrale") if steps.profile.details else None
        if metrics is not None and WORKFLOW.metric is not None:
            found: Attributes = {words.WORKFLOW_NAME: event.name}
            if failed is not None:
                found[words.ERROR_TYPE] = failed
            metrics.step(WORKFLOW.metric, WORKFLOW.buckets, event.latency, found, self._inner or self._outside)

    def _close(self, span: OTelSpan, outcome: str, failed: str | None, content: Content | None) -> None:
        if content is not None and self._functions.steps.shows:
            span.set_attributes(step_content(WORKFLOW, content))
        span.set_attribute(words.OUTCOME, outcome)
        if failed is not None:
            span.set_attribute(words.ERROR_TYPE, failed)
            span.set_status(Status(StatusCode.ERROR, failed))
