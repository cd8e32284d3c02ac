"""How commands end: exit codes, error lines, interrupts, closed pipes, and no keys in anything that is printed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import aistrale
from aistrale import errors
from aistrale.cli._app import Commands
from aistrale.testing import Broken, Fault, Slow

KEY = "sk-canary-4f1d9c0b7a6e5d3c2b1a"
MODEL = "openai/gpt-5-mini"


def start(environment, *arguments, **more):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "aistrale", *arguments], env=environment(), **pipes)


@pytest.mark.parametrize(
    ("step", "code", "word"),
    [
        (Fault(status=400), 2, "status=400"),
        (Fault(status=401), 4, "status=401"),
        (Fault(status=403), 4, "status=403"),
        (Fault(status=404), 2, "status=404"),
        (Fault(status=429), 5, "status=429"),
        (Fault(status=429, kind="quota"), 5, "status=429"),
        (Fault(status=400, kind="context_length"), 2, "status=400"),
        (Fault(status=500), 6, "status=500"),
        (Fault(status=503), 6, "status=503"),
        (Fault(status=418), 3, "status=418"),
        (Broken(wreck="html"), 6, "gpt-5-mini"),
        (Broken(wreck="empty"), 6, "gpt-5-mini"),
        (Broken(wreck="reset"), 6, "gpt-5-mini"),
    ],
)
def test_the_code_and_the_line_come_from_the_error(cli, sim, step, code, word):
    sim.outage(step=step)
    for streamed in ("--stream", "--no-stream"):
        result = cli("run", "Hi", "-m", MODEL, streamed)
        assert (result.exit_code, result.stdout) == (code, "")
        first, *rest = result.stderr.splitlines()
        assert first.startswith("error: ")
        assert word in first
        assert all(line.startswith("hint: ") for line in rest)
        assert len(rest) <= 1


def test_a_deadline_has_its_own_code(cli, sim):
    sim.outage(step=Slow(headers=30.0))
    assert cli("run", "Hi", "-m", MODEL, "--deadline", "0.2").exit_code == 7


def test_nobody_listening_is_a_network_error(cli, sim, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert cli("run", "Hi", "-m", MODEL).exit_code == 6


def leaves(cls):
    return {cls}.union(*map(leaves, cls.__subclasses__()))


@pytest.mark.parametrize("cls", sorted(leaves(errors.AistraleError), key=lambda cls: cls.__name__))
def test_every_error_ends_with_its_own_code(cls):
    error = cls("it broke", [ValueError("inside")]) if cls is errors.AllTargetsFailed else cls("it broke\n\x1b[31m")
    error.hint = "Mend it."

    group = Commands("x", invoke_without_command=True, callback=lambda: raise_(error))
    result = CliRunner().invoke(group, [])
    assert result.exit_code == cls.exit_code
    assert result.stderr.startswith("error: it broke")
    assert "\x1b" not in result.stderr
    assert result.stderr.count("\n") <= 2


def raise_(error):
    raise error


def test_an_unknown_exception_is_not_hidden():
    group = Commands("x", invoke_without_command=True, callback=lambda: raise_(ZeroDivisionError("a defect")))
    with pytest.raises(ZeroDivisionError):
        group.main([])


def test_a_missing_library_is_named_without_a_traceback():
    wanted = ImportError('ledger="postgresql://..." needs the package psycopg: pip install "aistrale[postgres]"')
    group = Commands("x", invoke_without_command=True, callback=lambda: raise_(wanted))
    result = CliRunner().invoke(group, [])
    assert result.exit_code == 2
    assert 'pip install "aistrale[postgres]"' in result.stderr
    group = Commands("x", invoke_without_command=True, callback=lambda: raise_(ImportError("cannot import name 'x'")))
    assert isinstance(CliRunner().invoke(group, []).exception, ImportError)


def test_usage_errors_end_with_2(cli):
    assert cli("--nonsense").exit_code == 2
    assert cli("run", "--json=maybe").exit_code == 2


def test_help_and_version(process):
    shown = process("--help")
    assert shown.returncode == 0
    for name in (b"cost", b"demo", b"doctor", b"models", b"run"):
        assert b"\n  " + name + b" " in shown.stdout
    assert process("--version").stdout.decode() == f"aistrale {aistrale.__version__}\n"


@pytest.mark.parametrize("name", ["cost", "demo", "doctor", "models", "run"])
def test_every_command_explains_itself(cli, name):
    result = cli(name, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_importing_the_package_loads_neither_click_nor_rich():
    code = "import sys, aistrale.cli; print([name for name in ('click', 'rich', 'httpx') if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(aistrale.__file__).parents[1])},
    )
    assert run.stdout.strip() == b"[]"


def test_commands_load_neither_http_nor_pydantic_for_their_help(environment):
    code = (
        "import sys, runpy; sys.argv = ['aistrale', 'run', '--help']\n"
        "try: runpy.run_module('aistrale', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('rich', 'httpcore', 'pydantic') if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment())
    assert run.stderr.strip() == b"[]"


# --- interrupts and pipes ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
def test_an_interrupt_ends_with_130_and_no_traceback(environment, sim):
    sim.outage(step=Broken(wreck="stall_early", after=4))
    run = start(environment, "run", "Hi there", "--stream", "-m", MODEL)
    # Once a piece has come, it waits for the next one.
    assert run.stdout.read(4) == b"This"
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert b"Traceback" not in err
    assert out.endswith(b"\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_closed_pipe_is_quiet(environment, sim):
    run = start(environment, "models", "--all", "--json")
    assert run.stdout.readline() == b"{\n"
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(timeout=30) == 141


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_pipe_that_closes_ends_a_stream(environment, sim):
    sim.outage(step=Slow(between=0.05))
    run = start(environment, "run", "one " * 200, "--stream", "-m", MODEL)
    assert run.stdout.read(4) == b"This"
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(timeout=30) == 141


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a shell")
def test_head_gets_its_line(environment, sim):
    command = ["/bin/sh", "-c", '"$0" -m aistrale models --all --json | head -1', sys.executable]
    run = subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"{\n", b"")


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def canary(sim, monkeypatch):
    """The key in every place where keys and passwords are found, and providers that repeat it."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "HF_TOKEN")):
            monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
    monkeypatch.setenv("AISTRALE_PROXY", f"http://user:{KEY}@proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{KEY}@proxy.example:3128")
    with Path("aistrale.toml").open("a", encoding="utf-8") as file:
        file.write(f'api_key = "{KEY}"\nheaders = {{ "x-{KEY}" = "{KEY}" }}\n')
        file.write(
            f'[providers.own]\ncompatible = "openai_chat"\nbase_url = "{sim.base_url("groq")}"\napi_key = "{KEY}"\n'
        )
    return sim


COMMANDS = [
    ["run", "Hi", "-v"],
    ["run", "Hi", "-v", "--json"],
    ["run", "Hi", "-v", "--stream", "-p", "huggingface"],
    ["run", "Hi", "-v", "-m", "own/model"],
    ["cost"],
    ["cost", "--json", "--by", "target"],
    ["models", "-p", "groq"],
    ["demo"],
    ["demo", "--live"],
    ["demo", "--live", "--json"],
    ["doctor"],
    ["doctor", "--json"],
    ["doctor", "--probe"],
    ["doctor", "--probe", "--json"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "step",
    [None, Fault(status=401, message=f"Incorrect API key provided: {KEY}."), Fault(status=400, message=f"Bad {KEY}")],
    ids=["well", "401", "400"],
)
def test_a_key_is_never_printed(cli, canary, arguments, step):
    if step is not None:
        canary.outage(step=step)
    result = cli(*arguments)
    assert result.exit_code in {0, 2, 4}
    assert "canary" not in result.stdout + result.stderr


@pytest.mark.parametrize("file", [f'api_key = "{KEY}"', f'model = ["{KEY}"]', f'[providers.openai]\napi_kei = "{KEY}"'])
def test_a_key_in_the_wrong_place_is_not_printed(process, canary, file):
    Path("aistrale.toml").write_text(file, encoding="utf-8")
    for arguments in (["run", "Hi"], ["doctor"], ["cost"]):
        run = process(*arguments)
        assert run.returncode == 2
        assert b"canary" not in run.stdout + run.stderr
