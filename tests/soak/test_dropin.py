"""10,000 calls of official SDKs under `init()` in threads, on an event loop, and in workers forked from a loaded program.

No answer may be another call's, nothing may stay behind, and the ledger has one row for each call. The programs and the
short runs of them are in tests/dropin.
"""

from __future__ import annotations

import logging
import os
import sys

import pytest

from tests.dropin import programs

pytest.importorskip("openai")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]

_log = logging.getLogger("soak")  # shown by --log-cli-level=info
CALLS = 10_000
# Between what is compared lie about 5,000 calls. Each kept connection holds what its last call was about, so there is
# some to and fro.
OBJECTS = 2_000
MEMORY = 4 << 20


def assert_flat(worlds, before, sockets):
    """The end of the run against its first half, whose beginning fills caches and pools."""
    for world in worlds:
        _log.info(
            "%d objects, %.1f MiB, %d sockets, %d descriptors, %d threads",
            world["objects"],
            world["memory"] / 2**20,
            world["sockets"],
            world["files"],
            len(world["threads"]),
        )
    early, late = worlds[2:5], worlds[-3:]
    for what, most in (("objects", OBJECTS), ("memory", MEMORY)):
        assert min(world[what] for world in late) - min(world[what] for world in early) < most, worlds
    assert late[-1]["threads"] == early[-1]["threads"], worlds
    assert all(world["sockets"] - before["sockets"] <= sockets for world in worlds), worlds
    # Beside the sockets: the journal's segment and its directory, the database with its two companions, the loop's own.
    assert all(world["files"] - world["sockets"] - before["files"] + before["sockets"] <= 12 for world in worlds), (
        worlds
    )


def assert_gone(line):
    """After its end a program has what it had before."""
    assert line["after"]["sockets"] == line["before"]["sockets"], line
    assert line["after"]["files"] <= line["before"]["files"] + 1, line
    assert line["after"]["threads"] == line["before"]["threads"], line


def test_threads(tmp_path):
    pytest.importorskip("anthropic")
    report = programs.run("threads", programs.THREADED, tmp_path, CALLS)
    _log.info("%s", report.counts)
    report.check(CALLS)
    (line,) = report.lines
    # One kept connection for each thread and provider, of each client that sends.
    assert_flat(line["worlds"], line["before"], 8 * 6)
    assert_gone(line)


def test_event_loop(tmp_path):
    report = programs.run("asyncio", programs.ASYNCIO, tmp_path, CALLS)
    _log.info("%s", report.counts)
    report.check(CALLS)
    (line,) = report.lines
    assert_flat(line["worlds"], line["before"], 20 * 3 + 2)
    assert_gone(line)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_workers_that_are_forked_from_a_loaded_program(tmp_path):
    report = programs.run("forks", programs.FORKING, tmp_path, CALLS)
    _log.info("%s", report.counts)
    assert report.lines[-1]["codes"] == [0] * 4
    report.check(CALLS + 3)
    for line in report.lines:
        if "worlds" in line:
            assert_flat(line["worlds"], line["before"], 2 * 4)
