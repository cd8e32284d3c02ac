"""Sinks that remember, fail, block and come back, a clock that passes when a test says so, and events to send."""

from __future__ import annotations

import threading
from itertools import count

from aistrale.store.records import AttemptRow, CallRow
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import AttemptFinished, CallFinished, CallStarted, QueueWaited
from aistrale.telemetry.settings import SinkSettings

_numbers = count()


def event(**more):
    """A small one, with an id of its own."""
    return QueueWaited(call_id="c", target="openai/gpt-5-mini", seconds=0.5, admitted=True, **more)


def events(number):
    return [event(id=f"e{next(_numbers)}") for _ in range(number)]


def started(**more):
    return CallStarted(call_id="c", operation="chat", model_asked="chat", tags={"team": "red"}, **more)


def attempted(**more):
    row = AttemptRow(
        call_id="c",
        attempt=1,
        at=1_790_000_000.5,
        latency=0.75,
        provider="openai",
        model="gpt-5-mini",
        target="openai/gpt-5-mini",
        streamed=False,
        outcome="success",
        status=200,
        input=12,
        output=5,
        usage_source="reported",
        cost="0.0000130",
    )
    return AttemptFinished(call_id="c", row=row, finish_reasons=("stop",), response_id="r-1", **more)


def finished(**more):
    row = CallRow(
        call_id="c",
        at=1_790_000_000.25,
        latency=1.0,
        kind="chat",
        model_asked="chat",
        outcome="success",
        attempts=1,
        tags={"team": "red"},
    )
    return CallFinished(call_id="c", row=row, **more)


class Clock:
    """Monotonic seconds; `pause` is a wait that takes no time."""

    def __init__(self):
        self.now = 1000.0
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return self.now

    def pause(self, seconds):
        assert seconds >= 0
        self.now += seconds


class Place:
    """A sink that does what a script says: None takes a batch, an exception is raised; after the script it takes all."""

    name = "place"

    def __init__(self, *script):
        self.script = list(script)
        self.batches = []
        self.offered = []
        self.log = []

    def write(self, batch, /):
        self.offered.append([item.id for item in batch])
        step = self.script.pop(0) if self.script else None
        if step is not None:
            raise step
        self.batches.append(list(batch))

    def flush(self, timeout):
        self.log.append(("flush", timeout))
        return True

    def close(self):
        self.log.append("close")

    def after_fork(self):
        self.log.append("fork")

    @property
    def ids(self):
        return [item.id for batch in self.batches for item in batch]


class Blocking(Place):
    """Does not come back from `write` until it is let go."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Event()
        self.release = threading.Event()

    def write(self, batch, /):
        self.entered.set()
        assert self.release.wait(60)
        super().write(batch)


class Loud(Exception):
    """An error with words on when, and whether, to try again."""

    def __init__(self, retry_after=None, *, permanent=False):
        super().__init__("it says sk-secret and what was asked")
        self.retry_after = retry_after
        self.permanent = permanent


def delivery(sink, clock=None, directory=None, **settings):
    """One without a thread, on a clock of its own: `step` does its work."""
    clock = clock or Clock()
    return Delivery(
        sink,
        SinkSettings(to=sink, **settings),
        directory,
        clock=clock,
        jitter=lambda: 1.0,
        pause=clock.pause,
        background=False,
    )


def run(sent, clock, seconds):
    """Let a delivery without a thread work for so long, as its thread would: only when a step is due. How many steps."""
    until, steps = clock.now + seconds, 0
    while clock.now < until:
        due = sent.step()
        steps += 1
        if due is None:
            clock.now = until
        clock.now = min(until, clock.now + (due or 0.0))
    return steps
