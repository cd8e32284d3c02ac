"""The ledger as the rest of aistrale uses it: append, flush, ask.

`open_ledger` reads the setting and touches nothing; files and the database appear with the first row, the
database driver is loaded by the first shipping or question, never by a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aistrale.errors import ConfigurationError
from aistrale.store.local import EXIT_SECONDS, LocalLedger
from aistrale.store.off import NullLedger
from aistrale.store.places import FILE_NAME, journal_directory, place_of
from aistrale.store.protocol import LedgerQueries
from aistrale.store.status import LedgerStatus

if TYPE_CHECKING:
    from aistrale.store.journal import Durability
    from aistrale.store.protocol import UnsettledAttempt
    from aistrale.store.records import Row

__all__ = [
    "EXIT_SECONDS",
    "FILE_NAME",
    "LedgerHandle",
    "LedgerStatus",
    "LocalLedger",
    "NullLedger",
    "journal_directory",
    "open_ledger",
]


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


def open_ledger(setting: str | None = None, *, durability: Durability = "process") -> LedgerHandle:
    """The ledger that a setting asks for; nothing is created before the first row.

    Args:
        setting: "off"; "sqlite:///path" (relative to the current directory; with a fourth slash absolute; `~`
            is the home directory); "postgresql://user:password@host/database?schema=name", whose journal is in
            `$AISTRALE_HOME`, else in the platform's directory for user data; None for `ledger.sqlite3` in there.
        durability: What an acknowledged row survives, see `aistrale.store.journal`.

    Returns:
        A handle. Where no file can be written it is degraded: it keeps rows in memory and says so in its
        status.

    Raises:
        ConfigurationError: The setting, field `ledger`, is none of these.
        ImportError: The library of the database is missing; names the extra that brings it.
    """
    if durability not in {"process", "group", "each"}:
        raise ConfigurationError('durability must be "process", "group" or "each".', field="durability")
    if setting == "off":
        return NullLedger()
    return LocalLedger(place_of(setting), durability=durability)
