"""The policies, and the one list that says in which order they stand around a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.core.pipeline import Pipeline
from aistrale.core.send import send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.core.pipeline import Next, Policy

# Outer to inner. Once per call down to Failover, per target from Hedge on, per attempt from Breaker on.
ORDER = (
    "telemetry",  # sinks are told of a call whatever becomes of it; its span is current while it is worked on
    "meter",  # one ledger row per call; outermost of what can refuse, so that a refusal has its row too
    "audit",  # intent, then outcome, into the tamper-evident log
    "access",  # who may use which provider, model, route
    "budget",  # refuses when the scope is spent already
    "guard",  # DLP verdict
    "redact",  # findings become placeholders; hangs the restoring tap on the reply
    # Inside redaction, which must see the text as it was written. Outside the cache: the answer to a changed request
    # must not be remembered as the answer to the one that was asked.
    "optimize",  # on a share of the calls: a shorter prompt, a cheaper model
    "cache",  # a remembered answer of the same request
    "degrade",  # less than what was asked for, when every target has failed
    "route",  # residency, rules, strategy: orders the targets
    "resume",  # another target goes on with a stream that broke
    "failover",  # next target
    "hedge",  # a second attempt when the first is slow
    "retry",  # attempts on this target
    "breaker",  # every attempt passes it
    "hold",  # holds an answer back until it is good enough to be delivered
    # Outside the queue: whoever waits for money must not hold a place that others have the money for.
    "reserve",  # the attempt's upper-bound cost is set aside, and settled on what it used
    "queue",  # priority admission, concurrency and rate limits
    "encode",  # the target's words; before the journal: what cannot be said leaves no intent
    "trace",  # a span of every attempt, current while it is sent; outside the journal, which settles the attempt first
    "journal",  # the intent before, the settled row after
)


def build(policies: Mapping[str, Policy], send_step: Next = send) -> Pipeline:
    """The pipeline with these policies at their places; the other places stay empty.

    Args:
        policies: By place; a place that ORDER does not have is a KeyError.
        send_step: The innermost step; replaced by simulations.
    """
    unknown = set(policies) - set(ORDER)
    if unknown:
        raise KeyError(f"no such place in the pipeline: {', '.join(sorted(unknown))}; places: {', '.join(ORDER)}")
    return Pipeline([(name, policies.get(name)) for name in ORDER], send_step)
