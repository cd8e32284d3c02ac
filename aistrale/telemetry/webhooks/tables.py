"""The tables of the file of webhooks, and what is read from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.telemetry.webhooks.schedule import State

# "aisw": says that a file is one of these.
APPLICATION: Final = 0x61697377
MIGRATIONS: Final = (
    (
        """CREATE TABLE endpoints (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, disabled REAL, failures INTEGER NOT NULL DEFAULT 0,
    hold REAL NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        """CREATE TABLE messages (
    number INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, at REAL NOT NULL,
    body BLOB NOT NULL, state TEXT NOT NULL DEFAULT 'pending', due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    lease REAL NOT NULL DEFAULT 0, owner TEXT, ended REAL, status INTEGER, error TEXT, reason TEXT,
    UNIQUE (endpoint, id))""",
        "CREATE INDEX messages_due ON messages (endpoint, state, due, lease)",
        "CREATE INDEX messages_ended ON messages (state, ended)",
        """CREATE TABLE tries (
    number INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, try INTEGER NOT NULL,
    at REAL NOT NULL, seconds REAL NOT NULL, status INTEGER, error TEXT)""",
    ),
)


@dataclass(slots=True, frozen=True, kw_only=True)
class Claimed:
    """A message that this process alone may send until its lease ends.

    Args:
        number: Its row.
        id: Of the message.
        type: What it tells.
        body: What is sent.
        tries: How often it has been tried.
        failures: How many tries of its endpoint have failed in a row.
        owner: Who has it.
        more: Whether others are due, too.
    """

    number: int
    id: str
    type: str
    body: bytes
    tries: int
    failures: int
    owner: str
    more: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class LoggedMessage:
    """What became of a message.

    Args:
        id: What the receiver knows it by.
        type: What it tells.
        at: When that happened, Unix seconds.
        state: "pending", "delivered" or "dead".
        tries: How often it was tried.
        due: When it is tried next, Unix seconds.
        ended: When it was delivered or given up, Unix seconds.
        status: The last HTTP status.
        error: Class of the last error, where there was no answer.
        reason: Why it was given up: "exhausted" or "gone".
        endpoint: The name of where it goes.
    """

    id: str
    type: str
    at: float
    state: State
    tries: int
    due: float
    ended: float | None
    status: int | None
    error: str | None
    reason: str | None
    endpoint: str


@dataclass(slots=True, frozen=True, kw_only=True)
class LoggedTry:
    """One try of a message.

    Args:
        endpoint: The name of where it went.
        message: Its id.
        type: What it tells.
        number: Which try.
        at: When, Unix seconds.
        seconds: How long it took.
        status: HTTP status; None where there was no answer.
        error: Class of the error then.
    """

    endpoint: str
    message: str
    type: str
    number: int
    at: float
    seconds: float
    status: int | None
    error: str | None


@dataclass(slots=True, frozen=True, kw_only=True)
class EndpointStatus:
    """How an endpoint does.

    Args:
        name: Its name.
        pending: Messages that wait.
        delivered: Messages that were delivered lately, as far as they are kept.
        dead: Messages that were given up, as far as they are kept.
        dropped: Messages that there was no room for, or that came when the endpoint was gone.
        disabled: Since when nothing is sent there, Unix seconds; None where it is.
    """

    name: str
    pending: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    disabled: float | None = None
