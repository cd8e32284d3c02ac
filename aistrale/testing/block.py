"""A simulator for a block of code, with the environment set up around it where that is wanted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aistrale.testing.simulated import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.types import JSONObject

# What would lead a provider's SDK, or us, elsewhere in spite of the variables above.
_HIDDEN: Final = (
    "ANTHROPIC_AUTH_TOKEN",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "HUGGING_FACE_HUB_TOKEN",
)


class simulator:  # noqa: N801 - used like a function: `with simulator() as sim:`
    """Run a simulator for a block, `with` or `async with`; it gives a Simulator.

    Args:
        environ: Also set the environment variables that lead aistrale and the official SDKs here, and restore them.
        port: Of the loopback address; 0 takes a free one.
        latency: Seconds before the headers of every answer.
        between: Seconds between the pieces of a stream.
        replay: Recorded exchanges, or the path of a JSON or JSONL file of them (`.gz` too).
        keep: How many of the last requests the simulator holds.

    Raises:
        OSError: The port is taken, or the recording cannot be read.
    """

    def __init__(
        self,
        *,
        environ: bool = False,
        port: int = 0,
        latency: float = 0.0,
        between: float = 0.0,
        replay: str | os.PathLike[str] | Sequence[JSONObject] | None = None,
        keep: int = 10_000,
    ) -> None:
        self._environ = environ
        self._options = (port, latency, between)
        self._replay = replay
        self._keep = keep
        self._saved: dict[str, str | None] = {}
        self._simulator: Simulator | None = None

    def __enter__(self) -> Simulator:
        port, latency, between = self._options
        recording = None
        if self._replay is not None:
            from aistrale.testing.replay import Recording

            recording = Recording(self._replay)
        self._simulator = Simulator(port, latency, between, recording, keep=self._keep)
        if self._environ:
            self._set({**dict.fromkeys(_HIDDEN), **self._simulator.environ(), **_past_proxies()})
        return self._simulator

    def _set(self, values: dict[str, str | None]) -> None:
        for name, value in values.items():
            self._saved.setdefault(name, os.environ.get(name))
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __exit__(self, *_: object) -> None:
        saved, self._saved = self._saved, {}
        self._set(saved)
        self._saved.clear()
        if self._simulator is not None:
            self._simulator.close()

    async def __aenter__(self) -> Simulator:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def _past_proxies() -> dict[str, str | None]:
    """Loopback is not reached through a proxy; only where there is one, since the variable has a say elsewhere too."""
    if not any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        return {}
    listed = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    value = ",".join(filter(None, [listed, "127.0.0.1"]))
    return {"NO_PROXY": value, "no_proxy": value}
