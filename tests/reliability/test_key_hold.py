from __future__ import annotations

import random

from aistrale.errors import AuthenticationError, QuotaExceededError
from aistrale.reliability.key_hold import QUOTA_HOLD, QUOTA_LONGEST, KeyHold


def rejected():
    return AuthenticationError("no", status=401, code="invalid_api_key")


def spent():
    return QuotaExceededError("no money", status=429, code="insufficient_quota")


def test_a_rejected_key_is_held_for_a_jittered_and_growing_time():
    key = KeyHold(random.Random(1))
    now, lengths = 0.0, []
    for _ in range(12):
        key.refused(rejected(), None, now)
        hold = key.check(now)
        lengths.append(hold.until - now)
        assert key.check(hold.until) is None
        now = hold.until
    assert 2.5 <= lengths[0] <= 7.5
    assert max(lengths) <= 450
    assert lengths[6] > 10 * lengths[0]


def test_an_accepted_key_is_as_good_as_new():
    key = KeyHold(random.Random(1))
    for _ in range(5):
        key.refused(rejected(), None, 0.0)
    key.worked()
    assert key.check(0.0) is None
    key.refused(rejected(), None, 10.0)
    assert key.check(10.0).until <= 17.5


def test_quota_is_held_until_its_reset_or_ten_minutes():
    key = KeyHold(random.Random(1))
    key.refused(spent(), None, 5.0)
    assert key.check(5.0).until == 5.0 + QUOTA_HOLD
    key.refused(spent(), 1_800.0, 6.0)
    assert key.check(6.0).until == 1_806.0
    key.refused(spent(), 86_400.0, 7.0)
    assert key.check(7.0).until == 7.0 + QUOTA_LONGEST


def test_later_news_does_not_shorten_a_hold():
    key = KeyHold(random.Random(1))
    key.refused(spent(), 3600.0, 0.0)
    key.refused(rejected(), None, 1.0)
    assert key.check(1.0).error is QuotaExceededError
    assert key.check(3599.0) is not None


def test_the_refusal_is_fresh_says_that_nothing_was_sent_and_names_the_wait():
    key = KeyHold(random.Random(1))
    key.refused(rejected(), None, 0.0)
    hold = key.check(1.0)
    one, two = (hold.refusal("openai", "openai/gpt-5-mini", 1.0) for _ in range(2))
    assert one is not two
    assert isinstance(one, AuthenticationError)
    assert (one.status, one.code, one.provider, one.target) == (401, "invalid_api_key", "openai", "openai/gpt-5-mini")
    assert "not sent" in str(one)
    assert one.retry_after == hold.until - 1.0


def test_a_fork_keeps_what_is_known_of_the_key():
    key = KeyHold(random.Random(1))
    key.refused(spent(), None, 0.0)
    key._lock.acquire()
    key.after_fork()
    key.refused(spent(), 3_000.0, 0.0)
    assert key.check(1.0).until == 3_000.0
