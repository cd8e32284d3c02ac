"""What is current in OpenTelemetry's context, of ours: calls, exchanges, functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span, set_span_in_context

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OTelSpan

# The innermost span of a function, wherever it goes, what is around it, and the execution that it is of.
_INNERMOST: Final = otel_context.create_key("aistrale-function-span")
_AROUND: Final = otel_context.create_key("aistrale-function-around")
_EXECUTION: Final = otel_context.create_key("aistrale-function")


class Current:
    """Something that can be made current, and that no longer is it when another context is.

    OpenTelemetry's own tokens can only be given back in the context that they were taken in, and complain in the log
    where that is another one: a coroutine that the garbage collector closes, for example. What was current before is
    put back instead, and only where we are still the current one.
    """

    __slots__ = ("_active",)

    def __init__(self) -> None:
        self._active: Context | None = None

    def make(self) -> Context:
        """The context in which it is current."""
        raise NotImplementedError

    def activate(self) -> object:
        """Make it current; the context before."""
        before = otel_context.get_current()
        if self._active is None:
            self._active = self.make()
        otel_context.attach(self._active)
        return before

    def deactivate(self, token: object) -> None:
        """Make current again what was before."""
        if isinstance(token, otel_context.Context) and otel_context.get_current() is self._active:
            otel_context.attach(token)


class Inside:
    """In which function of ours the running code is, by the spans of one sink.

    Several sinks make spans of the same function, and only one of them can be the current one: that of another sink may
    go elsewhere, and is nothing to stand beneath.
    """

    def __init__(self) -> None:
        self._key = otel_context.create_key("aistrale-function-own")

    def entered(self, execution: str, span: OTelSpan, outside: Context) -> Context:
        """The context inside of a function.

        Args:
            execution: Which one of it.
            span: Of it.
            outside: Where it was called.
        """
        current = otel_context.get_current()
        # Where it is advanced may be another place, unless that is where another sink has just entered it.
        context = current if otel_context.get_value(_EXECUTION, current) == execution else outside
        around = self.around(outside)
        for key, value in ((_EXECUTION, execution), (_INNERMOST, span), (_AROUND, around), (self._key, span)):
            context = otel_context.set_value(key, value, context)
        return set_span_in_context(span, context)

    def around(self, current: Context) -> object:
        """The application's span around a function, and around those in whose bodies it was called."""
        span = get_current_span(current)
        return otel_context.get_value(_AROUND, current) if span is otel_context.get_value(_INNERMOST, current) else span

    def holds(self, span: OTelSpan, current: Context) -> bool:
        """Whether a context is that inside of a function, or what its body has made of it."""
        return otel_context.get_value(self._key, current) is span

    def found(self, current: Context) -> Context | None:
        """The context with this sink's span of the innermost function as the current one.

        None outside of functions, and where the application has made a span of its own inside.
        """
        own = otel_context.get_value(self._key, current)
        if own is None or get_current_span(current) is not otel_context.get_value(_INNERMOST, current):
            return None
        return set_span_in_context(own, current)  # type: ignore[arg-type]  # only spans stand under this key
