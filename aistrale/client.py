"""The clients: thin faces over one engine; sync and async differ only in how they step it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, ParamSpec, Self, TypeVar, cast

from aistrale import spending, turns, upkeep
from aistrale.conversation import Session
from aistrale.core.runtime import run_sync
from aistrale.engine import Engine
from aistrale.streams import AsyncStream, Stream, stream_call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Concatenate, Unpack

    from aistrale.config.values import Setting
    from aistrale.core.pipeline import Pipeline
    from aistrale.cost.advice.types import Advice
    from aistrale.cost.anomalies.burn_rate import Burn
    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.forecasts.result import Forecast, MonthForecast
    from aistrale.cost.optimization.optimizer import Status
    from aistrale.cost.outlook import SpendAnomaly
    from aistrale.cost.report import CostReport
    from aistrale.cost.tokens.counters import Count
    from aistrale.cost.tokens.prediction import Estimate
    from aistrale.options import EmbedOptions, Options, Prompt
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.single import Redacted
    from aistrale.reliability.breaker_types import BreakerSnapshot
    from aistrale.reliability.gate import GateSnapshot
    from aistrale.routing.health import Health
    from aistrale.scope import ContextValues
    from aistrale.spending import Window
    from aistrale.store import LedgerHandle, NullLedger
    from aistrale.store.redis.connection import StateStatus
    from aistrale.telemetry.status import DeliveryStatus
    from aistrale.types import Completion, Embeddings
    from aistrale.upkeep import Warmed

P = ParamSpec("P")
T = TypeVar("T")


class _Face:
    """What both clients share.

    Args:
        settings: See aistrale.config.Settings; unknown names are errors.
    """

    def __init__(self, _engine: Engine | None = None, /, **settings: Setting) -> None:
        self._engine = _engine or Engine(settings)
        if _engine is None and self._engine.settings.probe is not None:
            self._probing = upkeep.Probing(self._engine)
            self._engine.on_call = self._probing.wake

    @property
    def pipeline(self) -> Pipeline:
        """The policies in their order; `pipeline.describe()` shows them."""
        return self._engine.pipeline

    @property
    def ledger(self) -> LedgerHandle | NullLedger:
        """The durable record of calls, attempts, tokens and money."""
        return self._engine.ledger

    def flush(self, timeout: float = 5.0) -> bool:
        """Move what is journalled into the ledger and events to their sinks; whether that was done in time.

        Args:
            timeout: Seconds.
        """
        return upkeep.flush(self._engine, timeout)

    def health(self) -> dict[str, Health]:
        """How every target that was ever called does: a score of 0 to 100 and its parts, by `provider/model`."""
        return upkeep.health(self._engine)

    def breakers(self) -> dict[str, BreakerSnapshot]:
        """The circuit breaker of every target that was ever called, by `provider/model`."""
        return upkeep.breakers(self._engine)

    def queues(self) -> dict[str, GateSnapshot]:
        """The limits and the queue of every target that was ever called, by `provider/model`."""
        return upkeep.queues(self._engine)

    def state(self) -> StateStatus:
        """How the state that several processes share stands: whether Redis can be reached, since when, what waits."""
        return upkeep.state(self._engine)

    def deliveries(self) -> list[DeliveryStatus]:
        """What became of the events of each sink: delivered, waiting, dropped by reason, and what went wrong last."""
        return self._engine.reporting.status()

    def budgets(self) -> list[BudgetStatus]:
        """What every budget stands at: limit, spent, reserved, and when it begins anew.

        In this process; with the setting `state` in all that share it, for which a blocking question may be asked.
        """
        return spending.budgets(self._engine)

    def optimization(self) -> list[Status]:
        """Where every automatic change (setting `optimize`) stands: its share, both arms, the evidence against it."""
        return spending.optimization(self._engine)

    def reset_optimization(self, change: str | None = None) -> None:
        """Allow an automatic change again that was taken back, from the first share on.

        Args:
            change: Its name, as `optimization()` tells it; None for all of them.

        Raises:
            ConfigurationError: There is no such change.
        """
        spending.reset_optimization(self._engine, change)

    def force_breaker(self, target: str, state: Literal["open", "closed", "metrics_only"] | None) -> None:
        """Set the state of a target's breaker by hand, for maintenance or an emergency.

        Args:
            target: `provider/model`.
            state: "open": nothing passes. "closed": everything passes. "metrics_only": everything passes and is
                counted. None: automatic again.

        Raises:
            ConfigurationError: There is no such target or state.
        """
        upkeep.force_breaker(self._engine, target, state)

    def session(self, *, system: str | None = None, **context: Unpack[ContextValues]) -> Session:
        """A conversation that remembers its turns; see Session."""
        return Session(self._engine, system, context)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Client(_Face):
    """The blocking client; safe to share between threads, and on both sides of a fork.

    Nothing is opened before the first call. Use it as a context manager, or call close.

    Args:
        **settings: help(aistrale.Settings) lists them; unknown names are errors.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """

    _async: AsyncClient | None = None

    def run(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """Answer a prompt.

        Args:
            prompt: Text, a Message, or a conversation of Messages and OpenAI-style dicts.
            **options: Model, tools, output, deadline, ...; help(aistrale.Options) lists them.

        Returns:
            The answer with its tokens, cost and attempts; `print` shows its text.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree.
        """
        return run_sync(turns.run(self._engine, self._engine.sync_runtime(), prompt, options))[0]

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Stream:
        """Answer a prompt piece by piece; the request is sent when the stream is entered or first iterated.

        Args:
            prompt: As for run.
            **options: As for run, but for `max_tool_rounds`.

        Returns:
            A context manager and iterator of events; print every event's `.text`, then see `.completion`.

        Raises:
            AistraleError: At once for what cannot be sent; when it is entered or iterated for everything else.
        """
        return Stream(self._engine, stream_call(self._engine, self._engine.sync_runtime(), prompt, options), options)

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Vectors for texts, in their order.

        Args:
            texts: One text or several.
            **options: help(aistrale.EmbedOptions) lists them.

        Raises:
            AistraleError: help(aistrale.errors) shows the tree.
        """
        engine = self._engine
        return run_sync(engine.embed(turns.embed_call(engine, engine.sync_runtime(), texts, options)))

    def warmup(self, *models: str) -> list[Warmed]:
        """Connect now, so that the first call need not: names, TLS, and one request without key or body an origin.

        Args:
            *models: Models and routes; none for what a call that names none would take.

        Returns:
            One entry per origin; a problem is told there and raises nothing.

        Raises:
            ConfigurationError: There is no such model, or its key is missing.
        """
        return run_sync(upkeep.warm_up(self._engine, self._engine.sync_runtime(), models))

    def scan(self, text: str) -> list[Finding]:
        """What is sensitive in a text: start, end, type and score of each finding, in order.

        Args:
            text: Any. Looked at with the recognizers, types and allowed values of the setting `privacy`, whether or not
                calls are redacted.
        """
        return upkeep.scan(self._engine, text)

    def redact(self, text: str) -> Redacted:
        """A text without what is sensitive in it: `.text`; `.restore(other)` puts the originals into another one.

        Args:
            text: As for scan; replaced as the setting `privacy` says.

        Raises:
            RedactionError: It holds more values than a vault can keep.
        """
        return upkeep.redact(self._engine, text)

    def count_tokens(self, prompt: Prompt, **options: Unpack[Options]) -> Count:
        """How many input tokens a prompt has, within bounds; nothing is sent.

        Counted offline as the model's family does, and corrected by what earlier calls have shown. The first count
        loads an encoding (about a second, 60 MB).

        Args:
            prompt: As for run.
            **options: As for run; tools, output and history count too.
        """
        return spending.count_tokens(self._engine, prompt, options)

    def estimate(self, prompt: Prompt, **options: Unpack[Options]) -> Estimate:
        """What a call would use and cost: intervals, with the price book that they stand on; nothing is sent.

        Args:
            prompt: As for run.
            **options: As for run.
        """
        return spending.estimate(self._engine, prompt, options)

    def costs(self, by: str | Sequence[str] = "model", **window: Unpack[Window]) -> CostReport:
        """What calls cost, from the ledger: totals, savings and waste; `print` shows a table.

        Args:
            by: "model", "provider", "route", "day", "user", "project", "tag:NAME", ..., or several of them.
            **window: help(aistrale.spending.Window): since, until, where.
        """
        return spending.costs(self._engine, by, window)

    def forecast(self, days: int = 30, *, where: Mapping[str, str | None] | None = None) -> Forecast:
        """What the coming days will cost, today's rest first, with intervals for each day and for their sum.

        Args:
            days: How many, today included.
            where: Only attempts with these values, by dimension of the ledger: `{"project": "shop"}`.

        Raises:
            InsufficientData: There is too little history.
        """
        return spending.forecast(self._engine, days, where)

    def month(self, *, where: Mapping[str, str | None] | None = None) -> MonthForecast:
        """This month (UTC): what was spent of it, and what its rest will bring; see forecast."""
        return spending.month(self._engine, where)

    def anomalies(self, days: int = 90, *, where: Mapping[str, str | None] | None = None) -> list[SpendAnomaly]:
        """Unusual days of spend among the last ones, each with who made it so.

        Args:
            days: How far back.
            where: As for forecast.
        """
        return spending.anomalies(self._engine, days, where)

    def burning(self, hours: float = 24.0, *, budget: float | None = None) -> list[Burn]:
        """Where money burned too fast lately: a runaway loop, a rate that a budget does not carry.

        Args:
            hours: How far back.
            budget: US dollars allowed for a day; None measures against the usual day.
        """
        return spending.burning(self._engine, hours, budget)

    def advise(self, days: int = 30) -> list[Advice]:
        """What could be changed to pay less, each piece with its evidence and what it would save.

        Args:
            days: How much of the ledger is read.
        """
        return spending.advise(self._engine, days)

    def score(self, call_id: str, value: float, name: str = "quality") -> bool:
        """Write down how good an answer was; comparisons of models and automatic optimisation read it.

        Args:
            call_id: `Completion.call_id`.
            value: 0 (useless) to 1 (perfect).
            name: What was judged.

        Returns:
            Whether the ledger has acknowledged it.
        """
        return spending.score(self._engine, call_id, value, name)

    def as_async(self) -> AsyncClient:
        """The async face of this client: same settings, ledger and pipeline."""
        if self._async is None:
            self._async = AsyncClient(self._engine)
        return self._async

    def close(self) -> None:
        """Close the connections, ship the journal, and bring events to their sinks; it can be used again afterwards."""
        run_sync(self._engine.close_sync())
        self._engine.ledger.flush(2.0)
        self._engine.reporting.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Face):
    """The async client, for asyncio and trio; safe to share between tasks and event loops.

    Args:
        **settings: help(aistrale.Settings) lists them; unknown names are errors.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """

    async def run(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """Answer a prompt; see Client.run."""
        return (await turns.run(self._engine, self._engine.async_runtime(), prompt, options))[0]

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> AsyncStream:
        """Answer a prompt piece by piece; `async with client.stream(...) as stream`, without await."""
        return AsyncStream(
            self._engine, stream_call(self._engine, self._engine.async_runtime(), prompt, options), options
        )

    async def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Vectors for texts, in their order."""
        engine = self._engine
        return await engine.embed(turns.embed_call(engine, engine.async_runtime(), texts, options))

    async def warmup(self, *models: str) -> list[Warmed]:
        """Connect now, so that the first call need not; see Client.warmup."""
        return await upkeep.warm_up(self._engine, self._engine.async_runtime(), models)

    async def scan(self, text: str) -> list[Finding]:
        """What is sensitive in a text, found in a worker thread; see Client.scan."""
        return await self._ask(upkeep.scan, text)

    async def redact(self, text: str) -> Redacted:
        """A text without what is sensitive in it, made in a worker thread; see Client.redact."""
        return await self._ask(upkeep.redact, text)

    async def count_tokens(self, prompt: Prompt, **options: Unpack[Options]) -> Count:
        """How many input tokens a prompt has, counted in a worker thread; see Client.count_tokens."""
        return await self._ask(spending.count_tokens, prompt, options)

    async def estimate(self, prompt: Prompt, **options: Unpack[Options]) -> Estimate:
        """What a call would use and cost; see Client.estimate."""
        return await self._ask(spending.estimate, prompt, options)

    async def costs(self, by: str | Sequence[str] = "model", **window: Unpack[Window]) -> CostReport:
        """What calls cost, from the ledger; see Client.costs."""
        return await self._ask(spending.costs, by, window)

    async def forecast(self, days: int = 30, *, where: Mapping[str, str | None] | None = None) -> Forecast:
        """What the coming days will cost; see Client.forecast."""
        return await self._ask(spending.forecast, days, where)

    async def month(self, *, where: Mapping[str, str | None] | None = None) -> MonthForecast:
        """This month and its rest; see Client.month."""
        return await self._ask(spending.month, where)

    async def anomalies(self, days: int = 90, *, where: Mapping[str, str | None] | None = None) -> list[SpendAnomaly]:
        """Unusual days of spend; see Client.anomalies."""
        return await self._ask(spending.anomalies, days, where)

    async def burning(self, hours: float = 24.0, *, budget: float | None = None) -> list[Burn]:
        """Where money burned too fast lately; see Client.burning."""
        return await self._ask(spending.burning, hours, budget)

    async def advise(self, days: int = 30) -> list[Advice]:
        """What could be changed to pay less; see Client.advise."""
        return await self._ask(spending.advise, days)

    async def score(self, call_id: str, value: float, name: str = "quality") -> bool:
        """Write down how good an answer was; see Client.score."""
        return await self._ask(spending.score, call_id, value, name)

    async def _ask(self, question: Callable[Concatenate[Engine, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What blocks, or counts for long, in a worker thread."""
        runtime = self._engine.async_runtime()
        # The context of the caller chooses the route, in the thread as well.
        return cast("T", await runtime.invoke(question, self._engine, *args, **kwargs))

    async def close(self) -> None:
        """Close this loop's connections, and bring events to their sinks; it can be used again afterwards."""
        await self._engine.close_async()
        if self._engine.reporting.hub is not None:
            await self._engine.async_runtime().invoke(self._engine.reporting.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
