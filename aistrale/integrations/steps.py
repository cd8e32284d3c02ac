"""Spans of a framework's steps, from each instrument of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.policies.following import guarded

if TYPE_CHECKING:
    from aistrale.telemetry.events import Content, RunFinished
    from aistrale.telemetry.instrument import Instrument, Step, StepSpan

    Spans = tuple[StepSpan | None, ...]


def begun(instruments: tuple[Instrument, ...], step: Step, above: Spans) -> tuple[Spans, Spans]:
    """A step begins.

    Args:
        instruments: Make spans, or do not.
        step: It.
        above: The innermost span around it from each of them; empty where there is none.

    Returns:
        Its own spans, and the innermost ones for what happens inside of it.
    """
    above = above if len(above) == len(instruments) else (None,) * len(instruments)
    own: list[StepSpan | None] = []
    for instrument, parent in zip(instruments, above, strict=True):
        make = getattr(instrument, "step", None)
        made = None if make is None else guarded(lambda make=make, parent=parent: make(step, parent))  # type: ignore[misc]
        own.append(cast("StepSpan | None", made))
    return tuple(own), tuple(mine or parent for mine, parent in zip(own, above, strict=True))


def surround(spans: Spans, call_id: str) -> None:
    """A call of ours is about to begin inside of them."""
    for span in spans:
        if span is not None:
            guarded(lambda span=span: span.surrounds(call_id))  # type: ignore[misc]


def end(spans: Spans, event: RunFinished, content: Content | None) -> None:
    """They are over."""
    for span in spans:
        if span is not None:
            guarded(lambda span=span: span.end(event, content))  # type: ignore[misc]
