"""Dates in numbers: an impossible one refuses the number."""

from __future__ import annotations

from typing import Final

_DAYS: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day.

    Args:
        year: Four digits; or two, then of whichever century has it.
        month: From 1.
        day: From 1.
    """
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month]:
        return False
    return month != 2 or day < 29 or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0 or year == 0))


def is_ymd(digits: str) -> bool:
    """Whether six digits (YYMMDD) or eight (YYYYMMDD, of 1900 to 2099) are a date."""
    if len(digits) == 8 and digits[:2] not in ("19", "20"):
        return False
    return is_date(int(digits[:-4]), int(digits[-4:-2]), int(digits[-2:]))


def is_dmy(digits: str) -> bool:
    """Whether six digits are a date DDMMYY."""
    return is_date(int(digits[4:]), int(digits[2:4]), int(digits[:2]))
