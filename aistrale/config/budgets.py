"""The checks of the setting `budgets`: from a list of tables to BudgetSettings."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from aistrale.config.values import (
    Setting,
    check_distinct,
    flag,
    is_off,
    money,
    number,
    optional,
    optional_text,
    record,
    table,
    text,
    whole,
    word,
    wrong,
)
from aistrale.cost.budgets.period import Period, zone_of
from aistrale.cost.budgets.scope import Scope
from aistrale.cost.budgets.settings import BudgetSettings
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_INFINITE = float("inf")
_REQUIRED = ("limit", "period")
_MOST_ALERTS = 20


def check_budgets(name: str, value: Setting) -> tuple[BudgetSettings, ...]:
    """The setting `budgets`: a list of tables or BudgetSettings; None, False and "off" are none.

    Raises:
        ConfigurationError: `field` names what is wrong, as `budgets[0].limit`.
    """
    if is_off(value):
        return ()
    if not isinstance(value, (list, tuple)):
        raise wrong(name, "a list of tables")
    budgets = tuple(_budget(f"{name}[{index}]", item) for index, item in enumerate(value))
    check_distinct(
        name, (budget.title for budget in budgets), hint="Give budgets of the same scope and period names that differ."
    )
    return budgets


def _budget(name: str, value: Setting) -> BudgetSettings:
    if not isinstance(value, BudgetSettings):
        given = table(name, value)
        for required in _REQUIRED:
            if required not in given:
                raise wrong(f"{name}.{required}", "given")
    budget = _read(name, value)
    if isinstance(value, BudgetSettings):
        # Made by hand, its fields have not been looked at.
        budget = replace(budget, limit=money(f"{name}.limit", value.limit))
        _worded(Scope.parse)(f"{name}.scope", value.scope)
        _worded(Period)(f"{name}.period", value.period)
        _zone(f"{name}.timezone", value.timezone)
    if budget.on_unknown == "assume" and budget.assume is None:
        raise wrong(f"{name}.assume", "given where on_unknown is 'assume'")
    return budget


def _worded(parse: Callable[[str], object]) -> Callable[[str, Setting], str]:
    """Text that can be read; the reader says what is accepted."""

    def checked(name: str, value: Setting) -> str:
        found = text(name, value)
        try:
            parse(found)
        except ValueError as error:
            raise wrong(name, str(error)) from None
        return found

    return checked


def _zone(name: str, value: Setting) -> str:
    found = text(name, value)
    try:
        zone_of(found)
    except (LookupError, ValueError, OSError):
        raise ConfigurationError(
            f"{name} must be an IANA time zone as 'Europe/Berlin', or 'UTC'",
            field=name,
            hint="Where the system has no time zones, install the package tzdata.",
        ) from None
    return found


def _alerts(name: str, value: Setting) -> tuple[Decimal, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_ALERTS:
        raise wrong(name, f"a list of at most {_MOST_ALERTS} shares of the limit, as [0.5, 0.8, 1.0]")
    share = number(0, _INFINITE, above=True)
    for index, item in enumerate(value):
        share(f"{name}[{index}]", item)
    return tuple(sorted({Decimal(str(item)) for item in value}))


def _assume(name: str, value: Setting) -> dict[str, Decimal]:
    given = table(name, value)
    if set(given) != {"input", "output"}:
        raise wrong(name, "a table with input and output, US dollars per million tokens")
    return {key: money(f"{name}.{key}", item) for key, item in given.items()}


_read = cast(
    "Callable[[str, Setting], BudgetSettings]",
    record(
        BudgetSettings,
        {
            "limit": money,
            "period": _worded(Period),
            "scope": _worded(Scope.parse),
            "hard": flag,
            "name": optional_text,
            "alerts": _alerts,
            "on_unknown": optional(word("block", "allow", "assume")),
            "assume": optional(_assume),
            "on_unlimited": word("limit", "refuse"),
            "timezone": _zone,
            "wait": optional(number(0, _INFINITE)),
            "output": optional(whole(1)),
        },
    ),
)
