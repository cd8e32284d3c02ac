"""OpenAI Responses: answers, usage, errors and text slots."""

from __future__ import annotations

import copy
import json

import pytest

from aistrale.dialects import openai_responses as dialect
from aistrale.dialects.base import Loss
from aistrale.dialects.shape import MalformedBody
from aistrale.types import (
    Choice,
    Completion,
    ErrorInfo,
    MediaPart,
    Message,
    OutputFormat,
    ProviderPart,
    Reasoning,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Usage,
    Wire,
)
from tests.dialects.openai_responses_cases import (
    BODY,
    CALL,
    CUSTOM_CALL,
    MESSAGE,
    RESPONSE,
    SEARCH,
    THOUGHT,
    USAGE,
    changed,
    foreign,
    marks,
)


def again(body: dict) -> dict:
    loss = Loss(on_lossy="error")
    return dialect.encode_response(dialect.decode_response(copy.deepcopy(body)), loss)


VARIANTS = [
    RESPONSE,
    {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
    {**RESPONSE, "status": "in_progress", "usage": None, "output": []},
    {**RESPONSE, "status": "queued", "usage": None, "output": []},
    {**RESPONSE, "status": "cancelled"},
    {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []},
    {**RESPONSE, "status": "a_future_status"},
    {**RESPONSE, "status": None},
    {**RESPONSE, "created_at": 1700000000.5},
    {**RESPONSE, "created_at": None},
    {**RESPONSE, "model": None, "id": ""},
    {**RESPONSE, "usage": {"input_tokens": 3, "output_tokens": 2}},
    {**RESPONSE, "usage": {**USAGE, "total_tokens": 999, "cost": 0.1}},
    {**RESPONSE, "usage": {**USAGE, "input_tokens": 1}},
    {**RESPONSE, "output": [{"type": "message", "id": "m", "role": "user", "content": []}]},
    {**RESPONSE, "output": [{"type": "a_future_item", "id": "x", "content": [{"type": "output_text"}]}]},
    {**RESPONSE, "output": [{"type": "message", "role": "assistant", "content": [{"type": "a_future_part"}]}]},
    {**RESPONSE, "instructions": [{"role": "developer", "content": []}]},
    {"object": "response.compaction", "id": "resp_2", "created_at": 1, "output": [{"type": "compaction", "id": "c"}]},
    {key: RESPONSE[key] for key in ("id", "object", "created_at", "output")},
]


@pytest.mark.parametrize("body", VARIANTS, ids=range(len(VARIANTS)))
def test_an_answer_of_this_dialect_is_written_as_it_came(body):
    assert again(body) == body


def test_an_answer_in_the_hub():
    completion = dialect.decode_response(copy.deepcopy(RESPONSE))
    assert (completion.id, completion.model, completion.created) == ("resp_1", "gpt-5-mini-2025-08-07", 1700000000)
    assert completion.finish_reason == "tool_calls"
    assert completion.reasoning == "First.Then.In full."
    assert completion.text == "High at six."
    assert [call.name for call in completion.tool_calls] == ["tide", "sql"]
    kinds = [type(part) for part in completion.message.parts]
    assert kinds == [*[ReasoningPart] * 3, ProviderPart, TextPart, RefusalPart, ToolCallPart, ToolCallPart]
    assert completion.raw is not None
    assert completion.source == "openai_responses"


def test_every_text_in_the_hub_shows_in_the_answer():
    completion = dialect.decode_response(copy.deepcopy(RESPONSE))
    parts = completion.choices[0].message.parts = changed(completion.message.parts, "mark")
    body = dialect.encode_response(completion, Loss())
    text = json.dumps(body)
    assert [mark for mark in marks(parts) if mark not in text] == []
    assert len(marks(parts)) == 9
    for original in ("High at six", "Not that", "First.", "In full", "Brest", "select"):
        assert original not in text
    assert [item["id"] for item in body["output"]] == ["rs_1", "ws_1", "msg_1", "fc_1", "ctc_1"]


def test_parts_can_be_removed_and_added():
    completion = dialect.decode_response(copy.deepcopy(RESPONSE))
    completion.message.parts[:] = [*completion.message.parts[3:5], TextPart("Added.")]
    completion.choices[0].finish_reason = "stop"
    body = dialect.encode_response(completion, Loss())
    assert body["output"][0] == SEARCH
    assert body["output"][1] == {**MESSAGE, "content": MESSAGE["content"][:1]}
    assert body["output"][2]["content"][0]["text"] == "Added."
    assert body["status"] == "completed"


@pytest.mark.parametrize(
    ("status", "details", "output", "wanted"),
    [
        ("completed", None, [MESSAGE], "stop"),
        ("completed", None, [CALL], "tool_calls"),
        ("completed", None, [CUSTOM_CALL], "tool_calls"),
        ("incomplete", {"reason": "max_output_tokens"}, [CALL], "length"),
        ("incomplete", {"reason": "max_messages"}, [], "length"),
        ("incomplete", {"reason": "content_filter"}, [], "content_filter"),
        ("incomplete", {"reason": "steered"}, [], "unknown"),
        ("incomplete", None, [], "unknown"),
        ("failed", None, [], "error"),
        ("in_progress", None, [], "unknown"),
        ("queued", None, [], "unknown"),
        ("cancelled", None, [], "unknown"),
    ],
)
def test_finish_reasons(status, details, output, wanted):
    body = {**RESPONSE, "status": status, "incomplete_details": details, "output": output}
    assert dialect.decode_response(body).finish_reason == wanted


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("unknown", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("error", "failed", None),
    ],
)
def test_finish_reasons_from_elsewhere(reason, status, details):
    completion = Completion("x", "m", [Choice(Message.assistant("hi"), reason)])
    body = dialect.encode_response(completion, Loss())
    assert (body["status"], body["incomplete_details"]) == (status, details)
    assert (body["error"] is None) == (reason != "error")
    assert body["output"][0]["status"] == ("incomplete" if reason == "length" else "completed")


def test_a_changed_finish_reason_shows():
    completion = dialect.decode_response(copy.deepcopy(RESPONSE))
    completion.choices[0].finish_reason = "length"
    assert dialect.encode_response(completion, Loss())["status"] == "incomplete"


def test_an_answer_from_elsewhere():
    completion = Completion(
        "chatcmpl-Ab-9",
        "claude",
        [
            Choice(
                Message.assistant(
                    ReasoningPart("", redacted=True, wire=Wire("anthropic_messages", {"data": "x"})),
                    ReasoningPart("hm"),
                    "ok",
                    RefusalPart("but"),
                    ToolCallPart("c1", "get", '{"a":1}'),
                    ToolCallPart("", "get"),
                    MediaPart("image", data="AAAA", media_type="image/webp"),
                    MediaPart("audio", data="AAAA"),
                    ProviderPart("gemini_generate", {"executableCode": {}}),
                    "end",
                ),
                "tool_calls",
            ),
            Choice(Message.assistant("other"), "stop", index=1),
        ],
        created=7,
    )
    loss = Loss()
    body = dialect.encode_response(completion, loss)
    assert [(item.field, item.action) for item in loss.items] == [
        ("choices[1]", "dropped"),
        ("choices[0].message.parts[0]", "dropped"),
        ("choices[0].message.parts[6]", "emulated"),
        ("choices[0].message.parts[7]", "dropped"),
        ("choices[0].message.parts[8]", "dropped"),
    ]
    assert (body["id"], body["model"], body["created_at"], body["usage"]) == ("resp_9", "claude", 7, None)
    message = {"type": "message", "status": "completed", "role": "assistant"}
    text = {"type": "output_text", "annotations": [], "logprobs": []}
    call = {"type": "function_call", "name": "get", "status": "completed"}
    assert body["output"] == [
        {"id": "rs_ais9_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "id": "msg_ais9_1",
            **message,
            "content": [{**text, "text": "ok"}, {"type": "refusal", "refusal": "but"}],
        },
        {"id": "fc_ais9_2", **call, "call_id": "c1", "arguments": '{"a":1}'},
        {"id": "fc_ais9_3", **call, "call_id": "call_3", "arguments": "{}"},
        {
            "id": "ig_ais9_4",
            "type": "image_generation_call",
            "status": "completed",
            "result": "AAAA",
            "output_format": "webp",
        },
        {"id": "msg_ais9_5", **message, "content": [{**text, "text": "end"}]},
    ]
    assert dialect.decode_response(body).text == "okend"


def test_an_empty_answer_from_elsewhere():
    body = dialect.encode_response(Completion(), Loss())
    assert (body["id"], body["output"], body["created_at"]) == ("resp_0", [], 0)


def test_a_response_repeats_its_request():
    request = foreign(
        Message.system("Be brief."),
        Message.user("x"),
        tools=[Tool("t"), Tool("web", hosted={"type": "w"}, wire=Wire("anthropic_messages"))],
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=0.1,
        max_tokens=5,
        metadata={"a": "b"},
        cache_key="k",
        output=OutputFormat("json_object"),
        reasoning=Reasoning("high"),
    )
    completion = Completion("x", "m", [Choice(Message.assistant("hi"), "stop")])
    body = dialect.encode_response(completion, Loss(), request)
    assert body["instructions"] == "Be brief."
    assert [tool["name"] for tool in body["tools"]] == ["t"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (0.5, 0.1, 5)
    assert (body["metadata"], body["prompt_cache_key"]) == ({"a": "b"}, "k")
    assert body["text"] == {"format": {"type": "json_object"}}
    assert body["reasoning"] == {"effort": "high", "summary": None}
    own = dialect.encode_response(completion, Loss(), dialect.decode_request(copy.deepcopy(BODY)))
    assert own["tools"] == BODY["tools"]
    assert own["text"] == BODY["text"]
    assert own["truncation"] == "auto"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "output"),
        ({"output": "x"}, "output"),
        ({"output": ["x"]}, "output[0]"),
        ({"output": [{"type": "message", "role": "assistant", "content": [3]}]}, "output[0].content[0]"),
        ({"output": [{"type": "function_call", "name": "n", "arguments": ""}]}, "output[0].call_id"),
        ({"output": [], "usage": []}, "usage"),
        ({"output": [], "usage": {"input_tokens": "3"}}, "usage.input_tokens"),
        ({"output": [], "usage": {"output_tokens": -3}}, "usage.output_tokens"),
        ({"output": [], "usage": {"input_tokens_details": 3}}, "usage.input_tokens_details"),
        ({"output": [], "created_at": "now"}, "created_at"),
        ({"output": [], "id": 3}, "id"),
        ({"output": [], "status": "incomplete", "incomplete_details": "x"}, "incomplete_details"),
    ],
)
def test_wrong_shapes_are_named(body, field):
    with pytest.raises(MalformedBody) as caught:
        dialect.decode_response(body)
    assert caught.value.field == field


# --- usage -------------------------------------------------------------------------------------------------------------


def usage_of(usage: dict) -> Usage:
    found = dialect.decode_response({**RESPONSE, "usage": usage}).usage
    assert found is not None
    return found


def test_usage_is_cut_into_disjoint_buckets():
    usage = usage_of(USAGE)
    assert usage == Usage(input=50, cache_read=30, cache_write_30m=15, cache_write_12h=5, output=15, reasoning=25)
    assert (usage.input_total, usage.output_total, usage.total) == (100, 40, 140)
    assert usage.raw == USAGE


def test_what_usage_does_not_tell_is_not_zero():
    assert usage_of({"input_tokens": 3}) == Usage(input=3)
    details = {"cached_tokens": 0, "cache_write_tokens": 4}
    assert usage_of({"input_tokens": 10, "input_tokens_details": details}) == Usage(
        input=6, cache_read=0, cache_write=4
    )
    partly = {**details, "cache_write_tokens_details": {"ttl_30m_tokens": 1, "ttl_12h_tokens": 0}}
    assert usage_of({"input_tokens": 10, "input_tokens_details": partly}) == Usage(
        input=6, cache_read=0, cache_write=3, cache_write_30m=1, cache_write_12h=0
    )
    more = {"cache_write_tokens_details": {"ttl_30m_tokens": 5}}
    assert usage_of({"input_tokens": 10, "input_tokens_details": more}) == Usage(input=5, cache_write_30m=5)


def test_a_changed_count_shows_and_unknown_counts_stay():
    completion = dialect.decode_response({**RESPONSE, "usage": {**USAGE, "cost": 0.1}})
    completion.usage.output = 16
    usage = dialect.encode_response(completion, Loss())["usage"]
    assert usage == {**USAGE, "output_tokens": 41, "total_tokens": 141, "cost": 0.1}


def test_usage_from_elsewhere():
    usage = Usage(input=10, cache_read=5, cache_write_5m=3, output=7, audio_input=2, reasoning=1)
    loss = Loss()
    body = dialect.encode_response(Completion("x", "m", [], usage), loss)
    assert body["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 28,
    }
    assert [item.field for item in loss.items] == ["usage.cache_write_5m", "usage.audio_input"]
    usage = Usage(input=1, cache_write_30m=2, output=3)
    body = dialect.encode_response(Completion("x", "m", [], usage), loss)
    assert usage_of(body["usage"]) == Usage(
        input=1, cache_read=0, cache_write_30m=2, cache_write_12h=0, output=3, reasoning=0
    )


def test_counted_tokens():
    assert dialect.decode_token_count({"object": "response.input_tokens", "input_tokens": 16}) == 16


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "kind", "wanted"),
    [
        (400, {"type": "invalid_request_error", "code": "context_length_exceeded"}, "context_length", 400),
        (400, {"type": "invalid_request_error", "code": "unsupported_file"}, "invalid_request", 400),
        (400, {"type": "invalid_request_error", "code": "bio_policy"}, "content_filter", 400),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, "authentication", 401),
        (404, {"code": "model_not_found"}, "model_not_found", 404),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, "rate_limit", 429),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, "quota", 429),
        (500, {"type": "server_error", "code": None}, "server", 500),
        (503, {"code": "bio_policy"}, "overloaded", 503),
        (200, {"code": "rate_limit_exceeded"}, "rate_limit", 429),
        (None, {"code": "image_too_large"}, "invalid_request", 400),
        (200, {"code": "vector_store_timeout"}, "server", 504),
        (None, {"code": "something_new"}, "unknown", None),
    ],
)
def test_errors(status, error, kind, wanted):
    body = {"error": {"message": "m", "param": "input", **error}}
    info = dialect.decode_error(status, {"x-request-id": "req_1", "retry-after-ms": "20"}, json.dumps(body).encode())
    assert (info.kind, info.status, info.message, info.param) == (kind, wanted, "m", "input")
    assert (info.type, info.code) == (error.get("type"), error.get("code"))
    assert (info.request_id, info.retry_after) == ("req_1", 0.02)
    if status is not None and status >= 400:
        again = dialect.encode_error(info)
        assert again[0] == status
        assert {key: value for key, value in again[1]["error"].items() if key in body["error"] and value} == {
            key: value for key, value in body["error"].items() if value
        }


def test_a_failed_response_is_an_error():
    body = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "sorry"}, "output": []}
    assert dialect.is_error_body(body)
    info = dialect.decode_error(200, {}, json.dumps(body).encode())
    assert (info.kind, info.status, info.code, info.message) == ("server", 500, "server_error", "sorry")
    assert dialect.is_error_body({"error": {"message": "x"}})
    assert not dialect.is_error_body(RESPONSE)
    assert not dialect.is_error_body({**RESPONSE, "error": {"message": "x"}})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b'{"error": 3}', b'{"error": {"code": []}}', b"\xff"])
def test_unreadable_errors_are_read_all_the_same(body):
    info = dialect.decode_error(502, {"retry-after": "soon"}, body)
    assert (info.status, info.kind, info.retry_after) == (502, "server", None)


def test_errors_from_elsewhere():
    overloaded = ErrorInfo(529, "busy", "overloaded_error", kind="overloaded", body={"type": "error"})
    status, body = dialect.encode_error(overloaded)
    assert (status, body["error"]["message"]) == (503, "busy")
    assert body["error"].keys() >= {"message", "type", "code", "param"}


def test_an_error_inside_a_stream():
    (frame,) = dialect.encode_stream_error(ErrorInfo(429, "slow", code="rate_limit_exceeded", kind="rate_limit"))
    event = json.loads(frame.data)
    assert (frame.event, event["type"], event["sequence_number"]) == ("error", "error", 0)
    assert (event["code"], event["message"]) == (event["error"]["code"], "slow")


# --- slots -------------------------------------------------------------------------------------------------------------


def test_slots_of_a_request():
    body = {
        **copy.deepcopy(BODY),
        "prompt": {"id": "pmpt", "variables": {"who": "Ann", "pic": {"type": "input_text", "text": "t"}}},
    }
    body["tools"].append(
        {"type": "namespace", "name": "n", "description": "Space", "tools": [{"type": "function", "description": "In"}]}
    )
    slots = list(dialect.text_slots(body))
    texts = {slot.path: (slot.kind, slot.text) for slot in slots}
    assert texts["instructions"] == ("text", "You are a harbour master.")
    assert texts["input[0].content"] == ("text", "Be brief.")
    assert texts["input[3].summary[1].text"] == ("text", "Then.")
    assert texts["input[3].content[0].text"] == ("text", "In full.")
    assert texts["input[4].content[0].annotations[0].title"] == ("text", "Tides")
    assert texts["input[4].content[1].refusal"] == ("text", "Not that.")
    assert texts["input[5].arguments"] == ("json", '{"port": "Brest"}')
    assert texts["input[6].output"] == ("json", '{"at": "06:10"}')
    assert texts["input[7].input"] == ("text", 'select "a"\nfrom b')
    assert texts["input[8].output[0].text"] == ("text", "3 rows")
    assert texts["input[10].content[3].filename"] == ("name", "a.pdf")
    assert texts["input[14].action.query"] == ("text", "tides")
    assert texts["tools[0].description"] == ("text", "Tide table")
    assert texts["tools[0].parameters.properties.port.description"] == ("text", "Harbour")
    assert texts["tools[4].user_location.city"] == ("text", "Brest")
    assert texts["tools[5].server_description"] == ("text", "Docs")
    assert texts["tools[6].tools[0].description"] == ("text", "In")
    assert texts["text.format.description"] == ("text", "The answer")
    assert texts["prompt.variables.who"] == ("text", "Ann")
    assert texts["prompt.variables.pic.text"] == ("text", "t")
    assert texts["metadata.ship"] == ("text", "Calypso")
    assert (texts["user"], texts["safety_identifier"]) == (("name", "u-2"), ("name", "u-1"))
    machine = {"gAAA", "rs_1", "msg_1", "call_1", "tide", "low", "file-1", "AAAA", "completed", "https://x.test"}
    assert machine & {slot.text for slot in slots} == set()
    assert not any("base64" in slot.text for slot in slots)


def test_slots_write_in_place():
    body = copy.deepcopy(RESPONSE)
    paths = []
    for number, slot in enumerate(dialect.text_slots(body)):
        paths.append(slot.path)
        slot.replace(f"slot {number}")
    assert body["output"][2]["content"][0]["text"] == f"slot {paths.index('output[2].content[0].text')}"
    assert [slot.text for slot in dialect.text_slots(body)] == [f"slot {number}" for number in range(len(paths))]


HOSTED = [
    (
        {"type": "code_interpreter_call", "code": "print(1)", "outputs": [{"type": "logs", "logs": "1"}]},
        ["print(1)", "1"],
    ),
    ({"type": "file_search_call", "queries": ["q"], "results": [{"text": "t", "filename": "f"}]}, ["q", "t", "f"]),
    ({"type": "mcp_call", "name": "n", "arguments": '{"a":1}', "output": "o", "error": None}, ['{"a":1}', "o"]),
    (
        {"type": "mcp_list_tools", "tools": [{"name": "n", "description": "d", "input_schema": {"title": "t"}}]},
        ["d", "t"],
    ),
    ({"type": "computer_call", "action": {"type": "type", "text": "hello"}}, ["hello"]),
    ({"type": "local_shell_call", "action": {"command": ["ls", "-a"], "env": {"WHO": "me"}}}, ["ls", "-a", "me"]),
    ({"type": "shell_call_output", "output": [{"stdout": "out", "stderr": ""}]}, ["out"]),
    ({"type": "apply_patch_call", "operation": {"diff": "+a", "path": "a.txt", "type": "x"}}, ["+a", "a.txt"]),
    ({"type": "image_generation_call", "result": "AAAA", "revised_prompt": "a cat"}, ["a cat"]),
    ({"type": "program_output", "result": "[1]"}, ["[1]"]),
    ({"type": "tool_search_call", "arguments": {"goal": "fx"}}, ["fx"]),
    ({"role": "user", "name": "Ann", "content": "hi"}, ["Ann", "hi"]),
    ({**THOUGHT, "encrypted_content": "gAAA"}, ["First.", "Then.", "In full."]),
]


@pytest.mark.parametrize(("item", "texts"), HOSTED, ids=lambda value: value.get("type") if type(value) is dict else "")
def test_slots_of_items(item, texts):
    assert [slot.text for slot in dialect.text_slots({"output": [copy.deepcopy(item)]})] == texts
