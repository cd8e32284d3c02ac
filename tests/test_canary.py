"""Keys, prompts and answers appear nowhere that they were not asked for."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import traceback
from pathlib import Path

import pytest

import aistrale
from aistrale.errors import AistraleError
from aistrale.testing import Broken, Fault, Slow, simulator

KEY = "sk-canary-4f1d9c0b7a6e5d3c2b1a"
PROMPT = "The patient canaryprompt has a secret."
ANSWER = "This is a simulated answer to: The patient canaryprompt"
MODELS = ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "groq/llama-3.3-70b-versatile",
          "huggingface/openai/gpt-oss-120b"]  # fmt: skip
STEPS = [
    None,
    Fault(status=401, message=f"Incorrect API key provided: {KEY}."),
    Fault(status=400, message=f"Bad header Authorization: Bearer {KEY}"),
    Fault(status=429),
    Fault(status=500),
    Broken(wreck="reset"),
    Broken(wreck="bad_json"),
    Broken(wreck="html"),
    Broken(wreck="bad_gzip"),
    Broken(wreck="close_early"),
    Broken(wreck="error_midway"),
    Broken(wreck="truncate"),
    Broken(wreck="empty"),
    Slow(headers=5.0),
]


@pytest.fixture
def client():
    with simulator() as sim:
        providers = {name: {**settings, "api_key": KEY} for name, settings in sim.settings()["providers"].items()}
        with aistrale.Client(providers=providers, retry=False, timeout=20.0) as made:
            yield made, sim


def everything_about(error):
    """All that a bug report or a debugger shows of an error, local variables of every frame but the test's included."""
    seen = []
    while error is not None:
        seen += [str(error), repr(error), repr(error.args), repr(vars(error))]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                seen += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


def shown(error):
    """What is shown of an error without looking into it."""
    return "\n".join([str(error), repr(error), "".join(traceback.format_exception(error))])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: repr(step)[:40])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_nothing_leaks_from_a_call(client, caplog, capfd, model, step, streamed):  # noqa: PLR0917 - fixtures and table
    caplog.set_level(logging.DEBUG)
    made, sim = client
    if step is not None:
        sim.outage(step=step)
    things = [made, made.pipeline, made._engine.settings, made._engine.target(model)]
    errors, options = [], {"deadline": 0.3} if isinstance(step, Slow) else {}
    try:
        if streamed:
            with made.stream(PROMPT, model=model, **options) as stream:
                things += [stream, *list(stream)]
                things.append(stream.completion)
        else:
            things.append(made.run(PROMPT, model=model, **options))
    except AistraleError as error:
        errors.append(error)
    assert bool(errors) == (step is not None)
    made.flush()
    things += [*made.ledger.calls(10), made.ledger.status(), made._engine.sync_runtime()]
    for call in made.ledger.calls(10):
        things += made.ledger.attempts(call.call_id)
    out, err = capfd.readouterr()
    text = "\n".join([*map(repr, things), *map(shown, errors), caplog.text, out, err])
    for canary in (KEY, KEY[:14], "canaryprompt", "simulated answer"):
        assert canary not in text
    for error in errors:
        assert KEY not in everything_about(error)
        assert KEY.encode() not in pickle.dumps(error)


def test_nothing_is_stored(client):
    made, _ = client
    made.run(PROMPT, model=MODELS[0])
    with made.stream(PROMPT, model=MODELS[1]) as stream:
        assert stream.result().text.startswith(ANSWER)
    made.flush()
    home = Path(os.environ["AISTRALE_HOME"])
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        for canary in (KEY.encode(), b"canaryprompt", b"simulated answer"):
            assert canary not in content


def test_a_key_cannot_be_pickled_or_copied_out(client):
    made, _ = client
    target = made._engine.target(MODELS[0])
    with pytest.raises(TypeError):
        pickle.dumps(target)
    assert KEY not in repr(copy.copy(target))


def test_async_errors_hide_the_key(client):
    made, sim = client
    sim.outage(step=Broken(wreck="reset"))

    async def whole():
        try:
            await made.as_async().run(PROMPT, model=MODELS[0])
        finally:
            await made.as_async().close()

    with pytest.raises(AistraleError) as caught:
        asyncio.run(whole())
    assert KEY not in everything_about(caught.value)
    assert "canaryprompt" not in shown(caught.value)


@pytest.mark.parametrize("settings", [
    {"providers": {"openai": {"api_key": KEY + " x"}}},
    {"providers": {"openai": {"api_key": KEY + "\n"}, "x": KEY}},
    {"providers": {"openai": {"base_url": f"https://user:{KEY}@example.org"}}},
    {"timeout": KEY},
    {"model": KEY, "http": KEY},
    {"api_key": KEY},
])  # fmt: skip
def test_wrong_settings_hide_the_key(settings):
    with pytest.raises(AistraleError) as caught:
        aistrale.Client(**settings).run(PROMPT, model=MODELS[0])
    assert KEY not in shown(caught.value)
    assert "canaryprompt" not in shown(caught.value)
