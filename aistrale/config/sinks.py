"""The check of the setting `sinks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aistrale.config.values import (
    Setting,
    check_distinct,
    number,
    optional,
    optional_text,
    record,
    table,
    unknown_key,
    whole,
    word,
    wrong,
)
from aistrale.errors import ConfigurationError
from aistrale.telemetry.events import EVENTS
from aistrale.telemetry.settings import SinkSettings
from aistrale.telemetry.sinks import open_sink

if TYPE_CHECKING:
    from aistrale.telemetry.sink import Sink

_INFINITE = float("inf")


def check_sinks(name: str, value: Setting) -> tuple[SinkSettings, ...]:
    """The setting `sinks`: a list of addresses, sinks, tables or SinkSettings; in a variable, addresses with commas.

    Raises:
        ConfigurationError: `field` names what is wrong, as `sinks[0].queue`.
        ImportError: A library is missing; names the extra that brings it.
    """
    if value is None or value is False or (isinstance(value, str) and value.lower() in {"off", "none", ""}):
        return ()
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, (list, tuple)):
        value = [value]
    found = tuple(_sink(f"{name}[{index}]", item) for index, item in enumerate(value))
    check_distinct(
        name,
        (own.name or "" for own in found),
        hint='Give sinks of the same kind names that differ: {"to": "...", "name": "..."}.',
    )
    return found


def _sink(name: str, value: Setting) -> SinkSettings:
    if isinstance(value, SinkSettings):
        table_of = {item: getattr(value, item) for item in SinkSettings.__slots__}
    elif isinstance(value, dict):
        table_of = dict(table(name, value))
    else:
        table_of = {"to": value}
    if "to" not in table_of:
        raise wrong(f"{name}.to", "given")
    own = _read(name, table_of)
    sink = own.to
    title = own.name or getattr(sink, "name", None) or type(sink).__name__
    return SinkSettings(**{**{item: getattr(own, item) for item in SinkSettings.__slots__}, "name": title})


def _to(name: str, value: Setting) -> Sink:
    if isinstance(value, str):
        try:
            return open_sink(value)
        except ConfigurationError as error:
            error.field = name
            raise
    if isinstance(value, type) or not callable(getattr(value, "write", None)):
        raise wrong(name, "an address, or a sink with a method write()")
    return cast("Sink", value)


def _kinds(name: str, value: Setting) -> frozenset[str]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not value:
        raise wrong(name, "a list of kinds of events")
    for kind in value:
        if not isinstance(kind, str) or kind not in EVENTS:
            raise unknown_key(str(kind), sorted(EVENTS), "kind of event")
    return frozenset(cast("list[str]", value))


_read = record(
    SinkSettings,
    {
        "to": _to,
        "name": optional_text,
        "guarantee": word("best_effort", "durable"),
        "queue": whole(1),
        "queue_bytes": whole(1_000),
        "spool_bytes": whole(100_000),
        "overflow": word("drop_newest", "drop_oldest"),
        "batch": whole(1),
        "interval": number(0, _INFINITE),
        "timeout": number(0, _INFINITE, above=True),
        "kinds": optional(_kinds),
    },
)
