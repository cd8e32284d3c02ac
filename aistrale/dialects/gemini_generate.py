"""The wire format of Google Gemini: generateContent and streamGenerateContent, on `/v1`, `/v1beta` and Vertex AI.

Model and streaming stand in the URL. Bodies are written in camelCase; snake_case is read too, and written back where a
caller used it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._gemini_array import ArraySplitter, array_events
from aistrale.dialects._gemini_decoder import Decoder
from aistrale.dialects._gemini_encoder import Encoder
from aistrale.dialects._gemini_errors import decode_error, encode_error, encode_stream_error, is_error_body
from aistrale.dialects._gemini_names import NAME
from aistrale.dialects._gemini_request import SUBSTITUTE_SIGNATURE, decode_request, encode_request
from aistrale.dialects._gemini_response import decode_response, decode_token_count, encode_response
from aistrale.dialects._gemini_slots import text_slots

if TYPE_CHECKING:
    from aistrale.dialects.base import EventDecoder, EventEncoder, Loss, Profile
    from aistrale.types import Request

__all__ = [
    "NAME",
    "SUBSTITUTE_SIGNATURE",
    "ArraySplitter",
    "array_events",
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


def event_decoder(profile: Profile) -> EventDecoder:  # noqa: ARG001 - the protocol's
    """A fresh decoder for one streamed reply; the format is the same whatever the target."""
    return Decoder()


def event_encoder(request: Request, loss: Loss) -> EventEncoder:  # noqa: ARG001 - the protocol's
    """A fresh encoder for one streamed reply; nothing in the request changes how Gemini streams."""
    return Encoder(loss)
