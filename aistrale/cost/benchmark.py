"""Cost against latency and quality of models, from the ledger, with intervals and the models that others outdo.

One observation is one call at one model: all its attempts there, their dollars added up, since who asks pays for
failures too. Costs are skewed: with fewer than 300 calls the interval of their mean covers the truth less often than it
says, which the result warns of. Traffic that was not dealt out at random may differ between models in more than the
model; comparing within one route or name, with `where`, makes that less so.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.intervals import Interval, mean_interval, percentile_interval, ratio_interval, welch, wilson
from aistrale.cost.report import plain_cell
from aistrale.cost.saved import amount
from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from aistrale.store.protocol import LedgerQueries, Sample
    from aistrale.types import JSONObject

ENOUGH: Final = 300
"""Calls from which on the interval of a mean cost can be relied on."""

_INTERVALS: Final = (
    "success_rate", "score", "usd_per_call", "usd_per_1k_output", "latency_p50", "latency_p95", "first_token_p50",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class ModelBenchmark:
    """How a model did.

    Args:
        model: Written `provider/model`.
        calls: Calls that had attempts there.
        succeeded: How many of them it answered.
        usd: US dollars of those whose price is known.
        unpriced: Calls with an attempt of unknown price, which all dollars leave out.
        scored: Calls it answered that somebody judged.
        success_rate: 0 to 1.
        score: Mean of the judged calls, 0 to 1; None without any.
        usd_per_call: US dollars; None where no price is known.
        usd_per_1k_output: US dollars per thousand tokens of output, thinking included.
        latency_p50: Seconds, of attempts that succeeded.
        latency_p95: Seconds.
        first_token_p50: Seconds until the first piece of the answer, where one was streamed.
        dominated_by: Models that are as good in cost, quality and median latency, and better in one of them.
        clearly_by: Those of them that are cheaper beyond the error of 95 % (Welch), and of whose quality and latency
            nothing says that they are worse.
        on_front: Whether nobody dominates it; None where it cannot be compared.
        warnings: What to keep in mind.
    """

    model: str
    calls: int
    succeeded: int
    usd: Decimal = Decimal(0)
    unpriced: int = 0
    scored: int = 0
    success_rate: Interval | None = None
    score: Interval | None = None
    usd_per_call: Interval | None = None
    usd_per_1k_output: Interval | None = None
    latency_p50: Interval | None = None
    latency_p95: Interval | None = None
    first_token_p50: Interval | None = None
    dominated_by: tuple[str, ...] = ()
    clearly_by: tuple[str, ...] = ()
    on_front: bool | None = None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Benchmark:
    """Models against each other.

    Args:
        models: The cheapest call first; those without known cost last.
        quality: What quality is compared by: "score", or "success rate" where some model was never judged.
        since: Only attempts sent at or after it.
        until: Only attempts sent before it.
        where: Values that dimensions had to have.
    """

    models: list[ModelBenchmark]
    quality: str
    since: datetime | None = None
    until: datetime | None = None
    where: dict[str, str | None] = field(default_factory=dict)

    @property
    def front(self) -> list[str]:
        """The models that nobody outdoes in cost, quality and latency at once (the Pareto front), cheapest first."""
        return [row.model for row in self.models if row.on_front]

    def to_csv(self) -> str:
        """One line for each model (RFC 4180); of every interval the estimate, its ends and the observations."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        parts = [f"{name}{end}" for name in _INTERVALS for end in ("", "_low", "_high", "_n")]
        head = ["model", "calls", "succeeded", "usd", "unpriced", "scored"]
        writer.writerow([*head, *parts, "on_front", "dominated_by", "clearly_by"])
        for row in self.models:
            figures: list[object] = []
            for name in _INTERVALS:
                interval: Interval | None = getattr(row, name)
                figures += ["", "", "", 0] if interval is None else list(interval)
            own = [plain_cell(row.model), row.calls, row.succeeded, amount(row.usd), row.unpriced, row.scored]
            front = "" if row.on_front is None else str(row.on_front).lower()
            others = [plain_cell(" ".join(names)) for names in (row.dominated_by, row.clearly_by)]
            writer.writerow([*own, *figures, front, *others])
        return out.getvalue()

    def to_json(self) -> str:
        """Everything as one JSON document; exact dollars as text, estimates as numbers."""
        return json.dumps(self.as_document(), indent=2, ensure_ascii=False)

    def as_document(self) -> JSONObject:
        """What `to_json` writes."""
        return {
            "quality": self.quality,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "where": dict(self.where),
            "front": [*self.front],
            "models": [_document(row) for row in self.models],
        }

    def __str__(self) -> str:
        if not self.models:
            return "nothing is recorded for that time"
        lines = [["model", "calls", "answered", "quality", "usd/call", "p50", "p95", "front"]]
        for row in self.models:
            quality = row.score if self.quality == "score" else row.success_rate
            front = "-" if row.on_front is None else "yes" if row.on_front else f"no: {', '.join(row.dominated_by)}"
            cost = "unknown" if row.usd_per_call is None else _with_ends(row.usd_per_call, "${:.6f}")
            p50, p95 = (_with_ends(each, "{:.2f} s") for each in (row.latency_p50, row.latency_p95))
            lines.append(
                [row.model, str(row.calls), str(row.succeeded), _with_ends(quality, "{:.3f}"), cost, p50, p95, front]
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*table, *self.notes()])

    def notes(self) -> list[str]:
        """What to keep in mind, a sentence each."""
        stand_in = "quality is the success rate: not every model has scores (client.score)"
        notes = [] if self.quality == "score" or not self.models else [stand_in]
        return notes + [f"{row.model}: {warning}" for row in self.models for warning in row.warnings]


def _with_ends(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "-"
    value, low, high = (form.format(part) for part in interval[:3])
    return f"{value} [{low}, {high}]"


def _document(row: ModelBenchmark) -> JSONObject:
    intervals: JSONObject = {}
    for name in _INTERVALS:
        interval: Interval | None = getattr(row, name)
        intervals[name] = None if interval is None else {**interval._asdict()}
    return {
        "model": row.model,
        "calls": row.calls,
        "succeeded": row.succeeded,
        "usd": amount(row.usd),
        "unpriced": row.unpriced,
        "scored": row.scored,
        **intervals,
        "on_front": row.on_front,
        "dominated_by": [*row.dominated_by],
        "clearly_by": [*row.clearly_by],
        "warnings": [*row.warnings],
    }


# -- from the ledger ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Case:
    """One call at one model."""

    usd: Decimal | None = Decimal(0)
    output: int | None = None
    succeeded: bool = False
    latency: float | None = None
    first_token: float | None = None
    score: float | None = None

    def add(self, attempt: Sample) -> None:
        if attempt.cost is None or self.usd is None:
            self.usd = None
        else:
            self.usd = EXACT.add(self.usd, Decimal(attempt.cost))
        if attempt.output is not None:
            self.output = (self.output or 0) + attempt.output
        if attempt.outcome == "success":
            self.succeeded = True
            self.latency, self.first_token = attempt.latency, attempt.first_token
            # What the application judged is what it got.
            self.score = attempt.score


def benchmark(
    ledger: LedgerQueries,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    where: Mapping[str, str | None] | None = None,
) -> Benchmark:
    """Compare the models that answered.

    Args:
        ledger: Where to look.
        since: Aware; only attempts sent at or after it.
        until: Aware; only attempts sent before it.
        where: Values that dimensions must have: a route or a name, so that like is compared with like.

    Raises:
        ConfigurationError: A dimension is unknown, or a time is naive.
        LedgerUnavailable: The ledger cannot be read.
    """
    cases: dict[str, dict[str, _Case]] = defaultdict(lambda: defaultdict(_Case))
    for attempt in ledger.samples(since, until, where=where):
        cases[attempt.model][attempt.call_id].add(attempt)
    by_model = {model: list(found.values()) for model, found in cases.items()}
    rows = [_row(model, found) for model, found in by_model.items()]
    quality = "score" if rows and all(row.score is not None for row in rows) else "success rate"
    _compare(rows, by_model, quality)
    rows.sort(key=lambda row: (math.inf if row.usd_per_call is None else row.usd_per_call.value, row.model))
    return Benchmark(models=rows, quality=quality, since=since, until=until, where=dict(where or {}))


def _row(model: str, cases: list[_Case]) -> ModelBenchmark:
    priced = [case for case in cases if case.usd is not None]
    costs = _costs(cases)
    scores = [case.score for case in cases if case.score is not None]
    latencies = [case.latency for case in cases if case.latency is not None]
    tokens = [first for case in cases if (first := case.first_token) is not None]
    pairs = [(float(case.usd or 0) * 1000, float(case.output)) for case in priced if case.output is not None]
    row = ModelBenchmark(
        model=model,
        calls=len(cases),
        succeeded=sum(case.succeeded for case in cases),
        unpriced=len(cases) - len(priced),
        scored=len(scores),
        score=_within(mean_interval(scores), 1.0),
        usd_per_call=_within(mean_interval(costs)),
        usd_per_1k_output=_within(ratio_interval(pairs)),
        latency_p50=percentile_interval(latencies, 0.5),
        latency_p95=percentile_interval(latencies, 0.95),
        first_token_p50=percentile_interval(tokens, 0.5),
    )
    for case in priced:
        row.usd = EXACT.add(row.usd, case.usd or Decimal(0))
    row.success_rate = wilson(row.succeeded, row.calls)
    row.warnings = tuple(_warnings(row, len(costs)))
    return row


def _costs(cases: Iterable[_Case]) -> list[float]:
    return [float(case.usd) for case in cases if case.usd is not None]


def _within(interval: Interval | None, most: float = math.inf) -> Interval | None:
    """Nothing costs less than nothing, and no score is above 1."""
    if interval is None:
        return None
    return interval._replace(low=max(interval.low, min(0.0, interval.value)), high=min(interval.high, most))


def _warnings(row: ModelBenchmark, priced: int) -> Iterable[str]:
    if row.unpriced:
        yield f"{row.unpriced} of {row.calls} calls have no known price and are left out of its dollars"
    if 0 < priced < ENOUGH:
        yield f"{priced} calls are few: the interval of its cost is too narrow (from {ENOUGH} on it can be relied on)"
    if row.score is not None and row.scored < row.succeeded:
        yield f"{row.scored} of {row.succeeded} answers were judged"


# -- who outdoes whom -----------------------------------------------------------------------------------------------


def _compare(rows: list[ModelBenchmark], cases: Mapping[str, list[_Case]], quality: str) -> None:
    comparable = {row.model: figures for row in rows if (figures := _figures(row, quality)) is not None}
    for row in rows:
        own = comparable.get(row.model)
        if own is None:
            continue
        others = [name for name, figures in comparable.items() if name != row.model and _outdoes(figures, own)]
        row.dominated_by = tuple(sorted(others, key=lambda name: comparable[name][0]))
        row.on_front = not others
        row.clearly_by = tuple(name for name in row.dominated_by if _clearly(row, name, rows, cases, quality))


def _figures(row: ModelBenchmark, quality: str) -> tuple[float, float, float] | None:
    """Dollars, missing quality and seconds: the smaller the better; None where one is not known."""
    good = row.score if quality == "score" else row.success_rate
    if row.usd_per_call is None or good is None or row.latency_p50 is None:
        return None
    return row.usd_per_call.value, -good.value, row.latency_p50.value


def _outdoes(figures: tuple[float, ...], own: tuple[float, ...]) -> bool:
    return figures != own and all(his <= mine for his, mine in zip(figures, own, strict=True))


def _clearly(
    row: ModelBenchmark, name: str, rows: list[ModelBenchmark], cases: Mapping[str, list[_Case]], quality: str
) -> bool:
    other = next(each for each in rows if each.model == name)
    cheaper = welch(_costs(cases[row.model]), _costs(cases[name]))
    if cheaper is None or cheaper.low <= 0:
        return False
    his, mine = (each.score if quality == "score" else each.success_rate for each in (other, row))
    if his is None or mine is None or his.high < mine.low:
        return False
    return other.latency_p50 is None or row.latency_p50 is None or other.latency_p50.low <= row.latency_p50.high
