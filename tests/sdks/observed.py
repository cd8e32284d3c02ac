"""What a caller gets from an SDK, put so that two runs of the same calls can be compared, with and without the drop-in."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import warnings

import aistrale
from aistrale.store.ledger import SQLiteLedger
from tests.sdks.judging import Judge

# What tells of the moment or of the framing of one body, what our own responses add, and the word to the SDK that
# there is nothing to try again.
_VOLATILE = frozenset({"date", "content-length", "content-encoding", "transfer-encoding", "x-should-retry"})
_PLAIN = (str, bytes, int, float, bool, type(None))
# How the simulator numbers requests, of which there are more where something is tried again.
_NUMBERED = re.compile(r"req_0[0-9a-f]{19}")
# Objects that hand things on, and are compared by those.
_SEEN_THROUGH = ("Stream", "Client", "Manager", "generator", "Chat", "Page", "Pager")


def described(value):
    """A result as plain data: of what class it is, and everything that it holds but volatile headers."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if hasattr(value, "model_dump"):
        held = value.model_dump(mode="json", warnings=False, exclude={"parsed"})
        parsed = described(getattr(value, "parsed", None))
        return [type(value).__name__, getattr(value, "_request_id", None), parsed, _without_volatile(held)]
    if isinstance(value, dict):
        return _without_volatile({key: described(item) for key, item in value.items()})
    if dataclasses.is_dataclass(value):
        return [type(value).__name__, {key: described(item) for key, item in vars(value).items()}]
    if hasattr(value, "tolist"):
        return ["array", str(value.dtype), value.tolist()]
    if hasattr(value, "status_code") and hasattr(value, "headers"):
        return [type(value).__name__, value.status_code, _without_volatile(dict(value.headers))]
    assert type(value).__name__.endswith(_SEEN_THROUGH), f"nothing is known of a {type(value)}"
    return type(value).__name__


_TOLD = ("status_code", "code", "status", "message", "body", "details", "param", "type", "request_id")


def described_error(error):
    """An exception as plain data."""
    response = getattr(error, "response", None)
    cause = error.__cause__
    with warnings.catch_warnings():
        # Some of this is there for old callers only.
        warnings.simplefilter("ignore", DeprecationWarning)
        told = {name: described(getattr(error, name, None)) for name in _TOLD}
    return {
        "class": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__],
        "text": str(error),
        **told,
        "response": None if response is None else described(response),
        "cause": None if cause is None else type(cause).__name__,
    }


def _without_volatile(held):
    if isinstance(held, dict):
        return {
            key: _without_volatile(item)
            for key, item in held.items()
            if not (isinstance(key, str) and (key.lower() in _VOLATILE or key.lower().startswith("x-aistrale-")))
        }
    return [_without_volatile(item) for item in held] if isinstance(held, list) else held


def _numberless(seen):
    return [_NUMBERED.sub("req", json.dumps(one, default=repr)) for one in seen]


def check_same(these, those):
    """Say which of what was seen is another."""
    for number, (this, that) in enumerate(zip(these, those, strict=False)):
        assert this == that, f"number {number} with the drop-in:\n{this}\nand without:\n{that}"
    assert len(these) == len(those), f"{len(these)} results with the drop-in, {len(those)} without"


class Comparing(Judge):
    """Runs a body twice, first without the drop-in and then with it, and asks that it gets the same both times.

    Args:
        colour: "sync" or "async".
        sim: The simulator that the body talks to.
        home: A directory for the ledger, which must hold every model call of the second run and nothing else.
        **settings: Of `init`; retries, which would make something else of a single fault, and breakers are off.
    """

    def __init__(self, colour, sim, home, **settings):
        super().__init__(colour)
        self.sim = sim
        self.path = home / "ledger.sqlite3"
        self.settings = {"retry": False, "breaker": False, "ledger": f"sqlite:///{self.path}", **settings}
        self.seen = []
        self.elsewhere = 0
        """How many attempts of the second run never arrive at the simulator."""

    def set_up(self, **settings):
        self.settings |= settings

    async def get(self, value):
        return self.note(await self.unseen(value))

    async def unseen(self, value):
        """What is not to be compared, or later."""
        return await super().get(value)

    async def all(self, stream):
        stream = await self.unseen(stream)
        if hasattr(stream, "__aiter__"):
            return [self.note(item) async for item in stream]
        return [self.note(item) for item in stream]

    def note(self, item):
        """Put down at once: streams hand out what they go on to change."""
        self.seen.append(described(item))
        return item

    async def failure(self, call, only=None):
        """The exception that a call ends with; compared is all that it says of itself, or only some of it."""
        try:
            value = call()
            value = await value if inspect.isawaitable(value) else value
            if hasattr(value, "__aiter__") or hasattr(value, "__next__"):
                await self.all(value)
        except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
            told = described_error(error)
            self.seen.append({name: told[name] for name in only or told})
            return error
        raise AssertionError("the call did not fail")

    def run(self, body):
        super().run(body)
        without, arrived = self.seen, self._arrived()
        self.seen = []
        self.sim.reset()
        aistrale.init(**self.settings)
        try:
            super().run(body)
        finally:
            aistrale.shutdown()
        if self.settings["retry"] is False:
            check_same(self.seen, without)
            check_same(self._arrived(), arrived)
        else:
            check_same(_numberless(self.seen), _numberless(without))
        self._check_ledger()

    def _arrived(self):
        """What the provider got, but for what is different in every process or attempt."""
        return [(one.operation, one.path, one.body, one.status) for one in self.sim.requests]

    def _check_ledger(self):
        # What is malformed goes by without a row, since it is for the provider to say what is wrong with it; and so
        # does what is sent to a server at whose bare address any kind of model may stand (Hugging Face).
        sent = [
            one
            for one in self.sim.requests
            if one.operation in {"chat", "embed"} and one.request is not None and one.request.model
        ]
        ledger = SQLiteLedger(self.path)
        try:
            noted = sum(row.attempts for row in ledger.calls(1000))
        finally:
            ledger.close()
        assert noted == len(sent) + self.elsewhere
