"""Rows 51 to 66: answers that are none, that say an error, that end too early or never, and unusual ones that are good."""

from __future__ import annotations

import gc

import pytest

from aistrale.errors import APIError, DeadlineExceeded, OverloadedError, ResponseError, ServerError, StreamInterrupted
from tests.faults.books import check_rows, play_left
from tests.faults.matrix import ALL, BEGUN, BOTH, GOOD, Case, answers, both, errors_of, fails, gone, params

# What people see of an answer that is none, at most.
SNIPPET = 200
PROVIDERS = ("compatible", "openai", "anthropic", "gemini", "groq", "huggingface")
SHAPES = ("compatible", "anthropic", "gemini")
# Where the fault server answers as Hugging Face's own inference servers do.
OWN_SERVER = "/models/m/v1"


def begun(provider):
    """What four events of a stream have said; Anthropic's first two bring no text, Gemini's all do."""
    return {"anthropic": "The quick", "gemini": "The quick brown fox"}.get(provider, BEGUN)


def status_and_snippet(status):
    """A check: the error says the status, and little of what came."""

    def check(run):
        error = run.asked[0].error
        assert error.status == status
        assert len(error.message) <= SNIPPET
        assert "<" not in str(error)

    return check


def finished(reason):
    """A check: the answer says how it ended."""

    def check(run):
        assert run.asked[0].completion.finish_reason == reason
        assert run.attempts("a")[0].outcome == "success"

    return check


NO_ANSWERS = [
    both(51, "html_200", fails(ResponseError, a=2), breaker="failure", colours=ALL, check=status_and_snippet(200)),
    both(51, "html_200", answers("b", a=1, b=1), name="html_200 to b", fallback=True, breaker="failure"),
    both(51, "html_200", answers("a", a=2), name="html_200 once", script=("html_200", "ok"), breaker="failure"),
    both(51, "bad_gateway_html", fails(ServerError, a=3), breaker="failure", check=status_and_snippet(502)),
    both(51, "bad_gateway_html", answers("b", a=1, b=1), name="bad_gateway_html to b", fallback=True,
         breaker="failure"),
    *(
        both(52, fault, fails(ResponseError, a=2), provider=provider, breaker="failure")
        for fault in ("cut_json", "bad_utf8", "deep_json")
        for provider in SHAPES
    ),
    *(
        both(52, fault, answers("b", a=1, b=1), name=f"{fault} to b", fallback=True, breaker="failure")
        for fault in ("cut_json", "bad_utf8", "deep_json")
    ),
    # Anthropic has no such word among its errors, and its bodies have no code: nothing is known but that it failed.
    *(
        both(53, "error_in_200", fails(APIError, a=2) if provider == "anthropic" else fails(ServerError, a=3),
             provider=provider, breaker="failure")
        for provider in PROVIDERS
    ),
    both(53, "error_in_200", answers("b", a=1, b=1), name="error_in_200 to b", fallback=True, breaker="failure"),
    *(
        both(54, "empty_answer", fails(ResponseError, a=2), provider=provider, breaker="slow",
             check=errors_of("ResponseError", "ResponseError"))
        for provider in PROVIDERS
    ),
    both(54, "empty_answer", answers("b", a=1, b=1), name="empty_answer to b", fallback=True, breaker="slow"),
    both(54, "empty_answer", answers("a", a=2), name="empty_answer once", script=("empty_answer", "ok"),
         breaker="slow"),
]  # fmt: skip

ENDINGS = [
    *(
        both(55, "finish:reason=length", answers("a", a=1), provider=provider, fallback=True, check=finished("length"))
        for provider in SHAPES
    ),
    *(
        both(56, "finish:reason=content_filter", answers("a", a=1), provider=provider, fallback=True,
             check=finished("content_filter"))
        for provider in SHAPES
    ),
    Case(row=56, fault="finish:reason=content_filter", name="content_filter if asked to", fallback=True,
         plain=answers("b", a=1, b=1), settings={"routes": {"chat": {"targets": ["a/m", "b/m"],
                                                                    "fail_over_on": ["refusal"]}}}),
]  # fmt: skip


def streamed(row, fault, expect, **more):
    """A case of a stream."""
    return Case(row=row, fault=fault, stream=expect, **more)


def broken(provider, partial=None, **attempts):
    return fails(StreamInterrupted, partial=begun(provider) if partial is None else partial, **(attempts or {"a": 1}))


UNENDED = [
    *(
        streamed(57, "sse_no_done:after=4", broken(provider), provider=provider, fallback=True, breaker="failure",
                 colours=ALL if provider == "compatible" else BOTH)
        for provider in SHAPES
    ),
    streamed(57, "sse_no_done:after=0", fails(ResponseError, a=2), breaker="failure"),
    streamed(57, "sse_no_done:after=0", answers("b", a=1, b=1), name="sse_no_done to b", fallback=True,
             breaker="failure"),
    # The finish reason has come, which is the end in this dialect; in the others the last event is what tells it.
    streamed(57, "sse_only_done_missing", answers("a", a=1)),
    streamed(57, "sse_only_done_missing", broken("anthropic", GOOD), provider="anthropic", breaker="failure"),
    streamed(57, "sse_only_done_missing", broken("gemini", GOOD[:-1]), provider="gemini", breaker="failure"),
    streamed(66, "sse_endless", fails(DeadlineExceeded, a=1), settings={"timeout": 0.3}, fallback=True, timed=True,
             colours=ALL, check=gone),
]  # fmt: skip
SAID = {"anthropic": OverloadedError, "gemini": OverloadedError}
ERRORS = [
    *(
        streamed(58, "sse_error:after=0", fails(SAID.get(provider, ServerError), a=3), provider=provider,
                 breaker="failure")
        for provider in PROVIDERS
    ),
    *(
        streamed(58, "sse_error:after=0", answers("b", a=1, b=1), name=f"sse_error to b, {provider}",
                 provider=provider, fallback=True, breaker="failure", colours=ALL if provider == "compatible" else BOTH)
        for provider in PROVIDERS
    ),
    streamed(58, "sse_error:after=0,type=rate_limit_error", answers("b", a=1, b=1), name="a limit as an event",
             provider="anthropic", fallback=True, breaker="ignored"),
    *(
        streamed(59, "sse_error:after=4", broken(provider), provider=provider, fallback=True, breaker="failure")
        for provider in PROVIDERS
    ),
    *(
        streamed(60, fault, fails(ResponseError, a=2), provider=provider, breaker="failure")
        for fault in ("sse_empty", "sse_done_only")
        for provider in SHAPES
    ),
    *(
        streamed(60, fault, answers("b", a=1, b=1), name=f"{fault} to b", fallback=True, breaker="failure")
        for fault in ("sse_empty", "sse_done_only")
    ),
    *(
        streamed(61, "sse_bad_json", broken(provider), provider=provider, fallback=True, breaker="failure")
        for provider in SHAPES
    ),
    streamed(61, "sse_bad_json:after=0", answers("b", a=1, b=1), fallback=True, breaker="failure"),
]  # fmt: skip
GOOD_ONES = [
    # The whole answer to a request for a stream is no stream, and an answer all the same: none of it is lost.
    *(streamed(60, "sse_as_json", answers("a", a=1), provider=provider) for provider in SHAPES),
    streamed(60, "empty_answer", fails(ResponseError, a=2), name="sse_as_json that is empty", breaker="slow"),
    *(
        streamed(62, fault, answers("a", a=1), provider=provider,
                 colours=ALL if provider == "compatible" else BOTH)
        for fault in ("sse_split_bytes", "sse_crlf", "sse_crlf:eol=cr", "sse_multiline_data")
        for provider in SHAPES
    ),
    streamed(63, "sse_giant_line", fails(ResponseError, a=2), breaker="failure"),
    streamed(63, "sse_giant_line", answers("b", a=1, b=1), name="sse_giant_line to b", fallback=True,
             breaker="failure"),
    # Not Gemini, of whose models some tell a finish reason with every piece: its streams end with their bodies.
    *(streamed(64, "sse_after_done", answers("a", a=1), provider=provider) for provider in ("compatible", "anthropic")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_collector_on_a_full_stack(request):
    """Parsing JSON of absurd depth fills the stack, where finalizers of whatever is collected just then cannot run."""
    if "deep_json" not in request.node.nodeid:
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize(("case", "streamed"), params(*NO_ANSWERS, *ENDINGS, *UNENDED, *ERRORS, *GOOD_ONES))
def test_row(play, case, streamed):
    play(case, streamed)


def test_53_and_58_errors_in_the_words_of_hugging_faces_own_servers(play):
    """Their error is a text and nothing else; it says that something failed, and not what."""
    said = {"path": OWN_SERVER, "provider": "huggingface", "breaker": "failure"}
    play(both(53, "error_in_200", answers("b", a=1, b=1), fallback=True, **said), False)
    play(both(53, "error_in_200", answers("b", a=1, b=1), fallback=True, **said), True)
    play(streamed(58, "sse_error:after=0", answers("b", a=1, b=1), fallback=True, **said), True)
    play(streamed(59, "sse_error:after=4", broken("huggingface"), fallback=True, **said), True)


def test_65_a_stream_without_usage_is_counted_and_says_so(play):
    def check(run):
        (row,) = run.attempts("a")
        assert (row.outcome, row.usage_source) == ("success", "estimated")
        assert row.cost is not None
        assert "estimated" in row.cost_reason
        (seen,) = run.asked
        assert seen.completion.usage.source == "estimated"
        assert "estimated" in seen.completion.cost.reason
        assert str(seen.completion.cost.usd) == row.cost

    play(streamed(65, "sse_no_usage", answers("a", a=1), provider="openai", check=check, colours=ALL), True)


def test_66_a_reader_that_has_had_enough_of_an_endless_answer(server, tmp_path):
    async def scenario(face, run):
        read = 0
        async with face.stream("Hi", model=run.names["a"]) as stream:
            async for event in stream:
                read += len(event.text)
                if read > 1000:
                    break
        return []

    case = streamed(66, "sse_endless", answers("a", a=1), name="left", scenario=scenario, colours=ALL)
    for run in play_left(case, server, tmp_path, streamed=True):
        check_rows(run, {"abandoned": 1})
        assert run.attempts("a")[0].usage_source == "estimated"
        gone(run)
