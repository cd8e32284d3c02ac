"""Prices of one's own: what was negotiated, or what the book does not know.

They are settings, laid over the book in their order; the later wins. Rates that are named hold as they stand, at
every length of prompt and, without `when`, for the usual price alone; a discount lowers the listed ones, under every
condition where none is given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

from aistrale.cost.book.rows import ALWAYS, EPOCH, MONEY, UNITS, Rates, Table, Tier
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_ACCEPTED = (
    'Write {"model": "openai/gpt-6-luna", "input": "1.10", "output": "4"}, with "from", "to" (days), "when" '
    '({"service_tier": "batch"}) and "discount" ("0.15" of the listed rates) where needed; "openai/*" means all models.'
)
_WORDS = frozenset({"model", "from", "to", "when", "discount"})
# More than any price; a typing error rather than a rate.
_MOST = Decimal(1_000_000)
_LONGEST = 64


@dataclass(slots=True, frozen=True)
class OwnPrice:
    """A price that the settings give.

    Args:
        provider: Whose model.
        model: The model's name there; `*` in it stands for anything.
        rates: US dollars per unit, as in Rates; what is not named stays as listed.
        start: The first day; None for always.
        end: The last day; None for ever.
        when: The conditions under which it holds.
        discount: What is taken off the listed rates, a fraction.
    """

    provider: str
    model: str
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    start: date | None = None
    end: date | None = None
    when: Mapping[str, str] = field(default_factory=dict)
    discount: Decimal = Decimal(0)

    def means(self, provider: str, names: Collection[str]) -> bool:
        """Whether it is about a model that goes by these names, lower case."""
        return self.provider == provider and any(fnmatchcase(name, self.model.lower()) for name in names)

    def canonical(self) -> list[object]:
        """The same list for the same price."""
        rates = {unit: _plain(self.rates[unit]) for unit in sorted(self.rates)}
        when = {name: self.when[name] for name in sorted(self.when)}
        days = [None if day is None else day.isoformat() for day in (self.start, self.end)]
        return [self.provider, self.model.lower(), rates, *days, when, _plain(self.discount)]


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def own_prices(value: object) -> tuple[OwnPrice, ...]:
    """Check the setting `prices`.

    Args:
        value: A list of mappings: `model` ("provider/model"), rates by their names ("input", "cache_read", ...,
            see `aistrale.cost.book.rows.UNITS`) as text or whole numbers, US dollars per million tokens, thousand
            searches, hour of audio or request; `from` and `to`, days in ISO 8601, UTC, both included; `when`,
            conditions such as {"service_tier": "batch"}; `discount`, a fraction of the listed rates. None is none.

    Returns:
        The prices, in order.

    Raises:
        ConfigurationError: It is something else; the field is named.
    """
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, (list, tuple)):
        raise _wrong("prices", "must be a list of prices")
    return tuple(_own_price(each, f"prices[{index}]") for index, each in enumerate(value))


def _own_price(value: object, where: str) -> OwnPrice:
    if isinstance(value, OwnPrice):
        return value
    if not isinstance(value, dict):
        raise _wrong(where, "must be a mapping")
    unknown = [str(name) for name in value if name not in _WORDS and name not in UNITS]
    if unknown:
        raise _unknown(f"{where}.{unknown[0]}", unknown[0])
    provider, model = _name(value.get("model"), f"{where}.model")
    rates = {unit: _amount(amount, f"{where}.{unit}") for unit, amount in value.items() if unit in UNITS}
    when = _when(value.get("when", {}), f"{where}.when")
    start, end = (_day(value.get(name), f"{where}.{name}") for name in ("from", "to"))
    if start is not None and end is not None and end < start:
        raise _wrong(f"{where}.to", "is before its `from`")
    discount = _amount(value.get("discount", 0), f"{where}.discount")
    if discount > 1:
        raise _wrong(f"{where}.discount", "must be a fraction, from 0 to 1; 0.15 is 15 %")
    if not rates and not discount:
        raise _wrong(where, "names neither a rate nor a discount")
    return OwnPrice(provider, model, rates, start, end, when, discount)


def _name(value: object, where: str) -> tuple[str, str]:
    from aistrale.providers import ALIASES

    provider, slash, model = (value if isinstance(value, str) else "").strip().partition("/")
    if not slash or not provider or not model:
        raise _wrong(where, "must be written provider/model")
    return ALIASES.get(provider.lower(), provider.lower()), model


def _amount(value: object, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)) or len(str(value)) > _LONGEST:
        raise _wrong(where, "must be an amount, best as text")
    try:
        # A float as it is written, not as it is stored.
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        raise _wrong(where, "must be an amount, best as text") from None
    if not amount.is_finite() or amount < 0 or amount > _MOST:
        raise _wrong(where, f"must be from 0 to {_MOST}")
    return abs(amount)


def _day(value: object, where: str) -> date | None:
    if value is None:
        return None
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise _wrong(where, "must be a day, such as 2026-11-01") from None


def _when(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(part, str) and part for pair in value.items() for part in pair
    ):
        raise _wrong(where, "must map conditions to their values")
    return {name: text.lower() for name, text in sorted(cast("dict[str, str]", value).items())}


def _wrong(where: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {what}.", field=where, hint=_ACCEPTED)


def _unknown(where: str, name: str) -> ConfigurationError:
    from difflib import get_close_matches

    near = get_close_matches(name, [*_WORDS, *UNITS], n=2)
    meant = f"; did you mean {' or '.join(near)}?" if near else "."
    return ConfigurationError(f"{where}: unknown{meant}", field=where, hint=_ACCEPTED)


def canonical(own: Sequence[OwnPrice]) -> bytes:
    """The same bytes for the same prices."""
    return json.dumps([each.canonical() for each in own], separators=(",", ":")).encode()


def lay_over(
    listed: tuple[Rates, ...] | str, own: Sequence[OwnPrice], conditions: Mapping[str, str]
) -> tuple[Rates, ...] | str:
    """Lay prices of one's own over what the book lists.

    Args:
        listed: The model's rates under the conditions, the newest first, or why there are none.
        own: The prices about this model, the later wins.
        conditions: What was asked for.

    Returns:
        As `listed`.
    """
    active = [each for each in own if each.when == conditions or (not each.when and (each.discount or not conditions))]
    if not active:
        return listed
    known = () if isinstance(listed, str) else listed
    starts = {each.start for each in known}
    starts.update(_first(each) for each in active)
    starts.update(each.end.toordinal() - EPOCH + 1 for each in active if each.end is not None)
    found = [_at(start, known, active, conditions) for start in sorted(starts, reverse=True)]
    while found and not found[-1].rates:
        found.pop()
    return tuple(found) if found else listed


def _first(own: OwnPrice) -> int:
    return ALWAYS if own.start is None else own.start.toordinal() - EPOCH


def _at(start: int, listed: tuple[Rates, ...], own: Sequence[OwnPrice], conditions: Mapping[str, str]) -> Rates:
    base = next((each for each in listed if each.start <= start), None) or Rates(start, {})
    rates, tiers = dict(base.rates), {tier.above: dict(tier.rates) for tier in base.tiers}
    for each in own:
        if _first(each) > start or (each.end is not None and each.end.toordinal() - EPOCH < start):
            continue
        named = each.rates if each.when == conditions else {}
        for table in (rates, *tiers.values()):
            _change(table, named, each.discount)
    ordered = tuple(Tier(above, table) for above, table in tiers.items())
    return Rates(start, rates, ordered, base.web_search_per)


def _change(table: Table, named: Mapping[str, Decimal], discount: Decimal) -> None:
    if discount:
        for unit in table.keys() & MONEY:
            table[unit] = table[unit] * (1 - discount)
    table.update(named)
