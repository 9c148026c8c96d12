"""Webhooks: received, and safe on disk before they are answered. What they are about is read later.

``receiver.py`` is the listener, ``door.py`` and ``listening.py`` its connections. ``guard.py`` (who may
send), ``reading.py`` (which record it is about) and ``addresses.py`` (what is pasted) are pure.
"""

from bridge.webhooks.addresses import addresses
from bridge.webhooks.listening import PortTaken, listen
from bridge.webhooks.receiver import Receiver, ReceiverNumbers

__all__ = ["PortTaken", "Receiver", "ReceiverNumbers", "addresses", "listen"]
