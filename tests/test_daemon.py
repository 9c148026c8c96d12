"""The daemon over real sockets: what is due and what arrives is read, and what stops it is waited out."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from books import kept
from bridge.ledger.database import writing
from bridge.ledger.stored_pauses import Direction, clear_pause, set_pause
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.ledger.webhook_queue import replay_webhook
from bridge.records import Stream
from bridge.sandbox import Fault, Options, Sandbox
from bridges import Bridge
from daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[[Options], Awaitable[Sandbox]]

CONTACTS = Stream.CONTACTS


@pytest.fixture
async def bridge(start_sandbox: Start, tmp_path: Path) -> Bridge:
    """A bridge from ten contacts and two products to an empty Trakor."""
    return Bridge(tmp_path, await start_sandbox(Options(contacts=10, products=2)))


async def test_a_first_start_reads_everything_and_delivers_it(bridge: Bridge) -> None:
    """Lists that were never read to their end are due at once."""
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="contacts", complete=True)
        await daemon.said("swept", stream="products", complete=True)
    bridge.in_order()
    assert bridge.books.ids(CONTACTS, "delivered")


async def test_a_second_start_reads_nothing_that_is_not_due(bridge: Bridge) -> None:
    """Due times are in the ledger: a restart does not sweep."""
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
    async with Daemon(bridge) as daemon:
        await daemon.webhook("contact-updated", {"id": bridge.sandbox.contacts.id_at(0)})
        await daemon.said("webhooks processed")
        assert not [line for line in daemon.lines.all if line["event"] == "swept"]


async def test_a_webhook_leads_to_a_party_in_trakor(bridge: Bridge) -> None:
    """A new contact is delivered because of its webhook, without a sweep."""
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
        assert await daemon.webhook("contact-created", {"id": new}) == 202
        await bridge.sandbox.trakor.wait_for(lambda: "Nora Newcomer" in bridge.sandbox.trakor.parties)
    assert bridge.books.contact(new).state == "delivered"
    bridge.in_order()


async def test_a_deal_leads_to_its_contacts(bridge: Bridge) -> None:
    """A webhook about a deal names only the deal."""
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        first = bridge.sandbox.contacts.id_at(0)
        bridge.sandbox.contacts.rename(first, "Renamed Through A Deal")
        await daemon.webhook("deal-updated", {"id": bridge.sandbox.salestrekker.world.tickets.id_at(0)})
        await daemon.said("webhooks processed")
    assert bridge.books.contact(first).state == "held: renamed"


async def test_what_is_deleted_is_gone_only_where_a_webhook_said_so(bridge: Bridge) -> None:
    """Absent by id is not gone, unless the event was of a deletion."""
    contacts = bridge.sandbox.contacts
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        deleted, hidden = contacts.id_at(0), contacts.id_at(1)
        contacts.remove(deleted)
        contacts.remove(hidden)
        await daemon.webhook("contact-deleted", {"id": deleted})
        await daemon.webhook("contact-updated", {"id": hidden})
        await daemon.said("webhooks processed")
    assert "gone" in bridge.books.contact(deleted).marks
    assert "gone" not in bridge.books.contact(hidden).marks


async def test_ten_webhooks_for_one_contact_are_one_read(bridge: Bridge) -> None:
    """Events of one record within the debounce time are one piece of work."""
    bridge.changes["webhooks"] = {"debounce": "300ms"}
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        asked = bridge.sandbox.salestrekker.traffic.total
        one = bridge.sandbox.contacts.id_at(0)
        answers = [daemon.webhook("contact-updated", {"id": one}) for _ in range(10)]
        assert set(await asyncio.gather(*answers)) == {202}
        await daemon.said("webhooks processed", events=10)
        assert bridge.sandbox.salestrekker.traffic.total == asked + 1


async def test_many_webhooks_share_few_requests(start_sandbox: Start, tmp_path: Path) -> None:
    """A hundred contacts at 25 ids a request are read with a handful of requests."""
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=100, products=0)))
    bridge.changes["webhooks"] = {"debounce": "300ms"}
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        asked = bridge.sandbox.salestrekker.traffic.total
        ids = [bridge.sandbox.contacts.id_at(number) for number in range(100)]
        await asyncio.gather(*(daemon.webhook("contact-updated", {"id": one}) for one in ids))
        await daemon.said("webhooks processed")
        await daemon.settled()
        assert bridge.sandbox.salestrekker.traffic.total - asked <= 8


async def test_a_refused_key_pauses_reading_and_nothing_else(bridge: Bridge) -> None:
    """Webhooks still arrive, the process stays ready, status says so, and it heals by itself."""
    salestrekker = bridge.sandbox.salestrekker
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        salestrekker.revoke_key()
        salestrekker.revoke_tokens()
        new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
        assert await daemon.webhook("contact-created", {"id": new}) == 202
        await daemon.said("paused", direction="reading")
        status = await daemon.status()
        assert status["reading"]["state"] == "paused"
        assert status["reading"]["since"]
        assert status["reading"]["next_try"]
        assert (await daemon.ask("/readyz"))[0] == 200
        assert await daemon.webhook("contact-updated", {"id": new}) == 202
        salestrekker.restore_key()
        await daemon.said("resumed", direction="reading")
        await bridge.sandbox.trakor.wait_for(lambda: "Nora Newcomer" in bridge.sandbox.trakor.parties)
        assert (await daemon.status())["reading"]["state"] == "ok"
    bridge.in_order()


async def test_a_restart_remembers_that_reading_is_paused(bridge: Bridge) -> None:
    """A daemon that starts while the key is refused asks once, not for everything that is due."""
    bridge.changes["salestrekker"] = {"probe_first": "1h", "probe_max": "1h"}
    salestrekker = bridge.sandbox.salestrekker
    salestrekker.revoke_key()
    async with Daemon(bridge) as daemon:
        await daemon.said("paused", direction="reading")
    asked = salestrekker.traffic.total
    async with Daemon(bridge) as daemon:
        assert await daemon.webhook("contact-updated", {"id": bridge.sandbox.contacts.id_at(0)}) == 202
        assert (await daemon.status())["reading"]["state"] == "paused"
    assert salestrekker.traffic.total == asked


async def test_an_outage_of_salestrekker_is_waited_out_with_few_requests(bridge: Bridge) -> None:
    """While it is down there is one probe at a time; afterwards the sweep goes on."""
    salestrekker = bridge.sandbox.salestrekker
    down = salestrekker.faults.add(Fault(status=503, times=None))
    async with Daemon(bridge) as daemon:
        await daemon.said("paused", direction="reading")
        paused_at = salestrekker.traffic.total
        await salestrekker.wait_for(lambda: salestrekker.traffic.total >= paused_at + 3)
        salestrekker.faults.remove(down)
        await daemon.said("resumed", direction="reading")
        await daemon.said("swept", stream="products", complete=True)
    bridge.in_order()


async def test_a_frozen_trakor_is_probed_and_then_gets_everything(
    start_sandbox: Start, tmp_path: Path
) -> None:
    """A refusal stops the flow, not the data: nothing is marked, nothing is missing, nothing is twice."""
    bridge = Bridge(tmp_path, await start_sandbox(Options(contacts=300, products=20)))
    bridge.changes["trakor"] = {"probe_first": "50ms", "probe_max": "100ms"}
    trakor = bridge.sandbox.trakor
    async with Daemon(bridge) as daemon:
        await trakor.wait_for(lambda: len(trakor.parties) >= 30)
        trakor.freeze()
        await daemon.said("paused", direction="sending")
        refused = trakor.traffic.total
        assert (await daemon.status())["sending"]["state"] == "paused"
        await trakor.wait_for(lambda: trakor.traffic.total >= refused + 2)
        trakor.unfreeze()
        await daemon.said("resumed", direction="sending")
        await trakor.wait_for(lambda: len(trakor.products) >= 15)
        await daemon.settled()
    bridge.in_order()


async def test_what_waited_for_long_is_read_anew_before_it_is_sent(bridge: Bridge) -> None:
    """A daemon that was away must not send old words: Trakor has no update, and they would drift."""
    trakor, path = bridge.sandbox.trakor, bridge.folder / "ledger.db"
    trakor.freeze()
    async with Daemon(bridge) as daemon:
        await daemon.said("done", job="reconcile")
    new = bridge.sandbox.contacts.id_at(0)
    bridge.sandbox.contacts.change_email(new, "another@example.com")
    trakor.unfreeze()
    with writing(path, kept(path)) as connection:
        set_timestamp(connection, "", TimestampName.ALIVE, 1)
        clear_pause(connection, "default", Direction.SENDING)
    async with Daemon(bridge) as daemon:
        await daemon.said("reading before sending")
        await daemon.said("done", job="reconcile")
        await daemon.settled()
    assert bridge.books.contact(new).state == "delivered"
    bridge.in_order()


async def test_a_person_pauses_and_resumes_reading_from_another_process(bridge: Bridge) -> None:
    """What another process writes is seen, and a person's pause is not probed."""
    path = bridge.folder / "ledger.db"
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        with writing(path, kept(path)) as connection:
            set_pause(connection, "default", Direction.READING, reason="by hand", now=1, by_person=True)
        assert await daemon.webhook("contact-updated", {"id": bridge.sandbox.contacts.id_at(0)}) == 202
        asked = bridge.sandbox.salestrekker.traffic.total
        await daemon.until(lambda status: status["reading"]["state"] == "paused")
        with writing(path, kept(path)) as connection:
            clear_pause(connection, "default", Direction.READING, by_person=True)
        await daemon.said("webhooks processed")
        assert bridge.sandbox.salestrekker.traffic.total <= asked + 1


@pytest.mark.parametrize("direction", list(Direction))
async def test_what_stopped_by_itself_and_a_person_resumes_is_told(
    bridge: Bridge, direction: Direction
) -> None:
    """The log had `paused` and then nothing: only the end of a person's own pause was told."""
    for section in ("salestrekker", "trakor"):
        bridge.changes[section] = {"probe_first": "1h", "probe_max": "1h"}
    path, sandbox = bridge.folder / "ledger.db", bridge.sandbox
    refusing = sandbox.salestrekker if direction == Direction.READING else sandbox.trakor
    refusal = refusing.faults.add(Fault(status=403, times=None))
    async with Daemon(bridge) as daemon:
        await daemon.said("paused", direction=str(direction))
        refusing.faults.remove(refusal)
        with writing(path, kept(path)) as connection:
            assert clear_pause(connection, "default", direction, by_person=True)
        await daemon.said("resumed", direction=str(direction), by_person=True)
        await daemon.said(
            "done", job="reconcile"
        ) if direction == Direction.READING else await daemon.settled()
        assert len([line for line in daemon.lines.all if line["event"] == "resumed"]) == 1


async def test_an_event_is_replayed_by_another_process(bridge: Bridge) -> None:
    """`webhooks replay` writes, and the daemon sees it."""
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        await daemon.webhook("contact-updated", {"id": bridge.sandbox.contacts.id_at(0)})
        await daemon.said("webhooks processed")
        with writing(bridge.folder / "ledger.db", kept(bridge.folder / "ledger.db")) as connection:
            replay_webhook(connection, 1, 1)
        await daemon.said("webhooks processed", events=1)


async def test_a_rotated_key_is_taken_over_without_a_restart(bridge: Bridge) -> None:
    """SIGHUP reads secrets anew; one connection's work begins anew with them."""
    trakor = bridge.sandbox.trakor
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        trakor.api_key = "sk_live_another_one_altogether"
        bridge.changes["trakor"] = {"api_key": trakor.api_key}
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", changed=["default"])
        new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
        await daemon.webhook("contact-created", {"id": new})
        await trakor.wait_for(lambda: "Nora Newcomer" in trakor.parties)


async def test_a_key_that_was_put_right_is_tried_at_once(bridge: Bridge) -> None:
    """After a refusal the next probe may be far away; a reload with another key does not wait for it."""
    trakor, good = bridge.sandbox.trakor, bridge.sandbox.options.trakor_key
    bridge.changes["trakor"] = {"api_key": "sk_live_wrong", "probe_first": "1h", "probe_max": "1h"}
    async with Daemon(bridge) as daemon:
        await daemon.said("paused", direction="sending")
        bridge.changes["trakor"] = {"api_key": good, "probe_first": "1h", "probe_max": "1h"}
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", changed=["default"])
        await trakor.wait_for(lambda: len(trakor.parties) > 0)
        await daemon.settled()
    bridge.in_order()


async def test_a_faulty_configuration_leaves_the_old_one_at_work(bridge: Bridge) -> None:
    """A reload that cannot be used is told, and nothing of it is taken over."""
    async with Daemon(bridge) as daemon:
        await daemon.said("swept", stream="products")
        bridge.changes["contacts"] = {"where": "isActive ="}
        daemon.signals.reload.set()
        await daemon.said("configuration not taken over")
        new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
        await daemon.webhook("contact-created", {"id": new})
        await bridge.sandbox.trakor.wait_for(lambda: "Nora Newcomer" in bridge.sandbox.trakor.parties)


async def test_what_needs_a_restart_is_named(bridge: Bridge) -> None:
    """The listeners' places and the ledger belong to the process."""
    async with Daemon(bridge) as daemon:
        bridge.changes["admin"] = {"port": 1}
        bridge.changes["log"] = {"level": "warning"}
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", changed=[], needs_restart=["[admin]", "[log]"])


async def test_what_needs_a_restart_is_held_against_what_runs(bridge: Bridge) -> None:
    """The next reload forgot it, and putting the old value back asked for a restart."""
    async with Daemon(bridge) as daemon:
        before = dict(bridge.changes["admin"])
        bridge.changes["admin"] = {"port": 1}
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", needs_restart=["[admin]"])
        daemon.signals.reload.set()
        await daemon.said("configuration taken over", needs_restart=["[admin]"])
        bridge.changes["admin"] = before
        daemon.signals.reload.set()
        await daemon.said("configuration taken over")
        told = [line for line in daemon.lines.all if line["event"] == "configuration taken over"]
        assert ["needs_restart" in line for line in told] == [True, True, False]


async def test_a_task_that_dies_ends_the_process_in_order(bridge: Bridge) -> None:
    """A fault of ours is no outage: all winds up, and what it was is raised."""
    daemon = Daemon(bridge)
    with pytest.raises(ExceptionGroup):  # noqa: PT012 - the fault comes while it runs
        async with daemon:
            await daemon.said("swept", stream="products")
            with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
                connection.execute("DELETE FROM feeds")
                connection.commit()
            new = bridge.sandbox.contacts.add("Nora Newcomer", email="nora@example.com")
            await daemon.webhook("contact-created", {"id": new})
            await asyncio.wait({daemon.task}, timeout=5)
