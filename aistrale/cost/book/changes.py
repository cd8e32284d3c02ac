"""What two price books say differently, today and of what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from aistrale.cost.book.rows import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.book.rows import BookModel, Rates

# A price that moves by more than this in one update is more likely a mistake than a price.
LARGEST_MOVE = 10


@dataclass(slots=True, frozen=True)
class Change:
    """One difference.

    Args:
        model: `provider/model`, of a router with its backend.
        when: The conditions, as words; empty for the usual price.
        unit: Which rate; None when the whole model, or all its prices under these conditions, came or went.
        above: For rates of long prompts: of more tokens than this.
        before: The rate that was; None when there was none.
        after: The rate that is; None when there is none.
    """

    model: str
    when: str
    unit: str | None
    above: int | None
    before: Decimal | None
    after: Decimal | None

    @property
    def is_large(self) -> bool:
        """Whether it moves a price by more than LARGEST_MOVE times, or to or from nothing."""
        if self.before is None or self.after is None or self.before == self.after:
            return False
        low, high = sorted((self.before, self.after))
        return low * LARGEST_MOVE < high


def changes(old: PriceBook, new: PriceBook, day: date) -> Iterator[Change]:
    """Every difference of the prices that hold on a day, by model, in the order of the new book."""
    known = {_name(model): model for model in old.models()}
    seen: set[str] = set()
    for model in new.models():
        name = _name(model)
        seen.add(name)
        if name not in known:
            yield Change(name, "", None, None, None, Decimal(1))
            continue
        for when in _conditions(known[name], model):
            words = ", ".join(f"{key}={value}" for key, value in when.items())
            before, after = _rates(old, model, when, day), _rates(new, model, when, day)
            if (before is None) != (after is None) and when:
                # An empty table means all of it.
                yield Change(name, words, None, None, *((None, Decimal(1)) if before is None else (Decimal(1), None)))
                continue
            yield from _between(name, words, before, after)
    for name in known:
        if name not in seen:
            yield Change(name, "", None, None, Decimal(1), None)


def _name(model: BookModel) -> str:
    return f"{model.provider}/{model.id}" if model.backend is None else f"{model.provider}/{model.id}:{model.backend}"


def _conditions(*models: BookModel) -> list[Mapping[str, str]]:
    found: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {(): {}}
    for model in models:
        for row in model.rows:
            found.setdefault(tuple(sorted(row.when.items())), row.when)
    return list(found.values())


def _rates(book: PriceBook, model: BookModel, when: Mapping[str, str], day: date) -> Rates | None:
    conditions = dict(when) if model.backend is None else {**when, "inference_provider": model.backend}
    found = book.rates(model.provider, model.id, conditions)
    if isinstance(found, str):
        return None
    number = day.toordinal() - EPOCH
    now = next((rates for rates in found if rates.start <= number), None)
    return now if now is not None and now.rates else None


def _between(name: str, words: str, before: Rates | None, after: Rates | None) -> Iterator[Change]:
    first = _tables(before)
    second = _tables(after)
    for above in sorted(first.keys() | second.keys(), key=lambda limit: limit or 0):
        # A limit that only one of them has is compared with what the other charges at any length.
        one, other = first.get(above, first.get(None, {})), second.get(above, second.get(None, {}))
        for unit in sorted(one.keys() | other.keys()):
            if one.get(unit) != other.get(unit):
                yield Change(name, words, unit, above, one.get(unit), other.get(unit))


def _tables(rates: Rates | None) -> dict[int | None, Mapping[str, Decimal]]:
    if rates is None:
        return {}
    return {None: rates.rates, **{tier.above: tier.rates for tier in rates.tiers}}


def large(found: list[Change]) -> list[Change]:
    """Those that are too large to be taken without being asked for."""
    return [change for change in found if change.is_large]


__all__ = ["LARGEST_MOVE", "Change", "changes", "large"]
