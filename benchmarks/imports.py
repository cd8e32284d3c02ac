"""What it costs to begin: import time, the first call, memory, and what `import aistrale` loads.

    python benchmarks/imports.py [--rounds 9] [--strict]

Every figure is the median over fresh processes; the rounds of all candidates are interleaved. "First call" is the time
from the start of a process to the arrival of its first request at the server, less the same for a bare Python, which
only opens a socket. A first round, which is not counted, compiles all modules, as an installer does; and trio, which
httpcore2 loads where it is installed, is hidden from all: only who uses it has it. With `--strict` a figure above its
target makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from server import CHAT, OPENAI, plain

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("aistrale", "httpx", "httpx2", "openai", "anthropic")
TIMED = "import time; start = time.perf_counter(); import {0}; print(time.perf_counter() - start)"
PORT = "import sys; port = sys.argv[1]; "
BARE = PORT + "import socket; socket.create_connection(('127.0.0.1', int(port))).sendall(b'POST / HTTP/1.1\\r\\n')"
# Milliseconds of CPU and KiB of memory, at the end of the first call.
USED = "; import time; print(time.process_time() * 1000, " + (
    "[line for line in open('/proc/self/status') if line.startswith('VmRSS')][0].split()[1])"
    if sys.platform == "linux"
    else "__import__('resource').getrusage(0).ru_maxrss)"
)
OWN = (
    PORT + "import aistrale; client = aistrale.Client(providers={'openai': {'api_key': 'k', "
    "'base_url': f'http://127.0.0.1:{port}/v1'}}); "
    "client.run('Hello', model='openai/gpt-5-mini')" + USED
)
SDK = (
    PORT + "import openai; openai.OpenAI(api_key='k', base_url=f'http://127.0.0.1:{port}/v1').chat.completions"
    ".create(model='gpt-5-mini', messages=[{'role': 'user', 'content': 'Hello'}])" + USED
)
RAW = (
    PORT + "import httpx; httpx.post(f'http://127.0.0.1:{port}/v1/chat/completions', "
    "json={'model': 'gpt-5-mini', 'messages': [{'role': 'user', 'content': 'Hello'}]}).json()" + USED
)
FOREIGN = """
import sys
before = set(sys.modules)
import aistrale
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - set(sys.stdlib_module_names) - {"aistrale"}))
"""


class Start(NamedTuple):
    """How a process began.

    Args:
        ready: Milliseconds until its first request was on the wire.
        cpu: Milliseconds of CPU that it had used when it had the answer.
        memory: MiB that it held then.
    """

    ready: float
    cpu: float
    memory: float


# In front of all code.
PLAIN = "import sys; sys.modules['trio'] = None; "


def environment(home: str) -> dict[str, str]:
    """The variables of a fresh process; compiled modules are kept with its home."""
    own = {"AISTRALE_HOME": home, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": f"{home}/compiled"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own


def python(code: str, home: str, *arguments: str) -> str:
    """Run code in a fresh interpreter; what it printed."""
    command = [sys.executable, "-c", PLAIN + code, *arguments]
    return subprocess.run(command, env=environment(home), check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def first_call(code: str, home: str, listener: socket.socket) -> Start:
    """Run code in a fresh interpreter that calls the listener once, and answer it."""
    command = [sys.executable, "-c", PLAIN + code, str(listener.getsockname()[1])]
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        connection, _ = listener.accept()
        with connection:
            received = connection.recv(65536)
            ready = time.perf_counter() - start
            while received.startswith(b"POST /v1") and not received.endswith(b"}"):
                received += connection.recv(65536)
            connection.sendall(plain(OPENAI, CHAT))
            printed = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    used = [float(word) for word in printed.split()] or [0.0, 0.0]
    return Start(ready * 1000, used[0], used[1] / 1024)


def main() -> int:
    """Measure, print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    imports: dict[str, list[float]] = {name: [] for name in MODULES}
    calls: dict[str, list[Start]] = {"bare Python": [], "aistrale": [], "raw httpx": [], "openai": []}
    codes = dict(zip(calls, (BARE, OWN, RAW, SDK), strict=True))
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as listener:
        for code in (*(TIMED.format(name) for name in MODULES), FOREIGN):
            foreign = python(code, home)
        for code in codes.values():
            first_call(code, home, listener)
        for _ in range(options.rounds):
            for name in MODULES:
                imports[name].append(float(python(TIMED.format(name), home)))
            for name, code in codes.items():
                calls[name].append(first_call(code, home, listener))
    return 0 if report(imports, calls, foreign) or not options.strict else 1


def report(imports: dict[str, list[float]], calls: dict[str, list[Start]], foreign: str) -> bool:
    """Print; whether every target is met."""
    print(f"Python {sys.version.split()[0]}\n\nimport, ms (median of {len(imports['aistrale'])})")
    for name, seconds in imports.items():
        print(f"  {name:12}{statistics.median(seconds) * 1000:8.1f}")
    print("\nfirst call: on the wire, ms after a bare Python; CPU ms and MiB when it is answered")
    middle = {name: Start(*map(statistics.median, zip(*runs, strict=True))) for name, runs in calls.items()}
    bare = middle["bare Python"].ready
    for name, start in middle.items():
        used = f"{start.cpu:10.1f}{start.memory:10.1f}" if start.memory else ""
        print(f"  {name:12}{start.ready - bare:8.1f}{used}")
    ratio = statistics.median(own / sdk for own, sdk in zip(imports["aistrale"], imports["openai"], strict=True))
    figures = {
        "import aistrale / import openai": (ratio, 0.1),
        "first call on the wire, ms": (middle["aistrale"].ready - bare, 250),
        "memory after the first call, MiB": (middle["aistrale"].memory, 40),
        f"modules of others that the import loads {json.dumps(foreign.split())}": (len(foreign.split()), 0),
    }
    print("\nfigure against its target")
    for what, (value, target) in figures.items():
        print(f"  {what:46} {value:7.2f}   at most {target:g}{'' if value <= target else '   ABOVE'}")
    return all(value <= target for value, target in figures.values())


if __name__ == "__main__":
    sys.exit(main())
