"""The daemon tells who has to know, over real sockets, and no log of its holds an address."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.alerts.conditions import DAY
from bridge.errors import UserError
from bridge.ledger.alerts_sent import load_alerts_sent
from bridge.ledger.database import writing
from bridge.ledger.open import migrate, read_or_make_key
from bridge.ledger.stored_pauses import Direction, set_pause
from bridge.sandbox import Options, Sandbox
from bridges import Bridge
from daemons import Daemon
from messengers import CANARY, Service, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as one:
        yield one


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path, service: Service) -> Bridge:
    """A bridge whose reading somebody paused two days ago, and who is to be told at ``service``."""
    made = Bridge(tmp_path, await start_sandbox(Options(contacts=2, products=1)))
    made.changes["alerts"] = {"urls": [service.address], "heartbeat_url": service.url}
    read_or_make_key(tmp_path / "ledger.key")
    migrate(tmp_path / "ledger.db", kept(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db", kept(tmp_path / "ledger.db")) as connection:
        began = time.time_ns() // 1_000_000 - 2 * DAY
        set_pause(connection, "default", Direction.READING, reason="by hand", now=began, by_person=True)
    return made


async def test_the_daemon_tells_once_whatever_it_is_restarted(bridge: Bridge, service: Service) -> None:
    """And the ledger knows the address by a hash alone."""
    async with Daemon(bridge) as daemon:
        await daemon.said("alert sent", address=1)
    async with Daemon(bridge) as daemon:
        await daemon.until(lambda status: status["reading"]["state"] == "paused")
    assert service.titles == ["trakor-bridge: reading-paused-by-person"]
    with writing(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db")) as connection:
        assert "canary" not in repr(load_alerts_sent(connection))
    assert "canary" not in repr(daemon.lines.all)


async def test_an_address_that_apprise_does_not_know_is_refused_at_the_start(bridge: Bridge) -> None:
    bridge.changes["alerts"] = {"urls": [f"nosuch://{CANARY}"]}
    with pytest.raises(UserError, match="is not an Apprise address"):
        async with Daemon(bridge):
            pass


async def test_other_addresses_need_a_restart(bridge: Bridge) -> None:
    async with Daemon(bridge) as daemon:
        bridge.changes["alerts"] = {"urls": []}
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", needs_restart=["[alerts]"])
