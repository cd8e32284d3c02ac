"""What can go wrong with an answer on its way, done to its bytes."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aistrale.dialects.shape import dump_json
from aistrale.testing.errors import error_body, fault_info
from aistrale.testing.faults import Fault
from aistrale.types import Choice, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.testing.faults import Broken
    from aistrale.testing.routes import Route
    from aistrale.testing.server import Served
    from aistrale.types import Completion, ErrorInfo

_HTML: Final = b"<!doctype html><title>Bad gateway</title><h1>502 Bad gateway</h1>"
_USUAL: Final = Fault(status=500, message="The server had an error while processing the request.")
# Gaps between pieces that have to arrive before the connection is reset, in seconds.
_SPACED: Final = 0.001


def emptied(completion: Completion) -> Completion:
    """The answer without its content."""
    return replace(completion, choices=[Choice(Message("assistant"), "stop")])


def wreck_body(served: Served, broken: Broken, found: Route) -> None:
    """Spoil an answer that is not streamed."""
    match broken.wreck:
        case "reset" | "stall" | "close":
            served.ending = broken.wreck
            served.body, served.headers = b"", []
        case "bad_json":
            served.body = served.body[:-2] + b",,"
        case "bad_gzip":
            served.headers.append(("content-encoding", "gzip"))
            served.body = gzip.compress(served.body)[:-12]
        case "html":
            served.headers = [("content-type", "text/html")]
            served.body = _HTML
        case "error_in_200" | "error_midway":
            served.body = dump_json(error_body(found, _inner(found, broken))).encode()
        case "empty":
            pass
        case _:
            served.length, served.body = len(served.body), served.body[: len(served.body) // 2]
            endings = {"stall_early": "stall", "reset_early": "reset"}
            served.ending = endings.get(broken.wreck, "close")  # type: ignore[assignment]  # the words are those above


def wreck_frames(
    sent: list[bytes],
    unfinished: list[bytes],
    served: Served,
    broken: Broken,
    error: Callable[[Fault], list[bytes]],
) -> list[bytes]:
    """Spoil a streamed answer; the frames that are left of it.

    Args:
        sent: Its frames.
        unfinished: Those of them that come before anything that says that the answer is complete.
        served: How it is delivered; its ending is set here.
        broken: What happens.
        error: Writes an error as frames.
    """
    cut = unfinished[: max(broken.after + 1, 0)]
    match broken.wreck:
        case "error_in_200":
            return error(broken.error or _USUAL)
        case "error_midway":
            return [*cut, *error(broken.error or _USUAL)]
        case "truncate":
            return cut
        case "empty":
            return []
        case "bad_json":
            return [*cut, b'data: {"broken":\n\n', *sent[len(cut) :]]
        case "close_early" | "short":
            served.ending = "close"
        case "reset_early":
            served.ending = "reset"
            served.between = served.between or _SPACED
        case "stall_early":
            served.ending = "stall"
        case _:
            return sent
    return cut


def _inner(found: Route, broken: Broken) -> ErrorInfo:
    return fault_info(found, broken.error or _USUAL)
