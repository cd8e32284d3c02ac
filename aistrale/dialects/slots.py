"""The one implementation of a text slot: a string inside a dict or list of a JSON body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import JSON, JSONObject


OPAQUE: Final = frozenset(
    {
        "cache_control", "data", "encrypted_content", "encrypted_index", "encrypted_stdout", "file_data", "file_id",
        "fileUri", "id", "logprobs", "media_type", "mime_type", "mimeType", "model", "role", "signature",
        "thoughtSignature", "thought_signature", "type",
    }
)  # fmt: skip
"""Members of bodies of any dialect that machines make for machines: to change one is to break it."""


@dataclass(slots=True)
class Slot:
    """The string at `container[key]`.

    Args:
        path: Where it stands in the body, for findings and logs.
        kind: "text", "json" (JSON text whose strings are human text) or "name".
    """

    path: str
    container: JSONObject | list[JSON]
    key: str | int
    kind: Literal["text", "json", "name"] = "text"

    @property
    def text(self) -> str:
        """The string."""
        return cast("str", self.container[self.key])  # type: ignore[index]  # the key fits its container

    def replace(self, text: str) -> None:
        """Write another string in its place."""
        self.container[self.key] = text  # type: ignore[index]  # the key fits its container


def field_slot(body: JSONObject, key: str, path: str, kind: Literal["text", "json", "name"] = "text") -> Iterator[Slot]:
    """A slot for `body[key]` if a non-empty string stands there."""
    value = body.get(key)
    if type(value) is str and value:
        yield Slot(f"{path}.{key}" if path else key, body, key, kind)


def deep_slots(value: JSON, path: str, container: JSONObject | list[JSON], key: str | int) -> Iterator[Slot]:
    """Slots for every string inside a JSON value (a tool's arguments object, a result object, a schema).

    Object keys are not text: a schema's property names and a tool's argument names must survive redaction.
    """
    if type(value) is str:
        if value:
            yield Slot(path, container, key)
    elif type(value) is dict:
        for name, item in value.items():
            yield from deep_slots(item, f"{path}.{name}", value, name)
    elif type(value) is list:
        for index, item in enumerate(value):
            yield from deep_slots(item, f"{path}[{index}]", value, index)
