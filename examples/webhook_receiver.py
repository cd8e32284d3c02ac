"""A receiver of webhooks: checks that each is authentic and fresh, works on it once, and answers at once.

Here the sender runs in the same program, so that there is something to receive. In life it has the settings
`sinks=["webhook:https://your-host/hooks"]` and both have the secret in AISTRALE_WEBHOOK_SECRET.
"""

from __future__ import annotations

import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread

import aistrale
from aistrale.telemetry.sinks.webhook import WebhookSink
from aistrale.webhooks import ReplayGuard, WebhookMessage, WebhookVerificationError, new_secret, verify

SECRET = new_secret()
LARGEST = 1_000_000

seen = ReplayGuard()
inbox: SimpleQueue[WebhookMessage] = SimpleQueue()


class Hooks(BaseHTTPRequestHandler):
    """Takes `POST`s; what is done about a message is done elsewhere, so that the sender need not wait for it."""

    def do_POST(self) -> None:
        """Verify the bytes as they came, before anything is read from them."""
        length = int(self.headers.get("content-length", "0"))
        if not 0 < length <= LARGEST:
            self.answer(413)
            return
        body = self.rfile.read(length)
        try:
            message = verify(body, self.headers.items(), SECRET, seen=seen)
        except WebhookVerificationError as problem:
            # One that came before is taken all the same, or it would come again.
            self.answer(204 if problem.reason == "replayed" else 400)
            return
        inbox.put(message)
        self.answer(204)

    def answer(self, status: int) -> None:
        """Say only whether it was taken: nobody needs to know why it was not."""
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


with ThreadingHTTPServer(("127.0.0.1", 0), Hooks) as server, tempfile.TemporaryDirectory() as folder:
    Thread(target=server.serve_forever, daemon=True).start()
    sink = WebhookSink(
        f"http://127.0.0.1:{server.server_port}/hooks",
        secret=SECRET,
        types=["inference.completed", "inference.failed"],
        allow_private=True,
        directory=folder,
    )
    with aistrale.Client(sinks=[sink]) as client:
        client.run("Say hello.", max_tokens=50)
        client.flush()
    message = inbox.get(timeout=30)
    print(f"{message.type}: {message.data['provider']}/{message.data['model']}")
    print(f"it cost {message.data['cost']} US dollars and took {message.data['attempts']} attempt")
    sink.close()
    server.shutdown()
