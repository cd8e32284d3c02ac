"""What has ended and waits to be sent: bounded by number and by size, kept where it could not be sent."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

T = TypeVar("T")

MOST_WAITING: Final = 2048
"""Spans, and log records, that wait to be sent."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""About the bytes of content that they may have."""

_BATCH: Final = 512
# A batch that was refused so often will be refused for ever.
_MOST_TRIES: Final = 5


class Line(Generic[T]):
    """Things that wait to be sent, bounded by number and size.

    Args:
        name: For the counts of what is lost.
        export: Sends a batch; False when that failed.
        wake: Is called when something has come.
    """

    def __init__(self, name: str, export: Callable[[list[T]], bool], wake: Callable[[], None]) -> None:
        self.name = name
        self.dropped: Counter[str] = Counter()
        self._export = export
        self._wake = wake
        self._waiting: deque[tuple[T, int]] = deque()
        self._size = self._tries = self._out = 0
        self.renew()

    def renew(self) -> None:
        """Forget what waits: in a child process it is the parent's."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._size = self._tries = self._out = 0

    def __len__(self) -> int:
        # What is under way has not arrived.
        return len(self._waiting) + self._out

    def put(self, item: T, size: int) -> None:
        """Take something; never waits, never raises."""
        with self._lock:
            if len(self) >= MOST_WAITING or self._size + size > MOST_BYTES:
                self.dropped["full"] += 1
                return
            self._waiting.append((item, size))
            self._size += size
        self._wake()

    def send(self) -> bool:
        """Send a batch; False when it could not be sent and waits again."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
            self._out = len(batch)
        if not batch:
            return True
        done = False
        try:
            done = self._export([item for item, _ in batch])
        finally:
            with self._lock:
                self._settle(batch, done=done)
        return done

    def _settle(self, batch: list[tuple[T, int]], *, done: bool) -> None:
        self._out = 0
        if done:
            self._tries = 0
        elif self._tries + 1 < _MOST_TRIES:
            self._tries += 1
            self._waiting.extendleft(reversed(batch))
            return
        else:
            self._tries = 0
            self.dropped["failed"] += len(batch)
        self._size -= sum(size for _, size in batch)


class EndedSpans(SpanProcessor):
    """Puts spans that have ended in line."""

    def __init__(self, line: Line[ReadableSpan]) -> None:
        self._line = line

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """It is complete."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._line.put(span, _size_of(span))

    def shutdown(self) -> None:
        """The pipeline does that."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """The pipeline does that."""
        return True


class Records:
    """Puts log records in line. Of no class of the SDK's, whose methods have changed their names between releases."""

    def __init__(self, line: Line[object]) -> None:
        self._line = line

    def on_emit(self, log_record: object) -> None:
        """It is complete."""
        self._line.put(log_record, _record_size(log_record))

    emit = on_emit

    def enabled(self, *_: object, **__: object) -> bool:
        """Whether anybody listens."""
        return True

    def shutdown(self) -> None:
        """The pipeline does that."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """The pipeline does that."""
        return True


def _size_of(span: ReadableSpan) -> int:
    return 1024 + sum(len(value) for value in (span.attributes or {}).values() if isinstance(value, str))


def _record_size(record: object) -> int:
    own = getattr(record, "log_record", record)
    attributes = getattr(own, "attributes", None) or {}
    return 1024 + sum(len(str(value)) for value in attributes.values())
