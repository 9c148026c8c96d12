"""A day of the daemon in fast motion: tokens of five seconds, a sweep every second, webhooks all along."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import psutil
import pytest

from bridge.sandbox import Options, Sandbox
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import LONG, commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]

pytestmark = pytest.mark.acceptance

LATE = 2.5
"""Seconds between two sweeps that are due each second: more, and one was not on time, or the machine is."""

MB = 2**20


async def test_a_day_goes_by_without_a_refused_token_a_late_sweep_or_more_memory(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """What happens once a fortnight or once a night happens here many times in some seconds."""
    sandbox = await start_sandbox(Options(contacts=200, products=5, token_life=5))
    changes = daemon_settings()
    changes["schedule"] = {"contacts": "1s", "products": "2s", "reconcile": "2s"}
    bridge = Bridge(tmp_path, sandbox, changes)
    assert bridge.settings.connections
    seen = sandbox.salestrekker.traffic
    async with commands(tmp_path) as begin:
        daemon = await begin("run", "--log-format", "json")
        port = await daemon.listens("listening for webhooks")
        working = asyncio.create_task(_work(bridge, f"http://127.0.0.1:{port}/webhooks/{TOKEN}"))
        await seen.wait_for(lambda: seen.kinds["authenticate"] >= 3, timeout=LONG)
        middle = _measured(daemon.pid)
        await seen.wait_for(lambda: seen.kinds["authenticate"] >= 5, timeout=LONG)
        end = _measured(daemon.pid)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        daemon.signal(signal.SIGTERM)
        ended = await daemon.ended(within=10)
    assert ended.status == 0
    assert {line["level"] for line in daemon.log} == {"info"}, "there was nothing to warn of"
    assert seen.statuses.keys() == {200}, "no read went out with a token that had ended"
    assert _longest_gap(sandbox) < LATE
    assert end.memory - middle.memory < 4 * MB
    assert end.descriptors <= middle.descriptors + 4
    bridge.in_order()


class _Measured(NamedTuple):
    """What a process holds: bytes in memory, open files and sockets."""

    memory: int
    descriptors: int


def _measured(pid: int) -> _Measured:
    process = psutil.Process(pid)
    return _Measured(process.memory_info().rss, process.num_fds())


def _longest_gap(sandbox: Sandbox) -> float:
    """Seconds between the beginnings of two sweeps of the contacts, at most."""
    lists = sandbox.salestrekker.traffic.of("contacts")
    begun = [one.at for one in lists if one.content["variables"].get("offset") == 0]
    assert len(begun) > 8
    return max(later - before for before, later in pairwise(begun))


async def _work(bridge: Bridge, address: str) -> None:
    """Contacts change, and each change is posted, until it is cancelled."""
    contacts = bridge.sandbox.contacts
    async with aiohttp.ClientSession() as http:
        for number in count():
            one = contacts.id_at(number % 50)
            contacts.change_email(one, f"changed{number}@example.com")
            async with http.post(f"{address}/contact-updated", json={"id": one}) as answer:
                assert answer.status == 202
            await asyncio.sleep(0.05)  # no faster than an office works
