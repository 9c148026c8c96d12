"""Webhooks whose record cannot be read for a while, over real sockets: they wait, and are read after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.daemon import process
from bridge.ledger.database import reading
from bridge.ledger.webhook_queue import READABLE_FOR, list_webhooks
from bridge.sandbox import Options, Sandbox
from bridge.schedule import wall_clock
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bridge.ledger.webhook_queue import StoredWebhook

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge from ten contacts and two products to an empty Trakor."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=2)))


def events(bridge: Bridge) -> list[StoredWebhook]:
    """All webhooks, the newest first."""
    with reading(bridge.folder / "ledger.db") as connection:
        return list_webhooks(connection, ["default"], 100)


async def test_a_contact_whose_resolver_fails_for_a_while_is_read_after_all(bridge: Bridge) -> None:
    """Issue 9, fault 11: the event was done as unreadable, and the contact unknown until the night."""
    trakor, world = bridge.sandbox.trakor, bridge.sandbox.salestrekker.world
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
        world.fail_by_id(new, times=6)
        await daemon.webhook("contact-created", {"id": new})
        await daemon.said("webhook waits to be read", id=new, tries=1)
        await daemon.said("webhooks processed", events=1)
        await trakor.wait_for(lambda: "Nora Newcomer" in trakor.parties)
    [event] = events(bridge)
    assert event.outcome == "read"
    assert event.tries > 0
    bridge.in_order()


async def test_it_is_counted_and_listed_as_waiting_and_others_go_on(bridge: Bridge) -> None:
    bridge.changes["salestrekker"] = {"retry_first": "1h", "retry_max": "1h", "probe_max": "1h"}
    world = bridge.sandbox.salestrekker.world
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        failing, other = bridge.sandbox.contacts.id_at(0), bridge.sandbox.contacts.id_at(1)
        world.fail_by_id(failing)
        await daemon.webhook("contact-updated", {"id": failing})
        await daemon.said("webhook waits to be read", id=failing)
        await daemon.webhook("contact-updated", {"id": other})
        await daemon.said("webhooks processed", events=1)
        assert (await daemon.status())["webhooks"]["waiting"] == 1
        done, waits = events(bridge)
        assert (done.source_id, done.outcome) == (other, "read")
        assert (waits.source_id, waits.done_at, waits.tries) == (failing, None, 1)
        assert waits.waits_for == "an error at the record (INTERNAL_SERVER_ERROR)"
        world.mend_fields()
        await daemon.webhook("contact-updated", {"id": failing})
        await daemon.said("webhooks processed", events=2)
        assert (await daemon.status())["webhooks"]["waiting"] == 0


async def test_a_restart_keeps_the_waits(bridge: Bridge) -> None:
    """What waits for an hour is not asked for again at the start, nor begins its day anew."""
    bridge.changes["salestrekker"] = {"retry_first": "1h", "retry_max": "1h", "probe_max": "1h"}
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        failing = bridge.sandbox.contacts.id_at(0)
        bridge.sandbox.salestrekker.world.fail_by_id(failing)
        await daemon.webhook("contact-updated", {"id": failing})
        await daemon.said("webhook waits to be read")
    [before] = events(bridge)
    async with Daemon(bridge) as daemon:
        await daemon.webhook("contact-updated", {"id": bridge.sandbox.contacts.id_at(1)})
        await daemon.said("webhooks processed", events=1)
    assert events(bridge)[1] == before


async def test_what_cannot_be_read_for_a_day_is_given_up_and_said(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = {"by": 0}
    monkeypatch.setattr(process, "_now", lambda: wall_clock() + ahead["by"])
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        failing = bridge.sandbox.contacts.id_at(0)
        bridge.sandbox.salestrekker.world.fail_by_id(failing)
        await daemon.webhook("contact-updated", {"id": failing})
        await daemon.said("webhook waits to be read")
        ahead["by"] = READABLE_FOR + 1000
        await daemon.said("webhook given up", id=failing, events=1)
    [event] = events(bridge)
    assert event.outcome == "unreadable"


async def test_a_deal_that_cannot_be_read_waits_too(bridge: Bridge) -> None:
    """Whose contacts it is about is not known until then."""
    contacts = bridge.sandbox.contacts
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        contacts.rename(contacts.id_at(0), "Renamed Through A Deal")
        bridge.sandbox.salestrekker.world.fail_by_id(contacts.id_at(0), times=4)
        deal = bridge.sandbox.salestrekker.world.tickets.id_at(0)
        await daemon.webhook("deal-updated", {"id": deal})
        await daemon.said("webhook waits to be read", subject="deal", id=deal)
        await daemon.said("webhooks processed")
    assert bridge.books.contact(contacts.id_at(0)).state == "held: renamed"
