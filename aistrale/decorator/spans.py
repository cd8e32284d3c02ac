"""Spans of one execution of a decorated function, from each sink that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.core.ids import new_id
from aistrale.policies.following import guarded
from aistrale.scope import enter
from aistrale.telemetry.events import Content
from aistrale.telemetry.instrument import Function

if TYPE_CHECKING:
    from aistrale.core.call import Context
    from aistrale.telemetry.events import FunctionFinished
    from aistrale.telemetry.instrument import FunctionSpan, Instrument
    from aistrale.types import JSON


def begin(instruments: tuple[Instrument, ...], name: str, context: Context, *, nested: bool) -> FunctionSpans | None:
    """A function is called.

    Args:
        instruments: Make spans, or do not.
        name: Of the function.
        context: What holds inside.
        nested: Whether another decorated function runs around it.

    Returns:
        Its spans; None where there are none.
    """
    makers = [make for own in instruments if (make := getattr(own, "function", None)) is not None]
    if not makers:
        return None
    function = Function(id=new_id(), name=name, context=context, nested=nested)
    enter(function.id)
    made = (guarded(lambda make=make: make(function)) for make in makers)  # type: ignore[misc]
    spans = tuple(cast("FunctionSpan", span) for span in made if span is not None)
    return FunctionSpans(spans) if spans else None


class FunctionSpans:
    """They are current while the body runs, the first one outermost.

    Args:
        spans: Them.
    """

    __slots__ = ("_spans",)

    def __init__(self, spans: tuple[FunctionSpan, ...]) -> None:
        self._spans = spans

    def resume(self) -> None:
        """The body runs (on)."""
        for span in self._spans:
            guarded(span.activate)

    def pause(self) -> None:
        """It rests, or is done."""
        for span in reversed(self._spans):
            guarded(span.deactivate)

    def surrounds(self, call_id: str) -> None:
        """A call is made in the body; a stream of it may be read when the function is over."""
        for span in self._spans:
            guarded(lambda span=span: span.surrounds(call_id))  # type: ignore[misc]

    def end(self, event: FunctionFinished, said: tuple[JSON, JSON] | None) -> None:
        """It is over.

        Args:
            event: What became of it.
            said: Arguments and result, redacted; None where they are not to be shown.
        """
        content = (
            None if said is None else Content(input=_message("user", said[0]), output=_message("assistant", said[1]))
        )
        for span in self._spans:
            guarded(lambda span=span: span.end(event, content))  # type: ignore[misc]


def _message(role: str, said: JSON) -> tuple[JSON, ...]:
    """What goes in or out of a function, in the form in which spans have messages; it need not be text."""
    return () if said is None else ({"role": role, "parts": [{"type": "text", "content": said}]},)
