"""What type checkers see of the public names; checked by mypy and pyright, never run.

A line that must be refused carries an ignore that names the error: strict mypy complains when it is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Unpack, assert_type

import httpx
import httpx2

import aistrale
from aistrale.types import AttemptInfo, Choice, Cost, FinishReason, JSONObject, Lossy, Message, ToolCallPart, Usage

if TYPE_CHECKING:
    from aistrale.core.pipeline import Next


class City:
    """A type for structured output."""

    name: str


def weather(city: str, *, days: int = 1) -> str:
    """A tool."""
    return f"{city} {days}"


async def weather_async(city: str) -> str:
    """An async tool."""
    return city


def answers() -> None:
    answer = aistrale.run("Hi", model="openai/gpt-5-mini", temperature=0.2, stop=["a"], tools=[weather, weather_async])
    assert_type(answer, aistrale.Completion)
    assert_type(answer.text, str)
    assert_type(answer.message, Message)
    assert_type(answer.tool_calls, list[ToolCallPart])
    assert_type(answer.choices, list[Choice])
    assert_type(answer.usage, Usage | None)
    assert_type(answer.cost, Cost | None)
    assert_type(answer.finish_reason, FinishReason)
    assert_type(answer.attempts, list[AttemptInfo])
    assert_type(answer.lossy, list[Lossy])
    assert_type(answer.raw, JSONObject | None)
    assert_type(answer.provider, str)
    if answer.cost is not None:
        assert_type(answer.cost.usd, Decimal | None)


def outputs() -> None:
    answer = aistrale.run("Hi", output=City)
    # What the type is, the caller knows: isinstance or a cast says it.
    assert_type(answer.output, object)
    if isinstance(answer.output, City):
        assert_type(answer.output.name, str)
    aistrale.run("Hi", output={"type": "object"})


def prompts() -> None:
    aistrale.run(aistrale.Message.user("Hi", aistrale.image("a.png", detail="low")))
    aistrale.run([{"role": "user", "content": "Hi"}])
    aistrale.run([aistrale.Message.system("Brief."), {"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
    aistrale.run(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_options() -> None:
    aistrale.run("Hi", temperatur=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aistrale.run("Hi", temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aistrale.run("Hi", on_unsupported="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aistrale.embed("Hi", temperature=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aistrale.session(usr="ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def streams() -> None:
    with aistrale.stream("Hi", model="groq/llama-3.3-70b-versatile") as stream:
        assert_type(stream, aistrale.Stream)
        for event in stream:
            assert_type(event, aistrale.Event)
            assert_type(event.text, str)
        assert_type(stream.texts(), Iterator[str])
        assert_type(stream.result(), aistrale.Completion)
    assert_type(stream.completion, aistrale.Completion)
    assert_type(stream.call_id, str)


async def awaiting() -> None:
    assert_type(await aistrale.run_async("Hi"), aistrale.Completion)
    assert_type(await aistrale.embed_async(["a", "b"], dimensions=8), aistrale.Embeddings)
    async with aistrale.stream_async("Hi") as stream:
        assert_type(stream, aistrale.AsyncStream)
        async for event in stream:
            assert_type(event, aistrale.Event)
        assert_type(stream.texts(), AsyncIterator[str])
        assert_type(await stream.result(), aistrale.Completion)
    async with aistrale.AsyncClient(timeout=5.0) as client:
        assert_type(client, aistrale.AsyncClient)
        assert_type(await client.run("Hi", user="ada"), aistrale.Completion)


async def sessions() -> None:
    with aistrale.session(system="Brief.", user="ada", tags={"a": "b"}) as chat:
        assert_type(chat, aistrale.Session)
        assert_type(chat.id, str)
        assert_type(chat.run("Hi"), aistrale.Completion)
        assert_type(chat.messages, list[Message])
        assert_type(chat.stream("Hi"), aistrale.Stream)
        assert_type(await chat.run_async("Hi"), aistrale.Completion)
    async with aistrale.Client().session() as chat:
        assert_type(chat.stream_async("Hi"), aistrale.AsyncStream)
    with aistrale.context(user="ada", deadline=3.0) as inner:
        assert_type(inner, aistrale.Context)


def clients() -> None:
    with aistrale.Client(routes={"chat": ["openai/gpt-5-mini"]}, default_route="chat", timeout=30.0) as client:
        assert_type(client, aistrale.Client)
        assert_type(client.run("Hi"), aistrale.Completion)
        assert_type(client.embed("Hi").vectors, list[list[float]])
        assert_type(client.as_async(), aistrale.AsyncClient)
        assert_type(client.pipeline.describe(), str)
        assert_type(client.flush(), bool)
    assert_type(aistrale.init(timeout=3.0), aistrale.Client)
    aistrale.shutdown()


def my_ask(prompt: str, **options: Unpack[aistrale.Options]) -> str:
    """The caller's own functions can take the options on."""
    return aistrale.run(prompt, **options).text


class Counting:
    """A policy of the caller's own."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: aistrale.Call, call_next: Next, /) -> aistrale.Reply:
        """Count."""
        self.calls += 1
        return await call_next(call)


def ways_in() -> None:
    assert_type(aistrale.wrap(City()), City)
    assert_type(aistrale.http_client("groq"), httpx.Client)
    assert_type(aistrale.http_client("openai", timeout=5), httpx2.Client)
    assert_type(aistrale.http_client("gemini", asynchronous=True), httpx2.AsyncClient)
    aistrale.init(instrument=["openai"])
    aistrale.shutdown()


def errors() -> None:
    policies: list[aistrale.Policy] = [Counting()]
    assert policies
    try:
        aistrale.run("Hi")
    except aistrale.errors.RateLimitError as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.status, int | None)
    except aistrale.errors.StreamInterrupted as error:
        assert_type(error.partial_text, str)
    except aistrale.errors.AllTargetsFailed as error:
        assert_type(error.exceptions, tuple[Exception | ExceptionGroup[Exception], ...])
    except aistrale.AistraleError as error:
        assert_type(error.provider, str | None)
        assert_type(error.hint, str | None)
