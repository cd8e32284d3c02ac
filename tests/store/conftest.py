"""Rows with sensible contents, and child processes that run a piece of code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aistrale.store.records import AttemptRow, CallRow, IntentRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_intent(call_id: str = "call-1", **fields: Any) -> IntentRow:
    values: dict[str, Any] = {
        "attempt": 1, "at": 1_790_000_000.5, "provider": "openai", "model": "gpt-5-mini",
        "target": "openai/gpt-5-mini", "streamed": False,
    }  # fmt: skip
    return IntentRow(call_id=call_id, **(values | fields))


def make_attempt(call_id: str = "call-1", **fields: Any) -> AttemptRow:
    values: dict[str, Any] = {
        "attempt": 1, "at": 1_790_000_000.5, "latency": 0.75, "provider": "openai", "model": "gpt-5-mini",
        "target": "openai/gpt-5-mini", "streamed": False, "outcome": "success", "status": 200,
        "input": 12, "output": 5, "usage_source": "reported", "cost": "0.0000130",
    }  # fmt: skip
    return AttemptRow(call_id=call_id, **(values | fields))


def make_call(call_id: str = "call-1", **fields: Any) -> CallRow:
    values: dict[str, Any] = {
        "at": 1_790_000_000.25, "latency": 1.0, "kind": "chat", "model_asked": "chat", "route": "chat",
        "provider": "openai", "model": "gpt-5-mini", "outcome": "success", "attempts": 1,
        "input": 12, "output": 5, "usage_source": "reported", "cost": "0.0000130",
    }  # fmt: skip
    return CallRow(call_id=call_id, **(values | fields))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def intent() -> Callable[..., IntentRow]:
    return make_intent


@pytest.fixture
def attempt() -> Callable[..., AttemptRow]:
    return make_attempt


@pytest.fixture
def call() -> Callable[..., CallRow]:
    return make_call


_PRELUDE = """
import os, signal, sys
from aistrale.store.records import AttemptRow, CallRow, IntentRow
from aistrale.store.journal import Journal

def intent(call_id):
    return IntentRow(call_id=call_id, attempt=1, at=1.0, provider="p", model="m", target="p/m", streamed=False)

def attempt(call_id):
    return AttemptRow(call_id=call_id, attempt=1, at=1.0, latency=0.5, provider="p", model="m", target="p/m",
                      streamed=False, outcome="success", cost="0.1")
"""


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a Python process on a piece of code; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str, *args: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", _PRELUDE + code, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_python(spawn: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., str]:
    """Run a piece of code to its end; it must succeed and say nothing on stderr."""

    def run(code: str, *args: object) -> str:
        process = spawn(code, *args)
        out, err = process.communicate(timeout=60)
        assert err == b"", err.decode()
        assert process.returncode == 0
        return out.decode()

    return run
