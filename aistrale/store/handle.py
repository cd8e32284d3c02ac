"""The ledger as the rest of aistrale uses it: append, flush, ask.

`open_ledger` reads the setting and touches nothing; files and the database appear with the first row, the
database driver is loaded by the first shipping or question, never by a call.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from aistrale.core.worker import Worker, importing
from aistrale.errors import ConfigurationError
from aistrale.store.journal import Durability, Journal, JournalStatus
from aistrale.store.protocol import Exchange, LedgerQueries, Sample, SpendRow, SummaryRow, UnsettledAttempt
from aistrale.store.segment import live_writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from aistrale.store.ledger import SQLiteLedger
    from aistrale.store.records import AttemptRow, CallRow, CountRow, Row, ScoreRow
    from aistrale.store.shipper import Shipper, ShipperStatus

FILE_NAME: Final = "ledger.sqlite3"
EXIT_SECONDS: Final = 2.0
_QUESTION_SECONDS: Final = 2.0
_SHIP_SECONDS: Final = 1.0
_SQLITE: Final = "sqlite:///"
_ACCEPTED: Final = 'Accepted are "off", "sqlite:///relative/path", "sqlite:////absolute/path", or nothing.'


@dataclass(slots=True, kw_only=True)
class LedgerStatus:
    """Whether the ledger works, for `aistrale doctor` and the curious.

    Args:
        mode: "sqlite" or "off".
        path: The database; None when there is no place for one.
        degraded: Why rows are not, or not yet, where they should be; None when all is well.
        journal: What the journal of this process says; None when off.
        shipper: What the shipper of this process says; None before it has run.
    """

    mode: Literal["sqlite", "off"]
    path: str | None = None
    degraded: str | None = None
    journal: JournalStatus | None = None
    shipper: ShipperStatus | None = None


class LedgerHandle(LedgerQueries, Protocol):
    """A ledger that is open for one process. The queries first ship what waits, for at most two seconds."""

    def append(self, *rows: Row) -> bool:
        """Record rows; True when they are acknowledged, see `aistrale.store.journal`. Never raises."""
        ...

    def flush(self, timeout: float = 5.0) -> bool:
        """Bring all rows into the ledger.

        Args:
            timeout: Seconds.

        Returns:
            False when some are not there yet: they wait in the journal or, see `status`, in memory.
        """
        ...

    def open_intents(self) -> list[UnsettledAttempt]:
        """Attempts whose process died before it knew the outcome; raises `LedgerUnavailable`."""
        ...

    def status(self) -> LedgerStatus:
        """Whether it works, and what was lost."""
        ...

    def close(self) -> None:
        """Flush for at most two seconds and end background work; a later `append` starts it again."""
        ...


class NullLedger:
    """`ledger="off"`: takes everything, keeps nothing."""

    def append(self, *rows: Row) -> bool:
        """Nothing is promised by this ledger, and so nothing is lost: True."""
        return True

    def flush(self, timeout: float = 5.0) -> bool:
        """Nothing waits: True."""
        return True

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """No rows."""
        return []

    def calls(self, limit: int = 50) -> list[CallRow]:
        """No rows."""
        return []

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """No rows."""
        return []

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """No rows."""
        return []

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """None."""
        return iter(())

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """None."""
        return iter(())

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """None."""
        return iter(())

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """No rows."""
        return []

    def scores(self, call_id: str) -> list[ScoreRow]:
        """No rows."""
        return []

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """Nothing."""
        return Decimal(0)

    def open_intents(self) -> list[UnsettledAttempt]:
        """No rows."""
        return []

    def status(self) -> LedgerStatus:
        """Off."""
        return LedgerStatus(mode="off")

    def close(self) -> None:
        """Nothing is open."""


class LocalLedger:
    """The SQLite ledger behind a journal and a background shipper.

    Args:
        path: The database; None when there is no place for one: rows are kept in memory, counted, and lost.
        durability: What an acknowledged row survives, see `aistrale.store.journal`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        durability: Durability = "process",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.journal = Journal(None if path is None else journal_directory(path), durability=durability, clock=clock)
        self._clock = clock
        self._opened: dict[Path, tuple[SQLiteLedger, Shipper]] = {}
        self._worker = Worker(self._step, name="aistrale-ledger", delay=_SHIP_SECONDS, at_exit=self._exit)

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
        if self.path is None:
            return written
        return self._open(self.path)[1].flush(deadline - self._clock()) and written

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """See `LedgerHandle.summary`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.summary(by, since, until)

    def calls(self, limit: int = 50) -> list[CallRow]:
        """See `LedgerHandle.calls`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.calls(limit)

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """See `LedgerHandle.attempts`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.attempts(call_id)

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """See `LedgerHandle.spend`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.spend(by, since, until, where=where)

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """See `LedgerHandle.exchanges`."""
        ledger = self._ready()
        return iter(()) if ledger is None else ledger.exchanges(since, until, where=where, limit=limit)

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """See `LedgerHandle.cached`."""
        ledger = self._ready()
        return iter(()) if ledger is None else ledger.cached(since, until, where=where)

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """See `LedgerHandle.samples`."""
        ledger = self._ready()
        return iter(()) if ledger is None else ledger.samples(since, until, where=where)

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """See `LedgerHandle.counts`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.counts(since, limit)

    def scores(self, call_id: str) -> list[ScoreRow]:
        """See `LedgerHandle.scores`."""
        ledger = self._ready()
        return [] if ledger is None else ledger.scores(call_id)

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """See `LedgerHandle.avoided`."""
        ledger = self._ready()
        return Decimal(0) if ledger is None else ledger.avoided(since, until, where=where)

    def open_intents(self) -> list[UnsettledAttempt]:
        """See `LedgerHandle.open_intents`."""
        if self.path is None:
            return []
        # Before shipping: who dies after this look is reported next time, not declared dead too early.
        alive = live_writers(str(journal_directory(self.path)))
        ledger = self._ready()
        return [] if ledger is None else ledger.open_intents(alive)

    def status(self) -> LedgerStatus:
        """See `LedgerHandle.status`."""
        journal = self.journal.status()
        shipper = next((shipper.status() for _, shipper in list(self._opened.values())), None)
        degraded = None
        if journal.waiting or journal.dropped or self.path is None:
            degraded = journal.last_error or "there is no directory for the ledger"
        elif shipper is not None:
            degraded = shipper.last_error
        return LedgerStatus(
            mode="sqlite",
            path=None if self.path is None else str(self.path),
            degraded=degraded,
            journal=journal,
            shipper=shipper,
        )

    def close(self) -> None:
        """See `LedgerHandle.close`."""
        self._worker.close(timeout=EXIT_SECONDS)
        self._exit()

    def _exit(self) -> None:
        # Sealed first, so that a segment that is shipped entirely is deleted.
        self.journal.close()
        if self.journal.status().acknowledged:
            self.flush(EXIT_SECONDS)
        for ledger, _ in list(self._opened.values()):
            ledger.close()

    def _step(self) -> float | None:
        written = self.journal.retry()
        if self.path is None:
            return None
        pause = self._open(self.path)[1].step()
        return pause if written else _SHIP_SECONDS

    def _ready(self) -> SQLiteLedger | None:
        if self.path is None:
            return None
        self.flush(_QUESTION_SECONDS)
        return self._open(self.path)[0]

    def _open(self, path: Path) -> tuple[SQLiteLedger, Shipper]:
        parts = self._opened.get(path)
        if parts is None:
            with importing():
                from aistrale.store.ledger import SQLiteLedger
                from aistrale.store.shipper import Shipper

            synchronous: Literal["NORMAL", "FULL"] = "NORMAL" if self.journal.durability == "process" else "FULL"
            ledger = SQLiteLedger(path, synchronous=synchronous)
            parts = ledger, Shipper(journal_directory(path), ledger, clock=self._clock)
            # Two threads may come here; what the second one made has opened nothing yet.
            parts = self._opened.setdefault(path, parts)
        return parts


def journal_directory(path: Path) -> Path:
    """Where the journal of a database is: beside it, one for each database."""
    name = "journal" if path.name == FILE_NAME else f"{path.name}.journal"
    return path.with_name(name)


def open_ledger(setting: str | None = None, *, durability: Durability = "process") -> LedgerHandle:
    """The ledger that a setting asks for; nothing is created before the first row.

    Args:
        setting: "off"; "sqlite:///path" (relative to the current directory; with a fourth slash absolute; `~`
            is the home directory); None for `ledger.sqlite3` in `$AISTRALE_HOME`, else in the platform's
            directory for user data.
        durability: What an acknowledged row survives, see `aistrale.store.journal`.

    Returns:
        A handle. Where no file can be written it is degraded: it keeps rows in memory and says so in its
        status.

    Raises:
        ConfigurationError: The setting, field `ledger`, is none of these.
    """
    if durability not in {"process", "group", "each"}:
        raise ConfigurationError('durability must be "process", "group" or "each".', field="durability")
    if setting == "off":
        return NullLedger()
    path = _default_path() if setting is None else _path_of(setting)
    return LocalLedger(path, durability=durability)


def _path_of(setting: object) -> Path | None:
    # Never quoted whole: a database address may hold a password.
    text = setting if isinstance(setting, str) else ""
    scheme = text.partition(":")[0] if ":" in text else ""
    if scheme.startswith("postgres"):
        raise ConfigurationError("ledger: PostgreSQL is not supported in this version.", field="ledger", hint=_ACCEPTED)
    if not text.startswith(_SQLITE):
        what = f"{scheme}: addresses are" if scheme.isalnum() else "the value is"
        raise ConfigurationError(f"ledger: {what} not understood.", field="ledger", hint=_ACCEPTED)
    name = text.removeprefix(_SQLITE)
    if name in {"", ":memory:"} or "\0" in name:
        raise ConfigurationError("ledger: the address names no file.", field="ledger", hint=_ACCEPTED)
    path = _absolute(name)
    if path is not None and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise ConfigurationError(f"ledger: {path} is a directory, not a file.", field="ledger", hint=_ACCEPTED)
    return path


def _default_path() -> Path | None:
    home = os.environ.get("AISTRALE_HOME")
    if not home:
        import platformdirs

        home = platformdirs.user_data_dir("aistrale", appauthor=False)
        if not os.path.isabs(home):  # noqa: PTH117 - the answer is a string
            # An account without a home directory: "~/..." came back as it was.
            return None
    return _absolute(os.path.join(home, FILE_NAME))  # noqa: PTH118


def _absolute(name: str) -> Path | None:
    """The path from the root, as the current directory may change; None where that is not known."""
    try:
        return Path(name).expanduser().absolute()
    except (OSError, RuntimeError):
        return None
