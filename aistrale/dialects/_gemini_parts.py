"""Reading the parts of Gemini contents; `_gemini_write` is the way back.

Source: Gemini API reference, `Part`, `FunctionCall`, `FunctionResponse`, `Blob`, `FileData`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._gemini_names import (
    NAME,
    both,
    has,
    json_text,
    many,
    take,
    wired,
)
from aistrale.dialects.shape import MalformedBody, as_object, as_str, rest
from aistrale.types import (
    MediaPart,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject, Media, Part

_CALL = both("functionCall")
_RESULT = both("functionResponse")
_BLOB = both("inlineData", "mediaResolution")
_FILE = both("fileData", "mediaResolution")
_CALL_FIELDS = frozenset({"id", "name", "args"})
_RESULT_FIELDS = frozenset({"id", "name", "response", "parts"})
_BLOB_FIELDS = both("data", "mimeType", "displayName")
_FILE_FIELDS = both("fileUri", "mimeType", "displayName")
_OTHER_KINDS = both("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
# Addresses that only Google can read: uploads of its File API, and Cloud Storage.
_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_DETAIL_OF = {level: detail for detail, level in DETAILS.items()}


class Calls:
    """Ids of the function calls of one conversation or answer; Gemini gives them seldom, the hub needs them always.

    A minted id counts the calls from 1, so that the same body always gives the same ids.

    Args:
        prefix: What minted ids start with.
        taken: Ids that the body gives itself.
    """

    __slots__ = ("_count", "_fresh", "_open", "_prefix", "_taken")

    def __init__(self, prefix: str = "call_", taken: frozenset[str] = frozenset()) -> None:
        self._prefix = prefix
        self._taken = taken
        self._count = 0
        self._open: list[tuple[str, str]] = []
        self._fresh = False

    def user_spoke(self) -> None:
        """A content that is not the model's begins: the next call belongs to another turn."""
        self._fresh = False

    def call(self, name: str, given: str | None) -> str:
        """The id of a function call."""
        if not self._fresh:
            self._open.clear()
            self._fresh = True
        self._count += 1
        known = given or self._mint()
        self._open.append((known, name))
        return known

    def answer(self, name: str | None, given: str | None) -> str:
        """The id of the call that a function response answers: by its id, else the first open call of its name."""
        found = next((entry for entry in self._open if entry[0] == given), None)
        if found is None:
            # Some callers give the response an id although the call had none.
            alike = (entry for entry in self._open if entry[1] == name)
            found = next((entry for entry in alike if not given or entry[0] not in self._taken), None)
        if found is not None:
            self._open.remove(found)
            return found[0]
        if given:
            return given
        self._count += 1
        return self._mint()

    def _mint(self) -> str:
        while (minted := f"{self._prefix}{self._count}") in self._taken:
            self._count += 1
        return minted


def owned_file(uri: str) -> bool:
    """Whether a file address is one that no other provider can read."""
    return uri.startswith(_OWN_FILES)


def media_kind(mime: str | None) -> Media:
    """The hub's word for a MIME type."""
    kind = (mime or "").partition("/")[0]
    if kind == "image":
        return "image"
    if kind == "audio":
        return "audio"
    return "video" if kind == "video" else "document"


def decode_part(value: JSON, field: str, calls: Calls) -> Part:
    """Read one part of a content.

    Args:
        value: The part.
        field: Its path, for errors.
        calls: Ids so far.

    Raises:
        MalformedBody: A field that is used has another type.
    """
    part = as_object(value, field)
    words: list[str] = []
    if (inner := take(part, "functionCall", words)) is not None:
        return _call(part, as_object(inner, f"{field}.functionCall"), words, field, calls)
    if (inner := take(part, "functionResponse", words)) is not None:
        return _result(part, as_object(inner, f"{field}.functionResponse"), words, field, calls)
    media = decode_media(part, field)
    if media is not None:
        return media
    plain = part.get("text") is not None or has(part, "thoughtSignature") or part.get("thought") is True
    if plain and _OTHER_KINDS.isdisjoint(part):
        return _text(part, field)
    return ProviderPart(NAME, part)


def _text(part: JSONObject, field: str) -> Part:
    text = part.get("text")
    if text is not None and type(text) is not str:
        raise MalformedBody(f"{field}.text", "a string")
    if part.get("thought") is True:
        fields = {key: item for key, item in part.items() if item is None or key not in ("text", "thought")}
        words = ["thought"] if text is not None else ["thought", "bare"]
        # Always with a wire: a thought without one would pass for another provider's.
        return ReasoningPart(text or "", redacted=not text and bool(fields), wire=wired(fields, words))
    fields = {key: item for key, item in part.items() if item is None or key != "text"}
    if not text and has(part, "thoughtSignature"):
        # Nothing but state: not a text that another provider should see as an empty block.
        words = ["plain"] if text is not None else ["plain", "bare"]
        return ReasoningPart("", redacted=True, wire=wired(fields, words))
    return TextPart(text or "", wire=wired(fields, []))


def _call(part: JSONObject, inner: JSONObject, words: list[str], field: str, calls: Calls) -> ToolCallPart:
    field = f"{field}.functionCall"
    given = _optional_str(inner, "id", field)
    name = _optional_str(inner, "name", field) or ""
    arguments = inner.get("args")
    fields = rest(part, _CALL)
    extra = rest(inner, _CALL_FIELDS)
    if given:
        words.append("id")
    elif given is not None:
        extra["id"] = given
    if extra:
        fields["functionCall"] = extra
    if inner.get("name") is None:
        words.append("nameless")
    text = "" if arguments is None else json_text(as_object(arguments, f"{field}.args"))
    # Without a wire it would pass for a call from elsewhere, whose id is written.
    return ToolCallPart(calls.call(name, given), name, text, wire=wired(fields, [*words, "call"]))


def _result(part: JSONObject, inner: JSONObject, words: list[str], field: str, calls: Calls) -> ToolResultPart:
    field = f"{field}.functionResponse"
    given = _optional_str(inner, "id", field)
    name = _optional_str(inner, "name", field)
    fields = rest(part, _RESULT)
    extra = rest(inner, _RESULT_FIELDS)
    call_id = calls.answer(name, given)
    if given is not None and given == call_id:
        words.append("id")
    elif given is not None:
        extra["id"] = given
    if extra:
        fields["functionResponse"] = extra
    if name is None:
        words.append("nameless")
    result = ToolResultPart(call_id, name=name)
    response = inner.get("response")
    if response is not None:
        shape, text, result.is_error = _response(as_object(response, f"{field}.response"))
        words.append(f"response={shape}")
        result.content.append(TextPart(text))
    parts = inner.get("parts")
    if parts is not None:
        items, single = many(parts, f"{field}.parts")
        words.extend(["parts", "single"] if single else ["parts"])
        for index, item in enumerate(items):
            entry = as_object(item, f"{field}.parts[{index}]")
            result.content.append(decode_media(entry, f"{field}.parts[{index}]") or ProviderPart(NAME, entry))
    result.wire = wired(fields, [*words, "result"])
    return result


def _response(response: JSONObject) -> tuple[str, str, bool]:
    """Notation, text and whether it is an error: `output` and `error` alone have a documented meaning."""
    if len(response) == 1:
        (key, value) = next(iter(response.items()))
        if key in ("output", "error"):
            text = value if type(value) is str else None
            shape = key if text is not None else f"{key}-json"
            return shape, json_text(value) if text is None else text, key == "error"
    return "json", json_text(response), False


def decode_media(part: JSONObject, field: str) -> MediaPart | None:
    """The media of a part, None when it has none."""
    words: list[str] = []
    if (inner := take(part, "inlineData", words)) is not None:
        blob = as_object(inner, f"{field}.inlineData")
        fields, extra = rest(part, _BLOB), rest(blob, _BLOB_FIELDS)
        if extra:
            fields["inlineData"] = extra
        media = MediaPart("document", data=_optional_str(blob, "data", field))
    elif (inner := take(part, "fileData", words)) is not None:
        blob = as_object(inner, f"{field}.fileData")
        fields, extra = rest(part, _FILE), rest(blob, _FILE_FIELDS)
        if extra:
            fields["fileData"] = extra
        uri = take(blob, "fileUri", words)
        uri = None if uri is None else as_str(uri, f"{field}.fileUri")
        owned = uri is not None and owned_file(uri)
        words.append("file")
        media = MediaPart("document", url=None if owned else uri, file_id=uri if owned else None)
    else:
        return None
    mime, name = take(blob, "mimeType", words), take(blob, "displayName", words)
    media.media_type = None if mime is None else as_str(mime, f"{field}.mimeType")
    media.filename = None if name is None else as_str(name, f"{field}.displayName")
    media.media = media_kind(media.media_type)
    _resolution(part, media, fields, words)
    media.wire = wired(fields, [*words, "media"])
    return media


def _resolution(part: JSONObject, media: MediaPart, fields: JSONObject, words: list[str]) -> None:
    resolution = take(part, "mediaResolution", words)
    if type(resolution) is dict and len(resolution) == 1 and type(level := resolution.get("level")) is str:
        media.detail = _DETAIL_OF.get(level)
    if media.detail is None and resolution is not None:
        fields["media_resolution" if "media_resolution" in words else "mediaResolution"] = resolution


def _optional_str(body: JSONObject, key: str, field: str) -> str | None:
    value = body.get(key)
    return None if value is None else as_str(value, f"{field}.{key}")


def given_ids(contents: list[JSON]) -> frozenset[str]:
    """The ids that the calls of a conversation have of their own; shapes are checked elsewhere."""
    ids: set[str] = set()
    for content in contents:
        parts = content.get("parts") if type(content) is dict else None
        for part in parts if type(parts) is list else [parts]:
            call = (part.get("functionCall") or part.get("function_call")) if type(part) is dict else None
            given = call.get("id") if type(call) is dict else None
            if type(given) is str and given:
                ids.add(given)
    return frozenset(ids)
