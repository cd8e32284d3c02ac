"""Reads the addresses of sinks: `scheme:place?option=value&option=value`.

What is wrong is told by the name of the option and never by its value, which may be a key in the wrong place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl

from aistrale.errors import ConfigurationError
from aistrale.telemetry.events import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_YES: Final = frozenset({"1", "true", "yes", "on", ""})
_NO: Final = frozenset({"0", "false", "no", "off"})
_UNITS: Final = {"kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def wrong(message: str, hint: str | None = None) -> ConfigurationError:
    """The error for an address or an argument of a sink that is not what it should be."""
    return ConfigurationError(f"sinks: {message}", field="sinks", hint=hint)


def read_address(url: str, options: Mapping[str, Callable[[str, str], object]]) -> tuple[str, dict[str, object]]:
    """An address in its parts.

    Args:
        url: The address, its scheme included.
        options: Those that may stand behind the question mark, each with what reads it of its name and its text.

    Returns:
        What stands between the scheme and the options, and the options that are there.

    Raises:
        ConfigurationError: An option is not known, is there twice, or is not what it should be.
    """
    place, asked, query = url.partition("?")
    scheme, _, rest = place.partition(":")
    found: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True) if asked else ():
        read = options.get(name)
        if read is None:
            known = f"Known: {', '.join(sorted(options))}." if options else "It has none."
            raise wrong(f"{scheme} has no option of that name", known)
        if name in found:
            raise wrong(f"{scheme}: {name} is there twice")
        found[name] = read(name, text)
    return rest.strip(), found


def flag(name: str, text: str) -> bool:
    """True or false; true where nothing is said but the name."""
    if text.lower() not in _YES | _NO:
        raise wrong(f"{name} must be true or false")
    return text.lower() in _YES


def whole(name: str, text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise wrong(f"{name} must be a whole number") from None


def size(name: str, text: str) -> int:
    """A number of bytes: `5000000`, `5MB`, `5MiB`."""
    plain = text.strip().lower()
    unit = next((unit for unit in _UNITS if plain.endswith(unit)), "")
    try:
        return round(float(plain.removesuffix(unit)) * _UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        raise wrong(f"{name} must be a number of bytes, such as 5000000 or 5MB") from None


def word(name: str, text: str) -> str:
    """Text that is not empty."""
    if not text.strip():
        raise wrong(f"{name} must not be empty")
    return text.strip()


def kinds(name: str, text: str) -> frozenset[str]:
    """Kinds of events, with commas or blanks between them (`+` in an address)."""
    return checked_kinds(text.replace(",", " ").split(), name)


def checked_kinds(said: object, name: str = "kinds") -> frozenset[str]:
    """Kinds of events, as a constructor takes them.

    Raises:
        ConfigurationError: There is none, or there is no such kind.
    """
    if not isinstance(said, (list, tuple, set, frozenset)) or not said:
        raise wrong(f"{name} must be kinds of events", f"Known: {', '.join(sorted(EVENTS))}.")
    for kind in said:
        if not isinstance(kind, str) or kind not in EVENTS:
            raise wrong(f"{name}: there is no such kind of event", f"Known: {', '.join(sorted(EVENTS))}.")
    return frozenset(said)
