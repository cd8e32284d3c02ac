"""The OpenAI embeddings format: OpenAI, Azure, Groq and compatible servers."""

from __future__ import annotations

import binascii
import struct
import sys
from array import array
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final, Literal, cast

from aistrale.dialects.shape import (
    MalformedBody,
    as_int,
    as_list,
    as_number,
    as_object,
    form_of,
    get_int,
    get_object,
    get_str,
    kept,
    leftover,
    rest,
)
from aistrale.dialects.slots import Slot, field_slot
from aistrale.types import Embeddings, EmbedRequest, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.dialects.base import Loss
    from aistrale.types import JSON, JSONObject

NAME: Final = "openai_embeddings"

_REQUEST: Final = frozenset({"model", "input", "dimensions", "user"})
_RESPONSE: Final = frozenset({"model", "data", "usage"})
_USAGE: Final = frozenset({"prompt_tokens", "total_tokens"})


def decode_request(body: JSONObject, *, model: str | None = None) -> EmbedRequest:
    """Read a caller's body: one text, several texts, the token ids of one text, or of several.

    Args:
        body: The body.
        model: The model of the URL, for bodies without one (Azure's deployments).

    Raises:
        MalformedBody: Something in it has the wrong shape.
    """
    inputs, form = _read_inputs(body.get("input"))
    return EmbedRequest(
        model=get_str(body, "model") or model or "",
        inputs=inputs,
        dimensions=get_int(body, "dimensions"),
        user=get_str(body, "user"),
        source=NAME,
        wire=leftover(NAME, rest(body, _REQUEST), form),
    )


def _read_inputs(value: JSON) -> tuple[list[str | list[int]], str]:
    if type(value) is str:
        return [value], "one"
    if type(value) is not list:
        raise MalformedBody("input", "a string or a list")
    if value and all(type(item) is int for item in value):
        return [cast("list[int]", list(value))], "one"
    inputs: list[str | list[int]] = []
    for index, item in enumerate(value):
        if type(item) is str:
            inputs.append(item)
        else:
            tokens = as_list(item, f"input[{index}]")
            inputs.append([as_int(token, f"input[{index}]") for token in tokens])
    return inputs, ""


def encode_request(request: EmbedRequest, loss: Loss) -> JSONObject:
    """Write a provider's body. Raises InvalidRequestError for what cannot be said (see Loss)."""
    body = kept(request.wire, NAME)
    if request.model:
        body["model"] = request.model
    single = form_of(request.wire, NAME) == "one" and len(request.inputs) == 1
    body["input"] = cast("JSON", request.inputs[0] if single else list(request.inputs))
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    if request.task is not None:
        loss.unsupported("task", "OpenAI's embeddings know no purpose of the vectors")
    if request.wire is not None and request.wire.dialect != NAME:
        for name, value in request.wire.fields.items():
            if value is not None:
                loss.drop(name, f"an option of {request.wire.dialect} that this format does not have")
    body.update(request.extra)
    return body


def decode_response(body: JSON) -> Embeddings:
    """Read a provider's answer: vectors as lists of numbers or as base64 of little-endian 32-bit floats.

    Raises:
        MalformedBody: It has another shape, or an index is missing or told twice.
    """
    document = as_object(body, "body")
    items = [as_object(item, f"data[{place}]") for place, item in enumerate(as_list(document.get("data"), "data"))]
    forms = {"base64" if type(item.get("embedding")) is str else "" for item in items}
    placed: dict[int, list[float]] = {}
    for place, item in enumerate(items):
        index = place if item.get("index") is None else as_int(item["index"], f"data[{place}].index")
        if index in placed or not 0 <= index < len(items):
            raise MalformedBody(f"data[{place}].index", "each index once")
        placed[index] = _read_vector(item.get("embedding"), f"data[{place}].embedding")
    vectors = [placed[index] for index in range(len(items))]
    fields = rest(document, _RESPONSE)
    noted = [{name: value for name, value in item.items() if name != "embedding"} for item in items]
    if noted != _usual(len(items)):
        fields["data"] = cast("JSON", noted)
    usage = get_object(document, "usage")
    return Embeddings(
        vectors,
        model=get_str(document, "model") or "",
        usage=None if usage is None else _read_usage(usage),
        raw=document,
        source=NAME,
        wire=leftover(NAME, fields, " ".join(["own", *forms]).strip()),
    )


def _usual(count: int) -> list[JSONObject]:
    return [{"object": "embedding", "index": index} for index in range(count)]


def _read_vector(value: JSON, path: str) -> list[float]:
    if type(value) is not str:
        return [as_number(item, path) for item in as_list(value, path)]
    try:
        floats = array("f", b64decode(value, validate=True))
    except (binascii.Error, ValueError) as error:
        raise MalformedBody(path, "base64 of 32-bit floats") from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def _read_usage(value: JSONObject) -> Usage:
    """Only input is counted; a total that differs is kept as it came."""
    prompt = get_int(value, "prompt_tokens")
    total = get_int(value, "total_tokens")
    fields = rest(value, _USAGE)
    if "total_tokens" in value and total != prompt:
        fields["total_tokens"] = total
    form = "" if "total_tokens" in value else "no_total"
    return Usage(input=prompt if prompt is not None else total, raw=value, wire=leftover(NAME, fields, form))


def encode_response(embeddings: Embeddings, *, encoding_format: Literal["float", "base64"] | None = None) -> JSONObject:
    """Write the answer that a calling SDK expects.

    Args:
        embeddings: The vectors.
        encoding_format: As the caller asked for; by default as the provider sent them, else numbers.
    """
    fields = kept(embeddings.wire, NAME)
    words = form_of(embeddings.wire, NAME).split(" ")
    packed = encoding_format == "base64" or (encoding_format is None and "base64" in words)
    noted = fields.pop("data", None)
    items = noted if type(noted) is list and len(noted) == len(embeddings.vectors) else _usual(len(embeddings.vectors))
    data: list[JSON] = []
    for place, item in enumerate(cast("list[JSONObject]", items)):
        index = item.get("index")
        vector = embeddings.vectors[index if type(index) is int else place]
        data.append({**item, "embedding": _pack(vector) if packed else cast("JSON", list(vector))})
    if "own" not in words:
        fields["object"] = "list"
    body: JSONObject = {**fields, "data": data}
    if embeddings.model or "own" not in words:
        body["model"] = embeddings.model
    usage = _write_usage(embeddings.usage, own="own" in words)
    if usage is not None:
        body["usage"] = usage
    return body


def _pack(vector: Sequence[float]) -> str:
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
    except OverflowError as error:
        raise MalformedBody("embedding", "numbers that fit 32 bits") from error


def _write_usage(usage: Usage | None, *, own: bool) -> JSONObject | None:
    if usage is None:
        # The official SDK's type requires the object; zero tokens would be a claim only if the source had made it.
        return None if own else {"prompt_tokens": 0, "total_tokens": 0}
    count = usage.input_total or 0
    body: JSONObject = {"prompt_tokens": count}
    if form_of(usage.wire, NAME) != "no_total":
        body["total_tokens"] = count
    return {**body, **kept(usage.wire, NAME)}


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every text in a request body, in order; token ids are no text."""
    value = body.get("input")
    if type(value) is list:
        for index, item in enumerate(value):
            if type(item) is str and item:
                yield Slot(f"input[{index}]", value, index)
    else:
        yield from field_slot(body, "input", "")
    yield from field_slot(body, "user", "", "name")
