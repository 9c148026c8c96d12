"""What a complete sweep did not see, from the simulated Salestrekker into a ledger: looked for by its id."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from bridge.errors import QueryFileError, Transient
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.open import open_ledger
from bridge.ledger.runs_and_sweeps import load_sweep_progress
from bridge.ledger.schema import records, sweeps
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import Policy, Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_query import load_by_id_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import shipped_queries
from bridge.sandbox import Fault
from bridge.sync import ByIdSource, SweepSource, sweep

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection

    from bridge.ledger.database import Ledger
    from bridge.records import Record
    from bridge.salestrekker.pages import Page, RecordsById
    from bridge.sandbox import Sandbox
    from bridge.sync import SweepResult

LIST = load_list_query("contacts.graphql", [shipped_queries()])
HASHER = Hasher(b"k" * 32)
ONE = load_by_id_query("contact.graphql", [shipped_queries()])


def now() -> int:
    return int(time.time() * 1000)


class World:
    """A sandbox of 200 contacts, a ledger, and sweeps from one to the other, 50 a page.

    Attributes:
        hidden: What the list does not show although it is there.
        by_id: Whether single records can be read.
        query: Of the list, as its fingerprint.
        asked: The ids that were read, in the requests' order.
    """

    def __init__(self, sandbox: Sandbox, ledger: Ledger, client: SalestrekkerClient) -> None:
        self.sandbox = sandbox
        self.ledger = ledger
        self.client = client
        self.hidden: set[str] = set()
        self.by_id = True
        self.query = "as it is"
        self.asked: list[list[str]] = []
        self.mapper = Mapper(Stream.CONTACTS, {}, "", HASHER, LIST.fingerprint)

    async def sweep(self, **changes: Any) -> SweepResult:  # noqa: ANN401 - fields of Listing
        """Read the whole list."""
        self.asked.clear()
        feed = await self.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS)
        ones = ByIdSource(feed, self.read, self.mapper, Policy(), at_once=25)
        listing = SweepSource(
            feed=feed,
            pages=self._pages,
            query=self.query,
            mapper=self.mapper,
            policy=Policy(),
            gone_limit=0.2,
            list_query=self.query,
            by_id=ones if self.by_id else None,
        )
        listing = replace(listing, **changes)
        return await sweep(listing, self.ledger, run=1, restart=False, clock=now, on_page=lambda *_: None)

    async def gone(self) -> set[str]:
        """The ids of what is marked gone."""

        def marked(connection: Connection) -> set[str]:
            return set(connection.scalars(select(records.c.source_id).where(records.c.gone == 1)))

        return await self.ledger.call(marked)

    async def column(self, name: str) -> list[Any]:
        """A column of all sweeps, the oldest first."""

        def column(connection: Connection) -> list[Any]:
            return list(connection.scalars(select(sweeps.c[name]).order_by(sweeps.c.number)))

        return await self.ledger.call(column)

    async def remove(self, *places: int) -> list[str]:
        """Delete some contacts over there."""
        ids = [self.id_at(place) for place in places]
        for one in ids:
            self.sandbox.contacts.remove(one)
        return ids

    def id_at(self, place: int) -> str:
        return self.sandbox.contacts.id_at(place)

    def before_offset(self, offset: int, *removed: str) -> None:
        """These are deleted right before the page at this offset is read."""

        def remove() -> None:
            for one in removed:
                self.sandbox.contacts.remove(one)

        self.sandbox.salestrekker.faults.add(
            Fault(
                kind="contacts",
                where=lambda exchange: exchange.content["variables"].get("offset") == offset,
                before=remove,
            )
        )

    async def _pages(self, start: str) -> AsyncGenerator[Page]:
        pages = self.client.read_pages(
            LIST, stream=Stream.CONTACTS, identify=self.mapper.identify, page_size=50, start=start
        )
        async with aclosing(pages):
            async for page in pages:
                yield replace(page, records=tuple(self._shown(page.records)))

    def _shown(self, found: Sequence[Record]) -> list[Record]:
        return [record for record in found if record.id not in self.hidden]

    async def read(self, ids: Sequence[str]) -> RecordsById:
        """Some by their ids."""
        self.asked.append(list(ids))
        return await self.client.read_by_id(
            ONE, ids, stream=Stream.CONTACTS, identify=self.mapper.identify, ids_per_request=25
        )


@pytest.fixture
async def world(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[World]:
    client = SalestrekkerClient(
        url=sandbox.salestrekker_url,
        api_key=sandbox.options.api_key,
        requests_per_minute=0,
        timeout=5.0,
        retries=RetryPolicy(attempts=1),
    )
    with open_ledger(tmp_path / "ledger.db", b"k" * 32, "a test") as ledger:
        async with client:
            made = World(sandbox, ledger, client)
            await made.sweep()
            yield made


async def test_what_moved_out_of_sight_while_the_list_was_read_is_not_gone(world: World) -> None:
    """Issue 9, fault 12: two are deleted in front, so that two living ones are passed over."""
    deleted, passed_over = [world.id_at(0), world.id_at(1)], [world.id_at(50), world.id_at(51)]
    world.before_offset(50, *deleted)
    swept = await world.sweep()
    assert swept.complete
    assert await world.gone() == set()  # the deleted ones were still there when their page was read
    assert (swept.found, swept.gone, swept.read) == (2, 0, 200)
    assert world.asked == [passed_over]
    swept = await world.sweep()
    assert await world.gone() == set(deleted)
    assert (swept.found, swept.gone) == (0, 2)


async def test_what_was_found_has_been_seen_by_the_sweep_and_the_run(world: World) -> None:
    """It is observed as it is now, and counts as read."""
    moved = world.id_at(50)
    world.sandbox.contacts.rename(moved, "Ada Renamed")
    world.before_offset(50, world.id_at(0))
    await world.sweep()
    assert (await world.column("read"))[-1] == 200

    def seen(connection: Connection) -> Any:  # noqa: ANN401 - a row
        return connection.execute(select(records).where(records.c.source_id == moved)).one()

    row = await world.ledger.call(seen)
    assert (row.sweep, row.run) == (2, 1)
    assert row.key == HASHER.name_key("Ada Renamed")


async def test_many_are_read_in_few_requests_and_those_not_there_are_gone(world: World) -> None:
    deleted = await world.remove(*range(30))
    swept = await world.sweep()
    assert await world.gone() == set(deleted)
    assert [len(ids) for ids in world.asked] == [25, 5]
    assert (await world.column("gone"))[-1] == swept.gone == 30
    assert (await world.sweep()).gone == 0
    assert world.asked == []


async def test_an_error_at_the_id_proves_nothing(world: World) -> None:
    """It is neither gone nor read; the next complete sweep looks again."""
    deleted = await world.remove(0, 1)
    unsure = world.id_at(2)
    world.hidden = {unsure}
    world.sandbox.salestrekker.world.fail_by_id(unsure)
    swept = await world.sweep()
    assert (swept.gone, swept.found, swept.unsure) == (2, 0, 1)
    assert await world.gone() == set(deleted)
    world.sandbox.salestrekker.world.mend_fields()
    world.sandbox.contacts.remove(unsure)
    assert (await world.sweep()).gone == 1
    assert await world.gone() == {*deleted, unsure}


async def test_where_they_cannot_be_looked_for_nothing_is_marked_and_the_next_sweep_does_it(
    world: World,
) -> None:
    """The same holds where the process dies between the list's end and the looking."""
    deleted = await world.remove(0)
    down = world.sandbox.salestrekker.faults.add(Fault(kind="contact", status=503, times=None))
    with pytest.raises(Transient):
        await world.sweep()
    assert await world.gone() == set()
    assert "HTTP 503" in (await world.column("problem"))[-1]
    world.sandbox.salestrekker.faults.remove(down)
    await world.sweep()
    assert await world.gone() == set(deleted)


async def test_what_an_incomplete_sweep_did_not_see_is_not_even_looked_for(world: World) -> None:
    await world.remove(0)
    await world.sweep(whole=False)
    assert world.asked == []
    assert await world.gone() == set()


async def test_a_webhooks_read_since_the_look_began_is_newer(world: World) -> None:
    """It was not there, is entered again, and is read because of its webhook before it is marked."""
    [deleted] = await world.remove(0)
    read = world.read

    async def and_back(ids: Sequence[str]) -> RecordsById:
        answer = await read(ids)

        def touch(connection: Connection) -> None:
            row = records.update().where(records.c.source_id == deleted)
            connection.execute(row.values(read_at=answer.read_at + 1))

        await world.ledger.call(touch)
        return answer

    feed = await world.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS)
    await world.sweep(by_id=ByIdSource(feed, and_back, world.mapper, Policy()))
    assert await world.gone() == set()


# -- too many


async def test_of_too_many_a_sample_is_read_and_none_is_marked(world: World) -> None:
    """They are not there: the list was cut short, or they were all deleted. A person looks."""
    await world.remove(*range(120))
    swept = await world.sweep()
    assert (swept.missing, swept.narrowed, swept.gone) == (120, False, 0)
    assert sum(len(ids) for ids in world.asked) == 100
    assert await world.gone() == set()
    swept = await world.sweep()
    assert (swept.missing, swept.narrowed) == (120, False), "it is said each time"


async def test_a_narrowed_list_is_told_of_once_and_its_records_are_not_read_again(world: World) -> None:
    """They live, so the list does not show them on purpose: neither gone, nor looked for again."""
    world.hidden = {world.id_at(place) for place in range(100)}
    world.query = "narrowed"
    swept = await world.sweep()
    assert (swept.missing, swept.narrowed, swept.gone, swept.found) == (100, True, 0, 0)
    assert sum(len(ids) for ids in world.asked) == 100
    assert (await world.ledger.call(load_sweep_progress))[1].narrowed
    for _ in range(2):
        swept = await world.sweep()
        assert (swept.missing, swept.narrowed, world.asked) == (0, False, [])
    assert await world.gone() == set()
    assert not (await world.ledger.call(load_sweep_progress))[1].narrowed


async def test_what_is_deleted_beside_a_narrowed_list_is_gone(world: World) -> None:
    """What the list hides does not count: neither as missing, nor as known."""
    world.hidden = {world.id_at(place) for place in range(150)}
    world.query = "narrowed"
    await world.sweep()
    deleted = await world.remove(160, 161)
    swept = await world.sweep()
    assert (swept.gone, world.asked) == (2, [deleted])
    await world.remove(*range(170, 182))
    assert (await world.sweep()).missing == 12, "of the 48 that the list shows, 12 are too many"


async def test_another_query_text_is_told_of_again(world: World) -> None:
    world.hidden = {world.id_at(place) for place in range(100)}
    for query in ("narrowed", "narrowed otherwise"):
        world.query = query
        assert (await world.sweep()).narrowed


async def test_what_a_widened_list_shows_again_and_then_lacks_is_looked_for(world: World) -> None:
    world.hidden = {world.id_at(place) for place in range(100)}
    world.query = "narrowed"
    await world.sweep()
    world.hidden = set()
    await world.sweep()
    deleted = await world.remove(0)
    await world.sweep()
    assert await world.gone() == set(deleted)


# -- without reading by id


async def test_without_reading_by_id_two_complete_sweeps_must_miss_it(world: World) -> None:
    """A list that moved has it the next time."""
    world.by_id = False
    deleted = [world.id_at(0), world.id_at(1)]
    world.before_offset(50, *deleted)
    for gone in (0, 0, 2):  # two others are passed over, then the deleted missed once, and once more
        assert (await world.sweep()).gone == gone
    assert await world.gone() == set(deleted)


async def test_once_seen_again_two_more_sweeps_must_miss_it(world: World) -> None:
    world.by_id = False
    one = world.id_at(0)
    for hidden in ({one}, set(), {one}):
        world.hidden = hidden
        assert (await world.sweep()).gone == 0
    assert (await world.sweep()).gone == 1


async def test_an_incomplete_sweep_is_none_of_the_two(world: World) -> None:
    world.by_id = False
    world.hidden = {world.id_at(0)}
    await world.sweep()
    await world.sweep(whole=False)
    assert await world.gone() == set()
    await world.sweep()
    assert await world.gone() == world.hidden


async def test_a_query_by_id_that_the_server_does_not_know_counts_as_none(world: World) -> None:
    """Not every schema has one: two sweeps prove it then."""
    deleted = await world.remove(0)

    async def unknown(_: Sequence[str]) -> RecordsById:
        raise QueryFileError("contact.graphql: Salestrekker does not accept the query")

    feed = await world.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS)
    ones = ByIdSource(feed, unknown, world.mapper, Policy())
    assert (await world.sweep(by_id=ones)).gone == 0
    assert (await world.sweep(by_id=ones)).gone == 1
    assert await world.gone() == set(deleted)
