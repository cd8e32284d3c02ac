"""Inside a simulated provider: servers, a queue before them, a quota, and what goes wrong.

It knows nothing of calls and policies: requests arrive as jobs, and their owners may leave before they are done. That
alone does not stop the work on them, as it does not at real providers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aistrale.simulation.quota import Meters
from aistrale.simulation.runtime import SimWaiter

if TYPE_CHECKING:
    import random

    from aistrale.simulation.kernel import Kernel
    from aistrale.simulation.scenario import Outage, TargetSpec

_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not taken.

    Args:
        status: HTTP status.
        retry_after: Seconds that the answer says to wait.
    """

    status: int
    retry_after: float | None = None


class Job(SimWaiter):
    """One request inside a provider. Its owner waits on it: for the whole answer, or for a stream's first content.

    Args:
        kernel: Runs the owner.
        breaks: Whether the answer will be cut off on its way.
    """

    __slots__ = ("begun", "breaks", "breaks_at", "ended", "first", "latency", "left", "released", "rest")

    def __init__(self, kernel: Kernel, *, breaks: bool) -> None:
        super().__init__(kernel)
        self.breaks = breaks
        self.begun = math.inf
        """When a server took it."""
        self.latency = 0.0
        self.first = 0.0
        """Seconds from `begun` to the first content."""
        self.breaks_at = math.inf
        """When its answer breaks off."""
        self.left = False
        """The owner has gone without the answer."""
        self.ended = False
        """No server works on it any more."""
        self.released = False
        """Its server is free again."""
        self.rest = False
        """Its server rests a while after the answer."""


@dataclass(slots=True)
class Tally:
    """What a provider has seen.

    Args:
        arrived: Requests that reached it.
        answered: Answers that somebody got.
        refused: Requests over the quota.
        full: Requests for which the queue had no place.
        failed: Requests that met an outage.
        abandoned: Requests whose caller left before the answer.
        work: Seconds of work on answers, whether anybody got them.
        wasted: Seconds of work on answers that nobody got.
        finished: Answers that were worked out, whether anybody got them.
        stopped: Sum of the shares of their answers that stopped jobs had come to.
        stops: How many jobs were stopped while being worked on.
        peak: Most requests that arrived within one second.
    """

    arrived: int = 0
    answered: int = 0
    refused: int = 0
    full: int = 0
    failed: int = 0
    abandoned: int = 0
    work: float = 0.0
    wasted: float = 0.0
    finished: int = 0
    stopped: float = 0.0
    stops: int = 0
    peak: int = 0


class Station:
    """Servers with a queue.

    Args:
        spec: What it is like.
        kernel: Its clock.
        rng: Of its durations and outages.
        tokens: Of one request and its answer, for the quota.
        stream: Whether owners wait for the first content instead of the whole answer.
    """

    def __init__(self, spec: TargetSpec, kernel: Kernel, rng: random.Random, *, tokens: int, stream: bool) -> None:
        self.spec = spec
        self.tally = Tally()
        self.meters = Meters(spec.quota, tokens) if spec.quota is not None else None
        self._kernel = kernel
        self._rng = rng
        self._stream = stream
        self._waiting: deque[Job] = deque()
        self._gone = 0
        self._busy = 0
        # A capacity that is no whole number of servers is met exactly: servers rest a little after each answer.
        self._servers = float(spec.servers) if spec.servers is not None else math.inf
        if spec.capacity is not None:
            self._servers = spec.capacity * spec.latency.mean
        self._limit = math.inf
        self._hold = 1.0
        self._slow = 1.0
        self._faults: list[Outage] = []
        self._cuts: list[Outage] = []
        self._second = -1
        self._in_second = 0
        self._change(None, None)
        for outage in spec.outages:
            kernel.at(outage.start, self._change, None, None)
            kernel.at(outage.end, self._change, None, None)

    @property
    def waiting(self) -> int:
        """How many requests wait for a server."""
        return len(self._waiting) - self._gone

    @property
    def busy(self) -> int:
        """How many servers are taken."""
        return self._busy

    def arrive(self) -> Outage | None:
        """A request reaches the provider; the outage that it meets, if any."""
        tally, now = self.tally, self._kernel.now
        tally.arrived += 1
        second = int(now)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        tally.peak = max(tally.peak, self._in_second)
        for outage in self._faults:
            if self._hit(outage):
                tally.failed += 1
                return outage
        return None

    def take(self) -> Job | Refusal:
        """Let a server work on the request, or put it into the queue, or refuse it."""
        if self.meters is not None:
            wait = self.meters.take(self._kernel.now)
            if wait is not None:
                self.tally.refused += 1
                # Whole seconds, as the header has them.
                return Refusal(_TOO_MANY, float(math.ceil(wait)))
        free = self._busy < self._limit
        if not free and self.spec.queue is not None and self.waiting >= self.spec.queue:
            self.tally.full += 1
            return Refusal(self.spec.full_status)
        job = Job(self._kernel, breaks=any(map(self._hit, self._cuts)))
        if free:
            self._begin(job)
        else:
            self._waiting.append(job)
        return job

    def leave(self, job: Job) -> None:
        """The owner goes; without effect when it has the whole answer."""
        if job.left or (job.ended and job.breaks_at == math.inf):
            return
        job.left = True
        self.tally.abandoned += 1
        if job.ended:
            # The answer was worked out and then lost on its way.
            self._waste(job)
        elif self.spec.cancels:
            self._stop(job)

    def _hit(self, outage: Outage) -> bool:
        return outage.share >= 1.0 or self._rng.random() < outage.share

    def _change(self, _first: object, _second: object) -> None:
        """Something begins or ends: see what holds from now on."""
        now = self._kernel.now
        active = [outage for outage in self.spec.outages if outage.start <= now < outage.end]
        self._faults = [outage for outage in active if outage.kind in {"error", "refused", "unreachable", "black_hole"}]
        self._cuts = [outage for outage in active if outage.kind == "cut"]
        self._slow = math.prod(outage.factor for outage in active if outage.kind == "slow")
        left = self._servers * math.prod(outage.capacity for outage in active if outage.kind == "brownout")
        self._limit = left if left == math.inf else max(math.ceil(left - 1e-9), 1)
        self._hold = 1.0 if left == math.inf else self._limit / left
        self._fill()

    def _fill(self) -> None:
        waiting = self._waiting
        while waiting and self._busy < self._limit:
            job = waiting.popleft()
            if job.ended:
                self._gone -= 1
            else:
                self._begin(job)

    def _begin(self, job: Job) -> None:
        kernel, rng = self._kernel, self._rng
        self._busy += 1
        job.begun = now = kernel.now
        job.latency = latency = self.spec.latency.draw(rng) * self._slow
        if self._stream:
            own = self.spec.first_token
            job.first = min(latency / self.spec.pieces if own is None else own.draw(rng) * self._slow, latency)
            kernel.at(now + job.first, self._wake, job, None)
        if job.breaks:
            job.breaks_at = now + rng.random() * latency
            kernel.at(job.breaks_at, self._wake, job, None)
        kernel.at(now + latency, self._finish, job, None)
        if self._hold > 1.0 + 1e-9:
            job.rest = True
            kernel.at(now + latency * self._hold, self._release, job, None)

    @staticmethod
    def _wake(job: Job, _nothing: object) -> None:
        job.wake()

    def _finish(self, job: Job, _nothing: object) -> None:
        if job.ended:
            return
        job.ended = True
        tally = self.tally
        tally.work += job.latency
        tally.finished += 1
        if job.left:
            tally.wasted += job.latency
        elif job.breaks_at == math.inf:
            tally.answered += 1
        job.wake()
        if not job.rest:
            self._release(job, None)

    def _release(self, job: Job, _nothing: object) -> None:
        if job.released:
            return
        job.released = True
        self._busy -= 1
        self._fill()

    def _waste(self, job: Job) -> None:
        self.tally.wasted += job.latency

    def _stop(self, job: Job) -> None:
        job.ended = True
        if job.begun == math.inf:
            self._gone += 1
            return
        done = self._kernel.now - job.begun
        tally = self.tally
        tally.work += done
        tally.wasted += done
        tally.stops += 1
        tally.stopped += done / job.latency if job.latency else 1.0
        self._release(job, None)
