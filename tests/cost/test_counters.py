"""Tokens of whole requests, by family."""

from __future__ import annotations

import base64
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistrale.cost.tokens import counters, encodings
from aistrale.cost.tokens.counters import Count, count_request, count_text
from aistrale.cost.tokens.families import family_of
from aistrale.cost.tokens.media import image_size, media_tokens, written
from aistrale.cost.tokens.tool_forms import typescript
from aistrale.types import (
    EmbedRequest,
    MediaPart,
    Message,
    OutputFormat,
    ProviderPart,
    Reasoning,
    ReasoningPart,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Wire,
)

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
ASKED = [Message.user("What is the capital of France?")]  # seven tokens of o200k
TALK = [Message.system("Be brief."), *ASKED, Message.assistant("Paris."), *ASKED]
WEATHER = Tool("get_weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})


def counted(provider, model, messages=ASKED, **options):
    return count_request(Request(model=model, messages=messages, **options), provider, model)


@pytest.mark.parametrize(
    ("provider", "model", "messages", "tokens", "method", "exact"),
    [
        # 7 + 4 for the message + 3; of models that reason, + 2.
        ("openai", "gpt-4o", ASKED, 14, "o200k_base", True),
        ("openai", "gpt-3.5-turbo", ASKED, 14, "cl100k_base", True),
        ("openai", "gpt-4-0613", ASKED, 14, "cl100k_base", True),
        ("openai", "gpt-4.1-mini", ASKED, 14, "o200k_base", True),
        ("openai", "gpt-5", ASKED, 13, "o200k_base", True),
        ("openai", "o3-mini", ASKED, 13, "o200k_base", True),
        ("openai", "gpt-6.1-sol", ASKED, 13, "o200k_base", True),
        # Three for the system, 7 + 2 + 7, four messages; GPT-5 has two more for the earlier answer.
        ("openai", "gpt-4o", TALK, 3 + 7 + 2 + 7 + 16 + 3, "o200k_base", True),
        ("openai", "gpt-5.4", TALK, 3 + 7 + 2 + 7 + 16 + 2 + 2, "o200k_base", True),
        ("openai", "o3-mini", TALK, 3 + 7 + 2 + 7 + 16 + 2, "o200k_base", True),
        ("openai", "gpt-4o", [Message("user", [TextPart("Hi")], name="bob")], 1 + 1 + 1 + 4 + 3, "o200k_base", True),
        # 7 + 7; since 4.7 "capital" has two tokens, and the frame 11, then 6.
        ("anthropic", "claude-sonnet-4-5", ASKED, 14, "claude-3", False),
        ("anthropic", "claude-3-5-haiku-20241022", ASKED, 14, "claude-3", False),
        ("anthropic", "claude-opus-4-7", ASKED, 19, "claude-4.7", False),
        ("anthropic", "claude-sonnet-5", ASKED, 14, "claude-4.7", False),
        ("anthropic", "claude-fable-5.2", ASKED, 14, "claude-4.7", False),
        ("anthropic", "claude-sonnet-4-5", TALK, 3 + 7 + 2 + 7 + 4 + 9, "claude-3", False),
        # What the answer goes on with has no frame.
        ("anthropic", "claude-sonnet-4-5", [*ASKED, Message.assistant("It is")], 7 + 2 + 7, "claude-3", False),
        ("gemini", "gemini-2.0-flash", ASKED, 7, "gemini", False),
        ("gemini", "gemini-2.5-flash", ASKED, 8, "gemini", False),
        ("google-vertex", "gemini-2.5-flash", ASKED, 7, "gemini", False),
        ("groq", "openai/gpt-oss-120b", ASKED, 7 + 71, "o200k_base", False),
        ("huggingface", "deepseek-ai/DeepSeek-R1", ASKED, 10, "o200k_base", False),
    ],
)
def test_plain_text(provider, model, messages, tokens, method, exact):  # noqa: PLR0917 - a table
    count = counted(provider, model, messages)
    assert (count.tokens, count.method, count.exact) == (tokens, method, exact)
    assert count.low <= tokens <= count.high
    assert not exact or count.low == count.high


def test_embeddings_have_no_frame():
    request = EmbedRequest(model="text-embedding-3-small", inputs=["hello world", [1, 2, 3]])
    count = count_request(request, "openai", request.model)
    assert (count.tokens, count.method, count.exact) == (5, "cl100k_base", True)


def test_a_text_alone_has_no_frame_either():
    assert count_text("hello world", "openai", "gpt-4o") == Count(
        tokens=2, low=2, high=2, method="o200k_base", exact=True
    )
    assert count_text("", "anthropic", "claude-sonnet-5").tokens == 0


def test_functions_are_shown_as_typescript():
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "unit": {"enum": ["C", "F"], "default": "C"},
            "days": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            "at": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            "any": {},
            "one": {"anyOf": [{"const": 1}, {"type": "boolean"}]},
        },
        "required": ["city"],
        "$defs": {"tag": {"type": "string"}},
    }
    assert typescript([Tool("weather", "Looks it up.", schema), Tool("now")]) == (
        "namespace functions {\n\n// Looks it up.\ntype weather = (_: {\n// Where.\ncity: string,\n"
        'unit?: "C" | "F", // default: "C"\ndays?: number | null,\ntags?: string[],\nat?: {\nlat: number,\n},\nany?: any,\n'
        "one?: 1 | boolean,\n}) => any;\n\ntype now = () => any;\n\n} // namespace functions"
    )


def test_a_schema_that_refers_to_itself_has_an_end():
    schema = {"properties": {"next": {"$ref": "#"}}}
    assert typescript([Tool("f", None, schema)]).count("next") > 3


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-4o"), ("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash")],
)
def test_tools_and_schemas_widen_the_bounds(provider, model):
    plain = counted(provider, model)
    tools = counted(provider, model, tools=[WEATHER])
    forced = counted(provider, model, tools=[WEATHER, WEATHER], tool_choice=ToolChoice("required"))
    schema = counted(provider, model, output=OutputFormat("json_schema", schema=WEATHER.parameters))
    assert plain.tokens < tools.tokens < forced.tokens
    for count in (tools, forced, schema):
        assert not count.exact
        assert count.low < count.tokens <= count.high or count.low <= count.tokens < count.high


def test_tools_of_the_two_interfaces_of_openai_differ():
    request = Request(model="gpt-5", messages=ASKED, tools=[WEATHER])
    chat, responses = (
        count_request(request, "openai", "gpt-5", dialect=name) for name in ("openai_chat", "openai_responses")
    )
    assert chat.tokens == responses.tokens + 81


def test_thinking_is_introduced():
    plain, thinking = (
        counted("anthropic", "claude-sonnet-4-5", reasoning=reasoning) for reasoning in (None, Reasoning(budget=1024))
    )
    assert thinking.tokens == plain.tokens + 29
    assert counted("anthropic", "claude-sonnet-4-5", reasoning=Reasoning(effort="none")) == plain


def test_everything_that_a_message_can_hold_is_counted():
    parts = [
        TextPart("a"),
        ReasoningPart("thought", wire=Wire("x", {"signature": "s" * 300})),
        ToolCallPart("1", "f", '{"a": 1}'),
        ProviderPart("anthropic_messages", {"type": "search", "text": "x y z"}),
        MediaPart("image", url="https://example.com/x.png"),
        MediaPart("audio", data="AAAA" * 100),
        MediaPart("video", file_id="f"),
        MediaPart("document", data=base64.b64encode(b"%PDF /Type /Page /Type /Page /Type /Pages").decode()),
        MediaPart("document", data=base64.b64encode(b"ten words").decode(), media_type="text/plain"),
    ]
    counts = [counted("anthropic", "claude-sonnet-4-5", [Message("user", parts[:size])]) for size in range(10)]
    assert all(more.high > less.high for less, more in pairwise(counts[1:]))
    tool = [Message.tool("1", "It is sunny.")]
    assert counted("openai", "gpt-4o", tool).tokens > counted("openai", "gpt-4o", [Message("tool")]).tokens


def png(width, height):
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\0" * 40
    ).decode()


def jpeg(width, height):
    head = b"\xff\xd8\xff\xe0\0\x04AB\xff\xc0\0\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return base64.b64encode(head + b"\0" * 40).decode()


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(640, 480), (640, 480)),
        (jpeg(640, 480), (640, 480)),
        (base64.b64encode(b"GIF89a" + bytes([128, 2, 224, 1]) + b"\0" * 30).decode(), (640, 480)),
        (base64.b64encode(b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + bytes([127, 2, 0, 223, 1, 0])).decode(), (640, 480)),
        (base64.b64encode(b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + bytes([128, 2, 224, 1])).decode(), (640, 480)),
        (
            base64.b64encode(
                b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0/" + (639 | 479 << 14).to_bytes(4, "little") + b"\0" * 9
            ).decode(),
            (640, 480),
        ),
        (png(0, 5), None),
        ("", None),
        ("!!!", None),
        (base64.b64encode(b"\xff\xd8 no size").decode(), None),
    ],
)
def test_sizes_of_images(data, size):
    assert image_size(data) == size


@given(st.binary(max_size=80))
def test_any_data_has_a_size_or_none(data):
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8L", b"\xff\xd8"):
        size = image_size(base64.b64encode(head + data).decode())
        assert size is None or min(size) > 0


@pytest.mark.parametrize(
    ("rule", "model", "part", "tokens"),
    [
        # The examples of OpenAI's guide to images: 1024 x 1024 and 2048 x 4096 in tiles, 1024 x 1024 in patches.
        ("openai", "gpt-4o", MediaPart("image", data=png(1024, 1024)), 765),
        ("openai", "gpt-4o", MediaPart("image", data=png(2048, 4096)), 1105),
        ("openai", "gpt-4o", MediaPart("image", data=png(4096, 8192), detail="low"), 85),
        ("openai", "gpt-4.1-mini", MediaPart("image", data=png(1024, 1024)), 1658.88),
        # Of Anthropic's guide to vision: 1000 x 1000 has 1,334.
        ("anthropic", "claude-sonnet-4-5", MediaPart("image", data=png(1000, 1000)), pytest.approx(1334, abs=1)),
        ("anthropic", "claude-sonnet-4-5", MediaPart("image", data=png(4000, 4000)), 1600),
        ("anthropic_large", "claude-opus-5", MediaPart("image", data=png(4000, 4000)), 4784),
        # Of Google's guide to tokens: 258 up to 384 pixels.
        ("gemini", "gemini-2.0-flash", MediaPart("image", data=png(384, 384)), 258),
    ],
)
def test_images_by_the_documented_rules(rule, model, part, tokens):
    guess = media_tokens(part, rule, model)
    assert guess.tokens == tokens
    assert guess.low <= guess.tokens <= guess.high


def test_a_document_of_text_is_text():
    data = base64.b64encode("naïve,1\n".encode()).decode()
    assert written(MediaPart("document", data=data, media_type="text/csv")) == "naïve,1\n"
    assert written(MediaPart("document", data=data, media_type="application/pdf")) is None
    assert written(MediaPart("image", data=data, media_type="text/csv")) is None


def test_without_tiktoken_characters_are_counted(monkeypatch):
    def missing(*_args):
        raise ImportError("tiktoken")

    monkeypatch.setattr(encodings, "count", missing)
    count = counted("openai", "gpt-4o")
    assert (count.method, count.exact) == ("characters", False)
    assert count.low < count.tokens < count.high


parts = st.one_of(
    st.builds(TextPart, st.text(max_size=50)),
    st.builds(ToolCallPart, st.just("1"), st.text(max_size=9), st.text(max_size=30)),
    st.builds(
        MediaPart, st.sampled_from(["image", "audio", "video", "document"]), data=st.none() | st.text(max_size=50)
    ),
)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.lists(parts, max_size=3))


@given(
    st.lists(messages, max_size=4),
    st.sampled_from(
        ["gpt-4o", "gpt-5", "claude-3-opus", "claude-opus-5", "gemini-3-pro", "llama-3.3-70b", "unknown", ""]
    ),
    st.booleans(),
)
def test_bounds_hold_the_count(talk, model, with_tools):
    request = Request(model=model, messages=talk, tools=[WEATHER] if with_tools else [])
    count = count_request(request, "openai", model)
    assert 0 <= count.low <= count.tokens <= count.high


@given(st.integers(0, 1000), st.integers(0, 100), st.integers(0, 100), st.floats(0.4, 2.5), st.floats(0, 1))
def test_corrections_keep_the_order(tokens, under, over, factor, spread):
    count = Count(tokens=tokens, low=max(0, tokens - under), high=tokens + over, method="gemini")
    scaled = count.scaled(factor, spread)
    assert 0 <= scaled.low <= scaled.tokens <= scaled.high


def test_models_that_nobody_knows_are_uncertain():
    for provider, model in (("groq", "kimi-k3"), ("openai", "mystery"), ("own", "x")):
        family = family_of(provider, model)
        assert not family.exact
        assert family.error >= 0.1


def test_the_recordings(monkeypatch):
    if not (SHARED / "traffic").exists():
        pytest.skip("the recorded traffic is not part of this checkout")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    token_report = pytest.importorskip("token_report")
    rows = list(token_report.compared())
    for group, most in (
        ("openai chat", 0.0),
        ("openai responses", 0.02),
        ("anthropic", 0.03),
        ("google", 0.03),
        ("google-vertex", 0.03),
    ):
        errors = sorted(row.error for row in rows if (row.group, row.kind) == (group, "text"))
        assert len(errors) > 20
        assert errors[len(errors) // 2] <= most, group
    for group, least in (("openai chat", 0.97), ("openai responses", 0.95), ("anthropic", 0.97), ("google", 0.95)):
        covered = [row.covered for row in rows if (row.group, row.kind) == (group, "tools")]
        assert sum(covered) / len(covered) >= least, group
    assert "token_report" in sys.modules
    assert counters.CHARACTERS not in {row.counted.method for row in rows}
