from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import aistrale.testing
from aistrale.testing import simulator as run_simulator
from aistrale.testing.simulator import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "aistrale.testing.simulator"]


def test_it_prints_where_it_is_and_serves_until_it_is_stopped(capsys):
    stop = threading.Event()
    stop.set()
    assert main(["--latency", "0.1"], stop) == 0
    shown = capsys.readouterr().out
    (url,) = set(re.findall(r"Simulator at (http://127\.0\.0\.1:\d+) ", shown))
    assert f"export OPENAI_BASE_URL={url}/openai/v1\n" in shown
    assert re.search(rf"^  anthropic +{url}/anthropic$", shown, re.MULTILINE)


def test_as_a_process_it_ends_well_with_ctrl_c(tmp_path):
    recording = tmp_path / "recording.json"
    recording.write_text(json.dumps([{"url": "/v1/models", "method": "GET", "response_body": {"data": [1]}}]))
    with subprocess.Popen(
        [*COMMAND, "--replay", str(recording)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
                connection.request("GET", "/v1/models")
                assert json.load(connection.getresponse()) == {"data": [1]}
        finally:
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (0, "")


@pytest.mark.parametrize("arguments", [["--latency", "-1"], ["--latency", "inf"], ["--port", "x"], ["--what"]])
def test_options_are_checked(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_what_cannot_be_served_is_told(capsys, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with run_simulator() as sim:
        assert main(["--port", str(sim.port)]) == 1
    assert main(["--replay", str(broken)]) == 1
    assert main(["--replay", str(tmp_path / "nothing.json")]) == 1
    assert capsys.readouterr().err.count("simulator: ") == 3


def test_the_function_is_not_hidden_by_the_module():
    # Importing the module has put it where the function was.
    assert callable(aistrale.testing.simulator)
    with aistrale.testing.simulator(keep=1) as sim:
        assert sim.keep == 1
    with sys.modules["aistrale.testing.simulator"](keep=2) as sim:
        assert sim.keep == 2
