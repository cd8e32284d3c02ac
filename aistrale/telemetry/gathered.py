"""What was told of calls that are not over yet: for sinks that say at a call's end what happened on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aistrale.telemetry.events import TelemetryEvent

_MOST: Final = 200


class Gathered:
    """Events by call, bounded. The same event counts once however often it is added, as batches may come again.

    Not thread-safe: sinks have a lock of their own.

    Args:
        kinds: What is kept.
        limit: Most calls that are kept; the oldest is forgotten first.
    """

    def __init__(self, kinds: Collection[str], limit: int = 10_000) -> None:
        self._kinds = frozenset(kinds)
        self._limit = limit
        self._calls: dict[str, dict[str, TelemetryEvent]] = {}

    def add(self, events: Iterable[TelemetryEvent]) -> None:
        """Keep those that are wanted and belong to a call; of one call only the first 200."""
        for event in events:
            call_id = event.call_id
            if call_id is None or event.kind not in self._kinds:
                continue
            known = self._calls.get(call_id)
            if known is None:
                if len(self._calls) >= self._limit:
                    del self._calls[next(iter(self._calls))]
                known = self._calls[call_id] = {}
            if len(known) < _MOST:
                known[event.id] = event

    def of(self, call_id: str | None) -> list[TelemetryEvent]:
        """What is kept of a call, in the order in which it came."""
        return list(self._calls.get(call_id or "", {}).values())

    def forget(self, call_ids: Iterable[str | None]) -> None:
        """These calls are over."""
        for call_id in call_ids:
            self._calls.pop(call_id or "", None)
