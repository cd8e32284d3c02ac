"""Tells sinks what a framework does: a RunFinished for every step, with tokens, money and redacted content.

Framework-neutral. What is said here never raises into the framework, never waits for anything, and never asks which
step is current: who stands around whom is told by the framework's own ids.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from aistrale.default import get_engine
from aistrale.errors import AistraleError
from aistrale.integrations.content import content_of
from aistrale.integrations.runs import LIMIT, TTL, Run, RunMap, RunUsage
from aistrale.integrations.steps import begun, end, surround
from aistrale.scope import add_witness, current
from aistrale.telemetry.events import RunFinished
from aistrale.telemetry.instrument import Step
from aistrale.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from aistrale.client import AsyncClient, Client
    from aistrale.engine import Engine
    from aistrale.telemetry.events import Content, RunOutcome, RunType, TelemetryEvent
    from aistrale.telemetry.instrument import Instrument

_log = logging.getLogger("aistrale.integrations")

MODELS: Final = frozenset({"llm", "embedding"})
"""Types of steps that use tokens."""
# Where nothing else says who makes a call. An id, not the step: what is said in it must not live as long as a context.
_begun: ContextVar[str | None] = ContextVar("aistrale_run", default=None)
# A step that makes more calls than this is none of which a single one could be named.
_MOST_MADE: Final = 16
# Seconds until a process-wide client that could not be set up is asked for again.
_PATIENCE: Final = 60.0
# How frameworks call the providers of our price book.
_PROVIDERS: Final = {
    "openai": "openai",
    "azure": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "google": "gemini",
    "google_genai": "gemini",
    "google-genai": "gemini",
    "groq": "groq",
    "huggingface": "huggingface",
}


class Reports:
    """Follows the steps of one framework.

    Args:
        framework: Its name, as events have it.
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        emit: Where events go, instead of the client's sinks; must not wait or raise.
        capture: Whether content is kept; None for what `aistrale.context` and the client's settings say.
        ttl: Seconds without a sign of life after which a step is given up, as "incomplete".
        limit: Most steps that are followed at once; above it the oldest are given up.
        clock: Monotonic seconds.
        asking: Which step makes the call that is made just now; None for the model's that began last in the context.
    """

    def __init__(
        self,
        framework: str,
        *,
        client: Client | AsyncClient | None = None,
        emit: Callable[[TelemetryEvent], None] | None = None,
        capture: bool | None = None,
        ttl: float = TTL,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
        asking: Callable[[], Run | None] | None = None,
    ) -> None:
        self.framework = framework
        self.runs = RunMap(self._lost, ttl=ttl, limit=limit, clock=clock)
        self._client = client
        self._emit = emit
        self._capture = capture
        self._clock = clock
        self._asking = asking or self.latest
        self._again = 0.0
        self._complained: set[str] = set()
        add_witness(self)

    # --- what frameworks tell ------------------------------------------------------------------------------------

    def begin(
        self,
        run_id: str,
        type: RunType,
        name: str,
        parent: str | None = None,
        tags: tuple[str, ...] = (),
        *,
        conversation: str | None = None,
        tool_call_id: str | None = None,
        description: str | None = None,
    ) -> Run | None:
        """A step begins; None where nobody wants to know, or it is followed already."""
        engine = self.engine()
        if self._sink(engine) is None:
            return None
        now = self._clock()
        run = Run(id=run_id, type=type, name=name, parent=parent, tags=tags, started=now, at=time.time())
        instruments = self._instruments(engine)
        run.shown = self._wanted(engine)
        run.capture = run.shown or self._asked(instruments)
        if not self.runs.start(run):
            return None
        above = None if parent is None else self.runs.get(parent)
        agent = None if above is None else above.agent
        run.agent = name if type == "agent" else agent
        if instruments:
            step = Step(
                type=type,
                name=name,
                root=above is None,
                context=current(),
                agent=agent,
                conversation=current().session or conversation,
                call_id=tool_call_id,
                description=description,
            )
            run.spans, run.around = begun(instruments, step, above.around if above else ())
        if type in MODELS:
            _begun.set(run_id)
        return run

    def piece(self, run: Run, *, content: bool) -> None:
        """A piece of a step's answer has come; only the first with content is timed."""
        run.streamed = True
        if content and run.first_token is None:
            run.first_token = self._clock() - run.started

    def end(self, run_id: str, error: BaseException | None = None) -> None:
        """A step is over; the second time nothing happens.

        Args:
            run_id: Which one; what is known of it stands in its Run.
            error: What it raised. What is no Exception, such as GeneratorExit or a cancellation, is no failure.
        """
        run = self.runs.pop(run_id)
        if run is None:
            return
        if error is None:
            outcome: RunOutcome = "success"
        else:
            outcome = "error" if isinstance(error, Exception) else "cancelled"
        self._tell(run, outcome, self._clock() - run.started, type(error).__name__ if outcome == "error" else None)

    def called(self, call_id: str) -> None:
        """A call of ours is made: its tokens are those of the model's step that makes it, if one does."""
        self._inside(call_id, "a call of ours", made=True)

    def entered(self, function_id: str) -> None:
        """A decorated function is called: its span stands beneath that of the step that runs it."""
        self._inside(function_id, "a function", made=False)

    def _inside(self, own: str, what: str, *, made: bool) -> None:
        if not len(self.runs):
            return
        try:
            run = self._asking()
            if run is None:
                return
            if made and run.type in MODELS and len(run.made) < _MOST_MADE:
                run.made.append(own)
            surround(run.around, own)
        except Exception:  # noqa: BLE001 - this is in the midst of the call
            self.failed(what)

    def latest(self) -> Run | None:
        """The model's step that began last in this context.

        None once its answer comes piece by piece: its call was made, and its reader shares the context with it.
        """
        run_id = _begun.get()
        run = None if run_id is None else self.runs.get(run_id)
        return None if run is None or run.streamed else run

    def failed(self, where: str) -> None:
        """Note, in an except clause, that telling failed; logged once for each place, without what was said."""
        if where not in self._complained:
            self._complained.add(where)
            _log.warning("%s: %s cannot be told to sinks; further cases are not logged", self.framework, where)
            _log.debug("%s: %s", self.framework, _way_to(sys.exception()))

    # --- what sinks get --------------------------------------------------------------------------------------------

    def _lost(self, run: Run) -> None:
        try:
            self._tell(run, "incomplete", max(run.seen - run.started, 0.0), None)
        except Exception:  # noqa: BLE001 - the thread that looks for lost steps goes on
            self.failed("a step that never ended")

    def _tell(self, run: Run, outcome: RunOutcome, latency: float, error: str | None) -> None:
        engine = self.engine()
        emit = self._sink(engine)
        if emit is None and not run.spans:
            return
        if run.made and run.call_id is None:
            # Somebody else's model that came to us after all: through the drop-in, or by its own code.
            run.ours, run.call_id = True, run.made[0] if len(run.made) == 1 else None
        # A call of ours is in the ledger and in events of its own: whoever adds up would count it twice. What came out
        # of the framework's cache was counted when it went in.
        usage = RunUsage() if run.ours or run.usage is None or not run.usage.billed else run.usage
        content = self._content(run, engine) if run.capture else None
        event = RunFinished(
            call_id=run.call_id,
            at=run.at + latency,
            framework=self.framework,
            run_id=run.id,
            parent_run_id=run.parent,
            type=run.type,
            name=run.name,
            latency=latency,
            outcome=outcome,
            error=error,
            provider=run.provider,
            model=run.model,
            streamed=run.streamed,
            first_token=run.first_token,
            input_tokens=usage.input,
            output_tokens=usage.output,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            reasoning_tokens=usage.reasoning,
            cost=None if run.ours else self._cost(run, engine),
            tags=run.tags,
            documents=run.documents,
            content=content if run.shown else None,
        )
        if emit is not None:
            emit(event)
        end(run.spans, event, content)

    def _content(self, run: Run, engine: Engine | None) -> Content | None:
        try:
            return content_of(run, engine)
        except Exception:  # noqa: BLE001 - the step is told of without it
            self.failed("what was said")
            return None

    def _cost(self, run: Run, engine: Engine | None) -> Decimal | None:
        usage = run.usage
        if run.cost is not None or usage is None or engine is None or not run.provider or not run.model:
            return run.cost
        provider = _PROVIDERS.get(run.provider.lower(), run.provider)
        model = run.model.removeprefix("models/")
        return engine.accounts.price(provider, model, _buckets(usage), at=run.at).usd

    # --- whose -------------------------------------------------------------------------------------------------------

    def engine(self) -> Engine | None:
        """Of the client that is told, at this moment; None where there is none."""
        if self._client is None and self._clock() < self._again:
            return None
        try:
            return get_engine(self._client)
        except AistraleError as error:
            self._again = self._clock() + _PATIENCE
            _log.warning("%s: sinks are told nothing, since there is no client: %s", self.framework, error)
            return None

    def _sink(self, engine: Engine | None) -> Callable[[TelemetryEvent], None] | None:
        if self._emit is not None:
            return self._emit
        hub = None if engine is None else engine.reporting.hub
        return None if hub is None else hub.emit

    def _instruments(self, engine: Engine | None) -> tuple[Instrument, ...]:
        """What makes spans; none where events go elsewhere than to the client's sinks."""
        return () if engine is None or self._emit is not None else engine.reporting.instruments

    def _asked(self, instruments: tuple[Instrument, ...]) -> bool:
        """Whether an instrument wants what is said although nobody else does; who forbids it is obeyed."""
        if self._capture is False or current().capture is False:
            return False
        return any(getattr(own, "content", False) for own in instruments)

    def _wanted(self, engine: Engine | None) -> bool:
        if self._capture is not None:
            return self._capture
        asked = current().capture
        if asked is not None:
            return asked
        return engine is not None and engine.settings.capture


def _buckets(usage: RunUsage) -> Usage:
    """The disjoint buckets of overlapping counts."""
    timed = (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    untimed = None if usage.cache_write is None else max(usage.cache_write - timed, 0)
    return Usage(
        input=_rest(usage.input, usage.cache_read, usage.cache_write, usage.audio_input),
        cache_read=usage.cache_read,
        cache_write=untimed,
        cache_write_5m=usage.cache_write_5m,
        cache_write_1h=usage.cache_write_1h,
        output=_rest(usage.output, usage.reasoning, usage.audio_output),
        reasoning=usage.reasoning,
        audio_input=usage.audio_input,
        audio_output=usage.audio_output,
    )


def _rest(whole: int | None, *parts: int | None) -> int | None:
    return None if whole is None else max(whole - sum(part or 0 for part in parts), 0)


def _way_to(error: BaseException | None) -> str:
    """The way to an error, and its class; its text may quote what was said."""
    if error is None:
        return ""
    return "".join((*traceback.format_tb(error.__traceback__), type(error).__name__))


def together(usages: Sequence[RunUsage]) -> RunUsage | None:
    """The sum of several exchanges; None of none."""
    if not usages:
        return None
    total = RunUsage(billed=any(usage.billed for usage in usages))
    for name in (item for item in RunUsage.__slots__ if item != "billed"):
        told = [count for usage in usages if (count := getattr(usage, name)) is not None]
        setattr(total, name, sum(told) if told else None)
    return total


def merged(usages: Sequence[RunUsage]) -> RunUsage | None:
    """The usage of one exchange of which several alternatives were told: each has the whole, or its own part."""
    if usages and all(usage == usages[0] for usage in usages):
        return usages[0]
    return together(usages)
