"""Numbers of persons in the United States."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.us_ids import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]


@pytest.mark.parametrize("number", ["536-22-8726", "536 22 8726", "536.22.8726"])
def test_social_security_numbers_in_groups(number: str) -> None:
    assert found(f"It reads {number}, she said") == [("US_SSN", number)]
    assert SCANNER.scan(f"It reads {number}, she said")[0].score == 0.5
    assert SCANNER.scan(f"SSN {number}")[0].score == 0.85


def test_nine_digits_need_a_word() -> None:
    assert found("her social security number 536228726") == [("US_SSN", "536228726")]
    assert found("the counter stood at 536228726 then") == []


def test_nine_digits_alone_may_be_several_things() -> None:
    assert set(found('"536228726"')) == {("US_SSN", "536228726"), ("US_PASSPORT", "536228726")}


@pytest.mark.parametrize(
    "number",
    ["000-22-8726", "666-22-8726", "536-00-8726", "536-22-0000", "912-00-8726", "536-22-87261", "1536-22-8726", "536-22.8726", "078-05-1120",
     "536-22-8726-1", "536-22-8726-A"],
)  # fmt: skip
def test_what_is_never_given_is_refused(number: str) -> None:
    assert found(f"It reads {number}, she said") == []


@pytest.mark.parametrize("text", ["token 536 22 8726 seen", "serial 536.22.8726", "sample 123 45 6789 here"])
def test_groups_with_spaces_are_less_than_dashes(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("group", ["50", "65", "70", "88", "90", "92", "94", "99"])
def test_taxpayers_without_a_social_security_number(group: str) -> None:
    number = f"950-{group}-1234"
    assert found(f"ITIN {number}") == [("US_ITIN", number)]
    assert found(number) == [("US_ITIN", number)]
    assert found(f"his SSN is {number}") == [("US_SSN", number)]


@pytest.mark.parametrize("group", ["49", "66", "69", "89", "93"])
def test_groups_that_no_taxpayer_has(group: str) -> None:
    assert found(f"ITIN 950{group}1234") == []
    # With dashes it is meant as one, even if the IRS does not know it yet.
    assert found(f"ITIN 950-{group}-1234") == [("US_ITIN", f"950-{group}-1234")]


def test_passports() -> None:
    assert found("travels on passport 543216789.") == [("US_PASSPORT", "543216789")]
    assert found("passport no. C00512345") == [("US_PASSPORT", "C00512345")]
    assert found("model C00512345 is sold out") == []
    assert found("passport AB0051234") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Driver's license: D1234567 (CA)", "D1234567"),
        ("her driving licence number is 482-771-990", "482-771-990"),
        ("DL# S530-4608-9000", "S530-4608-9000"),
        ("DMV record 99123456", "99123456"),
        ("K8123456 is my driver's license", "K8123456"),
    ],
)
def test_licences_of_drivers(text: str, number: str) -> None:
    assert ("US_DRIVER_LICENSE", number) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "software license 99123456",
        "D1234567 rows",
        "driver version 471112",
        "license 2 of 4",
        "driver's license and SSN 99123456",
    ],
)
def test_other_licences_and_drivers(text: str) -> None:
    assert [kind for kind, _ in found(text) if kind == "US_DRIVER_LICENSE"] == []
