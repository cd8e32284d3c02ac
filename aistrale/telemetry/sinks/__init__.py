"""The sinks, one a file, and the addresses that they are known by. Nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from aistrale.telemetry.sink import Sink

GROUP: Final = "aistrale.sinks"
"""The entry points of sinks from other packages: name is the scheme, value a class with `from_url`."""

_HOMES: Final = {
    "console": "console:ConsoleSink",
    "datadog": "datadog:DatadogSink",
    "jsonl": "jsonl:JSONLinesSink",
    "langfuse": "langfuse:LangfuseSink",
    "ledger": "ledger:LedgerSink",
    "logging": "logging:LoggingSink",
    "memory": "memory:MemorySink",
    "otel": "otel:OTelSink",
    "otlp": "otlp:OTLPSink",
    "postgres": "ledger:LedgerSink",
    "postgresql": "ledger:LedgerSink",
    "prometheus": "prometheus:PrometheusSink",
    "sentry": "sentry:SentrySink",
    "sqlite": "ledger:LedgerSink",
    "webhook": "webhook:WebhookSink",
}


class SinkClass(Protocol):
    """What makes a sink of an address."""

    def from_url(self, url: str, /) -> Sink:
        """The sink of an address such as "jsonl:calls.jsonl".

        Raises:
            ConfigurationError: The address says nothing, or something wrong; never quotes it whole, since it may hold
                a key.
            ImportError: A library is missing; names the extra that brings it.
        """
        ...


def open_sink(url: str) -> Sink:
    """The sink of an address; nothing is connected to.

    Raises:
        ConfigurationError: There is no such scheme, or the address is wrong.
        ImportError: A library is missing; names the extra that brings it.
    """
    scheme = url.partition(":")[0].strip().lower()
    return _class(scheme).from_url(url.strip())


def schemes() -> list[str]:
    """The schemes that are known, those of other packages included."""
    return sorted({*_HOMES, *(point.name for point in entry_points(group=GROUP))})


def _class(scheme: str) -> SinkClass:
    home = _HOMES.get(scheme)
    if home is not None:
        module, _, name = home.partition(":")
        return cast("SinkClass", getattr(import_module(f"{__name__}.{module}"), name))
    for point in entry_points(group=GROUP, name=scheme):
        return cast("SinkClass", point.load())
    # The address is not quoted whole: it may hold a key.
    shown = scheme if scheme.isalnum() and len(scheme) < 20 else "this address"
    raise ConfigurationError(f"sinks: {shown} is no sink", field="sinks", hint=f"Known: {', '.join(schemes())}.")
