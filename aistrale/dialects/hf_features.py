"""Feature extraction as Hugging Face's own backend and Text Embeddings Inference answer it: bare nested lists.

A sentence-level model answers with one vector per input. A token-level model answers with one vector per token; how to
pool them is the model author's choice, so that such an answer is refused and never averaged here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aistrale.dialects.shape import (
    MalformedBody,
    as_list,
    as_number,
    as_str,
    form_of,
    get_int,
    kept,
    leftover,
    rest,
)
from aistrale.dialects.slots import Slot, field_slot
from aistrale.types import Embeddings, EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject

NAME: Final = "hf_features"

_REQUEST: Final = frozenset({"inputs", "dimensions"})
_ROWS: Final = "one vector per input; the model answers with one per token, and pooling them is left to its author"


def decode_request(body: JSONObject, *, model: str | None = None) -> EmbedRequest:
    """Read a caller's body.

    Args:
        body: The body: `inputs` is a text or a list of texts.
        model: The model, which stands in the URL.

    Raises:
        MalformedBody: Something in it has the wrong shape.
    """
    value = body.get("inputs")
    form = "one" if type(value) is str else ""
    texts = [value] if form else as_list(value, "inputs")
    inputs = [as_str(text, f"inputs[{index}]") for index, text in enumerate(texts)]
    return EmbedRequest(
        model=model or "",
        inputs=inputs,
        dimensions=get_int(body, "dimensions"),
        source=NAME,
        wire=leftover(NAME, rest(body, _REQUEST), form),
    )


def encode_request(request: EmbedRequest, loss: Loss) -> JSONObject:
    """Write a provider's body; the model stands in the URL. Raises InvalidRequestError (see Loss)."""
    body = kept(request.wire, NAME)
    for index, item in enumerate(request.inputs):
        if type(item) is not str:
            loss.refuse(f"inputs[{index}]", "feature extraction takes texts, not token ids")
    single = form_of(request.wire, NAME) == "one" and len(request.inputs) == 1
    body["inputs"] = cast("JSON", request.inputs[0] if single else list(request.inputs))
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    for name in ("task", "user"):
        if getattr(request, name) is not None:
            loss.unsupported(name, "feature extraction has no such option")
    if request.wire is not None and request.wire.dialect != NAME:
        for name, value in request.wire.fields.items():
            # How the vectors travel is each format's own affair.
            if value is not None and name != "encoding_format":
                loss.drop(name, f"an option of {request.wire.dialect} that this format does not have")
    body.update(request.extra)
    return body


def decode_response(body: JSON, *, inputs: int | None = None) -> Embeddings:
    """Read a provider's answer.

    A list of numbers is one vector, a list of lists one vector per input, and a list of lists of lists the tokens of
    each input, which counts as vectors only where every input has one row.

    Args:
        body: The answer.
        inputs: How many texts were sent, if known: tells the tokens of one text from the vectors of several.

    Raises:
        MalformedBody: It has another shape, or gives a vector per token.
    """
    rows = as_list(body, "body")
    depth = _depth(rows)
    if depth == 1:
        vectors, form = [_vector(rows, "body")], "flat"
    elif depth == 2:
        vectors, form = [_vector(row, f"body[{index}]") for index, row in enumerate(rows)], ""
        if inputs == 1 and len(rows) > 1:
            raise MalformedBody("body", _ROWS)
    else:
        vectors, form = [_single_row(row, f"body[{index}]") for index, row in enumerate(rows)], "rows"
    return Embeddings(vectors, source=NAME, wire=leftover(NAME, {}, form))


def _depth(rows: list[JSON]) -> int:
    depth, value = 1, rows
    while value and type(value[0]) is list and depth < 4:
        value, depth = value[0], depth + 1
    return depth


def _vector(value: JSON, path: str) -> list[float]:
    numbers = [as_number(item, path) for item in as_list(value, path)]
    if not numbers:
        raise MalformedBody(path, "a vector that is not empty")
    return numbers


def _single_row(value: JSON, path: str) -> list[float]:
    rows = as_list(value, path)
    if len(rows) != 1:
        raise MalformedBody(path, _ROWS)
    return _vector(rows[0], f"{path}[0]")


def encode_response(embeddings: Embeddings) -> JSON:
    """Write the answer that a calling SDK expects: a list of vectors, nested as the source nested it."""
    form = form_of(embeddings.wire, NAME)
    vectors = cast("list[JSON]", [list(vector) for vector in embeddings.vectors])
    if form == "flat" and len(vectors) == 1:
        return vectors[0]
    return [[vector] for vector in vectors] if form == "rows" else vectors


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every text in a request body, in order."""
    value = body.get("inputs")
    if type(value) is list:
        for index, item in enumerate(value):
            if type(item) is str and item:
                yield Slot(f"inputs[{index}]", value, index)
    else:
        yield from field_slot(body, "inputs", "")
