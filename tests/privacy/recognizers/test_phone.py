"""Telephone numbers: with a country code, in a shape of their own, or with words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.phone import RECOGNIZERS, valid
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text) if finding.type == "PHONE_NUMBER"]


@pytest.mark.parametrize(
    "number",
    [
        "+1 206 555 0142", "+1 (206) 555-0142", "+12065550142", "+44 20 7946 0018", "+44 (0)20 7946 0018", "+49 30 23125 042",
        "+33 1 99 00 12 34", "+91 98765 01234", "+86 139 1099 8877", "+55 11 96123 4567", "+290 22158", "(+44) 20 7946 0018",
        "0049 30 2312504", "001-206-555-0142",
    ],
)  # fmt: skip
def test_a_country_code_says_what_it_is(number: str) -> None:
    assert found(f"It was {number}, I think") == [number]


@pytest.mark.parametrize(
    "number",
    [
        "206-555-0142", "(206) 555-0142", "(206)555-0142", "206.555.0142", "206 555 0142", "1-206-555-0142", "020 7946 0018",
        "01 99 00 12 34", "01.99.00.12.34", "(030) 2312 504", "(11) 96123-4567", "0171-2312504", "07700 900142", "07700900142",
        "206-555-0142x77", "206-555-0142 ext. 77",
    ],
)  # fmt: skip
def test_shapes_that_little_else_has(number: str) -> None:
    assert found(f"It was {number}, I think") == [number]


@pytest.mark.parametrize(
    "number",
    ["555 0142", "79 46 00 18", "62 123 456", "612 345 678", "2065550142", "13910998877", "30-23-12-50", "461 20 77"],
)
@pytest.mark.parametrize(
    "text",
    [
        "Phone: {}",
        "call me on {}?",
        "her mobile number is {}.",
        "Tel. {}",
        "Telefon: {}",
        "Fax\n{}\n",
        "They do not answer at their phone {}",
        "{} (mobile)",
    ],
)
def test_words_make_a_number_a_telephone_s(number: str, text: str) -> None:
    if not (number.isdigit() and number[0] == "1" and text.startswith("call")):
        assert found(text.format(number)) == [number]


def test_labels_make_a_number_a_telephone_s() -> None:
    assert found("Office: 62 123 456\nHome: 79 46 00 18") == ["62 123 456", "79 46 00 18"]
    assert found("62 123 456 office") == ["62 123 456"]
    assert found("my Danish number is 62 123 456") == ["62 123 456"]


@pytest.mark.parametrize(
    "text",
    [
        "555 0142",
        "62 123 456",
        "2065550142",
        "1700000000",
        "call time.sleep(1234567)",
        "call order 62 123 456",
        "phone account number 62 123 456",
        "phone 999-999-9999",
        "phone 2020-01-31",
        "phone 31.12.2020",
        "2020-01-31 11:30",
        "Part number: 206-555-0142-A",
        "#206-555-0142",
        "12-206-555-0142",
        "x = +3.140000",
        "+12345",
        "a+12065550142",
        "200 300 4000",
        "0-306-40615-2",
        "031 22 4567 of 1 2 3 4",
        "10.20.30.40",
        "T09:15:30.500-07:00",
        "536-22-8726",
        "054-22-8726",
        "6x10",
        "Boston, MA 02109-3307",
    ],
)
def test_other_numbers(text: str) -> None:
    assert found(f"It was {text} then" if "phone" not in text and "call" not in text else text) == []


def test_numbers_of_two_countries_have_a_type_of_their_own() -> None:
    def kinds(text: str) -> set[str]:
        return {finding.type for finding in SCANNER.scan(text)}

    assert kinds("0917 555 0142") == {"PHONE_NUMBER", "PH_MOBILE_NUMBER"}
    assert kinds("it is +63 917 555 0142") == {"PHONE_NUMBER", "PH_MOBILE_NUMBER"}
    assert kinds("532 555 01 42") == {"PHONE_NUMBER", "TR_PHONE_NUMBER"}
    assert kinds("it is +90 532 555 01 42") == {"PHONE_NUMBER", "TR_PHONE_NUMBER"}
    assert kinds("it is +44 20 7946 0018") == {"PHONE_NUMBER"}


def test_valid_knows_the_assigned_codes() -> None:
    assert valid("12065550142")
    assert valid("4402079460018")
    assert not valid("1206555014")
    assert not valid("2109999999999")
    assert not valid("4912")


@given(st.from_regex(r"\+49 [1-9][0-9]{2} [0-9]{6,8}", fullmatch=True))
def test_any_german_number_is_found_whole(number: str) -> None:
    assert found(f"unter {number} erreichbar") == [number]
