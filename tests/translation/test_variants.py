"""Recorded bodies with fields gone, null, unknown or of another type: nothing breaks, and what is read comes back."""

from __future__ import annotations

import copy
import json
from collections import Counter
from random import Random

import pytest

from aistrale.core.accumulate import collect
from aistrale.core.sse import SSE
from aistrale.dialects import gemini_generate
from aistrale.dialects.base import ANY, Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import ReplyEnd
from tests.translation.gate import EXCEPTIONS, differs
from tests.translation.pairs import encode_stream, loss
from tests.translation.recordings import CHATS, TRAFFIC, chats, decode, frames
from tests.translation.variants import plain, unknown_everywhere, variant

ROUNDS = 2000
SHORT = 30_000
NAMES = [codec.NAME for codec in CHATS]


def codec_of(name):
    return next(codec for codec in CHATS if name == codec.NAME)


def recorded(name, wanted):
    found = [each for each in chats() if name == each.codec.NAME and each.succeeded and wanted(each)]
    if not found:
        pytest.skip(f"no recorded traffic at {TRAFFIC}")
    return found


def changed(text, random):
    body = variant(json.loads(text), random, random.randint(1, 3))
    return unknown_everywhere(body) if random.random() < 0.1 else body


def read(codec, body):
    return codec.decode_request(body, **({"model": "m"} if codec is gemini_generate else {}))


@pytest.mark.parametrize("name", NAMES)
def test_requests(name) -> None:
    codec, random, counts = codec_of(name), Random(20261122), Counter()
    pool = recorded(name, lambda each: 0 < len(each.request) < SHORT and (each.ident, "request") not in EXCEPTIONS)
    for _ in range(ROUNDS):
        each = random.choice(pool)
        body = changed(each.request, random)
        before = copy.deepcopy(body)
        try:
            list(codec.text_slots(body))
            request = read(codec, body)
        except MalformedBody:
            counts["refused"] += 1
            continue
        counts["read"] += 1
        assert differs(codec.encode_request(request, ANY, Loss(on_lossy="error")), before) == "", each.ident
        for other in CHATS:
            try:
                # What was written for a server has to be readable, if only by ourselves.
                read(other, plain(other.encode_request(request, ANY, loss())))
            except InvalidRequestError:
                counts["cannot be said"] += 1
    assert min(counts["read"], counts["refused"]) > ROUNDS / 10


@pytest.mark.parametrize("name", NAMES)
def test_answers(name) -> None:
    codec, random, counts = codec_of(name), Random(20261123), Counter()
    pool = recorded(name, lambda each: not each.streamed and len(each.response) < SHORT)
    for _ in range(ROUNDS):
        each = random.choice(pool)
        body = changed(each.response, random)
        before = copy.deepcopy(body)
        codec.is_error_body(body)
        codec.decode_error(500, {}, json.dumps(body).encode())
        try:
            list(codec.text_slots(body))
            completion = codec.decode_response(body)
        except MalformedBody:
            counts["refused"] += 1
            continue
        counts["read"] += 1
        assert differs(codec.encode_response(completion, Loss(on_lossy="error")), before) == "", each.ident
        for other in CHATS:
            other.decode_response(plain(other.encode_response(completion, loss())))
    assert min(counts["read"], counts["refused"]) > ROUNDS / 10


def damaged(wire, random):
    """A stream with an event that is another, gone, sent twice, or the last one."""
    wire, place = list(wire), random.randrange(len(wire))
    kind = random.random()
    if kind < 0.1:
        return wire[:place]
    if kind < 0.2:
        del wire[place]
        return wire
    if kind < 0.3:
        wire.insert(place, random.choice(wire))
        return wire
    try:
        body = json.loads(wire[place].data)
    except ValueError:
        body = {}
    wire[place] = SSE(wire[place].event, json.dumps(variant(body, random, random.randint(1, 3))))
    return wire


def said(completion):
    """What a caller acts on."""
    return [
        (choice.message.text, [(call.name, call.arguments or "{}") for call in choice.message.tool_calls])
        for choice in completion.choices
    ]


@pytest.mark.parametrize("name", NAMES)
def test_streams(name) -> None:
    codec, random, counts = codec_of(name), Random(20261124), Counter()
    pool = recorded(name, lambda each: each.streamed and len(each.response) < SHORT)
    for _ in range(ROUNDS // 2):
        each = random.choice(pool)
        try:
            events = decode(codec, damaged(frames(each), random))
        except MalformedBody:
            counts["refused"] += 1
            continue
        counts["read"] += 1
        completion = collect(events)
        if any(not call.name for choice in completion.choices for call in choice.message.tool_calls):
            continue  # a call of nothing is refused where it is read
        for other in CHATS:
            again = decode(other, encode_stream(other, events, loss()))
            if other is codec and events and isinstance(events[-1], ReplyEnd):
                assert said(collect(again)) == said(completion), each.ident
    assert min(counts["read"], counts["refused"]) > ROUNDS / 40
