"""Errors that nothing but their message tells from others, and what an error says about a used-up quota.

A few errors call for something else than their status and type say: a prompt that is too long, a spend limit. For
these a provider has a table of `Wording`s. A pattern must match from the message's first character on, so that text
which a message merely quotes (a prompt, a file's name) cannot decide anything. Where a provider changes its text, the
error is once more what its status says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aistrale.errors import ContextLengthError

if TYPE_CHECKING:
    from datetime import datetime

    from aistrale.errors import APIError
    from aistrale.types import ErrorInfo

# A message is read no further than this; every documented wording is shorter.
_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Wording:
    """A message that alone tells what an error means.

    Args:
        status: The status with which it comes; in a stream, the one that its type stands for.
        word: The body's type or gRPC status; None where it has none.
        pattern: What the message begins with; every repetition in it is bounded.
        means: The class.
    """

    status: int
    word: str | None
    pattern: re.Pattern[str]
    means: type[APIError]

    def match(self, info: ErrorInfo) -> re.Match[str] | None:
        """The match, when the error is this one."""
        if info.status != self.status or info.type != self.word:
            return None
        return self.pattern.match(info.message[:_LIMIT])


@dataclass(frozen=True, slots=True)
class Quota:
    """What an error says about a limit that is used up.

    Args:
        resets_at: When calls are let through again (aware UTC), if it says so.
        per_model: Whether the limit is the model's alone; otherwise it holds for everything that the key may use.
    """

    resets_at: datetime | None = None
    per_model: bool = False


# Neither inference server has a code for a prompt that is too long: the texts of Text Generation Inference
# (`router/src/validation.rs`) and of vLLM (`entrypoints/openai`), as they send them and as routers pass them on.
_TGI = re.compile(r"Input validation error: `inputs` (?:tokens \+ `max_new_tokens` must be <= |must have less than )\d")
_VLLM = re.compile(r"This model's maximum context length is \d{1,12} tokens")
INFERENCE_SERVERS = (
    Wording(422, "validation", _TGI, ContextLengthError),
    Wording(422, None, _TGI, ContextLengthError),
    Wording(400, "BadRequestError", _VLLM, ContextLengthError),
    Wording(400, "invalid_request_error", _VLLM, ContextLengthError),
)
