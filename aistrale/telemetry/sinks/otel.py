"""The sink "otel": spans, metrics and events through the OpenTelemetry SDK that the application has set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aistrale.telemetry.address import wrong
from aistrale.telemetry.otel.metrics import EVENT_KINDS
from aistrale.telemetry.otel.settings import OTelSettings, read_url
from aistrale.telemetry.otel.sources import GlobalProviders, Source
from aistrale.telemetry.otel.spans import SpanMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent


class OTelSink:
    """Tells the application's own TracerProvider, MeterProvider and LoggerProvider, whenever it sets them.

    It sets none itself and needs the API only; without an SDK it does next to nothing.

    Args:
        settings: How.
    """

    name = "otel"
    kinds = EVENT_KINDS

    def __init__(self, settings: OTelSettings | None = None) -> None:
        own = settings or OTelSettings()
        self._source = Source(GlobalProviders(), own.profile)
        self.instrument = SpanMaker(self._source, own)

    @classmethod
    def from_url(cls, url: str, /) -> Self:
        """The sink of "otel" or "otel:?semconv=1.41&content=span"; the options are those of OTelSettings.

        Raises:
            ConfigurationError: There is an address, or an option is unknown or wrong.
        """
        place, settings, _ = read_url(url)
        if place:
            raise wrong("otel takes no address", 'The sink "otlp" has one: "otlp:https://collector:4318".')
        return cls(settings)

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Count what policies did."""
        self._source.count(events)

    def flush(self, timeout: float) -> bool:
        """Record what is measured; the application's providers are the application's to flush."""
        self._source.drain()
        return True
