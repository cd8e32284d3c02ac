"""Originals in place of their placeholders: in whole answers, and in streams that are cut anywhere.

One pass: what was put in is never looked at again, so a value that looks like a placeholder stays what it is. What is
unknown stays as it stands, and is counted. Nothing is put into a link (see `links`), of which the text as the caller
gets it decides; but a link that was taken out whole comes back whole.
"""

from __future__ import annotations

import json as _json
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from aistrale.privacy.fake_index import FakeIndex
from aistrale.privacy.inside import ESCAPE_BEGINS, JSONPlace, Place, TextPlace, unescaped
from aistrale.privacy.links import links, may_hold_link
from aistrale.privacy.placeholder import CLOSED, FULL, LONGEST, PARTIAL, compact, has_opener, in_one_pair, openers

if TYPE_CHECKING:
    from aistrale.privacy.vault import Vault
    from aistrale.types import JSON, JSONObject

_Entry = tuple[str, str, bool]
# Where it begins; where to go on, or _HOLD for later; and what is put in its place, if anything.
_Step = tuple[int, int, "str | None"]
_HOLD: Final = -1
_NOWHERE: Final = (2**62, 2**62, False)
# What may be restored in a link, if it is the whole of it, by what the link begins with.
_WHOLE: Final = {"": "URL", "mailto:": "EMAIL", "tel:": "PHONE"}
_ESCAPE_BEGINS: Final = re.compile(ESCAPE_BEGINS)

# Pieces that are remembered before the place in the text is worked out anew.
_MOST_PIECES: Final = 256


class Restorer:
    """Puts the originals of one conversation back. Use it from one thread; it is cheap to make.

    Args:
        vault: Knows the originals.
        links: Restore inside links as well, which gives the values to those who serve the links.
    """

    __slots__ = ("kept", "links", "unknown", "vault")

    def __init__(self, vault: Vault, *, links: bool = False) -> None:
        self.vault = vault
        self.links = links
        self.unknown: Counter[str] = Counter()
        """Placeholders that are not of this conversation, by their word; they were left alone."""
        self.kept: Counter[str] = Counter()
        """Placeholders that stood inside a link, by their word; they were left alone."""

    @property
    def fakes(self) -> FakeIndex | None:
        """Finds the vault's fakes; None if it has none."""
        return FakeIndex.of(self.vault)

    def restore(self, text: str, *, json: bool = False) -> str:
        """A text with the originals in it.

        Args:
            text: A whole text; of a streamed one, use `stream`.
            json: It is JSON text: what is put into it is escaped, and a number becomes a number again.
        """
        if self.fakes is None:
            if not has_opener(text):
                return text
            quick = self._quickly(text, json=json)
            if quick is not None:
                return quick
        stream = RestoreStream(self, json=json)
        return stream.feed(text) + stream.finish()

    def _quickly(self, text: str, *, json: bool) -> str | None:
        """Most answers: every placeholder as it was written, and none in a link; None for any other."""
        if json and (self.vault.has_numbers or not _is_json(text)):
            return None
        if "\\" in text or "\uff3b" in text or "\u3010" in text:
            return None
        out: list[str] = []
        places: list[int] = []
        done = size = 0
        at = text.find("[")
        exact = self.vault.exact
        while at >= 0:
            end = text.find("]]", at, at + LONGEST) + 2
            entry = exact.get(text[at:end])
            if entry is not None:
                value = entry[1]
                if json and ('"' in value or "\\" in value or not value.isprintable()):
                    return None
                size += at - done
                places.append(size)
                size += len(value)
                out += (text[done:at], value)
                done = end
            elif FULL.match(text, at) is not None:
                return None
            at = text.find("[", max(done, at + 1))
        out.append(text[done:])
        made = "".join(out)
        if self.links or not places or not may_hold_link(made) or (not json and _apart(made, places)):
            return made
        return None

    def stream(self, *, json: bool = False) -> RestoreStream:
        """For a text that comes in pieces; one for each text."""
        return RestoreStream(self, json=json)

    def restore_value(self, value: JSON) -> JSON:
        """A parsed JSON value with the originals in its strings and names; itself if there is nothing to restore."""
        try:
            return self._value(value)
        except RecursionError:
            # Nobody's answer is nested a thousand levels deep; it stays as it is.
            return value

    def _value(self, value: JSON) -> JSON:
        if type(value) is str:
            number = self._number(value)
            return self.restore(value) if number is None else number
        if type(value) is dict:
            return self._object(value)
        if type(value) is list:
            items = [self._value(item) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        if self.fakes is not None and type(value) in (int, float):
            known = self.vault.fakes.get(_json.dumps(value))
            return value if known is None else cast("JSON", _json.loads(known))
        return value

    def _object(self, value: JSONObject) -> JSONObject:
        new = {self.restore(name): self._value(item) for name, item in value.items()}
        if len(new) == len(value) and all(name in new and new[name] is item for name, item in value.items()):
            return value
        return new

    def _number(self, text: str) -> JSON:
        if not self.vault.has_numbers or len(text) > LONGEST or not has_opener(text):
            return None
        match = FULL.fullmatch(text)
        entry = None if match is None else self.look_up(match, "")
        return cast("JSON", _json.loads(entry[1])) if type(entry) is tuple and entry[2] else None

    def look_up(self, match: re.Match[str], before: str) -> tuple[str, str, bool] | str | None:
        """What a placeholder stands for; its word if it is none of ours; None if it is no placeholder.

        Args:
            match: Of FULL.
            before: The character before it, or "".
        """
        word = compact(match[4])
        if match[3] is None:
            if not in_one_pair(match, word, before):
                return None
        elif word not in CLOSED and word not in self.vault.words:
            return None
        return self.vault.find(f"{word}{match[5]}{match[6].upper()}") or word


def _is_json(text: str) -> bool:
    """Whether it is JSON: then no placeholder stands outside its strings."""
    try:
        _json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _apart(text: str, places: list[int]) -> bool:
    """Whether no place is surely or possibly inside a link, of which the finished text decides."""
    where = iter(links(text))
    start, end, target = next(where, _NOWHERE)
    for place in places:
        while end < place:
            start, end, target = next(where, _NOWHERE)
        # What begins with a letter or digit delimits no link, and ends none.
        if start < place or (start == place and target) or not text[place : place + 1].isalnum():
            return False
    return True


class RestoreStream:
    """Restores a text that comes in pieces, and holds back no more than what may still become a placeholder.

    Args:
        restorer: Whose.
        json: The text is JSON.
    """

    __slots__ = (
        "_bare",
        "_before",
        "_done",
        "_edge",
        "_edges",
        "_exact",
        "_fakes",
        "_held",
        "_json",
        "_numbers",
        "_out",
        "_place",
        "_restorer",
        "_seen",
        "_slashes",
    )

    def __init__(self, restorer: Restorer, *, json: bool) -> None:
        self._restorer = restorer
        self._json = json
        self._fakes = restorer.fakes
        # What may stand before an opening bracket and belongs to the placeholder.
        self._numbers = json and restorer.vault.has_numbers
        self._edges = '\\"' if self._numbers else "\\"
        self._exact = restorer.vault.exact
        # Backslashes at the end of what was given out: they are read in pairs.
        self._slashes = 0
        self._held = ""
        # For fakes: the text without escape sequences, and the last character of what was given out.
        self._bare = ""
        self._edge = ""
        self._before = ""
        # What was given out since the place was last worked out.
        self._seen: list[str] = []
        self._out: list[str] = []
        self._done = 0
        self._place: Place | None = None if restorer.links and not json else JSONPlace() if json else TextPlace()

    def feed(self, text: str) -> str:
        """The next piece; gives what can be said of it already."""
        if self._held:
            text = self._held + text
            self._held = ""
        elif (
            self._fakes is None
            and "[" not in text
            and "\uff3b" not in text
            and "\u3010" not in text
            and text[-1:] not in self._edges
        ):
            # Most pieces. An empty piece is a part of any string, and comes here as one with an edge.
            return self._give(text)
        return self._run(text, final=False)

    def finish(self) -> str:
        """The text is over: give what is held back."""
        text, self._held = self._held, ""
        return self._run(text, final=True) if text else ""

    def _give(self, text: str) -> str:
        seen = self._seen
        seen.append(text)
        self._before = text
        if self._fakes is not None:
            odd = self._slashes % 2
            self._edge = unescaped("\\" * odd + text)[-1] if self._json else text[-1]
            count = len(text) - len(text.rstrip("\\"))
            self._slashes = count + (self._slashes if count == len(text) else 0)
        if len(seen) > _MOST_PIECES:
            self._catch_up()
        return text

    def _catch_up(self) -> Place | None:
        place = self._place
        if self._seen:
            if place is not None:
                place.feed("".join(self._seen))
            self._seen.clear()
        return place

    def _run(self, text: str, *, final: bool) -> str:
        self._out = out = []
        self._done = at = 0
        length = len(text)
        if self._fakes is not None:
            odd = self._slashes % 2
            self._bare = unescaped("\\" * odd + text)[odd:] if self._json else text
        marks = openers(text)
        mark = next(marks, length)
        while True:
            while mark < at:
                mark = next(marks, length)
            step = None if self._fakes is None else self._fake(text, at, mark, final=final)
            if step is None:
                if mark >= length:
                    break
                step = self._bracket(text, mark, final=final)
            start, at, value = step
            if at < 0:
                return self._hold(text, start)
            if value is not None:
                self._flush(text, start)
                out.append(self._give(value))
                self._done = at
        if self._numbers and not final and self._done < length and text[-1] == '"':
            return self._hold(text, length - 1)
        self._flush(text, length)
        return "".join(out)

    def _hold(self, text: str, start: int) -> str:
        self._held = text[start:]
        self._flush(text, start)
        return "".join(self._out)

    def _flush(self, text: str, end: int) -> None:
        if end > self._done:
            self._out.append(self._give(text[self._done : end]))
            self._done = end

    def _fake(self, text: str, at: int, limit: int, *, final: bool) -> _Step | None:
        """The first fake before the next bracket."""
        before = self._bare[at - 1] if at > self._done else self._edge
        found = cast("FakeIndex", self._fakes).search(self._bare, at, limit, before, final=final)
        if found is None:
            return None
        start, end, original = found
        if original is None:
            return start, _HOLD, None
        self._flush(text, start)
        place = self._catch_up()
        if self._in_link(place):
            kind = "EMAIL" if "@" in text[start:end] and "//" not in text[start:end] else "URL"
            stays = self._stays(place, "FAKE", kind, text, end, final=final)
            if stays is not None:
                return start, *stays
        number = self._json and self._is_bare(place)
        return start, end, original if place is None else place.written(original, number=number)

    def _bracket(self, text: str, at: int, *, final: bool) -> _Step:
        """What begins with a bracket, or with a backslash before one."""
        # Numbers take the quotes with them that their placeholders have.
        first = at - 1 if self._numbers and at > self._done and text[at - 1] == '"' else at
        end = text.find("]]", at, at + LONGEST) + 2
        entry: _Entry | str | None = self._exact.get(text[at:end])
        if entry is None:
            match = FULL.match(text, at)
            if match is None:
                if not final and (PARTIAL.match(text, at) or (self._json and _ESCAPE_BEGINS.match(text, at))):
                    return first, _HOLD, None
                return at, at + 1, None
            end = match.end()
            entry = self._restorer.look_up(match, text[at - 1] if at > self._done else self._before[-1:])
        if entry is None:
            return at, at + 1, None
        if isinstance(entry, str):
            self._restorer.unknown[entry] += 1
            return at, end, None
        if first < at:
            self._flush(text, first)
            whole = self._number(entry, text, end, final=final)
            if whole is not None:
                return first, *whole
        self._flush(text, at)
        return at, *self._put(entry, text, end, final=final)

    def _number(self, entry: _Entry, text: str, end: int, *, final: bool) -> tuple[int, str | None] | None:
        """A number that was the whole of a JSON value loses the quotes that its placeholder has."""
        place = self._catch_up()
        if not entry[2] or not self._is_bare(place):
            return None
        if end == len(text):
            return None if final else (_HOLD, None)
        return (end + 1, entry[1]) if text[end] == '"' else None

    def _put(self, entry: _Entry, text: str, end: int, *, final: bool) -> tuple[int, str | None]:
        place = None if self._place is None else self._catch_up()
        placeholder, value, number = entry
        if self._in_link(place):
            word = placeholder[2 : placeholder.rindex("_")]
            stays = self._stays(place, word, word, text, end, final=final)
            if stays is not None:
                return stays
        return end, value if place is None else place.written(value, number=number)

    def _stays(
        self, place: Place | None, word: str, kind: str, text: str, end: int, *, final: bool
    ) -> tuple[int, str | None] | None:
        """What is to be done with something of ours in a link; None to restore it, since it is the whole link."""
        head = None if place is None else place.head
        if place is not None and head is not None and _WHOLE.get(head) == kind:
            ends = place.ends(text, end)
            if ends is None and not final:
                return _HOLD, None
            if ends or ends is None:
                return None
        self._restorer.kept[word] += 1
        return end, None

    def _in_link(self, place: Place | None) -> bool:
        return place is not None and not self._restorer.links and place.inside

    def _is_bare(self, place: Place | None) -> bool:
        return isinstance(place, JSONPlace) and not place.in_string
