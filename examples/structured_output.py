"""An answer as an object, validated: a pydantic model, a dataclass, any type, or a JSON Schema."""

from typing import Literal

from pydantic import BaseModel, Field

import aistrale


class Review(BaseModel):
    """What a customer wrote, in brief."""

    mood: Literal["positive", "neutral", "negative"]
    stars: int = Field(ge=1, le=5)
    topics: list[str]


text = "The kettle boils fast and looks fine, but the handle gets hot."
answer = aistrale.run(f"Sum up this review: {text}", output=Review)
review = answer.output
if isinstance(review, Review):
    print(f"{review.mood}, {review.stars} stars, about {', '.join(review.topics)}")
print("the schema was enforced by:", answer.output_mode)
