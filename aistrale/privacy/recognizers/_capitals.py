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
    ANY,
    BEFORE,
    BESIDE_LOWER,
    COMMA,
    EMPLOYED,
    FIRM,
    IS,
    KIND,
    LEGAL,
    MATTERS,
    NUMBER,
    PROGRAM,
    UPPER,
    VERB,
    WORKS,
    word_bits,
)
from aistrale.privacy.recognizers._lower import lower_names
from aistrale.privacy.recognizers._plan import PLANS, UNKNOWN
from aistrale.privacy.recognizers._run import Run, Walk, before_of, word_after
from aistrale.privacy.recognizers.address import street_at
from aistrale.privacy.recognizers.location import is_named_as_place, place_in
from aistrale.privacy.recognizers.organization import organization_in
from aistrale.privacy.recognizers.person import persons_in, settle_waiting
from aistrale.privacy.vocabulary import PERSON_AFTER_STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate
    from aistrale.privacy.recognizers._plan import Plan

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
# The look-ups that every run takes.
_planned: Final = PLANS.get
_after: Final = AFTER.get
_before: Final = BEFORE.get
_NUMBERED: Final = NUMBER | KIND
_DOUBTFUL: Final = EMPLOYED | IS | VERB
_FIRMS: Final = EMPLOYED | IS | LEGAL | FIRM | ANY
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
    found, waiting, always = walk.found, walk.waiting, walk.beside
    for match in _RUN.finditer(text):
        plans = _planned(match[0])
        if plans is None:
            plans = PLANS.make(match[0])
        for offset, planned in plans:
            start = match.start() + offset
            plan, end = planned, start + planned.length
            tail = text[end : end + 3]
            after = _after(tail) or AFTER.make(tail)
            if after & PROGRAM or start < walk.done:
                continue
            head = text[start - 3 : start] or text[:start]
            beside = after | always | (_before(head) or BEFORE.make(head))
            if (
                beside & _NUMBERED
                and plan.street
                and (beside & NUMBER or text[end : end + 4] in BESIDE_LOWER)
                and street_at(plan.street_words(), start, end, walk, beside)
            ):
                continue
            if plan.kind and (plan.kind != UNKNOWN or _matters(start, end, beside, walk)):
                plan = plan.inner()
            if (
                beside & plan.heeds
                or start - walk.last_person < plan.row
                or (plan.says and word_bits(text, start) & plan.says)
                or (plan.near and found and start - found[-1].end < _NEAR)
            ) and _decided(plan, start, beside, walk):
                continue
            for first, last, kind, score, recognizer in plan.found:
                found.append(Finding(start + first, start + last, kind, score, recognizer))
            if plan.last:
                walk.last_person = start + plan.last
                walk.names += plan.names
            if plan.waits is not None:
                first, last, kind = plan.waits
                waiting.append((start + first, start + last, kind))
    if (waiting or walk.lines) and found:
        settle_waiting(walk)
    return found


def _without_capitals(text: str) -> list[Finding]:
    """What a text names that has no capital letter; streets are found as if each word had one."""
    found = lower_names(text)
    titled = text.title()
    if len(titled) == len(text):
        found += [finding for finding in _walk(titled) if finding.recognizer == "address"]
    return found


def _matters(start: int, end: int, beside: int, walk: Walk) -> bool:
    """Whether what stands beside a word that no list knows may make it a name."""
    return (
        start - walk.last_person < _ROW
        or bool(beside & UPPER)
        or bool(word_bits(walk.text, start) & MATTERS)
        or (beside & IS > 0 and walk.text[end : end + 5] == " is a")
        or (beside & VERB > 0 and walk.text[end] == " " and word_after(walk.text, end) in PERSON_AFTER_STRONG)
    )


def _decided(plan: Plan, start: int, beside: int, walk: Walk) -> bool:
    """Report what a run names that has something of interest beside it; whether it had."""
    text, end = walk.text, start + plan.length
    heeds = beside & plan.heeds
    if heeds & _DOUBTFUL:
        # No more than the first characters of these are known.
        if heeds & EMPLOYED and not before_of(text, start).lower().rstrip(":").endswith(WORKS):
            heeds ^= EMPLOYED
        if heeds & IS and text[end : end + 5] != " is a":
            heeds ^= IS
        if heeds & VERB and word_after(text, end) not in PERSON_AFTER_STRONG:
            heeds ^= VERB
        if not (
            heeds
            or start - walk.last_person < plan.row
            or (plan.says and word_bits(text, start) & plan.says)
            or (plan.near and walk.found and start - walk.found[-1].end < _NEAR)
        ):
            return False
    if plan.owned:
        beside &= ~AFTER_BITS
    letter = plan.letter
    if letter:
        letter = _known(plan, start, beside, walk)
        if not letter:
            return True
    run = Run(text, start, end, plan.words, letter or plan.shape.replace("Y", "S"), beside=beside)
    # A firm needs one of these, or a shape that decides it in any case.
    firm = (heeds & _FIRMS or letter or plan.found) and organization_in(run, walk)
    if not (firm or persons_in(run, walk)):
        place_in(run, walk)
    return True


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
