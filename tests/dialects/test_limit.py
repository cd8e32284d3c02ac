"""The limit of an answer's length in bodies as they came."""

from __future__ import annotations

import pytest

from aistrale.dialects import chat_dialect
from aistrale.dialects.limit import limited

TEXT = [{"role": "user", "content": "Hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
FIELD = "max_completion_tokens"


@pytest.mark.parametrize(
    ("dialect", "body", "changed"),
    [
        ("openai_chat", {"messages": TEXT}, {FIELD: 7}),
        ("openai_chat", {"messages": TEXT, "max_tokens": 90}, {"max_tokens": 7}),
        ("openai_chat", {"messages": TEXT, FIELD: 90}, {FIELD: 7}),
        ("openai_responses", {"input": "Hi"}, {"max_output_tokens": 7}),
        ("anthropic_messages", {"messages": TEXT, "max_tokens": 90}, {"max_tokens": 7}),
        ("gemini_generate", {"contents": CONTENTS}, {"generationConfig": {"maxOutputTokens": 7}}),
        (
            "gemini_generate",
            {"contents": CONTENTS, "generationConfig": {"topK": 3, "maxOutputTokens": 90}},
            {"generationConfig": {"topK": 3, "maxOutputTokens": 7}},
        ),
        (
            "gemini_generate",
            {"contents": CONTENTS, "generation_config": {"max_output_tokens": 90}},
            {"generation_config": {"max_output_tokens": 7}},
        ),
    ],
)
def test_only_the_limit_changes_and_the_dialect_reads_it(dialect, body, changed):
    body = {"model": "m", **body, "of_tomorrow": {"kept": [1]}}
    before = {**body}
    made = limited(body, dialect, 7, FIELD)
    assert made == {**before, **changed}
    assert body == before
    assert chat_dialect(dialect).decode_request(made, model="m").max_tokens == 7
