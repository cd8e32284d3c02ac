"""Switching the process on and off: its client, and the official SDKs that go through it."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from aistrale import default
from aistrale.dropin import patch

if TYPE_CHECKING:
    from aistrale.client import Client
    from aistrale.config.values import Setting

# Two threads that start and stop at once must not leave SDKs covered without a client that was set up.
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it when the process forked
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def init(**settings: Setting) -> Client:
    """Set up the process-wide client, and lead the calls of the official SDKs through it.

    `openai`, `anthropic`, `google.genai`, `groq` and `huggingface_hub` are used as before; those that are imported
    later, and clients that exist already, are covered too. `instrument=False` leaves them alone,
    `instrument=["openai"]` covers some. Nothing is connected to here, and no SDK is imported.

    Where there are sinks, SIGTERM waits for them, for at most two seconds: in the main thread, and unless the
    application handles that signal itself.

    Calling it again with the same settings, or with none, gives the client that is there; with other settings it
    makes a new one and closes the old. Without it, the first `run` sets the client up from the environment and the
    file, and no SDK is covered.

    Args:
        **settings: help(aistrale.Settings) lists them.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """
    with _lock:
        client = default.init(**settings)
        engine = default.get_engine()
        _end_in_order(sinks=engine.reporting.hub is not None)
        instrument = engine.settings.instrument
        if instrument is False:
            patch.uninstall()
        else:
            patch.install(default.get_engine, instrument)
    return client


def shutdown() -> None:
    """Close the process-wide client and leave the official SDKs as they were; the next `run` sets up a new client."""
    with _lock:
        patch.uninstall()
        _end_in_order(sinks=False)
        default.shutdown()


def _end_in_order(*, sinks: bool) -> None:
    """Let SIGTERM wait for sinks where there are any; without them nothing of telemetry is loaded."""
    if sinks:
        from aistrale.telemetry import sigterm

        sigterm.install()
    elif (loaded := sys.modules.get("aistrale.telemetry.sigterm")) is not None:
        loaded.uninstall()
