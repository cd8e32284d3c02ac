"""Check digits: small pure functions on digits and letters that have no separators between them."""

from __future__ import annotations

from typing import Final

# A digit twice, the digits of the product added.
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
_VIN_VALUES: Final = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))

_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_ABA_WEIGHTS: Final = (3, 7, 1, 3, 7, 1, 3, 7, 1)


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B).

    Args:
        digits: Digits alone.
    """
    # The sum of the characters' codes, of which each is 48 too great, is three times as fast as that of their values.
    total = sum(digits[-1::-2].encode()) + sum(digits[-2::-2].translate(_DOUBLED).encode()) - 48 * len(digits)
    return total % 10 == 0


def mod97(value: str) -> bool:
    """Whether digits and letters leave 1 when divided by 97 (ISO 7064, MOD 97-10; A = 10 to Z = 35 in either case).

    Args:
        value: Digits and letters, the check digits where the rule wants them: at the end.
    """
    return int("".join([str(int(character, 36)) for character in value])) % 97 == 1


def iban(value: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616).

    Args:
        value: Digits and letters alone, the country code first.
    """
    return mod97(value[4:] + value[:4])


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of the digits, each times its weight.

    Args:
        digits: Digits alone.
        weights: As many as there are digits, from the left.
    """
    return sum([int(digit) * weight for digit, weight in zip(digits, weights, strict=True)])


def aba(digits: str) -> bool:
    """Whether nine digits are a routing number by their check digit (ABA routing number policy: weights 3, 7, 1)."""
    return weighted(digits, _ABA_WEIGHTS) % 10 == 0


def npi(digits: str) -> bool:
    """Whether ten digits are a provider's number by their check digit: Luhn with the prefix 80840 (45 CFR 162.406)."""
    return luhn("80840" + digits)


def dea(digits: str) -> bool:
    """Whether seven digits of a DEA registration agree: the last is that of 1st + 3rd + 5th + 2 (2nd + 4th + 6th)."""
    return weighted(digits[:6], (1, 2, 1, 2, 1, 2)) % 10 == int(digits[6])


def vin(value: str) -> bool:
    """Whether the ninth of seventeen characters is the check digit of a vehicle (49 CFR 565.15).

    Args:
        value: Digits and capital letters without I, O and Q.
    """
    total = sum(
        [
            int(_VIN_VALUES.get(character, character)) * weight
            for character, weight in zip(value, _VIN_WEIGHTS, strict=True)
        ]
    )
    return value[8] == "0123456789X"[total % 11]


# The group D5 (multiplication) and the permutation that Verhoeff's scheme applies position by position.
_D5: Final = tuple(
    tuple(
        (j + k) % 5 if j < 5 and k < 5 else (j + k) % 5 + 5 if j < 5 else (j - k) % 5 + 5 if k < 5 else (j - k) % 5
        for k in range(10)
    )
    for j in range(10)
)
_VERHOEFF_STEP: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(digits: str) -> bool:
    """Whether the last digit is the Verhoeff check digit of the others (J. Verhoeff, 1969).

    Args:
        digits: Digits alone.
    """
    state = 0
    for position, digit in enumerate(reversed(digits)):
        number = int(digit)
        for _ in range(position % 8):
            number = _VERHOEFF_STEP[number]
        state = _D5[state][number]
    return state == 0


def mod11_10(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO 7064, MOD 11,10.

    Args:
        digits: Digits alone.
    """
    product = 10
    for digit in digits[:-1]:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def mod11_2(value: str) -> bool:
    """Whether the last character, a digit or X for ten, is the check character of ISO 7064, MOD 11-2.

    Args:
        value: Digits, the last of which may be "X".
    """
    total = 0
    for character in value[:-1]:
        total = (total + int(character)) * 2 % 11
    return (total + (10 if value[-1] == "X" else int(value[-1]))) % 11 == 1


def luhn36(value: str) -> bool:
    """Whether the last of digits and capital letters is the check character of Luhn's scheme with base 36.

    Args:
        value: Digits and capital letters, worth 0 to 35.
    """
    total = 0
    for position, character in enumerate(reversed(value)):
        number = int(character, 36) * (1 + position % 2)
        total += number // 36 + number % 36
    return total % 36 == 0
