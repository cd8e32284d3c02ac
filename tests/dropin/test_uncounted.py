"""Streams whose callers did not ask for token counts: billed as the provider counts, and given as without the drop-in."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

import aistrale
from aistrale.default import get_engine
from aistrale.dropin.last import last_call
from aistrale.dropin.transport import Transport
from aistrale.store.ledger import SQLiteLedger
from aistrale.testing import Broken, Fault, Say, Slow
from aistrale.types import Choice, Completion, Message, TextPart, Usage
from tests.dropin.asking import ASK, MODELS, ask_no_registry, need_covered, release_of
from tests.sdks.judging import Judge
from tests.sdks.observed import Comparing

httpx2 = pytest.importorskip("httpx2")
openai = pytest.importorskip("openai")
if release_of("openai") < (3, 0):
    pytest.skip("earlier SDKs of OpenAI speak through httpx", allow_module_level=True)

MODEL = MODELS["openai"]
ASKED = {"model": MODEL, "messages": ASK, "stream": True}
COUNTED = {"stream_options": {"include_usage": True}}
THOUGHT = Completion(
    "chatcmpl-x",
    MODEL,
    [Choice(Message("assistant", [TextPart("It is five o'clock.")]), "stop")],
    Usage(input=7, cache_read=3, output=5, reasoning=900),
)
COUNTS = ("reported", 7, 3, 5, 900)


@pytest.fixture(params=["sync", "async"])
def judge(request):
    return Judge(request.param)


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    ask_no_registry(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def no_calls():
    yield
    # Each of them holds its connections.
    LAST.clear()


@pytest.fixture
def begin(sim, tmp_path):
    """Switch the drop-in on; gives its client."""

    def init(**settings):
        ledger = f"sqlite:///{tmp_path}/ledger.sqlite3"
        return aistrale.init(**{**sim.settings(), "ledger": ledger, "retry": False, **settings})

    yield init
    aistrale.shutdown()


def client_of(judge, sim, **options):
    made = judge.pick(openai.OpenAI, openai.AsyncOpenAI)
    return made(**{"base_url": sim.base_url("openai"), "api_key": "k", "max_retries": 0, **options})


def chunks_of(judge, sim, client=None, **options):
    """What a stream gives, as plain data."""

    async def body():
        ai = client or client_of(judge, sim)
        try:
            return [one.to_dict() for one in await judge.all(ai.chat.completions.create(**{**ASKED, **options}))]
        finally:
            LAST.append(last_call())
            await judge.get(ai.close())

    return judge.run(body)


# What was told of the last calls in the tasks that made them.
LAST = []


def last():
    return LAST[-1]


def told(usage):
    return usage.source, usage.input, usage.cache_read, usage.output, usage.reasoning


def row_of(own):
    assert own.flush(20)
    (row,) = own.ledger.calls()
    return row


def bodies(sim, provider="openai"):
    return [request.body for request in sim.requests if request.provider == provider]


# --- billed as the provider counts, given as it would have come --------------------------------------------------------


def test_the_provider_counts_and_the_caller_sees_nothing_of_it(begin, judge, sim):
    sim.script(Say(completion=THOUGHT), Say(completion=THOUGHT))
    without = chunks_of(judge, sim)
    own = begin()
    assert chunks_of(judge, sim) == without
    assert without
    assert not any("usage" in chunk for chunk in without)
    assert all(chunk["choices"] for chunk in without)
    assert told(last().usage) == COUNTS
    row = row_of(own)
    assert (row.outcome, row.usage_source, row.reasoning, row.output) == ("success", "reported", 900, 5)
    first, second = bodies(sim)
    assert second == {**first, **COUNTED}


@pytest.mark.parametrize("options", [COUNTED, {"stream_options": {"include_usage": False}}], ids=["true", "false"])
def test_what_the_caller_says_stands(begin, judge, sim, options):
    without = chunks_of(judge, sim, **options)
    begin()
    assert chunks_of(judge, sim, **options) == without
    first, second = bodies(sim)
    assert second == first
    wanted = options == COUNTED
    assert [any("usage" in chunk for chunk in without), last().usage.source == "reported"] == [wanted, wanted]


def test_other_options_of_the_stream_are_kept(begin, judge, sim):
    begin()
    chunks_of(judge, sim, stream_options={"include_obfuscation": False})
    (body,) = bodies(sim)
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert last().usage.source == "reported"


def test_a_server_that_only_speaks_the_format_is_not_asked(begin, judge, sim):
    begin(providers={})
    assert chunks_of(judge, sim)
    (body,) = bodies(sim)
    assert "stream_options" not in body
    assert last().usage.source == "estimated"


def test_a_whole_answer_is_not_asked_for_counts(begin, judge, sim):
    begin()

    async def body():
        async with client_of(judge, sim) as ai:
            await judge.get(ai.chat.completions.create(model=MODEL, messages=ASK))

    async def blocking():
        with client_of(judge, sim) as ai:
            ai.chat.completions.create(model=MODEL, messages=ASK)

    judge.run(judge.pick(blocking, body))
    assert "stream_options" not in bodies(sim)[0]


@asynccontextmanager
async def opened(judge, sim, **options):
    ai = client_of(judge, sim, **options)
    try:
        yield ai
    finally:
        await judge.get(ai.close())


class Asking(Comparing):
    """Compares with the settings that name the server; what is asked on top is told apart."""

    def _arrived(self):
        bare = []
        for operation, path, body, status in super()._arrived():
            options = {name: value for name, value in body.get("stream_options", {}).items() if name != "include_usage"}
            rest = {name: value for name, value in body.items() if name != "stream_options"}
            bare.append((operation, path, {**rest, **({"stream_options": options} if options else {})}, status))
        return bare

    def check_counted(self):
        ledger = SQLiteLedger(self.path)
        try:
            assert [row.usage_source for row in ledger.calls()] == ["reported"]
        finally:
            ledger.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("how", ["create", "helper", "raw", "streaming", "lines", "several", "calls", "cut_up"])
def test_every_way_to_read_a_stream_gives_the_same(sim, tmp_path, colour, how):
    judge = Asking(colour, sim, tmp_path, **sim.settings())
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}

    async def body():
        async with opened(judge, sim) as ai:
            chat = ai.chat.completions
            asked = {name: value for name, value in ASKED.items() if name != "stream"}
            if how == "helper":
                async with judge.inside(chat.stream(**asked)) as stream:
                    await judge.all(stream)
                    await judge.get(stream.get_final_completion())
            elif how == "raw":
                raw = await judge.unseen(chat.with_raw_response.create(**ASKED))
                await judge.all(raw.parse())
            elif how == "streaming":
                async with judge.inside(chat.with_streaming_response.create(**ASKED)) as raw:
                    pieces = raw.iter_bytes()
                    got = [piece async for piece in pieces] if colour == "async" else list(pieces)
                    judge.note(b"".join(got))
            elif how == "lines":
                async with judge.inside(chat.with_streaming_response.create(**ASKED)) as raw:
                    await judge.all(raw.iter_lines())
            else:
                if how == "cut_up":
                    sim.script(Slow(drip=7))
                options = {"several": {"n": 3}, "calls": {"tools": [tool]}}.get(how, {})
                await judge.all(chat.create(**ASKED, **options))

    judge.run(body)
    judge.check_counted()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_hugging_face_is_asked_too(sim, tmp_path, colour):
    need_covered("huggingface")
    hub = pytest.importorskip("huggingface_hub")
    judge = Asking(colour, sim, tmp_path, **sim.settings())

    async def body():
        ai = judge.pick(hub.InferenceClient, hub.AsyncInferenceClient)(
            base_url=sim.base_url("huggingface"), api_key="k"
        )
        asked = {"model": MODELS["huggingface"], "messages": ASK, "stream": True}
        chunks = await judge.all(ai.chat_completion(**asked))
        assert all(chunk.choices for chunk in chunks)
        if hasattr(ai, "close"):
            await judge.unseen(ai.close())
        if colour == "sync" and hasattr(hub, "close_session"):
            hub.close_session()

    judge.run(body)
    judge.check_counted()


def test_azure_is_asked_where_the_settings_name_it(begin, judge, sim):
    base = f"{sim.url}/openai/deployments/{MODEL}"
    azure = judge.pick(openai.AzureOpenAI, openai.AsyncAzureOpenAI)
    options = {"azure_endpoint": sim.url, "api_key": "k", "api_version": "2024-10-21", "max_retries": 0}
    without = chunks_of(judge, sim, azure(**options))
    own = begin(providers={"mine": {"base_url": base, "api_key": "k", "compatible": "openai_chat"}})
    assert chunks_of(judge, sim, azure(**options)) == without
    assert row_of(own).usage_source == "reported"
    assert bodies(sim)[-1] == {**bodies(sim)[0], **COUNTED}


# --- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [1, 2])
def test_retries_ask_again(begin, judge, sim, failures):
    without = chunks_of(judge, sim)
    begin(retry={"attempts": 3, "base": 0.001})
    sim.script(*[Fault(status=500)] * failures)
    assert chunks_of(judge, sim) == without
    assert [body.get("stream_options") for body in bodies(sim)] == [None, *[COUNTED["stream_options"]] * (failures + 1)]
    assert last().usage.source == "reported"


def test_another_provider_stands_in(begin, judge, sim):
    begin(routes={MODEL: [f"openai/{MODEL}", f"anthropic/{MODELS['anthropic']}"]})
    sim.outage("openai", Fault(status=500))
    chunks = chunks_of(judge, sim)
    assert all(chunk["choices"] for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)
    assert (last().target, last().usage.source) == (f"anthropic/{MODELS['anthropic']}", "reported")


def test_another_model_of_the_provider_is_asked_as_well(begin, judge, sim):
    begin(routes={MODEL: ["openai/gpt-4.1-mini"]})
    chunks = chunks_of(judge, sim)
    assert all(chunk["choices"] for chunk in chunks)
    (body,) = bodies(sim)
    assert (body["model"], body["stream_options"]) == ("gpt-4.1-mini", COUNTED["stream_options"])


def test_of_two_attempts_at_once_both_ask(begin, sim):
    judge = Judge("async")
    begin(hedge={"delay": 0.05})
    sim.script(Slow(headers=0.3))
    chunks = chunks_of(judge, sim)
    assert all(chunk["choices"] for chunk in chunks)
    assert [body["stream_options"] for body in bodies(sim)] == [COUNTED["stream_options"]] * 2
    assert [attempt.outcome for attempt in last().attempts] == ["cancelled", "success"]


def test_a_stream_that_is_written_anew_has_no_counts_either(begin, judge, sim):
    own = begin(privacy="redact")
    mail = [{"role": "user", "content": "Write to canary.person@example.com."}]
    chunks = chunks_of(judge, sim, messages=mail)
    assert "canary.person@example.com" in json.dumps(chunks)
    assert all(chunk["choices"] for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)
    (body,) = bodies(sim)
    assert body["stream_options"] == COUNTED["stream_options"]
    assert "canary" not in json.dumps(body)
    assert row_of(own).usage_source == "reported"


def test_a_stream_that_is_resumed_has_none_either(begin, judge, sim):
    begin(streams="resume", routes={MODEL: [f"openai/{MODEL}", f"anthropic/{MODELS['anthropic']}"]})
    chunks = chunks_of(judge, sim)
    assert all(chunk["choices"] for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)
    assert last().usage.source == "reported"


def test_a_limited_request_asks_once(begin, judge, sim):
    begin(budgets=[{"limit": "0.0005", "period": "day"}], limits=False)
    assert chunks_of(judge, sim)
    (body,) = bodies(sim)
    assert body["max_completion_tokens"] >= 16
    assert body["stream_options"] == COUNTED["stream_options"]
    assert last().usage.source == "reported"


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"routes": {MODEL: ["openai/gpt-4.1-mini"]}}, {"model": "gpt-4.1-mini"}),
        ({"budgets": [{"limit": "0.0005", "period": "day"}], "limits": False}, {"max_completion_tokens": 1}),
        ({"privacy": "redact"}, {"messages": []}),
    ],
    ids=["model", "limit", "words"],
)
def test_a_request_that_is_changed_asks_beside_the_other_options(begin, judge, sim, settings, changed):
    begin(**settings)
    mail = [{"role": "user", "content": "Write to canary.person@example.com."}]
    chunks_of(judge, sim, messages=mail, stream_options={"include_obfuscation": False})
    (body,) = bodies(sim)
    (name,) = changed
    assert body.get(name) != {**ASKED, "messages": mail}.get(name)
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert last().usage.source == "reported"


@pytest.mark.parametrize("wreck", ["truncate", "error_midway", "bad_json"])
def test_a_stream_that_breaks_ends_as_it_would_otherwise(begin, judge, sim, wreck):
    errors = []
    for asked in ({"stream_options": {"include_usage": False}}, {}):
        begin()
        sim.script(Broken(wreck=wreck, after=3))
        with pytest.raises((openai.APIError, json.JSONDecodeError)) as caught:
            chunks_of(judge, sim, **asked)
        errors.append(
            (type(caught.value), getattr(caught.value, "code", None), str(caught.value), last().attempts[0].outcome)
        )
        aistrale.shutdown()
    assert errors[0] == errors[1]


def test_a_caller_that_leaves_pays_for_what_came(begin, judge, sim):
    own = begin()

    async def body():
        async with opened(judge, sim) as ai:
            stream = await judge.get(ai.chat.completions.create(**ASKED))
            async with judge.inside(stream):
                if judge.colour == "sync":
                    next(iter(stream))
                else:
                    await anext(aiter(stream))

    judge.run(body)
    row = row_of(own)
    assert (row.outcome, row.usage_source) == ("abandoned", "estimated")


def test_a_signed_request_goes_as_it_is(begin, judge, sim):
    begin()
    chunks_of(judge, sim, extra_headers={"content-digest": "sha-256=:x:"})
    assert "stream_options" not in bodies(sim)[0]


# --- servers that do not know the question ------------------------------------------------------------------------------

UNKNOWN = {"error": {"message": "Unrecognized request argument supplied: stream_options", "code": None, "param": None}}


def test_a_server_that_refuses_the_question_is_asked_without_it_and_then_no_more(begin, judge, sim):
    without = chunks_of(judge, sim)
    begin()
    sim.script(Fault(status=400, body=UNKNOWN))
    assert chunks_of(judge, sim) == without
    assert [attempt.outcome for attempt in last().attempts] == ["success"]
    assert chunks_of(judge, sim) == without
    plain, asked, again, later = bodies(sim)
    assert asked == {**plain, **COUNTED}
    assert again == later == plain
    assert last().usage.source == "estimated"


def test_a_refusal_of_something_else_is_told_in_the_providers_words(begin, judge, sim):
    begin()
    sim.script(Fault(status=400, message="the prompt is odd", headers={"x-odd": "1"}))
    with pytest.raises(openai.BadRequestError) as caught:
        chunks_of(judge, sim)
    assert caught.value.body["message"] == "the prompt is odd"
    assert caught.value.response.headers["x-odd"] == "1"
    assert len(bodies(sim)) == 1


def test_a_server_that_repeats_the_request_in_any_refusal_is_asked_again(begin, judge, sim):
    begin()
    repeated = {"error": {"message": "temperature is too high", "input": {**ASKED, **COUNTED}}}
    sim.script(Fault(status=422, body=repeated), Fault(status=422, body=repeated))
    with pytest.raises(openai.UnprocessableEntityError, match="temperature"):
        chunks_of(judge, sim)
    assert chunks_of(judge, sim)
    asked = COUNTED["stream_options"]
    assert [body.get("stream_options") for body in bodies(sim)] == [asked, None, asked]
    assert last().usage.source == "reported"


class Upstream:
    """OpenAI or Azure over the SDK's own transport: refuses the question, or answers it."""

    def __init__(self, *, refuses):
        self.refuses = refuses
        self.seen = []

    def __call__(self, request):
        self.seen.append((request.content, request.headers["content-length"]))
        asked = b"include_usage" in request.content
        if asked and self.refuses:
            return httpx2.Response(400, json=UNKNOWN)
        null = ',"usage":null' if asked else ""
        filtered = '{"choices":[],"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]%s}'
        said = '{"id":"c","model":"m","object":"chat.completion.chunk","created":1%s,"choices":[%s]}'
        choice = '{"index":0,"delta":{"role":"assistant","content":"Hi ,\\"usage\\":null"},"finish_reason":%s}'
        usage = (
            ',"usage":{"prompt_tokens":7,"completion_tokens":99,"completion_tokens_details":{"reasoning_tokens":90}}'
        )
        chunks = [filtered % null, said % (null, choice % "null"), said % (null, choice % '"stop"')]
        chunks += [said % (usage, "")] if asked else []
        data = "".join(f"data: {chunk}\r\n\r\n" for chunk in [*chunks, "[DONE]"])
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data.encode())


HOSTS = ["https://api.openai.com/v1", "https://eu.api.openai.com/v1", "https://x.openai.azure.com/openai/v1"]


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("base", HOSTS)
def test_over_the_sdks_own_transport(judge, base, refuses):
    upstream = Upstream(refuses=refuses)

    def http(*, covered):
        inner = httpx2.MockTransport(upstream)
        return judge.pick(httpx2.Client, httpx2.AsyncClient)(
            transport=Transport(get_engine, inner) if covered else inner
        )

    async def body():
        seen = []
        for covered in (False, True):
            ai = judge.pick(openai.OpenAI, openai.AsyncOpenAI)(
                base_url=base, api_key="k", max_retries=0, http_client=http(covered=covered)
            )
            raw = await judge.get(ai.chat.completions.with_raw_response.create(**ASKED))
            seen.append([one.to_dict() for one in await judge.all(raw.parse())])
            LAST.append(last_call())
            await judge.get(ai.close())
        return seen

    aistrale.init(ledger="off", retry=False, instrument=False)
    try:
        without, with_ = judge.run(body)
    finally:
        aistrale.shutdown()
    assert with_ == without
    assert without[0]["choices"] == []
    plain, asked = upstream.seen[:2]
    assert asked[0] == plain[0][:-1] + b',"stream_options":{"include_usage":true}}'
    assert all(int(length) == len(content) for content, length in upstream.seen)
    assert upstream.seen[2:] == ([plain] if refuses else [])
    usage = last().usage
    assert (usage.source, usage.reasoning) == (("estimated", None) if refuses else ("reported", 90))
