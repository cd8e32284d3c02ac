"""Who counts a call without leaving a mark in OpenTelemetry's context: it is seen on the stack.

Langfuse's wrapper of the openai package keeps its generation to itself. The handlers that Langfuse and OpenInference
give LangChain keep their spans in tables, by run; Langfuse's is current where LangChain calls it in the caller's
context, and in a task it does not.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Span

from aistrale.types import EmbedRequest

if TYPE_CHECKING:
    from types import FrameType

    from aistrale.core.call import Call

_LANGFUSE: Final = "langfuse.openai"
_WRAPPERS: Final = frozenset({"_wrap", "_wrap_async"})
_HANDLERS: Final = ("langfuse.langchain", "openinference.instrumentation.langchain")
_MANAGER: Final = "run_manager"
_DEEPEST: Final = 128


def found_on_stack(call: Call) -> Span | str | None:
    """Who counts a call: its span of it, or its name where it shows none; None where nobody does."""
    wrapped = call.inbound is not None and _LANGFUSE in sys.modules
    # LangChain tells no handler of vectors: those that a model has made in the midst of its run are nobody's but ours.
    handled = not isinstance(call.request, EmbedRequest) and any(name in sys.modules for name in _HANDLERS)
    frame: FrameType | None = sys._getframe(1) if wrapped or handled else None  # noqa: SLF001 - nothing else tells
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        if wrapped and _traces(frame):
            return _LANGFUSE
        if handled and (found := _run_of(frame)) is not None:
            return found
        frame = frame.f_back
    return None


def _traces(frame: FrameType) -> bool:
    """Whether it is Langfuse's wrapper, and traces what it wraps; raw streams it passes through."""
    if frame.f_code.co_name not in _WRAPPERS or frame.f_globals.get("__name__") != _LANGFUSE:
        return False
    generation = frame.f_locals.get("generation")
    span = getattr(generation, "_otel_span", None)
    # Without keys it makes spans that go nowhere.
    return generation is not None and (span is None or bool(span.is_recording()))


def _run_of(frame: FrameType) -> Span | None:
    """The span that a handler has made for the run of a model of LangChain's."""
    if _MANAGER not in frame.f_code.co_varnames:
        return None
    manager = frame.f_locals.get(_MANAGER)
    if not type(manager).__name__.endswith("ForLLMRun"):
        return None
    for handler in getattr(manager, "handlers", ()):
        span = _span_of(handler, getattr(manager, "run_id", None))
        if span is not None and span.is_recording():
            return span
    return None


def _span_of(handler: object, run: object) -> Span | None:
    module = type(handler).__module__
    found: object = None
    if module.startswith("openinference.instrumentation.langchain"):
        get = getattr(handler, "get_span", None)
        found = None if get is None else get(run)
    elif module.startswith("langfuse.langchain"):
        found = getattr(getattr(handler, "_runs", {}).get(run), "_otel_span", None)
    # OpenInference's tracers wrap spans.
    found = getattr(found, "__wrapped__", found)
    return found if isinstance(found, Span) else None
