"""Invoices and usage exports of providers, read into charges: OpenAI, Anthropic, Google Cloud, FOCUS, any CSV."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from aistrale.cost.invoices.cells import Span, amount_of, day_order, decimal_mark, places_of, span_of
from aistrale.cost.invoices.layouts import DETECTED, FORMATS, LAYOUTS, Layout
from aistrale.cost.invoices.table import Table, bad_cell, plain, read_table, unusable
from aistrale.errors import ConfigurationError
from aistrale.store.summary import EXACT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import tzinfo

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.cost.invoices.cells import DayOrder, DecimalMark


_TOOL: Final = re.compile(
    r"\b(web[ _-]?search|file[ _-]?search|code[ _-]?(execution|interpreter)|grounding|google search|google maps|"
    r"vector store|container|tool calls?)\b",
    re.IGNORECASE,
)
_CREDIT: Final = re.compile(r"credit|discount|promotion|refund|free.?tier|coupon|commit", re.IGNORECASE)
_TAX: Final = re.compile(r"\b(tax|vat|gst)\b", re.IGNORECASE)
_ADJUSTMENT: Final = re.compile(r"adjustment|rounding|correction", re.IGNORECASE)
_BATCH: Final = re.compile(r"(?<![a-z])batch(?![a-z])", re.IGNORECASE)
_TOTAL: Final = re.compile(r"\s*(grand |sub ?)?totals?\b", re.IGNORECASE)

# The dollar sign says nothing: Google writes it for any currency, which then stands before the table.
_SIGNS: Final = re.compile(
    r"[\u20ac\u00a3\u00a5\u20b9]|\b(?:USD|EUR|GBP|JPY|INR|AUD|CAD|CHF|CNY|SEK|NOK|DKK|BRL|KRW)\b"
)
_CODES: Final = {"\u20ac": "EUR", "\u00a3": "GBP", "\u00a5": "JPY", "\u20b9": "INR"}


@dataclass(slots=True, frozen=True, kw_only=True)
class Charge:
    """One line of an invoice.

    Args:
        row: Number of its line in the file, from 1.
        days: What it is for.
        label: What was used, in the provider's words; None where the file does not say.
        usd: US dollars; negative for what is given back.
        kind: "usage", "tool", "credit", "tax" or "adjustment".
        batch: Whether it says that it is of a batch.
        places: How many places the amount was written with.
    """

    row: int
    days: Span
    label: str | None
    usd: Decimal
    kind: str = "usage"
    batch: bool = False
    places: int = 2


@dataclass(slots=True, kw_only=True)
class Invoice:
    """What a provider says that it charged.

    Args:
        format: Which layout was read.
        provider: Whose it is; None where the file is about several.
        charges: Its lines.
        free: Whether models stand somewhere within the labels.
        zone: Whose days they are.
        others: Lines that are about other services, and what they add up to.
        priced_by: The label of our price book where the file has tokens only, and we priced them; else None.
        notes: What had to be assumed, a sentence each.
    """

    format: str
    provider: str | None
    charges: list[Charge]
    free: bool = False
    zone: str = "UTC"
    others: tuple[int, Decimal] = (0, Decimal(0))
    priced_by: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True, kw_only=True)
class Reading:
    """How to read a file, where it does not tell.

    Args:
        format: One of FORMATS; None to find out.
        provider: Whose file it is.
        date: The column of the day.
        model: The column of the model.
        amount: The column of the money.
        decimal: What parts fractions: "." or ",".
        day_order: Whether days stand before months in dates like 03/04/2026: "dmy" or "mdy".
        rate: How many units of the file's currency are one US dollar, where it is in another.
        zone: Whose days they are, as an IANA name ("America/Los_Angeles").
    """

    format: str | None = None
    provider: str | None = None
    date: str | None = None
    model: str | None = None
    amount: str | None = None
    decimal: DecimalMark | None = None
    day_order: DayOrder | None = None
    rate: Decimal | None = None
    zone: str | None = None


def read_invoice(data: bytes, how: Reading | None = None, *, book: PriceBook | None = None) -> Invoice:
    """Read the CSV of a provider.

    Args:
        data: The file.
        how: What it does not tell by itself.
        book: Prices what a usage export counts without money; the current ones by default.

    Raises:
        ConfigurationError: It is no such file, or a cell is wrong: the message names its row and column.
    """
    how = how or Reading()
    layouts = [_named(layout, how) for layout in DETECTED if how.format in {None, layout.name}]
    if how.format is not None and not layouts:
        layouts = [_named(layout, how) for layout in LAYOUTS if layout.name == how.format]
    if not layouts:
        raise ConfigurationError(f"no format {how.format!r}; accepted are {', '.join(FORMATS)}.", field="format")
    if how.date or how.amount:
        layouts = layouts[-1:] if how.format is None else layouts
    table = read_table(data, lambda names: any(_fits(layout, names) for layout in layouts))
    names = [plain(column) for column in table.columns]
    layout = next(layout for layout in layouts if _fits(layout, names))
    if not layout.amount:
        from aistrale.cost.invoices.tokens import priced_usage

        return priced_usage(table, layout, how, book)
    return _Reader(table, layout, how).read()


def _named(layout: Layout, how: Reading) -> Layout:
    """The layout with the columns that the caller names; they are needed then."""
    date = layout.date if how.date is None else (plain(how.date),)
    model = layout.model if how.model is None else (plain(how.model),)
    money = layout.amount if how.amount is None else (plain(how.amount),)
    named = [
        columns for columns, said in ((date, how.date), (model, how.model), (money, how.amount)) if said is not None
    ]
    needs = () if how.date is not None and how.amount is not None else layout.needs
    return replace(layout, needs=(*needs, *named), date=date, model=model, amount=money)


def _fits(layout: Layout, names: Collection[str]) -> bool:
    return all(any(name in names for name in group) for group in layout.needs)


def zone_named(name: str) -> tzinfo:
    """A time zone by its IANA name; raises ConfigurationError, field `zone`."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ConfigurationError(
            f"no time zone {name!r} is known here.", field="zone", hint="Names look like America/Los_Angeles; or UTC."
        ) from None


class _Reader:
    """Reads the rows of a table that is laid out in a known way."""

    def __init__(self, table: Table, layout: Layout, how: Reading) -> None:
        self._table, self._layout, self._how = table, layout, how
        self._zone_name = how.zone or layout.zone
        self._zone = zone_named(self._zone_name)
        self._notes = list(table.notes)
        self._date = table.place(*layout.date)
        self._end = table.place(*layout.end)
        self._amount = self._needed(layout.amount)
        self._currency = table.place(*layout.currency)
        texts = [place for name in layout.model if (place := table.place(name)) is not None]
        self._texts = texts if layout.free else texts[:1]
        self._kinds = [place for name in layout.kind if (place := table.place(name)) is not None]
        self._services = [place for name in layout.service if (place := table.place(name)) is not None]
        dates = [*table.cells(self._date)] if self._date is not None else []
        self._order: DayOrder | None = how.day_order or day_order(dates)
        self._mark: DecimalMark = how.decimal or decimal_mark(
            table.cells(self._amount), semicolons=table.delimiter == ";"
        )
        # Many rows have the same few days.
        self._spans: dict[str, Span] = {}
        self._whole: Span | None = None
        self._factor = self._rate()

    def _needed(self, names: Sequence[str]) -> int:
        place = self._table.place(*names)
        if place is None:
            raise unusable(f"there is no column {names[0]!r}")
        return place

    def read(self) -> Invoice:
        """All rows."""
        charges, others, elsewhere = [], 0, Decimal(0)
        for row, cells in self._table.rows:
            amount = self._money(row, cells)
            if amount is None or self._is_total(cells):
                continue
            kind = self._kind(cells, amount)
            if kind in {"usage", "tool"} and not self._is_ours(cells):
                others += 1
                elsewhere = EXACT.add(elsewhere, amount)
                continue
            label = " ".join(text for place in self._texts if (text := cells[place].strip())) or None
            charges.append(
                Charge(
                    row=row, days=self._days(row, cells), label=label, usd=self._usd(amount), kind=kind,
                    batch=any(map(_BATCH.search, cells)), places=places_of(amount),
                )
            )  # fmt: skip
        return Invoice(
            format=self._layout.name,
            provider=self._how.provider or self._layout.provider,
            charges=charges,
            free=self._layout.free,
            zone=self._zone_name,
            others=(others, self._usd(elsewhere)),
            notes=self._notes,
        )

    def _money(self, row: int, cells: Sequence[str]) -> Decimal | None:
        cell = cells[self._amount]
        try:
            return amount_of(cell, self._mark)
        except ValueError as error:
            raise bad_cell(row, self._table.columns[self._amount], str(error), cell) from None

    def _usd(self, amount: Decimal) -> Decimal:
        return amount if self._factor is None else EXACT.divide(amount, self._factor)

    def _is_total(self, cells: Sequence[str]) -> bool:
        """The sum at the foot of a table, which is no charge."""
        if self._date is not None and cells[self._date].strip():
            return _TOTAL.match(cells[self._date]) is not None
        return any(_TOTAL.match(cell) for cell in cells)

    def _is_ours(self, cells: Sequence[str]) -> bool:
        if not self._services or not self._layout.services:
            return True
        words = " ".join(cells[place] for place in (*self._services, *self._texts)).lower()
        return any(word in words for word in self._layout.services)

    def _kind(self, cells: Sequence[str], amount: Decimal) -> str:
        said = " ".join(cells[place] for place in self._kinds)
        text = " ".join(cells[place] for place in self._texts)
        if not self._kinds:
            # Nothing says what it is but its name; what is given back has to be less than nothing.
            said = text if amount < 0 or _TAX.fullmatch(text.strip()) else ""
        for kind, words in (("tax", _TAX), ("credit", _CREDIT), ("adjustment", _ADJUSTMENT)):
            if words.search(said):
                return kind
        return "tool" if _TOOL.search(said) or _TOOL.search(text) else "usage"

    def _days(self, row: int, cells: Sequence[str]) -> Span:
        if self._date is None or not cells[self._date].strip():
            return self._days_of_file(row)
        first = self._span(row, self._date, cells[self._date])
        if self._end is None or not cells[self._end].strip():
            return first
        last = self._span(row, self._end, cells[self._end]).last
        if not self._layout.end_is_last and last > first.first:
            last -= timedelta(days=1)
        return Span(first.first, max(first.first, last))

    def _span(self, row: int, place: int, cell: str) -> Span:
        known = self._spans.get(cell)
        if known is not None:
            return known
        try:
            found = self._spans[cell] = span_of(cell, self._zone, self._order)
        except (ValueError, OverflowError, OSError) as error:
            hint = "Say --day-order dmy or mdy." if "told apart" in str(error) else None
            reason = str(error) if str(error).startswith(("no ", "a ")) else "no date"
            raise bad_cell(row, self._table.columns[place], reason, cell, hint) from None
        return found

    def _days_of_file(self, row: int) -> Span:
        """The month that stands before the table, or all its days; tax and credits have no days of their own."""
        if self._whole is None:
            self._whole = self._days_before() or self._days_within(row)
        return self._whole

    def _days_before(self) -> Span | None:
        for cells in self._table.before:
            if len(cells) > 1 and plain(cells[0]) in {"invoice month", "invoice date"}:
                try:
                    first = span_of(cells[1], self._zone, self._order).first
                except (ValueError, OverflowError, OSError):
                    continue
                return span_of(f"{first:%Y-%m}", self._zone)
        return None

    def _days_within(self, row: int) -> Span:
        place = self._date
        dated = (
            [(line, cells[place]) for line, cells in self._table.rows if cells[place].strip()]
            if place is not None
            else []
        )
        if place is None or not dated:
            raise unusable(f"row {row} has no date, and nothing says which month the file is about")
        spans = [self._span(line, place, cell) for line, cell in dated]
        return Span(min(span.first for span in spans), max(span.last for span in spans))

    def _rate(self) -> Decimal | None:
        """How many units of the file's currency are one US dollar; None for US dollars."""
        stated = {plain(cells[0]): cells[1].strip() for cells in self._table.before if len(cells) > 1}
        found = self._currencies(stated)
        if len(found) > 1:
            rows = ", ".join(f"{code} in row {row}" for code, row in found.items())
            raise unusable(f"the file mixes currencies: {rows}", "Reconcile each currency by itself.")
        code = next(iter(found), "USD")
        if code == "USD":
            return None
        rate = self._how.rate
        if rate is None:
            with suppress(ValueError):
                rate = amount_of(stated.get("currency exchange rate", ""), self._mark)
        if rate is None or rate <= 0:
            raise unusable(
                f"the file is in {code}, the ledger in US dollars", f"Say --rate: how many {code} are one dollar."
            )
        self._notes.append(f"amounts are in {code}, at {rate:f} for one US dollar")
        return rate

    def _currencies(self, stated: dict[str, str]) -> dict[str, int]:
        """The codes of the currencies that the file names, each with the row where it does so first."""
        found: dict[str, int] = {}
        if self._currency is not None:
            for row, cells in self._table.rows:
                code = cells[self._currency].strip().upper()
                if code and cells[self._amount].strip():
                    found.setdefault(code, row)
        elif stated.get("currency"):
            found[stated["currency"].upper()] = 1
        else:
            texts = [
                (1, self._table.columns[self._amount]),
                *((row, cells[self._amount]) for row, cells in self._table.rows),
            ]
            for row, text in texts:
                for sign in _SIGNS.findall(text):
                    found.setdefault(_CODES.get(str(sign), str(sign)), row)
        return found
