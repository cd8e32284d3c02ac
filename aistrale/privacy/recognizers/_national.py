"""What the tables of national ids, passports and plates consist of, and the one recognizer that they drive.

Some 25 countries have a number of ten digits. If each had a recognizer, each number would be shown to all of them. So
one recognizer turns what is written into a shape ("AA99 AAA": A for a letter, 9 for a digit), looks up which kinds are
written so, and looks at the words nearby before it computes many checksums.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from aistrale.privacy.finding import Finding
from aistrale.privacy.recognizer import LOOK_AHEAD, LOOK_BACK, Triggers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aistrale.privacy.recognizer import Candidate

ALONE: Final = 0.5
"""Score of a value that stands alone: nothing says whose nine digits are, so all kinds that they may be hold."""

NEAR: Final = 0.85
"""Score of a value without a checksum that words nearby name."""

# What may stand between the values of a mere list.
_JOINERS: Final = frozenset({"and", "or", "und", "et", "y", "e", "og", "och", "i", "ve", "en"})
_MOST_LISTED: Final = 96
_WORD: Final = re.compile(r"\w+")
_GROUP: Final = re.compile(r"\d+")
_MOST_GROUPS: Final = 8
# Of bytes, since those are translated ten times as fast; what is not ASCII remains and has no shape.
_DIGITS: Final = b"0123456789"
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE: Final = bytes.maketrans(_DIGITS + _LETTERS, b"9" * 10 + b"A" * 52)
_VAGUE: Final = bytes.maketrans(_DIGITS + _LETTERS, b"*" * 62)
_PARTS: Final = str.maketrans("", "", " -./()_:")
# Scripts that are written without spaces, or with endings that the word of a table does not have: Hebrew to Hangul.
_UNSPACED: Final = re.compile("[\u0590-\u0dff\u0e00-\u1fff\u2e80-\uffff]")
_UNKNOWN: Final = re.compile("[A9]")
_CHOICE: Final = re.compile(r"\{([^}]*)\}|(\?)")


@dataclass(slots=True, frozen=True, kw_only=True, eq=False)
class Kind:
    """A kind of number that a state gives.

    Args:
        type: The type of finding.
        shapes: How it is written: A is a letter, 9 a digit, ? either, `{a,b}` the one or the other,
            `*` either, in a shape that has neither A nor 9 but in `<` and `>`; what is in `<` and `>`
            is the number or word that the scanner sees, where that is not all.
        form: What it must look like without separators and in capitals; None where the shape says it all.
        check: Whether checksum and date are right; gets what `form` gets. None where it has neither.
        cues: Words that name it, in lower case; of `this+that` both must be near.
        lands: Words that name its country; count where a word such as "tax" or "ID" is near as well.
        person: Whether words such as "identity" suffice, since its checksum and date let through less than 1 in 100.
        loose: Whether it counts with a wrong checksum where words name it or it stands alone, since there are such.
        bare: Score where nothing names it; 0 where it does not count then. With a checksum only if that is right, and
            only if its letters are capitals.
        alone: Whether it counts where it stands alone.
        most: The most that its score may be.
        capitals: Whether its letters must be capitals unless it stands alone.
    """

    type: str
    shapes: str
    form: re.Pattern[str] | None = None
    check: Callable[[str], bool] | None = None
    cues: frozenset[str] = frozenset()
    lands: frozenset[str] = frozenset()
    person: bool = False
    loose: bool = False
    bare: float = 0.0
    alone: bool = True
    most: float = 1.0
    capitals: bool = False

    def grade(self, value: str) -> int:
        """0: it is none; 1: it looks like one; 2: its checksum is right as well."""
        if self.form is not None and self.form.fullmatch(value) is None:
            return 0
        if self.check is None:
            return 1
        return 2 if self.check(value) else int(self.loose)


def words(*lines: str) -> frozenset[str]:
    """The words of some lines, for cues."""
    return frozenset(" ".join(lines).split())


_ID_WORDS: Final = words(
    "id ids identity identification national citizen citizens personal resident passport social security tax fiscal",
    "taxpayer insurance registration",
)
_PERSON_WORDS: Final = words("identity identification national citizen citizens citizenship personal")


@dataclass(slots=True)
class _Group:
    """The kinds that are written in the same way.

    Args:
        kinds: All of them.
        bare: Those that count where nothing names them.
        words: All words that may name one.
        named: For each word those that it names, with the score that it gives, and the words of which one must be near
            as well; none for no such.
    """

    kinds: tuple[Kind, ...]
    bare: tuple[Kind, ...]
    words: frozenset[str]
    named: dict[str, list[tuple[Kind, float, frozenset[str]]]]

    @classmethod
    def of(cls, kinds: Sequence[Kind]) -> _Group:
        named: dict[str, list[tuple[Kind, float, frozenset[str]]]] = {}
        none = frozenset[str]()
        for kind in kinds:
            for cue in kind.cues:
                word, _, other = cue.partition("+")
                named.setdefault(word, []).append((kind, 1.0, frozenset({other}) if other else none))
            for word in kind.lands - kind.cues:
                named.setdefault(word, []).append((kind, NEAR, _ID_WORDS))
            for word in _PERSON_WORDS - kind.cues if kind.person else ():
                named.setdefault(word, []).append((kind, NEAR, none))
        return cls(tuple(kinds), tuple(kind for kind in kinds if kind.bare), frozenset(named), named)

    def scores(self, near: frozenset[str]) -> dict[Kind, float]:
        """The kinds that the words nearby name, with the score that a right value has."""
        scores = dict.fromkeys(self.bare, 0.0)
        for word in self.words & near:
            for kind, score, others in self.named[word]:
                if score > scores.get(kind, 0.0) and not (others and others.isdisjoint(near)):
                    scores[kind] = score
        return scores


# By how much before and after, and whether letters and digits are told apart: the kinds for each shape.
_Places = dict[tuple[int, int, bool], dict[str, list[Kind]]]


@dataclass(slots=True)
class _Row:
    """The ways to write something that have a number or word of one shape in them, with as much before and after it.

    Args:
        lead: How many characters before it belong to the value.
        tail: How many after it do.
        before: What can stand directly before it, where that is no letter or digit; else "".
        after: What can stand directly after it, likewise.
        table: What makes the shape of a value.
        shapes: The kinds for the shape of the whole value.
        group: The kinds where nothing before and after belongs to it.
    """

    lead: int
    tail: int
    before: str
    after: str
    table: bytes
    shapes: dict[bytes, _Group]
    group: _Group | None

    @classmethod
    def of(cls, places: _Places) -> tuple[_Row, ...]:
        rows = []
        for (lead, tail, vague), shapes in sorted(places.items(), key=lambda item: -item[0][0] - item[0][1]):
            groups = {shape.encode(): _Group.of(kinds) for shape, kinds in shapes.items()}
            before = {shape[lead - 1] for shape in shapes} if lead else set()
            after = {shape[-tail] for shape in shapes} if tail else set()
            rows.append(
                cls(
                    lead,
                    tail,
                    "" if before & {"A", "9", "*"} else "".join(before),
                    "" if after & {"A", "9", "*"} else "".join(after),
                    _VAGUE if vague else _SHAPE,
                    groups,
                    None if lead or tail else next(iter(groups.values())),
                )
            )
        return tuple(rows)


class NationalIds:
    """Finds what tables describe.

    Args:
        kinds: The rows of all tables.
        name: Its own name.
    """

    def __init__(self, kinds: Iterable[Kind], name: str = "national_ids") -> None:
        self.name = name
        kinds = tuple(kinds)
        exact: dict[str, _Places] = {}
        vague: dict[str, _Places] = {}
        for kind in kinds:
            for shape in _expand(kind.shapes):
                lead, seen, tail = _parts(shape)
                rows = vague if "*" in seen else exact
                places = rows.setdefault(seen, {}).setdefault((len(lead), len(tail), "*" in shape), {})
                whole = lead + seen + tail
                places.setdefault(_UNKNOWN.sub("*", whole) if "*" in shape else whole, []).append(kind)
        self._exact = {seen.encode(): _Row.of(places) for seen, places in exact.items()}
        self._plain = {len(seen): rows for seen, rows in self._exact.items() if seen.isdigit()}
        # Of a few digits only what stands beside them can make something.
        self._beside = {
            count: ("".join(row.before for row in rows), "".join(row.after for row in rows))
            for count, rows in self._plain.items()
            if all(row.before or row.after for row in rows)
        }
        self._vague = {seen.encode(): _Row.of(places) for seen, places in vague.items()}
        self._cues = frozenset(cue.partition("+")[0] for kind in kinds for cue in kind.cues | kind.lands)
        self._runs = tuple(sorted(cue for cue in self._cues if _UNSPACED.search(cue)))
        self.types = tuple(dict.fromkeys(kind.type for kind in kinds))
        seen_shapes = [shape.translate(_PARTS) for shape in (*exact, *vague)]
        self.triggers = Triggers(
            digits=frozenset(len(shape) for shape in seen_shapes if shape.isdigit()),
            tokens=frozenset(len(shape) for shape in seen_shapes if not shape.isdigit()),
        )

    def recognize(self, candidate: Candidate, /) -> Iterable[Finding]:
        """What the number or word there may be."""
        text, start, end, digits = candidate.text, candidate.start, candidate.end, candidate.digits
        if digits:
            count = len(digits)
            if count == end - start:
                beside = self._beside.get(count)
                if beside is not None and (
                    (not start or text[start - 1] not in beside[0]) and (end == len(text) or text[end] not in beside[1])
                ):
                    return ()
                rows = self._plain.get(count)
                return self._look(candidate, rows) if rows else ()
            rows = self._exact.get(text[start:end].encode().translate(_SHAPE))
            return self._look(candidate, rows) if rows else self._inside(candidate)
        value = text[start:end].encode()
        found: list[Finding] = []
        for rows in (self._vague.get(value.translate(_VAGUE)), self._exact.get(value.translate(_SHAPE))):
            if rows:
                found += self._look(candidate, rows)
        return found

    def _look(self, candidate: Candidate, rows: tuple[_Row, ...]) -> list[Finding]:
        """What is written in one of the ways that have this number or word in them."""
        text, start, end = candidate.text, candidate.start, candidate.end
        found: list[Finding] = []
        for row in rows:
            if row.group is not None:
                found += self._judge(candidate, row.group, start, end)
                continue
            first, last = start - row.lead, end + row.tail
            if first < 0 or (row.before and text[start - 1] not in row.before):
                continue
            if row.after and text[end : end + 1] not in row.after:
                continue
            group = row.shapes.get(text[first:last].encode().translate(row.table))
            if group is not None and not _touches(text, first, last):
                found += self._judge(candidate, group, first, last)
        return found

    def _words(self, candidate: Candidate) -> frozenset[str]:
        """The words nearby; of scripts that do not part words, the cues that stand there."""
        return candidate.words.union(self._unspaced(candidate))

    def _unspaced(self, candidate: Candidate) -> Sequence[str]:
        """The cues nearby that are parts of what looks like a word."""
        if candidate.text[max(0, candidate.start - LOOK_BACK) : candidate.end + LOOK_AHEAD].isascii():
            return ()
        around = f"{candidate.before} {candidate.after}"
        return [cue for cue in self._runs if cue in around]

    def _named(self, candidate: Candidate, cues: frozenset[str]) -> bool:
        """Whether one of the words stands near it."""
        return candidate.near(cues) or not cues.isdisjoint(self._unspaced(candidate))

    def _inside(self, candidate: Candidate) -> Iterator[Finding]:
        """Values that are some of the groups of a number, as in "44051401458 120.50"; only where words name them."""
        text, offset = candidate.text, candidate.start
        written = text[offset : candidate.end]
        if " " not in written or not written.isascii():
            return
        if not self._named(candidate, self._cues) and not _listed(text, offset, candidate.end):
            return
        shape = written.encode().translate(_SHAPE)
        groups = [match.span() for match in _GROUP.finditer(written)]
        at = 0
        while at < len(groups):
            start = groups[at][0]
            at += 1
            if start and written[start - 1] != " ":
                continue
            for last in range(min(at + _MOST_GROUPS - 1, len(groups)), at - 1, -1):
                end = groups[last - 1][1]
                rows = self._exact.get(shape[start:end])
                if rows is None or rows[-1].group is None or written[end : end + 1] not in ("", " "):
                    continue
                found = self._judge(candidate, rows[-1].group, offset + start, offset + end)
                if found:
                    yield from found
                    at = last
                    break

    def _judge(self, candidate: Candidate, group: _Group, start: int, end: int) -> list[Finding]:
        text = candidate.text
        if _is_amount(text, start, end):
            return []
        listed = len(text) <= _MOST_LISTED and _listed(text, start, end)
        # Most numbers are nothing: the words nearby tell so before anything is computed.
        if not (listed or group.bare or self._named(candidate, group.words)):
            return []
        written = text[start:end]
        value = written if written.isdecimal() else written.translate(_PARTS).upper()
        if len(group.kinds) == 1 and not group.kinds[0].grade(value):
            return []
        capitals = written == written.upper()
        if listed:
            return self._findings({kind: ALONE if kind.alone else 0.0 for kind in group.kinds}, value, start, end)
        scores = group.scores(self._words(candidate))
        if not capitals:
            scores = {kind: score for kind, score in scores.items() if score and not kind.capitals}
        return self._findings(scores, value, start, end, capitals=capitals) if scores else []

    def _findings(
        self, scores: dict[Kind, float], value: str, start: int, end: int, *, capitals: bool = True
    ) -> list[Finding]:
        found: list[Finding] = []
        for kind, named in scores.items():
            grade = kind.grade(value)
            if not grade:
                continue
            score = named if grade == 2 else min(named, NEAR)
            if capitals and (grade == 2 or kind.check is None):
                score = max(score, kind.bare)
            if score:
                found.append(Finding(start, end, kind.type, min(score, kind.most), self.name))
        return found


def _expand(shapes: str) -> Iterator[str]:
    """All shapes that templates, one a line or parted by `;`, stand for."""
    for template in filter(None, (part.strip() for part in re.split(r"[;\n]", shapes))):
        pieces: list[tuple[str, ...]] = []
        at = 0
        for match in _CHOICE.finditer(template):
            pieces.append((template[at : match.start()],))
            pieces.append(("A", "9") if match[2] else tuple(match[1].split(",")))
            at = match.end()
        pieces.append((template[at:],))
        for choice in product(*pieces):
            yield "".join(choice)


def _parts(shape: str) -> tuple[str, str, str]:
    """What stands before, in and after the number or word that the scanner sees."""
    if "<" not in shape:
        return "", shape, ""
    lead, _, rest = shape.partition("<")
    seen, _, tail = rest.partition(">")
    return lead, seen, tail


def _touches(text: str, start: int, end: int) -> bool:
    """Whether a letter or digit stands directly before or after."""
    return (start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_")) or (
        end < len(text) and (text[end].isalnum() or text[end] == "_")
    )


def _is_amount(text: str, start: int, end: int) -> bool:
    """Whether it is money, a fraction or an international phone number."""
    if start:
        before = text[start - 1]
        if before in "+$€£¥" or (before in ".," and start > 1 and text[start - 2].isdigit()):
            return True
    return end + 1 < len(text) and text[end] in ".,%" and (text[end] == "%" or text[end + 1].isdigit())


def _listed(text: str, start: int, end: int) -> bool:
    """Whether it stands alone, or among other values alone: in a field, a cell, a list of ids."""
    if len(text) > _MOST_LISTED:
        return False
    for word in _WORD.findall(text[:start] + " " + text[end:]):
        if word.lower() not in _JOINERS and not any(map(str.isdigit, word)):
            return False
    return True
