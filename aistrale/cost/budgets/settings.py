"""What an application says about one budget."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

OnUnknown: TypeAlias = Literal["block", "allow", "assume"]
OnUnlimited: TypeAlias = Literal["limit", "refuse"]

ALERTS: Final = (Decimal("0.5"), Decimal("0.8"), Decimal(1))


@dataclass(slots=True, frozen=True, kw_only=True)
class BudgetSettings:
    """How much may be spent, by whom, and in which time.

    Args:
        limit: US dollars.
        period: "call", "session" (a session's whole life), "day", "week" (from Monday), "month", or a rolling window:
            "rolling:24h", "rolling:7d" (m, h, d, w).
        scope: "global", or KIND:VALUE with KIND one of workspace, project, user, session, tag (`tag:KEY=VALUE`), model
            (`model:PROVIDER/MODEL`), provider, route, name, budget (what runs inside `aistrale.context(budget=VALUE)`).
            The value "*" makes one budget for each value.
        hard: Whether the limit limits: money is reserved before an attempt is sent, what does not fit is refused, and
            a stream is cut before it would cost more. A soft budget only tells.
        name: In errors, events and the status; scope and period where it is not given.
        alerts: At which shares of the limit an event is told, once per period.
        on_unknown: What happens to attempts whose price, or whose longest answer, is not known: "block" refuses them
            (the default of hard budgets), "allow" lets them pass uncounted (of soft ones), "assume" counts them at the
            rates of `assume`.
        assume: US dollars per million tokens, "input" and "output".
        on_unlimited: What happens to an answer that nobody limited (for streams also: to more than 1,024 tokens) where
            what is left cannot pay for its longest form: "limit" asks the provider for no more than what is left pays
            for, "refuse" does not send it.
        timezone: Of day, week and month, an IANA name.
        wait: Most seconds that an attempt waits for money that others have reserved and may not need; None for as long
            as the call's deadline allows, 0 for not at all.
        output: Tokens that are reserved for the answer of a call without `max_tokens`; None for all that the model can
            write, which alone is certain to be enough.
    """

    limit: Decimal
    period: str
    scope: str = "global"
    hard: bool = True
    name: str | None = None
    alerts: tuple[Decimal, ...] = ALERTS
    on_unknown: OnUnknown | None = None
    assume: Mapping[str, Decimal] | None = None
    on_unlimited: OnUnlimited = "limit"
    timezone: str = "UTC"
    wait: float | None = None
    output: int | None = None

    @property
    def title(self) -> str:
        """Its name, or what stands in for one."""
        return self.name or f"{self.scope} per {self.period}"

    @property
    def unknown(self) -> OnUnknown:
        """What happens to attempts of unknown price."""
        return self.on_unknown or ("block" if self.hard else "allow")
