"""The wire formats of Google's embeddings: batchEmbedContents, embedContent, and Vertex AI's predict.

The model stands in the URL and, for batchEmbedContents, in every request of the body. Which of the formats a body has
is seen from its fields; a request from elsewhere is written for batchEmbedContents.

Source: Gemini API reference, `models.batchEmbedContents`, `models.embedContent`; Vertex AI reference, text embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from aistrale.dialects._gemini_names import many, once, put, take, value_of
from aistrale.dialects._gemini_slots import content_slots
from aistrale.dialects._gemini_usage import decode_usage, encode_usage
from aistrale.dialects.shape import MalformedBody, as_int, as_list, as_object, as_str, get_object, kept
from aistrale.dialects.slots import field_slot
from aistrale.types import Embeddings, EmbedRequest, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aistrale.dialects.base import Loss
    from aistrale.dialects.slots import Slot
    from aistrale.types import JSON, JSONObject

NAME = "gemini_embed"

Format: TypeAlias = Literal["batch", "single", "predict"]

_CONFIGS = ("embedContentConfig", "embed_content_config")
_SETTINGS = {"taskType": "task", "outputDimensionality": "dimensions"}
# Vertex AI's predict has one set of parameters for all instances.
_SHARED = "parameters"


class _Item:
    """One input of a request: what the hub has a word for, and the rest with its notation."""

    __slots__ = ("fields", "model", "settings", "text", "words")

    def __init__(self, body: JSONObject, field: str) -> None:
        self.words: list[str] = []
        self.fields = dict(body)
        self.text = self._read_content(field)
        self.settings: dict[str, JSON] = {}
        self._read_settings(self.fields, "")
        for key in _CONFIGS:
            config = self.fields.get(key)
            if type(config) is dict:
                self.words.append(f"config={key}")
                self.fields[key] = config = dict(config)
                self._read_settings(config, f"{field}.{key}")
        model = self.fields.get("model")
        self.model = None if model is None else as_str(model, f"{field}.model")
        if self.model is not None:
            self.words.append("model=models/" if self.model.startswith("models/") else "model=")
            del self.fields["model"]

    def _read_content(self, field: str) -> str:
        content = self.fields.get("content")
        if type(content) is str:
            self.words.append("string")
            del self.fields["content"]
            return content
        text = _text_of(as_object(content, f"{field}.content"), f"{field}.content")
        if content == _content(text):
            del self.fields["content"]
        return text

    def _read_settings(self, body: JSONObject, field: str) -> None:
        for name, option in _SETTINGS.items():
            words: list[str] = []
            value = take(body, name, words)
            if value is not None:
                where = f"{field}.{name}" if field else name
                self.settings[option] = as_str(value, where) if option == "task" else as_int(value, where)
                self.words.extend(words)
                del body[words[0] if words else name]


def _text_of(content: JSONObject, field: str) -> str:
    """The texts of a content, which becomes one vector; media have no place in the hub's embeddings."""
    parts = content.get("parts")
    items, _ = many(parts, f"{field}.parts") if parts is not None else ([], False)
    texts = [as_object(item, f"{field}.parts").get("text") for item in items]
    return "\n".join(as_str(text, f"{field}.parts.text") for text in texts if text is not None)


def _content(text: str) -> JSONObject:
    return {"parts": [{"text": text}]}


def _content_with(original: JSON, text: str, field: str) -> JSON:
    """The original content where it still says `text`, else the same with the text in its first text part."""
    if type(original) is not dict or _text_of(original, field) == text:
        return original
    parts, single = many(original.get("parts", []), field)
    changed: list[JSON] = []
    pending: str | None = text
    for part in parts:
        if type(part) is dict and part.get("text") is not None:
            if pending is not None:
                changed.append({**part, "text": pending})
                pending = None
            continue
        changed.append(part)
    if pending is not None:
        changed.insert(0, {"text": pending})
    return {**original, "parts": once(changed, single=single)}


def decode_request(body: JSONObject, *, model: str | None = None) -> EmbedRequest:
    """Read a caller's body.

    Args:
        body: The parsed body.
        model: From the URL; that of the body counts only where this is None.

    Raises:
        MalformedBody: It has none of the three formats, or a field that is used has another type.
    """
    fields = dict(body)
    form, items = _items(fields)
    named = next((item.model for item in items if item.model is not None), None)
    chosen = model if model is not None else named
    request = EmbedRequest(
        model=(chosen or "").removeprefix("models/"), inputs=[item.text for item in items], source=NAME
    )
    words: list[str] = [form]
    for option in _SETTINGS.values():
        values = [item.settings.get(option) for item in items]
        if values and values[0] is not None and all(value == values[0] for value in values):
            setattr(request, option, values[0])
        elif any(value is not None for value in values):
            # The hub has one setting for all inputs; where they differ, each keeps its own.
            for item, value in zip(items, values, strict=True):
                item.fields[f"={option}"] = value
    if form == "predict":
        _read_parameters(fields, request, words)
    fields["items"] = [{"fields": item.fields, "form": " ".join(item.words)} for item in items]
    request.wire = Wire(NAME, fields, " ".join(words))
    return request


def _items(fields: JSONObject) -> tuple[Format, list[_Item]]:
    """The format and inputs of a body; takes what it reads out of `fields`."""
    for key, form in (("requests", "batch"), ("instances", "predict")):
        if fields.get(key) is not None:
            entries, _ = many(fields.pop(key), key)
            items = [_Item(as_object(entry, f"{key}[{n}]"), f"{key}[{n}]") for n, entry in enumerate(entries)]
            return ("batch" if form == "batch" else "predict"), items
    if fields.get("content") is None:
        raise MalformedBody("requests", "requests, content or instances")
    item = _Item(fields, "body")
    fields.clear()
    return "single", [item]


def _read_parameters(fields: JSONObject, request: EmbedRequest, words: list[str]) -> None:
    parameters = get_object(fields, _SHARED)
    if parameters is None:
        return
    parameters = dict(parameters)
    spelling: list[str] = []
    dimensions = take(parameters, "outputDimensionality", spelling)
    if dimensions is not None:
        request.dimensions = as_int(dimensions, "parameters.outputDimensionality")
        del parameters[spelling[0] if spelling else "outputDimensionality"]
        words.extend(spelling)
    fields[_SHARED] = parameters


def encode_request(request: EmbedRequest, loss: Loss) -> JSONObject:
    """Write a provider's body: in the format it was decoded from, else for batchEmbedContents.

    Raises:
        InvalidRequestError: An input is a list of token ids, which Gemini does not take.
    """
    words = _words(request.wire)
    fields = kept(request.wire, NAME)
    records = _records(fields.pop("items", None), len(request.inputs))
    if request.user is not None:
        loss.drop("user", "Gemini has no field for the user of the application")
    entries: list[JSON] = []
    for index, text in enumerate(request.inputs):
        if not isinstance(text, str):
            loss.refuse(f"inputs[{index}]", "Gemini takes texts, not token ids")
            continue
        entries.append(_write_item(request, text, records[index], words))
    body: JSONObject
    if "single" in words and len(entries) == 1:
        body = {**fields, **as_object(entries[0], "content")}
    elif "predict" in words:
        body = {**fields, "instances": entries}
        if request.dimensions is not None:
            parameters = body.get(_SHARED)
            shared = dict(parameters) if type(parameters) is dict else {}
            put(shared, "outputDimensionality", request.dimensions, words)
            body[_SHARED] = shared
    else:
        body = {**fields, "requests": entries}
    return {**body, **request.extra}


def _words(wire: Wire | None) -> list[str]:
    return wire.form.split() if wire is not None and wire.dialect == NAME else []


def _records(value: JSON, count: int) -> list[tuple[JSONObject, list[str]]]:
    """Fields and notation of each input; those that were added are written like the first, without its own fields."""
    records: list[tuple[JSONObject, list[str]]] = []
    for record in value if type(value) is list else []:
        if type(record) is dict:
            form = record.get("form")
            records.append(({**as_object(record["fields"], "items")}, str(form).split()))
    if len(records) == count:
        return records
    words = records[0][1] if records else ["model=models/"]
    return [({}, words)] * count


def _write_item(
    request: EmbedRequest, text: str, record: tuple[JSONObject, list[str]], form: Sequence[str]
) -> JSONObject:
    fields, words = {**record[0]}, record[1]
    own = {option: fields.pop(f"={option}") for option in _SETTINGS.values() if f"={option}" in fields}
    item: JSONObject = {**fields}
    if "string" in words:
        item["content"] = text
    else:
        item["content"] = _content_with(fields["content"], text, "content") if "content" in fields else _content(text)
    prefix = value_of(words, "model")
    if prefix is not None:
        item["model"] = request.model if request.model.startswith(prefix) else f"{prefix}{request.model}"
    config = value_of(words, "config")
    target: JSONObject = item
    if config is not None:
        present = item.get(config)
        item[config] = target = dict(present) if type(present) is dict else {}
    for name, option in _SETTINGS.items():
        value = own[option] if option in own else getattr(request, option)
        if value is not None and not (option == "dimensions" and "predict" in form):
            put(target, name, value, words)
    return item


def decode_response(body: JSON) -> Embeddings:
    """Read a provider's answer. Raises MalformedBody."""
    answer = as_object(body, "body")
    fields = dict(answer)
    embeddings = Embeddings(raw=answer, source=NAME)
    usage = fields.pop("usageMetadata", None)
    if usage is not None:
        embeddings.usage = decode_usage(as_object(usage, "usageMetadata"))
    elif "usageMetadata" in answer:
        fields["usageMetadata"] = None
    form, entries = _vectors(fields)
    extras: list[JSON] = []
    for index, entry in enumerate(entries):
        item = as_object(entry, f"embeddings[{index}]")
        outer: JSONObject = {}
        if form == "predictions":
            outer = {key: value for key, value in item.items() if key != "embeddings"}
            item = as_object(item.get("embeddings"), f"predictions[{index}].embeddings")
        embeddings.vectors.append(_vector(item.get("values"), f"embeddings[{index}].values"))
        extras.append([outer, {key: value for key, value in item.items() if key != "values"}])
    fields["items"] = extras
    embeddings.wire = Wire(NAME, fields, form)
    return embeddings


def _vectors(fields: JSONObject) -> tuple[str, list[JSON]]:
    for key in ("embeddings", "predictions"):
        if fields.get(key) is not None:
            return key, as_list(fields.pop(key), key)
    if fields.get("embedding") is not None:
        return "embedding", [fields.pop("embedding")]
    raise MalformedBody("embeddings", "embeddings, embedding or predictions")


def _vector(value: JSON, field: str) -> list[float]:
    numbers: list[float] = []
    for number in as_list(value, field):
        if type(number) is not float and type(number) is not int:
            raise MalformedBody(field, "an array of numbers")
        numbers.append(number)
    return numbers


def encode_response(embeddings: Embeddings) -> JSONObject:
    """Write the answer that a calling SDK expects: in the format it was decoded from, else batchEmbedContents."""
    form = " ".join(_words(embeddings.wire)) or "embeddings"
    body = kept(embeddings.wire, NAME)
    extras = body.pop("items", None)
    entries: list[JSON] = []
    for index, vector in enumerate(embeddings.vectors):
        extra = extras[index] if type(extras) is list and index < len(extras) else None
        outer, inner = extra if type(extra) is list and len(extra) == 2 else ({}, {})
        entry: JSONObject = {**as_object(inner, "items"), "values": [*vector]}
        entries.append({**as_object(outer, "items"), "embeddings": entry} if form == "predictions" else entry)
    if form == "embedding" and len(entries) == 1:
        body["embedding"] = entries[0]
    else:
        body["predictions" if form == "predictions" else "embeddings"] = entries
    if embeddings.usage is not None:
        body["usageMetadata"] = encode_usage(embeddings.usage)
    return body


def text_slots(body: JSONObject) -> Iterator[Slot]:
    """Every place in a request body where human text stands, in order."""
    if "content" in body:
        yield from _item_slots(body, "")
    for key in ("requests", "instances"):
        entries = body.get(key)
        for index, entry in enumerate(entries if type(entries) is list else [entries]):
            if type(entry) is dict:
                yield from _item_slots(entry, f"{key}[{index}]")


def _item_slots(item: JSONObject, path: str) -> Iterator[Slot]:
    content = item.get("content")
    where = f"{path}.content" if path else "content"
    if type(content) is dict:
        yield from content_slots(content, where)
    else:
        yield from field_slot(item, "content", path)
    yield from field_slot(item, "title", path)
    for key in _CONFIGS:
        config = item.get(key)
        if type(config) is dict:
            yield from field_slot(config, "title", f"{path}.{key}" if path else key)
