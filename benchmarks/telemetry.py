"""What telling costs: an event for a sink, against a record for `logging`'s queue and for OpenTelemetry's batches.

    python benchmarks/telemetry.py [--rounds 15] [--events 5000] [--million 1000000] [--directory DIR]

The cost is processor time of the calling thread, since that is what a call pays; the rounds of all candidates are
interleaved, so that a busy machine disturbs all of them. The baseline is `logging.handlers.QueueHandler.emit`, which
puts a record that stands already on a queue. Nothing is delivered while it is measured: every candidate has room for a
round, and is emptied after it. Then a million events go through a best-effort sink as fast as they come.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import logging.handlers
import queue
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.store.journal import Journal
from aistrale.store.records import AttemptRow
from aistrale.telemetry.delivery import Delivery
from aistrale.telemetry.events import AttemptFinished, CallStarted
from aistrale.telemetry.settings import SinkSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aistrale.telemetry.events import TelemetryEvent

BASELINE = "logging QueueHandler"
ROW = AttemptRow(
    call_id="01999a7e-5b3a-7c41-9a55-2f6f0c1d2e3f",
    attempt=1,
    at=1_790_000_000.123456,
    latency=1.234567,
    provider="openai",
    model="gpt-5-mini",
    target="openai/gpt-5-mini",
    streamed=False,
    outcome="success",
    response_model="gpt-5-mini-2025-08-07",
    status=200,
    request_id="req_0123456789abcdef0123456789abcdef",
    input=1200,
    cache_read=0,
    output=345,
    reasoning=128,
    usage_source="reported",
    cost="0.0009900",
)
ATTEMPT = AttemptFinished(call_id=ROW.call_id, row=ROW, finish_reasons=("stop",), response_id="chatcmpl-0123456789")
STARTED = CallStarted(call_id=ROW.call_id, operation="chat", model_asked="chat", user="ann", project="benchmark")
# Longer than any run: nothing is delivered in between.
NEVER = 3600.0


class Counting:
    """A sink that only counts."""

    name = "counting"

    def __init__(self) -> None:
        self.events = 0
        self.batches = 0

    def write(self, events: Sequence[TelemetryEvent], /) -> None:
        """Count them."""
        self.events += len(events)
        self.batches += 1


class Candidate:
    """What is measured, and how it is emptied after a round."""

    def __init__(self, action: Callable[[], object], empty: Callable[[], object]) -> None:
        self.action = action
        self.empty = empty
        self.figures: list[float] = []

    def measure(self, times: int) -> None:
        """One round: microseconds of this thread for one action, on average."""
        start = time.thread_time()
        for _ in range(times):
            self.action()
        self.figures.append((time.thread_time() - start) / times * 1e6)
        self.empty()


def delivered(directory: Path, event: TelemetryEvent, **settings: object) -> Candidate:
    """Our delivery of one kind of event to a sink that only counts."""
    sink = Counting()
    room = {"queue": 10**9, "queue_bytes": 10**15, "batch": 10**9, "interval": NEVER}
    sent = Delivery(sink, SinkSettings(to=sink, **{**room, **settings}), directory)  # type: ignore[arg-type]
    return Candidate(lambda: sent.put(event), lambda: check(done=sent.flush(60.0)))


def check(*, done: bool) -> None:
    """What was put has to come out, or the figure is of something else."""
    assert done


def logged() -> Candidate:
    """The baseline."""
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)  # type: ignore[arg-type]
    record = logging.LogRecord("bench", logging.INFO, __file__, 1, "an attempt ended", None, None)

    def empty() -> None:
        while not waiting.empty():
            waiting.get()

    return Candidate(lambda: handler.emit(record), empty)


def batched() -> Candidate:
    """OpenTelemetry's batches of log records, with the attributes that an attempt would have."""
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter

    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(
            exporter, schedule_delay_millis=NEVER * 1000, max_queue_size=10**6, max_export_batch_size=10**6
        )
    )
    logger = provider.get_logger("bench")
    columns = {name: getattr(ROW, name) for name in ROW.__dataclass_fields__}
    attributes = {name: value for name, value in columns.items() if isinstance(value, (str, int, float))}

    def empty() -> None:
        provider.force_flush()
        exporter.clear()

    return Candidate(
        lambda: logger.emit(LogRecord(event_name="attempt.finished", body="x", attributes=dict(attributes))), empty
    )


def journalled(directory: Path) -> Candidate:
    """The ledger's journal, with the same row."""
    journal = Journal(directory / "journal")
    return Candidate(lambda: journal.append(ROW), lambda: None)


def million(number: int) -> None:
    """So many events through a best-effort sink, as fast as they come: none is lost, none waits in the end."""
    sink = Counting()
    sent = Delivery(sink, SinkSettings(to=sink, queue=number, queue_bytes=10**15))
    start, own = time.perf_counter(), time.thread_time()
    for _ in range(number):
        sent.put(ATTEMPT)
    own = time.thread_time() - own
    put = time.perf_counter() - start
    check(done=sent.flush(600.0))
    taken = time.perf_counter() - start
    assert sink.events == number
    assert sent.status().dropped == {}
    print(
        f"{number:,} events: {number / taken:,.0f} a second in {sink.batches:,} batches; {own / number * 1e6:.2f} "
        f"microseconds each in the calling thread, which ran for {put:.2f} s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--directory", help="where to write; the default is a temporary directory")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(dir=options.directory))
    candidates = {
        BASELINE: logged(),
        "best effort, attempt": delivered(directory / "1", ATTEMPT),
        "best effort, full": delivered(directory / "2", ATTEMPT, queue=1),
        "durable, call started": delivered(directory / "3", STARTED, guarantee="durable", batch=512),
        "durable, attempt": delivered(directory / "4", ATTEMPT, guarantee="durable", batch=512),
        "ledger journal, attempt": journalled(directory),
    }
    if importlib.util.find_spec("opentelemetry.sdk") is not None:
        candidates["OTel BatchLogRecord"] = batched()
    try:
        for _ in range(options.rounds):
            for candidate in candidates.values():
                candidate.measure(options.events)
        base = statistics.median(candidates[BASELINE].figures)
        print(f"{'':26}{'median':>9}{'best':>9}   microseconds of the calling thread")
        for name, candidate in candidates.items():
            median = statistics.median(candidate.figures)
            print(f"{name:26}{median:9.2f}{min(candidate.figures):9.2f}   ratio {median / base:.2f}")
        million(options.million)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
