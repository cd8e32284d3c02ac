"""Spans and metrics of the steps of frameworks: tools, agents, retrievals, and what stands outermost as a workflow.

Models' steps have none: a call of ours has its own, and a call of somebody else's is told by whoever instruments that.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, set_span_in_context

from aistrale.telemetry.otel import conventions as words
from aistrale.telemetry.otel.attributes import sendable
from aistrale.telemetry.otel.messages import length_limit, written
from aistrale.telemetry.otel.suppression import muted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OTelSpan

    from aistrale.telemetry.events import Content, RunFinished
    from aistrale.telemetry.instrument import Step, StepSpan
    from aistrale.telemetry.otel.attributes import Attributes
    from aistrale.telemetry.otel.conventions import Profile
    from aistrale.telemetry.otel.current import Inside
    from aistrale.telemetry.otel.flavour import Flavour
    from aistrale.telemetry.otel.metrics import CallMetrics
    from aistrale.telemetry.otel.settings import ContentMode, OTelSettings
    from aistrale.telemetry.otel.sources import Source
    from aistrale.types import JSON

_INSTRUMENTATIONS: Final = {
    "langchain": "opentelemetry.instrumentation.genai.langchain",
    "llamaindex": "opentelemetry.instrumentation.genai.llama_index",
}
# Calls that were announced and never begun: none of them may be kept for ever.
_LIMIT: Final = 10_000


class Operation(NamedTuple):
    """How the conventions speak of a kind of step.

    Args:
        name: Of the operation, with which the span's name begins.
        attribute: What the framework's name of the step is; None where the conventions have none.
        kind: Of the span.
        metric: Of its duration; None where there is none.
        buckets: Its boundaries, in seconds.
    """

    name: str
    attribute: str | None
    kind: SpanKind
    metric: str | None
    buckets: Sequence[float]


TOOL: Final = Operation("execute_tool", words.TOOL_NAME, SpanKind.INTERNAL, words.TOOL_DURATION, words.SECONDS_BUCKETS)
AGENT: Final = Operation("invoke_agent", words.AGENT_NAME, SpanKind.INTERNAL, words.AGENT_DURATION, words.AGENT_BUCKETS)
WORKFLOW: Final = Operation(
    "invoke_workflow", words.WORKFLOW_NAME, SpanKind.INTERNAL, words.WORKFLOW_DURATION, words.WORKFLOW_BUCKETS
)
RETRIEVAL: Final = Operation("retrieval", None, SpanKind.CLIENT, None, ())


def operation_of(step: Step, profile: Profile) -> Operation | None:
    """What the conventions call a step; None for what they do not speak of: the inner workings of a chain, models."""
    if step.type == "tool":
        return TOOL
    if step.type == "agent":
        return AGENT
    if not profile.details:
        return None
    if step.type == "retriever":
        return RETRIEVAL
    return WORKFLOW if step.root and step.type in {"chain", "query"} else None


class Surrounding(Protocol):
    """Something that calls are made in."""

    @property
    def span(self) -> OTelSpan | None:
        """Of it; None where only metrics are wanted."""
        ...

    def admits(self, current: OTelSpan) -> bool:
        """Whether a call that begins where this span is current is its own: the application has made none between."""
        ...


class Steps:
    """Makes spans of steps, and remembers which calls are made inside of which.

    Args:
        source: Where they go.
        settings: How.
        flavour: What the backend wants besides.
        mode: Where content stands.
        shared: Says whether other instrumentations in this process measure for the same place.
        inside: Knows in which function of ours the running code is.
    """

    def __init__(  # noqa: PLR0917 - what a sink has of its own
        self,
        source: Source,
        settings: OTelSettings,
        flavour: Flavour,
        mode: ContentMode | None,
        shared: Callable[[], bool],
        inside: Inside,
    ) -> None:
        self.source = source
        self._inside = inside
        self.profile = settings.profile
        self._count = settings.count
        self._shared = shared
        self.shows = mode in {None, "span", "span_and_event"}
        self._flavour = flavour
        self._calls: dict[str, Surrounding] = {}

    def begin(self, step: Step, parent: StepSpan | None) -> StepSpan | None:
        """A step begins; None where nobody listens, silence is wanted, or the conventions do not know its kind."""
        operation = operation_of(step, self.profile)
        tracer = self.source.tracer()
        if operation is None or (tracer is None and self.source.call_metrics() is None) or muted():
            return None
        current = otel_context.get_current()
        function = self._inside.found(current)
        above = parent.context if isinstance(parent, OTelStep) else function or current
        span: OTelSpan | None = None
        if tracer is not None:
            rooted = above is not current or not get_current_span(above).get_span_context().is_valid
            found = _begun(step, operation)
            found.update(self._flavour.step(replace(step, root=step.root and above is not function), rooted=rooted))
            name = operation.name if operation.attribute is None else f"{operation.name} {step.name}"
            span = tracer.start_span(name, above, operation.kind, sendable(found))
        return OTelStep(self, step, operation, span, above, get_current_span(current))

    def metrics(self, framework: str) -> CallMetrics | None:
        """Where a step is measured; None where nobody listens, or somebody else measures it."""
        if not self.profile.renamed or self._count == "never":
            return None
        if self._count == "auto" and self._shared() and measured_elsewhere(framework):
            return None
        return self.source.call_metrics()

    def announce(self, call_id: str, step: Surrounding) -> None:
        """A call is about to begin inside of a step, or of a function; who says so first knows better."""
        calls = self._calls
        if len(calls) >= _LIMIT:
            # Other threads may be at it as well; one too many does no harm.
            with contextlib.suppress(RuntimeError):
                calls.pop(next(iter(calls)), None)
        calls.setdefault(call_id, step)

    def around(self, call_id: str, current: Context) -> Context | None:
        """The context with the span of the step that a call is made in.

        None where there is no such step, and where the application has made a span of its own inside of it.
        """
        step = self._calls.pop(call_id, None) if self._calls else None
        if step is None or step.span is None:
            return None
        return set_span_in_context(step.span, current) if step.admits(get_current_span(current)) else None


def measured_elsewhere(framework: str) -> bool:
    """Whether OpenTelemetry's own instrumentation of a framework is active, which has the same metrics."""
    module = sys.modules.get(_INSTRUMENTATIONS.get(framework, ""))
    if module is None:
        return False
    made = (getattr(each, "_instance", None) for name, each in vars(module).items() if name.endswith("Instrumentor"))
    return any(getattr(each, "is_instrumented_by_opentelemetry", False) for each in made)


def _begun(step: Step, operation: Operation) -> Attributes:
    found: Attributes = {words.OPERATION: operation.name}
    if operation.attribute is not None:
        found[operation.attribute] = step.name
    if operation is AGENT and step.conversation:
        found[words.CONVERSATION] = step.conversation
    if operation is TOOL:
        found[words.TOOL_TYPE] = "function"
        if step.call_id:
            found[words.TOOL_CALL_ID] = step.call_id
        if step.description:
            found[words.TOOL_DESCRIPTION] = step.description
    if operation is not AGENT and operation is not WORKFLOW and step.agent:
        found[words.AGENT_NAME] = step.agent
    return found


class OTelStep:
    """The span of a step, and its measurement.

    Args:
        steps: Makes them.
        step: What began.
        operation: What the conventions call it.
        span: None where only metrics are wanted.
        above: The context that it stands in.
        outside: The application's span that was current when it began.
    """

    __slots__ = ("_ended", "_operation", "_step", "_steps", "context", "outside", "span")

    def __init__(  # noqa: PLR0917 - what belongs to a step
        self, steps: Steps, step: Step, operation: Operation, span: OTelSpan | None, above: Context, outside: OTelSpan
    ) -> None:
        self._steps = steps
        self._step = step
        self._operation = operation
        self._ended = False
        self.span = span
        self.outside = outside
        self.context = above if span is None else set_span_in_context(span, above)

    def admits(self, current: OTelSpan) -> bool:
        """Whether a call that begins where this span is current is its own."""
        return current is self.outside

    def surrounds(self, call_id: str) -> None:
        """A call begins inside of it."""
        self._steps.announce(call_id, self)

    def end(self, event: RunFinished, content: Content | None) -> None:
        """It is over."""
        if self._ended:
            return
        self._ended = True
        if self._operation is WORKFLOW and event.type == "agent":
            # Frameworks tell of some agents that they are one while they run.
            self._operation = AGENT
            if self.span is not None:
                self.span.update_name(f"{AGENT.name} {self._step.name}")
                self.span.set_attributes({words.OPERATION: AGENT.name, words.AGENT_NAME: self._step.name})
        if self.span is not None:
            try:
                if self.span.is_recording():
                    self._close(self.span, event, content)
            finally:
                self.span.end()
        self._measure(event)

    def _close(self, span: OTelSpan, event: RunFinished, content: Content | None) -> None:
        if content is not None and self._steps.shows:
            span.set_attributes(step_content(self._operation, content))
        found: Attributes = {
            words.OUTCOME: event.outcome,
            words.FRAMEWORK: event.framework,
            words.RUN_ID: event.run_id,
        }
        if event.documents is not None:
            found[words.DOCUMENTS] = event.documents
        if event.outcome == "error":
            found[words.ERROR_TYPE] = event.error or "_OTHER"
            span.set_status(Status(StatusCode.ERROR, event.error or "_OTHER"))
        span.set_attributes(sendable(found))

    def _measure(self, event: RunFinished) -> None:
        operation, metrics = self._operation, self._steps.metrics(event.framework)
        if metrics is None or operation.metric is None or operation.attribute is None:
            return
        found: Attributes = {operation.attribute: self._step.name}
        if operation is TOOL:
            found[words.TOOL_TYPE] = "function"
            if self._step.agent:
                found[words.AGENT_NAME] = self._step.agent
        if event.outcome == "error":
            found[words.ERROR_TYPE] = event.error or "_OTHER"
        metrics.step(operation.metric, operation.buckets, event.latency, found, self.context)


def step_content(operation: Operation, content: Content) -> Attributes:
    """The attributes of a step's span that hold content; what is empty is left out."""
    limit = length_limit()
    if operation is TOOL:
        found = {
            words.TOOL_ARGUMENTS: _part(content.input, "arguments"),
            words.TOOL_RESULT: _part(content.output, "response"),
        }
        return {name: _value(value, limit) for name, value in found.items() if value is not None}
    if operation is RETRIEVAL:
        query = _part(content.input, "content")
        return {} if query is None else {words.QUERY_TEXT: _value(query, limit)}
    asked = [message for item in content.input for message in _messages(item)]
    # A graph ends with all that was said in it; the last of it is its answer.
    said = [message for item in content.output for message in _messages(item)[-1:]]
    messages = {words.INPUT_MESSAGES: asked, words.OUTPUT_MESSAGES: said}
    return {name: written(items, limit) for name, items in messages.items() if items}


def _value(value: JSON, limit: int | None) -> str:
    """A value as JSON of at most so many characters."""
    return value if isinstance(value, str) else written([value], limit)[1:-1] or "null"


def _part(messages: Sequence[JSON], field: str) -> JSON:
    """What stands in that field of the first part of the first message."""
    for message in messages:
        parts = message.get("parts") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get(field) is not None:
                return part[field]
    return None


def _messages(message: JSON) -> list[JSON]:
    """A message as the conventions have it: what goes in and out of a chain need not be text, and may be messages."""
    parts = message.get("parts") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(parts, list):
        return []
    only = parts[0].get("content") if len(parts) == 1 and isinstance(parts[0], dict) else None
    held = only.get("messages", only) if isinstance(only, dict) else only
    found = [_spoken(item) for item in (held if isinstance(held, list) else [held])]
    if found and all(item is not None for item in found):
        return found
    return [{**message, "parts": [_texted(part) for part in parts]}]


def _spoken(item: JSON) -> JSON:
    """What is a message itself; None for anything else."""
    if not isinstance(item, dict) or not isinstance(item.get("role"), str):
        return None
    if isinstance(item.get("parts"), list):
        return item
    content = item.get("content")
    return {"role": item["role"], "parts": [{"type": "text", "content": content}]} if isinstance(content, str) else None


def _texted(part: JSON) -> JSON:
    if not isinstance(part, dict) or part.get("type") != "text" or isinstance(part.get("content"), str):
        return part
    return cast("JSON", {**part, "content": json.dumps(part.get("content"), ensure_ascii=False)})
