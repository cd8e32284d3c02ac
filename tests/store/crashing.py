"""A ledger that ends the process in the midst of shipping."""

from __future__ import annotations


class CrashError(BaseException):
    """The process ends here, as far as the shipper can tell."""


class Crashing:
    """Ends the process before or after one of its steps, whichever is the next in the count; before any ledger."""

    steps_left = 0

    def _step(self):
        self.steps_left -= 1
        if self.steps_left == 0:
            raise CrashError

    def write_batch(self, rows, cursor):
        self._step()
        super().write_batch(rows, cursor)
        self._step()

    def forget(self, segments):
        self._step()
        super().forget(segments)
        self._step()

    def cursors(self):
        self._step()
        return super().cursors()
