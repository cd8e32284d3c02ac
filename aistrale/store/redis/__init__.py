"""State that several processes share through Redis: breakers, rate limits, budgets, health, remembered answers.

Redis is never needed: whatever is wrong with it, calls go on with what this process knows by itself, and what has
happened meanwhile is told when it is back. `fleet` puts the pieces together; nothing here is loaded unless the setting
`state` names a Redis.
"""
