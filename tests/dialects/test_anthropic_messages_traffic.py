from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSEParser
from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody, parse_object
from aistrale.types import Finish, Other, ReplyEnd, ReplyStart, Request, StreamError, Whole
from tests.dialects.anthropic_messages_cases import accumulate

if TYPE_CHECKING:
    from aistrale.core.sse import SSE
    from aistrale.types import Event

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic" / "anthropic.jsonl.gz"
if not TRAFFIC.exists():
    pytest.skip("the recorded traffic stands beside the repository, and is not there", allow_module_level=True)

# Bodies that are not of this dialect, or of none.
EXCEPTIONS = {
    "6ccd04498f06ab3c": "request: a message is a string; the server refused it too, with 400",
    "3a731d3e14409194": "stream: two replies spliced into one; reported as a server error",
}
# Fixtures that string several replies together.
STRUNG = {"1ac5ff5d21a3b54c", "bc3a1f81e22efcdd"}


def load() -> list[dict]:
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


RECORDS = load()


def text_of(body: object) -> str:
    return body if isinstance(body, str) else ""


def requests() -> list[tuple[str, dict]]:
    found = []
    for record in RECORDS:
        body = text_of(record["request_body"])
        if body and record["endpoint"].startswith("messages"):
            found.append((record["ident"], parse_object(body)))
    return found


def answers() -> list[tuple[str, dict]]:
    wanted = [r for r in RECORDS if r["endpoint"] == "messages" and r["status"] == 200 and not r["sse"]]
    return [(record["ident"], parse_object(record["response_body"])) for record in wanted]


def streams() -> list[tuple[str, list[list[SSE]]]]:
    """The events of every recorded stream, cut where a fixture begins another reply after the end of one."""
    found = []
    for record in RECORDS:
        if not record["sse"] or record["status"] != 200 or record["endpoint"] != "messages":
            continue
        parser = SSEParser()
        events = [*parser.feed(record["response_body"].encode()), *parser.finish()]
        replies: list[list[SSE]] = [[]]
        for event in events:
            replies[-1].append(event)
            if event.event == "message_stop":
                replies.append([])
        found.append((record["ident"], [reply for reply in replies if reply]))
    return found


def decode(events: list[SSE]) -> list[Event]:
    decoder = dialect.event_decoder(ANY)
    return [out for event in events for out in decoder.feed(event)] + decoder.finish()


def encode(events: list[Event]) -> list[SSE]:
    loss = Loss(on_lossy="error")
    encoder = dialect.event_encoder(Request(model="asked", messages=[]), loss)
    frames = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    assert not loss.items
    return frames


def report(what: str, counts: Counter[str]) -> None:
    print(  # noqa: T201 - the figures are asked for with -s
        f"\n{what}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    )


def test_requests_come_back() -> None:
    counts: Counter[str] = Counter()
    for ident, body in requests():
        if ident in EXCEPTIONS:
            counts["excepted"] += 1
            with pytest.raises(MalformedBody, match=r"messages\[0\]"):
                dialect.decode_request(body)
            continue
        loss = Loss(on_lossy="error")
        decoded = dialect.decode_request(json.loads(json.dumps(body)))
        assert dialect.encode_request(decoded, ANY, loss) == body, ident
        assert not loss.items, ident
        counts["equal"] += 1
    report("requests", counts)
    assert counts == {"equal": 504, "excepted": 1}


def test_answers_come_back() -> None:
    counts: Counter[str] = Counter()
    for ident, body in answers():
        loss = Loss(on_lossy="error")
        completion = dialect.decode_response(json.loads(json.dumps(body)))
        assert dialect.encode_response(completion, loss) == body, ident
        assert not loss.items
        assert completion.finish_reason != "unknown", ident
        counts["equal"] += 1
    report("answers", counts)
    assert counts == {"equal": 427}


def test_streams_come_back() -> None:
    counts: Counter[str] = Counter()
    for ident, replies in streams():
        counts["streams"] += 1
        assert (len(replies) > 1) == (ident in STRUNG), ident
        for reply in replies:
            events = decode(reply)
            if ident in EXCEPTIONS:
                assert isinstance(events[-1], StreamError), ident
                counts["excepted"] += 1
                continue
            assert isinstance(events[0], ReplyStart), ident
            assert isinstance(events[-1], ReplyEnd), ident
            assert sum(isinstance(event, Finish) for event in events) == 1
            first = collect(events)
            second = collect(decode(encode(events)))
            assert second == first, ident
            assert second.usage is not None
            assert first.usage is not None
            assert second.usage.raw == first.usage.raw, ident
            whole = collect(decode(encode([Whole(first)])))
            assert (whole.choices, whole.usage, whole.id) == (first.choices, first.usage, first.id), ident
            counts["replies"] += 1
    report("streams", counts)
    assert counts == {"streams": 138, "excepted": 1, "replies": 153}


def test_no_event_is_lost() -> None:
    for _, replies in streams():
        for reply in replies:
            unknown = [event for event in decode(reply) if isinstance(event, Other) and event.name != "ping"]
            assert not unknown


def test_errors_come_back() -> None:
    counts: Counter[str] = Counter()
    for record in RECORDS:
        if record["status"] < 400:
            continue
        headers = {name: values[0] for name, values in record["response_headers"].items()}
        body = record["response_body"].encode()
        error = dialect.decode_error(record["status"], headers, body)
        assert error.kind != "unknown", record["ident"]
        assert error.message
        assert error.request_id
        assert dialect.is_error_body(error.body)
        assert dialect.encode_error(error) == (record["status"], json.loads(body)), record["ident"]
        counts["equal"] += 1
    report("errors", counts)
    assert counts == {"equal": 11}


def test_token_counts() -> None:
    found = [r for r in RECORDS if r["endpoint"].endswith("count_tokens") and r["status"] == 200]
    assert len(found) == 14
    for record in found:
        assert dialect.decode_token_count(json.loads(record["response_body"])) > 0


def test_the_slots_of_text_cover_every_text() -> None:
    """Rewriting every slot leaves no text part of a request or answer as it was."""
    for _, body in [*requests(), *answers()]:
        for slot in dialect.text_slots(body):
            slot.replace("§" + slot.text)
        if not isinstance(body.get("messages", [{}])[0], dict):
            continue
        parts = (
            [part for message in dialect.decode_request(body).messages for part in message.parts]
            if "messages" in body
            else dialect.decode_response(body).message.parts
        )
        texts = [part.text for part in parts if getattr(part, "text", "")]
        assert all("§" in text for text in texts)


def test_the_sdk_accumulates_every_reply_that_we_encode() -> None:
    pytest.importorskip("anthropic")
    for ident, replies in streams():
        for reply in [] if ident in EXCEPTIONS else replies:
            events = decode(reply)
            message = accumulate(encode(events), beta=True)
            told = json.loads(message.model_dump_json(exclude_unset=True, by_alias=True))
            wanted = dialect.encode_response(collect(events), Loss(on_lossy="error"))
            for key in ("id", "type", "role", "content", "stop_reason", "stop_sequence"):
                assert told[key] == wanted[key], (ident, key)
            counts = {key: count for key, count in told["usage"].items() if count is not None}
            assert counts == {key: count for key, count in wanted["usage"].items() if count is not None}, ident
