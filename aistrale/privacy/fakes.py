"""Fakes: values of the same kind and shape as the real ones, for tasks in which a model has to reason about them.

What is derived is derived from the conversation's secret and the canonical value: two ways of writing one card number
become two ways of writing one fake. Cards keep their brand and length and pass Luhn's check, account numbers pass
theirs (ISO 13616), telephone numbers keep their shape, e-mail addresses lie in domains that nobody owns (RFC 2606), IP
addresses in ranges that nobody uses (RFC 5737, RFC 3849), social security numbers in an area that is not given out,
and all dates of a conversation move by the same number of days.
"""

from __future__ import annotations

import hmac
import re
from datetime import date, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from aistrale.privacy.vault import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.privacy.vault import Vault

# Common as words and across languages, so that no pair of them is anybody in particular.
_FIRST_NAMES: Final = (
    "Alex Ari Avery Bo Casey Charlie Chris Dale Dana Ellis Frankie Harper Indy Jamie Jo Jordan Jules Kai Kim Kit Lane "
    "Marlo Morgan Nico Noel Ollie Pat Quinn Reese Remy Riley Robin Rowan Sam Sasha Shay Taylor Terry Toni Val"
)
_LAST_NAMES: Final = (
    "Ash Banks Birch Brook Croft Dale East Elm Fern Field Ford Forest Frost Glen Grove Hazel Heath Hill Lake Linden "
    "Marsh Meadow Moor North Oak Rain Reed Ridge Rivers Rose Shore Snow Stone Summer Thorne Vale Wells West Winter Wood"
)
_FIRST: Final = tuple(_FIRST_NAMES.split())
_LAST: Final = tuple(_LAST_NAMES.split())
_PLACE_STARTS: Final = ("North", "South", "East", "West", "Upper", "Lower", "Old", "New", "Great", "Little")
_PLACE_ENDS: Final = ("ford", "brook", "field", "haven", "wick", "mere", "stead", "holm", "dale", "moor")
_FIRMS: Final = ("Example", "Sample", "Specimen", "Model", "Pattern", "Standard")
_FORMS: Final = ("Company", "Group", "Works", "Services", "Trading", "Partners", "Institute", "Laboratories")
_STREETS: Final = (*_FIRMS, "Orchard", "Garden", "Mill", "Station")
_DOMAINS: Final = ("example.com", "example.org", "example.net")
_V4: Final = ("192.0.2", "198.51.100", "203.0.113")
_MARKS: Final = frozenset('"\\[]')
_ATTEMPTS: Final = 48
_MOST_SHIFT: Final = 700

_ISO: Final = re.compile(r"(\d{4})(-|/|\.)(\d{2})\2(\d{2})")
_OTHER: Final = re.compile(r"(\d{1,2})(-|/|\.)(\d{1,2})\2(\d{4})")


class _Draw:
    """Numbers that look random, and are the same for the same secret, type, value and attempt."""

    def __init__(self, secret: bytes, *about: str) -> None:
        text = "\0".join(about).encode("utf-8", "surrogatepass")
        self._key = hmac.new(secret, text, sha256).digest()
        self._count = 0
        self._pool = b""

    def below(self, bound: int) -> int:
        if len(self._pool) < 4:
            self._count += 1
            self._pool += hmac.new(self._key, self._count.to_bytes(4, "big"), sha256).digest()
        number, self._pool = int.from_bytes(self._pool[:4], "big"), self._pool[4:]
        return number % bound

    def of(self, items: Sequence[str]) -> str:
        return items[self.below(len(items))]

    def digits(self, count: int) -> str:
        return "".join(self.of("0123456789") for _ in range(count))


def fake(type_: str, value: str, vault: Vault, text: str) -> str | None:
    """The fake that stands for a value; made at first need.

    Args:
        type_: The type of the finding.
        value: As it was written.
        vault: Remembers it.
        text: What it is taken out of: no fake may stand there already.

    Returns:
        None where none can be made: the value has no shape to keep, or all fakes of its kind are given out.
    """
    known = vault.fake_of(type_, value)
    if known is not None:
        return known
    make = _MAKERS.get(type_, _any)
    for attempt in range(_ATTEMPTS):
        draw = _Draw(vault.secret, type_, canonical(type_, value), str(attempt))
        made = make(value, draw, vault)
        if made is None:
            return None
        if not _MARKS.isdisjoint(made) or not made.isascii() or not made.isprintable():
            # It would be written otherwise in JSON, or taken for something else.
            return None
        if made not in text and not vault.was_said(made) and vault.add_fake(type_, value, made):
            return made
    return None


def _any(value: str, draw: _Draw, vault: Vault) -> str | None:
    """The same shape: a digit for each digit, a letter for each letter."""
    del vault
    made = [_like(character, draw) for character in value]
    # Too little that could differ is too easily something else.
    return "".join(made) if sum(character.isalnum() for character in value) >= 5 else None


def _like(character: str, draw: _Draw) -> str:
    if "0" <= character <= "9":
        return draw.of("0123456789")
    if "a" <= character <= "z":
        return draw.of("abcdefghijklmnopqrstuvwxyz")
    if "A" <= character <= "Z":
        return draw.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return "x" if character.isalpha() else character


def _fill(value: str, digits: str) -> str:
    """The value with other digits."""
    rest = iter(digits)
    return "".join(next(rest) if character.isdecimal() else character for character in value)


def _digits(value: str) -> str:
    return "".join(character for character in value if character.isdecimal())


def _card(value: str, draw: _Draw, vault: Vault) -> str | None:
    del vault
    digits = _digits(value)
    if len(digits) < 12:
        return None
    start = next((start for start in ("4", "34", "37", "6011", "35", "36") if digits.startswith(start)), digits[:2])
    body = start + draw.digits(len(digits) - len(start) - 1)
    return _fill(value, body + str(_luhn(body)))


def _luhn(body: str) -> int:
    """The check digit (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 - place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return -total % 10


def _iban(value: str, draw: _Draw, vault: Vault) -> str | None:
    del vault
    plain = "".join(character for character in value if character.isalnum()).upper()
    if len(plain) < 15 or not plain.isascii():
        return None
    account = "".join(_like(character, draw) for character in plain[4:])
    number = int("".join(str(int(character, 36)) for character in account + plain[:2] + "00"))
    made = iter(f"{plain[:2]}{98 - number % 97:02d}{account}")
    return "".join(next(made) if character.isalnum() else character for character in value)


def _phone(value: str, draw: _Draw, vault: Vault) -> str | None:
    del vault
    digits = _digits(value)
    kept = min(3 if value.lstrip(" (").startswith(("+", "00")) else 1, max(len(digits) - 5, 0))
    return _fill(value, digits[:kept] + draw.digits(len(digits) - kept)) if len(digits) > 5 else None


def _ssn(value: str, draw: _Draw, vault: Vault) -> str | None:
    del vault
    digits = _digits(value)
    return _fill(value, "9" + draw.digits(len(digits) - 1)) if len(digits) == 9 else None


def _email(value: str, draw: _Draw, vault: Vault) -> str:
    del value, vault
    return f"{draw.of(_FIRST).lower()}.{draw.of(_LAST).lower()}{draw.digits(2)}@{draw.of(_DOMAINS)}"


def _person(value: str, draw: _Draw, vault: Vault) -> str:
    del vault
    words = len(value.split())
    made = draw.of(_FIRST)
    if words > 1:
        made = f"{made} {draw.of(_LAST)}"
    return made.upper() if value.isupper() else made.lower() if value.islower() else made


def _place(value: str, draw: _Draw, vault: Vault) -> str:
    del value, vault
    return f"{draw.of(_PLACE_STARTS)}{draw.of(_PLACE_ENDS)}"


def _firm(value: str, draw: _Draw, vault: Vault) -> str:
    del value, vault
    return f"{draw.of(_FIRMS)} {draw.of(_FORMS)} {draw.below(90) + 10}"


def _address(value: str, draw: _Draw, vault: Vault) -> str:
    del value, vault
    return f"{draw.below(900) + 100} {draw.of(_STREETS)} Street"


def _ip(value: str, draw: _Draw, vault: Vault) -> str:
    del vault
    if ":" in value:
        return f"2001:db8::{draw.below(65535) + 1:x}:{draw.below(65535) + 1:x}"
    return f"{draw.of(_V4)}.{draw.below(254) + 1}"


def _url(value: str, draw: _Draw, vault: Vault) -> str:
    del value, vault
    return f"https://{draw.of(_DOMAINS)}/{draw.below(2**32):08x}"


def _date(value: str, draw: _Draw, vault: Vault) -> str | None:
    """All dates of a conversation by the same number of days, so that what lies between them stays."""
    days = _Draw(vault.secret, "days").below(_MOST_SHIFT) - _MOST_SHIFT // 2
    # Two that are written alike must not become one, so an attempt that failed has no other.
    del draw
    if (iso := _ISO.fullmatch(value)) is not None:
        moved = _moved(int(iso[1]), int(iso[3]), int(iso[4]), days or 1)
        return None if moved is None else moved.strftime(f"%Y{iso[2]}%m{iso[2]}%d")
    if (other := _OTHER.fullmatch(value)) is None:
        return None
    first, mark, second, year = int(other[1]), other[2], int(other[3]), int(other[4])
    # Only Americans write the month first, and only with a slash.
    month_first = mark == "/" and first <= 12
    moved = _moved(year, first if month_first else second, second if month_first else first, days or 1)
    if moved is None:
        return None
    pair = (moved.month, moved.day) if month_first else (moved.day, moved.month)
    wide = len(other[1]) == 2 and len(other[3]) == 2
    return mark.join([*(f"{number:02d}" if wide else str(number) for number in pair), f"{moved.year:04d}"])


def _moved(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days)
    except (ValueError, OverflowError):
        return None


_MAKERS: Final[dict[str, Callable[[str, _Draw, Vault], str | None]]] = {
    "ADDRESS": _address,
    "CREDIT_CARD": _card,
    "DATE_OF_BIRTH": _date,
    "DATE_TIME": _date,
    "EMAIL_ADDRESS": _email,
    "IBAN_CODE": _iban,
    "IP_ADDRESS": _ip,
    "LOCATION": _place,
    "ORGANIZATION": _firm,
    "PERSON": _person,
    "PHONE_NUMBER": _phone,
    "URL": _url,
    "US_SSN": _ssn,
}
