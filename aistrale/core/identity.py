"""What of a call decides its answer, as a key: two calls with one key may share an answer.

In the key: the targets and the route, the workspace and project, and everything of the request that a model sees or
that shapes the answer, also what only one wire format has a word for. Not in it: how the answer is delivered (`stream`,
deadlines), and labels (`user`, `metadata`, tags, cache hints, service tier), which change what is billed, kept or
cached but not what is answered. Spelling that no provider can tell apart counts as the same: defaults that are written
out, whole numbers written as floats, the order of options and of stop sequences. The order within a JSON Schema does
count, as models write their fields in that order.

A key stands for the redacted request where redaction is on, and it is a hash: neither can be read back from it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Final, cast

from aistrale.types import (
    CacheHint,
    EmbedRequest,
    MediaPart,
    Reasoning,
    Request,
    Tool,
    ToolResultPart,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aistrale.core.call import Call, Target
    from aistrale.types import JSON, JSONObject, Part

# Labels and ways of delivery. The model's name is that of the first target, which is in the key besides.
_UNSEEN: Final[Mapping[type, frozenset[str]]] = {
    Request: frozenset({"model", "stream", "user", "metadata", "cache_key", "service_tier"}),
    EmbedRequest: frozenset({"model", "user"}),
    Tool: frozenset({"function"}),
}
# The same in the fields that are passed through to the provider.
_UNSEEN_FIELDS: Final = frozenset(
    {
        "labels",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "stream",
        "stream_options",
        "user",
    }
)
# Fields through which the answer depends on, or changes, what is kept elsewhere: a conversation or template at the
# provider, the web, tools that the provider runs.
_STATEFUL: Final = frozenset(
    {
        "background",
        "container",
        "conversation",
        "mcp_servers",
        "plugins",
        "previous_response_id",
        "prompt",
        "search_parameters",
        "search_settings",
        "thread",
        "tools",
        "web_search_options",
    }
)
_FLOATS: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def answer_key(call: Call, *, version: int) -> str | None:
    """The key of a call's answer: 64 hexadecimal digits.

    Args:
        call: Before it was routed, as its targets are taken in their configured order.
        version: Of the form in which answers are kept.

    Returns:
        None for a call whose answer must not be shared: it depends on or changes something beyond the request (hosted
        tools, a conversation at the provider, media by URL), or holds what JSON cannot say.
    """
    request, context = call.request, call.context
    if not isinstance(request, EmbedRequest) and not _is_closed(request):
        return None
    if any(request.extra.get(name) is not None for name in _STATEFUL):
        return None
    if request.wire is not None and any(request.wire.fields.get(name) is not None for name in _STATEFUL):
        return None
    what = [
        version,
        type(request).__name__,
        [context.workspace, context.project],
        [call.route, *map(_place, call.targets)],
        # They decide whether an option that a target cannot take is dropped or refused.
        [call.on_lossy, call.on_unsupported],
    ]
    try:
        text = _to_json([*what, _request(request)])
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _place(target: Target) -> list[JSON]:
    return [target.name, target.dialect, target.base_url, target.region]


def _is_closed(request: Request) -> bool:
    """Whether the request holds all that its answer depends on."""
    if any(tool.hosted is not None for tool in request.tools):
        return False
    # What is behind a URL may change; a file id stands for the same content as long as the file exists.
    return not any(
        isinstance(part, MediaPart) and part.url is not None and not part.url.startswith("data:")
        for message in request.messages
        for part in _all_parts(message.parts)
    )


def _all_parts(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResultPart):
            yield from _all_parts(part.content)


def _request(request: Request | EmbedRequest) -> JSONObject:
    plain = _node(request)
    extra = {name: value for name, value in request.extra.items() if name not in _UNSEEN_FIELDS}
    plain["extra"] = _sorted(extra)
    if request.wire is not None:
        passed = {name: value for name, value in request.wire.fields.items() if name not in _UNSEEN_FIELDS}
        plain["wire"] = [request.wire.dialect, _sorted(passed), request.wire.form]
    if isinstance(request, EmbedRequest):
        plain["inputs"] = cast("list[JSON]", list(request.inputs))
        return plain
    for name in _FLOATS:
        if name in plain:
            plain[name] = float(getattr(request, name))
    if request.logit_bias:
        plain["logit_bias"] = _sorted({token: float(bias) for token, bias in request.logit_bias.items()})
    if request.stop:
        plain["stop"] = [*sorted(set(request.stop))]
    written_out = {
        "stop": request.stop == [],
        "logit_bias": request.logit_bias == {},
        "n": request.n == 1,
        "output": request.output is not None and request.output.kind == "text",
        "reasoning": request.reasoning == Reasoning(),
    }
    return {name: value for name, value in plain.items() if not written_out.get(name)}


def _sorted(table: Mapping[str, JSON]) -> JSON:
    return [[name, table[name]] for name in sorted(table)]


def _node(node: object) -> JSONObject:
    """A node of the hub with the fields that are not at their defaults."""
    kind = type(node)
    out: JSONObject = {"#": kind.__name__}
    for name, default in _fields(kind):
        value = getattr(node, name)
        if value is None or isinstance(value, CacheHint) or (type(value) is type(default) and value == default):
            continue
        if is_dataclass(value):
            out[name] = _node(value)
        elif isinstance(value, list) and value and is_dataclass(value[0]):
            out[name] = [_node(item) for item in value]
        else:
            out[name] = cast("JSON", value)
    return out


_known_fields: Final[dict[type, list[tuple[str, object]]]] = {}


def _fields(kind: type) -> list[tuple[str, object]]:
    found = _known_fields.get(kind)
    if found is None:
        unseen = _UNSEEN.get(kind, frozenset())
        found = _known_fields[kind] = [
            (item.name, item.default if item.default_factory is MISSING else item.default_factory())
            for item in fields(kind)
            if item.name not in unseen
        ]
    return found
