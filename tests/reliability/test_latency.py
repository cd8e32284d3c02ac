from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aistrale.reliability.latency import LatencyTrack


def test_nothing_is_known_before_enough_answers():
    track = LatencyTrack()
    for number in range(19):
        track.add(float(number))
    assert track.percentile(0.95) is None
    track.add(19.0)
    assert track.percentile(0.95) == 18.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=150), st.floats(0.01, 1.0))
def test_the_share_of_answers_at_or_below_it_is_at_least_what_was_asked(values, share):
    track = LatencyTrack()
    for value in values:
        track.add(value)
    found = track.percentile(share, at_least=1)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_old_answers_are_forgotten():
    track = LatencyTrack()
    for _ in range(200):
        track.add(10.0)
    for _ in range(200):
        track.add(1.0)
    assert track.percentile(1.0) == 1.0


def test_new_answers_show_after_a_few():
    track = LatencyTrack()
    for _ in range(20):
        track.add(1.0)
    assert track.percentile(1.0) == 1.0
    for _ in range(10):
        track.add(5.0)
    assert track.percentile(1.0) == 5.0
