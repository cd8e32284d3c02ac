"""International bank account numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.checksums import iban
from aistrale.privacy.recognizers.iban import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


def number(country: str, account: str) -> str:
    """The account with its check digits."""
    return next(made for check in range(2, 99) if iban(made := f"{country}{check:02}{account}"))


ACCOUNTS = [
    ("DE", "500105170648489890"), ("GB", "BARC20038041157768"), ("FR", "30006000011234567890189"), ("NO", "86011117947"),
    ("MT", "MALT011000012345MTLCAST001S"), ("BR", "00360305000010009795493C1"), ("LC", "HEMM000100010012001200023015"),
    ("CH", "00762011623852957"), ("RU", "04452560040702810412345678901"),
]  # fmt: skip


@pytest.mark.parametrize(("country", "account"), ACCOUNTS)
def test_countries_in_their_own_length(country: str, account: str) -> None:
    whole = number(country, account)
    parted = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    for shown in (whole, parted, parted.replace(" ", "-"), whole.lower()):
        assert found(f"Pay to {shown}, today") == [shown]
        assert found(shown) == [shown]


@pytest.mark.parametrize(("country", "account"), ACCOUNTS)
def test_what_follows_in_groups_is_no_part_of_it(country: str, account: str) -> None:
    whole = number(country, account)
    parted = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    assert found(f"{parted} EUR 100") == [parted]


def test_other_things_are_refused() -> None:
    whole = number(*ACCOUNTS[0])
    assert found(whole[:-1]) == []
    assert found(whole + "0") == []
    assert found("X" + whole) == []
    assert found(whole[:4] + "A" + whole[5:]) == []
    assert found("ZZ" + whole[2:]) == []
    assert found(whole[:2].lower() + whole[2:4] + "b" + whole[5:]) == []


@given(st.sampled_from(ACCOUNTS), st.integers(2, 10), st.integers(1, 9))
def test_a_changed_digit_is_refused(kind: tuple[str, str], place: int, by: int) -> None:
    whole = number(*kind)
    if whole[place].isdigit():
        changed = whole[:place] + str((int(whole[place]) + by) % 10) + whole[place + 1 :]
        # 02 to 98 are given; 00, 01 and 99 are the same remainders again.
        if changed[2:4] not in ("00", "01", "99") or place > 3:
            assert found(changed) == []
