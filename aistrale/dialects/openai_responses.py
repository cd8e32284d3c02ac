"""The OpenAI Responses format: `POST /v1/responses`, its response object and its events.

What other dialects need to know:

- `STATE_FIELDS` names the fields of `request.wire.fields` that stand for state which OpenAI stores. It cannot move to
  another provider: an encoder of another dialect must refuse such a request.
- Items of one turn are one message; their parts remember their items in `wire`, including encrypted thoughts.
- Items of hosted tools are `ProviderPart`s, hosted and custom tools are `Tool.hosted`.
- Calls of custom tools are `ToolCallPart`s with the arguments `{"input": text}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._responses_content import NAME
from aistrale.dialects._responses_decoder import Decoder
from aistrale.dialects._responses_encoder import Encoder
from aistrale.dialects._responses_errors import decode_error, encode_error, encode_stream_error
from aistrale.dialects._responses_output import decode_response, decode_token_count, encode_response, is_error_body
from aistrale.dialects._responses_request import STATE_FIELDS, decode_request, encode_request
from aistrale.dialects._responses_slots import text_slots

if TYPE_CHECKING:
    from aistrale.dialects.base import EventDecoder, EventEncoder, Loss, Profile
    from aistrale.types import Request

__all__ = [
    "NAME",
    "STATE_FIELDS",
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


def event_decoder(profile: Profile) -> EventDecoder:  # noqa: ARG001 - the protocol's signature
    """A fresh decoder for one streamed reply; the format knows no differences between targets."""
    return Decoder()


def event_encoder(request: Request, loss: Loss) -> EventEncoder:
    """A fresh encoder for one streamed reply to a caller that sent `request`."""
    return Encoder(request, loss)
