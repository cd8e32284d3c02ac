"""What was learned about our token counts: how many tokens providers reported for those that we had counted.

A counter errs in the same direction for the same model: its tokenizer, the text that its provider puts around tools.
Each call of which both numbers are known tells a little; the newest tell most (an exponentially weighted mean of the
logarithm of actual over counted, and of its square error). What one odd call can do is bounded.

Rows of the ledger are where it is remembered; nothing is read before the first question.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.core.worker import Worker, importing, on_fork
from aistrale.cost.tokens import encodings
from aistrale.cost.tokens.families import from_elsewhere
from aistrale.store.records import CountRow
from aistrale.types import EmbedRequest, RefusalPart, TextPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aistrale.cost.tokens.counters import Count
    from aistrale.types import Request

# What the newest call counts: the last thirty have nine tenths of the weight.
_NEWEST: Final = 0.07
# Calls as many as the assumption that our count is right counts for.
_DOUBT: Final = 1.0
# Actual over counted is taken for no more than this, and no less than the inverse: beyond it something was counted that
# was not sent, or was sent and not counted.
_FURTHEST: Final = 2.5
# One call moves the mean by no more than that many deviations (Huber's bound for 95 % efficiency is 1.345).
_BOUND: Final = 1.5
# The deviation before anything is known, and the least that is believed: short prompts are off by a token.
_FIRST: Final = 0.2
_LEAST: Final = 0.01
# For the bounds: nine of ten calls, if errors are normal.
_WIDTH: Final = 1.645
# Calls after which a model's spread is believed.
_ENOUGH: Final = 8
# Models remembered; beyond it the oldest is forgotten.
_MODELS: Final = 4096


@dataclass(slots=True)
class _Learned:
    """What is known of one model: calls, mean and variance of the logarithm of actual over counted."""

    calls: int = 0
    mean: float = 0.0
    variance: float = _FIRST * _FIRST

    def observe(self, ratio: float) -> None:
        """Take one call into account."""
        spread = max(_LEAST, math.sqrt(self.variance))
        error = ratio - self.mean
        bound = _BOUND * spread
        moved = max(-bound, min(bound, error))
        # A plain mean, with the first assumption as some calls, until the exponential one is steadier.
        weight = max(_NEWEST, 1.0 / (self.calls + 1.0 + _DOUBT))
        self.mean += weight * moved
        # Its own bound is wider: what is far off belongs into the spread, an absurd one does not.
        seen = max(-4.0 * bound, min(4.0 * bound, error))
        self.variance = (1.0 - weight) * (self.variance + weight * seen * seen)
        self.calls += 1


@dataclass(slots=True, frozen=True, kw_only=True)
class Learned:
    """What is known about the counts of one model.

    Args:
        factor: Actual over counted.
        spread: How far nine of ten calls were off that, a share; 0.0 while too few were seen.
        calls: How many calls were seen.
    """

    factor: float = 1.0
    spread: float = 0.0
    calls: int = 0


_UNKNOWN: Final = Learned()


class Calibration:
    """Factors by provider and model; safe to use from several threads.

    Args:
        rows: Gives what the ledger remembers, oldest first; called once, at the first question. What it raises is
            raised by that question, and it is called again by the next.
    """

    def __init__(self, rows: Callable[[], Iterable[CountRow]] | None = None) -> None:
        self._rows = rows
        self._known: dict[tuple[str, str], _Learned] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def observe(self, provider: str, model: str, counted: int, actual: int) -> None:
        """Learn from a call.

        Args:
            provider: Who counted.
            model: The provider's name of the model.
            counted: Tokens by our counter, before any correction.
            actual: Tokens that the provider reported. A call without tokens on either side teaches nothing.
        """
        if counted <= 0 or actual <= 0:
            return
        ratio = max(-math.log(_FURTHEST), min(math.log(_FURTHEST), math.log(actual / counted)))
        with self._lock:
            found = self._known.get((provider, model))
            if found is None:
                if len(self._known) >= _MODELS:
                    del self._known[next(iter(self._known))]
                found = self._known[provider, model] = _Learned()
            found.observe(ratio)

    def learned(self, provider: str, model: str) -> Learned:
        """What is known of a model; reads the ledger if that has not been done."""
        if self._rows is not None:
            self._load()
        with self._lock:
            found = self._known.get((provider, model))
            if found is None:
                return _UNKNOWN
            # What may be chance is not corrected: a count that is right most of the time would be made wrong.
            doubt = math.sqrt(found.variance * max(_NEWEST / (2.0 - _NEWEST), 1.0 / (found.calls + _DOUBT)))
            mean = math.copysign(max(0.0, abs(found.mean) - doubt), found.mean)
            spread = math.expm1(_WIDTH * max(_LEAST, math.sqrt(found.variance))) if found.calls >= _ENOUGH else 0.0
            return Learned(factor=math.exp(mean), spread=spread, calls=found.calls)

    def factor(self, provider: str, model: str) -> float:
        """Actual over counted; 1.0 where nothing is known."""
        return self.learned(provider, model).factor

    def corrected(self, provider: str, model: str, count: Count) -> Count:
        """A count with what is known of its model applied; one that is exact already stays as it is."""
        if count.exact:
            return count
        known = self.learned(provider, model)
        return count.scaled(known.factor, known.spread) if known.calls else count

    def _load(self) -> None:
        with self._loading:
            rows, own = self._rows, Calibration()
            if rows is None:
                return
            for row in rows():
                own.observe(row.provider, row.model, row.counted, row.actual)
            with self._lock:
                # What this process has seen since is in the ledger too, or will be.
                self._known = {**self._known, **own._known}
            self._rows = None


# Of each model the first calls are counted, then one of so many: it costs a worker's time, not the call's.
_FIRST_CALLS: Final = 20
_ONE_OF: Final = 32
_MOST_WAITING: Final = 64
# Seconds between an offer and the counting; several are counted in one go.
_DELAY: Final = 0.5


@dataclass(slots=True, frozen=True)
class _Offer:
    """A call that may be counted."""

    at: tuple[str, int]
    provider: str
    model: str
    request: Request | EmbedRequest
    actual: int


class Sampler:
    """Counts some of the calls in a worker thread, beside what their providers reported.

    Only where an encoding is loaded already, so that a process that never asks for counts never pays for them; only
    plain text, of which the count is comparable.

    Args:
        calibration: Learns from them.
        append: Takes a row for the ledger; must not raise.
        now: Epoch seconds.
    """

    def __init__(
        self, calibration: Calibration, append: Callable[[CountRow], object], *, now: Callable[[], float]
    ) -> None:
        self.dropped = 0
        self.counted = 0
        self._calibration = calibration
        self._append = append
        self._now = now
        self._seen: dict[tuple[str, str], int] = {}
        self._waiting: deque[_Offer] = deque()
        step = weakref.WeakMethod(self.step)

        def weak_step() -> float | None:
            # A worker that held its owner would keep it, and the client behind it, alive.
            method = step()
            return method() if method is not None else None

        self._worker = Worker(weak_step, name="aistrale-counter", delay=_DELAY)
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        # What the parent was offered is the parent's to count.
        self._waiting = deque()

    def offer(
        self, at: tuple[str, int], provider: str, model: str, request: Request | EmbedRequest, actual: int
    ) -> None:
        """Offer a call that has ended; costs about a microsecond, and most are not taken.

        Args:
            at: Id of the call, and number of the attempt within it.
            provider: Who was asked.
            model: The provider's name of the model.
            request: What was sent.
            actual: All input tokens that the provider reported.
        """
        if not encodings.loaded():
            return
        key = provider, model
        seen = self._seen.get(key, 0)
        if len(self._seen) > _MODELS:
            self._seen.clear()
        self._seen[key] = seen + 1
        if seen >= _FIRST_CALLS and seen % _ONE_OF:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(_Offer(at, provider, model, request, actual))
        self._worker.wake()

    def step(self) -> float | None:
        """Count what waits, for the worker."""
        with importing():
            from aistrale.cost.tokens.counters import count_request

        waiting = self._waiting
        while waiting:
            offer = waiting.popleft()
            if offer.actual <= 0 or not is_plain(offer.request):
                continue
            count = count_request(offer.request, offer.provider, offer.model)
            if count.method == "characters":
                continue
            self.counted += 1
            self._calibration.observe(offer.provider, offer.model, count.tokens, offer.actual)
            self._append(
                CountRow(
                    call_id=offer.at[0],
                    attempt=offer.at[1],
                    at=self._now(),
                    provider=offer.provider,
                    model=offer.model,
                    counted=count.tokens,
                    actual=offer.actual,
                )
            )
        return None

    def close(self, timeout: float | None = None) -> None:
        """End the worker; what waits is not counted.

        Args:
            timeout: Seconds to wait for the step under way; None waits as long as it takes.
        """
        self._waiting.clear()
        self._worker.close(timeout)


def is_plain(request: Request | EmbedRequest) -> bool:
    """Whether a request is text alone, and all that its provider counts is part of it."""
    if isinstance(request, EmbedRequest):
        return all(isinstance(item, str) for item in request.inputs)
    if request.tools or request.output is not None:
        return False
    if from_elsewhere(request):
        return False
    parts = [part for message in request.messages for part in message.parts]
    return all(isinstance(part, (TextPart, RefusalPart)) for part in parts)
