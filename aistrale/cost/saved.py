"""What the prompt caches of providers saved: cached tokens priced as if there had been no cache.

For every attempt that read from a cache or wrote to one, the same use is priced three times with the same book, at the
day and under the conditions of the attempt: as it was, with what was read at the rate of fresh input, and with what was
written so as well. What reading saved less what writing cost more is the net saving; it may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.meter import Metered
    from aistrale.store.records import AttemptRow
    from aistrale.types import JSONObject

# What tokens of a cache would have been without it.
_READ: Final = {
    "cache_read": "input",
    "audio_cache_read": "audio_input",
    "image_cache_read": "image_input",
    "video_cache_read": "video_input",
}
_WRITTEN: Final = {"cache_write": "input", "cache_write_1h": "input", "cache_write_12h": "input"}


@dataclass(slots=True, kw_only=True)
class CacheSavings:
    """What prompt caches saved.

    Args:
        reads_usd: US dollars that reading saved: the rate of fresh input less that of cached input.
        writes_usd: US dollars that writing cost more than fresh input.
        read_tokens: Tokens read from caches.
        written_tokens: Tokens written to caches.
        attempts: Attempts that used a cache.
        unpriced: How many of those could not be priced both ways, and are left out of the dollars.
        book: The label of the price book; None where nothing had to be priced.
    """

    reads_usd: Decimal = Decimal(0)
    writes_usd: Decimal = Decimal(0)
    read_tokens: int = 0
    written_tokens: int = 0
    attempts: int = 0
    unpriced: int = 0
    book: str | None = None

    @property
    def usd(self) -> Decimal:
        """US dollars saved in the end; negative where caches were written more than read."""
        return EXACT.subtract(self.reads_usd, self.writes_usd)

    def as_document(self) -> JSONObject:
        """As JSON, money as text."""
        return {
            "usd": amount(self.usd),
            "reads_usd": amount(self.reads_usd),
            "writes_usd": amount(self.writes_usd),
            "read_tokens": self.read_tokens,
            "written_tokens": self.written_tokens,
            "attempts": self.attempts,
            "unpriced": self.unpriced,
            "book": self.book,
        }

    def notes(self) -> list[str]:
        """In words, for people."""
        if not self.attempts:
            return []
        note = (
            f"prompt caches saved ${amount(self.usd)} net (reading saved ${amount(self.reads_usd)}, writing cost "
            f"${amount(self.writes_usd)} more)"
        )
        more = f", without {self.unpriced} attempts that cannot be priced" if self.unpriced else ""
        return [note + more]


def amount(usd: Decimal) -> str:
    """US dollars, exact, without zeros at the end."""
    return f"{usd.normalize(EXACT):f}"


def cache_savings(attempts: Iterable[AttemptRow], book: PriceBook | None = None) -> CacheSavings:
    """What prompt caches saved.

    Args:
        attempts: Those that used a cache; others change nothing.
        book: The prices; the current ones by default.

    Returns:
        With the number of attempts that could not be priced both ways.
    """
    savings = CacheSavings()
    for attempt in attempts:
        if not attempt.cache_read and not attempt.cache_write:
            continue
        if book is None:
            from aistrale.cost.book.price_book import price_book

            book = price_book()
        savings.book = book.label
        savings.attempts += 1
        savings.read_tokens += attempt.cache_read or 0
        savings.written_tokens += attempt.cache_write or 0
        prices = _three_ways(attempt, book)
        if prices is None:
            savings.unpriced += 1
            continue
        as_it_was, nothing_read, no_cache = prices
        savings.reads_usd = EXACT.add(savings.reads_usd, EXACT.subtract(nothing_read, as_it_was))
        savings.writes_usd = EXACT.add(savings.writes_usd, EXACT.subtract(nothing_read, no_cache))
    return savings


def _three_ways(attempt: AttemptRow, book: PriceBook) -> tuple[Decimal, Decimal, Decimal] | None:
    from aistrale.cost.pricing import metered_of, price_metered

    try:
        as_it_was = metered_of(attempt)
    except ValueError:
        return None
    nothing_read = _moved(as_it_was, _READ)
    no_cache = _moved(nothing_read, _WRITTEN)
    for model in dict.fromkeys((attempt.response_model or attempt.model, attempt.model)):
        priced = partial(price_metered, book, attempt.provider, model, at=attempt.at)
        # Most attempts only read, and the same use need not be priced again.
        first = priced(as_it_was).usd
        second = first if nothing_read is as_it_was else priced(nothing_read).usd
        third = second if no_cache is nothing_read else priced(no_cache).usd
        if first is not None and second is not None and third is not None:
            return first, second, third
    return None


def _moved(metered: Metered, words: Mapping[str, str]) -> Metered:
    """The same use with some units counted as others; itself where it has none of them."""
    if not any(unit in words for line in metered.lines for unit in line.units):
        return metered
    lines = []
    for line in metered.lines:
        units: dict[str, int | Decimal] = {}
        for unit, count in line.units.items():
            name = words.get(unit, unit)
            units[name] = units.get(name, 0) + count
        lines.append(replace(line, units=units))
    return replace(metered, lines=tuple(lines))
