"""Recorded exchanges, served again to whoever sends the recorded request."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from aistrale.testing.routes import PREFIXES, split_target
from aistrale.testing.server import Served

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from aistrale.testing.server import Arrived
    from aistrale.types import JSON, JSONObject

# Headers that describe the delivery of the recording, not of ours.
_DROPPED: Final = frozenset(
    {
        "content-length",
        "transfer-encoding",
        "content-encoding",
        "connection",
        "date",
        "keep-alive",
        "trailer",
        "upgrade",
    }
)
# Bytes of the pieces in which a recorded stream is sent: small enough that events are cut in their middle.
_PIECE: Final = 64
_Key = tuple[str, str, str]


class Recording:
    """Recorded exchanges by method, path and JSON body.

    A record is an object with `method` (POST by default), `url` (or a path), `request_body`, `status` (200 by default),
    `response_headers` (name to text, or to a list of texts) and `response_body`; a body is text, JSON, or
    `{"base64": ...}`. Records without a request are left out.

    Args:
        source: Records, or the path of a JSON file (a list of records) or JSONL file (one a line), `.gz` too.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else than records.
    """

    def __init__(self, source: str | os.PathLike[str] | Sequence[JSONObject]) -> None:
        records = list(source) if isinstance(source, (list, tuple)) else _read(Path(cast("str", source)))
        self._records: dict[_Key, list[JSONObject]] = {}
        self._paths: dict[str, int] = {}
        self._lock = threading.Lock()
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict) or not isinstance(record.get("url", ""), str):
                raise ValueError(f"record {number}: an object with the url of a request was expected")  # noqa: TRY004
            path, _ = split_target(str(record.get("url", "")))
            method, asked = str(record.get("method") or "POST"), _bytes(record.get("request_body"))
            if not path or (method == "POST" and not asked):
                continue
            self._records.setdefault((method, path, _canonical(asked)), []).append(record)
            self._paths[path] = self._paths.get(path, 0) + 1

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def answer(self, arrived: Arrived) -> Served:
        """The recorded response; the same request again gets the next recording of it, the last one for ever."""
        path, _ = split_target(arrived.target)
        first, _, rest = path[1:].partition("/")
        # A recorded path may begin with a provider's name itself: /openai/v1 is Groq's.
        tried = [path, f"/{rest}"] if first in PREFIXES else [path]
        body = _canonical(arrived.body)
        with self._lock:
            for known in tried:
                found = self._records.get((arrived.method, known, body))
                if found:
                    return _served(found.pop(0) if len(found) > 1 else found[0])
        return self._unknown(arrived.method, path, tried)

    def _unknown(self, method: str, path: str, tried: list[str]) -> Served:
        alike = sum(self._paths.get(known, 0) for known in tried)
        hint = f"{alike} recorded requests of that path have another body" if alike else "nothing was recorded there"
        told = {"message": f"no recorded exchange fits {method} {path}: {hint}", "type": "not_recorded"}
        return Served(404, [("content-type", "application/json")], json.dumps({"error": told}).encode())


def _served(record: JSONObject) -> Served:
    body = _bytes(record.get("response_body"))
    headers: list[tuple[str, str]] = []
    recorded = record.get("response_headers")
    for name, value in (recorded if isinstance(recorded, dict) else {}).items():
        if name.lower() not in _DROPPED:
            headers += [(name.lower(), str(item)) for item in (value if isinstance(value, list) else [value])]
    status = record.get("status")
    served = Served(status if isinstance(status, int) and status else 200, headers, body)
    kind = dict(headers).get("content-type")
    if kind is None:
        headers.append(("content-type", "text/event-stream" if record.get("sse") else "application/json"))
    if record.get("sse") or "event-stream" in (kind or ""):
        served.pieces = [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    return served


def _read(path: Path) -> list[JSONObject]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode("utf-8")
    if text.lstrip().startswith("["):
        return cast("list[JSONObject]", json.loads(text))
    # Not splitlines: JSON text may hold other line breaks than the line feed.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _bytes(body: JSON) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, dict) and set(body) == {"base64"}:
        return base64.b64decode(str(body["base64"]))
    return json.dumps(body).encode()


def _canonical(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        return body.decode("utf-8", "replace")
