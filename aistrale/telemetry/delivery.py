"""How events get to one sink: by a bounded queue or a spool, in batches, with retries, and a count of what was lost.

`put` is called in the thread that makes calls: it takes no lock, waits for nothing and raises nothing, also in
finalisers and signal handlers. One thread of the delivery's own calls the sink, and nobody waits for that thread longer
than a time limit, so that a sink that blocks for ever stops itself and nothing else.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aistrale.core.home import data_directory
from aistrale.core.worker import Worker, check_fork, on_fork
from aistrale.telemetry._asked import Asked, flush_at_exit, forget_after_fork, remember, unsettled
from aistrale.telemetry._offering import Offering, inside, lost_inside
from aistrale.telemetry._spool_files import spool_directory
from aistrale.telemetry._waiting import Waiting, by_reason
from aistrale.telemetry.status import DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.telemetry.settings import SinkSettings
    from aistrale.telemetry.sink import Sink
    from aistrale.telemetry.spool import Spool

_log = logging.getLogger("aistrale.telemetry")
_getpid = os.getpid

_WARN_SECONDS: Final = 60.0
# How long a thread delivers from a spool before it looks whether somebody waits for an answer.
_SLICE_SECONDS: Final = 1.0
_BUSY_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.002
_LONGEST_DELAY: Final = 3600.0
_SILENT: Final = frozenset({"echo", "fork"})


class Delivery:
    """Brings events to one sink.

    Args:
        sink: Where they go.
        settings: How.
        directory: The data directory, in which the spool of a durable one is kept; None for `$AISTRALE_HOME` or the
            platform's.
        clock: Monotonic seconds.
        jitter: A random number from 0 to 1.
        pause: Waits so many seconds.
        background: Whether a thread of its own delivers; else `step` does, and whoever waits for a flush.
    """

    def __init__(
        self,
        sink: Sink,
        settings: SinkSettings,
        directory: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        pause: Callable[[float], object] | None = None,
        background: bool = True,
    ) -> None:
        self.sink = sink
        self.name = settings.name or getattr(sink, "name", None) or type(sink).__name__
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._wait = pause or _wait
        self._background = background
        kinds = getattr(sink, "kinds", None)
        self._kinds = kinds if settings.kinds is None else settings.kinds
        safe = settings.guarantee == "durable" and bool(getattr(sink, "durable", False))
        self._inline = not safe and bool(getattr(sink, "inline", False))
        self._direct = safe or self._inline
        self._waiting = Waiting(
            settings.queue, settings.queue_bytes, oldest=settings.overflow == "drop_oldest", dropped=self._drop
        )
        self._spool: Spool | None = None
        self._problem: str | None = None
        if settings.guarantee == "durable" and not self._direct:
            self._open_spool(directory)
        delay = min(settings.interval, _LONGEST_DELAY)
        self._worker = Worker(self.step, name=f"aistrale-{self.name}", delay=delay, at_exit=flush_at_exit)
        self._reset()
        on_fork(self._after_fork)
        if background:
            remember(self)

    def _open_spool(self, directory: Path | None) -> None:
        from aistrale.telemetry.spool import Spool

        data = directory or data_directory()
        if data is None or os.name != "posix":
            # Said in the status: nobody is to believe in a promise that is not kept.
            self._problem = "there is no directory for a spool" if data is None else "spools need a POSIX system"
            _log.warning("sink %s: %s; its events wait in memory only", self.name, self._problem)
            return
        own = self._settings
        self._spool = Spool(
            spool_directory(data, self.name),
            self._offer,
            batch=own.batch,
            limit=own.spool_bytes,
            memory=own.queue,
            clock=self._clock,
        )

    def _reset(self) -> None:
        self._pid = _getpid()
        self._sink = Offering(self.sink, self._clock, self._jitter, patient=self._spool is not None)
        self._requests: deque[Asked] = deque()
        self._turn = threading.Lock()
        self._hurried = False
        self._warn_at = float("-inf")
        self._said = (0, False)
        # Other than None, so that what a process left that is dead now is taken back with the first success.
        self._left_word: str | None = ""

    def _after_fork(self) -> None:
        """The parent goes on with what waits; this child starts with nothing."""
        forget_after_fork()
        left = self._waiting.reset()
        self._reset()
        self._sink.dropped.add("fork", len(left))
        if self._spool is not None:
            self._spool.reset()
        self._sink.does("after_fork")

    # --- in the thread that makes calls ------------------------------------------------------------------------------

    def put(self, event: TelemetryEvent) -> None:
        """Take an event; never raises, never waits."""
        kinds = self._kinds
        if kinds is not None and event.kind not in kinds:
            return
        if _getpid() != self._pid:
            check_fork()
        if inside and self._sink.is_echo(event):
            return
        if self._direct and self._write_directly(event):
            return
        if self._spool is not None:
            self._spool.append(event)
            waiting = 0
        else:
            waiting = self._waiting.add(event)
        if not self._background:
            return
        unsettled.add(self)
        if (waiting >= self._settings.batch or self._inline) and not self._hurried:
            self._hurried = True
            self._worker.hurry()
        else:
            self._worker.wake()

    def _write_directly(self, event: TelemetryEvent) -> bool:
        """Give it to a sink that is called right here; whether it is dealt with. None overtakes one that waits."""
        # A finalizer may tell something while this very thread is inside the sink, which need not be prepared for that.
        if len(self._waiting) or self._sink.is_inside():
            return False
        if self._sink.directly(event):
            return True
        if self._inline:
            self._drop("failed")
        return self._inline

    def _drop(self, reason: str) -> None:
        self._sink.dropped.add(reason)
        if self._sink.hangs(self._settings.timeout):
            # The one who would say so is the one who hangs.
            self._warn()

    # --- in the thread that delivers ---------------------------------------------------------------------------------

    def step(self) -> float | None:
        """Offer the sink one batch (from a spool: batches for a second), if it is due; answer who waits.

        Returns:
            Seconds until the next step is due; None when there is nothing to do until the next event.
        """
        if not self._turn.acquire(blocking=False):
            # Another thread is inside the sink, perhaps for ever.
            return _BUSY_SECONDS
        try:
            urgent = [asked for asked in list(self._requests) if not asked.tried]
            if urgent or self._sink.retry.ready(self._clock()):
                self._hurried = False
                for asked in urgent:
                    asked.tried = True
                self._advance()
            self._answer()
            self._warn()
            return self._next()
        finally:
            self._turn.release()

    def _advance(self) -> None:
        if self._spool is not None:
            self._spool.ship(self._clock() + _SLICE_SECONDS)
            return
        batch = self._waiting.take(1 if self._sink.singly else self._settings.batch)
        if batch and self._sink.offer(batch):
            self._waiting.settle(len(batch))
            self._sink.singly = self._sink.singly and self._waiting.under_way > 0

    def _offer(self, batch: Sequence[TelemetryEvent]) -> bool:
        """Offer a batch out of the spool; whether it is settled."""
        settled = self._sink.offer(batch)
        error = self._sink.retry.last_error
        if self._spool is not None and error != self._left_word:
            self._left_word = error
            self._spool.say_trouble(error)
        return settled

    def _answer(self) -> None:
        now = self._clock()
        for asked in list(self._requests):
            if asked.close:
                # Where the sink hung meanwhile, what is in the queue now came after the close, and stays.
                gone = self._waiting.clear(queue=now < asked.until, under_way=True)
                self._sink.dropped.add("closed", gone)
                self._sink.does("close")
                asked.result = True
            elif self._passed(asked.mark):
                # A sink that says nothing has nothing to complain about.
                asked.result = self._sink.does("flush", max(asked.until - now, 0.0)) is not False
            elif now < asked.until and not (self._sink.retry.dead or self._sink.retry.resume_at >= asked.until):
                continue
            self._requests.remove(asked)
            asked.done = True

    def _next(self) -> float | None:
        now = self._clock()
        if self._is_idle():
            unsettled.discard(self)
            if self._is_idle():
                return None
            # Somebody came in between.
            unsettled.add(self)
        if not self._sink.retry.ready(now):
            return self._sink.retry.resume_at - now
        if self._spool is None:
            return 0.0 if self._requests or len(self._waiting) >= self._settings.batch else self._worker.delay
        if self._spool.busy:
            return _POLL_SECONDS if self._requests else _BUSY_SECONDS
        return self._spool.pause

    def _is_idle(self) -> bool:
        return not self._requests and not len(self._waiting) and (self._spool is None or self._spool.clean)

    # --- for those who wait ------------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> bool:
        """Deliver what waits; whether that was done within `timeout` seconds.

        A sink that is known to be dead is tried once, and not waited for.
        """
        return self.finish(self.begin(self._clock() + timeout))

    def begin(self, until: float, *, seal: bool = False) -> Asked | None:
        """Ask for what waits to be delivered; `finish` waits for it.

        Args:
            until: Moment on the clock until when.
            seal: Whether this is the end, so that a spool is to be left tidy.

        Returns:
            None when there is nothing to do.
        """
        check_fork()
        if self._spool is not None and seal:
            self._spool.seal()
        if self._is_idle() and not hasattr(self.sink, "flush"):
            return None
        source = self._waiting if self._spool is None else self._spool
        return self._ask(Asked(source.mark(), until))

    def _ask(self, asked: Asked) -> Asked:
        if self._sink.is_inside():
            # The sink itself asks: it would wait for itself.
            asked.done = True
            return asked
        self._requests.append(asked)
        if self._background:
            unsettled.add(self)
            self._worker.hurry()
        return asked

    def finish(self, asked: Asked | None) -> bool:
        """Wait for what `begin` has asked for; whether it was done in time."""
        if asked is None:
            return True
        while not asked.done:
            left = asked.until - self._clock()
            if left <= 0:
                break
            if self._worker.alive:
                self._wait(min(left, _POLL_SECONDS))
            else:
                # No thread can be started any more, or none is wanted.
                due = self.step()
                if not asked.done and due:
                    self._wait(min(left, due))
        return asked.result

    def _passed(self, mark: int) -> bool:
        return (self._waiting if self._spool is None else self._spool).passed(mark)

    def close(self, timeout: float) -> None:
        """Deliver what waits within `timeout` seconds, and let go of the sink; a later event begins anew.

        What is left of a queue then is dropped and counted; what is left of a spool stays there.
        """
        until = self._clock() + timeout
        self.finish(self.begin(until, seal=True))
        if hasattr(self.sink, "close") or len(self._waiting):
            asked = self._ask(Asked(0, until, close=True))
            self.finish(asked)
            if not asked.done:
                # The sink hangs. What it has been given is its own; the close is done when it comes back.
                self._sink.dropped.add("closed", self._waiting.clear(queue=True, under_way=False))
        self._worker.close(max(until - self._clock(), 0.0))
        if not self._is_idle() and self._background:
            self._worker.wake()

    # --- telling -----------------------------------------------------------------------------------------------------

    def status(self) -> DeliveryStatus:
        """What became of its events."""
        spool, retry = self._spool, self._sink.retry
        return DeliveryStatus(
            name=self.name,
            guarantee=self._settings.guarantee,
            delivered=self._sink.taken,
            waiting=len(self._waiting) + (0 if spool is None else spool.waiting()),
            dropped=self._lost(),
            failures=retry.failures,
            last_error=self._trouble(),
            retry_in=max(retry.resume_at - self._clock(), 0.0) if retry.failures else None,
        )

    def _lost(self) -> dict[str, int]:
        return by_reason(
            self._sink.dropped.all(), {} if self._spool is None else self._spool.dropped(), lost_inside(self.sink)
        )

    def _trouble(self) -> str | None:
        if self._sink.hangs(self._settings.timeout):
            return f"a delivery has not come back for more than {self._settings.timeout:g} s"
        own = None if self._spool is None else self._spool.last_error()
        return self._sink.retry.last_error or own or self._problem

    def _warn(self) -> None:
        """Say what is lost, and when it begins to fail, at most once a minute."""
        now = self._clock()
        if now < self._warn_at:
            return
        lost = {reason: number for reason, number in self._lost().items() if reason not in _SILENT}
        said = (sum(lost.values()), self._sink.retry.failures > 0 or self._sink.hangs(self._settings.timeout))
        before, self._said = self._said, said
        if said[0] == before[0] and (not said[1] or before[1]):
            return
        self._warn_at = now + _WARN_SECONDS
        counts = ", ".join(f"{number} {reason}" for reason, number in lost.items()) or "none"
        trouble = self._trouble()
        with suppress(Exception):
            _log.warning("sink %s: %sevents lost so far: %s", self.name, f"{trouble}; " if trouble else "", counts)


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
