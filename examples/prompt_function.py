"""Functions without a body: the docstring is the prompt, the arguments fill it in, the answer is what they return."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel

import aistrale


class Review(BaseModel):
    """What a customer wrote, in brief."""

    mood: Literal["positive", "neutral", "negative"]
    topics: list[str]


@aistrale.llm(max_tokens=500)
def read_review(text: str) -> Review:
    """Sum up this review of a kettle.

    {text}
    """


@aistrale.llm(system="You write for a shop. Be brief.")
def answer(review: Review, *, name: str) -> Iterator[str]:
    """Thank {name} for a {review.mood} review, and mention {review.topics}."""


review = read_review("It boils fast and looks fine, but the handle gets hot.")
print(f"{review.mood}, about {', '.join(review.topics)}")
for piece in answer(review, name="Ada"):
    print(piece, end="", flush=True)
print()
