"""What webhooks tell: events as messages of type, timestamp and data. Nothing that was said is ever among it.

Every call gives exactly one of `inference.completed` (it was answered) and `inference.failed` (it was not: an error, a
stream that broke, or an application that gave it up; `outcome` says which). `provider.failed` is told when a breaker
that was closed opens, by the process that found out; `provider.recovered` when it closes again. `dlp.violation` is a
rule that blocked, encrypted or warned: redaction is routine, and dry runs change nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from aistrale.store.records import TOKEN_BUCKETS, CallRow
from aistrale.telemetry.events import BreakerChanged, BudgetCrossed, CallFinished, DLPVerdict, ExperimentDecided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aistrale.telemetry.events import TelemetryEvent
    from aistrale.types import JSON, JSONObject

WebhookType: TypeAlias = Literal[
    "inference.completed",
    "inference.failed",
    "cost.threshold_exceeded",
    "provider.failed",
    "provider.recovered",
    "dlp.violation",
    "experiment.decided",
]
TYPES: Final[tuple[WebhookType, ...]] = get_args(WebhookType)
"""Every type of message."""

_KINDS: Final[dict[str, type[TelemetryEvent]]] = {
    "inference.completed": CallFinished,
    "inference.failed": CallFinished,
    "cost.threshold_exceeded": BudgetCrossed,
    "provider.failed": BreakerChanged,
    "provider.recovered": BreakerChanged,
    "dlp.violation": DLPVerdict,
    "experiment.decided": ExperimentDecided,
}
_VIOLATIONS: Final = frozenset({"block", "encrypt", "warn"})
_CALL: Final = (
    "route", "provider", "model", "outcome", "error", "attempts", "latency", "first_token", "user", "workspace",
    "project", "session", "name", "tags", "degraded", "cost", "cost_reason",
)  # fmt: skip
# The specification asks for small messages; labels are the application's and have no bound of their own.
_LONGEST: Final = 500
_MOST: Final = 50
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(slots=True, frozen=True, kw_only=True)
class Message:
    """What is sent, as often as it takes.

    Args:
        id: Of the message; made of the event's, so that the same fact is the same message whenever it is told.
        type: One of `TYPES`.
        at: When it happened, Unix seconds.
        body: JSON.
    """

    id: str
    type: str
    at: float
    body: bytes


def kinds(types: Iterable[str]) -> frozenset[str]:
    """The kinds of events that some types of messages are made of."""
    return frozenset(_KINDS[each].kind for each in types)


def message_of(event: TelemetryEvent, *, test: bool = False) -> Message | None:
    """The message of an event; None where it is none that webhooks tell.

    Args:
        event: Any.
        test: Whether the message says of itself that it is a sample.
    """
    told = _told(event)
    if told is None:
        return None
    kind, data = told
    moment = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload: JSONObject = {"type": kind, "timestamp": moment}
    if test:
        payload["test"] = True
    payload["data"] = {name: value for name, value in data.items() if value not in (None, "", {}, [])}
    body = json.dumps(payload, separators=(",", ":")).encode()
    return Message(id=message_id(event.id), type=kind, at=event.at, body=body)


def message_id(event_id: str) -> str:
    """The id of the message about an event: the same for the same event, and without a full stop."""
    if _PLAIN.fullmatch(event_id):
        return f"msg_{event_id}"
    return f"msg_{hashlib.sha256(event_id.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _told(event: TelemetryEvent) -> tuple[WebhookType, Mapping[str, JSON]] | None:
    match event:
        case CallFinished():
            return ("inference.completed" if event.row.outcome == "success" else "inference.failed"), _call(event)
        case BudgetCrossed():
            return "cost.threshold_exceeded", _budget(event)
        case BreakerChanged(change="opened", before="closed", news=False):
            data: JSONObject = {"target": event.target, "reason": event.reason, "open_for": event.open_for}
            return "provider.failed", _provider(event.target) | data
        case BreakerChanged(change="closed", news=False):
            return "provider.recovered", _provider(event.target) | {"target": event.target}
        case DLPVerdict(dry_run=False) if event.action in _VIOLATIONS:
            return "dlp.violation", {
                "call_id": event.call_id,
                "rule": _short(event.rule),
                "action": event.action,
                "direction": event.direction,
                "types": dict(event.types),
                "target": event.target,
            }
        case ExperimentDecided():
            return "experiment.decided", {
                "experiment": _short(event.experiment),
                "winner": _short(event.winner),
                "reason": _short(event.reason),
            }
        case _:
            return None


def _call(event: CallFinished) -> JSONObject:
    row = event.row
    data: JSONObject = {
        "call_id": row.call_id,
        "operation": row.kind,
        "model_asked": _short(row.model_asked),
        "streamed": event.streamed,
    }
    data |= {name: _short(getattr(row, name)) for name in _CALL}
    data["tokens"] = {name: count for name in TOKEN_BUCKETS if (count := getattr(row, name)) is not None}
    data["tokens_source"] = row.usage_source
    return data


def _budget(event: BudgetCrossed) -> JSONObject:
    return {
        "what": event.what,
        "budget": _short(event.budget),
        "scope": _short(event.scope),
        "period": event.period,
        "limit": str(event.limit),
        "spent": str(event.spent),
        "reserved": str(event.reserved),
        "threshold": None if event.threshold is None else str(event.threshold),
        "hard": event.hard,
        "resets": None if event.resets is None else datetime.fromtimestamp(event.resets, UTC).isoformat(),
    }


def _provider(target: str) -> JSONObject:
    """Provider and model of a target, which has its account in brackets behind it where there are several."""
    name = target.rpartition(" (")[0] if target.endswith(")") else target
    provider, _, model = name.partition("/")
    return {"provider": provider, "model": model}


def _short(value: JSON | Mapping[str, str]) -> JSON:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
    if isinstance(value, dict):
        return {str(_short(name)): _short(item) for name, item in [*value.items()][:_MOST]}
    return value  # type: ignore[return-value]  # numbers and None


def sample(kind: WebhookType, event_id: str, at: float) -> Message:
    """A message of a type, with invented facts, that says of itself that it is a test.

    Args:
        kind: Which.
        event_id: What its id is made of.
        at: Unix seconds.
    """
    row = CallRow(
        call_id=f"test_{event_id}", at=at - 1.2, latency=1.2, kind="chat", model_asked="openai/gpt-5-mini",
        outcome="success", attempts=1, first_token=0.4, provider="openai", model="gpt-5-mini", user="ada",
        project="example", tags={"purpose": "test"}, input=120, output=30, usage_source="reported", cost="0.00009",
    )  # fmt: skip
    opened = BreakerChanged(
        id=event_id, at=at, target="openai/gpt-5-mini", change="opened", before="closed", after="open",
        reason="failures", open_for=5.0,
    )  # fmt: skip
    events: dict[WebhookType, TelemetryEvent] = {
        "inference.completed": CallFinished(id=event_id, at=at, row=row),
        "inference.failed": CallFinished(
            id=event_id, at=at, row=replace(row, outcome="error", error="OverloadedError", attempts=3)
        ),
        "cost.threshold_exceeded": BudgetCrossed(
            id=event_id, at=at, what="threshold", budget="project:example", scope="project:example", period="day",
            limit=Decimal("5.00"), spent=Decimal("4.01"), reserved=Decimal("0.02"), hard=True,
            threshold=Decimal("0.8"),
        ),
        "provider.failed": opened,
        "provider.recovered": replace(opened, change="closed", before="half_open", after="closed", reason="recovered"),
        "dlp.violation": DLPVerdict(
            id=event_id, at=at, call_id=row.call_id, rule="no cards", action="block", direction="out",
            types={"CREDIT_CARD": 1}, target="openai/gpt-5-mini",
        ),
        "experiment.decided": ExperimentDecided(
            id=event_id, at=at, experiment="mini or luna", winner="mini", reason="significant"
        ),
    }  # fmt: skip
    message = message_of(events[kind], test=True)
    if message is None:
        raise AssertionError(kind)
    return message
