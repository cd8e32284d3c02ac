"""A tap that judges an answer before it is delivered: whole, or through a window that moves over its stream.

Of a stream at most 256 characters of each block are held back, and 192 of them stay until more has come or the block
ends: a value up to that length is seen whole before its first character is delivered. A longer one (a key in PEM, a
long token) is judged by the part that is there, and what follows it up to the next space goes with it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from aistrale.policies.texts import rewrite
from aistrale.privacy.dlp import judge
from aistrale.privacy.look import look
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    Request,
    StreamError,
    Switched,
    TextDelta,
    TextPart,
    ToolCallPart,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aistrale.policies.texts import Kind
    from aistrale.privacy.dlp import Decision, Rule, Seen, Verdict, Where
    from aistrale.privacy.look import Finder
    from aistrale.types import Completion, Event, Part

HOLD: Final = 256
"""Most characters of a block that are held back."""

_KEEP: Final = 192
# How much of what was delivered is looked at once more, for what it says about what follows.
_BEFORE: Final = 64
_REPLACING: Final = frozenset({"redact", "encrypt"})
_NO_SPACE: Final = re.compile(r"[^\s\"']*")


class Judged(Protocol):
    """Is told of every verdict that is not empty, before anything of what it is about is delivered."""

    def __call__(self, verdict: Verdict, /) -> None:
        """Report it; raise to end the reply."""
        ...


class Judge:
    """Looks at the texts of one answer and remembers what it has seen, for the thresholds of rules.

    Args:
        scanner: Finds the types.
        rules: Those that speak of the answer.
        where: Whose call it is.
        judged: Is told.
        failed: Gets the class name of what a scanner raised; returns to have the rest pass unjudged, or raises.
        spared: Whether a value (type, text) is the caller's own or allowed.
        replacing: Whether values are replaced at all; in a dry run they are not.
    """

    def __init__(
        self,
        scanner: Finder,
        rules: Sequence[Rule],
        where: Where,
        *,
        judged: Judged,
        failed: Callable[[str], None],
        spared: Callable[[str, str], bool],
        replacing: bool,
    ) -> None:
        self._scanner = scanner
        self._rules = rules
        self._where = where
        self._judged = judged
        self._failed = failed
        self._broken = False
        self._spared = spared
        self._replacing = replacing
        self._earlier: dict[tuple[str, str, tuple[str, ...]], Seen] = {}

    def look(self, texts: Iterable[tuple[str, str]]) -> list[Seen]:
        """What the rules speak of."""
        if self._broken:
            return []
        try:
            return look(texts, self._scanner, self._rules, allowed=self._spared)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer was not looked at
            name = type(error).__name__
        # Told here and not where it was caught: its own words may quote the text that it stumbled over.
        self._failed(name)
        self._broken = True
        return []

    def decide(self, seen: list[Seen]) -> list[Decision]:
        """What is to be replaced.

        Raises:
            DLPViolation: What is to be blocked.
        """
        if not seen:
            return []
        verdict = judge(self._rules, seen, self._where, "in", earlier=tuple(self._earlier.values()))
        for value in seen:
            self._earlier.setdefault((value.value, value.rule, value.types), value)
        if verdict.hits:
            self._judged(verdict)
        return [each for each in verdict.decisions if each.action in _REPLACING] if self._replacing else []


class Screen:
    """The tap.

    Args:
        judge: Of this answer.
    """

    __slots__ = ("_channels", "_judge")

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._channels: dict[tuple[int, int], _Channel] = {}

    def feed(self, event: Event) -> Iterable[Event]:
        """Hold text back, give what has been judged."""
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta or kind is ArgumentsDelta:
            return self._delta(cast("_Delta", event))
        if kind is BlockStart:
            return self._start(cast("BlockStart", event))
        if kind is BlockEnd:
            ended = cast("BlockEnd", event)
            return [*self._flush(lambda key: key == (ended.choice, ended.block)), self._noted(ended)]
        if kind is Finish:
            finished = cast("Finish", event)
            return [*self._flush(lambda key: key[0] == finished.choice), self._noted(finished)]
        if kind is ReplyStart:
            return (self._noted(cast("ReplyStart", event)),)
        if kind is ReplyEnd:
            return [*self.finish(), self._noted(cast("ReplyEnd", event))]
        if kind in {StreamError, Switched}:
            return [*self.finish(), event]
        if kind is Whole:
            return (Whole(screened(cast("Whole", event).completion, self._judge)),)
        return (event,)

    def finish(self) -> Iterable[Event]:
        """Judge and give all that is held."""
        return list(self._flush(lambda _: True))

    def _noted(self, event: _Noted) -> _Noted:
        """An event whose fields that the hub does not know are judged."""
        wire = event.wire
        if wire is None or not wire.fields:
            return event
        messages = _rewritten([Message("assistant", wire=wire)], self._judge)
        return event if messages is None else replace(event, wire=messages[0].wire)

    def _delta(self, event: _Delta) -> Iterable[Event]:
        key = event.choice, event.block
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(self._judge, type(event), key)
        return channel.add(event)

    def _start(self, event: BlockStart) -> Iterable[Event]:
        # What came before in this choice is complete, or goes on beside it: nothing may overtake it.
        before = self._flush(lambda key: key[0] == event.choice)
        part, first = _emptied(event)
        if first is None:
            part = _part(event.part, self._judge)
            return [*before, event if part is event.part else replace(event, part=part)]
        return [*before, replace(event, part=part), *self._delta(first)] if _said(first) else [*before, event]

    def _flush(self, wanted: Callable[[tuple[int, int]], bool]) -> list[Event]:
        return [
            event for key, channel in self._channels.items() if wanted(key) for event in channel.release(final=True)
        ]


_Noted = TypeVar("_Noted", BlockEnd, Finish, ReplyStart, ReplyEnd)
_Delta = TextDelta | ReasoningDelta | ArgumentsDelta


class _Channel:
    """The text of one block.

    Args:
        judge: Of the answer.
        kind: Of its events.
        key: Choice and block.
    """

    __slots__ = ("_before", "_held", "_judge", "_key", "_kind", "_length", "_swallowing")

    def __init__(self, judge: Judge, kind: type[_Delta], key: tuple[int, int]) -> None:
        self._judge = judge
        self._kind = kind
        self._key = key
        self._held: list[_Delta] = []
        self._length = 0
        self._before = ""
        self._swallowing = False

    def add(self, event: _Delta) -> Iterable[Event]:
        """Hold an event; what can be given because of it."""
        self._held.append(event)
        self._length += len(_said(event))
        return self.release(final=False) if self._length > HOLD else ()

    def release(self, *, final: bool) -> Iterable[Event]:
        """Judge what is held.

        Args:
            final: Whether nothing more comes; else the last characters stay.
        """
        if not self._held:
            return ()
        before = len(self._before)
        text = self._before + "".join(map(_said, self._held))
        if self._swallowing:
            text = self._swallow(text, before)
        cut = len(text) if final else max(len(text) - _KEEP, before)
        path = f"choices[{self._key[0]}].block[{self._key[1]}]"
        # What ends in what was delivered has been judged; what begins in what stays will be.
        seen = [each for each in self._judge.look([(path, text)]) if each.end > before and each.start < cut]
        spans = [(max(each.seen.start, before), each.seen.end, mask(each)) for each in self._judge.decide(seen)]
        cut = max([cut, *(each.end for each in seen)])
        if not final and cut == len(text) and spans and spans[-1][1] == cut:
            # The value may go on, and the rest of it would tell what it was.
            self._swallowing = True
        events, taken = self._take(cut - before, whole=not spans)
        if spans:
            given = replaced(text, before, cut, spans, json=self._kind is ArgumentsDelta)
            events = [self._said_again(given)] if given else []
        self._before = text[max(0, before + taken - _BEFORE) : before + taken]
        return events

    def _swallow(self, text: str, before: int) -> str:
        """The text without what still belongs to a value that was replaced."""
        match = _NO_SPACE.match(text, before)
        end = before if match is None else match.end()
        rest = text[end:]
        self._swallowing = not rest
        self._held = [self._said_again(rest)] if rest else []
        self._length = len(rest)
        return self._before + rest

    def _take(self, length: int, *, whole: bool) -> tuple[list[_Delta], int]:
        """The events of the first characters that are held, and of how many.

        Args:
            length: How many; the last event is parted where it is longer.
            whole: Whether an event stays whole if it is short, and is held for longer: what it has beside its text (log
                probabilities) is not lost.
        """
        out: list[_Delta] = []
        taken = 0
        while self._held and taken < length:
            event = self._held[0]
            said = _said(event)
            if taken + len(said) > length:
                if whole and out and len(said) <= HOLD - _KEEP:
                    break
                split = length - taken
                out.append(_with(event, said[:split]))
                self._held[0] = self._said_again(said[split:])
                taken = length
                break
            out.append(event)
            taken += len(said)
            del self._held[0]
        self._length -= taken
        return out, taken

    def _said_again(self, text: str) -> _Delta:
        choice, block = self._key
        if self._kind is TextDelta:
            return TextDelta(text, block, choice)
        return self._kind(text, block, choice)


def screened(completion: Completion, judge: Judge) -> Completion:
    """A whole answer, judged, with what is to be replaced replaced.

    Raises:
        DLPViolation: It is blocked.
    """
    messages = _rewritten([choice.message for choice in completion.choices], judge)
    if messages is None:
        return completion
    choices = [
        # Log probabilities and the like spell the text once more.
        choice if message is choice.message else replace(choice, message=message, wire=None)
        for choice, message in zip(completion.choices, messages, strict=True)
    ]
    return replace(completion, choices=choices)


def _part(part: Part, judge: Judge) -> Part:
    """A part that comes whole within a stream."""
    messages = _rewritten([Message("assistant", [part])], judge)
    return part if messages is None else messages[0].parts[0]


def _rewritten(messages: list[Message], judge: Judge) -> list[Message] | None:
    """Messages with what is to be replaced replaced; None where nothing is."""
    texts: list[tuple[str, str]] = []
    kinds: dict[str, Kind] = {}

    def read(path: str, kind: Kind, text: str, /) -> str:
        texts.append((path, text))
        kinds[path] = kind
        return text

    request = Request(model="", messages=messages)
    rewrite(request, read)
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for each in judge.decide(judge.look(texts)):
        spans.setdefault(each.seen.path, []).append((each.seen.start, each.seen.end, mask(each)))
    if not spans:
        return None

    def write(path: str, kind: Kind, text: str, /) -> str:
        return replaced(text, 0, len(text), spans[path], json=kind == "json") if path in spans else text

    return cast("Request", rewrite(request, write)).messages


def mask(decision: Decision) -> str:
    """What stands in the place of a value that nobody will restore."""
    return f"[[{decision.seen.types[0]}]]"


def replaced(text: str, start: int, end: int, spans: Sequence[tuple[int, int, str]], *, json: bool) -> str:
    """A stretch of a text with other text in place of some of its stretches, which may overlap."""
    out: list[str] = []
    at = start
    for first, last, mask_text in sorted(spans):
        if last <= at:
            continue
        if first >= at:
            # A number in JSON cannot become a word.
            bare = json and text[at:first].rstrip()[-1:] in {":", ",", "["} and text[first:last].isdigit()
            out += (text[at:first], "0" if bare else mask_text)
        at = last
    out.append(text[at:end])
    return "".join(out)


def _emptied(event: BlockStart) -> tuple[Part, _Delta | None]:
    """The part that a block begins with, without its text, and the text as an event."""
    part = event.part
    if isinstance(part, (TextPart, RefusalPart)):
        return replace(part, text=""), TextDelta(part.text, event.block, event.choice)
    if isinstance(part, ReasoningPart):
        return replace(part, text=""), ReasoningDelta(part.text, event.block, event.choice)
    if isinstance(part, ToolCallPart):
        return replace(part, arguments=""), ArgumentsDelta(part.arguments, event.block, event.choice)
    return part, None


def _said(event: _Delta) -> str:
    if isinstance(event, TextDelta):
        return event.text
    return event.reasoning if isinstance(event, ReasoningDelta) else event.arguments


def _with(event: _Delta, text: str) -> _Delta:
    if isinstance(event, TextDelta):
        # Its log probabilities would spell all of it.
        return replace(event, text=text, wire=None)
    if isinstance(event, ReasoningDelta):
        return replace(event, reasoning=text)
    return replace(event, arguments=text)
