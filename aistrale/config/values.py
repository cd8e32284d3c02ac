"""Checks of what users write in settings: each takes a name and a raw value, and names it when it is wrong.

They are written by hand, because a validation library would cost more than the first call; see the package.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Setting: TypeAlias = object
"""A raw value from a keyword, the environment or a file."""

T = TypeVar("T")
Check: TypeAlias = "Callable[[str, Setting], object]"

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def wrong(name: str, expected: str) -> ConfigurationError:
    """The error for a value that is not what it should be."""
    # The value is not repeated: it may be a key in the wrong place.
    return ConfigurationError(f"{name} must be {expected}", field=name)


def text(name: str, value: Setting) -> str:
    """Text that is not empty, without the space around it."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(name, "non-empty text")
    return value.strip()


def optional_text(name: str, value: Setting) -> str | None:
    """Text, or None."""
    return None if value is None else text(name, value)


def word(*accepted: str) -> Callable[[str, Setting], str]:
    """One of these words."""

    def checked(name: str, value: Setting) -> str:
        if value not in accepted:
            raise wrong(name, f"one of {', '.join(map(repr, accepted))}")
        return str(value)

    return checked


def flag(name: str, value: Setting) -> bool:
    """True or false, also in the words of an environment variable."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise wrong(name, "true or false")


def flag_or_path(name: str, value: Setting) -> bool | str:
    """True, false, or a path that exists."""
    if isinstance(value, str) and value.lower() not in _TRUE | _FALSE:
        if not Path(value).exists():
            raise wrong(name, "true, false or the path of an existing CA bundle")
        return value
    return flag(name, value)


def seconds(name: str, value: Setting) -> float | None:
    """A positive number of seconds, or None for no limit."""
    if value is None or (isinstance(value, str) and value.lower() in {"none", "off"}):
        return None
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # TypeError is caught
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < float("inf"):
        raise wrong(name, "a positive number of seconds, or none")
    return number


def table(name: str, value: Setting) -> dict[str, Setting]:
    """A table with text keys."""
    if not isinstance(value, dict) or any(not isinstance(key, str) for key in value):
        raise wrong(name, "a table")
    return cast("dict[str, Setting]", value)


def number(low: float, high: float, *, above: bool = False) -> Callable[[str, Setting], float]:
    """A number of a range.

    Args:
        low: The least that is accepted.
        high: The most that is accepted; `inf` for no end.
        above: Whether it must be more than `low`.
    """
    expected = f"a number {'above' if above else 'of at least'} {low:g}" + (
        f" and at most {high:g}" if high < float("inf") else ""
    )

    def checked(name: str, value: Setting) -> float:
        try:
            found = float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # is caught
        except (TypeError, ValueError):
            found = float("nan")
        if not low <= found <= high or found == float("inf") or (above and found == low):
            raise wrong(name, expected)
        return found

    return checked


def whole(low: int, high: int | None = None) -> Callable[[str, Setting], int]:
    """A whole number of a range."""
    expected = f"a whole number of at least {low}" + (f" and at most {high}" if high is not None else "")

    def checked(name: str, value: Setting) -> int:
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            value = int(value)
        if type(value) is not int or value < low or (high is not None and value > high):
            raise wrong(name, expected)
        return value

    return checked


def optional(check: Check) -> Check:
    """What the check accepts, or None."""
    return lambda name, value: None if value is None else check(name, value)


def words(*accepted: str) -> Callable[[str, Setting], tuple[str, ...]]:
    """A list of these words, without repetitions."""

    def checked(name: str, value: Setting) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or len(set(value)) != len(value):
            raise wrong(name, f"a list of {', '.join(map(repr, accepted))}, without repetitions")
        one = word(*accepted)
        return tuple(one(f"{name}[{index}]", item) for index, item in enumerate(value))

    return checked


def function(name: str, value: Setting) -> Setting:
    """Something that can be called."""
    if not callable(value):
        raise wrong(name, "a function")
    return value


def record(kind: type[T], checks: Mapping[str, Check]) -> Callable[[str, Setting], T]:
    """A settings object of this dataclass, or a table with its fields.

    Args:
        kind: The dataclass; a field without a default must have been seen to be there.
        checks: One check per field that may be set.
    """

    def checked(name: str, value: Setting) -> T:
        if isinstance(value, kind):
            return value
        found = table(name, value)
        for key in found:
            if key not in checks:
                raise unknown_key(f"{name}.{key}", [f"{name}.{entry}" for entry in checks])
        return kind(**{key: checks[key](f"{name}.{key}", item) for key, item in found.items()})

    missing = {item.name for item in fields(kind) if item.init} ^ set(checks)  # type: ignore[arg-type]  # a dataclass, see above
    if missing:
        raise TypeError(f"checks of {kind.__name__} and its fields differ: {', '.join(sorted(missing))}")
    return checked


def unknown_key(name: str, known: list[str], where: str = "setting") -> ConfigurationError:
    """The error for a name that nothing reads, with the names that come close."""
    near = get_close_matches(name, known, n=2)
    meant = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known) or 'none'}."
    return ConfigurationError(f"unknown {where} {name!r}", field=name, hint=meant)


def is_off(value: Setting) -> bool:
    """Whether a value switches something off: None, False, or a word for it."""
    return value is None or value is False or (isinstance(value, str) and value.lower() in {"off", "none", "false"})


def money(name: str, value: Setting) -> Decimal:
    """US dollars, at least 0. Raises ConfigurationError."""
    # A float is no amount of money; its shortest decimal form is what was meant.
    try:
        amount = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise wrong(name, "an amount of US dollars, at least 0")
    return amount


def check_distinct(name: str, titles: Iterable[str], hint: str) -> None:
    """Check that no two items of a list have the same name. Raises ConfigurationError."""
    seen: dict[str, int] = {}
    for index, title in enumerate(titles):
        first = seen.setdefault(title, index)
        if first != index:
            raise ConfigurationError(
                f"{name}[{index}].name: {title!r} is {name}[{first}] already", field=f"{name}[{index}].name", hint=hint
            )
