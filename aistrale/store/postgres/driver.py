"""What is psycopg's: a connection whose every wait has an end, and what its errors mean. Loads psycopg."""

from __future__ import annotations

import time
from selectors import DefaultSelector
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.string import TextLoader

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

T = TypeVar("T")

Error = psycopg.Error
_KEEP_ALIVE_SECONDS: Final = 30
# Class 08, and what a server says that goes down: "PostgreSQL Error Codes" in its manual. The others say that the
# connection leads to the wrong place by now: a standby, or a database that was made anew.
_STALE: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25006", "42P01", "3F000"})
_BUSY: Final = frozenset({"55P03", "40P01", "40001"})
# Values that cannot be held, keys that are there already, keys that stand twice in one statement.
_OF_VALUES: Final = ("22", "23", "21")
_LONGEST: Final = 300

_HINTS: Final = {
    "25006": "It is read-only: name the primary, or several hosts and target_session_attrs=read-write.",
    "42501": "Grant the user what the page about the ledger lists.",
    "53100": "Free the disk of the server.",
    "53300": "Raise its max_connections, or put a pooler before it.",
}
_HINT: Final = "Check that it can be reached, and that user, password and database are right."
_OTHER_HINT: Final = "The server's log says more."


class LateError(psycopg.OperationalError):
    """The server did not answer in time."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up at a moment, whatever the server does.

    The server ends statements itself (`statement_timeout`), but one that is frozen, or behind a line that is cut, does
    not.

    Attributes:
        deadline: Monotonic seconds of the clock of the machine.
    """

    deadline: float = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *_args: object, **_kwargs: object) -> T:
        """Run what psycopg does step by step, waiting for the socket between."""
        try:
            wanted = next(gen)
            with DefaultSelector() as selector:
                socket = self.pgconn.socket
                selector.register(socket, wanted)
                while True:
                    left = self.deadline - time.monotonic()
                    if left <= 0:
                        raise LateError("the server did not answer in time")
                    found = selector.select(min(left, 3600.0))
                    if found:
                        before, wanted = wanted, gen.send(found[0][1])
                        if wanted != before:
                            selector.modify(socket, wanted)
        except StopIteration as stop:
            done: T = stop.value
            return done


def connect(options: Mapping[str, str], seconds: int) -> Connection:
    """Open a connection.

    Args:
        options: Parameters of libpq.
        seconds: How long to try for each host, at least 2, unless the options say so.

    Raises:
        psycopg.Error: It cannot be opened.
    """
    defaults = {
        "connect_timeout": str(seconds),
        "fallback_application_name": "aistrale",
        # Routers forget connections that are silent for minutes.
        "keepalives_idle": str(_KEEP_ALIVE_SECONDS),
    }
    parameters = {**defaults, **options, "client_encoding": "utf8"}
    # No prepared statements: a pooler may give every transaction another session.
    connection = Connection.connect(make_conninfo("", **parameters), autocommit=True, prepare_threshold=None)
    for name in ("numeric", "jsonb"):
        # As SQLite has them; sums of money are made from the text.
        connection.adapters.register_loader(name, TextLoader)
    return connection


def reason_of(error: BaseException) -> str:
    """What an error says, in one line; not its details, which quote rows."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    lines = (primary or str(error) or type(error).__name__).splitlines()
    # What libpq asks back ("Is the server running?") stands behind a tab; we say what to do ourselves.
    text = " ".join(" ".join(line for line in lines if not line.startswith("\t")).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def hint_of(error: BaseException) -> str:
    """What to do about it."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    # Of connections: class 08, and 28 and 3D for who and what is not there.
    other = _HINT if state is None or state.startswith(("08", "28", "3D", "57P")) else _OTHER_HINT
    return _HINTS.get(state or "", other)


def is_busy(error: BaseException) -> bool:
    """Whether somebody else holds what is needed, so that the next moment may be better."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _BUSY


def is_stale(error: BaseException) -> bool:
    """Whether a new connection may work where this old one did not."""
    if isinstance(error, LateError) or not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state.startswith("08") or state in _STALE


def is_bad_value(error: BaseException) -> bool:
    """Whether a row cannot be stored as it is, as opposed to the state of the database."""
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:
            return isinstance(error, (psycopg.DataError, psycopg.ProgrammingError))
        return state.startswith(_OF_VALUES)
    return isinstance(error, (UnicodeError, OverflowError))
