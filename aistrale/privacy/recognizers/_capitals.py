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
from aistrale.privacy.recognizers.address import street_at
from aistrale.privacy.recognizers.location import place_in
from aistrale.privacy.recognizers.organization import organization_in
from aistrale.privacy.recognizers.person import persons_in, settle_waiting
from aistrale.privacy.recognizers._run import Run, Walk, letter_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.privacy.recognizer import Candidate

# Capitals of the scripts that have them; where a block mixes both cases (Latin Extended) the walk looks again.
_CAPITAL: Final = "A-ZÀ-ÖØ-ÞĀ-ɏΆ-ΫЀ-ЯԱ-ՖḀ-ỿ"
# After a capital: initials with their full stops; or small letters, hyphens and apostrophes, but no part of a program.
_REST: Final = (
    rf"(?:(?:\.[{_CAPITAL}](?![^\W\d_]))*+\.(?!\w)|[^\W\d_]*+(?:['’\-][^\W\d_]++)*+(?![\w(@=/\\]|\.\w))"
)
_PARTICLE: Final = r"(?:v[ao]n|de[rnls]?|d[aiou]s?|della|la|le|los|al|el|bin|ibn|zu|te[rn]|af|av|y)"
_RUN: Final = re.compile(
    rf"[{_CAPITAL}](?<![\w.@/\\#$&=~:'’`-].){_REST}(?: (?:{_PARTICLE} ){{0,2}}[{_CAPITAL}]{_REST})*+"
)
_PLAIN: Final = frozenset("wNXv")
# Program text has these at the ends of many lines.
_CODE_ENDS: Final = (";\n", "{\n", "):\n", ")\n", "},\n", "),\n", "= ")


def _is_code(text: str) -> bool:
    """Whether a text is a program: a third of its lines end as lines of programs do."""
    lines = text.count("\n")
    return lines > 4 and sum(map(text.count, _CODE_ENDS)) * 3 > lines


class Capitals:
    """Finds what capitalised words name."""

    name = "capitals"
    types = ("PERSON", "LOCATION", "ORGANIZATION", "ADDRESS", "NRP")
    triggers = Triggers(whole=True)

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """Everything in the text that capitalised words name."""
        text = candidate.text
        known = letters()
        get = known.get
        walk = Walk(text, code=_is_code(text))
        found = walk.found
        for match in _RUN.finditer(text):
            name = match.group()
            letter = get(name)
            start, end = match.span()
            if letter is not None:
                if letter in _PLAIN:
                    if letter == "N" :
                        found.append(Finding(start, end, "NRP", 0.5, "nrp"))
                    continue
                words, shape = [name], letter
            elif " " in name:
                words = name.split(" ")
                shape = "".join([get(word) or letter_of(word) for word in words])
            else:
                words, shape = [name], letter_of(name)
            if shape.strip("wXNvZG"):
                run = Run(text, start, end, words, shape)
                street_at(run, walk) or organization_in(run, walk) or persons_in(run, walk) or place_in(run, walk)
                walk.last = run
        if walk.waiting:
            settle_waiting(walk)
        return found


RECOGNIZERS = (Capitals(),)
