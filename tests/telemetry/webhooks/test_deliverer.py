"""Delivery in virtual time: no socket, no thread, no waiting; what is on disk is real."""

from __future__ import annotations

import random
import sqlite3
from itertools import pairwise

import pytest

from aistrale.telemetry.webhooks.deliverer import Deliverer
from aistrale.telemetry.webhooks.log import DEAD, DELIVERED, TRIES, WebhookLog
from aistrale.telemetry.webhooks.messages import Message
from aistrale.telemetry.webhooks.outbound import Answer
from aistrale.telemetry.webhooks.schedule import DELAYS, judge
from aistrale.telemetry.webhooks.signature import read_keys
from aistrale.webhooks import new_secret, verify

START = 1_795_000_000.0
SECRET = new_secret()


class World:
    """A clock that is set, and a receiver that says what it is told to."""

    def __init__(self, path):
        self.now = START
        self.path = path
        self.script = []
        self.default = Answer(status=204)
        self.sent = []
        self.told = []

    def clock(self):
        return self.now

    def send(self, headers, body, timeout):
        self.sent.append((self.now, dict(headers), body))
        answer = self.script.pop(0) if self.script else self.default
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def deliverer(self, endpoint="e", name="crm", queue=1000, **more):
        log = WebhookLog(self.path / "webhooks.sqlite3", self.clock)
        keys = read_keys(SECRET, field="secret", signing=True)
        made = Deliverer(
            endpoint,
            name,
            log,
            self.send,
            keys=keys,
            timeout=20.0,
            queue=queue,
            clock=self.clock,
            rng=random.Random(3),
            **more,
        )
        made.emit = self.told.append
        # Everything happens in the thread of the test.
        for worker in made._workers:
            worker.hurry = lambda: None
        return made

    def run(self, deliverer, until=None):
        """Do what is due, and move the clock to what is next, until nothing waits or a moment has come."""
        while True:
            pause = deliverer._once(None)
            if pause is None or (until is not None and self.now + pause > until):
                return
            self.now += pause


def message(number, at=START):
    body = b'{"type":"provider.failed","timestamp":"2026-11-19T00:00:00Z","data":{"n":%d}}' % number
    return Message(id=f"msg_{number}", type="provider.failed", at=at, body=body)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def states(deliverer):
    return {each.id: each.state for each in deliverer._log.messages()}


def test_a_message_is_sent_once_signed_and_told_of(world):
    own = world.deliverer()
    assert own.put([message(1)]) == 0
    assert own.flush(5.0) is True
    ((at, headers, body),) = world.sent
    assert verify(body, headers, SECRET, now=at).data == {"n": 1}
    assert headers["webhook-id"] == "msg_1"
    (sent,) = world.told
    assert (sent.webhook, sent.message_id, sent.attempts, sent.outcome, sent.status) == (
        "crm",
        "msg_1",
        1,
        "delivered",
        204,
    )
    assert states(own) == {"msg_1": "delivered"}


def test_tries_follow_the_schedule_with_one_id_one_body_and_a_new_time_each(world):
    own = world.deliverer()
    world.default = Answer(status=500)
    own.put([message(1)])
    world.run(own)
    instants = [at for at, _, _ in world.sent]
    assert len(instants) == len(DELAYS) == 10
    for delay, (before, after) in zip(DELAYS[1:], pairwise(instants), strict=True):
        assert 0.9 * delay <= after - before <= 1.1 * delay
    assert {headers["webhook-id"] for _, headers, _ in world.sent} == {"msg_1"}
    assert len({body for _, _, body in world.sent}) == 1
    for at, headers, body in world.sent:
        assert verify(body, headers, SECRET, now=at).id == "msg_1"
    (sent,) = world.told
    assert (sent.outcome, sent.attempts, sent.reason, sent.status) == ("dead", 10, "exhausted", 500)
    tries = own._log.tries()
    assert [each.number for each in tries] == list(range(10, 0, -1))
    assert {each.status for each in tries} == {500}
    assert own.flush(1.0) is True


def test_what_the_receiver_asks_for_is_waited_for(world):
    own = world.deliverer()
    world.script = [Answer(status=503, retry_after=100.0)]
    own.put([message(1), message(2)])
    world.run(own)
    instants = [round(at - START) for at, _, _ in world.sent]
    assert instants[0] == 0
    # Neither message is sent before that, and both are afterwards.
    assert all(at >= 100 for at in instants[1:])
    assert set(states(own).values()) == {"delivered"}


def test_an_endpoint_that_is_down_is_asked_now_and_then_and_then_gets_everything(world):
    own = world.deliverer()
    world.default = Answer(error="HttpConnectError")
    own.put([message(number) for number in range(100)])
    world.run(own, until=START + 3600)
    # 1, 2, 4, ... 60 s: not 100 messages at once, again and again.
    assert 60 <= len(world.sent) <= 75
    world.default = Answer(status=200)
    before = len(world.sent)
    world.run(own, until=START + 3600 + 120)
    assert len(world.sent) - before >= 100
    assert own._log.status()[0].pending == 0
    assert len({headers["webhook-id"] for _, headers, _ in world.sent[before:]}) == 100


def test_gone_ends_the_endpoint_until_somebody_enables_it(world):
    own = world.deliverer()
    world.script = [Answer(status=410)]
    own.put([message(1), message(2)])
    world.run(own)
    assert len(world.sent) == 1
    assert states(own) == {"msg_1": "dead", "msg_2": "dead"}
    assert own.put([message(3)]) == 1
    world.run(own)
    assert len(world.sent) == 1
    (status,) = own._log.status()
    assert (status.disabled, status.dropped, status.dead) == (START, 1, 2)
    assert own._log.enable("crm") is True
    assert own._log.enable("nobody") is False
    assert len(own._log.replay()) == 2
    world.run(own)
    assert states(own) == {"msg_1": "delivered", "msg_2": "delivered"}


def test_what_is_under_way_when_the_endpoint_goes_stays_given_up_unless_it_arrives(world):
    own = world.deliverer()
    own.put([message(number) for number in range(3)])
    late, arriving, last = (own._log.claim("e", f"thread {number}", 60.0) for number in range(3))
    for claimed, answer in ((last, Answer(status=410)), (late, Answer(status=500)), (arriving, Answer(status=204))):
        own._log.settle("e", claimed, answer, judge(answer, 1, 0, random.Random(1)))
    assert states(own) == {"msg_0": "dead", "msg_1": "delivered", "msg_2": "dead"}


def test_whoever_dies_while_sending_leaves_the_message_to_the_others_with_its_id(world):
    dying, other = world.deliverer(), world.deliverer()
    dying.put([message(1)])
    world.script = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        dying._once(None)
    # As long as it may still be sending, nobody else does.
    pause = other._once(None)
    assert 20.0 <= pause <= 60.0
    assert len(world.sent) == 1
    world.now += pause
    assert other._once(None) == 0.0
    assert [headers["webhook-id"] for _, headers, _ in world.sent] == ["msg_1", "msg_1"]
    assert states(other) == {"msg_1": "delivered"}


def test_what_comes_late_from_a_lost_lease_does_not_undo_what_others_did(world):
    slow, other = world.deliverer(), world.deliverer()
    slow.put([message(1)])
    claimed = slow._log.claim("e", "slow", 1.0)
    world.now += 2
    assert other._once(None) == 0.0
    assert states(other) == {"msg_1": "delivered"}
    answer = Answer(status=500)
    slow._log.settle("e", claimed, answer, judge(answer, 1, 0, random.Random(1)))
    assert states(other) == {"msg_1": "delivered"}
    assert len(slow._log.tries()) == 2


def test_the_same_event_is_taken_once_however_often_it_is_offered(world):
    own = world.deliverer()
    own.put([message(1), message(1), message(2)])
    world.run(own)
    own.put([message(1)])
    world.run(own)
    assert sorted(headers["webhook-id"] for _, headers, _ in world.sent) == ["msg_1", "msg_2"]


def test_messages_beyond_the_bound_are_dropped_and_counted(world):
    own = world.deliverer(queue=10)
    assert own.put([message(number) for number in range(25)]) == 15
    assert own.put([message(99)]) == 1
    (status,) = own._log.status()
    assert (status.pending, status.dropped) == (10, 16)
    world.run(own)
    assert own.put([message(99)]) == 0


def test_endpoints_do_not_hold_each_other_up(world):
    bad, good = world.deliverer("bad", "bad"), world.deliverer("good", "good")
    bad.put([message(1)])
    good.put([message(1)])
    world.script = [Answer(error="HttpConnectError")]
    assert bad._once(None) == 0.0
    assert bad._once(None) > 0
    assert good._once(None) == 0.0
    assert {(each.endpoint, each.state) for each in good._log.messages()} == {("bad", "pending"), ("good", "delivered")}


def test_a_dead_letter_is_sent_again_with_its_id_and_a_schedule_of_its_own(world):
    own = world.deliverer()
    world.default = Answer(status=500)
    own.put([message(1), message(2)])
    world.run(own)
    assert set(states(own).values()) == {"dead"}
    world.default = Answer(status=200)
    assert own._log.replay(message="msg_2") == [("msg_2", "crm")]
    assert own._log.replay(message="nobody") == []
    world.run(own)
    assert states(own) == {"msg_1": "dead", "msg_2": "delivered"}
    # One that was delivered can be asked for, too.
    assert own._log.replay(message="msg_2") == [("msg_2", "crm")]
    world.run(own)
    assert [headers["webhook-id"] for _, headers, _ in world.sent][-2:] == ["msg_2", "msg_2"]
    assert own._log.replay(since=START + 1) == []
    assert own._log.replay(endpoint="other") == []
    assert own._log.replay(endpoint="crm") == [("msg_1", "crm")]


def test_a_message_that_waits_is_sent_at_once_when_it_is_asked_for_but_not_beside_who_sends_it(world):
    own = world.deliverer()
    world.default = Answer(status=500)
    own.put([message(1)])
    own._once(None)
    (waiting,) = own._log.messages()
    assert (waiting.state, waiting.tries) == ("pending", 1)
    assert waiting.due > world.now
    assert own._log.replay() == []
    assert own._log.replay(message="msg_1") == [("msg_1", "crm")]
    assert own._log.messages()[0].due == world.now
    assert own._log.claim(own.endpoint, "another process", 60.0) is not None
    assert own._log.replay(message="msg_1") == []


def test_a_flush_that_has_no_time_left_gives_the_message_back_uncounted(world):
    own = world.deliverer()
    own.put([message(1)])
    world.script = [Answer(error="HttpTimeout", seconds=0.1)]
    own._once(0.1)
    assert own._log.tries() == []
    assert states(own) == {"msg_1": "pending"}
    world.run(own)
    assert [each.number for each in own._log.tries()] == [1]


def test_flush_says_whether_something_still_waits(world):
    own = world.deliverer()
    assert own.flush(1.0) is True
    world.script = [Answer(status=500)]
    own.put([message(1)])
    assert own.flush(5.0) is False
    assert len(world.sent) == 1


def test_what_is_kept_is_bounded_in_time_and_number(world, monkeypatch):
    own = world.deliverer()
    world.script = [Answer(status=200), Answer(status=410)]
    own.put([message(1), message(2)])
    world.run(own)
    own._log.enable("crm")
    world.now = START + DELIVERED[0] + 100
    own.put([message(3)])
    assert states(own) == {"msg_2": "dead", "msg_3": "pending"}
    world.now = START + DEAD[0] + 100
    assert TRIES[0] == DEAD[0]
    own.put([message(4)])
    assert states(own) == {"msg_3": "pending", "msg_4": "pending"}
    assert own._log.tries() == []
    world.run(own)
    monkeypatch.setattr("aistrale.telemetry.webhooks.log.DELIVERED", (1e9, 5))
    monkeypatch.setattr("aistrale.telemetry.webhooks.log.TRIES", (1e9, 7))
    own.put([message(number) for number in range(10, 30)])
    world.run(own)
    world.now += 61
    own.put([message(50)])
    assert own._log.status()[0].delivered == 5
    assert len(own._log.tries()) == 7


def test_a_file_of_another_program_is_left_alone(world):
    path = world.path / "webhooks.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    own = world.deliverer()
    with pytest.raises(sqlite3.NotSupportedError, match="another program"):
        own.put([message(1)])
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["theirs"]
    connection.close()


def test_a_file_of_a_newer_version_is_left_alone(world):
    own = world.deliverer()
    own.put([message(1)])
    own._log.close()
    with sqlite3.connect(world.path / "webhooks.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(sqlite3.NotSupportedError, match="newer version"):
        world.deliverer().put([message(2)])


def test_a_file_that_was_deleted_is_made_anew(world):
    own = world.deliverer()
    own.put([message(1)])
    for file in world.path.iterdir():
        file.unlink()
    assert own._once(None) is None
    own.put([message(2)])
    assert states(own) == {"msg_2": "pending"}


def test_only_its_owner_may_read_the_file(world):
    own = world.deliverer()
    own.put([message(1)])
    assert {file.stat().st_mode & 0o777 for file in world.path.iterdir()} == {0o600}
