"""What the ledger's exchanges come to for each use of a model: the sums and samples that advice is read from.

A use is a route, a name that the application gave, and a model. Everything is gathered in one pass over the exchanges,
oldest first, in memory that grows with the number of uses and, by some twenty bytes, with the exchanges.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from aistrale.providers import ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from aistrale.cost.book import PriceBook
    from aistrale.store.protocol import Exchange
    from aistrale.store.records import AttemptRow, IntentRow

# Which rate a bucket is charged at, and which one where there is none of its own: a provider without a cache charges
# what another would have read from it as input.
_UNITS: Final = (
    ("input", "input"),
    ("tool_input", "input"),
    ("cache_read", "cache_read"),
    ("cache_write", "cache_write"),
    ("output", "output"),
    ("reasoning", "output"),
    ("audio_input", "audio_input"),
    ("audio_output", "audio_output"),
    ("image_input", "image_input"),
    ("image_output", "image_output"),
)
_BUCKETS: Final = tuple(bucket for bucket, _ in _UNITS)
_INSTEAD: Final = {
    "cache_read": "input", "cache_write": "input", "image_input": "input", "audio_input": "input",
    "image_output": "output", "audio_output": "output",
}  # fmt: skip
_INPUTS: Final = ("input", "tool_input", "cache_read", "cache_write", "audio_input", "image_input")
# Where providers' prices of long prompts begin, in tokens.
_CUTS: Final = (32_000, 100_000, 128_000, 200_000, 256_000, 272_000)
_USUAL: Final = frozenset({"default", "standard", "standard_only", "auto", "on_demand", "realtime"})
_DAY: Final = 86_400.0

LIFETIME: Final = 300.0
"""Seconds for which a cached prompt is surely kept: Anthropic's default, and the least that OpenAI's guide names."""

# A burst: calls that follow each other within a minute, so many that nobody typed them.
_PAUSE: Final = 60.0
_BURST: Final = 50
# What stands behind the last message is history; so many messages of it are kept.
KEPT_MESSAGES: Final = 8
_LONG: Final = 16
_HISTORY_SHARE: Final = 0.6
# The estimate counts four characters to a token; the provider's count says how far it is off, within reason.
_SCALE: Final = (0.5, 2.5)
# A prompt beside its prefix must be this long to be told from others by its length.
_TELLING: Final = 200
_NEAR: Final = 8
_MOST_PREFIXES: Final = 50_000

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)")


class Use(NamedTuple):
    """Who uses which model for what."""

    route: str | None
    name: str | None
    provider: str
    model: str

    def __str__(self) -> str:
        where = [f"route {self.route}"] if self.route else []
        where += [f"{self.name!r}"] if self.name else []
        return " ".join([f"{self.provider}/{self.model}", *(["of"] if where else []), ", ".join(where)]).strip()


class Prices(NamedTuple):
    """US dollars per million tokens, for prompts of usual length."""

    input: float
    output: float
    cache_read: float | None
    cache_write: float | None


class Mix:
    """Tokens by the length of their prompts, so that they can be priced at another model."""

    __slots__ = ("calls", "classes")

    def __init__(self) -> None:
        self.calls = 0
        self.classes: dict[int, list[float]] = {}

    def add(self, prompt: int, tokens: Sequence[int]) -> None:
        """Add an exchange."""
        self.calls += 1
        place = sum(prompt > cut for cut in _CUTS) if prompt > _CUTS[0] else 0
        sums = self.classes.get(place)
        if sums is None:
            sums = self.classes[place] = [0.0] * (len(_BUCKETS) + 1)
        for index, count in enumerate(tokens):
            if count:
                sums[index] += count
        sums[-1] = max(sums[-1], prompt)

    def merge(self, other: Mix) -> None:
        """Add another one."""
        self.calls += other.calls
        for place, sums in other.classes.items():
            mine = self.classes.setdefault(place, [0.0] * len(sums))
            for index, value in enumerate(sums[:-1]):
                mine[index] += value
            mine[-1] = max(mine[-1], sums[-1])

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return int(max((sums[-1] for sums in self.classes.values()), default=0))

    def tokens(self, bucket: str) -> float:
        """All tokens of a bucket."""
        index = _BUCKETS.index(bucket)
        return sum(sums[index] for sums in self.classes.values())

    def cost(
        self,
        book: PriceBook,
        provider: str,
        model: str,
        day: int,
        conditions: Mapping[str, str] | None = None,
        *,
        density: float = 1.0,
        cached: bool = True,
    ) -> float | None:
        """What it would cost, in US dollars; None where there is no price.

        Args:
            book: The prices.
            provider: Of whom.
            model: For which model.
            day: On which day, counted from 1970-01-01 UTC.
            conditions: As in the book.
            density: How many tokens that model's tokenizer makes of one of ours.
            cached: Whether what was read from a cache would be there too.
        """
        total = 0.0
        for sums in self.classes.values():
            table = table_at(book, provider, model, day, conditions, prompt=int(sums[-1] * density))
            if table is None:
                return None
            for (_, unit), count in zip(_UNITS, sums, strict=False):
                if not count:
                    continue
                wanted = unit if cached or not unit.startswith("cache") else "input"
                rate = table.get(wanted, table.get(_INSTEAD.get(wanted, "")))
                if rate is None:
                    return None
                total += count * density * float(rate)
        return total / 1e6


def table_at(
    book: PriceBook,
    provider: str,
    model: str,
    day: int,
    conditions: Mapping[str, str] | None = None,
    *,
    prompt: int = 0,
) -> Mapping[str, Decimal] | None:
    """The rates of a day for prompts of some length; None where there are none."""
    periods = book.rates(provider, model, conditions or {})
    if isinstance(periods, str):
        return None
    rates = next((each for each in periods if each.start <= day), None)
    if rates is None or not rates.rates:
        return None
    return next((tier.rates for tier in rates.tiers if prompt > tier.above), rates.rates)


@dataclass(slots=True)
class Cached:
    """What caching a prefix would have saved: tokens that would have been read, and those that would have been written.

    Args:
        hits: Exchanges within the lifetime of the one before.
        read: Their tokens that were charged as input.
        rewritten: Their tokens that were written to a cache again.
        cold: Exchanges that come first, or too late.
        written: Their tokens that would be written, and were not.
        had: Tokens that were read from a cache.
    """

    hits: int = 0
    read: float = 0.0
    rewritten: float = 0.0
    cold: int = 0
    written: float = 0.0
    had: float = 0.0

    def add(self, row: AttemptRow, tokens: float, *, warm: bool) -> None:
        """Add an exchange with a prefix of so many tokens; it is warm when the cache would still have it."""
        read, wrote = min(row.cache_read or 0, tokens), min(row.cache_write or 0, tokens)
        wrote = min(wrote, tokens - read)
        rest = tokens - read - wrote
        self.had += read
        if warm:
            self.hits += 1
            self.read += rest
            self.rewritten += wrote
        else:
            self.cold += 1
            self.written += rest

    def saving(self, prices: Prices) -> float:
        """US dollars, the premium of writing taken off."""
        if prices.cache_read is None:
            return 0.0
        write = prices.input if prices.cache_write is None else prices.cache_write
        saved = self.read * (prices.input - prices.cache_read) + self.rewritten * (write - prices.cache_read)
        return (saved - self.written * (write - prices.input)) / 1e6


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
        self.first = self.last = 0.0
        self.calls = 0
        self.cost = 0.0
        self.failures: dict[str, Failures] = {}
        self.limited = 0
        self.kinds: Counter[str | None] = Counter()
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
        self.twins = 0
        self.twin_cost = 0.0
        self.chance = 0.0
        self._window: deque[tuple[float, tuple[object, ...], tuple[object, ...], str]] = deque()
        self._seen: Counter[tuple[object, ...]] = Counter()
        self._sizes: Counter[tuple[object, ...]] = Counter()

    def add(self, exchange: Exchange) -> None:
        """Add an exchange; they come oldest first."""
        row = exchange.attempt
        self.first, self.last = self.first or row.at, row.at
        if row.outcome != "success":
            self._failed(exchange)
            return
        cost = float(row.cost) if row.cost is not None else 0.0
        tokens = [getattr(row, bucket) or 0 for bucket in _BUCKETS]
        prompt = sum(getattr(row, bucket) or 0 for bucket in _INPUTS)
        self.calls += 1
        self.cost += cost
        self.kinds[exchange.kind] += 1
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
        guessed = intent.estimated_input_tokens
        if not guessed or not prompt:
            return
        scale = min(max(prompt / guessed, _SCALE[0]), _SCALE[1])
        prefix = int((intent.prefix_tokens or 0) * scale)
        if intent.prefix is not None and self.minimum is not None and prefix >= self.minimum:
            self._prefix(row, intent.prefix, float(prefix))
        if intent.messages is not None and intent.last_tokens is not None:
            self._history(row, intent, guessed, scale, prompt)
            self._twin(row, intent, prompt, cost)

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

    def _twin(self, row: AttemptRow, intent: IntentRow, prompt: int, cost: float) -> None:
        """Count exchanges that look like one a moment ago, and how many do so by chance.

        The ledger has no content, so what looks the same are the sizes. How often sizes nearly agree says how often
        they agree by chance.
        """
        window, guessed = self._window, intent.estimated_input_tokens or 0
        while window and row.at - window[0][0] > LIFETIME:
            _, key, size, _ = window.popleft()
            self._seen[key] -= 1
            self._sizes[size] -= 1
        if guessed - (intent.prefix_tokens or 0) < _TELLING or (window and window[-1][3] == row.call_id):
            return
        head = intent.prefix, intent.messages
        key, size = (*head, guessed, intent.last_tokens, prompt), (*head, guessed)
        if self._seen[key] > 0:
            self.twins += 1
            self.twin_cost += cost
        near = sum(self._sizes[*head, guessed + step] > 0 for step in range(-_NEAR, _NEAR + 1) if step)
        self.chance += near / (2 * _NEAR)
        self._seen[key] += 1
        self._sizes[size] += 1
        window.append((row.at, key, size, row.call_id))


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


def claude_version(model: str) -> tuple[int, int] | None:
    """The version in a Claude model's name; None for others."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def least_cached(provider: str, model: str) -> int | None:
    """The fewest tokens of a prompt that a provider caches; None where it has no cache that we know.

    OpenAI, prompt caching guide: 1,024. Anthropic, prompt caching: by model. Google, context caching (2026-10-13):
    2,048 for Gemini 2.5, 4,096 for later ones. Groq, prompt caching: up to 1,024, by model.
    """
    if provider in {"openai", "azure", "groq"}:
        return 1024
    if provider == "gemini":
        return 2048 if "2.5" in model else 4096
    if provider != "anthropic":
        return None
    version = claude_version(model) or (5, 0)
    if "haiku" in model and version < (4, 5):
        return 2048
    if version == (4, 7):
        return 2048
    if version in {(4, 5), (4, 6)} and "sonnet" not in model:
        return 4096
    return 512 if version == (5, 0) and "sonnet" not in model and "haiku" not in model else 1024


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which a share of the values lies, interpolated linearly; 0 where there are none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
