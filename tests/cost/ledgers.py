"""Rows of a ledger with sensible contents, for reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aistrale.store.protocol import Cursor
from aistrale.store.records import AttemptRow, CallRow

CURSOR = Cursor("0badb007-4711-1790000000000000000-00c0ffee", 10)
DAY = datetime(2026, 11, 2, tzinfo=UTC)
AT = DAY.timestamp()


def attempt(call_id: str = "a", **fields: Any) -> AttemptRow:
    values: dict[str, Any] = {
        "attempt": 1, "at": AT, "latency": 1.0, "provider": "openai", "model": "gpt-5-mini", "streamed": False,
        "outcome": "success", "input": 10, "output": 5, "usage_source": "reported", "cost": "0.1", "book": "b",
    }  # fmt: skip
    values |= fields
    values.setdefault("target", f"{values['provider']}/{values['model']}")
    return AttemptRow(call_id=call_id, **values)


def call(call_id: str = "a", **fields: Any) -> CallRow:
    values: dict[str, Any] = {
        "at": AT, "latency": 1.0, "kind": "chat", "model_asked": "chat", "outcome": "success", "attempts": 1,
    }  # fmt: skip
    return CallRow(call_id=call_id, **(values | fields))
