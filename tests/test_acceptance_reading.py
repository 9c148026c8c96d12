"""The installed command against a Salestrekker that throttles, fails at one id, or moves while it is read."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from daemons import TOKEN, daemon_settings
from processes import commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import aiohttp

    from processes import Begin, Process

    Start = Callable[[Options], Awaitable[Sandbox]]

pytestmark = pytest.mark.acceptance

CONTACTS = Stream.CONTACTS


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """``begin("run")`` starts the command in the test's folder; ended with the test."""
    async with commands(tmp_path) as begin:
        yield begin


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """120 contacts that are read 50 at a time; the configuration is in the test's folder."""
    found = Bridge(tmp_path, await start_sandbox(Options(contacts=120, products=0)))
    found.changes["contacts"] = {"page_size": 50}
    assert found.settings.connections
    return found


def gone(bridge: Bridge) -> set[str]:
    """The ids of the contacts that are marked gone."""
    return {one for (_, _, one), known in bridge.books.known.items() if "gone" in known.marks}


async def test_two_deletions_while_the_list_is_read_hide_nobody(bridge: Bridge, begin: Begin) -> None:
    """Issue 9, fault 12: two living contacts were marked gone. The deleted ones are, the next time."""
    contacts = bridge.sandbox.contacts
    await (await begin("backfill", "contacts")).ended()
    deleted = [contacts.id_at(0), contacts.id_at(1)]

    def remove() -> None:
        for one in deleted:
            contacts.remove(one)

    bridge.sandbox.salestrekker.faults.add(
        Fault(
            kind="contacts",
            where=lambda exchange: exchange.content["variables"].get("offset") == 50,
            before=remove,
        )
    )
    ended = await (await begin("backfill", "contacts", "--json")).ended()
    assert ended.document["connections"]["default"]["complete"] is True
    assert ended.numbers["contacts"]["read"] == 120
    assert gone(bridge) == set()
    await (await begin("backfill", "contacts")).ended()
    assert gone(bridge) == set(deleted)
    bridge.in_order()


async def test_a_backfill_killed_before_the_missing_were_looked_for_marks_nothing(
    bridge: Bridge, begin: Begin
) -> None:
    """The list was read to its end; the next backfill reads it again, and looks then."""
    sandbox = bridge.sandbox
    await (await begin("backfill", "contacts")).ended()
    deleted = sandbox.contacts.id_at(0)
    sandbox.contacts.remove(deleted)
    sandbox.salestrekker.hold(kind="contact", times=1)
    killed = await begin("backfill", "contacts")
    await sandbox.salestrekker.wait_for(lambda: sandbox.salestrekker.traffic.of("contact"))
    killed.signal(signal.SIGKILL)
    await killed.ended()
    sandbox.salestrekker.release()
    assert bridge.books.sweeps[-1] == (CONTACTS, True, True)
    assert gone(bridge) == set()
    await (await begin("backfill", "contacts")).ended()
    assert gone(bridge) == {deleted}


async def test_a_throttle_of_graphqls_own_is_waited_for(bridge: Bridge, begin: Begin) -> None:
    """Issue 9, fault 15: answered 200, it says how long; nothing is asked before, and nothing fails."""
    salestrekker = bridge.sandbox.salestrekker
    throttle = salestrekker.throttle(2, times=1, kind="contacts")
    process = await begin("backfill", "contacts", "--json")
    await salestrekker.wait_for(lambda: throttle.hits)
    asked, began = salestrekker.traffic.total, time.monotonic()
    await salestrekker.wait_for(lambda: salestrekker.traffic.total > asked)
    assert time.monotonic() - began > 1.5
    ended = await process.ended()
    assert ended.document["connections"]["default"]["complete"] is True
    assert ended.numbers["contacts"]["read"] == 120


# -- the daemon


async def at_work(bridge: Bridge, begin: Begin) -> tuple[Process, str]:
    """A daemon that has read everything, and the address that webhooks are posted to."""
    for table, values in daemon_settings().items():
        bridge.changes[table] = {**values, **bridge.changes.get(table, {})}
    assert bridge.settings.connections
    process = await begin("run", "--log-format", "json")
    port = await process.listens("listening for webhooks")
    await process.said('"job": "reconcile"')
    return process, f"http://127.0.0.1:{port}/webhooks/{TOKEN}"


async def listed(begin: Begin) -> list[dict[str, object]]:
    """What `webhooks list --json` says, the newest first."""
    ended = await (await begin("webhooks", "list", "--json")).ended()
    events: list[dict[str, object]] = json.loads(ended.out)["events"]
    return events


async def test_a_contact_that_cannot_be_read_for_a_while_is_listed_and_read_after_all(
    bridge: Bridge, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """Issue 9, fault 11: its webhook was done as unreadable, and the contact unknown. Also over a restart."""
    bridge.changes["salestrekker"] = {"retry_first": "2s", "retry_max": "2s", "probe_max": "2s"}
    trakor, world = bridge.sandbox.trakor, bridge.sandbox.salestrekker.world
    process, address = await at_work(bridge, begin)
    new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
    world.fail_by_id(new)
    async with http.post(f"{address}/contact-created", json={"id": new}) as answer:
        assert answer.status == 202
    await process.said("webhook waits to be read")
    [event] = await listed(begin)
    assert (event["status"], event["waits_for"]) == (
        "waiting",
        "an error at the record (INTERNAL_SERVER_ERROR)",
    )
    shown = await (await begin("webhooks", "list")).ended()
    assert "waiting: an error at the record" in " ".join(shown.out.split())
    process.signal(signal.SIGTERM)
    assert (await process.ended()).status == 0
    world.mend_fields()
    await begin("run", "--log-format", "json")
    await trakor.wait_for(lambda: "Nora Newcomer" in trakor.parties)
