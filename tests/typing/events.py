"""What type checkers see of events in a program's tests; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

from aistrale.telemetry import MemorySink, TelemetryEvent
from aistrale.telemetry.events import CallFinished, FunctionFinished


def kept(sink: MemorySink) -> None:
    """A class gives events with their fields, a name does not."""
    assert_type(sink.of(CallFinished), list[CallFinished])
    assert_type(sink.of("call.finished"), list[TelemetryEvent])
    assert_type(sink.wait_for(FunctionFinished, 2, timeout=1.0)[0].calls, tuple[str, ...])
    assert_type(sink.wait_for("function.finished"), list[TelemetryEvent])
    assert sink.of("call.finished")[0].row  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
