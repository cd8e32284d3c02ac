"""Names of persons: a known first name and what follows it, titles, initials, names after words that announce one."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.vocabulary import (
    ORG_NOUNS,
    PERSON_AFTER_STRONG,
    PERSON_BEFORE,
    PLACE_BEFORE,
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
_GREETINGS: Final = frozenset(
    ("Hi", "Hello", "Hey", "Dear", "I'm", "I\u2019m", "Producer", "Actor", "Author", "Contact", "Patient", "Singer")
)
_QUOTED: Final = frozenset(("> ", "? ", "* ", "- ", "| "))
_ONE: Final = frozenset("SFfCLUDr")
# After these a name stands though no list knows it: how the text before it ends, in small letters.
_CUES: Final = (
    " name is", "name's", " names are", " name", "surname", "nickname", "username", " this is", " i am", " i'm",
    " call me", " calls me", " call him", " call her", " calls him", " calls her", " named him", " named her",
    " named it", " named", " called", " speaking to", " speaking with", " born", " née", " nee", " alias", " aka",
    " a.k.a.", " c/o", " signed", " signed by", " sincerely", " regards", " truly", " attn", " attention", " dear",
    " patient", " contact", " contact person", " cardholder", " remember me",
)  # fmt: skip
_ROW_GAPS: Final = frozenset((", ", " and ", ", and ", " & ", " or "))
_PLACES: Final = frozenset(("in", "from", "to"))
_WEAK_CUES: Final = frozenset(
    ("by", "user", "author", "contact", "director", "signed", "patient", "sender", "name", "named", "called")
)
_SAID: Final = frozenset(("says", "said", "asked", "replied", "wrote"))
_CUE_WORDS: Final = frozenset(cue.rpartition(" ")[2] for cue in _CUES) | {"this", "mr", "mrs"}
_MATTERS_BEFORE: Final = (
    _CUE_WORDS | PERSON_BEFORE | PLACE_BEFORE | _SAID | {"for", "at", "by", "company", "employer", "joined"}
)


def persons_in(run: Run, walk: Walk) -> bool:
    """Report the persons that a run names; whether there was one."""
    shape, at, done = run.shape, 0, False
    least = len(shape) - 1
    while at < least and (full := _full_name(shape, at)):
        kind, first, last, at = full
        # One that is the whole run, and begins with a first name, needs no second look.
        if (kind == "c" and last > least and not first) or _is_full(run, walk, first, last, kind):
            report(run, walk, first, last, _SCORES[kind])
            done = True
            at = last
    return done or (least > 0 and _announced(run, walk)) or (shape[-1] in _ONE and one_name(run, walk))


@lru_cache(4096)
def _full_name(shape: str, at: int) -> tuple[str, int, int, int] | None:
    """The next full name in a shape: its kind, where it begins and ends, and where to look on if it is none."""
    match = _FULL.search(shape, at)
    if match is None:
        return None
    kind = match.lastgroup or "f"
    return kind, *match.span(kind), match.start() + 1


def _announced(run: Run, walk: Walk) -> bool:
    """Report several words that no list knows, where the words around them say that they name a person."""
    shape = run.shape
    match = _UNKNOWN.search(shape)
    if match is None or (match.end() < len(shape) and run.words[match.end()][0].isupper()):
        return False
    first, last = match.span()
    if _is_cued(run, first) or (last == len(shape) and run.word_after in PERSON_AFTER_STRONG):
        report(run, walk, first, last, 0.7)
        return True
    if not first and last == len(shape) and _fills_line(run):
        walk.lines.append(run.span(first, last))
    return False


def _is_cued(run: Run, first: int) -> bool:
    """Whether what stands before a word of a run announces a person."""
    if first:
        return run.words[first - 1] in _GREETINGS
    word = run.word_before
    return word in PERSON_BEFORE or (word in _CUE_WORDS and f" {run.before.lower().rstrip(':,')}".endswith(_CUES))


def _fills_line(run: Run) -> bool:
    """Whether a run is a line of its own, as a name is in a signature or on an envelope."""
    text = run.text
    return text[run.end : run.end + 1] in {"\n", "\r", ""} and (
        not run.start or text[run.start - 1] in "\n>" or run.text[run.start - 2 : run.start] in _QUOTED
    )


def _is_full(run: Run, walk: Walk, first: int, last: int, kind: str) -> bool:
    """Whether what has the shape of a name is none of a place, firm or street."""
    shape, words = run.shape, run.words
    following = words[last] if last < len(words) else ""
    if following in ORG_NOUNS or (following in STREET_SUFFIXES and following[0].isupper() and kind != "a"):
        return False
    if kind in "ab":
        return kind == "b" or shape[first:last] not in {"w", "N", "X"} or run.text[run.span(first, last)[0] - 2] == "."
    if first and words[first - 1] in PLACE_HEADS:
        return False
    if words[last - 1] in STREET_SUFFIXES and shape[last - 1] in "lf" and kind != "c":
        return False
    if kind in "ef" and (following or walk.code or (first and shape[first - 1] in "XZN")):
        return False
    return not (kind == "e" and not first and run.begins and shape[0] == "i")


def one_name(run: Run, walk: Walk) -> bool:
    """Report the one word of a run that is a name by itself or by what stands around it."""
    shape = run.shape
    first = len(shape) - 1
    letter = shape[-1]
    if letter not in _ONE or (first and shape[:-1].strip("wXN")):
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
    if (
        walk.last_person >= 0
        and start - walk.last_person < 7
        and run.text[walk.last_person : start] in _ROW_GAPS
        and letter != "r"
    ):
        return 0.6
    if letter in "SFLCUDf":
        before = run.word_before
        if _is_cued(run, first) and not (letter in "Uf" and before in _WEAK_CUES):
            return 0.6 if letter in "Uf" else 0.8
        if before.startswith("ex-"):
            return 0.6
        if letter != "f" and run.word_after in PERSON_AFTER_STRONG and before not in _PLACES:
            return 0.5 if letter == "U" else 0.7
        if (
            before in _SAID
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


def may_matter(walk: Walk, start: int, end: int) -> bool:
    """Whether what stands beside a word that no list knows may make it a name. Called for every such word: quick."""
    text = walk.text
    if walk.last_person >= 0 and start - walk.last_person < 8:
        return True
    head = text[start - 14 if start > 14 else 0 : start - 1 if start else 0]
    word = head[head.rfind(" ") + 1 :].rstrip(":,.?!;-").lower()
    if word in _MATTERS_BEFORE:
        return True
    if word.startswith("ex-"):
        return True
    after = text[end : end + 2]
    if after == " i" and text[end : end + 5] == " is a":
        return True
    if after == ", ":
        return text[end + 2 : end + 3].isupper()
    return after[:1] == " " and text[end + 1 : end + 14].partition(" ")[0].rstrip(".,:;!?") in PERSON_AFTER_STRONG


def settle_waiting(walk: Walk) -> None:
    """Report single words that the text elsewhere shows to be names, or that stand in a row with one."""
    text, names = walk.text, frozenset(walk.names)
    people = {finding.start for finding in walk.found if finding.type == "PERSON"}
    for start, end, letter in reversed(walk.waiting):
        row = letter in "SFLUDCf" and any(end + len(gap) in people and text.startswith(gap, end) for gap in _ROW_GAPS)
        if row or text[start:end] in names:
            walk.found.append(Finding(start, end, "PERSON", 0.6, "person"))
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
