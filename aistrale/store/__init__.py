"""The ledger: the durable record of calls, attempts, tokens and money."""
