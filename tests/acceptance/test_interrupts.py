"""Ctrl-C, or a signal's handler that raises, at every single line: the ledger tells one whole story all the same."""

from __future__ import annotations

import gc
import sys
from linecache import getline
from pathlib import Path

import pytest

import aistrale
from aistrale.store.records import AttemptRow, CallRow, IntentRow
from aistrale.testing import Fault

PACKAGE = Path(aistrale.__file__).parent
# Where a call's life is decided. What is below it is tested by its own means, since a line that leaves a `with lock:`
# cannot be interrupted but by a tracer.
PLACES = tuple(str(PACKAGE / place) for place in ("policies/", "core/reply.py", "core/send.py", "core/pipeline.py"))
ONE, TWO = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"


class Interrupt(BaseException):
    """What a signal's handler raises."""


class Tracer:
    """Raises at the line of this number, counted over all that is executed."""

    def __init__(self, number):
        self.left = number
        self.where = None

    def __call__(self, frame, event, arg):
        return self.line if frame.f_code.co_filename.startswith(PLACES) else None

    def line(self, frame, event, arg):
        # On a line with nothing but these, CPython does not look whether a signal has come.
        if event == "line" and not getline(frame.f_code.co_filename, frame.f_lineno).strip().startswith(
            ("try:", "except")
        ):
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                sys.settrace(None)
                raise Interrupt
        return self.line


class Log:
    """Keeps rows."""

    def __init__(self):
        self.rows = []

    def append(self, *rows):
        self.rows += rows
        return True


def interrupted_at(number, ask):
    """Where it was interrupted; None when the call was over before."""
    tracer, before = Tracer(number), sys.gettrace()
    sys.settrace(tracer)
    try:
        ask()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    return tracer.where


def flaws(rows):
    """What is wrong with the story of one call."""
    intents = {row.attempt for row in rows if isinstance(row, IntentRow)}
    outcomes = {row.attempt for row in rows if isinstance(row, AttemptRow)}
    if intents != outcomes:
        yield f"attempts {intents} were begun and {outcomes} ended"
    calls = [row for row in rows if isinstance(row, CallRow)]
    if intents and not calls:
        yield "the call has no row"
    if any(row.attempts != len(intents) for row in calls):
        yield "the call's row counts other attempts"
    stories = {(type(row), getattr(row, "attempt", 0), row.outcome) for row in rows if not isinstance(row, IntentRow)}
    if len({story[:2] for story in stories}) != len(stories):
        yield f"two stories: {stories}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", ["answered", "failed over", "failed"])
def test_wherever_a_call_is_interrupted_every_attempt_has_an_outcome_and_the_call_a_row(sim, path, streamed):
    if path != "answered":
        sim.outage("openai", Fault(status=500))
    if path == "failed":
        sim.outage("anthropic", Fault(status=500))
    settings = {"routes": {"chat": [ONE, TWO]}, "default_route": "chat", "breaker": False, "retry": False}
    log, found, number, where = Log(), {}, 1, ""
    with aistrale.Client(**sim.settings(), **settings) as client:
        for policy in client._engine.pipeline.policies:
            if hasattr(policy, "_log"):
                policy._log = log

        def ask():
            try:
                return client.stream("Hi").result() if streamed else client.run("Hi")
            except aistrale.AistraleError:
                return None

        ask()
        log.rows.clear()
        while (where := interrupted_at(number, ask)) is not None:
            gc.collect(0)
            if wrong := list(flaws(log.rows)):
                found[where] = wrong
            log.rows.clear()
            number += 1
    client.ledger.close()
    assert number > 300
    assert found == {}
