"""The budgets of one client: which of them a call counts for, what was spent before, and what is told of them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from aistrale.core.worker import on_fork
from aistrale.cost.budgets.event import BudgetEvent
from aistrale.cost.budgets.memory import MemoryStore
from aistrale.cost.budgets.period import Period, zone_of
from aistrale.cost.budgets.scope import Scope, is_amount
from aistrale.cost.budgets.settings import BudgetSettings
from aistrale.cost.budgets.store import EXACT, ZERO, Slot
from aistrale.errors import ConfigurationError
from aistrale.store.handle import NullLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aistrale.core.call import Context, Target
    from aistrale.cost.budgets.store import Balance, Counters, Notice

_log = logging.getLogger("aistrale.budget")
_REMEMBERED: Final = 10_000
_HOUR: Final = 3600.0
# What separates the parts of a counter's name.
_APART: Final = "\x1f"
_NO_LEDGER: Final = "what was spent before this process began is not known"


class Spend(Protocol):
    """What was spent with one key."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """Values of the dimensions."""
        ...

    @property
    def cost(self) -> Decimal:
        """US dollars."""
        ...


class Past(Protocol):
    """Knows what was spent; a ledger does."""

    def spend(
        self,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        where: Mapping[str, str | None] | None = None,
    ) -> Sequence[Spend]:
        """See aistrale.store.protocol.LedgerQueries."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class BudgetStatus:
    """What a budget stands at.

    Args:
        name: The budget's.
        scope: Whose money it is: "global", "user:alice", ...
        period: As it stands in the settings.
        limit: US dollars.
        spent: US dollars settled in the period that runs.
        reserved: US dollars that calls under way may still cost.
        hard: Whether the limit limits.
        in_flight: Attempts under way.
        waiting: Calls that wait for money.
        starts: When the period began, aware UTC; None where it has no beginning.
        resets: When it ends, aware UTC; None where it has no end.
        note: What is not certain about it; None where nothing.
    """

    name: str
    scope: str
    period: str
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    hard: bool
    in_flight: int
    waiting: int
    starts: datetime | None
    resets: datetime | None
    note: str | None = None

    @property
    def left(self) -> Decimal:
        """US dollars that are neither spent nor reserved; not negative."""
        return max(EXACT.subtract(self.limit, EXACT.add(self.spent, self.reserved)), ZERO)

    @property
    def used(self) -> float:
        """Share of the limit that is spent; more than 1 where an attempt cost more than its bound."""
        return float(self.spent / self.limit) if self.limit else 1.0


@dataclass(slots=True, frozen=True, eq=False, kw_only=True)
class Counter(Slot):
    """A slot of one of the client's budgets.

    Args:
        rule: Which one.
        value: The value of its scope.
        part: The session, or the call, that it counts by itself; else empty.
    """

    rule: Rule
    value: str
    part: str

    @property
    def scope(self) -> str:
        """Whose money it is, in words."""
        scope = self.rule.scope.written(self.value)
        if self.rule.per == "session" and self.rule.scope.kind != "session":
            return f"{scope} session:{self.part}"
        return scope


class Rule:
    """One budget, ready to be asked.

    Args:
        settings: What was asked for.
    """

    __slots__ = ("_slots", "marks", "per", "period", "scope", "settings")

    def __init__(self, settings: BudgetSettings) -> None:
        self.settings = settings
        self.scope = Scope.parse(settings.scope)
        self.period = Period(settings.period, zone_of(settings.timezone))
        self.per = self.period.kind if self.period.kind in {"call", "session"} else ""
        """Whether each call, or each session, has a counter of its own."""
        self.marks = tuple(EXACT.multiply(settings.limit, share) for share in sorted(settings.alerts))
        self._slots: OrderedDict[tuple[str, str], Counter] = OrderedDict()

    def slot(
        self, call_id: str, context: Context, route: str | None, target: Target | None, now: float
    ) -> Counter | None:
        """The counter that a call counts for; None where this budget is not about it."""
        value = self.scope.of(context, route, target)
        if value is None:
            return None
        part = ""
        if self.per:
            if self.per == "call":
                return self.counter(value, call_id, now)
            if context.session is None:
                return None
            part = context.session
        slot = self._slots.get((value, part))
        if slot is None or not slot.start <= now < slot.end:
            if len(self._slots) >= _REMEMBERED:
                self._slots.clear()
            slot = self._slots[value, part] = self.counter(value, part, now)
        return slot

    def counter(self, value: str, part: str, now: float) -> Counter:
        """The counter of a value, and of a session or call, in the period of an instant."""
        settings, period, span = self.settings, self.period, self.period.span(now)
        return Counter(
            key=_APART.join((settings.title, value.replace(_APART, " "), part)),
            limit=settings.limit,
            hard=settings.hard,
            start=span.start,
            end=span.end,
            length=float(period.seconds),
            step=period.step,
            marks=self.marks,
            shared=self.per != "call",
            rule=self,
            value=value,
            part=part,
        )


class BudgetBook:
    """The budgets of one client.

    Args:
        budgets: What was asked for.
        ledger: Knows what was spent before this process began; None where nobody does.
        on_event: Gets a BudgetEvent; what it raises is logged and goes no further.
        clock: Unix seconds.
        store: Makes what counts, from what is to be told; in this process by default.
    """

    def __init__(
        self,
        budgets: Sequence[BudgetSettings] = (),
        *,
        ledger: Past | None = None,
        on_event: Callable[[BudgetEvent], None] | None = None,
        clock: Callable[[], float] = time.time,
        store: Callable[[Callable[[Notice], None]], Counters] = MemoryStore,
    ) -> None:
        self.rules: tuple[Rule, ...] = tuple(Rule(settings) for settings in budgets)
        self.store: Counters = store(self._tell)
        # A ledger that is off knows nothing, and that is said.
        self._ledger = None if isinstance(ledger, NullLedger) else ledger
        self._on_event = on_event
        self._started = clock()
        self._clock = clock
        self._seeding = threading.Lock()
        on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._seeding = threading.Lock()

    def counters(
        self, call_id: str, context: Context, route: str | None, target: Target | None, now: float
    ) -> list[Counter]:
        """The counters that a call counts for, in the order of the settings.

        Args:
            call_id: Of the call.
            context: Whose call it is; a budget there that is an amount is a limit of this call.
            route: By which route it goes.
            target: Where it goes; None as long as nobody knows, and then those are left out that depend on it.
            now: Unix seconds.

        Raises:
            ConfigurationError: The context's budget looks like an amount and is none.
        """
        found: list[Counter] = []
        for rule in self.rules:
            slot = rule.slot(call_id, context, route, target, now)
            if slot is not None:
                found.append(slot)
        if context.budget is not None and (own := own_rule(context.budget)) is not None:
            found.append(own.counter("", call_id, now))
        return found

    # --- what was spent before --------------------------------------------------------------------------------------

    @property
    def has_past(self) -> bool:
        """Whether there is a ledger to ask, which may take its time."""
        return self._ledger is not None

    def unknown(self, slots: Sequence[Counter]) -> bool:
        """Whether the ledger has yet to be asked about any of these; cheap enough for every call."""
        started, seeded = self._started, self.store.seeded
        return any(slot.start < started and slot.rule.per != "call" and not seeded(slot.key) for slot in slots)

    def learn(self, slots: Sequence[Counter]) -> None:
        """Ask the ledger what was spent of these before this process began. Reads a database; never raises.

        Whoever comes at the same time waits, so that nobody goes by a counter that has not begun yet.
        """
        for slot in slots:
            if not self.unknown((slot,)):
                continue
            with self._seeding:
                if not self.store.seeded(slot.key):
                    spent, note = self._past(slot)
                    self.store.seed(slot, spent, note)

    def _past(self, slot: Counter) -> tuple[list[tuple[float, Decimal]], str | None]:
        rule, part = slot.rule, slot.part
        where: Mapping[str, str | None] | None = rule.scope.where(slot.value)
        if where is None or self._ledger is None:
            return [], _NO_LEDGER
        if part:
            where = {**where, "session": part}
        since = slot.start if not slot.length else self._started - slot.length
        by = ("hour",) if slot.length else ()
        # What this process spends is counted here. A session may come back after it was forgotten.
        until = None if part else _moment(self._started)
        try:
            rows = self._ledger.spend(by, _moment(since), until, where=where)
            return [(self._instant(row.key), row.cost) for row in rows], None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the ledger, calls go on
            _log.warning("budget %s: the ledger could not be asked (%s)", rule.settings.title, type(error).__name__)
            return [], f"{_NO_LEDGER}: the ledger could not be asked ({type(error).__name__})"

    def _instant(self, key: tuple[str | None, ...]) -> float:
        """When a row's money was spent: the end of its hour, so that it is not forgotten too early."""
        if not key or key[0] is None:
            return self._started
        hour = datetime.fromisoformat(key[0])
        if hour.tzinfo is None:
            hour = hour.replace(tzinfo=UTC)
        return min(hour.timestamp() + _HOUR, self._started)

    # --- what is told -----------------------------------------------------------------------------------------------

    def status(self, now: float | None = None) -> list[BudgetStatus]:
        """What every counter stands at, in the order of the settings; those that nobody has used yet stand at 0.

        Args:
            now: Unix seconds; by the clock where None.
        """
        now = self._clock() if now is None else now
        used: dict[Rule, list[tuple[str, str]]] = {}
        for slot in self.store.slots():
            if isinstance(slot, Counter):
                used.setdefault(slot.rule, []).append((slot.value, slot.part))
        found: list[BudgetStatus] = []
        for rule in self.rules:
            values = sorted(used.get(rule, ()))
            if not values and rule.scope.value is not None and not rule.per:
                values = [(rule.scope.value, "")]
            slots = [rule.counter(value, part, now) for value, part in values]
            if self.unknown(slots):
                self.learn(slots)
            balances = self.store.snapshot(slots, now)
            found += [_status(slot, balance) for slot, balance in zip(slots, balances, strict=True)]
        return found

    def _tell(self, notice: Notice) -> None:
        slot = notice.slot
        if not isinstance(slot, Counter):
            return
        own = slot.rule.settings
        event = BudgetEvent(
            what="threshold" if notice.mark else "refused",
            budget=own.title,
            scope=slot.scope,
            period=own.period,
            limit=own.limit,
            spent=notice.balance.spent,
            reserved=notice.balance.reserved,
            hard=own.hard,
            threshold=sorted(own.alerts)[notice.mark - 1] if notice.mark else None,
            starts=_moment(slot.start),
            resets=_moment(slot.end),
            at=datetime.fromtimestamp(notice.at, UTC),
        )
        told = "has no room" if event.threshold is None else f"is used up to {event.threshold * 100:f} %"
        _log.warning("budget %s (%s) %s: $%f of $%f spent", event.budget, event.scope, told, event.spent, event.limit)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001 - the application's own code
                _log.warning("on_event raised %s for budget %s", type(error).__name__, event.budget)


def _status(slot: Counter, balance: Balance) -> BudgetStatus:
    own = slot.rule.settings
    return BudgetStatus(
        name=own.title,
        scope=slot.scope,
        period=own.period,
        limit=own.limit,
        spent=balance.spent,
        reserved=balance.reserved,
        hard=own.hard,
        in_flight=balance.in_flight,
        waiting=balance.waiting,
        starts=_moment(slot.start),
        resets=_moment(slot.end),
        note=balance.note,
    )


@lru_cache(256)
def own_rule(budget: str) -> Rule | None:
    """The limit of one call that a context's budget says; None where it is a name.

    Raises:
        ConfigurationError: It looks like an amount and is none.
    """
    if not is_amount(budget):
        return None
    try:
        limit = Decimal(budget.strip())
    except InvalidOperation:
        limit = Decimal(-1)
    if limit < 0:
        raise ConfigurationError(
            "budget must be an amount of US dollars as '0.05', or a name",
            field="budget",
            hint="Names do not begin with a digit or a currency sign.",
        )
    return Rule(BudgetSettings(limit=limit, period="call", name="context(budget=...)", alerts=()))


def _moment(seconds: float) -> datetime | None:
    return None if math.isinf(seconds) else datetime.fromtimestamp(seconds, UTC)
