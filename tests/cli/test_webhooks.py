"""`aistrale webhooks`: test, log, replay, status, enable, secret."""

from __future__ import annotations

import json

import pytest

from aistrale.telemetry.events import BreakerChanged
from aistrale.telemetry.sinks.webhook import WebhookSink
from aistrale.webhooks import new_secret, sign, verify
from tests.telemetry.webhooks.receiver import Receiver

SECRET = new_secret()


@pytest.fixture(autouse=True)
def settings(nobody, monkeypatch):
    monkeypatch.setenv("AISTRALE_WEBHOOK_SECRET", SECRET)


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


def event(number):
    return BreakerChanged(
        id=f"e{number}", target="openai/gpt", change="opened", before="closed", after="open", reason="failures"
    )


def write(receiver, *numbers, flush=True, **more):
    """An application has told of something, and ended."""
    sink = WebhookSink(receiver.url(), allow_private=True, delays=[0.0], **more)
    sink.write([event(number) for number in numbers])
    if flush:
        sink.flush(20.0)
    sink.close()


def configure(monkeypatch, receiver, **more):
    """The endpoint stands in the settings, as nobody could write it in a variable: it is on loopback."""
    sink = WebhookSink(receiver.url(), allow_private=True, **more)
    from aistrale.telemetry import sinks

    monkeypatch.setattr(
        "aistrale.config.sinks.open_sink", lambda url: sink if url == "webhook:here" else sinks.open_sink(url)
    )
    monkeypatch.setenv("AISTRALE_SINKS", "webhook:here")


def test_a_secret_can_be_signed_with(cli):
    first, second = (cli("webhooks", "secret").stdout.strip() for _ in range(2))
    assert first != second
    verify(
        b'{"type":"a","timestamp":"2026-01-01T00:00:00Z","data":{}}',
        sign(first, "msg_1", 5, b'{"type":"a","timestamp":"2026-01-01T00:00:00Z","data":{}}'),
        first,
        now=5,
    )
    made = json.loads(cli("webhooks", "secret", "--pair", "--json").stdout)
    assert made["secret"].startswith("whsk_")
    assert made["public"].startswith("whpk_")
    lines = cli("webhooks", "secret", "--pair").stdout.split()
    assert [line[:5] for line in lines] == ["whsk_", "whpk_"]


def test_a_url_is_sent_a_signed_sample(cli, receiver):
    result = cli("webhooks", "test", receiver.url(), "--allow-private", "--type", "dlp.violation")
    assert result.exit_code == 0
    assert "delivered: HTTP status 204 after" in result.stdout
    (got,) = receiver.got
    message = verify(got.body, got.headers, SECRET)
    assert (message.type, message.test) == ("dlp.violation", True)
    assert message.id in result.stdout
    assert cli("webhooks", "log").stderr.strip() == "there is nothing of that kind"


def test_an_endpoint_that_refuses_is_an_exit_code(cli, receiver):
    receiver.answers = [401]
    result = cli("webhooks", "test", receiver.url(), "--allow-private", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["delivered"], told["status"], told["error"]) == (1, False, 401, None)
    assert told["seconds"] > 0


def test_a_test_says_what_is_wrong(cli, receiver, monkeypatch):
    assert "only https" in cli("webhooks", "test", receiver.url()).stderr
    assert "none of inference.completed" in cli("webhooks", "test", "https://a.example/", "--type", "x").stderr
    assert "is no webhook" in cli("webhooks", "test", "nobody").stderr
    assert "for URLs" in cli("webhooks", "test", "nobody", "--unsigned").stderr
    monkeypatch.delenv("AISTRALE_WEBHOOK_SECRET")
    result = cli("webhooks", "test", receiver.url(), "--allow-private")
    assert result.exit_code == 2
    assert "aistrale webhooks secret" in result.stderr
    assert cli("webhooks", "test", receiver.url(), "--allow-private", "--unsigned").exit_code == 0
    assert "webhook-signature" not in receiver.got[0].headers


def test_an_endpoint_of_the_settings_is_tested_by_its_name(cli, receiver, monkeypatch):
    configure(monkeypatch, receiver, name="crm")
    assert cli("webhooks", "test", "crm").exit_code == 0
    assert verify(receiver.got[0].body, receiver.got[0].headers, SECRET).test
    assert "Known: crm." in cli("webhooks", "test", "other").stderr


def test_the_log_has_every_try(cli, receiver):
    receiver.answers = [200, 500]
    write(receiver, 1, 2, name="crm")
    lines = cli("webhooks", "log").stdout.splitlines()
    assert lines[0].split()[:4] == ["at", "endpoint", "type", "id"]
    assert len(lines) == 3
    assert {line.split()[-1] for line in lines[1:]} == {"200", "500"}
    rows = json.loads(cli("webhooks", "log", "--json", "--limit", "1").stdout)
    assert (rows[0]["endpoint"], rows[0]["type"], rows[0]["number"]) == ("crm", "provider.failed", 1)
    assert cli("webhooks", "log", "--name", "other").stdout == ""
    dead = json.loads(cli("webhooks", "log", "--dead", "--json").stdout)
    assert [(each["state"], each["reason"], each["status"]) for each in dead] == [("dead", "exhausted", 500)]
    assert dead[0]["id"] in cli("webhooks", "log", "--dead").stdout
    assert "not both" in cli("webhooks", "log", "--dead", "--pending").stderr
    status = json.loads(cli("webhooks", "status", "--json").stdout)
    assert [(each["name"], each["delivered"], each["dead"], each["pending"]) for each in status] == [("crm", 1, 1, 0)]
    assert cli("webhooks", "status").stdout.splitlines()[1].split() == ["crm", "0", "1", "1", "0", "-"]


def test_nothing_was_sent_yet(cli):
    assert "no webhook was ever sent" in cli("webhooks", "status").stderr
    assert cli("webhooks", "replay", "--dead").exit_code == 0
    assert json.loads(cli("webhooks", "log", "--json").stdout) == []


def test_dead_letters_are_sent_again_with_their_ids(cli, receiver, monkeypatch):
    receiver.answers = [500, 500, 500]
    write(receiver, 1, 2, 3, name="crm")
    configure(monkeypatch, receiver, name="crm")
    ids = {each.id for each in receiver.got}
    one = min(ids)
    result = cli("webhooks", "replay", one)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == [one, "crm", "provider.failed", "delivered", "204"]
    result = cli("webhooks", "replay", "--dead", "--since", "1d", "--json")
    assert result.exit_code == 0
    assert {each["id"] for each in json.loads(result.stdout)} == ids - {one}
    assert [each.id for each in receiver.got].count(one) == 2
    assert {each.id for each in receiver.got} == ids
    assert "nothing of that kind" in cli("webhooks", "replay", "--dead").stderr
    mistyped = cli("webhooks", "replay", "msg_nobody")
    assert mistyped.exit_code == 2
    assert "there is no message msg_nobody" in mistyped.stderr
    assert "name an ID" in cli("webhooks", "replay").stderr
    assert "name an ID" in cli("webhooks", "replay", one, "--dead").stderr


def test_an_endpoint_of_another_process_is_left_to_that_one(cli, receiver):
    receiver.answers = [500]
    write(receiver, 1)
    result = cli("webhooks", "replay", "--dead")
    assert result.exit_code == 1
    assert "the process that has it sends within a minute" in result.stderr
    assert [each["state"] for each in json.loads(cli("webhooks", "log", "--pending", "--json").stdout)] == ["pending"]
    write(receiver, 2)
    assert sorted(each.id for each in receiver.got) == ["msg_e1", "msg_e1", "msg_e2"]


def test_an_endpoint_that_is_gone_is_enabled_by_hand(cli, receiver, monkeypatch):
    receiver.answers = [410]
    write(receiver, 1, name="crm")
    configure(monkeypatch, receiver, name="crm")
    assert cli("webhooks", "status").stdout.splitlines()[1].split()[-1] != "-"
    result = cli("webhooks", "replay", "--dead")
    assert result.exit_code == 1
    assert "aistrale webhooks enable crm" in result.stderr
    assert len(receiver.got) == 1
    assert "crm is sent to again" in cli("webhooks", "enable", "crm").stdout
    assert cli("webhooks", "replay", "--dead").exit_code == 0
    assert "Known: crm." in cli("webhooks", "enable", "other").stderr


def test_the_variable_is_one_that_is_read(cli):
    assert "AISTRALE_WEBHOOK_SECRET" not in cli("doctor", "--json").stdout.partition('"notes"')[2]
