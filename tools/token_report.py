"""Print how far our token counts are from those that providers reported, over the recorded traffic.

    python tools/token_report.py [--worst 20] [--ctok]

The recordings stand beside the repository, in ../shared/traffic; where they are not, there is nothing to report. Input
tokens of every successful chat exchange are compared, apart for plain text and for what we state an interval for; and
the text of answers, whose tokens are reported without any frame but for a few. `calibrated` are the errors where every
exchange is corrected by what the others of its model have shown, in the order of the recordings, as a ledger would.
With --ctok (Python 3.12, `pip install ctok`) our rules for Claude are compared with that reconstruction of its
tokenizer over all recorded texts of 100 characters and more.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

# The reading of the recordings is written once, with the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aistrale.cost.tokens import foreign
from aistrale.cost.tokens.calibration import Calibration
from aistrale.cost.tokens.counters import Count, count_request, count_text
from aistrale.types import MediaPart, ProviderPart, TextPart, Usage, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aistrale.types import Request
    from tests.translation.recordings import Exchange

# What brings input that is not part of the request, or changes what is counted.
HIDDEN = {
    "previous_response_id", "conversation", "prompt", "cachedContent", "generateContentRequest", "web_search_options",
    "audio", "tools", "search_settings", "context_management", "mcp_servers", "container", "response_format", "text",
}  # fmt: skip


@dataclass(slots=True)
class Compared:
    """One exchange: what we counted beside what its provider did."""

    ident: str
    group: str
    kind: str
    provider: str
    model: str
    counted: Count
    actual: int

    @property
    def error(self) -> float:
        """Share by which the count is off."""
        return abs(self.counted.tokens - self.actual) / self.actual

    @property
    def covered(self) -> bool:
        """Whether the provider's count is within our bounds."""
        return self.counted.low <= self.actual <= self.counted.high


def reported(each: Exchange) -> Usage | None:
    """The usage that an exchange ended with; None where it is not told, or told for several at once."""
    from tests.translation.recordings import decode, frames, replies

    if each.codec is None:
        return None
    if each.counts_tokens:
        body = json.loads(each.response)
        return Usage(input=body.get("input_tokens", body.get("totalTokens")))
    if not each.streamed:
        usage: Usage | None = each.codec.decode_response(json.loads(each.response)).usage
        return usage
    found = replies(frames(each))
    updates = [event.usage for event in decode(each.codec, found[0]) if isinstance(event, UsageUpdate)]
    return updates[-1] if len(found) == 1 and updates else None


def kind_of(request: Request) -> str:
    """What has to be counted besides text."""
    unmodelled = {**request.extra, **(request.wire.fields if request.wire else {})}
    parts = [part for message in request.messages for part in message.parts]
    hosted = any(tool.hosted for tool in request.tools) or any(isinstance(part, ProviderPart) for part in parts)
    if hosted or HIDDEN & {name for name, value in unmodelled.items() if value}:
        return "hidden"
    if any(isinstance(part, MediaPart) for part in parts):
        return "media"
    if request.tools:
        return "tools"
    if request.output is not None and request.output.kind != "text":
        return "schema"
    return "text" if all(isinstance(part, TextPart) for part in parts) else "turns"


def compared() -> Iterator[Compared]:
    """Every different recorded exchange whose input tokens are known."""
    from tests.translation.recordings import CHATS, exchanges, read_request

    seen = set()
    for each in exchanges():
        if each.codec is None or each.codec not in CHATS or not each.succeeded or not each.request:
            continue
        usage = reported(each)
        actual = usage.input_total if usage is not None else None
        if not actual or (each.provider, each.model, each.request, actual) in seen:
            continue
        seen.add((each.provider, each.model, each.request, actual))
        name = each.codec.__name__.rpartition(".")[2]
        request = read_request(each)
        family = f"{each.provider} {name.removeprefix('openai_')}" if name.startswith("openai") else each.provider
        counted = count_request(request, each.provider, each.model or request.model, dialect=name)
        kind = kind_of(request)
        yield Compared(each.ident, family, kind, each.provider, each.model or request.model, counted, actual)


def table(rows: list[Compared]) -> str:
    """The errors by provider and kind of request."""
    lines = [
        f"{'':34}{'n':>5} {'exact':>6} {'median':>8} {'p90':>8} {'calibrated':>11} {'within bounds':>14} {'width':>7}"
    ]
    learned = Calibration()
    corrected: dict[int, float] = {}
    for row in rows:
        counted = learned.corrected(row.provider, row.model, row.counted)
        corrected[id(row)] = abs(counted.tokens - row.actual) / row.actual
        if row.kind == "text":
            learned.observe(row.provider, row.model, row.counted.tokens, row.actual)
    for key in sorted({(row.group, row.kind) for row in rows}):
        own = [row for row in rows if (row.group, row.kind) == key]
        errors = sorted(row.error for row in own)
        exact = sum(row.counted.tokens == row.actual for row in own)
        long = [row.error for row in own if row.actual >= 100]
        widths = [(row.counted.high - row.counted.low) / max(1, row.counted.tokens) for row in own]
        lines.append(
            f"{key[0]:26}{key[1]:8}{len(own):5} {exact:6} {median(errors):8.2%} {errors[len(errors) * 9 // 10]:8.2%}"
            f" {median(corrected[id(row)] for row in own):11.2%} {sum(row.covered for row in own) / len(own):14.1%}"
            f" {median(widths):7.0%} {f'{median(long):.2%} ({len(long)})' if long else '-':>15}"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the figures."""
    from tests.translation.recordings import TRAFFIC, exchanges

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--worst", type=int, default=0, help="print that many of the worst counts of plain text")
    arguments.add_argument("--ctok", action="store_true", help="compare the rules for Claude with ctok")
    given = arguments.parse_args()
    if not exchanges():
        print(f"no recorded traffic at {TRAFFIC.resolve()}: nothing to report")
        return 0
    if given.ctok:
        against_ctok()
        return 0
    rows = list(compared())
    print(table(rows))
    print(f"\n{'answers (text alone)':34}{'n':>5} {'median':>8}")
    for group, errors in sorted(answers().items()):
        print(f"{group:34}{len(errors):5} {median(errors):8.2%}")
    for row in sorted((row for row in rows if row.kind == "text"), key=lambda row: -row.error)[: given.worst]:
        print(row.group, row.model, row.ident, row.counted, row.actual)
    return 0


def against_ctok() -> None:
    """Print how far our rules for Claude are from ctok on the texts of all requests."""
    from ctok import token_count

    from tests.translation.recordings import CHATS, exchanges, read_request

    texts = {
        part.text[:10_000]
        for each in exchanges()
        if each.codec in CHATS and each.succeeded and each.request
        for message in read_request(each).messages
        for part in message.parts
        if isinstance(part, TextPart) and len(part.text) >= 100
    }
    versions: tuple[tuple[foreign.Vocabulary, str, int], ...] = (("claude-3", "4.6", 7), ("claude-4.7", "4.8", 6))
    for vocabulary, version, frame in versions:
        errors = []
        for text in sorted(texts):
            actual = token_count(text, version) - frame
            errors.append(abs(foreign.count(text, vocabulary) - actual) / actual)
        errors.sort()
        high = errors[len(errors) * 9 // 10]
        print(f"{vocabulary:12}{len(errors):6} texts, median {median(errors):.2%}, p90 {high:.2%}")


def answers() -> dict[str, list[float]]:
    """Errors of the counts of answers that are text alone and have 40 tokens or more."""
    from tests.translation.recordings import exchanges, read_request

    found: dict[str, list[float]] = {}
    seen = set()
    for each in exchanges():
        if each.provider not in {"anthropic", "google", "openai", "groq"} or each.codec is None or each.streamed:
            continue
        if not each.succeeded or each.counts_tokens or each.endpoint not in ENDPOINTS or not each.request:
            continue
        answer = each.codec.decode_response(json.loads(each.response))
        usage, text = answer.usage, answer.text
        parts = [part for choice in answer.choices for part in choice.message.parts]
        if usage is None or usage.reasoning or len(parts) != 1 or not text or text in seen or (usage.output or 0) < 40:
            continue
        if read_request(each).reasoning is not None or not isinstance(parts[0], TextPart):
            continue
        seen.add(text)
        counted = count_text(text, each.provider, each.model)
        found.setdefault(each.provider, []).append(abs(counted.tokens - usage.output) / usage.output)
    return found


ENDPOINTS = {"chat/completions", "responses", "messages", "generateContent"}


if __name__ == "__main__":
    sys.exit(main())
