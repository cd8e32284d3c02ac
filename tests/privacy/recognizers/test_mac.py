"""Hardware addresses."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.mac import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    "address",
    ["3c:22:fb:0a:9e:71", "3C-22-FB-0A-9E-71", "3c22.fb0a.9e71", "3c:22:fb:ff:fe:0a:9e:71", "ab:cd:ef:ab:cd:ef"],
)
def test_three_ways_to_write_them(address: str) -> None:
    assert found(f"its card {address}.") == [address]
    assert found(address) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "3c:22:fb:0a:9e",
        "3c:22:fb-0a-9e-71",
        "3c:22:fb:0a:9e:71:00",
        "00:00:00:00:00:00",
        "ff-ff-ff-ff-ff-ff",
        "12-34-56-78-90-12",
        "1234.5678.9012",
        "x3c:22:fb:0a:9e:71",
        "3c:22:fb:0a:9e:7",
        "12:34:56",
        "2001:db8:aa:bb:cc:dd:ee:ff",
    ],
)
def test_other_rows_are_none(text: str) -> None:
    assert found(text) == []


def test_digits_in_dots_need_the_word() -> None:
    assert found("MAC 0012.3456.7890") == ["0012.3456.7890"]
