"""Recognizers of your own: tables, objects, entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from aistrale.config.privacy import read_privacy
from aistrale.errors import ConfigurationError
from aistrale.privacy import Custom, Finding, Scanner, Triggers, installed_recognizers
from aistrale.privacy.custom import read_recognizer
from aistrale.testing import check_recognizer


def found(recognizer, text, *, min_score=0.5):
    return [
        (one.type, text[one.start : one.end], one.score)
        for one in Scanner((recognizer,), min_score=min_score).scan(text)
    ]


def test_pattern():
    badge = Custom("badges", "BADGE", pattern=r"\bB-\d{4}\b")
    assert found(badge, "bring B-1234 and B-12345") == [("BADGE", "B-1234", 0.85)]
    check_recognizer(badge, ["bring B-1234 here"])


def test_context_raises_the_score():
    badge = Custom("badges", "BADGE", pattern=r"\b\d{4}\b", score=0.3, context=["Badge", "staff no."])
    assert found(badge, "in 1234 " + "." * 90 + " badge 5678") == [("BADGE", "5678", 0.65)]
    assert found(badge, "staff no. 9876") == [("BADGE", "9876", 0.65)]


def test_words_are_whole_and_know_no_case_unless_asked():
    names = Custom("projects", "PROJECT", words=["Blue Heron", "C++"])
    assert [one[1] for one in found(names, "blue  heron, bluebird, c++, blue herons")] == ["blue  heron", "c++"]
    exact = Custom("projects", "PROJECT", words=["Blue Heron"], ignore_case=False)
    assert [one[1] for one in found(exact, "Blue Heron and blue heron")] == ["Blue Heron"]
    check_recognizer(names, ["the Blue Heron files"])


def test_literals_narrow_the_search():
    ticket = Custom("tickets", "TICKET", pattern=r"\w{1,20}-tkt-\d+", literals=["-tkt-"])
    assert ticket.triggers.literals == ("-tkt-",)
    assert [one[1] for one in found(ticket, "a-tkt-12 b-tkt-3, tkt-4")] == ["a-tkt-12", "b-tkt-3"]
    check_recognizer(ticket, ["see a-tkt-12 now"])


def test_disguised_value_is_found():
    badge = Custom("badges", "BADGE", pattern=r"\bB-\d{4}\b")
    assert [one[1] for one in found(badge, "bring B\u2011１２３４")] == ["B\u2011１２３４"]


@pytest.mark.parametrize(
    ("table", "field", "reason"),
    [
        ({"type": "X", "pattern": "a"}, "name", "given"),
        ({"name": "x", "pattern": "a"}, "type", "given"),
        ({"name": " ", "type": "X", "pattern": "a"}, "name", "empty"),
        ({"name": "x", "type": "lower", "pattern": "a"}, "type", "capitals"),
        ({"name": "x", "type": "X"}, "pattern", "one of the two"),
        ({"name": "x", "type": "X", "pattern": "a", "words": ["b"]}, "pattern", "one of the two"),
        ({"name": "x", "type": "X", "pattern": "(a+)+"}, "pattern", "quantifier inside"),
        ({"name": "x", "type": "X", "pattern": "["}, "pattern", "no regular expression"),
        ({"name": "x", "type": "X", "pattern": "a", "score": 2}, "score", "0 to 1"),
        ({"name": "x", "type": "X", "pattern": "a", "score": True}, "score", "number"),
        ({"name": "x", "type": "X", "words": ["a", " "]}, "words[1]", "not empty"),
        ({"name": "x", "type": "X", "words": "abc"}, "words", "list"),
        ({"name": "x", "type": "X", "words": ["a"], "literals": ["b"]}, "literals", "left out"),
        ({"name": "x", "type": "X", "pattern": "a", "context": [1]}, "context[0]", "text"),
        ({"name": "x", "type": "X", "pattern": "a", "engine": "pcre"}, "engine", "'re2'"),
        ({"name": "x", "type": "X", "patern": "a"}, "patern", "unknown"),
    ],
)
def test_wrong_table_is_refused(table, field, reason):
    with pytest.raises(ConfigurationError) as caught:
        read_recognizer("privacy.recognizers[2]", table)
    assert caught.value.field == f"privacy.recognizers[2].{field}"
    assert reason in caught.value.message


def test_settings_take_tables_objects_and_names(monkeypatch):
    points = EntryPoints([EntryPoint("mine", f"{__name__}_none:absent", "aistrale.recognizers")])
    monkeypatch.setattr("aistrale.privacy.custom.entry_points", lambda *, group: points.select(group=group))
    settings = read_privacy("privacy", {"recognizers": [{"name": "b", "type": "BADGE", "pattern": "B-1"}, Stamp()]})
    assert settings is not None
    assert [one.types for one in settings.recognizers] == [("BADGE",), ("STAMP",)]
    with pytest.raises(ConfigurationError, match="offered by no installed package"):
        read_privacy("privacy", {"recognizers": ["theirs"]})
    with pytest.raises(ConfigurationError, match="cannot be loaded: ModuleNotFoundError"):
        read_privacy("privacy", {"recognizers": ["all"]})


class Stamp:
    """A recognizer as another package may have it."""

    name = "stamp"
    types = ("STAMP",)
    triggers = Triggers(literals=("STAMP-",))

    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end + 1, "STAMP", 1.0, self.name),)


class Offered(EntryPoint):
    """An entry point without a package around it."""

    def load(self):
        return {"class": Stamp, "several": (Stamp, Stamp()), "none": object()}[self.name]


def test_installed_recognizers_are_loaded_by_name(monkeypatch):
    points = EntryPoints(
        [Offered(name, "package:thing", "aistrale.recognizers") for name in ("class", "several", "none")]
    )
    monkeypatch.setattr("aistrale.privacy.custom.entry_points", lambda *, group: points.select(group=group))
    assert [one.name for one in installed_recognizers("class")] == ["stamp"]
    assert [one.name for one in installed_recognizers("several")] == ["stamp", "stamp"]
    with pytest.raises(ConfigurationError, match="'none' is none"):
        installed_recognizers("all")


def test_nothing_is_installed_by_default():
    assert installed_recognizers() == ()
