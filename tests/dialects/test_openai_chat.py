from __future__ import annotations

import copy
import json

import pytest

from aistrale.dialects import openai_chat
from aistrale.dialects.base import ANY, Loss, Profile
from aistrale.dialects.shape import MalformedBody
from aistrale.errors import InvalidRequestError
from aistrale.types import (
    CacheHint,
    ErrorInfo,
    MediaPart,
    Message,
    ProviderPart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)

USER = {"role": "user", "content": "hello"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def request(**fields):
    return {"model": "m", "messages": [USER], **fields}


def there_and_back(body, profile=ANY):
    before = copy.deepcopy(body)
    decoded = openai_chat.decode_request(body)
    assert body == before, "decoding changed its input"
    loss = Loss()
    encoded = openai_chat.encode_request(decoded, profile, loss)
    assert loss.items == []
    return encoded


def answer(message, **choice):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", **choice}],
    }


# --- requests: the body comes back as it was ---------------------------------------------------------------------------

MESSAGES = {
    "string": {"role": "user", "content": "hi"},
    "empty string": {"role": "user", "content": ""},
    "null": {"role": "user", "content": None},
    "no content": {"role": "system"},
    "named": {"role": "user", "name": "ana", "content": "hi"},
    "null name": {"role": "user", "name": None, "content": "hi", "tool_calls": None},
    "developer": {"role": "developer", "content": "be brief"},
    "developer parts": {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
    "no parts": {"role": "user", "content": []},
    "one part": {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    "empty text part": {"role": "user", "content": [{"type": "text", "text": ""}]},
    "null siblings": {"role": "user", "content": [{"type": "text", "text": "hi", "image_url": None}]},
    "breakpoint": {
        "role": "user",
        "content": [{"type": "text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}],
    },
    "breakpoint without ttl": {
        "role": "user",
        "content": [{"type": "text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}}],
    },
    "image link": {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}],
    },
    "image data": {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "extra": 1}}],
    },
    "image data with parameters": {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;charset=x;base64,AAAA"}}],
    },
    "image data in plain text": {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}],
    },
    "image as bare string": {"role": "user", "content": [{"type": "image_url", "image_url": "https://x.test/a.png"}]},
    "video": {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}]},
    "audio link": {"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": "https://x.test/a.mp3"}}]},
    "audio": {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}]},
    "audio of another format": {
        "role": "user",
        "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mpeg"}}],
    },
    "audio without format": {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]},
    "file": {
        "role": "user",
        "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}],
    },
    "file by id": {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
    "file of bare base64": {"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]},
    "file by link": {"role": "user", "content": [{"type": "file", "file": {"file_data": "https://x.test/a.pdf"}}]},
    "image as file": {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:image/png;base64,AA"}}]},
    "unknown part": {"role": "user", "content": [{"type": "document", "document": {"data": {"a": "b"}, "id": "1"}}]},
    "unknown role": {"role": "critic", "content": "hm"},
    "assistant text": {"role": "assistant", "content": "hi", "refusal": None, "annotations": []},
    "assistant empty refusal": {"role": "assistant", "content": "hi", "refusal": ""},
    "assistant refusal": {"role": "assistant", "content": None, "refusal": "no"},
    "assistant refusal part": {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    "assistant image": {
        "role": "assistant",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
    },
    "assistant audio": {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
    "assistant nothing": {"role": "assistant"},
    "reasoning": {"role": "assistant", "content": "4", "reasoning": "2+2"},
    "reasoning_content": {"role": "assistant", "content": "4", "reasoning_content": "2+2"},
    "both, equal": {"role": "assistant", "content": "4", "reasoning": "2+2", "reasoning_content": "2+2"},
    "both, different": {"role": "assistant", "content": "4", "reasoning": "2+2", "reasoning_content": "two"},
    "reasoning null": {"role": "assistant", "content": "4", "reasoning": None, "reasoning_content": ""},
    "reasoning state": {"role": "assistant", "content": "4", "reasoning_details": [{"type": "x", "data": "zz"}]},
    "no calls": {"role": "assistant", "content": "4", "tool_calls": []},
    "call": {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}, "index": 0},
            {"id": "c2", "type": "function", "function": {"name": "get", "arguments": ""}},
        ],
    },
    "call without type and id": {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "get", "arguments": "{}"}}, {"id": None, "function": {"name": "get"}}],
    },
    "call with odd ids": {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "", "type": "function", "function": {"name": "get", "arguments": None}},
            {"id": 7, "type": "function", "function": {"name": "get", "arguments": {"a": [1, {"b": None}]}}},
        ],
    },
    "call with state": {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "get", "arguments": "{}", "description": "x"},
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ],
    },
    "custom call": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sql", "input": 'select "a"\n', "x": 1}}],
    },
    "unknown call": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "mcp", "mcp": {"server": "s"}}],
    },
    "function_call": {"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": "{}"}},
    "function result": {"role": "function", "name": "get", "content": "42"},
    "function result null": {"role": "function", "name": "get", "content": None},
    "tool": {"role": "tool", "tool_call_id": "c1", "content": "42"},
    "tool named": {"role": "tool", "tool_call_id": "c1", "name": "get", "content": "42", "is_error": True},
    "tool parts": {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
    "tool image": {
        "role": "tool",
        "tool_call_id": "c1",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
    },
    "tool empty": {"role": "tool", "tool_call_id": "c1", "content": ""},
    "tool without id": {"role": "tool", "content": "42"},
    "unknown fields": {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}, "weight": 0.5},
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_comes_back_as_it_was(name: str) -> None:
    body = request(messages=[copy.deepcopy(MESSAGES[name])])
    assert there_and_back(body) == body


OPTIONS = {
    "nothing": {},
    "limits": {"max_completion_tokens": 5, "max_tokens": 7},
    "old limit": {"max_tokens": 7},
    "null limits": {"max_completion_tokens": None, "max_tokens": 7},
    "sampling": {"temperature": 0, "top_p": 0.5, "seed": 1, "presence_penalty": -1, "frequency_penalty": 0.25},
    "nulls": {"temperature": None, "tools": None, "stop": None, "response_format": None, "n": None, "logprobs": None},
    "stop string": {"stop": "x"},
    "stop list": {"stop": ["x"]},
    "no stop": {"stop": []},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "logprobs alone": {"logprobs": True},
    "zero alternatives": {"logprobs": True, "top_logprobs": 0},
    "logprobs off": {"logprobs": False, "top_logprobs": None},
    "alternatives without logprobs": {"top_logprobs": 3},
    "bias": {"logit_bias": {"50256": -100}},
    "n": {"n": 3},
    "user": {"user": "u"},
    "safety identifier": {"safety_identifier": "u"},
    "both": {"user": "u", "safety_identifier": "s"},
    "metadata": {"metadata": {"a": "b"}, "store": True},
    "odd metadata": {"metadata": {"a": 1}},
    "cache": {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}},
    "tier": {"service_tier": "flex"},
    "stream": {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    "no stream": {"stream": False},
    "effort": {"reasoning_effort": "xhigh", "verbosity": "low"},
    "groq effort": {"reasoning_effort": "default", "reasoning_format": "parsed", "include_reasoning": True},
    "effort of tomorrow": {"reasoning_effort": "ultra"},
    "no tools": {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False},
    "tools": {
        "tools": [
            {"type": "function", "function": {"name": "a", "description": "d", "parameters": SCHEMA, "strict": True}},
            {"type": "function", "function": {"name": "b"}},
            {"type": "function", "function": {"name": "c", "description": None, "parameters": None, "strict": None}},
            {"function": {"name": "d", "x": 1}, "y": 2},
            {"type": "custom", "custom": {"name": "e", "description": "f", "format": {"type": "text"}}},
            {"type": "custom", "custom": {"name": "g"}},
            {"type": "browser_search"},
            {"type": "mcp", "name": "h", "server_url": "https://x.test"},
        ],
        "tool_choice": "required",
    },
    "named": {"tools": [], "tool_choice": {"type": "function", "function": {"name": "a"}}},
    "named untyped": {"tools": [], "tool_choice": {"function": {"name": "a"}}},
    "named custom": {"tool_choice": {"type": "custom", "custom": {"name": "e"}}},
    "allowed": {
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [
                    {"type": "function", "function": {"name": "a"}},
                    {"type": "custom", "custom": {"name": "e"}},
                ],
            },
        }
    },
    "allowed one": {
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "a"}}]},
        }
    },
    "allowed mcp": {
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]},
        }
    },
    "choice of tomorrow": {"tool_choice": "any"},
    "functions": {"functions": [{"name": "a", "description": "d", "parameters": SCHEMA}], "function_call": "auto"},
    "function named": {"functions": [{"name": "a"}], "function_call": {"name": "a"}},
    "no functions": {"functions": [], "function_call": "none"},
    "text": {"response_format": {"type": "text"}},
    "json": {"response_format": {"type": "json_object"}},
    "schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d", "x": 1},
        }
    },
    "schema without name": {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
    "schema inline": {"response_format": {"type": "json_object", "value": SCHEMA}},
    "schema of llama.cpp": {"response_format": {"type": "json_object", "schema": SCHEMA}},
    "grammar": {"response_format": {"type": "grammar", "syntax": "lark"}},
    "audio": {"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "search": {"web_search_options": {"search_context_size": "low"}},
    "compatible servers": {"top_k": 5, "min_p": 0.1, "guided_json": SCHEMA, "documents": [{"id": "1"}]},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_come_back_as_they_were(name: str) -> None:
    body = request(**copy.deepcopy(OPTIONS[name]))
    assert there_and_back(body) == body


def test_a_body_without_a_model_takes_the_urls() -> None:
    assert there_and_back({"messages": [USER]}) == {"messages": [USER]}
    assert openai_chat.decode_request({"messages": [USER]}, model="deployment").model == "deployment"
    assert openai_chat.decode_request({"messages": [USER], "stream": False}, stream=True).stream is True


# --- requests: the hub's words --------------------------------------------------------------------------------------


def test_the_hub_sees_what_a_request_says() -> None:
    decoded = openai_chat.decode_request(
        request(
            messages=[
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": [{"type": "text", "text": "look"}, *MESSAGES["image data"]["content"]]},
                MESSAGES["call"],
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            **OPTIONS["sampling"],
            **OPTIONS["tools"],
            **OPTIONS["schema"],
            max_tokens=9,
            stop="x",
            logprobs=True,
            reasoning_effort="low",
            prompt_cache_key="k",
        )
    )
    assert [message.role for message in decoded.messages] == ["system", "user", "assistant", "tool"]
    image = decoded.messages[1].parts[1]
    assert isinstance(image, MediaPart)
    assert (image.media, image.media_type, image.data) == ("image", "image/png", "AAAA")
    assert [(call.id, call.name) for call in decoded.messages[2].tool_calls] == [("c1", "get"), ("c2", "get")]
    result = decoded.messages[3].parts[0]
    assert isinstance(result, ToolResultPart)
    assert (result.call_id, result.name, result.text) == ("c1", "get", "42")
    assert (decoded.max_tokens, decoded.stop, decoded.logprobs, decoded.temperature) == (9, ["x"], 0, 0)
    assert [tool.name for tool in decoded.tools] == ["a", "b", "c", "d", "e", "g", "browser_search", "h"]
    assert decoded.tools[0].strict is True
    assert decoded.tools[4].hosted is not None
    assert decoded.tool_choice is not None
    assert decoded.tool_choice.mode == "required"
    assert decoded.output is not None
    assert (decoded.output.kind, decoded.output.schema, decoded.output.name) == ("json_schema", SCHEMA, "n")
    assert decoded.reasoning is not None
    assert decoded.reasoning.effort == "low"
    assert decoded.cache_key == "k"
    assert decoded.source == "openai_chat"


def test_legacy_calls_and_results_belong_together() -> None:
    decoded = openai_chat.decode_request(
        request(messages=[USER, MESSAGES["function_call"], MESSAGES["function result"], MESSAGES["function_call"]])
    )
    call = decoded.messages[1].tool_calls[0]
    result = decoded.messages[2].parts[0]
    assert isinstance(result, ToolResultPart)
    assert (call.id, result.call_id, result.name) == ("call_get", "call_get", "get")
    assert decoded.messages[3].tool_calls[0].id == "call_get_2"


def test_custom_calls_hold_their_text_as_json() -> None:
    decoded = openai_chat.decode_request(request(messages=[MESSAGES["custom call"]]))
    assert decoded.messages[0].tool_calls[0].input == {"input": 'select "a"\n'}


def test_a_file_of_an_image_is_an_image() -> None:
    decoded = openai_chat.decode_request(request(messages=[MESSAGES["image as file"]]))
    part = decoded.messages[0].parts[0]
    assert isinstance(part, MediaPart)
    assert part.media == "image"


def test_missing_ids_are_minted_by_position_and_stay_apart() -> None:
    message = {
        "role": "assistant",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
            {"type": "function", "function": {"name": "b", "arguments": "{}"}},
        ],
    }
    decoded = openai_chat.decode_request(request(messages=[message]))
    assert [call.id for call in decoded.messages[0].tool_calls] == ["call_1", "call_2"]


def changed(value, marks):
    """Change every text, name and argument that the hub holds; returns how many."""
    count = 0
    for part in value.parts:
        if isinstance(part, ProviderPart):
            continue
        count += 1
        mark = f"changed {len(marks)}"
        marks.append(mark)
        if isinstance(part, (TextPart, RefusalPart, ReasoningPart)):
            part.text = mark
        elif isinstance(part, ToolCallPart):
            part.arguments = json.dumps({"input": mark})
            part.name = mark.replace(" ", "_")
            marks.append(part.name)
        elif isinstance(part, ToolResultPart):
            part.content = [TextPart(mark)]
        elif isinstance(part, MediaPart):
            if part.url is not None:
                part.url = f"https://{mark.replace(' ', '.')}"
                marks[-1] = part.url
            elif part.data is not None:
                part.data = mark
            else:
                part.file_id = mark
    if value.name is not None:
        value.name = f"changed {len(marks)}"
        marks.append(value.name)
    return count


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_changed_in_the_hub_shows_in_the_body(name: str) -> None:
    body = request(messages=[copy.deepcopy(MESSAGES[name])])
    decoded = openai_chat.decode_request(body)
    marks: list[str] = []
    changed(decoded.messages[0], marks)
    if decoded.messages[0].role == "tool" and "function" in name:
        decoded.messages[0].parts[0].name = "changed name"
        marks.append("changed name")
    encoded = json.dumps(openai_chat.encode_request(decoded, ANY, Loss()))
    for mark in marks:
        assert mark in encoded, mark
    decoded.messages.append(Message.user("one more"))
    decoded.messages[0].parts.clear()
    emptied = openai_chat.encode_request(decoded, ANY, Loss())["messages"]
    assert emptied[-1] == {"role": "user", "content": "one more"}
    assert not any(mark in json.dumps(emptied) for mark in marks if name != "named" and "name" not in mark)


def test_changed_options_show_in_the_body() -> None:
    body = request(
        **OPTIONS["sampling"],
        **OPTIONS["tools"],
        **OPTIONS["schema"],
        stop="x",
        max_tokens=5,
        user="u",
        metadata={"a": "b"},
        logprobs=True,
        reasoning_effort="low",
        stream=False,
    )
    decoded = openai_chat.decode_request(body)
    decoded.model = "other"
    decoded.temperature = 0.75
    decoded.stop = ["y", "z"]
    decoded.max_tokens = 6
    decoded.user = "v"
    decoded.metadata = {"a": "c"}
    decoded.logprobs = None
    decoded.stream = True
    decoded.tools[0].description = "new"
    decoded.tools[0].parameters = {"type": "object"}
    decoded.tools[4].name = "renamed"
    decoded.tools[4].description = "new too"
    del decoded.tools[1]
    decoded.output.schema = {"type": "array"}
    decoded.reasoning.effort = "high"
    decoded.tool_choice = None
    encoded = openai_chat.encode_request(decoded, ANY, Loss())
    assert (encoded["model"], encoded["temperature"], encoded["stop"]) == ("other", 0.75, ["y", "z"])
    assert (encoded["max_tokens"], encoded["user"], encoded["metadata"]) == (6, "v", {"a": "c"})
    assert encoded["stream"] is True
    assert encoded["reasoning_effort"] == "high"
    assert not {"logprobs", "tool_choice"} & encoded.keys()
    assert encoded["tools"][0]["function"]["description"] == "new"
    assert encoded["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert [tool["function"]["name"] for tool in encoded["tools"] if "function" in tool] == ["a", "c", "d"]
    assert encoded["tools"][3]["custom"] == {"name": "renamed", "description": "new too", "format": {"type": "text"}}
    assert encoded["response_format"]["json_schema"]["schema"] == {"type": "array"}


def test_extra_fields_go_into_the_body() -> None:
    decoded = openai_chat.decode_request(request())
    decoded.extra = {"min_p": 0.5}
    assert openai_chat.encode_request(decoded, ANY, Loss())["min_p"] == 0.5


MALFORMED = {
    "messages": {"model": "m"},
    "messages[0]": {"messages": ["hi"]},
    "messages[0].role": {"messages": [{"content": "hi"}]},
    "messages[0].content": {"messages": [{"role": "user", "content": 5}]},
    "messages[0].content[0]": {"messages": [{"role": "user", "content": ["hi"]}]},
    "messages[0].content[0].text": {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    "messages[0].content[0].image_url": {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    "messages[0].content[0].image_url.url": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]
    },
    "messages[0].content[0].input_audio.data": {
        "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]
    },
    "messages[0].content[0].file": {"messages": [{"role": "user", "content": [{"type": "file"}]}]},
    "messages[0].name": {"messages": [{"role": "user", "content": "hi", "name": 5}]},
    "messages[0].refusal": {"messages": [{"role": "assistant", "refusal": 5}]},
    "messages[0].tool_calls": {"messages": [{"role": "assistant", "tool_calls": {}}]},
    "messages[0].tool_calls[0]": {"messages": [{"role": "assistant", "tool_calls": [1]}]},
    "messages[0].tool_calls[0].function": {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
    "messages[0].tool_calls[0].function.name": {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
    "messages[0].tool_calls[0].function.arguments": {
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": 1}}]}]
    },
    "messages[0].tool_calls[0].custom.input": {
        "messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "a"}}]}]
    },
    "messages[0].function_call": {"messages": [{"role": "assistant", "function_call": "x"}]},
    "messages[0].tool_call_id": {"messages": [{"role": "tool", "tool_call_id": 5, "content": "x"}]},
    "model": {"model": 5, "messages": []},
    "stream": {"messages": [], "stream": "yes"},
    "temperature": {"messages": [], "temperature": "hot"},
    "max_tokens": {"messages": [], "max_tokens": 1.5},
    "n": {"messages": [], "n": True},
    "stop": {"messages": [], "stop": 5},
    "stop[1]": {"messages": [], "stop": ["a", 5]},
    "logprobs": {"messages": [], "logprobs": 1},
    "logit_bias.a": {"messages": [], "logit_bias": {"a": "b"}},
    "tools": {"messages": [], "tools": {}},
    "tools[0]": {"messages": [], "tools": ["x"]},
    "tools[0].function": {"messages": [], "tools": [{"type": "function"}]},
    "tools[0].function.name": {"messages": [], "tools": [{"type": "function", "function": {}}]},
    "tools[0].function.parameters": {
        "messages": [],
        "tools": [{"type": "function", "function": {"name": "a", "parameters": "x"}}],
    },
    "response_format.json_schema": {"messages": [], "response_format": {"type": "json_schema"}},
    "response_format.json_schema.schema": {
        "messages": [],
        "response_format": {"type": "json_schema", "json_schema": {"schema": 1}},
    },
}


@pytest.mark.parametrize("field", MALFORMED)
def test_a_wrong_shape_names_the_field(field: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        openai_chat.decode_request(MALFORMED[field])
    assert caught.value.field == field


# --- requests: profiles ---------------------------------------------------------------------------------------------


def encoded_for(profile: Profile, body, on_unsupported="drop"):
    loss = Loss(on_unsupported=on_unsupported, profile=profile)
    return openai_chat.encode_request(openai_chat.decode_request(body), profile, loss), loss


def test_the_profile_names_the_output_limit() -> None:
    older = Profile(max_tokens_field="max_tokens")
    assert there_and_back(request(max_completion_tokens=5), older)["max_tokens"] == 5
    assert "max_completion_tokens" not in there_and_back(request(max_completion_tokens=5), older)
    assert there_and_back(request(max_tokens=5))["max_tokens"] == 5
    # Reasoning models refuse the older name.
    assert there_and_back(request(max_tokens=5), Profile(sampling=False))["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("profile", "options", "field"),
    [
        (Profile(sampling=False), {"temperature": 0.5}, "temperature"),
        (Profile(sampling=False), {"top_p": 0.5}, "top_p"),
        (Profile(stop=0), {"stop": ["x"]}, "stop"),
        (Profile(unsupported=frozenset({"logprobs"})), {"logprobs": True}, "logprobs"),
        (Profile(unsupported=frozenset({"logit_bias"})), {"logit_bias": {"1": 1}}, "logit_bias"),
        (Profile(unsupported=frozenset({"n"})), {"n": 2}, "n"),
        (Profile(unsupported=frozenset({"seed"})), {"seed": 2}, "seed"),
        (Profile(unsupported=frozenset({"user"})), {"user": "u"}, "user"),
        (Profile(unsupported=frozenset({"service_tier"})), {"service_tier": "flex"}, "service_tier"),
        (Profile(unsupported=frozenset({"metadata"})), {"metadata": {"a": "b"}}, "metadata"),
        (Profile(unsupported=frozenset({"tools"})), {"tools": OPTIONS["tools"]["tools"]}, "tools"),
        (Profile(thinking="none"), {"reasoning_effort": "low"}, "reasoning.effort"),
        (
            Profile(unsupported=frozenset({"tool_choice"})),
            {"tools": OPTIONS["tools"]["tools"], "tool_choice": "auto"},
            "tool_choice",
        ),
        (
            Profile(unsupported=frozenset({"parallel_tool_calls"})),
            {"parallel_tool_calls": True},
            "parallel_tool_calls",
        ),
    ],
)
def test_what_the_target_does_not_take_is_refused_or_recorded(profile: Profile, options, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoded_for(profile, request(**options), on_unsupported="error")
    assert caught.value.param == field
    encoded, loss = encoded_for(profile, request(**options))
    assert [(item.field, item.action) for item in loss.items] == [(field, "dropped")]
    name = {"reasoning.effort": "reasoning_effort"}.get(field, field)
    assert name not in encoded


def test_defaults_are_no_demand() -> None:
    encoded, loss = encoded_for(
        Profile(sampling=False, unsupported=frozenset({"n"})), request(temperature=1, top_p=1.0, n=1)
    )
    assert loss.items == []
    assert encoded["temperature"] == 1
    assert "n" not in encoded


def test_too_many_stop_sequences_are_cut_only_when_that_was_asked_for() -> None:
    with pytest.raises(InvalidRequestError):
        encoded_for(Profile(stop=2), request(stop=["a", "b", "c"]), on_unsupported="error")
    encoded, loss = encoded_for(Profile(stop=2), request(stop=["a", "b", "c"]))
    assert encoded["stop"] == ["a", "b"]
    assert len(loss.items) == 1


@pytest.mark.parametrize(
    ("effort", "efforts", "expected"),
    [
        ("high", ("low", "medium", "high"), "high"),
        ("xhigh", ("low", "medium", "high"), "high"),
        ("none", ("low", "medium"), "low"),
        ("minimal", ("none", "low"), "none"),
        ("high", ("none", "default"), "default"),
        ("max", ("none",), "none"),
    ],
)
def test_an_effort_becomes_the_nearest_that_the_model_has(effort: str, efforts, expected: str) -> None:
    encoded, loss = encoded_for(Profile(efforts=efforts), request(reasoning_effort=effort))
    assert encoded["reasoning_effort"] == expected
    assert [item.action for item in loss.items] == ([] if effort == expected else ["emulated"])


def test_groqs_default_effort_is_no_effort_elsewhere() -> None:
    encoded, loss = encoded_for(Profile(efforts=("low", "high")), request(reasoning_effort="default"))
    assert "reasoning_effort" not in encoded
    assert loss.items == []


def test_media_that_the_target_does_not_take_are_refused() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoded_for(Profile(media=frozenset({"image"})), request(messages=[MESSAGES["audio"]]))
    assert caught.value.param == "messages[0].parts[0]"
    with pytest.raises(InvalidRequestError):
        encoded_for(Profile(media_urls=False), request(messages=[MESSAGES["image link"]]))
    encoded_for(Profile(media_urls=False), request(messages=[MESSAGES["image data"]]))


def test_a_schema_is_asked_for_as_strongly_as_the_target_can() -> None:
    encoded, loss = encoded_for(Profile(structured="json"), request(**OPTIONS["schema"]))
    assert encoded["response_format"] == {"type": "json_object"}
    assert [item.action for item in loss.items] == ["emulated"]
    encoded, loss = encoded_for(Profile(structured="prompt"), request(**OPTIONS["schema"]))
    assert "response_format" not in encoded
    assert [item.action for item in loss.items] == ["emulated"]


# --- answers --------------------------------------------------------------------------------------------------------

ANSWERS = {
    "text": answer({"role": "assistant", "content": "hi", "refusal": None, "annotations": []}),
    "null": answer({"role": "assistant", "content": None}),
    "empty": answer({"role": "assistant", "content": ""}),
    "missing": answer({"role": "assistant"}),
    "no role": answer({"content": "hi"}),
    "null role": answer({"role": None, "content": "hi"}),
    "refusal": answer({"role": "assistant", "content": None, "refusal": "no"}),
    "parts": answer(
        {"role": "assistant", "content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}]}
    ),
    "reasoning": answer({"role": "assistant", "content": "4", "reasoning": "2+2"}),
    "reasoning_content": answer({"role": "assistant", "content": "4", "reasoning_content": "2+2"}),
    "think tags": answer({"role": "assistant", "content": "<think>2+2</think>4"}),
    "calls": answer(
        {"role": "assistant", "content": None, "tool_calls": MESSAGES["call"]["tool_calls"]}, finish_reason="tool_calls"
    ),
    "calls that stop": answer(
        {"role": "assistant", "content": "", "tool_calls": MESSAGES["call"]["tool_calls"]}, finish_reason="stop"
    ),
    "custom call": answer(MESSAGES["custom call"], finish_reason="tool_calls"),
    "function_call": answer(MESSAGES["function_call"], finish_reason="function_call"),
    "no calls": answer({"role": "assistant", "content": "hi", "tool_calls": [], "function_call": None}),
    "audio": answer(
        {
            "role": "assistant",
            "content": None,
            "audio": {"id": "a1", "data": "AAAA", "expires_at": 5, "transcript": "hello"},
        }
    ),
    "silent audio": answer({"role": "assistant", "content": None, "audio": {"id": "a1", "transcript": ""}}),
    "null audio": answer({"role": "assistant", "content": "hi", "audio": None}),
    "citations": answer(
        {
            "role": "assistant",
            "content": "hi",
            "annotations": [
                {"type": "url_citation", "url_citation": {"title": "t", "url": "u", "start_index": 0, "end_index": 1}}
            ],
        }
    ),
    "eos": answer({"role": "assistant", "content": "hi"}, finish_reason="eos_token"),
    "reason of tomorrow": answer({"role": "assistant", "content": "hi"}, finish_reason="bored"),
    "null reason": answer({"role": "assistant", "content": "hi"}, finish_reason=None),
    "logprobs": answer(
        {"role": "assistant", "content": "hi"}, logprobs={"content": [{"token": "hi"}], "refusal": None}
    ),
    "filtered": {
        "id": "1",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "content_filter", "content_filter_results": {"hate": {}}}],
    },
    "several": {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 1, "message": {"role": "assistant", "content": "b"}, "finish_reason": "stop"},
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "length"},
        ],
    },
    "no choices": {"id": "1", "choices": []},
    "bare": {"choices": [{"message": {"content": "hi"}}]},
    "text completion": {
        "id": "1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"text": "hi", "index": 0, "logprobs": None, "finish_reason": "length"}],
    },
    "groq": {
        **answer({"role": "assistant", "content": "hi", "executed_tools": [{"type": "search"}]}),
        "x_groq": {"id": "req_9", "seed": 4},
        "usage_breakdown": None,
    },
    "clock with fractions": {**answer({"role": "assistant", "content": "hi"}), "created": 1700000000.25},
    "null heads": {**answer({"role": "assistant", "content": "hi"}), "id": None, "model": None, "created": None},
    "empty reason": answer({"role": "assistant", "content": "hi"}, finish_reason=""),
    "call of an odd type": answer(
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "", "function": {"name": "a", "arguments": "{}"}}]}
    ),
    "null usage": {**answer({"role": "assistant", "content": "hi"}), "usage": None},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_comes_back_as_it_was(name: str) -> None:
    body = copy.deepcopy(ANSWERS[name])
    loss = Loss()
    assert openai_chat.encode_response(openai_chat.decode_response(body), loss) == ANSWERS[name]
    assert loss.items == []


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_changed_in_an_answer_shows_in_the_body(name: str) -> None:
    decoded = openai_chat.decode_response(copy.deepcopy(ANSWERS[name]))
    marks: list[str] = []
    for choice in decoded.choices:
        changed(choice.message, marks)
    encoded = json.dumps(openai_chat.encode_response(decoded, Loss()))
    for mark in marks:
        assert mark in encoded


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "stop"),
        ("calls", "tool_calls"),
        ("calls that stop", "tool_calls"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
        ("reason of tomorrow", "unknown"),
        ("null reason", "unknown"),
        ("filtered", "content_filter"),
        ("text completion", "length"),
    ],
)
def test_finish_reasons(name: str, reason: str) -> None:
    decoded = openai_chat.decode_response(ANSWERS[name])
    assert decoded.finish_reason == reason
    decoded.choices[0].finish_reason = "length"
    assert openai_chat.encode_response(decoded, Loss())["choices"][0]["finish_reason"] == "length"


def test_the_hub_sees_what_an_answer_says() -> None:
    decoded = openai_chat.decode_response(ANSWERS["reasoning"])
    assert (decoded.text, decoded.reasoning, decoded.id, decoded.model) == ("4", "2+2", "chatcmpl-1", "m")
    assert decoded.message.parts[0].wire is not None
    assert "reasoning" in decoded.message.parts[0].wire.form.split(" ")
    assert openai_chat.decode_response(ANSWERS["think tags"]).text == "<think>2+2</think>4"
    assert openai_chat.decode_response(ANSWERS["groq"]).request_id == "req_9"
    spoken = openai_chat.decode_response(ANSWERS["audio"])
    assert spoken.text == "hello"
    assert isinstance(spoken.message.parts[0], MediaPart)
    assert spoken.message.parts[0].data == "AAAA"
    refused = openai_chat.decode_response(ANSWERS["refusal"])
    assert isinstance(refused.message.parts[0], RefusalPart)
    several = openai_chat.decode_response(ANSWERS["several"])
    assert [(choice.index, choice.message.text) for choice in several.choices] == [(1, "b"), (0, "a")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "choices"),
        ({"choices": None}, "choices"),
        ({"error": {"message": "x"}}, "choices"),
        ({"choices": ["x"]}, "choices[0]"),
        ({"choices": [{"message": "x"}]}, "choices[0].message"),
        ({"choices": [{"message": {"content": 5}}]}, "choices[0].message.content"),
        ({"choices": [{"message": {}, "index": "x"}]}, "choices[0].index"),
        ({"choices": [{"message": {}, "finish_reason": 5}]}, "choices[0].finish_reason"),
        ({"choices": [], "usage": 5}, "usage"),
        ({"choices": [], "usage": {"prompt_tokens": "x"}}, "prompt_tokens"),
        ({"choices": [], "usage": {"prompt_tokens_details": 5}}, "usage.prompt_tokens_details"),
        ({"choices": [], "id": 5}, "id"),
    ],
)
def test_an_answer_of_a_wrong_shape_names_the_field(body, field: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        openai_chat.decode_response(body)
    assert caught.value.field == field


# --- an answer becomes history --------------------------------------------------------------------------------------


def test_what_only_answers_carry_is_not_sent_back() -> None:
    body = answer(
        {
            "role": "assistant",
            "content": "4",
            "reasoning": "2+2",
            "annotations": [],
            "executed_tools": [],
            "reasoning_details": [{"data": "state"}],
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}},
                }
            ],
        }
    )
    said = openai_chat.decode_response(body).message
    unified = openai_chat.decode_request(request())
    unified.source = None
    unified.messages = [Message.user("2+2?"), said, Message.tool("c1", "ok")]
    loss = Loss()
    encoded = openai_chat.encode_request(unified, ANY, loss)
    assert loss.items == []
    assert encoded["messages"][1] == {
        "role": "assistant",
        "content": "4",
        "reasoning_details": [{"data": "state"}],
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "get", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ],
    }


def test_a_spoken_answer_goes_back_by_its_id() -> None:
    said = openai_chat.decode_response(ANSWERS["audio"]).message
    unified = openai_chat.decode_request(request())
    unified.source = None
    unified.messages = [said]
    encoded = openai_chat.encode_request(unified, ANY, Loss())
    assert encoded["messages"] == [{"role": "assistant", "content": "", "audio": {"id": "a1"}}]


# --- usage ----------------------------------------------------------------------------------------------------------

USAGES = {
    "plain": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(input=10, output=5)),
    "openai": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {
                "cached_tokens": 60,
                "cache_write_tokens": 10,
                "audio_tokens": 5,
                "image_tokens": 4,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 20,
                "audio_tokens": 7,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        Usage(
            input=21,
            cache_read=60,
            cache_write=10,
            audio_input=5,
            image_input=4,
            output=23,
            reasoning=20,
            audio_output=7,
        ),
    ),
    "zero is not nothing": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 0,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {},
        },
        Usage(input=10, cache_read=0, output=0),
    ),
    "null details": (
        {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prompt_tokens_details": None},
        Usage(input=1, output=1),
    ),
    "null counts": (
        {
            "prompt_tokens": 1,
            "completion_tokens": 1,
            "total_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": None, "text_tokens": 1},
        },
        Usage(input=1, output=1),
    ),
    "together": (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 4},
        Usage(input=6, cache_read=4, output=5),
    ),
    "told twice": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "cached_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        Usage(input=6, cache_read=4, output=5),
    ),
    # Gemini's compatible endpoint: thoughts are only in the total.
    "thoughts untold": (
        {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
        Usage(input=35, output=12, reasoning=62),
    ),
    # xAI: reasoning is counted beside the completion.
    "reasoning beside": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 35,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        Usage(input=10, output=5, reasoning=20),
    ),
    "no total": ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(input=10, output=5)),
    "odd": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 12},
        },
        Usage(input=0, cache_read=10, output=5),
    ),
    "sound from the cache is told twice": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 90, "audio_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 4},
        },
        Usage(input=0, cache_read=90, audio_input=10, output=0, reasoning=8, audio_output=2),
    ),
    "overlap beside": (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 12},
        Usage(input=0, cache_read=10, output=5),
    ),
    "nothing": ({}, Usage()),
    "groq": (
        {"queue_time": 0.1, "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "total_time": 0.5},
        Usage(input=1, output=2),
    ),
}


@pytest.mark.parametrize("name", USAGES)
def test_usage_is_read_into_disjoint_buckets_and_given_back(name: str) -> None:
    raw, expected = USAGES[name]
    body = {**answer({"role": "assistant", "content": "hi"}), "usage": raw}
    decoded = openai_chat.decode_response(copy.deepcopy(body))
    assert decoded.usage == expected
    assert decoded.usage is not None
    assert decoded.usage.raw == raw
    assert openai_chat.encode_response(decoded, Loss()) == body


def test_changed_counts_show() -> None:
    body = {**answer({"role": "assistant", "content": "hi"}), "usage": USAGES["openai"][0]}
    decoded = openai_chat.decode_response(body)
    assert decoded.usage is not None
    decoded.usage.input = 22
    assert openai_chat.encode_response(decoded, Loss())["usage"]["prompt_tokens"] == 101


def test_usage_from_elsewhere_is_counted_inclusively() -> None:
    completion = openai_chat.decode_response(ANSWERS["text"])
    completion.usage = Usage(
        input=3, cache_read=100, cache_write_5m=10, cache_write_1h=1, output=5, reasoning=7, tool_input=2
    )
    assert openai_chat.encode_response(completion, Loss())["usage"] == {
        "prompt_tokens": 116,
        "completion_tokens": 12,
        "total_tokens": 128,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 11},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }


# --- errors ---------------------------------------------------------------------------------------------------------


def failed(status, body, headers=None) -> ErrorInfo:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return openai_chat.decode_error(status, headers or {}, raw)


def own(type_=None, code=None, **more):
    return {"error": {"message": "m", "type": type_, "param": None, "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, own("invalid_request_error", "invalid_value"), "invalid_request"),
        (400, own("invalid_request_error", "context_length_exceeded"), "context_length"),
        (400, own("invalid_request_error", "model_not_found"), "model_not_found"),
        (400, own(None, "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), "content_filter"),
        (400, own("image_generation_user_error", "moderation_blocked"), "content_filter"),
        (400, own("invalid_request_error", "tool_use_failed", failed_generation="x"), "server"),
        (400, own("invalid_request_error", "rate_limit_exceeded"), "invalid_request"),
        (401, own("invalid_request_error", "invalid_api_key"), "authentication"),
        (401, own("insufficient_quota", "insufficient_quota"), "authentication"),
        (402, {"error": "monthly credits used up"}, "quota"),
        (403, own(None, "unsupported_country_region_territory"), "permission"),
        (404, own("invalid_request_error", "model_not_found"), "model_not_found"),
        (404, {"error": {"code": "404", "message": "Resource not found"}}, "model_not_found"),
        (408, b"", "server"),
        (409, own(), "server"),
        (413, own("tokens", "rate_limit_exceeded"), "invalid_request"),
        (422, {"error": "Input validation error", "error_type": "validation"}, "invalid_request"),
        (424, {"error": "Request failed during generation", "error_type": "generation"}, "server"),
        (429, own("requests", "rate_limit_exceeded"), "rate_limit"),
        (429, own("insufficient_quota", "insufficient_quota"), "quota"),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
        (498, own(None, "capacity_exceeded"), "overloaded"),
        (500, own("server_error"), "server"),
        (503, {"error": "loading", "estimated_time": 20.0}, "overloaded"),
        (520, b"<html>nothing here</html>", "server"),
        (529, b"", "overloaded"),
        (418, b"short and stout", "unknown"),
        (None, own("tokens", "rate_limit_exceeded"), "rate_limit"),
        (None, own("insufficient_quota", "insufficient_quota"), "quota"),
        (200, own("server_error", None), "server"),
        (200, {"error": {"message": "m", "code": 502}}, "server"),
        (None, own(None, "brand_new"), "unknown"),
    ],
)
def test_the_status_speaks_first_and_then_the_code(status, body, kind: str) -> None:
    assert failed(status, body).kind == kind


def test_an_error_inside_a_good_answer_gets_the_status_it_stands_for() -> None:
    assert failed(200, own("tokens", "rate_limit_exceeded")).status == 429
    assert failed(None, {"error": {"message": "m", "code": 502}}).status == 502
    assert failed(None, {"error": {"message": "m", "status_code": 400}}).status == 400
    assert failed(None, {"error": {"message": "m"}}).status is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (own(), "m"),
        ({"error": "text"}, "text"),
        ({"error": ["one", "two"]}, "one; two"),
        ({"message": "vllm", "object": "error", "type": "BadRequestError", "code": 400}, "vllm"),
        ({"detail": "fastapi"}, "fastapi"),
        ({"detail": [{"loc": ["body", "model"], "msg": "missing"}]}, "body.model: missing"),
        ({"errors": [{"message": "cloudflare", "code": 10000}]}, "cloudflare"),
        ({"statusCode": 429, "message": "apim"}, "apim"),
        ([own()], "m"),
        (b"upstream connect error", "upstream connect error"),
        (b"<!doctype html><p>Bad gateway", ""),
        (b"\xff\xfe", "��"),
        (b"", ""),
        ([], ""),
        ("text", ""),
        ({"error": {"message": {"deep": 1}}}, ""),
    ],
)
def test_every_known_shape_of_an_error_is_read(body, message: str) -> None:
    assert failed(500, body).message == message


def test_an_error_says_who_and_how_long() -> None:
    info = failed(
        429,
        own("tokens", "rate_limit_exceeded", param=None),
        {"x-request-id": "req_1", "retry-after": "2", "x-should-retry": "false"},
    )
    assert (info.request_id, info.retry_after, info.should_retry, info.type, info.code) == (
        "req_1",
        2.0,
        False,
        "tokens",
        "rate_limit_exceeded",
    )
    assert failed(503, {"error": "loading", "estimated_time": 20.5}).retry_after == 20.5
    assert failed(503, {"error": "loading", "estimated_time": 20.5}, {"retry-after": "3"}).retry_after == 3.0


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": "x"}, True),
        ({"object": "error", "message": "x"}, True),
        ({"error": {"message": "x"}, "choices": []}, True),
        ({"error": None, "choices": [{}]}, False),
        ({"error": {}, "choices": [{}]}, False),
        ({"choices": []}, False),
        ({}, False),
        (ANSWERS["text"], False),
    ],
)
def test_an_error_under_a_good_status_is_seen(body, verdict: bool) -> None:
    assert openai_chat.is_error_body(body) is verdict


@pytest.mark.parametrize(
    "body",
    [
        own("invalid_request_error", "invalid_value", details="x"),
        own(None, 502, metadata={"provider_name": "p"}),
        {"error": {"code": "RateLimitReached", "message": "slow"}},
    ],
)
def test_an_error_of_this_format_comes_back_as_it_was(body) -> None:
    assert openai_chat.encode_error(failed(429, body)) == (429, body)


def test_a_scrubbed_message_shows() -> None:
    info = failed(400, own("invalid_request_error", "invalid_value"))
    info.message = "scrubbed"
    assert openai_chat.encode_error(info)[1]["error"]["message"] == "scrubbed"


KINDS = (
    "authentication",
    "permission",
    "rate_limit",
    "quota",
    "invalid_request",
    "context_length",
    "content_filter",
    "model_not_found",
    "overloaded",
    "server",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_being_said_in_this_format(kind) -> None:
    status, body = openai_chat.encode_error(ErrorInfo(None, "m", kind=kind))
    assert failed(status, body).kind == kind
    assert failed(None, body).kind == kind
    assert body["error"].keys() == {"message", "type", "param", "code"}


def test_errors_of_other_families_get_openais_words() -> None:
    anthropic = ErrorInfo(529, "busy", "overloaded_error", kind="overloaded")
    anthropic.body = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    status, body = openai_chat.encode_error(anthropic)
    assert (status, body["error"]["type"], body["error"]["message"]) == (503, "server_error", "busy")
    gemini = ErrorInfo(400, "bad key", "INVALID_ARGUMENT", "400", kind="authentication")
    gemini.body = {"error": {"code": 400, "message": "bad key", "status": "INVALID_ARGUMENT"}}
    status, body = openai_chat.encode_error(gemini)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


# --- text slots -----------------------------------------------------------------------------------------------------


def test_every_text_of_a_request_is_found_and_replaced_in_place() -> None:
    body = request(
        messages=[
            {"role": "system", "content": "t1", "name": "t2"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "t3"},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                    {"type": "file", "file": {"filename": "t4", "file_data": "data:application/pdf;base64,AAAA"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "document", "document": {"id": "d", "data": {"title": "t5", "body": ["t6"]}}},
                ],
            },
            {
                "role": "assistant",
                "reasoning": "t7",
                "reasoning_content": "t8",
                "refusal": "t9",
                "content": None,
                "audio": {"id": "a"},
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "get", "arguments": '{"a":"t10"}'}},
                    {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "t11"}},
                    {"id": "c", "type": "function", "function": {"name": "get", "arguments": {"a": ["t12", 5]}}},
                ],
                "function_call": {"name": "get", "arguments": "t13"},
            },
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "t14"}]},
        ],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "get",
                    "description": "t15",
                    "parameters": {
                        "type": "object",
                        "title": "t16",
                        "properties": {
                            "description": {"type": "string", "enum": ["keep"], "examples": ["t17"], "default": "keep"},
                            "nested": {"anyOf": [{"description": "t18"}, {"items": {"$ref": "#/$defs/x"}}]},
                        },
                        "$defs": {"x": {"description": "t19"}},
                    },
                },
            },
            {"type": "custom", "custom": {"name": "sql", "description": "t20"}},
            {"type": "mcp", "server_label": "keep", "description": "t21"},
        ],
        functions=[{"name": "old", "description": "t22"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "keep", "description": "t23", "schema": {"description": "t24"}},
        },
        prediction={"type": "content", "content": [{"type": "text", "text": "t25"}]},
        web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "t26", "country": "SE"}}},
        metadata={"a": "t27"},
        user="t28",
        safety_identifier="t29",
        documents=[{"id": "1", "source": {"type": "text", "text": "t30"}}],
    )
    slots = list(openai_chat.text_slots(body))
    found = [slot.text for slot in slots]
    assert {text if text != '{"a":"t10"}' else "t10" for text in found} == {f"t{number}" for number in range(1, 31)}
    assert len(found) == 30
    assert len({slot.path for slot in slots}) == 30
    kinds = {slot.path: slot.kind for slot in slots}
    assert kinds["messages[2].tool_calls[0].function.arguments"] == "json"
    assert kinds["messages[0].name"] == kinds["messages[1].content[2].file.filename"] == "name"
    for slot in slots:
        slot.replace("new")
    again = json.dumps(body)
    assert not any(f'"t{number}"' in again for number in range(1, 31))
    assert again.count('"new"') == 30
    assert again.count("keep") == 4


def test_every_text_of_an_answer_is_found() -> None:
    body = answer(
        {
            "role": "assistant",
            "content": "t1",
            "refusal": "t2",
            "annotations": [{"type": "url_citation", "url_citation": {"title": "t3", "url": "https://x.test"}}],
            "audio": {"id": "a", "data": "AAAA", "transcript": "t4", "expires_at": 5},
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get", "arguments": "t5"}}],
            "reasoning_details": [{"type": "reasoning.text", "text": "t6", "signature": "keep", "id": "keep"}],
            "executed_tools": [
                {
                    "type": "search",
                    "arguments": "t7",
                    "output": "t8",
                    "search_results": {"results": [{"title": "t9", "url": "https://x.test", "content": "t10"}]},
                }
            ],
        }
    )
    found = [slot.text for slot in openai_chat.text_slots(body)]
    assert sorted(found) == sorted(f"t{number}" for number in range(1, 11))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": 5},
        {"messages": [5, {"content": 5}, {"content": [5, {"type": "file", "file": 5}]}, {"tool_calls": [5]}]},
        {"tools": [5, {"function": 5}], "response_format": 5, "web_search_options": 5, "metadata": 5, "choices": [5]},
    ],
)
def test_slots_of_a_broken_body_are_none(body) -> None:
    assert list(openai_chat.text_slots(body)) == []


def test_a_cache_mark_can_be_taken_away() -> None:
    decoded = openai_chat.decode_request(request(messages=[MESSAGES["breakpoint"]]))
    part = decoded.messages[0].parts[0]
    assert isinstance(part, TextPart)
    assert part.cache == CacheHint("30m")
    part.cache = None
    encoded = openai_chat.encode_request(decoded, ANY, Loss())
    assert encoded["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
