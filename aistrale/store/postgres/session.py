"""One connection to PostgreSQL: opened when it is needed, once in each process, and never waited for without end."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from aistrale.core.worker import check_fork, importing, on_fork
from aistrale.store.postgres.schema import bring_up_to_date, name_of
from aistrale.store.protocol import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import psycopg

    from aistrale.store.postgres.address import Address
    from aistrale.store.postgres.driver import Connection

    Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

T = TypeVar("T")

_CONNECT_SECONDS: Final = 3
_LEAST_CONNECT_SECONDS: Final = 2
_LEAST_SECONDS: Final = 0.05
_LOCK_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 0.5
# Whoever asks a server that does not answer waits for it; the next ones are told at once, for ten times as long.
_SLOW_SECONDS: Final = 0.5
_REST_FACTOR: Final = 10.0
_LONGEST_REST: Final = 30.0
# The server ends a statement first, and the connection lives on.
_GRACE_SECONDS: Final = 1.0
_forked: list[object] = []


class Session:
    """A connection for one thing at a time; safe in threads and after forks.

    Args:
        address: Where the database is.
        seconds: How long a transaction may take.
        durable: Whether a commit waits for the server's disk, whatever the server is set to.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        address: Address,
        *,
        seconds: float,
        durable: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._seconds = seconds
        self._durable = durable
        self._clock = clock
        self._connection: Connection | None = None
        self._reset()
        self._rest_until = float("-inf")
        self._why = ("", "")
        on_fork(self._after_fork)

    def _reset(self) -> None:
        self._connection = None
        self._prepared = False
        self._finish = float("inf")
        self._owner: int | None = None
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self._drop()

    def _after_fork(self) -> None:
        connection, used = self._connection, self._lock.locked()
        self._reset()
        if connection is None:
            return
        if used:
            # Another thread of the parent was inside, and nobody knows in what state it is: never touched here.
            _forked.append(connection)
            return
        with contextlib.suppress(Exception):
            # The socket is the parent's: what closing would say to the server, is said to nobody.
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, connection.fileno())
            os.close(null)
            connection.close()

    def bound(self, seconds: float | None) -> None:
        """Have everything end within so many seconds from now; None for no such bound, but that of each transaction."""
        self._finish = math.inf if seconds is None else time.monotonic() + max(_LEAST_SECONDS, seconds)

    def run(self, work: Callable[[Cursor], T], *, write: bool = False) -> T | None:
        """Do something in one transaction.

        Args:
            work: What to do; it may be done again, on another connection, if the first one turns out to be dead.
            write: Whether it changes something; then tables are made that are not there.

        Returns:
            What the work returns; None where there are no tables.

        Raises:
            LedgerUnavailable: Nothing was changed, or it is not known whether the change was made.
        """
        check_fork()
        lock, me = self._lock, threading.get_ident()
        # A signal handler may ask in the midst of a question.
        if self._owner == me or not lock.acquire(timeout=max(0.0, min(self._seconds, self._left()))):
            raise self._refusal("another question to it takes its time", busy=True)
        try:
            self._owner = me
            return self._run(work, write=write)
        finally:
            self._owner = None
            lock.release()

    def _left(self) -> float:
        return self._finish - time.monotonic()

    def _run(self, work: Callable[[Cursor], T], *, write: bool) -> T | None:
        began = self._clock()
        if began < self._rest_until:
            raise self._refusal(*self._why)
        deadline = min(self._finish, time.monotonic() + self._seconds)
        driver = self._driver()
        while True:
            kept = self._connection is not None
            try:
                return self._transact(driver, work, deadline, write=write)
            except BaseException as error:
                connecting = self._connection is None
                self._drop()
                # Whatever a driver or the libraries below it find wrong with a connection is no fault of ours.
                if not isinstance(error, Exception if connecting else (driver.Error, OSError)):
                    raise
                if kept and driver.is_stale(error):
                    continue
                unbound = connecting or deadline < self._finish
                raise self._unavailable(driver, error, began, unbound=unbound) from None

    def _transact(self, driver: ModuleType, work: Callable[[Cursor], T], deadline: float, *, write: bool) -> T | None:
        connection = self._connection
        if connection is None:
            seconds = min(_CONNECT_SECONDS, max(_LEAST_CONNECT_SECONDS, math.ceil(deadline - time.monotonic())))
            self._connection = connection = cast("Connection", driver.connect(self.address.options, seconds))
        connection.deadline = deadline + _GRACE_SECONDS
        with connection.cursor() as cursor:
            if not self._prepared:
                if not bring_up_to_date(cursor, self.address, create=write):
                    return None
                self._prepared = True
            cursor.execute(self._begin(deadline - time.monotonic(), write=write))
            done = work(cursor)
            cursor.execute("COMMIT")
            if cursor.statusmessage != "COMMIT":
                raise driver.Error("the transaction was rolled back")
        self._rest_until = float("-inf")
        return done

    def _begin(self, seconds: float, *, write: bool) -> bytes:
        # For each transaction anew, since a pooler may give each another session.
        settings = {
            "search_path": name_of(self.address.schema),
            "statement_timeout": max(1, int(seconds * 1000)),
            "lock_timeout": int(_LOCK_SECONDS * 1000),
            "idle_in_transaction_session_timeout": int(self._seconds * 1000),
            # Seconds come back as they went.
            "extra_float_digits": 1,
            # Compiling takes longer than any of these questions, of whose tags the planner expects a hundred each.
            "jit": "off",
        }
        if write and self._durable:
            settings["synchronous_commit"] = "on"
        said = "; ".join(f"SET LOCAL {name} TO {value}" for name, value in settings.items())
        return f"BEGIN ISOLATION LEVEL READ COMMITTED{'' if write else ', READ ONLY'}; {said}".encode()

    def _driver(self) -> ModuleType:
        try:
            with importing():
                from aistrale.store.postgres import driver
        except ImportError as error:
            raise self._refusal(
                f"psycopg cannot be loaded ({' '.join(str(error).split())})", 'Run: pip install "aistrale[postgres]".'
            ) from error
        return driver

    # -- when it does not work -----------------------------------------------------------------------------------------

    def _unavailable(
        self, driver: ModuleType, error: BaseException, began: float, *, unbound: bool
    ) -> LedgerUnavailable:
        busy = driver.is_busy(error)
        now = self._clock()
        self._why = (driver.reason_of(error), driver.hint_of(error))
        if unbound and not busy and now - began >= _SLOW_SECONDS:
            self._rest_until = now + min(_LONGEST_REST, (now - began) * _REST_FACTOR)
        return self._refusal(*self._why, busy=busy)

    def _refusal(self, reason: str, hint: str = "", *, busy: bool = False) -> LedgerUnavailable:
        text = self.address.hide(reason.rstrip("."))
        return LedgerUnavailable(
            f"the ledger {self.address.shown} cannot be used: {text}.",
            hint=f"{hint} Rows wait in the journal until then.".lstrip(),
            busy=busy,
        )

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared = False
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def close(self) -> None:
        """Close the connection, unless another thread is in the midst of something; the next use opens a new one."""
        lock = self._lock
        if self._owner != threading.get_ident() and lock.acquire(timeout=_CLOSE_SECONDS):
            try:
                self._drop()
            finally:
                lock.release()
