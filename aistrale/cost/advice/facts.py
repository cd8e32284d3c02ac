"""What the ledger's exchanges come to for each use of a model: the sums and samples that advice is read from.

A use is a route, a name that the application gave, and a model. Everything is gathered in one pass over the exchanges,
oldest first, in memory that grows with the number of uses and, by some twenty bytes, with the exchanges.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.cost.advice.prices import BUCKETS, LIFETIME, Cached, Mix, Prices, least_cached, table_at
from aistrale.cost.advice.twins import Twins
from aistrale.providers import ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aistrale.cost.book.price_book import PriceBook
    from aistrale.store.protocol import Exchange
    from aistrale.store.records import AttemptRow, IntentRow

_TOKENS: Final = attrgetter(*BUCKETS)
_INPUTS: Final = tuple(
    BUCKETS.index(bucket)
    for bucket in ("input", "tool_input", "cache_read", "cache_write", "audio_input", "image_input")
)
_USUAL: Final = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "realtime"})
_DAY: Final = 86_400.0

# A burst: calls that follow each other within a minute, so many that nobody typed them.
_PAUSE: Final = 60.0
_BURST: Final = 50
# What stands behind the last message is history; so many messages of it are kept.
KEPT_MESSAGES: Final = 8
_LONG: Final = 16
_HISTORY_SHARE: Final = 0.6
# The estimate counts four characters to a token; the provider's count says how far it is off, within reason.
_SCALE: Final = (0.5, 2.5)
_MOST_PREFIXES: Final = 50_000


class Use(NamedTuple):
    """Who uses which model for what."""

    route: str | None
    name: str | None
    provider: str
    model: str


@dataclass(slots=True)
class Failures:
    """Attempts that failed with the same error.

    Args:
        count: How many.
        billed: How many of them cost something.
        cost: US dollars.
    """

    count: int = 0
    billed: int = 0
    cost: float = 0.0


class Facts:
    """One use of a model.

    Args:
        use: Which.
        prices: Its usual prices; None where they are unknown.
    """

    def __init__(self, use: Use, prices: Prices | None) -> None:
        self.use = use
        self.prices = prices
        self.calls = 0
        self.cost = 0.0
        self.failures: dict[str, Failures] = {}
        self.limited = 0
        self.plain = Mix()
        """Of exchanges at the usual price."""
        self.scores = array("d")
        self.limits = array("q")
        self.outputs = array("q")
        self.visible = array("q")
        self.thinking = 0
        self.reasoning_tokens = self.output_tokens = 0
        # Of unattended traffic: not streamed, nobody's conversation.
        self.latencies = array("d")
        self.unattended = Mix()
        self.users: set[str | None] = set()
        self.bulk = Mix()
        self.bursts = 0
        self.burst_seconds = 0.0
        self.burst_days: set[int] = set()
        self._burst: tuple[float, float, Mix] | None = None
        # Of prefixes that are long enough to be cached.
        self.minimum = least_cached(use.provider, use.model)
        self.prefixed = 0
        self.lengths = array("q")
        self.prefixes: dict[str, float] = {}
        self.same, self.alike = Cached(), Cached()
        self._any = -LIFETIME
        self.long = 0
        self.history = 0.0
        """US dollars for messages that a shorter history would leave out."""
        self.long_messages = array("q")
        self.twins = Twins()

    def add(self, exchange: Exchange) -> None:
        """Add an exchange; they come oldest first."""
        row = exchange.attempt
        if row.outcome != "success":
            self._failed(exchange)
            return
        cost = float(row.cost) if row.cost is not None else 0.0
        tokens = [count or 0 for count in _TOKENS(row)]
        prompt = sum(map(tokens.__getitem__, _INPUTS))
        self.calls += 1
        self.cost += cost
        if exchange.score is not None:
            self.scores.append(exchange.score)
        plain = not _conditions(row)
        if plain:
            self.plain.add(prompt, tokens)
        self._output(row)
        if plain and not row.streamed and exchange.session is None:
            self._unattended(exchange, prompt, tokens)
        if exchange.intent is not None:
            self._shape(row, exchange.intent, prompt, cost)

    def finish(self) -> None:
        """No more exchanges come."""
        self._end_burst()

    def _failed(self, exchange: Exchange) -> None:
        row = exchange.attempt
        self.limited += row.status == 429
        if row.outcome in {"error", "interrupted"}:
            reason = row.error or row.outcome
        elif row.outcome == "cancelled" and exchange.call_outcome == "success":
            reason = "hedge that lost"
        else:
            # Somebody wanted no more of it, which is not a failure.
            return
        found = self.failures.setdefault(reason, Failures())
        cost = float(row.cost) if row.cost is not None else 0.0
        found.count += 1
        found.billed += cost > 0
        found.cost += cost

    def _output(self, row: AttemptRow) -> None:
        visible, reasoning = row.output or 0, row.reasoning or 0
        self.outputs.append(visible + reasoning)
        self.output_tokens += visible + reasoning
        if reasoning:
            self.thinking += 1
            self.reasoning_tokens += reasoning
            self.visible.append(visible)

    # --- when ---------------------------------------------------------------------------------------------------------

    def _unattended(self, exchange: Exchange, prompt: int, tokens: Sequence[int]) -> None:
        row = exchange.attempt
        self.users.add(exchange.user)
        self.latencies.append(row.latency)
        self.unattended.add(prompt, tokens)
        burst = self._burst
        if burst is None or row.at - burst[1] > _PAUSE:
            self._end_burst()
            burst = row.at, row.at, Mix()
        burst[2].add(prompt, tokens)
        self._burst = burst[0], row.at, burst[2]

    def _end_burst(self) -> None:
        if self._burst is not None and self._burst[2].calls >= _BURST:
            start, end, mix = self._burst
            self.bursts += 1
            self.burst_seconds += end - start
            self.burst_days.add(int(start // _DAY))
            self.bulk.merge(mix)
        self._burst = None

    # --- what is known of the prompt ----------------------------------------------------------------------------------

    def _shape(self, row: AttemptRow, intent: IntentRow, prompt: int, cost: float) -> None:
        if intent.max_output_tokens:
            self.limits.append(intent.max_output_tokens)
        if not prompt:
            return
        guessed = intent.estimated_input_tokens or prompt
        scale = min(max(prompt / guessed, _SCALE[0]), _SCALE[1])
        prefix = int((intent.prefix_tokens or 0) * scale)
        if intent.prefix is not None and self.minimum is not None and prefix >= self.minimum:
            self._prefix(row, intent.prefix, float(prefix))
        if intent.messages is not None and intent.last_tokens is not None:
            self._history(row, intent, guessed, scale, prompt)
            self.twins.add(row, intent, prompt, cost)

    def _prefix(self, row: AttemptRow, prefix: str, tokens: float) -> None:
        self.prefixed += 1
        self.lengths.append(int(tokens))
        last = self.prefixes.get(prefix)
        self.same.add(row, tokens, warm=last is not None and row.at - last <= LIFETIME)
        self.alike.add(row, tokens, warm=row.at - self._any <= LIFETIME)
        self._any = row.at
        if last is not None or len(self.prefixes) < _MOST_PREFIXES:
            self.prefixes[prefix] = row.at

    def _history(self, row: AttemptRow, intent: IntentRow, guessed: int, scale: float, prompt: int) -> None:
        messages = (intent.messages or 0) - 1 - (intent.prefix is not None)
        history = guessed - (intent.prefix_tokens or 0) - (intent.last_tokens or 0)
        if messages < _LONG or history < _HISTORY_SHARE * guessed or self.prices is None:
            return
        self.long += 1
        self.long_messages.append(messages)
        prices = self.prices
        read, wrote = row.cache_read or 0, row.cache_write or 0
        paid = (
            (prompt - read - wrote) * prices.input
            + read * (prices.input if prices.cache_read is None else prices.cache_read)
            + wrote * (prices.input if prices.cache_write is None else prices.cache_write)
        ) / prompt
        self.history += history * scale * (1 - KEPT_MESSAGES / messages) * paid / 1e6


@dataclass(slots=True)
class Ledger:
    """All uses of a period.

    Args:
        uses: By use.
        first: When the first exchange was sent, epoch seconds; None where there is none.
        exchanges: How many there were.
    """

    uses: dict[Use, Facts] = field(default_factory=dict)
    first: float | None = None
    exchanges: int = 0


def gather(exchanges: Iterable[Exchange], book: PriceBook, day: int) -> Ledger:
    """Read the exchanges, oldest first.

    Args:
        exchanges: Settled attempts, as `LedgerQueries.exchanges` gives them.
        book: The prices that hold now.
        day: The present day, counted from 1970-01-01 UTC.
    """
    found = Ledger()
    for exchange in exchanges:
        row = exchange.attempt
        found.exchanges += 1
        if found.first is None:
            found.first = row.at
        use = Use(exchange.route, exchange.name, ALIASES.get(row.provider, row.provider), row.model)
        facts = found.uses.get(use)
        if facts is None:
            facts = found.uses[use] = Facts(use, _prices(book, use, day))
        facts.add(exchange)
    for facts in found.uses.values():
        facts.finish()
    return found


def _prices(book: PriceBook, use: Use, day: int) -> Prices | None:
    table = table_at(book, use.provider, use.model, day)
    if table is None or "input" not in table:
        return None
    read, write = table.get("cache_read"), table.get("cache_write")
    return Prices(
        float(table["input"]),
        float(table.get("output", 0)),
        None if read is None else float(read),
        None if write is None else float(write),
    )


def _conditions(row: AttemptRow) -> bool:
    """Whether it was charged at other than the usual price."""
    said = row.metered.get("conditions")
    return isinstance(said, dict) and any(
        value not in _USUAL for name, value in said.items() if name in {"service_tier", "processing", "speed"}
    )
