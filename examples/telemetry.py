"""What happens to calls, told to sinks: one line each on the console, a file, and a sink of one's own."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import aistrale
from aistrale.telemetry import decode_line
from aistrale.telemetry.events import CallFinished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry import TelemetryEvent


class SpendingByProject:
    """A sink: one method is enough. It is called by a thread of its own, with batches of events."""

    name = "spending"
    kinds = frozenset({"call.finished"})

    def __init__(self) -> None:
        self.dollars: dict[str | None, Decimal] = {}

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Add up what the calls of each project cost."""
        for event in events:
            if isinstance(event, CallFinished):
                row = event.row
                self.dollars[row.project] = self.dollars.get(row.project, Decimal(0)) + Decimal(row.cost or 0)


with tempfile.TemporaryDirectory() as folder:
    spending = SpendingByProject()
    path = Path(folder) / "calls.jsonl"
    with aistrale.Client(sinks=["console:stdout", f"jsonl:{path}?max_bytes=10MB&gzip=1", spending]) as client:
        with aistrale.context(project="demo", tags={"stage": "trial"}):
            client.run("Say hello in one sentence.")
            with client.stream("Count to three.") as stream:
                for piece in stream.texts():
                    print(piece, end="")
                print()
        client.flush()

    print("\nin the file:")
    for line in path.read_bytes().splitlines():
        event = decode_line(line)
        print(f"{event.kind:20} {event.call_id}")
    for project, dollars in spending.dollars.items():
        print(f"\nproject {project}: ${dollars}")
