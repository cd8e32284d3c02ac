"""One tiny request to each provider that has a key, for `aistrale doctor --probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.cli import _screen
from aistrale.errors import AistraleError

if TYPE_CHECKING:
    from aistrale.client import Client
    from aistrale.types import JSONObject

_PROMPT = "Reply with the word: ok"
_SECONDS = 20.0


def probe_all(report: JSONObject) -> list[JSONObject]:
    """Ask every provider that is ready.

    Args:
        report: What `examine` found; failures are added to its problems.

    Returns:
        provider, model, ok and result, which for a failure is the error and what to do next.
    """
    from aistrale.client import Client

    problems = cast("list[str]", report["problems"])
    ready = [row for row in cast("list[JSONObject]", report["providers"]) if row["ready"] and row["model"]]
    if not ready:
        return []
    results = []
    try:
        with Client(retry=False) as client:
            results = [_probe(client, str(row["name"])) for row in ready]
    except AistraleError as error:
        if str(error) not in problems:
            problems.append(str(error))
    problems += [f"{row['provider']}: {row['result']}" for row in results if not row["ok"]]
    return results


def _probe(client: Client, provider: str) -> JSONObject:
    try:
        # Room for models that cannot answer without thinking; whatever one cannot take is left out.
        answer = client.run(_PROMPT, provider=provider, max_tokens=512, deadline=_SECONDS, on_unsupported="drop")
    except AistraleError as error:
        return {"provider": provider, "model": None, "ok": False, "result": f"{type(error).__name__}: {error}"}
    usage, cost = answer.usage, answer.cost
    tokens = _screen.count(usage.total if usage is not None else None)
    price = _screen.about(cost.usd if cost is not None else None)
    took = _screen.seconds(sum(attempt.latency for attempt in answer.attempts))
    return {"provider": provider, "model": answer.model, "ok": True, "result": f"ok: {took}, {tokens} tokens, {price}"}
