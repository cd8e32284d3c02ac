"""The callback handler for applications that use LlamaIndex's older callback manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.base.response.schema import Response
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import BASE_TRACE_EVENT, CBEventType, EventPayload

from aistrale.integrations.content import tool_asked
from aistrale.integrations.llamaindex.content import (
    answer_content,
    messages_content,
    text_content,
    tool_output,
)
from aistrale.integrations.llamaindex.enclosing import calls_on_stack, enclosing_call
from aistrale.integrations.llamaindex.handlers import is_instrumented
from aistrale.integrations.llamaindex.kinds import provider_of_class
from aistrale.integrations.llamaindex.usage import field, usage_of
from aistrale.integrations.reports import Reports, together
from aistrale.integrations.runs import LIMIT, TTL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aistrale.client import AsyncClient, Client
    from aistrale.integrations.runs import Run, RunUsage
    from aistrale.telemetry.events import RunType

_KINDS: Final[dict[CBEventType, RunType]] = {
    CBEventType.LLM: "llm",
    CBEventType.EMBEDDING: "embedding",
    CBEventType.QUERY: "query",
    CBEventType.RETRIEVE: "retriever",
    CBEventType.SYNTHESIZE: "chain",
    CBEventType.SUB_QUESTION: "chain",
    CBEventType.TREE: "chain",
    CBEventType.RERANKING: "chain",
    CBEventType.FUNCTION_CALL: "tool",
    CBEventType.AGENT_STEP: "agent",
}
_OURS: Final = frozenset({"AistraleLLM", "AistraleEmbedding"})
# Of calls inside others, until those end.
_INNER: Final = 10_000


class AistraleLegacyCallbackHandler(BaseCallbackHandler):
    """Tells sinks what LlamaIndex's callback manager says. Nothing that goes wrong in it reaches the application.

    For applications that hand a `CallbackManager` around; elsewhere `instrument` sees more. Where both are there for
    one client this one is silent, since each would tell of the same steps.

    Args:
        client: Whose sinks, prices and redaction are used; None for the process-wide client at the time.
        capture: Whether what is said is kept, redacted; None for what the context and the client's settings say.
        ttl: Seconds after which a step that gave no sign of life is given up.
        limit: Most steps that are followed at once.
    """

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        capture: bool | None = None,
        ttl: float = TTL,
        limit: int = LIMIT,
    ) -> None:
        super().__init__(event_starts_to_ignore=[], event_ends_to_ignore=[])
        self._reports = Reports("llamaindex", client=client, capture=capture, ttl=ttl, limit=limit, asking=self._asking)
        self._capture = capture
        self._inner: dict[str, str] = {}
        self._used: dict[str, list[RunUsage]] = {}

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,  # noqa: ANN401 - the framework's signature
    ) -> str:
        """A step begins.

        Args:
            event_type: Which kind.
            payload: What goes in.
            event_id: The framework's id of the step.
            parent_id: Of the step around it.
            **kwargs: Not used.

        Returns:
            The id of the step.
        """
        try:
            self._begin(event_type, payload or {}, event_id, parent_id)
        except Exception:  # noqa: BLE001 - nothing stands between this and the application
            self._reports.failed(f"the beginning of {event_type.value}")
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """A step is over; see on_event_start.

        Args:
            event_type: Which kind.
            payload: What came out, or the error.
            event_id: The framework's id of the step.
            **kwargs: Not used.
        """
        try:
            self._end(payload or {}, event_id)
        except Exception:  # noqa: BLE001
            self._reports.failed(f"the end of {event_type.value}")

    def start_trace(self, trace_id: str | None = None) -> None:
        """Traces are not told of: their steps are."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """See start_trace."""

    def __deepcopy__(self, memo: object) -> AistraleLegacyCallbackHandler:
        # A model that is copied is followed by the same handler.
        return self

    def __reduce__(self) -> tuple[type[AistraleLegacyCallbackHandler], tuple[()]]:
        return type(self), ()

    def _begin(self, event_type: CBEventType, payload: Mapping[str, object], event_id: str, parent_id: str) -> None:
        kind = _KINDS.get(event_type)
        model = payload.get(EventPayload.SERIALIZED)
        class_name = field(model, "class_name")
        # Around another model, whose call is told of itself.
        if kind is None or class_name == "structured_llm" or is_instrumented(self._reports.engine()):
            return
        if kind == "llm" and self._belongs(event_id):
            return
        name = field(payload.get(EventPayload.TOOL), "name") if kind == "tool" else class_name
        parent = None if parent_id in {"", BASE_TRACE_EVENT} else parent_id
        run = self._reports.begin(event_id, kind, name if isinstance(name, str) else event_type.value, parent)
        if run is None:
            return
        _model(run, kind, model)
        if run.capture:
            _input(run, payload)

    def _asking(self) -> Run | None:
        """The model's step that makes a call just now."""
        for call in calls_on_stack():
            run = None if call.event_id is None else self._reports.runs.get(call.event_id)
            if run is not None:
                return run
        # Embeddings have no such wrappers. A stream that is not read yet is no reason to take what its owner does.
        latest = self._reports.latest()
        return latest if latest is not None and latest.type == "embedding" else None

    def _belongs(self, event_id: str) -> bool:
        """Whether a model's call is a part of another one, which is told of in its place."""
        outer = enclosing_call()
        around = None if outer is None else outer.event_id
        if around is None or (around not in self._inner and self._reports.runs.get(around) is None):
            return False
        if len(self._inner) >= _INNER:
            self._inner.clear()
            self._used.clear()
        self._inner[event_id] = around
        return True

    def _end(self, payload: Mapping[str, object], event_id: str) -> None:
        answer = payload.get(EventPayload.RESPONSE) or payload.get(EventPayload.COMPLETION)
        usage = usage_of(answer) or together(self._used.pop(event_id, []))
        outer = self._inner.pop(event_id, None)
        if outer is not None:
            if usage is not None:
                self._used.setdefault(outer, []).append(usage)
            return
        run = self._reports.runs.get(event_id)
        if run is None:
            return
        if run.type == "llm":
            run.usage = usage
            call_id = field(getattr(answer, "raw", None), "call_id") if run.ours else None
            run.call_id = call_id if isinstance(call_id, str) else None
        if isinstance(nodes := payload.get(EventPayload.NODES), list):
            run.documents = len(nodes)
        if run.capture:
            _output(run, payload, answer)
        error = payload.get(EventPayload.EXCEPTION)
        self._reports.end(event_id, error if isinstance(error, BaseException) else None)


def _model(run: Run, kind: RunType, model: object) -> None:
    if kind not in {"llm", "embedding"}:
        return
    name, class_name = field(model, "model_name") or field(model, "model"), field(model, "class_name")
    run.model = name if isinstance(name, str) and name != "unknown" else None
    run.provider = provider_of_class(class_name)
    run.ours = class_name in _OURS


def _input(run: Run, payload: Mapping[str, object]) -> None:
    messages = payload.get(EventPayload.MESSAGES)
    if isinstance(messages, (list, tuple)):
        run.input = messages_content(messages)
    elif run.type == "tool":
        run.input = [tool_asked(run.name, payload.get(EventPayload.FUNCTION_CALL))]
    else:
        run.input = text_content("user", payload.get(EventPayload.PROMPT) or payload.get(EventPayload.QUERY_STR))


def _output(run: Run, payload: Mapping[str, object], answer: object) -> None:
    if run.type == "tool":
        run.output = tool_output(payload.get(EventPayload.FUNCTION_OUTPUT))
    elif isinstance(answer, Response):
        run.output = text_content("assistant", answer.response)
    else:
        run.output = answer_content(answer)
