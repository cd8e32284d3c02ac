from __future__ import annotations

import pytest

from aistrale.core.call import Attempt, Call, Clocks, Target
from aistrale.core.reply import Reply
from aistrale.core.runtime import run_sync
from aistrale.dialects.base import Profile
from aistrale.policies.journal import Journal
from aistrale.providers import get_provider
from aistrale.simulation import SimRuntime
from aistrale.store.records import AttemptRow, IntentRow
from aistrale.types import Cost, Message, Request

TARGET = Target(
    name="openai/one",
    provider=get_provider("openai"),
    model="one",
    dialect="openai_chat",
    base_url="http://127.0.0.1",
    profile=Profile(provider="openai", model="one"),
)


class Log:
    """Keeps rows; Ctrl-C comes before or after the first writing."""

    def __init__(self, interrupt=None):
        self.rows = []
        self.interrupt = interrupt

    def append(self, *rows):
        when, self.interrupt = self.interrupt, None
        if when == "before":
            raise KeyboardInterrupt
        self.rows += rows
        if when == "after":
            raise KeyboardInterrupt
        return True


def call_of(runtime):
    call = Call(Request(model="one", messages=[Message.user("Hi")]), [TARGET], runtime, clocks=Clocks())
    call.attempt = Attempt(1, TARGET, runtime.now(), runtime.wall())
    call.attempts.append(call.attempt)
    return call


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_the_intent_is_written_leaves_no_attempt_without_an_outcome(when):
    async def never(call):
        raise AssertionError("nothing may be sent")

    log, call = Log(when), call_of(SimRuntime(1))
    earlier = AttemptRow(
        call_id=call.id, attempt=0, at=0.0, latency=0.0, provider="openai", model="one", target="openai/one",
        streamed=False, outcome="error",
    )  # fmt: skip
    call.rows.append(earlier)
    with pytest.raises(KeyboardInterrupt):
        run_sync(Journal(log, lambda *_, **__: Cost(None))(call, never))
    assert earlier in log.rows
    assert any(isinstance(row, IntentRow) and row.attempt == 1 for row in log.rows)
    (settled,) = [row for row in log.rows if isinstance(row, AttemptRow) and row.attempt == 1]
    assert (settled.outcome, settled.error, settled.cost) == ("cancelled", "KeyboardInterrupt", "0")


def test_an_interrupt_between_the_pipeline_and_the_reader_settles_the_attempt():
    async def answered(call):
        call.attempt.outcome = "success"
        return Reply([])

    log, call = Log(), call_of(SimRuntime(1))
    reply = run_sync(Journal(log, lambda *_, **__: Cost(None))(call, answered))
    del reply
    assert [type(row) for row in call.rows] == [AttemptRow]
