"""JSON Web Tokens, made here."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy.recognizers.secret_jwt import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@given(st.sampled_from(["HS256", "RS512", "EdDSA", "none"]), st.binary(min_size=32, max_size=64), st.text(max_size=40))
def test_signed_tokens(algorithm: str, signature: bytes, subject: str) -> None:
    token = f"{part({'alg': algorithm})}.{part({'sub': subject})}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert found(f"Bearer {token} ok") == [token]
    assert found(f'"{token}"')[0] == token


def test_unsigned_and_encrypted_tokens() -> None:
    unsigned = f"{part({'alg': 'none'})}.{part({'sub': 'jo'})}."
    assert found(f"{unsigned} is no good") == [unsigned]
    encrypted = ".".join([part({"alg": "dir", "enc": "A256GCM"}), "", "q7Wd2Rk9", "Zs4Lx8Vb3Nf6", "Ht5Jc1Mp"])
    assert found(encrypted) == [encrypted]


@pytest.mark.parametrize(
    "text", ["eyJ", "eyJhbGciOi", "greyJuniper.example.com", f"{part({'a': 1})}.{part({'b': 2})}", "xeyJ" + "a" * 20]
)
def test_what_is_none(text: str) -> None:
    assert found(text) == []
