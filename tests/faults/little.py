"""A small server that the test has in its hands: it answers well, and can be stopped and started on its port."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

TEXT = "So far so good."


class LittleServer:
    """Speaks OpenAI's chat format, plain and streamed, one thread for each connection; may stand as a proxy, too.

    Args:
        host: Where it listens.
        port: On which port; 0 for any.

    Attributes:
        served: How many requests it has answered.
        heads: The heads of all requests, as lists of lines.
        status: Refuses every request with this, unless it is "200 OK".
        cut: Whether it ends the connection in the middle of every answer.
    """

    def __init__(self, host="127.0.0.1", port=0):
        self.host = host
        self.port = port
        self.text = TEXT
        self.served = 0
        self.heads = []
        self.status = "200 OK"
        self.cut = False
        self._lock = threading.Lock()
        self._open = set()
        self._listener = None

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def start(self):
        """Listen, on the port of the first time."""
        listener = self._listener = socket.create_server((self.host, self.port))
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, args=(listener,), name="little server")
        self._thread.start()

    def stop(self):
        """End every connection and listen no more."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self._thread.join()
        with self._lock:
            threads = list(self._open)
        for sock, _ in threads:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for _, thread in threads:
            thread.join()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock = listener.accept()[0]
                thread = threading.Thread(target=self._serve, args=(sock,), name="little server")
                with self._lock:
                    self._open.add((sock, thread))
                thread.start()

    def _serve(self, sock):
        try:
            with sock, contextlib.suppress(OSError), sock.makefile("rb") as reader:
                while self._answer(sock, reader):
                    pass
        finally:
            with self._lock:
                self._open = {pair for pair in self._open if pair[0] is not sock}

    def _answer(self, sock, reader):
        """Answer one request; False when there is none."""
        request = read_request(reader)
        if request is None:
            return False
        self.heads.append(request[0])
        if self.status != "200 OK":
            sock.sendall(f"HTTP/1.1 {self.status}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            return not request[0][0].startswith("CONNECT")
        body = json.loads(request[1])
        base = {"id": "c1", "created": 1, "model": body["model"]}
        if body.get("stream"):
            events = [
                {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": self.text}}]},
                {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {**base, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
            ]
            data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            data = json.dumps({**base, "choices": [choice], "usage": usage}).encode()
            kind = "application/json"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        with self._lock:
            self.served += 1
        sock.sendall(head + data[: len(data) // 2 if self.cut else None])
        return not self.cut


def read_request(reader):
    """The head, as lines, and the body of a request; None at the end of the connection."""
    lines = []
    while (line := reader.readline()) not in {b"\r\n", b""}:
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    if not lines:
        return None
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return lines, reader.read(int(headers.get("content-length", 0)))
