"""Events as records of the standard library's `logging`, for whatever the application does with those."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from aistrale.telemetry.address import read_address, wrong
from aistrale.telemetry.encoding import encode_event
from aistrale.telemetry.gathered import Gathered
from aistrale.telemetry.lines import ON_THE_WAY, line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent


class LoggingSink:
    """Logs every event: a line of words as the message, the whole event as the record's attribute `aistrale`.

    Levels: calls INFO, those that failed ERROR, those that were cancelled or given up WARNING; an opened breaker, a
    crossed budget and a blocked call WARNING, other verdicts of rules about data INFO; a webhook that was given up
    ERROR; everything that only explains these (attempts, retries, cache, queue, ...) DEBUG. Records carry the time of
    the event, not that of its delivery.

    Args:
        logger: A logger, or its name.
    """

    name = "logging"

    def __init__(self, logger: str | logging.Logger = "aistrale.calls") -> None:
        if not isinstance(logger, logging.Logger) and not (isinstance(logger, str) and logger.strip()):
            raise wrong("logging takes a logger or its name")
        self._logger = logging.getLogger(logger.strip()) if isinstance(logger, str) else logger
        self._gathered = Gathered(ON_THE_WAY)
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "logging" or "logging:name.of.the.logger"."""
        rest, _ = read_address(url, {})
        return cls(rest) if rest else cls()

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Log them; what handlers raise is raised."""
        with self._lock:
            self._gathered.add(events)
            for event in events:
                self._log(event)
            self._gathered.forget(event.call_id for event in events if event.kind == "call.finished")

    def after_fork(self) -> None:
        """The lock may be held by a thread that this process does not have."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Loggers belong to the application: nothing to do."""

    def _log(self, event: TelemetryEvent) -> None:
        line = line_of(event, self._gathered.of(event.call_id))
        logger = self._logger
        if not logger.isEnabledFor(line.level):
            return
        extra = {"aistrale": encode_event(event)}
        record = logger.makeRecord(
            logger.name, line.level, "aistrale", 0, line.text(), (), None, func=event.kind, extra=extra
        )
        # It is delivered later than it happened.
        record.created, record.msecs = event.at, event.at % 1 * 1000
        logger.handle(record)
