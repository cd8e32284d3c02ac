"""The checks of the setting `privacy`: from a word or a table to PrivacySettings and its rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from aistrale.config.values import (
    Setting,
    flag,
    is_off,
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
from aistrale.errors import ConfigurationError
from aistrale.privacy.dlp import ACTIONS, DIRECTIONS, Rule
from aistrale.privacy.settings import MODES, PrivacySettings
from aistrale.providers.secret import as_secret

if TYPE_CHECKING:
    from aistrale.privacy.recognizer import Recognizer


def read_privacy(name: str, value: Setting) -> PrivacySettings | None:
    """The setting `privacy`: "off", "redact", a table, or the object itself."""
    if is_off(value):
        return None
    if value is True or (isinstance(value, str) and value.lower() in {"redact", "on", "true"}):
        return PrivacySettings()
    if isinstance(value, str):
        raise wrong(name, "'off', 'redact' or a table")
    return _settings(name, value)


def with_key(value: Setting, key: str) -> Setting:
    """The raw setting with the key of the environment, where it is on and has none of its own."""
    if isinstance(value, PrivacySettings):
        return value if value.key is not None else replace(value, key=as_secret(key, field="AISTRALE_PRIVACY_KEY"))
    if isinstance(value, dict):
        return {"key": key, **value}
    return {"key": key} if read_privacy("privacy", value) is not None else value


def _texts(name: str, value: Setting) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise wrong(name, "a list of texts")
    return tuple(text(f"{name}[{index}]", item) for index, item in enumerate(given))


def _types(name: str, value: Setting) -> frozenset[str]:
    return frozenset(_texts(name, value))


def _modes(name: str, value: Setting) -> dict[str, str]:
    return {kind: word(*MODES)(f"{name}.{kind}", mode) for kind, mode in table(name, value).items()}


def _list(name: str, value: Setting) -> list[Setting]:
    if not isinstance(value, (list, tuple)):
        raise wrong(name, "a list")
    return list(value)


def _recognizers(name: str, value: Setting) -> tuple[Recognizer, ...]:
    return tuple(
        each for index, item in enumerate(_list(name, value)) for each in _recognizer(f"{name}[{index}]", item)
    )


def _recognizer(name: str, value: Setting) -> tuple[Recognizer, ...]:
    """An object, a table, or the name of what an installed package offers, which may be several."""
    from aistrale.privacy.custom import installed_recognizers, read_recognizer

    if isinstance(value, str):
        return installed_recognizers(text(name, value))
    if isinstance(value, dict):
        return (read_recognizer(name, table(name, value)),)
    if isinstance(value, type) or not callable(getattr(value, "recognize", None)):
        raise wrong(name, "a recognizer object, a table, or the name of an installed one")
    return (cast("Recognizer", value),)


def _rules(name: str, value: Setting) -> tuple[Rule, ...]:
    return tuple(_rule(f"{name}[{index}]", item) for index, item in enumerate(_list(name, value)))


def _rule(name: str, value: Setting) -> Rule:
    if isinstance(value, Rule):
        return value
    given = table(name, value)
    for required in ("name", "action"):
        if required not in given:
            raise wrong(f"{name}.{required}", "given")
    try:
        return _read_rule(name, given)
    except ConfigurationError as error:
        if error.field is None or error.field.startswith(name):
            raise
        raise ConfigurationError(f"{name}: {error.message}", field=f"{name}.{error.field}", hint=error.hint) from None


_read_rule = record(
    Rule,
    {
        "name": text,
        "action": word(*ACTIONS),
        "types": _types,
        **dict.fromkeys(("patterns", "words"), _texts),
        "at_least": whole(1),
        "direction": word(*DIRECTIONS),
        **dict.fromkeys(("route", "user", "project"), optional_text),
    },
)

_settings = record(
    PrivacySettings,
    {
        **dict.fromkeys(("redact", "restore", "restore_links", "dry_run"), flag),
        "types": optional(_types),
        "except_types": _types,
        "min_score": number(0, 1),
        "modes": _modes,
        "default_mode": word(*MODES),
        "allow": _texts,
        "recognizers": _recognizers,
        "key": optional(lambda name, value: as_secret(value, field=name)),
        "media": word("allow", "warn", "block"),
        "rules": _rules,
        "on_error": word("block", "allow"),
    },
)
