"""Images and documents of the Anthropic Messages format."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Literal, cast

from aistrale.dialects.shape import as_str, form_of, get_object, get_str, rest
from aistrale.types import MediaPart, Wire

if TYPE_CHECKING:
    from aistrale.dialects._anthropic_blocks import Out
    from aistrale.types import JSONObject

MEDIA_BLOCKS = ("image", "document")

# The image types that the API takes (Anthropic Messages API reference, Base64ImageSource).
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
# How base64 of these formats begins, for parts whose type nobody told.
_MAGIC = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", "application/pdf"),
)
# Not `text/*`, but text all the same.
_TEXTUAL = frozenset({"application/json", "application/xml", "application/x-ndjson", "application/yaml"})


def decode_media(block: JSONObject, fields: JSONObject, dialect: str) -> MediaPart | None:
    """Decode an image or document block, filling `fields` with what the hub does not model.

    Returns:
        None when the source is of a kind that is not known.
    """
    source = get_object(block, "source")
    if source is None:
        return None
    media = cast("Literal['image', 'document']", block["type"])
    form = source.get("type")
    if type(form) is not str:
        return None
    part = MediaPart(media)
    if form == "base64" or (form == "text" and media == "document"):
        data = as_str(source.get("data"), "source.data")
        part.media_type = get_str(source, "media_type")
        part.data = data if form == "base64" else _to_base64(data)
    elif form == "url":
        part.url = as_str(source.get("url"), "source.url")
    elif form == "file":
        part.file_id = as_str(source.get("file_id"), "source.file_id")
    elif form == "content" and media == "document":
        if type(source.get("content")) is str:
            part.data = _to_base64(as_str(source["content"], "source.content"))
            part.media_type = "text/plain"
    else:
        return None
    modelled = ["type", "source", "cache_control"]
    if media == "document":
        part.filename = get_str(block, "title")
        modelled.append("title")
    fields.update(rest(block, modelled))
    # Blocks as a document's content are more than the hub can say: they are kept whole.
    extra = source if form == "content" and part.data is None else rest(source, _SOURCE_FIELDS[form])
    if extra:
        fields["source"] = extra
    part.wire = Wire(dialect, fields, form)
    return part


_SOURCE_FIELDS = {
    "base64": ("type", "data", "media_type"),
    "text": ("type", "data", "media_type"),
    "url": ("type", "url"),
    "file": ("type", "file_id"),
    "content": ("type", "content"),
}


def encode_source(part: MediaPart, path: str, out: Out, fields: JSONObject) -> JSONObject:
    """The `source` of a media block. Raises InvalidRequestError for what the API does not take."""
    if part.media not in MEDIA_BLOCKS or (not out.lenient and part.media not in out.profile.media):
        out.loss.refuse(path, f"this model takes no {part.media}")
    extra = fields.get("source")
    extra = extra if type(extra) is dict else {}
    if part.data is not None:
        return {**extra, **_inline(part, path, out)}
    if part.url is not None:
        if not out.lenient and not out.profile.media_urls:
            out.loss.refuse(path, "this model takes media only inline, not by URL")
        return {**extra, "type": "url", "url": part.url}
    if part.file_id is not None:
        if out.foreign:
            out.loss.refuse(path, "a file id of another provider means nothing here")
        return {**extra, "type": "file", "file_id": part.file_id}
    if "type" not in extra:
        out.loss.refuse(path, "the part has neither data nor a URL nor a file id")
    return extra


def _inline(part: MediaPart, path: str, out: Out) -> JSONObject:
    data = part.data or ""
    form = form_of(part.wire, "anthropic_messages")
    media_type = part.media_type
    if form == "base64" and out.native:
        return _base64(data, media_type)
    media_type = media_type or next((kind for start, kind in _MAGIC if data.startswith(start)), None)
    if part.media == "image":
        if media_type not in _IMAGES:
            out.loss.refuse(path, f"images of type {media_type or 'unknown'} are not taken; JPEG, PNG, GIF, WebP are")
        return _base64(data, media_type)
    if media_type == "application/pdf":
        return _base64(data, media_type)
    text = _to_text(data) if form == "text" or _is_text(media_type) else None
    if text is None:
        out.loss.refuse(path, f"documents of type {media_type or 'unknown'} are not taken; PDF and text are")
        return {}
    if form == "content":
        return {"type": "content", "content": text}
    if form != "text" and _kind(media_type) != "text/plain":
        out.loss.emulate(f"{path}.media_type", f"{media_type} is sent as text/plain")
    source: JSONObject = {"type": "text", "data": text}
    if form != "text" or media_type is not None:
        source["media_type"] = media_type if form == "text" else "text/plain"
    return source


def _base64(data: str, media_type: str | None) -> JSONObject:
    source: JSONObject = {"type": "base64", "data": data}
    if media_type is not None:
        source["media_type"] = media_type
    return source


def _kind(media_type: str | None) -> str:
    """A MIME type without its parameters."""
    return (media_type or "").partition(";")[0].strip().lower()


def _is_text(media_type: str | None) -> bool:
    kind = _kind(media_type)
    return kind.startswith("text/") or kind in _TEXTUAL


def _to_base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _to_text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return None
