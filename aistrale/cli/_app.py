"""The group of all commands, and what becomes of their errors."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from aistrale._version import __version__
from aistrale.cli import _screen
from aistrale.errors import AistraleError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
# What a shell reports for a program that SIGPIPE ended.
PIPE_CLOSED = 141


class Commands(click.Group):
    """Finds its commands among the modules of this package, and loads only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        paths = import_module("aistrale.cli").__path__
        return sorted(module.name for module in pkgutil.iter_modules(paths) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"aistrale.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader that went away ends it without a word."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _abandon_output()
            return PIPE_CLOSED
        return code

    # click's own signature is a pair of overloads over `standalone_mode`, which here is always off.
    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: object
    ) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run, report the error if there is one, and exit."""
        _screen.prepare()
        try:
            code = super().main(args, prog_name, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            code = INTERRUPTED
        except AistraleError as error:
            _screen.error(error)
            code = error.exit_code
        except ImportError as error:
            # Of a library that an extra brings; what else cannot be imported is a defect.
            if "pip install" not in str(error):
                raise
            _screen.note(f"error: {error}")
            code = ConfigurationError.exit_code
        sys.exit(code if isinstance(code, int) else 0)


def _abandon_output() -> None:
    """Lead what is still buffered nowhere, or the interpreter would complain about the pipe when it ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="aistrale", message="%(prog)s %(version)s")
def app() -> None:
    """Ask language models, and see what it cost: one interface over OpenAI, Anthropic, Gemini, Groq, Hugging Face.

    Keys are read from the usual environment variables; settings from AISTRALE_* and aistrale.toml. Without any key,
    `aistrale demo` shows everything on a simulator.
    """
