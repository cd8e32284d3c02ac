"""For receivers of webhooks: check that one is authentic, and read it.

    from aistrale.webhooks import verify

    message = verify(body, headers, secret)

Nothing else of aistrale is needed at the receiver, and any other library for Standard Webhooks does as well.
"""

from __future__ import annotations

from aistrale.errors import WebhookVerificationError
from aistrale.telemetry.webhooks.signature import (
    ReplayGuard,
    WebhookMessage,
    new_key_pair,
    new_secret,
    sign,
    verify,
)

__all__ = [
    "ReplayGuard",
    "WebhookMessage",
    "WebhookVerificationError",
    "new_key_pair",
    "new_secret",
    "sign",
    "verify",
]
