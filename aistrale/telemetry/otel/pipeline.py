"""A pipeline of our own to one OTLP endpoint: providers that nobody else uses, bounded queues, one thread.

The SDK's batching processors start a thread each, wait without a limit when they are flushed, and lose a batch that
could not be sent. Here what is not sent is kept, as far as there is room, and tried again; what is lost is counted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.sdk._logs import LoggerProvider as SDKLoggerProvider
from opentelemetry.sdk.metrics import MeterProvider as SDKMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SDKTracerProvider

from aistrale.core.worker import Worker, on_fork
from aistrale.telemetry.otel.suppression import mute_keys
from aistrale.telemetry.otel.waiting import EndedSpans, Line, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider

    from aistrale.telemetry.otel.exporters import Exporters

_DELAY: Final = 1.0
_EVERY: Final = 60.0
_LONGEST_PAUSE: Final = 60.0
_EXIT: Final = 2.0


class _Outlet:
    """A thread that sends, and the patience of those who wait for it.

    Args:
        name: Of the thread.
        delay: Seconds that things may wait for others.
        send: Sends all that waits; False when it could not.
    """

    def __init__(self, name: str, delay: float, send: Callable[[], bool]) -> None:
        self._send = send
        self._worker = Worker(self._step, name=name, delay=delay)
        self.wake = self._worker.wake
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a child process."""
        self._busy = threading.Lock()
        self._told = threading.Condition()
        self._begun = self._ended = self._failures = 0
        self._late = False

    @property
    def failing(self) -> bool:
        """Whether the last time nothing could be sent, or not in time."""
        return self._failures > 0 or self._late

    def hurry(self) -> None:
        """Send now, and wait for nothing."""
        self._worker.hurry()

    def flush(self, timeout: float) -> bool:
        """Send now; whether all was sent within some seconds.

        The thread sends, so that an endpoint that hangs takes no longer than that; where no thread can be had any more,
        the calling one does.
        """
        with self._told:
            wanted = self._begun + 1
        self._worker.hurry()
        if not self._worker.alive:
            self._step()
        with self._told:
            self._late = not self._told.wait_for(lambda: self._ended >= wanted, timeout)
            return not self.failing

    def close(self) -> None:
        """End the thread; it is not waited for long."""
        self._worker.close(1.0)

    def _step(self) -> float | None:
        with self._busy:
            with self._told:
                self._begun += 1
            sent = False
            token = otel_context.attach(_silent())
            try:
                sent = self._send()
            finally:
                otel_context.detach(token)
                with self._told:
                    self._ended = self._begun
                    self._failures = 0 if sent else self._failures + 1
                    self._late = self._late and not sent
                    self._told.notify_all()
        return None if sent else float(min(2**self._failures, _LONGEST_PAUSE))


class Pipeline:
    """The providers of one OTLP endpoint; nothing is connected to, and no thread runs, before the first span ends.

    Args:
        name: For the threads.
        exporters: What sends.
        resource: Attributes of the resource; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are added.
    """

    def __init__(self, name: str, exporters: Exporters, resource: Mapping[str, str] | None = None) -> None:
        self._exporters = exporters
        self._resource = dict(resource or {})
        self._sending = _Outlet(f"aistrale-{name}", _DELAY, self._send)
        self._measuring = _Outlet(f"aistrale-{name}-metrics", _interval(), self._measure)
        self._spans: Line[ReadableSpan] = Line("spans", exporters.spans, self._sending.wake)
        self._records: Line[object] = Line("records", exporters.records, self._sending.wake)
        self._make()
        on_fork(self.after_fork)
        _pipelines.add(self)
        # At the end of the process, whoever else flushes.
        self._ending = Worker(lambda: None, name=f"aistrale-{name}-exit", at_exit=_weakly(self._exit))

    def _make(self) -> None:
        self._lock = threading.Lock()
        self._tracers: SDKTracerProvider | None = None
        self._meters: tuple[SDKMeterProvider, InMemoryMetricReader] | None = None
        self._loggers: SDKLoggerProvider | None = None

    # --- providers -----------------------------------------------------------------------------------------------

    def tracer_provider(self) -> TracerProvider:
        """Of spans."""
        if self._tracers is None:
            with self._lock:
                if self._tracers is None:
                    made = SDKTracerProvider(resource=self._described(), shutdown_on_exit=False)
                    made.add_span_processor(EndedSpans(self._spans))
                    self._tracers = made
        return self._tracers

    def meter_provider(self) -> MeterProvider | None:
        """Of metrics; None where the endpoint takes none."""
        if not self._exporters.takes_metrics:
            return None
        if self._meters is None:
            with self._lock:
                if self._meters is None:
                    reader = self._exporters.reader()
                    provider = SDKMeterProvider([reader], resource=self._described(), shutdown_on_exit=False)
                    self._meters = provider, reader
        return self._meters[0]

    def logger_provider(self) -> LoggerProvider | None:
        """Of log records; None where the endpoint takes none."""
        if not self._exporters.takes_records:
            return None
        if self._loggers is None:
            with self._lock:
                if self._loggers is None:
                    made = SDKLoggerProvider(resource=self._described(), shutdown_on_exit=False)
                    processor: Any = Records(self._records)
                    made.add_log_record_processor(processor)
                    self._loggers = made
        return self._loggers

    def _described(self) -> Resource:
        resource = Resource.create(dict(self._resource))
        if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
            program = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else "python"
            resource = resource.merge(Resource({"service.name": program or "python"}))
        return resource

    # --- sending -------------------------------------------------------------------------------------------------

    @property
    def dropped(self) -> dict[str, int]:
        """What was lost, by kind and reason."""
        lines: tuple[Line[Any], ...] = (self._spans, self._records)
        return {f"{line.name}.{reason}": count for line in lines for reason, count in line.dropped.items()}

    @property
    def waiting(self) -> int:
        """Spans and log records that wait."""
        return len(self._spans) + len(self._records)

    def measured(self) -> None:
        """Something was measured: metrics are sent when their time has come."""
        if self._meters is not None:
            self._measuring.wake()

    def flush(self, timeout: float) -> bool:
        """Send what waits, metrics too; whether that was done within `timeout` seconds."""
        until = time.monotonic() + timeout
        done = not self.waiting or self._sending.flush(timeout)
        if self._meters is not None:
            done = self._measuring.flush(max(until - time.monotonic(), 0.0)) and done
        return done

    def close(self, timeout: float) -> None:
        """Send what waits and end the threads; what comes later begins anew."""
        self.flush(timeout)
        self._sending.close()
        self._measuring.close()

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        _exit_until.clear()
        self._make()
        for part in (self._spans, self._records, self._sending, self._measuring, self._exporters):
            part.renew()

    def _send(self) -> bool:
        """Send until nothing waits or something fails."""
        while self.waiting:
            if not (self._spans.send() and self._records.send()):
                return False
        return True

    def _measure(self) -> bool:
        """Send metrics. Sums go on from where they were: what cannot be sent is in the next ones."""
        if self._meters is None:
            return True
        data = self._meters[1].get_metrics_data()
        return data is None or self._exporters.metrics(data)

    def _exit(self) -> None:
        """All pipelines have the same seconds, and use them at the same time."""
        if not _exit_until:
            _exit_until.append(time.monotonic() + _EXIT)
            for pipeline in list(_pipelines):
                pipeline.hurry_out()
        if self._unsent:
            self.flush(min(self._patience, max(_exit_until[0] - time.monotonic(), 0.0)))

    def hurry_out(self) -> None:
        """Begin to send what waits, for the last time."""
        if self._unsent:
            self._exporters.hurry(self._patience)
            self._sending.hurry()
            if self._meters is not None:
                self._measuring.hurry()

    @property
    def _unsent(self) -> bool:
        return bool(self.waiting) or self._meters is not None

    @property
    def _patience(self) -> float:
        # A process that ends waits no second time for an endpoint that is known to be down.
        return _EXIT / 4 if self._sending.failing else _EXIT


_pipelines: Final[weakref.WeakSet[Pipeline]] = weakref.WeakSet()
_exit_until: Final[list[float]] = []


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """The same without keeping its object alive."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        own = reference()
        if own is not None:
            own()

    return call


def _interval() -> float:
    """Seconds between two exports of metrics, by OpenTelemetry's variable."""
    said = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    return int(said) / 1000 if said.isdigit() and int(said) else _EVERY


def _silent() -> Context:
    """The context in which what we send is not traced itself."""
    context = otel_context.get_current()
    for key in mute_keys():
        context = otel_context.set_value(key, True, context)  # noqa: FBT003 - a value
    return context
