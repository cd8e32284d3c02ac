"""What is put in the place of a finding, by mode."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from aistrale.privacy.placeholder import word_of
from aistrale.privacy.vault import canonical

MODES: Final = ("placeholder", "mask", "hash", "fake", "drop", "encrypt")
REVERSIBLE: Final = frozenset({"placeholder", "fake"})
"""Modes that are undone in the answer."""

_ENDS_SHOWN: Final = frozenset({"CREDIT_CARD", "PHONE_NUMBER", "IBAN_CODE", "US_BANK_NUMBER", "BANK_ACCOUNT"})
_SHOWN: Final = 4
# Fewer would be most of it.
_LEAST_FOR_ENDS: Final = 8


def mask(type_: str, value: str) -> str:
    """What people expect of a masked value: the last four of cards and telephone numbers, first letters of names.

    Never all of it, and always with an asterisk, so that it cannot be taken for anything else.
    """
    if type_ in _ENDS_SHOWN and sum(character.isalnum() for character in value) >= _LEAST_FOR_ENDS:
        left = sum(character.isalnum() for character in value) - _SHOWN
        made = []
        for character in value:
            hidden = character.isalnum() and left > 0
            left -= character.isalnum()
            made.append("*" if hidden else character)
        return "".join(made)
    if type_ == "PERSON":
        return " ".join(f"{word[0]}***" for word in value.split()) or "***"
    if type_ == "EMAIL_ADDRESS" and "@" in value:
        name, _, domain = value.rpartition("@")
        return f"{name[:1]}***@{domain}"
    return "*" * 8


def keyed_hash(type_: str, value: str, key: bytes) -> str:
    """The same for the same value under the same key, in every conversation: HMAC-SHA256, 48 bits of it."""
    text = f"{type_}\0{canonical(type_, value)}".encode("utf-8", "surrogatepass")
    return f"[[{word_of(type_)}#{hmac.new(key, text, sha256).hexdigest()[:12]}]]"


def drop(before: str) -> str:
    """Nothing; a mark where what stands on both sides could come together to a placeholder.

    Args:
        before: What stands before it, as far back as a placeholder is long.
    """
    return "***" if any(bracket in before for bracket in "[\uff3b\u3010\\") else ""
