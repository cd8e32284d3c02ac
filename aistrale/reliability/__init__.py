"""The pure objects of reliability: verdicts, breaker, budget, limits, queue. They decide; policies do."""
