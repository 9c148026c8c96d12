"""The bounds of the two listeners. Whoever can reach a port can use up all of them, and nothing beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ADMIN", "RETRY_AFTER", "WEBHOOKS", "Limits"]

RETRY_AFTER: Final = 10
"""Seconds after which a sender that there is no room for may try again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a listener allows.

    Attributes:
        connections: At once. Where they are used up, one that waits for nothing makes room for a new one:
            of the address that has the most of those, the one that has been silent the longest.
        grace_seconds: For which one that waits for nothing is left alone all the same: its request may be on
            its way.
        turned_away: Connections at once that are told that there is no room. Above that accepting stops
            until one of them is gone: the operating system keeps a queue of its own.
        head_seconds: In which a new connection's first request has to come, up to the end of its headers.
        idle_seconds: For which a connection is kept without a request.
        linger_seconds: In which the rest of a body that nobody wants is read, so that its sender sees the
            answer.
        stop_seconds: In which requests may end when the listener stops.
    """

    connections: int
    grace_seconds: float = 0.5
    turned_away: int = 64
    head_seconds: float = 10.0
    idle_seconds: float = 150.0
    linger_seconds: float = 1.0
    stop_seconds: float = 2.0


WEBHOOKS: Final = Limits(connections=512)
"""Each connection has at most one body in memory: 512 of 256 KiB. Idle ones are kept for longer than proxies
keep theirs: where both ends close at the same time, a request that is on its way is lost."""

ADMIN: Final = Limits(connections=128, idle_seconds=75.0)
"""A browser opens six connections, Prometheus and a health check one each."""
