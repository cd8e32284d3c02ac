"""OpenAI Responses: recorded exchanges. Run with `-s` for the table of counts."""

from __future__ import annotations

import copy
import functools
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE, SSEParser, encode_sse
from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import ANY, Loss
from aistrale.types import ReplyEnd, ReplyStart, StreamError
from tests.dialects.openai_responses_cases import bodies, changed, decode_stream, encode_stream, foreign, marks

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic" / "openai.jsonl.gz"

EMPTY = {"0ae44f6e83898521": "the recorded stream has no bytes"}
# The stream gives every item a new id in each of its events; the encoder keeps the id under which an item was announced.
CHANGING_IDS = {"1bc783542ca95689"}
# Written with differences in the frames that say nothing: why, by ident.
NOT_IDENTICAL = {
    "8a2c3e9d89502e71": "resumed in the middle: begins with response.queued, where response.created is written",
    "63611748dbdb2d5d": "log probabilities are rounded otherwise in response.output_text.done than in the item",
    "7ba5ce8db5db778b": "likewise",
    "d3b400039b0bee2e": "the pieces of a custom tool's input are written as one, and the done event is added",
    "df6cd72ee449aebc": "two responses in one recording; the second is not read",
    "e09d20f75398cff3": "likewise",
    "1bc783542ca95689": "changing ids",
    "e1d2a6d6ec26925e": "the error event has the documented fields beside the error object",
    "b7eb4407b5b623b5": "likewise",
    "b298f156343c949f": "likewise",
}


@functools.cache
def records() -> tuple[dict, ...]:
    if not TRAFFIC.exists():
        pytest.skip("the recorded traffic is not here")
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        found = (json.loads(line) for line in lines)
        return tuple(record for record in found if record["endpoint"] == "responses")


def requests() -> list[tuple[str, dict]]:
    told = ((record["ident"], record["request_body"]) for record in records())
    return [(ident, json.loads(body)) for ident, body in told if body]


def answers() -> list[tuple[str, dict]]:
    told = [(record["ident"], json.loads(record["response_body"])) for record in records() if not record["sse"]]
    return [(ident, body) for ident, body in told if "output" in body]


def streams() -> list[tuple[str, list[SSE]]]:
    found = []
    for record in records():
        if record["sse"] and record["ident"] not in EMPTY:
            parser = SSEParser()
            found.append((record["ident"], parser.feed(record["response_body"].encode()) + parser.finish()))
    return found


def report(what: str, total: int, failed: list[str]) -> None:
    print(f"\n{what:<34}{total - len(failed):>5} of {total}  {' '.join(failed)}")  # noqa: T201 - asked for with -s


def test_requests_round_trip():
    failed = []
    for ident, body in requests():
        loss = Loss(on_lossy="error")
        if dialect.encode_request(dialect.decode_request(copy.deepcopy(body)), ANY, loss) != body:
            failed.append(ident)
    report("requests", len(requests()), failed)
    assert failed == []


def test_changed_texts_show_in_requests():
    count = 0
    for ident, body in requests():
        request = dialect.decode_request(copy.deepcopy(body))
        for at, message in enumerate(request.messages):
            message.parts = changed(message.parts, f"mark-{at}")
        text = json.dumps(dialect.encode_request(request, ANY, Loss()))
        wanted = [mark for message in request.messages for mark in marks(message.parts)]
        count += len(wanted)
        assert [mark for mark in wanted if mark not in text] == [], ident
    assert count > 1800


def test_answers_round_trip():
    failed = []
    for ident, body in answers():
        if dialect.encode_response(dialect.decode_response(copy.deepcopy(body)), Loss(on_lossy="error")) != body:
            failed.append(ident)
    report("answers", len(answers()), failed)
    assert failed == []


def test_changed_texts_show_in_answers():
    for ident, body in answers():
        completion = dialect.decode_response(copy.deepcopy(body))
        completion.message.parts[:] = changed(completion.message.parts, "mark")
        text = json.dumps(dialect.encode_response(completion, Loss()))
        assert [mark for mark in marks(completion.message.parts) if mark not in text] == [], ident


def test_usage_adds_up():
    for ident, body in answers():
        usage = dialect.decode_response(body).usage
        if usage is not None and "total_tokens" in body["usage"]:
            assert usage.total == body["usage"]["total_tokens"], ident


def test_errors_decode():
    found = []
    for record in records():
        body = record["response_body"]
        if not record["sse"] and type(json.loads(body).get("error")) is dict:
            headers = {name: values[0] for name, values in record["response_headers"].items()}
            info = dialect.decode_error(record["status"] or None, headers, body.encode())
            assert info.message
            assert info.kind != "unknown"
            assert dialect.encode_error(info)[1] == json.loads(body)
            found.append(info.kind)
    report("errors", len(found), [])
    assert {kind: found.count(kind) for kind in found} == {
        "invalid_request": 3,
        "authentication": 9,
        "context_length": 1,
        "quota": 1,
    }


def test_streams_decode_and_are_read_again():
    failed = []
    for ident, events in streams():
        told = decode_stream(events)
        assert isinstance(told[0], ReplyStart), ident
        assert isinstance(told[-1], (ReplyEnd, StreamError)), ident
        again = decode_stream(encode_stream(told))
        if collect(again) != collect(told):
            failed.append(ident)
    report("streams read again", len(streams()), failed)
    assert set(failed) == CHANGING_IDS


def noiseless(event: dict) -> dict:
    """An event without what says nothing or is ours to set: its number, padding, and an empty list of probabilities."""
    return {
        key: value
        for key, value in event.items()
        if key not in {"sequence_number", "obfuscation"} and (key, value) != ("logprobs", [])
    }


def reencrypted(event: dict) -> dict:
    """The final response without what is encrypted anew each time that it is sent."""
    if "response" not in event:
        return event
    hidden = {"encrypted_content": None, "fingerprint": None}
    output = [{**item, **{key: hidden[key] for key in hidden if key in item}} for item in event["response"]["output"]]
    return {**event, "response": {**event["response"], "output": output}}


def test_frames_are_written_as_they_came():
    different = []
    for ident, events in streams():
        came = [reencrypted(noiseless(event)) for event in bodies(events)]
        written = [reencrypted(noiseless(event)) for event in bodies(encode_stream(decode_stream(events)))]
        if came != written:
            different.append(ident)
    report("streams written frame by frame", len(streams()), different)
    assert set(different) == set(NOT_IDENTICAL)


def test_streams_agree_with_their_final_response():
    different = []
    for ident, events in streams():
        told = decode_stream(events)
        final = next((body["response"] for body in bodies(events) if body["type"] == "response.completed"), None)
        if final is None:
            continue
        stripped = [
            [replace(part, wire=None) for part in completion.message.parts]
            for completion in (collect(told), dialect.decode_response(final))
        ]
        texts = [[part for part in parts if not hasattr(part, "data")] for parts in stripped]
        if texts[0] != texts[1]:
            different.append(ident)
    # Two responses in one recording, and custom fixtures whose final response leaves calls out.
    assert set(different) <= {"df6cd72ee449aebc", "e09d20f75398cff3"}


def test_slots_of_recorded_bodies():
    count = 0
    for _, body in [*requests(), *answers()]:
        for slot in dialect.text_slots(copy.deepcopy(body)):
            assert slot.text
            assert not slot.text.startswith(("data:", "gAAAA")), slot.path
            slot.replace(slot.text)
            count += 1
    assert count > 3800


# The SDK warns of its own accord of words in recorded items that are newer than itself.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_the_official_sdk_accepts_our_streams():
    openai = pytest.importorskip("openai")
    httpx2 = pytest.importorskip("httpx2")
    refused = {}
    for ident, events in streams():
        told = decode_stream(events)
        data = b"".join(encode_sse(frame.data, frame.event) for frame in encode_stream(told, foreign()))
        transport = httpx2.MockTransport(
            lambda request, data=data: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
        )
        client = openai.OpenAI(
            api_key="sk-test",
            base_url="http://localhost/v1",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        )
        try:
            with client, client.responses.stream(model="m", input="x") as stream:
                kinds = [event.type for event in stream]
        except openai.APIError:
            assert isinstance(told[-1], StreamError), ident
            continue
        except RuntimeError as error:
            refused[ident] = str(error)
            continue
        assert kinds[-1] in {"response.completed", "response.incomplete"}, ident
        completion = collect(told)
        if kinds[-1] == "response.completed":
            assert stream.get_final_response().output_text == completion.text, ident
    # The recording announces a call under another call_id than it finishes it; the SDK refuses the original too.
    assert set(refused) == {"142c4acc625edee6"}
