"""What the modules of the OpenAI chat dialect share: its name, the words of its notation, and the encoding context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aistrale.types import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject

NAME: Final = "openai_chat"

# Marks a message that came as an answer: what only answers carry is not sent back with the history.
ANSWER: Final = "answer"
# The two names under which compatible servers give readable thoughts.
REASONING_FIELDS: Final = ("reasoning", "reasoning_content")


@dataclass(slots=True, frozen=True)
class Context:
    """What encoding depends on.

    Args:
        own: The body is written for the dialect it was decoded from: the caller chose every field of it.
        answer: An answer is written, not a request.
        reasoning_field: The field for thoughts from elsewhere; None leaves them out.
    """

    profile: Profile
    loss: Loss
    own: bool = False
    answer: bool = False
    reasoning_field: str | None = None


def note(fields: JSONObject, words: Sequence[str] = ()) -> Wire | None:
    """A Wire with the fields and the words of notation, or None when there is nothing to note."""
    form = " ".join(words)
    if "%" in form or (words and form.count(" ") >= len(words)):
        # Words that quote the source may hold anything.
        form = " ".join([word.replace("%", "%25").replace(" ", "%20") for word in words])
    return Wire(NAME, fields, form) if fields or form else None


def words_of(wire: Wire | None) -> list[str]:
    """The words of notation that this dialect noted; none when the node came from another one."""
    if wire is None or not wire.form or wire.dialect != NAME:
        return []
    words = wire.form.split(" ")
    return [word.replace("%20", " ").replace("%25", "%") for word in words] if "%" in wire.form else words


def is_own(wire: Wire | None) -> bool:
    """Whether the node was decoded from this dialect and something was noted."""
    return wire is not None and wire.dialect == NAME


def is_foreign(wire: Wire | None) -> bool:
    """Whether the node was decoded from another dialect."""
    return wire is not None and wire.dialect != NAME


def take_object(fields: JSONObject, key: str) -> JSONObject:
    """What was noted about a nested object, removed from the fields; a fresh object."""
    value: JSON = fields.pop(key, None)
    return dict(value) if type(value) is dict else {}
