"""Vectors for texts, and which text is nearest to a question.

Taken from the first provider with a key that has an embedding model: OpenAI, Gemini or Hugging Face.
"""

from __future__ import annotations

import numpy as np

import aistrale

TEXTS = ["Boil the pasta for nine minutes.", "The train leaves at noon.", "Water the tomatoes every evening."]

question = "When do I have to be at the station?"
embeddings = aistrale.embed([*TEXTS, question])
vectors = np.array(embeddings.vectors)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
likeness = vectors[:-1] @ vectors[-1]
for index in np.argsort(-likeness):
    print(f"{likeness[index]:+.3f}  {TEXTS[index]}")
print(f"{len(vectors[0])} numbers each, by {embeddings.target}")
