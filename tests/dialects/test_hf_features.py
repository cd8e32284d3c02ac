from __future__ import annotations

import copy

import pytest

from aistrale.dialects import hf_features
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import Embeddings, EmbedRequest, Wire

REQUESTS = {
    "one": {"inputs": "a"},
    "several": {"inputs": ["a", "b"]},
    "one in a list": {"inputs": ["a"]},
    "options": {"inputs": "a", "normalize": True, "prompt_name": "query", "truncate": None, "dimensions": 4},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_comes_back_as_it_was(name: str) -> None:
    body = copy.deepcopy(REQUESTS[name])
    loss = Loss()
    assert hf_features.encode_request(hf_features.decode_request(body, model="m"), loss) == REQUESTS[name]
    assert loss.items == []


def test_the_model_stands_in_the_url() -> None:
    decoded = hf_features.decode_request({"inputs": "a"}, model="org/m")
    assert decoded.model == "org/m"
    assert hf_features.encode_request(EmbedRequest(model="org/m", inputs=["a"]), Loss()) == {"inputs": ["a"]}


@pytest.mark.parametrize("value", [None, 5, {}, [5], [[1]]])
def test_inputs_of_a_wrong_shape(value) -> None:
    with pytest.raises(MalformedBody):
        hf_features.decode_request({"inputs": value})


def test_what_cannot_be_said_is_refused_or_recorded() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hf_features.encode_request(EmbedRequest(model="m", inputs=["a", [1]]), Loss())
    assert caught.value.param == "inputs[1]"
    loss = Loss(on_unsupported="drop")
    wire = Wire("openai_embeddings", {"encoding_format": "base64", "x": 1, "y": None})
    request = EmbedRequest(model="m", inputs=["a"], user="u", task="t", wire=wire)
    assert hf_features.encode_request(request, loss) == {"inputs": ["a"]}
    assert [item.field for item in loss.items] == ["task", "user", "x"]


@pytest.mark.parametrize(
    ("body", "vectors"),
    [
        ([0.5, 1], [[0.5, 1]]),
        ([[0.5, 1]], [[0.5, 1]]),
        ([[0.5, 1], [2.0, 3.0]], [[0.5, 1], [2.0, 3.0]]),
        ([[[0.5, 1]], [[2.0, 3.0]]], [[0.5, 1], [2.0, 3.0]]),
    ],
)
def test_an_answer_is_read_and_comes_back_as_it_was(body, vectors) -> None:
    decoded = hf_features.decode_response(copy.deepcopy(body))
    assert decoded.vectors == vectors
    assert hf_features.encode_response(decoded) == body


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ([[[1.0], [2.0]]], None),
        ([[[1.0]], [[1.0], [2.0]]], None),
        ([[1.0], [2.0], [3.0]], 1),
    ],
)
def test_a_vector_per_token_is_refused_and_never_averaged(body, inputs) -> None:
    with pytest.raises(MalformedBody, match="per token"):
        hf_features.decode_response(body, inputs=inputs)


@pytest.mark.parametrize(
    "body",
    [
        None,
        "a",
        5,
        {"error": "loading"},
        [],
        [[]],
        [[[]]],
        ["a"],
        [True],
        [[1.0], 2.0],
        [1.0, [2.0]],
        [[[1.0]], [2.0]],
        [[[[1.0]]]],
        [[{"a": 1}]],
    ],
)
def test_answers_of_a_wrong_shape(body) -> None:
    with pytest.raises(MalformedBody):
        hf_features.decode_response(body)


def test_an_answer_from_elsewhere_is_a_list_of_vectors() -> None:
    assert hf_features.encode_response(Embeddings([[1.0], [2.0]])) == [[1.0], [2.0]]


def test_texts_are_found_and_replaced_in_place() -> None:
    body = {"inputs": ["a", "", "b"]}
    for slot in hf_features.text_slots(body):
        slot.replace(slot.path)
    assert body == {"inputs": ["inputs[0]", "", "inputs[2]"]}
    assert [slot.path for slot in hf_features.text_slots({"inputs": "a"})] == ["inputs"]
    assert list(hf_features.text_slots({})) == []
