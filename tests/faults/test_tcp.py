"""Rows 1 to 7 and 15 to 23: names that do not resolve, connections that are refused, reset, or end too early."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from aistrale.errors import AttemptTimeout, ConnectError, DeadlineExceeded, NetworkError, StreamInterrupted
from tests.faults.matrix import (
    ALL,
    BEGUN,
    HTTPS,
    Case,
    answers,
    both,
    errors_of,
    fails,
    gone,
    params,
    unbilled,
    uncertain,
)

SHORT = {"clocks": {"connect": 0.2}}
WAITING = {"clocks": {"first_token": 0.2}}

CONNECTING = [
    both(1, "port/refused", answers("b", a=2, b=1), fallback=True, arrives=False, colours=ALL, check=unbilled),
    both(1, "port/refused", fails(ConnectError, a=3), name="refused alone", arrives=False, check=unbilled),
    both(2, "port/blackhole", answers("b", a=1, b=1), fallback=True, arrives=False, settings=SHORT, least=0.2,
         within=1.0, colours=ALL, check=errors_of("AttemptTimeout")),
    both(2, "port/blackhole", fails(AttemptTimeout, a=1), name="blackhole alone", arrives=False, within=1.0,
         settings={**SHORT, "retry": False}, check=unbilled),
    both(2, "port/blackhole", fails(DeadlineExceeded, a=1), name="blackhole D1", arrives=False, colours=ALL,
         settings={"timeout": 0.2}, least=0.2),
    both(2, "port/blackhole", answers("b", a=1, b=1), name="blackhole share", fallback=True, arrives=False,
         settings={"timeout": 0.4}, breaker="slow"),
    both(3, "port/silent", answers("b", a=1, b=1), fallback=True, arrives=False, settings=WAITING, within=1.0,
         colours=ALL, check=errors_of("AttemptTimeout")),
    both(4, "port/rst_accept", answers("b", a=range(1, 3), b=1), fallback=True, arrives=False, colours=ALL),
    both(5, "port/slow_accept", fails(DeadlineExceeded, a=1), name="slow_accept too slow", arrives=False,
         settings={"timeout": 0.2}, check=errors_of("DeadlineExceeded")),
]  # fmt: skip

CUT = [
    both(15, "rst_before_response", answers("b", a=range(1, 4), b=1), fallback=True, check=uncertain),
    both(15, "rst_before_response", fails(NetworkError, a=range(2, 4)), name="rst_before_response alone", colours=ALL),
    *(
        both(18, fault, answers("a", a=2), script=(fault, "ok"), check=uncertain)
        for fault in ("rst_mid_headers", "fin_mid_headers")
    ),
    *(
        both(19, fault, answers("a", a=2), script=(fault, "ok"), check=uncertain)
        for fault in ("rst_mid_body", "fin_mid_body")
    ),
    *(
        Case(
            row=row,
            fault=fault,
            script=(fault, "ok"),
            plain=answers("a", a=2),
            stream=fails(StreamInterrupted, partial=BEGUN, a=1),
            check=uncertain,
            colours=colours,
        )
        for row, fault, colours in ((20, "fin_mid_chunk", ALL), (22, "fin_between_chunks", ("sync", "asyncio")))
    ),
    *(
        both(row, f"{fault}:after={after}", answers("b", a=range(1, 3), b=1), fallback=True)
        for row, fault in ((20, "fin_mid_chunk"), (21, "rst_mid_chunk"), (22, "fin_between_chunks"))
        for after in (0, 1)
    ),
]


@pytest.mark.parametrize(("case", "streamed"), params(*CONNECTING, *CUT))
def test_row(play, case, streamed):
    play(case, streamed)


# --- 5: a server that accepts late ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("colour", "streamed"), [("sync", False), ("asyncio", True)])
def test_5_a_late_server_is_waited_for(play, colour, streamed):
    # The server takes two seconds, so not in every mode.
    case = both(5, "port/slow_accept", answers("a", a=1), least=1.5, colours=(colour,))
    play(case, streamed, http=HTTPS[-1:])


# --- 6 and 7: names ---------------------------------------------------------------------------------------------------


@pytest.fixture
def resolver(monkeypatch):
    """`resolver(answer)`: names under .invalid are looked up by calling it; other names as ever."""
    real = socket.getaddrinfo

    def use(answer):
        def look_up(host, port, *rest, **more):
            name = host.decode() if isinstance(host, bytes) else str(host)
            if not name.endswith(".invalid"):
                return real(host, port, *rest, **more)
            # trio asks in the loop first whether it is a number, which takes no time.
            flags = more.get("flags", rest[3] if len(rest) > 3 else 0)
            return unknown(name) if flags & socket.AI_NUMERICHOST else answer(name)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return use


def unknown(name):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


UNKNOWN = both(6, "host/nowhere.invalid", answers("b", a=1, b=1), fallback=True, arrives=False, check=unbilled)


@pytest.mark.parametrize(("case", "streamed"), params(replace(UNKNOWN, colours=ALL)))
def test_6_a_name_that_does_not_resolve(play, resolver, case, streamed):
    resolver(unknown)
    play(case, streamed)


@pytest.mark.parametrize(("case", "streamed"), params(replace(UNKNOWN, colours=ALL, name="slow resolver")))
def test_6_a_slow_resolver_does_not_block_the_loop(play, resolver, case, streamed):
    answer = threading.Event()
    waited = []

    def slow(name):
        # In a blocked loop nobody could set the event.
        waited.append(answer.wait(10.0))
        unknown(name)

    async def scenario(face, run):
        answer.clear()

        async def tick():
            await face.wait(0.05)
            answer.set()

        return (await face.together(face.ask(), tick()))[:1]

    resolver(slow)
    play(replace(case, scenario=scenario, least=0.04, within=5.0), streamed)
    assert all(waited)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_7_a_resolver_that_hangs_does_not_outlive_the_deadline(play, resolver, streamed):
    answer = threading.Event()

    def hangs(name):
        answer.wait(30.0)
        unknown(name)

    async def scenario(face, run):
        answer.clear()
        seen = await face.ask()
        # The thread of the look-up ends with it; the harness fails if it does not.
        answer.set()
        return [seen]

    resolver(hangs)
    case = both(7, "host/nowhere.invalid", fails(DeadlineExceeded, a=1), arrives=False, colours=ALL, check=unbilled,
                settings={"timeout": 0.2}, scenario=scenario)  # fmt: skip
    play(case, streamed)
    share = replace(case, fallback=True, settings={"timeout": 0.4}, breaker="slow")
    share = replace(share, plain=answers("b", a=1, b=1), stream=answers("b", a=1, b=1), colours=("sync", "asyncio"))
    play(share, streamed)


# --- 16 and 17: kept connections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_16_a_kept_connection_that_closed_is_replaced_for_free(play, streamed):
    async def scenario(face, run):
        return [await face.ask() for _ in range(3)]

    def check(run):
        # The three calls are three attempts; the request that was repeated on a fresh connection is none.
        assert run.retried == 1
        assert run.stats["by_key"][f"{run.key}-a"] == 4

    case = both(16, "ok", answers("a", a=3), script=("ok", "fin_before_response", "ok"), scenario=scenario,
                check=check, colours=ALL, settings={"retry": False})  # fmt: skip
    play(case, streamed)


@pytest.mark.parametrize(("streamed", "times"), [(False, 200), (True, 30)], ids=["plain", "stream"])
def test_17_a_server_that_closes_kept_connections_at_once(play, streamed, times):
    async def scenario(face, run):
        return [await face.ask() for _ in range(times)]

    case = both(17, "stale_keepalive:idle=0.001", answers("a", a=range(times, 2 * times + 1)), scenario=scenario)
    for run in play(case, streamed):
        assert run.stats["by_key"][f"{run.key}-a"] <= 2 * times


# --- 23: the body does not end ----------------------------------------------------------------------------------------


def test_23_a_stream_is_over_with_its_last_event(play):
    async def scenario(face, run):
        seen = await face.ask()
        # Before the client is closed: the connection is of no use any more and must not be kept.
        for _ in range(100):
            if run.server.stats()["open_now"] <= run.server.base:
                break
            await face.wait(0.01)
        else:
            pytest.fail("the connection is still open")
        return [seen]

    case = Case(row=23, fault="half_close_linger", stream=answers("a", a=1), within=1.0, scenario=scenario,
                colours=ALL, check=gone)  # fmt: skip
    play(case, True)
