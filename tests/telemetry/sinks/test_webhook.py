"""The sink: what can be said of it, what it tells of a client's calls, and what it never shows."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.telemetry import MemorySink
from aistrale.telemetry.events import BreakerChanged, WebhookSent
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.webhook import WebhookSink
from aistrale.telemetry.webhooks.messages import TYPES
from aistrale.testing import simulator
from aistrale.webhooks import ReplayGuard, WebhookVerificationError, new_key_pair, new_secret, verify
from tests.telemetry.webhooks.receiver import Receiver

SECRET = new_secret()
OPENED = BreakerChanged(target="openai/gpt", change="opened", before="closed", after="open", reason="failures")
URL = "https://hooks.example.com/services/canary-path"


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


def sink(url=URL, **more):
    return WebhookSink(url, **{"secret": SECRET, "allow_private": True, **more})


def close(client):
    client.close()
    client._engine.reporting.close()


# --- what can be said of it -------------------------------------------------------------------------------------------


def test_it_is_opened_by_its_address_with_the_secret_of_the_environment(monkeypatch):
    monkeypatch.setenv("AISTRALE_WEBHOOK_SECRET", SECRET)
    made = open_sink(f"webhook:{URL}")
    assert isinstance(made, WebhookSink)
    assert made.name == "webhook:hooks.example.com"
    assert made.types == set(TYPES)
    assert made.durable


def test_without_a_secret_it_says_how_to_make_one():
    with pytest.raises(ConfigurationError, match=r"AISTRALE_WEBHOOK_SECRET is not set.*aistrale webhooks secret"):
        open_sink(f"webhook:{URL}")
    assert WebhookSink(URL, secret=None).name == "webhook:hooks.example.com"
    assert open_sink(f"webhook:{URL}?aistrale_secret=none").kinds


def test_options_stand_in_the_query_and_are_not_sent(monkeypatch):
    monkeypatch.setenv("CRM_SECRET", f"{SECRET} {new_secret()}")
    made = WebhookSink.from_url(
        f"webhook:{URL}?a=%41%2F&aistrale_types=provider.failed,provider.recovered&aistrale_name=crm&b=&aistrale_secret_env=CRM_SECRET"
    )
    assert (made.name, made.types) == ("crm", {"provider.failed", "provider.recovered"})
    assert made.kinds == {"breaker.changed"}
    assert made._out._url == f"{URL}?a=%41%2F&b="
    assert len(made._keys) == 2


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("webhook:", "url"),
        ("webhook:http://example.com/", "url"),
        ("webhook:https://127.0.0.1/", "url"),
        ("webhook:https://[::1/", "url"),
        (f"webhook:{URL}?aistrale_tpyes=a", "url"),
        (f"webhook:{URL}?aistrale_types=inference.complete", "types"),
        (f"webhook:{URL}?aistrale_types=", "types"),
        (f"webhook:{URL}?aistrale_secret=whsec_canary", "secret"),
        (f"webhook:{URL}?aistrale_secret_env=NOT_SET", "secret"),
    ],
)
def test_a_wrong_address_names_what_is_wrong_and_quotes_no_secret(url, field, monkeypatch):
    monkeypatch.setenv("AISTRALE_WEBHOOK_SECRET", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == field
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"timeout": 0}, "timeout"), ({"timeout": float("inf")}, "timeout"), ({"timeout": True}, "timeout"),
        ({"queue": 0}, "queue"), ({"threads": 0}, "threads"), ({"types": []}, "types"), ({"types": "all"}, "types"),
        ({"types": ["x"]}, "types"), ({"headers": {"a b": "c"}}, "headers"), ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"headers": {"Webhook-Id": "x"}}, "headers"), ({"headers": {"Host": "x"}}, "headers"), ({"secret": "whsec_short"}, "secret"),
        ({"secret": new_key_pair()[1]}, "secret"), ({"secret": []}, "secret"), ({"ports": [0]}, "ports"),
        ({"allow_private": ["a/b"]}, "allow_private"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(more, field):
    with pytest.raises(ConfigurationError) as caught:
        sink(**more)
    assert caught.value.field == field


def test_settings_take_several_endpoints(monkeypatch):
    monkeypatch.setenv("AISTRALE_WEBHOOK_SECRET", SECRET)
    options = "?aistrale_types=provider.failed+dlp.violation"
    monkeypatch.setenv("AISTRALE_SINKS", f"webhook:{URL}{options},webhook:https://other.example.com/")
    from aistrale.config import load

    sinks = load({}).sinks
    assert [own.name for own in sinks] == ["webhook:hooks.example.com", "webhook:other.example.com"]
    assert sinks[0].to.types == {"provider.failed", "dlp.violation"}
    monkeypatch.setenv("AISTRALE_SINKS", f"webhook:{URL},webhook:https://hooks.example.com/b")
    with pytest.raises(ConfigurationError, match=r"webhook:hooks\.example\.com"):
        load({})


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_a_clients_calls_are_told_and_deliveries_are_told_to_the_other_sinks(sim):
    memory = MemorySink()
    with Receiver() as receiver:
        client = aistrale.Client(**sim.settings(), sinks=[sink(receiver.url()), memory])
        answer = client.run("Say hello.")
        receiver.wait(1)
        assert client.flush(20.0)
        close(client)
        (got,) = receiver.got
    message = verify(got.body, got.headers, SECRET, seen=ReplayGuard())
    assert message.type == "inference.completed"
    assert message.data["provider"] == answer.provider
    assert message.data["cost"] == str(answer.cost.usd)
    (finished,) = memory.of("call.finished")
    assert got.id == f"msg_{finished.id}"
    assert message.data["call_id"] == finished.call_id
    (sent,) = memory.of("webhook.sent")
    assert isinstance(sent, WebhookSent)
    assert (sent.webhook, sent.message_id, sent.outcome, sent.status) == ("webhook:127.0.0.1", got.id, "delivered", 204)


def test_only_the_types_that_are_wanted_are_told():
    with Receiver() as receiver:
        own = sink(receiver.url(), types=["provider.recovered"])
        own.write([OPENED])
        assert own.flush(10.0)
        own.close()
        assert receiver.got == []
        assert not own.log.exists()


def test_an_endpoint_that_was_gone_when_the_process_ended_gets_everything_from_the_next(sim):
    with Receiver(500) as receiver:
        first = sink(receiver.url())
        first.write([OPENED])
        receiver.wait(1)
        first.flush(0.5)
        first.close()
        assert first.log.status()[0].pending == 1
        first.log.close()
        # A new process: it need not have anything of its own to tell.
        second = sink(receiver.url())
        second.log._clock = lambda: 4e9
        client = aistrale.Client(**sim.settings(), sinks=[second])
        assert [each.id for each in receiver.wait(2)] == [f"msg_{OPENED.id}"] * 2
        close(client)


def test_a_receiver_that_fails_hurts_no_call(sim):
    with Receiver(*[500] * 50) as receiver:
        client = aistrale.Client(**sim.settings(), sinks=[sink(receiver.url())])
        for _ in range(5):
            assert client.run("Say hello.").text
        close(client)


def test_a_disk_that_does_not_take_it_is_the_deliverys_to_know(tmp_path):
    (tmp_path / "file").write_text("")
    own = sink(directory=tmp_path / "file" / "below")
    with pytest.raises(OSError, match=r"below|directory"):
        own.write([OPENED])


# --- what it never shows ----------------------------------------------------------------------------------------------


def test_neither_content_nor_secret_nor_address_is_kept_or_shown(sim, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG, "aistrale")
    token = "canary-token"
    with Receiver(lambda handler: handler.send_error(400, "canary-reason", "canary-answer")) as receiver:
        own = sink(
            receiver.url("/services/canary-path?canary=query"),
            headers={"authorization": token},
            directory=tmp_path / "wh",
        )
        client = aistrale.Client(**sim.settings(), sinks=[own], capture=False)
        client.run("canary-prompt", system="canary-system")
        receiver.wait(1)
        own.flush(5.0)
        close(client)
        (got,) = receiver.got
    assert b"canary" not in got.body
    assert token in got.headers["authorization"]
    (status,) = own.log.status()
    assert status.pending == 1
    own.log.close()
    shown = [repr(own), str(vars(own)), caplog.text, *map(str, own.log.messages()), *map(str, own.log.tries())]
    output = capfd.readouterr()
    for text in (*shown, output.out, output.err):
        assert "canary" not in text.replace(str(tmp_path), "")
        assert SECRET not in text
        assert SECRET.removeprefix("whsec_") not in text
    for file in Path(tmp_path / "wh").iterdir():
        data = file.read_bytes()
        assert b"canary" not in data
        assert SECRET.removeprefix("whsec_").encode() not in data
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(own)


def test_a_receiver_that_was_told_the_wrong_secret_learns_nothing():
    with Receiver() as receiver:
        own = sink(receiver.url())
        own.write([OPENED])
        assert own.flush(10.0)
        own.close()
        (got,) = receiver.got
    with pytest.raises(WebhookVerificationError) as caught:
        verify(got.body, got.headers, new_secret())
    assert "whsec_" not in str(caught.value)
    assert json.loads(got.body)["type"] == "provider.failed"
