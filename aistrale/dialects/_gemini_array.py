"""Streams that were not asked for as SSE: one JSON array whose elements arrive piece by piece."""

from __future__ import annotations

import re

from aistrale.core.sse import SSE
from aistrale.dialects.shape import MalformedBody

MAX_ELEMENT_BYTES = 64 * 1024 * 1024
"""Longest element that is kept; images come inline."""
_OUTSIDE = re.compile(rb"[{}\[\]\"]")
_INSIDE = re.compile(rb'["\\]')


class ArraySplitter:
    """Splits the bytes of a JSON array of objects into its elements, as they become complete.

    Args:
        max_element_bytes: Longest element that is accepted.
    """

    def __init__(self, max_element_bytes: int = MAX_ELEMENT_BYTES) -> None:
        self._limit = max_element_bytes
        self._buffer = bytearray()
        self._place = 0
        self._start = -1
        self._depth = 0
        self._quoted = False
        self._array = False
        self.complete = False
        """Whether the array was closed; a stream that ends before was cut off."""

    def feed(self, chunk: bytes) -> list[SSE]:
        """Take the next bytes, cut anywhere.

        Args:
            chunk: Bytes of the body.

        Returns:
            The elements that are complete now, as events without a name.

        Raises:
            MalformedBody: Brackets do not match, text follows the array, or an element is too long or not UTF-8.
        """
        self._buffer += chunk
        elements: list[SSE] = []
        while (found := self._next()) is not None:
            self._bracket(found, elements)
        self._drop_read()
        if len(self._buffer) > self._limit:
            raise MalformedBody("body", f"elements of at most {self._limit} bytes")
        return elements

    def _next(self) -> int | None:
        """The place of the next structural byte outside of strings."""
        buffer = self._buffer
        while True:
            match = (_INSIDE if self._quoted else _OUTSIDE).search(buffer, self._place)
            if match is None:
                self._place = len(buffer)
                return None
            place = match.start()
            byte = buffer[place]
            if byte == 0x5C:  # a backslash: the byte after it is no quote
                if place + 1 >= len(buffer):
                    self._place = place
                    return None
                self._place = place + 2
                continue
            self._place = place + 1
            if byte != 0x22:
                return place
            self._quoted = not self._quoted

    def _bracket(self, place: int, elements: list[SSE]) -> None:
        opening = self._buffer[place] in b"{["
        if self.complete:
            raise MalformedBody("body", "nothing after the end of the array")
        if self._depth == 0 and self._buffer[place] == 0x5B and not self._array:
            self._array = True
            return
        if self._depth == 0 and not opening:
            if self._buffer[place] != 0x5D or not self._array:
                raise MalformedBody("body", "a JSON array")
            self.complete = True
            return
        if self._depth == 0:
            self._start = place
        self._depth += 1 if opening else -1
        if self._depth == 0:
            self._take(place + 1, elements)

    def _take(self, end: int, elements: list[SSE]) -> None:
        try:
            elements.append(SSE("", self._buffer[self._start : end].decode("utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedBody("body", "UTF-8") from error
        self._start = -1
        # An object that stands alone is how errors come.
        self.complete = not self._array

    def _drop_read(self) -> None:
        done = self._place if self._start < 0 else self._start
        del self._buffer[:done]
        self._place -= done
        self._start = min(self._start, 0)


def array_events(text: str) -> list[str]:
    """The elements of a whole JSON array, each as JSON text. Raises MalformedBody where it is none or was cut off."""
    splitter = ArraySplitter()
    elements = [event.data for event in splitter.feed(text.encode("utf-8", "surrogatepass"))]
    if not splitter.complete:
        raise MalformedBody("body", "a complete JSON array")
    return elements
