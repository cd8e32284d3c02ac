"""The simulator's own paths, for programs in other languages: what arrived, and what shall happen next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from aistrale.dialects.shape import MalformedBody, parse_object
from aistrale.testing import delivery
from aistrale.testing.faults import Broken, Fault, Good, Say, Slow, Wreck
from aistrale.types import ErrorInfo, ErrorKind

if TYPE_CHECKING:
    from aistrale.testing.faults import Step
    from aistrale.testing.routes import Route
    from aistrale.testing.server import Arrived, Served
    from aistrale.testing.simulated import Simulator
    from aistrale.types import JSON, JSONObject

_STEPS: Final[dict[str, type[Step]]] = {"fault": Fault, "broken": Broken, "slow": Slow, "say": Say, "good": Good}
_NUMBER: Final = (int, float)
# What can be said of a step in JSON.
_FIELDS: Final[dict[type[Step], dict[str, type | tuple[type, ...]]]] = {
    Fault: {
        **dict.fromkeys(("kind", "message", "code", "type"), str),
        "status": int,
        "retry_after": _NUMBER,
        "headers": dict,
        "body": object,
    },
    Broken: {"wreck": str, "after": int},
    Slow: {**dict.fromkeys(("headers", "first", "between"), _NUMBER), "drip": int},
    Say: {"text": str, "tool_calls": list},
    Good: {},
}
_WORDS: Final = {"wreck": get_args(Wreck), "kind": get_args(ErrorKind)}
_WHO: Final = ("provider", "model", "operation")


def answer(simulator: Simulator, arrived: Arrived) -> Served:
    """A request to one of the simulator's own paths: `GET /__stats`, `POST /__script`, `/__outage`, `/__reset`."""
    match arrived.method, arrived.target.partition("?")[0]:
        case ("GET" | "HEAD", "/__stats"):
            return delivery.document(simulator.stats())
        case ("POST", "/__reset"):
            simulator.reset()
            return delivery.document(simulator.stats())
        case ("POST", "/__script" | "/__outage" as path):
            try:
                return delivery.document({"steps": _script(simulator, parse_object(arrived.body), path)})
            except (MalformedBody, TypeError, ValueError) as error:
                return _told(400, str(error))
    return nothing(arrived)


def _script(simulator: Simulator, body: JSONObject, path: str) -> int:
    known = {"steps", *_WHO, *(("every",) if path == "/__outage" else ())}
    if unknown := sorted(set(body) - known):
        raise MalformedBody(unknown[0], f"one of {', '.join(sorted(known))}")
    listed = body.get("steps")
    if not isinstance(listed, list) or not listed:
        raise MalformedBody("steps", "a list of steps")
    steps = [_step(item, f"steps[{index}]") for index, item in enumerate(listed)]
    provider, model, operation = (_optional_text(body, name) for name in _WHO)
    if path == "/__script":
        simulator.script(*steps, provider=provider, model=model, operation=operation)
        return len(steps)
    every = body.get("every", 1)
    if len(steps) != 1 or not isinstance(every, int):
        raise MalformedBody("steps", "one step of an outage, and a whole number as `every`")
    simulator.outage(provider, steps[0], model=model, operation=operation, every=every)
    return 1


def _step(value: JSON, where: str) -> Step:
    told = dict(value) if isinstance(value, dict) else {}
    kind = _STEPS.get(str(told.pop("step", None)))
    if kind is None:
        raise MalformedBody(f"{where}.step", f"one of {', '.join(_STEPS)}")
    able = _FIELDS[kind]
    for name, given in told.items():
        if name not in able:
            raise MalformedBody(f"{where}.{name}", f"one of {', '.join(sorted(able)) or 'nothing'}")
        if not isinstance(given, able[name]) or (isinstance(given, bool) and able[name] is not object):
            raise MalformedBody(f"{where}.{name}", "another type of value")
        if name in _WORDS and given not in _WORDS[name]:
            raise MalformedBody(f"{where}.{name}", f"one of {', '.join(_WORDS[name])}")
    return kind(**told)  # type: ignore[arg-type]  # checked field by field


def _optional_text(body: JSONObject, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedBody(name, "a string")
    return value


def nothing(arrived: Arrived) -> Served:
    """Nobody serves that path."""
    path = arrived.target.partition("?")[0]
    return _told(404, f"nothing is served at {arrived.method} {path}; see aistrale.testing.routes")


def wrong_method(arrived: Arrived, found: Route) -> Served:
    """The path is served, but not so."""
    allowed = "GET, HEAD" if found.operation == "models" else "POST"
    served = _told(405, f"{arrived.method} is not served here; use {allowed}")
    served.headers.append(("allow", allowed))
    return served


def models(found: Route, request_id: str) -> Served:
    """What the provider's catalog lists."""
    from aistrale.providers.catalog import catalog

    names = [facts.id for facts in catalog().models(found.provider)]
    body = delivery.model_list(found, names)
    if body is None:
        info = ErrorInfo(404, "There is no such model.", kind="model_not_found")
        return delivery.error(found, info, request_id)
    served = delivery.document(body)
    served.headers += delivery.own_headers(found, request_id)
    return served


def _told(status: int, message: str) -> Served:
    return delivery.document({"error": {"message": message, "type": "simulator"}}, status)
