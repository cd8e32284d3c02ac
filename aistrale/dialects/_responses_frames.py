"""OpenAI Responses: how blocks are told as items and parts of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from aistrale.dialects._responses_content import AT, CONTENT, form, ours
from aistrale.dialects._responses_items import is_custom, item_key, mint
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Event,
    Finish,
    Message,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Wire,
)

if TYPE_CHECKING:
    from aistrale.dialects._responses_output import OutputEncoder
    from aistrale.types import Completion, JSONObject, Part

Style: TypeAlias = tuple[str, str, str, str]
"""How a part is told: its place in the item, the event that adds it, the stem of its deltas, its field when whole."""
TEXT: Final[Style] = ("content_index", "response.content_part.added", "response.output_text", "text")
REFUSAL: Final[Style] = ("content_index", "response.content_part.added", "response.refusal", "refusal")
SUMMARY: Final[Style] = (
    "summary_index",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text",
    "text",
)
THOUGHT: Final[Style] = ("content_index", "response.content_part.added", "response.reasoning_text", "text")
PIECE: Final[Style] = ("content_index", "response.content_part.added", "", "")
CALL: Final[Style] = ("", "", "response.function_call_arguments", "arguments")
CUSTOM: Final[Style] = ("", "", "response.custom_tool_call_input", "input")

SILENT: Final = frozenset({"empty", "null", "absent"})
"""Forms of parts that stand for an item without content."""


_PREFIXES: Final = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}


class OpenItem:
    """An item under way.

    Args:
        index: Its output_index.
        key: What parts of it have in common; None when no other part can join it.
        id: Its id in every event.
    """

    __slots__ = ("closed", "counts", "group", "id", "index", "key", "open")

    def __init__(self, index: int, key: object, id: str) -> None:
        self.index = index
        self.key = key
        self.id = id
        self.group: list[tuple[int, Part]] = []
        self.counts: dict[str, int] = {}
        self.open = 0
        self.closed = False


class OpenBlock:
    """A block under way.

    Args:
        number: The hub's number.
        part: Its part, without the text that arrives.
        style: How it is told.
    """

    __slots__ = ("head", "item", "number", "part", "pieces", "place", "style")

    def __init__(self, number: int, part: Part, style: Style) -> None:
        self.number = number
        self.part = part
        self.style = style
        self.item: OpenItem | None = None
        self.place: JSONObject = {}
        self.head = ""
        self.pieces: list[str] = []


class Items:
    """The items of one reply, in the order in which they were announced.

    `output`: the finished ones, by output_index. `announced`: output_index of items that an event of the provider has
    announced already.

    Args:
        writer: Writes them.
        base: The reply's id; ids of items that have none are derived from it.
    """

    __slots__ = ("_base", "_items", "announced", "output", "writer")

    def __init__(self, writer: OutputEncoder, base: str) -> None:
        self.writer = writer
        self.output: dict[int, JSONObject] = {}
        self.announced: set[int] = set()
        self._base = base
        self._items: list[OpenItem] = []

    def joinable(self, part: Part) -> OpenItem | None:
        """The open item that a part goes into: its own, or for text from elsewhere the message just before."""
        key = _key_of(part)
        if key is None:
            return None
        for item in reversed(self._items):
            if item.key == key and not item.closed:
                return item
            if key == _LOOSE:
                break
        return None

    def announce(self, block: OpenBlock) -> tuple[OpenItem, JSONObject | None]:
        """Begin an item with a part; what to announce it with, None where it is announced already."""
        index = self.next_index(block.part)
        # A thought from elsewhere is left out when it is empty, so it is shown what has come of it.
        set_text(block.part, "".join(block.pieces))
        fields = self.writer.item([(block.number, block.part)], index) or {}
        set_text(block.part, "")
        fields.setdefault("type", "message")
        if fields["type"] == "message":
            fields = {"status": "completed", **fields, "role": "assistant", "content": []}
        elif fields["type"] == "reasoning":
            fields = {**fields, "summary": [], **({CONTENT: []} if CONTENT in fields else {})}
        else:
            fields = {**fields, block.style[3]: ""}
        if "status" in fields and fields["type"] != "reasoning":
            fields["status"] = "in_progress"
        name = fields.get("id")
        if type(name) is not str:
            name = fields["id"] = mint(_PREFIXES[str(fields["type"])], self._base, index)
        item = OpenItem(index, _key_of(block.part), name)
        self._items.append(item)
        return item, None if index in self.announced else fields

    def next_index(self, part: Part) -> int:
        """The place that the part's item had where it was decoded from, as long as it is free; else the next one."""
        taken = {item.index for item in self._items}
        told = part.wire.fields.get(AT) if part.wire is not None and ours(part.wire) else None
        if type(told) is int and told not in taken:
            return told
        return max(taken | self.announced, default=-1) + 1

    def whole(self, index: int, written: JSONObject) -> None:
        """Take an item that was written at once."""
        item = OpenItem(index, None, "")
        item.closed = True
        self._items.append(item)
        self.output[index] = written

    def open(self) -> list[OpenItem]:
        """The items that are not closed."""
        return [item for item in self._items if not item.closed]

    def close(self, item: OpenItem, status: str = "") -> JSONObject:
        """Finish an item.

        Args:
            item: It.
            status: Another status than that of its parts, "" for none.
        """
        item.closed = True
        # The id under which the item was announced stays: clients refuse one that changes.
        written = {**(self.writer.item(item.group, item.index) or {}), "id": item.id}
        if status and "status" in written:
            written["status"] = status
        self.output[item.index] = written
        return written


_LOOSE: Final = "text"


def _key_of(part: Part) -> object:
    """What parts of one item have in common."""
    key = item_key(part)
    return _LOOSE if key is None and isinstance(part, (TextPart, RefusalPart)) else key


def style_of(part: Part) -> Style | None:
    """How a part is told; None for one that is an item told whole."""
    if isinstance(part, TextPart):
        return TEXT
    if isinstance(part, RefusalPart):
        return REFUSAL
    if isinstance(part, ReasoningPart):
        return THOUGHT if form(part.wire) == CONTENT else SUMMARY
    if isinstance(part, ToolCallPart):
        return CUSTOM if is_custom(part) else CALL
    # Content of an unknown kind inside a message; everything else is an item of its own.
    return PIECE if item_key(part) is not None else None


def text_of(part: Part) -> str:
    """The part's text or arguments."""
    if isinstance(part, ToolCallPart):
        return part.arguments
    return part.text if isinstance(part, (TextPart, RefusalPart, ReasoningPart)) else ""


def set_text(part: Part, text: str) -> None:
    """Put another text, or other arguments, into a part."""
    if isinstance(part, ToolCallPart):
        part.arguments = text
    elif isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
        part.text = text


def merged(old: Wire | None, new: Wire) -> Wire:
    """What is known of a part at its end: later fields replace earlier ones."""
    if old is None or old.dialect != new.dialect:
        return new
    return Wire(new.dialect, {**old.fields, **new.fields}, new.form or old.form)


def pieces_of(completion: Completion) -> list[Event]:
    """A finished answer as the events of a stream."""
    wire = completion.wire
    # The form is the status, which at the beginning is another one.
    begun = None if wire is None else Wire(wire.dialect, wire.fields)
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created, begun)]
    choice = completion.choices[0] if completion.choices else Choice(Message("assistant"), "stop")
    for number, part in enumerate(choice.message.parts):
        events += [BlockStart(number, part), BlockEnd(number)]
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    return [*events, Finish(choice.finish_reason, wire=choice.wire), ReplyEnd(completion.wire)]
