"""The ledger of one process: a journal that takes rows at once, and a database that they are moved into."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, on_fork
from aistrale.store.journal import Durability, Journal
from aistrale.store.off import NullLedger
from aistrale.store.places import SQLitePlace
from aistrale.store.segment import live_writers
from aistrale.store.status import LedgerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from aistrale.store.places import Place
    from aistrale.store.protocol import Exchange, Ledger, LedgerQueries, Sample, SpendRow, SummaryRow, UnsettledAttempt
    from aistrale.store.records import AttemptRow, CallRow, CountRow, Row, ScoreRow
    from aistrale.store.shipper import Shipper

EXIT_SECONDS: Final = 2.0
_LAST_SECONDS: Final = 0.1
_QUESTION_SECONDS: Final = 2.0
_SHIP_SECONDS: Final = 1.0


class LocalLedger:
    """A ledger behind a local journal and a background shipper.

    Args:
        place: The database, and where the journal is.
        durability: What an acknowledged row survives, see `aistrale.store.journal`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        place: Place,
        *,
        durability: Durability = "process",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self._directory = place.journal
        self.journal = Journal(self._directory, durability=durability, clock=clock)
        self._clock = clock
        self._opened: dict[Path, tuple[Ledger, Shipper]] = {}
        self._after_fork()
        self._worker = Worker(self._step, name="aistrale-ledger", delay=_SHIP_SECONDS, at_exit=self._exit)

        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._asked = self._served = 0
        self._bell = threading.Condition()
        # Rows that had been acknowledged when all of them were in the ledger at last.
        self._brought = 0
        self._done = False

    @property
    def path(self) -> Path | None:
        """The file; None where the database is none, or has no place."""
        return self.place.path if isinstance(self.place, SQLitePlace) else None

    def append(self, *rows: Row) -> bool:
        """See `LedgerHandle.append`."""
        acknowledged = self.journal.append(*rows)
        self._worker.wake()
        return acknowledged

    def flush(self, timeout: float = 5.0) -> bool:
        """See `LedgerHandle.flush`."""
        deadline = self._clock() + timeout
        written = self.journal.retry()
        self.journal.sync()
        if self._directory is None:
            return written
        return self._open(self._directory)[1].flush(deadline - self._clock()) and written

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """See `LedgerHandle.summary`."""
        return self._ready().summary(by, since, until)

    def calls(self, limit: int = 50) -> list[CallRow]:
        """See `LedgerHandle.calls`."""
        return self._ready().calls(limit)

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """See `LedgerHandle.attempts`."""
        return self._ready().attempts(call_id)

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """See `LedgerHandle.spend`."""
        return self._ready().spend(by, since, until, where=where)

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """See `LedgerHandle.exchanges`."""
        return self._ready().exchanges(since, until, where=where, limit=limit)

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """See `LedgerHandle.cached`."""
        return self._ready().cached(since, until, where=where)

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """See `LedgerHandle.samples`."""
        return self._ready().samples(since, until, where=where)

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """See `LedgerHandle.counts`."""
        return self._ready().counts(since, limit)

    def scores(self, call_id: str) -> list[ScoreRow]:
        """See `LedgerHandle.scores`."""
        return self._ready().scores(call_id)

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """See `LedgerHandle.avoided`."""
        return self._ready().avoided(since, until, where=where)

    def open_intents(self) -> list[UnsettledAttempt]:
        """See `LedgerHandle.open_intents`."""
        if self._directory is None:
            return []
        # Before shipping: who dies after this look is reported next time, not declared dead too early.
        alive = live_writers(str(self._directory))
        self.flush(_QUESTION_SECONDS)
        return self._open(self._directory)[0].open_intents(alive)

    def status(self) -> LedgerStatus:
        """See `LedgerHandle.status`."""
        journal = self.journal.status()
        shipper = next((shipper.status() for _, shipper in list(self._opened.values())), None)
        degraded = None
        if journal.waiting or journal.dropped or self._directory is None:
            degraded = journal.last_error or "there is no directory for the ledger"
        elif shipper is not None:
            degraded = shipper.last_error
        return LedgerStatus(
            mode=self.place.mode,
            path=self.place.shown,
            degraded=degraded,
            journal=journal,
            shipper=shipper,
        )

    def close(self) -> None:
        """See `LedgerHandle.close`."""
        if self.place.remote:
            # While there is a thread that can be left behind.
            self._exit()
            self._worker.close(timeout=_LAST_SECONDS)
            return
        self._worker.close(timeout=EXIT_SECONDS)
        self._exit()

    def _exit(self) -> None:
        # Sealed first, so that a segment that is shipped entirely is deleted.
        self.journal.close()
        acknowledged = self.journal.status().acknowledged
        if acknowledged != self._brought:
            there = self.place.remote and self._worker.alive
            if self._flush_there() if there else self.flush(EXIT_SECONDS):
                self._brought = acknowledged
        for ledger, _ in list(self._opened.values()):
            ledger.close()

    def _flush_there(self) -> bool:
        """Flush in the worker's thread: not even the name of a server that nobody finds holds the caller up."""
        with self._bell:
            self._asked += 1
            wanted = self._asked
            self._worker.hurry()
            return self._bell.wait_for(lambda: self._served >= wanted, timeout=EXIT_SECONDS) and self._done

    def _step(self) -> float | None:
        asked, self._done = self._asked, False
        try:
            written = self.journal.retry()
            if self._directory is None:
                return None
            pause = self._open(self._directory)[1].step()
            self._done = written and pause is None
            return pause if written else _SHIP_SECONDS
        finally:
            with self._bell:
                self._served = asked
                self._bell.notify_all()

    def _ready(self) -> LedgerQueries:
        """Whom to ask, once what waits has been moved there; without a place the one that knows nothing."""
        if self._directory is None:
            return NullLedger()
        self.flush(_QUESTION_SECONDS)
        return self._open(self._directory)[0]

    def _open(self, journal: Path) -> tuple[Ledger, Shipper]:
        parts = self._opened.get(journal)
        if parts is None:
            parts = self.place.open(journal, durability=self.journal.durability, clock=self._clock)
            # Two threads may come here; what the second one made has opened nothing yet.
            parts = self._opened.setdefault(journal, parts)
        return parts
