from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.dialects import anthropic_messages as dialect
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    Choice,
    Completion,
    Message,
    Reasoning,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Wire,
)
from tests.dialects.anthropic_messages_cases import (
    ADAPTIVE,
    BUDGET,
    USER,
    ask,
    body,
    send,
)


@pytest.mark.parametrize(
    ("reasoning", "profile", "thinking", "effort", "lost"),
    [
        (Reasoning("high"), ADAPTIVE, {"type": "adaptive"}, "high", []),
        (Reasoning("high"), ANY, {"type": "adaptive"}, "high", []),
        (Reasoning("minimal"), ADAPTIVE, {"type": "adaptive"}, "low", ["emulated reasoning.effort"]),
        (Reasoning("none"), ADAPTIVE, {"type": "disabled"}, None, []),
        (
            Reasoning("none"),
            Profile(thinking="adaptive", efforts=("low", "high")),
            {"type": "adaptive"},
            "low",
            ["emulated reasoning.effort"],
        ),
        (
            Reasoning("xhigh"),
            Profile(thinking="adaptive", efforts=("low", "medium", "high", "max")),
            {"type": "adaptive"},
            "max",
            ["emulated reasoning.effort"],
        ),
        (Reasoning(budget=8000), ADAPTIVE, {"type": "adaptive"}, "medium", ["emulated reasoning.budget"]),
        (Reasoning(budget=-1), ADAPTIVE, {"type": "adaptive"}, "high", ["emulated reasoning.budget"]),
        (Reasoning(budget=0), ADAPTIVE, {"type": "disabled"}, None, ["emulated reasoning.budget"]),
        (Reasoning(include=True), ADAPTIVE, {"type": "adaptive", "display": "summarized"}, None, []),
        (
            Reasoning("low", include=False),
            BUDGET,
            {"type": "enabled", "budget_tokens": 4000, "display": "omitted"},
            None,
            ["emulated reasoning"],
        ),
        (Reasoning("max"), BUDGET, {"type": "enabled", "budget_tokens": 63_999}, None, ["emulated reasoning"]),
        (Reasoning(budget=5000), BUDGET, {"type": "enabled", "budget_tokens": 5000}, None, []),
        (Reasoning(budget=10), BUDGET, {"type": "enabled", "budget_tokens": 1024}, None, ["emulated reasoning"]),
        (Reasoning("none"), BUDGET, {"type": "disabled"}, None, []),
        (Reasoning("none"), Profile(thinking="none"), None, None, []),
    ],
)
def test_how_much_to_think(reasoning, profile, thinking, effort, lost):
    sent, recorded = send(ask(reasoning=reasoning), profile)
    assert sent.get("thinking") == thinking
    assert sent.get("output_config", {}).get("effort") == effort
    assert recorded == lost


@given(
    effort=st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"]),
    limit=st.none() | st.integers(1, 200_000),
    ceiling=st.none() | st.integers(1000, 128_000),
)
def test_a_budget_always_fits_below_the_limit(effort, limit, ceiling):
    profile = Profile(thinking="budget", max_output=ceiling)
    sent, lost = send(ask(reasoning=Reasoning(effort), max_tokens=limit), profile)
    if sent["thinking"]["type"] == "disabled":
        assert "dropped reasoning" in lost
    else:
        assert 1024 <= sent["thinking"]["budget_tokens"] < sent["max_tokens"]


def test_a_model_that_cannot_think():
    with pytest.raises(InvalidRequestError, match="does not think"):
        send(ask(reasoning=Reasoning("high")), Profile(thinking="none"))
    assert send(ask(reasoning=Reasoning("high")), Profile(thinking="none"), on_unsupported="drop")[1] == [
        "dropped reasoning"
    ]


LOOP = [
    Message.user("Go"),
    Message("assistant", [ReasoningPart("hm", wire=Wire("openai_responses", {"id": "rs"})), ToolCallPart("a", "f")]),
    Message.tool("a", "one"),
]


def test_an_open_loop_without_own_thoughts_switches_a_budget_off():
    sent, lost = send(ask(*LOOP, reasoning=Reasoning(budget=2000)), BUDGET)
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["messages"][1]["content"][0]["type"] == "tool_use"
    assert lost == ["dropped messages[1].parts[0]", "dropped reasoning"]
    # Adaptive thinking does not demand that a turn begins with a thought.
    sent, lost = send(ask(*LOOP, reasoning=Reasoning("low")), ADAPTIVE)
    assert sent["thinking"] == {"type": "adaptive"}
    # A closed loop does not matter.
    sent, _ = send(
        ask(*LOOP, Message.assistant("Done."), Message.user("More?"), reasoning=Reasoning(budget=2000)), BUDGET
    )
    assert sent["thinking"]["type"] == "enabled"


def test_own_thoughts_keep_a_budget_on():
    own = Wire(dialect.NAME, {"signature": "s"})
    loop = [LOOP[0], Message("assistant", [ReasoningPart("hm", wire=own), ToolCallPart("a", "f")]), LOOP[2]]
    sent, lost = send(ask(*loop, source=None, reasoning=Reasoning(budget=2000)), BUDGET)
    assert sent["thinking"]["type"] == "enabled"
    assert sent["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "s"}
    assert not lost


def test_a_forced_tool_excludes_a_budget_but_not_adaptive_thinking():
    forced = {"tools": [Tool("f")], "tool_choice": ToolChoice("required")}
    sent, lost = send(ask(reasoning=Reasoning(budget=2000), **forced), BUDGET)
    assert sent["thinking"] == {"type": "disabled"}
    assert lost == ["dropped reasoning"]
    assert send(ask(reasoning=Reasoning("low"), **forced), ADAPTIVE)[0]["thinking"] == {"type": "adaptive"}


def test_a_native_request_is_fitted_to_a_model_that_thinks_otherwise():
    adaptive = dialect.decode_request(body(max_tokens=50_000, thinking={"type": "adaptive"}))
    assert send(adaptive, BUDGET)[0]["thinking"] == {"type": "enabled", "budget_tokens": 20_000}
    enabled = dialect.decode_request(body(max_tokens=50_000, thinking={"type": "enabled", "budget_tokens": 9000}))
    sent, lost = send(enabled, ADAPTIVE)
    assert (sent["thinking"], sent["output_config"]) == ({"type": "adaptive"}, {"effort": "medium"})
    assert lost == ["emulated reasoning.budget"]


def test_thoughts_that_we_could_not_sign_are_recognized_and_left_out():
    answer = Completion(
        choices=[Choice(Message("assistant", [ReasoningPart("Let me see."), TextPart("Left.")]), "stop")], model="other"
    )
    encoded = dialect.encode_response(answer, Loss())
    assert encoded["content"][0]["thinking"] == "Let me see."
    echoed = dialect.decode_request(body(messages=[*USER, {"role": "assistant", "content": encoded["content"]}, *USER]))
    sent, lost = send(echoed)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "Left."}]
    assert lost == ["dropped messages[1].parts[0]"]


def test_an_effort_of_tomorrow_passes():
    assert send(ask(reasoning=Reasoning("ultra")), ADAPTIVE)[0]["output_config"] == {"effort": "ultra"}
    sent, lost = send(ask(reasoning=Reasoning("ultra")), BUDGET)
    assert sent["thinking"]["budget_tokens"] == 20_000
    assert lost == ["emulated reasoning"]


def test_a_limit_leaves_room_for_the_answer_besides_the_thoughts():
    sent, _ = send(ask(reasoning=Reasoning("medium")), Profile(thinking="budget"))
    assert sent["max_tokens"] == sent["thinking"]["budget_tokens"] + 4096


def test_a_conversation_of_the_unified_interface_keeps_the_thoughts_of_an_answer():
    answer = dialect.decode_response(
        {
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s=="},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            ],
            "stop_reason": "tool_use",
        }
    )
    request = ask(
        Message.user("Go"), answer.message, Message.tool("toolu_1", "ok"), source=None, reasoning=Reasoning(budget=1024)
    )
    sent, lost = send(request, BUDGET)
    assert sent["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "s=="}
    assert sent["thinking"]["type"] == "enabled"
    assert not lost
