"""Reading a table of a scenario: every value checked, every error with the path of its field, nothing passed over."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from aistrale.config.values import number, table, unknown_key, word, wrong
from aistrale.simulation.distributions import Constant, Distribution, Empirical, Exponential, Lognormal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
D = TypeVar("D")

not_negative: Final = number(0.0, inf)
positive: Final = number(0.0, inf, above=True)
share: Final = number(0.0, 1.0, above=True)
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "exponential": ("mean",),
    "lognormal": ("median", "p99"),
    "empirical": ("values",),
}


class Reader:
    """One table; what has not been asked for when `close` is called is unknown.

    Args:
        value: The raw table.
        path: Where it stands, for errors.
    """

    def __init__(self, value: object, path: str) -> None:
        self._table = table(path, value)
        self._asked: dict[str, None] = {}
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}"

    def need(self, key: str, check: Callable[[str, object], T]) -> T:
        """The value of a field that must be there."""
        self._asked[key] = None
        return check(self.at(key), self._table.get(key))

    def get(self, key: str, check: Callable[[str, object], T], default: D) -> T | D:
        """The value of a field, or the default where it is absent."""
        return self.need(key, check) if key in self._table else self._absent(key, default)

    def _absent(self, key: str, default: D) -> D:
        self._asked[key] = None
        return default

    def table(self, key: str) -> Reader | None:
        """A table inside this one; None when absent."""
        return self.get(key, lambda path, value: Reader(value, path), None)

    def rows(self, key: str) -> list[Reader]:
        """A list of tables; empty when absent."""
        return self.get(key, _rows, [])

    def close(self) -> None:
        """Every field has been asked for. Raises ConfigurationError when there are others."""
        for key in self._table:
            if key not in self._asked:
                raise unknown_key(self.at(key), [self.at(known) for known in self._asked], "field")


def _rows(path: str, value: object) -> list[Reader]:
    if not isinstance(value, list):
        raise wrong(path, "a list of tables")
    return [Reader(row, f"{path}[{index}]") for index, row in enumerate(value)]


def distribution(path: str, value: object) -> Distribution:
    """Durations: a number of seconds, or a table whose `kind` names a distribution."""
    if not isinstance(value, dict):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong(path, f"a number of seconds, or a table whose kind is one of {', '.join(map(repr, _FIELDS))}")
        return Constant(not_negative(path, value))
    reader = Reader(value, path)
    kind = reader.need("kind", word(*_FIELDS))
    made: Distribution
    if kind == "lognormal":
        made = Lognormal(reader.need("median", positive), reader.need("p99", positive))
        if made.p99 < made.median:
            raise wrong(reader.at("p99"), "at least the median")
    elif kind == "exponential":
        made = Exponential(reader.need("mean", positive))
    elif kind == "empirical":
        made = Empirical(reader.need("values", _values))
    else:
        made = Constant(reader.need("value", not_negative))
    reader.close()
    return made


def _values(path: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not value:
        raise wrong(path, "a list of numbers of seconds")
    return tuple(not_negative(f"{path}[{index}]", item) for index, item in enumerate(value))
