"""Google's embeddings: three formats, both ways."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path

import pytest

from aistrale.dialects import gemini_embed as embed
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import Embeddings, EmbedRequest, Usage, Wire

TRAFFIC = Path(__file__).resolve().parents[2] / ".." / "shared" / "traffic" / "google.jsonl.gz"


def item(text="a", **more):
    return {"model": "models/e", "content": {"parts": [{"text": text}]}, **more}


REQUESTS = {
    "batch": {"requests": [item("a"), item("b")]},
    "settings": {
        "requests": [item("a", taskType="X", outputDimensionality=3), item("b", taskType="X", outputDimensionality=3)]
    },
    "settings that differ": {
        "requests": [item("a", taskType="X", title="T"), item("b", task_type="Y", output_dimensionality=3)]
    },
    "snake_case": {"requests": [item("a", task_type="X", output_dimensionality=3)]},
    "null settings": {"requests": [item("a", taskType=None)]},
    "one entry": {"requests": []},
    "media": {
        "requests": [
            item()
            | {"content": {"parts": [{"text": "a"}, {"inline_data": {"mime_type": "image/png", "data": "aGk="}}]}}
        ]
    },
    "texts in one content": {
        "requests": [item() | {"content": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}}]
    },
    "parts as one object": {"requests": [item() | {"content": {"parts": {"text": "a"}}}]},
    "no text": {"requests": [item() | {"content": {}}]},
    "single": {"content": {"parts": [{"text": "a"}]}, "taskType": "X", "autoTruncate": True},
    "single on Vertex AI": {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"taskType": "X", "outputDimensionality": 3, "title": "T"},
    },
    "batch on Vertex AI": {
        "requests": [{"content": {"parts": [{"text": "a"}]}, "embedContentConfig": {"taskType": "X"}}]
    },
    "predict": {
        "instances": [{"content": "a", "task_type": "X", "title": "T"}, {"content": "b", "task_type": "X"}],
        "parameters": {"outputDimensionality": 3, "autoTruncate": False},
    },
    "predict without parameters": {"instances": [{"content": "a"}]},
}
RESPONSES = {
    "batch": {"embeddings": [{"values": [0.5, 1]}, {"values": []}]},
    "counts": {
        "embeddings": [{"values": [0.5], "shape": [1]}],
        "usageMetadata": {
            "promptTokenCount": 261,
            "promptTokenDetails": [{"modality": "IMAGE", "tokenCount": 258}, {"modality": "TEXT", "tokenCount": 3}],
        },
    },
    "single": {
        "embedding": {"values": [0.5]},
        "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1},
        "truncated": False,
    },
    "predict": {
        "predictions": [
            {"embeddings": {"values": [0.5], "statistics": {"token_count": 5, "truncated": False}}, "x": 1}
        ],
        "metadata": {"billableCharacterCount": 3},
    },
    "null counts": {"embeddings": [], "usageMetadata": None},
}


@pytest.mark.parametrize("body", REQUESTS.values(), ids=REQUESTS.keys())
def test_request_round_trip(body):
    before = copy.deepcopy(body)
    assert embed.encode_request(embed.decode_request(body), Loss(on_lossy="error")) == before
    assert body == before


@pytest.mark.parametrize("body", RESPONSES.values(), ids=RESPONSES.keys())
def test_response_round_trip(body):
    before = copy.deepcopy(body)
    assert embed.encode_response(embed.decode_response(body)) == before


@pytest.mark.parametrize(
    ("name", "inputs", "task", "dimensions"),
    [
        ("batch", ["a", "b"], None, None),
        ("settings", ["a", "b"], "X", 3),
        ("settings that differ", ["a", "b"], None, None),
        ("media", ["a"], None, None),
        ("texts in one content", ["a\nb"], None, None),
        ("no text", [""], None, None),
        ("single on Vertex AI", ["a"], "X", 3),
        ("predict", ["a", "b"], "X", 3),
    ],
)
def test_what_the_hub_sees(name, inputs, task, dimensions):
    request = embed.decode_request(REQUESTS[name])
    assert (request.inputs, request.task, request.dimensions, request.source) == (inputs, task, dimensions, embed.NAME)


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in ("one entry", "no text")])
def test_a_text_changed_in_the_hub_is_changed_in_the_body(name):
    request = embed.decode_request(REQUESTS[name])
    request.inputs = [f"<{text}>" for text in request.inputs]
    body = embed.encode_request(request, Loss())
    assert embed.decode_request(body).inputs == request.inputs
    written = json.dumps(body)
    assert all(json.dumps(text)[1:-1] in written for text in request.inputs)
    assert ("inline_data" in written) == (name == "media")


def test_settings_changed_in_the_hub_are_changed_in_the_body():
    for name in ("settings", "single on Vertex AI", "predict"):
        request = embed.decode_request(REQUESTS[name])
        request.task, request.dimensions, request.model = "Z", 9, "f"
        again = embed.decode_request(embed.encode_request(request, Loss()))
        assert (again.task, again.dimensions) == ("Z", 9)
    assert embed.encode_request(request, Loss())["parameters"]["outputDimensionality"] == 9


def test_inputs_may_be_added_and_removed():
    request = embed.decode_request(REQUESTS["settings"], model="models/g")
    request.inputs = ["x"]
    assert embed.encode_request(request, Loss()) == {
        "requests": [
            {"content": {"parts": [{"text": "x"}]}, "model": "models/g", "taskType": "X", "outputDimensionality": 3}
        ]
    }
    single = embed.decode_request(REQUESTS["single"])
    single.inputs = ["x", "y"]
    assert [entry["content"] for entry in embed.encode_request(single, Loss())["requests"]] == [
        {"parts": [{"text": "x"}]},
        {"parts": [{"text": "y"}]},
    ]


def test_a_request_from_elsewhere():
    loss = Loss()
    request = EmbedRequest(model="e", inputs=["a"], user="u", extra={"x": 1}, wire=Wire("openai_embeddings", {"y": 1}))
    assert embed.encode_request(request, loss) == {"requests": [item("a")], "x": 1}
    assert [entry.field for entry in loss.items] == ["user"]
    with pytest.raises(InvalidRequestError, match=r"inputs\[1\]"):
        embed.encode_request(EmbedRequest(model="e", inputs=["a", [1, 2]]), Loss())


def test_an_answer_from_elsewhere():
    embeddings = Embeddings([[0.5]], usage=Usage(input=2), wire=Wire("openai_embeddings", {"object": "list"}))
    assert embed.encode_response(embeddings) == {
        "embeddings": [{"values": [0.5]}],
        "usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 2},
    }


def test_counts_by_modality():
    usage = embed.decode_response(RESPONSES["counts"]).usage
    assert (usage.input, usage.image_input, usage.input_total) == (3, 258, 261)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": "x"},
        {"requests": ["x"]},
        {"requests": [{}]},
        {"requests": [item(taskType=1)]},
        {"requests": [item(outputDimensionality="x")]},
        {"requests": [item() | {"model": 1}]},
        {"requests": [{"content": {"parts": ["x"]}}]},
        {"requests": [{"content": {"parts": [{"text": 1}]}}]},
        {"instances": [{"content": 1}]},
        {"instances": [{"content": "a"}], "parameters": 1},
    ],
)
def test_wrong_requests(body):
    with pytest.raises(MalformedBody):
        embed.decode_request(body)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"embeddings": {}},
        {"embeddings": ["x"]},
        {"embeddings": [{"values": ["x"]}]},
        {"embeddings": [{"values": [True]}]},
        {"predictions": [{}]},
        {"embedding": {"values": None}},
        {"embeddings": [], "usageMetadata": 1},
    ],
)
def test_wrong_responses(body):
    with pytest.raises(MalformedBody):
        embed.decode_response(body)


def test_text_slots():
    body = {
        "requests": [
            item("A", title="B"),
            {"content": {"parts": [{"text": "C"}]}, "embedContentConfig": {"title": "D"}},
        ],
        "instances": [{"content": "E", "title": "F"}, 3],
    }
    slots = list(embed.text_slots(body))
    assert [slot.text for slot in slots] == list("ABCDEF")
    assert [slot.path for slot in slots][:2] == ["requests[0].content.parts[0].text", "requests[0].title"]
    for slot in slots:
        slot.replace(slot.text.lower())
    assert [slot.text for slot in embed.text_slots(body)] == list("abcdef")
    assert [slot.path for slot in embed.text_slots(REQUESTS["single on Vertex AI"])] == [
        "content.parts[0].text",
        "embedContentConfig.title",
    ]


def test_recorded_traffic_comes_out_as_it_went_in():
    if not TRAFFIC.exists():
        pytest.skip(f"no recorded traffic at {TRAFFIC}")
    with gzip.open(TRAFFIC, "rt", encoding="utf-8") as lines:
        records = [record for record in map(json.loads, lines) if "mbed" in record["endpoint"]]
    assert records
    for record in records:
        if record["request_body"]:
            body = json.loads(record["request_body"])
            assert embed.encode_request(embed.decode_request(body), Loss(on_lossy="error")) == body, record["ident"]
        if record["status"] == 200:
            body = json.loads(record["response_body"])
            assert embed.encode_response(embed.decode_response(body)) == body, record["ident"]
