"""Advice: what could be changed to pay less, read from the ledger alone, each piece with its evidence.

A rule looks at one use of a model (a route, a name, a model) and speaks only where it has seen enough calls and where
there is something to gain; a new rule is a function in one of the `advice_*` modules and a line in `RULES`. The rules
know sizes, times, costs and fingerprints, and no content: what they cannot know stands among their caveats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.cost.advice.caching import broken, unused
from aistrale.cost.advice.facts import gather
from aistrale.cost.advice.models import cheaper
from aistrale.cost.advice.prompts import histories, limits, thinking, twins
from aistrale.cost.advice.timing import batch, flex, retries
from aistrale.cost.advice.types import Advice, Situation, Total, total

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from aistrale.cost.advice.types import Rule
    from aistrale.cost.book.price_book import PriceBook
    from aistrale.store.protocol import Exchange

__all__ = ["RULES", "Advice", "Total", "advise", "total"]

_DAY: Final = 86_400.0
_LEAST_USD: Final = 1.0

RULES: Final[dict[str, Rule]] = {
    "cheaper_model": cheaper,
    "prompt_caching": unused,
    "cache_breaking": broken,
    "long_history": histories,
    "oversized_max_tokens": limits,
    "wasted_attempts": retries,
    "batch": batch,
    "service_tier": flex,
    "thinking": thinking,
    "repeated_calls": twins,
}
"""The rules, by the names that advice carries."""


def advise(
    exchanges: Iterable[Exchange],
    book: PriceBook,
    *,
    now: datetime,
    days: float,
    least: Decimal | float = _LEAST_USD,
) -> list[Advice]:
    """What could be changed to pay less.

    Takes some 15 microseconds for an exchange, beside what reading it takes.

    Args:
        exchanges: Settled attempts, the oldest first, as `LedgerQueries.exchanges` gives them.
        book: The prices; both what is paid and what would be are computed with those of today.
        now: The present, aware.
        days: How many days the exchanges were asked for. A ledger that is younger counts from its first exchange, at
            least one day.
        least: The least saving that is worth a word, US dollars in 30 days. Advice that saves nothing directly
            (`oversized_max_tokens`) is given all the same, at the end.

    Returns:
        The largest savings first. They overlap where they concern the same calls: `total` says what all of it comes to.

    Raises:
        ValueError: `now` has no time zone, or `days` is not positive.
    """
    if now.tzinfo is None:
        raise ValueError("now: a time with a time zone is needed, for example datetime.now(UTC)")
    if not days > 0:
        raise ValueError("days must be positive")
    moment = now.timestamp()
    day = int(moment // _DAY)
    ledger = gather(exchanges, book, day)
    if ledger.first is None:
        return []
    covered = min(days, max((moment - ledger.first) / _DAY, 1.0))
    situation = Situation(ledger, book, now, day, covered, float(least))
    found = [each for facts in ledger.uses.values() for rule in RULES.values() for each in rule(facts, situation)]
    return sorted(found, key=lambda each: (-each.saving, -each.high, each.rule, each.provider, each.model))
