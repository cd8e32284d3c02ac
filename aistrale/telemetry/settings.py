"""What can be said of a sink in the setting `sinks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from aistrale.telemetry.sink import Sink

Guarantee: TypeAlias = Literal["best_effort", "durable"]
Overflow: TypeAlias = Literal["drop_newest", "drop_oldest"]


@dataclass(slots=True, frozen=True, kw_only=True)
class SinkSettings:
    """One sink and how events get to it.

    Args:
        to: Its address ("console", "jsonl:calls.jsonl", "otlp:https://host:4318", ...), or a Sink.
        name: For status and logs; the scheme of the address by default. Two sinks must not have the same.
        guarantee: "best_effort": events wait in memory, and those that do not fit are dropped and counted by reason.
            "durable": every event is written to a journal on disk in the calling thread, and delivered at least once,
            with the same id each time; it survives the process.
        queue: Most events that wait in memory, at least 1, beside the batch that is under way. Of a durable one: those
            that wait for a disk that does not take them.
        queue_bytes: About the most bytes that they may take, that batch included, at least 1,000.
        spool_bytes: About the most bytes that wait on disk, of all processes, at least 100,000; what comes then is
            dropped and counted.
        overflow: Which ones are dropped when there is no room in memory.
        batch: Most events of one delivery, at least 1.
        interval: Seconds that the first event of a batch waits for others, at least 0.
        timeout: Seconds after which a delivery counts as hanging, which is said in logs and in the status.
        kinds: Which kinds of events it gets; None for all that it wants.
    """

    to: str | Sink
    name: str | None = None
    guarantee: Guarantee = "best_effort"
    queue: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    spool_bytes: int = 1024 * 1024 * 1024
    overflow: Overflow = "drop_newest"
    batch: int = 512
    interval: float = 1.0
    timeout: float = 30.0
    kinds: frozenset[str] | None = None
