"""What compaction leaves alone: fenced and preformatted blocks, JSON values, and what within lines is no prose."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Span: TypeAlias = tuple[int, int]

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


def fences(text: str) -> list[Span]:
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
    return merged(spans)


def merged(spans: list[Span]) -> list[Span]:
    """The spans in order, those that overlap made one."""
    spans.sort()
    found: list[Span] = []
    for start, end in spans:
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def outside(text: str, pattern: re.Pattern[str], closed: list[Span]) -> Iterator[re.Match[str]]:
    """Matches that do not touch any of the spans."""
    index = 0
    for found in pattern.finditer(text):
        while index < len(closed) and closed[index][1] <= found.start():
            index += 1
        if index == len(closed) or closed[index][0] >= found.end():
            yield found


def still(text: str) -> list[Span]:
    """Everything within lines that is not prose."""
    return merged([*fences(text), *values(text), *(found.span() for found in _INLINE.finditer(text))])


_JSON_START: Final = re.compile(r'[{\[](?=\s*["{\[\]}\d\-tfn])')
# What stands before a literal of a program, an assignment, a call, a keyword or a bracket; and before indented code.
_IN_CODE: Final = re.compile(r"(?:[^\s:>.][ \t]*|(?:^|\n)(?:[ ]{4}|\t)[ \t]*)\Z")
_LOOK_BACK: Final = 64
_MIN_JSON: Final = 32
# How deep the values of texts that cannot be trusted may be.
_DEPTH: Final = 200


def values(text: str) -> list[Span]:
    """JSON objects and arrays of some size that stand outside fences."""
    if "{" not in text and "[" not in text:
        return []
    closed = fences(text)
    spans: list[Span] = []
    at, reach = 0, 0
    for found in outside(text, _JSON_START, closed):
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
