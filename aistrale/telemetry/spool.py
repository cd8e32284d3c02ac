"""The spool of a durable sink: events go to disk in the calling thread, and from there to the sink, at least once.

It is the journal of `aistrale.store.journal` with other rows, and what "acknowledged" means is said there: the whole
frame of an event was accepted by one `write(2)` with `O_APPEND`, so that it survives every death of the process. All
processes with the same data directory and the same name of the sink share a directory; one of them at a time, which
holds `flock` on `ship.lock`, delivers for all, the dead included. How far it got is stored after each batch that the
sink took: who dies in between leaves one batch that is delivered once more, with the same ids.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from aistrale.store.journal import FrameLog
from aistrale.store.shipper import FrameShipper
from aistrale.telemetry._spool_files import Cursors, count_waiting, say_trouble, waiting_bytes
from aistrale.telemetry._spool_format import decode, encode
from aistrale.telemetry._waiting import Counts, by_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from aistrale.store.protocol import Cursor
    from aistrale.telemetry.events import TelemetryEvent

# The disk is looked at after so much was written, and while it is full whenever something was delivered, or is tried.
_LOOK_BYTES: Final = 4 << 20
_LOOK_SHARE: Final = 16
# A disk that takes nothing is tried again after so many seconds.
_DISK_SECONDS: Final = 1.0


class Refused(Exception):
    """The sink did not take a batch: it stays where it is. What was wrong is told elsewhere."""


class _EventLog(FrameLog["TelemetryEvent"]):
    _what = "events"

    def __init__(self, directory: Path, limit: int, clock: Callable[[], float]) -> None:
        super().__init__(directory, memory_limit=limit, clock=clock)
        self.written = 0

    def _encode(self, row: TelemetryEvent) -> bytes:
        payload = encode(row)
        # A sum that another thread may lose a part of: it only says when to look at the disk.
        self.written += len(payload)
        return payload


class _Destination:
    """What the shipper takes for a ledger: the sink, and how far it got."""

    def __init__(self, cursors: Cursors, deliver: Callable[[Sequence[TelemetryEvent]], bool]) -> None:
        self._cursors = cursors
        self._deliver = deliver

    def write_batch(self, rows: Sequence[TelemetryEvent], cursor: Cursor) -> None:
        """Deliver, then remember."""
        if rows and not self._deliver(rows):
            raise Refused
        self._cursors.move(cursor.segment, cursor.offset)

    def cursors(self) -> dict[str, int]:
        """How far it got."""
        return self._cursors.cursors()

    def forget(self, segments: Collection[str]) -> None:
        """They are gone."""
        self._cursors.forget(segments)


class Spool:
    """The events of one durable sink, on disk.

    Args:
        directory: Of this sink; nothing is created before the first event.
        deliver: Offers a batch to the sink; whether it is settled: delivered, or given up for good. Never raises.
        batch: Most events of a batch.
        limit: About the most bytes that wait, of all processes.
        memory: Most events that wait in memory while the disk does not take any.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        directory: Path,
        deliver: Callable[[Sequence[TelemetryEvent]], bool],
        *,
        batch: int,
        limit: int,
        memory: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = directory
        self._limit = limit
        self._clock = clock
        self._log = _EventLog(directory, memory, clock)
        self._cursors = Cursors(directory)
        self._shipper = FrameShipper(
            directory,
            _Destination(self._cursors, deliver),
            decode=decode,
            what="events",
            clock=clock,
            batch_rows=batch,
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a child process must; journal and shipper look after themselves."""
        self._dropped = Counts()
        self._look_written = 0
        self._is_full = False
        self._begun = 0
        self._complete = 0
        # Objects that are like nothing else, since a number could lose an addition between threads.
        self._last_put = self._delivered_to = object()

    @property
    def clean(self) -> bool:
        """Whether everything that this process has put was delivered."""
        return self._last_put is self._delivered_to

    def append(self, event: TelemetryEvent) -> bool:
        """Write an event down; whether it is acknowledged. Never raises."""
        log = self._log
        if log.written >= self._look_written:
            self._look()
        if self._is_full:
            self._dropped.add("spool full")
            return False
        acknowledged = log.append(event)
        # After the write: a delivery that began before it has not seen it.
        self._last_put = object()
        return acknowledged

    def _look(self) -> None:
        self._look_written = self._log.written + min(_LOOK_BYTES, self._limit // _LOOK_SHARE)
        self._is_full = waiting_bytes(self.directory) >= self._limit

    def ship(self, until: float | None) -> bool:
        """Deliver what is there.

        Args:
            until: Moment on the clock after which no further batch is begun.

        Returns:
            True when everything that was there at the start is delivered.
        """
        self._begun += 1
        number, last_put = self._begun, self._last_put
        done = False
        with contextlib.suppress(Refused):
            done = self._deliver(until)
        if done:
            self._complete = number
            self._delivered_to = last_put
        if self._is_full:
            self._look()
        return done

    def _deliver(self, until: float | None) -> bool:
        written = self._log.retry()
        done = self._shipper.ship(until)
        if written or not done:
            return done and written
        # The disk takes nothing more. What fills it may be what is delivered by now, in a segment that is still open.
        self._log.close()
        return self._shipper.ship(until) and self._log.retry() and self._shipper.ship(until)

    @property
    def pause(self) -> float:
        """Seconds until the next step where the sink is not to blame for what is left."""
        status = self._shipper.status()
        if status.failures:
            return self._shipper.pause
        return _DISK_SECONDS if self._log.status().waiting else 0.0

    @property
    def busy(self) -> bool:
        """Whether another process delivers."""
        return self._shipper.busy

    def mark(self) -> int:
        """A mark after everything that was put; see `passed`."""
        return self._begun

    def passed(self, mark: int) -> bool:
        """Whether a delivery that began after the mark came to its end."""
        return self._complete > mark

    def waiting(self) -> int:
        """How many events wait, of all processes; reads them."""
        return count_waiting(self.directory) + self._log.status().waiting

    def dropped(self) -> dict[str, int]:
        """What this process has lost, by reason."""
        return by_reason(self._dropped.all(), self._log.status().dropped)

    def last_error(self) -> str | None:
        """What is wrong with the disk; None if nothing is."""
        status = self._log.status()
        waits = status.last_error if status.waiting else None
        return self._shipper.status().last_error or waits or self._cursors.trouble

    def say_trouble(self, error: str | None) -> None:
        """Leave word of what is in the way."""
        say_trouble(self.directory, error, time.time())

    def seal(self) -> None:
        """Close the segment, so that the next delivery deletes it; a later event begins another."""
        used = self._log.status().path is not None
        self._log.close()
        if used:
            self._last_put = object()
