"""Settings of every wrong type: an error that names the setting when the client is made or first used, nothing else."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

import aistrale
from aistrale.config import Settings, load
from aistrale.errors import AistraleError, ConfigurationError
from aistrale.testing import Fault

MODEL = "openai/gpt-5-mini"
WRONG = [
    None, 5, -1, "x", "", b"x", [], ["x", 5], {}, {"a": 5}, {5: 5}, {"a": {"b": 1}}, True, math.nan, object(), int, (1,),
    "\x00", "ftp://x", "sqlite://", {"a": ["nope"]}, {"": [MODEL]}, {"attempts": 0}, {"wait": 5}, {"connect": "x"},
    {"openai": {"base_url": 5}}, {"openai": {"api": "nope"}}, {"openai": {"headers": {"a b": "x"}}},
    {"x": {"compatible": "nope", "base_url": "http://127.0.0.1:1"}}, {"x": {"compatible": "openai_chat"}},
]  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_a_setting_of_a_wrong_type_is_named(sim, name):
    for wrong in WRONG:
        value = wrong
        settings = {**sim.settings(), "ledger": "off", "retry": False}
        if name == "providers" and isinstance(wrong, dict):
            known = settings["providers"]
            value = {key: {**known.get(key, {}), **own} if isinstance(own, dict) else own for key, own in wrong.items()}
        settings[name] = value
        error = error_of(settings)
        if name not in {"providers", "proxy"}:
            assert error is None or isinstance(error, ConfigurationError), repr(error)
        assert getattr(error, "field", "there is none"), repr(error)


def error_of(settings):
    try:
        with aistrale.Client(**settings) as client:
            client.run("Hi", model=MODEL)
    except AistraleError as error:
        return error
    return None


def test_numbers_may_be_written_as_text(sim):
    with aistrale.Client(**sim.settings(), retry={"base": "0.001", "cap": "0.002"}, timeout="30") as client:
        sim.script(Fault(status=500))
        assert len(client.run("Hi", model=MODEL).attempts) == 2


@pytest.mark.parametrize("name", ["CONFIG", "MODEL", "TIMEOUT", "HTTP", "VERIFY", "PROXY", "LEDGER"])
@pytest.mark.parametrize("value", ["-1", "nan", "/nowhere/at/all", "\ud800", "sqlite://"])
def test_a_variable_that_makes_no_sense_is_taken_or_refused(name, value, tmp_path):
    try:
        load({}, {f"AISTRALE_{name}": value}, tmp_path)
    except ConfigurationError as error:
        assert error.field  # noqa: PT017 - either way is right, one must hold


def test_a_ca_bundle_that_is_none_is_named(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("not a certificate")
    providers = {"openai": {"api_key": "k", "base_url": "https://127.0.0.1:9/v1"}}
    with aistrale.Client(providers=providers, verify=str(bundle), retry=False) as client:
        with pytest.raises(ConfigurationError) as caught:
            client.run("Hi", model=MODEL)
        assert caught.value.field == "verify"
