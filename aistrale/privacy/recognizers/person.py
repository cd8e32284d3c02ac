"""Names of persons: a known first name and what follows it, titles, initials, names after words that announce one."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizers._beside import CUE_WORDS, NAME_CUES, SPEECH, WEAK_CUES
from aistrale.privacy.vocabulary import (
    ORG_NOUNS,
    PERSON_AFTER_STRONG,
    PERSON_BEFORE,
    PLACE_HEADS,
    STREET_SUFFIXES,
)

if TYPE_CHECKING:
    from aistrale.privacy.recognizers._run import Run, Walk

# The shapes of full names; see `lexicon.letters` and `letter_of` for the letters. `first` is where the name begins.
_FULL: Final = re.compile(
    r"T(?P<a>(?:[IivSFfLlCPUrXD]{0,4}[SFfLlCPUrXDRNw])G?)"
    r"|t(?P<b>(?:[SF][Iiv]{0,3}|[Ii]{1,2})?[SFLCUD]{1,2}G?)"
    r"|(?P<c>[SF](?:I{1,2}[wX]|(?:[Iiv]{0,3}[SFLUCDlfPt]){1,3})G?)"
    r"|(?P<d>f(?:[Iiv]{0,3}[SFLCD]){1,2}G?|[fX][Ii]{1,2}[SFLCDlU]G?|X[LSFD]G?|[Cr][Iiv]{0,3}[SFLD]{1,2}G?|[Cr][Ii]{1,2}[CUl]G?)"
    r"|(?P<e>(?:I[Ii]{0,2}v{0,2}|ii?v{0,2}(?=[SFLD]))[SFLCUD]{1,2}G?)"
    r"|(?P<f>[ULD][Iiv]{0,3}[LD]G?|[UL][Ii]{1,2}[ULCD]G?|U[Ii]{0,2}[SF]G?|U?v{1,2}[UL])"
)
_SCORES: Final = {"a": 0.9, "b": 0.85, "c": 0.85, "d": 0.75, "e": 0.75, "f": 0.6}
# Words that no list need know, if it is said that they name a person.
_UNKNOWN: Final = re.compile(r"[ULFCDP](?:[Iiv]{0,3}[ULFSCDPlfZ]){1,3}G?")
GREETINGS: Final = frozenset(
    ("Hi", "Hello", "Hey", "Dear", "I'm", "I\u2019m", "Producer", "Actor", "Author", "Contact", "Patient", "Singer")
)
_QUOTED: Final = frozenset(("> ", "? ", "* ", "- ", "| "))
ONE: Final = frozenset("SFfCLUDr")
_ROW_GAPS: Final = frozenset((", ", " and ", ", and ", " & ", " or "))
_ROW_STARTS: Final = frozenset(gap[:2] for gap in _ROW_GAPS)
_PLACES: Final = frozenset(("in", "from", "to"))


def persons_in(run: Run, walk: Walk) -> bool:
    """Report the persons that a run names; whether there was one."""
    shape, words, at, done = run.shape, run.words, 0, False
    least = len(shape) - 1
    while at < least and (full := _full_name(shape, at)):
        kind, first, last, at = full
        if not _is_full(words, shape, first, last, kind) or (
            kind in "ef" and (walk.code or (kind == "e" and not first and shape[0] == "i" and run.begins))
        ):
            continue
        report(run, walk, first, last, _SCORES[kind])
        done = True
        at = last
    return done or (least > 0 and _announced(run, walk)) or (shape[-1] in ONE and one_name(run, walk))


def full_names(words: list[str], shape: str) -> list[tuple[int, int, float, str]] | None:
    """The full names in a run: the first word, the one after the last, the score and the kind.

    None: what stands before the run decides.
    """
    found: list[tuple[int, int, float, str]] = []
    at, least = 0, len(shape) - 1
    while at < least and (full := _full_name(shape, at)):
        kind, first, last, at = full
        if _is_full(words, shape, first, last, kind):
            if kind == "e" and not first and shape[0] == "i":
                return None
            found.append((first, last, _SCORES[kind], kind))
            at = last
    return found


@lru_cache(4096)
def _full_name(shape: str, at: int) -> tuple[str, int, int, int] | None:
    """The next full name in a shape: its kind, where it begins and ends, and where to look on if it is none."""
    match = _FULL.search(shape, at)
    if match is None:
        return None
    kind = match.lastgroup or "f"
    return kind, *match.span(kind), match.start() + 1


def unknown_name(words: list[str], shape: str) -> tuple[int, int] | None:
    """The words in a run that no list knows, and that are a name if it is said that they are."""
    match = _UNKNOWN.search(shape)
    if match is None or (match.end() < len(shape) and words[match.end()][0].isupper()):
        return None
    return match.span()


def _announced(run: Run, walk: Walk) -> bool:
    """Report several words that no list knows, where the words around them say that they name a person."""
    shape = run.shape
    name = unknown_name(run.words, shape)
    if name is None:
        return False
    first, last = name
    if _is_cued(run, first) or (last == len(shape) and run.word_after in PERSON_AFTER_STRONG):
        report(run, walk, first, last, 0.7)
        return True
    if not first and last == len(shape) and _fills_line(run):
        walk.lines.append(run.span(first, last))
    return False


def _is_cued(run: Run, first: int) -> bool:
    """Whether what stands before a word of a run announces a person."""
    if first:
        return run.words[first - 1] in GREETINGS
    word = run.word_before
    return word in PERSON_BEFORE or (word in CUE_WORDS and f" {run.before.lower().rstrip(':,')}".endswith(NAME_CUES))


def _fills_line(run: Run) -> bool:
    """Whether a run is a line of its own, as a name is in a signature or on an envelope."""
    text = run.text
    return text[run.end : run.end + 1] in {"\n", "\r", ""} and (
        not run.start or text[run.start - 1] in "\n>" or run.text[run.start - 2 : run.start] in _QUOTED
    )


def _is_full(words: list[str], shape: str, first: int, last: int, kind: str) -> bool:
    """Whether what has the shape of a name is none of a place, firm or street."""
    # One that is the whole run, and begins with a first name, needs no second look.
    if kind == "c" and not first and last == len(shape):
        return True
    following = words[last] if last < len(words) else ""
    if following in ORG_NOUNS or (following in STREET_SUFFIXES and following[0].isupper() and kind != "a"):
        return False
    if kind in "ab":
        return kind == "b" or shape[first:last] not in {"w", "N", "X"} or words[first - 1][-1:] == "."
    if first and words[first - 1] in PLACE_HEADS:
        return False
    if words[last - 1] in STREET_SUFFIXES and shape[last - 1] in "lf" and kind != "c":
        return False
    return not (kind in "ef" and (following or (first and shape[first - 1] in "XZN")))


def one_name(run: Run, walk: Walk) -> bool:
    """Report the one word of a run that is a name by itself or by what stands around it."""
    shape = run.shape
    first = len(shape) - 1
    letter = shape[-1]
    if letter not in ONE or (first and shape[:-1].strip("wXN")):
        return False
    if first and run.words[first - 1] in PLACE_HEADS:
        return False
    start, end = run.span(first, first + 1)
    score = _score_one(run, walk, letter, first, start)
    if score:
        report(run, walk, first, first + 1, score)
    elif letter in "SFLCfUD":
        walk.waiting.append((start, end, letter))
    return score > 0


def _score_one(run: Run, walk: Walk, letter: str, first: int, start: int) -> float:
    """How sure a single word is a person's name; 0: not."""
    if start - walk.last_person < 7 and run.text[walk.last_person : start] in _ROW_GAPS and letter != "r":
        return 0.6
    if letter in "SFLCUDf":
        before = run.word_before
        if _is_cued(run, first) and not (letter in "Uf" and before in WEAK_CUES):
            return 0.6 if letter in "Uf" else 0.8
        if before.startswith("ex-"):
            return 0.6
        if letter != "f" and run.word_after in PERSON_AFTER_STRONG and before not in _PLACES:
            return 0.5 if letter == "U" else 0.7
        if (
            before in SPEECH
            and not first
            and letter not in "Uf"
            and run.text[run.end : run.end + 1] in {".", ",", "\n", ":"}
        ):
            return 0.6
    return 0.55 if letter == "S" and not walk.code else 0.0


def report(run: Run, walk: Walk, first: int, last: int, score: float) -> None:
    """Note a person, and the words that name them for mentions elsewhere."""
    start, end = run.span(first, last)
    if run.shape[last - 1] == "G" and walk.text[end : end + 1] == ".":
        end += 1
    walk.found.append(Finding(start, end, "PERSON", score, "person"))
    if score >= 0.7:
        walk.names += run.words[first:last]
    walk.last_person = end


def settle_waiting(walk: Walk) -> None:
    """Report single words that the text elsewhere shows to be names, or that stand in a row with one."""
    text, names = walk.text, frozenset(walk.names)
    people: set[int] | None = None
    for start, end, letter in reversed(walk.waiting):
        proven = text[start:end] in names
        if not proven and letter in "SFLUDCf" and text[end : end + 2] in _ROW_STARTS:
            if people is None:
                people = {finding.start for finding in walk.found if finding.type == "PERSON"}
            proven = any(end + len(gap) in people and text.startswith(gap, end) for gap in _ROW_GAPS)
        if proven:
            walk.found.append(Finding(start, end, "PERSON", 0.6, "person"))
            if people is not None:
                people.add(start)
    if walk.lines:
        _settle_lines(walk)


def _settle_lines(walk: Walk) -> None:
    """Report lines that are a name if an address stands below them, with no more than three lines between."""
    addresses = sorted(finding.start for finding in walk.found if finding.type == "ADDRESS")
    for start, end in walk.lines:
        at = bisect_left(addresses, end)
        if at < len(addresses) and addresses[at] - end < 120 and walk.text.count("\n", end, addresses[at]) < 5:
            walk.found.append(Finding(start, end, "PERSON", 0.5, "person"))
