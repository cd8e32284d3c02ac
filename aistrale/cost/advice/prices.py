"""What tokens cost at one model or another, and what a provider's cache of prompts would have saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.store.summary import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.store.records import AttemptRow

# Which rate a bucket is charged at, and which one where there is none of its own: a provider without a cache charges
# what another would have read from it as input.
_UNITS: Final = (
    ("input", "input"),
    ("tool_input", "input"),
    ("cache_read", "cache_read"),
    ("cache_write", "cache_write"),
    ("output", "output"),
    ("reasoning", "output"),
    ("audio_input", "audio_input"),
    ("audio_output", "audio_output"),
    ("image_input", "image_input"),
    ("image_output", "image_output"),
)
BUCKETS: Final = tuple(bucket for bucket, _ in _UNITS)
_INSTEAD: Final = {
    "cache_read": "input", "cache_write": "input", "image_input": "input", "audio_input": "input",
    "image_output": "output", "audio_output": "output",
}  # fmt: skip
# Where providers' prices of long prompts begin, in tokens.
_CUTS: Final = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000)

LIFETIME: Final = 300.0
"""Seconds for which a cached prompt is surely kept: Anthropic's default, and the least that OpenAI's guide names."""

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)")


class Prices(NamedTuple):
    """US dollars per million tokens, for prompts of usual length."""

    input: float
    output: float
    cache_read: float | None
    cache_write: float | None


class Mix:
    """Tokens by the length of their prompts, so that they can be priced at another model."""

    __slots__ = ("calls", "classes")

    def __init__(self) -> None:
        self.calls = 0
        self.classes: dict[int, list[float]] = {}

    def add(self, prompt: int, tokens: Sequence[int]) -> None:
        """Add an exchange."""
        self.calls += 1
        place = sum(prompt > cut for cut in _CUTS) if prompt > _CUTS[0] else 0
        sums = self.classes.get(place)
        if sums is None:
            sums = self.classes[place] = [0.0] * (len(BUCKETS) + 1)
        for index, count in enumerate(tokens):
            if count:
                sums[index] += count
        sums[-1] = max(sums[-1], prompt)

    def merge(self, other: Mix) -> None:
        """Add another one."""
        self.calls += other.calls
        for place, sums in other.classes.items():
            mine = self.classes.setdefault(place, [0.0] * len(sums))
            for index, value in enumerate(sums[:-1]):
                mine[index] += value
            mine[-1] = max(mine[-1], sums[-1])

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return int(max((sums[-1] for sums in self.classes.values()), default=0))

    def tokens(self, bucket: str) -> float:
        """All tokens of a bucket."""
        index = BUCKETS.index(bucket)
        return sum(sums[index] for sums in self.classes.values())

    def cost(
        self,
        book: PriceBook,
        provider: str,
        model: str,
        day: int,
        conditions: Mapping[str, str] | None = None,
        *,
        density: float = 1.0,
        cached: bool = True,
    ) -> float | None:
        """What it would cost, in US dollars; None where there is no price.

        Args:
            book: The prices.
            provider: Of whom.
            model: For which model.
            day: On which day, counted from 1970-01-01 UTC.
            conditions: As in the book.
            density: How many tokens that model's tokenizer makes of one of ours.
            cached: Whether what was read from a cache would be there too.
        """
        total = 0.0
        for sums in self.classes.values():
            table = table_at(book, provider, model, day, conditions, prompt=int(sums[-1] * density))
            if table is None:
                return None
            for (_, unit), count in zip(_UNITS, sums, strict=False):
                if not count:
                    continue
                wanted = unit if cached or not unit.startswith("cache") else "input"
                rate = table.get(wanted, table.get(_INSTEAD.get(wanted, "")))
                if rate is None:
                    return None
                total += count * density * float(rate)
        return total / 1e6


def table_at(
    book: PriceBook,
    provider: str,
    model: str,
    day: int,
    conditions: Mapping[str, str] | None = None,
    *,
    prompt: int = 0,
) -> Mapping[str, Decimal] | None:
    """The rates of a day for prompts of some length; None where there are none."""
    periods = book.rates(provider, model, conditions or {})
    if isinstance(periods, str):
        return None
    rates = next((each for each in periods if each.start <= day), None)
    if rates is None or not rates.rates:
        return None
    return next((tier.rates for tier in rates.tiers if prompt > tier.above), rates.rates)


@dataclass(slots=True)
class Cached:
    """What caching a prefix would have saved: tokens that would have been read, and those that would have been written.

    Args:
        hits: Exchanges within the lifetime of the one before.
        read: Their tokens that were charged as input.
        rewritten: Their tokens that were written to a cache again.
        cold: Exchanges that come first, or too late.
        written: Their tokens that would be written, and were not.
        had: Tokens that were read from a cache.
    """

    hits: int = 0
    read: float = 0.0
    rewritten: float = 0.0
    cold: int = 0
    written: float = 0.0
    had: float = 0.0

    def add(self, row: AttemptRow, tokens: float, *, warm: bool) -> None:
        """Add an exchange with a prefix of so many tokens; it is warm when the cache would still have it."""
        read, wrote = min(row.cache_read or 0, tokens), min(row.cache_write or 0, tokens)
        wrote = min(wrote, tokens - read)
        rest = tokens - read - wrote
        self.had += read
        if warm:
            self.hits += 1
            self.read += rest
            self.rewritten += wrote
        else:
            self.cold += 1
            self.written += rest

    def saving(self, prices: Prices) -> float:
        """US dollars, the premium of writing taken off."""
        if prices.cache_read is None:
            return 0.0
        write = prices.input if prices.cache_write is None else prices.cache_write
        saved = self.read * (prices.input - prices.cache_read) + self.rewritten * (write - prices.cache_read)
        return (saved - self.written * (write - prices.input)) / 1e6


def claude_version(model: str) -> tuple[int, int]:
    """The version in a Claude model's name; a late one where there is none."""
    found = _VERSION.search(model)
    return (5, 0) if found is None else (int(found[1]), int(found[2] or 0))


def least_cached(provider: str, model: str) -> int | None:
    """The fewest tokens of a prompt that a provider caches; None where it has no cache that we know.

    OpenAI, prompt caching guide: 1,024. Anthropic, prompt caching: by model. Google, context caching (2026-10-13):
    2,048 for Gemini 2.5, 4,096 for later ones. Groq, prompt caching: up to 1,024, by model.
    """
    if provider in {"openai", "azure", "groq"}:
        return 1024
    if provider == "gemini":
        return 2048 if "2.5" in model else 4096
    if provider != "anthropic":
        return None
    version = claude_version(model)
    if "haiku" in model and version < (4, 5):
        return 2048
    if version == (4, 7):
        return 2048
    if version in {(4, 5), (4, 6)} and "sonnet" not in model:
        return 4096
    return 512 if version == (5, 0) and "sonnet" not in model and "haiku" not in model else 1024


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which a share of the values lies, interpolated linearly; 0 where there are none."""
    ordered = sorted(values)
    return percentile(ordered, share) if ordered else 0.0
