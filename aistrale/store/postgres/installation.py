"""What tells one machine's journal from another's in a ledger that they share: a random name, kept in the journal.

Two directories with the same name (a machine that was copied) do no harm: each takes the other's cursors for its own,
forgets them, and rows are shipped again that are there already, which changes nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

FILE_NAME: Final = "installation"
_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Installation:
    """The name of a journal directory; the file is read at every use, as the directory may be deleted and made again.

    Args:
        directory: The journal directory.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._path = Path(directory, FILE_NAME)

    def name(self, *, create: bool = False) -> str | None:
        """The name.

        Args:
            create: Whether to make one up where there is none; only done by who holds the shipper's lock.

        Returns:
            None where there is none.

        Raises:
            OSError: It cannot be read or written.
        """
        try:
            text = self._path.read_text(encoding="ascii", errors="replace").strip() or "empty"
        except FileNotFoundError:
            text = ""
        if _NAME.fullmatch(text):
            return text
        if not create:
            return None
        made = os.urandom(16).hex()
        new = self._path.with_name(f"{FILE_NAME}.{made}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
            file.write(made + "\n")
        # At once or not at all: a crash must not leave half a name.
        if text:
            new.replace(self._path)
            return made
        try:
            os.link(new, self._path)
        except FileExistsError:
            # Another thread was faster; all go by the same one.
            return self.name(create=create)
        except OSError:
            # A file system without links.
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
        return made
