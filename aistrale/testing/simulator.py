"""The simulator as a command, for programs in any language.

    python -m aistrale.testing.simulator --port 8080

prints where each provider is played and the environment variables that lead an SDK there, and serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import types
from typing import TYPE_CHECKING

from aistrale.testing.block import simulator
from aistrale.testing.simulated import Received, Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Received", "Simulator", "main", "simulator"]


class _Callable(types.ModuleType):
    # Importing this module puts it where `aistrale.testing.simulator(...)` looks for the function.
    def __call__(self, **options: object) -> simulator:
        return simulator(**options)  # type: ignore[arg-type]  # as the caller gave them


if __name__ != "__main__":
    sys.modules[__name__].__class__ = _Callable


def main(arguments: Sequence[str] | None = None, stop: threading.Event | None = None) -> int:
    """Run the command.

    Args:
        arguments: Instead of those of the process.
        stop: Ends it, beside Ctrl-C.

    Returns:
        The exit code: 0, or 1 when the port is taken or the recording cannot be read.
    """
    options = _parser().parse_args(arguments)
    try:
        running = simulator(port=options.port, latency=options.latency, between=options.between, replay=options.replay)
        with running as served, contextlib.suppress(KeyboardInterrupt):
            sys.stdout.write(_introduction(served))
            sys.stdout.flush()
            (stop or threading.Event()).wait()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aistrale.testing.simulator",
        description="Play OpenAI, Anthropic, Gemini, Groq and Hugging Face on loopback; nothing is paid or sent.",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of 127.0.0.1; a free one by default")
    parser.add_argument("--latency", type=_seconds, default=0.0, metavar="S", help="seconds before every answer")
    parser.add_argument("--between", type=_seconds, default=0.0, metavar="S", help="seconds between pieces of a stream")
    parser.add_argument("--replay", metavar="FILE", help="serve recorded exchanges (JSON or JSONL, .gz too) instead")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("a number of seconds, not negative")
    return value


def _introduction(served: Simulator) -> str:
    providers = served.settings()["providers"]
    names = list(providers) if isinstance(providers, dict) else []
    lines = [f"Simulator at {served.url} (GET /__stats, POST /__script, /__outage, /__reset). Stop with Ctrl-C.", ""]
    lines += [f"  {name:<12} {served.base_url(name)}" for name in names]
    lines += ["", *(f"export {name}={value}" for name, value in served.environ().items())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
