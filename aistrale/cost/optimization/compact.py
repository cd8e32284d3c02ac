"""Prompts with fewer tokens and the same meaning, by rules that can be undone.

Each rule removes what no reader needs: blanks that nobody sees, JSON's layout, a paragraph that stands there already.
What might carry meaning by its very form stays as it is, byte for byte: fenced and indented blocks, inline code, quoted
strings, tables and aligned columns, links, placeholders, hard line breaks of Markdown, and the edges of the text, which
join it to its neighbours. Where a rule is in doubt, it leaves the text alone.

The rules depend on nothing but the text, so that the same prefix stays the same prefix and providers go on caching it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.cost.optimization.compact_spans import fences, merged, outside, still, values
from aistrale.cost.tokens.by_length import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from aistrale.cost.optimization.compact_spans import Span

    Change = tuple[int, int, str]


class Edit(NamedTuple):
    """One change.

    Args:
        at: Where it stands, in the text as it was right after its rule.
        old: What stood there.
        new: What stands there now.
        rule: Whose change it is, one of `RULES`.
    """

    at: int
    old: str
    new: str
    rule: str


@dataclass(slots=True, frozen=True)
class Compacted:
    """A text and how it came to be what it is.

    Args:
        text: The shorter text.
        edits: What was changed, in order; empty where nothing was.
        saved_tokens: About how many tokens it saves, by `aistrale.cost.tokens.by_length.estimate_tokens`.
    """

    text: str
    edits: tuple[Edit, ...] = ()
    saved_tokens: int = 0

    def restore(self) -> str:
        """The text as it was."""
        return restore(self.text, self.edits)

    def diff(self, name: str = "prompt") -> str:
        """The change as a unified diff; "" where nothing changed.

        Args:
            name: What the text is called in the head of the diff.
        """
        before, after = self.restore().splitlines(), self.text.splitlines()
        return "\n".join(unified_diff(before, after, name, f"{name} (compacted)", lineterm=""))


def restore(text: str, edits: Iterable[Edit]) -> str:
    """Undo edits, the last one first.

    Args:
        text: What the edits came to.
        edits: As `compact` gave them.

    Raises:
        ValueError: The edits are not those of this text.
    """
    for edit in reversed(tuple(edits)):
        if not text.startswith(edit.new, edit.at):
            raise ValueError(f"the edit at {edit.at} does not belong to this text")
        text = text[: edit.at] + edit.old + text[edit.at + len(edit.new) :]
    return text


def compact(text: str, rules: Collection[str] | None = None) -> Compacted:
    """A text with fewer tokens and the same meaning.

    Takes time linear in the length of the text, about 0.1 milliseconds for a thousand characters.

    Args:
        text: A prompt, or a part of one.
        rules: Which of `RULES` to follow; all by default.

    Raises:
        ValueError: A rule is unknown.
    """
    if rules is not None and (unknown := set(rules) - set(RULES)):
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}; rules: {', '.join(RULES)}")
    edits: list[Edit] = []
    now = text
    for name, rule in RULES.items():
        if rules is None or name in rules:
            now = _apply(now, name, rule(now), edits)
    saved = estimate_tokens(text) - estimate_tokens(now)
    if saved <= 0:
        # What saves no token is not worth a change.
        return Compacted(text)
    return Compacted(now, tuple(edits), saved)


def _apply(text: str, rule: str, changes: Iterable[Change], edits: list[Edit]) -> str:
    """The text after a rule's changes, which come in order and do not overlap."""
    pieces: list[str] = []
    last, size = 0, 0
    for start, end, new in changes:
        pieces += (text[last:start], new)
        size += start - last
        edits.append(Edit(size, text[start:end], new, rule))
        size += len(new)
        last = end
    return text if not pieces else "".join((*pieces, text[last:]))


# --- JSON -----------------------------------------------------------------------------------------------------------

_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[^\s"]+|[ \t\n\r]+')
_BLANK_OF_JSON: Final = frozenset(" \t\n\r")
# A short one on a single line is as often a hint at a format as it is data.
_MIN_JSON_LINE: Final = 200


def _json(text: str) -> Iterator[Change]:
    """Leave out JSON's layout; its strings, numbers and order stay as they were written."""
    for start, end in values(text):
        value = text[start:end]
        if "\n" not in value and len(value) < _MIN_JSON_LINE:
            continue
        short = "".join(token for token in _JSON_TOKEN.findall(value) if token[0] not in _BLANK_OF_JSON)
        if len(short) < len(value):
            yield start, end, short


# --- repeated paragraphs --------------------------------------------------------------------------------------------

# Shorter ones are as often a refrain, a heading or an instruction that is repeated on purpose.
_MIN_REPEATED: Final = 200
_GAP: Final = re.compile(r"\n(?:[ \t]*+\n)++")
_QUOTED: Final = 48
_LAID_OUT: Final = re.compile(r"^(?:[ \t]|[ \t>]*(?:`{3}|~{3}))", re.MULTILINE)


def _repeated(text: str) -> Iterator[Change]:
    """Say once what a context says twice, and refer to it where it stood again.

    The last paragraph stays, since who repeats an instruction at the end means it.
    """
    if len(text) < 2 * _MIN_REPEATED:
        return
    blocks = list(_blocks(text))
    seen: set[str] = set()
    for start, end in blocks[:-1]:
        block = text[start:end]
        # Code that refers to other code is none any more.
        if len(block) < _MIN_REPEATED or _LAID_OUT.search(block) is not None:
            continue
        if block in seen:
            yield start, end, f'(same text as above: "{_beginning(block)} ...")'
        seen.add(block)


def _blocks(text: str) -> Iterator[Span]:
    """Paragraphs: what lies between blank lines outside fences, which are never taken apart."""
    at = 0
    for gap in outside(text, _GAP, fences(text)):
        if gap.start() > at:
            yield at, gap.start()
        at = gap.end()
    if at < len(text):
        yield at, len(text)


def _beginning(block: str) -> str:
    words = block[:_QUOTED].split()
    # The last one may be cut off.
    return " ".join(words[:-1] or words).replace('"', "'")


# --- blanks ---------------------------------------------------------------------------------------------------------

_UNSEEN: Final = re.compile("[\u200b\u2060\ufeff\u00ad]+")
_WORD: Final = re.compile(r"[ -~\u00a0-\u024f\s]")


def _invisible(text: str) -> Iterator[Change]:
    """Leave out characters without width that only tell where a line may be broken.

    Only between Latin letters, signs and blanks: scripts without spaces mark words with them. Joiners stay everywhere.
    """
    if text.isascii() or _UNSEEN.search(text) is None:
        return
    for found in outside(text, _UNSEEN, still(text)):
        start, end = found.span()
        if (start == 0 or _WORD.match(text, start - 1)) and (end == len(text) or _WORD.match(text, end)):
            yield start, end, ""


_TRAILING: Final = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n)")


def _trailing(text: str) -> Iterator[Change]:
    """Leave out blanks at the ends of lines, but for the two that break a line in Markdown (CommonMark 6.7)."""
    if _TRAILING.search(text) is None:
        return
    for found in outside(text, _TRAILING, merged([*fences(text), *_indented(text)])):
        start, end = found.span()
        feed = text.index("\n", end) + 1
        following = text[feed : feed + 1]
        if start == 0 or (text[start - 1] == "\n" and following in {" ", "\t"}):
            continue
        breaks = found[0].endswith("  ") and text[start - 1] != "\n" and following not in {"", "\n", "\r"}
        kept = "  " if breaks else ""
        if kept != found[0]:
            yield start, end, kept


_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*+\n){2,}+")


def _blank_lines(text: str) -> Iterator[Change]:
    """One blank line between paragraphs, none of which is indented."""
    if _BLANK_LINES.search(text) is None:
        return
    for found in outside(text, _BLANK_LINES, still(text)):
        start, end = found.span()
        before = text.rfind("\n", 0, start) + 1
        if text[before : before + 1] in {" ", "\t"} or text[end : end + 1] in {" ", "\t"}:
            continue
        yield start, end, "\n\n"


_RUN: Final = re.compile(r"(?<=[^\s])[ ]{2,}(?=[^\s])")
_TOKEN: Final = re.compile(r"\S+")
_MARK: Final = re.compile(r"(?:[^\w\s]+|\d{1,3}[.)])[ ]+")
_MIN_WORDS: Final = 6


def _spaces(text: str) -> Iterator[Change]:
    """One space between the words of a sentence."""
    if _RUN.search(text) is None:
        return
    prose = {start for start, _ in _prose(text)}
    for found in outside(text, _RUN, still(text)) if prose else ():
        start, end = found.span()
        line = text.rfind("\n", 0, start) + 1
        if line not in prose:
            continue
        # Behind the mark of a list, a comment or a quotation blanks are its indentation.
        marker = _MARK.match(text, line)
        if marker is None or start >= marker.end():
            yield start, end, " "


def _prose(text: str) -> Iterator[Span]:
    """Lines that are sentences: several words, not indented, no cells of a table, no shared columns."""
    before: frozenset[int] = frozenset()
    lines = list(_lines(text))
    columns = [_columns(text[start:end]) for start, end in lines]
    for index, (start, end) in enumerate(lines):
        after = columns[index + 1] if index + 1 < len(lines) else frozenset()
        own = columns[index]
        if own and not own & before and not own & after and _is_sentence(text[start:end]):
            yield start, end
        before = own


def _columns(line: str) -> frozenset[int]:
    """Where words begin and end beside a wide gap."""
    edges: set[int] = set()
    for gap in _RUN.finditer(line):
        edges |= {gap.end(), -gap.end() - len(_TOKEN.match(line, gap.end())[0])}  # type: ignore[index]  # not blank
    return frozenset(edges)


def _is_sentence(line: str) -> bool:
    if line[:1] in {" ", "\t"} or "|" in line or "\t" in line:
        return False
    words = line.split()
    plain = sum(word.strip(".,;:!?()\"'").isalpha() for word in words)
    small = sum(word[:1].islower() for word in words)
    if len(words) < _MIN_WORDS or 10 * plain < 7 * len(words) or 2 * small < len(words):
        return False
    # Names in a row, two blanks between them, do not end like this.
    return line.rstrip("\"'\u201d\u2019) \r")[-1:] in set(".!?:;,\u2026")


_RULER: Final = re.compile(r"(?<=\n\n)([-=_*#~])\1{23,}(?=\n\n)")


def _rulers(text: str) -> Iterator[Change]:
    """Shorten long lines of one sign that stand alone; under a text they would make it a heading."""
    for found in outside(text, _RULER, fences(text)):
        yield found.start(), found.end(), found[1] * 8


def _lines(text: str) -> Iterator[Span]:
    at = 0
    while at <= len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield at, end
        at = end + 1


def _indented(text: str) -> list[Span]:
    """Lines that begin with four blanks or a tab, where Markdown shows the text as it is; with their line feeds."""
    return [(found.start(), found.end()) for found in _CODE_LINE.finditer(text)]


_CODE_LINE: Final = re.compile(r"^(?:[ ]{4}|\t).*\S.*\n?", re.MULTILINE)

RULES: Final[dict[str, Callable[[str], Iterable[Change]]]] = {
    "json": _json,
    "repeated": _repeated,
    "invisible": _invisible,
    "trailing": _trailing,
    "rulers": _rulers,
    "blank_lines": _blank_lines,
    "spaces": _spaces,
}
"""The rules, in the order in which they are followed."""
