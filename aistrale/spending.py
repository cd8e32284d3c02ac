"""What a client can be asked about money: what was spent, on what, where it is going, and what could be saved.

Everything is read from the ledger, with libraries that are loaded at the first question. The functions block; async
clients run them in a worker thread.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypedDict

from aistrale.config.values import unknown_key
from aistrale.options import build_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aistrale.core.call import Target
    from aistrale.cost.advice.types import Advice
    from aistrale.cost.anomalies.burn_rate import Burn
    from aistrale.cost.budgets.book import BudgetStatus
    from aistrale.cost.forecasts.result import Forecast, MonthForecast
    from aistrale.cost.optimization.optimizer import Status
    from aistrale.cost.outlook import SpendAnomaly
    from aistrale.cost.report import CostReport
    from aistrale.cost.tokens.counters import Count
    from aistrale.cost.tokens.prediction import Estimate
    from aistrale.engine import Engine
    from aistrale.options import Options, Prompt
    from aistrale.types import Request

# Answers further back say little about those of today.
_HISTORY_DAYS: Final = 30
_HISTORY_CALLS: Final = 500


class Window(TypedDict, total=False):
    """Which attempts a report is about.

    Args:
        since: Aware; only those sent at or after it.
        until: Aware; only those sent before it.
        where: Only those with these values, by dimension: `{"project": "shop"}`; None for those without a value.
    """

    since: datetime | None
    until: datetime | None
    where: Mapping[str, str | None] | None


def costs(engine: Engine, by: str | Sequence[str], window: Window) -> CostReport:
    """What calls cost, by any dimensions of the ledger."""
    from aistrale.cost import report

    return report.costs(engine.ledger, by=by, book=engine.accounts.book, **window)


def budgets(engine: Engine) -> list[BudgetStatus]:
    """What the client's budgets stand at."""
    return engine.accounts.budgets.status()


def optimization(engine: Engine) -> list[Status]:
    """Where every automatic change stands; none where nothing is optimised."""
    optimizer = engine.accounts.optimizer
    return [] if optimizer is None else optimizer.status()


def reset_optimization(engine: Engine, change: str | None) -> None:
    """Allow a change again that was taken back, or all of them."""
    if change is not None and change not in (known := [each.change for each in optimization(engine)]):
        raise unknown_key(change, known, "change")
    if engine.accounts.optimizer is not None:
        engine.accounts.optimizer.reset(change)


def forecast(engine: Engine, days: int, where: Mapping[str, str | None] | None = None) -> Forecast:
    """What the coming days will bring, today's rest first."""
    from aistrale.cost.outlook import forecast_spend
    from aistrale.cost.series import daily_spend

    return forecast_spend(daily_spend(engine.ledger, where=where), days)


def month(engine: Engine, where: Mapping[str, str | None] | None = None) -> MonthForecast:
    """This month: what was spent of it, and what its rest will bring."""
    from aistrale.cost.outlook import month_spend
    from aistrale.cost.series import daily_spend

    return month_spend(daily_spend(engine.ledger, where=where))


def anomalies(engine: Engine, days: int, where: Mapping[str, str | None] | None = None) -> list[SpendAnomaly]:
    """Unusual days of the last ones, and who made them so."""
    from aistrale.cost.outlook import find_anomalies
    from aistrale.cost.series import daily_spend

    series = daily_spend(engine.ledger, where=where)
    return find_anomalies(engine.ledger, series, since=series.now - timedelta(days=days), where=where)


def burning(engine: Engine, hours: float, budget: float | None) -> list[Burn]:
    """Where money burned too fast in the last hours."""
    from aistrale.cost.burning import burning as find

    return find(engine.ledger, within=timedelta(hours=hours), budget=budget)


def advise(engine: Engine, days: int) -> list[Advice]:
    """What could be changed to pay less, with its evidence."""
    from aistrale.cost.advice import advise as advice

    now = datetime.now(UTC)
    exchanges = engine.ledger.exchanges(since=now - timedelta(days=days))
    return advice.advise(exchanges, engine.accounts.book, now=now, days=days)


def score(engine: Engine, call_id: str, value: float, name: str) -> bool:
    """Write down how good an answer was; whether the ledger has acknowledged it."""
    from aistrale.store.scores import score as write

    acknowledged = write(engine.ledger, call_id, value, name)
    if engine.accounts.optimizer is not None:
        engine.accounts.optimizer.score(call_id, value)
    if engine.reporting.hub is not None:
        from aistrale.telemetry.events import AnswerScored

        engine.reporting.hub.emit(AnswerScored(call_id=call_id, name=name, score=float(value)))
    return acknowledged


def count_tokens(engine: Engine, prompt: Prompt, options: Options) -> Count:
    """How many input tokens a prompt has at the model that the options name."""
    from aistrale.cost.tokens import prediction

    request, target = _request(engine, prompt, options)
    return prediction.count_tokens(
        request,
        target.provider.name,
        target.model,
        facts=target.facts,
        dialect=target.dialect,
        calibration=engine.accounts.calibration,
    )


def estimate(engine: Engine, prompt: Prompt, options: Options) -> Estimate:
    """What a call will use and cost, by what its model, or its route, has answered before."""
    from aistrale.cost.tokens.prediction import predict

    request, target = _request(engine, prompt, options)
    since = datetime.now(UTC) - timedelta(days=_HISTORY_DAYS)
    model = f"{target.provider.name}/{target.model}"
    return predict(
        request,
        target.provider.name,
        target.model,
        history=engine.ledger.exchanges(since=since, where={"model": model}, limit=_HISTORY_CALLS),
        book=engine.accounts.book,
        calibration=engine.accounts.calibration,
        facts=target.facts,
        dialect=target.dialect,
    )


def _request(engine: Engine, prompt: Prompt, options: Options) -> tuple[Request, Target]:
    """What would be sent, and where to first; nothing is sent."""
    request = build_request(prompt, options)
    target = engine.targets(options)[0][0]
    return replace(request, model=target.model), target
