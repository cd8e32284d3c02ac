from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.core.call import Call, Clocks, Context, Target
from aistrale.core.http import SyncHttp
from aistrale.core.identity import answer_key
from aistrale.core.runtime import SyncRuntime
from aistrale.dialects.base import Profile
from aistrale.providers import get_provider
from aistrale.types import (
    CacheHint,
    EmbedRequest,
    MediaPart,
    Message,
    OutputFormat,
    ProviderPart,
    Reasoning,
    Request,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    Wire,
)

RUNTIME = SyncRuntime(SyncHttp())
HI = [Message.user("hi")]
SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
TURNED = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}


def target(name="openai/gpt-5-mini", **changes):
    provider, _, model = name.partition("/")
    made = Target(
        name=name,
        provider=get_provider(provider),
        model=model,
        dialect="openai_chat",
        base_url="https://one.example/v1",
        profile=Profile(),
    )
    return replace(made, **changes)


def key(request, targets=None, version=1, **options):
    return answer_key(Call(request, targets or [target()], RUNTIME, clocks=Clocks(), **options), version=version)


def chat(**fields):
    return Request(**{"model": "gpt-5-mini", "messages": HI, **fields})


def test_a_key_is_a_hash():
    text = key(chat())
    assert len(text) == 64
    assert set(text) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "same",
    [
        chat(),
        chat(stream=True),
        chat(model="another name for it"),
        chat(user="u1", metadata={"a": "b"}, cache_key="k", service_tier="flex"),
        chat(tools=[], stop=[], extra={}),
        chat(n=1),
        chat(output=OutputFormat("text")),
        chat(reasoning=Reasoning()),
        chat(messages=[Message("user", [TextPart("hi", CacheHint("1h"))])]),
        chat(extra={"user": "u", "stream_options": {"include_usage": True}, "prompt_cache_key": "k"}),
    ],
)
def test_what_no_model_sees_makes_no_difference(same):
    assert key(same) == key(chat())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (chat(temperature=1), chat(temperature=1.0)),
        (chat(top_p=0), chat(top_p=0.0)),
        (chat(stop=["a", "b"]), chat(stop=["b", "a", "a"])),
        (chat(logit_bias={"1": 5, "2": 3}), chat(logit_bias={"2": 3.0, "1": 5.0})),
        (chat(extra={"x": 1, "y": 2}), chat(extra={"y": 2, "x": 1})),
        (
            chat(wire=Wire("openai_chat", {"x": 1, "y": 2, "user": "u"})),
            chat(wire=Wire("openai_chat", {"y": 2, "x": 1})),
        ),
        (chat(tools=[Tool("t", function=print)]), chat(tools=[Tool("t", cache=CacheHint())])),
        (EmbedRequest(model="m", inputs=["a"]), EmbedRequest(model="n", inputs=("a",), user="u")),
    ],
)
def test_other_spellings_of_the_same_are_the_same(one, other):
    assert key(one) == key(other) is not None


DIFFERENT = {
    "text": chat(messages=[Message.user("Hi")]),
    "space": chat(messages=[Message.user("hi ")]),
    "role": chat(messages=[Message.system("hi")]),
    "turns": chat(messages=[*HI, Message.assistant("x")]),
    "parts": chat(messages=[Message.user("h", "i")]),
    "name": chat(messages=[Message("user", [TextPart("hi")], name="bo")]),
    "part wire": chat(messages=[Message("user", [TextPart("hi", wire=Wire("openai_chat", {"x": 1}))])]),
    "image": chat(messages=[Message("user", [MediaPart("image", data="aGk=")])]),
    "image detail": chat(messages=[Message("user", [MediaPart("image", data="aGk=", detail="low")])]),
    "file": chat(messages=[Message("user", [MediaPart("image", file_id="f1")])]),
    "inline url": chat(messages=[Message("user", [MediaPart("image", url="data:image/png;base64,aGk=")])]),
    "provider part": chat(messages=[Message("user", [ProviderPart("openai_chat", {"type": "x"})])]),
    "tool result": chat(messages=[*HI, Message.tool("c", "hi")]),
    "tool error": chat(messages=[*HI, Message.tool("c", "hi", is_error=True)]),
    "tool": chat(tools=[Tool("t")]),
    "tool description": chat(tools=[Tool("t", "does it")]),
    "tool schema": chat(tools=[Tool("t", parameters=SCHEMA)]),
    "tool schema in another order": chat(tools=[Tool("t", parameters=TURNED)]),
    "tool choice": chat(tool_choice=ToolChoice("none")),
    "parallel": chat(parallel_tool_calls=False),
    "max_tokens": chat(max_tokens=5),
    "temperature": chat(temperature=0),
    "temperature as low": chat(temperature=0.1),
    "top_p": chat(top_p=0),
    "top_k": chat(top_k=1),
    "stop": chat(stop=["a"]),
    "seed": chat(seed=0),
    "n": chat(n=2),
    "presence": chat(presence_penalty=0.0),
    "frequency": chat(frequency_penalty=0.0),
    "bias": chat(logit_bias={"1": 5}),
    "logprobs": chat(logprobs=0),
    "any json": chat(output=OutputFormat("json_object")),
    "schema": chat(output=OutputFormat("json_schema", SCHEMA)),
    "schema in another order": chat(output=OutputFormat("json_schema", TURNED)),
    "strict": chat(output=OutputFormat("json_schema", SCHEMA, strict=True)),
    "effort": chat(reasoning=Reasoning("low")),
    "budget": chat(reasoning=Reasoning(budget=5)),
    "extra": chat(extra={"x": 1}),
    "extra null": chat(extra={"x": None}),
    "wire": chat(wire=Wire("openai_chat", {"x": 1})),
    "wire of another dialect": chat(wire=Wire("gemini_generate", {"x": 1})),
    "wire form": chat(wire=Wire("openai_chat", {"x": 1}, "functions")),
    "source": chat(source="openai_chat"),
    "embed": EmbedRequest(model="m", inputs=["hi"]),
    "embed two": EmbedRequest(model="m", inputs=["h", "i"]),
    "embed tokens": EmbedRequest(model="m", inputs=[[1, 2]]),
    "dimensions": EmbedRequest(model="m", inputs=["hi"], dimensions=3),
    "task": EmbedRequest(model="m", inputs=["hi"], task="RETRIEVAL_QUERY"),
}


def test_whatever_can_matter_makes_another_key():
    keys = {name: key(request) for name, request in DIFFERENT.items()} | {"plain": key(chat())}
    assert None not in keys.values()
    assert len(set(keys.values())) == len(keys)


def test_the_place_and_the_tenant_make_another_key():
    other = target("openai/gpt-5")
    keys = [
        key(chat()),
        key(chat(), version=2),
        key(chat(), [other]),
        key(chat(), [target(), other]),
        key(chat(), [other, target()]),
        key(chat(), [target(region="eu")]),
        key(chat(), [target(base_url="https://two.example/v1")]),
        key(chat(), [target(dialect="openai_responses")]),
        key(chat(), route="chat"),
        key(chat(), context=Context(workspace="w")),
        key(chat(), context=Context(project="w")),
        key(chat(), context=Context(workspace="w", project="w")),
        key(chat(), on_unsupported="drop"),
        key(chat(), on_lossy="error"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(chat(), context=Context(user="u", session="s", tags={"a": "b"}, deadline=3.0)) == keys[0]


@pytest.mark.parametrize(
    "request_",
    [
        chat(tools=[Tool("t"), Tool("web_search", hosted={"type": "web_search"})]),
        chat(messages=[Message("user", [MediaPart("image", url="https://a.example/cat.png")])]),
        chat(messages=[Message("tool", [ToolResultPart("c", [MediaPart("image", url="https://a.example/cat.png")])])]),
        chat(extra={"conversation": "conv_1"}),
        chat(extra={"tools": [{"type": "web_search"}]}),
        chat(wire=Wire("openai_responses", {"previous_response_id": "resp_1"})),
        chat(extra={"x": object()}),
        chat(extra={"x": float("nan")}),
        EmbedRequest(model="m", inputs=["hi"], extra={"x": {1}}),
    ],
)
def test_what_depends_on_more_than_the_request_has_no_key(request_):
    assert key(request_) is None


def test_state_that_is_null_is_no_state():
    assert key(chat(extra={"conversation": None})) is not None


@given(st.text(), st.text(), st.text(), st.text())
def test_two_tenants_never_share(workspace, project, other_workspace, other_project):
    one = key(chat(), context=Context(workspace=workspace, project=project))
    other = key(chat(), context=Context(workspace=other_workspace, project=other_project))
    assert (one == other) == ((workspace, project) == (other_workspace, other_project))


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_two_conversations_have_one_key_only_if_they_are_one(texts, others):
    one, other = (key(chat(messages=[Message.user(*words)])) for words in (texts, others))
    assert (one == other) == (texts == others)
