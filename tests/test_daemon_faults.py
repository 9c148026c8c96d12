"""The daemon while its ledger, its clock or one of its systems misbehaves: nothing is lost or hangs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from books import kept
from bridge.daemon import process
from bridge.daemon import sweep_worker as sweeping
from bridge.ledger.database import writing
from bridge.ledger.scheduled_jobs import request_job
from bridge.records import Job
from bridge.sandbox import Fault, Options, Sandbox
from bridge.schedule import wall_clock
from bridges import Bridge, without
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge from ten contacts and two products to an empty Trakor."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=2)))


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


def wish(bridge: Bridge, job: Job, at: int) -> None:
    """Want something done, as the schedule would, by another process."""
    with writing(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db")) as connection:
        request_job(connection, "default", job, now=at)


async def test_a_sweep_that_the_ledger_broke_off_is_wanted_still(bridge: Bridge) -> None:
    """Its next time may be days away: it is read again as soon as the ledger can be written."""
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        with without(bridge, "sweeps"):
            wish(bridge, Job.CONTACTS, wall_clock())
            await daemon.said("work interrupted")
        await daemon.said("swept", stream="contacts", complete=True)
        await daemon.said("done", job="contacts")


async def test_a_clock_that_was_set_back_keeps_no_list_from_being_read(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was swept at a time to come does not count as swept since."""
    right = wall_clock()
    clock = {"is": right + 3_600_000}
    monkeypatch.setattr(process, "_now", lambda: clock["is"])
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        clock["is"] = right
        wish(bridge, Job.CONTACTS, right)
        await daemon.said("swept", stream="contacts")
        await daemon.said("done", job="contacts")


async def test_a_list_that_is_wanted_again_before_it_is_read_leaves_the_others_their_turn(
    bridge: Bridge,
) -> None:
    """Contacts take longer than their interval: products are read all the same."""
    gate, salestrekker = asyncio.Event(), bridge.sandbox.salestrekker
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        salestrekker.faults.add(Fault(gate=gate))
        now = wall_clock()
        wish(bridge, Job.CONTACTS, now)
        await salestrekker.wait_for(lambda: salestrekker.traffic.in_flight > 0)
        wish(bridge, Job.CONTACTS, now + 1)
        wish(bridge, Job.PRODUCTS, now + 2)
        gate.set()
        await daemon.said("done", job="contacts")
        done = len(daemon.lines.all)
        await daemon.lines.wait_for(done, "done", job="products")
        assert "contacts" not in [line.get("job") for line in daemon.lines.all[done:-1]]


async def test_what_cannot_be_read_of_one_stream_does_not_keep_another_from_being_read(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """More products are refused than one look takes: contacts are read, and the products wait."""
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=8)))
    bridge.changes["salestrekker"] = {"ids_per_request": 2, "max_in_flight": 2}
    sandbox = bridge.sandbox
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        refused = sandbox.salestrekker.faults.add(Fault(kind="product", status=403, times=None))
        for number in range(8):
            await daemon.webhook("product-updated", {"id": sandbox.products.id_at(number)})
        await daemon.said("webhooks cannot be processed", subject="product")
        await daemon.webhook("contact-updated", {"id": sandbox.contacts.id_at(0)})
        await daemon.until(lambda status: status["webhooks"]["waiting"] == 8)
        sandbox.salestrekker.faults.remove(refused)
        await daemon.settled()


async def test_what_a_webhook_is_about_is_read_before_what_a_list_did_not_show(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep's end looks for many records; a webhook's reads have priority."""
    monkeypatch.setattr(sweeping, "LONGEST_YIELD", 60.0)
    salestrekker, contacts = bridge.sandbox.salestrekker, bridge.sandbox.contacts
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        sweeps = bridge.books.sweeps
        deleted, changed = contacts.id_at(0), contacts.id_at(1)
        contacts.remove(deleted)
        salestrekker.hold(kind="contact", times=1)
        await daemon.webhook("contact-updated", {"id": changed})
        await salestrekker.wait_for(lambda: salestrekker.traffic.of("contact"))
        wish(bridge, Job.CONTACTS, wall_clock())

        def is_read_to_its_end(_: dict[str, Any]) -> bool:
            later = bridge.books.sweeps[len(sweeps) :]
            return any(ended for _, ended, _ in later)

        await daemon.until(is_read_to_its_end)
        for _ in range(5):
            await daemon.status()
        assert len(salestrekker.traffic.of("contact")) == 1
        salestrekker.release()
        await daemon.said("swept", stream="contacts", gone=1)
    assert "gone" in bridge.books.contact(deleted).marks


async def test_webhooks_that_never_end_do_not_keep_a_sweep_from_its_end(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LONGEST_YIELD", 60.01)
    salestrekker, contacts = bridge.sandbox.salestrekker, bridge.sandbox.contacts
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
        contacts.remove(contacts.id_at(0))
        salestrekker.hold(kind="contact", times=1)
        await daemon.webhook("contact-updated", {"id": contacts.id_at(1)})
        await salestrekker.wait_for(lambda: salestrekker.traffic.of("contact"))
        wish(bridge, Job.CONTACTS, wall_clock())
        await daemon.said("swept", stream="contacts", gone=1)
        salestrekker.release()
