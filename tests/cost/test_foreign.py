"""Counts for tokenizers that were never published, made of o200k's."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.tokens import foreign

PROSE = "The quick brown fox jumps over the lazy dog, and nobody is surprised.\nIt does so every day. "
CODE = "def add(first: int, second: int) -> int:\n    return first + second  # of course\n\n\nprint(add(1, 2))\n"


@pytest.mark.parametrize(
    ("text", "vocabulary", "expected"),
    [
        # By Anthropic's counter, without the frame of a message (as ctok reports them), and Gemini's countTokens.
        ("What is the capital of France?", "claude-3", 7),
        ("What is the capital of France?", "gemini", 7),
        ("so 2 so", "claude-3", 5),
        ("so 2 so", "claude-4.7", 5),
        ("don't", "claude-3", 2),
        ("", "claude-3", 0),
        ("", "gemini", 0),
        # Gemini takes digits one by one.
        ("12345", "gemini", 5),
    ],
)
def test_known_counts(text, vocabulary, expected):
    assert round(foreign.count(text, vocabulary)) == expected


@pytest.mark.parametrize("text", [PROSE, CODE])
def test_newer_models_of_anthropic_take_more(text):
    older, newer = (foreign.count(text * 20, name) for name in ("claude-3", "claude-4.7"))
    assert newer > 1.03 * older


@pytest.mark.parametrize(("version", "vocabulary", "frame"), [("4.6", "claude-3", 7), ("4.8", "claude-4.7", 6)])
@pytest.mark.parametrize(
    "text", [PROSE * 5, CODE * 5, "ключ к успеху — терпение и труд. " * 9, '{"a": [1, 2.5, null]}\n' * 9]
)
def test_against_the_reconstruction_of_claudes_tokenizer(version, vocabulary, frame, text):
    if sys.version_info < (3, 12):
        pytest.skip("ctok needs Python 3.12")
    ctok = pytest.importorskip("ctok")
    assert foreign.count(text, vocabulary) == pytest.approx(
        ctok.token_count(text, version) - frame, rel=0.1 if text.isascii() else 0.15
    )


@given(st.text(max_size=200), st.sampled_from(["claude-3", "claude-4.7", "gemini"]))
def test_any_text_has_a_count(text, vocabulary):
    counted = foreign.count(text, vocabulary)
    assert -1 < counted <= 4 * len(text.encode("utf-8", "surrogatepass")) + 1


@given(st.binary(min_size=1, max_size=8))
def test_any_token_has_a_kind(token):
    assert 0 <= foreign.kind_of(token) < 256
    assert foreign.kind_of(token) & 15 < len(foreign._KINDS)


def test_the_file_agrees_with_the_kinds_of_this_version():
    from aistrale.cost.tokens.encodings import ranks

    bits = foreign._load("gemini").bits
    assert bits.tolist() == [foreign.kind_of(token) for token in ranks("o200k_base")]
