"""`aistrale webhooks`: try an endpoint, see what was sent, send it again, and make secrets."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import click

from aistrale.cli import _screen
from aistrale.cli.cost import when
from aistrale.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.telemetry.sinks.webhook import WebhookSink
    from aistrale.telemetry.webhooks.log import WebhookLog
    from aistrale.telemetry.webhooks.messages import WebhookType
    from aistrale.telemetry.webhooks.tables import EndpointStatus, LoggedMessage, LoggedTry
    from aistrale.types import JSONObject

FAILED = 1
_REPLAY_SECONDS = 30.0
_AT_ONCE = 10_000


def _type(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    from aistrale.telemetry.webhooks.messages import TYPES

    if value not in TYPES:
        raise click.BadParameter(f"{value!r} is none of {', '.join(TYPES)}")
    return value


@click.group("webhooks", short_help="Try an endpoint, see what was sent, send it again.")
def command() -> None:
    """Webhooks by Standard Webhooks: the sinks `webhook:https://...` of the settings.

    Endpoints are known by their names: `aistrale_name` in the address, else "webhook:" and the host.
    """


@command.command("secret", short_help="A new secret to sign with.")
@click.option("--pair", is_flag=True, help="A pair of keys: the receiver can verify, but not sign.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def secret(*, pair: bool, as_json: bool) -> None:
    """Print a new secret. Give it to aistrale as AISTRALE_WEBHOOK_SECRET, and to the receiver.

    To change a secret, put the new one before the old one, with a blank in between, until all receivers have it.
    """
    from aistrale.telemetry.webhooks.signature import new_key_pair, new_secret

    if not pair:
        made = new_secret()
        _screen.say(made) if not as_json else _screen.document({"secret": made})
        return
    private, public = new_key_pair()
    if as_json:
        _screen.document({"secret": private, "public": public})
        return
    _screen.say(private)
    _screen.say(public)
    _screen.note("the first is for aistrale alone, the second for receivers")


@command.command("test", short_help="Send a sample, and see what the endpoint says.")
@click.argument("place", metavar="URL|NAME")
@click.option("--type", "kind", callback=_type, default="inference.completed", show_default=True, help="Which message.")
@click.option("--unsigned", is_flag=True, help="Without a signature; of a URL.")
@click.option("--allow-private", is_flag=True, help="Also where the URL leads to a private address or this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def test(*, place: str, kind: str, unsigned: bool, allow_private: bool, as_json: bool) -> int:
    """Send one signed sample to a URL, or to an endpoint of the settings by its NAME.

    The message says "test": true and has invented facts. A URL is signed for with AISTRALE_WEBHOOK_SECRET. Exits with
    1 unless the endpoint takes it. Nothing is tried again.
    """
    from aistrale.core.ids import new_id
    from aistrale.telemetry.sinks.webhook import Environment, WebhookSink
    from aistrale.telemetry.webhooks.messages import sample

    if "://" in place:
        sink = WebhookSink(place, secret=None if unsigned else Environment.SECRET, allow_private=allow_private)
    elif unsigned or allow_private:
        raise click.UsageError("--unsigned and --allow-private are for URLs; endpoints have settings")
    else:
        sink = _named(place)
    message = sample(cast("WebhookType", kind), f"test_{new_id()}", time.time())
    answer = sink.send_once(message)
    sink.close()
    if as_json:
        _screen.document(
            {
                "endpoint": sink.name,
                "id": message.id,
                "type": kind,
                "delivered": answer.delivered,
                "status": answer.status,
                "error": answer.error,
                "seconds": round(answer.seconds, 6),
            }
        )
    else:
        said = f"HTTP status {answer.status}" if answer.status is not None else answer.error
        took = "delivered" if answer.delivered else "not delivered"
        _screen.say(f"{took}: {said} after {_screen.seconds(answer.seconds)} ({kind}, {message.id})")
        if answer.error == "AddressRefused":
            _screen.note("the name leads to an address that is not public; --allow-private, or allow_private=, lets it")
    return 0 if answer.delivered else FAILED


@command.command("status", short_help="How each endpoint does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(*, as_json: bool) -> None:
    """Show every endpoint that was ever sent to: what waits, was delivered, given up, and dropped."""
    found = _log().status()
    if as_json:
        _screen.document([_fields(each) for each in found])
        return
    counts = ("pending", "delivered", "dead", "dropped")
    rows = [
        [
            each.name,
            *(str(getattr(each, name)) for name in counts),
            "-" if each.disabled is None else _at(each.disabled),
        ]
        for each in found
    ]
    if rows:
        _screen.table(["endpoint", *counts, "gone since"], rows, right=counts)
    else:
        _screen.note("no webhook was ever sent")


@command.command("log", short_help="What was sent, and what came of it.")
@click.option("--dead", is_flag=True, help="Messages that were given up.")
@click.option("--pending", is_flag=True, help="Messages that wait.")
@click.option("--name", help="Only those of one endpoint.")
@click.option("--limit", type=click.IntRange(1, _AT_ONCE), default=50, show_default=True, help="Most lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def log(*, dead: bool, pending: bool, name: str | None, limit: int, as_json: bool) -> None:
    """Show the newest tries, newest first; or the messages that were given up, or that wait."""
    if dead and pending:
        raise click.UsageError("--dead or --pending, not both")
    book = _log()
    if dead or pending:
        found: Sequence[LoggedMessage | LoggedTry] = book.messages(
            state="dead" if dead else "pending", endpoint=name, limit=limit
        )
    else:
        found = book.tries(endpoint=name, limit=limit)
    if as_json:
        _screen.document([_fields(each) for each in found])
    elif not found:
        _screen.note("there is nothing of that kind")
    elif dead or pending:
        _show_messages(cast("Sequence[LoggedMessage]", found))
    else:
        _show_tries(cast("Sequence[LoggedTry]", found))


def _show_messages(found: Sequence[LoggedMessage]) -> None:
    header = ["happened", "endpoint", "type", "id", "tries", "last", "next", "reason"]
    rows = [
        [_at(each.at), each.endpoint, each.type, each.id, str(each.tries), _said(each.status, each.error),
         _at(each.due) if each.state == "pending" else "-", each.reason or "-"]
        for each in found
    ]  # fmt: skip
    _screen.table(header, rows, right=("tries",))


def _show_tries(found: Sequence[LoggedTry]) -> None:
    header = ["at", "endpoint", "type", "id", "try", "took", "said"]
    rows = [
        [_at(each.at), each.endpoint, each.type, each.message, str(each.number), _screen.seconds(each.seconds),
         _said(each.status, each.error)]
        for each in found
    ]  # fmt: skip
    _screen.table(header, rows, right=("try", "took"))


@command.command("replay", short_help="Send messages again.")
@click.argument("message", metavar="[ID]", required=False)
@click.option("--dead", is_flag=True, help="All that were given up.")
@click.option("--since", callback=when, metavar="7d|DATE", help="Only what happened since: 90m, 12h, 7d, 2w, or a day.")
@click.option("--name", help="Only those of one endpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(*, message: str | None, dead: bool, since: datetime | None, name: str | None, as_json: bool) -> int:
    """Send a message again by its ID, delivered or not, or all that were given up. One that waits is sent now.

    They keep their ids, so that a receiver can tell. Endpoints of the settings are sent to at once; messages of others
    are sent within a minute by the process that has them. Exits with 1 when something was not delivered.
    """
    if (message is None) == (not dead):
        raise click.UsageError("name an ID, or --dead")
    book = _log()
    queued = book.replay(message=message, endpoint=name, since=0.0 if since is None else since.timestamp())
    if message is not None and not queued:
        raise ConfigurationError(
            f"there is no message {message} to be sent again",
            field="id",
            hint="`aistrale webhooks log` shows those that there are.",
        )
    names = {endpoint for _, endpoint in queued}
    sinks = {sink.name: sink for sink in _configured()} if queued else {}
    until = time.monotonic() + _REPLAY_SECONDS
    for sink in (sinks[each] for each in sorted(names & set(sinks))):
        sink.flush(max(until - time.monotonic(), 0.1))
        sink.close()
    wanted = set(queued)
    now = [each for each in book.messages(limit=_AT_ONCE) if (each.id, each.endpoint) in wanted]
    if as_json:
        _screen.document([_fields(each) for each in now])
    elif not now:
        _screen.note("there is nothing of that kind")
    else:
        rows = [[each.id, each.endpoint, each.type, each.state, _said(each.status, each.error)] for each in now]
        _screen.table(["id", "endpoint", "type", "state", "said"], rows)
    for other in sorted(names - set(sinks)):
        _screen.note(f"{other} is no endpoint of the settings: the process that has it sends within a minute")
    for each in book.status():
        if each.name in names and each.disabled is not None:
            _screen.note(
                f"{each.name} has said that it is gone; `aistrale webhooks enable {each.name}` sends there again"
            )
    return FAILED if any(each.state != "delivered" for each in now) else 0


@command.command("enable", short_help="Send to an endpoint again that had said that it is gone.")
@click.argument("name")
def enable(*, name: str) -> None:
    """Send to an endpoint again that had answered 410 Gone."""
    if not _log().enable(name):
        raise _unknown(name, [each.name for each in _log().status()])
    _screen.say(f"{name} is sent to again; what was given up stays so until `aistrale webhooks replay --dead`")


def _log() -> WebhookLog:
    from aistrale.telemetry.webhooks.log import WebhookLog, default_path

    path = default_path()
    if path is None:
        raise ConfigurationError("there is no directory for the log of webhooks.", hint="Set AISTRALE_HOME.")
    return WebhookLog(path)


def _configured() -> list[WebhookSink]:
    """The webhooks of the settings."""
    from aistrale.config import load
    from aistrale.telemetry.sinks.webhook import WebhookSink

    try:
        sinks = load({}).sinks
    except ImportError as error:
        raise ConfigurationError(str(error), field="sinks") from None
    return [own.to for own in sinks if isinstance(own.to, WebhookSink)]


def _named(name: str) -> WebhookSink:
    found = _configured()
    for sink in found:
        if sink.name == name:
            return sink
    raise _unknown(name, [sink.name for sink in found])


def _unknown(name: str, known: Sequence[str]) -> ConfigurationError:
    hint = f"Known: {', '.join(known)}." if known else "There is none yet; an address begins with https://."
    return ConfigurationError(f"{name} is no webhook", field="name", hint=hint)


def _fields(value: EndpointStatus | LoggedMessage | LoggedTry) -> JSONObject:
    return {name: getattr(value, name) for name in value.__slots__}


def _said(code: int | None, error: str | None) -> str:
    return str(code) if code is not None else error or "-"


def _at(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")
