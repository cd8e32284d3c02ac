"""Compare the price book with other sources, cell by cell; used by `refresh_prices.py`.

A cell is one rate of one model under one set of conditions today. A difference must stand in `price_waivers.toml`,
which says who is right and why; a waiver that nothing needs any more is reported, so that the list stays true.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias

from aistrale.cost.book.rows import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from price_sources import Lane, Models, Table

    from aistrale.cost.book.price_book import PriceBook

Row: TypeAlias = dict[str, Any]

# Published figures are rounded, but not beyond this part of them.
_ROUNDED = Decimal("0.05")


@dataclass(slots=True, frozen=True)
class Cell:
    """One comparison.

    Args:
        source: The other source.
        provider: Whose model.
        model: Its name there.
        column: Conditions and unit: "input", "batch input", "input above 272000".
        ours: Our rate; None where the book has none.
        theirs: Theirs.
    """

    source: str
    provider: str
    model: str
    column: str
    ours: Decimal | None
    theirs: Decimal

    @property
    def equal(self) -> bool:
        """Whether both say the same, or one is the other rounded."""
        return self.ours is not None and (self.ours == self.theirs or is_rounded(self.ours, self.theirs))


def is_rounded(one: Decimal, other: Decimal) -> bool:
    """Whether one is the other, written with fewer digits."""
    places = min(
        -exponent for exponent in (int(one.normalize().as_tuple().exponent), int(other.normalize().as_tuple().exponent))
    )
    unit = Decimal(1).scaleb(-max(places, 0))
    if places <= 0 or abs(one - other) > _ROUNDED * max(one, other):
        return False
    return any(
        one.quantize(unit, rounding) == other.quantize(unit, rounding) for rounding in (ROUND_HALF_UP, ROUND_HALF_EVEN)
    )


def cells(book: PriceBook, source: str, models: Models, as_of: date) -> Iterator[Cell]:
    """Every cell that both have a model for."""
    day = as_of.toordinal() - EPOCH
    for (provider, name), prices in models.items():
        for lane, table in prices.lanes.items():
            found = book.rates(provider, name, dict(lane))
            # Not knowing a model, or its price under conditions, is no difference.
            if isinstance(found, str):
                continue
            now = next(each for each in found if each.start <= day)
            if not now.rates:
                continue
            long = {tier.above: tier.rates for tier in now.tiers}
            word = column_of(lane)
            yield from _row((source, provider, name), word, now.rates, table)
            # A source that keeps no tiers says nothing about them; one that does must have the same limits.
            for limit in sorted({*prices.tiers.get(lane, {}), *(long if source in _KEEP_TIERS.get(lane, ()) else ())}):
                theirs = {**table, **prices.tiers.get(lane, {}).get(limit, {})}
                ours = {**now.rates, **long.get(limit, {})}
                changed = {
                    unit: amount
                    for unit, amount in theirs.items()
                    if limit in prices.tiers.get(lane, {}) or unit in {"input", "output"}
                }
                for each in _row((source, provider, name), word, ours, changed):
                    yield Cell(source, provider, name, f"{each.column} above {limit}", each.ours, each.theirs)


_KEEP_TIERS: Mapping[Lane, tuple[str, ...]] = {(): ("litellm", "model-prices", "metergraph", "occ")}


def column_of(lane: Lane) -> str:
    """Conditions in a word."""
    return " ".join(value for _, value in lane)


def _row(key: tuple[str, str, str], word: str, ours: Mapping[str, Decimal], theirs: Table) -> Iterator[Cell]:
    for unit, amount in theirs.items():
        mine = ours.get(unit)
        # What only they have may be missing for good reason; what both have must be equal.
        if mine is not None:
            yield Cell(*key, f"{word} {unit}".strip(), mine, amount)


def table(every: list[Cell]) -> list[str]:
    """The agreement as lines of a Markdown table: equal/compared cells by source, provider and unit."""
    columns = [
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "web_search",
        "audio/image/video",
        "batch",
        "flex",
        "priority",
        "fast",
        "tiers",
        "other",
    ]
    totals: Counter[tuple[str, str, str]] = Counter()
    same: Counter[tuple[str, str, str]] = Counter()
    names: dict[tuple[str, str], set[str]] = {}
    for each in every:
        key = (each.source, each.provider, group(each.column, columns))
        totals[key] += 1
        same[key] += each.equal
        names.setdefault(key[:2], set()).add(each.model)
    lines = ["| source | provider | names | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 3)]
    for source, provider in sorted(names):
        counts = [
            f"{same[key]}/{totals[key]}" if totals[key := (source, provider, column)] else "-" for column in columns
        ]
        lines.append(f"| {source} | {provider} | {len(names[source, provider])} | " + " | ".join(counts) + " |")
    return lines


def group(column: str, columns: list[str]) -> str:
    """The column of the agreement table that a cell counts in."""
    if " above " in column:
        return "tiers"
    first = column.split(" ", maxsplit=1)[0]
    if first in {"batch", "flex", "priority", "fast"} or first in columns:
        return first
    return "audio/image/video" if first.startswith(("audio", "image", "video")) else "other"


def judged(every: list[Cell], waivers: list[Row]) -> tuple[list[Cell], list[Row]]:
    """The differences that no waiver names, and the waivers that name none."""
    used: set[int] = set()
    left: list[Cell] = []
    for each in every:
        if each.equal:
            continue
        hits = [index for index, waiver in enumerate(waivers) if covers(waiver, each)]
        used.update(hits)
        if not hits:
            left.append(each)
    return left, [waiver for index, waiver in enumerate(waivers) if index not in used]


def covers(waiver: Row, cell: Cell) -> bool:
    """Whether a waiver names a difference."""
    return (
        waiver["provider"] == cell.provider
        and cell.source in waiver["sources"]
        and any(fnmatchcase(cell.model, pattern) for pattern in waiver["models"])
        and any(fnmatchcase(cell.column, pattern) for pattern in waiver["cells"])
    )
