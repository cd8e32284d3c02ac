"""The heart of the fault matrix on our own simulator: it runs where the shared fault server is not."""

from __future__ import annotations

import pytest

from aistrale.errors import (
    AuthenticationError,
    DeadlineExceeded,
    OverloadedError,
    QuotaExceededError,
    ResponseError,
    ServerError,
    StreamInterrupted,
)
from aistrale.testing import simulator
from aistrale.testing.faults import GOOD, Broken, Fault, Slow
from tests.faults import play as playing
from tests.faults.matrix import ALL, Case, Expect, both, fails, params, uncertain
from tests.faults.servers import Simulated

PROMPT = "one two three four five six"
TEXT = "This is a simulated answer to: one two three four five six"


def answers(target, **attempts):
    return Expect(answer=target, text=TEXT, attempts=attempts)


def case(row, name, expect, *script, **more):
    """A case in which plain and streamed calls come to the same."""
    return both(row, "scripted", expect, name=name, script=script, prompt=PROMPT, **more)


def wreck(name, after=2):
    return Broken(wreck=name, after=after)


def down(status=503, **more):
    return Fault(status=status, **more)


ROWS = [
    case(0, "well", answers("a", a=1), GOOD, colours=ALL),
    *(case(15, name, answers("b", a=range(1, 3), b=1), wreck(name), fallback=True) for name in ("reset", "close")),
    *(case(15, f"{name} once", answers("a", a=2), wreck(name), GOOD, colours=ALL) for name in ("reset", "close")),
    case(19, "short once", answers("a", a=2), wreck("short", -1), GOOD, check=uncertain),
    case(25, "stall", answers("b", a=1, b=1), wreck("stall"), fallback=True, settings={"clocks": {"first_token": 0.2}},
         within=1.0),
    case(26, "drip", fails(DeadlineExceeded, a=1), Slow(headers=0.01, drip=1, between=0.05),
         settings={"timeout": 0.2}, timed=True),
    case(48, "bad_gzip", answers("b", a=1, b=1), wreck("bad_gzip", -1), fallback=True),
    case(50, "empty", fails(ResponseError, a=2), wreck("empty")),
    case(51, "html", fails(ResponseError, a=2), wreck("html", -1)),
    case(53, "error_in_200", answers("b", a=1, b=1), wreck("error_in_200"), fallback=True),
    case(69, "quota", fails(QuotaExceededError, a=1), down(429, kind="quota")),
    case(69, "quota to b", answers("b", a=1, b=1), down(429, kind="quota"), fallback=True),
    case(71, "overloaded", answers("b", a=1, b=1), down(), fallback=True),
    case(75, "401", fails(AuthenticationError, a=1), down(401), fallback=True),
    case(79, "flaky", answers("a", a=3), down(), down(500), GOOD),
    case(79, "down", fails(OverloadedError, a=3), down()),
    case(79, "failing", fails(ServerError, a=3), down(500)),
]  # fmt: skip
STREAMED = [
    Case(row=row, name=name, fault="scripted", script=(wreck(wrecked),), prompt=PROMPT, settings=settings, within=2.0,
         stream=fails(StreamInterrupted, a=1), fallback=True, colours=ALL)
    for row, name, wrecked, settings in (
        (20, "close_early", "close_early", {}),
        (20, "reset_early", "reset_early", {}),
        (30, "stall_early", "stall_early", {"clocks": {"between_tokens": 0.2}}),
        (57, "truncate", "truncate", {}),
        (59, "error_midway", "error_midway", {}),
        (61, "bad_json", "bad_json", {}),
    )
]  # fmt: skip


@pytest.fixture(scope="session")
def shared_simulator():
    with simulator() as running:
        yield running


@pytest.fixture
def simulated(shared_simulator):
    shared_simulator.reset()
    return Simulated(shared_simulator)


@pytest.mark.parametrize(("case", "streamed"), params(*ROWS, *STREAMED))
def test_row(simulated, tmp_path, case, streamed):
    playing.play(case, simulated, tmp_path, streamed=streamed)
