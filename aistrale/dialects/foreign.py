"""What an answer says beside its content in words that only its own dialect has: sources, probabilities, opaque state.

An encoder of another dialect leaves it out. The caller may miss it, so that is recorded, once for each part or choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss
    from aistrale.types import BlockEnd, Completion, Finish, JSONObject, Part, Wire

_SOURCES: Final = "the sources that the other provider names have no place here"
_STATE: Final = "the opaque state of the other provider's model is left out; it will think anew"
_CHANCES: Final = "the other provider's probabilities of tokens are written in another form"
_MEANING: Final = {
    "annotations": _SOURCES,
    "citationMetadata": _SOURCES,
    "citations": _SOURCES,
    "groundingMetadata": _SOURCES,
    "encrypted_content": _STATE,
    "signature": _STATE,
    "thoughtSignature": _STATE,
    "thought_signature": _STATE,
    "logprobs": _CHANCES,
    "logprobsResult": _CHANCES,
    "executed_tools": "what the other provider's own tools did cannot be said here",
}
# What dialects keep of the node around a part, and of the last piece of a stream.
_AROUND: Final = ("$item", "delta")


def report_answer(completion: Completion, dialect: str, loss: Loss) -> None:
    """Record what a whole answer loses; to be called when its parts were written, which may have told already.

    Args:
        completion: The answer.
        dialect: The one that it is written in.
        loss: Takes the records.
    """
    for number, choice in enumerate(completion.choices):
        path = f"choices[{number}]"
        for place, part in enumerate(choice.message.parts):
            _report(part.wire, dialect, f"{path}.message.parts[{place}]", loss)
        _report(choice.message.wire, dialect, f"{path}.message", loss)
        _report(choice.wire, dialect, path, loss)


def report_block(part: Part, end: BlockEnd, dialect: str, loss: Loss) -> None:
    """The same for a block of a streamed answer, when it ended.

    Args:
        part: What it began with.
        end: How it ended.
        dialect: The one that it is written in.
        loss: Takes the record.
    """
    path = f"choices[{end.choice}].message.parts[{end.block}]"
    _report(part.wire, dialect, path, loss)
    _report(end.wire, dialect, path, loss)


def report_finish(finish: Finish, dialect: str, loss: Loss) -> None:
    """The same for the end of a choice of a streamed answer."""
    _report(finish.wire, dialect, f"choices[{finish.choice}]", loss)


def _report(wire: Wire | None, dialect: str, path: str, loss: Loss) -> None:
    if wire is None or wire.dialect == dialect or not wire.fields:
        return
    for name, detail in _found(wire.fields):
        where = f"{path}.{name}"
        if not any(item.field in (path, where) for item in loss.items):
            loss.drop(where, detail)


def _found(fields: JSONObject) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if value and name in _MEANING:
            found.append((name, _MEANING[name]))
        elif name in _AROUND and type(value) is dict:
            found += _found(value)
    return found
