"""A newer price book: read from a file or from bytes that were fetched, checked, merged, stored, taken away again.

Two formats are understood. A book of our own replaces the present one. The data that genai-prices publishes is laid
over the present one: it has today's prices and those to come, while what it does not know (history, factors, longer
caches) stays. Models that our own data corrects against it keep the correction.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tempfile
import zlib
from copy import deepcopy
from typing import TYPE_CHECKING, cast

from aistrale.cost.book.check import check_book, written
from aistrale.cost.book.genai import convert
from aistrale.cost.book.price_book import PriceBook, stored_path, unpacked
from aistrale.cost.book.rows import CACHES_OF_TEXT, FACTORS, MEDIA_OF_TEXT, SECONDS
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from aistrale.types import JSON, JSONObject

_HINT = "Give a price book of aistrale, or the data.json (version 2) that genai-prices publishes."


def read_update(content: bytes, present: PriceBook, today: date) -> tuple[PriceBook, list[str]]:
    """Read a newer book.

    Args:
        content: The bytes of a file, compressed or not.
        present: The book that prices published by genai-prices are laid over.
        today: The day of such prices, which name none.

    Returns:
        The checked book, and the models whose corrections were kept against it.

    Raises:
        ConfigurationError: It is in neither format, or has values that cannot be.
    """
    try:
        data: JSON = json.loads(unpacked(content))
    except (ValueError, RecursionError, zlib.error) as error:
        raise ConfigurationError(f"the price data cannot be read ({type(error).__name__}).", hint=_HINT) from None
    if isinstance(data, dict):
        return _book(check_book(data)), []
    merged, kept = lay_over_book(present, data, today)
    return _book(check_book(merged)), kept


def _book(data: JSONObject) -> PriceBook:
    return PriceBook.load(written(data))


def lay_over_book(present: PriceBook, genai: JSON, today: date) -> tuple[JSONObject, list[str]]:
    """Lay the data of genai-prices over a book.

    Returns:
        The data of a new book, and the models that kept a correction which it contradicts.

    Raises:
        ConfigurationError: The data is in another shape.
    """
    if not isinstance(genai, list):
        raise ConfigurationError("the price data is in no known format.", hint=_HINT)
    data = deepcopy(present.data)
    models = cast("list[JSONObject]", data["models"])
    names: dict[str, list[str]] = {}
    index: dict[tuple[str, str], JSONObject] = {}
    for model in models:
        for name in (cast("str", model["id"]), *cast("list[str]", model.get("aliases", []))):
            index[cast("str", model["provider"]), name.lower()] = model
            names.setdefault(cast("str", model["provider"]), []).append(name)
    sources = cast("list[str]", data["sources"])
    sources.append(f"genai-prices, published data read on {today}")
    merge = _Merge(today, len(sources) - 1)
    for theirs in convert(genai, names, today):
        provider = cast("str", theirs["provider"])
        ours = index.get((provider, cast("str", theirs["id"]).lower()))
        if ours is None:
            merge.new(theirs)
            aliases = cast("list[str]", theirs.get("aliases", []))
            theirs["aliases"] = cast("JSON", [name for name in aliases if (provider, name.lower()) not in index])
            models.append(theirs)
            index.update(((provider, name.lower()), theirs) for name in (cast("str", theirs["id"]), *aliases))
        elif not merge.model(ours, theirs):
            merge.kept.append(f"{provider}/{ours['id']}")
    data["as_of"] = today.isoformat()
    return data, merge.kept


class _Merge:
    """Lays periods over periods."""

    def __init__(self, today: date, source: int) -> None:
        self.today = today.isoformat()
        self.origin: JSONObject = {"source": source, "checked_on": self.today}
        self.kept: list[str] = []

    def new(self, theirs: JSONObject) -> None:
        """Say where the prices of a new model come from."""
        backends = cast("dict[str, list[JSONObject]]", theirs.get("backends") or {"": theirs.get("periods", [])})
        for periods in backends.values():
            for period in periods:
                period.update(self.origin)

    def model(self, ours: JSONObject, theirs: JSONObject) -> bool:
        """Merge a model that the book has; False when it has a correction that was kept."""
        if "backends" in theirs and "backends" in ours:
            backends = cast("dict[str, list[JSONObject]]", ours["backends"])
            for backend, periods in cast("dict[str, list[JSONObject]]", theirs["backends"]).items():
                backends[backend] = self.periods(backends.get(backend, []), periods)
            return True
        if "periods" not in theirs or "periods" not in ours:
            return True
        before = cast("list[JSONObject]", ours["periods"])
        after = self.periods(before, cast("list[JSONObject]", theirs["periods"]))
        if after != before and ours.get("corrected"):
            return False
        ours["periods"] = cast("JSON", after)
        return True

    def periods(self, ours: list[JSONObject], theirs: list[JSONObject]) -> list[JSONObject]:
        """The past as the book has it, today and the future as the update has them."""
        past = [each for each in ours if cast("str", each.get("from", "")) <= self.today]
        current = self._last(theirs)
        if current is None:
            return ours
        future = [each for each in theirs if cast("str", each.get("from", "")) > self.today]
        made = past if past and _says(past[-1], current) else [*past, self._after(past, current)]
        for each in future:
            same = next((old for old in ours if old.get("from") == each["from"] and _says(old, each)), None)
            made = [*made, same or {**_laid(made[-1], each), "from": each["from"], **self.origin}]
        return made

    def _last(self, periods: list[JSONObject]) -> JSONObject | None:
        return next((each for each in reversed(periods) if cast("str", each.get("from", "")) <= self.today), None)

    def _after(self, past: list[JSONObject], current: JSONObject) -> JSONObject:
        if not past:
            return {**current, **self.origin}
        start = cast("str", current.get("from", ""))
        # A change whose day is not told, or was before what the book was told, is taken from today on.
        since = start if start > cast("str", past[-1].get("from", past[-1]["checked_on"])) else self.today
        if past[-1].get("from") == since:
            return {**_laid(past.pop(), current), "from": since, **self.origin}
        return {**_laid(past[-1], current), "from": since, **self.origin}


def _says(ours: JSONObject, theirs: JSONObject) -> bool:
    """Whether a period says everything that the other one says."""
    tables = {_condition(each): each for each in cast("list[JSONObject]", ours.get("when", []))}
    pairs = [(ours, theirs)]
    for variant in cast("list[JSONObject]", theirs.get("when", [])):
        own = tables.get(_condition(variant))
        if own is None:
            return False
        pairs.append((own, variant))
    return all(_table_says(one, other) for one, other in pairs)


def _table_says(ours: JSONObject, theirs: JSONObject) -> bool:
    one, other = _tiers(ours), _tiers(theirs)
    return (
        _within(cast("JSONObject", theirs["rates"]), cast("JSONObject", ours["rates"]))
        and one.keys() == other.keys()
        and all(_within(rates, one[limit]) for limit, rates in other.items())
    )


def _within(rates: JSONObject, other: JSONObject) -> bool:
    return all(other.get(unit) == amount for unit, amount in rates.items())


def _condition(variant: JSONObject) -> str:
    return json.dumps(variant["if"], sort_keys=True)


def _tiers(table: JSONObject) -> dict[int, JSONObject]:
    tiers = cast("list[JSONObject]", table.get("above", []))
    return {cast("int", tier["tokens"]): cast("JSONObject", tier["rates"]) for tier in tiers}


def _laid(ours: JSONObject, theirs: JSONObject) -> JSONObject:
    """A period with what the update says; what it does not say is kept where it cannot have moved with the rest."""
    period: JSONObject = {
        key: deepcopy(theirs[key]) for key in ("rates", "above", "when", "web_search_per") if key in theirs
    }
    old, new = cast("JSONObject", ours["rates"]), cast("JSONObject", period["rates"])
    same = all(old.get(unit) == amount for unit, amount in new.items())
    for unit, amount in old.items():
        text = MEDIA_OF_TEXT.get(unit)
        if unit in new:
            continue
        if text is not None and old.get(text) == amount and text in new:
            # It costs what text costs.
            for table in _tables(period):
                if text in table:
                    table.setdefault(unit, table[text])
        elif same or unit in FACTORS or unit in SECONDS or (unit not in CACHES_OF_TEXT and text is None):
            new[unit] = amount
    if same:
        variants = cast("list[JSONObject]", period.get("when", []))
        known = {_condition(each): each for each in cast("list[JSONObject]", ours.get("when", []))}
        every = [_richer(known.pop(_condition(each), each), each) for each in variants]
        if every or known:
            period["when"] = cast("JSON", [*every, *known.values()])
    return period


def _richer(ours: JSONObject, theirs: JSONObject) -> JSONObject:
    """Our rates under a condition where they say all that theirs say, else theirs."""
    return ours if _table_says(ours, theirs) else theirs


def _tables(period: JSONObject) -> list[JSONObject]:
    found: list[JSONObject] = []
    for each in (period, *cast("list[JSONObject]", period.get("when", []))):
        found += [cast("JSONObject", each["rates"]), *_tiers(each).values()]
    return found


def packed(book: PriceBook) -> bytes:
    """A book as a file: the same bytes for the same content."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, buffer, mtime=0) as file:
        file.write(written(book.data))
    return buffer.getvalue()


def store(book: PriceBook) -> Path:
    """Store a book where `price_book()` finds it: whole or not at all.

    Raises:
        ConfigurationError: There is no place for it, or it cannot be written.
    """
    path = _place()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".prices-", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(packed(book))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - the name is a string
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise _unwritable(path, error) from None
    return path


def remove() -> bool:
    """Take the stored book away; False when there was none.

    Raises:
        ConfigurationError: It cannot be removed.
    """
    path = _place()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from None
    return True


def _place() -> Path:
    path = stored_path()
    if path is None:
        raise ConfigurationError("there is no directory for a price book.", hint="Set AISTRALE_HOME.")
    return path


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    reason = error.strerror or type(error).__name__
    return ConfigurationError(f"{path.parent} cannot be written ({reason}).", hint="Set AISTRALE_HOME.")
