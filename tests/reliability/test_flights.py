from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aistrale.reliability.flights import Flights


class Guest:
    """One call that takes a seat and counts how often it was woken."""

    def __init__(self, flights, key="k", **options):
        self.woken = 0
        self.seat = flights.join(key, self.wake, **options)

    def wake(self):
        self.woken += 1

    @property
    def state(self):
        return self.seat.state


def guests(flights, number, key="k"):
    return [Guest(flights, key) for _ in range(number)]


def states(found):
    return [guest.state for guest in found]


def test_the_first_leads_and_the_others_wait():
    flights = Flights()
    assert states(guests(flights, 3)) == ["leading", "waiting", "waiting"]
    assert Guest(flights, "another").state == "leading"


def test_all_who_wait_get_the_answer_and_are_woken_once():
    flights = Flights()
    leader, *others = guests(flights, 3)
    flights.land(leader.seat, "answered", b"x")
    assert [(guest.state, guest.seat.value, guest.woken) for guest in others] == [("landed", b"x", 1)] * 2
    assert leader.woken == 0
    assert len(flights) == 0
    assert Guest(flights).state == "leading"


def test_an_answer_that_is_not_shared_sends_all_off_at_once():
    flights = Flights()
    leader, *others = guests(flights, 4)
    flights.land(leader.seat, "unshared")
    assert states(others) == ["alone"] * 3
    assert [guest.woken for guest in others] == [1] * 3
    assert len(flights) == 0


def test_the_number_who_take_over_doubles_with_each_round_of_failures():
    flights = Flights()
    (leader, *others) = guests(flights, 12)
    flights.land(leader.seat, "failed")
    rounds = []
    while leading := [guest for guest in others if guest.state == "leading"]:
        rounds.append(len(leading))
        for guest in leading:
            flights.land(guest.seat, "failed")
    assert rounds == [1, 2, 4, 4]
    assert all(guest.woken == 1 for guest in others)
    assert len(flights) == 0


def test_nobody_takes_over_while_another_leader_is_still_asking():
    flights = Flights()
    first, *others = guests(flights, 5)
    flights.land(first.seat, "failed")
    flights.land(others[0].seat, "failed")
    assert states(others) == ["alone", "leading", "leading", "waiting"]
    flights.land(others[1].seat, "failed")
    assert states(others) == ["alone", "alone", "leading", "waiting"]
    flights.land(others[2].seat, "answered", b"x")
    assert others[3].seat.value == b"x"


def test_a_cancelled_leader_is_replaced_by_one_and_is_no_failure():
    flights = Flights()
    leader, *others = guests(flights, 6)
    for position in range(3):
        flights.land((leader if position == 0 else others[position - 1]).seat, "cancelled")
        assert states(others).count("leading") == 1
    flights.land(others[2].seat, "failed")
    assert states(others).count("leading") == 1


def test_a_cancelled_leader_is_replaced_while_others_still_ask():
    flights = Flights()
    first, *others = guests(flights, 6)
    flights.land(first.seat, "failed")
    flights.land(others[0].seat, "failed")
    flights.land(others[1].seat, "cancelled")
    assert states(others) == ["alone", "alone", "leading", "leading", "waiting"]


def test_the_first_answer_is_for_all_and_later_leaders_keep_theirs():
    flights = Flights()
    first, *others = guests(flights, 4)
    flights.land(first.seat, "failed")
    flights.land(others[0].seat, "failed")
    one, two = others[1], others[2]
    flights.land(one.seat, "answered", b"one")
    newcomer = Guest(flights)
    flights.land(two.seat, "answered", b"two")
    assert newcomer.state == "leading"
    assert two.seat.value is None
    assert len(flights) == 1


def test_who_stops_waiting_goes_alone_and_is_not_woken():
    flights = Flights()
    leader, other, third = guests(flights, 3)
    assert flights.board(other.seat) == "alone"
    flights.land(leader.seat, "failed")
    assert (other.woken, third.state) == (0, "leading")


def test_who_is_called_as_it_stops_waiting_has_been_called():
    flights = Flights()
    leader, other = guests(flights, 2)
    flights.land(leader.seat, "failed")
    assert flights.board(other.seat) == "leading"


def test_who_is_cancelled_while_it_waits_leaves_its_place():
    flights = Flights()
    leader, other, third = guests(flights, 3)
    flights.land(other.seat, "cancelled")
    flights.land(leader.seat, "failed")
    assert states([other, third]) == ["alone", "leading"]


def test_who_may_not_lead_follows_or_goes_alone():
    flights = Flights()
    assert Guest(flights, lead=False).state == "alone"
    assert len(flights) == 0
    Guest(flights)
    assert Guest(flights, lead=False).state == "waiting"


def test_a_blocked_thread_waits_for_no_task_of_its_own():
    flights = Flights()
    Guest(flights)
    assert Guest(flights, blocking=True).state == "alone"
    found = []
    thread = threading.Thread(target=lambda: found.append(Guest(flights, blocking=True).state))
    thread.start()
    thread.join()
    assert found == ["waiting"]


def test_a_wake_may_use_the_flights_again():
    flights = Flights()
    leader = Guest(flights)
    seats = []
    flights.join("k", lambda: seats.append(flights.join("k", lambda: None)))
    flights.land(leader.seat, "answered", b"x")
    assert [seat.state for seat in seats] == ["leading"]


def test_a_forked_child_knows_no_flights():
    flights = Flights()
    leader, other = guests(flights, 2)
    flights.after_fork()
    mine = Guest(flights)
    assert mine.state == "leading"
    flights.land(leader.seat, "answered", b"of the parent")
    assert len(flights) == 1
    flights.land(other.seat, "failed")
    flights.land(mine.seat, "answered", b"x")
    assert len(flights) == 0


def test_landing_while_the_own_thread_holds_the_lock_waits_for_nothing():
    """What a finalizer does that runs in the middle of another call's join."""
    flights = Flights()
    leader, other = guests(flights, 2)
    flights._exclusive.run(lambda: flights.land(leader.seat, "answered", b"x"))
    flights._ring()
    assert (other.state, other.woken) == ("landed", 1)


class Airport(RuleBasedStateMachine):
    """Any order of joining, giving up, and landing, over two keys."""

    def __init__(self):
        super().__init__()
        self.flights = Flights()
        self.guests = []

    @rule(key=st.sampled_from("ab"), lead=st.booleans())
    def join(self, key, lead):
        asked = any(guest.state == "leading" for guest in self.of(key))
        guest = Guest(self.flights, key, lead=lead)
        guest.key = key
        guest.over = False
        self.guests.append(guest)
        assert guest.state == ("waiting" if asked else "leading" if lead else "alone")

    @rule(data=st.data(), outcome=st.sampled_from(["answered", "unshared", "failed", "cancelled"]))
    def land(self, data, outcome):
        active = [guest for guest in self.guests if not guest.over]
        if not active:
            return
        guest = data.draw(st.sampled_from(active))
        before = self.of(guest.key)
        waiting = [each for each in before if each.state == "waiting" and each is not guest]
        others = [each for each in before if each.state == "leading" and each is not guest]
        led = guest.state == "leading"
        self.flights.land(guest.seat, outcome, b"x" if outcome == "answered" else None)
        guest.over = True
        promoted = [each for each in waiting if each.state == "leading"]
        if not led:
            assert not promoted
            assert states(waiting) == ["waiting"] * len(waiting)
        elif outcome == "answered":
            assert states(waiting) == ["landed"] * len(waiting)
        elif outcome == "unshared":
            assert states(waiting) == ["alone"] * len(waiting)
        elif outcome == "cancelled":
            assert len(promoted) == min(1, len(waiting))
        elif others:
            assert not promoted
        else:
            assert len(promoted) >= min(1, len(waiting))

    @rule(data=st.data())
    def board(self, data):
        if self.guests:
            guest = data.draw(st.sampled_from(self.guests))
            before = guest.state
            assert self.flights.board(guest.seat) == ("alone" if before == "waiting" else before)

    def of(self, key):
        return [guest for guest in self.guests if guest.key == key]

    @invariant()
    def nobody_waits_for_nobody(self):
        for key in "ab":
            found = states(self.of(key))
            assert "leading" in found or "waiting" not in found
            assert (key in self.flights._flights) == ("leading" in found)

    @invariant()
    def everybody_is_woken_at_most_once_and_only_when_called(self):
        for guest in self.guests:
            assert guest.woken <= 1
            assert not (guest.state == "waiting" and guest.woken)
            assert not (guest.state == "landed" and not guest.woken)


TestAirport = Airport.TestCase
TestAirport.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("rounds", [200])
def test_among_threads_one_asks_at_a_time_and_all_get_an_answer(rounds):
    flights = Flights()
    asking = threading.Lock()
    got = []

    def call():
        done = threading.Event()
        seat = flights.join("k", done.set)
        if seat.state == "waiting":
            assert done.wait(5)
        if flights.board(seat) == "leading":
            assert asking.acquire(blocking=False)
            for _ in range(20):
                assert flights.join("k", done.set, lead=False).state == "waiting"
            asking.release()
            flights.land(seat, "answered", b"x")
            got.append(b"x")
        else:
            got.append(seat.value)

    def many():
        for _ in range(rounds):
            call()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"x"] * (4 * rounds)
    assert len(flights) == 0
