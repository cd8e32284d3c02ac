"""Rows of the ledger for tests of sinks."""

from __future__ import annotations

from aistrale.store.records import AttemptRow, CallRow


def call_row(**more) -> CallRow:
    values = {
        "call_id": "c", "at": 1_790_000_000.0, "latency": 1.0, "kind": "chat", "model_asked": "openai/m",
        "outcome": "success", "attempts": 1, "provider": "openai", "model": "m", "cost": "0.5",
    }  # fmt: skip
    return CallRow(**{**values, **more})


def attempt_row(**more) -> AttemptRow:
    values = {
        "call_id": "c", "attempt": 1, "at": 1_790_000_000.0, "latency": 1.0, "provider": "openai", "model": "m",
        "target": "openai/m", "streamed": False, "outcome": "success",
    }  # fmt: skip
    return AttemptRow(**{**values, **more})
