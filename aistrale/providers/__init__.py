"""Who answers: one provider a module, loaded by name at first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from aistrale.providers.base import Provider

PROVIDERS = ("openai", "anthropic", "gemini", "groq", "huggingface")
ALIASES = {"google": "gemini", "hf": "huggingface"}
ENTRY_POINTS = "aistrale.providers"

_loaded: dict[str, Provider] = {}


def get_provider(name: str) -> Provider:
    """The provider of that name.

    Built-in names are found first; any other is looked for among the entry points of the group
    `aistrale.providers` (each names a Provider, or a function without arguments that gives one).

    Args:
        name: A name of PROVIDERS, an alias (`google`, `hf`), or an entry point's name.

    Raises:
        ConfigurationError: Nobody has that name, or its entry point gives no Provider.
    """
    known = ALIASES.get(name, name)
    found = _loaded.get(known)
    if found is None:
        found = _builtin(known) if known in PROVIDERS else _outside(known)
        _loaded[known] = found
    return found


def is_provider(name: str) -> bool:
    """Whether get_provider would find it; asks the entry points only for names that are not built in."""
    known = ALIASES.get(name, name)
    return known in PROVIDERS or known in _loaded or known in _entry_points()


def _builtin(name: str) -> Provider:
    provider: Provider = import_module(f"aistrale.providers.{name}").PROVIDER
    return provider


@cache
def _entry_points() -> dict[str, EntryPoint]:
    # Reading the metadata of every installed distribution takes milliseconds, hence late and once.
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _outside(name: str) -> Provider:
    from aistrale.providers.base import Provider

    points = _entry_points()
    point = points.get(name)
    if point is None:
        raise unknown_provider(name, [*PROVIDERS, *points])
    try:
        made = point.load()
        made = made if isinstance(made, Provider) else made()
    except Exception as error:
        raise ConfigurationError(
            f"The provider {name!r} could not be loaded from {point.value!r}: {type(error).__name__}",
            field="provider",
            provider=name,
        ) from error
    if not isinstance(made, Provider):
        raise ConfigurationError(
            f"The entry point {point.value!r} gave {type(made).__name__} instead of a Provider",
            field="provider",
            provider=name,
        )
    return made


def unknown_provider(name: str, known: list[str], field: str = "provider") -> ConfigurationError:
    """The error for a provider's name that nobody has, with the names that come close."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    meant = f"Did you mean {' or '.join(near)}?" if near else "Any other server: aistrale.providers.openai_compatible."
    return ConfigurationError(
        f"{field}: no provider is called {name!r}; known: {', '.join(dict.fromkeys(known))}",
        field=field,
        hint=meant,
    )
