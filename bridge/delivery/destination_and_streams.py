"""Where delivery sends, and what it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.ledger.feeds import Feed
    from bridge.records import Payload, Policy, TrakorAnswer

__all__ = ["Destination", "OutgoingStream"]


class Destination(Protocol):
    """Where payloads go: ``trakor.TrakorClient``, or a fake."""

    async def post(self, payload: Payload) -> TrakorAnswer:
        """Post one payload; raises Transient, Rejected or Refused."""
        ...

    async def probe(self) -> None:
        """Find out by a request that makes nothing whether requests are taken; raises likewise."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingStream:
    """One stream that is sent to Trakor."""

    feed: Feed
    policy: Policy
