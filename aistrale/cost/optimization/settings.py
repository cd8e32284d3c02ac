"""The setting `optimize`: what may be changed automatically, and how far."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(slots=True, frozen=True, kw_only=True)
class OptimizeSettings:
    """What may be changed automatically, and how far.

    Args:
        compact: Whether prompts lose what carries no meaning, see `aistrale.cost.optimization.compact`.
        models: Models to take instead of others, both written `provider/model`. The share of such a change rises only
            while answers are scored (`client.score`).
        cheaper: Names of routes, or True for all, whose cheapest target may be tried first. Such shares too rise only
            with scores.
        share: Of the calls that a change has at first, above 0.
        max_share: The most it ever has, at most 0.95: some calls must stay as they were, or nobody would know.
        min_quality: A change is taken back when its calls are scored below this share of the scores of the others.
        min_success: And when they succeed less often than in this share of the others' success rate.
        min_calls: Calls of each kind before anything is decided.
    """

    compact: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    cheaper: bool | tuple[str, ...] = False
    share: float = 0.1
    max_share: float = 0.5
    min_quality: float = 0.95
    min_success: float = 0.98
    min_calls: int = 50


def check_optimize(name: str, value: object) -> OptimizeSettings | None:
    """The setting `optimize`: None, False or "off" for nothing, a table, or the object itself.

    Args:
        name: What the setting is called, for the error.
        value: What was set.

    Raises:
        ConfigurationError: A key is unknown or a value is not accepted; the message names both.
    """
    if value is None or value is False or (isinstance(value, str) and value.lower() in {"off", "none", "false"}):
        return None
    if isinstance(value, OptimizeSettings):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if not isinstance(value, dict):
        raise _wrong(name, "a table")
    known = [each.name for each in fields(OptimizeSettings)]
    for key in value:
        if key not in known:
            raise ConfigurationError(
                f"unknown setting {f'{name}.{key}'!r}", field=f"{name}.{key}", hint=f"Known: {', '.join(known)}."
            )
    checked: dict[str, object] = {key: _CHECKS[key](f"{name}.{key}", item) for key, item in value.items()}
    found = OptimizeSettings(**checked)  # type: ignore[arg-type]  # each is checked
    if "max_share" in value and found.max_share < found.share:
        raise _wrong(f"{name}.max_share", f"a number of at least share, {found.share:g}")
    return found


def _wrong(name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: expected {expected}", field=name)


def _flag(name: str, value: object) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if type(value) is not bool:
        raise _wrong(name, "true or false")
    return value


def _models(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise _wrong(name, "a table of names, provider/model to provider/model")
    for old, new in value.items():
        if any("/" not in each.strip("/") for each in (old, new)) or old == new:
            raise _wrong(f"{name}.{old}", "two different models, each written provider/model")
    return dict(value)


def _routes(name: str, value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(each, str) and each for each in names):
        raise _wrong(name, "true, false or a list of routes")
    return tuple(names)


def _part(low: float, high: float) -> Callable[[str, object], float]:
    def checked(name: str, value: object) -> float:
        try:
            found = float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # is caught
        except (TypeError, ValueError):
            found = float("nan")
        if not low < found <= high:
            raise _wrong(name, f"a number above {low:g} and at most {high:g}")
        return found

    return checked


def _count(name: str, value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if type(value) is not int or value < 1:
        raise _wrong(name, "a whole number of at least 1")
    return value


_CHECKS: Final[dict[str, Callable[[str, object], object]]] = {
    "compact": _flag,
    "models": _models,
    "cheaper": _routes,
    "share": _part(0, 0.95),
    "max_share": _part(0, 0.95),
    "min_quality": _part(0, 1),
    "min_success": _part(0, 1),
    "min_calls": _count,
}
