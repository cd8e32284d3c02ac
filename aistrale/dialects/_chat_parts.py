"""Content parts of the OpenAI chat dialect: text, refusals, media; what it does not know is kept whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects._chat_wire import NAME, Context, is_foreign, note, take_object, words_of
from aistrale.dialects.shape import (
    MalformedBody,
    as_list,
    as_object,
    as_str,
    kept,
    leftover,
    rest,
)
from aistrale.types import (
    CacheHint,
    MediaPart,
    ProviderPart,
    RefusalPart,
    TextPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.types import JSON, JSONObject, Media, Part, Wire

_BREAKPOINT: Final = "prompt_cache_breakpoint"
_URL_MEDIA: Final[dict[str, Media]] = {"image_url": "image", "video_url": "video", "audio_url": "audio"}
_BASE64: Final = ";base64,"
_AUDIO_TYPES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS: Final = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
}
# Members of parts of other dialects that carry meaning: sources of a text, what a document is, how a video is cut.
_MEANT: Final = ("citations", "annotations", "title", "context", "videoMetadata", "mediaResolution")
# How the base64 text of the common image formats begins, for images that came without a type.
_MAGIC: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_content(body: JSONObject, path: str, words: list[str]) -> list[Part]:
    """The parts of a message's `content`; how it was written goes into `words`.

    An empty string gives no part, so that no other dialect meets an empty text.
    """
    if "content" not in body:
        words.append("no_content")
        return []
    value = body["content"]
    if value is None:
        return []
    if type(value) is str:
        if not value:
            words.append("empty")
            return []
        return [TextPart(value)]
    where = f"{path}.content"
    if type(value) is not list:
        raise MalformedBody(where, "a string, null or a list of parts")
    words.append("parts")
    return [decode_part(item, f"{where}[{index}]") for index, item in enumerate(value)]


def decode_part(value: JSON, path: str) -> Part:
    """One content part; a type that this module does not know is kept whole."""
    body = as_object(value, path)
    kind = body.get("type")
    reader = _READERS.get(kind) if type(kind) is str else None
    return ProviderPart(NAME, body) if reader is None else reader(body, path)


def _text(body: JSONObject, path: str) -> Part:
    cache, fields = _cache(body, {"type", "text"})
    return TextPart(as_str(body.get("text"), f"{path}.text"), cache, leftover(NAME, fields))


def _refusal(body: JSONObject, path: str) -> Part:
    fields = rest(body, {"type", "refusal"})
    return RefusalPart(as_str(body.get("refusal"), f"{path}.refusal"), note(fields, ["part"]))


def _url_media(body: JSONObject, path: str) -> Part:
    key = cast("str", body["type"])
    cache, fields = _cache(body, {"type", key})
    inner = body.get(key)
    detail: str | None = None
    words: list[str]
    if type(inner) is str:
        url, words = inner, ["plain"]
    else:
        inner = as_object(inner, f"{path}.{key}")
        url, words = as_str(inner.get("url"), f"{path}.{key}.url"), []
        if inner.get("detail") is not None:
            detail = as_str(inner["detail"], f"{path}.{key}.detail")
        _note_inner(fields, key, inner, {"url", "detail"})
    if key != "image_url":
        words.append(key)
    data, media_type, link = split_data_url(url)
    return MediaPart(
        _URL_MEDIA[key],
        data=data,
        url=link,
        media_type=media_type,
        detail=detail,
        cache=cache,
        wire=note(fields, words),
    )


def _input_audio(body: JSONObject, path: str) -> Part:
    cache, fields = _cache(body, {"type", "input_audio"})
    inner = as_object(body.get("input_audio"), f"{path}.input_audio")
    data = as_str(inner.get("data"), f"{path}.input_audio.data")
    media_type, words = None, []
    if inner.get("format") is not None:
        format_ = as_str(inner["format"], f"{path}.input_audio.format")
        media_type = _AUDIO_TYPES.get(format_, f"audio/{format_}")
        if _audio_format(media_type) != format_:
            words.append(f"format={format_}")
    _note_inner(fields, "input_audio", inner, {"data", "format"})
    return MediaPart("audio", data=data, media_type=media_type, cache=cache, wire=note(fields, words))


def _file(body: JSONObject, path: str) -> Part:
    cache, fields = _cache(body, {"type", "file"})
    inner = as_object(body.get("file"), f"{path}.file")
    words = ["file"]
    values = {
        key: as_str(inner[key], f"{path}.file.{key}")
        for key in ("file_data", "file_id", "filename")
        if inner.get(key) is not None
    }
    data = media_type = link = None
    if (content := values.get("file_data")) is not None:
        data, media_type, link = split_data_url(content)
        if link is not None and not link.startswith(("http://", "https://")):
            data, link = link, None
    _note_inner(fields, "file", inner, {"file_data", "file_id", "filename"})
    kind = (media_type or "").partition("/")[0]
    return MediaPart(
        cast("Media", kind) if kind in {"image", "audio", "video"} else "document",
        data=data,
        url=link,
        file_id=values.get("file_id"),
        media_type=media_type,
        filename=values.get("filename"),
        cache=cache,
        wire=note(fields, words),
    )


_READERS: Final[dict[str, Callable[[JSONObject, str], Part]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _url_media,
    "video_url": _url_media,
    "audio_url": _url_media,
    "input_audio": _input_audio,
    "file": _file,
}


def _cache(body: JSONObject, modelled: set[str]) -> tuple[CacheHint | None, JSONObject]:
    """The cache mark of a part, and the fields that the hub does not model."""
    mark = body.get(_BREAKPOINT)
    if type(mark) is not dict:
        return None, rest(body, modelled)
    ttl = mark.get("ttl")
    fields = rest(body, {*modelled, _BREAKPOINT})
    fields[_BREAKPOINT] = rest(mark, {"ttl"} if type(ttl) is str else set())
    return CacheHint(ttl if type(ttl) is str else None), fields


def _note_inner(fields: JSONObject, key: str, inner: JSONObject, modelled: set[str]) -> None:
    unmodelled = rest(inner, modelled)
    if unmodelled:
        fields[key] = unmodelled


def split_data_url(url: str) -> tuple[str | None, str | None, str | None]:
    """Base64 content, media type and URL: the first two for a base64 `data:` URL, else the last."""
    if not url.startswith("data:"):
        return None, None, url
    head, mark, data = url[5:].partition(_BASE64)
    return (data, head, None) if mark else (None, None, url)


# --- writing ---------------------------------------------------------------------------------------------------------


def encode_part(part: Part, where: str, context: Context) -> JSONObject | None:
    """A content part, or None when it had to be left out (recorded).

    Raises:
        InvalidRequestError: The part cannot be said in this dialect, or the target does not take it.
    """
    _report_foreign(part.wire, where, context)
    if isinstance(part, TextPart):
        return _write_text(part, where, context)
    if isinstance(part, RefusalPart):
        return {**kept(part.wire, NAME), "type": "refusal", "refusal": part.text}
    if isinstance(part, MediaPart):
        return _write_media(part, where, context)
    if isinstance(part, ProviderPart) and part.dialect == NAME:
        return dict(part.data)
    context.loss.refuse(where, "the OpenAI chat format has no place for this content here")
    return None


def _report_foreign(wire: Wire | None, where: str, context: Context) -> None:
    """Record what another dialect said about a part beside its content."""
    if wire is None or wire.dialect == NAME:
        return
    for name in _MEANT:
        if wire.fields.get(name) not in (None, [], {}, "", False):
            context.loss.drop(f"{where}.{name}", f"what {wire.dialect} says there has no place in this format")


def _write_text(part: TextPart, where: str, context: Context) -> JSONObject:
    fields = kept(part.wire, NAME)
    mark = _write_cache(part.cache, fields, where, context)
    return {**fields, "type": "text", "text": part.text, **mark}


def _write_cache(cache: CacheHint | None, fields: JSONObject, where: str, context: Context) -> JSONObject:
    mark = take_object(fields, _BREAKPOINT)
    if cache is None:
        return {}
    if not mark and not context.own:
        # Only OpenAI's newest models take the mark, every other server refuses it, and all cache by themselves.
        drop_cache(f"{where}.cache", context)
        return {}
    mark.setdefault("mode", "explicit")
    if cache.ttl is not None:
        mark["ttl"] = cache.ttl
    return {_BREAKPOINT: mark}


def drop_cache(where: str, context: Context) -> None:
    """Record that a cache mark was left out."""
    context.loss.drop(where, "the cache mark was left out; the server caches long prompts by itself, if at all")


def _write_media(part: MediaPart, where: str, context: Context) -> JSONObject:
    words = words_of(part.wire)
    if part.media not in context.profile.media:
        context.loss.refuse(where, f"the target takes no {part.media} input")
    fields = kept(part.wire, NAME)
    mark = _write_cache(part.cache, fields, where, context)
    if "file" in words or part.media == "document":
        written = _write_file(part, where, context, take_object(fields, "file"))
        return {**fields, "type": "file", "file": written, **mark}
    key = next((word for word in words if word in _URL_MEDIA), "image_url" if part.media == "image" else "")
    if not key and part.media == "audio":
        written = _write_audio(part, words, where, context, take_object(fields, "input_audio"))
        return {**fields, "type": "input_audio", "input_audio": written, **mark}
    if not key:
        context.loss.refuse(where, f"the OpenAI chat format takes no {part.media} input")
    url = _url_of(part, where, context)
    if "plain" in words and part.detail is None:
        return {**fields, "type": key, key: url, **mark}
    inner: JSONObject = {**take_object(fields, key), "url": url}
    if part.detail is not None:
        inner["detail"] = part.detail
    return {**fields, "type": key, key: inner, **mark}


def _url_of(part: MediaPart, where: str, context: Context) -> str:
    if part.data is not None:
        media_type = part.media_type if part.media_type is not None else _guess_type(part.data)
        if media_type is None:
            context.loss.refuse(f"{where}.media_type", "the media type is missing and cannot be told from the data")
        return f"data:{media_type}{_BASE64}{part.data}"
    if part.url is None:
        context.loss.refuse(where, "this format takes such media as data or by URL, not by a provider's file id")
    elif not context.profile.media_urls and not part.url.startswith("data:"):
        context.loss.refuse(f"{where}.url", "the target takes media as data only, not by URL")
    return part.url or ""


def _guess_type(data: str) -> str | None:
    return next((media_type for magic, media_type in _MAGIC if data.startswith(magic)), None)


def _audio_format(media_type: str) -> str:
    return _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))


def _write_audio(part: MediaPart, words: list[str], where: str, context: Context, inner: JSONObject) -> JSONObject:
    if part.data is None:
        context.loss.refuse(where, "the OpenAI chat format takes sound as data only")
    inner["data"] = part.data
    format_ = next((word[7:] for word in words if word.startswith("format=")), None)
    if format_ is None and part.media_type is not None:
        format_ = _audio_format(part.media_type)
        if format_ not in _AUDIO_TYPES and not context.own:
            context.loss.refuse(f"{where}.media_type", "the OpenAI chat format takes wav and mp3 only")
    elif format_ is None and not context.own:
        context.loss.refuse(f"{where}.media_type", "the type of the sound is missing")
    if format_ is not None:
        inner["format"] = format_
    return inner


def _write_file(part: MediaPart, where: str, context: Context, inner: JSONObject) -> JSONObject:
    if part.data is not None:
        bare = part.media_type is None
        inner["file_data"] = part.data if bare else f"data:{part.media_type}{_BASE64}{part.data}"
    elif part.url is not None:
        if not context.own:
            context.loss.refuse(f"{where}.url", "the OpenAI chat format takes documents as data, not by URL")
        inner["file_data"] = part.url
    if part.file_id is not None:
        if is_foreign(part.wire) and part.wire is not None and part.wire.dialect != "openai_responses":
            context.loss.refuse(f"{where}.file_id", "a file id cannot move to another provider")
        inner["file_id"] = part.file_id
    if part.filename is not None:
        inner["filename"] = part.filename
    elif part.data is not None and not context.own:
        # OpenAI refuses file data without a name.
        inner["filename"] = "document.pdf" if part.media_type in {None, "application/pdf"} else "document"
    return inner


def encode_content(parts: list[JSONObject], words: list[str], fields: JSONObject, *, empty: JSON) -> JSONObject:
    """`content` as a fragment of a message: a string where it was one or can be one, else a list.

    Args:
        parts: The written parts.
        words: The notation of the source.
        fields: What was noted about the message; tells an explicit null.
        empty: What stands for "nothing" when the source says nothing about it.
    """
    if "parts" in words:
        return {"content": cast("list[JSON]", parts)}
    if not parts:
        if "empty" in words:
            return {"content": ""}
        if "no_content" in words:
            return {}
        return {"content": None if "content" in fields else empty}
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text":
        return {"content": parts[0]["text"]}
    return {"content": cast("list[JSON]", parts)}


def read_list(value: JSON, path: str) -> list[JSON]:
    """An array at a path; null counts as empty."""
    return [] if value is None else as_list(value, path)
