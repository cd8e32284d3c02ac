"""`aistrale telemetry`: status and tail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import aistrale
from aistrale.telemetry._spool_files import spool_directory
from aistrale.telemetry.encoding import encode_line
from aistrale.telemetry.events import CallStarted
from tests.telemetry.places import Loud, Place, attempted, delivery, event, events, finished

MODEL = "openai/gpt-5-mini"


def written(path, items, mode="ab"):
    with path.open(mode) as file:
        file.write(b"".join(encode_line(item) + b"\n" for item in items))


@pytest.fixture
def calls(sim):
    """A file that the sink of the settings has written."""
    with Path("aistrale.toml").open("r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(
            f'sinks = ["jsonl:calls.jsonl", {{ to = "jsonl:other.jsonl", name = "other", guarantee = "durable" }}]\n{text}'
        )
    with aistrale.Client() as client:
        for _ in range(3):
            client.run("Hi", model=MODEL)
        assert client.flush(30.0)
    return Path("calls.jsonl")


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_of_nothing(cli, nobody):
    result = cli("telemetry", "status")
    assert result.exit_code == 0
    assert "none" in result.stdout
    assert "nothing" in result.stdout


def test_status_shows_sinks_and_spools(cli, calls, aistrale_home):
    place = Place(Loud(60.0))
    sent = delivery(place, directory=aistrale_home, guarantee="durable", name="orders / audit")
    for item in events(7):
        sent.put(item)
    sent.step()
    shown = cli("telemetry", "status").stdout
    for text in ("jsonl", "other", "durable", "best effort", "orders / audit", "Loud, just now"):
        assert text in shown
    found = json.loads(cli("telemetry", "status", "--json").stdout)
    assert [own["name"] for own in found["sinks"]] == ["jsonl", "other"]
    by_name = {each["sink"]: each for each in found["spools"]}
    assert by_name["orders / audit"]["events"] == 7
    assert by_name["orders / audit"]["bytes"] > 500
    assert by_name["orders / audit"]["error"] == "Loud"
    assert by_name["orders / audit"]["oldest"].endswith("Z")
    assert (by_name["other"]["events"], by_name["other"]["bytes"]) == (0, 0)
    sent.close(0.0)


def test_status_shows_what_waits_where_a_sink_cannot_be_set_up(cli, sim, aistrale_home):
    sent = delivery(Place(), directory=aistrale_home, guarantee="durable")
    sent.put(event())
    Path("aistrale.toml").write_text(
        'sinks = ["webhook:https://user:sk-canary@host/x", "nonsense:x"]\n', encoding="utf-8"
    )
    result = cli("telemetry", "status")
    assert result.exit_code == 0
    assert "place" in result.stdout
    assert "problem: " in result.stderr
    assert "canary" not in result.stdout + result.stderr
    sent.close(1.0)


# --- tail -------------------------------------------------------------------------------------------------------------


def test_tail_shows_the_file_of_the_settings(cli, calls):
    lines = cli("telemetry", "tail", "--kind", "call.finished").stdout.splitlines()
    assert len(lines) == 3
    assert all("gpt-5-mini" in line for line in lines)
    assert lines == sorted(lines)
    every = cli("telemetry", "tail", "-n", "1000").stdout.splitlines()
    assert len(every) == len(calls.read_bytes().splitlines())
    assert len(cli("telemetry", "tail", "-n", "2").stdout.splitlines()) == 2
    assert cli("telemetry", "tail", "-n", "0").stdout == ""


def test_tail_prints_json(cli, tmp_path):
    items = [attempted(), finished()]
    written(tmp_path / "x", items)
    shown = cli("telemetry", "tail", "--file", tmp_path / "x", "--json").stdout
    assert shown.encode() == (tmp_path / "x").read_bytes()


def test_tail_passes_over_what_is_no_event(cli, tmp_path):
    path = tmp_path / "x"
    written(path, events(2))
    with path.open("ab") as file:
        file.write(b'nonsense\n{"kind":"of.tomorrow"}\n\n')
    written(path, events(1))
    with path.open("ab") as file:
        file.write(b'{"kind":"queue.wai')
    result = cli("telemetry", "tail", "--file", path)
    assert len(result.stdout.splitlines()) == 3
    assert "2 entries are no events" in result.stderr


def test_tail_finds_the_last_of_a_kind_far_above(cli, tmp_path):
    path = tmp_path / "x"
    written(path, [finished(id="first")])
    written(path, [event() for _ in range(10_000)])
    shown = cli("telemetry", "tail", "--file", path, "--kind", "call.finished", "--json").stdout
    assert json.loads(shown)["id"] == "first"


def test_tail_takes_no_control_characters_out_of_a_file(cli, tmp_path):
    written(tmp_path / "x", [CallStarted(operation="chat", model_asked="\x1b[2Jevil\nline")])
    shown = cli("telemetry", "tail", "--file", tmp_path / "x").stdout
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1


def test_tail_shows_a_spool(cli, aistrale_home):
    sent = delivery(Place(), directory=aistrale_home, guarantee="durable")
    for item in events(15):
        sent.put(item)
    assert len(cli("telemetry", "tail", "--spool", "place").stdout.splitlines()) == 10
    assert len(cli("telemetry", "tail", "--spool", "place", "-n", "100").stdout.splitlines()) == 15
    sent.step()
    assert cli("telemetry", "tail", "--spool", "place").stdout == ""
    sent.close(1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--file", "absent"], "not there"),
        (["--spool", "absent"], "not there"),
        (["--file", "."], "directory"),
        ([], "no sink"),
        (["--file", "a", "--spool", "b"], "both"),
        (["--kind", "nonsense"], "call.finished"),
        (["-n", "-1"], "-n"),
    ],
)
def test_wrong_usage(cli, nobody, arguments, said):
    result = cli("telemetry", "tail", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def follow(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "aistrale", "telemetry", "tail", "--follow", "--json", *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ids(process, count):
    # Nothing comes from one that is dead, and the test fails instead of waiting for ever.
    bound = threading.Timer(60.0, process.kill)
    bound.start()
    try:
        return [json.loads(process.stdout.readline())["id"] for _ in range(count)]
    finally:
        bound.cancel()


def ended(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    return out


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT to send to one process, and renames no open file")
def test_following_goes_on_over_rotation(environment, tmp_path):
    path = tmp_path / "x"
    first, second, third, fourth, fifth = ([item] for item in events(5))
    written(path, first)
    process = follow(environment, "--file", path)
    assert ids(process, 1) == [first[0].id]
    written(path, second)
    assert ids(process, 1) == [second[0].id]
    # Written by whoever still had it open when it was put aside.
    with path.open("ab") as file:
        path.rename(tmp_path / "x.1")
        line = encode_line(third[0]) + b"\n"
        file.write(line[:9])
        file.flush()
        threading.Event().wait(0.3)
        file.write(line[9:])
    written(path, [*fourth, *fifth])
    assert ids(process, 3) == [third[0].id, fourth[0].id, fifth[0].id]
    # Cut off, and shorter than it was whenever it is looked at next.
    path.write_bytes(b"")
    written(path, first)
    assert ids(process, 1) == [first[0].id]
    assert ended(process) == b""


@pytest.mark.skipif(os.name != "posix", reason="spools need flock")
def test_following_a_spool(environment, aistrale_home):
    items = events(5)
    process = follow(environment, "--spool", "place")
    sent = delivery(Place(), directory=aistrale_home, guarantee="durable")
    for item in items[:3]:
        sent.put(item)
    assert ids(process, 3) == [item.id for item in items[:3]]
    for item in items[3:]:
        sent.put(item)
    assert ids(process, 2) == [item.id for item in items[3:]]
    assert ended(process) == b""
    sent.close(1.0)
    assert not list(spool_directory(aistrale_home, "place").glob("*.seal"))
