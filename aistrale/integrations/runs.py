"""The steps of a framework that have begun and not ended: bounded, and given up when they never end.

Frameworks forget to tell of an end: a task that is cancelled, one failure among several parallel steps, a stream that
is never read. What is kept of a step until its end must therefore have a bound in number and in time.
"""

from __future__ import annotations

import atexit
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, on_fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from aistrale.telemetry.events import RunType
    from aistrale.telemetry.instrument import StepSpan
    from aistrale.types import JSON

TTL: Final = 900.0
LIMIT: Final = 10_000
# How far up a sign of life is told; deeper graphs than this are loops.
_ANCESTORS: Final = 64
# Seconds between two looks for what is too old.
_LOOK: Final = 30.0


@dataclass(slots=True, kw_only=True)
class RunUsage:
    """What a model's step used, in tokens, as the framework tells it; None where it does not.

    Args:
        input: Cached ones included.
        output: Reasoning included.
        cache_read: Of the input.
        cache_write: Of the input, whatever its lifetime.
        cache_write_5m: Of `cache_write`, where the lifetime is told.
        cache_write_1h: Likewise.
        reasoning: Of the output.
        audio_input: Of the input.
        audio_output: Of the output.
        billed: Whether somebody has to pay for it: not for what came out of the framework's own cache.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    billed: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """A step that is under way.

    Args:
        id: The framework's.
        parent: The id of the step around it.
        type: What kind of step.
        name: What the framework calls it.
        started: Monotonic seconds.
        at: The same instant in Unix seconds.
        provider: Who is asked, as far as it is known.
        model: Which model, likewise.
        streamed: Whether the answer came piece by piece.
        first_token: Seconds until the first piece with content.
        tags: Labels of the framework.
        usage: Tokens, once they are known.
        cost: US dollars, once they are known.
        documents: How many were found.
        ours: Whether it was a call of ours, whose tokens and money the ledger has.
        call_id: Which call, as far as it is known.
        capture: Whether what is said is kept.
        system: What was said, copied and not redacted yet; so are the next three.
        input: Messages that went in.
        output: Messages that came out.
        tools: Definitions of tools.
        made: Ids of the calls that were made inside of a model's step, as far as somebody saw them made there.
        agent: The name of the innermost agent around it, or its own where it is one.
        shown: Whether what is said is for all sinks, and not for the spans of those alone that ask for it.
        spans: Its own in each instrument; None in those that make none of it.
        around: The innermost in each instrument, its own or another's, for what happens inside of it.
        seen: When it last gave a sign of life, in monotonic seconds; the map keeps it.
    """

    id: str
    type: RunType
    name: str
    started: float
    at: float
    parent: str | None = None
    provider: str | None = None
    model: str | None = None
    streamed: bool = False
    first_token: float | None = None
    tags: tuple[str, ...] = ()
    usage: RunUsage | None = None
    cost: Decimal | None = None
    documents: int | None = None
    ours: bool = False
    call_id: str | None = None
    capture: bool = False
    system: list[JSON] = field(default_factory=list)
    input: list[JSON] = field(default_factory=list)
    output: list[JSON] = field(default_factory=list)
    tools: list[JSON] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    agent: str | None = None
    shown: bool = False
    spans: tuple[StepSpan | None, ...] = ()
    around: tuple[StepSpan | None, ...] = ()
    seen: float = 0.0


class RunMap:
    """Runs by id. Every method may be called from any thread, finalizers included: none takes a lock or waits.

    A run lives as long as it, or one that stands below it, gives signs of life. A background thread looks for those
    that do not: one for all maps, since applications make a handler for every request. A map lives as long as it has
    runs. What is under way when the process exits is given up then. A forked child has none of its parent's runs: the
    parent ends them.

    Args:
        given_up: Gets a run that is given up, in whichever thread that is found; an error of it is its own affair.
        ttl: Seconds without a sign of life after which a run is given up.
        limit: Most runs that are kept; above it the oldest are given up.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        given_up: Callable[[Run], object],
        *,
        ttl: float = TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ttl <= 0 or limit < 1:
            raise ValueError("ttl must be above 0 seconds, limit at least 1")
        self._given_up = given_up
        self._ttl = ttl
        self._limit = limit
        self._clock = clock
        # Only operations that are atomic by themselves: a finalizer may come in between anywhere, so a lock could be
        # held by the very thread that waits for it.
        self._runs: dict[str, Run] = {}
        self.pace = min(_LOOK, ttl)
        """Seconds between two looks for what is too old."""

    def __len__(self) -> int:
        return len(self._runs)

    def start(self, run: Run) -> bool:
        """Remember a run.

        Returns:
            False when there is one of that id already, which then stays.
        """
        now = run.seen = self._clock()
        if self._runs.setdefault(run.id, run) is not run:
            return False
        self._live(run.parent, now)
        if len(self._runs) > self._limit:
            self._shrink()
        _reaper.keep(self)
        return True

    def get(self, run_id: str) -> Run | None:
        """A run that is under way, which thereby gives a sign of life; None for one that ended or never began."""
        run = self._runs.get(run_id)
        if run is not None:
            run.seen = self._clock()
        return run

    def pop(self, run_id: str) -> Run | None:
        """End a run; None the second time, and for one that was given up."""
        run = self._runs.pop(run_id, None)
        if run is not None:
            self._live(run.parent, self._clock())
            if not self._runs:
                _reaper.release(self)
        return run

    def reap(self) -> int:
        """Give up what has given no sign of life for too long. Returns how many runs that were."""
        before = self._clock() - self._ttl
        return self._give_up([run for run in list(self._runs.values()) if run.seen <= before])

    def clear(self) -> int:
        """Give up everything. Returns how many runs that were."""
        return self._give_up(list(self._runs.values()))

    def forget(self) -> None:
        """Drop everything without a word."""
        self._runs = {}

    def _live(self, run_id: str | None, now: float) -> None:
        for _ in range(_ANCESTORS):
            run = self._runs.get(run_id) if run_id is not None else None
            if run is None:
                return
            run.seen = now
            run_id = run.parent

    def _shrink(self) -> None:
        # A part at once: the front of a dict out of which single ones are taken is slow to find.
        surplus = len(self._runs) - self._limit + self._limit // 16
        self._give_up(list(islice(list(self._runs.values()), surplus)))

    def _give_up(self, runs: list[Run]) -> int:
        count = 0
        for run in runs:
            # Whoever takes it out has it: its end may be told at this moment in another thread.
            if self._runs.pop(run.id, None) is not None:
                count += 1
                self._given_up(run)
        return count


class _Reaper:
    """Looks after the maps that have runs, and keeps those alive."""

    def __init__(self) -> None:
        self._busy: dict[int, RunMap] = {}
        self._pace = _LOOK
        self._worker = Worker(self._look, name="aistrale-runs", delay=_LOOK)
        on_fork(self._after_fork)

    def keep(self, runs: RunMap) -> None:
        """It has runs."""
        self._busy[id(runs)] = runs
        if runs.pace < self._pace:
            self._pace = self._worker.delay = runs.pace
            self._worker.hurry()
        else:
            self._worker.wake()

    def release(self, runs: RunMap) -> None:
        """It has none, unless another thread has begun one meanwhile."""
        self._busy.pop(id(runs), None)
        if len(runs):
            self._busy[id(runs)] = runs

    def clear(self) -> None:
        """Give up everything."""
        for runs in list(self._busy.values()):
            runs.clear()

    def _look(self) -> float | None:
        for runs in list(self._busy.values()):
            runs.reap()
            if not len(runs):
                self.release(runs)
        busy = list(self._busy.values())
        self._pace = self._worker.delay = min((runs.pace for runs in busy), default=_LOOK)
        return self._pace if busy else None

    def _after_fork(self) -> None:
        for runs in self._busy.values():
            runs.forget()
        self._busy = {}


_reaper: Final = _Reaper()
# Registered after the workers' own hook, hence run before it: sinks still deliver what is said here.
atexit.register(_reaper.clear)
