"""Where two parts of one answer meet: what was delivered, what the new part repeats of it, and one order of events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Other,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Switched,
    TextDelta,
    TextPart,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.types import Completion, Event, Part, Usage, Wire

LONGEST_OVERLAP: Final = 200
"""Most characters at the end of what was delivered that are looked for at the beginning of what follows."""
# An overlap that would begin within a word is chance unless it is this long: "Hel" and "lo" share a letter, and a model
# that repeats itself begins at a word. Measured on 20,000 cuts of English text into pieces of at most five letters: the
# longest overlap would take something from 3.1 % of exact continuations, with this it is 2.2 %, and what is left is
# white space, rules and tables; of repetitions that begin at a word as many are found as without it.
_CHANCE: Final = 8
# Opaque state of a thought, which only the model that it came from may get back, and only with its own words.
_STATE: Final = frozenset({"signature", "thoughtSignature", "thought_signature", "encrypted_content", "data"})
_PASSING: Final = frozenset({ReplyStart, Other, UsageUpdate, Switched})


class Overlap:
    """Finds out how much a continuation repeats, from pieces that come one by one.

    It is the longest end of the old text that the new text begins with, and known as soon as no longer one is possible:
    after the first characters in most cases, at the latest after 200.

    Args:
        old: What was delivered; only its end matters.
    """

    __slots__ = ("_new", "_old", "size")

    def __init__(self, old: str) -> None:
        self._old = old[-LONGEST_OVERLAP:]
        self._new = ""
        self.size: int | None = None
        """How many characters are repeated; None as long as that is open."""

    def feed(self, text: str) -> int | None:
        """Take more of the new text; the size of the overlap once it is known."""
        if self.size is None:
            self._new += text
            if not self._open():
                self.finish()
        return self.size

    def finish(self) -> int:
        """There is no more of the new text: the size of the overlap."""
        if self.size is None:
            longest = min(len(self._old), len(self._new))
            self.size = next((size for size in range(longest, 0, -1) if self._counts(size)), 0)
        return self.size

    def _open(self) -> bool:
        """Whether an overlap longer than what has come of the new text is possible."""
        # The end itself is no longer one: there the overlap is all of what has come.
        return 0 <= self._old.find(self._new) < len(self._old) - len(self._new)

    def _counts(self, size: int) -> bool:
        old, start = self._old, len(self._old) - size
        if not self._new.startswith(old[start:]):
            return False
        return size >= _CHANCE or start == 0 or not (_in_word(old[start - 1]) and _in_word(old[start]))


def _in_word(character: str) -> bool:
    """Whether it is part of a word or number in a script that puts spaces between words."""
    return character.isdigit() or character.lower() != character.upper()


class Delivered:
    """What the caller has seen of an answer, as far as it decides whether and how another model can go on with it.

    `plain`: nothing but text and readable thoughts has come, and no end; `text`: all visible text.
    """

    __slots__ = ("_pieces", "next_block", "open", "plain")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.open: dict[int, type[Part]] = {}
        self.next_block = 0
        self.plain = True

    @property
    def text(self) -> str:
        """The visible text so far."""
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def feed(self, event: Event) -> None:
        """Note an event that is delivered."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
            self._see(event.block, TextPart)
            # Log probabilities come with each piece, and nobody could go on with those.
            if event.wire is not None or event.choice:
                self.plain = False
        elif isinstance(event, ReasoningDelta):
            self._see(event.block, ReasoningPart)
            if event.choice:
                self.plain = False
        elif isinstance(event, BlockStart):
            self._see(event.block, type(event.part))
            if isinstance(event.part, TextPart):
                self._pieces.append(event.part.text)
            if event.choice or not _is_plain(event.part):
                self.plain = False
        elif isinstance(event, BlockEnd):
            self.open.pop(event.block, None)
            if _has_state(event.wire):
                self.plain = False
        elif type(event) not in _PASSING:
            self.plain = False

    def _see(self, block: int, kind: type[Part]) -> None:
        if block not in self.open:
            self.open[block] = kind
            self.next_block = max(self.next_block, block + 1)


def _is_plain(part: Part) -> bool:
    if isinstance(part, TextPart):
        return not _has_state(part.wire)
    return isinstance(part, ReasoningPart) and not part.redacted and not _has_state(part.wire)


def _has_state(wire: Wire | None) -> bool:
    """Whether a thought's opaque state is there, at whatever depth its dialect keeps it."""
    return wire is not None and _holds_state(wire.fields)


def _holds_state(value: object) -> bool:
    if isinstance(value, dict):
        # An empty one is the place of one that was to come: the thought is no use to its own provider without it.
        return any((name in _STATE and item is not None) or _holds_state(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_holds_state, value))


class Joint:
    """Turns the events of the part that goes on into the continuation of those that were delivered.

    Its first block of text goes on with the block that is open; its other blocks get further numbers; its beginning is
    left out, because a reply begins once. Nothing is given before it is known what the new part repeats: then come the
    end of what cannot go on, the `Switched` event, and the rest.

    Args:
        delivered: What was delivered before; not changed here.
        switched: Makes the event that announces the new part; gets the size of the overlap.
        used: Tokens of the parts before.
        add: Adds two usages.
    """

    __slots__ = (
        "_add",
        "_blocks",
        "_continued",
        "_held",
        "_next",
        "_overlap",
        "_switched",
        "_unfinished",
        "_used",
        "begun",
        "start",
    )

    def __init__(
        self,
        delivered: Delivered,
        switched: Callable[[int], Switched],
        used: Usage | None,
        add: Callable[[Usage | None, Usage | None], Usage | None],
    ) -> None:
        self._switched = switched
        self._used = used
        self._add = add
        self._overlap = Overlap(delivered.text)
        texts = [block for block, kind in delivered.open.items() if kind is TextPart]
        self._continued: int | None = texts[-1] if texts else None
        self._unfinished = [block for block in delivered.open if block != self._continued]
        self._next = delivered.next_block
        self._blocks: dict[int, int] = {}
        self._held: list[Event] = []
        self.begun = False
        """Whether the new part has been announced; until then it has left no trace."""
        self.start: ReplyStart | None = None
        """How the new part names itself."""

    def feed(self, event: Event) -> list[Event]:
        """What to deliver for an event of the new part."""
        if isinstance(event, Whole):
            return [out for piece in _unfolded(event.completion) for out in self.feed(piece)]
        mapped = self._mapped(event)
        if mapped is None:
            return []
        if self.begun:
            return [mapped]
        self._held.append(mapped)
        if isinstance(mapped, TextDelta):
            if self._overlap.feed(mapped.text) is None:
                return []
        elif not self._decides(mapped):
            return []
        return self._begin()

    @staticmethod
    def _decides(event: Event) -> bool:
        """Whether no text can be expected that would tell more about the overlap."""
        waiting = isinstance(event, (Other, UsageUpdate, ReasoningDelta, BlockEnd)) or (
            isinstance(event, BlockStart) and isinstance(event.part, (TextPart, ReasoningPart))
        )
        return not waiting

    def _begin(self) -> list[Event]:
        overlap = self._overlap.finish()
        self.begun = True
        events: list[Event] = [BlockEnd(block) for block in self._unfinished]
        events.append(self._switched(overlap))
        for event in self._held:
            if isinstance(event, TextDelta) and overlap:
                kept = event.text[overlap:]
                overlap -= len(event.text) - len(kept)
                if not kept:
                    continue
                event = replace(event, text=kept)  # noqa: PLW2901 - what is left of it
            events.append(event)
        self._held = []
        return events

    def _mapped(self, event: Event) -> Event | None:
        """The event with its place in the whole answer; None when it is none of the answer's."""
        if isinstance(event, TextDelta):
            return TextDelta(event.text, self._place(event.block, TextPart), event.choice, event.wire)
        if isinstance(event, ReasoningDelta):
            return replace(event, block=self._place(event.block, ReasoningPart))
        if isinstance(event, (ArgumentsDelta, BlockEnd)):
            return replace(event, block=self._place(event.block, None))
        if isinstance(event, BlockStart):
            return self._opened(event)
        if isinstance(event, UsageUpdate):
            return UsageUpdate(self._add(self._used, event.usage) or event.usage)
        if isinstance(event, ReplyStart):
            self.start = event
            return None
        return event

    def _opened(self, event: BlockStart) -> Event | None:
        block = self._place(event.block, type(event.part))
        if block != self._continued or not isinstance(event.part, TextPart):
            return replace(event, block=block)
        return TextDelta(event.part.text, block) if event.part.text else None

    def _place(self, block: int, kind: type[Part] | None) -> int:
        place = self._blocks.get(block)
        if place is None:
            taken = self._continued in self._blocks.values()
            if kind is TextPart and self._continued is not None and not taken:
                place = self._continued
            else:
                place = self._next
                self._next += 1
            self._blocks[block] = place
        return place


def _unfolded(answer: Completion) -> list[Event]:
    """An answer that came in one piece, as the events that would have brought it."""
    events: list[Event] = [ReplyStart(answer.id, answer.model, answer.created)]
    for block, part in enumerate(answer.message.parts):
        if isinstance(part, TextPart):
            events += [BlockStart(block, replace(part, text="")), TextDelta(part.text, block), BlockEnd(block)]
        else:
            events += [BlockStart(block, part), BlockEnd(block)]
    if answer.usage is not None:
        events.append(UsageUpdate(answer.usage))
    return [*events, Finish(answer.finish_reason), ReplyEnd()]
