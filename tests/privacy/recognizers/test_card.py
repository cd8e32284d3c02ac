"""Card numbers: issuers, lengths, groups, and numbers that only look like them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aistrale.privacy.checksums import luhn
from aistrale.privacy.recognizers.card import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


def card(front: str, length: int) -> str:
    """A number with that beginning and length whose check digit is right."""
    body = (front + "70925183640317" * 2)[: length - 1]
    return next(body + last for last in "0123456789" if luhn(body + last))


@pytest.mark.parametrize(
    ("front", "length"),
    [("4", 16), ("4", 19), ("51", 16), ("2720", 16), ("34", 15), ("37", 15), ("305", 14), ("36", 14), ("6011", 16), ("65", 19),
     ("3530", 16), ("62", 16), ("62", 19), ("2200", 16), ("9792", 16), ("81", 17)],
)  # fmt: skip
def test_issuers_of_long_numbers_need_no_words(front: str, length: int) -> None:
    number = card(front, length)
    words = "" if length != 17 else "card "
    assert found(f"{words}{number} was used") == [number]


@pytest.mark.parametrize(("front", "length"), [("50", 12), ("4", 13), ("67", 13), ("1", 15), ("58", 18), ("2131", 15)])
def test_short_and_rare_numbers_need_a_word_or_to_stand_alone(front: str, length: int) -> None:
    number = card(front, length)
    assert found(f"my card {number} is lost") == [number]
    assert found(number) == [number]
    assert found(f"item {number} is sold out") == []


def test_a_card_of_an_unknown_issuer_needs_the_word() -> None:
    number = card("08", 16)
    assert found(f"credit card {number}") == [number]
    assert found(f"shipment {number}") == []


@pytest.mark.parametrize(
    "sizes", [(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (3, 3, 3, 3), (8, 8), (1,) * 16, (6, 10)]
)
@pytest.mark.parametrize("separator", [" ", "-", "."])
def test_groups_with_one_separator(sizes: tuple[int, ...], separator: str) -> None:
    front = {15: "37", 14: "36", 12: "50"}.get(sum(sizes), "4")
    digits, groups = card(front, sum(sizes)), []
    for size in sizes:
        groups.append(digits[:size])
        digits = digits[size:]
    number = separator.join(groups)
    assert found(f"card: {number}.") == [number]


def test_several_cards_and_what_follows_them() -> None:
    first, second = card("4", 16), card("51", 16)
    parted = f"{second[:4]} {second[4:8]} {second[8:12]} {second[12:]}"
    assert found(f"{first} {parted} 12/29 123") == [first, parted]


@pytest.mark.parametrize(
    "text",
    [
        "{}1",
        "1{}",
        "0.{}",
        "12,{}",
        "{}-1234",
        "a{}",
        "{}a",
        "imei {}",
    ],
)
def test_never_a_part_of_something_longer(text: str) -> None:
    assert found(text.format(card("4", 16))) == []


@given(st.text("0123456789", min_size=15, max_size=15), st.integers(0, 15), st.integers(1, 9))
def test_a_changed_digit_is_refused(body: str, place: int, by: int) -> None:
    number = card("4" + body[:14], 16)
    assume(len(set(number)) > 1)
    assert found(f"card {number}") == [number]
    changed = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert found(f"card {changed}") == []
