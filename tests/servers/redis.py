"""A redis-server of one test, on a socket in a directory of its own; nothing is written to disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

PROGRAM = shutil.which("redis-server")
REASON = "redis-server is not installed (Debian: apt-get install redis-server)"


class RedisServer:
    """Started and killed at will; it comes back at the same address, with nothing of what it knew.

    Args:
        directory: Short enough for the path of a socket.
        options: Further lines of its configuration, as arguments.
    """

    def __init__(self, directory, *options):
        self.path = directory / "redis.sock"
        self.log = directory / "redis.log"
        self.options = options
        self.process = None

    @property
    def url(self):
        return f"unix://{self.path}"

    def start(self):
        command = [PROGRAM, "--port", "0", "--unixsocket", str(self.path), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*command, "--logfile", str(self.log), "--dir", str(self.path.parent), *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20.0
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "redis-server did not start"
            time.sleep(0.01)
        return self

    def _answers(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(str(self.path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def kill(self):
        """SIGKILL, as when a machine goes down."""
        self.process.kill()
        self.process.wait()
        self.path.unlink(missing_ok=True)

    def hang(self):
        """SIGSTOP: connections stand, nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


needs_redis = pytest.mark.skipif(PROGRAM is None, reason=REASON)
