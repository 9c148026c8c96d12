"""The HTTP server of both listeners, with limits on connections, on time, and on what an error reveals.

``server.py`` has the limits of each listener, and enforces them. ``sockets.py`` opens the listening sockets,
and accepts a connection only if the server has room.
"""

from bridge.serving.limited_server import ADMIN, RETRY_AFTER, WEBHOOKS, LimitedServer, Limits
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
