"""Passwords in addresses and options, and shared access signatures. All values are made up here."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.secret_connection import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str, kind: str = "SECRET") -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text) if finding.type == kind]


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("postgres://app:Gr4vel@db.example.com:5432/shop", "Gr4vel"),
        ("mongodb+srv://app:gr@vel:moth@cluster0.example.net/?w=1", "gr@vel:moth"),
        ("redis://:Gr4vel@cache:6379/0", "Gr4vel"),
        ("DATABASE_URL='mysql://root:gr%40vel@127.0.0.1/x'", "gr%40vel"),
        ("ftp://jo:moth@[::1]:21", "moth"),
        ("jo@example.com:Gr4vel!", "Gr4vel!"),
        ("leaked: jo@example.com / Gr4vel!Moth.", "Gr4vel!Moth"),
        ("curl -u jo:Gr4vel! https://example.com", "Gr4vel!"),
        ('curl --user "jo:Gr4vel!" https://example.com', "Gr4vel!"),
    ],
)
def test_passwords(text: str, password: str) -> None:
    assert found(text)[-1] == password
    assert found(text, "PASSWORD") == [password]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("postgres://shop:Gr4vel@db/x", ["shop", "Gr4vel"]),
        ("amqp://shop:Gr4vel@one:5672,shop2:M0th@two:5672/x", ["shop", "Gr4vel", "shop2", "M0th"]),
        ("curl -u jo:Gr4vel! https://example.com", ["jo", "Gr4vel!"]),
        ("curl https://example.com \\\n-u jo:Gr4vel!", ["jo", "Gr4vel!"]),
        ('curl -u "g4VEL-moth:" https://example.com', ["g4VEL-moth"]),
        ("curl -u 'jo:' https://example.com", []),
        ('curl -u ":Gr4vel!" https://example.com', ["Gr4vel!"]),
        ('new DirectoryEntry("LDAP://dc.example", "corp\\jo", "Gr4vel")', ["LDAP://dc.example", "corp\\jo", "Gr4vel"]),
        ("Endpoint=https://shop.azconfig.io;Id=a-b:9x;Secret=Gr4vel", ["https://shop.azconfig.io", "a-b:9x"]),
        ("Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKey=x", ["sb://shop.servicebus.windows.net/"]),
    ],
)
def test_the_other_half_goes_with_it(text: str, pair: list[str]) -> None:
    assert found(text) == pair


def test_no_one_is_called_user_with_the_password_password() -> None:
    assert found("http://user:password@proxy") == ["password"]


def test_a_token_in_place_of_the_user() -> None:
    token = "3fe8a1d97c04b25e6f1d8a30c7b94e52"
    assert found(f"https://{token}@errors.example.com/4") == [token]
    assert found("https://jo@example.com/4") == []


def test_a_shared_access_signature() -> None:
    signature = "q7Wd2Rk9Zs4Lx8Vb3Nf6Ht5Jc1Mp" * 2 + "%3D"
    assert found(f"https://x.blob.core.windows.net/c?sv=2024-01-01&sig={signature}&se=1") == [signature]


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a:b@c",
        "https://example.com:8080/",
        "postgres://app:${DB_PASSWORD}@db/shop",
        "postgres://app:<password>@db/shop",
        "http://[::1]:80/",
        "the option --user jo:staff of chown",
        "sort -u file:name",
        "git@example.com:Team2/Repo!.git",
        "jo@example.com: Monday 8:00, OK!",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert found(text) == []
