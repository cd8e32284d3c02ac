"""What two requests or answers say, and whether every difference between them was recorded.

A request is laid out as a strand: what is said, in order, each piece with its path in the hub's words. Where one strand
lacks a piece of the other, a `Lossy` item has to name that piece, the message that it stood in, or what it belongs to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from difflib import SequenceMatcher
from itertools import groupby
from typing import TYPE_CHECKING

from aistrale.types import (
    Completion,
    Lossy,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Instructions are one role: which word a format has for it means nothing.
_ROLES = {"developer": "system"}
_SYSTEM = ("text", "system")
# Facets of a part that are recorded on their own; such a record does not explain that the part itself is gone.
_ASIDE = (
    "cache", "detail", "filename", "name", "citations", "annotations", "logprobs", "is_error", "title",
    "signature", "thoughtSignature", "thought_signature", "encrypted_content", "executed_tools",
)  # fmt: skip
# What may stand between two texts and be left out.
_SPLITTING = ("hosted", "reasoning", "media")
_ORDER = {"reasoning": 0, "text": 1, "refusal": 2, "media": 3, "hosted": 4, "call": 5}
_OPTIONS = (
    "parallel_tool_calls", "max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "n", "presence_penalty",
    "frequency_penalty", "logit_bias", "logprobs", "user", "metadata", "service_tier", "cache_key",
)  # fmt: skip
_DEFAULTS = {"n": 1, "service_tier": "auto", "presence_penalty": 0, "frequency_penalty": 0}
_TIERED = ("service_tier",)
_SYNONYMS = {"default": "standard", "standard_only": "standard", "on_demand": "standard"}
_OUTPUT = ("output", "reasoning", "audio_output", "image_output")
_INPUT = tuple(item.name for item in fields(Usage) if item.name not in {"source", "raw", "wire", *_OUTPUT})


@dataclass(slots=True)
class Piece:
    """One thing that is said.

    Args:
        value: What; two pieces are the same if this is equal.
        paths: Where it stands, in the hub's words.
    """

    value: tuple[str, ...]
    paths: list[str] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str]]:
        """The texts that were joined, with their paths."""
        return list(zip(self.texts or [self.value[-1]], self.paths, strict=True))

    texts: list[str] = field(default_factory=list)


def strand(messages: Sequence[Message], prefix: str = "messages") -> list[Piece]:
    """What the messages say, piece by piece."""
    pieces: list[Piece] = []
    calls: dict[str, int] = {}
    for number, message in enumerate(messages):
        for place, part in enumerate(message.parts):
            path = f"{prefix}[{number}].parts[{place}]"
            pieces += _pieces(part, _ROLES.get(message.role, message.role), path, calls)
    return pieces


def _pieces(part: object, role: str, path: str, calls: dict[str, int]) -> list[Piece]:
    match part:
        case TextPart(text=""):
            return []
        case TextPart():
            return [Piece(("text", role, part.text), [path])]
        case RefusalPart():
            return [Piece(("refusal", role, part.text), [path])]
        case MediaPart():
            return [Piece(("media", role, part.media, part.data or part.url or part.file_id or ""), [path])]
        case ReasoningPart():
            return [Piece(("reasoning", part.text), [path])] if part.text or part.wire else []
        case ToolCallPart():
            calls.setdefault(part.id, len(calls))
            return [Piece(("call", str(calls[part.id]), part.name, arguments_of(part)), [path])]
        case ToolResultPart():
            link = str(calls.get(part.call_id, f"?{part.call_id}"))
            inner = _joined(
                [p for n, c in enumerate(part.content) for p in _pieces(c, "tool", f"{path}.content[{n}]", {})]
            )
            said = [" ".join(piece.value) for piece in inner]
            result = Piece(("result", link, *said), [path, *(p for piece in inner for p in piece.paths)])
            return [result, *([Piece(("failed", link), [f"{path}.is_error"])] if part.is_error else [])]
        case ProviderPart():
            return [Piece(("hosted", part.dialect, json.dumps(part.data, sort_keys=True)), [path])]
        case _:
            raise AssertionError(part)


def arguments_of(part: ToolCallPart) -> str:
    """The arguments, independent of how their JSON is written; broken JSON as it is."""
    try:
        return json.dumps(part.input, sort_keys=True)
    except ValueError:
        return part.arguments


def _normal(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring texts of one role as one, results in the order of their calls, a turn's calls after its texts."""
    return _joined(_sorted(pieces))


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and piece.value[0] in {"text", "reasoning"} and last.value[:-1] == piece.value[:-1]:
            last.value = (*last.value[:-1], last.value[-1] + piece.value[-1])
            last.paths += piece.paths
            last.texts.append(piece.value[-1])
        else:
            joined.append(Piece(piece.value, [*piece.paths], [piece.value[-1]]))
    return joined


def _sorted(pieces: list[Piece]) -> list[Piece]:
    """Results that follow each other may do so in any order, and so may what an assistant says and what it calls."""
    ordered: list[Piece] = []
    for kind, group in groupby(pieces, key=_turn):
        if kind == "tool":
            ordered += sorted(group, key=lambda each: each.value[1])
        elif kind == "assistant":
            ordered += sorted(group, key=lambda each: _ORDER[each.value[0]])
        else:
            ordered += group
    return ordered


def _turn(piece: Piece) -> str:
    kind = piece.value[0]
    if kind in {"result", "failed"}:
        return "tool"
    return "assistant" if kind in {"call", "reasoning", "hosted"} else piece.value[1]


def unexplained(old: Sequence[Piece], new: Sequence[Piece], items: Sequence[Lossy]) -> list[str]:
    """What the new strand lacks of the old one, or has beyond it, and no record explains."""
    there = {piece.value for piece in new}
    # What was rightly left out stands no longer between the texts around it.
    old = [
        piece for piece in old if piece.value[0] not in _SPLITTING or piece.value in there or not _covered(items, piece)
    ]
    late = _late(new)
    moved = [piece for piece in _late(old) if piece.value not in {each.value for each in late}]
    found = [f"moved {_short(piece)}" for piece in moved if not _covered(items, piece)]
    for instructs in (True, False):
        sides = [[each for each in side if (each.value[:2] == _SYSTEM) == instructs] for side in (old, new)]
        found += _gaps(_normal(sides[0]), _normal(sides[1]), items)
    return found


def _late(pieces: Sequence[Piece]) -> list[Piece]:
    """The instructions that come after the conversation began."""
    begun = next((number for number, piece in enumerate(pieces) if piece.value[:2] != _SYSTEM), len(pieces))
    return [piece for piece in pieces[begun:] if piece.value[:2] == _SYSTEM]


def _gaps(old: list[Piece], new: list[Piece], items: Sequence[Lossy]) -> list[str]:
    found: list[str] = []
    matcher = SequenceMatcher(None, [piece.value for piece in old], [piece.value for piece in new], autojunk=False)
    emulated = any(item.action == "emulated" and item.field.startswith(("messages", "choices")) for item in items)
    for action, start, end, first, last in matcher.get_opcodes():
        if action == "equal":
            continue
        found += [f"lost {_short(piece)}" for piece in old[start:end] if not _excused(piece, new, items)]
        # What is said in another way than before has to be recorded as an emulation.
        if first < last and not (emulated or end - start):
            found += [f"new {_short(piece)}" for piece in new[first:last]]
    return found


def _excused(piece: Piece, new: Sequence[Piece], items: Sequence[Lossy]) -> bool:
    """Whether the records explain that the piece is not there as it was; what they do not name has to be."""
    kind, rest = piece.value[0], piece.value[1:]
    if kind in {"text", "reasoning"}:
        texts = [text for text, path in piece.told if not any(covers(items, each) for each in [path])]
        said = "".join(each.value[-1] for each in new if each.value[:-1] == piece.value[:-1])
        return len(texts) < len(piece.told) and all(text in said for text in texts)
    if not _covered(items, piece):
        return False
    if kind in {"result", "call"} and not any(item.field == piece.paths[0] for item in items):
        # A part of it was named: its place in the conversation stays.
        return any(each.value[0] == kind and each.value[1] == rest[0] for each in new)
    return True


def _covered(items: Sequence[Lossy], piece: Piece) -> bool:
    return any(covers(items, path) for path in piece.paths)


def covers(items: Iterable[Lossy], path: str) -> bool:
    """Whether a record names the part, something inside it, or what it stands in."""
    for item in items:
        if item.field == path or path.startswith((f"{item.field}.", f"{item.field}[")):
            return True
        if item.field.startswith((f"{path}.", f"{path}[")) and not item.field.endswith(_ASIDE):
            return True
    return False


def _short(piece: Piece) -> str:
    value = [text if len(text) < 60 else f"{text[:57]}..." for text in piece.value]
    return f"{value} at {piece.paths}"


# --- requests -------------------------------------------------------------------------------------------------------


def request_differences(old: Request, new: Request, items: Sequence[Lossy], *, limited: bool = False) -> list[str]:
    """What became different between two requests without a record of it.

    Args:
        old: Before.
        new: After.
        items: The records.
        limited: A format that demands an output limit was involved, so that one was set where there was none.
    """
    found = unexplained(strand(old.messages), strand(new.messages), items)
    found += [
        f"{name}: {getattr(old, name)!r} became {getattr(new, name)!r}"
        for name in _OPTIONS
        if _option(old, name) != _option(new, name)
        and not named(items, name)
        and not (name == "max_tokens" and limited and old.max_tokens is None)
    ]
    found += [*_tool_differences(old, new, items), *_other_differences(old, new, items)]
    return [*found, *_node_differences(old, new, items)]


def _node_differences(old: Request, new: Request, items: Sequence[Lossy]) -> list[str]:
    """Marks on messages, parts and tools: names, cache hints, ids of calls."""
    found = [
        f"messages[{number}].name {message.name!r}"
        for number, message in enumerate(old.messages)
        if message.name and message.name not in {each.name for each in new.messages}
        and not named(items, f"messages[{number}].name")
    ]  # fmt: skip
    was, now = _cached(old), _cached(new)
    if len(now) < len(was):
        found += [f"{path}.cache" for path in was if not (named(items, f"{path}.cache") or named(items, "cache"))]
    ids = [[part.id for message in each.messages for part in message.tool_calls] for each in (old, new)]
    return found if ids[0] == ids[1] else [*found, f"ids of calls: {ids[0]} became {ids[1]}"]


def _cached(request: Request) -> list[str]:
    """The places of cache hints."""
    found = [f"tools[{number}]" for number, tool in enumerate(request.tools) if tool.cache]
    for number, message in enumerate(request.messages):
        for place, part in enumerate(message.parts):
            path = f"messages[{number}].parts[{place}]"
            found += [path] if getattr(part, "cache", None) else []
            inner = part.content if isinstance(part, ToolResultPart) else []
            found += [f"{path}.content[{n}]" for n, each in enumerate(inner) if getattr(each, "cache", None)]
    return found


def _option(request: Request, name: str) -> object:
    """The option, None where it asks for what happens anyway."""
    value = getattr(request, name)
    if name == "parallel_tool_calls" and not request.tools:
        return None
    return None if value in (_DEFAULTS.get(name), []) else _SYNONYMS.get(value, value) if name in _TIERED else value


def named(items: Iterable[Lossy], name: str) -> bool:
    """Whether a record names the option or something in it."""
    return any(item.field == name or item.field.startswith((f"{name}.", f"{name}[")) for item in items)


def _tool_differences(old: Request, new: Request, items: Sequence[Lossy]) -> list[str]:
    if named(items, "tool_choice.names") or len(old.tools) != len(new.tools):
        explained = named(items, "tools") or named(items, "tool_choice.names")
        return [] if explained else [f"{len(old.tools)} tools became {len(new.tools)}"]
    found = []
    for number, (was, now) in enumerate(zip(old.tools, new.tools, strict=True)):
        for name in ("name", "description", "parameters", "strict"):
            before, after = _tool_facet(was, name), _tool_facet(now, name)
            if before != after and not named(items, f"tools[{number}].{name}"):
                found.append(f"tools[{number}].{name}: {str(before)[:200]!r} became {str(after)[:200]!r}")
    return found


def _tool_facet(tool: Tool, name: str) -> object:
    value = getattr(tool, name)
    if name == "parameters":
        value = {"type": "object", **(value or {})}
        value.setdefault("properties", {})
    return value or None


def _other_differences(old: Request, new: Request, items: Sequence[Lossy]) -> list[str]:
    choice = [_choice(each) for each in (old, new)]
    output = [(o.kind, o.schema) if (o := each.output) and o.kind != "text" else None for each in (old, new)]
    thought = [_thought(each) for each in (old, new)]
    found = []
    for name, (was, now) in (("tool_choice", choice), ("output", output), ("reasoning", thought)):
        if was != now and not named(items, name):
            found.append(f"{name}: {was} became {now}")
    return found


def _thought(request: Request) -> tuple[object, ...] | None:
    reasoning = request.reasoning
    if reasoning is None:
        return None
    # No tokens for thinking is no thinking.
    budget = None if reasoning.effort == "none" else reasoning.budget
    told = (reasoning.effort, budget, reasoning.include)
    return None if told == (None, None, None) else told


def _choice(request: Request) -> tuple[str, list[str]] | None:
    choice = request.tool_choice
    if choice is None or (choice.mode == "auto" and not choice.names):
        return None
    if choice.mode == "tool" and len(choice.names) > 1 and {tool.name for tool in request.tools} == {*choice.names}:
        return "required", []
    return choice.mode, sorted(choice.names)


# --- answers --------------------------------------------------------------------------------------------------------


def answer_differences(old: Completion, new: Completion, items: Sequence[Lossy]) -> list[str]:
    """What became different between two answers without a record of it."""
    found: list[str] = []
    pairs = {choice.index: [choice, None] for choice in old.choices}
    for choice in new.choices:
        pairs.setdefault(choice.index, [None, None])[1] = choice
    for number, (index, (was, now)) in enumerate(sorted(pairs.items())):
        if was is None or now is None:
            if not (named(items, "choices") or named(items, f"choices[{index}]")):
                found.append(f"choices[{index}]: {'lost' if was else 'new'}")
            continue
        records = [Lossy(item.field.replace(".message.", "."), item.action, item.detail) for item in items]
        pieces = [_at(strand([choice.message], "choices"), number) for choice in (was, now)]
        found += unexplained(*pieces, records)
        if was.finish_reason != now.finish_reason and not named(items, f"choices[{number}].finish_reason"):
            found.append(f"finish: {was.finish_reason} became {now.finish_reason}")
    return [*found, *_usage_differences(old.usage, new.usage, items)]


def _at(pieces: list[Piece], number: int) -> list[Piece]:
    for piece in pieces:
        piece.paths = [path.replace("choices[0]", f"choices[{number}]", 1) for path in piece.paths]
    return pieces


def _usage_differences(old: Usage | None, new: Usage | None, items: Sequence[Lossy]) -> list[str]:
    """Differing counts; 0 and "not said" are one, since some formats demand counts that others leave out."""
    old, new = old or Usage(), new or Usage()
    found = []
    for side in (_INPUT, _OUTPUT):
        moved = {name: (getattr(old, name) or 0, getattr(new, name) or 0) for name in side}
        moved = {name: counts for name, counts in moved.items() if counts[0] != counts[1]}
        kept = sum(was for was, _ in moved.values()) == sum(now for _, now in moved.values())
        # Tokens of a kind that the format does not tell apart are counted with the others, and that is recorded.
        told = [name for name in moved if _counted(items, name)]
        if told and kept:
            continue
        found += [f"usage.{name}: {was} became {now}" for name, (was, now) in moved.items() if name not in told]
    return found


def _counted(items: Iterable[Lossy], name: str) -> bool:
    """Whether a record names the count, or for a cache's lifetime the count of all writes."""
    return any(
        item.field == f"usage.{name}" or name.startswith(f"{item.field[6:]}_")
        for item in items
        if item.field.startswith("usage.")
    )
