"""The breaker against a model that remembers every call in a plain list, under any order of what can happen.

B1 to B10 are the properties that the design asks for: one probe at a time, permits back exactly once, nothing passes
while open, trips exactly when the rule holds, late results change nothing, clock jumps change nothing, no wedge, no
waiting for calls (in `test_breaker_threads.py`), transitions in a line, bounded memory.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aistrale.reliability.breaker import Breaker, BreakerEvent, BreakerSettings, Permit, Rejected

PASSING = {"closed", "forced_closed", "metrics_only"}
PAUSES = st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.0, 3.0, 4.5, 10.0, 29.875, 30.0, 60.0, 61.0, 500.0])
OUTCOMES = st.sampled_from(["success", "success", "failure", "failure", "failure", "slow", "ignored"])


class Dice(random.Random):
    """Every draw lies at the same share of its range, so that the model can know it."""

    share = 0.5

    def uniform(self, a: float, b: float) -> float:
        return a + self.share * (b - a)


@dataclass
class Flight:
    """A call under way, as the model knows it."""

    permit: Permit
    epoch: int
    lease_end: float


class Model:
    """What the breaker should be, said as plainly as possible; `now` is true time, which never jumps."""

    def __init__(self, own: BreakerSettings, share: float) -> None:
        self.own, self.jitter = own, 0.5 + share
        self.epoch = self.late = self.rejected = self.lost = 0
        self.fresh()

    def fresh(self) -> None:
        self.state, self.since = "closed", None
        self.row = 0
        self.log: list[tuple[float, str]] = []
        self.streak = self.good = 0
        self.until = self.barred = self.trickle_at = float("-inf")
        self.probe: Flight | None = None

    def enter(self, state: str, now: float) -> None:
        self.state, self.since = state, now
        self.epoch += 1
        self.good, self.probe = 0, None
        if state == "closed":
            self.log, self.row = [], 0
            self.until = self.barred = float("-inf")

    def ripen(self, now: float) -> None:
        if self.state == "open" and now >= self.until:
            self.state, self.since = "half_open", now

    def shown(self, now: float) -> str:
        return "half_open" if self.state == "open" and now >= self.until else self.state

    def forgive(self, now: float) -> None:
        if self.state == "closed" and self.since is not None and now - self.since >= self.own.healthy:
            self.streak = 0

    def trip(self, now: float) -> None:
        self.forgive(now)
        self.until = now + self.jitter * min(self.own.cap, self.own.base * 2.0**self.streak)
        self.trickle_at = now + self.jitter * self.own.trickle
        self.streak += 1
        self.enter("open", now)

    def busy(self, now: float) -> bool:
        return self.probe is not None and now < self.probe.lease_end

    def may_pass(self, now: float, *, last: bool) -> bool:
        state = self.shown(now)
        if state in PASSING:
            return True
        if state == "forced_open":
            return False
        if self.spares(now, last=last):
            return True
        if self.busy(now):
            return False
        trickles = last and self.own.trickle > 0 and now >= self.trickle_at and now >= self.barred
        return state == "half_open" or trickles

    def kept(self, now: float) -> list[str]:
        width = self.own.window / self.own.slices
        return [what for when, what in self.log if when // width > now // width - self.own.slices]

    def grown(self, needed: int, now: float) -> int:
        size = 5
        while size < len(self.kept(now)):
            needed, size = needed + 1, size * 2
        return needed

    def dead(self, now: float) -> bool:
        return self.row >= self.grown(self.own.last_in_a_row, now)

    def spares(self, now: float, *, last: bool) -> bool:
        return last and self.own.trickle > 0 and now >= self.barred and not self.dead(now)

    def rule_holds(self, now: float, *, last: bool) -> bool:
        if last and self.own.trickle > 0:
            return self.dead(now)
        kept = self.kept(now)
        if self.row >= self.grown(self.own.in_a_row, now):
            return True
        if len(kept) < self.own.minimum:
            return False
        return (
            kept.count("failure") / len(kept) >= self.own.rate or kept.count("slow") / len(kept) >= self.own.slow_rate
        )

    def settle(self, flight: Flight, outcome: str, now: float) -> None:
        if flight.epoch != self.epoch:
            self.late += 1
        elif flight.permit.probe:
            if self.probe is flight:
                self.probe = None
            if outcome != "ignored":
                self.judge(outcome, now)
        elif outcome != "ignored" and self.state != "forced_closed":
            self.log.append((now, outcome))
            self.row = 0 if outcome == "success" else self.row + 1
            holds = self.rule_holds(now, last=flight.permit.last)
            if outcome != "success" and self.state == "closed" and holds:
                self.trip(now)

    def judge(self, outcome: str, now: float) -> None:
        self.ripen(now)
        if outcome == "success":
            self.row = 0
            self.good += 1
            if self.state == "open":
                self.until = now
                self.ripen(now)
            if self.good == self.own.closes_after:
                self.enter("closed", now)
        elif self.state == "half_open":
            self.trip(now)
        else:
            self.trickle_at = now + self.jitter * self.own.trickle

    def bar(self, until: float, now: float) -> None:
        if until <= now or self.state in {"forced_open", "forced_closed", "metrics_only"}:
            return
        self.ripen(now)
        if self.state != "open":
            self.forgive(now)
            self.until = self.barred = until
            self.enter("open", now)
        else:
            self.barred = max(self.barred, until)
            self.until = max(self.until, until)
            self.epoch += 1
            self.probe = None


class BreakerMachine(RuleBasedStateMachine):
    """Several callers that come, answer late, twice or never, while time passes, jumps and goes wrong."""

    @initialize(
        own=st.builds(
            BreakerSettings,
            minimum=st.sampled_from([1, 2, 5, 8]),
            rate=st.sampled_from([0.3, 0.5, 1.0]),
            in_a_row=st.sampled_from([1, 3, 3, 100]),
            last_in_a_row=st.sampled_from([1, 3, 5, 8]),
            slow_rate=st.sampled_from([0.3, 0.8, 1.0]),
            cap=st.sampled_from([5.0, 20.0, 300.0]),
            healthy=st.sampled_from([0.0, 60.0]),
            closes_after=st.sampled_from([1, 2, 3]),
            lease=st.sampled_from([8.0, 60.0]),
            trickle=st.sampled_from([0.0, 3.0]),
        ),
        share=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def begin(self, own: BreakerSettings, share: float) -> None:
        dice = Dice(0)
        dice.share = share
        self.events: list[BreakerEvent] = []
        self.breaker = Breaker("x", own, dice, self.events.append)
        self.model = Model(own, share)
        self.flights: list[Flight] = []
        self.done: list[Flight] = []
        # True time, and what the process's clock shows for it. All instants and times of the test are eighths of a
        # second, hence exact.
        self.now, self.shift = 64.0, 0.0
        self.told = "closed"

    def clock(self) -> float:
        return self.now + self.shift

    # --- what callers do ---

    @rule(outcomes=st.lists(OUTCOMES, min_size=1, max_size=8), pause=PAUSES, last=st.booleans())
    def call(self, outcomes: list[str], pause: float, last: bool) -> None:
        for outcome in outcomes:
            under_way = len(self.flights)
            self.admit(last, None)
            self.now += min(pause, 10.0)
            if len(self.flights) > under_way:
                self.report(under_way, outcome)

    @rule(last=st.booleans(), lease=st.sampled_from([None, 0.5, 8.0, 1000.0]))
    def admit(self, last: bool, lease: float | None) -> None:
        model, breaker = self.model, self.breaker
        expected = model.may_pass(self.now, last=last)
        assert (breaker.ready_in(self.clock(), last=last) == 0.0) == expected
        answer = breaker.admit(self.clock(), last=last, lease=lease)
        assert isinstance(answer, Permit) == expected
        model.ripen(self.now)
        if isinstance(answer, Permit):
            assert not answer.returned
            spare = model.spares(self.now, last=last) and (model.state == "open" or model.busy(self.now))
            assert answer.probe == (model.state not in PASSING and not spare)
            assert answer.last == last or answer.probe
            flight = Flight(answer, model.epoch, self.now + min(model.own.lease, 1e9 if lease is None else lease))
            self.flights.append(flight)
            if answer.probe:
                model.lost += model.probe is not None
                model.probe = flight
                model.trickle_at = self.now + model.jitter * model.own.trickle
        else:
            model.rejected += 1
            self.check_rejection(answer, last=last)

    def check_rejection(self, answer: Rejected, *, last: bool) -> None:
        model = self.model
        assert (answer.state, answer.since) == (model.state, (model.since or 0.0) + self.shift)
        if model.state == "forced_open":
            assert (answer.retry_after, answer.reason) == (None, "forced")
            return
        wait = answer.retry_after
        assert wait is not None
        assert wait > 0
        if not model.busy(self.now):
            assert model.may_pass(self.now + wait, last=last)
            assert not model.may_pass(self.now + wait - 1e-5, last=last)

    @precondition(lambda self: self.flights)
    @rule(index=st.integers(0, 99), outcome=OUTCOMES)
    def report(self, index: int, outcome: str) -> None:
        flight = self.flights.pop(index % len(self.flights))
        before = self.breaker.snapshot(self.clock())
        self.breaker.report(flight.permit, outcome, self.clock())
        assert flight.permit.returned
        if flight.epoch != self.model.epoch:
            assert self.breaker.snapshot(self.clock()) == replace(before, late=before.late + 1)
        self.model.settle(flight, outcome, self.now)
        self.done.append(flight)

    @precondition(lambda self: self.flights)
    @rule(outcome=st.sampled_from(["failure", "slow", "success"]), most=st.integers(2, 8))
    def report_many(self, outcome: str, most: int) -> None:
        for _ in range(min(most, len(self.flights))):
            self.report(0, outcome)

    @rule(most=st.integers(2, 8))
    def admit_many(self, most: int) -> None:
        for _ in range(most):
            self.admit(last=False, lease=None)

    @precondition(lambda self: self.done)
    @rule(index=st.integers(0, 99), outcome=OUTCOMES)
    def report_again(self, index: int, outcome: str) -> None:
        before = self.breaker.snapshot(self.clock())
        self.breaker.report(self.done[index % len(self.done)].permit, outcome, self.clock())
        assert self.breaker.snapshot(self.clock()) == before

    @precondition(lambda self: self.flights)
    @rule(index=st.integers(0, 99))
    def lose(self, index: int) -> None:
        self.flights.pop(index % len(self.flights))

    # --- what the owner does ---

    # One rule for all of it: most of the steps should go to calls, or the deeper states are never reached.
    @rule(act=st.sampled_from(["news", "news", "force", "reset", "fork"]), data=st.data())
    def steer(self, act: str, data: st.DataObject) -> None:
        if act == "news":
            self.news(data.draw(st.sampled_from([-1.0, 0.0, 0.5, 4.0, 30.0, 600.0]), "seconds ahead"))
        elif act == "force":
            self.force(data.draw(st.sampled_from(["open", "closed", "metrics_only", None]), "state"))
        elif act == "reset":
            self.breaker.reset(self.clock())
            self.model.fresh()
            self.model.enter("closed", self.now)
        else:
            self.breaker.after_fork()
            self.model.epoch += 1
            self.model.probe = None

    def news(self, ahead: float) -> None:
        self.breaker.open_until(self.clock() + ahead, self.clock(), "quota")
        self.model.bar(self.now + ahead, self.now)

    def force(self, state: str | None) -> None:
        self.breaker.force(state, self.clock())
        model = self.model
        wanted = {"open": "forced_open", "closed": "forced_closed", None: "closed"}.get(state, state)
        by_hand = model.state in {"forced_open", "forced_closed", "metrics_only"}
        if (state is not None and wanted != model.state) or (state is None and by_hand):
            model.fresh()
            model.enter(wanted, self.now)

    # --- what time does ---

    @rule(pause=PAUSES)
    def wait(self, pause: float) -> None:
        self.now += pause

    @precondition(lambda self: self.model.state == "open" and self.model.until > self.now)
    @rule()
    def wait_until_open_time_is_up(self) -> None:
        self.now = self.model.until

    @precondition(lambda self: self.model.state == "open" and self.model.trickle_at > self.now)
    @rule()
    def wait_until_a_trickle_may_pass(self) -> None:
        self.now = self.model.trickle_at

    @rule(windows=st.integers(2, 50))
    def clock_is_set_back(self, windows: int) -> None:
        # The breaker sees it at its next look; what passed since its last one cannot be told from the jump.
        self.breaker.snapshot(self.clock())
        self.shift -= windows * 30.0

    @rule(skew=st.sampled_from([0.125, 3.0, 20.0]), last=st.booleans())
    def ask_with_an_old_instant(self, skew: float, last: bool) -> None:
        self.breaker.snapshot(self.clock())
        expected = self.model.may_pass(self.now, last=last)
        assert (self.breaker.ready_in(self.clock() - skew, last=last) == 0.0) == expected
        assert self.breaker.state(self.clock() - skew) == self.model.shown(self.now)

    # --- what always holds ---

    @invariant()
    def they_agree(self) -> None:
        shown, model = self.breaker.snapshot(self.clock()), self.model
        kept = model.kept(self.now)
        assert shown.state == model.shown(self.now) == self.breaker.state(self.clock())
        assert (shown.late, shown.rejected, shown.lost) == (model.late, model.rejected, model.lost)
        assert (shown.calls, shown.in_a_row) == (len(kept), model.row)
        assert shown.failure_rate == (kept.count("failure") / len(kept) if kept else 0.0)
        assert shown.slow_rate == (kept.count("slow") / len(kept) if kept else 0.0)
        assert (shown.streak, shown.successes, shown.probes) == (model.streak, model.good, model.busy(self.now))
        assert shown.until == (model.until + self.shift if shown.state == "open" else None)
        assert shown.since == (None if model.since is None else model.since + self.shift)
        assert shown.generation == model.epoch

    @invariant()
    def one_probe_at_a_time(self) -> None:
        now = self.now
        out = [f for f in self.flights if f.permit.probe and f.epoch == self.model.epoch and now < f.lease_end]
        assert len(out) <= 1

    @invariant()
    def transitions_form_a_line(self) -> None:
        for event in self.events:
            assert event.before == self.told
            self.told = event.after
            assert (event.before == event.after) == (event.name == "extended")
            allowed = {"opened": {"closed", "half_open"}, "half_opened": {"open"}, "closed": {"half_open"}}
            assert event.before in allowed.get(event.name, {event.before})
        self.events.clear()
        assert self.told == self.model.state

    @invariant()
    def memory_is_bounded(self) -> None:
        circuit = self.breaker._circuit
        window = circuit._window
        assert len(window._calls) == len(window._failures) == len(window._slow) == self.model.own.slices
        assert not circuit.events
        assert not self.breaker._mail

    def teardown(self) -> None:
        """A healthy provider and calls that keep coming close it, whatever came before."""
        if not hasattr(self, "breaker") or self.model.state in {"forced_open", "forced_closed", "metrics_only"}:
            return
        now, model = self.clock(), self.model
        lease = model.probe.lease_end - self.now if model.probe and model.busy(self.now) else 0.0
        latest = now + max(model.until - self.now, 0.0) + lease + 0.5 * (model.own.closes_after + 2)
        while self.breaker.state(now) != "closed":
            assert now <= latest
            answer = self.breaker.admit(now)
            if isinstance(answer, Permit):
                self.breaker.report(answer, "success", now)
            now += 0.5


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
