"""State that several processes share through Redis: breakers, rate limits, budgets, health, remembered answers.

Redis is never needed: whatever is wrong with it, calls go on with what this process knows by itself, and what has
happened meanwhile is told when it is back. Nothing here is loaded unless the setting `state` names a Redis.

- `fleet` puts the pieces together: this process among the others, and the thread that tells Redis what happens here;
  `listening` is the thread that hears what happens elsewhere, and looks after the `connection`.
- `news` tells and hears of breakers, refused keys, pauses and health; `place` is one target in it.
- `limits` leases the rates of a target in slices, which `aistrale.reliability.leased` spends.
- `budgets` counts money: `budget_scripts` is what Redis does, `budget_wire` how it is asked, `money` how amounts are
  written; `bookkeeping` and `past` are what this process remembers, `shared_hold` what one attempt holds, `budget_line`
  who waits, `alone` what may be spent while nobody can be asked.
- `answers` remembers answers.
"""
