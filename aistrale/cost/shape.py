"""The shape of a request: what the ledger may keep of it, since nothing of its content can be learned from it.

Advice lives on it: how long prompts are, how much of them is the same each time, how much is history. It is taken once
for each attempt, so it is one pass over the request and remembers what it has seen before.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.cost.tokens.by_length import estimate_tokens
from aistrale.types import (
    EmbedRequest,
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aistrale.types import JSON, Message, OutputFormat, Part, Request, Tool

KEY_FILE: Final = "prefix.key"
_KEY_SIZE: Final = 32
_DIGEST: Final = 8
# As aistrale.cost.tokens.by_length counts them: what a message adds to its text, and an image in full resolution.
_MESSAGE: Final = 4
_MEDIA: Final = 765
# Applications have a handful of system texts; who has more pays for hashing them again.
_REMEMBERED: Final = 512
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Shape(NamedTuple):
    """What is kept of a request.

    Args:
        input_tokens: About how many tokens it brings, by `aistrale.cost.tokens.by_length.estimate_request`.
        messages: How many messages it holds; of embeddings, how many inputs.
        prefix: Keyed fingerprint (16 hexadecimal digits) of what stands before the conversation: the tools, the schema
            of the output, and the system messages at its head. None where nothing does.
        prefix_tokens: About how many tokens that is; None with `prefix`.
        last_tokens: About how many tokens the last message has; None where there is none.
    """

    input_tokens: int
    messages: int
    prefix: str | None
    prefix_tokens: int | None
    last_tokens: int | None


class Shaper:
    """Takes shapes, with fingerprints under a key that never leaves this installation.

    The key is a file of 32 random bytes beside the ledger, readable by its owner only. It is read at the first call
    that needs it, and written there as soon as the directory exists; until then, and where it cannot be written, the
    key is this object's own, and fingerprints of others do not match its own. No call ever fails for it.

    Args:
        directory: Where the key is kept; None keeps it in memory.
    """

    __slots__ = ("_calls", "_directory", "_lock", "_next", "_settled", "_state")

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._settled = directory is None
        self._calls, self._next = 0, 1
        # A key, and what has been hashed with it: read in one step, as another thread may find the file meanwhile. By
        # hash and length, not by text: the memory must not keep what applications say.
        self._state: tuple[bytes, dict[tuple[int, int], tuple[str, int]]] = (os.urandom(_KEY_SIZE), {})
        self._lock = threading.Lock()

    def __call__(self, request: Request | EmbedRequest, /) -> Shape:
        """The shape of a request; takes about two microseconds for a short chat, and is linear in its length."""
        if isinstance(request, EmbedRequest):
            return _embedding(request)
        if not self._settled:
            self._settle()
        messages = request.messages
        count = len(messages)
        head = 0
        while head < count and messages[head].role in _SYSTEM:
            head += 1
        prefix, prefix_tokens = (
            self._prefix(request, messages[:head]) if head or request.tools or request.output else _NO
        )
        size, last = prefix_tokens or 0, None
        for message in messages[head:]:
            last = _MESSAGE + _parts(message.parts)
            size += last
        if last is None and head:
            last = _MESSAGE + _parts(messages[-1].parts)
        return Shape(size, count, prefix, prefix_tokens, last)

    def _prefix(self, request: Request, system: Sequence[Message]) -> tuple[str, int]:
        parts = system[0].parts if len(system) == 1 else ()
        if len(parts) == 1 and not request.tools and request.output is None and type(part := parts[0]) is TextPart:
            text = part.text
            secret, known = self._state
            key = hash(text), len(text)
            found = known.get(key)
            if found is None:
                if len(known) >= _REMEMBERED:
                    known.clear()
                found = known[key] = _digest(secret, ["", text]), _MESSAGE + estimate_tokens(text)
            return found
        tools = [_tool(tool) for tool in request.tools]
        output = _output(request.output)
        size = sum(estimate_tokens(text) for tool in tools for text in tool) + estimate_tokens(output)
        texts = [item for tool in tools for item in ("\0tool", *tool)]
        if output:
            texts += ("\0output", output)
        for message in system:
            texts += ("", *map(_said, message.parts))
            size += _MESSAGE + _parts(message.parts)
        return _digest(self._state[0], texts), size

    def _settle(self) -> None:
        """Find the key, or write ours; where there is no place for it yet, look again ever more seldom."""
        self._calls += 1
        directory = self._directory
        # Whoever comes while another thread looks goes on with the key that there is.
        if directory is None or self._calls < self._next or not self._lock.acquire(blocking=False):
            return
        try:
            self._next = 2 * self._calls
            own = self._state[0]
            found = _read(directory / KEY_FILE)
            if found is None and _write(directory / KEY_FILE, own):
                found = own
            if found is not None:
                if found != own:
                    self._state = found, {}
                self._settled = True
        finally:
            self._lock.release()


def _digest(key: bytes, texts: Sequence[str]) -> str:
    digest = blake2b(digest_size=_DIGEST, key=key)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        # With its length before it, so that no two lists of texts read the same.
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if len(data) == _KEY_SIZE else None


def _write(path: Path, key: bytes) -> bool:
    """Write a key where there is none; False where there is one, or it cannot be written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
        # Whole or not at all, and never over another process's.
        os.link(draft, path)
    except (OSError, NotImplementedError):
        return False
    else:
        return True
    finally:
        with suppress(OSError):
            draft.unlink()


_SYSTEM: Final = frozenset({"system", "developer"})
_NO: Final = (None, None)


def _embedding(request: EmbedRequest) -> Shape:
    sizes = [estimate_tokens(item) if isinstance(item, str) else len(item) for item in request.inputs]
    return Shape(sum(sizes), len(sizes), None, None, sizes[-1] if sizes else None)


def _parts(parts: Sequence[Part]) -> int:
    size = 0
    for part in parts:
        if type(part) is TextPart:
            text = part.text
            size += (len(text) + 3) // 4 if text.isascii() else estimate_tokens(text)
        else:
            size += _part(part)
    return size


def _part(part: Part) -> int:
    if isinstance(part, ToolResultPart):
        return _parts(part.content)
    if isinstance(part, ToolCallPart):
        return estimate_tokens(part.name) + estimate_tokens(part.arguments)
    if isinstance(part, MediaPart):
        return _MEDIA
    if isinstance(part, ProviderPart):
        return estimate_tokens(_document(part.data))
    return estimate_tokens(part.text)


def _said(part: Part) -> str:
    """What of a part of a system message makes it another one."""
    if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        return part.text
    if isinstance(part, MediaPart):
        return part.data or part.url or part.file_id or ""
    return repr(type(part)) if isinstance(part, (ToolCallPart, ToolResultPart)) else _document(part.data)


def _tool(tool: Tool) -> tuple[str, str, str, str]:
    return tool.name, tool.description or "", _document(tool.parameters), _document(tool.hosted)


def _output(output: OutputFormat | None) -> str:
    return "" if output is None else _document(output.schema)


def _document(value: JSON) -> str:
    if not value:
        return ""
    try:
        return _to_json(value)
    except (TypeError, ValueError, RecursionError):
        return ""  # what is no JSON is refused with a better message when it is encoded
