"""What becomes of a message that was sent: delivered, tried again later, or given up. No clock, no disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from aistrale.telemetry.webhooks.outbound import Answer

State: TypeAlias = Literal["pending", "delivered", "dead"]

DELAYS: Final = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds before each try: the example schedule of Standard Webhooks 1.0.0, three days in all."""

GONE: Final = 410
# The specification names 429, 502 and 504 as signs of load; with 503 comes Retry-After.
_LOAD: Final = frozenset({429, 502, 503, 504})
# From here on other failures are the endpoint's, not the message's.
_IN_A_ROW: Final = 5
_LONGEST_HOLD: Final = 60.0
_LONGEST_WAIT: Final = 86_400.0
_JITTER: Final = 0.1


@dataclass(slots=True, frozen=True, kw_only=True)
class Verdict:
    """What becomes of a message and of its endpoint.

    Args:
        state: Of the message.
        wait: Seconds until it is tried again.
        reason: Why it was given up: "gone", "exhausted".
        hold: Seconds for which nothing at all is sent to the endpoint.
        disable: Whether nothing is sent there any more.
    """

    state: State
    wait: float = 0.0
    reason: str | None = None
    hold: float = 0.0
    disable: bool = False


def judge(answer: Answer, tries: int, failures: int, rng: random.Random, delays: Sequence[float] = DELAYS) -> Verdict:
    """What follows from an answer.

    Every status but 2xx is a failure and tried again, 3xx and 4xx too: receivers are redeployed and secrets corrected
    within days. Only 410 says that nobody will ever listen.

    Args:
        answer: What came of the try.
        tries: How often the message has been tried, this time included.
        failures: How many tries of the endpoint failed in a row before this one.
        rng: Spreads the waits by a tenth, so that what failed together does not come back together.
        delays: Seconds before each try; as many tries as it has entries.
    """
    if answer.delivered:
        return Verdict(state="delivered")
    if answer.status == GONE:
        return Verdict(state="dead", reason="gone", disable=True)
    asked = min(answer.retry_after or 0.0, _LONGEST_WAIT)
    hold = 0.0
    if answer.status is None or answer.status in _LOAD or failures + 1 >= _IN_A_ROW:
        hold = max(min(2.0 ** min(failures, 10), _LONGEST_HOLD) * rng.uniform(1 - _JITTER, 1), asked)
    if tries >= len(delays):
        return Verdict(state="dead", reason="exhausted", hold=hold)
    wait = max(delays[tries] * rng.uniform(1 - _JITTER, 1 + _JITTER), asked)
    return Verdict(state="pending", wait=wait, hold=hold)
