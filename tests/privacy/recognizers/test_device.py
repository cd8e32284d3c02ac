"""Numbers of phones and vehicles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.checksums import luhn, vin
from aistrale.privacy.recognizers.device import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[tuple[str, float]]:
    return [(text[finding.start : finding.end], finding.score) for finding in SCANNER.scan(text)]


def imei(front: str) -> str:
    return next(front + last for last in "0123456789" if luhn(front + last))


def vehicle(front: str, rest: str) -> str:
    return next(front + check + rest for check in "0123456789X" if vin(front + check + rest))


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 14), st.integers(1, 9))
def test_phones_need_the_word_and_the_check_digit(body: str, place: int, by: int) -> None:
    number = imei("35" + body)
    parted = f"{number[:2]}-{number[2:8]}-{number[8:14]}-{number[14]}"
    assert found(f"IMEI: {number}") == [(number, 1.0)]
    assert found(f"IMEI {parted}") == [(parted, 1.0)]
    assert found(f"it was {number}") == []
    changed = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert found(f"IMEI {changed}") == []


def test_vehicles_of_north_america() -> None:
    number = vehicle("1FTFW1ET", "BFA04417")
    assert found(f"VIN {number}") == [(number, 1.0)]
    assert found(f"vin: {number.lower()}") == [(number.lower(), 1.0)]
    assert found(f"it was {number}, blue") == [(number, 0.5)]


def test_vehicles_of_other_countries_have_no_check_digit() -> None:
    number = "WVWZZZ1KZAW004417"
    assert not vin(number)
    assert found(f"VIN {number}") == [(number, 0.5)]
    assert found(f"it was {number}") == []


@pytest.mark.parametrize(
    "number", ["1FTFW1ET0BFA0441", "1FTFW1ET0BFA044170", "1FTFW1ET0BFAO4417", "11111111111111111", "1FTFW1ET0BFA0441X"]
)
def test_no_vehicles(number: str) -> None:
    assert found(f"VIN {number}") == []
