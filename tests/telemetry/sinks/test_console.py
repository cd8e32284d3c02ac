from __future__ import annotations

import dataclasses
import io
import json
import os
import pty
import sys

import pytest

from aistrale.errors import ConfigurationError
from aistrale.telemetry.events import (
    EVENTS,
    BreakerChanged,
    CallFinished,
    DLPVerdict,
    FailedOver,
    Hedged,
    Retried,
    RunFinished,
    WebhookSent,
)
from aistrale.telemetry.lines import NOTABLE, ON_THE_WAY, dollars, line_of
from aistrale.telemetry.sinks import open_sink
from aistrale.telemetry.sinks.console import ConsoleSink
from aistrale.testing import check_sink
from aistrale.testing.sink_contract import sample_events
from tests.telemetry.rows import attempt_row, call_row


def shown(*events, **options) -> list[str]:
    stream = io.StringIO()
    ConsoleSink(stream=stream, **options).write(events)
    return stream.getvalue().splitlines()


def test_a_call_is_one_line_that_says_what_matters():
    row = call_row(
        model_asked="chat", route="chat", provider="openai", model="gpt-5-mini", attempts=3, latency=2.345,
        first_token=0.31, input=800, cache_read=500, output=60, reasoning=4, cost="0.00123400", degraded="smaller_model",
        name="summary", lossy=["seed"],
    )  # fmt: skip
    on_the_way = [
        Retried(call_id="c", target="a/b", attempt=1, error="ServerError", delay=0.1),
        Retried(call_id="c", target="a/b", attempt=2, error="ServerError", delay=0.1),
        FailedOver(call_id="c", target="a/b", next_target="openai/gpt-5-mini", error="ServerError"),
        Retried(call_id="another", target="a/b", attempt=1, error="ServerError", delay=0.1),
    ]
    lines = shown(*on_the_way, CallFinished(call_id="c", row=row, streamed=True))
    assert len(lines) == 1
    assert lines[0].split(" ", 1)[1] == (
        "✓ chat: openai/gpt-5-mini · summary · 1300 in (500 cached), 64 out · $0.00123 · 2.35 s, first token 310 ms"
        " · 3 attempts · 2 retries · 1 failover · degraded: smaller_model · left out: seed"
    )


def test_how_a_call_ended_is_seen():
    lines = shown(
        CallFinished(row=call_row(outcome="success", cost=None)),
        CallFinished(row=call_row(outcome="error", error="RateLimitError", cost=None, attempts=2)),
        CallFinished(row=call_row(outcome="error", error="BudgetExceeded", cost=None, attempts=0, latency=0.0001)),
        CallFinished(row=call_row(outcome="cancelled", cost=None)),
        CallFinished(row=call_row(outcome="success", attempts=0, degraded="cache", avoided="0.01", cost=None)),
        CallFinished(
            row=call_row(privacy={"out.redact.URL": 2, "in.redact.URL": 5, "out.encrypt.CRYPTO": 1, "out.warn.URL": 9})
        ),
        CallFinished(row=call_row(kind="embed", model_asked="openai/e", model="e")),
    )
    assert [line.split(" ", 1)[1] for line in lines] == [
        "✓ openai/m · cost unknown · 1.00 s",
        "✗ openai/m · RateLimitError · 1.00 s · 2 attempts",
        "✗ openai/m · BudgetExceeded · 0 ms",
        "! openai/m · cancelled · 1.00 s",
        "✓ openai/m · 1.00 s · from the cache · $0.01 saved",
        "✓ openai/m · $0.50 · 1.00 s · 3 redacted",
        "✓ openai/e · embeddings · $0.50 · 1.00 s",
    ]


def test_other_notable_events_have_a_line_and_the_rest_has_none():
    lines = shown(*sample_events())
    assert [line.split(" ", 2)[2].split(" · ")[0] for line in lines] == [
        "rule cards", "chat: anthropic/claude-haiku-4-5", "breaker of openai/gpt-5-mini", "budget demo",
        "optimization compact", "experiment models", "langchain: openai/gpt-5-mini",
    ]  # fmt: skip
    dead = WebhookSent(webhook="w", type="t", message_id="m", attempts=9, outcome="dead", status=500)
    assert "✗ webhook w · t · given up · status 500 · 9 attempts" in shown(dead)[0]
    verdict = DLPVerdict(rule="r", action="block", direction="in", types={"CRYPTO": 2}, target="a/b", dry_run=True)
    assert "! rule r · block (dry run) · in the answer · 2 CRYPTO · a/b" in shown(verdict)[0]


def test_kinds_that_are_asked_for_are_those_that_are_shown():
    for event in sample_events():
        if event.kind not in NOTABLE | ON_THE_WAY:
            assert shown(event) == []
    assert ConsoleSink().kinds == NOTABLE | ON_THE_WAY
    assert ConsoleSink(json=True).kinds is None


def test_the_path_to_a_call_is_counted_over_batches_and_once_where_a_batch_comes_again():
    class Broken(io.StringIO):
        broken = True

        def write(self, text):
            if self.broken:
                raise OSError("gone")
            return super().write(text)

    stream = Broken()
    sink = ConsoleSink(stream=stream)
    sink.write([Hedged(call_id="c", target="a/b", delay=1.0)])
    batch = [
        Retried(call_id="c", target="a/b", attempt=1, error="E", delay=0.1),
        CallFinished(call_id="c", row=call_row()),
    ]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            sink.write(batch)
    stream.broken = False
    sink.write(batch)
    sink.write([CallFinished(call_id="c", row=call_row())])
    first, second = stream.getvalue().splitlines()
    assert "1 retry · 1 hedge" in first
    assert "retry" not in second


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "line\nbreak", "bell\x07", "\u202eright to left", "\u2028"])
def test_names_cannot_move_the_cursor_or_begin_a_line(text):
    for event in (
        CallFinished(row=call_row(model_asked=text, model=text, name=text, error=text, outcome="error", lossy=[text])),
        BreakerChanged(target=text, change=text, before="closed", after="open", reason=text),
        RunFinished(framework=text, run_id="r", type="llm", name=text, latency=1.0, outcome="success", model=text),
    ):
        lines = shown(event)
        assert len(lines) == 1
        assert lines[0].isprintable()


def test_a_name_without_end_is_cut():
    assert len(shown(CallFinished(row=call_row(model_asked="x" * 10_000, provider=None)))[0]) < 200


@pytest.mark.parametrize("kind", EVENTS)
def test_every_kind_has_words(kind):
    event = next(event for event in sample_events() if event.kind == kind)
    line = line_of(event)
    assert line.parts
    assert all(part.isprintable() and part for part in line.parts)
    assert "Hello" not in line.text()
    assert "World" not in line.text()


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "$0.00"), ("0.5", "$0.50"), ("12.345", "$12.34"), ("0.0000185", "$0.0000185"), ("0.00004", "$0.00004"),
     ("1E-9", "$0.000000001"), ("0.012345", "$0.0123"), ("1E-30", "$0.00"), ("NaN", "$?"), ("x", "$?")],
)  # fmt: skip
def test_dollars(amount, text):
    assert dollars(amount) == text


def test_json_shows_every_event_as_it_is_and_content_only_where_it_was_captured():
    events = sample_events()
    lines = [json.loads(line) for line in shown(*events, json=True)]
    assert [line["kind"] for line in lines] == [event.kind for event in events]
    assert "Hello" in json.dumps(lines)
    plain = [dataclasses.replace(event, content=None) for event in events if event.kind == "attempt.finished"]
    assert all("Hello" not in line for line in shown(*plain, json=True))


def test_streams_are_looked_up_when_they_are_written_to(capsys):
    error, out = open_sink("console"), open_sink("console:stdout")
    error.write([CallFinished(row=call_row(error="E", outcome="error"))])
    out.write([CallFinished(row=call_row())])
    captured = capsys.readouterr()
    assert captured.err.count("\n") == captured.out.count("\n") == 1
    assert "✗" in captured.err
    open_sink("console:stdout:json").write([CallFinished(row=call_row())])
    assert json.loads(capsys.readouterr().out)["kind"] == "call.finished"


def test_where_there_is_no_console_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    ConsoleSink().write(sample_events())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_encoding_that_has_no_marks_gets_words(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    ConsoleSink(stream=stream).write(
        [
            CallFinished(row=call_row(name="Σ")),
            CallFinished(row=call_row(outcome="error", error="E")),
        ]
    )
    good, bad = raw.getvalue().decode(encoding).splitlines()
    assert good.split(" ", 1)[1] == "ok openai/m | \\u03a3 | $0.50 | 1.00 s"
    assert bad.split(" ", 1)[1].startswith("FAILED openai/m | E")


def terminal_output(monkeypatch, events, **environment) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w", encoding="utf-8") as stream:
            ConsoleSink(stream=stream).write(events)
            return os.read(leader, 65536).decode("utf-8")
    finally:
        os.close(leader)


def test_colours_are_for_terminals(monkeypatch):
    pytest.importorskip("rich")
    event = CallFinished(row=call_row(model_asked="m" * 70, name="n" * 70, outcome="error", error="E"))
    text = terminal_output(monkeypatch, [event])
    assert "\x1b[1;31m" in text
    assert text.count("\n") == 1, "a long line is not broken"
    assert "\x1b[" not in "".join(shown(event))
    assert "\x1b[1;31m" not in terminal_output(monkeypatch, [event], NO_COLOR="1")


@pytest.mark.parametrize("url", ["console:blue", "console:stdout:stderr", "console:json:x", "console?color=1"])
def test_a_wrong_address_is_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert caught.value.field == "sinks"


def test_it_keeps_the_contract():
    check_sink(ConsoleSink(stream=io.StringIO()))
    check_sink(ConsoleSink(stream=io.StringIO(), json=True))


def test_attempts_have_words_for_the_log():
    line = line_of(EVENTS["attempt.finished"](row=attempt_row(outcome="error", error="ServerError", status=503)))
    assert line.text() == "openai/m attempt 1 | ServerError | status 503 | 1.00 s"
