"""Persons, organisations, places and street addresses: one walk over the capitalised words of a text.

Each run of capitalised words ("Follow up with Ada M. van Loon tomorrow": one run) is looked at once. Every word of it
is one letter that says what it may be (see `lexicon.letters`), so that a run is a short string ("SIvL") on which small
patterns decide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._beside import (
    AFTER,
    AFTER_BITS,
    BEFORE,
    BESIDE_LOWER,
    COMMA,
    EMPLOYED,
    IS,
    KIND,
    MATTERS,
    NUMBER,
    PROGRAM,
    UPPER,
    VERB,
    WORKS,
    word_bits,
)
from aistrale.privacy.recognizers._lower import lower_names
from aistrale.privacy.recognizers._plan import DECIDED, NOTHING, PLANS, UNKNOWN, Plan
from aistrale.privacy.recognizers._run import Run, Walk, before_of, word_after
from aistrale.privacy.recognizers.address import street_at
from aistrale.privacy.recognizers.location import is_named_as_place, place_in
from aistrale.privacy.recognizers.organization import organization_in
from aistrale.privacy.recognizers.person import persons_in, settle_waiting
from aistrale.privacy.vocabulary import PERSON_AFTER_STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# Capitals of the scripts that have them; where a block mixes both cases (Latin Extended) the walk looks again.
_CAPITAL: Final = "A-ZÀ-ÖØ-ÞĀ-ɏΆ-ΫЀ-ЯԱ-ՖḀ-\u1eff"
_PARTICLE: Final = r"(?:v[ao]n|de[rnls]?|d[aiou]s?|della|la|le|los|al|el|bin|ibn|zu|te[rn]|af|av|y)"
_NEXT: Final = rf"[{_CAPITAL}][\w'\u2019.-]*+"
# Kept simple, since it meets every capital; what of a run is no name is told by its words. Full stops are part of it,
# for initials and titles, and part sentences afterwards.
_BEFORE_IT: Final = r"(?<![\w.@/\\#$&=~:'\u2019`-].)"
_RUN: Final = re.compile(
    rf"[{_CAPITAL}]{_BEFORE_IT}[\w'\u2019.-]*+(?: (?:(?=[vdlabezty]){_PARTICLE} (?:{_PARTICLE} )?)?{_NEXT}){{0,11}}+"
)
# Program text has these at the ends of many lines.
_CODE_ENDS: Final = (";\n", "{\n", "):\n", ")\n", "},\n", "),\n", " = ")
_TELLING: Final = 16384
# No further from it stands a place of which the next is the country.
_NEAR: Final = 4
_NUMBERED: Final = NUMBER | KIND
# Of which no more than the first characters are known.
_DOUBTFUL: Final = EMPLOYED | IS | VERB
# No further from a person stands the next one of a row.
_ROW: Final = 8
# A language or a text in it rather than a people.
_LANGUAGE: Final = re.compile(
    r"[ -](?:language|text|translat|version|readme|word|letter|char|content|alphabet|font|detect|speak|script|input"
    r"|keyboard|local)|\W*\n"
)


def _is_code(text: str) -> bool:
    """Whether a text is a program: a third of its lines end as lines of programs do. Its beginning tells."""
    text = text[:_TELLING]
    lines = text.count("\n")
    return lines > 4 and sum(map(text.count, _CODE_ENDS)) * 3 > lines


# A text without capitals is a message, typed in a hurry; what is longer is none.
_MOST_LOWER: Final = 8192


class Capitals:
    """Finds what capitalised words name."""

    name = "capitals"
    types = ("PERSON", "LOCATION", "ORGANIZATION", "ADDRESS", "NRP")
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Everything in the text that capitalised words name."""
        text = candidate.text
        if text.islower():
            return _without_capitals(text) if len(text) <= _MOST_LOWER else ()
        return _walk(text)


def _walk(text: str) -> list[Finding]:
    """Everything that a text names which has capitals."""
    walk = Walk(text, code=_is_code(text))
    for match in _RUN.finditer(text):
        plan = PLANS[match.group()]
        if plan is NOTHING:
            continue
        start = match.start()
        if start < walk.done:
            continue
        if plan.pieces:
            for offset, piece in plan.pieces:
                if start + offset >= walk.done:
                    _look(piece, start + offset, walk)
        else:
            _look(plan, start, walk)
    if (walk.waiting or walk.lines) and walk.found:
        settle_waiting(walk)
    return walk.found


def _without_capitals(text: str) -> list[Finding]:
    """What a text names that has no capital letter; streets are found as if each word had one."""
    found = lower_names(text)
    titled = text.title()
    if len(titled) == len(text):
        found += [finding for finding in _walk(titled) if finding.recognizer == "address"]
    return found


def _look(plan: Plan, start: int, walk: Walk) -> None:
    """A run, or what a full stop left of one."""
    text = walk.text
    end = start + plan.length
    after = AFTER[text[end : end + 3]]
    if after & PROGRAM:
        return
    beside = after | BEFORE[text[start - 3 : start] if start > 2 else text[:start]] | walk.beside
    if (
        beside & _NUMBERED
        and plan.street
        and (beside & NUMBER or text[end : end + 4] in BESIDE_LOWER)
        and street_at(plan.street_words(), start, end, walk, beside)
    ):
        return
    if plan.kind != DECIDED:
        if plan.kind == UNKNOWN and not _matters(start, end, beside, walk):
            if plan.waits is not None:
                walk.waiting.append((start, start + plan.waits[1], "?"))
            return
        plan = plan.inner()
    found = walk.found
    heeds = beside & plan.heeds
    if heeds and heeds & _DOUBTFUL:
        beside = _verified(start, end, beside, heeds, text)
        heeds &= beside
    if (
        heeds
        or start - walk.last_person < plan.row
        or (plan.says and word_bits(text, start) & plan.says)
        or (plan.near and found and start - found[-1].end < _NEAR)
    ):
        _decide(plan, start, beside, walk)
        return
    for first, last, kind, score, recognizer in plan.found:
        found.append(Finding(start + first, start + last, kind, score, recognizer))
    if plan.last:
        walk.last_person = start + plan.last
        walk.names += plan.names
    if plan.waits is not None:
        first, last, letter = plan.waits
        walk.waiting.append((start + first, start + last, letter))


def _matters(start: int, end: int, beside: int, walk: Walk) -> bool:
    """Whether what stands beside a word that no list knows may make it a name."""
    return (
        start - walk.last_person < _ROW
        or bool(beside & UPPER)
        or bool(word_bits(walk.text, start) & MATTERS)
        or (beside & IS > 0 and walk.text[end : end + 5] == " is a")
        or (beside & VERB > 0 and walk.text[end] == " " and word_after(walk.text, end) in PERSON_AFTER_STRONG)
    )


def _verified(start: int, end: int, beside: int, heeds: int, text: str) -> int:
    """What stands beside a run, without that of which the first characters only looked like it."""
    if heeds & EMPLOYED and not before_of(text, start).lower().rstrip(":").endswith(WORKS):
        beside &= ~EMPLOYED
    if heeds & IS and text[end : end + 5] != " is a":
        beside &= ~IS
    if heeds & VERB and word_after(text, end) not in PERSON_AFTER_STRONG:
        beside &= ~VERB
    return beside


def _decide(plan: Plan, start: int, beside: int, walk: Walk) -> None:
    """A run whose neighbours decide."""
    if plan.owned:
        beside &= ~AFTER_BITS
    letter = plan.letter
    if letter:
        letter = _known(plan, start, beside, walk)
        if not letter:
            return
    run = Run(walk.text, start, start + plan.length, plan.words, letter or plan.shape.replace("Y", "S"), beside=beside)
    if not (organization_in(run, walk) or persons_in(run, walk)):
        place_in(run, walk)


def _known(plan: Plan, start: int, beside: int, walk: Walk) -> str:
    """A name that the dictionary has; the letter to go on with, if anything is left to be told."""
    letter, text, end = plan.letter, walk.text, start + plan.length
    if letter == "Y":
        if beside & COMMA and place_in(Run(text, start, end, plan.words, "C", beside=beside), walk):
            return ""
        letter = "C" if is_named_as_place(text, start) else "S"
    if letter == "S" and not walk.code:
        if text[end : end + 2] != ", " or not organization_in(
            Run(text, start, end, plan.words, letter, beside=beside), walk
        ):
            walk.person(start, end, 0.55)
        return ""
    if letter == "N":
        if (
            _LANGUAGE.match(text, end) is None
            and not walk.code
            and not text.endswith(("in ", "for ", "to ", "into "), start - 5 if start > 5 else 0, start)
        ):
            walk.found.append(Finding(start, end, "NRP", 0.5, "nrp"))
        return ""
    # "US dollars", "UK English": what is named is something else.
    return "" if letter == "R" else letter


RECOGNIZERS = (Capitals(),)
