"""When a stream counts as broken: too slow, silent in spite of keep-alives, or failed in the middle of a piece."""

from __future__ import annotations

import json
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.call import Attempt, Call, Clocks, Prepared, StreamRules, Target
from aistrale.core.http import HttpClosed, HttpProtocolError, HttpRequest, HttpTimeout
from aistrale.core.pace import CHARACTERS_PER_TOKEN, Pace
from aistrale.core.reply import Reply, collect
from aistrale.core.runtime import run_sync
from aistrale.core.stream import StreamSource, says
from aistrale.dialects import chat_dialect
from aistrale.dialects.base import Profile
from aistrale.errors import (
    AttemptTimeout,
    DeadlineExceeded,
    NetworkError,
    OverloadedError,
    ResponseError,
    StreamInterrupted,
)
from aistrale.providers import get_provider
from aistrale.types import (
    BlockEnd,
    BlockStart,
    Finish,
    Message,
    Other,
    ProviderPart,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Request,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
)

# --- the average --------------------------------------------------------------------------------------------------------


def below(arrivals, now, rate, window):
    """By definition: what came within the last window of waiting, against what should have."""
    if now < window:
        return False
    recent = sum(count for at, count in arrivals if at > now - window)
    return recent < rate * window * CHARACTERS_PER_TOKEN


waits = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 60)), max_size=30)


@given(waits, st.integers(1, 4), st.integers(1, 10))
def test_the_pace_is_the_average_of_the_last_window(steps, rate, window):
    pace, arrivals, now = Pace(rate, window), [], 0
    for waited, count in steps:
        if pace.left < waited:
            # It becomes too slow during this wait, at the very instant that is told.
            end = now + pace.left
            assert below(arrivals, end + 1e-9, rate, window)
            assert end <= now or not below(arrivals, end - 1e-9, rate, window)
            return
        now += waited
        arrivals.append((now, count))
        pace.add(waited, count)
        if pace.left > 0:
            assert not below(arrivals, now, rate, window)


def test_nothing_is_judged_before_the_first_window_has_passed():
    pace = Pace(10.0, 5.0)
    pace.add(0.0, 1)
    assert pace.left == 5.0
    pace.add(4.9, 0)
    assert pace.left == pytest.approx(0.1)


def test_a_burst_lasts_for_one_window():
    pace = Pace(1.0, 10.0)
    pace.add(0.0, 1)
    pace.add(8.0, 40)
    assert pace.left == 10.0
    pace.add(10.0, 0)
    assert pace.left == 0.0


def test_the_memory_of_the_pace_is_bounded():
    pace = Pace(2.0, 10.0)
    for _ in range(100_000):
        pace.add(0.001, 1)
    assert len(pace._arrived) <= 2 * 10 * CHARACTERS_PER_TOKEN


# --- streams ------------------------------------------------------------------------------------------------------------


class Clock:
    """A runtime in which only waiting takes time."""

    blocking = True

    def __init__(self):
        self.random = random.Random(1)
        self.time = 1000.0

    def now(self):
        return self.time

    def wall(self):
        return self.time


class Response:
    """Pieces of a body, each with the seconds before it; an exception among them is raised."""

    status = 200

    def __init__(self, clock, pieces):
        self.clock = clock
        self.pieces = deque(pieces)
        self.closed = self.abandoned = 0

    async def next_chunk(self, until):
        if self.closed:
            raise HttpClosed("closed", phase="body", sent=True)
        if not self.pieces:
            return b""
        delay, piece = self.pieces[0]
        if until is not None and self.clock.time + delay > until:
            self.clock.time = max(self.clock.time, until)
            raise HttpTimeout("time is up", phase="body", sent=True)
        self.pieces.popleft()
        self.clock.time += delay
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def close(self):
        self.closed += 1

    def abandon(self):
        self.abandoned += 1


def chunk(**delta):
    choice = {"index": 0, "delta": delta}
    return sse({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def sse(body):
    return f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n".encode()


ROLE = chunk(role="assistant", content="")
ENDED = [
    (0, sse({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
    (0, sse("[DONE]")),
]
PING = sse({"id": "c1", "object": "ping", "pad": "x" * 100})
ERROR = sse({"error": {"message": "overloaded", "type": "server_error", "code": "server_is_overloaded"}})


def stream(pieces, *, dialect="openai_chat", body=b"{}", rules=None, deadline=None, **clocks):
    clock = Clock()
    provider = get_provider("anthropic" if dialect == "anthropic_messages" else "openai")
    target = Target(
        name=f"{provider.name}/m",
        provider=provider,
        model="m",
        dialect=dialect,
        base_url="http://127.0.0.1",
        profile=Profile(),
    )
    request = Request(model="m", messages=[Message.user("Hi")], stream=True)
    limits = Clocks(**{"connect": None, "between_tokens": None, "total": deadline, **clocks})
    call = Call(request, [target], clock, clocks=limits)
    call.streaming = rules
    codec = chat_dialect(dialect)
    call.prepared[target.name] = Prepared(HttpRequest("POST", "http://x", [], body), codec, target.profile)
    call.attempt = Attempt(1, target, clock.now(), clock.wall(), status=200, request_id="req_1")
    response = Response(clock, [piece if isinstance(piece, tuple) else (0, piece) for piece in pieces])
    return StreamSource(call, call.attempt, response, codec.event_decoder(target.profile))


async def read(source, pause=0.0):
    """Everything, as a consumer would read it that pauses after each event; the reply and what it was given."""
    reply = Reply(await source.first(), source)
    seen = []
    while (event := await reply.next()) is not None:
        seen.append(event)
        source._call.runtime.time += pause
    return seen


def fails(error, source, **options):
    with pytest.raises(error) as caught:
        run_sync(read(source, **options))
    assert source._response.closed + source._response.abandoned > 0
    return caught.value


SLOW = StreamRules(min_rate=5.0, rate_window=10.0)


def test_a_stream_that_comes_too_slowly_is_interrupted():
    source = stream([ROLE, *[(1, chunk(content="abcd"))] * 60, *ENDED], rules=SLOW)
    error = fails(StreamInterrupted, source)
    cause = error.__cause__
    assert isinstance(cause, AttemptTimeout)
    assert (cause.clock, cause.attempt, cause.target) == ("min_rate", 1, "openai/m")
    assert "min_rate" in str(cause)
    # The first piece begins the window; those of ten seconds follow.
    assert error.partial_text == "abcd" * 11
    assert source._call.runtime.time == 1000.0 + 1 + 10


def test_a_stream_that_falls_silent_is_too_slow_before_it_is_idle():
    source = stream([chunk(content="x" * 300), (60, b"")], rules=SLOW, between_tokens=30.0)
    assert fails(StreamInterrupted, source).__cause__.clock == "min_rate"
    assert source._call.runtime.time == 1010.0


def test_the_idle_clock_strikes_first_where_it_is_shorter():
    source = stream([chunk(content="x" * 300), (60, b"")], rules=SLOW, between_tokens=5.0)
    assert fails(StreamInterrupted, source).__cause__.clock == "between_tokens"


def test_a_fast_stream_passes_and_may_slow_down_at_its_end():
    pieces = [ROLE, *[(0.25, chunk(content="0123456789"))] * 60, (4, ENDED[0][1]), (0.5, ENDED[1][1])]
    assert collect(run_sync(read(stream(pieces, rules=SLOW)))).text == "0123456789" * 60


def test_a_slow_reader_is_not_a_slow_provider():
    source = stream([ROLE, *[(0.25, chunk(content="0123456789"))] * 60, *ENDED], rules=SLOW, between_tokens=3.0)
    assert len(collect(run_sync(read(source, pause=50.0))).text) == 600


def test_the_wait_for_the_first_content_is_not_slowness():
    source = stream([(40, ROLE), (40, chunk(content="x" * 300)), *ENDED], rules=SLOW)
    assert run_sync(read(source))


def test_thoughts_and_arguments_are_content_too():
    thought = chunk(reasoning_content="0123456789")
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "0123456789"}}
    pieces = [*[(0.25, thought)] * 60, (0, chunk(tool_calls=[call])), *[(0.25, chunk(tool_calls=[more]))] * 60]
    assert run_sync(read(stream([*pieces, *ENDED], rules=SLOW)))


def test_without_a_rate_any_pace_will_do():
    source = stream([*[(50, chunk(content="a"))] * 20, *ENDED], rules=StreamRules())
    assert len(collect(run_sync(read(source))).text) == 20


def test_the_deadline_stays_one():
    error = fails(DeadlineExceeded, stream([*[(1, chunk(content="abcd"))] * 60], rules=SLOW, deadline=8.0))
    assert error.partial_text == "abcd" * 8
    assert error.request_id == "req_1"
    assert error.__cause__ is not error


def test_keep_alives_are_no_content():
    source = stream([chunk(content="abcd"), *[(1, PING)] * 60], between_tokens=5.0)
    error = fails(StreamInterrupted, source)
    assert error.__cause__.clock == "between_tokens"
    assert source._call.runtime.time == 1005.0
    assert (error.partial_text, error.request_id, error.provider) == ("abcd", "req_1", "openai")


def test_comments_are_no_content():
    source = stream([chunk(content="abcd"), *[(1, b": PROCESSING\n\n")] * 60], between_tokens=5.0)
    assert fails(StreamInterrupted, source).__cause__.clock == "between_tokens"


def test_a_share_of_the_deadline_is_for_the_first_content_only():
    source = stream([chunk(content="abcd"), (60, b"")], between_tokens=5.0, deadline=100.0)
    source._call.share_until = 1003.0
    assert fails(StreamInterrupted, source).__cause__.clock == "between_tokens"


# --- before the first content -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (ReplyStart(), False),
        (Other("x"), False),
        (UsageUpdate(Usage()), False),
        (BlockStart(0, TextPart("")), False),
        (BlockStart(0, ReasoningPart()), False),
        (TextDelta("", 0), False),
        (ReasoningDelta("", 0), False),
        (BlockEnd(0), False),
        (Finish("stop"), False),
        (ReplyEnd(), False),
        (TextDelta("a", 0), True),
        (ReasoningDelta("a", 0), True),
        (BlockStart(0, TextPart("a")), True),
        (BlockStart(0, ReasoningPart(redacted=True)), True),
        (BlockStart(0, ToolCallPart("c", "f")), True),
        (BlockStart(0, ProviderPart("x", {})), True),
    ],
)
def test_what_is_content(event, content):
    assert says(event) is content


def anthropic(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


OPENED = [
    anthropic("message_start", message={"id": "m1", "model": "m", "role": "assistant", "content": [], "usage": {}}),
    anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    anthropic("ping"),
]


def test_an_empty_block_is_held_back_with_the_rest():
    lost = HttpClosed("reset", phase="body", sent=True)
    source = stream([*OPENED, (0, lost)], dialect="anthropic_messages")
    with pytest.raises(NetworkError) as caught:
        run_sync(source.first())
    assert not isinstance(caught.value, StreamInterrupted)
    assert source._attempt.first_token is None


def test_everything_held_back_comes_with_the_first_content():
    delta = anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
    source = stream([*[(1, piece) for piece in OPENED], (1, delta)], dialect="anthropic_messages")
    events = run_sync(source.first())
    assert [type(event) for event in events if not isinstance(event, UsageUpdate)] == [
        ReplyStart, BlockStart, Other, TextDelta,
    ]  # fmt: skip
    assert source._attempt.first_token == 4


def test_an_error_in_one_piece_with_the_first_content_is_one_of_the_attempt():
    with pytest.raises(OverloadedError):
        run_sync(stream([ROLE + chunk(content="abcd") + ERROR]).first())


def test_an_error_in_one_piece_with_later_content_comes_after_it():
    error = fails(StreamInterrupted, stream([chunk(content="ab"), chunk(content="cd") + ERROR]))
    assert error.partial_text == "abcd"
    assert isinstance(error.__cause__, OverloadedError)


def test_broken_json_in_one_piece_with_content_comes_after_it():
    error = fails(StreamInterrupted, stream([chunk(content="ab"), chunk(content="cd") + b"data: {\n\n"]))
    assert error.partial_text == "abcd"
    assert isinstance(error.__cause__, ResponseError)


def test_nothing_is_read_beyond_the_terminal_event():
    late = chunk(content="more") + b"data: {\n\n"
    source = stream([chunk(content="abcd"), ENDED[0][1] + ENDED[1][1] + late, (0, late)])
    events = run_sync(read(source))
    assert collect(events).text == "abcd"
    assert type(events[-1]) is ReplyEnd


def test_nothing_is_delivered_after_the_terminal_event_whatever_a_decoder_makes_of_it():
    class Talkative:
        whole = False

        def feed(self, event):
            return [TextDelta("a", 0), ReplyEnd(), TextDelta("b", 0)]

        def finish(self):
            return [TextDelta("c", 0)]

    source = stream([ROLE + ROLE, ROLE])
    source._decoder = Talkative()
    events = run_sync(read(source))
    assert [type(event) for event in events] == [TextDelta, ReplyEnd]


FINISHED = ENDED[0][1]
COUNTS = sse({"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})


def test_a_complete_answer_does_not_wait_for_its_terminator():
    source = stream([chunk(content="abcd"), FINISHED, (0.9, COUNTS), (60, b"")], between_tokens=30.0)
    answer = collect(run_sync(read(source)))
    assert (answer.text, answer.finish_reason, answer.usage.input) == ("abcd", "stop", 3)
    assert source._call.runtime.time == 1000.0 + 0.9 + 1.0


@pytest.mark.parametrize("error", [HttpClosed, HttpTimeout, HttpProtocolError])
def test_what_breaks_after_a_complete_answer_takes_nothing_from_it(error):
    source = stream([chunk(content="abcd"), FINISHED, (0, error("broke", phase="body", sent=True))])
    events = run_sync(read(source))
    assert collect(events).text == "abcd"
    assert [type(event) for event in events].count(ReplyEnd) == 1


def test_a_complete_answer_in_time_meets_its_deadline():
    source = stream([chunk(content="abcd"), (0.5, FINISHED), (60, b"")], deadline=1.0)
    assert collect(run_sync(read(source))).text == "abcd"
    assert source._call.runtime.time == 1001.0


def test_an_answer_without_its_finish_reason_is_not_complete():
    source = stream([chunk(content="abcd"), (0, HttpClosed("reset", phase="body", sent=True))])
    fails(StreamInterrupted, source)
    stopped = anthropic("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3})
    delta = anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
    source = stream([*OPENED, delta, stopped, (60, b"")], dialect="anthropic_messages", between_tokens=30.0)
    assert fails(StreamInterrupted, source).partial_text == "Hi"


def noise(count):
    return [(1, PING)] * count


def test_much_that_says_nothing_is_delivered_before_the_content():
    size = len(PING)
    room = 64 * 1024 // size
    source = stream([ROLE, *noise(2 * room), (1, chunk(content="abcd")), *ENDED])
    first = run_sync(source.first())
    assert room < len(first) <= room + 3
    assert not any(map(says, first))
    assert source._attempt.first_token is None
    rest = []
    while (batch := run_sync(source.pull())) is not None:
        rest += batch
    assert collect([*first, *rest]).text == "abcd"
    # The time of the first content is still that.
    assert source._attempt.first_token == 2 * room + 1


def test_a_provider_may_repeat_the_request_before_it_answers():
    room = 64 * 1024 // len(PING)
    source = stream([ROLE, *noise(3 * room), (1, chunk(content="abcd")), *ENDED], body=b"x" * 128 * 1024)
    assert says(run_sync(source.first())[-1])


def test_what_has_been_delivered_in_part_keeps_its_time():
    """Nobody can take over any more, so that there is nobody to share with."""
    room = 64 * 1024 // len(PING)
    source = stream([ROLE, *noise(2 * room), (1, chunk(content="abcd")), *ENDED], deadline=10_000.0)
    source._call.share_until = 1000.0 + 1.5 * room
    assert collect(run_sync(read(source))).text == "abcd"


def test_what_never_comes_to_an_answer_is_ended_by_the_clock_of_the_first_content():
    room = 64 * 1024 // len(PING)
    source = stream([ROLE, *noise(20 * room)], first_token=2.0 * room, between_tokens=5.0)
    error = fails(StreamInterrupted, source)
    assert error.__cause__.clock == "first_token"
    assert error.partial_text == ""


def test_the_attempt_has_no_more_than_its_share_while_others_can_take_over():
    source = stream([(1, ROLE), (9, chunk(content="a"))], deadline=100.0)
    source._call.share_until = 1005.0
    with pytest.raises(AttemptTimeout, match="share"):
        run_sync(source.first())
