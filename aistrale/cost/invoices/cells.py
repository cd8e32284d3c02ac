"""Cells of invoices: amounts and days as people and providers write them.

How a column writes its numbers and days is decided from all of its cells at once, so that "1,234" and "03/04/2026" are
not guessed at one by one.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

DecimalMark: TypeAlias = Literal[".", ","]
DayOrder: TypeAlias = Literal["dmy", "mdy"]

_MINUS: Final = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2012": "-", "\xa0": " ", "\u202f": " ", "'": "", "\u2019": ""}
)
_CURRENCY: Final = re.compile(
    r"^(?:US\$|[A-Z]{3}|[$\u20ac\u00a3\u00a5])?\s*(.*?)\s*(?:US\$|[A-Z]{3}|[$\u20ac\u00a3\u00a5])?$"
)
_NUMBER: Final = re.compile(r"\d[\d ]*(?:\.\d+)?|\.\d+", re.ASCII)
_POWER: Final = re.compile(r"[eE][+-]?\d{1,3}$", re.ASCII)
_MOST_DIGITS: Final = 60

_EPOCH_TEXT: Final = re.compile(r"\d{9,10}(?:\.\d+)?|\d{12,13}", re.ASCII)
_MONTH: Final = re.compile(r"(\d{4})-?(\d{2})", re.ASCII)
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_SLASHED: Final = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T,].*)?", re.ASCII)
_BIG_FIRST: Final = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:[ T].*)?", re.ASCII)
_ZONE_WORD: Final = re.compile(r" ?(?:UTC|GMT|Z)$", re.ASCII)
_WORDED: Final = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%b %d %Y")


class Span(NamedTuple):
    """Days that a charge is for.

    Args:
        first: The first.
        last: The last one.
    """

    first: date
    last: date


def decimal_mark(cells: Iterable[str], *, semicolons: bool) -> DecimalMark:
    """What parts whole units from fractions in a column of amounts.

    Args:
        cells: The column.
        semicolons: Whether the file parts its columns by semicolons, as programs do where the comma is taken.
    """
    commas = points = False
    for cell in cells:
        text = cell.translate(_MINUS)
        comma, point = text.rfind(","), text.rfind(".")
        if comma >= 0 and point >= 0:
            return "," if comma > point else "."
        for mark, place in ((",", comma), (".", point)):
            if place < 0 or text.count(mark) > 1:
                continue
            behind = len(re.match("[0-9]*", text[place + 1 :])[0])  # type: ignore[index]  # matches always
            # Thousands are parted into threes, and never after a zero.
            if behind != 3 or text[:place].strip(" -+($\u20ac\u00a3") in {"", "0"}:
                commas, points = commas or mark == ",", points or mark == "."
    if commas != points:
        return "," if commas else "."
    return "," if semicolons and not points else "."


def amount_of(cell: str, mark: DecimalMark) -> Decimal | None:
    """An amount; None for an empty cell.

    Currency signs, thousands marks, parentheses and signs before or behind for what is negative are understood.

    Raises:
        ValueError: It is no amount.
    """
    text = cell.translate(_MINUS).strip()
    if not text or text in {"-", "--"}:
        return None
    signs = 0
    if text.startswith("(") and text.endswith(")"):
        text, signs = text[1:-1].strip(), -1
    elif text.endswith("-"):
        text, signs = text[:-1].strip(), -1
    for _ in range(2):
        # The sign may stand before or behind that of the currency.
        if not signs and text[:1] in {"-", "+"}:
            signs = -1 if text[0] == "-" else 1
            text = text[1:].strip()
        text = (_CURRENCY.match(text) or [text, text])[1]
    power = _POWER.search(text)
    digits = text[: power.start()] if power else text
    digits = digits.replace("." if mark == "," else ",", "").replace(",", ".")
    if not _NUMBER.fullmatch(digits) or len(digits) > _MOST_DIGITS:
        raise ValueError("no amount of money")
    try:
        amount = Decimal(digits.replace(" ", "") + (power[0] if power else ""))
    except InvalidOperation:
        raise ValueError("no amount of money") from None
    if abs(amount.adjusted()) > _MOST_DIGITS:
        raise ValueError("no amount of money")
    return -amount if signs < 0 else amount


def places_of(amount: Decimal) -> int:
    """How many places behind the point an amount is written with."""
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def day_order(cells: Iterable[str]) -> DayOrder | None:
    """Whether days stand before months in a column of dates; None where nothing tells, or nothing has to."""
    for cell in cells:
        found = _SLASHED.fullmatch(cell.strip())
        if found is None:
            continue
        if "." in cell.strip()[:6]:
            return "dmy"
        if int(found[1]) > 12:
            return "dmy"
        if int(found[2]) > 12:
            return "mdy"
    return None


def span_of(cell: str, zone: tzinfo, order: DayOrder | None = None) -> Span:
    """The day, or the days of the month, that a cell names.

    Args:
        cell: A date, a time, a month or Unix seconds.
        zone: Whose days are meant where a time says its zone; one without a zone is taken as it stands.
        order: Whether days stand before months in dates like 03/04/2026.

    Raises:
        ValueError: It is none of these, or nothing tells which of the numbers is the month.
    """
    text = cell.strip()
    if _EPOCH_TEXT.fullmatch(text):
        seconds = float(text) / (1000 if len(text.partition(".")[0]) > 10 else 1)
        return _one(datetime.fromtimestamp(seconds, UTC).astimezone(zone).date())
    if found := _MONTH.fullmatch(text):
        first = date(int(found[1]), int(found[2]), 1)
        return Span(first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))
    if found := (_COMPACT.fullmatch(text) or _BIG_FIRST.fullmatch(text)):
        return _one(date(int(found[1]), int(found[2]), int(found[3])))
    if found := _SLASHED.fullmatch(text):
        if order is None:
            raise ValueError("a date in which day and month cannot be told apart")
        day, month = (found[1], found[2]) if order == "dmy" else (found[2], found[1])
        return _one(date(int(found[3]), int(month), int(day)))
    for form in _WORDED:
        try:
            return _one(datetime.strptime(text, form).date())  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return _one(_iso_day(text, zone))


def _iso_day(text: str, zone: tzinfo) -> date:
    utc = _ZONE_WORD.search(text) is not None
    try:
        moment = datetime.fromisoformat(_ZONE_WORD.sub("", text))
    except ValueError:
        raise ValueError("no date") from None
    if utc and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.date() if moment.tzinfo is None else moment.astimezone(zone).date()
    except OverflowError:
        raise ValueError("no date") from None


def _one(day: date) -> Span:
    return Span(day, day)
