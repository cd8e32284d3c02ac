"""Where a ledger can be: what the setting `ledger` names, and how it is opened. Touches nothing before that."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, Protocol

from aistrale.core.home import absolute, data_directory
from aistrale.core.worker import importing
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aistrale.store.journal import Durability
    from aistrale.store.postgres.address import Address
    from aistrale.store.protocol import Ledger
    from aistrale.store.shipper import Shipper

FILE_NAME: Final = "ledger.sqlite3"
_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql", "postgres")
_ACCEPTED: Final = (
    'Accepted are "off", "sqlite:///relative/path", "sqlite:////absolute/path", '
    '"postgresql://user:password@host:port/database", or nothing.'
)


class Place(Protocol):
    """A database that may not exist yet, with the journal of this machine before it."""

    @property
    def mode(self) -> Literal["sqlite", "postgresql"]:
        """What kind of database it is."""
        ...

    @property
    def shown(self) -> str | None:
        """Its file or its address, without any password; None when there is no place for it."""
        ...

    @property
    def journal(self) -> Path | None:
        """The directory of the journal; None when there is no place for it: rows are kept in memory, counted, lost."""
        ...

    @property
    def remote(self) -> bool:
        """Whether it may keep one waiting, as what is behind a network does."""
        ...

    def open(self, journal: Path, *, durability: Durability, clock: Callable[[], float]) -> tuple[Ledger, Shipper]:
        """The ledger and what ships into it; connects to nothing.

        Args:
            journal: The directory of the journal.
            durability: What an acknowledged row survives, see `aistrale.store.journal`.
            clock: Monotonic seconds.
        """
        ...


class SQLitePlace:
    """A file.

    Args:
        path: Where; None when there is no place for one.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.mode: Literal["sqlite", "postgresql"] = "sqlite"
        self.remote = False

    @property
    def shown(self) -> str | None:
        """See `Place.shown`."""
        return None if self.path is None else str(self.path)

    @property
    def journal(self) -> Path | None:
        """See `Place.journal`: beside the file."""
        return None if self.path is None else journal_directory(self.path)

    def open(self, journal: Path, *, durability: Durability, clock: Callable[[], float]) -> tuple[Ledger, Shipper]:
        """See `Place.open`."""
        with importing():
            from aistrale.store.ledger import SQLiteLedger
            from aistrale.store.shipper import Shipper

        if self.path is None:
            raise ValueError("a ledger without a place cannot be opened")
        ledger = SQLiteLedger(self.path, synchronous="NORMAL" if durability == "process" else "FULL")
        return ledger, Shipper(journal, ledger, clock=clock)


class PostgresPlace:
    """A schema of a PostgreSQL database.

    Args:
        address: Which one.
        home: The directory of what this machine keeps; None when there is none.
    """

    def __init__(self, address: Address, home: Path | None) -> None:
        self.mode: Literal["sqlite", "postgresql"] = "postgresql"
        self.remote = True
        self._address = address
        self._home = home

    @property
    def shown(self) -> str:
        """See `Place.shown`."""
        return self._address.shown

    @property
    def journal(self) -> Path | None:
        """See `Place.journal`: one for each database."""
        return None if self._home is None else self._home / f"journal-{self._address.identity}"

    def open(self, journal: Path, *, durability: Durability, clock: Callable[[], float]) -> tuple[Ledger, Shipper]:
        """See `Place.open`."""
        with importing():
            from aistrale.store.postgres.installation import Installation
            from aistrale.store.postgres.ledger import BATCH_ROWS, PostgresLedger
            from aistrale.store.shipper import Shipper

        ledger = PostgresLedger(self._address, Installation(journal), durable=durability != "process", clock=clock)
        return ledger, Shipper(journal, ledger, clock=clock, batch_rows=BATCH_ROWS, bound=ledger.bound)


def journal_directory(path: Path) -> Path:
    """Where the journal of a SQLite database is: beside it, one for each database."""
    name = "journal" if path.name == FILE_NAME else f"{path.name}.journal"
    return path.with_name(name)


def place_of(setting: str | None) -> SQLitePlace | PostgresPlace:
    """Where the setting says that the ledger is.

    Args:
        setting: As in `aistrale.store.handle.open_ledger`, but "off".

    Raises:
        ConfigurationError: The setting, field `ledger`, is not understood; never quotes it whole, since it may hold a
            password.
        ImportError: The library of the database is missing; names the extra that brings it.
    """
    if setting is None:
        home = data_directory()
        return SQLitePlace(None if home is None else home / FILE_NAME)
    text = setting if isinstance(setting, str) else ""
    scheme = text.partition(":")[0] if ":" in text else ""
    if scheme.lower() in _POSTGRES:
        return _postgres(text)
    if not text.startswith(_SQLITE):
        what = f"{scheme}: addresses are" if scheme.isalnum() else "the value is"
        raise ConfigurationError(f"ledger: {what} not understood.", field="ledger", hint=_ACCEPTED)
    name = text.removeprefix(_SQLITE)
    if name in {"", ":memory:"} or "\0" in name:
        raise ConfigurationError("ledger: the address names no file.", field="ledger", hint=_ACCEPTED)
    path = absolute(name)
    if path is not None and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where it may not look
        raise ConfigurationError(f"ledger: {path} is a directory, not a file.", field="ledger", hint=_ACCEPTED)
    return SQLitePlace(path)


def _postgres(text: str) -> PostgresPlace:
    with importing():
        from aistrale.store.postgres.address import Address

    address = Address.parse(text)
    # Looked for, not loaded, which takes longer than everything else here.
    if find_spec("psycopg") is None:
        raise ImportError('ledger="postgresql://..." needs the package psycopg: pip install "aistrale[postgres]"')
    return PostgresPlace(address, data_directory())
