"""Token counts of chat streams whose callers did not ask for them: asked for on the way out, taken out on the way back.

OpenAI counts a stream's tokens only where the request has `stream_options.include_usage`. It then adds `"usage": null`
to every chunk and sends one more, without choices, that has the counts (API reference, "Chat completions", object
`stream_options`). Callers that did not ask do not expect that chunk: many take `chunk.choices[0]`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from aistrale.dropin.endpoints import is_vendor

if TYPE_CHECKING:
    from aistrale.dropin.endpoints import Endpoint
    from aistrale.engine import Engine
    from aistrale.providers.base import Provider
    from aistrale.types import JSONObject

REFUSALS: Final = frozenset({400, 422})
"""With what a server refuses a field that it does not know."""

_CHAT: Final = "openai_chat"
_MEMBER: Final = b'"stream_options":{"include_usage":true}'
# Within valid JSON these bytes are always a whole string: quotes in one are escaped.
_OPTIONS: Final = re.compile(rb'"stream_options"\s*:\s*(?:(?P<null>null)|\{\s*(?P<empty>\})?)')
_SPACE: Final = b" \t\r\n"
# Places in which a body may have the name; each one costs reading all of it again.
_MOST_PLACES: Final = 4

_ADDED: Final = b',"usage":null'
_SPACED: Final = re.compile(rb'(?<=\{)\s*"usage"\s*:\s*null\s*,| ?,\s*"usage"\s*:\s*null(?=\s*[,}])')
_NAME: Final = b'"usage"'
_WHOLE: Final = (b"\n\n", b"\r\n\r\n")
# The ends of events. A piece that ends in CR is not over: the LF may still come.
_BLANK: Final = re.compile(rb"\n\r?\n|\r\r\n?|\n\r(?=[^\n])")
_SEAM: Final = 3
_REMEMBERED: Final = 1024

_refusing: WeakKeyDictionary[Engine, set[str]] = WeakKeyDictionary()


# --- the request ------------------------------------------------------------------------------------------------------


def asks(engine: Engine, endpoint: Endpoint, provider: Provider, *, base: str, host: str, url: str) -> bool:
    """Whether the counts of a stream may be asked for where it goes.

    A server that only speaks OpenAI's format may refuse the field. Those that the settings name are asked by `run` too.

    Args:
        engine: Whose settings hold.
        endpoint: What the call is; known to be a stream.
        provider: Who answers it.
        base: The base URL of the SDK's client.
        host: Of the request, lower case.
        url: Of the request, with its query: Azure's API version stands there.
    """
    if endpoint.dialect != _CHAT or not (is_vendor(host) or _is_named(engine, base)):
        return False
    return bool(provider.stream_request({}, _CHAT)) and url not in _refusing.get(engine, ())


def _is_named(engine: Engine, base: str) -> bool:
    bare = base.removesuffix("/v1")
    return any(
        own.base_url is not None and own.base_url.rstrip("/").removesuffix("/v1") == bare
        for own in engine.settings.providers.values()
    )


def refused(engine: Engine, url: str) -> None:
    """Note that a server does not know the field, so that it is asked no more."""
    known = _refusing.setdefault(engine, set())
    if len(known) >= _REMEMBERED:
        known.clear()
    known.add(url)


def asking(content: bytes, document: JSONObject) -> bytes | None:
    """The body with the question put into its text; everything else stays byte for byte.

    Args:
        content: As the SDK wrote it.
        document: What it says.

    Returns:
        None where the caller has said what it wants, or where there is no safe place to put it.
    """
    options = document.get("stream_options")
    if options is not None and (type(options) is not dict or "include_usage" in options):
        return None
    if json.detect_encoding(content) != "utf-8":
        return None
    if "stream_options" in document:
        return _within(content, document, options or {})
    text = content.rstrip(_SPACE)
    return b"%b%b%b%b" % (text[:-1], b"," if document else b"", _MEMBER, content[len(text) - 1 :])


def _within(content: bytes, document: JSONObject, options: JSONObject) -> bytes | None:
    meant = {**document, "stream_options": {**options, "include_usage": True}}
    for place, found in enumerate(_OPTIONS.finditer(content)):
        if place >= _MOST_PLACES:
            return None
        if found["null"]:
            start, end, said = found.start("null"), found.end("null"), b'{"include_usage":true}'
        else:
            start = end = found.end() if found["empty"] is None else found.start("empty")
            said = b'"include_usage":true' + (b"," if found["empty"] is None else b"")
        changed = content[:start] + said + content[end:]
        # The name may stand elsewhere, in the schema of a tool for one.
        if json.loads(changed) == meant:
            return changed
    return None


def is_refusal(body: bytes) -> bool:
    """Whether an error is about the field."""
    return b"stream_options" in body or b"include_usage" in body


# --- the answer -------------------------------------------------------------------------------------------------------


class Hiding:
    """Takes the counts out of a stream whose caller did not ask for them; what is left is byte for byte as it came.

    Gives whole events only: which one has the counts shows at its end.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # In the pieces in which it came: joining them at each feed would make a long event cost its length squared.
        self._held: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; what the caller gets of them and of those before, b"" for nothing yet."""
        if self._held or not data.endswith(_WHOLE):
            data = self._completed(data)
        if _NAME not in data:
            return data
        data = data.replace(_ADDED, b"")
        return _without(data) if _NAME in data else data

    def finish(self) -> bytes:
        """The bytes are over: give what is still held back."""
        rest = b"".join(self._held)
        self._held.clear()
        return _without(rest) if _NAME in rest else rest

    def _completed(self, data: bytes) -> bytes:
        """The events that these bytes complete; the rest is held back."""
        held = self._held
        seam = b"".join([piece[-_SEAM:] for piece in held[-_SEAM:]])[-_SEAM:]
        if _BLANK.search(seam + data) is None:
            if data:
                held.append(data)
            return b""
        held.append(data)
        whole = b"".join(held)
        held.clear()
        end = whole.rfind(b"\n\n") + 2
        if b"\r" in whole:
            for blank in _BLANK.finditer(whole):
                end = blank.end()
        if end < len(whole):
            held.append(whole[end:])
        return whole[:end]


def _without(data: bytes) -> bytes:
    """Events without those that only count, and without the mark that there is nothing counted."""
    kept, start = [], 0
    for blank in _BLANK.finditer(data):
        kept.append(_event(data[start : blank.end()]))
        start = blank.end()
    kept.append(_event(data[start:]))
    return b"".join(kept)


def _event(event: bytes) -> bytes:
    if _NAME not in event:
        return event
    lines = [line.partition(b":") for line in event.splitlines()]
    try:
        chunk = json.loads(b"\n".join(value for name, _, value in lines if name == b"data"))
    except (ValueError, RecursionError):
        return event
    if type(chunk) is not dict or "usage" not in chunk:
        return event
    if chunk["usage"] is None:
        return _SPACED.sub(b"", event)
    # Azure's first chunk has no choices either; it has what its filter says of the prompt.
    return b"" if chunk["usage"] and chunk.get("choices") == [] else event
