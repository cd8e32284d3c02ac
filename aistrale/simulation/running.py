"""Running a scenario: clients make calls, each through a pipeline of its own, until everything is over."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from aistrale.core.call import Call
from aistrale.errors import AistraleError
from aistrale.policies import build
from aistrale.simulation.policies import DEFAULT, ROUTE, Contender, contender
from aistrale.simulation.report import CallRecord, summarize
from aistrale.simulation.runtime import SimRuntime
from aistrale.simulation.world import World
from aistrale.types import Message, Request

if TYPE_CHECKING:
    from aistrale.core.pipeline import Pipeline
    from aistrale.simulation.policies import Maker
    from aistrale.simulation.report import Report
    from aistrale.simulation.scenario import Scenario

# How long calls without a deadline are waited for after the last one was made, in virtual seconds.
_DRAIN = 600.0
UNFINISHED = "unfinished"
"""Stands for the error of a call that had not ended when the simulation did."""


def simulate(scenario: Scenario, policy: str | Maker = DEFAULT, *, seed: int | None = None) -> Report:
    """Run a scenario with one kind of policies.

    Args:
        scenario: What happens.
        policy: A name (one of `NAMES` or of the scenario's own), or a function that makes the policies of one client
            by their places in the pipeline.
        seed: Instead of the scenario's.

    Raises:
        ConfigurationError: There is no policy of that name.
    """
    if seed is not None:
        scenario = replace(scenario, seed=seed)
    if isinstance(policy, str):
        tried = contender(policy, scenario.policies, [target.name for target in scenario.targets])
    else:
        tried = Contender(getattr(policy, "__name__", type(policy).__name__), policy)
    run = Run(scenario, tried)
    run.run()
    return summarize(scenario, tried.name, run.records, run.world)


class Run:
    """One simulation.

    Args:
        scenario: What happens.
        tried: The policies.
    """

    def __init__(self, scenario: Scenario, tried: Contender) -> None:
        self._scenario = scenario
        seed = scenario.seed
        self.runtime = SimRuntime(f"{seed} policies")
        self._kernel = self.runtime.kernel
        self.world = World(scenario, self.runtime, seed)
        self._streams = tried.streams if scenario.stream else None
        # Arrivals have a source of randomness of their own, so that all policies meet the same calls.
        self._arrivals = random.Random(f"{seed} arrivals")  # noqa: S311 - repeatable by intention
        self._clients = [build(tried.make(self.world), self.world.send) for _ in range(scenario.clients)]
        self._words = "word" * scenario.input_tokens
        self._steps = sorted({edge for surge in scenario.surges for edge in (surge.start, surge.end)})
        self._asked = 0
        self.records: list[CallRecord] = []

    def run(self) -> None:
        """Let the scenario's time pass, and what is left of the calls after it."""
        scenario, kernel = self._scenario, self._kernel
        self._schedule()
        kernel.run(scenario.duration)
        total = scenario.clocks.total
        kernel.run(scenario.duration + (_DRAIN if total is None else total + 1.0))
        kernel.close()

    def _schedule(self) -> None:
        """Draw the next arrival: the clients' Poisson processes together are one, and whose turn it is, is chance."""
        scenario, now = self._scenario, self._kernel.now
        while now < scenario.duration:
            rate = scenario.clients * scenario.rate
            for surge in scenario.surges:
                if surge.start <= now < surge.end:
                    rate *= surge.factor
            step = next((edge for edge in self._steps if edge > now), math.inf)
            gap = -math.log(1.0 - self._arrivals.random()) / rate if rate > 0 else math.inf
            # What has not happened up to a change of the rate is drawn anew from there, for the process has no memory.
            if now + gap < step:
                self._kernel.at(now + gap, self._arrive, None, None)
                return
            now = step

    def _arrive(self, _first: object, _second: object) -> None:
        if self._kernel.now >= self._scenario.duration:
            return
        client = int(self._arrivals.random() * len(self._clients))
        self._kernel.spawn(self._call(self._clients[client]))
        self._schedule()

    async def _call(self, pipeline: Pipeline) -> None:
        scenario, targets = self._scenario, self.world.targets
        self._asked += 1
        request = Request(
            model=targets[0].model,
            # No two calls ask the same: what a cache is worth, a scenario does not know.
            messages=[Message.user(f"{self._asked} {self._words}")],
            max_tokens=scenario.output_tokens,
            stream=scenario.stream,
        )
        call = Call(request, list(targets), self.runtime, clocks=scenario.clocks, route=ROUTE)
        call.streaming = self._streams
        error = UNFINISHED
        try:
            reply = await pipeline(call)
            await reply.completion()
            error = ""
        except AistraleError as problem:
            error = type(problem).__name__
            problem.__traceback__ = None
        finally:
            now = self._kernel.now
            late = call.deadline is not None and now > call.deadline + 1e-9
            ended = not late and not error
            self.records.append(CallRecord(call.started, now - call.started, ended, len(call.attempts), error))
            # Errors hold frames, which hold calls, which hold errors: left to the garbage collector, these rings would
            # take half of the time of a run.
            for failed in call.errors:
                failed.__traceback__ = None
