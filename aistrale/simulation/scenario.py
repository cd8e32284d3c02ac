"""What is simulated: clients, calls, targets and what goes wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from aistrale.core.call import Clocks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from aistrale.config import Settings
    from aistrale.simulation.distributions import Distribution

OutageKind = Literal["error", "brownout", "slow", "refused", "unreachable", "black_hole", "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Something that is wrong with a target for a while.

    Args:
        kind: "error": refuses requests with `status`. "brownout": works with `capacity` of its servers. "slow": takes
            `factor` times as long. "refused": refuses connections. "unreachable": connections hang until the connect
            clock runs out. "black_hole": takes requests and never answers them. "cut": breaks off answers on their way.
        start: Seconds from the beginning.
        end: Seconds from the beginning.
        share: Of the requests that are hit, from 0 to 1; not for "brownout" and "slow".
        status: HTTP status of "error".
        retry_after: Seconds that an "error" announces; None announces nothing.
        capacity: Share of the servers that a "brownout" leaves, above 0.
        factor: How many times as long "slow" takes.
    """

    kind: OutageKind
    start: float
    end: float
    share: float = 1.0
    status: int = 503
    retry_after: float | None = None
    capacity: float = 0.1
    factor: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit that a target sets its callers, all clients together; what exceeds it gets status 429 and Retry-After.

    Args:
        requests: Per window; None for no limit.
        tokens: Input and output per window; None for no limit.
        window: Seconds.
        refill: "window": all at once when a new window begins. "steady": evenly, up to the whole quota.
    """

    requests: int | None = None
    tokens: int | None = None
    window: float = 60.0
    refill: Literal["window", "steady"] = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """A simulated place that answers calls.

    Args:
        name: `provider/model`.
        latency: From when a server takes a request to the end of the answer.
        first_token: From when a server takes a request to the first content of a stream; None: an even share.
        servers: How many requests are worked on at once; None for any number.
        capacity: Instead of `servers`: requests per second that it can answer.
        queue: How many requests may wait for a server; more are refused. None for any number.
        full_status: HTTP status of that refusal.
        cancels: Whether it stops working for callers who have left. Without that, its work for them is wasted.
        refusal: Seconds until a refusal or an error arrives.
        pieces: In how many pieces a streamed answer comes.
        price: US dollars for a million input tokens and a million output tokens; None: what the catalog says.
        quota: Its limit; None for no limit.
        outages: What goes wrong.
    """

    name: str
    latency: Distribution
    first_token: Distribution | None = None
    servers: int | None = None
    capacity: float | None = None
    queue: int | None = None
    full_status: int = 503
    cancels: bool = False
    refusal: float = 0.02
    pieces: int = 10
    price: tuple[Decimal, Decimal] | None = None
    quota: Quota | None = None
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """A while in which more (or fewer) calls are made than usually.

    Args:
        start: Seconds from the beginning.
        end: Seconds from the beginning.
        factor: How many times as many.
    """

    start: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that a simulation depends on but the policies under test.

    Args:
        title: For people.
        duration: For how many seconds calls are made; those under way at the end are waited for.
        seed: Of all randomness.
        bucket: Width of the steps of the report's time line, in seconds.
        clients: Processes, each with a state of its own.
        rate: Calls per second that each makes on average, whatever becomes of the earlier ones.
        surges: When there are more.
        clocks: The clocks of a call.
        stream: Whether answers are streamed.
        input_tokens: Of a call.
        output_tokens: Of its answer.
        targets: In the order of the route.
        compare: Names of the policies that are compared unless others are asked for.
        policies: The scenario's own policies: settings of aistrale, by name.
    """

    title: str
    targets: tuple[TargetSpec, ...]
    duration: float = 240.0
    seed: int = 1
    bucket: float = 5.0
    clients: int = 100
    rate: float = 0.4
    surges: tuple[Surge, ...] = ()
    clocks: Clocks = field(default_factory=Clocks)
    stream: bool = False
    input_tokens: int = 500
    output_tokens: int = 200
    compare: tuple[str, ...] = ()
    policies: Mapping[str, Settings] = field(default_factory=dict)
