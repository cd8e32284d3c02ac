"""Images, sounds, videos and documents from a file, bytes or a URL, checked before they are sent."""

from __future__ import annotations

import base64
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Final

from aistrale.errors import InvalidRequestError
from aistrale.types import MediaPart

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from aistrale.types import Media

MAX_FILE: Final = 64 * 1024 * 1024

# Signatures of the formats that at least one provider takes (WHATWG MIME Sniffing, RFC 8118, RIFF, ISO BMFF).
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_SUFFIXES: Final[Mapping[str, str]] = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
}
KNOWN: Final[Mapping[Media, frozenset[str]]] = {
    "image": frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/heic", "image/heif"}),
    "audio": frozenset(
        {"audio/wav", "audio/mpeg", "audio/mp3", "audio/flac", "audio/ogg", "audio/mp4", "audio/aac", "audio/aiff"}
    ),
    "document": frozenset(
        {"application/pdf", "text/plain", "text/markdown", "text/csv", "text/html", "application/json"}
    ),
    "video": frozenset({"video/mp4", "video/quicktime", "video/webm", "video/mpeg"}),
}


def image(source: str | os.PathLike[str] | bytes, *, detail: str | None = None) -> MediaPart:
    """An image for a prompt.

    Args:
        source: A path, an http(s) or data URL, or the file's bytes.
        detail: "low", "high", "original" or "auto", where the provider knows it.

    Raises:
        InvalidRequestError: It cannot be read, is no known image, or is larger than 64 MiB.
    """
    part = _part("image", source)
    part.detail = detail
    return part


def audio(source: str | os.PathLike[str] | bytes) -> MediaPart:
    """A sound for a prompt; same arguments and errors as image."""
    return _part("audio", source)


def video(source: str | os.PathLike[str] | bytes) -> MediaPart:
    """A video for a prompt; same arguments and errors as image."""
    return _part("video", source)


def document(source: str | os.PathLike[str] | bytes, *, filename: str | None = None) -> MediaPart:
    """A PDF or text file for a prompt; same arguments and errors as image.

    Args:
        source: A path, an http(s) or data URL, or the file's bytes.
        filename: The name that the model sees; the path's own by default.
    """
    part = _part("document", source)
    part.filename = filename or part.filename
    return part


def sniff(head: bytes) -> str | None:
    """The media type that the first bytes of a file show; None when they are nothing we know."""
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return (
            "image/heic" if brand in {b"heic", b"heix", b"mif1"} else "audio/mp4" if brand == b"M4A " else "video/mp4"
        )
    return None


def check_media(part: MediaPart, where: str) -> MediaPart:
    """Check a part of a prompt, and fill in its media type from its bytes where it has none.

    Raises:
        InvalidRequestError: It has no content or several, is no base64, or is of an unknown type; `param` is `where`.
    """
    if part.media not in KNOWN:
        raise _bad(where, f"media must be one of {', '.join(KNOWN)}")
    for name in ("data", "url", "file_id", "media_type", "filename", "detail"):
        if not isinstance(getattr(part, name), (str, NoneType)):
            raise _bad(where, f"{name} must be text")
    given = [name for name in ("data", "url", "file_id") if getattr(part, name)]
    if len(given) != 1:
        raise _bad(where, "needs exactly one of data, url and file_id")
    if part.data is None:
        return part
    try:
        head = base64.b64decode(part.data[:64], validate=True)
    except ValueError:
        raise _bad(where, "data is no base64 text") from None
    media_type = part.media_type or sniff(head)
    if media_type is None or (part.media != "document" and media_type not in KNOWN[part.media]):
        known = ", ".join(sorted(KNOWN[part.media]))
        raise _bad(where, f"unknown {part.media} type; known: {known}")
    if media_type == part.media_type:
        return part
    return MediaPart(
        part.media, data=part.data, media_type=media_type, filename=part.filename, detail=part.detail, cache=part.cache
    )


def _part(media: Media, source: str | os.PathLike[str] | bytes) -> MediaPart:
    if isinstance(source, bytes):
        return _from_bytes(media, source, None, None)
    text = str(source)
    if text.startswith(("https://", "http://")):
        return MediaPart(media, url=text)
    if text.startswith("data:"):
        head, _, data = text.partition(",")
        media_type = head[5:].removesuffix(";base64")
        if not head.endswith(";base64"):
            raise _bad(media, "a data URL must be base64")
        return check_media(MediaPart(media, data=data, media_type=media_type or None), media)
    path = Path(source)
    try:
        if path.stat().st_size > MAX_FILE:
            raise _bad(media, f"{path.name} is larger than {MAX_FILE // 2**20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise _bad(media, f"{path.name} cannot be read ({error.strerror or type(error).__name__})") from error
    return _from_bytes(media, content, path.name, _SUFFIXES.get(path.suffix.lower()))


def _from_bytes(media: Media, content: bytes, name: str | None, guess: str | None) -> MediaPart:
    media_type = sniff(content[:32]) or guess
    data = base64.b64encode(content).decode("ascii")
    return check_media(MediaPart(media, data=data, media_type=media_type, filename=name), name or media)


def _bad(where: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where}: {detail}", param=where, code="invalid_media")
