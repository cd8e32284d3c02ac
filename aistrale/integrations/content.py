"""What was said in a step: copied while it is said, redacted when the step is over, and of bounded size.

Steps keep messages of parts, as the GenAI semantic conventions have them; whatever else goes in and out is a snapshot.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from aistrale.snapshot import snapshot
from aistrale.telemetry.content import MARGIN, MOST_TEXT, MOST_TOTAL, Room, Writer
from aistrale.telemetry.events import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.engine import Engine
    from aistrale.integrations.runs import Run
    from aistrale.types import JSON, JSONObject

# What stands in messages and parts besides what was said.
_NAMES: Final = frozenset({"type", "role", "id", "modality", "mime_type", "finish_reason", "file_id"})


def cut(text: object) -> str:
    """A text as long as sinks can get it; "" for anything else."""
    return text[: MOST_TEXT + MARGIN] if isinstance(text, str) else ""


def copied(value: object) -> JSON:
    """Anything as JSON that nobody else holds, of bounded size; of strange objects the name of their class."""
    return snapshot(value, MOST_TEXT + MARGIN)


def said(role: str, content: JSON) -> JSONObject:
    """A message of one text; of anything else, as it is."""
    return {"role": role, "parts": [{"type": "text", "content": cut(content) if isinstance(content, str) else content}]}


def tool_asked(name: str, arguments: object) -> JSONObject:
    """What a tool was called with."""
    return {"role": "assistant", "parts": [{"type": "tool_call", "name": name, "arguments": copied(arguments)}]}


def content_of(run: Run, engine: Engine | None) -> Content | None:
    """What was said in a step, redacted; None where nothing was."""
    if not (run.system or run.input or run.output or run.tools):
        return None
    writer = Writer(_redactor(engine), Room(MOST_TOTAL))
    # The answer first: when room runs short, it is what nobody can look up elsewhere.
    output = tuple(_written(item, writer) for item in run.output)
    return Content(
        system=tuple(_written(item, writer) for item in run.system),
        input=tuple(_written(item, writer) for item in run.input),
        output=output,
        tools=tuple(_written(item, writer) for item in run.tools),
    )


def _redactor(engine: Engine | None) -> Callable[[str], str]:
    from aistrale.privacy.single import harmless
    from aistrale.privacy.vault import Vault

    return partial(harmless, None if engine is None else engine.protection, vault=Vault())


def _written(value: JSON, writer: Writer) -> JSON:
    """A message or a part of one; what its fields hold may be anything, in which nothing is a mere name."""
    if not isinstance(value, dict):
        return writer.value(value)
    # A tool's name is one; a message's is somebody's.
    names = _NAMES if "parts" in value else _NAMES | {"name"}
    return {key: item if key in names else _field(key, item, writer) for key, item in value.items()}


def _field(key: str, value: JSON, writer: Writer) -> JSON:
    if key == "parts" and isinstance(value, list):
        return [_written(part, writer) for part in value]
    return writer.value(value)
