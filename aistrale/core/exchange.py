"""What an HTTP exchange is made of, without any input or output: requests, headers, bodies, errors.

HttpError                  base; carries phase, sent, reused
+- HttpConnectError        name not found, refused, unreachable, proxy said no
|  +- HttpProxyDenied      the proxy wants other credentials
+- HttpTLSError            the certificate or the handshake was not acceptable
+- HttpTimeout             the deadline of the moment passed
+- HttpProtocolError       the peer does not speak HTTP/1.1 as we know it
+- HttpClosed              the peer closed or reset the connection
+- HttpTooLarge            the body is larger than the configured bound
+- HttpDecodeError         the content coding is broken, truncated, unknown or a bomb
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

Phase = Literal["resolve", "connect", "tls", "write", "headers", "body"]

# Framing, routing and coding belong to the connection: a copied value (a drop-in client relays the calling
# SDK's headers) would describe another body, another host or a coding that cannot be decoded here.
MANAGED_HEADERS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)
ACCEPT_ENCODING: Final = b"gzip, deflate"

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_REMEMBERED_HEADERS: Final = 1024


class HttpError(Exception):
    """Base of everything that can go wrong in one HTTP exchange.

    Args:
        message: What happened and with which host; never a header value, a URL's query or a body.
        phase: Where it happened: "resolve", "connect", "tls", "write", "headers" or "body".
        sent: True if any byte of the request may have reached the server (so it may have acted on it).
        reused: True if the connection had served an earlier exchange.
    """

    phase: Phase
    sent: bool
    reused: bool

    def __init__(self, message: str, *, phase: Phase, sent: bool = False, reused: bool = False) -> None:
        super().__init__(message)
        self.phase = phase
        self.sent = sent
        self.reused = reused

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the error picklable although its facts are keyword-only."""
        return (_rebuild, (type(self), str(self), self.phase, self.sent, self.reused))


def _rebuild(kind: type[HttpError], message: str, phase: Phase, *flags: bool) -> HttpError:
    sent, reused = flags
    return kind(message, phase=phase, sent=sent, reused=reused)


class HttpConnectError(HttpError):
    """No connection: the name does not resolve, the host refuses, is unreachable, or the proxy declines."""


class HttpProxyDenied(HttpConnectError):
    """The proxy does not accept the credentials, or wants some (status 407): another attempt changes nothing."""


class HttpTLSError(HttpError):
    """The TLS handshake failed: certificate not trusted, wrong host name, or no common version."""


class HttpTimeout(HttpError):
    """The absolute deadline given for this step passed."""


class HttpProtocolError(HttpError):
    """The peer's bytes are not an HTTP/1.1 response."""


class HttpClosed(HttpError):
    """The peer closed or reset the connection before the exchange was complete."""


class HttpTooLarge(HttpError):
    """The response body exceeds the bound; the connection was dropped."""


class HttpDecodeError(HttpError):
    """The body's content coding is invalid, truncated, not offered, or expands beyond all proportion."""


@dataclass(slots=True)
class HttpRequest:
    """One request, complete and ready to be written.

    Args:
        method: HTTP method in upper case.
        url: Absolute http or https URL in ASCII (percent-encoded), without user information.
        headers: Name and value pairs in order. Host, Content-Length, Accept-Encoding, Connection and the other
            hop-by-hop fields are set by the connection; entries with these names are ignored.
        body: The whole request body; kept out of the repr.
    """

    method: str
    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Headers(Mapping[str, str]):
    """Response headers: case-insensitive, read-only, decoded from the raw bytes when first asked for.

    Fields that occur more than once are joined by ", " (RFC 9110 section 5.3).

    Args:
        raw: Pairs of bytes as they came over the wire.
    """

    __slots__ = ("_decoded", "_pairs", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw: list[tuple[bytes, bytes]] | None = raw
        self._pairs: list[tuple[str, str]] | None = None
        self._decoded: dict[str, str] | None = None

    @classmethod
    def of_text(cls, pairs: list[tuple[str, str]]) -> Self:
        """Headers that were decoded (as latin-1) already."""
        headers = cls([])
        headers._raw, headers._pairs = None, pairs
        return headers

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """Name and value pairs as they came over the wire."""
        if self._raw is None:
            self._raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs or ()]
        return self._raw

    def _fields(self) -> dict[str, str]:
        fields = self._decoded
        if fields is None:
            pairs = self._pairs
            if pairs is None:
                pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw or ()]
            fields = {name.lower(): value for name, value in pairs}
            if len(fields) < len(pairs):
                fields = {}
                for name, value in pairs:
                    key = name.lower()
                    fields[key] = f"{fields[key]}, {value}" if key in fields else value
            self._decoded = fields
        return fields

    def __getitem__(self, name: str) -> str:
        return self._fields()[name.lower()]

    @property
    def lowered(self) -> Mapping[str, str]:
        """The fields by their names in lower case, for many look-ups."""
        return self._fields()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __repr__(self) -> str:
        # Values can hold cookies and account identifiers, so only the names are shown.
        return f"Headers({list(self._fields())!r})"


# Name as given, name in lower case, value: the form in which h11 keeps a header.
EncodedHeader = tuple[bytes, bytes, bytes]


class EncodedHeaders(list[EncodedHeader]):
    """Headers of a request, which the local variables of a traceback must not show: the key is among them."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


_encoded: dict[tuple[str, str], EncodedHeader | None] = {}


def encode_headers(headers: list[tuple[str, str]]) -> list[EncodedHeader]:
    """Encode the caller's headers, leaving out those which the connection sets itself.

    Args:
        headers: Name and value pairs.

    Returns:
        Name, name in lower case and value of each, in the same order; blanks around a value are removed.

    Raises:
        ValueError: A name is not a token, or a value holds control characters or does not fit in latin-1.
            The message has the name, never the value.
    """
    result = []
    for pair in headers:
        try:
            item = _encoded[pair]
        except KeyError:
            item = _encode_header(*pair)
            # The same few pairs come with every call. A bound (not an LRU) is enough against those that
            # differ each time, such as idempotency keys.
            if len(_encoded) >= _REMEMBERED_HEADERS:
                _encoded.clear()
            _encoded[pair] = item
        if item is not None:
            result.append(item)
    return result


def _encode_header(name: str, value: str) -> EncodedHeader | None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"header name {name!r} is not a valid HTTP token")
    if name.lower() in MANAGED_HEADERS:
        return None
    try:
        raw = value.encode("latin-1").strip(b" \t")
    except UnicodeEncodeError:
        raise ValueError(f"header {name!r}: the value has characters outside latin-1") from None
    if _BAD_VALUE.search(raw):
        raise ValueError(f"header {name!r}: the value has line breaks or control characters")
    encoded = name.encode("ascii")
    return encoded, encoded.lower(), raw
