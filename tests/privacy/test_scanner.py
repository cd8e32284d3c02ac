"""The scan: whom it asks about what, which findings hold, and that its time grows with the text."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.privacy import scan
from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers import default_recognizers
from aistrale.privacy.scanner import Scanner, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate, Recognizer


class Asked:
    """Remembers what it was asked about, and finds it."""

    name = "asked"
    types = ("ASKED",)

    def __init__(self, triggers: Triggers, *, score: float = 0.5) -> None:
        self.triggers = triggers
        self.score = score
        self.seen: list[str] = []

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        self.seen.append(candidate.value)
        return (Finding(candidate.start, candidate.end, "ASKED", self.score, self.name),)


def asked(text: str, triggers: Triggers) -> list[str]:
    recognizer = Asked(triggers)
    Scanner([recognizer]).scan(text)
    return recognizer.seen


# --- triggers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a 1234 b", ["1234"]),
        ("12 34", ["12 34"]),
        ("(12) 34", ["12) 34"]),
        ("12-34/56", ["12-34/56"]),
        ("12  34", []),
        ("12:34", []),
        ("x1234 1234x a_1234", []),
        ("123 and 12345", []),
        ("123 45", ["123 45"]),
    ],
)
def test_numbers_are_asked_about_by_their_count_of_digits(text: str, numbers: list[str]) -> None:
    assert asked(text, Triggers(digits=(4,))) == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("see AB12 there", ["AB12"]),
        ("12AB", ["12AB"]),
        ("A_12", ["A_12"]),
        ("ABCD 1234 AB123", []),
        ("A1-23", ["A1-23"]),
    ],
)
def test_words_with_a_digit_are_asked_about_by_their_length(text: str, words: list[str]) -> None:
    assert asked(text, Triggers(tokens=(4,))) == words


def test_literals_are_asked_about_where_they_stand() -> None:
    assert asked("::a:::b::", Triggers(literals=("::",))) == ["::", "::", "::"]
    assert asked("AB ab", Triggers(literals=("ab",))) == ["ab"]


def test_the_whole_text_is_asked_about_once() -> None:
    assert asked("no digit at all", Triggers(whole=True)) == ["no digit at all"]


def test_a_recognizer_costs_nothing_where_nothing_triggers_it() -> None:
    assert asked("Nothing here, 12345 times.", Triggers(digits=(4,), tokens=(9,), literals=("@",))) == []


def test_several_are_asked_about_the_same_place() -> None:
    first, second = Asked(Triggers(digits=(4,))), Asked(Triggers(digits=range(2, 6), literals=("@",)))
    Scanner([first, second]).scan("1234 @")
    assert (first.seen, second.seen) == (["1234"], ["1234", "@"])


# --- context ---------------------------------------------------------------------------------------------------------


def test_a_candidate_knows_what_stands_around_it() -> None:
    seen: list[Candidate] = []

    class Keep(Asked):
        def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
            seen.append(candidate)
            return ()

    Scanner([Keep(Triggers(digits=(4,)))]).scan("x" * 100 + " My_PIN, naïve\u2019s: 1234; or_else it " + "y" * 100)
    (candidate,) = seen
    assert candidate.digits == candidate.value == "1234"
    assert len(candidate.before) == 64
    assert len(candidate.after) == 32
    assert candidate.said[-4:] == ["my", "pin", "naïve", "s"]
    assert {"my", "pin", "or", "else", "it"} - candidate.words == set()
    assert candidate.near(frozenset({"pin"}))
    assert not candidate.near(frozenset({"PIN", "pi"}))
    assert not candidate.alone


@pytest.mark.parametrize(
    ("text", "alone"),
    [("1234", True), ('"1234"', True), (" 1234;\n", True), ("a 1234", False), ("1234 b", False), ("(1234)", False)],
)
def test_a_value_of_its_own_stands_alone(text: str, alone: bool) -> None:
    found: list[bool] = []

    class Keep(Asked):
        def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
            found.append(candidate.alone)
            return ()

    Scanner([Keep(Triggers(digits=(4,)))]).scan(text)
    assert found == [alone]


# --- settling --------------------------------------------------------------------------------------------------------


def finding(start: int, end: int, kind: str = "A", score: float = 0.5) -> Finding:
    return Finding(start, end, kind, score)


def test_the_surest_holds() -> None:
    long, sure = finding(0, 20), finding(5, 9, score=0.9)
    assert settle([long, sure], 0.5) == [sure]


def test_of_equally_sure_ones_the_longest_holds() -> None:
    assert settle([finding(0, 5), finding(3, 12), finding(11, 14)], 0.5) == [finding(3, 12)]


def test_neighbours_both_hold_in_order() -> None:
    assert settle([finding(5, 9), finding(0, 5)], 0.5) == [finding(0, 5), finding(5, 9)]


def test_the_same_place_may_be_several_things_that_are_equally_sure() -> None:
    first, second, less = finding(2, 6, "A"), finding(2, 6, "B"), finding(2, 6, "C", 0.4)
    held = settle([first, second, less, finding(2, 6, "A")], 0.3)
    assert sorted(one.type for one in held) == ["A", "B"]


def test_what_is_unlikely_is_not_reported_unless_asked_for() -> None:
    recognizer = Asked(Triggers(digits=(4,)), score=0.3)
    assert Scanner([recognizer]).scan("1234") == []
    assert [held.score for held in Scanner([recognizer], min_score=0.3).scan("1234")] == [0.3]


@given(
    st.lists(
        st.builds(
            finding,
            st.integers(0, 30),
            st.integers(31, 60) | st.integers(1, 5),
            st.sampled_from("ABC"),
            st.sampled_from([0.4, 0.5, 1.0]),
        )
    )
)
def test_settled_findings_never_overlap_but_in_the_same_place(found: list[Finding]) -> None:
    held = settle([Finding(f.start, f.start + f.end, f.type, f.score) for f in found], 0.5)
    check(held, 100)


def check(held: list[Finding], length: int) -> None:
    """In order, inside the text, no overlaps but of equals with different types."""
    for one in held:
        assert 0 <= one.start < one.end <= length
        assert one.score >= 0.5
    for one, following in pairwise(held):
        if (one.start, one.end) == (following.start, following.end):
            assert one.score == following.score
            assert one.type != following.type
        else:
            assert one.end <= following.start


# --- everything together ---------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["4111 1111 1111 1111", "ada@example.com", "206-555-0142", "2024-02-29 11:30", "GB82 WEST 1234 5698 7654 32", "198.51.100.7", "2001:db8::7",
     "https://example.com/a?b=c", "536-22-8726", "SSN ", "call ", "card ", "born ", "+", "@", ":", "::", "/", ".", "-", " ", "\n", "x", "1", "12", "1/"],
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=6), max_size=24).map("".join))
def test_findings_are_in_order_inside_the_text_and_apart(text: str) -> None:
    check(scan(text), len(text))


def events(text: str, recognizers: Iterable[Recognizer]) -> int:
    """How many calls a scan makes, of Python's and of C's functions."""
    scanner = Scanner(tuple(recognizers))
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        del frame, argument
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        scanner.scan(text)
    finally:
        sys.setprofile(before)
    return count


PUMPED = (
    "@", ".", ":", "/", "-", "=", "1", "1.", "1 ", "1-", "1/", "(1", "a.", "a@", "a@b.", "@a.", "://", "http://a.", "www.", "a.com ", "+1", "0 ", "12 ",
    "4111 ", "1111 ", "123-", "12345678 ", "ab:", "::", "1:", "aa-", "0000:", "GB82 WEST ", "GB29", "bc1q", "A1", "Jan 1 ", "1 Jan ", "on Sunday ",
    "2020-01-01 ", "BIC ", "account 1", "1EG4-", "5x1", "in 1999 ", "tel 12 34 56 ", "1.1.1.1 ", "255.255.255.", 'a"', '"=', "a" * 62 + "@", "9" * 30 + " ",
)  # fmt: skip


@pytest.mark.parametrize("piece", PUMPED)
def test_the_work_grows_with_the_text(piece: str) -> None:
    default = default_recognizers()
    small, large = (piece * (size // len(piece) + 1) for size in (2_000, 16_000))
    scan(small)
    assert events(large, default) <= 8 * 1.3 * events(small, default) + 2_000
    started = time.process_time()
    scan(piece * (100_000 // len(piece)))
    # Counting does not see the inside of an expression; what is not linear takes minutes here.
    assert time.process_time() - started < 10
