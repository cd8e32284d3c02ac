"""Telephone numbers by the plans of countries, where the library for them is installed."""

from __future__ import annotations

import sys

import pytest

from aistrale.privacy.recognizers.phone_numbers import PhoneNumbers
from aistrale.privacy.scanner import Scanner


def test_an_absent_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ImportError, match=r"aistrale\[phone\]"):
        PhoneNumbers()


def test_numbers_of_the_regions() -> None:
    pytest.importorskip("phonenumbers", reason="the extra aistrale[phone] is not installed")
    scanner = Scanner([PhoneNumbers(("DE",))])
    text = "Ruf 030 23125042 an, oder +44 20 7946 0018, nicht 030 1."
    assert [text[finding.start : finding.end] for finding in scanner.scan(text)] == ["030 23125042", "+44 20 7946 0018"]
    assert scanner.scan("it was 12 34 5678") == []


def test_an_unknown_region_is_refused() -> None:
    pytest.importorskip("phonenumbers", reason="the extra aistrale[phone] is not installed")
    with pytest.raises(ValueError, match="XX"):
        PhoneNumbers(("DE", "XX"))
