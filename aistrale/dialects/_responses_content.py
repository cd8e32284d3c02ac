"""OpenAI Responses: the parts inside a message or a tool's result (text, refusal, media), both ways.

A part that was decoded here carries a `Wire` whose form is the part's `type` on the wire. Keys of `Wire.fields` that
begin with "$" say where the part stood and are never written into a body:

    $at     position of the item in its list, so that parts of one item find together again
    $item   fields of the item around the part (id, status, phase, encrypted_content, ...)
    $head   a data URL's head, where it is more than a media type
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects.shape import MalformedBody, as_object, rest
from aistrale.types import CacheHint, MediaPart, ProviderPart, RefusalPart, TextPart, Wire

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject, Part

NAME: Final = "openai_responses"
AT: Final = "$at"
ITEM: Final = "$item"
_HEAD: Final = "$head"
CONTENT: Final = "content"
"""Form of a ProviderPart that stands inside a message; one that is an item of its own has another."""

TEXT_TYPES: Final = frozenset({"input_text", "output_text", "text"})
_CACHE: Final = "prompt_cache_breakpoint"
_TEXT_FIELDS: Final = frozenset({"type", "text"})
_REFUSAL_FIELDS: Final = frozenset({"type", "refusal"})
_IMAGE_FIELDS: Final = frozenset({"type", "image_url", "file_id", "detail"})
_FILE_FIELDS: Final = frozenset({"type", "file_data", "file_url", "file_id", "filename", "detail"})
_DATA_URL: Final = re.compile(r"data:([^,]*);base64,(.*)", re.DOTALL)
# Lifetimes of a cached prefix that the API knows (OpenAI API reference, prompt_cache_breakpoint), and the nearest ones.
_LIFETIMES: Final = frozenset({"30m", "12h"})
_NEAREST: Final = {"5m": "30m", "1h": "30m"}
# First characters of the base64 text of common files, for media whose type nobody told.
_SIGNATURES: Final = (
    ("/9j/", "image/jpeg"),
    ("iVBORw0KGgo", "image/png"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
)
_EXTENSIONS: Final = {"application/pdf": ".pdf", "text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv"}


def ours(wire: Wire | None) -> bool:
    """Whether the node was decoded from this dialect."""
    return wire is not None and wire.dialect == NAME


def node_fields(wire: Wire | None) -> JSONObject:
    """The unmodelled fields of a node that was decoded here, without our own marks; empty for any other."""
    if wire is None or wire.dialect != NAME:
        return {}
    return {key: value for key, value in wire.fields.items() if key[:1] != "$"}


def form(wire: Wire | None) -> str:
    """The notation of a node that was decoded here; "" for any other."""
    return wire.form if wire is not None and wire.dialect == NAME else ""


def word(node: JSONObject, key: str) -> str:
    """The word at `node[key]`, "" where no string stands there: only a string can be looked up in a table."""
    value = node.get(key)
    return value if type(value) is str else ""


def text_at(node: JSONObject, key: str, field: str) -> str:
    """The string that must stand at `node[key]`."""
    value = node.get(key)
    if type(value) is not str:
        raise MalformedBody(f"{field}.{key}", "a string")
    return value


def optional_text(node: JSONObject, key: str, field: str) -> str | None:
    """The string at `node[key]`, None where it is null or absent."""
    return None if node.get(key) is None else text_at(node, key, field)


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_content(value: JSON, field: str) -> Part:
    """Read one part of a message's or a result's content.

    Args:
        value: The part as it came.
        field: Its path, for errors.

    Returns:
        A hub part with its form; a ProviderPart for a type that the hub has no word for.

    Raises:
        MalformedBody: A field that is used has the wrong type.
    """
    part = as_object(value, field)
    kind = word(part, "type")
    if kind in TEXT_TYPES:
        cache, fields = _decode_cache(part, rest(part, _TEXT_FIELDS))
        return TextPart(text_at(part, "text", field), cache, Wire(NAME, fields, kind))
    if kind == "refusal":
        return RefusalPart(text_at(part, "refusal", field), Wire(NAME, rest(part, _REFUSAL_FIELDS), "refusal"))
    if kind == "input_image":
        return _decode_image(part, field)
    if kind == "input_file":
        return _decode_file(part, field)
    if kind == "input_audio":
        return _decode_audio(part, field)
    return ProviderPart(NAME, part, wire=Wire(NAME, {}, CONTENT))


def _decode_cache(part: JSONObject, fields: JSONObject) -> tuple[CacheHint | None, JSONObject]:
    mark = part.get(_CACHE)
    if type(mark) is not dict or mark.get("mode") != "explicit" or len(mark) > 2:
        return None, fields
    ttl = mark.get("ttl")
    if len(mark) == 2 and type(ttl) is not str:
        return None, fields
    del fields[_CACHE]
    return CacheHint(cast("str | None", ttl)), fields


def _decode_image(part: JSONObject, field: str) -> MediaPart:
    cache, fields = _decode_cache(part, rest(part, _IMAGE_FIELDS))
    media_type, data, url = _split_url(optional_text(part, "image_url", field), fields)
    return MediaPart(
        "image",
        data=data,
        url=url,
        file_id=optional_text(part, "file_id", field),
        media_type=media_type,
        detail=optional_text(part, "detail", field),
        cache=cache,
        wire=Wire(NAME, fields, "input_image"),
    )


def _decode_file(part: JSONObject, field: str) -> MediaPart:
    cache, fields = _decode_cache(part, rest(part, _FILE_FIELDS))
    media_type, data, bare = _split_url(optional_text(part, "file_data", field), fields)
    return MediaPart(
        "document",
        data=bare if data is None else data,
        url=optional_text(part, "file_url", field),
        file_id=optional_text(part, "file_id", field),
        media_type=media_type,
        filename=optional_text(part, "filename", field),
        detail=optional_text(part, "detail", field),
        cache=cache,
        wire=Wire(NAME, fields, "input_file" if bare is None else "input_file:bare"),
    )


def _decode_audio(part: JSONObject, field: str) -> Part:
    audio = as_object(part.get("input_audio"), f"{field}.input_audio")
    data = text_at(audio, "data", f"{field}.input_audio")
    word = text_at(audio, "format", f"{field}.input_audio")
    if len(audio) > 2:
        return ProviderPart(NAME, part, wire=Wire(NAME, {}, CONTENT))
    fields = rest(part, {"type", "input_audio"})
    return MediaPart("audio", data=data, media_type=f"audio/{word}", wire=Wire(NAME, fields, "input_audio"))


def _split_url(url: str | None, fields: JSONObject) -> tuple[str | None, str | None, str | None]:
    """Media type and data of a base64 data URL, or else the URL itself."""
    match = None if url is None else _DATA_URL.fullmatch(url)
    if match is None:
        return None, None, url
    media_type, parameters, _ = match[1].partition(";")
    if parameters or not media_type:
        fields[_HEAD] = match[1]
    return media_type or None, match[2], None


# --- encoding ------------------------------------------------------------------------------------------------------


class ContentEncoder:
    """Writes parts of a message's or a result's content; records what cannot be said.

    Args:
        profile: What the target takes.
        loss: Where it is recorded.
        logprobs: Whether output text must carry a `logprobs` list (answers do, history does not).
    """

    __slots__ = ("_logprobs", "loss", "profile")

    def __init__(self, profile: Profile, loss: Loss, *, logprobs: bool = False) -> None:
        self.profile = profile
        self.loss = loss
        self._logprobs = logprobs

    def part(self, part: Part, text_type: str, path: str) -> JSONObject | None:
        """Write one part.

        Args:
            part: A hub part.
            text_type: The type of plain text in this place: input_text or output_text.
            path: Where the part stands in the hub, for the record of losses.

        Returns:
            The part for the wire; None when it was left out.

        Raises:
            InvalidRequestError: It cannot be said at all.
        """
        if isinstance(part, TextPart):
            return self._text(part, text_type, path)
        if isinstance(part, RefusalPart):
            return {**node_fields(part.wire), "type": "refusal", "refusal": part.text}
        if isinstance(part, MediaPart):
            return self._media(part, text_type, path)
        if isinstance(part, ProviderPart) and part.dialect == NAME:
            return part.data
        self.loss.drop(path, "This content is known to the provider it came from only, and was left out.")
        return None

    def _text(self, part: TextPart, text_type: str, path: str) -> JSONObject:
        kind = form(part.wire)
        known = kind in TEXT_TYPES
        body = {**node_fields(part.wire), "type": kind if known else text_type, "text": part.text}
        if not known and text_type == "output_text":
            body.setdefault("annotations", [])
            if self._logprobs:
                body.setdefault("logprobs", [])
        self._cache(part.cache, body, path)
        return body

    def _cache(self, cache: CacheHint | None, body: JSONObject, path: str) -> None:
        if cache is None:
            return
        if body["type"] == "output_text" or "cache" in self.profile.unsupported:
            self.loss.drop(f"{path}.cache", "A cache breakpoint cannot stand here; caching stays automatic.")
            return
        mark: JSONObject = {"mode": "explicit"}
        if cache.ttl is not None:
            ttl = cache.ttl if cache.ttl in _LIFETIMES else _NEAREST.get(cache.ttl, "30m")
            if ttl != cache.ttl:
                self.loss.emulate(f"{path}.cache.ttl", f"{cache.ttl} became {ttl}, the nearest lifetime there is.")
            mark["ttl"] = ttl
        body[_CACHE] = mark

    def _media(self, part: MediaPart, text_type: str, path: str) -> JSONObject | None:
        known = ours(part.wire)
        if not known and text_type == "output_text":
            self.loss.drop(path, "An assistant message cannot carry media here; it was left out.")
            return None
        if not known or self.profile.media_urls is False:
            self._check_media(part, path, known=known)
        kind = form(part.wire)
        if kind == "input_audio":
            audio: JSONObject = {"data": part.data, "format": (part.media_type or "audio/wav").partition("/")[2]}
            return {**node_fields(part.wire), "type": "input_audio", "input_audio": audio}
        body = _file(part, kind) if kind.startswith("input_file") or part.media != "image" else _image(part)
        # An explicit null among the fields gives way to what the hub says by now.
        body = {**node_fields(part.wire), **body}
        if not known and body["type"] == "input_image":
            body.setdefault("detail", "auto")
            if part.filename is not None:
                self.loss.drop(f"{path}.filename", "An image has no name here.")
        self._cache(part.cache, body, path)
        return body

    def _check_media(self, part: MediaPart, path: str, *, known: bool) -> None:
        refuse = self.loss.refuse
        if part.url is not None and not self.profile.media_urls:
            refuse(path, "The target takes no media by URL; send its content instead.")
        if known:
            return
        if part.media in {"audio", "video"}:
            refuse(path, f"The OpenAI Responses API takes no {part.media} as input.")
        if part.media not in self.profile.media:
            refuse(path, f"The target takes no media of kind {part.media}.")
        if part.file_id is not None and part.wire is not None and part.wire.dialect != "openai_chat":
            refuse(f"{path}.file_id", "A file id of another provider cannot be used; send the file's content instead.")
        if part.data is None and part.url is None and part.file_id is None:
            refuse(path, "The media part has neither content, URL nor file id.")


def _image(part: MediaPart) -> JSONObject:
    body: JSONObject = {"type": "input_image"}
    if part.data is not None:
        body["image_url"] = _data_url(part)
    elif part.url is not None:
        body["image_url"] = part.url
    if part.file_id is not None:
        body["file_id"] = part.file_id
    if part.detail is not None:
        body["detail"] = part.detail
    return body


def _file(part: MediaPart, kind: str) -> JSONObject:
    body: JSONObject = {"type": "input_file"}
    if part.data is not None:
        body["file_data"] = part.data if kind.endswith(":bare") and not part.media_type else _data_url(part)
        if part.filename is None and not kind:
            # The API refuses content without a name.
            body["filename"] = "document" + _EXTENSIONS.get(_media_type(part), "")
    if part.url is not None:
        body["file_url"] = part.url
    if part.file_id is not None:
        body["file_id"] = part.file_id
    if part.filename is not None:
        body["filename"] = part.filename
    if part.detail is not None and (kind or part.detail in {"auto", "low", "high"}):
        body["detail"] = part.detail
    return body


def _data_url(part: MediaPart) -> str:
    head = part.wire.fields.get(_HEAD) if part.wire is not None and part.wire.dialect == NAME else None
    if type(head) is not str or (head.partition(";")[0] or None) != part.media_type:
        head = _media_type(part)
    return f"data:{head};base64,{part.data}"


def _media_type(part: MediaPart) -> str:
    if part.media_type:
        return part.media_type
    data = part.data or ""
    for start, media_type in _SIGNATURES:
        if data.startswith(start):
            return media_type
    return "application/octet-stream"
