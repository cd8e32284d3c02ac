"""Whether money burns too fast right now: the ledger's last weeks in steps of five minutes, and the rules over them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from aistrale.cost.anomalies.burn_rate import burn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.cost.anomalies.burn_rate import Burn
    from aistrale.store.protocol import LedgerQueries

STEP: Final = 300
"""Seconds of a step: a runaway loop is to be found within a quarter of an hour."""

LEARNED: Final = timedelta(days=21)
"""What is usual is learned from: each weekday three times."""


def burning(
    ledger: LedgerQueries,
    *,
    now: datetime | None = None,
    within: timedelta = timedelta(hours=24),
    budget: float | None = None,
    where: Mapping[str, str | None] | None = None,
) -> list[Burn]:
    """Where spend burned too fast lately.

    Args:
        ledger: Where spend is recorded.
        now: Aware; the present by default.
        within: How long ago an episode may have ended.
        budget: US dollars allowed for a day; None measures against the usual day.
        where: Only attempts with these values, by dimension.

    Returns:
        One for each episode and rule, oldest first; one that still goes on ends with the last step.

    Raises:
        ConfigurationError: `now` has no time zone, or a dimension is unknown.
        LedgerUnavailable: The ledger cannot be read.
    """
    moment = (datetime.now(UTC) if now is None else now).astimezone(UTC)
    first = (moment - LEARNED).replace(hour=0, minute=0, second=0, microsecond=0)
    steps = [0.0] * (int((moment - first).total_seconds()) // STEP + 1)
    spent_from = len(steps)
    for row in ledger.spend(("minute",), since=first, until=moment, where=where):
        if row.key[0] is not None:
            step = int((datetime.fromisoformat(row.key[0]) - first).total_seconds()) // STEP
            steps[step] += float(row.cost)
            spent_from = min(spent_from, step)
    # What lies before the first attempt is not a quiet time: nobody was there.
    steps = steps[spent_from:]
    if not steps:
        return []
    begin = first + timedelta(seconds=STEP * spent_from)
    since = moment - within
    found = burn(steps, STEP, budget=budget, start=begin)
    return [each for each in found if begin + timedelta(seconds=STEP * (each.end + 1)) >= since]
