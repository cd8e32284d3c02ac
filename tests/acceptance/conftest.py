"""Hostile servers on loopback, every face of a client behind one name, and the account that must balance after a call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

import aistrale
from aistrale.testing import simulator

FAULT_SERVER = Path(__file__).resolve().parents[2] / ".." / "shared" / "fault_server.py"
OPENAI = "openai/gpt-5-mini"
MODELS = {"openai": OPENAI, "anthropic": "anthropic/claude-haiku-4-5", "gemini": "gemini/gemini-2.5-flash"}
COLOURS = ("sync", "asyncio", "trio")
# Long enough for a busy machine; what should end at once ends far before it.
GENEROUS = 20.0


# --- servers ----------------------------------------------------------------------------------------------------------


class FaultServer:
    """The shared fault server in a thread of this process."""

    def __init__(self):
        spec = importlib.util.spec_from_file_location("shared_fault_server", FAULT_SERVER)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.server = module.FaultServer()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(GENEROUS)

    async def _main(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        # Its TLS listeners need the openssl program and seconds of key generation; the wire's own tests cover TLS.
        self.server._start_tls = self._no_tls
        await self.server.start()
        self._ready.set()
        await self._stop.wait()
        for item in self.server._keep:
            item.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _no_tls(self):
        return

    def settings(self, fault):
        port = self.server.ports["http"]
        root = f"http://127.0.0.1:{port}/f/{fault}"
        return {
            "providers": {
                "openai": {"base_url": f"{root}/v1", "api_key": "sk-fault-canary-1"},
                "anthropic": {"base_url": root, "api_key": "sk-ant-fault-canary-1"},
                "gemini": {"base_url": root, "api_key": "fault-canary-1"},
            }
        }

    @property
    def stats(self):
        return self.server.stats

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(GENEROUS)


@pytest.fixture(scope="session")
def faults():
    if not FAULT_SERVER.exists():
        pytest.skip("the shared fault server is not there")
    server = FaultServer()
    yield server
    server.close()


class RawServer:
    """Answers every request with the bytes it is told to, piece by piece, then closes the connection."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = []
        self.pieces = []
        self.pause = 0.0
        self._closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def say(self, *pieces, pause=0.0):
        """The bytes of the next answers, with `pause` seconds between the pieces."""
        self.pieces, self.pause = pieces, pause

    def settings(self):
        return {
            "providers": {
                "openai": {"base_url": f"{self.url}/v1", "api_key": "sk-raw-canary-1"},
                "anthropic": {"base_url": self.url, "api_key": "sk-ant-raw-canary-1"},
                "gemini": {"base_url": self.url, "api_key": "raw-canary-1"},
            }
        }

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError):
            buffer = b""
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, body = buffer.partition(b"\r\n\r\n")
            length = int(
                dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:]).get(b"content-length", 0)
            )
            while len(body) < length:
                body += sock.recv(1 << 20)
            self.requests.append((head, body))
            for piece in self.pieces:
                sock.sendall(piece)
                if self.pause and self._closing.wait(self.pause):
                    return
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(GENEROUS)
            while sock.recv(65536):
                pass

    def close(self):
        self._closing.set()
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def raw():
    server = RawServer()
    yield server
    server.close()


def http_answer(body, *, status="200 OK", headers=(("Content-Type", "application/json"),)):
    """A complete answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@pytest.fixture
def answer_bytes():
    return http_answer


@pytest.fixture(scope="session")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


# --- faces ------------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What the caller of one call saw."""

    text: str = ""
    completion: object = None
    error: BaseException | None = None
    seconds: float = 0.0
    tasks: list = field(default_factory=list)


class Face:
    """One client, asked in one colour."""

    def __init__(self, client, colour, streamed):
        self.client = client
        self.colour = colour
        self.streamed = streamed

    def ask(self, prompt="Hi", **options):
        """One call; its answer or its error."""
        seen = Outcome()
        start = time.monotonic()
        if self.colour == "sync":
            self._sync(seen, prompt, options)
        elif self.colour == "asyncio":
            asyncio.run(self._whole(seen, prompt, options))
        else:
            trio.run(self._whole, seen, prompt, options)
        seen.seconds = seen.seconds or time.monotonic() - start
        return seen

    def _sync(self, seen, prompt, options):
        try:
            if self.streamed:
                with self.client.stream(prompt, **options) as stream:
                    for event in stream:
                        seen.text += event.text
                seen.completion = stream.completion
            else:
                seen.completion = self.client.run(prompt, **options)
                seen.text = seen.completion.text
        except Exception as error:  # noqa: BLE001 - judged by the test
            seen.error = error

    async def _whole(self, seen, prompt, options):
        client = self.client.as_async()
        start = time.monotonic()
        try:
            if self.streamed:
                async with client.stream(prompt, **options) as stream:
                    async for event in stream:
                        seen.text += event.text
                seen.completion = stream.completion
            else:
                seen.completion = await client.run(prompt, **options)
                seen.text = seen.completion.text
        except Exception as error:  # noqa: BLE001 - judged by the test
            seen.error = error
        seen.seconds = time.monotonic() - start
        if self.colour == "asyncio":
            # httpcore 1 leaves a generator to the collector, which the loop closes in a task of a moment.
            for _ in range(5):
                await asyncio.sleep(0)
            seen.tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await client.close()


@pytest.fixture
def face():
    """`face(colour, streamed, **settings)` makes a client that is asked in this colour."""
    made = []

    def make(colour, streamed, **settings):
        found = Face(aistrale.Client(**settings), colour, streamed)
        made.append(found)
        return found

    yield make
    for item in made:
        item.client.close()
        item.client.ledger.close()


def pytest_generate_tests(metafunc):
    # Tests that ask for a colour or a kind run in all of them, unless they list their own.
    own = {name for mark in metafunc.definition.iter_markers("parametrize") for name in names_of(mark.args[0])}
    if "colour" in metafunc.fixturenames and "colour" not in own:
        metafunc.parametrize("colour", COLOURS)
    if "streamed" in metafunc.fixturenames and "streamed" not in own:
        metafunc.parametrize("streamed", [False, True], ids=["plain", "stream"])


def names_of(names):
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


# --- the account ------------------------------------------------------------------------------------------------------


def account(client, calls=1):
    """The ledger's calls and their attempts, oldest first, after checking that they balance."""
    assert client.flush()
    found = list(reversed(client.ledger.calls(1000)))
    assert len(found) == calls
    assert len({row.call_id for row in found}) == calls
    attempts = [client.ledger.attempts(row.call_id) for row in found]
    for row, own in zip(found, attempts, strict=True):
        assert len(own) == row.attempts
        assert [each.attempt for each in own] == list(range(1, row.attempts + 1))
    assert client.ledger.open_intents() == []
    return found, attempts


@pytest.fixture
def balance():
    return account


def sockets():
    """The sockets that this process holds."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(path.readlink())
            if target.startswith("socket:"):
                found.add(target)
    return found


@pytest.fixture
def no_leak():
    """Fails when the test leaves sockets behind that it did not find."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("descriptors are counted in /proc, which only Linux has")

    @contextlib.contextmanager
    def watched(peer=None):
        before = sockets()
        yield
        # A hostile server in this process notices a moment later that its peer has gone.
        until = time.monotonic() + GENEROUS
        while left := sockets() - before:
            gc.collect()
            if time.monotonic() > until:
                pytest.fail(f"{len(left)} sockets are left")
            time.sleep(0.005)

    return watched


@pytest.fixture(autouse=True)
def no_collector_on_a_full_stack(request):
    """Parsing JSON of absurd depth fills the stack, where finalizers of whatever is collected just then cannot run."""
    if "deep_json" not in request.node.nodeid:
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
