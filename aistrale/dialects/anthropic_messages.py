"""The Anthropic Messages format (`POST /v1/messages`), versions 2023-06-01 and 2026-10-21.

How the hub's words are said here, where that is not plain:

- Leading instructions are the body's `system`; later ones are turns of role `system`.
- Results of tools are blocks of the user's turn after the call, all in one turn, before anything else.
- Thoughts carry a signature and go back to Anthropic byte for byte; those of other models are left out (and recorded).
- `max_tokens` is demanded: the profile's `max_output`, else 4096, where a request from elsewhere names none.
- Effort is `output_config.effort` with adaptive thinking, or a budget of tokens on older models (`Profile.thinking`).
- A request that was decoded from this format passes with everything in it that the hub does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects._anthropic_blocks import NAME as _NAME
from aistrale.dialects._anthropic_decoder import Decoder
from aistrale.dialects._anthropic_encoder import Encoder, encode_stream_error
from aistrale.dialects._anthropic_errors import decode_error, encode_error, is_error_body
from aistrale.dialects._anthropic_request import decode_request, encode_request
from aistrale.dialects._anthropic_response import decode_response, decode_token_count, encode_response
from aistrale.dialects._anthropic_slots import text_slots

if TYPE_CHECKING:
    from aistrale.dialects.base import EventDecoder, EventEncoder, Loss, Profile
    from aistrale.types import Request

__all__ = [
    "NAME",
    "decode_error",
    "decode_request",
    "decode_response",
    "decode_token_count",
    "encode_error",
    "encode_request",
    "encode_response",
    "encode_stream_error",
    "event_decoder",
    "event_encoder",
    "is_error_body",
    "text_slots",
]

NAME: Final = _NAME


def event_decoder(profile: Profile) -> EventDecoder:  # noqa: ARG001 - what the protocol gives
    """A fresh decoder for one streamed reply; every target of this dialect streams alike."""
    return Decoder()


def event_encoder(request: Request, loss: Loss) -> EventEncoder:
    """A fresh encoder for one streamed reply to a caller that sent `request`."""
    return Encoder(request.model, loss)
