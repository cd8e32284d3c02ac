"""When one target is down, throttled or out of quota, the next one of the route answers, at once.

Here the first target is a server that nobody runs, so that the route has something to do. The second one is the model
of AISTRALE_MODEL, or the default model of the first provider that has a key.
"""

from __future__ import annotations

import os

import aistrale

model = os.environ.get("AISTRALE_MODEL") or aistrale.run("Say hello.").target
# Port 9 is that of the "discard" service, which is switched off everywhere.
nowhere = {"compatible": "openai_chat", "base_url": "http://127.0.0.1:9/v1", "api_key": "none"}
with aistrale.Client(providers={"nowhere": nowhere}, routes={"chat": ["nowhere/some-model", model]}) as client:
    answer = client.run("Say hello in one sentence.", route="chat")
    print(answer.text)
    for attempt in answer.attempts:
        print(f"attempt {attempt.number} at {attempt.provider}: {attempt.outcome} {attempt.error or ''}")
    client.flush()
    for row in client.ledger.attempts(answer.call_id):
        print("in the ledger:", row.target, row.outcome)
