"""Records read by their ids, from the simulated Salestrekker into a ledger, beside sweeps of the list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from bridge.errors import Transient
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.open import open_ledger
from bridge.ledger.record_relations_and_history import load_history
from bridge.ledger.schema import records
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import Policy, Record, Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import load_by_id_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.pages import RecordsById
from bridge.salestrekker.query_files import shipped_queries
from bridge.sandbox import BrokenField, Fault
from bridge.sync import ByIdSource, SweepSource, refresh, sweep
from bridge.sync.observe_batch import BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection

    from bridge.ledger.database import Ledger
    from bridge.sandbox import Sandbox
    from bridge.sync import RefreshResult

LIST = load_list_query("contacts.graphql", [shipped_queries()])
ONE = load_by_id_query("contact.graphql", [shipped_queries()])


def now() -> int:
    return int(time.time() * 1000)


class World:
    """A sandbox, a ledger, and the two ways from one to the other."""

    def __init__(self, sandbox: Sandbox, ledger: Ledger, client: SalestrekkerClient) -> None:
        self.sandbox = sandbox
        self.ledger = ledger
        self.client = client
        self.mapper = Mapper(Stream.CONTACTS, {}, "", Hasher(b"k" * 32), LIST.fingerprint)
        self.asked: list[list[str]] = []

    async def sweep(self) -> None:
        """Read the whole list."""
        feed = await self.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS)
        listing = SweepSource(
            feed=feed,
            pages=lambda start: self.client.read_pages(
                LIST, stream=Stream.CONTACTS, identify=self.mapper.identify, page_size=100, start=start
            ),
            query=LIST.fingerprint,
            mapper=self.mapper,
            policy=Policy(),
            gone_limit=0.2,
        )
        await sweep(listing, self.ledger, run=1, restart=False, clock=now, on_page=lambda *_: None)

    async def refresh(self, *ids: str, per_request: int = 25) -> RefreshResult:
        """Read some by their ids."""

        async def read(wanted: Sequence[str]) -> RecordsById:
            return await self.client.read_by_id(
                ONE,
                wanted,
                stream=Stream.CONTACTS,
                identify=self.mapper.identify,
                ids_per_request=per_request,
            )

        return await refresh(await self.one_listing(read), self.ledger, ids, clock=now)

    async def one_listing(self, read: Any) -> ByIdSource:  # noqa: ANN401 - a port
        feed = await self.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS)
        return ByIdSource(feed, read, self.mapper, Policy())

    async def row(self, identity: str) -> Any:  # noqa: ANN401 - a row of the table
        """What the ledger knows of a record; None for nothing."""

        def chosen(connection: Connection) -> Any:  # noqa: ANN401
            return connection.execute(select(records).where(records.c.source_id == identity)).one_or_none()

        return await self.ledger.call(chosen)

    def id_at(self, place: int) -> str:
        return self.sandbox.contacts.id_at(place)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db", b"k" * 32, "a test") as ledger:
        yield ledger


@pytest.fixture
async def world(sandbox: Sandbox, ledger: Ledger) -> AsyncIterator[World]:
    client = SalestrekkerClient(
        url=sandbox.salestrekker_url,
        api_key=sandbox.options.api_key,
        requests_per_minute=0,
        timeout=5.0,
        retries=RetryPolicy(attempts=1),
    )
    async with client:
        yield World(sandbox, ledger, client)


async def test_what_was_never_seen_is_pending_then(world: World) -> None:
    new = world.sandbox.contacts.add("Ada Ashby", email="ada@example.com")
    found = await world.refresh(new)
    assert (found.read, found.absent, found.broken, found.pending) == ({new}, [], {}, 1)
    assert (await world.row(new)).state == "pending"


async def test_what_has_not_changed_since_the_sweep_is_only_seen(world: World) -> None:
    """Queries by id and of the list select the same, and one mapper serves both: nothing is decided anew."""
    await world.sweep()
    identity = world.id_at(0)
    before = await world.row(identity)
    found = await world.refresh(identity)
    after = await world.row(identity)
    assert (found.read, found.pending) == ({identity}, 0)
    assert after.read_at > before.read_at
    others = [column.name for column in records.c if column.name != "read_at"]
    assert [getattr(after, name) for name in others] == [getattr(before, name) for name in others]
    assert len(await world.ledger.call(load_history, before.number)) == 1


async def test_what_has_changed_is_decided_on(world: World) -> None:
    await world.sweep()
    identity = world.sandbox.contacts.add("Ada Ashby", email="ada@example.com")
    await world.refresh(identity)
    before = await world.row(identity)
    world.sandbox.contacts.rename(identity, "Ada Byron")
    found = await world.refresh(identity)
    after = await world.row(identity)
    assert found.pending == 1
    assert after.key != before.key


async def test_what_is_not_there_is_told_and_not_marked_gone(world: World) -> None:
    await world.sweep()
    identity = world.id_at(0)
    world.sandbox.contacts.remove(identity)
    found = await world.refresh(identity, "never-was")
    assert (found.read, found.absent, found.pending) == (set(), [identity, "never-was"], 0)
    assert (await world.row(identity)).gone == 0
    assert await world.row("never-was") is None


async def test_what_cannot_be_read_whole_changes_nothing(world: World) -> None:
    await world.sweep()
    identity = world.id_at(0)
    before = await world.row(identity)
    broken = BrokenField(stream="contacts", path="person", id=identity)
    world.sandbox.salestrekker.world.break_field(broken)
    found = await world.refresh(identity, world.id_at(1))
    assert found.broken.keys() == {identity}
    assert "FORBIDDEN" in found.broken[identity]
    assert found.read == {world.id_at(1)}
    assert await world.row(identity) == before


async def test_where_nothing_can_be_read_nothing_is_written(world: World) -> None:
    new = world.sandbox.contacts.add("Ada Ashby")
    world.sandbox.salestrekker.faults.add(Fault(kind="contact", status=503, times=None))
    with pytest.raises(Transient):
        await world.refresh(new)
    assert await world.row(new) is None


async def test_a_sweep_that_was_read_earlier_does_not_undo_it(world: World) -> None:
    """A page whose request began before the webhook's read is older, whenever it is written."""
    identity = world.sandbox.contacts.add("Ada Ashby")
    old = dict(world.sandbox.contacts.get(identity) or {})
    began = now() - 5
    world.sandbox.contacts.rename(identity, "Ada Byron")
    await world.refresh(identity)
    newer = await world.row(identity)

    async def late(_: Sequence[str]) -> RecordsById:
        return RecordsById([Record(Stream.CONTACTS, identity, old, began)], [], [], began)

    await refresh(await world.one_listing(late), world.ledger, [identity], clock=now)
    assert await world.row(identity) == newer


async def test_each_record_is_noted_as_read_when_its_own_request_began(world: World) -> None:
    """Of several requests the later ones must not make the records of the earlier ones seem fresher."""
    await world.sweep()
    first, second = world.id_at(0), world.id_at(1)
    rows = {one: dict(world.sandbox.contacts.get(one) or {}) for one in (first, second)}
    began = now() + 1

    async def read(_: Sequence[str]) -> RecordsById:
        found = [
            Record(Stream.CONTACTS, second, rows[second], began + 50),
            Record(Stream.CONTACTS, first, rows[first], began),
        ]
        return RecordsById(found, [], [], began)

    listing = await world.one_listing(read)
    await refresh(listing, world.ledger, [first, second], clock=lambda: began + 100)
    assert [(await world.row(one)).read_at for one in (first, second)] == [began, began + 50]


async def test_many_are_read_and_written_in_parts(world: World) -> None:
    ids = [world.sandbox.contacts.add(f"Ada Ashby {number}") for number in range(BATCH_SIZE + 50)]
    found = await world.refresh(*ids, per_request=len(ids))
    assert found.read == set(ids)
    assert [await world.row(one) for one in ids].count(None) == 0


async def test_it_belongs_to_no_run_and_no_sweep(world: World) -> None:
    """A run counts what it has read itself; a sweep must not take this for its own sight."""
    await world.refresh(world.id_at(0))
    row = await world.row(world.id_at(0))
    assert (row.run, row.sweep) == (0, 0)
