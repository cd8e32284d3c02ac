"""What a simulation showed: goodput, recovery, amplification, waste, latency, cost."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.simulation.scenario import Scenario
    from aistrale.simulation.world import World
    from aistrale.types import JSONObject

WINDOW = 5.0
"""Width of the window in which a recovery is looked for, in seconds."""
STEP = 0.5
"""By how much that window moves."""
ENOUGH = 0.95
"""Share of the goodput before a disturbance that counts as recovered."""
AFTER = 30.0
"""How long after its end the attempts per call are still counted as its consequence, in seconds."""
LATER = 60.0
"""How long after its end the calls are made whose success is reported, in seconds."""


class CallRecord(NamedTuple):
    """One call.

    Args:
        made: When, in seconds from the beginning.
        latency: Seconds to its end.
        ok: It was answered within its deadline.
        attempts: How often it was sent.
        error: Class of the error that it ended with; empty when it succeeded.
    """

    made: float
    latency: float
    ok: bool
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One step of the time line.

    Args:
        start: Seconds from the beginning.
        offered: Calls made in it.
        ok: Those of them that were answered within their deadlines, whenever that was.
        answered: Calls whose answer came in it, within the deadline: the goodput.
        attempts: Attempts sent in it.
    """

    start: float
    offered: int
    ok: int
    answered: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """What an outage or a surge did; outages that overlap are one.

    Args:
        start: Seconds from the beginning.
        end: Seconds from the beginning.
        offered: Calls made while it lasted.
        ok: Share of them that were answered within their deadlines.
        attempts: Attempts sent while it lasted, per call made.
        attempts_after: The same for the 30 s after its end.
        back_after: Seconds from its end until goodput was back for good: from then on, of the calls made in any window
            of 5 s, at least 95 % as many succeed as did before the first disturbance. None when that did not happen
            before the next disturbance, or the end.
        ok_after: Share of the calls made in the 60 s after its end that were answered within their deadlines.
    """

    start: float
    end: float
    offered: int
    ok: float
    attempts: float
    attempts_after: float
    back_after: float | None
    ok_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """What a target has seen.

    Args:
        name: `provider/model`.
        arrived: Attempts that reached it.
        answered: Answers that somebody got.
        refused: Attempts over its quota.
        full: Attempts for which its queue had no place.
        failed: Attempts that met an outage.
        abandoned: Attempts whose caller left before the answer.
        peak: Most attempts that arrived within one second.
        wasted: Share of its work that went into answers that nobody got.
        cost: US dollars, waste included; None when its price is not known.
    """

    name: str
    arrived: int
    answered: int
    refused: int
    full: int
    failed: int
    abandoned: int
    peak: int
    wasted: float
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one kind of policies made of a scenario.

    Args:
        title: The scenario's.
        policy: Name of the policies.
        seed: With which the run can be repeated.
        offered: Calls made.
        ok: Calls answered within their deadlines.
        attempts: Attempts sent.
        p50: Median latency of the calls that were answered, in seconds; None when there are none.
        p99: Their 99th percentile.
        peak: Most attempts sent within one second.
        wasted: Share of the providers' work that went into answers that nobody got.
        cost: US dollars for everything, waste included; None when a price is not known.
        errors: How many calls ended with which class of error.
        episodes: What each disturbance did.
        targets: What each target has seen.
        buckets: The time line.
    """

    title: str
    policy: str
    seed: int
    offered: int
    ok: int
    attempts: int
    p50: float | None
    p99: float | None
    peak: int
    wasted: float
    cost: Decimal | None
    errors: dict[str, int]
    episodes: tuple[Episode, ...]
    targets: tuple[TargetReport, ...]
    buckets: tuple[Bucket, ...]

    @property
    def ok_share(self) -> float:
        """Calls answered within their deadlines, of those made."""
        return _share(self.ok, self.offered)

    @property
    def amplification(self) -> float:
        """Attempts per call."""
        return _share(self.attempts, self.offered)

    @property
    def cost_per_answer(self) -> Decimal | None:
        """US dollars for everything, per call that was answered; None when not known or when none was."""
        return None if self.cost is None or not self.ok else self.cost / self.ok

    def as_document(self) -> JSONObject:
        """The report as JSON has it: money as text, shares as numbers from 0 to 1, None for what is not known."""
        document = asdict(self)
        document["ok_share"] = self.ok_share
        document["amplification"] = self.amplification
        document["cost_per_answer"] = self.cost_per_answer
        return cast("JSONObject", _plain(document))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value


def summarize(scenario: Scenario, policy: str, records: Sequence[CallRecord], world: World) -> Report:
    """Make the report of a run.

    Args:
        scenario: What was simulated.
        policy: Name of the policies.
        records: All calls, in any order.
        world: What the targets have seen.
    """
    line = Line(records, world.sent)
    latencies = sorted(record.latency for record in records if record.ok)
    targets = tuple(
        TargetReport(
            name=name,
            arrived=tally.arrived,
            answered=tally.answered,
            refused=tally.refused,
            full=tally.full,
            failed=tally.failed,
            abandoned=tally.abandoned,
            peak=tally.peak,
            wasted=_share(tally.wasted, tally.work),
            cost=place.cost(),
        )
        for name, place in world.places.items()
        for tally in (place.station.tally,)
    )
    tallies = [place.station.tally for place in world.places.values()]
    costs = [target.cost for target in targets if target.cost is not None]
    return Report(
        title=scenario.title,
        policy=policy,
        seed=scenario.seed,
        offered=len(records),
        ok=len(latencies),
        attempts=len(world.sent),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        peak=max(Counter(map(int, world.sent)).values(), default=0),
        wasted=_share(sum(tally.wasted for tally in tallies), sum(tally.work for tally in tallies)),
        cost=sum(costs, Decimal(0)) if len(costs) == len(targets) else None,
        errors=dict(Counter(record.error for record in records if record.error).most_common()),
        episodes=tuple(_episodes(scenario, line)),
        targets=targets,
        buckets=tuple(_buckets(scenario, line)),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least that share of the values do not exceed; None when there are none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


class Line:
    """Calls and attempts along the time, for counting between two instants.

    Args:
        records: All calls.
        sent: When each attempt was sent, in order.
    """

    def __init__(self, records: Sequence[CallRecord], sent: Sequence[float]) -> None:
        ordered = sorted(records)
        self._made = [record.made for record in ordered]
        self._ok = [0, *accumulate(record.ok for record in ordered)]
        self._answered = sorted(record.made + record.latency for record in ordered if record.ok)
        self._sent = sent

    def offered(self, start: float, end: float) -> int:
        """Calls made from `start` to before `end`."""
        return _between(self._made, start, end)

    def ok(self, start: float, end: float) -> int:
        """Those of them that succeeded."""
        return self._ok[bisect_left(self._made, end)] - self._ok[bisect_left(self._made, start)]

    def ok_share(self, start: float, end: float) -> float:
        """Their share."""
        return _share(self.ok(start, end), self.offered(start, end))

    def answered(self, start: float, end: float) -> int:
        """Calls that succeeded from `start` to before `end`."""
        return _between(self._answered, start, end)

    def attempts(self, start: float, end: float) -> int:
        """Attempts sent from `start` to before `end`."""
        return _between(self._sent, start, end)


def _between(instants: Sequence[float], start: float, end: float) -> int:
    return bisect_left(instants, end) - bisect_left(instants, start)


def _buckets(scenario: Scenario, line: Line) -> list[Bucket]:
    buckets = []
    for number in range(math.ceil(scenario.duration / scenario.bucket)):
        start = number * scenario.bucket
        end = start + scenario.bucket
        buckets.append(
            Bucket(
                start=start,
                offered=line.offered(start, end),
                ok=line.ok(start, end),
                answered=line.answered(start, end),
                attempts=line.attempts(start, end),
            )
        )
    return buckets


def disturbances(scenario: Scenario) -> list[tuple[float, float]]:
    """When something is not as usual: start and end of each outage and surge, overlapping ones joined, in order."""
    spans = sorted(
        [
            *((outage.start, outage.end) for target in scenario.targets for outage in target.outages),
            *((surge.start, surge.end) for surge in scenario.surges),
        ]
    )
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return [(start, end) for start, end in joined if start < scenario.duration]


def _episodes(scenario: Scenario, line: Line) -> list[Episode]:
    spans = disturbances(scenario)
    if not spans:
        return []
    usual = line.ok_share(0.0, spans[0][0]) if spans[0][0] > 0 else 1.0
    horizons = [*(start for start, _ in spans[1:]), scenario.duration]
    return [
        Episode(
            start=start,
            end=end,
            offered=line.offered(start, end),
            ok=line.ok_share(start, end),
            attempts=_share(line.attempts(start, end), line.offered(start, end)),
            attempts_after=_share(
                line.attempts(end, min(end + AFTER, horizon)), line.offered(end, min(end + AFTER, horizon))
            ),
            back_after=_back(line, end, horizon, ENOUGH * usual),
            ok_after=line.ok_share(end, min(end + LATER, horizon)),
        )
        for (start, end), horizon in zip(spans, horizons, strict=True)
    ]


def _back(line: Line, end: float, horizon: float, least: float) -> float | None:
    """Seconds from `end` to the first window from which on every one is good; looked for from behind."""
    good: float | None = None
    for number in range(math.floor((horizon - end - WINDOW) / STEP + 1e-9), -1, -1):
        start = end + number * STEP
        if line.offered(start, start + WINDOW) and line.ok_share(start, start + WINDOW) < least:
            break
        good = number * STEP
    return good
