"""Content blocks of the Anthropic Messages format: hub parts to blocks and back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

from aistrale.dialects._anthropic_media import MEDIA_BLOCKS, decode_media, encode_source
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import (
    MalformedBody,
    as_list,
    as_object,
    as_str,
    form_of,
    get_bool,
    get_str,
    kept,
    leftover,
    rest,
)
from aistrale.types import (
    CacheHint,
    MediaPart,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aistrale.types import JSON, JSONObject, Part

NAME = "anthropic_messages"

# The signature of a thinking block that another provider's model wrote. The SDK's type demands one; this one lets the
# block be recognized, and left out, when the caller sends it back.
UNSIGNED = "aistrale:unsigned"

# Where other formats keep the sources of a text.
_CITATIONS = ("annotations", "citationMetadata", "groundingMetadata")
NO_CITATIONS = "sources of another provider cannot be told as citations and are left out"
# What Anthropic accepts as the id of a tool call; others are rewritten, in calls and results alike.
_TOOL_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
# Lifetimes of OpenAI's caches that Anthropic does not have: the shortest one that lasts as long, else the longest.
_NEAREST_TTL = {"30m": "1h", "12h": "1h"}


@dataclass(slots=True)
class Out:
    """Where blocks are encoded to.

    Args:
        native: The request or answer was decoded from this dialect.
        lenient: Nothing is judged: a native request to a target of which nothing is known.
        foreign: The request was decoded from another dialect, so that ids of files mean nothing here.
        answer: What is encoded is an answer, not a prompt.
        dropped_reasoning: Thoughts of another model were left out.
        ids: Ids of tool calls that are rewritten.
    """

    loss: Loss
    profile: Profile = ANY
    native: bool = False
    lenient: bool = False
    foreign: bool = False
    answer: bool = False
    dropped_reasoning: bool = False
    ids: dict[str, str] = field(default_factory=dict)

    def tool_id(self, id: str) -> str:
        """The id of a tool call as this dialect can carry it; the same for the call and its result."""
        return self.ids.get(id, id)

    def fit_tool_ids(self, ids: Sequence[str]) -> None:
        """Find ids that this dialect can carry for those of a conversation that it cannot; no two become one."""
        unfit = dict.fromkeys(one for one in ids if not _TOOL_ID.match(one))
        taken = set(ids).difference(unfit)
        for one in unfit:
            fit = base = re.sub(r"[^A-Za-z0-9_-]", "_", one) or "call"
            number = 1
            while fit in taken:
                number += 1
                fit = f"{base}_{number}"
            taken.add(fit)
            self.ids[one] = fit


def within(path: str, error: MalformedBody) -> MalformedBody:
    """The same error, with the path of the node in which it was found before its field."""
    return MalformedBody(f"{path}.{error.field}" if error.field else path, error.expected)


def is_native(wire: Wire | None) -> bool:
    """Whether the node was decoded from this dialect and kept something of it."""
    return wire is not None and wire.dialect == NAME


def foreign_citations(wire: Wire | None) -> bool:
    """Whether another dialect kept sources of a text."""
    return wire is not None and wire.dialect != NAME and any(wire.fields.get(key) for key in _CITATIONS)


def merge_kept(body: JSONObject, fields: JSONObject) -> None:
    """Put back what the hub does not model; where both have something to say, the hub wins."""
    for key, value in fields.items():
        current = body.get(key)
        if key not in body:
            body[key] = value
        elif type(current) is dict and type(value) is dict:
            body[key] = {**value, **current}


def dump_arguments(value: JSONObject) -> str:
    """JSON text of a tool's input; "" for none. Not escaped: models and people read it."""
    if not value:
        return ""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry on
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise MalformedBody("input", "finite numbers") from error
    return text


# --- cache hints ----------------------------------------------------------------------------


def decode_cache(block: JSONObject, fields: JSONObject) -> CacheHint | None:
    """Split `cache_control` into a hint and, in `fields`, what a hint has no word for."""
    value = block.get("cache_control")
    if value is None:
        return None
    control = as_object(value, "cache_control")
    if control.get("type") != "ephemeral":
        fields["cache_control"] = control
        return None
    extra: JSONObject = rest(control, ("type", "ttl"))
    if extra:
        # Wrapped, to be known from a control of a kind that the hub has no word for.
        fields["cache_control"] = {_BESIDE_HINT: extra}
    return CacheHint(get_str(control, "ttl"))


def finish_block(block: JSONObject, hint: CacheHint | None, wire: Wire | None, path: str, out: Out) -> JSONObject:
    """Add the cache hint and what the hub does not model."""
    fields = kept(wire, NAME)
    extra = fields.pop("cache_control", _NOTHING)
    if hint is not None:
        control: JSONObject = {**as_object(extra[_BESIDE_HINT], "cache_control")} if _is_beside(extra) else {}
        control["type"] = "ephemeral"
        if hint.ttl is not None:
            ttl = _NEAREST_TTL.get(hint.ttl, hint.ttl)
            if ttl != hint.ttl:
                out.loss.emulate(f"{path}.cache", f"a cache lifetime of {hint.ttl} becomes {ttl}")
            control["ttl"] = ttl
        block["cache_control"] = control
    elif extra is not _NOTHING and not _is_beside(extra):
        block["cache_control"] = extra
    merge_kept(block, fields)
    return block


_NOTHING: JSON = "nothing"
_BESIDE_HINT = "$beside"


def _is_beside(extra: JSON) -> TypeGuard[JSONObject]:
    """Whether this is what stood beside the type and lifetime of a cache hint."""
    return type(extra) is dict and extra.keys() == {_BESIDE_HINT}


# --- decoding ----------------------------------------------------------------------------


def decode_blocks(blocks: list[JSON], path: str) -> list[Part]:
    """Decode the content array that stands at `path`."""
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        try:
            parts.append(decode_block(as_object(block, "")))
        except MalformedBody as error:
            raise within(f"{path}[{index}]", error) from None
    return parts


def decode_block(block: JSONObject) -> Part:
    """Decode one content block; kinds that are not known become a ProviderPart."""
    decoder = _DECODERS.get(as_str(block.get("type"), "type"))
    part = decoder(block) if decoder is not None else None
    return part if part is not None else decode_provider(block)


def decode_provider(block: JSONObject) -> ProviderPart:
    """A block that only Anthropic understands."""
    fields: JSONObject = {}
    cache = decode_cache(block, fields)
    data = {key: value for key, value in block.items() if key != "cache_control" or value is None}
    return ProviderPart(NAME, data, cache, leftover(NAME, fields))


def _decode_text(block: JSONObject) -> Part:
    text = as_str(block.get("text"), "text")
    if len(block) == 2:
        return TextPart(text)
    fields = rest(block, ("type", "text", "cache_control"))
    return TextPart(text, decode_cache(block, fields), leftover(NAME, fields))


def _decode_media(block: JSONObject) -> Part | None:
    fields: JSONObject = {}
    part = decode_media(block, fields, NAME)
    if part is not None:
        part.cache = decode_cache(block, fields)
        part.wire = Wire(NAME, fields, form_of(part.wire, NAME))
    return part


def _decode_thinking(block: JSONObject) -> Part:
    text = get_str(block, "thinking") or ""
    fields = rest(block, ("type", "thinking"))
    if fields.get("signature") == UNSIGNED:
        return ReasoningPart(text)
    return ReasoningPart(text, wire=Wire(NAME, fields, "" if type(block.get("thinking")) is str else "bare"))


def _decode_redacted(block: JSONObject) -> Part:
    return ReasoningPart(redacted=True, wire=Wire(NAME, rest(block, ("type",))))


def _decode_tool_use(block: JSONObject) -> Part:
    fields = rest(block, ("type", "id", "name", "input", "cache_control"))
    arguments = dump_arguments(as_object(block["input"], "input")) if "input" in block else ""
    form = "" if "input" in block else "bare"
    cache = decode_cache(block, fields)
    name = as_str(block.get("name"), "name")
    return ToolCallPart(as_str(block.get("id"), "id"), name, arguments, cache, leftover(NAME, fields, form))


def _decode_tool_result(block: JSONObject) -> Part:
    fields = rest(block, ("type", "tool_use_id", "content", "is_error", "cache_control"))
    content = block.get("content")
    parts: list[Part] = []
    form = "absent"
    if type(content) is str:
        form = "string"
        parts = [TextPart(content)] if content else []
    elif content is not None:
        form = "blocks"
        parts = decode_blocks(as_list(content, "content"), "content")
    is_error = get_bool(block, "is_error")
    if is_error is False:
        form += "+is_error"
    cache = decode_cache(block, fields)
    return ToolResultPart(
        as_str(block.get("tool_use_id"), "tool_use_id"), parts, bool(is_error), None, cache, Wire(NAME, fields, form)
    )


_DECODERS: dict[str, Callable[[JSONObject], Part | None]] = {
    "text": _decode_text,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_tool_use,
    "tool_result": _decode_tool_result,
    **dict.fromkeys(MEDIA_BLOCKS, _decode_media),
}


# --- encoding ----------------------------------------------------------------------------


def encode_parts(parts: Iterable[Part], path: str, out: Out) -> list[JSONObject]:
    """Encode the parts of the node at `path`; those that cannot be said are recorded and left out."""
    blocks = (encode_part(part, f"{path}[{index}]", out) for index, part in enumerate(parts))
    return [block for block in blocks if block is not None]


def encode_part(part: Part, path: str, out: Out) -> JSONObject | None:
    """Encode one part; None when it was left out."""
    match part:
        case TextPart():
            # Empty text is refused by the API, and means nothing.
            if not part.text and not out.native and not is_native(part.wire):
                return None
            if out.answer and foreign_citations(part.wire):
                out.loss.drop(path, NO_CITATIONS)
            return finish_block({"type": "text", "text": part.text}, part.cache, part.wire, path, out)
        case RefusalPart():
            if part.text:
                out.loss.emulate(path, "a refusal becomes plain text")
            return {"type": "text", "text": part.text} if part.text else None
        case ReasoningPart():
            return _encode_reasoning(part, path, out)
        case ToolCallPart():
            return _encode_tool_use(part, path, out)
        case ToolResultPart():
            return _encode_tool_result(part, path, out)
        case MediaPart():
            return _encode_media(part, path, out)
        case ProviderPart():
            return _encode_provider(part, path, out)


def _encode_reasoning(part: ReasoningPart, path: str, out: Out) -> JSONObject | None:
    fields = kept(part.wire, NAME)
    if is_native(part.wire):
        if part.redacted:
            return {"type": "redacted_thinking", **fields}
        told: JSONObject = {"thinking": part.text} if part.text or form_of(part.wire, NAME) != "bare" else {}
        return {"type": "thinking", **told, **fields}
    if not out.answer:
        out.dropped_reasoning = True
        out.loss.drop(path, "the thoughts of another model cannot be signed for this one and are left out")
        return None
    if part.wire is not None and part.wire.fields:
        out.loss.drop(path, "the opaque reasoning state of another provider is left out")
    if not part.text:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": UNSIGNED}


def _encode_tool_use(part: ToolCallPart, path: str, out: Out) -> JSONObject:
    block: JSONObject = {"type": "tool_use", "id": out.tool_id(part.id), "name": part.name}
    if form_of(part.wire, NAME) != "bare" or part.arguments:
        block["input"] = parse_arguments(part.arguments, path, out.loss)
    return finish_block(block, part.cache, part.wire, path, out)


def parse_arguments(arguments: str, path: str, loss: Loss) -> JSONObject:
    """A tool's input as the object that the format demands; what is none is wrapped into one, and recorded."""
    if not arguments.strip():
        return {}
    try:
        value: JSON = json.loads(arguments)
    except (ValueError, RecursionError):
        loss.emulate(f"{path}.arguments", 'arguments that are no JSON are wrapped as {"arguments": text}')
        return {"arguments": arguments}
    if type(value) is dict:
        return value
    loss.emulate(f"{path}.arguments", 'arguments that are no object are wrapped as {"arguments": value}')
    return {"arguments": value}


def _encode_tool_result(part: ToolResultPart, path: str, out: Out) -> JSONObject | None:
    if out.answer:
        out.loss.drop(path, "an answer cannot hold the result of a client's tool")
        return None
    block: JSONObject = {"type": "tool_result", "tool_use_id": out.tool_id(part.call_id)}
    form, _, explicit = form_of(part.wire, NAME).partition("+")
    plain = all(isinstance(item, TextPart) and item.cache is None and not is_native(item.wire) for item in part.content)
    if plain and (form == "string" or (not form and len(part.content) == 1)):
        block["content"] = part.text
    elif part.content or form in ("string", "blocks"):
        block["content"] = [*_result_blocks(part, path, out)]
    if part.is_error or explicit:
        block["is_error"] = part.is_error
    return finish_block(block, part.cache, part.wire, path, out)


def _result_blocks(part: ToolResultPart, path: str, out: Out) -> list[JSONObject]:
    if not out.lenient and not out.profile.tool_media and any(isinstance(item, MediaPart) for item in part.content):
        out.loss.refuse(f"{path}.content", "tool results for this model may hold only text")
    return encode_parts(part.content, f"{path}.content", out)


def _encode_media(part: MediaPart, path: str, out: Out) -> JSONObject | None:
    if out.answer and not is_native(part.wire):
        out.loss.drop(path, f"an answer in this format cannot hold {part.media}")
        return None
    fields = kept(part.wire, NAME)
    block: JSONObject = {"type": part.media, "source": encode_source(part, path, out, fields)}
    if part.media == "document":
        if part.filename is not None:
            block["title"] = part.filename
    elif part.filename and not out.native:
        out.loss.drop(f"{path}.filename", "images have no name in this format")
    if part.detail not in (None, "auto"):
        out.loss.drop(f"{path}.detail", "the resolution of images cannot be chosen in this format")
    fields.pop("source", None)
    return finish_block(block, part.cache, Wire(NAME, fields), path, out)


def _encode_provider(part: ProviderPart, path: str, out: Out) -> JSONObject | None:
    if part.dialect == NAME:
        return finish_block(dict(part.data), part.cache, part.wire, path, out)
    out.loss.drop(path, f"content that only {part.dialect} understands is left out")
    return None
