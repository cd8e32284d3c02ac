"""The ledger: the durable record of calls, attempts, tokens and money.

Rows are appended to a journal in the calling thread (`journal`), moved into SQLite or PostgreSQL in the background
(`shipper`, `ledger`, `postgres`) and asked for through a handle (`open_ledger`).
"""

from __future__ import annotations

from aistrale.store.handle import LedgerHandle, LedgerStatus, NullLedger, open_ledger
from aistrale.store.protocol import (
    Cursor,
    Dimension,
    Exchange,
    Ledger,
    LedgerQueries,
    LedgerUnavailable,
    SpendRow,
    SummaryRow,
    UnsettledAttempt,
)
from aistrale.store.records import AttemptRow, CallRow, CountRow, IntentRow, Outcome, Row, ScoreRow
from aistrale.store.scores import score

__all__ = [
    "AttemptRow",
    "CallRow",
    "CountRow",
    "Cursor",
    "Dimension",
    "Exchange",
    "IntentRow",
    "Ledger",
    "LedgerHandle",
    "LedgerQueries",
    "LedgerStatus",
    "LedgerUnavailable",
    "NullLedger",
    "Outcome",
    "Row",
    "ScoreRow",
    "SpendRow",
    "SummaryRow",
    "UnsettledAttempt",
    "open_ledger",
    "score",
]
