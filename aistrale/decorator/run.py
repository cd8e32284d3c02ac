"""One execution of a decorated function: its context, its time, the calls made inside, and what sinks hear of it."""

from __future__ import annotations

import inspect
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

from aistrale.scope import SCOPE, ContextValues, Running, Scope, live, over
from aistrale.snapshot import redacted, snapshot
from aistrale.wrapping import Execution, Function, innermost, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistrale.core.call import Context
    from aistrale.decorator.spans import FunctionSpans
    from aistrale.engine import Engine
    from aistrale.types import JSON

    Said = tuple[dict[str, JSON] | None, JSON]

T = TypeVar("T")

_ROOM: Final = 65_536
"""Characters of text that are kept of what a generator gives."""

_NO_TEXT: Final = 1000
"""As how many characters anything else counts."""


class Rules:
    """What holds for all executions of one function.

    Args:
        function: Which one.
        values: Its context.
    """

    def __init__(self, function: Function, values: ContextValues) -> None:
        inner = innermost(function)
        named = getattr(function, "__qualname__", None) or getattr(inner, "__qualname__", None) or name_of(function)
        self.name = values.get("name") or named.rpartition("<locals>.")[2]
        self.deadline = values.get("deadline")
        self.function = function
        self._values = cast("ContextValues", {**values, "name": self.name})
        # The time of the function runs out for all its calls together, see Running.
        self._values.pop("deadline", None)
        self._last: tuple[Context, Context] | None = None

    def start(self, args: tuple[object, ...], kwargs: dict[str, object]) -> FunctionRun:
        """An execution with these arguments."""
        outer = SCOPE.get()
        return FunctionRun(self, outer, self._over(outer.context), args, kwargs)

    def _over(self, outer: Context) -> Context:
        # Most functions are always called from the same context.
        last = self._last
        if last is None or last[0] is not outer:
            last = self._last = (outer, over(outer, self._values))
        return last[1]


class FunctionRun(Execution):
    """One execution of a decorated function, of which sinks are told when it is over.

    Args:
        rules: Of the function.
        outer: Where it is called.
        context: What holds inside.
        args: Its arguments.
        kwargs: Likewise.
    """

    __slots__ = (
        "_inputs",
        "_items",
        "_room",
        "_rules",
        "_running",
        "_spans",
        "_started",
        "_text",
        "followed",
        "keeps",
    )

    def __init__(
        self, rules: Rules, outer: Scope, context: Context, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self._rules = rules
        self._running = Running(outer.running)
        self.scope = Scope(context, self._running, outer)
        self._inputs: dict[str, JSON] | None = None
        self._items: list[JSON] | None = None
        self._text = True
        self._room = _ROOM
        self._started = 0.0
        engine = _watched()
        self._spans = (
            None if engine is None else _spans(engine, rules.name, context, nested=live(outer.running) is not None)
        )
        self.followed = self._spans is not None
        if self._spans is not None:
            self._running.surrounds = self._spans.surrounds
        # Where nobody has set up a client yet, a call inside may, and it may have sinks.
        self.keeps = bool(context.capture) if engine is None else _shown(context, engine)
        if self.keeps:
            self._inputs = _harmless(lambda: _arguments(rules.function, args, kwargs))

    def began(self) -> None:
        """Its time runs from now on."""
        self._started = time.monotonic()
        if self._rules.deadline is not None:
            self._running.until = self._started + self._rules.deadline

    def resumed(self) -> None:
        """Its spans are current."""
        if self._spans is not None:
            self._spans.resume()

    def paused(self) -> None:
        """They are so no longer."""
        if self._spans is not None:
            self._spans.pause()

    def yielded(self, item: object) -> None:
        """Keep it, as long as there is room."""
        items = self._items = [] if self._items is None else self._items
        if self._room > 0:
            kept = _harmless(lambda: snapshot(item))
            items.append(kept)
            self._room -= len(kept) + 1 if isinstance(kept, str) else _NO_TEXT
            self._text = self._text and issubclass(type(item), str)

    def ended(self, error: BaseException | None, value: object = None) -> None:
        """Tell sinks, if there are any."""
        self.scope.close()
        self._running.finish()
        latency = time.monotonic() - self._started
        said = None
        engine = _watched()
        try:
            if engine is not None and _shown(self.scope.context, engine):
                said = _harmless(lambda: self._said(engine, value))
        finally:
            # Redacting takes its time, and Ctrl-C may come meanwhile: a span that was begun is ended.
            _harmless(lambda: self._tell(engine, latency, error, said))

    def _tell(self, engine: Engine | None, latency: float, error: BaseException | None, said: Said | None) -> None:
        if engine is None and self._spans is None:
            return
        from aistrale.telemetry.events import FunctionFinished

        context = self.scope.context
        wanted = engine is not None and _wanted(context, engine)
        inputs, output = said if said is not None and wanted else (None, None)
        event = FunctionFinished(
            name=self._rules.name,
            latency=latency,
            outcome="success" if error is None else "error" if isinstance(error, Exception) else "cancelled",
            error=None if error is None or isinstance(error, GeneratorExit) else type(error).__name__,
            user=context.user,
            workspace=context.workspace,
            project=context.project,
            session=context.session,
            tags=context.tags,
            calls=tuple(self._running.calls),
            inputs=inputs,
            output=output,
        )
        if self._spans is not None:
            self._spans.end(event, said)
        observer = None if engine is None else engine.reporting.observer
        if observer is not None:
            observer.emit(event)

    def _said(self, engine: Engine, value: object) -> Said:
        """The arguments and the result, redacted; nothing at all where that fails."""
        redact = _redactor(engine)
        output = snapshot(value if self._items is None else self._items)
        if self._items and self._text:
            # A name may be cut in two between the pieces.
            output = snapshot("".join(map(str, self._items)))
        inputs = None if self._inputs is None else redacted(self._inputs, redact)
        return cast("dict[str, JSON] | None", inputs), redacted(output, redact)


def _watched() -> Engine | None:
    """The engine of the process-wide client, if it has sinks; nothing is set up or loaded to find out."""
    default = sys.modules.get("aistrale.default")
    engine: Engine | None = None if default is None else default.engine_there()
    return None if engine is None or engine.reporting.observer is None else engine


def _spans(engine: Engine, name: str, context: Context, *, nested: bool) -> FunctionSpans | None:
    """Spans of a function that is called; None, and nothing loaded, where no sink makes any."""
    if not engine.reporting.instruments:
        return None
    from aistrale.decorator.spans import begin

    return begin(engine.reporting.instruments, name, context, nested=nested)


def _wanted(context: Context, engine: Engine) -> bool:
    return engine.settings.capture if context.capture is None else context.capture


def _shown(context: Context, engine: Engine) -> bool:
    """Whether what is said is wanted by the settings, or by somebody who makes spans; who forbids it is obeyed."""
    if _wanted(context, engine):
        return True
    return context.capture is not False and any(getattr(own, "content", False) for own in engine.reporting.instruments)


def _redactor(engine: Engine) -> Callable[[str], str]:
    """Redacts texts that belong together, as the client redacts calls, or as one that redacts would."""
    from aistrale.privacy.single import harmless
    from aistrale.privacy.vault import Vault

    return partial(harmless, engine.protection, vault=Vault())


def _arguments(function: Function, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, JSON]:
    bound = inspect.signature(function).bind(*args, **kwargs)
    return {name: snapshot(value) for name, value in bound.arguments.items()}


def _harmless(look: Callable[[], T]) -> T | None:
    """What was seen; None where looking at it raises."""
    try:
        return look()
    except Exception:  # noqa: BLE001 - arguments may do anything when they are looked at
        return None
