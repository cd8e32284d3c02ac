"""Routing numbers, accounts and sort codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.checksums import aba
from aistrale.privacy.recognizers.bank import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]


def routing(front: str) -> str:
    return next(front + last for last in "0123456789" if aba(front + last))


def test_routing_numbers_need_a_word_or_to_stand_alone() -> None:
    number = routing("02600959")
    assert found(f"ABA routing {number}.") == [("ABA_ROUTING_NUMBER", number)]
    assert found(number) == [("ABA_ROUTING_NUMBER", number)]
    parted = f"{number[:4]}-{number[4:8]}-{number[8]}"
    assert found(parted) == [("ABA_ROUTING_NUMBER", parted)]
    assert found(f"The count reached {number} today") == []
    assert found(f"routing {routing('40000000')}") == []


@given(st.text("0123456789", min_size=6, max_size=6), st.integers(0, 8), st.integers(1, 9))
def test_a_changed_digit_is_refused(body: str, place: int, by: int) -> None:
    number = routing("11" + body)
    changed = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert found(f"routing {changed}") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Bank account number: 4402817733", "4402817733"),
        ("from checking account 000123456789 to", "000123456789"),
        ("savings acct no. 99887766554", "99887766554"),
        ("a/c 1234567890123456", "1234567890123456"),
    ],
)
def test_accounts_behind_their_name(text: str, number: str) -> None:
    assert found(text) == [("US_BANK_NUMBER", number)]


@pytest.mark.parametrize(
    "text",
    ["4402817733", "order 4402817733", "Twitter account 4402817733", "account of 12.34.56.78", "account 1234567"],
)
def test_other_numbers_are_no_accounts(text: str) -> None:
    assert found(text) == []


def test_british_accounts_have_a_sort_code() -> None:
    assert found("Sort code 40-47-84, account number 70872490") == [
        ("UK_SORT_CODE", "40-47-84"),
        ("UK_BANK_ACCOUNT", "70872490"),
    ]
    assert found("on 40-47-84 it rained") == []
