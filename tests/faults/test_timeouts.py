"""Rows 24 to 33, 35 and 43: answers that are late, slow, dripping or never end, and a reader that is slow itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aistrale.errors import AttemptTimeout, DeadlineExceeded, StreamInterrupted
from tests.faults import play as playing
from tests.faults.matrix import ALL, BEGUN, Case, answers, both, errors_of, fails, gone, params
from tests.faults.servers import FaultServer

FIRST = {"clocks": {"first_token": 0.2}}
BETWEEN = {"clocks": {"between_tokens": 0.2}}
DEADLINE = {"timeout": 0.2}


def begun(run):
    """A check: some of the answer had come, and not all of it."""
    partial = run.asked[0].error.partial_text
    assert "The" in partial
    assert not partial.endswith(".")


ROWS = [
    both(24, "slow_read", answers("a", a=1), name="slow_read in time", prompt="x" * 30_000, least=0.06),
    both(25, "stall_headers", answers("b", a=1, b=1), fallback=True, settings=FIRST, least=0.2, within=1.0,
         colours=ALL, check=gone),
    both(26, "drip_headers", fails(DeadlineExceeded, a=1), settings=DEADLINE, colours=ALL, check=gone),
    both(27, "drip_body", fails(DeadlineExceeded, a=1), settings=DEADLINE, colours=ALL, check=gone),
    Case(row=27, fault="drip_body", plain=answers("b", a=1, b=1), name="drip_body share", fallback=True,
         settings={"timeout": 0.4}, check=errors_of("AttemptTimeout"), breaker="slow"),
    both(28, "stall_mid_body", fails(AttemptTimeout, a=1), settings={**FIRST, "retry": False}, within=1.0, least=0.2,
         colours=ALL, check=gone),
    both(28, "stall_mid_body", answers("b", a=1, b=1), name="stall_mid_body to b", fallback=True, settings=FIRST,
         within=1.0),
    Case(row=29, fault="slow_first_token", stream=answers("b", a=1, b=1), fallback=True,
         settings=FIRST, least=0.2, within=1.0, colours=ALL, check=gone),
    *(
        Case(row=row, fault=fault, stream=fails(StreamInterrupted, partial=BEGUN, a=1), settings=BETWEEN, least=0.2,
             within=1.0, fallback=True, provider=provider, colours=colours, check=gone)
        for row, fault in ((30, "stall_stream"), (31, "ping_forever"))
        for provider, colours in (("compatible", ALL), ("anthropic", ("sync", "asyncio")))
    ),
    Case(row=32, fault="slow_stream:gap=0.06", stream=fails(DeadlineExceeded, a=1), fallback=True, settings=DEADLINE,
         timed=True, colours=ALL, check=begun),
    both(35, "content_length_long", answers("b", a=1, b=1), fallback=True, settings=FIRST, within=1.0, check=gone),
    both(43, "info_flood", fails(DeadlineExceeded, a=1), settings=DEADLINE, colours=ALL),
]  # fmt: skip
# Of two events of Anthropic's, the first two bring no text.
ROWS = [
    replace(case, stream=replace(case.stream, partial="The quick")) if case.provider == "anthropic" else case
    for case in ROWS
]


@pytest.mark.parametrize(("case", "streamed"), params(*ROWS))
def test_row(play, case, streamed):
    play(case, streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_24_a_request_that_is_not_read_does_not_outlive_the_deadline(shared_server, tmp_path, streamed):
    def check(run):
        assert "sending" in str(run.asked[0].error.__cause__)

    case = both(24, "slow_read", fails(DeadlineExceeded, a=1), prompt="x" * 20_000_000, settings={"timeout": 0.6},
                arrives=False, within=1.0, lingers=True, check=check)  # fmt: skip
    # Of its own: it goes on reading for a minute what it has been sent already.
    server = FaultServer()
    try:
        playing.play(case, server, tmp_path, streamed=streamed)
    finally:
        server.close()


def test_33_a_slow_reader_is_no_silent_provider(play):
    async def scenario(face, run):
        texts = 0

        async def pause(event):
            nonlocal texts
            texts += bool(event.text)
            if event.text and texts in (3, 6):
                await face.wait(0.3)

        return [await face.ask(pause=pause)]

    case = Case(row=33, fault="slow_stream:gap=0.02", stream=answers("a", a=1), settings=BETWEEN, scenario=scenario,
                least=0.6, colours=ALL)  # fmt: skip
    play(case, True)
