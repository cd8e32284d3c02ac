"""The OpenAI chat completions format: OpenAI, Azure, Groq, Hugging Face and every compatible server.

What the hub has no word for is noted in `wire`; the notation of the source is a list of words, separated by spaces, in
`wire.form` (each is explained where it is read, in the modules behind this one). Thoughts that came under one of the
two names that servers use carry that name as a word: "reasoning" (Groq, Hugging Face, OpenRouter) or
"reasoning_content" (DeepSeek, vLLM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._chat_encoder import Encoder
from aistrale.dialects._chat_errors import decode_error, encode_error, encode_stream_error, is_error_body
from aistrale.dialects._chat_request import decode_request, encode_request
from aistrale.dialects._chat_response import decode_response, encode_response
from aistrale.dialects._chat_slots import text_slots
from aistrale.dialects._chat_stream import Decoder
from aistrale.dialects._chat_wire import NAME

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import Request

__all__ = [
    "NAME",
    "Decoder",
    "Encoder",
    "decode_error",
    "decode_request",
    "decode_response",
    "encode_error",
    "encode_request",
    "encode_response",
    "encode_stream_error",
    "event_decoder",
    "event_encoder",
    "is_error_body",
    "text_slots",
]


def event_decoder(profile: Profile) -> Decoder:  # noqa: ARG001 - the protocol's signature
    """A fresh decoder for one streamed reply.

    A finish reason and the end of the bytes make an answer whole with every server, `done_optional` or not: what is
    then missing is only `[DONE]` and perhaps the token counts.
    """
    return Decoder()


def event_encoder(
    request: Request,
    loss: Loss,
    *,
    groq: bool = False,
    reasoning_field: str | None = None,
    standard: bool = False,
) -> Encoder:
    """A fresh encoder for one streamed reply.

    Args:
        request: The caller's request. A usage chunk is written only if its `stream_options.include_usage` is true.
        loss: Takes what this dialect cannot say.
        groq: The caller is Groq's SDK: the counts go into the last chunk's `x_groq` and `usage`, unasked.
        reasoning_field: Where thoughts from another dialect go: "reasoning" for Groq's SDK, "reasoning_content" for
            callers that want them; None (the format's own way) leaves them out and records that.
        standard: The answer is another server's than the one that the caller asked: it is written in the form of the
            API reference, whatever notation it came in.
    """
    return Encoder(request, loss, groq=groq, reasoning_field=reasoning_field, standard=standard)
