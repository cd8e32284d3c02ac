"""Recorded exchanges, served again to whoever sends the recorded request."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from aistrale.testing.server import Served

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from aistrale.testing.server import Arrived
    from aistrale.types import JSON, JSONObject

# Headers that describe the delivery of the recording, not of ours.
_DROPPED = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "date", "keep-alive"})
_PIECE = 64


class Recording:
    """Recorded exchanges by method, path and JSON body.

    A record is an object with `method`, `url`, `request_body`, `status`, `response_headers` (name to text or list of texts)
    and `response_body`; a body is text, JSON, or `{"base64": ...}`.

    Args:
        source: Records, or the path of a JSONL file of them (`.gz` too).
    """

    def __init__(self, source: str | os.PathLike[str] | Sequence[JSONObject]) -> None:
        records = _read(Path(source)) if not isinstance(source, (list, tuple)) else source
        self._records: dict[tuple[str, str, str], list[JSONObject]] = {}
        for record in cast("Iterable[JSONObject]", records):
            url = str(record.get("url", ""))
            key = (
                str(record.get("method", "POST")),
                urlsplit(url).path,
                _canonical(_bytes(record.get("request_body"))),
            )
            self._records.setdefault(key, []).append(record)

    def answer(self, arrived: Arrived) -> Served:
        """The recorded response; the same request again gets the next recording of it, the last one for ever."""
        path = urlsplit(arrived.target).path
        for known in (path, "/" + path[1:].partition("/")[2]):
            found = self._records.get((arrived.method, known, _canonical(arrived.body)))
            if found:
                return _served(found.pop(0) if len(found) > 1 else found[0])
        body = {"error": {"message": f"no recorded exchange fits {arrived.method} {path}", "type": "not_recorded"}}
        return Served(404, [("content-type", "application/json")], json.dumps(body).encode())


def _served(record: JSONObject) -> Served:
    body = _bytes(record.get("response_body"))
    headers: list[tuple[str, str]] = []
    recorded = record.get("response_headers")
    for name, value in (recorded if isinstance(recorded, dict) else {}).items():
        if name.lower() not in _DROPPED:
            headers += [(name.lower(), str(item)) for item in (value if isinstance(value, list) else [value])]
    status = record.get("status")
    served = Served(status if isinstance(status, int) and status else 200, headers, body)
    if "event-stream" in dict(headers).get("content-type", "") or record.get("sse"):
        if "content-type" not in dict(headers):
            headers.append(("content-type", "text/event-stream"))
        served.pieces = [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    return served


def _read(path: Path) -> list[JSONObject]:
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _bytes(body: JSON) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict) and set(body) == {"base64"}:
        return base64.b64decode(str(body["base64"]))
    return json.dumps(body).encode()


def _canonical(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        return body.decode("utf-8", "replace")
