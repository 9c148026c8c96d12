"""Checks both addresses, Salestrekker's log-in and organisation, and Trakor's key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bridge.checks.report import Check, failed
from bridge.errors import BridgeError, Refused, Transient
from bridge.salestrekker.login import AmbiguousOrganization, WrongOrganization
from bridge.salestrekker.reachability import connection_advice, find_likely_address, probe_address
from bridge.wiring.connection import make_trakor_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.settings import ConnectionSettings

__all__ = ["address", "log_in", "organization", "trakor"]

UNREAD: Final = "the log-in's own, which cannot be read, so it is not compared"

PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


async def address(name: str, connection: ConnectionSettings, environ: Mapping[str, str]) -> Check:
    """Check that Salestrekker's address answers GraphQL requests."""
    settings = connection.salestrekker
    try:
        await probe_address(settings.url, settings.timeout)
    except Refused as error:
        advice = connection_advice(error) if "certificate" in str(error) else error.advice
        other = await find_likely_address(settings.url, settings.timeout)
        if other:
            advice = f'GraphQL has another path there. Write below [salestrekker]:\nurl = "{other}"'
        return Check(name, ok=False, detail=f"{error} ({settings.url})", advice=advice)
    except Transient as error:
        return unreachable(name, settings.url, error, environ)
    return Check(name, ok=True, detail=f"{settings.url} answers GraphQL requests")


def unreachable(name: str, url: str, error: Transient, environ: Mapping[str, str]) -> Check:
    """A check that failed because an address is not reachable."""
    advice = [
        connection_advice(error) or "Run this again. If the error stays, ask the operator of that system."
    ]
    proxies = [one for one in PROXIES if environ.get(one)]
    if proxies:
        advice.append(
            f"{proxies[0]} is set, but the bridge does not use it: it connects directly. "
            f"Allow this machine to connect to {urlsplit(url).hostname}."
        )
    return Check(name, ok=False, detail=f"{error} ({url})", advice="\n".join(advice))


async def log_in(name: str, client: SalestrekkerClient) -> Check:
    """Check that the credentials are accepted; report until when the token is valid."""
    try:
        await client.authenticate()
    except WrongOrganization:
        return Check(name, ok=True, detail="accepted")
    except BridgeError as error:
        return failed(name, error)
    ends = client.token_expires_at
    until = f"{datetime.fromtimestamp(ends / 1000, UTC):%Y-%m-%d %H:%M} UTC" if ends else "an unknown time"
    return Check(name, ok=True, detail=f"accepted, token valid until {until}")


async def organization(name: str, client: SalestrekkerClient, wanted: str) -> Check:
    """Report the organisation that is read, and the others of the log-in."""
    try:
        await client.authenticate()
        known = await client.organizations()
    except AmbiguousOrganization as error:
        advice = 'Choose one below [salestrekker]:\norganization = "NAME OR ID"'
        return Check(name, ok=False, detail=str(error), advice=advice)
    except WrongOrganization as error:
        return failed(name, error)
    except BridgeError as error:
        return Check(name, ok=True, detail=f"{wanted or client.organization or UNREAD} ({error})")
    here = next((one for one in known if one.id == client.organization), None)
    return Check(name, ok=True, detail=str(here or wanted or UNREAD))


async def trakor(name: str, connection: ConnectionSettings, environ: Mapping[str, str]) -> Check:
    """Check that Trakor accepts the key, with a request that creates nothing."""
    url = connection.trakor.url
    try:
        async with make_trakor_client(connection) as client:
            await client.probe()
    except Transient as error:
        return unreachable(name, url, error, environ)
    except BridgeError as error:
        advice = _sentence(getattr(error, "advice", ""))
        return Check(name, ok=False, detail=f"{error} ({url})", advice=advice)
    return Check(name, ok=True, detail=f"the key is accepted at {url}; nothing was created")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text and not text.endswith(".") else text
