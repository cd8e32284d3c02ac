"""Engines of others behind our protocol, with stand-ins for their models."""

from __future__ import annotations

import re
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from aistrale.privacy import Scanner
from aistrale.privacy.ner_gliner import GlinerRecognizer
from aistrale.privacy.ner_presidio import PresidioRecognizer
from aistrale.privacy.ner_spacy import SpacyRecognizer
from aistrale.testing import check_recognizer


def spacy_model(text):
    names = [
        SimpleNamespace(start_char=one.start(), end_char=one.end(), label_="PERSON")
        for one in re.finditer("Wren", text)
    ]
    ordinals = [
        SimpleNamespace(start_char=one.start(), end_char=one.end(), label_="ORDINAL")
        for one in re.finditer("first", text)
    ]
    return SimpleNamespace(ents=[*names, *ordinals])


class Gliner:
    def __init__(self):
        self.longest = 0

    def predict_entities(self, text, labels, *, threshold):
        self.longest = max(self.longest, len(text))
        assert "person" in labels
        assert threshold == 0.5
        return [
            {"start": one.start(), "end": one.end(), "label": "person", "score": 0.9}
            for one in re.finditer("Wren", text)
        ]


class Presidio:
    def analyze(self, text, language, *, entities):
        assert language == "en"
        found = [
            SimpleNamespace(start=one.start(), end=one.end(), entity_type="PERSON", score=0.85)
            for one in re.finditer("Wren", text)
        ]
        return [*found, SimpleNamespace(start=0, end=len(text) + 5, entity_type="PERSON", score=2.0)]


@pytest.mark.parametrize(
    "recognizer",
    [SpacyRecognizer(spacy_model), GlinerRecognizer(Gliner()), PresidioRecognizer(Presidio())],
    ids=["spacy", "gliner", "presidio"],
)
def test_names_are_found_in_their_place(recognizer):
    text = "At first " + "word " * 40_000 + "came Wren."
    found = Scanner((recognizer,)).scan(text)
    assert [(one.type, text[one.start : one.end]) for one in found] == [("PERSON", "Wren")]
    check_recognizer(recognizer, ["Hello Wren and all"])


def test_pieces_are_no_longer_than_the_model_takes():
    model = Gliner()
    Scanner((GlinerRecognizer(model),)).scan("x" * 5_000 + " y" * 5_000)
    assert 0 < model.longest <= 1_200


def test_labels_decide_what_is_reported():
    recognizer = SpacyRecognizer(spacy_model, labels={"ORDINAL": "RANK"}, score=0.9)
    assert recognizer.types == ("RANK",)
    assert [(one.type, one.score) for one in Scanner((recognizer,)).scan("Wren came first")] == [("RANK", 0.9)]


@pytest.mark.parametrize(
    ("library", "make"),
    [("spacy", SpacyRecognizer), ("gliner", GlinerRecognizer), ("presidio_analyzer", PresidioRecognizer)],
)
def test_absent_library_is_named_with_its_extra(library, make):
    if find_spec(library) is not None:
        pytest.skip(f"{library} is installed")
    with pytest.raises(ImportError, match=r"pip install 'aistrale\[ner\]'"):
        make("some-model")


def test_named_model_is_made_once(monkeypatch):
    made = []

    def load(name):
        made.append(name)
        return spacy_model

    monkeypatch.setattr("aistrale.privacy.ner.find_spec", lambda name: object())
    monkeypatch.setattr("aistrale.privacy.ner.import_module", lambda name: SimpleNamespace(load=load))
    scanner = Scanner((SpacyRecognizer("en_some_model"),))
    assert made == []
    for _ in range(2):
        assert [one.type for one in scanner.scan("Hello Wren")] == ["PERSON"]
    assert made == ["en_some_model"]
