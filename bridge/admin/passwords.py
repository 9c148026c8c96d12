"""Passwords of the status page: of its log-in page and of Basic authentication."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

__all__ = ["BasicPassword", "SlowPassword", "client_of"]

COST: Final = 2**14
"""The cost of scrypt with blocks of 8: 16 MiB and 50 ms for each guess (RFC 7914; OWASP on passwords)."""


LONGEST: Final = 1024
"""The most characters of a password; a longer one is wrong."""


class SlowPassword:
    """A password, kept as a slow hash only.

    Args:
        password: Empty: none is needed.
        cost: The cost of scrypt, a power of two.
    """

    def __init__(self, password: str, cost: int = COST) -> None:
        self._cost = cost
        self._salt = secrets.token_bytes(16)
        self._hash = self._of(password) if password else b""

    @property
    def wanted(self) -> bool:
        """Whether a password is needed."""
        return bool(self._hash)

    def fits(self, given: str) -> bool:
        """Whether it is the password; takes about 50 ms of a core either way."""
        return len(given) <= LONGEST and hmac.compare_digest(self._of(given), self._hash)

    def _of(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=self._cost, r=8, p=1)


class BasicPassword:
    """The password of Basic authentication (RFC 7617), with any user name.

    Args:
        password: Empty: none is needed.
    """

    def __init__(self, password: str) -> None:
        self._digest = _digest(password.encode()) if password else b""

    @property
    def wanted(self) -> bool:
        """Whether a password is needed."""
        return bool(self._digest)

    def fits(self, authorization: str | None) -> bool:
        """Whether a request's ``Authorization`` header has the password.

        Hashes of equal length are compared, so that the time reveals nothing.
        """
        return not self.wanted or hmac.compare_digest(_digest(_given(authorization or "")), self._digest)


def client_of(address: str, authorization: str) -> tuple[str, bytes]:
    """The client that a wrong password counts for: behind a tunnel, users share an address but not a name."""
    return address, _digest(_credentials(authorization).partition(b":")[0])


def _given(authorization: str) -> bytes:
    """The password in a header; empty if there is none or it cannot be decoded."""
    return _credentials(authorization).partition(b":")[2]


def _credentials(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(password: bytes) -> bytes:
    return hashlib.sha256(password).digest()
