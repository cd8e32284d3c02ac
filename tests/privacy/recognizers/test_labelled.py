"""What a label directly before it names."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.labelled import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Her passport number is QT4820193, valid until May.", "PASSPORT", "QT4820193"),
        ("passport 'K48209176' was scanned", "PASSPORT", "K48209176"),
        ("Passport ID QT4820193", "PASSPORT", "QT4820193"),
        ("Reisepass-Nr.: C48209176", "PASSPORT", "C48209176"),
        ("driver's license number K482-091-7755", "US_DRIVER_LICENSE", "K482-091-7755"),
        ("Driver\u2019s license: DL:NY4820917", "US_DRIVER_LICENSE", "DL:NY4820917"),
        ("the officer noted license number D482-091-77-553 twice", "US_DRIVER_LICENSE", "D482-091-77-553"),
        ("Tax ID 48-2091775 of the company", "TAX_ID", "48-2091775"),
        ("their TIN: 48-2091775", "TAX_ID", "48-2091775"),
        ("Her PAN number 'QWXPK48M2'", "IN_PAN", "QWXPK48M2"),
        ("Aadhaar number 482091775512", "IN_AADHAAR", "482091775512"),
        ("voter ID 'QKD44109271'", "IN_VOTER", "QKD44109271"),
    ],
)
def test_value_behind_its_label(text: str, kind: str, value: str) -> None:
    assert (kind, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "Her passport expired on 2024-03-12.",
        "passport photos, 35 x 45 mm, 12345678 of them",
        "software license number A1234567",
        "License: MIT, version 20240312",
        "PAN 4111111111111111",
        "the tin can weighs 1200000 grams",
        "tax 1234567.00",
        "passports are a topic of RFC 123456789",
    ],
)
def test_other_numbers_near_such_words(text: str) -> None:
    assert found(text) == []
