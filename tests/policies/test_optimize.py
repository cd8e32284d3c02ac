"""Optimisation of calls: what is changed, what never is, and what the optimiser hears of it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from decimal import Decimal

import pytest

from aistrale.core.call import Context
from aistrale.cost.optimization.optimizer import Optimizer, OptimizeSettings
from aistrale.cost.prices import price_usage
from aistrale.errors import BudgetExceeded, ConfigurationError, ServerError
from aistrale.policies.optimize import Optimize
from aistrale.routing.strategies import RouteRule
from aistrale.types import CacheHint, Cost, MediaPart, Message, ReasoningPart, Request, TextPart, Tool
from tests.policies.upstream import DRIVES, Desk, Upstream, lesser, said, target

ROWS = json.dumps([{"id": number, "name": f"item {number}"} for number in range(20)], indent=4)
SHORT = json.dumps(json.loads(ROWS), separators=(",", ":"))
BIG, SMALL = "openai/gpt-6-sol", "openai/gpt-6-luna"


@pytest.fixture(params=DRIVES)
def drive(request):
    return DRIVES[request.param]


class Table:
    """A desk whose calls are optimised."""

    def __init__(
        self,
        *answers,
        inside=(),
        targets=(BIG,),
        route=None,
        target_of=target,
        rules=None,
        price=price_usage,
        **settings,
    ):
        self.told = []
        self.optimizer = Optimizer(
            OptimizeSettings(**{"share": 0.95, "max_share": 0.95, **settings}), listener=self.told.append
        )
        self.upstream = Upstream(*answers)
        self.policy = Optimize(
            self.optimizer, target_of, {"chat": RouteRule()} if rules is None else rules, price=price
        )
        self.desk = Desk(self.upstream, self.policy, *inside, targets=targets)
        self.route = route

    def ask(self, *messages, drive=DRIVES["sync"], context=None, **fields):
        """The call, after it was answered; a message may be a text."""
        request = Request(
            model="m",
            messages=[each if isinstance(each, Message) else Message.user(each) for each in messages],
            **fields,
        )

        async def body(runtime):
            call = self.desk.call(runtime, context=context)
            call.request, call.route = request, self.route
            await self.desk.run(call)
            return call

        return drive(body)

    def changed(self, *messages, **fields):
        """A call that has been changed; the draw leaves out one in twenty."""
        for _ in range(50):
            call = self.ask(*messages, **fields)
            if call.optimized:
                return call
        raise AssertionError("no call was changed")


def texts(call):
    return [part.text for message in call.request.messages for part in message.parts]


# --- shorter prompts


def test_a_prompt_loses_what_carries_no_meaning(drive):
    table = Table(compact=True)
    original = Message.user(f"Data:\n\n{ROWS}", "Thanks.")
    call = table.changed(Message.system(ROWS), original, drive=drive)
    assert texts(call) == [SHORT, f"Data:\n\n{SHORT}", "Thanks."]
    assert call.optimized == ("compact",)
    # What the application holds is its own.
    assert original.parts[0].text == f"Data:\n\n{ROWS}"
    event = next(event for event in table.told if event.call_id == call.id)
    assert (event.what, event.change) == ("applied", "compact")
    assert event.saved_tokens > 100


def test_large_prompts_are_shortened_off_the_event_loop(drive):
    table = Table(compact=True)
    many = range(60)
    call = table.changed("\n\n".join(f"{number}: {ROWS}" for number in many), drive=drive)
    assert texts(call) == ["\n\n".join(f"{number}: {SHORT}" for number in many)]


def test_results_of_tools_are_shortened(drive):
    call = Table(compact=True).changed("hi", Message.tool("1", ROWS), drive=drive)
    assert call.request.messages[1].parts[0].text == SHORT


def _untouched(table, *messages, **fields):
    for _ in range(5):
        call = table.ask(*messages, **fields)
        assert call.optimized == ()
        assert call.request.messages == list(messages)
    return call


def test_what_models_said_stays():
    _untouched(Table(compact=True), Message.assistant(ROWS), Message("assistant", [ReasoningPart(ROWS)]))
    # Also where the same text stands elsewhere.
    _untouched(Table(compact=True), Message.user(ROWS), Message.assistant(ROWS))


def test_what_is_marked_for_the_providers_cache_stays():
    marked = Message("user", [TextPart(ROWS), TextPart("end", cache=CacheHint())])
    table = Table(compact=True)
    _untouched(table, Message.system(ROWS + "\n"), marked)
    call = table.changed(marked, Message.user(f"New: {ROWS}"))
    assert texts(call) == [ROWS, "end", f"New: {SHORT}"]


def test_tools_stay():
    tool = Tool("f", ROWS, {"type": "object", "description": ROWS})
    call = Table(compact=True).changed(ROWS, tools=[tool])
    assert call.request.tools == [tool]
    assert texts(call) == [SHORT]


def test_a_few_tokens_are_not_worth_it():
    _untouched(Table(compact=True), Message.user("One.   \nTwo.\n\n\n\nThree."))


def test_placeholders_of_redaction_come_through():
    call = Table(compact=True).changed(f"[[EMAIL_1]]\n\n{ROWS}\n\n[[PERSON_2]]")
    assert texts(call) == [f"[[EMAIL_1]]\n\n{SHORT}\n\n[[PERSON_2]]"]


def test_embeddings_stay(drive):
    table = Table(compact=True, models={BIG: SMALL})

    async def body(runtime):
        return await table.desk.ask(runtime, embed=[ROWS])

    _, call = drive(body)
    assert (call.request.inputs, call.target.name, call.optimized) == ([ROWS], BIG, ())
    assert table.optimizer.status() == []


# --- cheaper models


def test_another_model_is_asked_first_and_the_one_that_was_asked_for_stays_behind_it(drive):
    call = Table(models={BIG: SMALL}, targets=(BIG, "anthropic/claude-sonnet-5")).changed("hi", drive=drive)
    assert [each.name for each in call.targets] == [SMALL, BIG, "anthropic/claude-sonnet-5"]
    assert call.target.name == SMALL
    assert call.optimized == (f"model:{BIG}>{SMALL}",)


def test_a_model_that_cannot_be_asked_is_left_out_with_one_warning(caplog):
    def nothing(name):
        raise ConfigurationError(f"no key for {name}")

    with caplog.at_level(logging.WARNING, "aistrale.optimize"):
        _untouched(Table(models={BIG: SMALL}, target_of=nothing), Message.user("hi"))
    assert caplog.text.count("cannot be used") == 1


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ([Message.user(MediaPart("audio", data="AAAA", media_type="audio/wav"))], {}),
        ([Message.user("x" * 6_000_000)], {}),
        ([Message.user("hi")], {"max_tokens": 1_000_000}),
    ],
)
def test_a_model_that_cannot_do_it_is_not_asked(messages, fields):
    _untouched(Table(models={BIG: SMALL}), *messages, **fields)


def test_the_cheapest_target_of_a_named_route_comes_first(drive):
    targets = ("anthropic/claude-sonnet-5", SMALL, "openai/gpt-6.1-terra")
    call = Table(cheaper=("chat",), route="chat", targets=targets).changed("hi", drive=drive)
    assert [each.name for each in call.targets] == [SMALL, targets[0], targets[2]]
    assert call.optimized == ("cheaper:chat",)
    _untouched(Table(cheaper=("other",), route="chat", targets=targets), Message.user("hi"))
    _untouched(Table(cheaper=True, targets=targets), Message.user("hi"))
    _untouched(Table(cheaper=True, route="chat", targets=(SMALL, targets[0])), Message.user("hi"))


def test_prices_may_be_ones_own():
    def price(provider, model, usage):
        return Cost(Decimal(1 if provider == "anthropic" else 2))

    table = Table(cheaper=True, route="chat", targets=(SMALL, "anthropic/claude-sonnet-5"), price=price)
    assert table.changed("hi").target.name == "anthropic/claude-sonnet-5"


def test_a_route_that_orders_its_targets_itself_is_left_to_it():
    rules = {"chat": RouteRule(strategy="round_robin")}
    table = Table(cheaper=True, models={BIG: SMALL}, route="chat", targets=(BIG, SMALL), rules=rules)
    _untouched(table, Message.user("hi"))


# --- what the optimiser hears


def _arms(table):
    (status,) = table.optimizer.status()
    return status.calls, status.success


def test_calls_with_and_without_the_change_are_counted(drive):
    table = Table(compact=True, share=0.5)
    calls = [table.ask(ROWS, drive=drive) for _ in range(40)]
    treated = sum(call.optimized == ("compact",) for call in calls)
    assert 5 < treated < 35
    assert _arms(table) == ((treated, 40 - treated), (1.0, 1.0))
    assert all(table.optimizer.score(call.id, 0.5) for call in calls)
    # What could not have been changed is no call without the change.
    call = table.ask("hi", drive=drive)
    assert not table.optimizer.score(call.id, 0.5)
    assert sum(_arms(table)[0]) == 40


@pytest.mark.parametrize(
    ("error", "counted"), [(ServerError("down", status=500), 1), (BudgetExceeded("spent"), 0), (KeyError("bug"), 0)]
)
def test_errors_of_providers_count_as_failures_and_others_do_not(drive, error, counted):
    table = Table(error, compact=True)
    with pytest.raises(type(error)):
        table.ask(ROWS, drive=drive)
    assert sum(_arms(table)[0]) == counted


def test_lesser_answers_say_nothing(drive):
    table = Table(compact=True, inside=[lesser])
    table.ask(ROWS, drive=drive)
    assert sum(_arms(table)[0]) == 0


def test_streams_count_when_they_end(drive):
    table = Table(said("Hello there"), compact=True)
    table.ask(ROWS, drive=drive, stream=True)
    assert sum(_arms(table)[0]) == 1


def test_a_session_stays_with_what_it_has():
    table = Table(compact=True, share=0.5)
    for name in map(str, range(20)):
        found = {table.ask(ROWS, context=Context(session=name)).optimized for _ in range(5)}
        assert len(found) == 1


def test_what_was_taken_back_is_done_no_more():
    table = Table(lambda call: said() if not call.optimized else ServerError("no", status=500), compact=True, share=0.5)
    for _ in range(400):
        with suppress(ServerError):
            table.ask(ROWS)
    assert [event.what for event in table.told if event.call_id is None] == ["undone"]
    _untouched(table, Message.user(ROWS))


def test_a_failure_of_ours_lets_the_call_go_as_it_is(caplog, monkeypatch):
    table = Table(compact=True)

    def broken(*_, **__):
        raise RuntimeError("ours")

    monkeypatch.setattr(table.optimizer, "chosen", broken)
    _untouched(table, Message.user(ROWS))
    assert "is not optimised: RuntimeError" in caplog.text


def test_it_says_what_it_does():
    table = Table(compact=True, models={BIG: SMALL}, cheaper=("chat",), share=0.1, max_share=0.5)
    assert table.policy.describe() == (
        "compacts prompts; openai/gpt-6-sol to openai/gpt-6-luna; cheaper targets first (chat): 10% to 50% of the calls"
    )
