"""Salestrekker's tokens: HS256 JWTs with the claims that were observed, good until their time is over.

The server remembers the tokens that it gave out, so that they can be revoked or made to expire.
"""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple

import jwt

__all__ = ["TokenIssuer", "Visitor"]

FORTNIGHT = 14 * 24 * 3600


class Visitor(NamedTuple):
    """Who sent a request: which organisation's data is seen, and whether by API key."""

    organization: str
    by_key: bool


class TokenIssuer:
    """Gives out tokens, and knows them again.

    Args:
        life: Seconds that a token is good for; may be changed at any time.
        user: The id of the log-in.
    """

    def __init__(self, life: int, user: str) -> None:
        self.life = life
        self._user = user
        self._secret = secrets.token_bytes(32)
        self._given: dict[str, tuple[Visitor, float]] = {}

    def __len__(self) -> int:
        return len(self._given)

    def give(self, visitor: Visitor) -> str:
        """A new token."""
        now = int(time.time())
        claims = {
            "id": self._user,
            "idCurrentOrganization": visitor.organization,
            "isAdministrator": visitor.by_key,
            "isBroker": not visitor.by_key,
            "isMentor": False,
            "iat": now,
            "exp": now + self.life,
            "jti": secrets.token_hex(8),
        }
        token = jwt.encode(claims, self._secret, algorithm="HS256")
        self._given[token] = (visitor, now + self.life)
        return token

    def visitor(self, token: str) -> Visitor | None:
        """Who was given this token; None where it is unknown, revoked or over."""
        visitor, ends = self._given.get(token, (None, 0.0))
        return visitor if time.time() < ends else None

    def revoke(self) -> None:
        """Make all tokens worthless."""
        self._given.clear()
