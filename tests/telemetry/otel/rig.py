"""The application's side of OpenTelemetry, and a collector on loopback."""

from __future__ import annotations

import gzip
import http.server
import inspect
import threading

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def need_events():
    """Skip where log records have no names yet (opentelemetry-api below 1.35)."""
    if "event_name" not in inspect.signature(_logs.LogRecord.__init__).parameters:
        pytest.skip("this release of opentelemetry-api has no events")


class Records:
    """Keeps log records."""

    def __init__(self):
        self.kept = []

    def on_emit(self, record):
        self.kept.append(getattr(record, "log_record", record))

    emit = on_emit

    def enabled(self, *_, **__):
        return True

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=0):
        return True


class Rig:
    """Providers with exporters in memory, as an application sets them up."""

    def __init__(self, monkeypatch):
        self.spans_kept, self.reader, self.records = InMemorySpanExporter(), InMemoryMetricReader(), Records()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_kept))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(self.records)
        # The setters work once a process; that they are never called is tested in a process of its own.
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: self.tracers)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: self.meters)
        monkeypatch.setattr(_logs, "get_logger_provider", lambda: self.loggers)

    @property
    def spans(self):
        return list(self.spans_kept.get_finished_spans())

    @property
    def attempts(self):
        """Those of exchanges with providers, in the order in which they began."""
        found = [span for span in self.spans if "aistrale.attempt.number" in span.attributes]
        return sorted(found, key=lambda span: span.start_time)

    @property
    def calls(self):
        return [span for span in self.spans if "aistrale.call.model_asked" in span.attributes]

    def points(self, name):
        """Of a metric: its data points, with unit."""
        data = self.reader.get_metrics_data()
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        return metric.unit, list(metric.data.data_points)
        return None, []

    def metrics(self):
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


class Collector:
    """What an OpenTelemetry collector is on the wire: takes protobuf over HTTP, and remembers."""

    def __init__(self):
        self.requests = []
        self.status = 200
        self.arrived = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                with collector.arrived:
                    if collector.status == 200:
                        headers = {name.lower(): value for name, value in self.headers.items()}
                        collector.requests.append((self.path, headers, body))
                    collector.arrived.notify_all()
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def _bodies(self, ending, message):
        return [message.FromString(body) for path, _, body in self.requests if path.endswith(ending)]

    def spans(self):
        """Spans by name, each with its attributes as Python's values."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [
            (span, {pair.key: plain(pair.value) for pair in span.attributes}, resource.resource, scope.scope)
            for request in self._bodies("/v1/traces", ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self):
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        return {
            metric.name: metric
            for request in self._bodies("/v1/metrics", ExportMetricsServiceRequest)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def records(self):
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        return [
            (record, {pair.key: plain(pair.value) for pair in record.attributes})
            for request in self._bodies("/v1/logs", ExportLogsServiceRequest)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def plain(value):
    """An AnyValue as a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(plain(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)
