from __future__ import annotations

import threading

import pytest

from aistrale.telemetry.sinks.memory import MemorySink
from aistrale.testing import check_sink
from aistrale.testing.sink_contract import sample_events


class Good:
    """As little as a sink can be."""

    def __init__(self):
        self.events = []

    def write(self, events, /):
        self.events.extend(events)


def test_good_sinks_pass_and_see_every_kind():
    sink = Good()
    check_sink(sink)
    assert {event.kind for event in sink.events} == {event.kind for event in sample_events()}
    check_sink(MemorySink())


def test_a_sink_gets_only_what_it_wants():
    class Picky(Good):
        kinds = frozenset({"call.finished", "webhook.sent"})

    sink = Picky()
    check_sink(sink)
    assert {event.kind for event in sink.events} == Picky.kinds


def test_everything_optional_is_called():
    calls = []

    class Whole(Good):
        def flush(self, timeout):
            calls.append(("flush", timeout > 0))
            return True

        def close(self):
            calls.append("close")

        def after_fork(self):
            calls.append("after_fork")

    check_sink(Whole())
    assert ("flush", True) in calls
    assert "after_fork" in calls
    assert calls[-2:] == ["close", "close"]


class OneKind(Good):
    def write(self, events, /):
        for event in events:
            if event.kind == "budget.crossed":
                raise KeyError(event.kind)


class NoEmpty(Good):
    def write(self, events, /):
        super().write([events[0], *events])


class Once(Good):
    def write(self, events, /):
        known = {event.id for event in self.events}
        if any(event.id in known for event in events):
            raise ValueError("twice")
        super().write(events)


class Small(Good):
    def write(self, events, /):
        if len(events) > 100:
            raise OverflowError


class Changing(Good):
    def write(self, events, /):
        for event in events:
            if event.kind == "call.finished":
                event.row.provider = "mine"


class OneThread(Good):
    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def write(self, events, /):
        if threading.get_ident() != self.thread:
            raise RuntimeError


class ClosedForGood(Good):
    closed = False

    def write(self, events, /):
        if self.closed:
            raise ValueError

    def close(self):
        self.closed = True


class LostInAFork(Good):
    forked = False

    def write(self, events, /):
        if self.forked:
            raise ValueError

    def after_fork(self):
        self.forked = True


class CloseRaises(Good):
    def close(self):
        raise OSError


class ClosedTwiceRaises(Good):
    open = True

    def write(self, events, /):
        self.open = True

    def close(self):
        if not self.open:
            raise OSError
        self.open = False


class FlushSaysNothing(Good):
    def flush(self, timeout):
        return None


class FlushRaises(Good):
    def flush(self, timeout):
        raise OSError


class Nameless(Good):
    name = ""


class UnknownKinds(Good):
    kinds = frozenset({"call.finished", "call.invented"})


class ListOfKinds(Good):
    kinds = ("call.finished",)


class HalfInline(Good):
    inline = "yes"


class NoMethod(Good):
    close = "never"


class HalfInstrument(Good):
    class Half:
        chunks = False

        def call(self, call): ...

    instrument = Half()


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        (object(), "has no write"),
        (Good, "is a class"),
        (OneKind(), "raises KeyError at an event of kind 'budget.crossed'"),
        (NoEmpty(), "raises IndexError at a batch without events"),
        (Once(), "raises ValueError at events that it has had already"),
        (Small(), "raises OverflowError at a large batch"),
        (Changing(), "changes events"),
        (OneThread(), "raises RuntimeError at a batch from thread"),
        (ClosedForGood(), r"raises ValueError at a batch after close\(\)"),
        (LostInAFork(), r"raises ValueError at a batch after after_fork\(\)"),
        (CloseRaises(), r"raises OSError at close\(\)"),
        (ClosedTwiceRaises(), r"raises OSError at close\(\)"),
        (FlushSaysNothing(), "neither True nor False"),
        (FlushRaises(), r"raises OSError at flush\(\)"),
        (Nameless(), "has a name that is no text"),
        (UnknownKinds(), "do not exist: call.invented"),
        (ListOfKinds(), "has kinds that are no set"),
        (HalfInline(), "'inline'"),
        (NoMethod(), "'close', which cannot be called"),
        (HalfInstrument(), r"instrument without attempt\(\)"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_breaks_the_contract_is_told(sink, told):
    with pytest.raises(AssertionError, match=f"the sink .*{told}"):
        check_sink(sink)


def test_what_the_sink_raised_is_the_cause():
    with pytest.raises(AssertionError) as caught:
        check_sink(OneKind())
    assert isinstance(caught.value.__cause__, KeyError)
