"""The ledger in a PostgreSQL database that any number of machines share.

Each machine ships its own journal: what is told of segments and of living processes is told of the installation that
asks, whereas money, tokens and calls are those of all. Every batch is one transaction of rows and cursor, so rows
arrive exactly once; what is shipped again after a crash replaces what is there with the same.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from aistrale.core.worker import importing
from aistrale.store.postgres.session import Session
from aistrale.store.protocol import Cursor, LedgerUnavailable, UnsettledAttempt
from aistrale.store.questions import Questions
from aistrale.store.segment import writer_of
from aistrale.store.tables import batch_of
from aistrale.store.words import POSTGRES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from aistrale.store.postgres.address import Address
    from aistrale.store.postgres.installation import Installation
    from aistrale.store.postgres.session import Cursor as DatabaseCursor
    from aistrale.store.records import Row

WRITE_SECONDS: Final = 10.0
QUESTION_SECONDS: Final = 30.0
BATCH_ROWS: Final = 2000
"""Rows in one transaction; more than SQLite's, since each costs a few journeys to the server."""
_PARAMETER: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_ADVANCE: Final = """INSERT INTO segments (installation, name, "offset") VALUES (%s, %s, %s)
    ON CONFLICT (installation, name) DO UPDATE SET "offset" = excluded."offset", moved = now()"""
# Machines that are gone do not come to forget their segments; one that does come back ships a segment again.
_SWEEP: Final = "DELETE FROM segments WHERE moved < now() - interval '90 days' AND installation <> %s"


class PostgresLedger(Questions):
    """A `Ledger` in one schema of a database; safe in threads and after forks.

    Nothing is connected to before the first use, and nothing is created before the first `write_batch`; a schema that
    does not exist reads as empty. It may be dropped at any time: the next use takes what is there then.

    Args:
        address: Where it is.
        installation: Whose journal is shipped.
        durable: Whether a commit waits for the server's disk, whatever the server is set to.
        clock: Monotonic seconds.
    """

    _words = POSTGRES

    def __init__(
        self,
        address: Address,
        installation: Installation,
        *,
        durable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._installation = installation
        self._swept = False
        # Two connections: a question that takes long does not hold rows up.
        self._writing = Session(address, seconds=WRITE_SECONDS, durable=durable, clock=clock)
        self._asking = Session(address, seconds=QUESTION_SECONDS, clock=clock)

    # -- writing -------------------------------------------------------------------------------------------------------

    def bound(self, seconds: float | None) -> None:
        """Have what is written end within so many seconds from now, or fail; None for the usual limits."""
        self._writing.bound(seconds)

    def write_batch(self, rows: Sequence[Row], cursor: Cursor) -> None:
        """See `Ledger.write_batch`. A row that PostgreSQL cannot hold is kept in the table `rejected`."""
        name = self._name(create=True)
        batch = batch_of(rows, writer_of(cursor.segment))

        def work(database: DatabaseCursor) -> None:
            with importing():
                from aistrale.store.postgres.rows import store

            if rows:
                store(database, rows, batch, name)
            if not self._swept:
                database.execute(_SWEEP, (name,))
            database.execute(_ADVANCE, (name, cursor.segment, cursor.offset))

        self._writing.run(work, write=True)
        self._swept = True

    def cursors(self) -> dict[str, int]:
        """See `Ledger.cursors`; those of this installation."""
        name = self._name()
        if not name:
            return {}
        query = 'SELECT name, "offset" FROM segments WHERE installation = %s'
        return dict(self._writing.run(lambda database: database.execute(query, (name,)).fetchall()) or [])

    def forget(self, segments: Collection[str]) -> None:
        """See `Ledger.forget`; those of this installation."""
        names, name = list(segments), self._name()
        if names and name:
            query = "DELETE FROM segments WHERE installation = %s AND name = ANY(%s)"
            self._writing.run(lambda database: bool(database.execute(query, (name, names))), write=True)

    # -- asking --------------------------------------------------------------------------------------------------------

    def open_intents(self, live_writers: Collection[str] = ()) -> list[UnsettledAttempt]:
        """See `Ledger.open_intents`; those of this installation, as nobody knows who lives on other machines."""
        name = self._name()
        if not name:
            return []
        found = self._unsettled("settled = 0 AND installation = :installation", {"installation": name})
        return [attempt for attempt in found if attempt.writer not in live_writers]

    def _ask(self, query: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        text = _translated(query)
        bound = {name: _asked(value) for name, value in values.items()}
        return self._asking.run(lambda database: database.execute(text, bound).fetchall()) or []

    def _name(self, *, create: bool = False) -> str:
        try:
            return self._installation.name(create=create) or ""
        except OSError as error:
            raise LedgerUnavailable(
                f"the name of this installation cannot be kept: {error}.",
                hint="Make the directory of the journal writable.",
            ) from error

    def close(self) -> None:
        """See `Ledger.close`."""
        self._writing.close()
        self._asking.close()


@lru_cache(maxsize=1024)
def _translated(query: str) -> bytes:
    """A query with its parameters written as psycopg has them."""
    return _PARAMETER.sub(r"%(\1)s", query.replace("%", "%%")).encode()


def _asked(value: object) -> object:
    """What is asked for as it was stored: see `aistrale.store.postgres.rows.clean`."""
    return value.replace("\0", "?").encode("utf-8", "replace").decode() if isinstance(value, str) else value
