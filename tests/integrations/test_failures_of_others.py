"""Failures that libraries of this kind repeat, each with the tests which prove that it does not happen here.

The table names where others have had it and where the tests stand; what no other room tests is tested below.
"""

from __future__ import annotations

import ast
import asyncio
import gc
from functools import cache
from pathlib import Path

import pytest

import aistrale
from aistrale.telemetry import MemorySink
from aistrale.testing import simulator

TESTS = Path(__file__).resolve().parents[1]
HERE = "integrations/test_failures_of_others.py"
LANGCHAIN = "integrations/langchain/test_callbacks.py"
LLAMAINDEX = "integrations/llamaindex/test_handlers.py"
OTEL = "telemetry/otel"

FAILURES = {
    "a stream whose reader breaks off, closes or forgets it never ends "
    "(openllmetry#3151, openlit#1454, dd-trace-py#20390, opentelemetry util-genai#491, sentry-python#6315)": [
        f"{HERE}::test_a_stream_ends_once_however_it_ends",
        f"{OTEL}/test_contexts.py::test_stream_that_is_forgotten_ends_when_it_is_collected",
        f"{LANGCHAIN}::test_stream_that_is_dropped_is_ended_by_the_collector",
        f"{LLAMAINDEX}::test_a_stream_that_nobody_ever_reads_ends_the_step",
    ],
    "a stream that was left is told as a success, or as a failure (openllmetry PR#4429, LangChain's GeneratorExit)": [
        f"{LANGCHAIN}::test_abandoned_stream_is_cancelled_once_with_what_it_used",
        f"{LLAMAINDEX}::test_an_abandoned_async_stream_ends_the_step",
        f"{OTEL}/test_requests.py::test_stream_that_is_broken_off_before_its_first_piece_has_a_reason",
    ],
    "'Failed to detach context': a context that is held across a yield (openlit#1369, agno#5208, agentscope#2076, "
    "pydantic-ai#6569, phoenix PR#11362, logfire PR#107)": [
        f"{OTEL}/test_contexts.py::test_stream_is_never_current_between_its_pieces",
        f"{OTEL}/test_contexts.py::test_stream_that_is_closed_in_another_context",
        f"{OTEL}/test_contexts.py::test_async_stream_that_is_closed_in_another_task",
        "test_wrapping.py::test_an_async_generator_that_is_left_early_is_closed_by_its_loop",
        "test_wrapping.py::test_generators_that_are_advanced_in_turns_do_not_see_each_other",
    ],
    "the context is lost in executors and tasks, and parents with it (LangChain's async callbacks)": [
        f"{LANGCHAIN}::test_parents_are_right_where_context_is_lost",
        "integrations/langchain/test_counts.py::test_a_model_of_your_own_that_asks_ours_in_a_thread",
        f"{OTEL}/test_once.py::test_langfuses_handler_of_langchain_counts_in_tasks_too",
    ],
    "the framework's step and the provider's call are both counted "
    "(dd-trace-js#8936, dd-trace-py#18868, openinference#1154, phoenix#15793)": [
        f"{LANGCHAIN}::test_calls_of_ours_are_counted_once",
        f"{LANGCHAIN}::test_sdk_calls_through_the_drop_in_are_counted_once",
        f"{LLAMAINDEX}::test_a_vendors_class_whose_sdk_goes_through_us_is_counted_once",
        "integrations/llamaindex/test_counts.py::test_both_kinds_of_handlers_tell_of_a_step_once",
        f"{OTEL}/test_once.py::test_calls_of_our_own_are_counted_once_with_all_three_at_once",
    ],
    "a call is taken for that of another step, since contexts are shared": [
        "integrations/langchain/test_counts.py::test_several_prompts_at_once_under_the_dropin",
        "integrations/langchain/test_counts.py::test_readers_of_a_stream_make_calls_of_their_own",
        "integrations/llamaindex/test_counts.py::test_streams_that_are_opened_before_they_are_read",
        f"{OTEL}/test_once.py::test_calls_side_by_side_do_not_take_each_other_for_somebody_else",
    ],
    "an agent's step repeats the tokens of the models below it (strands#1267)": [
        f"{LANGCHAIN}::test_agents_do_not_repeat_their_models_tokens",
        f"{LLAMAINDEX}::test_a_model_made_of_others_has_their_tokens_once",
    ],
    "one call that a framework tells of three times is three calls (LlamaIndex: achat, chat, complete)": [
        f"{LLAMAINDEX}::test_achat_which_calls_chat_which_calls_complete_is_counted_once",
    ],
    "raw responses have no choices and no usage: a crash, or a second count "
    "(logfire#62, langfuse#2218, opentelemetry-python-contrib PR#4017, dd-trace-py#7733, langfuse-python PR#1740)": [
        f"{HERE}::test_a_raw_response_is_one_call_with_its_tokens",
        "dropin/test_same_results.py::test_raw_responses",
        f"{LANGCHAIN}::test_raw_and_odd_responses_are_told_of_all_the_same",
    ],
    "runs that never end stay in memory (langchain#39163, langchain#39724)": [
        f"{LANGCHAIN}::test_siblings_of_a_failed_one_are_given_up",
        f"{LANGCHAIN}::test_cancelled_run_of_which_no_end_is_told_is_given_up",
        f"{LANGCHAIN}::test_runs_that_never_end_leave_memory_flat",
        f"{LLAMAINDEX}::test_nothing_is_left_in_open_spans",
        "integrations/test_runs.py::test_maps_without_end_have_one_thread_and_leave_nothing",
    ],
    "an answer out of the framework's cache is billed again": [
        f"{LANGCHAIN}::test_what_comes_out_of_langchains_cache_is_not_billed",
    ],
    "an error of a handler or a sink reaches the application (LlamaIndex's callback manager)": [
        "integrations/llamaindex/test_legacy.py::test_an_exception_in_a_handler_never_reaches_the_application",
        f"{LANGCHAIN}::test_a_handler_that_fails_fails_alone",
        "telemetry/test_delivery.py::test_whatever_a_sink_raises_it_is_offered_the_same_again",
    ],
    "a forked child sends its parent's events again, loses its own, or hangs "
    "(opentelemetry-python#2266, #3307, langfuse#7414)": [
        "telemetry/test_delivery.py::test_a_child_starts_without_what_waits_and_delivers_its_own",
        f"{OTEL}/test_pipeline.py::test_child_sends_its_own_and_not_its_parents",
        "core/test_worker.py::test_fork_hooks_run_in_a_child_that_did_not_tell_and_are_held_weakly",
    ],
    "SIGTERM and `os._exit` lose what waits": [
        "telemetry/test_sigterm.py::test_what_waits_is_delivered_and_the_status_is_the_signals",
        "telemetry/test_exits.py::test_what_is_left",
    ],
    "the process hangs at its end, because of a collector that does not answer (PostHog PR#70964)": [
        "telemetry/test_exits.py::test_a_process_with_sinks_that_block_ends_in_time",
        "telemetry/sinks/test_otlp.py::test_process_ends_in_time_although_several_collectors_answer_nothing",
    ],
    "what waits is not sent at exit, since thread pools close before (opentelemetry-python#5568)": [
        "telemetry/sinks/test_otlp.py::test_process_that_just_ends_has_sent_everything",
    ],
    "a frozen process keeps what its last invocation told (langfuse#3292)": [
        f"{HERE}::test_what_is_told_until_a_flush_is_delivered_when_it_returns",
        "telemetry/test_delivery.py::test_a_flush_does_not_wait_for_what_comes_after_it",
    ],
    "personal data and keys in error texts, headers and bodies that are exported": [
        f"{LANGCHAIN}::test_nothing_of_an_errors_response_is_told",
        "telemetry/test_delivery.py::test_an_error_is_told_without_what_it_quotes",
        "test_canary.py::test_nothing_leaks_from_a_call",
    ],
    "content is exported unless somebody switches that off (openllmetry)": [
        f"{LLAMAINDEX}::test_nothing_is_kept_of_what_is_said_unless_asked",
        f"{LANGCHAIN}::test_context_says_whether_content_is_told",
        "telemetry/sinks/test_sentry.py::test_nothing_that_was_said_goes_to_sentry_even_where_capture_is_on",
    ],
    "memory grows while a backend is away": [
        "telemetry/test_delivery.py::test_a_sink_that_is_down_for_an_hour",
        f"{OTEL}/test_pipeline.py::test_collector_that_is_down_harms_no_call_and_holds_no_more_than_it_may",
    ],
}


@cache
def defined_in(path):
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_has_the_tests_that_are_named(failure):
    assert FAILURES[failure]
    for name in FAILURES[failure]:
        path, _, function = name.partition("::")
        assert function in defined_in(path), name


# --- what no other room tests ------------------------------------------------------------------------------------------


@pytest.fixture
def sim():
    with simulator() as served:
        yield served


@pytest.fixture
def sink():
    return MemorySink()


def read(stream):
    list(stream)
    stream.close()


def leave(stream):
    for _ in stream:
        break
    stream.close()
    stream.close()


def fail(stream):
    with pytest.raises(ZeroDivisionError):
        divide_by_pieces(stream)


def divide_by_pieces(stream):
    with stream:
        for _ in stream:
            1 / 0  # noqa: B018 - what fails is the reader


def forget(stream):
    next(iter(stream))


@pytest.mark.parametrize(("end", "outcome"), [(read, "success"), (leave, "abandoned"), (fail, None), (forget, None)])
def test_a_stream_ends_once_however_it_ends(sim, sink, end, outcome):
    with aistrale.Client(**sim.settings(), sinks=[sink], ledger="off") as client:
        end(client.stream("Say something longer than one piece.", model="openai/gpt-5-mini"))
        gc.collect()
        assert client.flush()
        (call,), (attempt,) = sink.of("call.finished"), sink.of("attempt.finished")
        assert call.row.outcome == attempt.row.outcome
        assert call.row.outcome == outcome or (outcome is None and call.row.outcome != "success")
        # What came until then was paid for.
        assert attempt.row.input
        assert attempt.row.output


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_raw_response_is_one_call_with_its_tokens(sim, sink, asynchronous):
    openai = pytest.importorskip("openai")
    address = {"api_key": "sim", "base_url": sim.base_url("openai")}
    asked = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}

    async def raw():
        async with openai.AsyncOpenAI(**address) as sdk:
            return await sdk.chat.completions.with_raw_response.create(**asked)

    aistrale.init(**sim.settings(), sinks=[sink], ledger="off", instrument=["openai"])
    try:
        if asynchronous:
            answer = asyncio.run(raw())
        else:
            with openai.OpenAI(**address) as sdk:
                answer = sdk.chat.completions.with_raw_response.create(**asked)
        assert answer.parse().usage == answer.parse().usage
        assert aistrale.flush()
        (attempt,) = sink.of("attempt.finished")
        assert attempt.row.input == answer.parse().usage.prompt_tokens
        assert len(sim.requests) == 1
    finally:
        aistrale.shutdown()


def test_what_is_told_until_a_flush_is_delivered_when_it_returns(sim):
    """As in a function that a cloud freezes between its invocations: there is no later."""
    delivered = []

    class Sink:
        def write(self, batch):
            delivered.extend(event.kind for event in batch)

    aistrale.init(**sim.settings(), sinks=[Sink()], ledger="off", instrument=False)
    try:
        for invocation in range(1, 4):
            aistrale.run("hi", model="openai/gpt-5-mini")
            assert aistrale.flush()
            assert delivered.count("call.finished") == invocation
    finally:
        aistrale.shutdown()
