from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

import aistrale
from aistrale.errors import OverloadedError
from aistrale.testing import Broken, Fault, Good, Say, Simulator, Slow, simulator
from aistrale.types import Choice, Completion, Message, TextPart
from tests.testing.wire import ASKED, CHAT, question

PATH = "/openai/v1/chat/completions"


# --- where it is ------------------------------------------------------------------------------------------------------


def test_settings_lead_a_client_to_every_provider(sim):
    with aistrale.Client(**sim.settings(), ledger="off", retry=None) as client:
        for target in ("openai/m", "anthropic/m", "gemini/m", "groq/m", "huggingface/m"):
            answer = client.run("Hello", model=target)
            assert answer.text == "This is a simulated answer to: Hello"
            assert (sim.last.provider, sim.last.completion.text) == (target.partition("/")[0], answer.text)


def test_a_provider_that_is_not_played_has_no_address(sim):
    with pytest.raises(ValueError, match=r"mistral.*openai"):
        sim.base_url("mistral")


def test_the_environment_is_set_and_restored(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setenv("GOOGLE_API_KEY", "mine too")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    before = dict(os.environ)
    with simulator(environ=True) as sim:
        assert os.environ["OPENAI_BASE_URL"] == sim.base_url("openai")
        assert {name: os.environ[name] for name in sim.environ()} == sim.environ()
        # It would win over GEMINI_API_KEY.
        assert "GOOGLE_API_KEY" not in os.environ
        assert "NO_PROXY" not in os.environ
    assert dict(os.environ) == before


def test_loopback_is_not_reached_through_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", "intranet")
    with simulator(environ=True):
        assert os.environ["NO_PROXY"] == "intranet,127.0.0.1"
    assert os.environ["NO_PROXY"] == "intranet"


def test_without_environ_nothing_is_set():
    before = dict(os.environ)
    with simulator():
        assert dict(os.environ) == before


def test_a_taken_port_is_an_error_and_leaves_nothing_open(sim):
    with pytest.raises(OSError, match=r"[Aa]ddress"), simulator(port=sim.port):
        pass


def test_it_serves_in_a_thread_that_ends():
    before = set(threading.enumerate())
    simulated = Simulator()
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    simulated.close()
    assert not thread.is_alive()
    simulated.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", simulated.port))


def test_both_faces_are_async_context_managers_too():
    async def body():
        async with simulator() as one, Simulator() as two:
            assert one.port != two.port

    asyncio.run(body())


# --- what arrived -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_what_arrived_is_remembered(sim, ask, name):
    path, body = question(name)
    ask(path, body)
    received = sim.last
    assert (received.path, received.body, received.status, received.operation) == (path, body, 200, "chat")
    assert received.headers["authorization"] == "Bearer k"
    assert received.request.messages[-1].text == "Hello you"
    assert received.request.model == "m"
    assert received.completion is received.answer


def test_requests_are_numbered_and_counted(sim, ask):
    sim.script(Good(), Fault(status=500))
    for _ in range(3):
        ask(PATH, CHAT)
    assert [received.request_id for received in sim.requests] == [f"req_{number:020x}" for number in (1, 2, 3)]
    assert sim.stats() == {"requests": 3, "by": {"openai chat 200": 2, "openai chat 500": 1}}
    sim.reset()
    assert (sim.requests, sim.stats()["requests"]) == ([], 0)


def test_only_the_last_requests_are_kept(sim, ask):
    with simulator(keep=2) as few, aistrale.Client(**few.settings(), ledger="off") as client:
        for word in ("one", "two", "three"):
            client.run(word, model="openai/m")
        assert [received.request.messages[0].text for received in few.requests] == ["two", "three"]
        assert few.stats()["requests"] == 3


def test_reprs_hold_neither_keys_nor_prompts(sim, ask):
    ask(f"{PATH}?key=canary", {**CHAT, "user": "canary"}, headers={"authorization": "Bearer canary"})
    assert repr(sim.last) == "<Received openai chat: 200>"
    assert repr(sim) == f"<Simulator at {sim.url}: 1 requests held>"


def test_nothing_has_arrived_yet(sim):
    with pytest.raises(LookupError, match="no request"):
        _ = sim.last


def test_an_error_has_no_completion(sim, ask):
    sim.script(Fault(status=404))
    ask(PATH, CHAT)
    assert (sim.last.status, sim.last.answer) == (404, None)
    with pytest.raises(LookupError, match="404"):
        _ = sim.last.completion


# --- scripts ----------------------------------------------------------------------------------------------------------


def statuses(ask, *paths):
    return [ask(path, {**CHAT, "max_tokens": 9}).status for path in paths]


def test_steps_apply_in_order_and_then_answers_are_good(sim, ask):
    script = sim.script(Fault(status=500), Good(), Fault(status=429))
    assert script.left == 3
    assert statuses(ask, PATH, PATH, PATH, PATH) == [500, 200, 429, 200]
    assert script.left == 0


def test_steps_wait_for_the_request_that_they_are_meant_for(sim, ask):
    sim.script(Fault(status=500), provider="anthropic")
    sim.script(Fault(status=503), model="other")
    sim.script(Fault(status=404), operation="embed")
    assert statuses(ask, PATH, PATH) == [200, 200]
    assert statuses(ask, "/anthropic/v1/messages", "/anthropic/v1/messages") == [500, 200]
    assert ask(PATH, {**CHAT, "model": "other"}).status == 503
    assert [ask("/openai/v1/embeddings", {"model": "m", "input": "x"}).status for _ in range(2)] == [404, 200]


def test_scripts_of_several_add_up(sim, ask):
    sim.script(Fault(status=500), provider="openai")
    sim.script(Fault(status=503))
    assert statuses(ask, PATH, PATH, PATH) == [500, 503, 200]


def test_an_outage_lasts_until_it_is_ended(sim, ask):
    outage = sim.outage("openai")
    assert statuses(ask, PATH, PATH, "/anthropic/v1/messages") == [503, 503, 200]
    outage.end()
    assert statuses(ask, PATH) == [200]
    with sim.outage(step=Fault(status=500)):
        assert statuses(ask, PATH, "/anthropic/v1/messages") == [500, 500]
    assert statuses(ask, PATH) == [200]
    sim.outage()
    sim.reset()
    assert statuses(ask, PATH) == [200]


def test_every_third_request_fails(sim, ask):
    sim.outage("openai", every=3)
    assert statuses(ask, *[PATH] * 7) == [200, 200, 503, 200, 200, 503, 200]
    with pytest.raises(ValueError, match="every"):
        sim.outage(every=0)


def test_scripts_are_taken_by_one_request_each_however_many_ask(sim):
    steps = 40
    sim.script(*[Fault(status=503)] * steps)
    failed = []

    def work():
        with aistrale.Client(**sim.settings(), ledger="off", retry=None, breaker=None) as client:
            for _ in range(20):
                try:
                    client.run("Hello", model="openai/m")
                except OverloadedError:
                    failed.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == steps
    assert len({received.request_id for received in sim.requests}) == 80


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("operation", ["chat", "count_tokens", "embed"])
def test_an_outage_meets_every_operation(sim, ask, name, operation):
    paths = {
        "chat": question(name),
        "count_tokens": {
            "responses": ("/openai/v1/responses/input_tokens", ASKED["responses"][1]),
            "anthropic": ("/anthropic/v1/messages/count_tokens", CHAT),
            "gemini": ("/gemini/v1/models/m:countTokens", ASKED["gemini"][1]),
        }.get(name),
        "embed": {
            "openai": ("/openai/v1/embeddings", {"model": "m", "input": "x"}),
            "groq": ("/groq/openai/v1/embeddings", {"model": "m", "input": "x"}),
            "gemini": ("/gemini/v1/models/m:embedContent", {"content": {"parts": [{"text": "x"}]}}),
            "huggingface": ("/huggingface/hf-inference/models/m/pipeline/feature-extraction", {"inputs": "x"}),
        }.get(name),
    }
    if paths[operation] is None:
        pytest.skip(f"{name} has no {operation}")
    path, body = paths[operation]
    assert ask(path, body).status == 200
    assert sim.last.operation == operation
    with sim.outage():
        assert ask(path, body).status == 503
    sim.script(Broken(wreck="bad_json"))
    assert ask(path, body).body.endswith(b",,")
    sim.script(Slow(drip=1))
    assert ask(path, body).headers["transfer-encoding"] == "chunked"


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_given_text_and_given_calls(sim, ask):
    sim.script(Say(text="Fine."), Say(tool_calls=[("look", {"at": 1})]), Say(text="Wait.", tool_calls=[("look", {})]))
    first, second, third = (ask(PATH, CHAT).json["choices"][0] for _ in range(3))
    assert (first["message"]["content"], first["finish_reason"]) == ("Fine.", "stop")
    (call,) = second["message"]["tool_calls"]
    assert (call["function"], second["finish_reason"]) == ({"name": "look", "arguments": '{"at":1}'}, "tool_calls")
    assert second["message"]["content"] is None
    assert third["message"]["content"] == "Wait."


def test_what_a_given_answer_leaves_out_is_filled_in(sim, ask):
    answer = Completion(choices=[Choice(Message("assistant", [TextPart("Hi.")]), "stop")])
    sim.script(Say(completion=answer))
    body = ask(PATH, CHAT).json
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "m"
    assert body["usage"]["completion_tokens"] == 1
    assert answer.id == ""


def test_embed_content_answers_with_one_vector(sim, ask):
    body = ask(
        "/gemini/v1/models/m:embedContent", {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 4}
    ).json
    assert body["embedding"]["values"] == sim.last.answer.vectors[0]
    assert len(body["embedding"]["values"]) == 4
    assert "embeddings" not in body


def test_a_gemini_stream_without_sse_is_one_json_array(sim, ask):
    path, body = question("gemini", stream=True)
    answer = ask(path.removesuffix("?alt=sse"), body)
    assert answer.headers["content-type"] == "application/json"
    chunks = answer.json
    texts = [part["text"] for chunk in chunks for part in chunk["candidates"][0].get("content", {}).get("parts", [])]
    assert "".join(texts) == sim.last.completion.text
    assert len(chunks) > 3
    sim.script(Broken(wreck="truncate", after=1))
    assert len(ask(path.removesuffix("?alt=sse"), body).json) == 2


@pytest.mark.parametrize("name", ASKED)
def test_the_same_question_gets_the_same_bytes(sim, ask, name):
    for stream in (False, True):
        path, body = question(name, stream=stream)
        first = ask(path, body)
        sim.reset()
        assert ask(path, body).body == first.body


def test_latency_is_that_of_the_simulator_or_of_the_step():
    clock = threading.Event()
    with simulator(latency=30) as slow:
        result = []

        def work():
            with aistrale.Client(**slow.settings(), ledger="off") as client:
                result.append(client.run("Hello", model="openai/m").text)
            clock.set()

        slow.script(Slow())
        thread = threading.Thread(target=work)
        thread.start()
        # A step of its own pace: without it the answer would take half a minute.
        assert clock.wait(10)
        thread.join()
        assert result == ["This is a simulated answer to: Hello"]


# --- its own paths, and what is not served ----------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq"])
def test_limits_that_headers_tell_keep_nobody_waiting(sim, provider):
    model = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5", "groq": "llama-3.3-70b-versatile"}[provider]
    with aistrale.Client(**sim.settings(), ledger="off") as client:
        for _ in range(5):
            client.run("word " * 2000, model=f"{provider}/{model}", max_tokens=16)
            assert client.queues()[f"{provider}/{model}"].expected_wait == 0.0


def test_scripts_can_be_given_over_http(sim, ask):
    steps = [{"step": "fault", "status": 429, "retry_after": 2}, {"step": "say", "text": "Hi."}, {"step": "good"}]
    assert ask("/__script", {"steps": steps, "provider": "openai"}).json == {"steps": 3}
    assert [ask(PATH, CHAT).status for _ in range(2)] == [429, 200]
    assert sim.last.completion.text == "Hi."
    ask(PATH, CHAT)
    assert ask("/__outage", {"steps": [{"step": "broken", "wreck": "html"}], "every": 2}).status == 200
    ask(PATH, CHAT)
    assert ask(PATH, CHAT).headers["content-type"] == "text/html"
    assert ask("/__stats", method="GET").json == sim.stats()
    assert ask("/__reset").json["requests"] == 0
    assert ask(PATH, CHAT).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "steps"),
        ({"steps": []}, "steps"),
        ({"steps": [{"step": "explode"}]}, "steps[0].step"),
        ({"steps": [{"step": "fault", "code": 5}]}, "steps[0].code"),
        ({"steps": [{"step": "fault", "status": True}]}, "steps[0].status"),
        ({"steps": [{"step": "fault", "status": 200}]}, "Fault.status"),
        ({"steps": [{"step": "fault"}]}, "Fault"),
        ({"steps": [{"step": "broken", "wreck": "bad"}]}, "steps[0].wreck"),
        ({"steps": [{"step": "good", "text": "x"}]}, "steps[0].text"),
        ({"steps": [{"step": "good"}], "every": 2}, "every"),
        ({"steps": [{"step": "good"}], "model": 5}, "model"),
        ([], "body"),
    ],
)
def test_a_script_that_cannot_be_read_is_refused(sim, ask, body, named):
    answer = ask("/__script", body)
    assert answer.status == 400
    assert named in answer.json["error"]["message"]
    assert ask(PATH, CHAT).status == 200


def test_what_is_not_served(sim, ask):
    assert ask("/v1/audio/speech", {}).status == 404
    assert ask("/__nothing", {}).status == 404
    assert ask("/__stats", {}).status == 404
    wrong = ask(PATH, method="GET")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    wrong = ask("/v1/models", {})
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert sim.requests == []


def test_head_has_no_body(sim, ask):
    whole, head = ask("/v1/models", method="GET"), ask("/v1/models", method="HEAD")
    assert head.status == whole.status == 200
    assert head.body == b""
    assert head.headers["content-length"] == str(len(whole.body))


@pytest.mark.parametrize("name", ASKED)
def test_a_key_is_needed_but_any_will_do(sim, ask, name):
    path, body = question(name)
    answer = ask(path, body, headers={"content-type": "application/json", "anthropic-version": "2023-06-01"})
    assert answer.status == 401
    assert "error" in answer.json
    assert ask(path, body, headers={"authorization": "Bearer "}).status == 401
    for header in ("authorization", "x-api-key", "x-goog-api-key", "api-key"):
        assert ask(path, body, headers={header: "x", "anthropic-version": "2023-06-01"}).status == 200
    assert ask(f"{path}?key=x", body, headers={"anthropic-version": "2023-06-01"}).status == 200


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"messages": 5, "input": 5, "contents": 5}', b"{}"]
)
def test_a_body_that_cannot_be_read_gets_the_providers_error(sim, ask, name, body):
    path, _ = question(name)
    answer = ask(path, body)
    assert answer.status == 400
    told = answer.json["error"]
    message = told if isinstance(told, str) else told["message"]
    assert message.startswith("Invalid value at ")
    assert (sim.last.status, sim.last.answer) == (400, None)


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TURNS = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [CALL]}]


@pytest.mark.parametrize(
    "messages",
    [
        TURNS,
        [*TURNS, {"role": "user", "content": "y"}],
        [*TURNS, {"role": "tool", "tool_call_id": "d", "content": "y"}],
        [TURNS[0], {"role": "tool", "tool_call_id": "c", "content": "y"}],
        [],
    ],
)
def test_conversations_that_no_provider_takes_are_refused(sim, ask, messages):
    assert ask(PATH, {"model": "m", "messages": messages}).status == 400
    good = [*TURNS, {"role": "tool", "tool_call_id": "c", "content": "y"}, {"role": "user", "content": "z"}]
    assert ask(PATH, {"model": "m", "messages": good}).status == 200


def test_anthropic_wants_a_limit_and_a_version(sim, ask):
    path, body = question("anthropic")
    assert ask(path, CHAT).status == 400
    assert ask(path, body, headers={"x-api-key": "k"}).status == 400
    newer = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    assert [ask(path, {**body, "top_k": 4}, headers=headers).status for headers in (None, newer)] == [200, 400]
