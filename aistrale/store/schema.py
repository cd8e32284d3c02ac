"""The tables of the SQLite ledger, as migrations: number n brings `user_version` from n to n + 1.

A published migration is never edited; a change is a new one at the end.
"""

from __future__ import annotations

from typing import Final

_USAGE = """
    input INTEGER, cache_read INTEGER, cache_write INTEGER, output INTEGER, reasoning INTEGER,
    audio_input INTEGER, audio_output INTEGER, image_input INTEGER, image_output INTEGER, tool_input INTEGER,
    usage_source TEXT, cost TEXT, cost_reason TEXT"""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE intents (
    call_id TEXT NOT NULL, attempt INTEGER NOT NULL, at REAL,
    provider TEXT, model TEXT, target TEXT, streamed INTEGER,
    estimated_input_tokens INTEGER, max_output_tokens INTEGER,
    writer TEXT, settled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (call_id, attempt)) WITHOUT ROWID""",
        "CREATE INDEX intents_unsettled ON intents (at) WHERE settled = 0",
        f"""CREATE TABLE attempts (
    call_id TEXT NOT NULL, attempt INTEGER NOT NULL, at REAL, latency REAL, first_token REAL,
    provider TEXT, model TEXT, response_model TEXT, target TEXT, region TEXT, streamed INTEGER,
    outcome TEXT, error TEXT, status INTEGER, request_id TEXT, retry_after REAL,{_USAGE},
    PRIMARY KEY (call_id, attempt))""",
        "CREATE INDEX attempts_at ON attempts (at)",
        f"""CREATE TABLE calls (
    call_id TEXT NOT NULL PRIMARY KEY, at REAL, latency REAL, first_token REAL,
    kind TEXT, model_asked TEXT, route TEXT, provider TEXT, model TEXT,
    outcome TEXT, error TEXT, attempts INTEGER,
    "user" TEXT, workspace TEXT, project TEXT, session TEXT, name TEXT, tags TEXT,
    degraded TEXT, lossy TEXT,{_USAGE})""",
        "CREATE INDEX calls_at ON calls (at)",
        "CREATE TABLE segments (name TEXT NOT NULL PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE rejected (payload TEXT, reason TEXT)",
    ),
    ("ALTER TABLE calls ADD COLUMN privacy TEXT DEFAULT '{}'",),
    (
        "ALTER TABLE intents ADD COLUMN messages INTEGER",
        "ALTER TABLE intents ADD COLUMN prefix TEXT",
        "ALTER TABLE intents ADD COLUMN prefix_tokens INTEGER",
        "ALTER TABLE intents ADD COLUMN last_tokens INTEGER",
        "ALTER TABLE attempts ADD COLUMN book TEXT",
        "ALTER TABLE attempts ADD COLUMN metered TEXT DEFAULT '{}'",
        "ALTER TABLE calls ADD COLUMN avoided TEXT",
        "ALTER TABLE calls ADD COLUMN optimized TEXT DEFAULT '[]'",
        """CREATE TABLE scores (
    call_id TEXT NOT NULL, name TEXT NOT NULL, at REAL, score REAL, PRIMARY KEY (call_id, name)) WITHOUT ROWID""",
        """CREATE TABLE counts (
    call_id TEXT NOT NULL, attempt INTEGER NOT NULL, at REAL, provider TEXT, model TEXT,
    counted INTEGER, actual INTEGER, PRIMARY KEY (call_id, attempt)) WITHOUT ROWID""",
        "CREATE INDEX counts_at ON counts (at)",
    ),
)
