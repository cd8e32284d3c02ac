"""The sinks, one a file, and the addresses that they are known by. Nothing is imported before it is asked for.

A sink of another package declares an entry point in the group `aistrale.sinks`: its name is the scheme, its value a
class with `from_url`. It cannot take the place of one of ours.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, cast

from aistrale.core.worker import importing
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
        ConfigurationError: There is no such scheme, or the address is wrong; field "sinks".
        ImportError: A library is missing; names the extra that brings it.
    """
    scheme = url.partition("?")[0].partition(":")[0].strip().lower()
    return _class(scheme).from_url(url.strip())


def schemes() -> list[str]:
    """The schemes that are known, those of other packages included."""
    return sorted({*_HOMES, *(point.name for point in entry_points(group=GROUP))})


def _class(scheme: str) -> SinkClass:
    home = _HOMES.get(scheme)
    if home is not None:
        return cast("SinkClass", _load(home))
    for point in entry_points(group=GROUP, name=scheme):
        try:
            found = point.load()
        except AttributeError as error:
            raise ConfigurationError(
                f"sinks: {scheme} of another package leads nowhere: {error}", field="sinks"
            ) from error
        if not callable(getattr(found, "from_url", None)):
            raise ConfigurationError(f"sinks: {scheme} of another package has no from_url()", field="sinks")
        return cast("SinkClass", found)
    # The address is not quoted whole: it may hold a key.
    shown = scheme if scheme.isalnum() and len(scheme) < 20 else "this address"
    near = get_close_matches(scheme, schemes(), n=2)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(schemes())}."
    raise ConfigurationError(f"sinks: {shown} is no sink", field="sinks", hint=hint)


def _load(home: str) -> object:
    module, _, name = home.partition(":")
    with importing():
        return getattr(import_module(f"{__name__}.{module}"), name)


_CLASSES: Final = {home.partition(":")[2]: home for home in _HOMES.values()}


def __getattr__(name: str) -> object:
    home = _CLASSES.get(name)
    if home is None:
        raise AttributeError(f"module 'aistrale.telemetry.sinks' has no attribute {name!r}")
    value = globals()[name] = _load(home)
    return value
