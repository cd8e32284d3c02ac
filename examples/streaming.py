"""Show an answer as it comes, then what is known only at its end."""

from __future__ import annotations

import time

import aistrale

begun = time.monotonic()
first: float | None = None
with aistrale.stream("Count from one to ten, in words.") as stream:
    for text in stream.texts():
        first = first if first is not None else time.monotonic() - begun
        print(text, end="", flush=True)
print()
answer = stream.completion
print(f"first text after {first or 0.0:.2f} s, all of it after {time.monotonic() - begun:.2f} s")
print("stopped because:", answer.finish_reason)
