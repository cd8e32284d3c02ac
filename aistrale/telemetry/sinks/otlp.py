"""The sink "otlp": spans, metrics and events to an OpenTelemetry collector, by a pipeline of our own.

It touches nothing that the application has set up with OpenTelemetry, and needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import urlsplit

from aistrale.errors import ConfigurationError
from aistrale.telemetry.otel.metrics import EVENT_KINDS
from aistrale.telemetry.otel.settings import OTelSettings, names, read_url
from aistrale.telemetry.otel.sources import Source
from aistrale.telemetry.otel.spans import SpanMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.otel.exporters import Endpoint
    from aistrale.telemetry.otel.flavour import Flavour
    from aistrale.telemetry.otel.pipeline import Pipeline

SIGNALS: Final = ("traces", "metrics", "logs")


class OTLPSink:
    """Sends to one OTLP endpoint over HTTP, in protobuf.

    What cannot be sent waits in memory, 2048 spans and 32 MiB at most, is tried again with growing pauses, and is given
    up after five times; `dropped` counts it.

    Args:
        endpoint: Where the endpoint begins, for example "https://host:4318"; None for what OTEL_EXPORTER_OTLP_ENDPOINT
            and its like say, else http://localhost:4318. Further variables of OTEL_EXPORTER_OTLP_ (timeout,
            compression, certificates, headers) hold too; the headers only where they belong to no other address.
        headers: Sent with everything.
        settings: How calls are told.
        signals: What the endpoint takes: "traces", "metrics", "logs".
        resource: Attributes of the resource beside those of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME.

    Raises:
        ImportError: The SDK or its exporter is missing.
        ConfigurationError: The endpoint is no http or https URL.
    """

    name: ClassVar[str] = "otlp"
    kinds = EVENT_KINDS

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        settings: OTelSettings | None = None,
        signals: Sequence[str] = SIGNALS,
        resource: Mapping[str, str] | None = None,
    ) -> None:
        found = endpoint_of(endpoint, headers or {}, signals)
        # An address of its own is a place that nobody else in the process sends to.
        self._open(found, settings or OTelSettings(), resource=resource, shared=lambda: endpoint is None)

    def _open(
        self,
        endpoint: Endpoint,
        settings: OTelSettings,
        *,
        resource: Mapping[str, str] | None = None,
        flavour: Flavour | None = None,
        shared: Callable[[], bool],
    ) -> None:
        exporters, pipeline = _library()
        self._pipeline: Pipeline = pipeline(self.name, exporters(endpoint), resource)
        self._source = Source(self._pipeline, settings.profile)
        self.instrument = SpanMaker(self._source, settings, flavour, shared=shared)

    @classmethod
    def from_url(cls, url: str, /) -> Self:
        """The sink of "otlp", "otlp:https://host:4318" or "otlp:https://host?headers=x-key%3Dabc&semconv=1.41".

        `headers` is a list `name=value,name=value`, `signals` one of "traces,metrics,logs"; the other options are those
        of OTelSettings.

        Raises:
            ConfigurationError: The address or an option is wrong.
            ImportError: The SDK or its exporter is missing.
        """
        address, settings, own = read_url(url, {"headers": _headers, "signals": names})
        return cls(address or None, settings=settings, **own)  # type: ignore[arg-type]  # as their readers give them

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans and records were lost, by kind and reason."""
        return self._pipeline.dropped

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Count what policies did."""
        self._source.count(events)
        self._pipeline.measured()

    def flush(self, timeout: float) -> bool:
        """Send what waits; whether that was done within `timeout` seconds."""
        self._source.drain()
        return self._pipeline.flush(timeout)

    def close(self) -> None:
        """Send what waits, for at most two seconds, and end the threads; a later call begins anew."""
        self._pipeline.close(2.0)

    def after_fork(self) -> None:
        """Forget what is the parent's."""
        self._pipeline.after_fork()


def _library() -> tuple[type, type]:
    try:
        from aistrale.telemetry.otel.exporters import Exporters
        from aistrale.telemetry.otel.pipeline import Pipeline
    except ImportError as error:
        raise ImportError(
            f"a sink needs the OpenTelemetry SDK and its OTLP exporter ({error.name} is missing): "
            'pip install "aistrale[otel]"'
        ) from error
    return Exporters, Pipeline


def endpoint_of(url: str | None, headers: Mapping[str, str], signals: Sequence[str], *, own: bool = False) -> Endpoint:
    """Where a sink sends.

    Args:
        url: Where the endpoint begins; None for what the environment says.
        headers: Sent with everything.
        signals: What it takes.
        own: Whether the environment's headers are none of its business.

    Raises:
        ImportError: The SDK or its exporter is missing.
        ConfigurationError: The address is none, or a signal unknown.
    """
    _library()
    from aistrale.telemetry.otel.exporters import Endpoint

    if url is not None:
        checked(url)
    unknown = set(signals) - set(SIGNALS)
    if unknown or not signals:
        raise ConfigurationError(f"signals of a sink must be some of {', '.join(SIGNALS)}", field="sinks")
    return Endpoint(url=url, headers=headers, signals=frozenset(signals), own=own)


def checked(url: str) -> str:
    """An address, if it is one that can be sent to.

    Raises:
        ConfigurationError: It is not; never quotes it, since it may hold a key.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            "the address of a sink must be an http or https URL with a host",
            field="sinks",
            hint='For example "otlp:https://collector.example:4318".',
        )
    return url


def _headers(_: str, said: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in said.split(","):
        name, equals, value = pair.partition("=")
        if name.strip() and equals:
            found[name.strip().lower()] = value.strip()
        elif pair.strip():
            raise ConfigurationError("headers of a sink must be a list of name=value", field="sinks")
    return found
