"""What recording costs: the journal's append against `json.dumps` + `os.write` of the same row in the same run.

    python benchmarks/journal.py [--rounds 15] [--rows 5000] [--directory DIR] [--postgres ADDRESS]

The rounds of all candidates are interleaved, so that a busy machine disturbs all of them; the median and the
best round are printed, and the ratio of the medians. The baseline writes the bare row: no frame, no checksum,
no segment, no counts. Then how many rows a second reach SQLite and, with an address of it, PostgreSQL, where a
schema is made for it and dropped again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aistrale.store import open_ledger
from aistrale.store.journal import Journal
from aistrale.store.records import COLUMNS, AttemptRow, CallRow, IntentRow, values

if TYPE_CHECKING:
    from collections.abc import Callable

INTENT = IntentRow(
    call_id="01999a7e-5b3a-7c41-9a55-2f6f0c1d2e3f",
    attempt=1,
    at=1_790_000_000.123456,
    provider="openai",
    model="gpt-5-mini",
    target="openai/gpt-5-mini",
    streamed=False,
    estimated_input_tokens=1187,
    max_output_tokens=1024,
)
ATTEMPT = AttemptRow(
    call_id=INTENT.call_id,
    attempt=1,
    at=INTENT.at,
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
CALL = CallRow(
    call_id=INTENT.call_id,
    at=INTENT.at,
    latency=1.3,
    kind="chat",
    model_asked="chat",
    route="chat",
    provider="openai",
    model="gpt-5-mini",
    outcome="success",
    attempts=1,
    project="benchmark",
    tags={"team": "search"},
    input=1200,
    output=345,
    usage_source="reported",
    cost="0.0009900",
)


def microseconds(action: Callable[[], object], rows: int) -> float:
    """Microseconds of wall time for one action, on average over a round."""
    start = time.perf_counter()
    for _ in range(rows):
        action()
    return (time.perf_counter() - start) / rows * 1e6


def shipping_rate(address: str, rows: int) -> float:
    """Rows that reach the database in a second."""
    ledger = open_ledger(address)
    # The driver is loaded and the tables are made before the clock runs.
    ledger.append(CALL)
    assert ledger.flush(60.0)
    for number in range(rows):
        call_id = f"call-{number}"
        ledger.append(replace(ATTEMPT, call_id=call_id), replace(CALL, call_id=call_id))
    start = time.perf_counter()
    assert ledger.flush(120.0)
    taken = time.perf_counter() - start
    # The background thread may have moved some before the flush; what is counted is what is there.
    assert len(ledger.calls(limit=rows + 2)) == rows + 1
    ledger.close()
    return 2 * rows / taken


def postgres_rate(address: str, rows: int) -> float:
    """Rows that reach PostgreSQL in a second."""
    from aistrale.store.postgres import driver
    from aistrale.store.postgres.address import Address

    schema = f"benchmark_{os.getpid()}"
    own = f"{address}{'&' if '?' in address else '?'}schema={schema}"
    try:
        return shipping_rate(own, rows)
    finally:
        connection = driver.connect(Address.parse(own).options, 5)
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
        connection.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--directory", help="where to write; the default is a temporary directory")
    parser.add_argument("--postgres", help="address of a PostgreSQL database, without a schema")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(dir=options.directory))
    journal = Journal(directory / "journal")
    plain = os.open(directory / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    bare = dict(zip(COLUMNS[AttemptRow], values(ATTEMPT), strict=True))
    candidates: dict[str, Callable[[], object]] = {
        "json.dumps + os.write": lambda: os.write(plain, json.dumps(bare).encode()),
        "append(attempt)": lambda: journal.append(ATTEMPT),
        "append(intent)": lambda: journal.append(INTENT),
        "append(attempt, call)": lambda: journal.append(ATTEMPT, CALL),
    }
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    try:
        for _ in range(options.rounds):
            for name, action in candidates.items():
                figures[name].append(microseconds(action, options.rows))
        assert journal.status().acknowledged == options.rounds * options.rows * 4
        journal.close()
        base = statistics.median(figures["json.dumps + os.write"])
        print(f"{'':24}{'median':>9}{'best':>9}   microseconds, {len(json.dumps(bare))} bytes of plain JSON")
        for name, found in figures.items():
            median = statistics.median(found)
            print(f"{name:24}{median:9.2f}{min(found):9.2f}   ratio {median / base:.2f}")
        rate = shipping_rate(f"sqlite:///{directory}/shipping/ledger.sqlite3", 10_000)
        print(f"shipping into SQLite    {rate:9,.0f} rows a second")
        if options.postgres:
            print(f"shipping into PostgreSQL{postgres_rate(options.postgres, 10_000):9,.0f} rows a second")
    finally:
        os.close(plain)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
