"""Model calls that belong together: one context, one time limit, and one event that says what they came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aistrale
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import FunctionFinished

if TYPE_CHECKING:
    from collections.abc import Iterator

sink = MemorySink()
aistrale.init(sinks=[sink])


@aistrale.llm(project="examples", tags={"step": "draft"}, deadline=30.0)
def draft(topic: str) -> str:
    """Two calls that have half a minute together."""
    points = aistrale.run(f"Three points about {topic}, in brief.").text
    return aistrale.run(f"Make a paragraph of these points: {points}").text


@aistrale.llm(project="examples")
def drafts(topics: list[str]) -> Iterator[str]:
    """A generator; while it waits to be read on, nothing of its context holds outside."""
    for topic in topics:
        yield draft(topic)


with aistrale.context(user="ada"):
    for text in drafts(["tea", "rain"]):
        print(">", text)

for event in sink.of(FunctionFinished):
    print(f"{event.name} for {event.user}: {event.outcome}, {len(event.calls)} calls")
aistrale.flush()
rows = {row.call_id: row for row in aistrale.get_client().ledger.calls()}
print("in the ledger:", {rows[call].name for call in sink.of(FunctionFinished)[-1].calls})
