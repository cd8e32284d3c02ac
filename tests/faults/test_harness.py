"""The harness itself: good answers pass in every shape, and what is wrong is noticed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import replace

import pytest

from aistrale.errors import NetworkError, ServerError
from tests.faults import play as playing
from tests.faults.matrix import ALL, KEY, Case, answers, both, fails, params

GOOD = [
    both(0, "ok", answers("a", a=1), colours=ALL),
    *(
        both(0, "ok", answers("a", a=1), provider=provider)
        for provider in ("openai", "anthropic", "gemini", "groq", "huggingface")
    ),
    both(0, "flaky:fail=1", answers("a", a=2)),
    both(0, "port/tls_ok", answers("a", a=1), colours=ALL),
    both(0, "ok", answers("a", a=1), fallback=True),
]


@pytest.mark.parametrize(("case", "streamed"), params(*GOOD))
def test_what_is_right_passes(play, case, streamed):
    for run in play(case, streamed):
        assert len(run.attempts()) == sum(case.plain.attempts.values())


OK = Case(plain=answers("a", a=1), row=0)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (replace(OK, plain=answers("b", a=1)), "b/m"),
        (replace(OK, plain=answers("a", text="else", a=1)), "else"),
        (replace(OK, plain=answers("a", a=2)), "I5"),
        (replace(OK, plain=answers("a", a=range(2, 4))), "I5"),
        (replace(OK, plain=answers("a", a=1, b=1)), "I5"),
        (replace(OK, plain=fails(ServerError, a=1)), "no error"),
        (replace(OK, fault="http:status=500", plain=fails(NetworkError, a=3)), "ServerError"),
        (replace(OK, fault="http:status=401"), "AuthenticationError"),
        (replace(OK, fault="ok:delay=0.2", within=0.1), "I4"),
        (replace(OK, least=5.0), "waited"),
        (replace(OK, fault="port/refused", plain=fails(NetworkError, a=3), arrives=True), "NetworkError|ConnectError"),
    ],
)
def test_what_is_wrong_is_noticed(play, case, said):
    with pytest.raises(AssertionError, match=said) as caught:
        play(case, False, http=("httpx",) if "httpx" in playing.HTTPS else None)
    assert any("in the mode sync" in note for note in caught.value.__notes__)


def test_requests_that_nobody_accounts_for_are_noticed(server, tmp_path):
    run = playing.start(OK, server, tmp_path, colour="sync", http=playing.HTTPS[0], streamed=False)
    playing.go(run)
    playing.check(run)
    run.stats["by_key"][f"{run.key}-a"] += 1
    with pytest.raises(AssertionError, match="I2"):
        playing.check_counts(run)
    run.rows.append(run.rows[1])
    with pytest.raises(AssertionError, match="I2"):
        playing.check_ledger(run)


def test_a_connection_that_is_left_open_is_noticed(server, tmp_path, monkeypatch):
    monkeypatch.setattr(playing, "PATIENCE", 3)
    kept = []

    async def scenario(face, run):
        stream = run.client.stream("Hi", model=run.names["a"])
        kept.append(stream)
        next(stream)
        return []

    case = replace(OK, fault="slow_stream", stream=answers("a", a=1), scenario=scenario)
    run = playing.start(case, server, tmp_path, colour="sync", http=playing.HTTPS[0], streamed=True)
    with pytest.raises(AssertionError, match="I3"):
        playing.go(run)
    kept.pop().close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="only POSIX systems stop a process")
def test_who_gave_up_before_the_server_had_seen_him_is_not_counted_in_the_next_run(server, tmp_path):
    os.kill(server.pid, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", server.ports["http"])) as early:
        early.sendall(b"GET /f/stall_headers/v1 HTTP/1.1\r\nHost: a\r\nx-fault-key: early\r\n\r\n")
    # It finds the next run's questions together with that connection.
    waking = threading.Timer(0.1, os.kill, (server.pid, signal.SIGCONT))
    waking.start()
    run = playing.start(OK, server, tmp_path, colour="sync", http=playing.HTTPS[0], streamed=False)
    waking.join()
    playing.go(run)
    playing.check(run)
    assert (run.stats["by_key"], run.stats["client_gone"]) == ({f"{run.key}-a": 1}, 0)


def test_a_key_in_an_error_is_noticed():
    inner = ValueError(f"sent {KEY}-a")
    outer = NetworkError("it broke")
    outer.__context__ = inner
    with pytest.raises(AssertionError, match="I7"):
        playing.check_secrets(playing.Asked(error=outer))
