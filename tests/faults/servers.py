"""The servers that play the faults: the shared one, a process of its own, and our simulator in its place."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from aistrale.testing.faults import GOOD

FAULT_SERVER = Path(__file__).resolve().parents[2] / ".." / "shared" / "fault_server.py"


class FaultServer:
    """Starts the server; asks it over one connection that stays open, so that its own count is always the same."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, str(FAULT_SERVER)], stdout=subprocess.PIPE)
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"the fault server ended with code {self._process.returncode}")
        told = json.loads(line)
        self.ports = told["ports"]
        self.ca = told["ca"]
        self._control = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=30)
        self.base = self.stats()["open_now"]

    @property
    def pid(self):
        return self._process.pid

    def url(self, fault):
        """The root of a provider's URLs under a fault, `NAME:arg=value`, `port/NAME`, `host/NAME` or (TLS) `hosts/NAME`."""
        kind, _, name = fault.partition("/")
        if kind in {"host", "hosts"}:
            return f"http{kind[4:]}://{name}:9"
        if kind != "port":
            return f"http://127.0.0.1:{self.ports['http']}/f/{fault}"
        scheme = "https" if name.startswith("tls_") else "http"
        return f"{scheme}://127.0.0.1:{self.ports[name]}"

    def stats(self):
        """What arrived since the last reset; the connections that are open now include the one that asks."""
        return self._ask("GET", "/__stats")

    def idle(self):
        """Whether nobody but us is connected, those included whom the server has yet to accept.

        Asked over a connection of its own: a server accepts in the order in which it was called, so whoever gave up
        before he was accepted has been counted by the time that this one is answered.
        """
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=30)) as behind:
            behind.request("GET", "/__stats")
            return json.loads(behind.getresponse().read())["open_now"] <= self.base + 1

    def reset(self):
        """Forget counts and scripts."""
        self._ask("POST", "/__reset", {})

    def script(self, key, faults):
        """The faults of the successive requests that carry a key; the last one stays."""
        self._ask("POST", "/__script", {"key": key, "faults": list(faults)})

    def _ask(self, method, path, body=None):
        self._control.request(method, path, None if body is None else json.dumps(body))
        return json.loads(self._control.getresponse().read())

    def close(self):
        self._control.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()


class Simulated:
    """The simulator with the face of the fault server: OpenAI plays target a, Groq plays b.

    A script holds steps of `aistrale.testing` instead of names.
    """

    ca = None

    def __init__(self, simulator):
        self._simulator = simulator

    def url(self, fault):
        """The root of target b's URLs for "ok", of a's for all else."""
        return f"{self._simulator.url}/{'groq/openai' if fault == 'ok' else 'openai'}"

    def stats(self):
        """What arrived since the last reset."""
        keys = Counter(received.headers.get("x-fault-key", "") for received in list(self._simulator.requests))
        return {"open_now": self._simulator.connections, "by_key": dict(keys)}

    def idle(self):
        """Whether nobody is connected."""
        return self._simulator.connections == 0

    def reset(self):
        """Forget what arrived, and scripts."""
        self._simulator.reset()

    def script(self, key, steps):
        """What happens to the successive requests to target a; the last step stays."""
        self._simulator.script(*steps[:-1], provider="openai")
        if steps[-1] is not GOOD:
            self._simulator.outage("openai", steps[-1])
