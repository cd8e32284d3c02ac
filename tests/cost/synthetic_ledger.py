"""Made-up ledgers in which it is known what could have been saved: clean traffic, and traffic with one cause planted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aistrale.store.protocol import Exchange
from aistrale.store.records import AttemptRow, IntentRow

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAYS = 14
DAY = 86_400.0
BEGIN = NOW.timestamp() - DAYS * DAY
# US dollars per million tokens on that day, as the providers' pages say: input, output, cache read, cache write.
RATES = {
    "openai/gpt-6.1-terra": (1.0, 5.0, 0.05, 1.25),
    "openai/gpt-6-sol": (2.0, 10.0, 0.2, 2.5),
    "anthropic/claude-sonnet-5": (2.0, 10.0, 0.2, 2.5),
    "anthropic/claude-haiku-4-5": (1.0, 5.0, 0.1, 1.25),
}


@dataclass
class Shot:
    """One exchange, in words of this file."""

    at: float
    model: str = "openai/gpt-6.1-terra"
    route: str | None = "chat"
    name: str | None = None
    session: str | None = None
    user: str | None = None
    streamed: bool = True
    prefix: str | None = "p0"
    prefix_tokens: int = 400
    messages: int = 3
    history: int = 300
    last: int = 120
    read: int = 0
    wrote: int = 0
    output: int = 200
    reasoning: int = 0
    latency: float = 2.0
    limit: int | None = None
    outcome: str = "success"
    error: str | None = None
    status: int | None = 200
    score: float | None = None
    billed: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> int:
        return self.prefix_tokens + self.history + self.last

    @property
    def cost(self) -> float:
        if not self.billed:
            return 0.0
        rates = RATES[self.model]
        fresh = self.prompt - self.read - self.wrote
        return (
            fresh * rates[0] + (self.output + self.reasoning) * rates[1] + self.read * rates[2] + self.wrote * rates[3]
        ) / 1e6


def exchanges(shots: list[Shot]) -> list[Exchange]:
    """As a ledger would give them: the oldest first."""
    return [_exchange(number, shot) for number, shot in enumerate(sorted(shots, key=lambda shot: shot.at))]


def _exchange(number: int, shot: Shot) -> Exchange:
    provider, _, model = shot.model.partition("/")
    call = f"{number:032x}"
    row = AttemptRow(
        call_id=call,
        attempt=1,
        at=shot.at,
        latency=shot.latency,
        provider=provider,
        model=model,
        target=shot.model,
        streamed=shot.streamed,
        outcome=shot.outcome,  # type: ignore[arg-type]  # one of them
        error=shot.error,
        status=shot.status,
    )
    if shot.billed:
        row.input = shot.prompt - shot.read - shot.wrote
        row.cache_read = shot.read
        row.cache_write = shot.wrote
        row.output = shot.output
        row.reasoning = shot.reasoning
    row.cost = repr(shot.cost)
    intent = IntentRow(
        call_id=call,
        attempt=1,
        at=shot.at,
        provider=provider,
        model=model,
        target=shot.model,
        streamed=shot.streamed,
        estimated_input_tokens=shot.prompt,
        max_output_tokens=shot.limit,
        messages=shot.messages,
        prefix=shot.prefix,
        prefix_tokens=None if shot.prefix is None else shot.prefix_tokens,
        last_tokens=shot.last,
    )
    return Exchange(
        attempt=row,
        intent=intent,
        route=shot.route,
        name=shot.name,
        session=shot.session,
        user=shot.user,
        kind="chat",
        model_asked=shot.route or model,
        call_outcome="success" if shot.outcome == "success" else "error",
        score=shot.score,
    )


def clean(rng: random.Random, count: int = 6000, **how: object) -> list[Shot]:
    """What an application does that wastes nothing: conversations of people, at all hours, with short prompts."""
    shots = []
    for _ in range(count):
        turn = rng.randrange(6)
        output = max(int(rng.lognormvariate(5.2, 0.6)), 1)
        shot = Shot(
            BEGIN + rng.random() * DAYS * DAY,
            session=f"s{rng.randrange(count // 4 + 1)}",
            user=f"u{rng.randrange(count // 20 + 1)}",
            prefix_tokens=400,
            messages=2 + 2 * turn,
            history=int(turn * rng.lognormvariate(4.5, 0.5)),
            last=max(int(rng.lognormvariate(5.0, 0.9)), 3),
            output=output,
            reasoning=int(rng.random() < 0.3) * int(rng.lognormvariate(5.0, 0.5)),
            limit=rng.choice([None, 1500, 2000]),
            latency=rng.lognormvariate(0.8, 0.5),
        )
        shots.append(replace(shot, **how))  # type: ignore[arg-type]  # fields of it
        if rng.random() < 0.01:
            shots.append(
                replace(shots[-1], at=shot.at - 1, outcome="error", error="RateLimitError", status=429, billed=False)
            )
    return shots


@dataclass
class Planted:
    """A ledger with one cause in it.

    Args:
        shots: All of it.
        rule: Which rule must speak.
        route: About which route.
        model: About which model.
        truth: What would have been saved in 30 days, US dollars, by our own reckoning; None where it depends on an
            assumption of the rule.
    """

    shots: list[Shot]
    rule: str
    route: str
    model: str
    truth: float | None


def _month(usd: float) -> float:
    return usd * 30 / DAYS


def _poisson(rng: random.Random, gap: float) -> list[float]:
    at, times = BEGIN, []
    while (at := at + rng.expovariate(1 / gap)) < NOW.timestamp():
        times.append(at)
    return times


def _warm(times: list[float], lifetime: float = 300.0) -> list[bool]:
    return [index > 0 and at - times[index - 1] <= lifetime for index, at in enumerate(times)]


def uncached(rng: random.Random) -> Planted:
    """A long system text at Anthropic without cache hints."""
    model, rates = "anthropic/claude-sonnet-5", RATES["anthropic/claude-sonnet-5"]
    times = _poisson(rng, 200)
    shots = [
        replace(clean(rng, 1)[0], at=at, model=model, route="support", prefix="long", prefix_tokens=4000)
        for at in times
    ]
    hits = sum(_warm(times))
    saved = 4000 * (hits * (rates[0] - rates[2]) - (len(times) - hits) * (rates[3] - rates[0])) / 1e6
    return Planted(shots, "prompt_caching", "support", model, _month(saved))


def timestamped(rng: random.Random) -> Planted:
    """A time of day at the head of the system text, with cache hints behind it: written each time, never read."""
    model, rates = "anthropic/claude-sonnet-5", RATES["anthropic/claude-sonnet-5"]
    times = _poisson(rng, 200)
    shots = [
        replace(
            clean(rng, 1)[0],
            at=at,
            model=model,
            route="stamped",
            prefix=f"t{index}",
            prefix_tokens=3000 + rng.randrange(3),
            wrote=3000,
        )
        for index, at in enumerate(times)
    ]
    saved = 3000 * sum(_warm(times)) * (rates[3] - rates[2]) / 1e6
    return Planted(shots, "cache_breaking", "stamped", model, _month(saved))


def automatic_miss(rng: random.Random) -> Planted:
    """OpenAI's automatic cache that never hits, since a request id stands at the top."""
    model, rates = "openai/gpt-6-sol", RATES["openai/gpt-6-sol"]
    times = _poisson(rng, 150)
    shots = [
        replace(clean(rng, 1)[0], at=at, model=model, route="ids", prefix=f"r{index}", prefix_tokens=2000)
        for index, at in enumerate(times)
    ]
    hits = sum(_warm(times))
    saved = 2000 * (hits * (rates[0] - rates[2]) - (len(times) - hits) * (rates[3] - rates[0])) / 1e6
    return Planted(shots, "cache_breaking", "ids", model, _month(saved))


def long_histories(rng: random.Random) -> Planted:
    """Conversations that are never trimmed."""
    model, rates = "openai/gpt-6-sol", RATES["openai/gpt-6-sol"]
    shots, saved = [], 0.0
    for at in _poisson(rng, 400):
        messages = rng.randrange(24, 60)
        each = 180
        shots.append(
            replace(
                clean(rng, 1)[0], at=at, model=model, route="endless", messages=messages + 2, history=messages * each
            )
        )
        saved += (messages - 8) * each * rates[0] / 1e6
    return Planted(shots, "long_history", "endless", model, _month(saved))


def wasted(rng: random.Random) -> Planted:
    """Streams that break after they were paid for."""
    shots = clean(rng, 3000, route="flaky")
    saved = 0.0
    for shot in rng.sample(shots, 400):
        lost = replace(
            shot,
            at=shot.at - 5,
            outcome="interrupted",
            error="StreamInterrupted",
            output=3000,
            reasoning=0,
            billed=True,
        )
        shots.append(lost)
        saved += lost.cost
    return Planted(shots, "wasted_attempts", "flaky", "openai/gpt-6.1-terra", _month(saved))


def nightly(rng: random.Random) -> Planted:
    """A job each night that sends everything at the price of conversations."""
    model = "openai/gpt-6-sol"
    shots = []
    for night in range(DAYS):
        at = BEGIN + night * DAY + 9 * 3600
        for _ in range(250):
            at += rng.expovariate(1 / 6)
            shots.append(
                replace(
                    clean(rng, 1)[0], at=at, model=model, route="summaries", session=None, user=None, streamed=False
                )
            )
    saved = sum(shot.cost for shot in shots) / 2
    return Planted(shots, "batch", "summaries", model, _month(saved))


def patient(rng: random.Random) -> Planted:
    """Long thinking jobs, one by one, that nobody watches."""
    model = "openai/gpt-6-sol"
    shots = [
        replace(
            clean(rng, 1)[0],
            at=at,
            model=model,
            route="reports",
            session=None,
            user=None,
            streamed=False,
            output=2500,
            latency=rng.uniform(40, 120),
        )
        for at in _poisson(rng, 1500)
    ]
    return Planted(shots, "service_tier", "reports", model, _month(sum(shot.cost for shot in shots) / 2))


def thoughtful(rng: random.Random) -> Planted:
    """Thousands of tokens of thinking for a word."""
    model, rates = "openai/gpt-6-sol", RATES["openai/gpt-6-sol"]
    shots = [replace(shot, reasoning=rng.randrange(1500, 4000), output=20) for shot in clean(rng, 1500, route="labels")]
    shots = [replace(shot, model=model) for shot in shots]
    spent = sum(shot.reasoning for shot in shots if shot.billed) * rates[1] / 1e6
    return Planted(shots, "thinking", "labels", model, _month(spent / 2))


def repeated(rng: random.Random) -> Planted:
    """The same question again within a minute, every third time."""
    model = "openai/gpt-6-sol"
    shots: list[Shot] = []
    saved = 0.0
    for at in _poisson(rng, 500):
        shot = replace(clean(rng, 1)[0], at=at, model=model, route="faq", last=rng.randrange(300, 3000), history=0)
        shots.append(replace(shot, messages=2))
        if rng.random() < 0.5:
            again = replace(shots[-1], at=at + rng.uniform(1, 100), session=None)
            shots.append(again)
            saved += again.cost
    return Planted(shots, "repeated_calls", "faq", model, _month(saved))


def dear(rng: random.Random) -> Planted:
    """Two models on one route with the same scores and very different prices."""
    big, small = "openai/gpt-6-sol", "openai/gpt-6.1-terra"
    shots = []
    for shot in clean(rng, 2000, route="mail"):
        score = min(max(rng.gauss(0.85, 0.08), 0), 1) if rng.random() < 0.3 else None
        shots.append(replace(shot, model=big if rng.random() < 0.8 else small, score=score))
    saved = sum(
        shot.cost - replace(shot, model=small).cost for shot in shots if shot.model == big and shot.outcome == "success"
    )
    return Planted(shots, "cheaper_model", "mail", big, _month(saved))


def roomy(rng: random.Random) -> Planted:
    """A limit on the output that no answer comes near."""
    shots = [replace(shot, limit=32_000) for shot in clean(rng, 1500, route="titles")]
    return Planted(shots, "oversized_max_tokens", "titles", "openai/gpt-6.1-terra", None)


CAUSES: tuple[Callable[[random.Random], Planted], ...] = (
    uncached, timestamped, automatic_miss, long_histories, wasted, nightly, patient, thoughtful, repeated, dear, roomy,
)  # fmt: skip
