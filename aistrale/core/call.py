"""One logical request on its way through the pipeline, and everything that belongs to it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aistrale.core.http import HttpRequest
    from aistrale.core.output import Answer
    from aistrale.core.runtime import Runtime
    from aistrale.dialects.base import Dialect, EmbedDialect, Profile
    from aistrale.providers.base import Provider
    from aistrale.providers.catalog import ModelFacts
    from aistrale.providers.secret import Secret
    from aistrale.store.records import Row
    from aistrale.types import Cost, EmbedRequest, Lossy, Request, Usage

Outcome = Literal["success", "error", "cancelled", "interrupted", "abandoned"]


@dataclass(slots=True, frozen=True)
class Clocks:
    """The four clocks of a call, in seconds; None switches one off.

    Args:
        connect: Resolving, connecting and the TLS handshake of one attempt.
        first_token: From sending an attempt to its first content (for a plain answer: to the whole answer).
        between_tokens: Between two pieces of content of a stream; keep-alives do not reset it, a slow reader does not
            count.
        total: The whole call, queueing, retries and failover included.
    """

    connect: float | None = 10.0
    first_token: float | None = None
    between_tokens: float | None = 30.0
    total: float | None = 60.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Context:
    """Who calls, and under which rules; carried by `aistrale.context()` and the decorator.

    Args:
        tags: Free labels for the ledger.
        deadline: Seconds that a call may take; the stricter of this and `timeout` holds.
    """

    user: str | None = None
    workspace: str | None = None
    project: str | None = None
    session: str | None = None
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    route: str | None = None
    deadline: float | None = None
    budget: str | None = None
    priority: str | None = None


NOBODY = Context()


@dataclass(slots=True, frozen=True, kw_only=True)
class Target:
    """One place where a call can be tried: provider, model, credentials, region."""

    provider: Provider
    model: str
    dialect: str
    base_url: str
    profile: Profile
    key: Secret | None = None
    region: str | None = None
    facts: ModelFacts | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The constant request headers, built once: auth, version, user agent, content type."""

    name: str
    """`provider/model`, as routes and the ledger write it."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must be removed from anything the provider says."""
        return () if self.key is None else (self.key,)


@dataclass(slots=True)
class Prepared:
    """A request in a target's words, ready to send; made once per call and target, sent once per attempt."""

    http: HttpRequest
    codec: Dialect | EmbedDialect
    profile: Profile
    answer: Answer | None = None
    lossy: list[Lossy] = field(default_factory=list)


@dataclass(slots=True)
class Attempt:
    """One HTTP exchange of a call.

    Args:
        started: Monotonic seconds; `at` is the same instant in Unix seconds.
        first_token: Seconds from `started` to the first content.
        latency: Seconds from `started` to the end.
    """

    number: int
    target: Target
    started: float
    at: float
    outcome: Outcome | None = None
    first_token: float | None = None
    latency: float | None = None
    status: int | None = None
    error: str | None = None
    request_id: str | None = None
    response_model: str | None = None
    retry_after: float | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    conditions: dict[str, str] = field(default_factory=dict)
    """What the answer said that its price depends on: `service_tier`, `inference_provider`."""


class Call:
    """One logical request; the only mutable object that travels through the pipeline."""

    __slots__ = (
        "asked",
        "at",
        "attempts",
        "clocks",
        "context",
        "deadline",
        "id",
        "on_lossy",
        "on_unsupported",
        "prepared",
        "request",
        "route",
        "rows",
        "runtime",
        "started",
        "target",
        "targets",
        "untried",
    )

    def __init__(
        self,
        request: Request | EmbedRequest,
        targets: list[Target],
        runtime: Runtime,
        *,
        clocks: Clocks,
        context: Context = NOBODY,
        route: str | None = None,
        asked: str = "",
        on_lossy: Literal["warn", "error"] = "warn",
        on_unsupported: Literal["error", "drop"] = "error",
    ) -> None:
        self.id = new_id()
        self.request = request
        self.targets = targets
        self.target = targets[0]
        self.untried = 0
        """How many targets could still be tried instead of waiting on this one; failover keeps it."""
        self.runtime = runtime
        self.clocks = clocks
        self.context = context
        self.route = route
        self.asked = asked or request.model
        """What the application asked for: a model's or a route's name."""
        self.on_lossy: Literal["warn", "error"] = on_lossy
        self.on_unsupported: Literal["error", "drop"] = on_unsupported
        self.started = runtime.now()
        self.at = runtime.wall()
        limits = [limit for limit in (clocks.total, context.deadline) if limit is not None]
        self.deadline = self.started + min(limits) if limits else None
        self.attempts: list[Attempt] = []
        self.prepared: dict[str, Prepared] = {}
        self.rows: list[Row] = []
        """Ledger rows that wait to be written together with the next one."""

    @property
    def stream(self) -> bool:
        """Whether the caller wants a stream."""
        return getattr(self.request, "stream", False)

    @property
    def attempt(self) -> Attempt | None:
        """The attempt under way, or the last one."""
        return self.attempts[-1] if self.attempts else None

    def remaining(self) -> float | None:
        """Seconds until the deadline (may be negative); None when there is none."""
        return None if self.deadline is None else self.deadline - self.runtime.now()

    def until(self, seconds: float | None) -> float | None:
        """The instant `seconds` from now, but never after the deadline."""
        if seconds is None:
            return self.deadline
        instant = self.runtime.now() + seconds
        return instant if self.deadline is None or instant < self.deadline else self.deadline


class _Ids:
    """Ids that sort by time and cost a fraction of a UUID: milliseconds, process, counter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reseed()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reseed)

    def _reseed(self) -> None:
        self._lock = threading.Lock()
        self._salt = os.urandom(6).hex()
        self._count = 0

    def __call__(self) -> str:
        with self._lock:
            self._count += 1
            count = self._count
        return f"{time.time_ns() // 1_000_000:012x}{self._salt}{count & 0xFFFFFFFF:08x}"


new_id = _Ids()
"""A fresh 32-digit hex id, unique over processes and forks, ordered by time."""
