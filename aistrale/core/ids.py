"""Ids of calls, events and messages."""

from __future__ import annotations

import os
import time
from itertools import count


class _Ids:
    """Ids that sort by time and cost a fraction of a UUID: milliseconds, process, counter."""

    def __init__(self) -> None:
        self._reseed()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reseed)

    def _reseed(self) -> None:
        self._salt = os.urandom(6).hex()
        # Counts in one step of C: no lock that a signal's handler could find taken by the code that it interrupts.
        self._numbers = count(1)

    def __call__(self) -> str:
        return f"{time.time_ns() // 1_000_000:012x}{self._salt}{next(self._numbers) & 0xFFFFFFFF:08x}"


new_id = _Ids()
"""A fresh 32-digit hex id, unique over processes and forks, ordered by time."""
