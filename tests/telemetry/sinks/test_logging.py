from __future__ import annotations

import json
import logging

import pytest

from aistrale.errors import ConfigurationError
from aistrale.telemetry.encoding import decode_event
from aistrale.telemetry.events import CacheLooked, CallFinished, Retried
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.logging import LoggingSink
from aistrale.testing import check_sink
from aistrale.testing.sink_contract import sample_events
from tests.telemetry.rows import call_row


def test_every_event_is_a_record_with_the_event_in_it(caplog):
    caplog.set_level(logging.DEBUG, "aistrale.calls")
    events = sample_events()
    LoggingSink().write(events)
    assert [record.name for record in caplog.records] == ["aistrale.calls"] * len(events)
    assert [decode_event(record.aistrale) for record in caplog.records] == events
    for record, event in zip(caplog.records, events, strict=True):
        assert record.created == event.at
        assert record.funcName == event.kind
        assert "\n" not in record.getMessage()
        assert "Hello" not in record.getMessage()
    levels = {record.funcName: record.levelname for record in caplog.records}
    assert {kind: level for kind, level in levels.items() if level != "DEBUG"} == {
        "call.finished": "INFO", "dlp.verdict": "INFO", "breaker.changed": "WARNING", "budget.crossed": "WARNING",
        "cost.optimized": "INFO", "experiment.decided": "INFO", "run.finished": "INFO",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("success", "INFO"),
        ("error", "ERROR"),
        ("interrupted", "ERROR"),
        ("cancelled", "WARNING"),
        ("abandoned", "WARNING"),
    ],
)
def test_the_level_says_how_a_call_ended(caplog, outcome, level):
    caplog.set_level(logging.DEBUG)
    LoggingSink().write([CallFinished(row=call_row(outcome=outcome))])
    assert [record.levelname for record in caplog.records] == [level]


def test_what_nobody_listens_to_is_not_made(caplog, monkeypatch):
    caplog.set_level(logging.WARNING, "aistrale.calls")
    asked = []
    monkeypatch.setattr("aistrale.telemetry.sinks.logging.encode_event", asked.append)
    LoggingSink().write([CacheLooked(result="hit"), CallFinished(row=call_row())])
    assert caplog.records == asked == []


def test_the_message_counts_the_way_and_survives_formatting(caplog):
    caplog.set_level(logging.INFO)
    retried = Retried(call_id="c", target="a/b", attempt=1, error="E", delay=0.1)
    LoggingSink("my.calls").write([retried, CallFinished(call_id="c", row=call_row(name="100%s"))])
    (record,) = caplog.records
    assert record.name == "my.calls"
    assert record.getMessage() == "openai/m | 100%s | $0.50 | 1.00 s | 1 retry"
    formatted = logging.Formatter("%(levelname)s %(message)s").format(record)
    assert formatted == f"INFO {record.getMessage()}"
    assert json.dumps(record.aistrale)


def test_a_handler_that_raises_is_heard_of():
    class Handler(logging.Handler):
        def emit(self, record):
            raise OSError("no room")

    logger = logging.Logger("alone", logging.DEBUG)  # noqa: LOG001 - one that nobody else gets
    logger.addHandler(Handler())
    with pytest.raises(OSError, match="no room"):
        LoggingSink(logger).write([CacheLooked(result="hit")])


def test_addresses():
    assert open_sink("logging")._logger is logging.getLogger("aistrale.calls")
    assert open_sink("logging:my.calls")._logger is logging.getLogger("my.calls")
    for wrong in (lambda: open_sink("logging?level=1"), lambda: LoggingSink(""), lambda: LoggingSink(None)):
        with pytest.raises(ConfigurationError) as caught:
            wrong()
        assert caught.value.field == "sinks"


def test_it_keeps_the_contract():
    check_sink(LoggingSink())
