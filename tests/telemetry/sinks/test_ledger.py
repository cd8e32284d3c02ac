from __future__ import annotations

import pytest

import aistrale
from aistrale.errors import ConfigurationError
from aistrale.store.handle import open_ledger
from aistrale.telemetry.events import AttemptFinished, CallFinished
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.ledger import LedgerSink, LedgerUnwritableError
from aistrale.testing import check_sink, simulator
from tests.telemetry.rows import attempt_row, call_row


def test_calls_and_attempts_go_to_a_ledger_of_their_own(tmp_path):
    address = f"sqlite:///{tmp_path}/second.sqlite3"
    with simulator() as sim, aistrale.Client(**sim.settings(), sinks=[address]) as client:
        client.run("Hello", model="openai/gpt-5-mini")
        assert client.flush()
        own = client.ledger.calls()
    ledger = open_ledger(address)
    try:
        assert ledger.calls() == own
        assert [row.provider for row in ledger.attempts(own[0].call_id)] == ["openai"]
    finally:
        ledger.close()


def test_rows_that_come_again_are_stored_once(tmp_path):
    sink = LedgerSink(f"sqlite:///{tmp_path}/second.sqlite3")
    events = [AttemptFinished(row=attempt_row()), CallFinished(row=call_row())]
    for _ in range(3):
        sink.write(events)
    assert sink.flush(5.0) is True
    assert sink.ledger.calls() == [call_row()]
    assert sink.ledger.attempts("c") == [attempt_row()]
    sink.close()
    sink.write([CallFinished(row=call_row(call_id="d"))])
    assert {row.call_id for row in sink.ledger.calls()} == {"c", "d"}
    sink.close()


def test_what_was_taken_is_on_disk_before_it_is_flushed(tmp_path):
    sink = LedgerSink(f"sqlite:///{tmp_path}/second.sqlite3")
    sink.write([CallFinished(row=call_row(name="needle"))])
    journal = [path for path in (tmp_path / "second.sqlite3.journal").iterdir() if path.is_file()]
    assert any(b"needle" in path.read_bytes() for path in journal)
    assert sink.durable
    sink.close()


def test_a_place_that_cannot_be_written_raises(tmp_path):
    (tmp_path / "file").write_text("no folder")
    sink = LedgerSink(f"sqlite:///{tmp_path}/file/second.sqlite3")
    with pytest.raises(LedgerUnwritableError, match="journal cannot be written"):
        sink.write([CallFinished(row=call_row())])
    (tmp_path / "file").unlink()
    # The journal has the row in memory, and writes it when it can; here it comes again.
    assert sink.ledger.journal.retry()
    sink.write([CallFinished(row=call_row())])
    assert [row.call_id for row in sink.ledger.calls()] == ["c"]
    sink.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:relative", "sqlite:////tmp"])
def test_a_wrong_address_is_told_in_the_words_of_this_setting(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"
    assert caught.value.message.startswith("sinks: ")


def test_the_secrets_of_an_address_are_not_shown():
    with pytest.raises((ConfigurationError, ImportError)) as caught:
        open_sink("postgresql://user:canary-password@host:port/database")
    assert "canary-password" not in str(caught.value)


def test_it_keeps_the_contract(tmp_path):
    check_sink(LedgerSink(f"sqlite:///{tmp_path}/second.sqlite3"))
