"""JSON in as few bytes and instructions as the standard library has: one encoder for many values."""

from __future__ import annotations

import json
import json.encoder
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Encoder: TypeAlias = Callable[[object], str]

# sort_keys, skipkeys and allow_nan, as JSONEncoder has them by default; the encoder in C takes them by their place.
_FLAGS: Final = (False, False, True)


def compact_encoder(default: Callable[[object], object] | None = None) -> Encoder:
    """A function that writes values as JSON in ASCII, without blanks and without a look for cycles.

    `JSONEncoder.encode` makes its inner encoder anew for every value, for a microsecond. Here that is done once; where
    Python has none, or wants other arguments, the function is `encode` itself.

    Args:
        default: Makes what JSON has no form for into something that it has; raises TypeError where it cannot.
    """
    whole = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=default)
    try:
        inner: Callable[[object, int], Iterable[str]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
            None,
            whole.default,
            json.encoder.encode_basestring_ascii,
            None,
            ":",
            ",",
            *_FLAGS,
        )
        "".join(inner({"a": [1, 2.5, None]}, 0))
    except (AttributeError, TypeError):
        return whole.encode
    return lambda value: "".join(inner(value, 0))
