"""Tries the addresses and keys that the user gave for both systems, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.errors import Refusal, Refused, Transient
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.reachability import connection_advice, find_likely_address, probe_address
from bridge.trakor import TrakorClient

__all__ = ["SourceAnswers", "TargetAnswers", "prove_source", "prove_target", "reach_source", "reach_target"]

IMPATIENT: Final = RetryPolicy(attempts=2, total=10.0)
"""Few retries, since a user waits at the terminal."""


PATIENCE: Final = 10.0
"""Seconds that an address may take to answer."""


@dataclass(frozen=True, slots=True)
class SourceAnswers:
    """Salestrekker, as the user gave it.

    Attributes:
        url: The GraphQL endpoint.
        api_key: Its API key; or
        email: of a log-in, with its
        password: password.
        organization: Name or id, where the log-in has several.
    """

    url: str
    api_key: str = field(default="", repr=False)
    email: str = ""
    password: str = field(default="", repr=False)
    organization: str = ""


@dataclass(frozen=True, slots=True)
class TargetAnswers:
    """Trakor, as the user gave it.

    Attributes:
        url: The base address of the public API.
        api_key: Its API key.
    """

    url: str
    api_key: str = field(repr=False)


async def reach_source(url: str) -> None:
    """Check that an address answers GraphQL requests, before the user types a key for it.

    Raises:
        Refused: Something else answers.
        Transient: Nothing answers; the message names possible causes.
    """
    try:
        await probe_address(url, PATIENCE)
    except Refused as error:
        other = await find_likely_address(url, PATIENCE)
        advice = f"GraphQL requests are answered at {other}" if other else error.advice
        raise Refused(str(error), advice=advice) from error
    except Transient as error:
        raise _explained(error) from error


_OF_THE_KEY: Final = (Refusal.KEY, Refusal.FROZEN)
"""Refusals that prove that Trakor answers, whatever it says about the key."""


async def reach_target(url: str) -> None:
    """Check that Trakor answers at an address, by a request without a key; errors as in ``reach_source``."""
    async with TrakorClient(url, "", timeout=PATIENCE) as client:
        try:
            await client.probe()
        except Refused as refusal:
            if refusal.kind not in _OF_THE_KEY:
                raise
        except Transient as error:
            raise _explained(error) from error


def _explained(error: Transient) -> Transient:
    """The same error with possible causes."""
    return Transient(f"{error}. {connection_advice(error)}".strip(" ."))


async def prove_source(source: SourceAnswers) -> None:
    """Check that Salestrekker accepts the credentials.

    Raises:
        Refused: It does not, or something else answers at the address.
        Transient: It does not answer.
    """
    async with SalestrekkerClient(
        url=source.url,
        api_key=source.api_key,
        email=source.email,
        password=source.password,
        organization=source.organization,
        retries=IMPATIENT,
    ) as client:
        await client.authenticate()


async def prove_target(target: TargetAnswers) -> None:
    """Check that Trakor accepts the key, by a request that creates nothing; errors as in ``prove_source``."""
    async with TrakorClient(target.url, target.api_key) as client:
        await client.probe()
