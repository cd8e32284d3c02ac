"""What type checkers see of decorated functions; checked by mypy and pyright, never run.

A line that must be refused carries an ignore that names the error: strict mypy complains when it is not needed.
Prompt functions are as docs/decorator.md says: `...` for pyright, and mypy's empty-body is off.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar, assert_type

import aistrale

T = TypeVar("T")


@aistrale.llm
def bare(text: str, *, times: int = 1) -> list[str]:
    """With no arguments of the decorator."""
    return [text] * times


@aistrale.llm()
def called(text: str, *, times: int = 1) -> list[str]:
    """With none either."""
    return [text] * times


@aistrale.llm("summary", user="ada", tags={"a": "b"}, deadline=3.0, budget="0.05", priority="low", capture=True)
def named(text: str, /, *rest: int, **more: bool) -> bytes:
    """With its context."""
    return text.encode()


@aistrale.llm(route="quick", workspace="w", project="p", session="s", name="n")
async def asynchronous(text: str) -> int:
    """Async."""
    return len(text)


@aistrale.llm
def generator(text: str) -> Generator[str, int, bool]:
    """A generator, with all three of its types."""
    return (yield text) > 1


@aistrale.llm
async def async_generator(text: str) -> AsyncGenerator[str, int]:
    """An async one."""
    yield text


@aistrale.llm(
    model="openai/gpt-5-mini", temperature=0.2, max_tokens=50, tools=[len], max_tool_rounds=2, system="Brief."
)
def prompt(country: str) -> str:
    """What is the capital of {country}?"""
    ...  # noqa: PIE790 - pyright takes a body of text alone for one that returns None


@aistrale.llm(provider="openai")
async def prompt_async(country: str) -> int:
    """How many people live in {country}?"""
    ...  # noqa: PIE790


@aistrale.llm
def prompt_stream(country: str) -> Iterator[str]:
    """About {country}."""
    ...  # noqa: PIE790


@aistrale.llm
def generic(item: T, items: list[T]) -> T:
    """Of any type."""
    return items[0] if items else item


@aistrale.context(user="ada", tags={"a": "b"})
async def in_context(text: str, *, times: int = 1) -> list[str]:
    """The context decorates as well."""
    return [text] * times


class Bot:
    """Methods."""

    @aistrale.llm
    def method(self, text: str) -> str:
        """Plain."""
        return text

    @aistrale.llm(user="ada")
    async def coroutine(self, text: str) -> str:
        """Async."""
        return text

    @aistrale.llm
    def words(self, text: str) -> Iterator[str]:
        """A generator."""
        yield text

    @aistrale.llm(user="ada")
    @classmethod
    def above(cls, text: str) -> str:
        """Above."""
        return text

    @classmethod
    @aistrale.llm(user="ada")
    def below(cls, text: str) -> str:
        """Below."""
        return text

    @aistrale.llm
    @staticmethod
    def static_above(text: str) -> str:
        """Above."""
        return text

    @staticmethod
    @aistrale.llm(user="ada")
    def static_below(text: str) -> str:
        """Below."""
        return text

    @aistrale.context(user="ada")
    @classmethod
    def context_above(cls, text: str) -> str:
        """Above."""
        return text


def functions() -> None:
    assert_type(bare("a", times=2), list[str])
    assert_type(called("a"), list[str])
    assert_type(named("a", 1, 2, b=True), bytes)
    assert_type(prompt("Norway"), str)
    assert_type(prompt_stream("Norway"), Iterator[str])
    assert_type(generic(1, [2]), int)
    assert_type(generator("a"), Generator[str, int, bool])
    assert_type(aistrale.llm(lambda: 5)(), int)
    assert_type(aistrale.llm(functools.partial(bare, "a"))(), list[str])
    assert_type(aistrale.llm(bare, name="other")("a"), list[str])


async def coroutines() -> None:
    assert_type(await asynchronous("a"), int)
    assert_type(await prompt_async("Norway"), int)
    assert_type(await in_context("a", times=2), list[str])
    assert_type(async_generator("a"), AsyncGenerator[str, int])
    async for word in async_generator("a"):
        assert_type(word, str)
    kept: Callable[[str], Coroutine[Any, Any, int]] = asynchronous
    await kept("a")


async def methods(bot: Bot) -> None:
    assert_type(bot.method("a"), str)
    assert_type(await bot.coroutine("a"), str)
    assert_type(bot.words("a"), Iterator[str])
    assert_type(bot.above("a"), str)
    assert_type(Bot.above("a"), str)
    assert_type(Bot.below("a"), str)
    assert_type(Bot.static_above("a"), str)
    assert_type(bot.static_below("a"), str)
    assert_type(Bot.context_above("a"), str)


def wrong_arguments(bot: Bot) -> None:
    bare(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare("a", time=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bot.method(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bot.above(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Bot.static_below(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aistrale.llm(usr="ada")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    aistrale.llm(deadline="soon")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    aistrale.llm(output=int)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    aistrale.llm(5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def streams() -> AsyncIterator[str]:
    """An async iterator is what it was."""
    async for word in async_generator("a"):
        yield word
