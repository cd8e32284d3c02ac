"""Where links stand in a text: the one grammar by which redaction widens and restoring abstains.

A value that is put back into a link goes to whoever serves that link, as soon as something fetches it: a renderer the
images, a messenger the preview. So nothing is restored inside one, and so nothing inside one is replaced but the whole
link.

Links are: URLs with a scheme and `//`, `www.` and `mailto:`, as far as GitHub's Markdown and common linkifiers take
them for links; Markdown's link and image targets and reference definitions (CommonMark 6.3, 4.7); HTML attributes that
are fetched; CSS's `url()`. Where readers differ on the end of a link, the later end holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXT: Final = 0
_BEFORE: Final = 1
_PARENTHESES: Final = 2
_UNTIL: Final = 3
_PLAIN: Final = 4
_URL: Final = 5
_QUOTED: Final = 6
# Of a link that begins with its own first character.
_BARE: Final = (_URL, _QUOTED)

_LOOK_BACK: Final = 48
_MOST_HEAD: Final = 8

# What a link may begin with, in lower case. The names of attributes count where "=" follows.
_STARTS: Final = ("://", " //", "\t//", "](", "url(", "www.", "mailto:")
_NAMES: Final = ("href", "src", "poster", "background", "formaction", "ping")
_NAMED: Final = re.compile(r"(?:href|src(?:set)?|poster|background|formaction|ping)\s{0,4}=")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.\-]{0,31}://\Z", re.IGNORECASE)
_DEFINITION: Final = re.compile(r"\]:[ \t]{0,8}//\Z")
_SPACE: Final = re.compile(r"\s*")
_PLAIN_END: Final = re.compile(r"[\s>]")
_TARGET_STOP: Final = re.compile(r"[\s()]")
# Punctuation of scripts that put no space around a URL.
_WIDE_ENDS: Final = "\uff0c\u3002\u3001\uff1b\uff1a\uff01\uff1f\uff09\u3011\u300d\u300f\u300b"
# What stands directly before a URL says what ends it.
_PAIRS: Final = {'"': '"', "'": "'", "<": ">", "|": "|", ",": ",", ";": ";"}
_URL_ENDS: Final = {
    closer: re.compile(rf"[\s<`{_WIDE_ENDS}{re.escape(closer)}]" if closer else rf'[\s<"`{_WIDE_ENDS}]')
    for closer in ("", *_PAIRS.values())
}
_AFTER_QUOTE: Final = ",}]:);"


def may_hold_link(text: str) -> bool:
    """Whether a link may begin in a text; quickly."""
    if "//" in text or "](" in text or "=" in text:
        return True
    if "(" not in text and "." not in text and ":" not in text:
        return False
    low = text.lower()
    return "url(" in low or "www." in low or "mailto:" in low


class LinkTracker:
    """Follows a text as it grows, and knows whether what comes next stands inside a link.

    How the text is cut into pieces makes no difference.
    """

    __slots__ = ("_after", "_closer", "_depth", "_head", "_mode", "_tail", "_whose")

    def __init__(self) -> None:
        self._mode = _TEXT
        # Text that may be the beginning of a link's beginning; never reaches back into the link before.
        self._tail = ""
        self._closer = ""
        self._depth = 0
        # The target so far, as long as it is short.
        self._head: str | None = ""
        # What the target that is about to begin belongs to: "(" or "=" or "u".
        self._whose = ""

    @property
    def inside(self) -> bool:
        """Whether what comes next stands inside a link."""
        return self._mode != _TEXT

    @property
    def head(self) -> str | None:
        """The link so far, in lower case: "", "mailto:"; None when it is longer than a few characters."""
        return self._head if self._mode != _TEXT else None

    def ends_with(self, character: str) -> bool:
        """Whether a character would end the link that is open."""
        if self._mode in (_BEFORE, _PLAIN):
            return character.isspace() or character == (")" if self._whose in "(u" else ">")
        if self._mode == _PARENTHESES:
            return character.isspace() or (character == ")" and self._depth == 0)
        if self._mode == _UNTIL:
            return character == self._closer or (character == "\n" and self._closer == ">")
        return _URL_ENDS[self._closer].match(character) is not None

    def feed(self, text: str) -> None:
        """What comes next."""
        if self._mode == _TEXT:
            seen = self._tail + text
            if not may_hold_link(seen):
                self._tail = seen[-_LOOK_BACK:]
                return
        for _ in self.spans(text):
            pass

    def spans(self, text: str) -> Iterator[tuple[int, int, bool]]:
        """Feed, and give where in `text` links stand; one that is still open at the end reaches up to the end.

        Yields:
            Start, end, and whether it is the target of something: then its first character is inside already.
        """
        shift = len(self._tail)
        seen = self._tail + text
        starts = _Starts(seen, shift)
        at, length = shift, len(seen)
        # How far back a beginning may reach, and where the link that is open began.
        floor, begun = 0, shift
        while at < length:
            if self._mode == _TEXT:
                found = self._find(seen, starts, floor)
                if found is None:
                    self._tail = seen[max(floor, length - _LOOK_BACK) :]
                    return
                at, begun = found
            elif self._mode == _BEFORE:
                at = begun = self._begin(seen, at)
            else:
                end = self._end(seen, at)
                self._note(seen[at : at + _MOST_HEAD] if end is None else seen[at : min(end, at + _MOST_HEAD)])
                if end is None:
                    break
                if end > begun:
                    yield max(begun - shift, 0), end - shift, self._mode not in _BARE
                at = floor = self._close(end)
                starts.skip(floor)
        self._tail = ""
        if self._mode not in (_TEXT, _BEFORE) and begun < length:
            yield max(begun - shift, 0), length - shift, self._mode not in _BARE

    def _note(self, text: str) -> None:
        if self._head is not None:
            head = self._head + text.lower()
            self._head = head if len(head) < _MOST_HEAD else None

    # --- begin ---------------------------------------------------------------------------------------------------

    def _find(self, seen: str, starts: _Starts, floor: int) -> tuple[int, int] | None:
        """The next link: where its beginning ends, and where it begins."""
        while (start := starts.next()) is not None:
            begun = self._judge(*start, seen, floor)
            if begun is not None:
                return start[1], begun
        return None

    def _judge(self, first: int, end: int, what: str, seen: str, floor: int) -> int | None:
        """Whether a link begins with what stands there, and where; sets the mode."""
        before = seen[first - 1] if first > floor else ""
        if what == "](":
            return self._open(_BEFORE, "(", end)
        if what == "=":
            return None if before.isalnum() or before in ("_", "-") else self._open(_BEFORE, "=", end)
        if what.endswith("//"):
            near = seen[max(floor, end - _LOOK_BACK) : end]
            scheme = _SCHEME.search(near) if what == "://" else None
            first = end - (2 if scheme is None else len(scheme.group()))
            if scheme is None and _DEFINITION.search(near) is None:
                return None
        elif before.isalnum():
            return None
        elif what == "url(":
            return self._open(_BEFORE, "u", end)
        self._open(_URL, "", end)
        self._head = what if what == "mailto:" else None
        self._closer = _PAIRS.get(seen[first - 1], "") if first > floor else ""
        return first

    def _open(self, mode: int, whose: str, end: int) -> int:
        self._mode, self._whose, self._head, self._depth, self._closer = mode, whose, "", 0, ""
        return end

    def _begin(self, text: str, at: int) -> int:
        """Skip the space before a target, and see how it is delimited."""
        space = _SPACE.match(text, at)
        at = at if space is None else space.end()
        if at >= len(text):
            return at
        character = text[at]
        if character == "<" and self._whose == "(":
            self._mode, self._closer = _UNTIL, ">"
        elif character in "\"'" and self._whose != "(":
            self._mode, self._closer = _UNTIL, character
        else:
            self._mode = _PARENTHESES if self._whose != "=" else _PLAIN
            return at
        return at + 1

    # --- end -----------------------------------------------------------------------------------------------------

    def _end(self, text: str, at: int) -> int | None:
        """Where the open link ends, if it does in this text."""
        if self._mode == _UNTIL:
            return self._until(text, at)
        if self._mode == _PARENTHESES:
            return self._balance(text, at)
        if self._mode == _PLAIN:
            found = _PLAIN_END.search(text, at)
            return None if found is None else found.start()
        return self._url_end(text, at)

    def _until(self, text: str, at: int) -> int | None:
        end = text.find(self._closer, at)
        if self._closer == ">":
            line = text.find("\n", at, end if end >= 0 else len(text))
            end = line if line >= 0 else end
        return end if end >= 0 else None

    def _balance(self, text: str, at: int) -> int | None:
        for stop in _TARGET_STOP.finditer(text, at):
            character = stop.group()
            if character == "(":
                self._depth += 1
            elif character == ")" and self._depth:
                self._depth -= 1
            else:
                return stop.start()
        return None

    def _url_end(self, text: str, at: int) -> int | None:
        ends = _URL_ENDS[self._closer]
        while True:
            if self._mode == _QUOTED:
                # A quote ends it if what follows says so: some readers take a pair of quotes for a part of it.
                self._mode = _URL
                if text[at] in _AFTER_QUOTE or text[at].isspace():
                    return at
            found = ends.search(text, at)
            if found is None:
                return None
            if found.group() != '"' or self._closer:
                return found.start()
            self._mode = _QUOTED
            at = found.end()
            if at >= len(text):
                return None

    def _close(self, end: int) -> int:
        # The end of a target that is quoted or in brackets is no beginning of anything.
        skip = 1 if self._mode == _UNTIL and self._closer != ">" else 0
        self._mode = _TEXT
        return end + skip


class _Starts:
    """Where links may begin in a text, in order.

    Args:
        seen: The text.
        known: What ends up to here was told before.
    """

    __slots__ = ("_at", "_known", "_low", "_next", "_what")

    def __init__(self, seen: str, known: int) -> None:
        low = seen.lower()
        if len(low) != len(seen):
            low = "".join(lower if len(lower := character.lower()) == 1 else character for character in seen)
        self._low = low
        self._known = known
        self._at = 0
        self._what = (*_STARTS, *_NAMES) if "=" in low else _STARTS
        self._next = [low.find(what) for what in self._what]

    def skip(self, to: int) -> None:
        """Go on from there."""
        self._at = max(self._at, to)

    def next(self) -> tuple[int, int, str] | None:
        """Start, end, and what it is; "=" for an attribute."""
        places = self._next
        while True:
            best = -1
            for index, place in enumerate(places):
                if 0 <= place < self._at:
                    places[index] = self._low.find(self._what[index], self._at)
                if places[index] >= 0 and (best < 0 or places[index] < places[best]):
                    best = index
            if best < 0:
                return None
            first, what = places[best], self._what[best]
            end = first + len(what)
            self._at = first + 1
            if best >= len(_STARTS):
                named = _NAMED.match(self._low, first)
                if named is None:
                    continue
                end, what = named.end(), "="
            if end > self._known:
                return first, end, what


def links(text: str) -> list[tuple[int, int, bool]]:
    """Where links stand in a text, in order: start, end, and whether it is the target of something."""
    return list(LinkTracker().spans(text)) if may_hold_link(text) else []
