"""The sinks of one client: events go in, each sink gets them by its own queue."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.sinks import open_sink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.instrument import Instrument
    from aistrale.telemetry.settings import SinkSettings
    from aistrale.telemetry.sink import Sink
    from aistrale.telemetry.status import DeliveryStatus

_log = logging.getLogger("aistrale.telemetry")


class Hub:
    """Where events come together and part again. `emit` never raises and never waits.

    Args:
        settings: One for each sink; what stands in them as an address is opened here, and connects to nothing.
        directory: Where durable sinks keep their spools; None for the platform's data directory.
    """

    def __init__(self, settings: Sequence[SinkSettings], directory: Path | None = None) -> None:
        self.sinks: list[Sink] = [open_sink(own.to) if isinstance(own.to, str) else own.to for own in settings]
        self._deliveries = [Delivery(sink, own, directory) for sink, own in zip(self.sinks, settings, strict=True)]
        self._puts = tuple(delivery.put for delivery in self._deliveries)
        for sink in self.sinks:
            attach = getattr(sink, "attach", None)
            if attach is not None:
                attach(self.emit)
            watch = getattr(sink, "watch", None)
            if watch is not None:
                watch(self.status)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What follows calls while they run, of the sinks that do."""
        found = (getattr(sink, "instrument", None) for sink in self.sinks)
        return tuple(cast("Instrument", each) for each in found if each is not None)

    def emit(self, event: TelemetryEvent) -> None:
        """Give an event to every sink that wants it."""
        for put in self._puts:
            try:
                put(event)
            except Exception:  # noqa: BLE001 - see below
                # Delivery itself raises nothing; what happened instead is a defect of ours, or no memory.
                _log.exception("an event of kind %s did not get to a sink", event.kind)

    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver what waits.

        Args:
            timeout: Seconds, for all sinks together.

        Returns:
            False when something was not delivered in time; it still waits.
        """
        until = time.monotonic() + timeout
        begun = [(delivery, delivery.begin(until)) for delivery in self._deliveries]
        return all([delivery.finish(asked) for delivery, asked in begun])  # noqa: C419 - none is to be left out

    def status(self) -> list[DeliveryStatus]:
        """What became of the events of each sink."""
        return [delivery.status() for delivery in self._deliveries]

    def close(self, timeout: float = 5.0) -> None:
        """Deliver what waits and let go of everything; a later event begins anew.

        Args:
            timeout: Seconds, for all sinks together.
        """
        until = time.monotonic() + timeout
        self.flush(timeout)
        for delivery in self._deliveries:
            delivery.close(max(until - time.monotonic(), 0.0))
