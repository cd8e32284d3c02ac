from __future__ import annotations

import asyncio

import pytest

import aistrale
from aistrale import default
from aistrale.errors import ConfigurationError
from aistrale.testing import simulator


@pytest.fixture(autouse=True)
def fresh():
    aistrale.shutdown()
    with simulator(environ=True) as sim:
        yield sim
    aistrale.shutdown()


def test_run_works_without_any_setup():
    answer = aistrale.run("Hello")
    assert answer.text == "This is a simulated answer to: Hello"
    assert answer.provider == "openai"


def test_every_verb_has_both_colours():
    async def whole():
        answer = await aistrale.run_async("Hello")
        async with aistrale.stream_async("Hello") as stream:
            text = "".join([piece async for piece in stream.texts()])
        vectors = await aistrale.embed_async(["a"])
        return answer.text, text, len(vectors)

    assert asyncio.run(whole()) == ("This is a simulated answer to: Hello", "This is a simulated answer to: Hello", 1)
    with aistrale.stream("Hello") as stream:
        assert "".join(stream.texts()) == "This is a simulated answer to: Hello"
    assert len(aistrale.embed("a")) == 1
    with aistrale.session(user="u") as chat:
        assert chat.run("Hello").text == "This is a simulated answer to: Hello"


def test_blocking_calls_work_inside_a_running_loop():
    async def whole():
        return aistrale.run("Hello").text

    assert asyncio.run(whole()) == "This is a simulated answer to: Hello"


def test_several_event_loops_over_time():
    for _ in range(3):
        assert asyncio.run(aistrale.run_async("Hello")).text


def test_init_is_idempotent():
    first = aistrale.init(timeout=5)
    assert aistrale.init() is first
    assert aistrale.init(timeout=5) is first
    second = aistrale.init(timeout=6)
    assert second is not first
    assert aistrale.get_client() is second


def test_a_failed_init_keeps_the_client_that_is_there():
    first = aistrale.init()
    with pytest.raises(ConfigurationError):
        aistrale.init(tiemout=5)
    assert aistrale.get_client() is first


def test_shutdown_may_be_called_twice_and_run_starts_anew():
    first = aistrale.init()
    aistrale.shutdown()
    aistrale.shutdown()
    assert aistrale.flush()
    assert aistrale.run("Hello").text
    assert default.get_client() is not first


def test_a_context_route_is_taken():
    aistrale.init(routes={"cheap": ["groq/llama-3.3-70b-versatile"]})
    with aistrale.context(route="cheap"):
        assert aistrale.run("Hello").provider == "groq"
