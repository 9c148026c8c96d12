"""Whether an address can be reached and speaks GraphQL, and why not. No credentials are sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from bridge.errors import BridgeError
from bridge.salestrekker.responses import TokenRefused
from bridge.salestrekker.transport import Request, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConnectionAdvice", "connection_advice", "find_likely_address", "probe_address"]

PROBE_QUERY: Final = "query Probe { __typename }"
PATH: Final = "/graphql"


async def probe_address(url: str, timeout: float) -> None:  # noqa: ASYNC109 - handed on to the library
    """Send the smallest possible query.

    A server that first asks for a token speaks GraphQL well enough.

    Raises:
        Refused: What answers is not GraphQL, or its certificate is not trusted.
        Transient: Nothing answers.
    """
    transport = Transport(url, timeout=timeout, connections=1)
    await transport.open()
    try:
        await transport.post(Request(PROBE_QUERY, "Probe", {}), None)
    except TokenRefused:
        return
    finally:
        await transport.close()


async def find_likely_address(url: str, timeout: float) -> str:  # noqa: ASYNC109 - likewise
    """The usual GraphQL address of the same host, if it speaks GraphQL, else empty text."""
    parts = urlsplit(url)
    other = urlunsplit((parts.scheme, parts.netloc, PATH, "", ""))
    if other == url:
        return ""
    try:
        await probe_address(other, timeout)
    except BridgeError:
        return ""
    return other


@dataclass(frozen=True, slots=True)
class ConnectionAdvice:
    """What to do about one kind of connection error.

    Attributes:
        words: Matches the errors of this kind.
        advice: What to do.
    """

    words: re.Pattern[str]
    advice: str


CONNECTION_ADVICE: Final = (
    ConnectionAdvice(
        re.compile(r"CertificateError|CERTIFICATE_VERIFY|certificate", re.IGNORECASE),
        "Its TLS certificate is not trusted here. If your network inspects encrypted traffic, its own "
        "certificate must be installed on this machine (SSL_CERT_FILE names it); else the address is wrong.",
    ),
    ConnectionAdvice(
        re.compile(r"SSLError|WRONG_VERSION_NUMBER|\bssl:.*handshake|record layer", re.IGNORECASE),
        "It does not speak TLS at this port: is it http:// instead of https://, or another port?",
    ),
    ConnectionAdvice(
        re.compile(r"DNSError|gaierror|name or service|nodename|resolution", re.IGNORECASE),
        "There is no host with this name: check the address for a typo, and the network connection.",
    ),
    ConnectionAdvice(
        re.compile(r"refused|Connect call failed|Errno 111", re.IGNORECASE),
        "The host is there, but nothing listens at this port: check the port, or a firewall.",
    ),
    ConnectionAdvice(
        re.compile(r"Timeout|did not answer in time", re.IGNORECASE),
        "Nothing answered in time: a firewall drops the connection, or the host is very busy.",
    ),
    ConnectionAdvice(
        re.compile(r"unreachable|no route", re.IGNORECASE),
        "There is no way to that host: check this machine's network.",
    ),
    ConnectionAdvice(
        re.compile(r"Disconnected|reset|Errno 104", re.IGNORECASE),
        "What listens there closed the connection at once: http:// and https:// mixed up, or a firewall.",
    ),
)
"""The first entry that matches an error, or one of its causes, counts."""


def connection_advice(error: BaseException) -> str:
    """What to do about a connection that failed, or empty text if nothing is known about the error."""
    texts = "\n".join(_error_texts(error))
    return next((reason.advice for reason in CONNECTION_ADVICE if reason.words.search(texts)), "")


def _error_texts(error: BaseException | None) -> Iterator[str]:
    """The type and the text of an error and of all its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__
