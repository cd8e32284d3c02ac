"""Prompts with fewer tokens and the same meaning, by rules that can be undone.

Each rule removes what no reader needs: blanks that nobody sees, JSON's layout, a paragraph that stands there already.
What might carry meaning by its very form stays as it is, byte for byte: fenced and indented blocks, inline code, quoted
strings, tables and aligned columns, links, placeholders, hard line breaks of Markdown, and the edges of the text, which
join it to its neighbours. Where a rule is in doubt, it leaves the text alone.

The rules depend on nothing but the text, so that the same prefix stays the same prefix and providers go on caching it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.cost.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    Span = tuple[int, int]
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
        saved_tokens: About how many tokens it saves, by `aistrale.cost.tokens.estimate_tokens`.
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


# --- what is left alone ---------------------------------------------------------------------------------------------

# In quotes and lists too, so at any depth.
_FENCE: Final = re.compile(r"^[ \t>]*+(?:(`{3,})(?=[^`\n]*$)|(~{3,}))", re.MULTILINE)
_FENCE_END: Final = re.compile(r"^[ \t>]*+(`{3,}|~{3,})[ \t\r]*$", re.MULTILINE)
# HTML elements whose text is shown as it is, and those whose text is no prose.
_PRE: Final = re.compile(
    r"<(pre|code|textarea|script|style)\b[^<>]{0,200}>.*?(?:</\1\s{0,8}>|\Z)", re.IGNORECASE | re.DOTALL
)
_INLINE: Final = re.compile(
    r"""
    (?P<ticks>`++)[^\n]{0,500}?(?<!`)(?P=ticks)(?!`)       # inline code
    | "(?:\\.|[^"\\\n])*+"                                 # a quoted string
    | (?<!\w)'(?:\\.|[^'\\\n])*+'(?!\w)
    | [\u201c\u201e\u00ab][^\u201d\u201c\u00bb\n]*+[\u201d\u201c\u00bb]
    | (?:://|www\.|mailto:)\S++                             # a link
    | \]\([^)\n]{0,2000}\)                                  # the target of one in Markdown
    | \[\[[^\[\]\n]{1,80}\]\]                               # a placeholder
    """,
    re.VERBOSE,
)


def _fences(text: str) -> list[Span]:
    """Fenced blocks of Markdown (CommonMark 4.5) and preformatted elements of HTML; all that follows an open one."""
    spans: list[Span] = []
    at = 0
    while (begin := _FENCE.search(text, at)) is not None:
        mark = begin[1] or begin[2]
        end = next(
            (each for each in _FENCE_END.finditer(text, begin.end()) if each[1].startswith(mark)),
            None,
        )
        at = len(text) if end is None else end.end()
        spans.append((begin.start(), at))
    if "<" in text:
        spans += [found.span() for found in _PRE.finditer(text)]
    return _merged(spans)


def _merged(spans: list[Span]) -> list[Span]:
    spans.sort()
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _outside(text: str, pattern: re.Pattern[str], closed: list[Span]) -> Iterator[re.Match[str]]:
    """Matches that do not touch any of the spans."""
    index = 0
    for found in pattern.finditer(text):
        while index < len(closed) and closed[index][1] <= found.start():
            index += 1
        if index == len(closed) or closed[index][0] >= found.end():
            yield found


def _still(text: str) -> list[Span]:
    """Everything within lines that is not prose."""
    return _merged([*_fences(text), *_values(text), *(found.span() for found in _INLINE.finditer(text))])


# --- JSON -----------------------------------------------------------------------------------------------------------

_JSON_START: Final = re.compile(r'[{\[](?=\s*["{\[\]}\d\-tfn])')
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[^\s"]+|[ \t\n\r]+')
# What stands before a literal of a program, an assignment, a call, a keyword or a bracket; and before indented code.
_IN_CODE: Final = re.compile(r"(?:[^\s:>.][ \t]*|(?:^|\n)(?:[ ]{4}|\t)[ \t]*)\Z")
_LOOK_BACK: Final = 64
_BLANK_OF_JSON: Final = frozenset(" \t\n\r")
_MIN_JSON: Final = 32
# A short one on a single line is as often a hint at a format as it is data.
_MIN_JSON_LINE: Final = 200
# How deep the values of texts that cannot be trusted may be.
_DEPTH: Final = 200


def _values(text: str) -> list[Span]:
    """JSON objects and arrays of some size that stand outside fences."""
    if "{" not in text and "[" not in text:
        return []
    closed = _fences(text)
    spans: list[Span] = []
    at, reach = 0, 0
    for found in _outside(text, _JSON_START, closed):
        if found.start() < at or _is_in_code(text, found.start()):
            continue
        end = _end(text, found.start())
        # Bounded, so that a row of brackets that never close is not read again for each of them.
        reach += (end or len(text)) - found.start()
        if reach > 4 * len(text) + 1024:
            break
        if end is not None and end - found.start() >= _MIN_JSON and _is_json(text[found.start() : end]):
            spans.append((found.start(), end))
            at = end
    return spans


def _is_in_code(text: str, start: int) -> bool:
    before = text[start - 1 : start]
    if before not in {"", "\n", " ", "\t", ":"}:
        # As the pattern says, and without it.
        return before not in {">", "."} and not before.isspace()
    return _IN_CODE.search(text, max(start - _LOOK_BACK, 0), start) is not None


def _end(text: str, start: int) -> int | None:
    """Where the value that begins there ends, by its brackets."""
    depth = 0
    for token in _BRACKET.finditer(text, start):
        mark = token[0][0]
        if mark in "{[":
            depth += 1
            if depth > _DEPTH:
                return None
        elif mark in "}]":
            depth -= 1
            if depth == 0:
                return token.end()
    return None


_BRACKET: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[{}\[\]]')


def _is_json(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(value)


def _json(text: str) -> Iterator[Change]:
    """Leave out JSON's layout; its strings, numbers and order stay as they were written."""
    for start, end in _values(text):
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
    for gap in _outside(text, _GAP, _fences(text)):
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
    for found in _outside(text, _UNSEEN, _still(text)):
        start, end = found.span()
        if (start == 0 or _WORD.match(text, start - 1)) and (end == len(text) or _WORD.match(text, end)):
            yield start, end, ""


_TRAILING: Final = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n)")


def _trailing(text: str) -> Iterator[Change]:
    """Leave out blanks at the ends of lines, but for the two that break a line in Markdown (CommonMark 6.7)."""
    if _TRAILING.search(text) is None:
        return
    for found in _outside(text, _TRAILING, _merged([*_fences(text), *_indented(text)])):
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
    for found in _outside(text, _BLANK_LINES, _still(text)):
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
    for found in _outside(text, _RUN, _still(text)) if prose else ():
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
    for found in _outside(text, _RULER, _fences(text)):
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
