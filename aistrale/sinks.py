"""The sinks: where the events of calls go. `docs/telemetry.md` has the table of them.

import aistrale
client = aistrale.Client(sinks=["console", aistrale.sinks.JSONLinesSink("calls.jsonl", max_bytes=100_000_000)])

Classes load at first use, and name the extra that they need where a library is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.telemetry.settings import SinkSettings
    from aistrale.telemetry.sink import Sink
    from aistrale.telemetry.sinks import open_sink, schemes
    from aistrale.telemetry.sinks.console import ConsoleSink
    from aistrale.telemetry.sinks.datadog import DatadogSink
    from aistrale.telemetry.sinks.jsonl import JSONLinesSink
    from aistrale.telemetry.sinks.langfuse import LangfuseSink
    from aistrale.telemetry.sinks.ledger import LedgerSink
    from aistrale.telemetry.sinks.logging import LoggingSink
    from aistrale.telemetry.sinks.memory import MemorySink
    from aistrale.telemetry.sinks.otel import OTelSink
    from aistrale.telemetry.sinks.otlp import OTLPSink
    from aistrale.telemetry.sinks.prometheus import PrometheusSink
    from aistrale.telemetry.sinks.sentry import SentrySink
    from aistrale.telemetry.sinks.webhook import WebhookSink
    from aistrale.telemetry.status import DeliveryStatus

__all__ = [
    "ConsoleSink",
    "DatadogSink",
    "DeliveryStatus",
    "JSONLinesSink",
    "LangfuseSink",
    "LedgerSink",
    "LoggingSink",
    "MemorySink",
    "OTLPSink",
    "OTelSink",
    "PrometheusSink",
    "SentrySink",
    "Sink",
    "SinkSettings",
    "WebhookSink",
    "open_sink",
    "schemes",
]

_HOMES = {
    "DeliveryStatus": "aistrale.telemetry.status",
    "Sink": "aistrale.telemetry.sink",
    "SinkSettings": "aistrale.telemetry.settings",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'aistrale.sinks' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES.get(name, "aistrale.telemetry.sinks")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
