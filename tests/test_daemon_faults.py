"""The daemon while its ledger, its clock or one of its two systems misbehaves: nothing is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge from ten contacts and two products to an empty Trakor."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=2)))


@contextmanager
def without(bridge: Bridge, table: str) -> Iterator[None]:
    """A ledger in which whatever needs this table fails, as it does on a full disk."""
    with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        yield
    finally:
        with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
            connection.execute(f"ALTER TABLE away RENAME TO {table}")


async def test_a_ledger_that_fails_while_work_winds_up_does_not_keep_the_daemon_from_ending(
    bridge: Bridge,
) -> None:
    """The last answers cannot be written: it ends all the same, and what they were of is sent again."""
    trakor, gate = bridge.sandbox.trakor, asyncio.Event()
    trakor.faults.add(Fault(gate=gate, times=None))
    async with Daemon(bridge) as daemon:
        await trakor.wait_for(lambda: trakor.traffic.in_flight > 0)
        with without(bridge, "links"):
            daemon.signals.stop.set()
            await daemon.said("stopping")
            gate.set()
            await asyncio.wait({daemon.task}, timeout=5)
            assert daemon.task.done()
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        await daemon.settled()
    bridge.in_order()


async def test_a_ledger_that_fails_while_work_winds_up_does_not_keep_a_reload_from_its_end(
    bridge: Bridge,
) -> None:
    """A connection that begins anew cannot write its last answers: it begins anew all the same."""
    trakor, gate = bridge.sandbox.trakor, asyncio.Event()
    trakor.faults.add(Fault(gate=gate, times=None))
    async with Daemon(bridge) as daemon:
        await trakor.wait_for(lambda: trakor.traffic.in_flight > 0)
        with without(bridge, "links"):
            bridge.changes["contacts"] = {"page_size": 7}
            daemon.signals.reload.set()
            gate.set()
            await daemon.said("configuration taken over", changed=["default"])
        await daemon.said("done", job="reconcile")
        await daemon.settled()
    bridge.in_order()


async def test_a_reload_whose_times_cannot_be_noted_does_not_end_the_daemon(bridge: Bridge) -> None:
    """It is told, and what is due is noted when that is possible again."""
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        with without(bridge, "wishes"):
            bridge.changes["schedule"]["contacts"] = "20d"
            daemon.signals.reload.set()
            await daemon.said("what is due cannot be noted")
            assert (await daemon.ask("/healthz"))[0] == 200
        assert not daemon.task.done()
