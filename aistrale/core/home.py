"""Where aistrale keeps what outlives a process."""

from __future__ import annotations

import os
from pathlib import Path


def data_directory() -> Path | None:
    """The directory of what this machine keeps: `$AISTRALE_HOME`, else the platform's directory for user data.

    Returns:
        From the root, as the current directory may change; None where an account has no home directory.
    """
    home = os.environ.get("AISTRALE_HOME")
    if not home:
        import platformdirs

        home = platformdirs.user_data_dir("aistrale", appauthor=False)
        if not os.path.isabs(home):  # noqa: PTH117 - the answer is a string
            # An account without a home directory: "~/..." came back as it was.
            return None
    return absolute(home)


def absolute(name: str) -> Path | None:
    """A path from the root; None where the current directory, or the home that `~` stands for, is not known."""
    try:
        return Path(name).expanduser().absolute()
    except (OSError, RuntimeError):
        return None
