"""Finds in the texts of a call what rules about data speak of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.privacy.dlp import ANY, Seen
from aistrale.privacy.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from aistrale.privacy.dlp import Rule

# How much of two texts that follow each other is looked at together, in characters each.
_SEAM: Final = 64
# What can be the one half of a number or of a token with digits.
_HALF_BEFORE: Final = re.compile(r"[0-9][0-9 .\-/]*\Z|(?=[^\s]*[0-9])[A-Za-z0-9_\-]{4,}\Z")
_HALF_AFTER: Final = re.compile(r"[0-9]|(?=[^\s]*[0-9])[A-Za-z0-9_\-]{4,}")
_NO_ALNUM: Final = re.compile(r"[\W_]+")


class Finder(Protocol):
    """A scanner."""

    def scan(self, text: str, /) -> list[Finding]:
        """Everything sensitive in a text."""
        ...


def look(
    texts: Iterable[tuple[str, str]],
    scanner: Finder,
    rules: Sequence[Rule],
    *,
    allowed: Callable[[str, str], bool] | None = None,
    runs: Iterable[Sequence[tuple[str, str]]] = (),
) -> list[Seen]:
    """Every value in the texts of a call that one of the rules speaks of, in the order of the texts.

    Args:
        texts: Path and text.
        scanner: Finds the types.
        rules: Those that speak of the call.
        allowed: Whether a value (its type and text) that the scanner found is none to worry about.
        runs: Texts that follow each other, those of one role: looked at together where one ends and the next begins,
            for numbers and tokens that are split over them.
    """
    types = frozenset[str]().union(*(rule.types for rule in rules))
    matchers = [(rule.name, rule.matcher) for rule in rules if rule.matcher is not None]
    found: list[Seen] = []
    for path, text in texts:
        if types:
            found += _typed(path, text, scanner.scan(text), types, allowed)
        for name, matcher in matchers:
            for finding in matcher.scan(text):
                value = text[finding.start : finding.end]
                found.append(Seen(path, finding.start, finding.end, (finding.type,), same_value(value), name))
    if types:
        for run in runs:
            found += _split(run, scanner, types, allowed)
    return found


def same_value(value: str) -> str:
    """What is the same for two spellings of one value: the digits of a number, the lower case of anything else."""
    bare = _NO_ALNUM.sub("", value)
    digits = sum(map(str.isdigit, bare))
    return (bare if digits * 2 > len(bare) else value).lower()


def _typed(
    path: str,
    text: str,
    findings: Iterable[Finding],
    types: Collection[str],
    allowed: Callable[[str, str], bool] | None,
) -> Iterator[Seen]:
    """The findings of these types; those at the same place together."""
    places: dict[tuple[int, int], list[str]] = {}
    for finding in findings:
        places.setdefault((finding.start, finding.end), []).append(finding.type)
    for (start, end), kinds in places.items():
        value = text[start:end]
        wanted = [kind for kind in kinds if kind in types or ANY in types]
        if wanted and not (allowed is not None and any(allowed(kind, value) for kind in kinds)):
            yield Seen(path, start, end, tuple(wanted), same_value(value))


def _split(
    run: Sequence[tuple[str, str]], scanner: Finder, types: Collection[str], allowed: Callable[[str, str], bool] | None
) -> Iterator[Seen]:
    """Values that begin at the end of one text and end in the next ones."""
    for index in range(len(run) - 1):
        path, before = run[index]
        tail = before[-_SEAM:].rstrip()
        if not _HALF_BEFORE.search(tail):
            continue
        head = _heads(run, index + 1)
        if not _HALF_AFTER.match(head):
            continue
        told: set[str] = set()
        # A number goes on after a space, a token without one.
        for gap in (" ", ""):
            seam, here = tail + gap + head, len(tail)
            crossing = [
                finding
                for finding in scanner.scan(seam)
                if finding.start < here
                and finding.end > here + len(gap)
                and any(map(str.isdigit, seam[finding.start : here]))
                and any(map(str.isdigit, seam[here : finding.end]))
            ]
            if not crossing:
                continue
            # What a text shows by itself has been found there.
            alone = [*scanner.scan(tail), *_moved(scanner.scan(head), here + len(gap))]
            crossing = [finding for finding in crossing if not any(_same(finding, one) for one in alone)]
            at = len(before) - len(before[-_SEAM:])
            for seen in _typed(path, seam, crossing, types, allowed):
                if seen.value not in told:
                    told.add(seen.value)
                    yield Seen(path, at + seen.start, len(before), seen.types, seen.value, fixed=True)


def _same(one: Finding, other: Finding) -> bool:
    return one.type == other.type and one.start < other.end and other.start < one.end


def _heads(run: Sequence[tuple[str, str]], index: int) -> str:
    """The beginning of a text, and of the following ones while they are short."""
    head = ""
    while index < len(run) and len(head) < _SEAM:
        text = run[index][1].strip()
        head += (" " if head else "") + text[: _SEAM - len(head)]
        index += 1
    return head


def _moved(findings: Iterable[Finding], by: int) -> Iterator[Finding]:
    for finding in findings:
        yield Finding(finding.start + by, finding.end + by, finding.type, finding.score, finding.recognizer)


class RuledScanner:
    """Finds what is to be redacted: wanted types, and what the patterns and words of rules ask for besides.

    Args:
        scanner: Finds the types.
        rules: Those with patterns and words.
        wanted: Whether a type is to be redacted.
        modes: Of the call, by type or label: "allow" takes out, anything else puts in.
    """

    def __init__(
        self, scanner: Finder, rules: Iterable[Rule], wanted: Callable[[str], bool], modes: Mapping[str, str]
    ) -> None:
        matchers = {rule.matcher.label: rule.matcher for rule in rules if rule.matcher is not None}
        self._scanner = scanner
        self._hiding = [matcher for label, matcher in matchers.items() if modes.get(label, "allow") != "allow"]
        self._sparing = [matcher for label, matcher in matchers.items() if modes.get(label) == "allow"]
        self._wanted = wanted
        self._modes = modes

    def scan(self, text: str) -> list[Finding]:
        """What is to go from a text, in order; none overlap."""
        found = [finding for finding in self._scanner.scan(text) if self._goes(finding.type)]
        if self._sparing and found:
            spared = [finding for matcher in self._sparing for finding in matcher.scan(text)]
            found = [
                finding
                for finding in found
                if not any(one.start <= finding.start and finding.end <= one.end for one in spared)
            ]
        asked = [finding for matcher in self._hiding for finding in matcher.scan(text)]
        return united([*found, *asked]) if asked else found

    def _goes(self, kind: str) -> bool:
        mode = self._modes.get(kind)
        return self._wanted(kind) if mode is None else mode != "allow"


def united(findings: list[Finding]) -> list[Finding]:
    """Findings in order, those that overlap as one: of the first one's type, from the first's start to the last's end.

    Of two findings that overlap each may be all that some rule asked for, so neither may give way to the other.
    """
    findings.sort(key=lambda finding: (finding.start, -finding.end))
    held: list[Finding] = []
    for finding in findings:
        last = held[-1] if held else None
        if last is None or finding.start >= last.end:
            held.append(Finding(finding.start, finding.end, finding.type, finding.score, finding.recognizer))
        else:
            last.end = max(last.end, finding.end)
    return held
