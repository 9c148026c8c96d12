"""Addresses in the configuration: of the two remote systems, the ledger, networks, people to alert.

Like ``values``: what is accepted is normalised, so that two spellings of one address are equal, and a
fault never shows the address, which can hold a password where it should not.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

from bridge.errors import UserError
from bridge.settings.values import MAX_TEXT, fault, json_list

__all__ = [
    "AlertUrls",
    "BaseUrl",
    "HeartbeatUrl",
    "HostNames",
    "HttpUrl",
    "LedgerUrl",
    "Network",
    "Networks",
    "checked_url",
    "is_loopback",
    "is_plain_and_remote",
    "sqlite_file",
]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}
_UNFIT = re.compile(r"[\s\x00-\x20\x7f\\]")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_APPRISE = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_SQLITE, _POSTGRESQL = "sqlite:///", "postgresql://"
_NO_ADDRESS = 'must be an address such as "https://host.example/path"'


def is_loopback(host: str) -> bool:
    """Whether a host (name or address, without brackets) can only be this machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_plain_and_remote(url: str) -> bool:
    """Whether what is sent to a checked address could be read on the way."""
    return url.startswith("http://") and not is_loopback(urlsplit(url).hostname or "")


def checked_url(url: str) -> str:
    """An address as the configuration takes it, its slash at the end left out.

    Raises:
        UserError: It is none, or has more in it than an address may have; the address is not shown.
    """
    try:
        return _without_slash(_http_url(url))
    except PydanticCustomError as error:
        raise UserError(f"the address {error.message()}") from None


def sqlite_file(url: str) -> str | None:
    """The path in a checked ledger address; None where the ledger is no file."""
    return url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else None


class _Parts(NamedTuple):
    """An address taken apart."""

    scheme: str
    user: bool
    host: str
    port: int | None
    path: str


def _split(url: str) -> _Parts | None:
    """Takes an address apart; None where it is none: urlsplit alone drops line breaks in silence."""
    if len(url) > MAX_TEXT or _UNFIT.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return _Parts(parts.scheme, "@" in parts.netloc, host, port, parts.path) if host else None


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts is None or parts.scheme not in _PORTS:
        raise fault(_NO_ADDRESS)
    if parts.user:
        raise fault("must not hold a user name or password")
    if "?" in value or "#" in value:
        raise fault('must not have a query or fragment: end the address before the "?" or "#"')
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _without_slash(value: str) -> str:
    return value.rstrip("/")


def _heartbeat_url(value: SecretStr) -> SecretStr:
    """Secret as a whole: whoever knows it can keep the dead man's switch quiet. May have a query."""
    parts = _split(value.get_secret_value())
    if value and (parts is None or parts.scheme not in _PORTS):
        raise fault(_NO_ADDRESS)
    return value


def _ledger_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith(_SQLITE):
        _check_file(url.removeprefix(_SQLITE))
    elif url.startswith(_POSTGRESQL):
        _check_database(url)
    else:
        raise fault('must be "sqlite:///file.db" or "postgresql://user:password@host/database"')
    return value


def _check_file(path: str) -> None:
    unfit = not path.isprintable() or "?" in path or len(path) > MAX_TEXT
    if unfit or not path or path.endswith("/") or path == ":memory:":
        raise fault('must name a file, such as "sqlite:///ledger.db": a ledger has to outlive the process')


def _check_database(url: str) -> None:
    parts = _split(url)
    if parts is None or not parts.path.strip("/"):
        raise fault('must name host and database: "postgresql://user:password@host/database"')


def _networks(value: object) -> tuple[Network, ...]:
    if not isinstance(value, list | tuple):
        raise fault('must be a list of networks, such as ["203.0.113.0/24", "2001:db8::/32"]')
    return tuple(_network(item) for item in value)


def _network(value: object) -> Network:
    text = value if isinstance(value, str) else ""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise fault(
            'must be a list of networks, such as ["203.0.113.0/24"]: one is none, or has bits after its mask'
        ) from None


def _alert_urls(value: object) -> tuple[SecretStr, ...]:
    given = json_list(value)
    items = given if isinstance(given, list | tuple) else [None]
    texts = [item for item in items if isinstance(item, str) and _APPRISE.fullmatch(item)]
    if len(texts) != len(items):
        raise fault('must be a list of Apprise addresses, such as ["mailto://…", "slack://…"]')
    return tuple(SecretStr(text) for text in texts)


HttpUrl: TypeAlias = Annotated[str, AfterValidator(_http_url)]
BaseUrl: TypeAlias = Annotated[HttpUrl, AfterValidator(_without_slash)]
HeartbeatUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_heartbeat_url)]
LedgerUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_ledger_url)]
AlertUrls: TypeAlias = Annotated[tuple[SecretStr, ...], BeforeValidator(_alert_urls)]


def _host_names(given: object) -> tuple[str, ...]:
    """Names without a port, in lower case; one text stands for a list of it."""
    found = json_list(given)
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        raise fault('must be a list of names such as "status.example.com"')
    lower = tuple(one.strip().lower().removesuffix(".") for one in names)
    if not all(_HOST_NAME.fullmatch(one) for one in lower):
        raise fault('must be names without scheme, port and path, such as "status.example.com"')
    return lower


HostNames: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_host_names)]
"""By which names a listener may be called."""

Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
