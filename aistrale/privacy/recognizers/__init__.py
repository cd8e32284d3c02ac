"""The recognizers that come with the package, a file each; a file's RECOGNIZERS are what it has to offer."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from aistrale.privacy.recognizer import Recognizer

# In the order in which they are asked.
FILES: Final = (
    "email",
    "url",
    "card",
    "iban",
    "bic",
    "bank",
    "us_ids",
    "national_ids",
    "labelled",
    "plates_in_groups",
    "medical",
    "ip",
    "mac",
    "crypto",
    "device",
    "date",
    "phone",
    "uuid",
    "_capitals",
    "postal",
    "zip_code",
    "age",
    "secret_vendors",
    "secret_assignment",
    "secret_connection",
    "secret_companion",
    "secret_jwt",
    "secret_pem",
)  # fmt: skip


@cache
def default_recognizers() -> tuple[Recognizer, ...]:
    """All of them; loaded at first use."""
    found: list[Recognizer] = []
    for name in FILES:
        module = import_module(f"{__name__}.{name}")
        found += cast("tuple[Recognizer, ...]", module.RECOGNIZERS)
    return tuple(found)
