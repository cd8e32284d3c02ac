"""`aistrale demo`: the same prompt through five providers, on a simulator of them or, when asked to, for real."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aistrale.cli import _screen
from aistrale.errors import AistraleError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aistrale.client import Client
    from aistrale.store import SummaryRow
    from aistrale.types import JSON, Completion, JSONObject

PROMPT = "Say hello in one short sentence."
# One target is down in the simulator; the route leads on to the same open weights at another provider.
DOWN = "groq"
ROUTE = "demo"
_DEADLINE = 30.0
# Seconds before and between pieces: slow enough to be seen, over in a few seconds.
_LATENCY = 0.08
_BETWEEN = 0.015
_NEXT = """\
Try next:
  aistrale doctor                     what is set up, and which keys are there
  export OPENAI_API_KEY=...           or ANTHROPIC_API_KEY, GEMINI_API_KEY, GROQ_API_KEY, HF_TOKEN
  aistrale demo --live                the same with the keys that are set
  aistrale run "Say hello"            in Python: aistrale.run("Say hello").text
  aistrale models                     what can be asked, and for how much
  aistrale cost                       what it came to"""


@dataclass(slots=True)
class Plan:
    """One line of the demonstration.

    Args:
        provider: Who is asked first.
        model: Its model.
        route: The route that is taken; None asks the model itself.
    """

    provider: str
    model: str
    route: str | None = None


@dataclass(slots=True)
class Shown:
    """What came of a plan.

    Args:
        latency: Seconds until the answer was complete, or the call had failed.
        first: Seconds until the first text.
    """

    plan: Plan
    latency: float
    first: float | None = None
    answer: Completion | None = None
    error: AistraleError | None = None


@click.command("demo", short_help="The same prompt through five providers; needs no key.")
@click.option(
    "--live/--simulator",
    default=False,
    help="Ask the providers whose keys are set, for a fraction of a cent, instead of the embedded simulator.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text and tables.")
def command(*, live: bool, as_json: bool) -> int:
    """Send the same prompt through the providers, stream the answers, and show what the ledger recorded.

    By default they are simulated: nothing leaves this machine and nothing is paid. One of them is down, so that its
    call falls over to another one.
    """
    with ExitStack() as stack:
        client, plans = _live(stack) if live else _simulated(stack)
        if not as_json:
            _introduce(plans, live=live)
        shown = [_ask(client, plan, as_json=as_json) for plan in plans]
        recorded = client.ledger.summary("provider")
    if as_json:
        _screen.document(_document(shown, recorded, live=live))
    else:
        _tables(shown, recorded)
    failed = [item.error for item in shown if item.error is not None]
    return failed[0].exit_code if len(failed) == len(shown) else 0


# --- who is asked -----------------------------------------------------------------------------------------------------


def _simulated(stack: ExitStack) -> tuple[Client, list[Plan]]:
    """A client of the embedded simulator."""
    from aistrale.client import Client
    from aistrale.providers import PROVIDERS
    from aistrale.providers.catalog import equivalents
    from aistrale.testing import simulator

    simulated = stack.enter_context(simulator(latency=_LATENCY, between=_BETWEEN))
    simulated.outage(DOWN)
    plans = [Plan(name, _model(name)) for name in PROVIDERS]
    down = next(plan for plan in plans if plan.provider == DOWN)
    down.route = ROUTE
    spare = next(iter(equivalents(f"{DOWN}/{down.model}"))).partition("/")[0]
    after = next(plan for plan in plans if plan.provider == spare)
    routes = {ROUTE: [f"{DOWN}/{down.model}", f"{after.provider}/{after.model}"]}
    return _opened(stack, Client(**simulated.settings(), routes=routes, ledger=_ledger(stack))), plans


def _model(provider: str) -> str:
    """The provider's default model; of a router with a backend, without which its price is not known."""
    from aistrale.providers.catalog import default_model, lookup

    model = default_model(provider)
    if model is None:
        raise ConfigurationError(f"{provider} has no default model", provider=provider)
    facts = lookup(provider, model)
    return f"{model}:{facts.backends[0]}" if facts is not None and facts.backends else model


def _live(stack: ExitStack) -> tuple[Client, list[Plan]]:
    """A client of the real providers, as the settings and the environment have them."""
    import os

    from aistrale.client import Client
    from aistrale.config import ProviderSettings, load
    from aistrale.providers import PROVIDERS, get_provider
    from aistrale.providers.secret import find_key

    settings = load({})
    able = [
        name
        for name in PROVIDERS
        if find_key(get_provider(name), os.environ, settings.providers.get(name, ProviderSettings()).api_key)
    ]
    if not able:
        raise ConfigurationError(
            "no provider has a key",
            hint="Set OPENAI_API_KEY or another one (`aistrale doctor` lists them), or leave out --live.",
        )
    return _opened(stack, Client(ledger=_ledger(stack))), [Plan(name, _model(name)) for name in able]


def _ledger(stack: ExitStack) -> str:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="aistrale-demo-"))
    return f"sqlite:///{Path(folder) / 'ledger.sqlite3'}"


def _opened(stack: ExitStack, client: Client) -> Client:
    # In the reverse order: connections first, then the ledger, whose directory goes last.
    stack.callback(client.ledger.close)
    return stack.enter_context(client)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _introduce(plans: Sequence[Plan], *, live: bool) -> None:
    number = {1: "one provider", 5: "five providers"}.get(len(plans), f"{len(plans)} providers")
    place = "with the keys that are set" if live else "simulated on this machine: no key, no network, no charge"
    _screen.say(f"The same prompt through {number}, {place}.")
    _screen.say(f"Prompt: {PROMPT}")
    _screen.say()


def _ask(client: Client, plan: Plan, *, as_json: bool) -> Shown:
    """One call, streamed to the screen."""
    name = f"{plan.provider}/{plan.model}"
    if not as_json:
        _screen.heading(f"{name}" + (f" (route {plan.route!r})" if plan.route else ""))
    shown = Shown(plan, 0.0)
    begun = time.monotonic()
    try:
        stream = (
            client.stream(PROMPT, route=plan.route, deadline=_DEADLINE)
            if plan.route
            else client.stream(PROMPT, model=name, deadline=_DEADLINE)
        )
        with stream:
            for text in stream.texts():
                shown.first = time.monotonic() - begun if shown.first is None else shown.first
                if not as_json:
                    _screen.write(text)
            shown.answer = stream.completion
    except AistraleError as error:
        shown.error = error
    shown.latency = time.monotonic() - begun
    if not as_json:
        _after(shown)
    return shown


def _after(shown: Shown) -> None:
    if shown.first is not None:
        _screen.say()
    if shown.error is not None:
        _screen.say(f"  failed: {_screen.one_line(str(shown.error))}")
    if shown.answer is not None:
        for attempt in shown.answer.attempts[:-1]:
            _screen.say(f"  attempt {attempt.number} at {attempt.provider}: {attempt.status or ''} {attempt.error}")
        if len(shown.answer.attempts) > 1:
            _screen.say(f"  answered by {shown.answer.target}")
    _screen.say()


def _tables(shown: Sequence[Shown], recorded: Sequence[SummaryRow]) -> None:
    header = ["asked", "answered by", "tries", "in", "out", "cost", "total", "first"]
    _screen.table(header, [_row(item) for item in shown], right=header[2:])
    _screen.say()
    _screen.say("Tries, tokens in and out, US dollars; time until all of the text, and until the first of it.")
    _screen.say()
    _screen.say("What the ledger recorded, by provider (in a temporary file, content never included):")
    _screen.say()
    columns = ["provider", "attempts", "failed", "tokens", "cost", "p50"]
    rows = [
        [
            row.key or "-",
            str(row.attempts),
            str(row.errors),
            _screen.count(sum(row.tokens.values())),
            _screen.about(None if row.unpriced else row.cost),
            _screen.seconds(row.latency_p50),
        ]
        for row in recorded
    ]
    _screen.table(columns, rows, right=columns[1:])
    _screen.say()
    _screen.say(_NEXT)


def _row(item: Shown) -> list[str]:
    answer, usage = item.answer, item.answer.usage if item.answer is not None else None
    cost = None if answer is None or answer.cost is None else answer.cost.usd
    return [
        f"{item.plan.provider}/{item.plan.model}",
        type(item.error).__name__ if answer is None else answer.provider if _screen.is_narrow() else answer.target,
        str(len(answer.attempts)) if answer is not None else "-",
        _screen.count(usage.input_total if usage is not None else None),
        _screen.count(usage.output_total if usage is not None else None),
        _screen.about(cost) if answer is not None else "-",
        _screen.seconds(item.latency),
        _screen.seconds(item.first),
    ]


def _document(shown: Sequence[Shown], recorded: Sequence[SummaryRow], *, live: bool) -> JSONObject:
    from aistrale.cli.cost import as_document as ledger_row
    from aistrale.cli.run import as_document

    answers: list[JSON] = []
    for item in shown:
        error = item.error
        answers.append(
            {
                "provider": item.plan.provider,
                "model": item.plan.model,
                "route": item.plan.route,
                "latency": item.latency,
                "first_text": item.first,
                "answer": None if item.answer is None else {"target": item.answer.target, **as_document(item.answer)},
                "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
            }
        )
    return {
        "mode": "live" if live else "simulator",
        "prompt": PROMPT,
        "answers": answers,
        "ledger": [ledger_row(row) for row in recorded],
    }
