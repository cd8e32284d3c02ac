from __future__ import annotations

import gc
import threading

import pytest

import aistrale
from aistrale.errors import AistraleError, ConfigurationError, InvalidRequestError, Suspended
from aistrale.testing import simulator

MODEL = "openai/gpt-5-mini"


@pytest.fixture(scope="module")
def running():
    with simulator() as sim:
        yield sim


@pytest.fixture
def sim(running):
    running.reset()
    return running


@pytest.fixture
def client(sim):
    with aistrale.Client(**sim.settings()) as made:
        yield made


def test_a_missing_key_names_the_variable():
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        aistrale.Client().run("Hi", model=MODEL)


def test_no_key_at_all_names_all_of_them():
    with pytest.raises(ConfigurationError, match="aistrale demo") as caught:
        aistrale.Client().run("Hi")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"):
        assert name in str(caught.value)


def test_the_first_provider_with_a_key_answers_by_default(sim, monkeypatch):
    for name, value in sim.environ().items():
        if name.startswith(("GROQ", "ANTHROPIC")):
            monkeypatch.setenv(name, value)
    with aistrale.Client() as client:
        assert client.run("Hi").provider == "anthropic"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": "opnai/gpt-5-mini"}, "model"),
        ({"model": "gpt-55-mini"}, "model"),
        ({"model": ""}, "model"),
        ({"provider": "opnai"}, "provider"),
        ({"route": "chta"}, "chta"),
        ({"route": "x", "model": MODEL}, "route"),
        ({"temperatur": 1}, "temperatur"),
        ({"max_tool_rounds": -1}, "max_tool_rounds"),
    ],
)
def test_wrong_names_are_named_before_anything_is_sent(client, sim, options, field):
    with pytest.raises(AistraleError) as caught:
        client.run("Hi", **options)
    assert getattr(caught.value, "field", None) == field
    assert sim.requests == []


def test_an_option_that_the_model_cannot_take_is_an_error_or_dropped_and_listed(client, sim):
    with pytest.raises(InvalidRequestError) as caught:
        client.run("Hi", model=MODEL, top_k=5)
    assert caught.value.param == "top_k"
    assert sim.requests == []
    answer = client.run("Hi", model=MODEL, top_k=5, on_unsupported="drop")
    assert [item.field for item in answer.lossy] == ["top_k"]
    assert "top_k" not in sim.last.body


def test_a_refused_option_leaves_a_call_row_and_no_attempt(client):
    with pytest.raises(InvalidRequestError):
        client.run("Hi", model=MODEL, top_k=5)
    assert client.flush()
    (call,) = client.ledger.calls(10)
    assert (call.outcome, call.error, call.attempts) == ("error", "InvalidRequestError", 0)
    assert client.ledger.open_intents() == []


def test_extra_fields_reach_the_body(client, sim):
    client.run("Hi", model=MODEL, extra={"prompt_cache_key": "k"})
    assert sim.last.body["prompt_cache_key"] == "k"


def test_own_headers_and_our_user_agent_are_sent(sim):
    settings = sim.settings()
    settings["providers"]["openai"]["headers"] = {"X-Team": "blue"}
    with aistrale.Client(**settings) as client:
        client.run("Hi", model=MODEL)
    assert sim.last.headers["x-team"] == "blue"
    assert sim.last.headers["user-agent"].startswith("aistrale/")


def test_the_responses_api_can_be_chosen(sim):
    settings = sim.settings()
    settings["providers"]["openai"]["api"] = "openai_responses"
    with aistrale.Client(**settings) as client:
        assert client.run("Hi", model=MODEL).text == "This is a simulated answer to: Hi"
    assert sim.last.path.endswith("/responses")


def test_a_dialect_that_the_provider_does_not_speak_is_an_error(sim):
    settings = sim.settings()
    settings["providers"]["openai"]["api"] = "gemini_generate"
    with pytest.raises(ConfigurationError, match="openai_chat"):
        aistrale.Client(**settings).run("Hi", model=MODEL)


@pytest.mark.parametrize("value", ["bad\nvalue", "naïve ☃"])
def test_a_header_that_cannot_be_sent_is_named_and_not_shown(sim, value):
    settings = sim.settings()
    settings["providers"]["openai"]["headers"] = {"X-Team": value}
    with aistrale.Client(**settings) as client, pytest.raises(ConfigurationError, match="x-team") as caught:
        client.run("Hi", model=MODEL)
    assert value not in str(caught.value)


def test_a_proxy_that_is_none_is_named(sim, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:secret@nowhere")
    client = aistrale.Client(providers={"openai": {"api_key": "k", "base_url": "https://example.invalid/v1"}})
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        client.run("Hi", model=MODEL)
    assert "secret" not in str(caught.value)


def test_a_compatible_server_is_a_target_like_any_other(sim):
    providers = {"mine": {"compatible": "anthropic_messages", "base_url": f"{sim.url}/anthropic", "api_key": "k"}}
    with aistrale.Client(providers=providers) as client:
        answer = client.run("Hi", model="mine/some-model")
    assert answer.target == "mine/some-model"
    assert sim.last.body["model"] == "some-model"


def test_messages_of_earlier_answers_go_to_another_provider(client):
    first = client.run("Hi", model="gemini/gemini-2.5-flash", reasoning="low")
    conversation = [aistrale.Message.user("Hi"), first.message, aistrale.Message.user("And?")]
    for model in ("anthropic/claude-haiku-4-5", MODEL, "groq/llama-3.3-70b-versatile"):
        assert client.run(conversation, model=model).text == "This is a simulated answer to: And?"


def test_streams_must_be_read_before_the_answer_is_asked_for(client):
    stream = client.stream("Hi", model=MODEL)
    with pytest.raises(AistraleError, match="not at its end"):
        _ = stream.completion
    assert "".join(stream.texts()) == stream.completion.text
    assert stream.completion.cost.usd > 0


def test_a_stream_that_nobody_reads_sends_nothing(client, sim):
    stream = client.stream("Hi", model=MODEL)
    stream.close()
    del stream
    gc.collect()
    assert sim.requests == []


def test_result_reads_to_the_end(client):
    with client.stream("Hi", model=MODEL) as stream:
        assert stream.result().text == "This is a simulated answer to: Hi"


def test_a_dropped_stream_is_recorded(client):
    stream = client.stream("one two three", model=MODEL)
    next(stream)
    del stream
    gc.collect()
    assert client.flush()
    assert [call.outcome for call in client.ledger.calls(5)] == ["abandoned"]


def test_tools_without_a_function_cannot_be_run_for_you(client):
    tool = {"name": "get", "parameters": {"type": "object", "properties": {}}}
    with pytest.raises(ConfigurationError, match=r"tools\[0\]"):
        client.run("Hi", model=MODEL, tools=[tool], max_tool_rounds=1)
    with pytest.raises(ConfigurationError, match="stream"):
        client.stream("Hi", model=MODEL, tools=[tool], max_tool_rounds=1)
    assert client.run("Hi", model=MODEL, tools=[tool]).tool_calls[0].name == "get"


def test_many_threads_share_one_client(client):
    texts = {}

    def work(number):
        for step in range(10):
            texts[number, step] = client.run(f"thread {number} step {step}", model=MODEL).text

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 80
    for (number, step), text in texts.items():
        assert text.endswith(f"thread {number} step {step}")
    assert client.flush()
    assert len(client.ledger.calls(200)) == 80


def test_a_policy_that_awaits_foreign_io_fails_loudly(client):
    import asyncio

    class Bad:
        async def __call__(self, call, call_next, /):
            await asyncio.sleep(0)
            return await call_next(call)

    from aistrale.policies import build

    client._engine.pipeline = build({"telemetry": Bad()})
    with pytest.raises(Suspended, match=r"Bad\.__call__"):
        client.run("Hi", model=MODEL)


def test_a_ledger_that_is_off_costs_nothing(sim):
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        client.run("Hi", model=MODEL)
        assert client.ledger.calls() == []


def test_describe_shows_the_pipeline(client):
    text = client.pipeline.describe()
    assert text.index("failover") < text.index("retry") < text.index("encode") < text.index("journal")


def test_reprs_hide_everything():
    client = aistrale.Client(providers={"openai": {"api_key": "sk-canary-000000"}})
    assert "canary" not in repr(client) + repr(client._engine.settings)
