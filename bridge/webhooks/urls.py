"""The addresses that are pasted into Salestrekker, one for each action."""

from __future__ import annotations

from bridge.records.webhooks import WebhookAction

__all__ = ["addresses"]


def addresses(public_url: str, token: str) -> dict[str, str]:
    """Action -> the address to paste for it. They hold the token: nowhere to be shown but to who asks.

    Args:
        public_url: How Salestrekker reaches the listener, without a slash at its end.
        token: Of the connection.
    """
    return {str(action): f"{public_url}/webhooks/{token}/{action}" for action in WebhookAction}
