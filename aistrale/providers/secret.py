"""A key that cannot be shown by accident."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NoReturn, Self

from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.providers.base import Provider


class Secret:
    """Holds a key or token; only `reveal()` gives it out.

    `repr`, `str`, format strings, logs and tracebacks show a placeholder. Copying gives the same object back;
    pickling is refused, because a pickle is a file or a message to another process. Two secrets compare in
    constant time.

    Args:
        value: The key.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself. Call it where the request's headers are built, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Secret cannot be pickled: it would write the key into a file or a message. "
            "Let the other process read its own key from the environment."
        )


def as_secret(value: object, *, field: str, provider: str | None = None) -> Secret:
    """Check a key that was given in a setting or the environment.

    White space around it is removed, since keys are pasted and read from files.

    Args:
        value: The key: text, or a Secret, which is taken as it is.
        field: Where it came from, for the error: `providers.openai.api_key` or `OPENAI_API_KEY`.
        provider: The provider's name, for the error.

    Raises:
        ConfigurationError: It is no text, is empty, or has characters that cannot stand in an HTTP header.
    """
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ConfigurationError(f"{field} must be text", field=field, provider=provider)
    text = value.strip()
    if not text:
        raise ConfigurationError(
            f"{field} is empty",
            field=field,
            provider=provider,
            hint="Give the key, or leave the setting out.",
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"{field} has a character that cannot stand in an HTTP header",
            field=field,
            provider=provider,
            hint="Copy the key again: a line break, a space or a typographic character slipped in.",
        )
    return Secret(text)


def find_key(provider: Provider, environ: Mapping[str, str], configured: str | Secret | None = None) -> Secret | None:
    """The key to use: the setting, else the first environment variable that is set, else a saved login.

    Args:
        provider: Whose key.
        environ: The environment; `os.environ` in production.
        configured: What the settings say (`providers={"openai": {"api_key": ...}}`).

    Returns:
        The key, or None when there is none.

    Raises:
        ConfigurationError: A key was found and cannot be one (see as_secret).
    """
    if configured is not None:
        return as_secret(configured, field=f"providers.{provider.name}.api_key", provider=provider.name)
    for name in provider.env_keys:
        value = environ.get(name, "")
        if value.strip():
            return as_secret(value, field=name, provider=provider.name)
    saved = provider.saved_key(environ)
    return as_secret(saved, field=f"saved login of {provider.name}", provider=provider.name) if saved else None


def require_key(
    provider: Provider, environ: Mapping[str, str], configured: str | Secret | None = None
) -> Secret | None:
    """As find_key, but a missing key of a provider that needs one is an error.

    Raises:
        ConfigurationError: There is no key; the hint says which variable to set and where to get one.
    """
    key = find_key(provider, environ, configured)
    if key is None and provider.needs_key:
        raise ConfigurationError(
            f"No API key for {provider.name}",
            field=f"providers.{provider.name}.api_key",
            provider=provider.name,
            hint=key_hint(provider),
        )
    return key


def key_hint(provider: Provider) -> str:
    """One sentence that says how to give the provider its key."""
    where = f" {provider.key_hint}" if provider.key_hint else ""
    if not provider.env_keys:
        return f"Set api_key in the settings of {provider.name}.{where}"
    names = " or ".join(provider.env_keys)
    return f"Set {names}, or api_key in the settings of {provider.name}.{where}"
