"""Follows LlamaIndex's spans and events, and makes steps of them.

Three things make that more than opening and closing: a span of a stream ends before its first piece comes; one call of
a model may be told of several times, by methods that call each other; and failures end without an end event. So a
model's step is opened by its span or its first event, and closed by whatever says first that it is over; spans inside
it belong to it; and a stream that was handed out stays open until its end is told, or nobody has it any more.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from itertools import count
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Final, TypeAlias

from llama_index_instrumentation.span import active_span_id

from aistrale.integrations.llamaindex.asking import followers
from aistrale.integrations.llamaindex.enclosing import enclosing_call
from aistrale.integrations.llamaindex.kinds import description_of, kind_of, label, name_of, provider_of
from aistrale.integrations.llamaindex.usage import usage_of
from aistrale.integrations.reports import MODELS, Reports, together
from aistrale.integrations.runs import LIMIT, TTL, Run, RunMap, RunUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from aistrale.client import AsyncClient, Client
    from aistrale.integrations.llamaindex.asking import OwnCall
    from aistrale.telemetry.events import RunType, TelemetryEvent

Pieces: TypeAlias = "GeneratorType[object, object, object] | AsyncGeneratorType[object, object]"

# Streams that were handed out and are looked for on the stack; more than anybody reads at once.
_STREAMS: Final = 1024
_TAG: Final = 200
_DEPTH: Final = 64


class UnknownError(Exception):
    """Stands for an error of which only the text is told, which may quote what was said."""


@dataclass(slots=True, kw_only=True, eq=False)
class Step(Run):
    """A span that is under way, a step of its own or not.

    Args:
        order: Grows with each step and each stream that is handed out: tells what came first.
        run: What sinks are told of it; None where it is no step of its own.
        host: The step that it belongs to, itself where it is one; None outside of all.
        owner: Identifies whose method it is, as long as that lives.
        entered: Whether a span stands behind it, not only events.
        over: Whether its end was told already.
        calls: Calls of ours that it consists of.
        asking: The innermost call of a model around it, itself where it is one; also one that is not told of.
        outside: The call of a model right around a call of a model.
        inner: What the model calls right inside it used, which are not told of themselves.
    """

    order: int
    run: Run | None = None
    host: Step | None = None
    owner: int = 0
    entered: bool = False
    over: bool = False
    calls: list[OwnCall] = field(default_factory=list)
    asking: Step | None = None
    outside: Step | None = None
    inner: list[RunUsage] = field(default_factory=list)


class Tracker:
    """What both handlers share. Its methods may raise; the handlers catch that.

    Args:
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        capture: Whether content is kept; None for what the context and the client's settings say.
        emit: Where events go, in place of the client's sinks.
        ttl: Seconds without a sign of life after which a step is given up, as "incomplete".
        limit: Most spans that are followed at once.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        capture: bool | None = None,
        emit: Callable[[TelemetryEvent], None] | None = None,
        ttl: float = TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reports = Reports(
            "llamaindex",
            client=client,
            capture=capture,
            emit=emit,
            ttl=ttl,
            limit=limit,
            clock=clock,
            asking=self._asking,
        )
        # What nobody is told of needs no word when it is given up; `reports` has the steps themselves.
        self.spans = RunMap(_forget, ttl=ttl, limit=limit, clock=clock)
        self.client = client
        self._clock = clock
        self._order = count()
        self._streams: dict[int, dict[int, tuple[weakref.ref[Pieces], Step, int]]] = {}
        followers.add(self)

    # --- spans -----------------------------------------------------------------------------------------------------

    def enter(
        self, span_id: str, instance: object, parent_id: str | None, tags: Mapping[str, object] | None
    ) -> Step | None:
        """A span begins; None where it is known already."""
        around = self._around(parent_id)
        name = label(span_id)
        step = self._begin(span_id, kind_of(instance, name), name, around, parent_id, tags or {}, instance)
        if step is not None:
            step.entered = True
        return step

    def leave(self, span_id: str, result: object) -> Step | None:
        """A span ends; a stream that it hands out is not over. Returns the step if it ends here."""
        step = self._step(span_id)
        if step is None:
            return None
        if isinstance(result, (Generator, AsyncGenerator)):
            self._hand_out(result, step)
            if step.run is not None:
                step.run.streamed = True
            if step.type == "llm" and not step.over:
                return None
        elif step.type == "llm" and not step.over:
            # Of classes that tell no events of their own, the answer is only seen here.
            self.answered(step, result)
            return step
        self.end(step)
        return step

    def drop(self, span_id: str, error: BaseException | None) -> None:
        """A span failed."""
        step = self._step(span_id)
        if step is not None:
            self.end(step, error or UnknownError())

    # --- steps -----------------------------------------------------------------------------------------------------

    def find(self, span_id: str | None) -> Step | None:
        """The step of a span, which thereby gives a sign of life."""
        step = None if span_id is None else self._step(span_id)
        if step is not None and step.host is not None:
            self.reports.runs.get(step.host.id)
        return step

    def told(self, span_id: str | None, kind: RunType) -> Step | None:
        """The step of an event that begins one: begun here where no span handler saw its span."""
        step = self.find(span_id)
        if step is not None or span_id is None:
            return step
        outer = enclosing_call() if kind == "llm" else None
        around = None if outer is None or outer.span_id is None else self._step(outer.span_id)
        return self._begin(span_id, kind, label(span_id), around, None, {}, None)

    def piece(self, step: Step, *, content: bool) -> None:
        """A piece of a model's answer came."""
        run = None if step.host is None else step.host.run
        if run is not None:
            self.reports.piece(run, content=content)

    def answered(self, step: Step, response: object) -> None:
        """A model's answer is complete; where its class tells no usage, that of the calls inside is added up."""
        usage = usage_of(response) or together(step.inner)
        if step.run is not None:
            step.run.usage = usage
        elif usage is not None and step.outside is not None:
            step.outside.inner.append(usage)
        self.end(step)

    def end(self, step: Step, error: BaseException | None = None) -> None:
        """A step is over; the second time nothing happens to it."""
        if step.run is not None and not step.over:
            step.over = True
            if step.calls:
                _credit(step.run, step.calls)
            self.reports.end(step.run.id, error)
        step.over = True
        self.spans.pop(step.id)

    def called(self, span_id: str, own: OwnCall) -> None:
        """A call of ours begins inside a span; never raises, since that is in the midst of the call."""
        try:
            step = self._step(span_id)
            host = None if step is None else step.host
            if host is not None and host.run is not None and host.type in MODELS and not host.over:
                host.calls.append(own)
                _credit(host.run, host.calls)
        except Exception:  # noqa: BLE001
            self.reports.failed("a call of ours")

    def _asking(self) -> Run | None:
        """The model's step that makes a call just now."""
        step = self._around(active_span_id.get())
        host = None if step is None else step.host
        return host.run if host is not None and not host.over else None

    def close(self) -> None:
        """Give up all that is under way."""
        self._streams.clear()
        self.spans.clear()
        self.reports.runs.clear()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _step(self, span_id: str) -> Step | None:
        step = self.spans.get(span_id)
        return step if isinstance(step, Step) else None

    def _begin(  # noqa: PLR0917 - what a span is known by
        self,
        span_id: str,
        kind: RunType | None,
        name: str,
        around: Step | None,
        parent_id: str | None,
        tags: Mapping[str, object],
        instance: object,
    ) -> Step | None:
        host = None if around is None else around.host
        asking = None if around is None else around.asking
        told = kind is not None and not _belongs(kind, around, _owner(instance))
        now = self._clock()
        step = Step(
            id=span_id,
            type=kind or "other",
            name=name,
            parent=parent_id if around is None else around.id,
            started=now,
            at=0.0,
            order=next(self._order),
            host=host,
            owner=_owner(instance),
            asking=asking,
        )
        if kind == "llm":
            step.asking, step.outside = step, asking
        if not self.spans.start(step):
            return None
        if kind is not None and told:
            above = parent_id if around is None else (None if host is None else host.id)
            shown = name if instance is None else name_of(instance, kind, name)
            step.run = self.reports.begin(
                span_id, kind, shown, above, _tags(tags), description=description_of(instance, kind)
            )
            step.host = step if step.run is not None else host
            if step.run is not None and kind in MODELS:
                step.run.provider = provider_of(instance)
        return step

    def _around(self, parent_id: str | None) -> Step | None:
        """The step that a new one stands in: that of the active span, or the stream that is being read just now."""
        step = None if parent_id is None else self._step(parent_id)
        stream = self._running() if self._streams else None
        if stream is None:
            return step
        running, handed_out = stream
        if step is None or step.order < handed_out:
            return running
        # Of two that stand around it, the one that does not stand around the other.
        return running if _model_under_way(running) and not self._inside(step, running) else step

    def _inside(self, step: Step, outer: Step) -> bool:
        found: Step | None = step
        for _ in range(_DEPTH):
            if found is None or found is outer:
                return found is outer
            found = None if found.parent is None else self._step(found.parent)
        return False

    def _running(self) -> tuple[Step, int] | None:
        """The stream whose code this thread runs just now, the innermost of them, and when it was handed out."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else says who is being read
        while frame is not None:
            alike = self._streams.get(id(frame.f_code))
            for reference, step, order in list(alike.values()) if alike else ():
                if (pieces := reference()) is not None and _frame_of(pieces) is frame:
                    return step, order
            frame = frame.f_back
        return None

    def _hand_out(self, pieces: object, step: Step) -> None:
        if not isinstance(pieces, (GeneratorType, AsyncGeneratorType)):
            return
        # By their code, of which there are few: a stack is compared with that before single streams are looked at.
        code = pieces.gi_code if isinstance(pieces, GeneratorType) else pieces.ag_code
        alike = self._streams.setdefault(id(code), {})
        key = id(pieces)

        def gone(_: object) -> None:
            alike.pop(key, None)
            self._gone(step)

        while len(alike) >= _STREAMS:
            alike.pop(next(iter(alike)), None)
        alike[key] = (weakref.ref(pieces, gone), step, next(self._order))

    def _gone(self, step: Step) -> None:
        """Nobody can read a stream any more; the framework says so itself only of those that were begun."""
        try:
            if step.type == "llm" and not step.over:
                self.end(step, GeneratorExit())
        except Exception:  # noqa: BLE001 - this may run inside any other code
            self.reports.failed("a stream that was dropped")


def _owner(instance: object) -> int:
    return 0 if instance is None else id(instance)


def _frame_of(pieces: Pieces) -> FrameType | None:
    return pieces.gi_frame if isinstance(pieces, GeneratorType) else pieces.ag_frame


def _model_under_way(step: Step) -> bool:
    return step.host is not None and step.host.type == "llm" and not step.host.over


def _belongs(kind: RunType, around: Step | None, owner: int) -> bool:
    """Whether a step is a part of the one around it, which is told of in its place."""
    host = None if around is None else around.host
    if host is None or host.over:
        return False
    # A method that a class builds out of another one of its own is one step; of models, whichever classes are in it.
    return kind == host.type and (kind == "llm" or (owner != 0 and host.owner == owner))


def _credit(run: Run, calls: list[OwnCall]) -> None:
    """Say that a step is ours; of one that made several calls no single one can be named."""
    run.ours = True
    first = calls[0]
    run.call_id = first.call_id if len(calls) == 1 else None
    run.provider = first.provider or run.provider
    run.model = first.model or run.model


def _tags(tags: Mapping[str, object]) -> tuple[str, ...]:
    """The application's labels; the framework's own ones quote what was said."""
    return tuple(
        f"{name}={value}"[:_TAG]
        for name, value in tags.items()
        if not name.startswith("llamaindex.") and isinstance(value, (str, int, float, bool))
    )


def _forget(_: Run) -> None:
    pass
