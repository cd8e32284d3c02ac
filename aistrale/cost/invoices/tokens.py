"""Usage exports that hold tokens and no money: priced with our own book, so that at least the use can be compared."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.book.price_book import price_book
from aistrale.cost.invoices.cells import Span, span_of
from aistrale.cost.invoices.invoice import Charge, Invoice, Reading, zone_named
from aistrale.cost.invoices.table import Table, bad_cell, unusable
from aistrale.cost.meter import Line, Metered
from aistrale.cost.pricing import price_metered
from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.invoices.layouts import Layout

# Plain names of columns and what they count; OpenAI's input holds its cached part, Anthropic's does not.
_COUNTS: Final = {
    "openai-usage": {
        "input tokens": "input",
        "input cached tokens": "cache_read",
        "output tokens": "output",
        "input audio tokens": "audio_input",
        "output audio tokens": "audio_output",
    },
    "anthropic-usage": {
        "usage input tokens no cache": "input",
        "usage input tokens cache write 5m": "cache_write",
        "usage input tokens cache write 1h": "cache_write_1h",
        "usage input tokens cache read": "cache_read",
        "usage output tokens": "output",
        "web search count": "web_search_calls",
    },
}
_WITHIN: Final = {"openai-usage": {"cache_read": "input", "audio_input": "input", "audio_output": "output"}}
_MOST: Final = 18


def priced_usage(table: Table, layout: Layout, how: Reading, book: PriceBook | None = None) -> Invoice:
    """The rows of a usage export as charges at our prices; raises ConfigurationError for what is no count."""
    book = price_book() if book is None else book
    provider = how.provider or layout.provider or ""
    zone = zone_named(how.zone or layout.zone)
    columns = {unit: place for name, unit in _COUNTS[layout.name].items() if (place := table.place(name)) is not None}
    date, model = table.place(*layout.date), table.place(*layout.model)
    if date is None or model is None:
        raise unusable("there is no column of days or of models")
    batch, tier = table.place("batch"), table.place("service tier")
    charges, unknown = [], defaultdict[str, int](int)
    for row, cells in table.rows:
        units = _units(table, row, cells, columns)
        for part, whole in _WITHIN.get(layout.name, {}).items():
            units[whole] = max(0, units.get(whole, 0) - units.get(part, 0))
        if not any(units.values()):
            continue
        conditions = _conditions(cells, batch, tier)
        days = _days(table, row, cells, date, zone)
        metered = Metered((Line(None, None, dict(units)),), conditions)
        noon = days.first.toordinal() * 86_400 - _EPOCH + 43_200
        usd = price_metered(book, provider, cells[model].strip(), metered, float(noon)).usd
        if usd is None:
            unknown[cells[model].strip()] += 1
            continue
        label = cells[model].strip()
        charges.append(Charge(row=row, days=days, label=label, usd=EXACT.plus(usd), batch="processing" in conditions))
    notes = [*table.notes, f"the file has tokens and no money: they are priced with our book {book.label}"]
    notes += [f"{count} rows of {name} have no known price and are left out" for name, count in unknown.items()]
    return Invoice(
        format=layout.name, provider=provider, charges=charges, zone=how.zone or layout.zone, priced_by=book.label,
        notes=notes, others=(0, Decimal(0)),
    )  # fmt: skip


_EPOCH: Final = 719_163 * 86_400


def _units(table: Table, row: int, cells: Sequence[str], columns: dict[str, int]) -> dict[str, int | Decimal]:
    units: dict[str, int | Decimal] = {}
    for unit, place in columns.items():
        text = cells[place].replace(",", "").strip()
        whole = text.partition(".")[0] if text.partition(".")[2].strip("0") == "" else text
        if text and (not whole.isascii() or not whole.isdigit() or len(whole) > _MOST):
            raise bad_cell(row, table.columns[place], "no number of tokens", cells[place])
        units[unit] = int(whole) if text else 0
    return units


def _days(table: Table, row: int, cells: Sequence[str], place: int, zone: object) -> Span:
    try:
        return span_of(cells[place], zone)  # type: ignore[arg-type]  # made by zone_named
    except (ValueError, OverflowError, OSError):
        raise bad_cell(row, table.columns[place], "no date", cells[place]) from None


def _conditions(cells: Sequence[str], batch: int | None, tier: int | None) -> dict[str, str]:
    if batch is not None and cells[batch].strip().lower() in {"true", "1", "yes"}:
        return {"processing": "batch"}
    said = cells[tier].strip().lower() if tier is not None else ""
    return {} if said in {"", "default", "standard", "auto"} else {"service_tier": said}
