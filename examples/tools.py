"""Let a model call Python functions: their names, docstrings and annotations are all that it needs."""

from __future__ import annotations

import aistrale

STOCK = {"apples": 12, "pears": 0}


def in_stock(fruit: str) -> int:
    """How many pieces of a fruit are in stock.

    Args:
        fruit: Its name, plural, lower case.
    """
    return STOCK.get(fruit, 0)


question = "How many 'apples' and 'pears' do we have? Look them up."

# The loop is yours: the calls come back, and nothing was run.
answer = aistrale.run(question, tools=[in_stock])
for call in answer.tool_calls:
    print("the model asks for", call.name, call.input)

# Or it is run for you, at most as many rounds as you allow.
answer = aistrale.run(question, tools=[in_stock], max_tool_rounds=3)
print(answer.text)
