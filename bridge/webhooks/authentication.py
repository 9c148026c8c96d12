"""Who may post a webhook: whose token it is, and from which address it comes. Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Network", "SenderFilter", "TokenRegistry"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class TokenRegistry:
    """The secret parts of all connections' addresses.

    Each lookup compares with every token, by hashes of one length. So its duration shows neither which token
    is nearest nor which connections exist.

    Args:
        tokens: Connection name -> its tokens: one, or two while one replaces the other.
    """

    def __init__(self, tokens: Mapping[str, Sequence[str]]) -> None:
        self._known = [(name, _digest(token)) for name, several in tokens.items() for token in several]

    def connection_of(self, given: str) -> str | None:
        """Return the name of the connection that has this token. None: no connection has it."""
        digest, found = _digest(given), None
        for name, known in self._known:
            if hmac.compare_digest(known, digest):
                found = name
        return found


class SenderFilter:
    """From which addresses webhooks are accepted.

    Args:
        allowed: Networks; empty: any.
        proxies: Networks whose ``X-Forwarded-For`` is trusted.
    """

    def __init__(self, allowed: Sequence[Network], proxies: Sequence[Network]) -> None:
        self._allowed = tuple(allowed)
        self._proxies = tuple(proxies)

    @property
    def any(self) -> bool:
        """Whether every sender is allowed."""
        return not self._allowed

    def allows(self, peer: str, forwarded: Sequence[str]) -> bool:
        """Whether a request is accepted.

        Args:
            peer: The address at the other end of the connection.
            forwarded: The ``X-Forwarded-For`` headers in their order.
        """
        if self.any:
            return True
        sender = self.sender(peer, forwarded)
        return sender is not None and _is_in(sender, self._allowed)

    def sender(self, peer: str, forwarded: Sequence[str]) -> Address | None:
        """Return who sent a request: the nearest address that is no trusted proxy.

        Each proxy adds the sender it got the request from on the right. So the list is read from the right,
        as far as trusted proxies wrote it; anybody can have made up the rest.

        Returns:
            The address. None: the nearest address that counts cannot be parsed.
        """
        names = [name.strip() for line in forwarded for name in line.split(",")]
        address = _address(peer)
        while address is not None and names and _is_in(address, self._proxies):
            address = _address(names.pop())
        return address


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _address(text: str) -> Address | None:
    """An address, with or without a port; one of IPv4 that came by way of IPv6 is of IPv4."""
    try:
        address = ipaddress.ip_address(_without_port(text))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
