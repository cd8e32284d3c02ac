"""Writing hub parts as the parts of Gemini contents.

Source: Gemini API reference, `Part`; thought signatures: Gemini API, "Thought signatures".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aistrale.dialects._gemini_names import (
    NAME,
    own,
    put,
    read_object,
    value_of,
    words_of,
)
from aistrale.dialects._gemini_parts import DETAILS, owned_file
from aistrale.dialects.shape import kept
from aistrale.types import (
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject, Message, Part, Wire

_MIME_OF_SUFFIX = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "html": "text/html",
    "csv": "text/csv",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
}
# How the base64 text of well-known files begins.
_MIME_OF_START = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "JVBERi": "application/pdf",
    "SUQz": "audio/mp3",
}
_MIME_OF_KIND = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
_STATE = ("citations", "annotations")


class Writer:
    """Writes the parts of one body.

    Args:
        loss: Takes what cannot be said.
        profile: What the target takes; None when a caller gets an answer, which has no such limits.
        native: The body came from this dialect, so its caller knows what it wants.
    """

    def __init__(self, loss: Loss, profile: Profile | None = None, *, native: bool = False) -> None:
        self.loss = loss
        self.profile = None if native else profile
        self.answering = profile is None
        self._calls: dict[str, tuple[str, bool]] = {}

    def know_calls(self, messages: Iterable[Message]) -> None:
        """Note name and notation of every call, for the results that answer them."""
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    self._calls[part.id] = (part.name, not own(part.wire) or "id" in words_of(part.wire))

    def order(self, part: Part) -> int:
        """Where a tool result stands among the calls of the conversation."""
        if isinstance(part, ToolResultPart) and part.call_id in self._calls:
            return list(self._calls).index(part.call_id)
        return len(self._calls)

    def parts(self, parts: Iterable[Part], path: str) -> list[JSON]:
        """Write parts in order; `path` names their place in the hub's words."""
        return [item for index, part in enumerate(parts) for item in self.part(part, f"{path}.parts[{index}]")]

    def part(self, part: Part, path: str) -> list[JSONObject]:
        """Write one hub part, as no, one or several wire parts."""
        match part:
            case TextPart():
                self._foreign_state(part.wire, path)
                return [{**kept(part.wire, NAME), "text": part.text}]
            case ReasoningPart():
                return self._reasoning(part, path)
            case ToolCallPart():
                return [self._call(part, path)]
            case ToolResultPart():
                return self._result(part, path)
            case MediaPart():
                return self._media(part, path)
            case RefusalPart():
                self.loss.emulate(path, "a refusal became ordinary text")
                return [{"text": part.text}]
            case ProviderPart():
                return self._provider(part, path)

    def _foreign_state(self, wire: Wire | None, path: str) -> None:
        if wire is not None and wire.dialect != NAME and any(wire.fields.get(key) for key in _STATE):
            self.loss.drop(path, "the citations of another provider have no place in Gemini contents")

    def _provider(self, part: ProviderPart, path: str) -> list[JSONObject]:
        if part.dialect == NAME:
            return [part.data]
        self.loss.drop(path, f"content that only {part.dialect} understands was left out")
        return []

    def _reasoning(self, part: ReasoningPart, path: str) -> list[JSONObject]:
        if own(part.wire):
            words = words_of(part.wire)
            thought = kept(part.wire, NAME)
            if "plain" not in words:
                thought["thought"] = True
            if part.text or "bare" not in words:
                thought["text"] = part.text
            return [thought]
        if self.answering and part.text:
            return [{"text": part.text, "thought": True}]
        self.loss.drop(path, "the reasoning state of another provider cannot be sent to Gemini")
        return []

    def _call(self, part: ToolCallPart, path: str) -> JSONObject:
        words = words_of(part.wire)
        mine = own(part.wire)
        outer = kept(part.wire, NAME)
        call = _inner(outer, "functionCall")
        if part.name or "nameless" not in words:
            call["name"] = part.name
        if part.id and (not mine or "id" in words):
            call["id"] = part.id
        if part.arguments.strip() or not mine:
            call["args"] = self._arguments(part, path)
        put(outer, "functionCall", call, words)
        return outer

    def _arguments(self, part: ToolCallPart, path: str) -> JSONObject:
        if not part.arguments.strip():
            return {}
        arguments = read_object(part.arguments)
        if arguments is not None:
            return arguments
        self.loss.emulate(f"{path}.arguments", "they are no JSON object, which Gemini needs: sent as text in one")
        return {"arguments": part.arguments}

    def _result(self, part: ToolResultPart, path: str) -> list[JSONObject]:
        words = words_of(part.wire)
        mine = own(part.wire)
        outer = kept(part.wire, NAME)
        result = _inner(outer, "functionResponse")
        name, with_id = self._calls.get(part.call_id, (None, True))
        if part.name is not None or (mine and "nameless" in words):
            name = part.name
        if name is None and not mine:
            self.loss.refuse(f"{path}.name", "Gemini needs the tool's name, and no call has this call_id")
        if name is not None:
            result["name"] = name
        if part.call_id and ("id" in words if mine else with_id):
            result["id"] = part.call_id
        response = _response(part, value_of(words, "response"), mine=mine)
        if response is not None:
            result["response"] = response
        media = self._result_media(part, path)
        put(outer, "functionResponse", result, words)
        if media and self.profile is not None and not self.profile.tool_media:
            self.loss.emulate(path, "the target takes no media in tool results: they follow the result")
            return [outer, *media]
        if media or "parts" in words:
            items: list[JSON] = [*media]
            result["parts"] = items[0] if "single" in words and len(items) == 1 else items
        return [outer]

    def _result_media(self, part: ToolResultPart, path: str) -> list[JSONObject]:
        media: list[JSONObject] = []
        for index, item in enumerate(part.content):
            where = f"{path}.content[{index}]"
            if isinstance(item, (MediaPart, ProviderPart)):
                media.extend(self.part(item, where))
            elif not isinstance(item, TextPart):
                self.loss.drop(where, "a Gemini function response holds text and media only")
        return media

    def _media(self, part: MediaPart, path: str) -> list[JSONObject]:
        words = words_of(part.wire)
        mine = own(part.wire)
        outer = kept(part.wire, NAME)
        if not mine and not self._can_move(part, path):
            return []
        data, url, mime = _located(part)
        kind = "fileData" if data is None and (url is not None or "file" in words) else "inlineData"
        blob = _inner(outer, kind)
        if mime is None and not mine:
            mime = self._guess(part, data, url, path)
        if mime is not None:
            put(blob, "mimeType", mime, words)
        if url is not None and kind == "fileData":
            put(blob, "fileUri", url, words)
        elif data is not None:
            blob["data"] = data
        if part.filename is not None and mine:
            put(blob, "displayName", part.filename, words)
        elif part.filename is not None:
            self.loss.drop(f"{path}.filename", "Gemini has no place for the name of inline media")
        self._detail(part, outer, words, path)
        put(outer, kind, blob, words)
        return [outer]

    def _can_move(self, part: MediaPart, path: str) -> bool:
        if part.data is None and part.url is None and part.file_id is not None and not owned_file(part.file_id):
            if self.answering:
                self.loss.drop(path, "a file that only another provider can give")
                return False
            self.loss.refuse(f"{path}.file_id", "a file that was uploaded to another provider; send its content")
        if self.profile is None:
            return True
        if part.media not in self.profile.media:
            self.loss.refuse(path, f"the target takes no {part.media} input")
        if part.url is not None and not part.url.startswith("data:") and not self.profile.media_urls:
            self.loss.refuse(f"{path}.url", "the target fetches nothing by URL; send the content")
        return True

    def _guess(self, part: MediaPart, data: str | None, url: str | None, path: str) -> str:
        """The MIME type, which Gemini wants to be told."""
        if data is not None:
            known = next((mime for start, mime in _MIME_OF_START.items() if data.startswith(start)), None)
        else:
            place = (url or "").partition("?")[0].partition("#")[0]
            known = _MIME_OF_SUFFIX.get(place.rpartition(".")[2].lower())
        if known is None:
            known = _MIME_OF_KIND[part.media]
            self.loss.emulate(f"{path}.media_type", f"not told and not to be seen: {known} was assumed")
        return known

    def _detail(self, part: MediaPart, outer: JSONObject, words: list[str], path: str) -> None:
        level = DETAILS.get(part.detail or "")
        if own(part.wire):
            if level is not None:
                put(outer, "mediaResolution", {"level": level}, words)
        elif level is not None and self.profile is not None and self.profile.thinking == "level":
            # Only Gemini 3 takes a resolution for each part.
            outer["mediaResolution"] = {"level": level}
        elif part.detail not in (None, "auto"):
            self.loss.drop(f"{path}.detail", "the target has no resolution hint for single media")


def _inner(outer: JSONObject, kind: str) -> JSONObject:
    inner = outer.pop(kind, None)
    return dict(inner) if type(inner) is dict else {}


def _response(part: ToolResultPart, shape: str | None, *, mine: bool) -> JSONObject | None:
    text = part.text
    if shape is None and mine and not text:
        return None
    key = "error" if part.is_error else "output"
    if shape == "json":
        whole = read_object(text)
        if whole is not None:
            return whole
    elif shape is not None and shape.endswith("-json"):
        try:
            return {key: json.loads(text)}
        except (ValueError, RecursionError):
            return {key: text}
    return {key: text}


def _located(part: MediaPart) -> tuple[str | None, str | None, str | None]:
    """Data, address and MIME type, after taking a data URL apart."""
    url = part.url if part.url is not None else part.file_id
    if part.data is None and url is not None and url.startswith("data:"):
        head, _, data = url.partition(",")
        return data, None, part.media_type or head[len("data:") :].partition(";")[0] or None
    return part.data, url, part.media_type
