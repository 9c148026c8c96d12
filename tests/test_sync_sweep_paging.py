"""Sweeps of lists of every style, from the simulated Salestrekker into a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from bridge.errors import UserError
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.open import open_ledger
from bridge.ledger.schema import records, sweeps
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import Policy, Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.sandbox import Fault, Options, Sandbox, ShapeKind
from bridge.sync import SweepSource, sweep
from bridge.sync.observe_batch import BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from bridge.ledger.database import Ledger
    from bridge.ledger.observe import ObserveResult
    from bridge.records import Draft, Record, Unsendable
    from bridge.sync import SweepResult

    Start = Callable[[Options], Awaitable[Sandbox]]

NAMED = "id person { information { firstName familyName } }"
TEXTS = {
    ShapeKind.OFFSET: f"""query Q($offset: Int, $limit: Int) {{
        contacts(offset: $offset, limit: $limit) {{ {NAMED} }} }}""",
    ShapeKind.PAGE: f"""query Q($page: Int, $pageSize: Int, $modifiedSince: Int) {{
        contacts(page: $page, pageSize: $pageSize, modifiedSince: $modifiedSince) {{
            items {{ {NAMED} }} }} }}""",
    ShapeKind.RELAY: f"""query Q($first: Int, $after: String) {{
        contacts(first: $first, after: $after) {{
            edges {{ node {{ {NAMED} }} }} pageInfo {{ hasNextPage endCursor }} }} }}""",
    ShapeKind.PLAIN: f"query Q {{ contacts {{ {NAMED} }} }}",
    ShapeKind.RENAMED: """query Q($skip: Int, $take: Int) {
        clients(skip: $skip, take: $take) { objects {
            id: clientId person: personal { information: reach { familyName: emailAddress } } } } }""",
}


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process ends here."""


class Dying(Mapper):
    """The process ends while the second part of a page is mapped."""

    mapped = 0

    def __call__(self, record: Record, earlier: Mapper | None = None) -> Draft | Unsendable:
        self.mapped += 1
        if self.mapped > BATCH_SIZE:
            raise Killed
        return super().__call__(record, earlier)


class Sweeping:
    """Sweeps the contacts of a sandbox into a ledger, a page of 30 at a time.

    Args:
        sandbox: Where they are.
        ledger: Where they go.
        folder: For the query file.
        text: The query.
    """

    def __init__(self, sandbox: Sandbox, ledger: Ledger, folder: Path, text: str) -> None:
        self.sandbox = sandbox
        self.ledger = ledger
        (folder / "q.graphql").write_text(text)
        self._query = load_list_query("q.graphql", [folder])
        self._pages = 0

    async def sweep(
        self, *, pages: int | None = None, since: int | None = None, mapper: type[Mapper] = Mapper
    ) -> SweepResult:
        """Sweep to the end, or until so many pages are on disk."""
        self._pages = 0

        def on_page(_swept: SweepResult, _seen: ObserveResult) -> None:
            self._pages += 1
            if self._pages == pages:
                raise Killed

        async with self._client() as client:
            listing = await self._listing(client, since, mapper)
            return await sweep(
                listing, self.ledger, run=1, restart=False, clock=lambda: 1_000_000, on_page=on_page
            )

    async def known(self) -> set[str]:
        """The ids of the records that the ledger has."""

        def ids(connection: Connection) -> set[str]:
            return set(connection.scalars(select(records.c.source_id)))

        return await self.ledger.call(ids)

    async def completed(self) -> list[bool]:
        """Of each sweep that reached its end, whether it proves what is absent."""

        def flags(connection: Connection) -> list[bool]:
            ended = select(sweeps.c.complete).where(sweeps.c.ended_at.is_not(None)).order_by(sweeps.c.number)
            return [bool(complete) for complete in connection.scalars(ended)]

        return await self.ledger.call(flags)

    def _client(self) -> SalestrekkerClient:
        return SalestrekkerClient(
            url=self.sandbox.salestrekker_url,
            api_key=self.sandbox.options.api_key,
            requests_per_minute=0,
            timeout=5.0,
            retries=RetryPolicy(attempts=1),
        )

    async def _listing(
        self, client: SalestrekkerClient, since: int | None, made_by: type[Mapper]
    ) -> SweepSource:
        mapper = made_by(Stream.CONTACTS, {}, "", Hasher(b"k" * 32), self._query.fingerprint)
        return SweepSource(
            feed=await self.ledger.call(load_or_add_feed, "default", "default", Stream.CONTACTS),
            pages=lambda start: client.read_pages(
                self._query,
                stream=Stream.CONTACTS,
                identify=mapper.identify,
                page_size=30,
                start=start,
                since=since,
            ),
            query=self._query.checkpoint(30, since),
            mapper=mapper,
            policy=Policy(),
            gone_limit=0.2,
            whole=since is None,
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db", b"k" * 32, "a test") as ledger:
        yield ledger


@pytest.fixture
def sweeping(start_sandbox: Start, ledger: Ledger, tmp_path: Path) -> Callable[..., Awaitable[Sweeping]]:
    """Starts a sandbox of a shape with 200 contacts, or so many, which can then be swept."""

    async def start(kind: ShapeKind, contacts: int = 200) -> Sweeping:
        sandbox = await start_sandbox(Options(contacts=contacts, products=0, shape=kind))
        return Sweeping(sandbox, ledger, tmp_path, TEXTS[kind])

    return start


def all_of(sandbox: Sandbox) -> set[str]:
    return {row["id"] for row in sandbox.contacts}


@pytest.mark.parametrize("kind", ShapeKind)
async def test_a_whole_list_comes_into_the_ledger(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]], kind: ShapeKind
) -> None:
    """Twice: the second sweep does not take what the first has seen for a list that repeats itself."""
    bench = await sweeping(kind)
    for _ in range(2):
        swept = await bench.sweep()
        assert (swept.read, swept.broken, swept.complete) == (200, 0, True)
    assert await bench.known() == all_of(bench.sandbox)
    assert await bench.completed() == [True, True]


@pytest.mark.parametrize("pages", [1, 3, 7])
@pytest.mark.parametrize("kind", set(ShapeKind) - {ShapeKind.PLAIN})
async def test_a_sweep_goes_on_where_it_was_interrupted(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]], kind: ShapeKind, pages: int
) -> None:
    """Also after the last page, when only the end was left to be noted; and nothing is read twice."""
    bench = await sweeping(kind)
    pages = min(pages, 6) if kind is ShapeKind.PAGE else pages
    with pytest.raises(Killed):
        await bench.sweep(pages=pages)
    before = len(await bench.known())
    swept = await bench.sweep()
    assert swept.resumed_at
    assert before + swept.read == 200
    assert await bench.known() == all_of(bench.sandbox)


async def test_a_plain_list_that_was_read_whole_is_not_read_again(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]],
) -> None:
    bench = await sweeping(ShapeKind.PLAIN)
    with pytest.raises(Killed):
        await bench.sweep(pages=1)
    swept = await bench.sweep()
    assert (swept.read, swept.resumed_at) == (0, "200 end")
    assert await bench.known() == all_of(bench.sandbox)


CUT = f"query Q {{ contacts {{ items {{ {NAMED} }} }} }}"
"""The first page alone, of a hundred, in the shape with page numbers."""


async def test_a_first_page_that_could_pass_for_the_whole_list_marks_nothing_gone(
    sweeping: Callable[..., Awaitable[Sweeping]], ledger: Ledger, tmp_path: Path
) -> None:
    """However often it is swept. After an interruption the doubt is the same."""
    whole = await sweeping(ShapeKind.PAGE, 120)
    await whole.sweep()
    cut = Sweeping(whole.sandbox, ledger, tmp_path, CUT)
    with pytest.raises(Killed):
        await cut.sweep(pages=1)
    for read in (0, 100, 100):
        swept = await cut.sweep()
        assert (swept.read, swept.complete, swept.gone, swept.missing) == (read, False, 0, 0)
        assert swept.doubt is not None
        assert "`page`, `pageSize`" in swept.doubt.reason
    assert await cut.completed() == [True, False, False, False]


async def test_what_has_changed_is_swept_and_proves_nothing_absent(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]],
) -> None:
    """Record 100 is stamped 100 seconds after the year began."""
    bench = await sweeping(ShapeKind.PAGE)
    await bench.sweep()
    bench.sandbox.contacts.remove(bench.sandbox.contacts.id_at(5))
    swept = await bench.sweep(since=1_704_067_200_000 + 400_000)
    assert (swept.read, swept.complete, swept.gone) == (100, False, 0)
    assert await bench.completed() == [True, False]


async def test_a_position_is_not_used_for_another_time(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]],
) -> None:
    bench = await sweeping(ShapeKind.PAGE)
    with pytest.raises(Killed):
        await bench.sweep(pages=2)
    swept = await bench.sweep(since=1_704_067_200_000)
    assert (swept.resumed_at, swept.read) == ("", 200)


@pytest.mark.parametrize("kind", [ShapeKind.OFFSET, ShapeKind.RELAY])
async def test_a_list_that_goes_round_and_round_is_found_out(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]], kind: ShapeKind
) -> None:
    """Two pages in turn, and cursors that change: only the ledger knows that all was seen before."""
    bench = await sweeping(kind)
    for turn in range(2):
        rows = [{"id": f"{turn} {index}", "person": None} for index in range(3)]
        edges = {
            "edges": [{"node": row} for row in rows],
            "pageInfo": {"hasNextPage": True, "endCursor": f"after {turn}"},
        }
        answer = {"data": {"contacts": rows if kind is ShapeKind.OFFSET else edges}}
        bench.sandbox.salestrekker.faults.add(
            Fault(kind="contacts", status=200, body=answer, times=None, every=2 - turn)
        )
    with pytest.raises(UserError, match="repeats itself"):
        await bench.sweep()
    assert len(await bench.known()) == 6
    assert await bench.completed() == []


async def test_a_cursor_that_stays_is_found_out_though_the_records_are_others(
    sweeping: Callable[[ShapeKind], Awaitable[Sweeping]],
) -> None:
    """Two pages of different records, both ending at one cursor: the third would be the second again."""
    bench = await sweeping(ShapeKind.RELAY)
    for turn in range(2):
        edges = [{"node": {"id": f"{turn} {index}", "person": None}} for index in range(3)]
        listed = {"edges": edges, "pageInfo": {"hasNextPage": True, "endCursor": "the same"}}
        fault = Fault(
            kind="contacts", status=200, body={"data": {"contacts": listed}}, times=None, every=2 - turn
        )
        bench.sandbox.salestrekker.faults.add(fault)
    with pytest.raises(UserError, match="the cursor does not advance"):
        await bench.sweep()


async def test_a_sweep_that_dies_within_a_page_has_not_moved_past_it(
    sweeping: Callable[[ShapeKind, int], Awaitable[Sweeping]],
) -> None:
    """A page is written in parts: its checkpoint moves with the last one, or the others would be lost."""
    bench = await sweeping(ShapeKind.PLAIN, BATCH_SIZE * 2)
    with pytest.raises(Killed):
        await bench.sweep(mapper=Dying)
    assert len(await bench.known()) == BATCH_SIZE
    swept = await bench.sweep()
    assert (swept.read, swept.resumed_at) == (BATCH_SIZE * 2, "")
    assert await bench.known() == all_of(bench.sandbox)
