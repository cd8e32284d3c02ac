"""On a terminal: text as it comes, tables that are drawn, and nothing obeyed that a model says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from aistrale.testing import Say, Slow

pty = pytest.importorskip("pty", reason="pseudo-terminals are a thing of Unix")
MODEL = "groq/openai/gpt-oss-20b"


@pytest.fixture
def terminal(environment):
    """Runs a command whose output, and input, is a terminal; gives its code and the pieces that came."""

    def run(*arguments, columns=80, stdin="terminal", **variables):
        import fcntl
        import struct
        import termios

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = subprocess.Popen(
            [sys.executable, "-m", "aistrale", *arguments],
            env={**environment(), "TERM": "xterm", **variables},
            stdin=theirs if stdin == "terminal" else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        pieces = []
        while piece := read(ours):
            pieces.append(piece)
        os.close(ours)
        return child.wait(timeout=60), pieces

    return run


def read(descriptor):
    try:
        return os.read(descriptor, 65536).decode()
    except OSError:  # Linux says so when the other side is closed
        return ""


def screen(pieces):
    return "".join(pieces).replace("\r\n", "\n")


def test_text_is_shown_as_it_comes(terminal, sim):
    sim.outage(step=Slow(between=0.1))
    code, pieces = terminal("run", "one two three", "-m", MODEL)
    assert code == 0
    assert screen(pieces) == "This is a simulated answer to: one two three\n"
    assert sim.last.request.stream is True
    # Words arrive a tenth of a second apart; whoever reads at once sees them apart.
    assert len(pieces) >= 4


def test_it_can_be_told_not_to(terminal, sim):
    assert terminal("run", "Hi", "-m", MODEL, "--no-stream")[0] == 0
    assert sim.last.request.stream is False


@pytest.mark.parametrize("streamed", ["--stream", "--no-stream"])
def test_a_model_cannot_move_the_cursor(terminal, sim, streamed):
    sim.outage(step=Say(text="\x1b]0;title\x07 \x1b[2J\x9b31mred \rover\n\tdone"))
    code, pieces = terminal("run", "Hi", "-m", MODEL, streamed)
    assert code == 0
    assert screen(pieces) == "␛]0;title␇ ␛[2J�31mred over\n\tdone\n"


def test_without_a_prompt_it_does_not_wait_for_one(terminal, sim):
    code, pieces = terminal("run")
    assert code == 2
    assert "There is no prompt" in screen(pieces)


def test_a_table_is_drawn_with_colours_and_fits(terminal, sim):
    code, pieces = terminal("models", "--current", columns=80)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen(pieces))
    assert code == 0
    assert "\x1b[" in screen(pieces)
    assert "─" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "openai/gpt-6-luna" in shown


def test_a_wide_terminal_shows_more(terminal, sim):
    assert "thinks" not in screen(terminal("models", "--current", columns=80)[1])
    assert "thinks" in screen(terminal("models", "--current", columns=160)[1])


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("arguments", [["models", "--current"], ["doctor"]])
def test_colours_can_be_refused(terminal, sim, arguments, variables):
    code, pieces = terminal(*arguments, **variables)
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3\dm", screen(pieces))
    if "TERM" in variables:
        assert "\x1b" not in screen(pieces)


def test_the_demo_on_a_terminal(terminal, nobody):
    code, pieces = terminal("demo", columns=80)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen(pieces))
    assert code == 0
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert shown.count("This is a simulated answer to: Say hello") == 5
    assert "answered by huggingface/" in shown
