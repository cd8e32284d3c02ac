"""What a run of capitalised words comes to by itself, worked out once for each.

A text names the same people, places and firms again and again, and a conversation is sent again with each turn. So what
follows from a run's own words is kept for the runs met last: what it names, and which neighbours could change that. The
walk then only looks whether one of these stands there. What is kept are short strings that the text itself holds, some
thousands at most, in memory alone.
"""

from __future__ import annotations

from typing import Final

from aistrale.privacy.lexicon import letters
from aistrale.privacy.recognizers import _beside as beside
from aistrale.privacy.recognizers._beside import Memo
from aistrale.privacy.recognizers._run import letter_of, span_of
from aistrale.privacy.recognizers.address import Street
from aistrale.privacy.recognizers.location import PLACE_SCORES, known_place
from aistrale.privacy.recognizers.organization import FIRST_OF_FIRM, ends_open, formed_at, leading
from aistrale.privacy.recognizers.person import GREETINGS, ONE, full_names, unknown_name
from aistrale.privacy.vocabulary import PLACE_HEADS

DECIDED: Final = 0
"""It names something or nothing, unless one of the neighbours that it heeds stands there."""
UNKNOWN: Final = 1
"""A word that no list knows: it comes to something only where its neighbours say so."""
POSSESSIVE: Final = 2
"""A name and 's."""

# Letters that say: nothing by itself.
_PLAIN: Final = frozenset("wXvGZ")
# Letters of what no street is called.
_NO_STREETS: Final = frozenset("RNTtOoS")
# Words of up to this length end in a full stop as abbreviations do: "St. Gallen", "Jr.".
_SHORT: Final = frozenset(
    ["St", "Ste", "Ft", "Mt", "Jr", "Sr", "Ave", "Dr", "Av", "Avda", "Ul", "Str", "Apt", "No", "Nr", "Pl"]
)
_FIRMS: Final = beside.LEGAL | beside.IS | beside.EMPLOYED
_CUES: Final = beside.CUE | beside.WEAK_CUE


class Plan:
    """What a run comes to.

    Args:
        words: Its words.
        shape: A letter for each; "" for one word of which it is not known yet.
        length: How many of its characters count.
    """

    __slots__ = (
        "_inner",
        "_street",
        "found",
        "heeds",
        "kind",
        "last",
        "length",
        "letter",
        "names",
        "near",
        "owned",
        "row",
        "says",
        "shape",
        "street",
        "waits",
        "words",
    )

    def __init__(self, words: list[str], shape: str, length: int) -> None:
        self.words = words
        self.shape = shape
        self.length = length
        self.kind = DECIDED
        # The letter of a name that is decided in its own way.
        self.letter = ""
        # What it names: first character, the one after the last, type, score, recognizer.
        self.found: tuple[tuple[int, int, str, float, str], ...] = ()
        # The words of sure names, and where the last person ends.
        self.names: list[str] = []
        self.last = 0
        # What may prove to be a name further on.
        self.waits: tuple[int, int, str] | None = None
        # Bits beside it, and of the word before it, that change what it names.
        self.heeds = 0
        self.says = 0
        # How near to a person it is looked at again, and whether a place beside it matters.
        self.row = 0
        self.near = False
        # Whether it may be a street, and whether a possessive follows.
        self.street = True
        self.owned = False
        self._inner: Plan | None = None
        self._street: Street | None = None

    def inner(self) -> Plan:
        """What its word comes to where it is looked at; worked out when it is needed."""
        if self._inner is None:
            name, letter = self.words[0][: self.length], None
            owned = name[-2:] in {"'s", "\u2019s"}
            if owned:
                name = name[:-2]
                letter = letters().get(name)
            if letter is not None:
                plan = NOTHING if letter in _PLAIN else _known(name, letter)
            else:
                letter = letter_of(name)
                plan = _single(name, letter) if letter not in _PLAIN or (letter == "Z" and len(name) > 3) else NOTHING
            if owned and plan is not NOTHING:
                plan.owned = True
                plan.heeds &= ~beside.AFTER_BITS
            self._inner = plan
        return self._inner

    def street_words(self) -> Street:
        """What of it may be the name of a street; worked out when it is needed."""
        if self._street is None:
            self._street = Street(self.words, self.shape or letter_of(self.words[0]))
        return self._street


NOTHING: Final = Plan([], "", 0)
"""Of what names nothing, whatever stands beside it."""


def _plans_of(name: str) -> tuple[tuple[int, Plan], ...]:
    """What a run comes to, as it stands in the text: where its parts begin, and what each comes to."""
    letter = letters().get(name)
    if letter is None:
        if "." in name:
            return _parted(name)
        if name[-1] in "'\u2019-":
            name = name[:-1]
    plan = _whole(name, letter)
    return () if plan is NOTHING else ((0, plan),)


PLANS: Final = Memo(_plans_of, 8192)
"""What runs come to."""


def _parted(name: str) -> tuple[tuple[int, Plan], ...]:
    """A run with full stops: those of initials and titles are inside a name, others end one."""
    known = letters()
    words: list[str] = []
    pieces: list[tuple[int, Plan]] = []
    at = 0
    for word in name.split(" "):
        words.append(word)
        if word[-1] == "." and len(word) > 2:
            bare = word[:-1]
            if (known.get(bare, "") in "Tt" and bare in known) or bare in _SHORT or "." in bare:
                continue
            words[-1] = bare
            pieces.append((at, _piece(words)))
            at += sum(map(len, words)) + len(words) + 1
            words = []
    if words:
        pieces.append((at, _piece(words)))
    return tuple([piece for piece in pieces if piece[1] is not NOTHING])


def _piece(words: list[str]) -> Plan:
    name = " ".join(words)
    if len(name) > 2:
        name = name.rstrip(".-'\u2019")
    return _whole(name, letters().get(name)) if name else NOTHING


def _whole(name: str, letter: str | None) -> Plan:
    if letter is not None:
        return NOTHING if letter in _PLAIN else _known(name, letter)
    if " " in name:
        words = name.split(" ")
        get = letters().get
        return _several(words, "".join([get(word) or letter_of(word) for word in words]), len(name))
    plan = Plan([name], "", len(name))
    plan.kind = UNKNOWN
    if name[-2:] in {"'s", "\u2019s"}:
        if name[:-2] in letters():
            plan.kind = POSSESSIVE
        name = name[:-2]
    if len(name) > 3:
        plan.waits = (0, len(name), "?")
    return plan


def _known(name: str, letter: str) -> Plan:
    """One word, or one name of several words, that the dictionary has."""
    if letter not in "SYRN":
        return _single(name, letter)
    plan = Plan([name], letter, len(name))
    plan.letter = letter
    plan.street = letter not in _NO_STREETS
    if letter == "R":
        plan.found = ((0, len(name), "LOCATION", 0.7, "location"),)
        plan.heeds = beside.SPACE if name in {"US", "UK"} else 0
    elif letter == "N":
        plan.heeds = beside.ANY
    else:
        _person(plan, 0, 1, 0.55)
        plan.heeds = beside.COMMA | beside.CODE
        plan.says = beside.PLACE if letter == "Y" else 0
    return plan


def _single(name: str, letter: str) -> Plan:
    """One word whose neighbours decide."""
    plan = Plan([name], letter, len(name))
    plan.street = letter not in _NO_STREETS
    plan.heeds = _FIRMS | beside.FIRM * (letter in FIRST_OF_FIRM)
    if letter == "D" and not leading(plan.words):
        start, end = span_of(plan.words, 0, 1)
        plan.found = ((start, end, "ORGANIZATION", 0.5, "organization"),)
        return plan
    if ends_open(plan.words, letter):
        plan.heeds = beside.ANY
        return plan
    if letter in ONE:
        _one_name(plan, letter)
    if letter in PLACE_SCORES:
        plan.found = ((*span_of(plan.words, 0, 1), "LOCATION", PLACE_SCORES[letter], "location"),)
        plan.heeds |= beside.CODE
    elif letter in "rCP":
        plan.says |= beside.PLACE
    elif letter in "FSLUlfZ":
        plan.says |= beside.WHERE
    if letter in "CPrULfl":
        plan.heeds |= beside.COMMA
    plan.near = letter in "Cr"
    return plan


def _one_name(plan: Plan, letter: str) -> None:
    """What a word comes to that may be a person."""
    if letter != "r":
        plan.row = 7
        plan.says |= beside.CUE | beside.FORMER
        if letter not in "Uf":
            plan.says |= beside.WEAK_CUE | beside.SAID
        if letter != "f":
            plan.heeds |= beside.VERB
    if letter == "S":
        _person(plan, 0, 1, 0.55)
        plan.heeds |= beside.CODE
    elif letter in "FLCfUD":
        plan.waits = (*span_of(plan.words, 0, 1), letter)


def _person(plan: Plan, first: int, last: int, score: float) -> None:
    """Add a person: words `first` to `last` (not included)."""
    start, end = span_of(plan.words, first, last)
    plan.found += ((start, end, "PERSON", score, "person"),)
    plan.last = end
    if score >= 0.7:
        plan.names += plan.words[first:last]


def _several(words: list[str], shape: str, length: int) -> Plan:
    """Several words."""
    plan = Plan(words, shape, length)
    if not shape.strip("wXvGZ"):
        return plan
    shape = shape.replace("Y", "S")
    plan.heeds = _FIRMS
    first = leading(words)
    if "O" in shape or "o" in shape:
        if ends_open(words, shape):
            plan.heeds = beside.ANY
            return plan
        if formed := formed_at(words, shape, first):
            start = span_of(words, first, first + 1)[0]
            plan.found = ((start, span_of(words, first, formed[0])[1], "ORGANIZATION", formed[1], "organization"),)
            plan.heeds = beside.DOT
            return plan
    if shape[-1] == "D" and len(shape) - first == 1:
        plan.found = ((*span_of(words, first, len(words)), "ORGANIZATION", 0.5, "organization"),)
        return plan
    persons = full_names(words, shape)
    if persons is None:
        plan.heeds = beside.ANY
        return plan
    for start, last, score, kind in persons:
        _person(plan, start, last, score)
        plan.heeds |= beside.CODE * (kind in "ef") | beside.DOT * (shape[last - 1] == "G")
    if not persons:
        _unproven(plan, words, shape)
    return plan


def _unproven(plan: Plan, words: list[str], shape: str) -> None:
    """What several words come to without a full name in them."""
    count = len(words)
    name = unknown_name(words, shape)
    if name is not None:
        first, last = name
        if first:
            plan.heeds |= beside.ANY * (words[first - 1] in GREETINGS)
        else:
            plan.says |= _CUES
            plan.heeds |= beside.END * (last == count)
        plan.heeds |= beside.VERB * (last == count)
    letter = shape[-1]
    if letter in ONE and letter != "r" and not shape[:-1].strip("wXN") and words[-2] not in PLACE_HEADS:
        plan.heeds |= beside.ANY * (words[-2] in GREETINGS) | beside.VERB * (letter != "f")
        plan.says |= beside.FORMER
        if letter == "S":
            plan.heeds |= beside.CODE
            _person(plan, count - 1, count, 0.55)
            return
        plan.waits = (*span_of(words, count - 1, count), letter)
    place = known_place(words, shape)
    if place is not None:
        plan.found = ((*span_of(words, place[0], count), "LOCATION", PLACE_SCORES[place[1]], "location"),)
        plan.heeds |= beside.CODE * (place[1] == "P")
        return
    plan.heeds |= beside.COMMA
    if shape[0] not in "wXTtON":
        plan.says |= beside.WHERE
