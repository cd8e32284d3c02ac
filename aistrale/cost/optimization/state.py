"""What was decided about automatic changes, kept in a file beside the ledger and shared by processes."""

from __future__ import annotations

import json
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from aistrale.types import JSONObject

STATE_FILE: Final = "optimize.json"
_log = logging.getLogger("aistrale.optimize")
# Seconds after which what other processes have decided is noticed.
_NOTICED: Final = 60.0
_LARGEST: Final = 1 << 20


class Shares:
    """Shares of changes, and why changes were taken back. Not safe for threads by itself.

    Two processes that write in the same moment may lose one of the two decisions; it is made again, as what led to it
    goes on.

    Args:
        path: The file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._own: dict[str, JSONObject] = {}
        # What the file held when it was last read or written.
        self._seen: dict[str, JSONObject] = {}
        self._read_at: float | None = None

    def changes(self) -> list[str]:
        """All changes about which something was decided."""
        return sorted({*self._seen, *self._own})

    def get(self, change: str) -> tuple[float, str | None]:
        """Its share, 0 where none was decided, and why it was taken back."""
        entry = self._own.get(change) or self._seen.get(change) or {}
        share, undone = entry.get("share"), _reason(entry)
        known = isinstance(share, (int, float)) and not isinstance(share, bool) and 0 <= share <= 1
        return (float(share) if known and isinstance(share, (int, float)) else 0.0), undone

    def put(self, change: str, share: float, undone: str | None, at: datetime) -> None:
        """Something was decided."""
        self._own[change] = {"share": share, "undone": undone, "at": at.isoformat()}
        self._write({change: self._own[change]}, ())

    def drop(self, changes: Iterable[str]) -> None:
        """Forget what was decided."""
        gone = tuple(changes)
        for change in gone:
            self._own.pop(change, None)
        self._write({}, gone)

    def refresh(self, now: float, *, force: bool = False) -> tuple[dict[str, str], list[str]]:
        """Read the file again, if a minute has passed.

        Args:
            now: Seconds.
            force: Whether to read it whatever the time.

        Returns:
            Changes that others have taken back, with the reasons; and those that others have allowed again.
        """
        if self._path is None or (not force and self._read_at is not None and 0 <= now - self._read_at < _NOTICED):
            return {}, []
        self._read_at = now
        found = _load(self._path)
        if found is None:
            return {}, []
        before, self._seen = self._seen, found
        undone = {change: reason for change, entry in found.items() if (reason := _reason(entry)) is not None}
        allowed = [change for change, entry in before.items() if _reason(entry) is not None and change not in undone]
        for change in allowed:
            self._own.pop(change, None)
        return undone, allowed

    def _write(self, new: dict[str, JSONObject], gone: tuple[str, ...]) -> None:
        if self._path is None:
            return
        found = _load(self._path)
        merged = {**(self._seen if found is None else found), **new}
        kept = {change: entry for change, entry in merged.items() if change not in gone}
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            draft.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            _log.warning("what is optimised cannot be remembered: %s", error.strerror or type(error).__name__)
            with suppress(OSError):
                draft.unlink()
        else:
            self._seen = kept


def _reason(entry: JSONObject) -> str | None:
    reason = entry.get("undone")
    return reason if isinstance(reason, str) else None


def _load(path: Path) -> dict[str, JSONObject] | None:
    """What is stored; None where that cannot be read."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {change: entry for change, entry in found.items() if isinstance(entry, dict)}
