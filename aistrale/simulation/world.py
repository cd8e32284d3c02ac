"""The innermost step of a simulated pipeline: exchanges with scripted providers, under the clocks of the call.

What a policy sees of an exchange is what core's `send` would show: an attempt that is filled in whatever happens, a
reply that begins when the first content is there, and errors of the same classes.
"""

from __future__ import annotations

import math
import random
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING

from aistrale.config.values import unknown_key
from aistrale.core.call import Attempt, Target
from aistrale.core.faults import interrupted, timeout_error
from aistrale.core.reply import Reply
from aistrale.core.send import settle
from aistrale.core.stream import first_instant
from aistrale.cost.prices import price_usage
from aistrale.dialects.base import Profile
from aistrale.errors import ConnectError, NetworkError
from aistrale.providers import get_provider, is_provider
from aistrale.providers.catalog import lookup
from aistrale.providers.openai_compatible import openai_compatible
from aistrale.simulation.kernel import suspend
from aistrale.simulation.station import Refusal, Station
from aistrale.types import (
    Choice,
    Completion,
    Cost,
    ErrorInfo,
    Finish,
    Message,
    ReplyEnd,
    ReplyStart,
    TextDelta,
    Usage,
    UsageUpdate,
    Whole,
)

if TYPE_CHECKING:
    from aistrale.core.call import Call
    from aistrale.errors import AistraleError, APIError
    from aistrale.simulation.kernel import Kernel
    from aistrale.simulation.runtime import SimRuntime
    from aistrale.simulation.scenario import Outage, Scenario, TargetSpec
    from aistrale.simulation.station import Job
    from aistrale.types import Event

_CHARS_PER_TOKEN = 4
_MILLION = 1_000_000


class World:
    """All targets of a scenario.

    Args:
        scenario: What they are like.
        runtime: Their clock, and the policies' source of randomness.
        seed: Of what happens in them.
    """

    def __init__(self, scenario: Scenario, runtime: SimRuntime, seed: int) -> None:
        self.scenario = scenario
        self.runtime = runtime
        self.kernel = kernel = runtime.kernel
        self.places = {spec.name: Place(spec, scenario, kernel, seed) for spec in scenario.targets}
        self.targets = [place.target for place in self.places.values()]
        self.sent = array("d")
        """When each attempt was sent, in order."""

    def target(self, name: str) -> Target:
        """The target of a name. Raises ConfigurationError when the scenario has none."""
        place = self.places.get(name)
        if place is None:
            raise unknown_key(name, list(self.places), "target")
        return place.target

    def price(self, _call: Call, target: Target) -> Decimal | None:
        """US dollars for one answer of a target; None when not known."""
        return self.places[target.name].answer_usd

    async def send(self, call: Call) -> Reply:
        """Exchange with `call.target`; a pipeline's `send_step`.

        Raises:
            APIError: The provider refused.
            NetworkError, DeadlineExceeded: The exchange failed below HTTP.
        """
        runtime = call.runtime
        attempt = Attempt(len(call.attempts) + 1, call.target, runtime.now(), runtime.wall())
        call.attempt = attempt
        call.attempts.append(attempt)
        place = self.places[call.target.name]
        try:
            reply = await self._exchange(call, attempt, place)
        except BaseException as error:
            settle(call, attempt, "error" if isinstance(error, Exception) else "cancelled", error)
            raise

        def closed(reply: Reply, error: BaseException | None) -> None:
            attempt.usage = reply.accumulated.completion.usage
            if attempt.usage is not None:
                attempt.cost = Cost(place.answer_usd)
            settle(call, attempt, reply.outcome or "abandoned", error)

        reply.on_close(closed)
        return reply

    async def _exchange(self, call: Call, attempt: Attempt, place: Place) -> Reply:
        now = self.kernel.now
        until = first_instant(call, attempt)
        if until is not None and until <= now:
            raise timeout_error(call, attempt, phase="connect", sent=False, clock="first_token")
        self.sent.append(now)
        station = place.station
        outage = station.arrive()
        if outage is not None:
            raise await self._meet(outage, call, attempt, until)
        job = station.take()
        if station.meters is not None:
            attempt.limits = station.meters.limits(now)
        if isinstance(job, Refusal):
            await self._delay(station.spec.refusal, call, attempt, until)
            raise place.refusal(attempt, job.status, job.retry_after)
        try:
            there = await job.wait_until(until)
        except BaseException:
            station.leave(job)
            raise
        if not there:
            station.leave(job)
            raise timeout_error(call, attempt, phase="headers", sent=True, clock="first_token")
        attempt.status = 200
        if job.breaks_at <= self.kernel.now:
            station.leave(job)
            raise cut(attempt)
        attempt.first_token = self.kernel.now - attempt.started
        if not call.stream:
            return Reply([Whole(place.answer())])
        source = SimSource(call, attempt, place, job)
        return Reply(source.events(), source)

    async def _meet(self, outage: Outage, call: Call, attempt: Attempt, until: float | None) -> AistraleError:
        """Suffer what an outage does to a request; the error in which that ends."""
        place = self.places[attempt.target.name]
        if outage.kind == "error":
            await self._delay(place.station.spec.refusal, call, attempt, until)
            return place.refusal(attempt, outage.status, outage.retry_after)
        if outage.kind == "refused":
            return ConnectError(
                f"{attempt.target.provider.name} refuses connections",
                provider=attempt.target.provider.name,
                target=attempt.target.name,
                attempt=attempt.number,
                phase="connect",
            )
        if outage.kind == "unreachable":
            instants = [until, call.until(call.clocks.connect)]
            await suspend(min((instant for instant in instants if instant is not None), default=None))
            return timeout_error(call, attempt, phase="connect", sent=False, clock="connect")
        await suspend(until)
        return timeout_error(call, attempt, phase="headers", sent=True, clock="first_token")

    async def _delay(self, seconds: float, call: Call, attempt: Attempt, until: float | None) -> None:
        """Wait for an error to arrive, unless a clock runs out before."""
        instant = self.kernel.now + seconds
        if until is not None and until < instant:
            await suspend(until)
            raise timeout_error(call, attempt, phase="headers", sent=True, clock="first_token")
        if seconds > 0:
            await suspend(instant)


class Place:
    """One target: its station, and how its answers and errors look from outside.

    Args:
        spec: What it is like.
        scenario: What calls are like.
        kernel: Its clock.
        seed: Of its randomness.
    """

    def __init__(self, spec: TargetSpec, scenario: Scenario, kernel: Kernel, seed: int) -> None:
        self.spec = spec
        self.target = _target(spec.name)
        self._input, self._output = scenario.input_tokens, scenario.output_tokens
        rng = random.Random(f"{seed} {spec.name}")  # noqa: S311 - repeatable by intention
        tokens = self._input + self._output
        self.station = Station(spec, kernel, rng, tokens=tokens, stream=scenario.stream)
        self.answer_usd = self._price(self._input, self._output)
        """US dollars for one whole answer; None when the price is not known."""
        self._errors: dict[int, type[APIError]] = {}
        self.text = "word" * max(self._output * _CHARS_PER_TOKEN // (4 * spec.pieces), 1)
        """One piece of a streamed answer."""

    def usage(self) -> Usage:
        """The tokens of one exchange."""
        return Usage(input=self._input, output=self._output)

    def answer(self) -> Completion:
        """A whole answer."""
        choices = [Choice(Message.assistant("A simulated answer."), "stop")]
        return Completion(choices=choices, model=self.spec.name.partition("/")[2], usage=self.usage())

    def refusal(self, attempt: Attempt, status: int, retry_after: float | None) -> APIError:
        """The error that this provider's answer with that status is."""
        provider = self.target.provider
        kind = self._errors.get(status)
        if kind is None:
            kind = self._errors[status] = provider.classify(ErrorInfo(status))
        return kind(
            f"{provider.name} answered with status {status}",
            status=status,
            provider=provider.name,
            target=self.target.name,
            attempt=attempt.number,
            retry_after=retry_after,
        )

    def cost(self) -> Decimal | None:
        """What all work so far is billed at: stopped answers as far as they had come, wasted ones whole."""
        if self.answer_usd is None:
            return None
        tally = self.station.tally
        prompt = self._price(self._input, 0) or Decimal(0)
        stopped = Decimal(str(round(tally.stopped, 6)))
        return self.answer_usd * tally.finished + prompt * tally.stops + (self.answer_usd - prompt) * stopped

    def _price(self, given: int, made: int) -> Decimal | None:
        if self.spec.price is not None:
            return (self.spec.price[0] * given + self.spec.price[1] * made) / _MILLION
        return price_usage(self.target.provider.name, self.target.model, Usage(input=given, output=made)).usd


def _target(name: str) -> Target:
    prefix, _, model = name.partition("/")
    known = is_provider(prefix)
    provider = get_provider(prefix) if known else openai_compatible(prefix, "http://simulated.invalid/v1")
    return Target(
        name=name,
        provider=provider,
        model=model,
        dialect=provider.dialects[0],
        base_url="http://simulated.invalid",
        profile=Profile(provider=provider.name, model=model),
        facts=lookup(provider.name, model),
    )


def cut(attempt: Attempt) -> NetworkError:
    """The error for an answer that broke off."""
    return NetworkError(
        f"{attempt.target.provider.name} closed the connection",
        provider=attempt.target.provider.name,
        target=attempt.target.name,
        attempt=attempt.number,
        phase="body",
        sent=True,
    )


class SimSource:
    """The pieces of a streamed answer, each at its time.

    Args:
        call: Its clocks hold.
        attempt: Under way.
        place: Who answers.
        job: Its first content is there.
    """

    __slots__ = ("_attempt", "_call", "_job", "_made", "_place")

    def __init__(self, call: Call, attempt: Attempt, place: Place, job: Job) -> None:
        self._call = call
        self._attempt = attempt
        self._place = place
        self._job = job
        self._made = 0

    def events(self) -> list[Event]:
        """The next piece; with the last one, what ends an answer."""
        place, events = self._place, list[TextDelta | ReplyStart | Finish | UsageUpdate | ReplyEnd]()
        if not self._made:
            events.append(ReplyStart(model=self._attempt.target.model))
        self._made += 1
        events.append(TextDelta(place.text))
        if self._made == place.spec.pieces:
            events += [Finish("stop"), UsageUpdate(place.usage()), ReplyEnd()]
        return [*events]

    async def pull(self) -> list[Event] | None:
        """Wait for the next piece; None after the last one.

        Raises:
            NetworkError: The stream was cut, or stalled beyond the clock between tokens.
            DeadlineExceeded: The call's time is up.
        """
        job, call = self._job, self._call
        pieces = self._place.spec.pieces
        if self._made == pieces:
            return None
        due = job.begun + job.first + (job.latency - job.first) * self._made / (pieces - 1)
        until = call.until(call.clocks.between_tokens)
        instant = min(due, job.breaks_at, math.inf if until is None else until)
        if instant > call.runtime.now():
            await suspend(instant)
        if due <= instant:
            return self.events()
        self.abandon()
        if job.breaks_at <= instant:
            raise cut(self._attempt)
        raise timeout_error(call, self._attempt, phase="body", sent=True, clock="between_tokens")

    async def close(self) -> None:
        """Leave without the rest."""
        self.abandon()

    def abandon(self) -> None:
        """Leave without the rest."""
        self._place.station.leave(self._job)

    def broken(self, error: AistraleError, partial: Completion) -> AistraleError:
        """A cut stream is an interrupted one; a deadline stays a deadline."""
        return interrupted(error, self._attempt, partial)
