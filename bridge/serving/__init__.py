"""Listening sockets that strangers reach: bounds on connections, on time, and on what an error says.

``limits.py`` has the bounds of both listeners with their reasons, ``server.py`` holds connections to them,
and ``sockets.py`` accepts no more of them than are wanted.
"""

from bridge.serving.server import ADMIN, RETRY_AFTER, WEBHOOKS, LimitedServer, Limits
from bridge.serving.sockets import PortTaken, allow_more_files, open_sockets

__all__ = [
    "ADMIN",
    "RETRY_AFTER",
    "WEBHOOKS",
    "LimitedServer",
    "Limits",
    "PortTaken",
    "allow_more_files",
    "open_sockets",
]
