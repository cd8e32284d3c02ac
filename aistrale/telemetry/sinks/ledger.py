"""A second ledger: calls and attempts in a SQLite file or a PostgreSQL database, beside the client's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aistrale.core.worker import importing
from aistrale.errors import ConfigurationError
from aistrale.telemetry.address import wrong
from aistrale.telemetry.events import AttemptFinished, CallFinished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.store.handle import LedgerHandle
    from aistrale.telemetry.events import TelemetryEvent


class LedgerUnwritableError(OSError):
    """The journal of the ledger could not take rows; it says why."""


class LedgerSink:
    """Writes the rows of calls and attempts into a ledger of its own.

    What it has taken is in the ledger's journal on disk and outlives the process: see `aistrale.store.journal`. The
    same row may be written again; it is stored once. Scores and token counts, which are no events, are in the client's
    own ledger only (setting `ledger`).

    Args:
        address: As in the setting `ledger`: "sqlite:///path" or "postgresql://...".

    Raises:
        ConfigurationError: The address is none of these; field "sinks".
        ImportError: The database's library is missing; names the extra that brings it.
    """

    name = "ledger"
    durable = True
    kinds = frozenset({CallFinished.kind, AttemptFinished.kind})

    def __init__(self, address: str) -> None:
        with importing():
            from aistrale.store.handle import open_ledger
        if not isinstance(address, str) or not address.strip():
            raise wrong("a ledger needs an address", 'Such as "sqlite:///calls.sqlite3".')
        scheme, colon, rest = address.strip().partition(":")
        if scheme.lower() == "postgres":
            scheme = "postgresql"
        try:
            self._ledger: LedgerHandle = open_ledger(f"{scheme.lower()}{colon}{rest}")
        except ConfigurationError as error:
            # It is told in the words of the other setting, whose rules these are.
            raise ConfigurationError(f"sinks: {error.message}", field="sinks", hint=error.hint) from None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The sink of "sqlite:///path" or "postgresql://user@host/database"."""
        return cls(url)

    @property
    def ledger(self) -> LedgerHandle:
        """The ledger, to ask it."""
        return self._ledger

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Append the rows.

        Raises:
            LedgerUnwritableError: They are not safe yet.
        """
        rows = [event.row for event in events if isinstance(event, (CallFinished, AttemptFinished))]
        if rows and not self._ledger.append(*rows):
            journal = self._ledger.status().journal
            reason = journal.last_error if journal is not None else None
            raise LedgerUnwritableError(f"the ledger's journal cannot be written: {reason or 'no reason is known'}")

    def flush(self, timeout: float) -> bool:
        """Bring rows from the journal into the database; whether that was done within `timeout` seconds."""
        return self._ledger.flush(timeout)

    def after_fork(self) -> None:
        """The ledger finds that out itself: nothing to do."""

    def close(self) -> None:
        """Flush for at most two seconds and close; a later `write` opens it again."""
        self._ledger.close()
