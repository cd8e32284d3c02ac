"""LlamaIndex's handlers, and putting them onto its root dispatcher."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, cast

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler

from aistrale.core.worker import on_fork
from aistrale.default import get_engine
from aistrale.integrations.content import tool_asked
from aistrale.integrations.given import check_client
from aistrale.integrations.llamaindex.events import TAKES, failure, model_of, returned
from aistrale.integrations.llamaindex.tracker import Tracker

if TYPE_CHECKING:
    import inspect

    from llama_index_instrumentation.base import BaseEvent

    from aistrale.client import AsyncClient, Client
    from aistrale.engine import Engine


# Whether events tell a model's fields, which may have any names, instead of its metadata.
_UNNAMED: Final = not hasattr(BaseLLM, "to_payload")


class _Trackers:
    """One tracker for each client, whoever follows it: both handlers see the same steps."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[tuple[int, bool | None], Tracker] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        on_fork(self._renew)

    def of(self, client: Client | AsyncClient | None, capture: bool | None) -> Tracker:  # noqa: FBT001 - as handlers have it
        # The tracker holds its client, so that no other engine can get the id meanwhile.
        key = (id(_engine(client)), capture)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = Tracker(client, capture=capture)
            return found

    def _renew(self) -> None:
        self._lock = threading.Lock()


def _engine(client: Client | AsyncClient | None) -> Engine | None:
    """What the sync and the async face of a client share."""
    return None if client is None else get_engine(client)


_trackers: Final = _Trackers()


class AistraleEventHandler(BaseEventHandler):
    """Tells sinks what LlamaIndex's events say: models, tokens, first pieces, documents. Never raises, never waits.

    It goes together with an AistraleSpanHandler, which knows what stands inside of what; `instrument` puts both onto
    the dispatcher.

    Args:
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        capture: Whether what is said is kept, redacted; None for what the context and the client's settings say.
        tracker: In place of the one that handlers for the same client share.
    """

    _tracker: Tracker = PrivateAttr()

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        capture: bool | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        super().__init__()
        self._tracker = tracker or _trackers.of(client, capture)

    @classmethod
    def class_name(cls) -> str:
        """As the framework asks for it."""
        return "AistraleEventHandler"

    def engine(self) -> Engine | None:
        """Of the client whose sinks are told, at this moment; None where there is none."""
        return self._tracker.reports.engine()

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:  # noqa: ANN401 - the framework's signature
        """Take in an event.

        Args:
            event: Of LlamaIndex; those that are of no interest here are ignored.
            **kwargs: Not used.
        """
        take = TAKES.get(type(event))
        if take is None:
            return
        try:
            take(self._tracker, event)
        except Exception:  # noqa: BLE001 - the dispatcher would swallow it without a word
            self._tracker.reports.failed(f"the event {type(event).__name__}")


class AistraleSpanHandler(BaseSpanHandler[BaseSpan]):
    """Tells sinks of LlamaIndex's spans: queries, retrievers, tools, agents, models. Never raises, never waits.

    Nothing is kept in `open_spans`, `completed_spans` and `dropped_spans`: what is under way is kept apart, bounded in
    number and in time, and what is over is told and forgotten.

    Args:
        client: As for AistraleEventHandler, like the others.
        capture: Whether what is said is kept.
        tracker: In place of the shared one.
    """

    _tracker: Tracker = PrivateAttr()

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        capture: bool | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        super().__init__(open_spans={}, completed_spans=[], dropped_spans=[], current_span_ids={})
        self._tracker = tracker or _trackers.of(client, capture)

    @classmethod
    def class_name(cls) -> str:
        """As the framework asks for it."""
        return "AistraleSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,  # noqa: ANN401 - the framework's signature, here and below
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """A span begins; nothing is given back, so that the framework keeps nothing."""
        try:
            step = self._tracker.enter(id_, instance, parent_span_id, tags)
            if _UNNAMED and step is not None and step.run is not None and step.type == "llm":
                step.run.model = model_of(instance)
            if step is not None and step.run is not None and step.run.capture and step.type == "tool":
                arguments: object = bound_args.kwargs or list(bound_args.args)
                step.run.input = [tool_asked(step.run.name, arguments)]
        except Exception:  # noqa: BLE001 - the dispatcher would swallow it without a word
            self._tracker.reports.failed("the beginning of a span")

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,  # noqa: ANN401
        result: Any | None = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """A span ends."""
        try:
            step = self._tracker.find(id_)
            if step is not None and step.run is not None and not step.over:
                returned(step, instance, result)
            error = failure(result)
            if error is None:
                self._tracker.leave(id_, result)
            else:
                self._tracker.drop(id_, error)
        except Exception:  # noqa: BLE001
            self._tracker.reports.failed("the end of a span")

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,  # noqa: ANN401
        err: BaseException | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """A span failed."""
        try:
            self._tracker.drop(id_, err)
        except Exception:  # noqa: BLE001
            self._tracker.reports.failed("the failure of a span")

    def close(self) -> None:
        """Give up what is under way, as "incomplete"; the dispatcher does this when it is shut down."""
        try:
            self._tracker.close()
        except Exception:  # noqa: BLE001
            self._tracker.reports.failed("the end of everything")


# --- on and off -----------------------------------------------------------------------------------------------------


class Instrumentation:
    """Both handlers on the root dispatcher.

    Args:
        client: As for AistraleEventHandler.
        capture: Likewise.
    """

    def __init__(self, client: Client | AsyncClient | None, capture: bool | None) -> None:  # noqa: FBT001 - made by instrument
        self.client = client
        self.event_handler = AistraleEventHandler(client, capture=capture)
        self.span_handler = AistraleSpanHandler(client, capture=capture)

    def uninstrument(self) -> None:
        """Take both off again; what is under way is given up. The second time nothing happens."""
        uninstrument(self)


_lock = threading.Lock()
_installed: list[Instrumentation] = []


def instrument(client: Client | AsyncClient | None = None, *, capture: bool | None = None) -> Instrumentation:
    """Tell sinks what LlamaIndex does: put an event handler and a span handler onto its root dispatcher.

    Calling it again for the same client gives what is there. What other libraries have put there is left alone.

    Args:
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        capture: Whether what is said is kept, redacted; None for what the context and the client's settings say.

    Returns:
        A handle that `uninstrument` takes.

    Raises:
        ConfigurationError: This is no client.
    """
    check_client(client)
    with _lock:
        for known in _installed:
            if _engine(known.client) is _engine(client):
                return known
        made = Instrumentation(client, capture)
        root = get_dispatcher()
        # New lists, since another thread may be going through the old ones.
        root.event_handlers = [*root.event_handlers, made.event_handler]
        root.span_handlers = [*root.span_handlers, made.span_handler]
        _installed.append(made)
        return made


def is_instrumented(engine: Engine | None) -> bool:
    """Whether the steps of LlamaIndex are told to this client's sinks already."""
    if engine is None:
        return False
    return any(known.event_handler.engine() is engine for known in list(_installed))


def uninstrument(handle: Instrumentation | None = None) -> None:
    """Take handlers off the root dispatcher again; what they follow is given up, as "incomplete".

    Args:
        handle: What `instrument` gave; None for all of them.
    """
    with _lock:
        gone = [known for known in _installed if handle is None or known is handle]
        root = get_dispatcher()
        for known in gone:
            _installed.remove(known)
            events = [each for each in root.event_handlers if each is not known.event_handler]
            spans = [each for each in root.span_handlers if each is not known.span_handler]
            root.event_handlers, root.span_handlers = cast("list[Any]", events), cast("list[Any]", spans)
    for known in gone:
        known.span_handler.close()
