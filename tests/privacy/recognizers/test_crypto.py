"""Addresses of crypto currencies."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.crypto import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)
LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def found(text: str) -> list[tuple[str, float]]:
    return [(text[finding.start : finding.end], finding.score) for finding in SCANNER.scan(text)]


def base58check(version: int, body: bytes) -> str:
    data = bytes([version]) + body
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, made = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        made = LETTERS[rest] + made
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + made


@pytest.mark.parametrize("version", [0, 5, 30, 48, 50, 65, 76])
@given(body=st.binary(min_size=20, max_size=20))
def test_base58_with_its_checksum(version: int, body: bytes) -> None:
    address = base58check(version, body)
    # A word without any digit is not asked about; hardly one in a thousand has none.
    if any(map(str.isdigit, address)):
        assert found(f"Send it to {address} today") == [(address, 1.0)]
        last = "2" if address[-1] != "2" else "3"
        assert found(address[:-1] + last) == []


# The first is BIP 173's, the second BIP 350's example; the third the address of the Ripple ledger's genesis account.
@pytest.mark.parametrize(
    "address",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
    ],
)
def test_other_checksums(address: str) -> None:
    assert found(f"to {address}, please") == [(address, 1.0)]
    assert found(address[:-1] + ("q" if address[-1] != "q" else "p")) == []


def test_bech32_in_capitals_but_not_mixed() -> None:
    address = "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"
    assert found(address) == [(address, 1.0)]
    assert found(address[:-1] + "t" + "4") == []


def test_ethereum_has_only_its_form() -> None:
    address = "0x" + "12fe34Ab9C" * 4
    assert found(f"it was {address}") == [(address, 0.5)]
    assert found(f"wallet {address}") == [(address, 0.85)]
    assert found(f"commit hash {address}") == []
    assert found("0x" + "0" * 40) == []
    assert found(address[:-1]) == []
