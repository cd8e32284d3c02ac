from __future__ import annotations

import copy
import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import openai_embeddings
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import Embeddings, EmbedRequest, Usage, Wire


def packed(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


REQUESTS = {
    "one text": {"model": "m", "input": "a"},
    "empty text": {"model": "m", "input": ""},
    "texts": {"model": "m", "input": ["a", "b"]},
    "one text in a list": {"model": "m", "input": ["a"]},
    "tokens": {"model": "m", "input": [1, 2, 3]},
    "tokens of several": {"model": "m", "input": [[1], [2, 3]]},
    "nothing": {"model": "m", "input": []},
    "options": {"model": "m", "input": "a", "dimensions": 8, "encoding_format": "base64", "user": "u", "x": None},
    "no model": {"input": "a"},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_comes_back_as_it_was(name: str) -> None:
    body = copy.deepcopy(REQUESTS[name])
    loss = Loss()
    assert openai_embeddings.encode_request(openai_embeddings.decode_request(body), loss) == REQUESTS[name]
    assert loss.items == []


def test_the_hub_sees_one_input_per_vector() -> None:
    assert openai_embeddings.decode_request(REQUESTS["tokens"]).inputs == [[1, 2, 3]]
    assert openai_embeddings.decode_request(REQUESTS["one text"]).inputs == ["a"]
    assert openai_embeddings.decode_request(REQUESTS["no model"], model="deployment").model == "deployment"


def test_changed_inputs_show() -> None:
    decoded = openai_embeddings.decode_request(REQUESTS["one text"])
    decoded.inputs = ["b", "c"]
    decoded.extra = {"x": 1}
    encoded = openai_embeddings.encode_request(decoded, Loss())
    assert (encoded["input"], encoded["x"]) == (["b", "c"], 1)


@pytest.mark.parametrize("value", [None, 5, {}, [5, "a"], [["a"]], [True], [None]])
def test_inputs_of_a_wrong_shape(value) -> None:
    with pytest.raises(MalformedBody):
        openai_embeddings.decode_request({"model": "m", "input": value})


def test_what_cannot_be_said_is_refused_or_recorded() -> None:
    request = EmbedRequest(model="m", inputs=["a"], task="RETRIEVAL_QUERY", wire=Wire("gemini_embed", {"title": "t"}))
    with pytest.raises(InvalidRequestError):
        openai_embeddings.encode_request(request, Loss())
    loss = Loss(on_unsupported="drop")
    assert openai_embeddings.encode_request(request, loss) == {"model": "m", "input": ["a"]}
    assert [item.field for item in loss.items] == ["task", "title"]


USAGE = {"prompt_tokens": 3, "total_tokens": 3}


def answer(*vectors, **fields):
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "m", "usage": USAGE, **fields}


ANSWERS = {
    "numbers": answer([0.5, -1], [2, 3.25]),
    "base64": answer(packed(0.5, -1.0), packed(0.1, 3e-39)),
    "empty": answer(),
    "odd items": {
        "data": [{"index": 1, "embedding": [2.0], "x": 1}, {"index": 0, "embedding": [1.0]}],
        "model": "m",
    },
    "no index": {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}], "usage": {"prompt_tokens": 1}},
    "odd usage": answer([1.0], usage={"prompt_tokens": 3, "total_tokens": 5, "cost": 0.1}),
    "null usage": answer([1.0], usage=None),
    "more": answer([1.0], id="x", service_tier=None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_comes_back_as_it_was(name: str) -> None:
    body = copy.deepcopy(ANSWERS[name])
    assert openai_embeddings.encode_response(openai_embeddings.decode_response(body)) == ANSWERS[name]


def test_vectors_stand_in_the_order_of_the_inputs() -> None:
    assert openai_embeddings.decode_response(ANSWERS["odd items"]).vectors == [[1.0], [2.0]]
    decoded = openai_embeddings.decode_response(ANSWERS["base64"])
    assert decoded.vectors[0] == [0.5, -1.0]
    assert decoded.vectors[1] == pytest.approx([0.1, 3e-39], rel=1e-6)
    assert (decoded.model, decoded.usage) == ("m", Usage(input=3))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_base64_carries_every_float(numbers) -> None:
    decoded = openai_embeddings.decode_response(answer(numbers))
    written = openai_embeddings.encode_response(decoded, encoding_format="base64")
    assert written["data"][0]["embedding"] == packed(*numbers)
    assert openai_embeddings.decode_response(written).vectors == [numbers]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"error": {"message": "x"}},
        {"data": {}},
        {"data": [5]},
        {"data": [{}]},
        {"data": [{"embedding": ["a"]}]},
        {"data": [{"embedding": [True]}]},
        {"data": [{"embedding": "AAA"}]},
        {"data": [{"embedding": "AAAA"}]},
        {"data": [{"embedding": "%%%%"}]},
        {"data": [{"embedding": [1], "index": 1}]},
        {"data": [{"embedding": [1], "index": 0}, {"embedding": [1], "index": 0}]},
        {"data": [], "usage": {"prompt_tokens": "x"}},
    ],
)
def test_answers_of_a_wrong_shape(body) -> None:
    with pytest.raises(MalformedBody):
        openai_embeddings.decode_response(body)


def test_an_answer_from_elsewhere_is_what_the_official_sdk_takes() -> None:
    body = openai_embeddings.encode_response(Embeddings([[0.5], [1.0]], model="gemini-embedding", usage=Usage(input=4)))
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0]},
        ],
        "model": "gemini-embedding",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    types = pytest.importorskip("openai.types")
    types.CreateEmbeddingResponse.model_validate(body, strict=True)
    types.CreateEmbeddingResponse.model_validate(
        openai_embeddings.encode_response(Embeddings([[0.5]], model="m")), strict=True
    )


def test_numbers_beyond_32_bits_cannot_be_packed() -> None:
    with pytest.raises(MalformedBody):
        openai_embeddings.encode_response(Embeddings([[1e300]]), encoding_format="base64")


def test_texts_are_found_and_replaced_in_place() -> None:
    body = {"input": ["a", "", [1]], "user": "u"}
    slots = list(openai_embeddings.text_slots(body))
    assert [(slot.path, slot.kind) for slot in slots] == [("input[0]", "text"), ("user", "name")]
    for slot in slots:
        slot.replace("x")
    assert body == {"input": ["x", "", [1]], "user": "x"}
    assert [slot.path for slot in openai_embeddings.text_slots({"input": "a"})] == ["input"]
    assert list(openai_embeddings.text_slots({"input": [1, 2]})) == []
