"""What became of the events of one sink."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aistrale.telemetry.settings import Guarantee


@dataclass(slots=True, frozen=True, kw_only=True)
class DeliveryStatus:
    """What became of the events of one sink in this process.

    Args:
        name: The sink's.
        guarantee: Of its delivery.
        delivered: Events that it has taken; from a spool also those of other processes.
        waiting: Events that wait; in a spool those of all processes.
        dropped: Events that are lost, by reason: "full" and "bytes" (the queue), "spool full" (the disk's limit),
            "failed permanently" (the sink said so), "unwritable" (it failed again and again on this one), "failed"
            (a sink in the calling thread raised), "closed", "unencodable", the name of a disk's error such as "ENOSPC".
            Two are no losses: "fork", which the parent process delivers, and "echo", what sinks caused themselves.
        failures: Deliveries in a row that failed; 0 when it works.
        last_error: What went wrong last, in words without content; None once it works again.
        retry_in: Seconds until it is tried again; None where it need not be.
    """

    name: str
    guarantee: Guarantee
    delivered: int = 0
    waiting: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    last_error: str | None = None
    retry_in: float | None = None
