"""Plates and register numbers that are parted by spaces."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.plates_in_groups import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.type, text[finding.start : finding.end]) for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("35 QRT 481", [("TR_LICENSE_PLATE", "35 QRT 481")]),
        ("35 qrt 481", [("TR_LICENSE_PLATE", "35 qrt 481")]),
        ("Plaka 35 QRT 481 ve 07 K 4810", [("TR_LICENSE_PLATE", "35 QRT 481"), ("TR_LICENSE_PLATE", "07 K 4810")]),
        (" B-QR 4810 ", [("DE_KFZ", "B-QR 4810")]),
        ("Kennzeichen: MTK-Q 48E, blau", [("DE_KFZ", "MTK-Q 48E")]),
        ("immatriculation QR-481-TS", [("FR_LICENSE_PLATE", "QR-481-TS")]),
        ("eingetragen unter HRB 48109 B", [("DE_HANDELSREGISTER", "HRB 48109 B")]),
        ("it is KA 09 QR 4810.", [("IN_VEHICLE_REGISTRATION", "KA 09 QR 4810")]),
        ("PLZ 60311 Frankfurt", [("DE_PLZ", "60311")]),
    ],
)
def test_what_is_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "82 QRT 481",
        "12 QR 4810 KA ",
        "XX 09 QR 4810",
        "Plaka 00 QRT 481",
        "at 12 PM 2024 we met",
        "from 34 USD 200 to 35 EUR 300",
        "HRC 12345",
        "HRB 1234567",
        "THRB 1234",
        "PLZ 00123",
        "BXYZ QR 4810",
        "an E-AB 12 at the end of a sentence",
        "12345",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert found(text) == []
