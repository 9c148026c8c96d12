"""Webhooks: received, and safe on disk before they are answered. What they are about is read later.

``receiver.py`` is the listener. ``guard.py`` (who may send), ``reading.py`` (which record it is about) and
``addresses.py`` (what is pasted) are pure.
"""

from bridge.webhooks.addresses import addresses
from bridge.webhooks.receiver import Receiver, ReceiverNumbers, bound_port

__all__ = ["Receiver", "ReceiverNumbers", "addresses", "bound_port"]
