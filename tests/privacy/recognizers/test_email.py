"""Addresses of e-mail: what is one, where it ends, and the @ that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy import default_scanner
from aistrale.privacy.recognizers.email import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("Write to ada@lovelace.example.com, please.", ["ada@lovelace.example.com"]),
        ("mailto:ada+lists@example.org?subject=x", ["ada+lists@example.org"]),
        ("contact=ada@example.org;cc=bob@example.org", ["ada@example.org", "bob@example.org"]),
        ('"Ada Lovelace"@example.net is odd but right', ['"Ada Lovelace"@example.net']),
        ("<ADA@EXAMPLE.COM>", ["ADA@EXAMPLE.COM"]),
        ("'ada@example.com'", ["ada@example.com"]),
        ("ask o'neil@example.ie.", ["o'neil@example.ie"]),
        ("müller@bücher.de und 用户@例子.中国", ["müller@bücher.de", "用户@例子.中国"]),
        ("ada@xn--bcher-kva.de or ada@site.xn--p1ai", ["ada@xn--bcher-kva.de", "ada@site.xn--p1ai"]),
        ("Her mail...ada@example.com...", ["ada@example.com"]),
        ("ada@office.lan answers", ["ada@office.lan"]),
        ("https://shop.example/?mail=ada@example.com&x=1", ["ada@example.com"]),
        ("ada@example.com123", ["ada@example.com"]),
    ],
)
def test_addresses_are_found_whole(text: str, addresses: list[str]) -> None:
    assert found(text) == addresses


@pytest.mark.parametrize(
    "text",
    [
        "@app.route('/')\ndef index(): ...",
        "product = a @ b",
        "hidden = w@x.mean(axis=1)",
        "grid[0]@other.value",
        "git clone git@github.com:ada/engine.git",
        "ssh://git@github.com/ada/engine",
        "https://ada:secret@registry.example.com/simple",
        "ssh -p 22 root@host.example.com",
        "npm install left-pad@1.3.0",
        "pkg@2.0.0-rc.beta",
        "only@",
        "@handle and name@host",
        "ada@example.",
        '{"handle": "@example.com"}',
        "locale sd_IN@devanagari.UTF-8",
    ],
)
def test_other_uses_of_the_sign_are_no_addresses(text: str) -> None:
    assert found(text) == []


def test_an_unknown_top_level_domain_is_less_sure() -> None:
    known, unknown = SCANNER.scan("ada@example.com ada@example.intranet")
    assert (known.score, unknown.score) == (1.0, 0.5)


@given(
    st.from_regex(
        r"[a-z][a-z0-9]{0,10}([._+-][a-z0-9]{1,8})?@([a-z][a-z0-9-]{0,9}[a-z0-9]\.){1,3}(com|org|de|io)", fullmatch=True
    )
)
def test_any_plain_address_is_found_to_the_letter(address: str) -> None:
    assert found(f"To: {address}, thanks") == [address]


def test_half_a_password_is_no_address() -> None:
    text = "mongodb+srv://u:D1fficultP%40ssw0rd@cluster0.example.net/db"
    kinds = {finding.type for finding in default_scanner().scan(text)}
    assert "EMAIL_ADDRESS" not in kinds
