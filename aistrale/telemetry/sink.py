"""What a sink is: where events go. One file each in `aistrale.telemetry.sinks`, or in a package with an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.events import TelemetryEvent


class Sink(Protocol):
    """A place for events. It is called by one thread at a time, never by the one that makes calls.

    Beside `write`, a sink may have (they are looked up once, and need not be there):

    - `name: str`, for status and logs; else the class's.
    - `kinds: frozenset[str]`, the kinds of events that it wants; else all.
    - `inline: bool`, True to be written to in the calling thread, one event at a time: for memory only.
    - `durable: bool`, True where what `write` has taken is safe by its own means, so that no spool is needed.
    - `instrument`, an `aistrale.telemetry.instrument.Instrument`, for sinks that follow calls while they run.
    - `dropped: Mapping[str, int]`, what it has lost of what it held itself, by reason; counted with all other losses.
    - `flush(timeout: float) -> bool`, to bring out what it holds itself.
    - `close() -> None`, to let go of what it holds open; `write` may come again and opens it anew.
    - `attach(emit) -> None`, to be given a function that takes events, for what it has to tell itself, when it is put
      to use.
    - `watch(status) -> None`, to be given a bound method that says what became of the events of all sinks of the client
      (`DeliveryStatus`, one each); to be held weakly, since clients come and go.
    - `after_fork() -> None`, to drop in a child process what belongs to the parent.
    """

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Take a batch, all of it or none.

        Args:
            events: In the order in which they happened in this process. All sinks get the same objects: neither they
                nor their rows are to be changed.

        Raises:
            Exception: They could not be taken; they are offered again later, with the same ids. An error with an
                attribute `retry_after` (seconds) says when; one with `permanent = True` that it makes no sense.
        """
        ...
