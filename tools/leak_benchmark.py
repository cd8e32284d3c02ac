"""Runs the suite of the package `pii-leak-benchmark` against aistrale, which is not a gateway: a few lines make one.

The suite plays both ends: a client that sends personal data to a gateway's URL, and the model provider behind it. The
gateway here is a loopback server whose every request goes through the transport that `aistrale.transport()` makes.

Two profiles: what the provider gets to see and whether the caller gets its own values back (version 1), and what of
values that the provider itself puts into its answers reaches the caller, cut at every place (version 2).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

import aistrale
from aistrale.default import get_engine
from aistrale.dropin.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 8765
RULE = {
    "name": "no personal data in answers",
    "types": ["EMAIL_ADDRESS", "US_SSN", "US_ITIN", "CREDIT_CARD", "PHONE_NUMBER"],
    "direction": "in",
    "action": "redact",
}


FINISH = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]"


class Finishing(httpx.HTTPTransport):
    """The wire to the suite's provider, which leaves out the finish reason: without it a stream counts as cut off."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and put the finish reason into a streamed answer."""
        response = super().handle_request(request)
        body = response.read()
        response.close()
        if DONE in body and b"finish_reason" not in body:
            body = body.replace(DONE, FINISH + DONE)
        headers = [item for item in response.headers.raw if item[0].lower() != b"content-length"]
        return httpx.Response(response.status_code, headers=headers, content=body)


@contextmanager
def gateway(upstream: str) -> Iterator[str]:
    """A gateway in front of an upstream; its URL up to /v1."""
    http = httpx.Client(transport=Transport(get_engine, Finishing()), trust_env=False, timeout=30)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Silent."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {"content-type": "application/json", "authorization": "Bearer k", "user-agent": "OpenAI/Python"}
            with http.stream("POST", f"{upstream}/chat/completions", content=body, headers=headers) as response:
                self.send_response(response.status_code)
                self.send_header("content-type", response.headers.get("content-type", "application/json"))
                self.send_header("connection", "close")
                self.end_headers()
                for piece in response.iter_bytes():
                    self.wfile.write(piece)
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        http.close()


def run(*command: str) -> int:
    """Run a command of the suite and show what it prints."""
    print("$", " ".join(command[2:]), flush=True)
    return subprocess.run([sys.executable, *command], check=False).returncode


def main() -> int:
    """Run both profiles; 0 if nothing leaked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", default="exhaustive-2-part", help="where injected values are cut")
    parser.add_argument("--seed", default="0001", help="of the values")
    arguments = parser.parse_args()
    upstream = f"http://127.0.0.1:{PORT}/v1"
    aistrale.init(
        instrument=False,
        ledger="off",
        providers={"openai": {"api_key": "k", "base_url": upstream}},
        privacy={"redact": True, "rules": [RULE]},
    )
    with gateway(upstream) as url, tempfile.TemporaryDirectory() as place:
        checked = run(
            "-m", "pii_leak_benchmark.cli", "selfcheck", "--target-base-url", url, "--capture-port", str(PORT)
        )
        summary = Path(place, "summary.json")
        split = run(
            "-m", "pii_leak_benchmark.v2_emitter", "--out", place, "--only", "aistrale", "--oracle", arguments.oracle,
            "--gateway-url", f"{url}/chat/completions", "--upstream-port", str(PORT), "--seed", arguments.seed,
            "--partial-emission", "--json-out", str(summary),
        )  # fmt: skip
        if summary.exists():
            print(json.dumps(json.loads(summary.read_text("utf-8")), indent=1))
    return checked or split


if __name__ == "__main__":
    sys.exit(main())
