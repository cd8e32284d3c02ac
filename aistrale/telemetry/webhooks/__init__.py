"""Webhooks by the Standard Webhooks specification: what is told, how it is signed, where it may go, and what was sent.

`signature` signs and verifies, `messages` makes messages of events, `addresses` says which places may be connected to,
`outbound` sends, `schedule` decides what becomes of a message that was sent, `log` keeps them on disk, and `deliverer`
brings all of that together for the sink `aistrale.telemetry.sinks.webhook`.
"""
