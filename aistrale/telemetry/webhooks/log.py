"""Messages on their way, what became of each, and every try: one SQLite file for all endpoints and processes.

A message is taken by one process at a time, through a lease that ends by itself: who dies while sending leaves it to
the others, and the receiver then sees the same id twice, never none. Kept are no address, no secret, and of answers no
more than their status.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aistrale.core.home import data_directory
from aistrale.telemetry.webhooks.database import Database
from aistrale.telemetry.webhooks.tables import (
    APPLICATION,
    MIGRATIONS,
    Claimed,
    EndpointStatus,
    LoggedMessage,
    LoggedTry,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aistrale.telemetry.webhooks.messages import Message
    from aistrale.telemetry.webhooks.outbound import Answer
    from aistrale.telemetry.webhooks.schedule import State, Verdict

FILE_NAME: Final = "webhooks.sqlite3"
# Kept so long, and so many; delivered messages only as long as somebody may want them again.
_DAY: Final = 86_400.0
DELIVERED: Final = (7 * _DAY, 10_000)
DEAD: Final = (30 * _DAY, 10_000)
TRIES: Final = (30 * _DAY, 50_000)
_SWEEP_SECONDS: Final = 60.0
_SHOWN: Final = "SELECT id, type, at, state, tries, due, ended, status, error, reason, endpoint FROM messages"


def default_path() -> Path | None:
    """The file in the data directory; None where there is no such place."""
    directory = data_directory()
    return None if directory is None else directory / FILE_NAME


class WebhookLog:
    """The file.

    Args:
        path: Where it is.
        clock: Unix seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._database = Database(path, application=APPLICATION, migrations=MIGRATIONS)
        self._swept = 0.0

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self._database.exists()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    # --- messages come and go ---------------------------------------------------------------------------------------

    def add(self, endpoint: str, name: str, messages: Sequence[Message], limit: int) -> int:
        """Keep messages until they are delivered; those that are known already are not taken twice.

        Args:
            endpoint: Where they go: its id.
            name: Its name.
            messages: All are on disk when this returns.
            limit: Most messages that may wait; what is beyond is dropped.

        Returns:
            How many were dropped.
        """

        def work(connection: sqlite3.Connection) -> int:
            now = self._clock()
            connection.execute(
                "INSERT INTO endpoints (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                (endpoint, name),
            )
            (disabled,) = connection.execute("SELECT disabled FROM endpoints WHERE id = ?", (endpoint,)).fetchone()
            room = 0 if disabled is not None else max(limit - _pending(connection, endpoint), 0)
            taken, dropped = 0, 0
            for message in messages:
                if taken >= room:
                    dropped += 1
                    continue
                taken += connection.execute(
                    "INSERT OR IGNORE INTO messages (endpoint, id, type, at, body, due) VALUES (?, ?, ?, ?, ?, ?)",
                    (endpoint, message.id, message.type, message.at, message.body, now),
                ).rowcount
            if dropped:
                connection.execute("UPDATE endpoints SET dropped = dropped + ? WHERE id = ?", (dropped, endpoint))
            self._sweep(connection, now)
            return dropped

        return self._database.write(work)

    def claim(self, endpoint: str, owner: str, lease: float) -> Claimed | float | None:
        """Take the message that is due for longest.

        Args:
            endpoint: Whose.
            owner: Who takes it.
            lease: Seconds for which nobody else may.

        Returns:
            The message; or seconds until there may be one; or None where none waits.
        """
        if not self._database.exists():
            return None

        def work(connection: sqlite3.Connection) -> Claimed | float | None:
            now = self._clock()
            held = connection.execute(
                "SELECT failures, hold, disabled FROM endpoints WHERE id = ?", (endpoint,)
            ).fetchone()
            if held is None or held[2] is not None:
                return None
            rows = connection.execute(
                "SELECT number, id, type, body, tries FROM messages"
                " WHERE endpoint = ? AND state = 'pending' AND due <= ? AND lease <= ? ORDER BY due, number LIMIT 2",
                (endpoint, now, now),
            ).fetchall()
            pause = _pause(connection, endpoint, held[0], held[1], now, due=bool(rows))
            if pause is None or pause > 0:
                return pause
            number, message_id, kind, body, tries = rows[0]
            connection.execute(
                "UPDATE messages SET lease = ?, owner = ? WHERE number = ?", (now + lease, owner, number)
            )
            return Claimed(
                number=number,
                id=message_id,
                type=kind,
                body=body,
                tries=tries,
                failures=held[0],
                owner=owner,
                more=len(rows) > 1 and not held[0],
            )

        return self._database.write(work)

    def settle(self, endpoint: str, message: Claimed, answer: Answer, verdict: Verdict) -> None:
        """Write down a try and what follows from it."""

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock()
            connection.execute(
                "INSERT INTO tries (endpoint, message, type, try, at, seconds, status, error)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (endpoint, message.id, message.type, message.tries + 1, now - answer.seconds, answer.seconds,
                 answer.status, answer.error),
            )  # fmt: skip
            ended = None if verdict.state == "pending" else now
            # Unless it arrived, whoever took it over after our lease had ended has the word, and so has an end that
            # another message has brought to all.
            connection.execute(
                "UPDATE messages SET state = ?, due = ?, tries = tries + 1, lease = 0, owner = NULL, ended = ?,"
                " status = ?, error = ?, reason = ?"
                " WHERE number = ? AND (? = 'delivered' OR owner = ? AND state = 'pending')",
                (verdict.state, now + verdict.wait, ended, answer.status, answer.error, verdict.reason, message.number,
                 verdict.state, message.owner),
            )  # fmt: skip
            if answer.delivered:
                connection.execute("UPDATE endpoints SET failures = 0, hold = 0 WHERE id = ?", (endpoint,))
            else:
                connection.execute(
                    "UPDATE endpoints SET failures = failures + 1, hold = max(hold, ?),"
                    " disabled = coalesce(disabled, ?) WHERE id = ?",
                    (now + verdict.hold, now if verdict.disable else None, endpoint),
                )
            if verdict.disable:
                connection.execute(
                    "UPDATE messages SET state = 'dead', reason = 'gone', ended = ?"
                    " WHERE endpoint = ? AND state = 'pending'",
                    (now, endpoint),
                )

        self._database.write(work)

    def release(self, message: Claimed) -> None:
        """Give a message back as it was."""
        self._database.write(
            lambda connection: connection.execute(
                "UPDATE messages SET lease = 0, owner = NULL WHERE number = ? AND owner = ?",
                (message.number, message.owner),
            )
        )

    def waits(self, endpoint: str, owner: str) -> bool:
        """Whether a message waits for an endpoint that nobody else but this owner is sending right now."""
        return bool(
            self._database.read(
                lambda connection: connection.execute(
                    "SELECT 1 FROM messages"
                    " WHERE endpoint = ? AND state = 'pending' AND (lease <= ? OR owner = ?) LIMIT 1",
                    (endpoint, self._clock(), owner),
                ).fetchone()
            )
        )

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget what is too old or too much, at most once a minute."""
        if now < self._swept + _SWEEP_SECONDS:
            return
        self._swept = now
        for state, (age, most) in {"delivered": DELIVERED, "dead": DEAD}.items():
            connection.execute("DELETE FROM messages WHERE state = ? AND ended < ?", (state, now - age))
            connection.execute(
                "DELETE FROM messages WHERE number IN (SELECT number FROM messages WHERE state = ?"
                " ORDER BY ended DESC LIMIT -1 OFFSET ?)",
                (state, most),
            )
        age, most = TRIES
        connection.execute(
            "DELETE FROM tries WHERE at < ? OR number <= (SELECT max(number) FROM tries) - ?", (now - age, most)
        )

    # --- what people ask ---------------------------------------------------------------------------------------------

    def messages(
        self, *, state: State | None = None, endpoint: str | None = None, since: float = 0.0, limit: int = 100
    ) -> list[LoggedMessage]:
        """The newest messages, newest first.

        Args:
            state: Only those.
            endpoint: Only those of an endpoint of this name.
            since: Only what happened since, Unix seconds.
            limit: Most of them.
        """

        def work(connection: sqlite3.Connection) -> list[LoggedMessage]:
            rows = connection.execute(
                f"SELECT shown.*, endpoints.name FROM ({_SHOWN}) AS shown JOIN endpoints ON endpoints.id = endpoint"  # noqa: S608 - a constant
                " WHERE (? IS NULL OR state = ?) AND (? IS NULL OR name = ?) AND at >= ? ORDER BY at DESC LIMIT ?",
                (state, state, endpoint, endpoint, since, limit),
            ).fetchall()
            return [
                LoggedMessage(**dict(zip(LoggedMessage.__slots__, (*row[:10], row[11]), strict=True))) for row in rows
            ]

        return self._database.read(work) or []

    def tries(self, *, endpoint: str | None = None, message: str | None = None, limit: int = 100) -> list[LoggedTry]:
        """The newest tries, newest first; of an endpoint of this name, or of one message."""

        def work(connection: sqlite3.Connection) -> list[LoggedTry]:
            rows = connection.execute(
                "SELECT name, message, type, try, at, seconds, status, error FROM tries"
                " JOIN endpoints ON endpoints.id = endpoint"
                " WHERE (? IS NULL OR name = ?) AND (? IS NULL OR message = ?) ORDER BY number DESC LIMIT ?",
                (endpoint, endpoint, message, message, limit),
            ).fetchall()
            return [LoggedTry(**dict(zip(LoggedTry.__slots__, row, strict=True))) for row in rows]

        return self._database.read(work) or []

    def status(self) -> list[EndpointStatus]:
        """Every endpoint that was ever sent to."""

        def work(connection: sqlite3.Connection) -> list[EndpointStatus]:
            rows = connection.execute(
                "SELECT name, coalesce(sum(state = 'pending'), 0), coalesce(sum(state = 'delivered'), 0),"
                " coalesce(sum(state = 'dead'), 0), dropped, disabled FROM endpoints"
                " LEFT JOIN messages ON messages.endpoint = endpoints.id GROUP BY endpoints.id ORDER BY name"
            ).fetchall()
            return [EndpointStatus(**dict(zip(EndpointStatus.__slots__, row, strict=True))) for row in rows]

        return self._database.read(work) or []

    def replay(
        self, *, message: str | None = None, endpoint: str | None = None, since: float = 0.0
    ) -> list[tuple[str, str]]:
        """Have messages sent again, with their old ids and a schedule that begins anew.

        Args:
            message: One of this id, delivered, given up, or waiting for its next try, but for one that is being sent;
                all that were given up where None.
            endpoint: Only those of an endpoint of this name.
            since: Only what happened since, Unix seconds.

        Returns:
            The id of each, and the name of its endpoint.
        """

        def work(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            now = self._clock()
            rows = connection.execute(
                "SELECT number, messages.id, name FROM messages JOIN endpoints ON endpoints.id = endpoint"
                " WHERE (? IS NULL AND state = 'dead' OR messages.id = ? AND (state != 'pending' OR lease <= ?))"
                " AND (? IS NULL OR name = ?) AND at >= ? ORDER BY number",
                (message, message, now, endpoint, endpoint, since),
            ).fetchall()
            connection.executemany(
                "UPDATE messages SET state = 'pending', due = ?, tries = 0, lease = 0, owner = NULL, ended = NULL,"
                " reason = NULL WHERE number = ?",
                [(now, row[0]) for row in rows],
            )
            return [(row[1], row[2]) for row in rows]

        return self._database.write(work) if self._database.exists() else []

    def enable(self, name: str) -> bool:
        """Send to an endpoint again that had said that it is gone; whether there is one of that name."""
        return self._database.exists() and bool(
            self._database.write(
                lambda connection: (
                    connection.execute(
                        "UPDATE endpoints SET disabled = NULL, failures = 0, hold = 0 WHERE name = ?", (name,)
                    ).rowcount
                )
            )
        )


def _pending(connection: sqlite3.Connection, endpoint: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM messages WHERE endpoint = ? AND state = 'pending'", (endpoint,)
    ).fetchone()
    return int(row[0])


def _pause(
    connection: sqlite3.Connection, endpoint: str, failures: int, hold: float, now: float, *, due: bool
) -> float | None:
    """Seconds until a message may be taken, 0 for now; None where none waits."""
    if not due:
        first: float | None
        (first,) = connection.execute(
            "SELECT min(max(due, lease)) FROM messages WHERE endpoint = ? AND state = 'pending'", (endpoint,)
        ).fetchone()
        return None if first is None else max(first, hold) - now
    if not failures:
        return max(hold - now, 0.0)
    # While an endpoint fails, one try at a time finds out whether it works again.
    busy: float
    (busy,) = connection.execute(
        "SELECT max(lease) FROM messages WHERE endpoint = ? AND state = 'pending'", (endpoint,)
    ).fetchone()
    return max(hold - now, busy - now, 0.0)
