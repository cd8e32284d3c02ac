"""One question, one answer, and what it cost.

Set one of OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, GROQ_API_KEY, HF_TOKEN; nothing else is needed. The first
provider that has a key answers with its default model; AISTRALE_MODEL or `model=` chooses another one.
"""

from __future__ import annotations

import aistrale

answer = aistrale.run("Name three rivers of Europe.", max_tokens=500)
print(answer.text)
print()
print("answered by", answer.target)
if answer.usage is not None:
    print("tokens:", answer.usage.input_total, "in,", answer.usage.output_total, "out")
if answer.cost is not None:
    print("US dollars:", answer.cost.usd if answer.cost.usd is not None else f"unknown, {answer.cost.reason}")
