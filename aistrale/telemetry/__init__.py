"""Telemetry: what happened to calls, as events, and the sinks that they go to.

`aistrale.telemetry.events` has the events, `.sinks` the sinks, `.sink.Sink` is what one of your own must be.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.telemetry.encoding import decode_event, decode_line, encode_event, encode_line
    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.settings import SinkSettings
    from aistrale.telemetry.sink import Sink
    from aistrale.telemetry.sinks.memory import MemorySink
    from aistrale.telemetry.status import DeliveryStatus

_HOMES = {
    "DeliveryStatus": "status",
    "MemorySink": "sinks.memory",
    "Sink": "sink",
    "SinkSettings": "settings",
    "TelemetryEvent": "events",
    "decode_event": "encoding",
    "decode_line": "encoding",
    "encode_event": "encoding",
    "encode_line": "encoding",
}

__all__ = [
    "DeliveryStatus",
    "MemorySink",
    "Sink",
    "SinkSettings",
    "TelemetryEvent",
    "decode_event",
    "decode_line",
    "encode_event",
    "encode_line",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale.telemetry' has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
