"""Codes of banks."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.bic import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BIC: ABCDDEFF", "ABCDDEFF"),
        ("BIC/SWIFT: ABCDGB2LXXX", "ABCDGB2LXXX"),
        ("The SWIFT code is ABCDUS33", "ABCDUS33"),
        ("Swift ABCDFRPP and so on", "ABCDFRPP"),
    ],
)
def test_codes_behind_their_name(text: str, code: str) -> None:
    assert found(text) == [code]


@pytest.mark.parametrize(
    "text", ["ABCDDEFF", "BIC: PASSWORD", "ARABIC FATHATAN", "BICYCLES ABCDDEFF", "BIC: ABCDDEFFX", "BIC: ABCDDEFF1234"]
)
def test_words_are_no_codes(text: str) -> None:
    assert found(text) == []
