from __future__ import annotations

import base64
import gzip
import http.client
import json
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import aistrale
from aistrale.errors import APIError
from aistrale.testing import simulator
from aistrale.testing.replay import Recording
from tests.testing.wire import CHAT

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Recorded."}}],
}
RECORD = {"url": "https://api.openai.com/v1/chat/completions", "request_body": CHAT, "response_body": ANSWER}


def post(sim, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=10)
    try:
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_what_was_recorded_is_served_to_whoever_asks_the_same():
    with simulator(replay=[RECORD]) as sim:
        # Neither the order of fields nor white space makes it another request.
        asked = json.dumps(dict(reversed(CHAT.items())), indent=1).encode()
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
            status, headers, body = post(sim, path, asked)
            assert (status, json.loads(body)) == (200, ANSWER)
            assert headers["content-type"] == "application/json"
        assert sim.last.body == CHAT
        assert (sim.last.provider, sim.last.status) == ("openai", 200)


def test_a_client_is_led_to_recordings_as_to_the_simulator():
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    with simulator(replay=[{**RECORD, "request_body": body}]) as sim:
        with aistrale.Client(**sim.settings(), ledger="off", retry=None) as client:
            assert client.run("Hello", model="openai/m").text == "Recorded."
            with pytest.raises(APIError) as caught:
                client.run("Something else", model="openai/m")
        assert caught.value.status == 404
        assert sim.stats()["by"] == {"openai chat 200": 1, "openai chat 404": 1}


def test_what_was_not_recorded_is_told_with_a_hint():
    with simulator(replay=[RECORD]) as sim:
        status, _, body = post(sim, "/v1/chat/completions", {"model": "other"})
        assert status == 404
        assert "1 recorded requests of that path have another body" in json.loads(body)["error"]["message"]
        _, _, body = post(sim, "/v1/responses", {})
        assert "nothing was recorded there" in json.loads(body)["error"]["message"]


def test_the_same_request_gets_its_recordings_in_turn_and_the_last_one_for_ever():
    records = [{**RECORD, "response_body": {"n": number}, "status": 200 + number} for number in range(3)]
    with simulator(replay=records) as sim:
        answers = [post(sim, "/v1/chat/completions", CHAT) for _ in range(5)]
    assert [(status, json.loads(body)["n"]) for status, _, body in answers] == [
        (200, 0),
        (201, 1),
        (202, 2),
        (202, 2),
        (202, 2),
    ]


def test_headers_and_streams_and_bytes_come_as_they_were_recorded():
    text = "data: {}\n\n" * 30
    stream = {
        **RECORD,
        "response_headers": {"Content-Type": ["text/event-stream"], "X-Many": ["a", "b"], "Content-Encoding": "br"},
    }
    records = [
        {**stream, "response_body": text},
        {**RECORD, "request_body": "not json", "response_body": {"base64": base64.b64encode(b"\x00\xff").decode()}},
        {**RECORD, "request_body": {"a": 1}, "sse": True, "response_body": text},
        {"url": "/v1/models", "method": "GET", "response_body": {"data": []}},
    ]
    with simulator(replay=records) as sim:
        _, headers, body = post(sim, "/v1/chat/completions", CHAT)
        assert body == text.encode()
        assert (headers["content-type"], headers["transfer-encoding"]) == ("text/event-stream", "chunked")
        assert "content-encoding" not in headers
        assert post(sim, "/v1/chat/completions", b"not json")[2] == b"\x00\xff"
        assert post(sim, "/v1/chat/completions", {"a": 1})[1]["content-type"] == "text/event-stream"


@pytest.mark.parametrize("form", ["json", "jsonl", "jsonl.gz"])
def test_files(tmp_path, form):
    path = tmp_path / f"recording.{form}"
    text = json.dumps([RECORD]) if form == "json" else f"{json.dumps(RECORD, ensure_ascii=False)}\n\n"
    path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    assert len(Recording(path)) == len(Recording(str(path))) == 1


@pytest.mark.parametrize("records", [[5], [{"url": 5}]])
def test_what_is_no_recording_is_refused(records):
    with pytest.raises(ValueError, match="record 1"):
        Recording(records)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), simulator(replay=tmp_path / "none.jsonl"):
        pass


def test_answers_without_a_request_are_left_out():
    assert len(Recording([{"response_body": "x"}, {**RECORD, "request_body": None}, RECORD])) == 1


def raw(body):
    """A recorded body as bytes; JSON ones only stand for bytes."""
    if isinstance(body, dict) and set(body) == {"base64"}:
        return base64.b64decode(body["base64"])
    return (body if isinstance(body, str) else json.dumps(body) if body is not None else "").encode()


@pytest.mark.parametrize("family", ["openai", "anthropic", "google", "groq", "huggingface"])
def test_real_traffic_is_served_again(family):
    path = TRAFFIC / f"{family}.jsonl.gz"
    if not path.is_file():
        pytest.skip("the recorded traffic is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    asked = [record for record in records if record["url"] and record["request_body"]]
    assert len(asked) > 10
    with simulator(replay=path) as sim, closing(http.client.HTTPConnection("127.0.0.1", sim.port)) as connection:
        assert len(sim.replay) >= len(asked)
        for record in asked:
            connection.request(record["method"], urlsplit(record["url"]).path, raw(record["request_body"]))
            response = connection.getresponse()
            assert (response.status, response.read()) == (record["status"] or 200, raw(record["response_body"]))
