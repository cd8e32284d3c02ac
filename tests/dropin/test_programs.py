"""Short runs of the programs of `programs.py`; the long ones are in tests/soak/test_dropin.py."""

from __future__ import annotations

import os
import sys

import pytest

from tests.dropin import programs

pytest.importorskip("openai")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")

CALLS = 320


def test_threads(tmp_path):
    pytest.importorskip("anthropic")
    report = programs.run("threads", programs.THREADED, tmp_path, CALLS, slices=2)
    report.check(CALLS)
    (line,) = report.lines
    assert line["after"]["sockets"] == line["before"]["sockets"]
    assert line["after"]["threads"] == line["before"]["threads"]


def test_event_loop(tmp_path):
    report = programs.run("asyncio", programs.ASYNCIO, tmp_path, CALLS, slices=2)
    report.check(CALLS)
    (line,) = report.lines
    assert line["after"]["sockets"] == line["before"]["sockets"]
    assert line["after"]["threads"] == line["before"]["threads"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_workers_that_are_forked_from_a_loaded_program(tmp_path):
    report = programs.run("forks", programs.FORKING, tmp_path, CALLS, slices=2)
    assert report.lines[-1]["codes"] == [0] * 4
    report.check(CALLS + 3)
