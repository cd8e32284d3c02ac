"""Where spans, metrics and log records go: to the application's own providers, or to private ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from opentelemetry import _logs, metrics, trace

from aistrale._version import __version__
from aistrale.telemetry.events import AnswerScored
from aistrale.telemetry.otel.conventions import SCOPE, Profile
from aistrale.telemetry.otel.evaluations import Evaluations
from aistrale.telemetry.otel.metrics import CallMetrics, EventMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from aistrale.telemetry.events import TelemetryEvent

T = TypeVar("T")


class Providers(Protocol):
    """Gives the three providers; None for what is not wanted."""

    def tracer_provider(self) -> TracerProvider | None:
        """Of spans."""
        ...

    def meter_provider(self) -> MeterProvider | None:
        """Of metrics."""
        ...

    def logger_provider(self) -> LoggerProvider | None:
        """Of log records."""
        ...


class GlobalProviders:
    """The application's own, whenever it sets them; none as long as there is nothing but the API."""

    def tracer_provider(self) -> TracerProvider | None:
        """Of spans."""
        return _live(trace.get_tracer_provider(), "opentelemetry.trace")

    def meter_provider(self) -> MeterProvider | None:
        """Of metrics."""
        return _live(metrics.get_meter_provider(), "opentelemetry.metrics")

    def logger_provider(self) -> LoggerProvider | None:
        """Of log records."""
        return _live(_logs.get_logger_provider(), "opentelemetry._logs")


def _live(provider: T, api: str) -> T | None:
    """A provider that does something: those that come with the API do not."""
    return None if type(provider).__module__.startswith(api) else provider


class Source:
    """What is made of providers once and used for every call; made anew when the application sets others.

    Args:
        providers: Where everything goes.
        profile: The version of the conventions.
    """

    def __init__(self, providers: Providers, profile: Profile) -> None:
        self._providers = providers
        self._profile = profile
        self._tracer: tuple[TracerProvider, Tracer] | None = None
        self._metrics: tuple[MeterProvider, CallMetrics, EventMetrics] | None = None
        self._logger: tuple[LoggerProvider, Logger] | None = None
        self.evaluations = Evaluations()

    def tracer(self) -> Tracer | None:
        """Makes spans; None where they would go nowhere."""
        provider = self._providers.tracer_provider()
        if provider is None:
            return None
        made = self._tracer
        if made is None or made[0] is not provider:
            made = provider, provider.get_tracer(SCOPE, __version__, schema_url=self._profile.schema_url)
            self._tracer = made
        return made[1]

    def call_metrics(self) -> CallMetrics | None:
        """The metrics of the conventions; None where they would go nowhere."""
        made = self._instruments()
        return None if made is None else made[1]

    def event_metrics(self) -> EventMetrics | None:
        """Our own metrics; None where they would go nowhere."""
        made = self._instruments()
        return None if made is None else made[2]

    def count(self, events: Iterable[TelemetryEvent]) -> None:
        """Count what policies did, by our own metrics, and emit what is an event of the conventions."""
        self.drain()
        own, logger = self.event_metrics(), self.logger()
        for event in events:
            if own is not None:
                own.event(event)
            if logger is not None and self._profile.details and isinstance(event, AnswerScored):
                self.evaluations.tell(logger, event)

    def drain(self) -> None:
        """Record what was left for the thread that delivers."""
        own = self.call_metrics()
        if own is not None:
            own.drain()

    def logger(self) -> Logger | None:
        """Makes log records; None where they would go nowhere."""
        provider = self._providers.logger_provider()
        if provider is None:
            return None
        made = self._logger
        if made is None or made[0] is not provider:
            made = provider, provider.get_logger(SCOPE, __version__, schema_url=self._profile.schema_url)
            self._logger = made
        return made[1]

    def _instruments(self) -> tuple[MeterProvider, CallMetrics, EventMetrics] | None:
        provider = self._providers.meter_provider()
        if provider is None:
            return None
        made = self._metrics
        if made is None or made[0] is not provider:
            meter = provider.get_meter(SCOPE, __version__, schema_url=self._profile.schema_url)
            made = provider, CallMetrics(meter, self._profile), EventMetrics(meter)
            self._metrics = made
        return made
