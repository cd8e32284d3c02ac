"""One logical request on its way through the pipeline, and everything that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from aistrale.core.ids import new_id

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from aistrale.core.http import HttpRequest, HttpResponse
    from aistrale.core.output import Answer
    from aistrale.core.runtime import Runtime
    from aistrale.cost.shape import Shape
    from aistrale.dialects.base import Dialect, EmbedDialect, OnUnsupported, Profile
    from aistrale.dialects.headers import RateLimits
    from aistrale.errors import AistraleError
    from aistrale.policies.texts import Change
    from aistrale.privacy.vault import Vault
    from aistrale.providers.base import Provider
    from aistrale.providers.catalog import ModelFacts
    from aistrale.providers.secret import Secret
    from aistrale.store.records import AttemptRow, CallRow, Row
    from aistrale.telemetry.content import Said
    from aistrale.telemetry.instrument import Span
    from aistrale.telemetry.observer import Observer
    from aistrale.types import Cost, EmbedRequest, Lossy, Request, Usage

Outcome = Literal["success", "error", "cancelled", "interrupted", "abandoned"]
Priority = Literal["high", "normal", "low"]
StreamMode = Literal["restart_before_first_token", "buffered", "hold_back", "resume", "raise"]


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
class StreamRules:
    """How a streamed answer survives a break, and when it counts as broken.

    Args:
        mode: "restart_before_first_token": another attempt or target takes over as long as nothing was delivered.
            "buffered": nothing is delivered before the answer is whole. "hold_back": nothing is delivered before
            `hold_back` characters are there. "resume": another target goes on where the text broke off, announced by
            a `Switched` event. "raise": no second attempt once the provider has begun to answer.
        hold_back: Characters of visible text.
        min_rate: Slowest acceptable delivery, in tokens (about four characters) per second, averaged over
            `rate_window` seconds of waiting for the provider; None for no limit.
        rate_window: Seconds.
        max_resumes: How often one answer may move to another target.
        max_buffer: Most bytes of text that are held back; more is an error of the attempt.
    """

    mode: StreamMode = "restart_before_first_token"
    hold_back: int = 200
    min_rate: float | None = None
    rate_window: float = 10.0
    max_resumes: int = 1
    max_buffer: int = 16 * 1024 * 1024


@dataclass(slots=True, frozen=True, kw_only=True)
class Context:
    """Who calls, and under which rules; carried by `aistrale.context()` and the decorator.

    Args:
        tags: Free labels for the ledger.
        deadline: Seconds that a call may take; the stricter of this and `timeout` holds.
        capture: Whether sinks get what is said, redacted; None for what the settings say.
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
    priority: Priority | None = None
    capture: bool | None = None


NOBODY = Context()
_NONE: list[Target] = []
_NO_TYPES: Mapping[str, str] = MappingProxyType({})


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
    account: str = ""
    """Tells apart what must not share a memory: callers' keys and base URLs; "" for those of the settings."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The constant request headers, built once: auth, version, user agent, content type."""

    name: str
    """`provider/model`, as routes and the ledger write it."""

    @property
    def place(self) -> str:
        """What its memory is filed under: breaker, limits, health."""
        return f"{self.name} ({self.account})" if self.account else self.name

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must be removed from anything the provider says."""
        return () if self.key is None else (self.key,)


class Opener(Protocol):
    """Sends a request and gives the response when its headers have arrived."""

    async def __call__(self, request: HttpRequest, *, connect_until: float | None, until: float | None) -> HttpResponse:
        """As Runtime.open."""
        ...


class Inbound(Protocol):
    """A call that came in on the wire, in a calling SDK's format."""

    def rewrite(self, change: Change) -> Request | EmbedRequest:
        """Change every text of the body, for all targets; the request that it has become."""
        ...

    def relay(self, target: Target, limit: int | None = None) -> Prepared | None:
        """The request as it came, for a target that understands it; None where it must be translated.

        Args:
            target: Where it goes.
            limit: Most tokens that it may ask for, in place of what it says; None for as it is.
        """
        ...

    def refused(self, target: Target, error: AistraleError) -> None:
        """A target whose format cannot say what is asked for."""
        ...


@dataclass(slots=True)
class Prepared:
    """A request in a target's words, ready to send; made once per call and target, sent once per attempt.

    Args:
        opener: Sends it; None for the runtime's own connections.
        limit: As `Call.limit`, when it was made.
    """

    http: HttpRequest
    codec: Dialect | EmbedDialect
    profile: Profile
    answer: Answer | None = None
    lossy: list[Lossy] = field(default_factory=list)
    opener: Opener | None = None
    limit: int | None = None


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

    row: AttemptRow | None = None
    """Its row of the ledger, once it is settled."""

    told: bool = False
    """Whether sinks know of its end."""

    said: Said | None = None
    """What was said, for sinks; None where nobody wants to know."""

    noted: bool = False
    """Whether the ledger knows, or may know, that it was to be made."""

    sent: bool = True
    """Whether anything of the request may have reached the provider; False where it failed before."""

    headers: Mapping[str, str] | None = None
    """The response's headers; None when none came."""

    limits: RateLimits | None = None
    """What the headers say is left of the rate limits; None as long as nobody has read them for it."""


class Call:
    """One logical request; the only mutable object that travels through the pipeline.

    What belongs to the call as a whole (its rows, attempts, errors) is shared by its legs; what belongs to the attempt
    under way (target, attempt, others) is a leg's own.
    """

    __slots__ = (
        "asked",
        "at",
        "attempt",
        "attempts",
        "busy",
        "clocks",
        "context",
        "deadline",
        "degraded",
        "errors",
        "forced",
        "id",
        "inbound",
        "judged",
        "limit",
        "most_attempts",
        "observer",
        "on_lossy",
        "on_unsupported",
        "optimized",
        "others",
        "over",
        "prepared",
        "redact_types",
        "redacted",
        "request",
        "route",
        "row",
        "rows",
        "runtime",
        "screened",
        "shape",
        "share_until",
        "spans",
        "started",
        "streaming",
        "target",
        "targets",
        "told",
        "vault",
    )

    def __init__(  # noqa: PLR0915 - a line a field, and one to say what it is
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
        on_unsupported: OnUnsupported = "error",
    ) -> None:
        self.id = new_id()
        self.request = request
        self.targets = targets
        self.target = targets[0]
        self.attempt: Attempt | None = None
        """The attempt under way, or the last one."""
        self.others: list[Target] = _NONE
        """Targets that can still be tried instead of waiting at this one; failover keeps it. Empty: waiting is fine."""
        self.busy = False
        """Whether a target tried before had no room and will have some in time; failover keeps it."""
        self.share_until: float | None = None
        """The instant by which this attempt must have content, so that other targets get their share of the time."""
        self.forced = False
        """Whether the attempt passes a breaker that is open: the last resort."""
        self.streaming: StreamRules | None = None
        """How a stream survives a break; None where the settings' rules hold."""
        self.inbound: Inbound | None = None
        """How it came in, where that was in a wire format."""
        self.limit: int | None = None
        """Most tokens that the attempt may ask for, where that is less than the request says; its budget keeps it."""
        self.most_attempts: int | None = None
        """Most attempts at one target, where the caller allows fewer than the settings; retry and failover keep it."""
        self.screened = False
        """Whether policies change what the answer says, so that the provider's own bytes must not be handed on."""
        self.vault: Vault | None = None
        """What was redacted, with its placeholders; redaction keeps it."""
        self.redact_types: Mapping[str, str] = _NO_TYPES
        """Types to redact whatever the settings say, each with its mode; rules about data put them there."""
        self.redacted: Counter[str] | None = None
        """How many values of each type were redacted; None where nobody looked."""
        self.judged: Counter[str] | None = None
        """What rules about data have done to how many values, by `direction.action.type`; None where none spoke."""
        self.optimized: tuple[str, ...] = ()
        """What automatic optimisation changed, by the names of `aistrale.cost.optimization.optimizer`."""
        self.degraded: str | None = None
        """How the answer is less than what was asked for: "cache", "stale_cache", "smaller_model", "canned"."""
        self.runtime = runtime
        self.clocks = clocks
        self.context = context
        self.route = route
        self.asked = asked or request.model
        """What the application asked for: a model's or a route's name."""
        self.on_lossy: Literal["warn", "error"] = on_lossy
        self.on_unsupported: OnUnsupported = on_unsupported
        self.started = runtime.now()
        self.at = runtime.wall()
        limits = [limit for limit in (clocks.total, context.deadline) if limit is not None]
        self.deadline = self.started + min(limits) if limits else None
        self.attempts: list[Attempt] = []
        self.errors: list[AistraleError] = []
        """Why every attempt that failed did so, refusals before sending included, in order."""
        self.prepared: dict[str, Prepared] = {}
        self.shape: tuple[Request | EmbedRequest, Shape] | None = None
        """A request and what the ledger keeps of its form; the journal takes it once for all attempts."""
        self.rows: list[Row] = []
        """Ledger rows that wait to be written together with the next one."""
        self.row: CallRow | None = None
        """The call's own row of the ledger, once it is over."""
        self.observer: Observer | None = None
        """Is told what happens to the call; None where nobody wants to know."""
        self.spans: tuple[Span | None, ...] = ()
        """What follows the call while it runs, one for each instrument."""
        self.over = False
        """Whether the call's own row is written, so that no next one will come."""
        self.told = False
        """Whether sinks know of its end."""

    def leg(self, target: Target | None = None) -> Call:
        """A view of this call for a second attempt beside the first, or for another target's part of the answer.

        It has a target and an attempt of its own and shares everything else.
        """
        leg = object.__new__(Call)
        for name in Call.__slots__:
            setattr(leg, name, getattr(self, name))
        leg.attempt = None
        leg.target = target or self.target
        return leg

    def adopt(self, leg: Call) -> None:
        """Take over where a leg has got to: its answer is the call's."""
        self.target, self.attempt = leg.target, leg.attempt

    @property
    def stream(self) -> bool:
        """Whether the caller wants a stream."""
        return getattr(self.request, "stream", False)

    @property
    def priority(self) -> Priority:
        """In which order calls that must wait are let through."""
        return self.context.priority or "normal"

    def remaining(self) -> float | None:
        """Seconds until the deadline (may be negative); None when there is none."""
        return None if self.deadline is None else self.deadline - self.runtime.now()

    def until(self, seconds: float | None) -> float | None:
        """The instant `seconds` from now, but never after the deadline."""
        if seconds is None:
            return self.deadline
        instant = self.runtime.now() + seconds
        return instant if self.deadline is None or instant < self.deadline else self.deadline
