"""Persons, organisations, places and street addresses: one walk over the capitalised words of a text.

Each run of capitalised words ("Follow up with Ada M. van Loon tomorrow": one run) is looked at once. Every word of it
is one letter that says what it may be (see `lexicon.letters`), so that a run is a short string ("SIvL") on which small
patterns decide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.lexicon import letters
from aistrale.privacy.recognizer import Triggers
from aistrale.privacy.recognizers._lower import lower_names
from aistrale.privacy.recognizers._run import Run, Walk, letter_of
from aistrale.privacy.recognizers.address import BESIDE_LOWER, street_at
from aistrale.privacy.recognizers.location import is_named_as_place, place_in
from aistrale.privacy.recognizers.organization import organization_in
from aistrale.privacy.recognizers.person import may_matter, one_name, persons_in, settle_waiting
from aistrale.privacy.vocabulary import UNITS

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
# Letters that say: nothing by itself.
_PLAIN: Final = frozenset("wXvGZ")
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


# What follows a name in a program only.
_PROGRAM_ENDS: Final = frozenset("(=@/\\[{_")
_COMMAS: Final = frozenset((", ", " ,"))
_DIGITS: Final = frozenset("0123456789#")
# Letters of what no street is called.
_NO_STREETS: Final = frozenset("RNTtOoS")
# Words of up to this length end in a full stop as abbreviations do: "St. Gallen", "Jr.".
_SHORT: Final = frozenset(
    ["St", "Ste", "Ft", "Mt", "Jr", "Sr", "Ave", "Dr", "Av", "Avda", "Ul", "Str", "Apt", "No", "Nr", "Pl"]
)

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
    get = letters().get
    walk = Walk(text, code=_is_code(text))
    for match in _RUN.finditer(text):
        name = match.group()
        letter = get(name)
        if letter in _PLAIN:
            continue
        start, end = match.span()
        if start < walk.done:
            continue
        if letter is None:
            if "." in name:
                _parted(name, start, walk)
                continue
            if name[-1] in "'\u2019-":
                name = name[:-1]
                end -= 1
        _look(name, letter, start, end, walk)
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


def _parted(name: str, start: int, walk: Walk) -> None:
    """A run with full stops: those of initials and titles are inside a name, others end one."""
    known = letters()
    words: list[str] = []
    at = start
    for word in name.split(" "):
        words.append(word)
        if word[-1] == "." and len(word) > 2:
            bare = word[:-1]
            if (known.get(bare, "") in "Tt" and bare in known) or bare in _SHORT or "." in bare:
                continue
            words[-1] = bare
            _piece(words, at, walk)
            at += sum(map(len, words)) + len(words) + 1
            words = []
    if words:
        _piece(words, at, walk)


def _piece(words: list[str], start: int, walk: Walk) -> None:
    name = " ".join(words)
    if len(name) > 2:
        name = name.rstrip(".-'\u2019")
    if not name or start < walk.done:
        return
    letter = letters().get(name)
    if letter not in _PLAIN:
        _look(name, letter, start, start + len(name), walk)


def _look(name: str, letter: str | None, start: int, end: int, walk: Walk) -> None:
    """A run, or what a full stop left of one."""
    text = walk.text
    after = text[end : end + 4]
    if after[:1] in _PROGRAM_ENDS:
        return
    words, shape = [name], letter
    if letter is None and " " in name:
        words = name.split(" ")
        get = letters().get
        shape = "".join([get(word) or letter_of(word) for word in words])
    if letter not in _NO_STREETS:
        # "14 Rue", "14, Rue", "14b Rue".
        numbered = text[start - 2 : start - 1] in _DIGITS or text[start - 3 : start - 2] in _DIGITS
        numbered = numbered or after[1:2] in _DIGITS or after in BESIDE_LOWER
        numbered = numbered or (after[:2] == ", " and after[2:3].isdigit())
        if numbered and _is_street(words, shape or letter_of(name), start, end, walk):
            return
    if letter is not None:
        _known(name, letter, start, end, walk)
    elif shape is None:
        _unknown(name, start, end, walk)
    elif shape.strip("wXvGZ"):
        run = Run(text, start, end, words, shape.replace("Y", "S"))
        if not (organization_in(run, walk) or persons_in(run, walk)):
            place_in(run, walk)


def _is_street(words: list[str], shape: str, start: int, end: int, walk: Walk) -> bool:
    """Report the address of a run that has a number beside it; whether there is one."""
    if len(words) > 1 and words[-1].rstrip(".") in UNITS:
        end -= len(words[-1]) + 1
        words, shape = words[:-1], shape[:-1]
    return street_at(Run(walk.text, start, end, words, shape), walk)


def _known(name: str, letter: str, start: int, end: int, walk: Walk) -> None:
    """One word, or one name of several words, that the dictionary has."""
    if letter in "SY":
        if letter == "Y":
            if walk.text[end : end + 2] in _COMMAS and place_in(Run(walk.text, start, end, [name], "C"), walk):
                return
            letter = "C" if is_named_as_place(walk.text, start) else "S"
        if letter == "S" and not walk.code:
            if walk.text[end : end + 2] == ", " and organization_in(Run(walk.text, start, end, [name], letter), walk):
                return
            walk.person(start, end, 0.55)
            return
    elif letter == "R":
        # "US dollars", "UK English": what is named is something else.
        if name not in {"US", "UK"} or walk.text[end : end + 1] != " ":
            walk.found.append(Finding(start, end, "LOCATION", 0.7, "location"))
        return
    elif letter == "N":
        if (
            _LANGUAGE.match(walk.text, end) is None
            and not walk.code
            and not walk.text.endswith(("in ", "for ", "to ", "into "), start - 5 if start > 5 else 0, start)
        ):
            walk.found.append(Finding(start, end, "NRP", 0.5, "nrp"))
        return
    _by_context(Run(walk.text, start, end, [name], letter), walk)


def _unknown(name: str, start: int, end: int, walk: Walk) -> None:
    """One word that the dictionary lacks: looked at only where something beside it says that it may be a name."""
    if name[-2:] in {"'s", "\u2019s"}:
        name = name[:-2]
        letter = letters().get(name)
        if letter is not None:
            if letter not in _PLAIN:
                _known(name, letter, start, end - 2, walk)
            return
    if may_matter(walk, start, end):
        letter = letter_of(name)
        if letter not in _PLAIN or (letter == "Z" and len(name) > 3):
            _by_context(Run(walk.text, start, start + len(name), [name], letter), walk)
    elif len(name) > 3:
        walk.waiting.append((start, start + len(name), "?"))


def _by_context(run: Run, walk: Walk) -> None:
    """One word whose neighbours decide."""
    if not (organization_in(run, walk) or one_name(run, walk)):
        place_in(run, walk)


RECOGNIZERS = (Capitals(),)
