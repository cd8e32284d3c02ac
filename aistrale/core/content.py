"""Undoing the content coding of a body (RFC 9110 section 8.4), within bounds."""

from __future__ import annotations

import zlib
from typing import Final

_PIECE: Final = 256 * 1024
_RATIO: Final = 200
_RATIO_FREE: Final = 1024 * 1024


class _Inflate:
    """One gzip or deflate layer, giving at most one piece at a time."""

    __slots__ = ("_gzip", "_started", "_tail", "_z", "pending")

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._z = zlib.decompressobj(31 if gzip else 15)
        self._started = False
        self._tail = b""
        self.pending = False

    def feed(self, data: bytes) -> bytes:
        data = self._tail + data if self._tail else data
        self._tail = b""
        self.pending = False
        if not data and not self._started:
            return b""
        if self._z.eof:
            data = data.lstrip(b"\0")
            if not data:
                return b""
            # RFC 1952 section 2.2: a gzip body may be several members one after the other.
            if not self._gzip:
                raise zlib.error("data after the end of the compressed body")
            self._z = zlib.decompressobj(31)
        out = self._inflate(data)
        self._started = True
        self._tail = self._z.unconsumed_tail or self._z.unused_data
        self.pending = len(out) >= _PIECE or bool(self._tail)
        return out

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._z.decompress(data, _PIECE)
        except zlib.error:
            # Some servers mean "raw deflate" by deflate, without the zlib wrapper of RFC 9110 section 8.4.1.2.
            if self._gzip or self._started:
                raise
            self._z = zlib.decompressobj(-15)
            return self._z.decompress(data, _PIECE)

    def finished(self) -> bool:
        return self._z.eof or not self._started


class ContentDecoder:
    """Undoes the content coding of a body, piece by piece, within bounds.

    Each call gives at most 256 KiB; while `pending` is true, more can be had with `feed(b"")`. Beyond 1 MiB of
    output, a ratio of more than 200 to 1 is taken for a decompression bomb.

    Args:
        codings: Value of Content-Encoding.

    Raises:
        ValueError: A coding other than gzip, deflate or identity (only those are offered).
    """

    __slots__ = ("_got", "_layers", "_made")

    def __init__(self, codings: str) -> None:
        self._layers: list[_Inflate] = []
        self._got = 0
        self._made = 0
        for coding in reversed([part.strip().lower() for part in codings.split(",")]):
            if coding in ("gzip", "x-gzip", "deflate"):
                self._layers.append(_Inflate(gzip=coding != "deflate"))
            elif coding not in ("identity", ""):
                raise ValueError(f"the server used the content coding {coding!r}, which was not offered")

    @property
    def pending(self) -> bool:
        """True while decoded bytes can be had without new input."""
        return any(layer.pending for layer in self._layers)

    def feed(self, data: bytes) -> bytes:
        """Decode one piece.

        Args:
            data: Bytes as received; b"" to fetch what is pending.

        Returns:
            Decoded bytes, perhaps none yet.

        Raises:
            ValueError: The data is not valid in its coding, or expands beyond the permitted ratio.
        """
        self._got += len(data)
        start = 0
        if not data:
            waiting = [index for index, layer in enumerate(self._layers) if layer.pending]
            start = waiting[-1] if waiting else len(self._layers)
        try:
            for layer in self._layers[start:]:
                data = layer.feed(data)
        except zlib.error as error:
            raise ValueError(f"the compressed body is broken ({error})") from None
        self._made += len(data)
        if self._made > _RATIO_FREE and self._made > _RATIO * self._got:
            raise ValueError(f"the compressed body expands more than {_RATIO} times; refused as a decompression bomb")
        return data

    def finish(self) -> None:
        """Check at the end of the body that nothing is missing.

        Raises:
            ValueError: The compressed body ends too early.
        """
        if not all(layer.finished() for layer in self._layers):
            raise ValueError("the compressed body ends too early")
