"""What sinks are told is what the ledger says, on every path that a call can take: each end once, and the same rows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import tempfile
import threading
from collections import Counter

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aistrale
from aistrale.dropin.transport import Transport
from aistrale.telemetry.sinks.memory import MemorySink
from aistrale.testing import Broken, Fault, Say, Slow, simulator

GPT, CLAUDE, EMBED = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "openai/text-embedding-3-small"
ROUTES = {"chat": {"targets": [GPT, CLAUDE]}}
CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CARD = "Charge 4111 1111 1111 1111, please."
EXPECTED = (aistrale.AistraleError, RuntimeError)


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


def check_truth(sink, ledger):
    """Whatever was told is what was written, and nothing is told twice. Gives the events by call."""
    assert ledger.flush(10.0)
    rows = {row.call_id: row for row in ledger.calls(limit=1000)}
    ends = sink.of("call.finished")
    assert Counter(event.call_id for event in ends) == dict.fromkeys(rows, 1)
    begun = Counter(event.call_id for event in sink.of("call.started"))
    assert set(begun.values()) <= {1}
    # Those that could not begin have no attempts, and nothing else is told of them.
    for call_id in set(rows) - set(begun):
        assert rows[call_id].attempts == 0
        assert [event.kind for event in sink.events if event.call_id == call_id] == ["call.finished"]
    assert set(begun) <= set(rows)
    written = {(row.call_id, row.attempt): row for call_id in rows for row in ledger.attempts(call_id)}
    told = sink.of("attempt.finished")
    assert Counter((event.call_id, event.row.attempt) for event in told) == dict.fromkeys(written, 1)
    for event in ends:
        assert plain(event.row) == plain(rows[event.call_id])
        assert event.row.attempts == sum(call_id == event.call_id for call_id, _ in written)
    for event in told:
        assert plain(event.row) == plain(written[event.call_id, event.row.attempt])
    assert len({event.id for event in sink.events}) == len(sink.events)
    check_order(sink.events, set(rows))
    return ends, told


def check_order(events, calls):
    """A call's beginning comes first and its end after its attempts; whatever is told of a call is of one that is."""
    by_call = {}
    for event in events:
        if event.call_id is not None:
            by_call.setdefault(event.call_id, []).append(event.kind)
    assert set(by_call) <= calls
    for kinds in by_call.values():
        if "call.started" in kinds:
            assert kinds[0] == "call.started"
        assert kinds[-1] == "call.finished"


def plain(row):
    return dataclasses.asdict(row)


@contextlib.contextmanager
def new_ledger():
    # Whoever ships may still be at it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield f"sqlite:///{folder}/ledger.sqlite3"


def client(sim, cls=aistrale.Client, **more):
    sink = MemorySink()
    given = {**sim.settings(), "retry": {"base": 0.001, "attempts": 3}, "routes": ROUTES, "sinks": [sink], **more}
    return cls(**given), sink


# --- one path each ---------------------------------------------------------------------------------------------------


def plain_call(own, sim):
    own.run("Hello", model=GPT)


def retry(own, sim):
    sim.script(Fault(status=500), Fault(status=429))
    own.run("Hello", model=GPT)


def failover(own, sim):
    sim.script(*[Fault(status=500)] * 3, provider="openai")
    own.run("Hello", model="chat")


def everything_fails(own, sim):
    with sim.outage("openai"), sim.outage("anthropic"):
        own.run("Hello", model="chat", deadline=2.0)


def breaker(own, sim):
    own.force_breaker(GPT, "open")
    own.run("Hello", model=GPT, deadline=0.2)


def unknown_model(own, sim):
    own.run("Hello", model="nobody/nothing")


def malformed(own, sim):
    own.run("Hello", model=GPT, temperature="hot")


def lossy(own, sim):
    own.run("Hello", model=CLAUDE, seed=3, on_lossy="error")


def deadline(own, sim):
    sim.script(Slow(headers=5.0))
    own.run("Hello", model=GPT, deadline=0.1)


def deadline_passed(own, sim):
    own.run("Hello", model=GPT, deadline=0)


def cache(own, sim):
    own.run("Hello", model=GPT)
    own.run("Hello", model=GPT)
    with own.stream("Hello", model=GPT) as stream:
        list(stream)


def single_flight(own, sim):
    sim.script(Slow(headers=0.2))
    threads = [threading.Thread(target=own.run, args=("Hello",), kwargs={"model": GPT}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def single_flight_fails(own, sim):
    sim.script(*[Slow(headers=0.2), Fault(status=400)])

    def ask():
        with contextlib.suppress(aistrale.AistraleError):
            own.run("Hello", model=GPT)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def degraded(own, sim):
    with sim.outage("openai"):
        assert own.run("Hello", model=GPT, deadline=2.0).degraded == "canned"


def smaller(own, sim):
    with sim.outage("openai", model="gpt-5-mini"):
        own.run("Hello", model=GPT, deadline=5.0)


def budget(own, sim):
    own.run("Hello", model=GPT, max_tokens=1000)


def blocked(own, sim):
    own.run(CARD, model=GPT)


def blocked_stream(own, sim):
    with own.stream(CARD, model=GPT) as stream:
        list(stream)


def blocked_answer(own, sim):
    sim.script(Say(text="It is DE89 3704 0044 0532 0130 00, I think."))
    own.run("Hello", model=GPT)


def blocked_answer_stream(own, sim):
    sim.script(Say(text="It is DE89 3704 0044 0532 0130 00, I think."))
    with own.stream("Hello", model=GPT) as stream:
        list(stream)


def full(own, sim):
    sim.script(Slow(headers=0.3))
    thread = threading.Thread(target=own.run, args=("Hello",), kwargs={"model": GPT})
    thread.start()
    while not sim.requests and not own.queues().get(GPT, None):
        pass
    try:
        own.run("Hello again", model=GPT)
    finally:
        thread.join()


def stream_whole(own, sim):
    with own.stream("Hello", model=GPT) as stream:
        list(stream)


def stream_left(own, sim):
    with own.stream("Hello", model=GPT) as stream:
        next(iter(stream))


def stream_forgotten(own, sim):
    stream = own.stream("Hello", model=GPT)
    next(iter(stream))
    del stream
    gc.collect()


def stream_never_read(own, sim):
    stream = own.stream("Hello", model=GPT)
    del stream
    gc.collect()


def stream_broken(own, sim):
    sim.script(Broken(wreck="error_midway"))
    with own.stream("Hello", model=GPT) as stream:
        list(stream)


def stream_broken_before(own, sim):
    sim.script(Broken(wreck="reset"), Broken(wreck="close_early", after=-1))
    with own.stream("Hello", model=GPT) as stream:
        list(stream)


def stream_resumed(own, sim):
    sim.script(Broken(wreck="error_midway"), provider="openai")
    with own.stream("Hello", model="chat", streams="resume") as stream:
        list(stream)


def stream_buffered(own, sim):
    sim.script(Broken(wreck="error_midway"), provider="openai")
    with own.stream("Hello", model="chat", streams="buffered") as stream:
        list(stream)


def stream_raises_in_reader(own, sim):
    with own.stream("Hello", model=GPT) as stream:
        for _ in stream:
            raise RuntimeError


def stream_too_late(own, sim):
    sim.script(Slow(between=0.2))
    with own.stream("Hello", model=GPT, deadline=0.3) as stream:
        list(stream)


def embed(own, sim):
    own.embed(["Hello"], model=EMBED)


def embed_fails(own, sim):
    sim.script(Fault(status=400))
    own.embed(["Hello"], model=EMBED)


def embed_unknown(own, sim):
    own.embed(["Hello"], model="nobody/nothing")


def repaired(own, sim):
    sim.script(Say(text='{"name": 3}'), Say(text='{"name": "Oslo"}'))
    assert own.run("Which?", model=GPT, output=CITY).output == {"name": "Oslo"}


def not_repaired(own, sim):
    sim.script(Say(text='{"name": 3}'), Say(text='{"name": 3}'))
    own.run("Which?", model=GPT, output=CITY)


def weather(city: str) -> str:
    """The weather."""
    return f"It rains in {city}."


def tools(own, sim):
    sim.script(
        Say(tool_calls=[("weather", {"city": "Oslo"})]), Say(tool_calls=[("weather", {"city": 3})]), Say(text="Rain.")
    )
    own.run("Weather?", model=GPT, tools=[weather], max_tool_rounds=3)


def conversation(own, sim):
    session = own.session(user="ada")
    session.run("Hello", model=GPT)
    with session.stream("And?", model=GPT) as stream:
        list(stream)


def decorated(own, sim):
    @aistrale.llm(name="ask")
    def ask(question):
        return own.run(question, model=GPT).text

    @aistrale.llm
    def pieces(question):
        with own.stream(question, model=GPT) as stream:
            yield from stream.texts()

    ask("Hello")
    list(pieces("Hello"))
    next(pieces("Hello"))


def relayed(own, sim):
    httpx2 = pytest.importorskip("httpx2")
    openai = pytest.importorskip("openai")
    with httpx2.Client(transport=Transport(lambda: own._engine, None)) as http:
        sdk = openai.OpenAI(base_url=sim.base_url("openai"), api_key="k", http_client=http, max_retries=0)
        ask = [{"role": "user", "content": "Hello"}]
        sdk.chat.completions.create(model="gpt-5-mini", messages=ask)
        with sdk.chat.completions.create(model="gpt-5-mini", messages=ask, stream=True) as stream:
            list(stream)
        with sdk.chat.completions.create(model="gpt-5-mini", messages=ask, stream=True) as stream:
            next(iter(stream))
        sdk.chat.completions.create(model="chat", messages=ask)
        sdk.embeddings.create(model="text-embedding-3-small", input=["Hello"])
        sim.script(Fault(status=400), Broken(wreck="error_midway"))
        with pytest.raises(openai.APIError):
            sdk.chat.completions.create(model="gpt-5-mini", messages=ask)
        # Tried again where the error came before anything was delivered.
        with contextlib.suppress(openai.APIError):
            list(sdk.chat.completions.create(model="gpt-5-mini", messages=ask, stream=True))


RULES = {"rules": [{"name": "cards", "types": ["CREDIT_CARD"], "action": "block"},
                   {"name": "ibans", "types": ["IBAN_CODE"], "direction": "in", "action": "block"}]}  # fmt: skip
CACHE = {"cache": {"ttl": 60.0}}
# Path, settings, outcome of each call in the order of their ends, and how many attempts there are in all.
PATHS = [
    (plain_call, {}, "success", 1),
    (retry, {}, "success", 3),
    (failover, {}, "success", 2),
    (everything_fails, {}, "error", None),
    (breaker, {}, "error", 0),
    (unknown_model, {}, "error", 0),
    (malformed, {}, "error", 0),
    (lossy, {}, "error", 0),
    (deadline, {}, "error", 1),
    (deadline_passed, {}, "error", 1),
    (cache, CACHE, "success success success", 1),
    (single_flight, CACHE, "success success success success", 1),
    (single_flight_fails, CACHE, None, None),
    (degraded, {"degrade": {"steps": ["canned"], "canned": "Later."}}, "success", None),
    (smaller, {"degrade": {"steps": ["smaller_model"], "model": CLAUDE}}, "success", None),
    (budget, {"budgets": [{"scope": "global", "limit": "0.000001", "period": "call"}]}, "error", 0),
    (blocked, {"privacy": RULES}, "error", 0),
    (blocked_stream, {"privacy": RULES}, "error", 0),
    (blocked_answer, {"privacy": RULES}, "error", 1),
    (blocked_answer_stream, {"privacy": RULES}, "error", 1),
    (full, {"limits": {"default": {"concurrency": 1, "queue": 0}}}, "error success", 1),
    (stream_whole, {}, "success", 1),
    (stream_whole, {"capture": True}, "success", 1),
    (stream_left, {}, "abandoned", 1),
    (stream_forgotten, {}, "abandoned", 1),
    (stream_never_read, {}, "", 0),
    (stream_broken, {}, None, None),
    (stream_broken_before, {}, "success", 3),
    (stream_resumed, {}, "success", 2),
    (stream_buffered, {}, "success", None),
    (stream_raises_in_reader, {}, "abandoned", 1),
    (stream_too_late, {}, "interrupted", 1),
    (embed, {}, "success", 1),
    (embed_fails, {}, "error", 1),
    (embed_unknown, {}, "error", 0),
    (repaired, {}, "success success", 2),
    (not_repaired, {}, "success success", 2),
    (tools, {}, "success success success", 3),
    (conversation, {}, "success success", 2),
    (decorated, {}, None, 3),
    (relayed, {}, None, None),
]


@pytest.mark.parametrize("case", PATHS, ids=[f"{path.__name__}-{n}" for n, (path, *_) in enumerate(PATHS)])
def test_every_path_is_told_as_it_is_written(sim, case):
    path, more, outcomes, attempts = case
    own, sink = client(sim, **more)
    with own:
        with contextlib.suppress(*EXPECTED):
            path(own, sim)
        ends, told = check_truth(sink, own.ledger)
        if outcomes is not None:
            assert [event.row.outcome for event in ends] == outcomes.split()
        if attempts is not None:
            assert len(told) == attempts


# --- async, on both kinds of loops -----------------------------------------------------------------------------------


async def a_cancelled(own, sim, soon):
    sim.script(Slow(headers=5.0))
    await soon(own.run("Hello", model=GPT))


async def a_cancelled_at_once(own, sim, soon):
    await soon(own.run("Hello", model=GPT), 0.0)


async def a_cancelled_while_it_retries(own, sim, soon):
    sim.script(*[Fault(status=429, retry_after=5.0)] * 3)
    await soon(own.run("Hello", model=GPT))


async def a_cancelled_stream(own, sim, soon):
    sim.script(Slow(between=1.0))

    async def read():
        async with own.stream("Hello", model=GPT) as stream:
            async for _ in stream:
                pass

    await soon(read())


async def a_stream_left(own, sim, soon):
    async with own.stream("Hello", model=GPT) as stream:
        async for _ in stream:
            break


async def a_hedge(own, sim, soon):
    sim.script(Slow(headers=0.5), provider="openai")
    assert (await own.run("Hello", model="chat")).target == CLAUDE


async def a_hedge_for_nothing(own, sim, soon):
    sim.script(Slow(headers=0.1), provider="openai")
    sim.script(Slow(headers=3.0), provider="anthropic")
    assert (await own.run("Hello", model="chat")).target == GPT


async def a_hedge_that_fails(own, sim, soon):
    sim.script(Slow(headers=0.2), provider="openai")
    sim.script(Fault(status=400), provider="anthropic")
    await own.run("Hello", model="chat")


async def a_hedge_cancelled(own, sim, soon):
    sim.script(Slow(headers=5.0), provider="openai")
    sim.script(Slow(headers=5.0), provider="anthropic")
    await soon(own.run("Hello", model="chat"))


async def a_hedged_stream(own, sim, soon):
    sim.script(Slow(headers=0.5), provider="openai")
    async with own.stream("Hello", model="chat") as stream:
        async for _ in stream:
            pass


async def a_follower_of_one_who_is_cancelled(own, sim, soon):
    sim.script(Slow(headers=0.3))
    async with asyncio.TaskGroup() as group:
        leader = group.create_task(own.run("Hello", model=GPT))
        followers = [group.create_task(own.run("Hello", model=GPT)) for _ in range(3)]
        await asyncio.sleep(0.1)
        leader.cancel()
    assert all(task.result().text for task in followers)


ASYNC_PATHS = [
    (a_cancelled, {}, "cancelled", 1),
    (a_cancelled_at_once, {}, None, None),
    (a_cancelled_while_it_retries, {}, "cancelled", 1),
    (a_cancelled_stream, {}, None, 1),
    (a_stream_left, {}, "abandoned", 1),
    (a_hedge, {"hedge": {"delay": 0.05}}, "success", 2),
    (a_hedge_for_nothing, {"hedge": {"delay": 0.05}}, "success", 2),
    (a_hedge_that_fails, {"hedge": {"delay": 0.05}}, "success", 2),
    (a_hedge_cancelled, {"hedge": {"delay": 0.05}}, "cancelled", 2),
    (a_hedged_stream, {"hedge": {"delay": 0.05}}, "success", 2),
    (a_follower_of_one_who_is_cancelled, CACHE, None, None),
]


async def soon_on_asyncio(work, seconds=0.15):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def soon_on_trio(work, seconds=0.15):
    with trio.move_on_after(seconds):
        await work


# The tasks of the last one are asyncio's own.
ON_LOOPS = [(case, "asyncio") for case in ASYNC_PATHS] + [(case, "trio") for case in ASYNC_PATHS[:-1]]


@pytest.mark.parametrize(("case", "loop"), ON_LOOPS, ids=[f"{case[0].__name__}-{loop}" for case, loop in ON_LOOPS])
def test_so_is_every_path_of_async_calls(sim, case, loop):
    path, more, outcomes, attempts = case
    own, sink = client(sim, aistrale.AsyncClient, **more)

    async def whole():
        async with own:
            await path(own, sim, soon_on_asyncio if loop == "asyncio" else soon_on_trio)

    asyncio.run(whole()) if loop == "asyncio" else trio.run(whole)
    ends, told = check_truth(sink, own.ledger)
    if outcomes is not None:
        assert [event.row.outcome for event in ends] == outcomes.split()
    if attempts is not None:
        assert len(told) == attempts


# --- many at once, and any of them ------------------------------------------------------------------------------------

STEPS = st.sampled_from(
    [Fault(status=400), Fault(status=429), Fault(status=500), Broken(wreck="reset"), Broken(wreck="close_early"),
     Broken(wreck="bad_json"), Broken(wreck="error_midway"), Broken(wreck="truncate"), Broken(wreck="empty"),
     Broken(wreck="error_in_200"), Say(text="{}"), Slow(between=0.001)]
)  # fmt: skip
ASKED = st.sampled_from(["run", "stream", "leave", "forget", "embed"])
SOMETIMES = {
    "cache": {"ttl": 60.0},
    "hedge": {"delay": 0.001},
    "privacy": "redact",
    "capture": True,
    "breaker": False,
    "degrade": {"steps": ["canned"], "canned": "Later."},
    "limits": {"default": {"concurrency": 2, "queue": 3}},
    "streams": {"mode": "resume"},
    "budgets": [{"scope": "global", "limit": "0.02", "period": "day"}],
}


async def ask(own, how, model):
    if how == "embed":
        await own.embed(["Hello"], model=EMBED)
        return
    if how == "run":
        await own.run("Hello", model=model, max_tokens=50)
        return
    stream = own.stream("Hello", model=model, max_tokens=50)
    if how == "forget":
        await anext(aiter(stream))
        return
    async with stream:
        async for _ in stream:
            if how == "leave":
                break


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(ASKED, st.sampled_from([GPT, "chat"])), min_size=1, max_size=6),
    steps=st.lists(STEPS, max_size=8),
    more=st.sets(st.sampled_from(sorted(SOMETIMES)), max_size=4),
    cancelled=st.sets(st.integers(0, 5), max_size=2),
)
def test_whatever_happens_to_whichever_calls_at_once(sim, asked, steps, more, cancelled):
    sim.reset()
    sim.script(*steps)
    with contextlib.ExitStack() as stack:
        tmp = stack.enter_context(new_ledger())
        own, sink = client(
            sim, aistrale.AsyncClient, ledger=tmp, timeout=5.0, **{name: SOMETIMES[name] for name in more}
        )

        async def whole():
            async with own:
                tasks = [asyncio.ensure_future(ask(own, how, model)) for how, model in asked]
                for number, task in enumerate(tasks):
                    if number in cancelled:
                        await asyncio.sleep(0.002)
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                del tasks
                gc.collect()

        asyncio.run(whole())
        gc.collect()
        check_truth(sink, own.ledger)
