"""What sends spans, metrics and log records to one OTLP endpoint over HTTP, in protobuf."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

_HEADERS: Final = (
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
)
_AGGREGATION: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@dataclass(slots=True, frozen=True, kw_only=True)
class Endpoint:
    """Where to send, and with what.

    Args:
        url: Where the endpoint begins; `/v1/traces` and so on come behind it. None for what the environment says.
        headers: Sent with everything; hold keys.
        signals: What it takes: "traces", "metrics", "logs".
        own: Whether the headers of the environment (OTEL_EXPORTER_OTLP_HEADERS) are none of its business: they may hold
            the key of another place.
    """

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    signals: frozenset[str] = frozenset({"traces", "metrics", "logs"})
    own: bool = False


class Exporters:
    """Sends; made at first use, again after a fork.

    Args:
        endpoint: Where to.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.takes_metrics = "metrics" in endpoint.signals
        self.takes_records = "logs" in endpoint.signals
        self._timeout: float | None = None
        self.renew()

    def renew(self) -> None:
        """Let go of connections; they are another process's, or no longer wanted."""
        self._spans: OTLPSpanExporter | None = None
        self._metrics: OTLPMetricExporter | None = None
        self._records: OTLPLogExporter | None = None

    def hurry(self, timeout: float) -> None:
        """Try no longer than some seconds from now on: the process ends."""
        self._timeout = timeout
        self.renew()

    def spans(self, spans: list[ReadableSpan]) -> bool:
        """Send spans; whether that was done."""
        if self._spans is None:
            self._spans = OTLPSpanExporter(**self._options("traces"))
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def records(self, records: list[object]) -> bool:
        """Send log records; whether that was done."""
        if self._records is None:
            self._records = OTLPLogExporter(**self._options("logs"))
        # The class of records, and of the result, has changed its name between releases.
        sent: Any = self._records.export(records)  # type: ignore[arg-type]
        return bool(sent.name == "SUCCESS")

    def metrics(self, data: MetricsData) -> bool:
        """Send metrics; whether that was done."""
        return self._metric_exporter().export(data) is MetricExportResult.SUCCESS

    def reader(self) -> InMemoryMetricReader:
        """What collects metrics, in the form that the environment asks the exporter for."""
        exporter: Any = self._metric_exporter()
        # Unasked it would be the SDK's own buckets, in some releases instead of those that metrics come with.
        asked = getattr(exporter, "_preferred_aggregation", None) if os.environ.get(_AGGREGATION) else None
        return InMemoryMetricReader(getattr(exporter, "_preferred_temporality", None), asked)

    def _metric_exporter(self) -> OTLPMetricExporter:
        if self._metrics is None:
            self._metrics = OTLPMetricExporter(**self._options("metrics"))
        return self._metrics

    def _options(self, signal: str) -> dict[str, Any]:
        endpoint = self._endpoint
        options: dict[str, Any] = {"headers": dict(endpoint.headers)}
        if endpoint.url is not None:
            options["endpoint"] = f"{endpoint.url.rstrip('/')}/v1/{signal}"
        if self._timeout is not None:
            options["timeout"] = self._timeout
        if endpoint.own or not _is_theirs(endpoint.url):
            options["session"] = _Session(foreign_headers() - {name.lower() for name in endpoint.headers})
        return options


class _Session(requests.Session):
    """Sends without the headers that the environment has for another place.

    Args:
        without: Their names, in lower case.
    """

    def __init__(self, without: set[str]) -> None:
        super().__init__()
        self._without = without

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as requests has it
        """Send."""
        for name in self._without:
            request.headers.pop(name, None)
        return super().send(request, **kwargs)


def foreign_headers() -> set[str]:
    """Names, in lower case, of the headers that the environment asks exporters to send."""
    pairs = (pair for name in _HEADERS for pair in os.environ.get(name, "").split(","))
    return {pair.partition("=")[0].strip().lower() for pair in pairs if "=" in pair}


def _is_theirs(url: str | None) -> bool:
    """Whether the headers of the environment belong to an address: it names no other one."""
    if url is None:
        return True
    named = [urlsplit(said).hostname for name in _ENDPOINTS if (said := os.environ.get(name, "").strip())]
    return not named or urlsplit(url).hostname in named
