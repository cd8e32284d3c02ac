from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from aistrale.core.call import Context, Prepared
from aistrale.core.http import HttpRequest
from aistrale.core.output import Answer
from aistrale.core.schema import Lowered
from aistrale.cost import price_usage
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import Profile
from aistrale.errors import ConfigurationError, ServerError, StreamInterrupted
from aistrale.policies.cache import AnswerCache, Cache, CacheSettings
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Choice,
    Embeddings,
    Finish,
    Lossy,
    Message,
    OutputFormat,
    RefusalPart,
    ReplyEnd,
    ReplyStart,
    Switched,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    Whole,
)
from tests.policies.upstream import DRIVES, Clocked, Desk, Upstream, drive_sync, lesser, pulled, said

STREAM = [
    ReplyStart("id-1", "m-1"),
    BlockStart(0, TextPart("")),
    TextDelta("Hel", 0),
    TextDelta("lo", 0),
    BlockEnd(0),
    Finish("stop"),
    ReplyEnd(),
]


@pytest.fixture(autouse=True)
def clock():
    Clocked.time = 0.0


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory" if request.param == "memory" else f"sqlite:///{tmp_path}/answers.db"


@pytest.fixture
def desk():
    opened = []

    def make(upstream, *, inside=(), outside=(), targets=("openai/gpt-5-mini",), **settings):
        answers = AnswerCache(CacheSettings(**settings))
        opened.append(answers)
        made = Desk(upstream, *outside, Cache(answers), *inside, targets=targets)
        made.answers = answers
        return made

    yield make
    for answers in opened:
        answers.close()


@pytest.fixture(params=DRIVES)
def drive(request):
    return DRIVES[request.param]


# --- hits and misses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("single_flight", [True, False])
def test_the_same_again_is_answered_from_the_memory(desk, drive, store, single_flight):
    upstream = Upstream()
    made = desk(upstream, store=store, single_flight=single_flight)

    async def body(runtime):
        return [await made.ask(runtime) for _ in range(3)] + [await made.ask(runtime, "other")]

    (first, call), (second, hit), (third, _), (_, other) = drive(body)
    assert len(upstream.asked) == 2
    assert (call.degraded, hit.degraded, other.degraded) == (None, "cache", None)
    assert (hit.attempt, hit.attempts) == (None, [])
    assert (second.text, second.usage) == ("Hello", first.usage)
    assert (second.provider, second.target, second.request_id) == ("openai", "openai/gpt-5-mini", "req-1")
    assert (second.attempts, second.call_id) == ([], "")
    # What it had cost when it was asked for; the client says that this call cost nothing.
    assert second.cost == price_usage("openai", "gpt-5-mini", first.usage)
    assert second == third


def test_an_answer_is_fresh_for_its_time(desk, drive, store):
    upstream = Upstream()
    made = desk(upstream, ttl=10.0, stale=100.0, store=store)

    async def body(runtime):
        found = []
        for Clocked.time in (0.0, 9.9, 10.0, 19.9, 20.1):
            await made.ask(runtime)
            found.append(len(upstream.asked))
        return found

    assert drive(body) == [1, 1, 2, 2, 3]


def test_no_time_at_all_serves_nothing_as_fresh(desk, drive):
    upstream = Upstream()
    made = desk(upstream, ttl=0.0, stale=100.0)

    async def body(runtime):
        await made.ask(runtime)
        await made.ask(runtime)

    drive(body)
    assert len(upstream.asked) == 2


def test_an_answer_from_the_future_is_not_served(desk, drive):
    upstream = Upstream()
    made = desk(upstream, ttl=1e9)

    async def body(runtime):
        found = []
        for Clocked.time in (1000.0, 960.0, 900.0, 905.0):
            await made.ask(runtime)
            found.append(len(upstream.asked))
        return found

    assert drive(body) == [1, 1, 2, 2]


def test_tenants_do_not_share(desk, drive, store):
    upstream = Upstream()
    made = desk(upstream, store=store)

    async def body(runtime):
        for workspace in ("a", "b", "a"):
            await made.ask(runtime, context=Context(workspace=workspace, user="u"))

    drive(body)
    assert len(upstream.asked) == 2


def test_what_depends_on_more_than_the_request_is_asked_each_time(desk, drive):
    upstream = Upstream()
    made = desk(upstream)

    async def body(runtime):
        for _ in range(2):
            _, call = await made.ask(runtime, tools=[Tool("web", hosted={"type": "web_search"})])
        return call.degraded

    assert drive(body) is None
    assert len(upstream.asked) == 2


def test_what_a_caller_does_to_its_answer_is_its_own_affair(desk, drive):
    made = desk(Upstream(said("Hello", raw={"a": [1]})))

    async def body(runtime):
        for _ in range(3):
            answer, _ = await made.ask(runtime)
            assert (answer.text, answer.raw) == ("Hello", {"a": [1]})
            answer.message.parts[0].text = "changed"
            answer.raw["a"].append(2)
            answer.output = object()

    drive(body)


def test_embeddings_are_remembered(desk, drive, store):
    upstream = Upstream(Embeddings([[1.0, -0.5]], "m-1"))
    made = desk(upstream, store=store)

    async def body(runtime):
        first, _ = await made.ask(runtime, embed=["a"])
        second, hit = await made.ask(runtime, embed=["a"])
        await made.ask(runtime, embed=["b"])
        return first, second, hit.degraded

    first, second, degraded = drive(body)
    assert len(upstream.asked) == 2
    assert (second.vectors, second.model, second.target) == (first.vectors, "m-1", "openai/gpt-5-mini")
    assert degraded == "cache"


def test_what_is_forgotten_is_asked_again(desk, drive, store):
    upstream = Upstream()
    made = desk(upstream, store=store)

    async def body(runtime):
        await made.ask(runtime)
        made.answers.clear()
        await made.ask(runtime)

    drive(body)
    assert len(upstream.asked) == 2


def test_two_clients_share_a_file(desk, drive, tmp_path):
    store = f"sqlite:///{tmp_path}/answers.db"
    one, two = desk(Upstream(said("of one")), store=store), desk(Upstream(said("of two")), store=store)

    async def body(runtime):
        await one.ask(runtime)
        one.answers.store.flush()
        return (await two.ask(runtime))[0].text

    assert drive(body) == "of one"


def test_a_file_that_is_no_cache_costs_nothing_but_the_answers(desk, drive, tmp_path, caplog):
    (tmp_path / "answers.db").write_bytes(b"no database" * 100)
    upstream = Upstream()
    made = desk(upstream, store=f"sqlite:///{tmp_path}/answers.db")

    async def body(runtime):
        return [(await made.ask(runtime))[0].text for _ in range(3)]

    assert drive(body) == ["Hello"] * 3
    made.answers.store.flush()
    assert [record.name for record in caplog.records] == ["aistrale.answers"]


def test_a_store_that_is_none_is_named():
    with pytest.raises(ConfigurationError, match=r"cache\.store"):
        AnswerCache(CacheSettings(store="redis://x"))


def test_describe_says_what_is_set():
    assert Cache(AnswerCache(CacheSettings(ttl=5, stale=60))).describe() == (
        "memory, fresh for 5 s, stale for 60 s on errors, single flight"
    )
    settings = CacheSettings(store="sqlite:////secret/place", single_flight=False)
    assert Cache(AnswerCache(settings)).describe() == "sqlite, fresh for 300 s"


# --- what is worth remembering ----------------------------------------------------------------------------------------

SCHEMA = OutputFormat("json_schema", {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("answer", "fields", "remembered"),
    [
        (said(), {}, True),
        (said(reason="length"), {}, False),
        (said(reason="content_filter"), {}, False),
        (said(reason="pause"), {}, False),
        (said(reason="error"), {}, False),
        (said(reason="unknown"), {}, False),
        (said(""), {}, False),
        (said(choices=[]), {}, False),
        (said(choices=[Choice(Message("assistant", [ToolCallPart("c", "t", "{}")]), "tool_calls")]), {}, False),
        (said(choices=[Choice(Message("assistant", [ToolCallPart("c", "t", "{}")]), "stop")]), {}, False),
        (said(choices=[Choice(Message("assistant", [RefusalPart("no")]), "stop")]), {}, False),
        (said(choices=[Choice(Message.assistant("a"), "stop"), Choice(Message.assistant("b"), "stop", 1)]), {}, True),
        (
            said(choices=[Choice(Message.assistant("a"), "stop"), Choice(Message.assistant("b"), "length", 1)]),
            {},
            False,
        ),
        (said("\ud800"), {}, False),
        (said('{"a": 1}'), {"output": SCHEMA}, True),
        (said('{"a": "1"}'), {"output": SCHEMA}, False),
        (said('{"a": 1'), {"output": SCHEMA}, False),
        (said("[1]"), {"output": OutputFormat("json_object")}, False),
        (said("{}"), {"output": OutputFormat("json_object")}, True),
        (said("plain"), {"output": OutputFormat("text")}, True),
        (said("[1]"), {"output": OutputFormat("json_schema")}, True),
        (Embeddings([]), {"embed": ["a"]}, False),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_only_whole_sound_answers_are_remembered(desk, answer, fields, remembered, stream):
    upstream = Upstream(answer)
    made = desk(upstream)
    if stream and "embed" not in fields:
        fields = {**fields, "stream": True}

    async def body(runtime):
        for _ in range(2):
            await made.ask(runtime, **fields)

    drive_sync(body)
    assert len(upstream.asked) == (1 if remembered else 2)


def test_errors_are_not_remembered(desk, drive):
    upstream = Upstream(ServerError("down"), said())
    made = desk(upstream)

    async def body(runtime):
        with pytest.raises(ServerError):
            await made.ask(runtime)
        return (await made.ask(runtime))[1].degraded

    assert drive(body) is None
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_lesser_answers_are_not_remembered(desk, drive, stream):
    upstream = Upstream()
    made = desk(upstream, inside=[lesser])

    async def body(runtime):
        for _ in range(2):
            await made.ask(runtime, stream=stream)

    drive(body)
    assert len(upstream.asked) == 2


class Restore:
    """What redaction hangs on a reply: the originals in the place of the placeholders."""

    async def __call__(self, call, call_next, /):
        reply = await call_next(call)
        reply.tap(self)
        return reply

    def feed(self, event):
        if type(event) is Whole:
            # In place, which is the hardest case.
            for part in event.completion.message.parts:
                part.text = part.text.replace("[[NAME_1]]", "Ada")
        if type(event) is TextDelta:
            event = replace(event, text=event.text.replace("[[NAME_1]]", "Ada"))
        return [event]

    def finish(self):
        return []


@pytest.mark.parametrize("first", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("second", [False, True], ids=["then plain", "then stream"])
def test_what_redaction_restores_is_not_remembered(desk, drive, first, second):
    made = desk(Upstream(said("Hi [[NAME_1]]")), outside=[Restore()])

    async def body(runtime):
        one, _ = await made.ask(runtime, stream=first)
        two, hit = await made.ask(runtime, stream=second)
        key = made.answers.key(hit)
        return one.text, two.text, hit.degraded, made.answers.store.get(key, 0.0).data

    one, two, degraded, data = drive(body)
    assert (one, two, degraded) == ("Hi Ada", "Hi Ada", "cache")
    assert b"[[NAME_1]]" in data
    assert b"Ada" not in data


def test_a_stream_that_was_answered_whole_is_remembered_before_it_is_restored(desk, drive):
    def whole(call):
        return said("Hi [[NAME_1]]")

    upstream = Upstream(whole)
    upstream.reply = lambda call, answer: Upstream.reply(upstream, replace_stream(call), answer)
    made = desk(upstream, outside=[Restore()])

    async def body(runtime):
        await made.ask(runtime, stream=True)
        _, hit = await made.ask(runtime)
        return hit.degraded, made.answers.store.get(made.answers.key(hit), 0.0).data

    degraded, data = drive(body)
    assert degraded == "cache"
    assert b"[[NAME_1]]" in data


def replace_stream(call):
    """The same call, from which nobody expects a stream."""
    leg = call.leg()
    leg.request = replace(call.request, stream=False)
    return leg


class Prepare:
    """What encoding notes of a call, as far as the cache reads it."""

    def __init__(self, answer=None):
        self.answer = answer

    async def __call__(self, call, call_next, /):
        lossy = [Lossy("top_k", "dropped", "it has none")]
        request = HttpRequest("POST", "http://127.0.0.1/", [])
        call.prepared[call.target.name] = Prepared(request, chat_dialect("openai_chat"), Profile(), self.answer, lossy)
        return await call_next(call)


def test_what_could_not_be_said_is_remembered_with_the_answer(desk, drive):
    made = desk(Upstream(), inside=[Prepare()])

    async def body(runtime):
        await made.ask(runtime)
        return (await made.ask(runtime, stream=True))[0]

    assert drive(body).lossy == [Lossy("top_k", "dropped", "it has none")]


def test_a_streamed_document_is_remembered_as_the_document(desk, drive):
    schema = {"type": "array", "items": {"type": "integer"}}
    lowered = Lowered({"type": "object", "properties": {"value": schema}}, schema, wrapped=True)
    upstream = Upstream(said('{"value": [1, 2]}'))
    made = desk(upstream, inside=[Prepare(Answer("schema", lowered))])

    async def body(runtime):
        first, _ = await made.ask(runtime, stream=True, output=OutputFormat("json_schema", schema))
        second, _ = await made.ask(runtime, output=OutputFormat("json_schema", schema))
        return first, second

    first, second = drive(body)
    assert len(upstream.asked) == 1
    assert (second.text.replace(" ", ""), second.output_mode) == ("[1,2]", "schema")
    assert first.text == '{"value": [1, 2]}'


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("second", [False, True], ids=["then plain", "then stream"])
def test_plain_and_streamed_calls_share_their_answers(desk, drive, store, first, second):
    upstream = Upstream(said("Hello"), said("again"))
    made = desk(upstream, store=store)

    async def body(runtime):
        await made.ask(runtime, stream=first)
        call = made.call(runtime, stream=second)
        reply = await made.pipeline(call)
        events = await pulled(reply)
        return events, reply.accumulated.result(), reply.outcome, call.degraded

    events, answer, outcome, degraded = drive(body)
    assert len(upstream.asked) == 1
    assert "".join(event.text for event in events) == answer.text == "Hello"
    assert (answer.target, answer.request_id, answer.finish_reason) == ("openai/gpt-5-mini", "req-1", "stop")
    assert (outcome, degraded) == ("success", "cache")
    kinds = [type(event) for event in events]
    assert kinds[0] is (ReplyStart if second else Whole)
    assert kinds[-1] is (ReplyEnd if second else Whole)


@pytest.mark.parametrize("read", [2, len(STREAM) - 1], ids=["amid the text", "before the terminal event"])
def test_a_stream_that_is_left_early_is_not_remembered(desk, drive, read):
    upstream = Upstream(STREAM)
    made = desk(upstream)

    async def body(runtime):
        reply = await made.pipeline(made.call(runtime, stream=True))
        for _ in range(read):
            await reply.next()
        await reply.close()
        return (await made.ask(runtime, stream=True))[1].degraded

    assert drive(body) is None


def test_a_stream_that_is_dropped_is_not_remembered(desk, drive):
    upstream = Upstream(STREAM)
    made = desk(upstream)

    async def body(runtime):
        reply = await made.pipeline(made.call(runtime, stream=True))
        await reply.next()
        del reply
        gc.collect()
        return (await made.ask(runtime, stream=True))[1].degraded

    assert drive(body) is None


def test_a_stream_whose_end_was_seen_is_remembered_whoever_reads_it(desk, drive):
    made = desk(Upstream(STREAM))

    async def body(runtime):
        reply = await made.pipeline(made.call(runtime, stream=True))
        for _ in range(len(STREAM)):
            await reply.next()
        await reply.close()
        return (await made.ask(runtime))[1].degraded

    assert drive(body) == "cache"


@pytest.mark.parametrize("read", [4, len(STREAM) - 1, len(STREAM)], ids=["amid the text", "before its end", "after it"])
def test_a_stream_that_breaks_is_not_remembered(desk, drive, read):
    upstream = Upstream([*STREAM[:read], ServerError("cut")], STREAM)
    made = desk(upstream)

    async def body(runtime):
        with pytest.raises(StreamInterrupted):
            await made.ask(runtime, stream=True)
        return (await made.ask(runtime, stream=True))[1].degraded

    assert drive(body) is None


def test_a_stream_that_another_target_finished_is_not_remembered(desk, drive):
    upstream = Upstream([*STREAM[:3], Switched("b", "b/m", 3, "AttemptTimeout"), *STREAM[3:]])
    made = desk(upstream)

    async def body(runtime):
        await made.ask(runtime, stream=True)
        return (await made.ask(runtime, stream=True))[1].degraded

    assert drive(body) is None
