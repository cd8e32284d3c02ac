"""Server-sent events, push style: bytes in, events out, and the reverse.

The grammar is that of the WHATWG HTML standard (section "Server-sent events", interpreting an event stream),
with one exception: an event that the end of the stream cuts off before its blank line is delivered, because model
providers leave out the final blank line.
"""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 10 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class SSETooLarge(ValueError):
    """A line or an event of the stream exceeds its bound."""


class SSE:
    """One event.

    Args:
        event: Type of the event; "" where the stream names none.
        data: The data lines, joined by line feeds.
        id: The `id` field of this event, or None.
        retry: The `retry` field of this event in milliseconds, or None.
    """

    __slots__ = ("data", "event", "id", "retry")

    def __init__(self, event: str, data: str, id: str | None = None, retry: int | None = None) -> None:
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SSE):
            return NotImplemented
        return (self.event, self.data, self.id, self.retry) == (other.event, other.data, other.id, other.retry)

    def __hash__(self) -> int:
        return hash((self.event, self.data, self.id, self.retry))

    def __repr__(self) -> str:
        # The data is part of an answer, so only its size is shown.
        return f"SSE(event={self.event!r}, data=<{len(self.data)} characters>)"


class SSEParser:
    """Cuts a stream of bytes into events; pieces may end anywhere, also inside a character or a CRLF.

    Invalid UTF-8 becomes U+FFFD. An event without a data field is not delivered, comments and unknown fields are
    skipped. After an exception the parser is not to be used any more.

    Args:
        max_event_bytes: Bound of one event, in bytes.
        max_line_bytes: Bound of one line, in bytes; by default that of an event, since an image in base64 is one line.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_ends_line",
        "_line",
        "_max_event",
        "_max_line",
        "_max_plain",
        "_parts",
        "_size",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, max_line_bytes: int | None = None) -> None:
        self._max_event = max_event_bytes
        self._max_line = max_event_bytes if max_line_bytes is None else max_line_bytes
        self._max_plain = min(self._max_event, self._max_line)
        # The unfinished event, in the pieces in which it came: joining them at each feed would make a long event
        # cost the square of its length.
        self._parts: list[bytes] = []
        self._size = 0
        self._line = 0
        self._ends_line = False
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SSE]:
        """Take the next bytes of the stream.

        Args:
            chunk: Any number of bytes.

        Returns:
            The events that they complete, in order.

        Raises:
            SSETooLarge: A line or an event exceeds its bound.
        """
        end = len(chunk) - 2
        if (
            # One whole event of one line in one piece, as most streams come: nothing else to look at.
            chunk.find(b"\n") == end > 0
            and chunk[-1] == 10
            and chunk[:6] == b"data: "
            and end <= self._max_plain
            and not self._parts
            and not self._after_cr
            and b"\r" not in chunk
        ):
            self._at_start = False
            return [SSE("", chunk[6:end].decode("utf-8", "replace"))]
        if self._at_start:
            chunk = self._skip_bom(chunk)
        if not chunk:
            return []
        if self._after_cr or b"\r" in chunk:
            chunk = self._normalise(chunk)
            if not chunk:
                return []
        if self._parts:
            if b"\n\n" not in chunk and not (self._ends_line and chunk[0] == 10):
                self._keep(chunk)
                return []
            self._parts.append(chunk)
            chunk = b"".join(self._parts)
            self._parts = []
            self._size = self._line = 0
        blocks = chunk.split(b"\n\n")
        rest = blocks.pop()
        if rest:
            self._keep(rest)
        events = []
        max_plain = self._max_plain
        for block in blocks:
            if block[:6] == b"data: " and b"\n" not in block and len(block) <= max_plain:
                events.append(SSE("", block[6:].decode("utf-8", "replace")))
            elif block and (event := self._interpret(block)) is not None:
                events.append(event)
        return events

    def finish(self) -> list[SSE]:
        """Take the end of the stream.

        Returns:
            The event that was not ended by a blank line, if it has data. The standard would discard it; providers
            end their streams like this.

        Raises:
            SSETooLarge: It exceeds its bound.
        """
        block = b"".join(self._parts)
        self._parts = []
        self._size = self._line = 0
        event = self._interpret(block) if block else None
        return [] if event is None else [event]

    def _skip_bom(self, chunk: bytes) -> bytes:
        head = b"".join(self._parts) + chunk
        self._parts = []
        if len(head) < len(_BOM) and _BOM.startswith(head):
            if head:
                self._parts.append(head)
            return b""
        self._at_start = False
        return head.removeprefix(_BOM)

    def _normalise(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk[0] == 10:
            chunk = chunk[1:]
        if chunk:
            self._after_cr = chunk[-1] == 13
            return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._after_cr = False
        return b""

    def _keep(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        newline = piece.rfind(b"\n")
        self._line = self._line + len(piece) if newline < 0 else len(piece) - newline - 1
        self._ends_line = newline == len(piece) - 1
        # The line feed that may become the first half of the blank line is not part of the event.
        if self._size - self._ends_line > self._max_event:
            raise SSETooLarge(f"an event of the stream is larger than {self._max_event} bytes")
        if self._line > self._max_line:
            raise SSETooLarge(f"a line of the stream is longer than {self._max_line} bytes")

    def _interpret(self, block: bytes) -> SSE | None:
        if len(block) > self._max_event:
            raise SSETooLarge(f"an event of the stream is larger than {self._max_event} bytes")
        if block[:7] == b"event: " and len(block) <= self._max_plain:
            # A type and one line of data, the usual form of those streams that name their events.
            end = block.find(b"\n")
            if block[end + 1 : end + 7] == b"data: " and block.find(b"\n", end + 7) < 0:
                return SSE(block[7:end].decode("utf-8", "replace"), block[end + 7 :].decode("utf-8", "replace"))
        data: list[bytes] = []
        event = ""
        id_: str | None = None
        retry: int | None = None
        for line in block.split(b"\n"):
            if len(line) > self._max_line:
                raise SSETooLarge(f"a line of the stream is longer than {self._max_line} bytes")
            name, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace")
            elif name == b"id" and b"\0" not in value:
                id_ = value.decode("utf-8", "replace")
            # No more digits than a 64-bit number has: int() of an endless one costs the square of its length.
            elif name == b"retry" and value.isdigit() and len(value) < 20:
                retry = int(value)
        if not data:
            return None
        text = (data[0] if len(data) == 1 else b"\n".join(data)).decode("utf-8", "replace")
        return SSE(event, text, id_, retry)


def encode_sse(data: str, event: str = "") -> bytes:
    """Encode one event in the form that every vendor's client understands.

    One space after the colon, line feeds only, no comment, no id. JSON given as data should be made with
    `ensure_ascii`, because some clients split lines at U+0085, U+2028 and U+2029 too.

    Args:
        data: The data; each of its lines (LF, CRLF or CR) becomes a data line.
        event: Type of the event, without line breaks; "" for none.

    Returns:
        The bytes of the event with its final blank line.

    Raises:
        ValueError: The type has a line break, or the data one of the characters above, which cannot be escaped here.
    """
    if "\n" in event or "\r" in event:
        raise ValueError("event: the type of an event cannot have line breaks")
    if not data.isascii() and any(mark in data for mark in "\x85\u2028\u2029"):
        raise ValueError("data: U+0085, U+2028 and U+2029 break the line in some clients; escape them in the JSON")
    if "\n" in data or "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\ndata: ")
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data}\n\n".encode()
