"""A finished answer as a reply again: what the cache remembers and what the ladder serves instead of an exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aistrale.core.reply import Reply
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Completion,
    Embedded,
    Finish,
    ReasoningDelta,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    TextPart,
    ToolCallPart,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aistrale.types import Embeddings, Event, Part

# What no event of a stream carries.
_UNTOLD = ("provider", "target", "request_id", "lossy", "output_mode", "source", "cost")


def events_of(completion: Completion) -> list[Event]:
    """A finished answer as the events of a stream; `collect` makes the same answer of them again.

    What no event carries is lost on the way: who answered (`provider`, `target`, ...), `raw`, and the `wire` and `name`
    of a message.
    """
    events: list[Event] = [ReplyStart(completion.id, completion.model, completion.created, completion.wire)]
    for choice in completion.choices:
        for number, part in enumerate(choice.message.parts):
            events.extend(_block(part, number, choice.index))
        events.append(Finish(choice.finish_reason, choice.index, choice.stop_sequence, choice.wire))
    if completion.usage is not None:
        events.append(UsageUpdate(completion.usage))
    events.append(ReplyEnd())
    return events


def _block(part: Part, block: int, choice: int) -> Iterator[Event]:
    delta: Event | None = None
    if isinstance(part, (TextPart, RefusalPart)) and part.text:
        delta, part = TextDelta(part.text, block, choice), replace(part, text="")
    elif isinstance(part, ReasoningPart) and part.text:
        delta, part = ReasoningDelta(part.text, block, choice), replace(part, text="")
    elif isinstance(part, ToolCallPart) and part.arguments:
        delta, part = ArgumentsDelta(part.arguments, block, choice), replace(part, arguments="")
    # All of the part's opaque state comes at once: an encoder takes a thought that opens without any for a foreign one.
    yield BlockStart(block, part, choice)
    if delta is not None:
        yield delta
    yield BlockEnd(block, choice)


def replay(answer: Completion | Embeddings, *, stream: bool) -> Reply:
    """The reply that gives a finished answer.

    Args:
        answer: Belongs to the reply from now on: taps may change it.
        stream: Whether its reader wants the events of a stream. The finished answer is the same either way, but for
            `raw`, which a stream has not.
    """
    if not isinstance(answer, Completion):
        return Reply([Embedded(answer)])
    if not stream:
        return Reply([Whole(answer)])
    reply = Reply(events_of(answer))
    reply.on_close(_teller(answer))
    return reply


def _teller(answer: Completion) -> Callable[[Reply, BaseException | None], None]:
    """Writes what no event carries onto the answer that the reader has put together."""
    told = {name: getattr(answer, name) for name in _UNTOLD}
    messages = {choice.index: (choice.message.name, choice.message.wire) for choice in answer.choices}

    def tell(reply: Reply, _: BaseException | None) -> None:
        made = reply.accumulated.completion
        for name, value in told.items():
            setattr(made, name, value)
        for choice in made.choices:
            if choice.index in messages:
                choice.message.name, choice.message.wire = messages[choice.index]

    return tell
