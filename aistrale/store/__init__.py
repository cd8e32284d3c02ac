"""The ledger: the durable record of calls, attempts, tokens and money.

Rows are appended to a journal in the calling thread (`journal`), moved into SQLite in the background
(`shipper`, `ledger`) and asked for through a handle (`open_ledger`).
"""

from __future__ import annotations

from aistrale.store.handle import LedgerHandle, LedgerStatus, NullLedger, open_ledger
from aistrale.store.protocol import (
    Cursor,
    Dimension,
    Ledger,
    LedgerUnavailable,
    SummaryRow,
    UnsettledAttempt,
)
from aistrale.store.records import AttemptRow, CallRow, IntentRow, Outcome, Row

__all__ = [
    "AttemptRow",
    "CallRow",
    "Cursor",
    "Dimension",
    "IntentRow",
    "Ledger",
    "LedgerHandle",
    "LedgerStatus",
    "LedgerUnavailable",
    "NullLedger",
    "Outcome",
    "Row",
    "SummaryRow",
    "UnsettledAttempt",
    "open_ledger",
]
