from __future__ import annotations

import anyio
import pytest

from aistrale.core.call import Attempt
from aistrale.cost.prices import price_usage
from aistrale.errors import (
    AllTargetsFailed,
    AttemptTimeout,
    AuthenticationError,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ConnectError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceeded,
    DLPViolation,
    InvalidRequestError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    PermissionDeniedError,
    QueueFull,
    QueueTimeout,
    QuotaExceededError,
    RateLimitError,
    ResidencyError,
    ResponseError,
    ServerError,
    StreamInterrupted,
    TLSError,
)
from aistrale.policies.cache import AnswerCache, Cache, CacheSettings
from aistrale.policies.degrade import Degrade, DegradeSettings, is_mendable
from aistrale.policies.substitute import usual_price
from aistrale.providers.catalog import catalog
from aistrale.types import (
    Embeddings,
    MediaPart,
    Message,
    OutputFormat,
    ReplyEnd,
    ReplyStart,
    TextPart,
    Tool,
    ToolChoice,
    Whole,
)
from tests.policies.upstream import DRIVES, NOW, Clocked, Desk, Upstream, drive_sync, pulled, said, target

DOWN = ServerError("down", status=500)


def _price(facts):
    return usual_price(price_usage, facts.provider, facts.id)


@pytest.fixture(autouse=True)
def clock():
    Clocked.time = 0.0


@pytest.fixture(params=DRIVES)
def drive(request):
    return DRIVES[request.param]


@pytest.fixture
def desk():
    opened = []

    def make(upstream, *, inside=(), cache=None, target_of=target, targets=("openai/gpt-5-mini",), **settings):
        answers = AnswerCache(CacheSettings(**cache)) if cache is not None else None
        policies = [Degrade(DegradeSettings(**settings), answers, target_of), *inside]
        if answers is not None:
            opened.append(answers)
            policies.insert(0, Cache(answers))
        made = Desk(upstream, *policies, targets=targets)
        made.answers = answers
        return made

    yield make
    for answers in opened:
        answers.close()


# --- which failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "mended"),
    [
        (ServerError("x", status=500), True),
        (OverloadedError("x", status=529), True),
        (RateLimitError("x", status=429), True),
        (QuotaExceededError("x", status=429), True),
        (ResponseError("x", status=200), True),
        (ConnectError("x"), True),
        (NetworkError("x"), True),
        (AttemptTimeout("x"), True),
        (DeadlineExceeded("x"), True),
        (CircuitOpen("x"), True),
        (QueueFull("x"), True),
        (QueueTimeout("x"), True),
        (TLSError("x"), False),
        (AuthenticationError("x", status=401), False),
        (PermissionDeniedError("x", status=403), False),
        (ModelNotFoundError("x", status=404), False),
        (InvalidRequestError("x", status=400), False),
        (InvalidRequestError("x", param="top_k"), False),
        (ContextLengthError("x", status=400), False),
        (ContentFilterError("x", status=400), False),
        (BudgetExceeded("x"), False),
        (DLPViolation("x"), False),
        (ResidencyError("x"), False),
        (ConfigurationError("x"), False),
        (AllTargetsFailed("x", [ServerError("x", status=500), RateLimitError("x", status=429)]), True),
        (AllTargetsFailed("x", [InvalidRequestError("x", param="top_k"), ServerError("x", status=500)]), True),
        (AllTargetsFailed("x", [AuthenticationError("x", status=401), ContextLengthError("x", status=400)]), False),
        (AllTargetsFailed("x", [ResidencyError("x")]), False),
        (AllTargetsFailed("x", [AllTargetsFailed("x", [CircuitOpen("x")])]), True),
    ],
    ids=lambda value: value if isinstance(value, bool) else type(value).__name__,
)
def test_only_what_another_answer_mends_is_mended(desk, error, mended):
    assert is_mendable(error) is mended
    made = desk(Upstream(error), canned="Later, please.")

    async def body(runtime):
        if mended:
            return (await made.ask(runtime))[0].text
        with pytest.raises(type(error)) as caught:
            await made.ask(runtime)
        assert caught.value is error
        return None

    assert drive_sync(body) == ("Later, please." if mended else None)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), ZeroDivisionError()], ids=repr)
def test_what_is_no_failure_of_a_provider_is_left_alone(desk, error):
    made = desk(Upstream(error), canned="Later, please.")

    async def body(runtime):
        with pytest.raises(type(error)):
            await made.ask(runtime)

    drive_sync(body)


@pytest.mark.parametrize("run", ["asyncio", "trio"])
def test_a_cancelled_call_is_not_answered(desk, run):
    upstream = Upstream()
    upstream.holding = True
    made = desk(upstream, canned="Later, please.", cache={"stale": 10.0})

    async def body(runtime):
        with anyio.move_on_after(0.01) as scope:
            await made.ask(runtime)
            raise AssertionError("it was answered")
        return scope.cancelled_caught

    assert DRIVES[run](body)


def test_a_call_that_succeeds_is_left_alone(desk, drive):
    made = desk(Upstream(), canned="Later, please.", cache={})

    async def body(runtime):
        answer, call = await made.ask(runtime)
        return answer.text, call.degraded, call.attempt.target.name

    assert drive(body) == ("Hello", None, "openai/gpt-5-mini")


# --- the steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_stale_answer_is_better_than_none(desk, drive, store, tmp_path):
    upstream = Upstream(said(), lambda call: DOWN)
    setting = store if store == "memory" else f"sqlite:///{tmp_path}/answers.db"
    made = desk(
        upstream,
        cache={"ttl": 10.0, "stale": 100.0, "store": setting},
        canned="Later.",
        steps=("stale_cache", "canned"),
    )

    async def body(runtime):
        found = []
        for Clocked.time in (0.0, 5.0, 20.0, 109.0, 111.0):
            answer, call = await made.ask(runtime)
            found.append((answer.text, call.degraded, len(call.attempts), call.attempt is None))
        return found

    assert drive(body) == [
        ("Hello", None, 1, False),
        ("Hello", "cache", 0, True),
        ("Hello", "stale_cache", 1, True),
        ("Hello", "stale_cache", 1, True),
        ("Later.", "canned", 1, True),
    ]
    assert len(upstream.asked) == 4


def test_a_stale_answer_does_not_become_fresh_by_being_served(desk, drive):
    made = desk(Upstream(said(), DOWN), cache={"ttl": 10.0, "stale": 100.0})

    async def body(runtime):
        found = []
        for Clocked.time in (0.0, 50.0, 55.0):
            found.append((await made.ask(runtime))[1].degraded)
        return found

    assert drive(body) == [None, "stale_cache", "stale_cache"]


def test_an_answer_that_another_call_has_brought_meanwhile_is_fresh(desk, drive):
    made = desk(Upstream(), cache={"ttl": 10.0, "stale": 100.0, "single_flight": False})

    async def body(runtime):
        async def meanwhile(call):
            await Cache(made.answers)(made.call(runtime), made.upstream.send)
            raise DOWN

        call = made.call(runtime)
        degrade = made.pipeline.places[1][1]
        reply = await degrade(call, meanwhile)
        return (await reply.completion()).text, call.degraded

    assert drive(body) == ("Hello", "cache")


def test_a_stale_answer_is_found_although_the_route_chose_other_targets(desk, drive):
    async def route(call, call_next, /):
        call.targets = call.targets[::-1]
        call.target = call.targets[0]
        return await call_next(call)

    made = desk(
        Upstream(said(), DOWN),
        inside=[route],
        cache={"ttl": 10.0, "stale": 100.0},
        targets=("openai/gpt-5", "openai/gpt-5-mini"),
    )

    async def body(runtime):
        await made.ask(runtime)
        Clocked.time = 20.0
        return (await made.ask(runtime))[1].degraded

    assert drive(body) == "stale_cache"


def test_stale_embeddings_are_served_and_nothing_else_is(desk, drive):
    made = desk(
        Upstream(Embeddings([[1.0]]), DOWN),
        cache={"ttl": 10.0, "stale": 100.0},
        canned="Later, please.",
        model="openai/gpt-5-nano",
    )

    async def body(runtime):
        await made.ask(runtime, embed=["a"])
        Clocked.time = 20.0
        answer, call = await made.ask(runtime, embed=["a"])
        with pytest.raises(ServerError):
            await made.ask(runtime, embed=["b"])
        return answer.vectors, call.degraded

    assert drive(body) == ([[1.0]], "stale_cache")


def by_target(**answers):
    """An upstream whose targets answer as told; the others are down."""
    return Upstream(lambda call: answers.get(call.target.model.replace("-", "_").replace(".", "_"), DOWN))


def test_a_cheaper_model_answers(desk, drive):
    upstream = by_target(gpt_5_nano=said("from nano"))
    made = desk(upstream, model="openai/gpt-5-nano")

    async def body(runtime):
        return await made.ask(runtime)

    answer, call = drive(body)
    assert (answer.text, call.degraded) == ("from nano", "smaller_model")
    assert [attempt.target.name for attempt in call.attempts] == ["openai/gpt-5-mini", "openai/gpt-5-nano"]
    assert call.attempt.target.name == call.target.name == "openai/gpt-5-nano"


def test_models_that_have_failed_already_are_not_asked_again(desk, drive):
    upstream = by_target(gpt_5_nano=said("from nano"))
    made = desk(
        upstream,
        model=("openai/gpt-5-mini", "openai/gpt-5", "openai/gpt-5-nano", "openai/gpt-5-nano"),
        targets=("openai/gpt-5-mini", "openai/gpt-5"),
        inside=[each_target],
    )

    async def body(runtime):
        return (await made.ask(runtime))[1]

    call = drive(body)
    assert [attempt.target.name for attempt in call.attempts] == [
        "openai/gpt-5-mini",
        "openai/gpt-5",
        "openai/gpt-5-nano",
    ]


async def each_target(call, call_next, /):
    """Failover in a nutshell."""
    errors = []
    for each in call.targets:
        call.target = each
        try:
            return await call_next(call)
        except ServerError as error:
            errors.append(error)
    raise AllTargetsFailed("all failed", errors)


def test_what_the_failed_targets_left_behind_does_not_bind_the_smaller_model(desk, drive):
    seen = []

    async def note(call, call_next, /):
        seen.append((call.others, call.share_until, call.forced, [each.name for each in call.targets]))
        if len(seen) == 1:
            call.others, call.share_until, call.forced = call.targets, 0.0, True
        return await call_next(call)

    made = desk(by_target(gpt_5_nano=said()), model="openai/gpt-5-nano", inside=[note])

    async def body(runtime):
        await made.ask(runtime)

    drive(body)
    assert seen[1] == ([], None, False, ["openai/gpt-5-nano"])


def test_the_first_failure_is_the_one_that_is_raised(desk, drive):
    first, second = ServerError("first", status=500), OverloadedError("second", status=503)
    made = desk(Upstream(first, second), model="openai/gpt-5-nano")

    async def body(runtime):
        call = made.call(runtime)
        with pytest.raises(ServerError) as caught:
            await made.run(call)
        return caught.value, call.degraded, [each.name for each in call.targets], call.target.name

    assert drive(body) == (first, None, ["openai/gpt-5-mini"], "openai/gpt-5-mini")


def test_without_time_no_other_model_is_asked_but_the_rest_of_the_ladder_holds(desk, drive):
    late = DeadlineExceeded("too late")
    upstream = Upstream(late)
    made = desk(upstream, model="openai/gpt-5-nano", canned="Later, please.")

    async def body(runtime):
        return (await made.ask(runtime, total=0.01))[1].degraded, (await made.ask(runtime, total=None))[1].attempts

    degraded, attempts = drive(body)
    assert degraded == "canned"
    assert len(attempts) == 2


DEAREST = [
    max((each for each in catalog().models(provider, "chat") if each.current and _price(each)), key=_price).name
    for provider in ("openai", "anthropic", "gemini")
]


@pytest.mark.parametrize(
    ("asked", "fields", "chosen"),
    [
        ("openai/gpt-5", {}, "openai"),
        ("anthropic/claude-sonnet-4-5", {}, "anthropic"),
        ("anthropic/claude-sonnet-4-5", {"tools": [Tool("t", parameters={"type": "object"})]}, "anthropic"),
        ("openai/of-our-own", {}, None),
        *((each, {}, each.partition("/")[0]) for each in DEAREST),
        ("openai/gpt-5-nano", {}, "cheapest"),
    ],
)
def test_the_catalog_knows_a_cheaper_model_of_the_same_provider(desk, asked, fields, chosen):
    upstream = Upstream(lambda call: said("smaller") if call.target.name != asked else DOWN)
    made = desk(upstream, targets=(asked,))

    async def body(runtime):
        call = made.call(runtime, **fields)
        try:
            await made.run(call)
        except ServerError:
            return None
        return call.attempt.target

    found = drive_sync(body)
    provider, _, model = asked.partition("/")
    cheaper = [
        each
        for each in catalog().models(provider, "chat")
        if each.current and chosen and _price(each) and _price(each) < _price(catalog().get(provider, model))
    ]
    if chosen in {None, "cheapest"}:
        assert found is None
        return
    assert found.provider.name == provider
    assert _price(found.facts) < _price(catalog().get(provider, model))
    assert found.facts.current
    assert not fields or found.facts.tools
    assert _price(found.facts) == max(_price(each) for each in cheaper if not fields or each.tools)


def test_a_model_that_cannot_take_the_request_is_not_chosen(desk):
    upstream = Upstream(lambda call: said() if call.target.name != "groq/openai/gpt-oss-120b" else DOWN)
    made = desk(upstream, targets=("groq/openai/gpt-oss-120b",))
    sound = Message("user", [MediaPart("video", data="aGk="), TextPart("hi")])

    async def body(runtime):
        call = made.call(runtime)
        call.request.messages = [sound]
        with pytest.raises(ServerError):
            await made.run(call)

    drive_sync(body)
    assert len(upstream.asked) == 1


def test_a_model_without_a_key_is_passed_over_and_said_once(desk, drive, caplog):
    def target_of(name):
        if name == "anthropic/claude-haiku-4-5":
            raise ConfigurationError("there is no key", field="providers.anthropic.api_key")
        return target(name)

    made = desk(
        by_target(gpt_5_nano=said("from nano")),
        model=("anthropic/claude-haiku-4-5", "openai/gpt-5-nano"),
        target_of=target_of,
    )

    async def body(runtime):
        return [(await made.ask(runtime))[0].text for _ in range(3)]

    assert drive(body) == ["from nano"] * 3
    (record,) = caplog.records
    assert "degrade.model" in record.getMessage()
    assert "no key" in record.getMessage()


def test_a_canned_answer_says_what_it_is(desk, drive):
    made = desk(Upstream(DOWN), steps=("canned",), canned="Later, please.")

    async def body(runtime):
        Clocked.time = 7.5
        answer, call = await made.ask(runtime)
        return answer, call

    answer, call = drive(body)
    assert (answer.text, answer.finish_reason, answer.provider, answer.target) == ("Later, please.", "stop", "", "")
    assert (answer.id, answer.created, answer.usage) == (call.id, int(NOW + 7.5), None)
    assert (call.degraded, call.attempt, len(call.attempts)) == ("canned", None, 1)


def test_a_canned_answer_may_depend_on_the_request(desk, drive):
    made = desk(Upstream(DOWN), steps=("canned",), canned=lambda request: f"You said {request.messages[0].text}.")

    async def body(runtime):
        return (await made.ask(runtime, "hi"))[0].text

    assert drive(body) == "You said hi."


@pytest.mark.parametrize("run", ["asyncio", "trio"])
def test_a_canned_answer_may_come_from_an_async_function(desk, run):
    async def canned(request):
        await anyio.lowlevel.checkpoint()
        return "Later, please."

    made = desk(Upstream(DOWN), steps=("canned",), canned=canned)

    async def body(runtime):
        return (await made.ask(runtime))[0].text

    assert DRIVES[run](body) == "Later, please."


def broken(request):
    raise ZeroDivisionError


@pytest.mark.parametrize("canned", [lambda request: None, lambda request: "", lambda request: 7, broken])
def test_a_function_that_gives_nothing_leaves_the_failure(desk, drive, canned, caplog):
    made = desk(Upstream(DOWN), steps=("canned",), canned=canned)

    async def body(runtime):
        with pytest.raises(ServerError) as caught:
            await made.ask(runtime)
        return caught.value

    assert drive(body) is DOWN
    assert ["ZeroDivisionError" in record.getMessage() for record in caplog.records] == [True] * (canned is broken)


SCHEMA = OutputFormat("json_schema", {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("text", "fields", "served"),
    [
        ("Later.", {}, True),
        ("Later.", {"output": SCHEMA}, False),
        ('{"a": "b"}', {"output": SCHEMA}, False),
        ('{"a": 1}', {"output": SCHEMA}, True),
        ("[]", {"output": OutputFormat("json_object")}, False),
        ("{}", {"output": OutputFormat("json_object")}, True),
        ("Later.", {"output": OutputFormat("text")}, True),
        ("Later.", {"tools": [Tool("t")]}, True),
        ("Later.", {"tools": [Tool("t")], "tool_choice": ToolChoice("auto")}, True),
        ("Later.", {"tools": [Tool("t")], "tool_choice": ToolChoice("required")}, False),
        ("Later.", {"tools": [Tool("t")], "tool_choice": ToolChoice("tool", ["t"])}, False),
    ],
)
def test_a_canned_text_stands_only_where_a_text_was_asked_for(desk, text, fields, served):
    made = desk(Upstream(DOWN), steps=("canned",), canned=text)

    async def body(runtime):
        return (await made.ask(runtime, **fields))[0].text

    if served:
        assert drive_sync(body) == text
    else:
        with pytest.raises(ServerError):
            drive_sync(body)


# --- the ladder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "served"),
    [
        (("stale_cache", "smaller_model", "canned"), "stale_cache"),
        (("canned", "stale_cache"), "canned"),
        (("smaller_model", "stale_cache"), "smaller_model"),
        (("smaller_model",), "smaller_model"),
        ((), None),
    ],
)
def test_the_steps_are_tried_in_their_order(desk, drive, steps, served):
    upstream = by_target(gpt_5_mini=said(), gpt_5_nano=said("from nano"))
    made = desk(upstream, cache={"ttl": 1.0, "stale": 9.0}, steps=steps, model="openai/gpt-5-nano", canned="Later.")

    async def body(runtime):
        await made.ask(runtime)
        upstream.answers = by_target(gpt_5_nano=said("from nano")).answers
        Clocked.time = 5.0
        return (await made.ask(runtime))[1].degraded

    if served is None:
        with pytest.raises(ServerError):
            drive(body)
    else:
        assert drive(body) == served


def test_without_a_cache_the_step_is_passed_over(desk, drive):
    made = desk(Upstream(DOWN), canned="Later.", steps=("stale_cache", "canned"))

    async def body(runtime):
        return (await made.ask(runtime))[1].degraded

    assert drive(body) == "canned"


def test_describe_names_the_steps():
    assert Degrade(DegradeSettings(), None, target).describe() == "on failure: stale_cache, smaller_model, canned"
    assert Degrade(DegradeSettings(steps=()), None, target).describe() == "on failure: nothing"


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["stale_cache", "smaller_model", "canned"])
def test_a_stream_that_did_not_begin_is_answered_in_events(desk, drive, step):
    upstream = Upstream(said())
    made = desk(
        upstream, steps=(step,), cache={"ttl": 1.0, "stale": 9.0}, model="openai/gpt-5-nano", canned="Later, please."
    )

    async def body(runtime):
        await made.ask(runtime, stream=True)
        upstream.answers = by_target(gpt_5_nano=said("from nano")).answers
        Clocked.time = 5.0
        call = made.call(runtime, stream=True)
        reply = await made.pipeline(call)
        return await pulled(reply), call.degraded

    events, degraded = drive(body)
    assert degraded == step
    assert "".join(event.text for event in events) in {"Hello", "from nano", "Later, please."}
    assert (type(events[0]), type(events[-1])) == (ReplyStart, ReplyEnd)
    assert not any(type(event) is Whole for event in events)


def test_a_stream_that_breaks_after_its_first_content_is_not_mended(desk, drive):
    upstream = Upstream([ReplyStart("id"), *said_events(), DOWN])
    made = desk(upstream, canned="Later, please.")

    async def body(runtime):
        call = made.call(runtime, stream=True)
        reply = await made.pipeline(call)
        with pytest.raises(StreamInterrupted):
            await pulled(reply)
        return call.degraded

    assert drive(body) is None


def said_events():
    from aistrale.core.replay import events_of

    return events_of(said())[1:3]


# --- with the cache ---------------------------------------------------------------------------------------------------


def test_a_follower_that_runs_out_of_time_is_served_a_stale_answer(desk):
    """It has waited for another call's exchange all its time, and is as well off as if it had asked itself."""
    upstream = Upstream()
    made = desk(upstream, cache={"ttl": 1.0, "stale": 100.0}, inside=[refuses_when_late])

    async def body(runtime):
        await made.ask(runtime)
        Clocked.time = 5.0
        upstream.holding = True
        found = []

        async def ask(total):
            found.append((await made.ask(runtime, total=total))[1].degraded)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 60.0)
            while not upstream.held:
                await anyio.lowlevel.checkpoint()
            await ask(0.02)
            upstream.release()
        return found

    assert DRIVES["asyncio"](body) == ["stale_cache", None]
    assert len(upstream.asked) == 2


async def refuses_when_late(call, call_next, /):
    if (call.remaining() or 1.0) <= 0:
        raise DeadlineExceeded("too late")
    return await call_next(call)


def test_an_attempt_is_not_needed_to_be_answered(desk):
    """A refusal before anything was sent, as by an open breaker, is bridged too."""
    made = desk(Upstream(), canned="Later, please.", inside=[open_breaker])

    async def body(runtime):
        return (await made.ask(runtime))[1]

    call = drive_sync(body)
    assert (call.degraded, call.attempts) == ("canned", [])
    assert not any(isinstance(each, Attempt) for each in call.attempts)


async def open_breaker(call, call_next, /):
    raise CircuitOpen("open")
