"""Several questions at once, on asyncio. On trio it is the same, with trio's way of starting tasks."""

from __future__ import annotations

import asyncio

import aistrale


async def main() -> None:
    """Ask about three cities at once, then stream."""
    async with aistrale.AsyncClient() as client:
        cities = ["Lisbon", "Oslo", "Vienna"]
        answers = await asyncio.gather(*(client.run(f"In which country is {city}?") for city in cities))
        for city, answer in zip(cities, answers, strict=True):
            print(f"{city}: {answer.text}")

        async with client.stream("Say goodbye.") as stream:
            async for text in stream.texts():
                print(text, end="", flush=True)
        print()


if __name__ == "__main__":
    asyncio.run(main())
