"""Calling a sink: what it raises is counted, what it emits is known to be its doing, how long it takes is seen."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aistrale.telemetry._retry import Retry, describe, is_about_data, is_permanent
from aistrale.telemetry._waiting import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.sink import Sink

inside: Final[dict[int, tuple[Offering, ...]]] = {}
"""Which threads are inside sinks, by their numbers; the innermost last."""

# Threads in which objects are collected at the moment: what finalizers tell is not the doing of the code in whose midst
# they run.
_collecting: Final[set[int]] = set()
# Most calls that a sink itself has begun, of which is remembered that they are its own.
_MOST_OWN: Final = 1000

# Failures in a row that look like the fault of events, before they are offered one by one, and before one is given up.
_FAULTS: Final = 3


def _collects(phase: str, _info: object) -> None:
    ident = threading.get_ident()
    if phase != "start":
        _collecting.discard(ident)
    elif ident in inside:
        _collecting.add(ident)


def forget_threads() -> None:
    """In a child process: the threads of the parent are none of its own."""
    inside.clear()
    _collecting.clear()


def lost_inside(sink: object) -> dict[str, int]:
    """What a sink with a queue of its own says that it lost, by reason."""
    try:
        found = getattr(sink, "dropped", None)
        return {str(reason): int(number) for reason, number in found.items()} if isinstance(found, Mapping) else {}
    except Exception:  # noqa: BLE001 - whatever a sink of somebody else's has under this name
        return {}


class Offering:
    """Offers events to one sink.

    Args:
        sink: Which one.
        clock: Monotonic seconds.
        jitter: A random number from 0 to 1.
        patient: Whether events are offered until the sink takes them or says that it never will. Else one that the sink
            cannot take while it takes others is given up.
    """

    def __init__(self, sink: Sink, clock: Callable[[], float], jitter: Callable[[], float], *, patient: bool) -> None:
        self._sink = sink
        self._clock = clock
        self._patient = patient
        self._taken = Counts()
        self._faults = 0
        self._began: float | None = None
        self._emits = False
        self._own: deque[str | None] = deque(maxlen=_MOST_OWN)
        self.retry = Retry(jitter)
        self.dropped = Counts()
        self.singly = False
        """Whether events are to be offered one at a time, until the batch is over in which one seems to be at fault."""
        if _collects not in gc.callbacks:
            gc.callbacks.append(_collects)

    @property
    def taken(self) -> int:
        """How many events the sink has taken."""
        return self._taken.of("taken")

    def offer(self, batch: Sequence[TelemetryEvent]) -> bool:
        """Offer a batch; whether it is settled: taken, or given up for good.

        Raises:
            KeyboardInterrupt: In the main thread only, where it is the user's.
        """
        try:
            # A list of its own: a sink that takes the events out of it takes none from those that count them.
            self._enter(lambda: self._sink.write([*batch]))
        except BaseException as error:
            # Also SystemExit: a sink does not end a thread of ours.
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            return self._failed(batch, error)
        self._taken.add("taken", len(batch))
        self._faults = 0
        self.retry.succeeded()
        return True

    def _failed(self, batch: Sequence[TelemetryEvent], error: BaseException) -> bool:
        if is_permanent(error):
            self.retry.succeeded()
            self.retry.last_error = describe(error)
            self.dropped.add("failed permanently", len(batch))
            return True
        self.retry.failed(error, self._clock())
        self._faults = self._faults + 1 if is_about_data(error) and not self._patient else 0
        if self._faults < _FAULTS:
            return False
        self._faults = 0
        self.singly = True
        if len(batch) > 1:
            return False
        self.dropped.add("unwritable")
        return True

    def directly(self, event: TelemetryEvent) -> bool:
        """Give the sink an event in the thread that it comes from; whether it took it."""
        try:
            self._enter(lambda: self._sink.write((event,)))
        except Exception as error:  # noqa: BLE001 - the call that it is told of goes on; what is no Exception is the host's
            self.retry.last_error = describe(error)
            return False
        self._taken.add("taken")
        return True

    def does(self, name: str, *arguments: float) -> object:
        """Call an optional method of the sink; False where it raised, True where there is none."""
        method = getattr(self._sink, name, None)
        if method is None:
            return True
        try:
            return self._enter(lambda: method(*arguments))
        except BaseException as error:  # noqa: BLE001 - as for `offer`
            self.retry.last_error = describe(error)
            return False

    def hangs(self, seconds: float) -> bool:
        """Whether the sink was called longer ago than that, and has not come back."""
        began = self._began
        return began is not None and self._clock() - began > seconds

    def is_echo(self, event: TelemetryEvent) -> bool:
        """Whether an event that comes now is the doing of a sink that was given others, and not for this one.

        A sink that emits while it is inside `write` gets none of those events, nor any of another sink that does the
        like: two that tell each other what they did would never come to an end.
        """
        ident = threading.get_ident()
        stack = inside.get(ident)
        if not stack:
            return False
        cause = stack[-1]
        own = cause.has_begun(event)
        if ident in _collecting and not own:
            # Of a stream, say, that somebody has forgotten somewhere else.
            return False
        cause._emits = True  # noqa: SLF001 - one of us
        # The sink may be that of another client, too.
        if cause._sink is self._sink or self._emits:  # noqa: SLF001 - one of us
            self.dropped.add("echo")
            return True
        return False

    def has_begun(self, event: TelemetryEvent) -> bool:
        """Whether the event is of a call that the sink itself has begun inside `write`."""
        if event.kind == "call.started":
            self._own.append(event.call_id)
        return event.call_id is not None and event.call_id in self._own

    def is_inside(self) -> bool:
        """Whether this very thread is inside the sink."""
        return self in inside.get(threading.get_ident(), ())

    def _enter(self, action: Callable[[], object]) -> object:
        ident = threading.get_ident()
        outer = inside.get(ident, ())
        try:
            # Ctrl-C may come after any call. There is none between `try` and this, nor between `finally` and its being
            # taken back: who was interrupted there would for ever be taken for one that is inside.
            inside[ident] = (*outer, self)
            self._began = self._clock()
            return action()
        finally:
            self._began = None
            if outer:
                inside[ident] = outer
            else:
                inside.pop(ident, None)
