"""OpenAI Responses: which items and parts of a stream are under way, and the blocks that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.dialects._responses_content import CONTENT, ITEM, NAME, form, word
from aistrale.dialects._responses_items import decode_item, mark_item
from aistrale.dialects.shape import MalformedBody, as_int
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Event,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    TextDelta,
    TextPart,
    ToolCallPart,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.types import JSONObject, Part

Key: TypeAlias = tuple[str, int]
CALL: Final[Key] = ("call", 0)
SUMMARY: Final = "summary"
# How the JSON arguments end that stand for the plain text of a custom tool's input.
_CLOSING: Final = '"}'


class Block:
    """A part under way.

    Args:
        number: The hub's number of the block.
    """

    __slots__ = ("closed", "done", "number", "received", "wire")

    def __init__(self, number: int) -> None:
        self.number = number
        self.wire: Wire | None = None
        """The part's final state, once it is known."""
        self.received = False
        """Some of its content has come."""
        self.done = False
        """No more of its content can come."""
        self.closed = False


class Item:
    """An item under way.

    Args:
        at: Its output_index.
        envelope: Its fields without its parts.
        custom: Whether it is a call of a custom tool.
    """

    __slots__ = ("at", "blocks", "custom", "envelope")

    def __init__(self, at: int, envelope: JSONObject, *, custom: bool = False) -> None:
        self.at = at
        self.envelope = envelope
        self.custom = custom
        self.blocks: dict[Key, Block] = {}


class Tracker:
    """The items of one reply.

    `called`: the model asks for a tool.
    """

    __slots__ = ("_blocks", "_finished", "_ids", "_items", "called")

    def __init__(self) -> None:
        self.called = False
        self._blocks = 0
        self._items: dict[int, Item] = {}
        self._finished: set[int] = set()
        self._ids: set[str] = set()

    def add(self, item: Item) -> Item:
        """An item was announced."""
        self._items[item.at] = item
        return item

    def item(self, body: JSONObject) -> Item:
        """The item that an event speaks of; a stream that was resumed may never have announced it."""
        at = index(body, "output_index")
        item = self._items.get(at)
        if item is None:
            name = body.get("item_id")
            item = self.add(Item(at, {"id": name} if type(name) is str else {}))
        return item

    def open(self, item: Item, key: Key, part: Part) -> list[Event]:
        """A part begins."""
        events = close(item, every=False)
        if part.wire is None:
            part.wire = Wire(NAME, {}, key[0] if isinstance(part, ReasoningPart) else "")
        if not isinstance(part, ToolCallPart) and ITEM not in part.wire.fields:
            mark_item(part, item.at, item.envelope)
        block = item.blocks[key] = Block(self._blocks)
        self._blocks += 1
        self.called = self.called or isinstance(part, ToolCallPart)
        return [*events, BlockStart(block.number, part)]

    def find(self, body: JSONObject, key: Key, part: Part) -> tuple[Block, list[Event]]:
        """The open block that a piece goes to, opened with `part` if need be.

        Raises:
            MalformedBody: The part is over.
        """
        item = self.item(body)
        block = item.blocks.get(key)
        if block is None:
            events = self.open(item, key, part)
            return item.blocks[key], events
        if block.closed:
            raise MalformedBody(f"{key[0]}_index", "a part that is still open")
        return block, []

    def finish(self, value: JSONObject, at: int) -> list[Event]:
        """An item is complete: the final state of its parts, and those of them that were not told in pieces."""
        item = self._items.pop(at, None) or Item(at, {})
        self._finished.add(at)
        if name := word(value, "id"):
            self._ids.add(name)
        events: list[Event] = []
        counts: dict[str, int] = {}
        for part in decode_item(value, at, "item"):
            name = CALL[0] if isinstance(part, ToolCallPart) else SUMMARY if form(part.wire) == SUMMARY else CONTENT
            key = (name, counts.get(name, 0))
            counts[name] = key[1] + 1
            block = item.blocks.get(key)
            if block is not None:
                events += _settle(block, part)
            elif isinstance(part, ProviderPart) and form(part.wire) != CONTENT:
                events += [BlockStart(self._blocks, part), BlockEnd(self._blocks)]
                self._blocks += 1
            else:
                events += self.whole(item, key, part)
        return [*events, *close(item, every=True)]

    def whole(self, item: Item, key: Key, part: Part) -> list[Event]:
        """A part that is told at once."""
        events = self.open(item, key, part)
        item.blocks[key].received = item.blocks[key].done = True
        return events

    def rest(self, items: list[JSONObject]) -> list[Event]:
        """The reply is complete: what was never told in pieces, and the ends of what was left open."""
        events: list[Event] = []
        if len(items) > len(self._finished):
            for at, value in enumerate(items):
                # The position in the finished list is no output_index where a server skipped one.
                if at not in self._finished and word(value, "id") not in self._ids:
                    events += self.finish(value, at)
        for item in self._items.values():
            events += close(item, every=True)
        self._items.clear()
        return events


def close(item: Item, *, every: bool) -> list[Event]:
    """End the blocks of an item that can get no more pieces, or all of them."""
    events: list[Event] = []
    for block in item.blocks.values():
        if not block.closed and (every or block.done):
            block.closed = True
            if item.custom and block.received and not block.done:
                events.append(ArgumentsDelta(_CLOSING, block.number))
            events.append(BlockEnd(block.number, wire=block.wire))
    return events


def _settle(block: Block, part: Part) -> list[Event]:
    """The final state of a part; its content too, where no piece of it came."""
    events: list[Event] = [] if block.received or block.closed else whole(block, part)
    block.wire = part.wire
    return events


def whole(block: Block, part: Part) -> list[Event]:
    """All of a part's content at once."""
    event: Event | None = None
    if isinstance(part, (TextPart, RefusalPart)) and part.text:
        event = TextDelta(part.text, block.number)
    elif isinstance(part, ReasoningPart) and part.text:
        event = ReasoningDelta(part.text, block.number)
    elif isinstance(part, ToolCallPart) and part.arguments:
        event = ArgumentsDelta(part.arguments, block.number)
        block.done = True
    if event is None:
        return []
    block.received = True
    return [event]


def index(body: JSONObject, name: str) -> int:
    """The whole number that must stand at `body[name]`."""
    value = body.get(name)
    return value if type(value) is int else as_int(value, name)
