"""Webhooks: received, and safe on disk before they are answered. What they are about is read later.

``receiver.py`` is the listener. ``authentication.py`` (who may send) and ``parsing.py`` (which record it is
about) are pure.
"""

from bridge.webhooks.receiver import Receiver, ReceiverNumbers, addresses, open_webhook_sockets

__all__ = ["Receiver", "ReceiverNumbers", "addresses", "open_webhook_sockets"]
