"""Metrics that Prometheus collects: from a port of this process, or with those of the application."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import socketserver
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final, Self, cast

from aistrale.core.worker import importing
from aistrale.telemetry.address import read_address, whole, wrong
from aistrale.telemetry.sinks.prometheus_metrics import KINDS, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from types import ModuleType

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.status import DeliveryStatus

_log = logging.getLogger("aistrale.telemetry")

_LOOPBACK: Final = "127.0.0.1"
# Between two tries to get a port that is taken.
_PATIENCE: Final = 60.0
# How soon the server's thread notices that it is to end.
_POLL: Final = 0.1
# Metrics can be registered once only, so that all sinks of a registry of the application share them. The registry keeps
# them, and they keep the registry: held weakly here, they go with it.
_of_registry: weakref.WeakKeyDictionary[CollectorRegistry, weakref.ref[_Delivered]] = weakref.WeakKeyDictionary()
_register = threading.Lock()


class _Forgotten(Exception):
    """The sink whose server this is does not exist any more."""


class PrometheusSink:
    """Counts what happens, and shows it at `http://host:port/metrics` from the first event or `start()` on.

    Every process has a port of its own: the one that finds it taken warns once, counts on, and tries again every
    minute. Port 0 takes any free one (`address` says which, and so does a log record). Where PROMETHEUS_MULTIPROC_DIR
    is set, as prometheus_client describes it, whichever process has the port shows the sums of all. A forked child
    begins at zero with a port of its own.

    Args:
        port: Where to listen; 0 for any free port; None for no server: the metrics stand in `registry`.
        host: The address to listen at, by default of this machine alone. There is no access control.
        registry: Without a port: where the application's metrics are; prometheus_client's own by default.
        values: Most values of each label (models, targets, projects, ...), at least 1; later ones are "other".

    Raises:
        ConfigurationError: An argument is wrong, or the registry has metrics of these names; field "sinks".
        ImportError: prometheus_client is not installed.
    """

    name = "prometheus"
    kinds = KINDS

    def __init__(
        self,
        port: int | None = None,
        *,
        host: str = _LOOPBACK,
        registry: CollectorRegistry | None = None,
        values: int = 200,
    ) -> None:
        if port is not None and not 0 <= port <= 65535:
            raise wrong("prometheus: the port must be 0 to 65535")
        if port is not None and registry is not None:
            raise wrong("prometheus: a port serves a registry of its own", "Give a port or a registry.")
        if values < 1:
            raise wrong("prometheus: values must be at least 1")
        _prometheus()
        self._port = port
        self._host = host
        self._values = values
        self._lock = threading.Lock()
        self._server: HTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._again = 0.0
        self._warned = False
        self._registry, self._shown = self._own() if port is not None else _shared_with(registry, values)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "prometheus", "prometheus:9464", "prometheus:0.0.0.0:9464" or "prometheus:[::]:9464"."""
        rest, options = read_address(url, {"values": whole})
        rest = rest.removeprefix("//")
        host, _, port = rest.rpartition(":")
        if not rest:
            return cls(**options)  # type: ignore[arg-type]  # as the readers of the options give them
        if not port.isdecimal():
            raise wrong("prometheus: the address ends with no port", 'Such as "prometheus:9464".')
        return cls(int(port), host=host.strip("[]") or _LOOPBACK, **options)  # type: ignore[arg-type]

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics are; a child process that was forked has another one than its parent."""
        return self._registry

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that it listens at; None while it does not."""
        server = self._server
        return None if server is None else (self._host, server.server_port)

    def watch(self, status: Callable[[], list[DeliveryStatus]]) -> None:
        """Show what became of the events of all sinks of a client, for as long as that exists.

        Args:
            status: A bound method.
        """
        self._shown.watch(status)

    def start(self) -> bool:
        """Begin to listen, if there is a port and nothing does yet.

        Returns:
            False where the port is taken; nothing is raised.
        """
        with self._lock:
            return self._listen()

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Count them; the same event counts every time that it comes, so that `guarantee="durable"` is not for it."""
        with self._lock:
            self._listen()
            self._shown.metrics.add(events)

    def after_fork(self) -> None:
        """The server's thread is the parent's, and so are its counts."""
        self._lock = threading.Lock()
        server, self._server, self._thread = self._server, None, None
        self._again = 0.0
        if server is not None:
            server.socket.close()
        # Locks inside the metrics may be held by threads that this process does not have. Those of the application's
        # registry are the application's, as is whether they start anew; where processes share a directory, files do.
        if self._port is not None and not _several():
            watched = self._shown.watched
            self._registry, self._shown = self._own()
            self._shown.watched = watched

    def close(self) -> None:
        """End the server; a later `write` starts it again. Counts are kept."""
        with self._lock:
            server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server is not None:
            server.shutdown()
            server.server_close()
        if thread is not None:
            thread.join()

    def _own(self) -> tuple[CollectorRegistry, _Delivered]:
        registry = _prometheus().CollectorRegistry()
        return registry, _Delivered(registry, self._values)

    def _listen(self) -> bool:
        if self._port is None or self._server is not None:
            return True
        now = time.monotonic()
        if now < self._again:
            return False
        prometheus = _prometheus()
        shown = self._registry
        if _several():
            from prometheus_client.multiprocess import MultiProcessCollector

            shown = prometheus.CollectorRegistry()
            shown.register(cast("type[Collector]", MultiProcessCollector)(None))  # type: ignore[call-arg]  # untyped
        try:
            server = _serving(self._host, self._port, prometheus.MetricsHandler.factory(shown), weakref.ref(self))
        except OSError as error:
            self._again = now + _PATIENCE
            if not self._warned and not _several():
                self._warned = True
                _log.warning(
                    "Prometheus cannot collect from this process: %s port %d: %s. Give each process a port of its own "
                    "(prometheus:0 takes a free one), or set PROMETHEUS_MULTIPROC_DIR.",
                    self._host, self._port, error.strerror or type(error).__name__,
                )  # fmt: skip
            return False
        self._server = server
        self._thread = threading.Thread(target=_serve, args=(server,), name="aistrale-prometheus-server", daemon=True)
        self._thread.start()
        _log.info("Prometheus can collect from http://%s:%d/metrics", *cast("tuple[str, int]", self.address))
        return True


def _serve(server: HTTPServer) -> None:
    with server, contextlib.suppress(_Forgotten):
        server.serve_forever(_POLL)


def _serving(
    host: str, port: int, handler: type[BaseHTTPRequestHandler], owner: weakref.ref[PrometheusSink]
) -> HTTPServer:
    from http.server import ThreadingHTTPServer

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def server_bind(self) -> None:
            # Not HTTPServer's, which asks a name server what we are called.
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = host, self.server_address[1]

        def service_actions(self) -> None:
            # A sink that was forgotten without `close` gives its port back. Nobody else could end this thread without
            # waiting for it, which a finalizer must not.
            if owner() is None:
                raise _Forgotten

        def handle_error(self, request: object, client_address: object) -> None:
            # Whoever collects and hangs up is no reason to write to the application's standard error.
            _log.debug("a collector was not served", exc_info=True)

    return cast("HTTPServer", Server((host, port), handler))


class _Delivered:
    """The metrics of one registry, with those of the delivery itself, which are read off it when somebody asks.

    Args:
        registry: Where they are registered.
        values: Most values of each label.
    """

    def __init__(self, registry: CollectorRegistry, values: int) -> None:
        self.metrics = Metrics(registry, values)
        self.watched: list[weakref.WeakMethod[Callable[[], list[DeliveryStatus]]]] = []
        registry.register(cast("Collector", self))

    def watch(self, status: Callable[[], list[DeliveryStatus]]) -> None:
        """Show what a bound method says, for as long as its object exists."""
        self.watched = [reference for reference in self.watched if reference() is not None]
        self.watched.append(weakref.WeakMethod(status))

    def describe(self) -> list[Metric]:
        """Nothing, so that it is not asked before it has something to say."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One row for each sink; sinks of several clients that have one name are added up."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        methods = [method for reference in list(self.watched) if (method := reference()) is not None]
        statuses = [status for method in methods for status in method()]
        if not statuses:
            return
        delivered: dict[str, int] = {}
        waiting: dict[str, int] = {}
        dropped: dict[tuple[str, str], int] = {}
        for status in statuses:
            delivered[status.name] = delivered.get(status.name, 0) + status.delivered
            waiting[status.name] = waiting.get(status.name, 0) + status.waiting
            for reason, count in status.dropped.items():
                dropped[status.name, reason] = dropped.get((status.name, reason), 0) + count
        taken = CounterMetricFamily("aistrale_events_delivered", "Events that sinks have taken.", labels=["sink"])
        lost = CounterMetricFamily("aistrale_events_dropped", "Events that are lost.", labels=["sink", "reason"])
        queued = GaugeMetricFamily("aistrale_events_waiting", "Events that wait for their sink.", labels=["sink"])
        for name, count in delivered.items():
            taken.add_metric([name], count)
        for (name, reason), count in dropped.items():
            lost.add_metric([name, reason], count)
        for name, count in waiting.items():
            queued.add_metric([name], count)
        yield from (taken, lost, queued)


def _shared_with(registry: CollectorRegistry | None, values: int) -> tuple[CollectorRegistry, _Delivered]:
    """The metrics in a registry of the application, made by the first sink that asks for them."""
    registry = registry or cast("CollectorRegistry", _prometheus().REGISTRY)
    with _register:
        reference = _of_registry.get(registry)
        found = reference() if reference is not None else None
        if found is None:
            try:
                found = _Delivered(registry, values)
            except ValueError:
                raise wrong(
                    "prometheus: the registry has metrics of these names already",
                    "OpenTelemetry's reader for Prometheus has them too; give the sink a port or another registry.",
                ) from None
            _of_registry[registry] = weakref.ref(found)
    return registry, found


def _several() -> bool:
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))


def _prometheus() -> ModuleType:
    with importing():
        try:
            import prometheus_client
        except ImportError as error:
            message = 'The sink "prometheus" needs prometheus_client: pip install "aistrale[prometheus]"'
            raise ImportError(message) from error
    return prometheus_client
