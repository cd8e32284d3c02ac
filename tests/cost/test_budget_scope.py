from __future__ import annotations

from dataclasses import replace

import pytest

from aistrale.core.call import Context, Target
from aistrale.cost.budgets.scope import Scope
from aistrale.dialects.base import Profile
from aistrale.providers import get_provider
from aistrale.providers.catalog import lookup

WHO = Context(
    user="alice", workspace="w", project="p", session="s", name="n", budget="b", tags={"team": "search", "env": "prod"}
)


def target(name):
    provider, _, model = name.partition("/")
    return Target(
        name=name,
        provider=get_provider(provider),
        model=model,
        dialect="openai_chat",
        base_url="http://127.0.0.1",
        profile=Profile(provider=provider, model=model),
        facts=lookup(provider, model),
    )


MINI = target("openai/gpt-5-mini")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("global", ""),
        ("user:alice", "alice"),
        ("user:bob", None),
        ("user:*", "alice"),
        ("workspace:w", "w"),
        ("project:*", "p"),
        ("session:s", "s"),
        ("name:n", "n"),
        ("budget:b", "b"),
        ("budget:other", None),
        ("tag:team=search", "search"),
        ("tag:team=*", "search"),
        ("tag:team=mail", None),
        ("tag:cost=*", None),
        ("route:chat", "chat"),
        ("route:other", None),
        ("model:openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("model:openai/gpt-5", None),
        ("model:*", "openai/gpt-5-mini"),
        ("provider:openai", "openai"),
        ("provider:*", "openai"),
        ("provider:anthropic", None),
    ],
)
def test_which_value_a_call_counts_for(text, value):
    assert Scope.parse(text).of(WHO, "chat", MINI) == value


def test_nobody_in_particular_counts_for_no_value():
    for kind in ("user", "workspace", "project", "session", "name", "budget", "route"):
        assert Scope.parse(f"{kind}:*").of(Context(), None, MINI) is None


def test_an_amount_is_no_name_of_a_budget():
    assert Scope.parse("budget:*").of(Context(budget="0.05"), None, MINI) is None


def test_what_depends_on_the_target_waits_for_it():
    for text in ("model:*", "provider:openai"):
        assert Scope.parse(text).of_target
        assert Scope.parse(text).of(WHO, None, None) is None
    assert not Scope.parse("user:*").of_target


def test_a_model_has_one_budget_by_all_of_its_names():
    facts = MINI.facts
    alias = next(name for name in facts.aliases if name != facts.id)
    other = replace(MINI, model=alias, name=f"openai/{alias}")
    assert Scope.parse("model:openai/gpt-5-mini").of(WHO, None, other) == "openai/gpt-5-mini"
    assert Scope.parse(f"model:openai/{alias}").of(WHO, None, MINI) == "openai/gpt-5-mini"


def test_providers_have_one_budget_by_both_of_their_names():
    gemini = target("gemini/gemini-2.5-flash")
    assert Scope.parse("provider:google").of(WHO, None, gemini) == "gemini"
    assert Scope.parse("model:google/gemini-2.5-flash").of(WHO, None, gemini) == "gemini/gemini-2.5-flash"


@pytest.mark.parametrize(
    "text",
    [
        "budget:5",
        "",
        "users:x",
        "user",
        "user:",
        "tag:team",
        "tag:=x",
        "tag:team=",
        "model:gpt-5",
        "everybody",
        "Global",
    ],
)
def test_other_scopes_are_refused(text):
    with pytest.raises(ValueError, match=r"KIND:VALUE|PROVIDER/MODEL|NAME"):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("text", "value", "written", "where"),
    [
        ("global", "", "global", {}),
        ("user:*", "alice", "user:alice", {"user": "alice"}),
        ("tag:team=*", "search", "tag:team=search", {"tag:team": "search"}),
        ("model:*", "openai/x", "model:openai/x", {"model": "openai/x"}),
        ("budget:*", "b", "budget:b", None),
    ],
)
def test_how_a_scope_is_written_and_asked_for(text, value, written, where):
    scope = Scope.parse(text)
    assert (scope.written(value), scope.where(value)) == (written, where)
