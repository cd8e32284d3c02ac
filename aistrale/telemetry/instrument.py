"""What follows calls while they run: spans must be current in the context of what they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aistrale.core.call import Attempt, Call, Context
    from aistrale.core.reply import Reply
    from aistrale.telemetry.events import Content, FunctionFinished, RunFinished, RunType
    from aistrale.types import Event


class Span(Protocol):
    """The time of one call or attempt. Never held across a `yield`: it is current only while we wait ourselves."""

    def activate(self) -> object:
        """Make it current; what is given is for `deactivate`."""
        ...

    def deactivate(self, token: object) -> None:
        """Make current again what was before; must do nothing in another context than the one it was activated in."""
        ...

    def chunk(self, event: Event) -> None:
        """An event of a streamed answer has arrived; only asked for where `Instrument.chunks` is True."""
        ...

    def end(self, reply: Reply | None, error: BaseException | None) -> None:
        """It is over; only the first time counts.

        Args:
            reply: With its outcome and what was answered; None where there was none.
            error: What ended it; None for success and for a stream that nobody read to its end.
        """
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class Step:
    """A step of a framework that begins: a tool is run, an agent or a chain, documents are looked for.

    Args:
        type: What kind of step.
        name: What the framework calls it.
        root: Whether no step that is followed stands around it.
        context: Who runs it.
        agent: The name of the innermost agent around it.
        conversation: What it belongs to, where the framework or the context says so.
        call_id: Of a tool: the id by which a model has asked for it.
        description: Of a tool: what it is for.
    """

    type: RunType
    name: str
    root: bool
    context: Context
    agent: str | None = None
    conversation: str | None = None
    call_id: str | None = None
    description: str | None = None


class StepSpan(Protocol):
    """The time of a step. It is never current: frameworks end steps where they did not begin them."""

    def surrounds(self, call_id: str) -> None:
        """A call of ours is about to begin inside of it."""
        ...

    def end(self, event: RunFinished, content: Content | None) -> None:
        """It is over; only the first time counts.

        Args:
            event: What became of it.
            content: What was said, where the instrument or the settings want that; redacted.
        """
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class Function:
    """A decorated function that is called.

    Args:
        id: Of this execution.
        name: What it is called.
        context: What holds inside.
        nested: Whether another decorated function runs around it.
    """

    id: str
    name: str
    context: Context
    nested: bool


class FunctionSpan(Protocol):
    """The time of a decorated function. It is current while the body runs, and never across a `yield`."""

    def activate(self) -> None:
        """The body runs (on). It begins with the first time."""
        ...

    def deactivate(self) -> None:
        """It rests, or is over; must do nothing in another context than the one it was activated in.

        Done once more it must do nothing: an interrupt may come in the midst of it.
        """
        ...

    def surrounds(self, call_id: str) -> None:
        """A call of ours is made in the body; it may begin when the function is over, where it is a stream."""
        ...

    def end(self, event: FunctionFinished, content: Content | None) -> None:
        """It is over; only the first time counts. It may never have begun.

        Args:
            event: What became of it.
            content: Arguments and result as messages, where the instrument or the settings want that; redacted.
        """
        ...


class Instrument(Protocol):
    """Makes spans. What it raises is logged once and goes no further.

    It may have `content: bool`, True where it wants `Attempt.said` to remember what is said although the settings do
    not ask for it; a context that says `capture=False` is obeyed all the same. And it may have
    `step(step: Step, parent: StepSpan | None) -> StepSpan | None` for the steps of frameworks; None where it makes no
    span of a step, which then lies in the one around it. And `function(function: Function) -> FunctionSpan | None` for
    decorated functions.
    """

    chunks: bool
    """Whether it wants to be told of every event of a stream."""

    def call(self, call: Call) -> Span | None:
        """A call begins; None where it is not followed."""
        ...

    def attempt(self, call: Call, attempt: Attempt, parent: Span | None) -> Span | None:
        """An exchange with a provider begins.

        Args:
            call: Its call, or the leg of it.
            attempt: The attempt.
            parent: What `call` gave for the call.
        """
        ...
