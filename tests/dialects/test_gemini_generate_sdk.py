"""Google's own SDK as the judge: it reads what we write, and we read what it writes."""

from __future__ import annotations

import base64
import json
import warnings

import pytest

from aistrale.core.sse import encode_sse
from aistrale.dialects import gemini_embed, gemini_generate
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.types import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Choice,
    Completion,
    Embeddings,
    EmbedRequest,
    ErrorInfo,
    Finish,
    MediaPart,
    Message,
    OutputFormat,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    ReplyEnd,
    ReplyStart,
    Request,
    StreamError,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
    UsageUpdate,
)

httpx2 = pytest.importorskip("httpx2", reason="google-genai speaks through httpx2")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    genai = pytest.importorskip("google.genai", reason="the SDK is not installed")
    from google.genai import errors, types

USAGE = Usage(input=7, cache_read=3, output=5, reasoning=2)
COMPLETION = Completion(
    id="chatcmpl-1",
    model="gpt-5",
    created=1_700_000_000,
    choices=[
        Choice(
            Message(
                "assistant",
                [
                    ReasoningPart("thinking"),
                    TextPart("ok"),
                    ToolCallPart("call_1", "get", '{"a":1}'),
                    ToolCallPart("call_2", "get", '{"a":2}'),
                ],
            ),
            "tool_calls",
        )
    ],
    usage=USAGE,
)


@pytest.fixture
def client():
    """Makes SDK clients that get one answer, and keeps them: the SDK closes one that is no longer referenced."""
    made = []

    def make(answer, seen=None, status=200):
        def handle(request):
            if seen is not None:
                seen.append(json.loads(request.content))
            return httpx2.Response(status, headers={"content-type": "application/json"}, content=answer)

        options = types.HttpOptions(client_args={"transport": httpx2.MockTransport(handle)})
        made.append(genai.Client(api_key="k", http_options=options))
        return made[-1].models

    yield make
    for one in made:
        one.close()


def stream_of(*events):
    encoder = gemini_generate.event_encoder(Request(model="m", messages=[]), Loss())
    frames = [frame for event in events for frame in encoder.feed(event)] + encoder.finish()
    return b"".join(encode_sse(frame.data, frame.event) for frame in frames)


def calls_of(response):
    return [(call.id, call.name, call.args) for call in response.function_calls or []]


def check_usage(metadata):
    assert metadata.prompt_token_count == 10
    assert metadata.cached_content_token_count == 3
    assert metadata.candidates_token_count == 5
    assert metadata.thoughts_token_count == 2
    assert metadata.total_token_count == 17


def test_the_sdk_reads_an_answer(client):
    body = gemini_generate.encode_response(COMPLETION, Loss())
    response = client(json.dumps(body).encode()).generate_content(model="m", contents="Hi")
    parts = response.candidates[0].content.parts
    assert [(part.text, part.thought) for part in parts[:2]] == [("thinking", True), ("ok", None)]
    assert calls_of(response) == [("call_1", "get", {"a": 1}), ("call_2", "get", {"a": 2})]
    assert response.candidates[0].finish_reason == types.FinishReason.STOP
    assert (response.model_version, response.response_id) == ("gpt-5", "chatcmpl-1")
    check_usage(response.usage_metadata)


def test_the_sdk_reads_a_stream(client):
    content = stream_of(
        ReplyStart("chatcmpl-1", "gpt-5", 1_700_000_000),
        BlockStart(0, ReasoningPart()),
        ReasoningDelta("think", 0),
        ReasoningDelta("ing", 0),
        BlockEnd(0),
        BlockStart(1, TextPart("")),
        TextDelta("o", 1),
        TextDelta("k \u2028\u0085é", 1),
        BlockEnd(1),
        BlockStart(2, ToolCallPart("call_1", "get")),
        ArgumentsDelta('{"a"', 2),
        ArgumentsDelta(":1}", 2),
        BlockEnd(2),
        BlockStart(3, ToolCallPart("call_2", "get")),
        BlockEnd(3),
        Finish("tool_calls"),
        UsageUpdate(USAGE),
        ReplyEnd(),
    )
    chunks = list(client(content).generate_content_stream(model="m", contents="Hi"))
    parts = [part for item in chunks for part in item.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.thought) == "thinking"
    assert "".join(part.text for part in parts if part.text and not part.thought) == "ok \u2028\u0085é"
    assert [call for item in chunks for call in calls_of(item)] == [("call_1", "get", {"a": 1}), ("call_2", "get", {})]
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert {item.response_id for item in chunks} == {"chatcmpl-1"}
    check_usage(chunks[-1].usage_metadata)


def test_the_sdk_reads_a_blocked_prompt(client):
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    body = gemini_generate.encode_response(gemini_generate.decode_response(blocked), Loss())
    response = client(json.dumps(body).encode()).generate_content(model="m", contents="Hi")
    assert response.prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert not response.candidates


def test_the_sdk_raises_its_own_errors(client):
    status, body = gemini_generate.encode_error(ErrorInfo(429, "Slow down.", kind="rate_limit", retry_after=3))

    with pytest.raises(errors.ClientError) as caught:
        client(json.dumps(body).encode(), status=status).generate_content(model="m", contents="Hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (429, "RESOURCE_EXHAUSTED", "Slow down.")


def test_the_sdk_raises_on_an_error_inside_a_stream(client):
    content = stream_of(
        ReplyStart("r", "m"),
        BlockStart(0, TextPart("")),
        TextDelta("a", 0),
        StreamError(ErrorInfo(529, "Overloaded.", kind="overloaded")),
    )
    received = []
    with pytest.raises(errors.ServerError) as caught:
        received.extend(item.text for item in client(content).generate_content_stream(model="m", contents="Hi"))
    assert caught.value.code == 503


def test_what_the_sdk_writes_round_trips_and_means_what_was_asked(client):
    seen = []
    answer = json.dumps(gemini_generate.encode_response(COMPLETION, Loss())).encode()
    client(answer, seen).generate_content(
        model="gemini-3-pro",
        contents=[
            types.Content(
                role="user", parts=[types.Part.from_bytes(data=b"hi", mime_type="image/png"), types.Part(text="Look")]
            ),
            types.Content(
                role="model",
                parts=[types.Part(function_call=types.FunctionCall(name="f", args={"a": 1}), thought_signature=b"sig")],
            ),
            types.Content(
                role="user", parts=[types.Part.from_function_response(name="f", response={"output": "done"})]
            ),
        ],
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=0.5,
            max_output_tokens=9,
            stop_sequences=["x"],
            tools=[
                types.Tool(function_declarations=[types.FunctionDeclaration(name="f", parameters={"type": "OBJECT"})])
            ],
            tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),
            thinking_config=types.ThinkingConfig(thinking_level="LOW", include_thoughts=True),
            response_mime_type="application/json",
            response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    request = gemini_generate.decode_request(seen[0], model="gemini-3-pro")
    assert gemini_generate.encode_request(request, ANY, Loss(on_lossy="error")) == seen[0]
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    image = request.messages[1].parts[0]
    assert (image.media, base64.b64decode(image.data)) == ("image", b"hi")
    assert request.messages[3].parts[0].text == "done"
    assert (request.temperature, request.max_tokens, request.stop) == (0.5, 9, ["x"])
    assert (request.tool_choice.mode, request.reasoning.effort, request.output.kind) == (
        "required",
        "low",
        "json_schema",
    )


def check_request(body):
    """The SDK's models take no field that they do not know."""
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.Content.model_validate(body.get("systemInstruction", {}))


@pytest.mark.parametrize("thinking", ["level", "budget", "effort"])
def test_a_request_from_elsewhere_is_one_that_the_sdk_knows(thinking):
    request = Request(
        model="gemini-3-pro",
        messages=[
            Message.system("Be brief."),
            Message.user("Look", MediaPart("image", data="aGk=", media_type="image/png", detail="low")),
            Message("assistant", [TextPart("ok"), ToolCallPart("c", "f", '{"a":1}')]),
            Message(
                "tool", [ToolResultPart("c", [TextPart("x"), MediaPart("image", data="aGk=", media_type="image/png")])]
            ),
            Message.user(MediaPart("document", url="https://example.org/a.pdf")),
        ],
        tools=[Tool("f", "does f", {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}), Tool("g")],
        tool_choice=ToolChoice("tool", ["f"]),
        max_tokens=9,
        temperature=0.1,
        top_p=0.2,
        top_k=3,
        n=2,
        stop=["x"],
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logprobs=2,
        reasoning=Reasoning("low", include=True),
        output=OutputFormat("json_schema", {"type": "object"}),
    )
    check_request(gemini_generate.encode_request(request, Profile(thinking=thinking), Loss()))


def test_embeddings(client):
    seen = []
    answer = json.dumps(gemini_embed.encode_response(Embeddings([[0.5, 1.0], [0.25, 0.0]]))).encode()
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=2)
    response = client(answer, seen).embed_content(model="gemini-embedding-001", contents=["a", "b"], config=config)
    assert [item.values for item in response.embeddings] == [[0.5, 1.0], [0.25, 0.0]]
    request = gemini_embed.decode_request(seen[0])
    assert (request.model, list(request.inputs), request.dimensions, request.task) == (
        "gemini-embedding-001",
        ["a", "b"],
        2,
        "RETRIEVAL_QUERY",
    )
    plain = EmbedRequest(model="gemini-embedding-001", inputs=["a", "b"], dimensions=2, task="RETRIEVAL_QUERY")
    assert gemini_embed.encode_request(request, Loss()) == seen[0]
    for entry in seen[0]["requests"]:
        entry["content"].pop("role", None)
    assert gemini_embed.encode_request(plain, Loss()) == seen[0]
