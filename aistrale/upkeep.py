"""What a client does besides calls: health, breakers, warm-up and probes of its targets, and looking at texts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from aistrale.config.values import unknown_key
from aistrale.core.call import Call, Context
from aistrale.core.http import HttpError, HttpRequest
from aistrale.core.ids import new_id
from aistrale.core.runtime import run_sync
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.routing.health import report
from aistrale.types import Message, Request

if TYPE_CHECKING:
    from aistrale.core.call import Target
    from aistrale.core.runtime import Runtime
    from aistrale.engine import Engine
    from aistrale.policies.state import TargetState
    from aistrale.privacy.finding import Finding
    from aistrale.privacy.single import Redacted
    from aistrale.reliability.breaker_types import BreakerSnapshot
    from aistrale.reliability.gate import GateSnapshot
    from aistrale.routing.health import Health, TargetStats
    from aistrale.store.redis.connection import StateStatus

_WARM_UP_SECONDS = 10.0
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Warmed:
    """How a warm-up of one target went.

    Args:
        target: `provider/model`.
        seconds: How long the connection took.
        problem: Why there is none; None when there is one.
    """

    target: str
    seconds: float
    problem: str | None = None


def flush(engine: Engine, timeout: float) -> bool:
    """Bring what waits to the ledger and to the sinks; whether that was done within `timeout` seconds."""
    until = time.monotonic() + timeout
    written = engine.ledger.flush(timeout)
    if engine.fleet is not None:
        written = engine.fleet.flush(max(until - time.monotonic(), 0.0)) and written
    return engine.reporting.flush(max(until - time.monotonic(), 0.0)) and written


def state(engine: Engine) -> StateStatus:
    """How the state that several processes share stands."""
    # Loaded here, as it is nothing that a client without a fleet needs.
    from aistrale.store.redis.connection import StateStatus

    return StateStatus(kind="memory") if engine.fleet is None else engine.fleet.status()


def scan(engine: Engine, text: str) -> list[Finding]:
    """What is sensitive in a text, as the client's settings have it."""
    # Loaded at first use, as is everything that only some clients need.
    from aistrale.privacy.single import default_protection, scan_text

    protection = engine.protection or default_protection()
    return scan_text(protection.settings, protection.scanner, text)


def redact(engine: Engine, text: str) -> Redacted:
    """A text without what is sensitive in it, as the client's settings have it."""
    from aistrale.privacy.single import default_protection, redact_text

    return redact_text(engine.protection or default_protection(), text)


def health(engine: Engine) -> dict[str, Health]:
    """The health of every target that was ever called, by its name."""
    known = engine.states.known()

    def state(name: str, now: float) -> str:
        own = known[name]
        return own.breaker.state(now) if own.key.check(now) is None else "open"

    return report({name: own.stats for name, own in known.items()}, time.monotonic(), state)


def breakers(engine: Engine) -> dict[str, BreakerSnapshot]:
    """The circuit breaker of every target that was ever called, by its name."""
    now = time.monotonic()
    return {name: _snapshot(state, now) for name, state in engine.states.known().items()}


def _snapshot(state: TargetState, now: float) -> BreakerSnapshot:
    snapshot, hold = state.breaker.snapshot(now), state.key.check(now)
    return snapshot if hold is None else replace(snapshot, key=hold.reason, key_until=hold.until)


def queues(engine: Engine) -> dict[str, GateSnapshot]:
    """The limits and the queue of every target that was ever called, by its name."""
    now = time.monotonic()
    return {name: state.gate.snapshot(now) for name, state in engine.states.known().items()}


def force_breaker(engine: Engine, name: str, state: Literal["open", "closed", "metrics_only"] | None) -> None:
    """Set the state of a target's breaker by hand, or release it.

    A name without an account means the target with every key and base URL that it was asked with so far.

    Raises:
        ConfigurationError: There is no such target or state.
    """
    if state not in {"open", "closed", "metrics_only", None}:
        raise ConfigurationError("state must be 'open', 'closed', 'metrics_only' or None", field="state")
    now = time.monotonic()
    same = [known for place, known in engine.states.known().items() if name in {place, known.target.name}]
    for known in same or [_state_of(engine, name)]:
        known.breaker.force(state, now)


def _state_of(engine: Engine, name: str) -> TargetState:
    known = engine.states.known()
    if name in known:
        return known[name]
    routed = [target for route in engine.settings.routes.values() for target in route.targets]
    if name not in routed and "/" not in name:
        raise unknown_key(name, sorted({*known, *routed}), "target")
    return engine.states.of(engine.target(name))


async def warm_up(engine: Engine, runtime: Runtime, models: tuple[str, ...]) -> list[Warmed]:
    """Connect to the targets of these models and routes, so that the first call need not.

    Each origin gets one request without a key and without a body; whatever it answers, the connection stays for the
    calls to come.

    Args:
        engine: Whose connections.
        runtime: Blocking or async.
        models: Names of models and routes; none for what a call that names none would take.
    """
    warmed = []
    for target in _targets(engine, models):
        began = runtime.now()
        problem = await _connect(runtime, target)
        warmed.append(Warmed(target.name, runtime.now() - began, problem))
    return warmed


def _targets(engine: Engine, models: tuple[str, ...]) -> list[Target]:
    found: dict[str, Target] = {}
    for model in models or (None,):
        options = {} if model is None else {"model": model}
        for target in engine.targets(options)[0]:  # type: ignore[arg-type]  # two names out of Options
            found.setdefault(target.base_url, target)
    return list(found.values())


async def _connect(runtime: Runtime, target: Target) -> str | None:
    until = runtime.now() + _WARM_UP_SECONDS
    agent = [header for header in target.headers if header[0] == "user-agent"]
    request = HttpRequest("HEAD", target.base_url, agent, b"")
    try:
        response = await runtime.open(request, connect_until=until, until=until)
        await response.read(until)
        await response.close()
    except HttpError as error:
        return str(error) or type(error).__name__
    return None


class Probing:
    """Tiny calls to targets that had no traffic for long, in the background, as `ProbeSettings` allow.

    Args:
        engine: Whose targets; its calls wake the prober.
    """

    def __init__(self, engine: Engine) -> None:
        from aistrale.routing.probe import Prober, ProbeSettings

        self._engine = engine
        self._prober = Prober(
            engine.settings.probe or ProbeSettings(), targets=self._watched, send=self._send, now=time.monotonic
        )
        self.wake = self._prober.wake
        self.close = self._prober.close

    def _watched(self) -> dict[str, tuple[Target, TargetStats]]:
        known = self._engine.states.known()
        return {name: (state.target, state.stats) for name, state in known.items() if _talks(state.target)}

    def _send(self, target: Target) -> bool:
        engine = self._engine
        # Never the same words twice, which a cache would answer.
        request = Request(model=target.model, messages=[Message.user(f"ping {new_id()}")], max_tokens=16)
        call = Call(
            request,
            [target],
            engine.sync_runtime(),
            clocks=replace(engine.settings.clocks, total=_PROBE_SECONDS),
            context=Context(name="aistrale.probe"),
            on_unsupported="drop",
        )
        try:
            run_sync(engine.complete(call))
        except AistraleError:
            return False
        return True


def _talks(target: Target) -> bool:
    return target.facts is None or target.facts.kind == "chat"
