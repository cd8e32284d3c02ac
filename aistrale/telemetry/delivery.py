"""How events get to one sink: a bounded queue, batches, retries, and a count of everything that was lost."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aistrale.core.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.settings import Guarantee, SinkSettings
    from aistrale.telemetry.sink import Sink


@dataclass(slots=True, frozen=True, kw_only=True)
class DeliveryStatus:
    """What became of the events of one sink in this process.

    Args:
        name: The sink's.
        guarantee: Of its delivery.
        delivered: Events that it has taken.
        waiting: Events that wait.
        dropped: Events that are lost, by reason.
        failures: Deliveries in a row that failed; 0 when it works.
        last_error: What went wrong last, in words without content; None once it works again.
        retry_in: Seconds until it is tried again; None where it need not be.
    """

    name: str
    guarantee: Guarantee
    delivered: int = 0
    waiting: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    last_error: str | None = None
    retry_in: float | None = None


class Delivery:
    """Brings events to one sink.

    Args:
        sink: Where they go.
        settings: How.
        directory: Where the spool of a durable one is kept; None for the platform's data directory.
    """

    def __init__(self, sink: Sink, settings: SinkSettings, directory: Path | None = None) -> None:
        self.sink = sink
        self.name = settings.name or getattr(sink, "name", None) or type(sink).__name__
        self._settings = settings
        kinds = getattr(sink, "kinds", None)
        self._kinds = kinds if settings.kinds is None else settings.kinds
        self._inline = bool(getattr(sink, "inline", False))
        self._queue: deque[TelemetryEvent] = deque()
        self._dropped: Counter[str] = Counter()
        self._delivered = 0
        self._worker = Worker(self._step, name=f"aistrale-{self.name}", delay=settings.interval, at_exit=self._exit)

    def put(self, event: TelemetryEvent) -> None:
        """Take an event; never raises, never waits."""
        if self._kinds is not None and event.kind not in self._kinds:
            return
        if self._inline:
            self.sink.write((event,))
            self._delivered += 1
            return
        if len(self._queue) >= self._settings.queue:
            self._dropped["full"] += 1
            return
        self._queue.append(event)
        self._worker.wake()

    def flush(self, timeout: float) -> bool:
        """Deliver what waits; whether that was done within `timeout` seconds."""
        until = time.monotonic() + timeout
        while self._queue and time.monotonic() < until:
            self._step()
        return not self._queue

    def status(self) -> DeliveryStatus:
        """What became of its events."""
        return DeliveryStatus(
            name=self.name,
            guarantee=self._settings.guarantee,
            delivered=self._delivered,
            waiting=len(self._queue),
            dropped=dict(self._dropped),
        )

    def close(self, timeout: float) -> None:
        """Deliver what waits within `timeout` seconds, and let go of the sink; a later event begins anew."""
        self._worker.close(timeout)
        self.flush(timeout)
        close = getattr(self.sink, "close", None)
        if close is not None:
            close()

    def _step(self) -> float | None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch))]
        if batch:
            self.sink.write(batch)
            self._delivered += len(batch)
        return 0.0 if self._queue else None

    def _exit(self) -> None:
        self.flush(2.0)
