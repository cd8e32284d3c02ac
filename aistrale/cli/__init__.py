"""The command line: `aistrale COMMAND`, one module a command.

A module of this package whose name has no underscore in front is a command; its `command` is a `click.Command`.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code.

    Raises:
        SystemExit: Always. 0 on success, 2 for wrong usage, else the `exit_code` of the error; 130 after Ctrl-C, 141
            when the reader of the output went away.
    """
    # Loaded here, so that importing this package loads neither click nor rich.
    from aistrale.cli._app import app

    app.main(prog_name="aistrale")
