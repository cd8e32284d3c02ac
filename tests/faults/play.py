"""Plays a case in every mode and checks what holds for every call: the invariants I1 to I8 of the fault matrix."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import threading
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aistrale
from aistrale.errors import AllTargetsFailed, DeadlineExceeded, StreamInterrupted
from aistrale.store.handle import journal_directory
from aistrale.store.reader import read_segment
from aistrale.store.records import AttemptRow, CallRow, IntentRow
from aistrale.store.segment import segments_in
from tests.faults.faces import FACES, Asked, drive
from tests.faults.matrix import COUNTED, HTTPS, KEY, SLACK, Case, Expect

# What is left over after a call goes away by itself in a moment, on a busy machine in a longer one.
PATIENCE = 2000
MOMENT = 0.005
# How often a case with clocks of less than a second is played before what it shows counts: on a busy machine, the good
# answer of another target may come later than such a clock allows.
MEASUREMENTS = 4
ROUTE = "chat"
PATHS = {"compatible": "/v1", "openai": "/v1"}
MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "huggingface": "meta-llama/Llama-3.1-8B-Instruct",
}
_numbers = itertools.count(1)


@dataclass
class Run:
    """One case in one mode: its client, and everything that was seen."""

    case: Case
    expect: Expect
    server: object
    colour: str
    http: str
    streamed: bool
    key: str
    client: aistrale.Client
    names: dict[str, str]
    asked: list[Asked] = field(default_factory=list)
    rows: list = field(default_factory=list)
    stats: dict = field(default_factory=dict)
    connections: list[dict[str, int]] = field(default_factory=list)
    breakers: dict = field(default_factory=dict)
    held: dict[str, bool] = field(default_factory=dict)
    tasks: int = 0

    @property
    def face(self):
        model = ROUTE if self.case.fallback else self.names["a"]
        return FACES[self.colour](self.client, streamed=self.streamed, model=model)

    def rows_of(self, kind, target=None):
        """The ledger's rows of a kind, of one target only if it is named."""
        wanted = None if target is None else self.names[target]
        return [row for row in self.rows if type(row) is kind and (wanted is None or row.target == wanted)]

    def attempts(self, target=None):
        """The settled attempts, in order."""
        return self.rows_of(AttemptRow, target)

    @property
    def retried(self):
        """How many dead connections were replaced without an attempt of their own."""
        return sum(each["retried"] for each in self.connections)

    def outcome(self):
        """What must be the same in every mode."""
        told = []
        for seen in self.asked:
            if seen.error is not None:
                partial = "" if self.case.timed else getattr(seen.error, "partial_text", "")
                told.append((type(seen.error).__name__, partial))
            else:
                told.append((seen.completion.target, seen.text, seen.completion.degraded))
        return told


# --- playing ----------------------------------------------------------------------------------------------------------


def play(case, server, directory, *, streamed, http=None):
    """Play a case in all its modes; the runs. Raises the first mode's error, with the others in its notes."""
    runs, errors = [], []
    for colour, library in itertools.product(case.colours, HTTPS if http is None else http):
        try:
            runs.append(_measured(case, server, directory, colour=colour, http=library, streamed=streamed))
        except Exception as error:  # noqa: BLE001 - raised below
            error.add_note(f"in the mode {colour} on {library}")
            errors.append(error)
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"{other.__notes__[0]}: {type(other).__name__}: {str(other)[:300]}")
        raise errors[0]
    first = runs[0]
    for run in runs[1:]:
        # I8
        assert run.outcome() == first.outcome(), f"{run.colour}/{run.http} differs from {first.colour}/{first.http}"
    return runs


def _measured(case, server, directory, *, colour, http, streamed):
    for left in reversed(range(MEASUREMENTS if case.hurried else 1)):
        run = start(case, server, directory, colour=colour, http=http, streamed=streamed)
        try:
            go(run)
            check(run)
        except AssertionError:
            if not left:
                raise
        else:
            break
    return run


def start(case, server, directory, *, colour, http, streamed):
    """A client of its own for one mode of a case, with keys and a ledger of its own."""
    number = next(_numbers)
    key = f"k{os.getpid()}-{number}"
    if not case.lingers:
        # Whoever is still there, from an earlier run that failed or was given up, would be counted in this one.
        settle(server.idle, "the server has a connection left from before")
    server.reset()
    if case.script:
        server.script(f"{key}-a", case.script)
    names = {}
    providers = {}
    for target, fault, provider in (("a", case.fault, case.provider), ("b", case.second, case.second_provider)):
        name = target if provider == "compatible" else provider
        names[target] = f"{name}/{MODELS.get(provider, 'm')}"
        providers[name] = {
            "base_url": server.url(fault)
            + (case.path if target == "a" and case.path is not None else PATHS.get(provider, "")),
            "api_key": f"{KEY}-{target}",
            "headers": {"x-fault-key": f"{key}-{target}"},
        }
        if provider == "compatible":
            providers[name]["compatible"] = "openai_chat"
    settings = {
        "providers": providers,
        "routes": {ROUTE: [names["a"], names["b"]]},
        "timeout": 10.0,
        "retry": {"base": 0.001, "cap": 0.002},
        "http": http,
        "trust_env": False,
        "ledger": f"sqlite:///{directory}/ledger-{number}.sqlite3",
        **case.settings,
    }
    if server.ca is not None:
        settings.setdefault("verify", server.ca)
    client = aistrale.Client(**settings)
    expect = case.stream if streamed else case.plain
    return Run(case, expect, server, colour, http, streamed, key, client, names)


def go(run):
    """Make the calls, and gather what they left in the client, the ledger, the server and this process."""
    threads, files = running_threads(), open_sockets()
    face, case = run.face, run.case

    async def body():
        if case.scenario is not None:
            return await case.scenario(face, run)
        return [await face.ask(case.prompt, **case.options)]

    engine = run.client._engine
    https = [engine.sync_runtime().http, engine.async_runtime().http]
    try:
        run.asked, run.tasks = drive(run.colour, body, run.client)
    finally:
        run.connections = [http.stats() for http in https]
        run.breakers = run.client.breakers()
        run.held = {name: state.key.hold is not None for name, state in engine.states.known().items()}
        run.rows = ledger_rows(run.client)
        run.client.close()
        run.client.ledger.close()
    active = [http.stats()["active"] for http in https]
    assert active == [0, 0], f"I3: connections are in use after the calls: {active}"
    assert run.tasks == 0, f"I3: {run.tasks} tasks are left"
    settle(lambda: not running_threads() - threads, "I3: a thread is left")
    settle(lambda: not open_sockets() - files, "I3: a socket is left")
    if not case.lingers:
        settle(run.server.idle, "I3: the server has a connection left")
    run.stats = run.server.stats()


def settle(done, what):
    """Give what ends by itself a while."""
    tick = threading.Event()
    for turn in range(PATIENCE):
        if done():
            return
        if turn % 20 == 19:
            gc.collect()
        tick.wait(MOMENT)
    raise AssertionError(what)


def ledger_rows(client):
    """What was journalled, as it was written: a row that is there twice is seen twice."""
    if getattr(client.ledger, "path", None) is None:
        return []
    segments = segments_in(str(journal_directory(client.ledger.path)))
    return [row for segment in segments for row, _ in read_segment(segment, final=False)]


def running_threads():
    """The threads of this process, without those that trio keeps idle for some seconds, and those of a test's server."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith(("Trio thread", "little server"))}


def open_sockets():
    """The sockets that this process holds; none where the system does not tell."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(path.readlink())
                if target.startswith("socket:"):
                    found.add(target)
    return found


# --- checking ---------------------------------------------------------------------------------------------------------


def check(run):
    """Everything that holds for every case, then the case's own check."""
    each = run.expect.each or (run.expect,) * len(run.asked)
    for seen, expect in zip(run.asked, each, strict=True):
        check_outcome(run, seen, expect)
        check_secrets(seen)
        check_time(run, seen)
    check_ledger(run)
    check_counts(run)
    check_breakers(run)
    check_idle(run)
    if run.case.check is not None:
        run.case.check(run)


def check_outcome(run, seen, expect):
    """I1: one result or one error, and the right one."""
    assert seen.results == 1
    if expect.error is None:
        assert seen.error is None, told(seen.error)
        assert seen.completion.target == run.names[expect.answer]
        assert seen.text == seen.completion.text == expect.text
        return
    assert seen.error is not None, f"no error, but {seen.text!r} from {seen.completion.target}"
    wanted = expect.error if isinstance(expect.error, tuple) else (expect.error,)
    assert type(seen.error) in wanted, told(seen.error)
    if expect.partial is not None:
        assert seen.error.partial_text == expect.partial
    if isinstance(seen.error, (StreamInterrupted, DeadlineExceeded)) and run.streamed:
        # S1: what was delivered is what the error says.
        assert seen.error.partial_text == seen.text
    else:
        assert seen.text == ""
    if expect.inner is not None:
        assert isinstance(seen.error, AllTargetsFailed)
        assert tuple(type(error) for error in seen.error.exceptions) == expect.inner, told(seen.error)


def told(error):
    """An error with everything under it, for the message of a failed test."""
    return "" if error is None else "".join(traceback.format_exception(error, limit=-2))[-2000:]


def check_secrets(seen):
    """I7: no key in whatever can be printed of an error."""
    if seen.error is None:
        return
    text = "".join(traceback.format_exception(seen.error))
    for error in chain(seen.error):
        text += f"{error}{error!r}{getattr(error, 'hint', '')}{error.args!r}"
    assert KEY not in text, "I7: a key stands in the error"


def chain(error):
    """An error, its causes and contexts, and what it groups."""
    found = [error]
    for each in found:
        inner = getattr(each, "exceptions", ())
        found += [other for other in (each.__cause__, each.__context__, *inner) if other and other not in found]
    return found


def _limit(run):
    case = run.case
    deadline = case.options.get("deadline", case.settings.get("timeout", 10.0))
    if case.within is not None:
        return case.within
    return None if deadline is None else deadline + SLACK


def check_time(run, seen):
    """I4: no longer than the deadline and 50 ms, or what the case allows; and no shorter than it must be."""
    limit = _limit(run)
    assert limit is None or seen.seconds <= limit, f"I4: {seen.seconds:.3f} s instead of {limit:.3f} s"
    assert seen.seconds >= run.case.least, f"{seen.seconds:.3f} s: nobody can have waited"


def check_ledger(run):
    """I2: an intent and one settled row for every attempt, one row for every call, and they agree."""
    calls, attempts = run.rows_of(CallRow), run.attempts()
    assert len(calls) == len(run.asked), f"I2: {len(calls)} rows for {len(run.asked)} calls"
    assert len({row.call_id for row in calls}) == len(calls), "I2: a call is there twice"
    settled = Counter((row.call_id, row.attempt) for row in attempts)
    assert Counter((row.call_id, row.attempt) for row in run.rows_of(IntentRow)) == settled, "I2: intents and rows"
    assert set(settled.values()) <= {1}, "I2: an attempt is settled twice"
    for row in calls:
        own = sorted(number for call, number in settled if call == row.call_id)
        assert own == list(range(1, row.attempts + 1)), "I2: the call's row counts other attempts"
    told_of = [tuple(info.outcome for info in _attempts_told(seen)) for seen in run.asked]
    # The slower one of two that run together is settled last.
    in_order = sorted(attempts, key=lambda row: row.attempt)
    kept = [tuple(row.outcome for row in in_order if row.call_id == call.call_id) for call in calls]
    assert Counter(told_of) == Counter(kept), "I2: the caller is told of other attempts"
    for seen in run.asked:
        if seen.error is None:
            (row,) = [row for row in calls if row.call_id == seen.call_id]
            assert (row.outcome, row.error) == ("success", None)
    errors = Counter(type(seen.error).__name__ for seen in run.asked if seen.error is not None)
    assert errors == Counter(row.error for row in calls if row.outcome != "success")


def _attempts_told(seen):
    return seen.error.attempts if seen.error is not None else seen.completion.attempts


def check_counts(run):
    """I5: as many attempts as are allowed; and where requests arrive, as many as the server has seen."""
    for target, name in run.names.items():
        made = len(run.attempts(target))
        wanted = run.expect.attempts.get(target, 0)
        assert made in ((wanted,) if isinstance(wanted, int) else wanted), f"I5: {made} attempts on {name}"
        arrived = run.stats["by_key"].get(f"{run.key}-{target}", 0)
        if target == "b" and run.case.second.startswith("port/"):
            continue
        if target != "a":
            assert arrived == made, f"I2: {made} attempts on {name}, {arrived} requests"
        elif run.case.arrives:
            # A request that was repeated on a fresh connection may have arrived on the dead one, too.
            assert made <= arrived <= made + run.retried, f"I2: {made} attempts on {name}, {arrived} requests"


def counted_as(run):
    """As what target a's breaker must have counted its failures; None where nobody says."""
    if run.expect.error is DeadlineExceeded:
        return "ignored"
    return run.expect.breaker or run.case.breaker or COUNTED.get(run.case.row)


def check_breakers(run):
    """I6: what target a's breaker has counted, as its case says, and that a good target's has counted nothing bad."""
    for target, name in run.names.items():
        word = counted_as(run) if target == "a" else None
        made = run.attempts(target)
        failed = [row for row in made if row.outcome != "success"]
        if word is None and (failed or not made):
            continue
        seen = run.breakers[name]
        if word == "open":
            assert seen.state == "open" or run.held[name], f"I6: {seen}"
            continue
        counted = round(seen.calls * seen.failure_rate), round(seen.calls * seen.slow_rate)
        if seen.openings:
            # The window is empty then; why it opened is what is left of it.
            assert seen.reason == {"failure": "failures", "slow": "slow"}.get(word), f"I6: {seen}"
        elif word in {"failure", "slow"}:
            expected = (len(failed), 0) if word == "failure" else (0, len(failed))
            assert (seen.calls, counted) == (len(made), expected), f"I6: {seen}"
        else:
            assert (seen.calls, counted) == (len(made) - len(failed), (0, 0)), f"I6: {seen}"
        assert seen.probes == 0, f"I6: a permit is out: {seen}"


def check_idle(run):
    """I3: no place of a queue, no permit of a breaker and no count of calls under way is left with anybody."""
    for name, queue in run.client.queues().items():
        assert (queue.in_flight, queue.waiting) == (0, 0), f"I3: calls are under way at {name}"
    assert not any(breaker.probes for breaker in run.client.breakers().values()), "I3: a probe is out"
    assert not any(health.in_flight for health in run.client.health().values()), "I3: a call was not counted out"
