"""The tables of the ledger in PostgreSQL, as migrations: number n brings the schema from version n to n + 1.

A published migration is never edited; a change is a new one at the end.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from aistrale.store.protocol import LedgerUnavailable

if TYPE_CHECKING:
    import psycopg

    from aistrale.store.postgres.address import Address

# Compared byte by byte, as SQLite does, whatever the language of the database is.
_TEXT: Final = 'TEXT COLLATE "C"'
_LOCK_MILLISECONDS: Final = 5000
_MILLISECONDS: Final = 30_000
_SET_VERSION: Final = (
    "INSERT INTO schema_version (version) VALUES (%s) ON CONFLICT (one) DO UPDATE SET version = excluded.version"
)


def _seconds(name: str, more: str = "") -> str:
    # NaN would stand above all times and spoil every mean.
    return f"{name} DOUBLE PRECISION{more} CHECK ({name} <> 'NaN')"


_AT: Final = _seconds("at", " NOT NULL")
_USAGE: Final = f"""
    input BIGINT, cache_read BIGINT, cache_write BIGINT, output BIGINT, reasoning BIGINT,
    audio_input BIGINT, audio_output BIGINT, image_input BIGINT, image_output BIGINT, tool_input BIGINT,
    usage_source {_TEXT}, cost {_TEXT}, cost_reason {_TEXT}"""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE schema_version (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), version INTEGER NOT NULL)",
        f"""CREATE TABLE intents (
    call_id {_TEXT} NOT NULL, attempt BIGINT NOT NULL, {_AT},
    provider {_TEXT}, model {_TEXT}, target {_TEXT}, streamed BOOLEAN,
    estimated_input_tokens BIGINT, max_output_tokens BIGINT,
    messages BIGINT, prefix {_TEXT}, prefix_tokens BIGINT, last_tokens BIGINT,
    writer {_TEXT}, installation {_TEXT}, settled SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (call_id, attempt))""",
        "CREATE INDEX intents_unsettled ON intents (installation, at) WHERE settled = 0",
        f"""CREATE TABLE attempts (
    call_id {_TEXT} NOT NULL, attempt BIGINT NOT NULL, {_AT}, {_seconds("latency")}, {_seconds("first_token")},
    provider {_TEXT}, model {_TEXT}, response_model {_TEXT}, target {_TEXT}, region {_TEXT}, streamed BOOLEAN,
    outcome {_TEXT}, error {_TEXT}, status BIGINT, request_id {_TEXT}, {_seconds("retry_after")},{_USAGE},
    book {_TEXT}, metered JSONB NOT NULL DEFAULT '{{}}',
    PRIMARY KEY (call_id, attempt))""",
        # In the order in which exchanges are read.
        "CREATE INDEX attempts_at ON attempts (at, call_id, attempt)",
        f"""CREATE TABLE calls (
    call_id {_TEXT} NOT NULL PRIMARY KEY, {_AT}, {_seconds("latency")}, {_seconds("first_token")},
    kind {_TEXT}, model_asked {_TEXT}, route {_TEXT}, provider {_TEXT}, model {_TEXT},
    outcome {_TEXT}, error {_TEXT}, attempts BIGINT,
    "user" {_TEXT}, workspace {_TEXT}, project {_TEXT}, session {_TEXT}, name {_TEXT},
    tags JSONB NOT NULL DEFAULT '{{}}',
    degraded {_TEXT}, lossy JSONB NOT NULL DEFAULT '[]',{_USAGE},
    privacy JSONB NOT NULL DEFAULT '{{}}', avoided {_TEXT}, optimized JSONB NOT NULL DEFAULT '[]')""",
        "CREATE INDEX calls_at ON calls (at, call_id)",
        f"""CREATE TABLE scores (
    call_id {_TEXT} NOT NULL, name {_TEXT} NOT NULL, {_AT}, {_seconds("score")}, PRIMARY KEY (call_id, name))""",
        f"""CREATE TABLE counts (
    call_id {_TEXT} NOT NULL, attempt BIGINT NOT NULL, {_AT}, provider {_TEXT}, model {_TEXT},
    counted BIGINT, actual BIGINT, PRIMARY KEY (call_id, attempt))""",
        "CREATE INDEX counts_at ON counts (at, call_id, attempt)",
        f"""CREATE TABLE segments (
    installation {_TEXT} NOT NULL, name {_TEXT} NOT NULL, "offset" BIGINT NOT NULL,
    moved TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (installation, name))""",
        "CREATE TABLE rejected (payload TEXT, reason TEXT, installation TEXT, moved TIMESTAMPTZ DEFAULT now())",
    ),
)


def name_of(schema: str) -> str:
    """A schema in SQL; `Address` lets nothing through that would have to be escaped."""
    return f'"{schema}"'


def bring_up_to_date(cursor: psycopg.Cursor[tuple[Any, ...]], address: Address, *, create: bool) -> bool:
    """Make the tables what this version knows, by one process at a time.

    Args:
        cursor: Of a connection outside of any transaction.
        address: For the schema.
        create: Whether to make them where there are none.

    Returns:
        False where there are none.

    Raises:
        LedgerUnavailable: They are of a newer version.
        psycopg.Error: It cannot be done.
    """
    version = _version(cursor, address)
    if version == len(MIGRATIONS):
        return True
    if version == 0 and not create:
        return False
    schema = name_of(address.schema)
    cursor.execute(
        # What the user's statements may take elsewhere would not do for tables, nor for a turn.
        f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout TO {_MILLISECONDS};"
        f" SET LOCAL lock_timeout TO {_LOCK_MILLISECONDS};"
        f" SET LOCAL search_path TO {schema}".encode()
    )
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(address.schema),))
    if cursor.execute("SELECT to_regnamespace(%s) IS NULL", (schema,)).fetchone() == (True,):
        cursor.execute(f"CREATE SCHEMA {schema}".encode())
    # Another process may have been faster.
    for number in range(_version(cursor, address), len(MIGRATIONS)):
        for statement in MIGRATIONS[number]:
            cursor.execute(statement.encode())
        cursor.execute(_SET_VERSION, (number + 1,))
    cursor.execute("COMMIT")
    return True


def _version(cursor: psycopg.Cursor[tuple[Any, ...]], address: Address) -> int:
    table = f"{name_of(address.schema)}.schema_version"
    if cursor.execute("SELECT to_regclass(%s) IS NULL", (table,)).fetchone() == (True,):
        return 0
    found = cursor.execute(f"SELECT version FROM {table}".encode()).fetchone()  # noqa: S608 - see name_of
    version = int(found[0]) if found else 0
    if version > len(MIGRATIONS):
        raise LedgerUnavailable(
            f"the ledger {address.shown} cannot be used: its schema {version} is of a newer version of aistrale.",
            hint=f"Update aistrale, which knows {len(MIGRATIONS)} here; rows wait in the journal until then.",
        )
    return version


def _lock_number(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(f"aistrale ledger {schema}".encode()).digest()[:8], "big", signed=True)
