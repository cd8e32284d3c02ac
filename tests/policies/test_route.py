from __future__ import annotations

from collections import Counter

import pytest

from aistrale.errors import ServerError
from aistrale.policies.route import Route
from aistrale.routing.health import TargetStats
from aistrale.routing.strategies import RouteRule

ONE, TWO, THREE = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "groq/llama-3.3-70b-versatile"


async def one_by_one(call, call_next):
    """The least of a failover: what the order is made for."""
    *others, last = call.targets
    for target in others:
        call.target = target
        try:
            return await call_next(call)
        except ServerError:
            continue
    call.target = last
    return await call_next(call)


class Desk:
    """The statistics and the breakers that a route asks for."""

    def __init__(self):
        self.stats = {name: TargetStats() for name in (ONE, TWO, THREE)}
        self.states = {}
        self.asked = Counter()

    def of(self, target):
        self.asked["stats"] += 1
        return self.stats[target.name]

    def state(self, target, now):
        assert now == 100.0
        self.asked["state"] += 1
        return self.states.get(target.name, "closed")

    def route(self, **rules):
        return Route(rules, self.of, self.state)


def fine(script):
    return script(steps={ONE: ["1"], TWO: ["2"], THREE: ["3"]})


def names(call):
    return [target.name for target in call.targets]


def test_a_call_goes_where_the_strategy_says(script):
    sim = fine(script)
    route = Desk().route(chat=RouteRule(strategy="round_robin"))
    answers = [sim.run(sim.call(route="chat"), route=route, failover=one_by_one) for _ in range(6)]
    assert answers == ["1", "2", "3"] * 2


def test_failover_follows_the_order(script):
    sim = script(steps={ONE: [ServerError("down", status=500)], TWO: [ServerError("down", status=500)], THREE: ["3"]})
    weights = {ONE: 0.0, TWO: 1.0, THREE: 0.0}
    route = Desk().route(chat=RouteRule(strategy="weighted", weights=weights))
    assert sim.run(sim.call(route="chat"), route=route, failover=one_by_one) == "3"
    assert sim.tried == [TWO, ONE, THREE]


def test_the_list_that_others_may_hold_is_left_alone(script):
    sim, desk = fine(script), Desk()
    desk.states[ONE] = "open"
    call = sim.call(route="chat")
    shared, before = call.targets, names(call)
    sim.run(call, route=desk.route(chat=RouteRule(strategy="round_robin")), failover=one_by_one)
    assert call.targets is not shared
    assert [target.name for target in shared] == before


def test_each_route_takes_its_own_turns(script):
    sim = fine(script)
    rule = RouteRule(strategy="round_robin")
    route = Desk().route(chat=rule, code=rule)
    answers = [sim.run(sim.call(route=name), route=route) for name in ("chat", "code", "chat", "code", "code")]
    assert answers == ["1", "1", "2", "2", "3"]


def test_a_weight_that_is_not_named_is_one(script):
    sim = fine(script)
    route = Desk().route(chat=RouteRule(strategy="weighted", weights={TWO: 2}))
    answers = Counter(sim.run(sim.call(route="chat"), route=route) for _ in range(40))
    assert answers == {"1": 10, "2": 20, "3": 10}


def test_weights_stay_with_their_targets_when_one_was_filtered_out(script):
    sim = fine(script)
    route = Desk().route(chat=RouteRule(strategy="weighted", weights={ONE: 5, TWO: 1, THREE: 3}))
    answers = Counter()
    for _ in range(40):
        call = sim.call(route="chat")
        call.targets = call.targets[1:]
        answers[sim.run(call, route=route)] += 1
    assert answers == {"2": 10, "3": 30}


def test_open_breakers_come_last_in_any_order_of_the_strategy(script):
    for strategy in ("priority", "weighted", "health", "latency", "least_in_flight", "round_robin"):
        sim, desk = fine(script), Desk()
        desk.states |= {ONE: "open", TWO: "half_open"}
        route = desk.route(chat=RouteRule(strategy=strategy))
        firsts = set()
        for _ in range(12):
            call = sim.call(route="chat")
            firsts.add(sim.run(call, route=route, failover=one_by_one))
            assert names(call)[2] == ONE
            assert sorted(names(call)) == sorted([ONE, TWO, THREE])
            assert call.targets[0] is call.target
        assert firsts <= {"2", "3"}


def test_where_all_are_open_the_order_stands(script):
    sim, desk = fine(script), Desk()
    desk.states |= {ONE: "open", TWO: "open", THREE: "open"}
    call = sim.call(route="chat")
    assert sim.run(call, route=desk.route(chat=RouteRule()), failover=one_by_one) == "1"
    assert names(call) == [ONE, TWO, THREE]


def test_several_open_ones_keep_their_order_behind_the_others(script):
    sim, desk = fine(script), Desk()
    desk.states |= {ONE: "open", TWO: "forced_open", THREE: "forced_closed"}
    call = sim.call(route="chat")
    sim.run(call, route=desk.route(chat=RouteRule()))
    assert names(call) == [THREE, ONE, TWO]


def test_targets_of_no_route_keep_their_order_but_for_open_breakers(script):
    sim, desk = fine(script), Desk()
    route = desk.route(chat=RouteRule(strategy="round_robin"))
    assert [sim.run(sim.call(), route=route) for _ in range(3)] == ["1"] * 3
    assert [sim.run(sim.call(route="other"), route=route) for _ in range(3)] == ["1"] * 3
    desk.states[ONE] = "open"
    assert sim.run(sim.call(), route=route) == "2"


def test_one_target_is_not_looked_at(script):
    sim, desk = script(steps={ONE: ["1"]}), Desk()
    desk.states[ONE] = "open"
    assert sim.run(sim.call(route="chat"), route=desk.route(chat=RouteRule(strategy="health"))) == "1"
    assert desk.asked == {}


def test_priority_asks_for_no_statistics(script):
    sim, desk = fine(script), Desk()
    sim.run(sim.call(route="chat"), route=desk.route(chat=RouteRule()))
    assert desk.asked == {"state": 3}


def test_the_best_score_answers(script):
    sim, desk = fine(script), Desk()
    for name in (ONE, TWO):
        desk.stats[name].began(100.0)
        desk.stats[name].ended(100.0, outcome="failure", latency=1.0)
    assert sim.run(sim.call(route="chat"), route=desk.route(chat=RouteRule(strategy="health"))) == "3"


def test_streams_are_judged_by_their_first_token(script):
    sim, desk = fine(script), Desk()
    for name, whole, first in ((ONE, 1.0, 3.0), (TWO, 2.0, 2.0), (THREE, 3.0, 1.0)):
        for timing in ({"latency": whole}, {"latency": 9.0, "first_token": first}):
            desk.stats[name].began(99.0)
            desk.stats[name].ended(99.0, outcome="success", **timing)
    route = desk.route(chat=RouteRule(strategy="latency"))
    for stream, never in ((False, "3"), (True, "1")):
        answers = set()
        for _ in range(60):
            call = sim.call(route="chat")
            call.request.stream = stream
            answers.add(sim.run(call, route=route))
        assert never not in answers
        assert len(answers) == 2


def test_every_target_is_tried_once_before_giving_up(script):
    steps = {name: [ServerError("down", status=500)] for name in (ONE, TWO, THREE)}
    sim = script(steps=steps)
    with pytest.raises(ServerError):
        sim.run(sim.call(route="chat"), route=Desk().route(chat=RouteRule(strategy="latency")), failover=one_by_one)
    assert sorted(sim.tried) == sorted([ONE, TWO, THREE])


def test_it_says_what_it_does():
    route = Desk().route(chat=RouteRule(), code=RouteRule(strategy="weighted", weights={ONE: 3, TWO: 0.5}))
    assert route.describe() == (
        f"chat: priority; code: weighted ({ONE} 3, {TWO} 0.5); targets with an open breaker last"
    )
    assert Desk().route().describe() == "no routes; targets with an open breaker last"
