"""A lab whose calls have budgets; one token of output costs a thousandth of a dollar, the prompt nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from aistrale.config.budgets import check_budgets
from aistrale.core.call import Call, Clocks, Context, StreamRules
from aistrale.cost.budgets.book import BudgetBook
from aistrale.policies import build
from aistrale.policies.assemble import spending
from aistrale.policies.breaker import CircuitBreaker
from aistrale.policies.encode import Encode
from aistrale.policies.failover import Failover, FailoverRules
from aistrale.policies.hold import Hold
from aistrale.policies.journal import Journal
from aistrale.policies.meter import Meter
from aistrale.policies.resume import Resume
from aistrale.policies.retry import Backoff, Retry
from aistrale.policies.state import States
from aistrale.reliability.breaker_types import BreakerSettings
from aistrale.reliability.budget import RetryBudgetSettings
from aistrale.types import Choice, Completion, Cost, Message, Request, Usage
from tests.policies.streaming import TARGETS, Clock, Lab

TOKEN = Decimal("0.001")


def price(provider, model, usage, **_):
    """What is asked of the model "free" costs nothing, of Groq half."""
    rate = TOKEN / 2 if provider == "groq" else TOKEN
    return Cost(rate * (usage.output_total or 0))


def unknown(provider, model, usage, **_):
    return Cost(reason="nobody knows")


def answer(tokens, text="Hello", **fields):
    return Completion(
        id="id",
        model="m",
        choices=[Choice(Message.assistant(text), "stop")],
        usage=Usage(input=1, output=tokens),
        **fields,
    )


class Till(Clock):
    """A clock that also calls functions."""

    async def invoke(self, function, /, *args):
        return function(*args)


@dataclass
class Bank(Lab):
    """A lab with budgets."""

    clock: object = field(default_factory=Till)
    allowed: list = field(default_factory=lambda: [{"limit": "1", "period": "day"}])
    price: object = price
    events: list = field(default_factory=list)
    ledger: object = None
    context: Context = field(default_factory=Context)

    def __post_init__(self):
        self.book = BudgetBook(
            check_budgets("budgets", self.allowed),
            ledger=self.ledger,
            on_event=self.events.append,
            clock=self.clock.wall,
        )
        self.states = States(
            breaker=BreakerSettings(),
            budget=RetryBudgetSettings(),
            limits={},
            rng=self.clock.random,
            on_event=lambda _: None,
        )

    def pipeline(self):
        backoff = Backoff(base=0.01, cap=0.01)
        rules = FailoverRules(when_all_down=self.when_all_down)
        journal = Journal(self, self.price)
        return build(
            {
                "meter": Meter(self, journal.settle),
                "resume": Resume(None),
                "failover": Failover(backoff, self.budget, lambda _: rules),
                "retry": Retry(backoff, self.budget),
                "breaker": CircuitBreaker(self.states.of),
                "hold": Hold(lambda _: self.predicates),
                **spending((), price=self.price, book=self.book),
                "encode": Encode(),
                "journal": journal,
            },
            self.send,
        )

    def call(self, mode="restart_before_first_token", *, stream=False, total=60.0, rules=None, **request):
        asked = Request(model="", messages=[Message.user("Count.")], stream=stream, **request)
        targets = [TARGETS[name] for name in self.legs]
        asked.model = targets[0].model
        call = Call(asked, targets, self.clock, clocks=Clocks(total=total), on_unsupported="drop", context=self.context)
        if stream:
            call.streaming = StreamRules(mode=mode, **(rules or {}))
        return call

    @property
    def stands(self):
        """What is spent and reserved, by budget."""
        return [(status.spent, status.reserved) for status in self.book.status(self.clock.wall())]
