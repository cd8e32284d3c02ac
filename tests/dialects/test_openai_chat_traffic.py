"""Every recorded chat exchange of OpenAI, Azure, Groq and Hugging Face through the codec.

`pytest -s` prints the counts.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE, SSEParser
from aistrale.dialects import openai_chat, openai_embeddings
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    ErrorInfo,
    ReasoningPart,
    RefusalPart,
    ReplyEnd,
    StreamError,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic"

# Status 200 and not a byte in the body: nothing to decode.
EMPTY = {"1096233704449a7d", "085648ab1c31abf1", "d00f3b96343fc46c"}
# Groq reports inside the stream that the model did not call the tool that it had to.
ERROR_INSIDE = {"63eb84be535c5d25"}
ASKED = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}


def load(endpoint: str):
    if not TRAFFIC.is_dir():
        pytest.skip("recorded traffic is not part of this checkout")
    records = []
    for family in ("openai", "groq", "huggingface"):
        with gzip.open(TRAFFIC / f"{family}.jsonl.gz", "rt", encoding="utf-8") as lines:
            records += [record for record in map(json.loads, lines) if record["endpoint"] == endpoint]
    return records


@pytest.fixture(scope="module")
def chats():
    return load("chat/completions")


def show(title: str, counts: Counter) -> None:
    print(f"\n{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))  # noqa: T201 - a table for `-s`


def family(record) -> str:
    return record["provider"].partition("-")[0]


def requests(records):
    for record in records:
        if record["request_body"]:
            yield record, json.loads(record["request_body"])


def answers(records):
    for record in records:
        if record["status"] == 200 and not record["sse"] and record["ident"] not in EMPTY:
            yield record, json.loads(record["response_body"])


def events_of(data: bytes, size: int = 1 << 20):
    parser, decoder = SSEParser(), openai_chat.event_decoder(ANY)
    events = []
    for start in range(0, len(data), size):
        for item in parser.feed(data[start : start + size]):
            events += decoder.feed(item)
    for item in parser.finish():
        events += decoder.feed(item)
    return events + decoder.finish()


def test_requests_come_back_as_they_were(chats) -> None:
    counts: Counter = Counter()
    for record, body in requests(chats):
        loss = Loss()
        encoded = openai_chat.encode_request(openai_chat.decode_request(copy.deepcopy(body)), ANY, loss)
        assert encoded == body, record["ident"]
        assert loss.items == [], record["ident"]
        counts[family(record)] += 1
    show("requests, JSON-equal", counts)
    assert counts.total() >= 1454


def test_answers_come_back_as_they_were(chats) -> None:
    counts: Counter = Counter()
    for record, body in answers(chats):
        loss = Loss()
        decoded = openai_chat.decode_response(copy.deepcopy(body))
        assert openai_chat.encode_response(decoded, loss) == body, record["ident"]
        assert loss.items == [], record["ident"]
        assert not openai_chat.is_error_body(body), record["ident"]
        counts[family(record)] += 1
    show("answers, JSON-equal", counts)
    assert counts.total() >= 1212


def test_errors_are_read_and_come_back_as_they_were(chats) -> None:
    counts: Counter = Counter()
    for record in chats:
        if record["status"] == 200:
            continue
        headers = {name: value[0] for name, value in record["response_headers"].items()}
        info = openai_chat.decode_error(record["status"], headers, record["response_body"].encode())
        assert info.message, record["ident"]
        assert info.kind != "unknown", record["ident"]
        assert openai_chat.encode_error(info) == (record["status"], json.loads(record["response_body"]))
        counts[info.kind] += 1
    show("errors", counts)
    assert counts.total() >= 24


def test_streams_are_whole_and_say_the_same_after_encoding(chats) -> None:
    counts: Counter = Counter()
    caller = openai_chat.decode_request(ASKED)
    for record in chats:
        if record["status"] != 200 or not record["sse"]:
            continue
        data = record["response_body"].encode()
        events = events_of(data)
        if record["ident"] in ERROR_INSIDE:
            assert isinstance(events[-1], StreamError)
            counts["error inside"] += 1
            continue
        assert isinstance(events[-1], ReplyEnd), record["ident"]
        assert events_of(data, 7) == events, record["ident"]
        for groq in (False, True):
            loss = Loss()
            encoder = openai_chat.event_encoder(caller, loss, groq=groq)
            wire = [item for event in events for item in encoder.feed(event)] + encoder.finish()
            assert loss.items == [], record["ident"]
            decoder = openai_chat.event_decoder(ANY)
            again = [event for item in wire for event in decoder.feed(item)] + decoder.finish()
            first, second = collect(events), collect(again)
            assert second.choices == first.choices, record["ident"]
            if not groq:
                assert second == first, record["ident"]
        counts[family(record)] += 1
    show("streams, equal accumulation", counts)
    assert counts.total() >= 244


def test_the_official_sdks_accept_what_is_encoded_again(chats) -> None:
    """Streams for OpenAI's own accumulator; the recorded answers already are what the SDKs take."""
    state_module = pytest.importorskip("openai.lib.streaming.chat")
    chat = pytest.importorskip("openai.types.chat")
    caller = openai_chat.decode_request(ASKED)
    checked = 0
    for record in chats:
        if record["status"] != 200 or not record["sse"] or record["ident"] in ERROR_INSIDE:
            continue
        events = events_of(record["response_body"].encode())
        completion = collect(events)
        if len(completion.choices) != 1 or completion.finish_reason not in {"stop", "tool_calls"}:
            continue
        encoder = openai_chat.event_encoder(caller, Loss())
        wire = [item for event in events for item in encoder.feed(event)] + encoder.finish()
        state = state_module.ChatCompletionStreamState()
        for item in wire:
            if item.data != "[DONE]":
                state.handle_chunk(chat.ChatCompletionChunk.model_validate_json(item.data))
        message = state.get_final_completion().choices[0].message
        assert (message.content or "") == completion.text, record["ident"]
        calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
        assert calls == [(call.id, call.name, call.arguments) for call in completion.tool_calls], record["ident"]
        checked += 1
    assert checked >= 200


def test_usage_adds_up(chats) -> None:
    counts: Counter = Counter()
    for record, body in answers(chats):
        usage = openai_chat.decode_response(body).usage
        assert usage is not None
        raw = body["usage"]
        assert usage.input_total == raw["prompt_tokens"], record["ident"]
        assert usage.total == raw["total_tokens"], record["ident"]
        counts["beside" if usage.output_total != raw["completion_tokens"] else "inside"] += 1
    show("reasoning counted", counts)


def mark_all(parts, mark: str) -> None:
    for part in parts:
        if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
            part.text = mark
        elif isinstance(part, ToolCallPart):
            part.arguments = f'{{"input":"{mark}"}}'
        elif isinstance(part, ToolResultPart):
            mark_all(part.content, mark)


# Text that the hub has no word for; it travels verbatim and is reached by the slots of the body.
UNMODELLED = (".annotations[", ".executed_tools", "web_search_options", "documents", "prediction")


def leftovers(body, before: dict[str, str]):
    slots = {slot.path: slot.text for slot in openai_chat.text_slots(body)}
    return [
        path
        for path, text in before.items()
        if slots.get(path) == text and not any(name in path for name in UNMODELLED)
    ]


def test_the_body_is_written_from_the_hub_and_not_echoed(chats) -> None:
    changed = 0
    for record, body in requests(chats):
        before = {slot.path: slot.text for slot in openai_chat.text_slots(body)}
        decoded = openai_chat.decode_request(copy.deepcopy(body))
        for message in decoded.messages:
            mark_all(message.parts, "changed")
            message.name = message.name and "changed"
            for part in message.parts:
                if getattr(part, "filename", None):
                    part.filename = "changed"
        decoded.user = decoded.user and "changed"
        decoded.metadata = decoded.metadata and dict.fromkeys(decoded.metadata, "changed")
        for tool in decoded.tools:
            tool.description = tool.description and "changed"
            tool.parameters = None
        if decoded.output is not None:
            decoded.output.schema = None
            decoded.output.description = decoded.output.description and "changed"
        encoded = openai_chat.encode_request(decoded, ANY, Loss())
        assert leftovers(encoded, before) == [], record["ident"]
        changed += len(before)
    for record, body in answers(chats):
        before = {slot.path: slot.text for slot in openai_chat.text_slots(body)}
        decoded = openai_chat.decode_response(copy.deepcopy(body))
        for choice in decoded.choices:
            mark_all(choice.message.parts, "changed")
        assert leftovers(openai_chat.encode_response(decoded, Loss()), before) == [], record["ident"]
        changed += len(before)
    print(f"\ntexts changed in the hub and seen in the body: {changed}")  # noqa: T201
    assert changed > 7000


def test_slots_reach_every_message_text(chats) -> None:
    for record, body in requests(chats):
        for slot in openai_chat.text_slots(body):
            slot.replace("X")
        decoded = openai_chat.decode_request(body)
        texts = [part.text for message in decoded.messages for part in message.parts if isinstance(part, TextPart)]
        assert {text for text in texts if text} <= {"X"}, record["ident"]
        assert all(call.arguments in {"X", ""} for message in decoded.messages for call in message.tool_calls)


JUNK = [None, "", 0, 5, -1, 1.5, True, [], {}, "x", [[]], [{}], {"a": 1}, ["x"], {"type": "text"}, {"index": 0}]
NAMES = ["content", "tool_calls", "function", "index", "id", "type", "name", "audio", "refusal", "arguments", "role"]


def places(value, found):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        places(item, found)
    return found


def damaged(body, random: Random):
    body = copy.deepcopy(body)
    for _ in range(random.randint(1, 3)):
        container, key = random.choice(places(body, [(body, "id")]))
        choice = random.random()
        if choice < 0.7:
            container[key] = copy.deepcopy(random.choice(JUNK))
        elif isinstance(container, dict) and choice < 0.85:
            container[random.choice(NAMES)] = copy.deepcopy(random.choice(JUNK))
        else:
            container.pop(key, None) if isinstance(container, dict) else container.pop(key)
    return body


def test_damaged_bodies_are_refused_or_come_back_as_they_are(chats) -> None:
    random = Random(20261122)
    small = [record for record in chats if record["status"] == 200 and len(record["response_body"] or "") < 20_000]
    counts: Counter = Counter()
    for _ in range(4000):
        record = random.choice(small)
        try:
            if record["sse"]:
                lines = record["response_body"].splitlines()
                chunks = [json.loads(line[5:]) for line in lines if line.startswith("data: {")]
                place = random.randrange(len(chunks))
                chunks[place] = damaged(chunks[place], random)
                decoder = openai_chat.event_decoder(ANY)
                for chunk in chunks:
                    decoder.feed(SSE("", json.dumps(chunk)))
                counts["streams read"] += 1
            elif record["request_body"] and random.random() < 0.4:
                body = damaged(json.loads(record["request_body"]), random)
                list(openai_chat.text_slots(body))
                decoded = openai_chat.decode_request(body)
                assert openai_chat.encode_request(decoded, ANY, Loss()) == body, record["ident"]
                counts["requests read"] += 1
            elif record["ident"] not in EMPTY:
                body = damaged(json.loads(record["response_body"]), random)
                list(openai_chat.text_slots(body))
                openai_chat.is_error_body(body)
                assert openai_chat.encode_response(openai_chat.decode_response(body), Loss()) == body, record["ident"]
                counts["answers read"] += 1
        except MalformedBody:
            counts["refused"] += 1
    show("damaged bodies", counts)
    assert min(counts.values()) > 200


def test_embeddings_come_back_as_they_were() -> None:
    counts: Counter = Counter()
    for record in load("embeddings"):
        if record["request_body"]:
            body = json.loads(record["request_body"])
            encoded = openai_embeddings.encode_request(openai_embeddings.decode_request(body), Loss())
            assert encoded == body, record["ident"]
            counts["requests"] += 1
        if record["status"] == 200:
            body = json.loads(record["response_body"])
            decoded = openai_embeddings.decode_response(copy.deepcopy(body))
            assert len({len(vector) for vector in decoded.vectors}) == 1, record["ident"]
            assert openai_embeddings.encode_response(decoded) == body, record["ident"]
            counts["answers"] += 1
        else:
            info: ErrorInfo = openai_chat.decode_error(record["status"], {}, record["response_body"].encode())
            assert info.kind in {"authentication", "model_not_found"}, record["ident"]
            counts["errors"] += 1
    show("embeddings", counts)
    assert counts == {"requests": counts["requests"], "answers": 73, "errors": 4}
