"""What a ledger is: where rows end up, and what can be asked of it. Loads no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from aistrale.errors import AistraleError
from aistrale.store.records import TOKEN_BUCKETS, AttemptRow, CallRow, CountRow, IntentRow, Row, ScoreRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from aistrale.store.records import Outcome

Dimension: TypeAlias = Literal[
    "provider", "model", "target", "region",
    "day", "hour", "month",
    "route", "model_asked", "kind", "user", "workspace", "project", "session", "name", "tag",
]  # fmt: skip


class LedgerUnavailable(AistraleError):
    """The ledger cannot be read or written at the moment; rows stay in the journal until it can.

    Args:
        message: What happened.
        hint: What to do next.
        busy: Whether it is only in use by somebody else, so that the next moment may be better.
    """

    def __init__(self, message: str = "", *, hint: str | None = None, busy: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a segment has been moved into the ledger.

    Args:
        segment: Name of the segment without its suffix.
        offset: Bytes of it whose rows are in the ledger.
    """

    segment: str
    offset: int


@dataclass(slots=True, kw_only=True)
class UnsettledAttempt:
    """An attempt that was about to be sent by a process that died before it knew the outcome.

    Whether the provider got it, and bills it, is not known: the outcome is neither success nor error.

    Args:
        intent: What was about to be sent.
        writer: The process, as named in its journal segments.
        outcome: Always "unknown".
    """

    intent: IntentRow
    writer: str
    outcome: Literal["unknown"] = "unknown"


@dataclass(slots=True, kw_only=True)
class SummaryRow:
    """Totals of all attempts and calls with the same key.

    Args:
        key: Value of the dimension; None where it was not set.
        calls: How many calls.
        failed_calls: How many of them did not succeed in the end.
        attempts: How many requests were sent for them.
        errors: How many of those did not succeed.
        tokens: Tokens by bucket, as named in `UsageColumns`; a bucket that no provider told of is absent.
        cost: US dollars of all attempts whose price is known, exact.
        unpriced: Calls with at least one attempt of unknown price, which `cost` therefore leaves out.
        latency_mean: Seconds.
        latency_p50: Seconds; percentiles are interpolated linearly.
        latency_p95: Seconds.
    """

    key: str | None
    calls: int = 0
    failed_calls: int = 0
    attempts: int = 0
    errors: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    latency_mean: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None


@dataclass(slots=True, kw_only=True)
class SpendRow:
    """Totals of all attempts with the same key. But for `calls` and the percentiles, rows add up.

    Args:
        key: A value for each dimension; None where it was not set.
        calls: How many calls had attempts here; a call with several may stand in several rows.
        attempts: How many requests were sent.
        failed: How many of those did not succeed.
        cost: US dollars of all attempts whose price is known, exact.
        failed_cost: US dollars of those among them that did not succeed.
        estimated_cost: US dollars of those whose usage or price is not exact.
        unpriced: Attempts of unknown price, which `cost` leaves out.
        tokens: Tokens by bucket, as named in `UsageColumns`; a bucket that no provider told of is absent.
        latency_p50: Seconds, of attempts that succeeded; percentiles are interpolated linearly.
        latency_p95: Seconds.
    """

    key: tuple[str | None, ...] = ()
    calls: int = 0
    attempts: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    failed_cost: Decimal = Decimal(0)
    estimated_cost: Decimal = Decimal(0)
    unpriced: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    latency_p50: float | None = None
    latency_p95: float | None = None


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One settled attempt with what is known of its call.

    Args:
        attempt: The attempt.
        intent: What was known before it was sent; None where that was not recorded.
        route: Name of the route of the call. This and all that follows is None or empty while the call has not ended.
        user: Who it was for.
        workspace: Its workspace.
        project: Its project.
        session: Its session.
        name: The name that the application gave it.
        tags: Labels of the application.
        kind: "chat" or "embed".
        model_asked: What the application asked for: a model or a route.
        call_outcome: How the call ended.
        degraded: What kind of lesser answer was given, if one was.
        optimized: What automatic optimisation changed in the request.
        score: Mean of the scores of the call, 0 to 1; None where nobody judged it.
    """

    attempt: AttemptRow
    intent: IntentRow | None = None
    route: str | None = None
    user: str | None = None
    workspace: str | None = None
    project: str | None = None
    session: str | None = None
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    kind: str | None = None
    model_asked: str | None = None
    call_outcome: Outcome | None = None
    degraded: str | None = None
    optimized: list[str] = field(default_factory=list)
    score: float | None = None


class Sample(NamedTuple):
    """What comparing models needs of a settled attempt.

    Args:
        at: When it was sent, epoch seconds (UTC).
        call_id: Id of its call.
        attempt: Number of the attempt within the call.
        model: Written `provider/model`.
        outcome: How it ended.
        cost: US dollars, a decimal number as text; None when unknown.
        output: Tokens that came back, thinking included; None where no provider told.
        latency: Seconds until it was over.
        first_token: Seconds until the first piece of the answer; None if none came.
        score: Mean of the scores of the call, 0 to 1; None where nobody judged it.
    """

    at: float
    call_id: str
    attempt: int
    model: str
    outcome: Outcome
    cost: str | None
    output: int | None
    latency: float
    first_token: float | None
    score: float | None


class LedgerQueries(Protocol):
    """What can be asked of a ledger."""

    def summary(self, by: str, since: datetime | None = None, until: datetime | None = None) -> list[SummaryRow]:
        """Totals by one dimension.

        `provider`, `model`, `target` and `region` are facts of an attempt: calls are those with an attempt
        there, latencies those of attempts, and calls that were answered without any attempt do not appear.
        All others are facts of the call: latencies are those of calls. An attempt whose call has not ended
        yet counts under None there. Times are UTC.

        Args:
            by: A `Dimension`; "tag" gives a row for each `name=value`, "tag:NAME" one for each value of a
                tag.
            since: Aware; only what started at or after it.
            until: Aware; only what started before it.

        Returns:
            Rows, by time for times, else the most expensive first.

        Raises:
            ConfigurationError: The dimension is unknown, or a time is naive.
            LedgerUnavailable: The ledger cannot be read.
        """
        ...

    def calls(self, limit: int = 50) -> list[CallRow]:
        """The latest calls, newest first; raises `LedgerUnavailable`."""
        ...

    def attempts(self, call_id: str) -> list[AttemptRow]:
        """The settled attempts of a call, in order; raises `LedgerUnavailable`."""
        ...

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> list[SpendRow]:
        """Totals of attempts by several dimensions at once.

        Dimensions are "minute", "hour", "day", "month" (UTC, of the attempt), "provider", "model" (written
        `provider/model`), "target", "region", "outcome" (of the attempt), and of the call "route", "model_asked",
        "kind", "user", "workspace", "project", "session", "name", "call_outcome", "tag:NAME". Calls that were answered
        without any attempt do not appear.

        Args:
            by: Any of these, each once; none gives one total.
            since: Aware; only attempts sent at or after it.
            until: Aware; only attempts sent before it.
            where: Values that dimensions must have; None for those without a value.

        Returns:
            Rows, by time where a time is among the dimensions, then the most expensive first; none at all where there
            are no attempts.

        Raises:
            ConfigurationError: A dimension is unknown, or a time is naive.
            LedgerUnavailable: The ledger cannot be read.
        """
        ...

    def exchanges(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """Settled attempts one by one, the newest last, read in batches; nothing is locked between them.

        Args:
            since: Aware; only attempts sent at or after it.
            until: Aware; only attempts sent before it.
            where: As in `spend`.
            limit: At most so many, namely the newest; None for all.

        Raises:
            ConfigurationError: At once, not at the first exchange: a dimension is unknown, a time is naive.
            LedgerUnavailable: The ledger cannot be read; also while it is iterated over.
        """
        ...

    def cached(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[AttemptRow]:
        """Settled attempts that read from a cache of their provider or wrote to it, read as `exchanges` are.

        Args:
            since: Aware; only attempts sent at or after it.
            until: Aware; only attempts sent before it.
            where: As in `spend`.

        Raises:
            ConfigurationError: At once: a dimension is unknown, a time is naive.
            LedgerUnavailable: The ledger cannot be read; also while it is iterated over.
        """
        ...

    def samples(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Iterator[Sample]:
        """Settled attempts in brief, read as `exchanges` are and several times as fast.

        Args:
            since: Aware; only attempts sent at or after it.
            until: Aware; only attempts sent before it.
            where: As in `spend`.

        Raises:
            ConfigurationError: At once: a dimension is unknown, a time is naive.
            LedgerUnavailable: The ledger cannot be read; also while it is iterated over.
        """
        ...

    def counts(self, since: datetime | None = None, limit: int = 10_000) -> list[CountRow]:
        """The newest token counts beside what providers reported, newest last.

        Args:
            since: Aware; only counts at or after it.
            limit: At most so many.

        Raises:
            ConfigurationError: The time is naive.
            LedgerUnavailable: The ledger cannot be read.
        """
        ...

    def scores(self, call_id: str) -> list[ScoreRow]:
        """What was said about the answer to a call, by name; raises `LedgerUnavailable`."""
        ...

    def avoided(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Decimal:
        """US dollars that remembered answers had cost when they were asked for: what was not paid again.

        Args:
            since: Aware; only calls made at or after it.
            until: Aware; only calls made before it.
            where: As in `spend`, of the calls: "target" and "region" are unknown here, "outcome" is the call's.

        Raises:
            ConfigurationError: A dimension is unknown, or a time is naive.
            LedgerUnavailable: The ledger cannot be read.
        """
        ...


class Ledger(LedgerQueries, Protocol):
    """A store of rows that applies each batch entirely or not at all, and remembers how far it got."""

    def write_batch(self, rows: Sequence[Row], cursor: Cursor) -> None:
        """Store rows and the cursor in one transaction; a row that is there already is replaced.

        Raises:
            LedgerUnavailable: Nothing was stored.
        """
        ...

    def cursors(self) -> dict[str, int]:
        """The offset of every segment that is remembered; raises `LedgerUnavailable`."""
        ...

    def forget(self, segments: Collection[str]) -> None:
        """Drop the cursors of segments whose files are gone; raises `LedgerUnavailable`."""
        ...

    def open_intents(self, live_writers: Collection[str] = ()) -> list[UnsettledAttempt]:
        """Attempts that were never settled, oldest first, but for those of processes that still live.

        Args:
            live_writers: Processes whose attempts may simply be under way.

        Raises:
            LedgerUnavailable: The ledger cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of connections; the next use opens them again."""
        ...


__all__ = [
    "TOKEN_BUCKETS",
    "Cursor",
    "Dimension",
    "Exchange",
    "Ledger",
    "LedgerQueries",
    "LedgerUnavailable",
    "Sample",
    "SpendRow",
    "SummaryRow",
    "UnsettledAttempt",
]
