"""Who may ask the admin listener: by which name it was called, and with which password. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["BasicPassword", "is_loopback", "is_meant"]

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether a name or an address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_meant(headers: Sequence[str], names: Collection[str], *, only_here: bool) -> bool:
    """Whether a request was meant for this listener, by its ``Host`` headers.

    A page from anywhere can have the browser ask a name that its owner points here (DNS rebinding); the
    browser then says that name. It cannot do so with an address.

    Args:
        headers: All ``Host`` headers.
        names: Names that it is called by beside those of this machine, in lower case.
        only_here: It listens on a loopback address, so that no other address can be meant.
    """
    match = _HOST.fullmatch(headers[0].strip()) if len(headers) == 1 else None
    if match is None:
        return False
    host = match[1].strip("[]").lower().removesuffix(".")
    return is_loopback(host) or host in names or (not only_here and _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class BasicPassword:
    """The password of Basic authentication (RFC 7617); any user name goes with it.

    Args:
        password: Empty: none is asked for.
    """

    def __init__(self, password: str) -> None:
        self._digest = _digest(password.encode()) if password else b""

    @property
    def wanted(self) -> bool:
        """Whether one has to be given."""
        return bool(self._digest)

    def fits(self, authorization: str | None) -> bool:
        """Whether a request may be answered, by its ``Authorization`` header.

        Hashes of one length are compared, so that the time it takes tells nothing.
        """
        return not self.wanted or hmac.compare_digest(_digest(_given(authorization or "")), self._digest)


def share_of(address: str, authorization: str) -> tuple[str, bytes]:
    """What a wrong password counts for: behind a tunnel all have one address, but not one user name."""
    return address, _digest(_credentials(authorization).partition(b":")[0])


def _given(authorization: str) -> bytes:
    """The password in a header; empty where there is none, or none that can be read."""
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
