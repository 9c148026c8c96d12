"""The daemon works with the two organisations of before only, and goes on once a person has said which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.errors import UserError
from bridge.ledger.connection_organizations import confirm_organizations
from bridge.ledger.database import writing
from bridge.names import Hasher
from bridge.sandbox import Options
from bridge.wiring.ledger_and_key import ledger_key, ledger_path
from bridge.wiring.organization_identity import hash_trakor
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridge.sandbox import Sandbox

    Start = Callable[[Options], Awaitable[Sandbox]]

TWO = Options(contacts=10, products=2, organizations=("North", "South"))


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge to one of two organisations of a log-in, all delivered."""
    made = Bridge(tmp_path, await start_sandbox(TWO))
    made.changes["salestrekker"] = {"organization": "North"}
    made.changes["trakor"] = {}
    assert (await made.backfill()).exit_status in {0, 3}
    made.sandbox.salestrekker.traffic.clear()
    made.sandbox.trakor.traffic.clear()
    return made


def say_it_is_right(bridge: Bridge) -> None:
    settings = bridge.settings
    hasher = Hasher(ledger_key(settings, make=False))
    with writing(ledger_path(settings)) as connection:
        assert confirm_organizations(
            connection, "default", hash_trakor(settings.connections["default"], hasher)
        )


async def both_paused(daemon: Daemon) -> None:
    await daemon.until(lambda status: {status["reading"]["state"], status["sending"]["state"]} == {"paused"})


async def delivered(bridge: Bridge, name: str) -> None:
    await bridge.sandbox.trakor.wait_for(
        lambda: any(name in tenant.parties for tenant in bridge.sandbox.trakor.tenants.values())
    )


async def test_another_trakor_stops_it_until_a_person_confirms(bridge: Bridge) -> None:
    tenant = bridge.sandbox.trakor.add_organization("the other brokerage")
    bridge.changes["trakor"]["api_key"] = tenant.api_key
    fresh = bridge.sandbox.contacts.add("Newly Come")
    async with Daemon(bridge) as daemon:
        await daemon.said("another Trakor organisation", made=3)
        await both_paused(daemon)
        assert await daemon.webhook("contact-created", {"id": fresh}) == 202, "it arrives and waits"
        status = await daemon.status()
        assert "connections confirm default" in status["sending"]["reason"]
        assert tenant.size == 3
        names = {*tenant.parties.names(), *tenant.products.names()}
        assert not [line for line in daemon.lines.all if any(name in str(line) for name in names)]
        say_it_is_right(bridge)
        await delivered(bridge, "Newly Come")
        await daemon.settled()
    assert "Newly Come" in tenant.parties


async def test_the_right_key_put_back_by_a_reload_lets_it_go_on(bridge: Bridge) -> None:
    tenant = bridge.sandbox.trakor.add_organization("the other brokerage")
    bridge.changes["trakor"]["api_key"] = tenant.api_key
    fresh = bridge.sandbox.contacts.add("Newly Come")
    async with Daemon(bridge) as daemon:
        await both_paused(daemon)
        await daemon.webhook("contact-created", {"id": fresh})
        del bridge.changes["trakor"]["api_key"]
        daemon.signals.reload.set()
        await delivered(bridge, "Newly Come")
        await daemon.settled()
    assert tenant.size == 3


async def test_another_organisation_of_the_log_in_is_never_read(bridge: Bridge) -> None:
    """And resuming by hand changes nothing."""
    bridge.changes["salestrekker"]["organization"] = "South"
    async with Daemon(bridge) as daemon:
        await both_paused(daemon)
        await daemon.said("stopped")
    assert bridge.sandbox.salestrekker.traffic.kinds["contacts"] == 0
    assert bridge.sandbox.trakor.traffic.total == 0


async def test_another_key_of_the_same_trakor_is_taken_over_by_a_reload(bridge: Bridge) -> None:
    async with Daemon(bridge) as daemon:
        await daemon.settled()
        bridge.changes["trakor"]["api_key"] = bridge.sandbox.trakor.add_key()
        bridge.sandbox.trakor.traffic.clear()
        daemon.signals.reload.set()
        await bridge.sandbox.trakor.wait_for(lambda: bridge.sandbox.trakor.traffic.total)
        await daemon.said("configuration taken over")
    assert bridge.sandbox.trakor.traffic.statuses == {200: 1}


async def test_a_log_in_of_several_organisations_ends_it_at_the_start(
    start_sandbox: Start, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(TWO)
    daemon = Daemon(Bridge(tmp_path, sandbox))
    with pytest.raises(UserError, match="2 organisations"):
        async with daemon:
            await asyncio.wait_for(asyncio.shield(daemon.task), 20)
    assert sandbox.salestrekker.traffic.kinds["contacts"] == 0
