"""Whether data is a price book: checked before it is stored, since nobody has checked what comes from elsewhere."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn, cast

from aistrale.cost.book.rows import SEARCH_COUNTS, UNITS
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

FORMAT = 1
MODELS = 20_000
ALIASES = 200
PERIODS = 200
CONDITIONS = 50
LONGEST = 200
# More than any rate: a wrong unit rather than a price.
HIGHEST = Decimal(1_000_000)
_RATE = re.compile(r"\d{1,12}(\.\d{1,12})?")


def check_book(data: JSON) -> JSONObject:
    """Check every value of a price book.

    Args:
        data: What was read.

    Returns:
        The same, which is a price book.

    Raises:
        ConfigurationError: It is not one; the place is named.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        _wrong("format", f"is not {FORMAT}, the only one that this version knows")
    _day(data.get("as_of"), "as_of")
    sources = _list(data.get("sources"), "sources", 100)
    for index, source in enumerate(sources):
        _text(source, f"sources[{index}]")
    names: set[tuple[str, str]] = set()
    for index, model in enumerate(_list(data.get("models"), "models", MODELS)):
        where = f"models[{index}]"
        row = _object(model, where)
        provider = _text(row.get("provider"), f"{where}.provider")
        aliases = _list(row.get("aliases", []), f"{where}.aliases", ALIASES)
        for name in [_text(each, f"{where}.id and aliases") for each in (row.get("id"), *aliases)]:
            if (provider, name.lower()) in names:
                _wrong(where, f"names {provider}/{name} a second time")
            names.add((provider, name.lower()))
        if ("periods" in row) == ("backends" in row):
            _wrong(where, "must have either periods or backends")
        backends = _object(row["backends"], where) if "backends" in row else {"": row["periods"]}
        for backend, periods in backends.items():
            _periods(periods, f"{where}.{backend or 'periods'}", len(sources))
    return data


def _periods(value: JSON, where: str, sources: int) -> None:
    last = ""
    for index, each in enumerate(_list(value, where, PERIODS)):
        place = f"{where}[{index}]"
        period = _object(each, place)
        start = _day(period["from"], f"{place}.from") if "from" in period else ""
        if index and start <= last:
            _wrong(f"{place}.from", "is not after that of the period before it")
        last = start
        if "to" in period and (_day(period["to"], f"{place}.to") < start or index + 1 < len(cast("list[JSON]", value))):
            _wrong(f"{place}.to", "is before its beginning, or not in the last period")
        _day(period.get("checked_on"), f"{place}.checked_on")
        for source in (period.get("source"), *_list(period.get("agree", []), f"{place}.agree", sources)):
            if type(source) is not int or not 0 <= source < sources:
                _wrong(place, "names a source that is not in the list")
        if period.get("web_search_per", "call") not in SEARCH_COUNTS:
            _wrong(f"{place}.web_search_per", f"must be one of {', '.join(SEARCH_COUNTS)}")
        _table(period, place)
        for number, variant in enumerate(_list(period.get("when", []), f"{place}.when", CONDITIONS)):
            row = _object(variant, f"{place}.when[{number}]")
            conditions = _object(row.get("if"), f"{place}.when[{number}].if")
            for word in (*conditions, *conditions.values()):
                _text(word, f"{place}.when[{number}].if")
            _table(row, f"{place}.when[{number}]")


def _table(row: JSONObject, where: str) -> None:
    _rates(row.get("rates"), f"{where}.rates")
    for index, each in enumerate(_list(row.get("above", []), f"{where}.above", CONDITIONS)):
        tier = _object(each, f"{where}.above[{index}]")
        if type(tier.get("tokens")) is not int or cast("int", tier["tokens"]) < 0:
            _wrong(f"{where}.above[{index}].tokens", "must be a number of tokens")
        _rates(tier.get("rates"), f"{where}.above[{index}].rates")


def _rates(value: JSON, where: str) -> None:
    for unit, amount in _object(value, where).items():
        if unit not in UNITS:
            _wrong(f"{where}.{unit[:LONGEST]}", "is no unit that this version knows")
        if not isinstance(amount, str) or not _RATE.fullmatch(amount) or Decimal(amount) > HIGHEST:
            _wrong(f"{where}.{unit}", f"must be a decimal as text, from 0 to {HIGHEST}")


def _day(value: JSON, where: str) -> str:
    try:
        return date.fromisoformat(value if isinstance(value, str) else "").isoformat()
    except ValueError:
        _wrong(where, "must be a day, such as 2026-11-27")


def _text(value: JSON, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        _wrong(where, f"must be a text of 1 to {LONGEST} characters")
    return value


def _object(value: JSON, where: str) -> JSONObject:
    if not isinstance(value, dict):
        _wrong(where, "must be an object")
    return value


def _list(value: JSON, where: str, most: int) -> list[JSON]:
    if not isinstance(value, list) or len(value) > most:
        _wrong(where, f"must be a list of at most {most}")
    return value


def _wrong(where: str, what: str) -> NoReturn:
    raise ConfigurationError(f"the price book is not valid: {where} {what}.", field=where)


def written(data: JSONObject) -> bytes:
    """A book as it is stored, uncompressed: the same bytes for the same content."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True).encode()
