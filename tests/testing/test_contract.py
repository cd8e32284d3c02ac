"""The contract check lets good recognizers pass and says what is wrong with others."""

from __future__ import annotations

import threading

import pytest

from aistrale.privacy import Finding, Triggers, default_recognizers
from aistrale.testing import check_recognizer


class Good:
    name = "good"
    types = ("GOOD",)
    triggers = Triggers(literals=("good",))

    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end, "GOOD", 1.0),)


class Stateful(Good):
    def __init__(self):
        self.asked = 0

    def recognize(self, candidate):
        self.asked += 1
        return super().recognize(candidate) if self.asked % 3 else ()


class Unsafe(Good):
    def __init__(self):
        self.owner = threading.get_ident()

    def recognize(self, candidate):
        return super().recognize(candidate) if threading.get_ident() == self.owner else ()


class Outside(Good):
    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end + 9, "GOOD", 1.0),)


class Undeclared(Good):
    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end, "OTHER", 1.0),)


class TooSure(Good):
    def recognize(self, candidate):
        return (Finding(candidate.start, candidate.end, "GOOD", 1.5),)


class Quadratic(Good):
    def recognize(self, candidate):
        # From each place to the beginning of the text.
        for at in range(candidate.start, 0, -1):
            if candidate.text[at] == "!":
                break
        return super().recognize(candidate)


class Untriggered(Good):
    triggers = Triggers()


class ReadOnce(Good):
    triggers = Triggers(digits=iter((4, 5)))


class Typeless(Good):
    types = ()


class Lower(Good):
    types = ("good",)


def test_good_recognizer_passes():
    check_recognizer(Good(), ["a good one"])


@pytest.mark.parametrize(
    ("recognizer", "reason"),
    [
        (Stateful(), "state|thread"),
        (Unsafe(), "not thread-safe"),
        (Outside(), "finds something at 2 to 15"),
        (Undeclared(), "does not declare"),
        (TooSure(), "score 1.5"),
        (Quadratic(), "more than linear time"),
        (Untriggered(), "no trigger"),
        (ReadOnce(), "read once"),
        (Typeless(), "no types"),
        (Lower(), "capitals"),
        (object(), "has no 'name'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_wrong_is_said(recognizer, reason):
    with pytest.raises(AssertionError, match=reason):
        check_recognizer(recognizer, ["a good one"])


def test_example_must_be_found():
    with pytest.raises(AssertionError, match="finds nothing in the example"):
        check_recognizer(Good(), ["a bad one"])


@pytest.mark.parametrize("recognizer", default_recognizers(), ids=lambda one: one.name)
def test_own_recognizers_keep_the_contract(recognizer):
    check_recognizer(recognizer)
