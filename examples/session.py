"""A conversation that remembers its turns; its calls stand together in the ledger, with who they were for."""

from __future__ import annotations

import aistrale

with aistrale.session(system="Answer in one sentence.", user="ada", project="examples") as chat:
    for question in ("My favourite number is 17.", "Which number do I like?"):
        print(">", question)
        print(chat.run(question).text)
    print(len(chat.messages), "messages are remembered")

aistrale.flush()
calls = [call for call in aistrale.get_client().ledger.calls() if call.session == chat.id]
print(len(calls), "calls of", calls[0].user, "for", calls[0].project, "are in the ledger")
