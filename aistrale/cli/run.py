"""`aistrale run`: ask a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import click

from aistrale.cli import _screen
from aistrale.errors import AistraleError
from aistrale.types import REASONING_EFFORTS, RefusalPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.client import Client
    from aistrale.options import Options
    from aistrale.store import AttemptRow, LedgerHandle, NullLedger
    from aistrale.types import JSON, Completion, JSONObject, Message, Usage


def _reasoning(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | int | None:
    """An effort word or a number of tokens."""
    if value is None or value in REASONING_EFFORTS:
        return value
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"use one of {', '.join(REASONING_EFFORTS)}, or a number of tokens")
    return int(value)


@click.command("run", short_help="Ask a model.")
@click.argument("prompt", required=False)
@click.option("-m", "--model", help="`provider/model`, or a name that `aistrale models` lists.")
@click.option("-p", "--provider", help="Take this provider's model, or its default one.")
@click.option("-r", "--route", help="A route of the settings, with its fallbacks.")
@click.option("-s", "--system", help="Instructions that stand above the prompt.")
@click.option("-i", "--image", "images", multiple=True, metavar="PATH|URL", help="An image; can be repeated.")
@click.option("-f", "--file", "files", multiple=True, metavar="PATH|URL", help="A text or PDF file; can be repeated.")
@click.option("--stream/--no-stream", default=None, help="Show text as it comes; on by default on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: text, usage, cost, attempts, ...")
@click.option("--schema", metavar="FILE|JSON", help="A JSON Schema; the answer is validated and printed as JSON.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer, in tokens.")
@click.option("--temperature", type=float, help="0 to 2.")
@click.option(
    "--reasoning",
    callback=_reasoning,
    metavar="EFFORT|TOKENS",
    help=f"How much to think: {', '.join(REASONING_EFFORTS)}, or a number of tokens.",
)
@click.option(
    "--deadline", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="How long it may take, in all."
)
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what it cost and which attempts it took.")
def command(
    *,
    prompt: str | None,
    images: Sequence[str],
    files: Sequence[str],
    stream: bool | None,
    as_json: bool,
    schema: str | None,
    verbose: bool,
    **values: object,
) -> None:
    """Ask a model and print its answer.

    What is piped in is added to the prompt; without a prompt, or with "-", it is the prompt:

        git diff | aistrale run "Write a commit message."
    """
    from aistrale.cli._prompt import read_prompt, read_schema
    from aistrale.client import Client
    from aistrale.core.ids import new_id
    from aistrale.scope import context

    options = cast("Options", {name: value for name, value in values.items() if value is not None})
    if schema is not None:
        options["output"] = read_schema(schema)
    message = read_prompt(prompt, images, files)
    as_text = not as_json and schema is None
    session = new_id()
    with Client() as client, context(name="aistrale run", session=session):
        try:
            if stream or (stream is None and as_text and _screen.on_terminal()):
                answer = _streamed(client, message, options, show=as_text)
            else:
                answer = client.run(message, **options)
                if as_text:
                    _end_line(_shown(answer))
        except AistraleError:
            if verbose:
                _explain(client.ledger, session)
            raise
    if as_json:
        _screen.document(as_document(answer))
    elif schema is not None:
        _screen.document(answer.output)
    _remark(answer, verbose=verbose)


def _streamed(client: Client, message: str | Message, options: Options, *, show: bool) -> Completion:
    last = ""
    try:
        with client.stream(message, **options) as stream:
            for text in stream.texts():
                if show:
                    # Before it is written: an interrupt can come between the two.
                    last = text
                    _screen.write(text)
            return stream.completion
    finally:
        # Also after a part of an answer, so that the error or the shell's prompt begins on a line of its own.
        if last and not last.endswith("\n"):
            _screen.write("\n")


def _end_line(text: str) -> None:
    _screen.write(text if text.endswith("\n") else f"{text}\n")


def _shown(answer: Completion) -> str:
    refused = "".join(part.text for part in answer.message.parts if isinstance(part, RefusalPart))
    return answer.text or refused


def _remark(answer: Completion, *, verbose: bool) -> None:
    """Say what the text alone does not: that it is cut off, that something was left out, what it cost."""
    if answer.finish_reason == "length":
        _screen.note("note: the answer is cut off at the longest that was allowed; raise --max-tokens")
    elif answer.finish_reason == "content_filter":
        _screen.note("note: the provider's safety system withheld the answer, or the rest of it")
    for item in answer.lossy:
        if item.action == "dropped" or verbose:
            _screen.note(f"note: {item.field} was {item.action}: {item.detail}")
    if not verbose:
        return
    usage = answer.usage
    cost = answer.cost
    reason = f" ({cost.reason})" if cost is not None and cost.reason else ""
    tokens_in, tokens_out = (None, None) if usage is None else (usage.input_total, usage.output_total)
    for attempt in answer.attempts if len(answer.attempts) > 1 else []:
        said = " ".join(str(word) for word in (attempt.status, attempt.error) if word is not None)
        _screen.note(
            f"attempt {attempt.number}: {attempt.provider}/{attempt.model} {attempt.outcome} {said} "
            f"{_screen.seconds(attempt.latency)}"
        )
    _screen.note(
        f"{answer.target}: tokens {_screen.count(tokens_in)} in, {_screen.count(tokens_out)} out, "
        f"{_screen.dollars(None if cost is None else cost.usd)}{reason}, "
        f"{len(answer.attempts)} attempt{'s' if len(answer.attempts) != 1 else ''}, "
        f"{_screen.seconds(sum(attempt.latency for attempt in answer.attempts))}, call {answer.call_id}"
    )


def _explain(ledger: LedgerHandle | NullLedger, session: str) -> None:
    """The attempts of a call that failed, from the ledger; nothing where it is off or cannot be read."""
    rows: list[AttemptRow] = []
    try:
        for call in ledger.calls():
            if call.session == session:
                rows += ledger.attempts(call.call_id)
    except AistraleError as error:
        _screen.note(f"note: the attempts cannot be read from the ledger: {error}")
    for row in rows:
        said = " ".join(str(word) for word in (row.status, row.error) if word is not None)
        _screen.note(f"attempt {row.attempt}: {row.target} {row.outcome} {said} {_screen.seconds(row.latency)}")


def as_document(answer: Completion) -> JSONObject:
    """The answer as `--json` prints it.

    Args:
        answer: A finished answer.

    Returns:
        text, output, model, provider, usage (tokens by bucket, None where the provider did not say), cost (US dollars
        as text, None when unknown, and why), attempts, finish_reason, tool_calls, call_id, lossy.
    """
    cost = answer.cost
    return {
        "text": _shown(answer),
        "output": cast("JSON", answer.output),
        "model": answer.model,
        "provider": answer.provider,
        "usage": None if answer.usage is None else usage_document(answer.usage),
        "cost": None if cost is None else {"usd": None if cost.usd is None else f"{cost.usd:f}", "reason": cost.reason},
        "attempts": [cast("JSONObject", asdict(attempt)) for attempt in answer.attempts],
        "finish_reason": answer.finish_reason,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in answer.tool_calls],
        "call_id": answer.call_id,
        "lossy": [cast("JSONObject", asdict(item)) for item in answer.lossy],
    }


def usage_document(usage: Usage) -> JSONObject:
    """Tokens by bucket, and their totals."""
    from aistrale.store.protocol import TOKEN_BUCKETS

    buckets: JSONObject = {
        name: usage.cache_write_total if name == "cache_write" else getattr(usage, name) for name in TOKEN_BUCKETS
    }
    totals: JSONObject = {
        "input_total": usage.input_total,
        "output_total": usage.output_total,
        "total": usage.total,
        "source": usage.source,
    }
    return {**buckets, **totals}
