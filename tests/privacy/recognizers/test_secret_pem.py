"""Private keys and hashes of passwords. The keys are no keys."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.secret_pem import RECOGNIZERS
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)
LINE = "q7Wd2Rk9Zs4Lx8Vb3Nf6Ht5Jc1MpYgTu" * 2


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


def head(kind: str, word: str = "BEGIN") -> str:
    return f"-----{word} {kind}-----"


@pytest.mark.parametrize(
    "kind",
    [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\\n"])
def test_a_whole_key(kind: str, newline: str) -> None:
    key = newline.join([head(kind), LINE, LINE, head(kind, "END")])
    assert found(f"see {key} above") == [key]


def test_a_torn_key_is_found_as_far_as_it_goes() -> None:
    key = f"{head('PRIVATE KEY')}\n{LINE}\n{LINE}"
    assert found(key + "\nand words") == [key + "\n"]
    assert found('k = """' + head("RSA PRIVATE KEY")) == [head("RSA PRIVATE KEY")]


@pytest.mark.parametrize("kind", ["PUBLIC KEY", "CERTIFICATE", "PGP PUBLIC KEY BLOCK", "CERTIFICATE REQUEST"])
def test_public_ones_are_no_secrets(kind: str) -> None:
    assert found(f"{head(kind)}\n{LINE}\n{head(kind, 'END')}") == []


def test_talk_about_keys_is_no_key() -> None:
    assert found(f"A file begins with {head('PRIVATE KEY')} and ends with a line that says END.") == []


@pytest.mark.parametrize(
    "value",
    [
        "$2b$12$" + LINE[:53],
        "$6$saltsalt$" + LINE + LINE[:22],
        "$1$saltsalt$" + LINE[:22],
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + LINE[:43],
    ],
)
def test_hashes_of_passwords(value: str) -> None:
    assert found(f"root:{value}:19000") == ["root", value]
    assert found(f"hash: {value}") == [value]


@pytest.mark.parametrize("text", ["$1$2", "costs $5 or $6", "echo $1$2$3 > $6", "s/$/$2a$/", "a$2b$c"])
def test_dollars_are_no_hashes(text: str) -> None:
    assert found(text) == []
