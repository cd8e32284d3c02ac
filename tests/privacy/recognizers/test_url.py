"""URLs and names of hosts, and the dots of code and sentences."""

from __future__ import annotations

import pytest

from aistrale.privacy.recognizers.url import RECOGNIZERS, real_tld
from aistrale.privacy.scanner import Scanner

SCANNER = Scanner(RECOGNIZERS)


def found(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in SCANNER.scan(text)]


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("See https://ada.example.com/notes?page=2#top.", ["https://ada.example.com/notes?page=2#top"]),
        ("(http://engine.example.org/a_(b))", ["http://engine.example.org/a_(b)"]),
        ("ftp://files.example.net:2121/pub", ["ftp://files.example.net:2121/pub"]),
        ("[notes](https://example.com/x) and more", ["https://example.com/x"]),
        (
            "[![badge](https://a.example.com/b.svg)](https://c.example.com/d)",
            ["https://a.example.com/b.svg", "https://c.example.com/d"],
        ),
        ("www.engine.example.io/x", ["www.engine.example.io/x"]),
        ("our shop engine.co.uk opens", ["engine.co.uk"]),
        ("mail from ADA.COM, or lovelace.de!", ["ADA.COM", "lovelace.de"]),
        ("visit ada.io soon", ["ada.io"]),
        ("ada.dev", ["ada.dev"]),
        ("https://xn--bcher-kva.example/", ["https://xn--bcher-kva.example/"]),
        ("https://ada:pw@example.com/x", ["https://ada:pw@example.com/x"]),
        ("https://Engine.Vlaanderen is a name", ["https://Engine.Vlaanderen"]),
    ],
)
def test_urls_are_found_without_what_follows_them(text: str, urls: list[str]) -> None:
    assert found(text) == urls


@pytest.mark.parametrize(
    "text",
    [
        "import os.path",
        "self.name = request.data",
        "open main.py, config.json and README.md",
        "call.at, item.id, node.is and entry.to",
        "x = df.info()",
        "tfp.name[0]",
        "The end.In the beginning",
        "e.g. this, i.e. that, etc.",
        "http://localhost:8000/docs and http://intranet",
        "http://10.0.0.1/x",
        "www.nowhere",
        "ada@example.com",
        "version 1.2.3",
        "std::vector<int>::iterator",
    ],
)
def test_code_files_and_sentences_are_no_urls(text: str) -> None:
    assert found(text) == []


def test_top_level_domains() -> None:
    assert real_tld("COM")
    assert real_tld("xn--p1ai")
    assert not real_tld("py3")
