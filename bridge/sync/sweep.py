"""Read a whole list into the ledger.

::

    client.read_pages ──Page──> mapping ──Draft──> ledger.observe (decides, writes, moves the checkpoint)
                                                        │
                                                        └──> on_page: something may be pending now
    the list's end ──> missing_records: what the sweep did not see is looked for, and marked if it is gone

Nothing is sent here. The transaction that stores a page also moves the checkpoint past it. So a sweep that
dies resumes where it stopped, and at most one page is read again.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import BridgeError, UserError
from bridge.ledger.mass_change_detection import detect_mass_change
from bridge.ledger.observe import Observation, ObserveResult
from bridge.ledger.runs_and_sweeps import ONLY_A_PART, begin_sweep, end_sweep, note_problem
from bridge.sync.missing_records import MissingRecordSearch
from bridge.sync.observe_batch import observe_batch, split_into_batches

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.mass_change_detection import MassChange
    from bridge.ledger.runs_and_sweeps import Sweep
    from bridge.mapping import Mapper
    from bridge.records import Policy
    from bridge.salestrekker.pages import Doubt, Page
    from bridge.sync.by_id import ByIdSource

__all__ = ["SweepResult", "SweepSource", "sweep"]

MAX_PAGES_WITHOUT_NEWS: Final = 2
"""If so many pages in a row bring nothing new, the list repeats itself."""

MAX_BROKEN_SHOWN: Final = 20
"""Maximum number of broken records that are named. The others are counted."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SweepSource:
    """One list to sweep, and how its records are mapped and decided.

    Attributes:
        feed: The stream instance that the list belongs to.
        pages: Reads the pages from a position on. The empty position is the beginning.
        query: Fingerprint of the query's text and variables. A checkpoint is valid for no other one.
        mapper: Makes drafts.
        policy: What the user chose for this stream.
        gone_limit: The share of a list beyond which nothing is marked as gone.
        whole: Whether the pages are the whole list, not only what has changed since some time.
        list_query: Fingerprint of the query's text alone.
        by_id: Reads single records by their ids. None: that is not configured.
    """

    feed: Feed
    pages: Callable[[str], AsyncGenerator[Page]]
    query: str
    mapper: Mapper
    policy: Policy
    gone_limit: float
    whole: bool = True
    list_query: str = ""
    by_id: ByIdSource | None = None


@dataclass(slots=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        read: Records that were read whole.
        resumed_at: The position at which an interrupted sweep was resumed. Empty for a new one.
        broken: How many records could not be read.
        broken_shown: Some of them, each with what is wrong.
        complete: Whether the whole list was read without interruption, from its beginning to its end, and
            every record of it. A resumed sweep is not complete: it does not know what moved or was broken
            before. Nor is one with a doubt.
        pages_without_news: How many pages in a row, until now, brought no new record.
        gone: How many records were marked as gone, because they are not in the complete list, nor anywhere
            else.
        found: How many records the list had missed: they were read by their ids.
        unsure: How many records the list had missed that could not be read by their ids.
        missing: How many would have been marked, if that was suspiciously many and none was.
        narrowed: Whether these exist: the list hides them on purpose.
        burst: Many of its records that changed in the same way, or None.
        doubt: Why the list may not be whole although it was read to its end, or None.
    """

    read: int = 0
    resumed_at: str = ""
    broken: int = 0
    broken_shown: list[str] = field(default_factory=list)
    complete: bool = False
    pages_without_news: int = 0
    gone: int = 0
    found: int = 0
    unsure: int = 0
    missing: int = 0
    narrowed: bool = False
    burst: MassChange | None = None
    doubt: Doubt | None = None


async def sweep(
    listing: SweepSource,
    ledger: Ledger,
    *,
    run: int,
    restart: bool,
    clock: Callable[[], int],
    on_page: Callable[[SweepResult, ObserveResult], None],
) -> SweepResult:
    """Read a whole list into the ledger, from the point where an interrupted sweep of it stopped.

    Args:
        listing: What to read, and how it is mapped and decided.
        ledger: The open ledger.
        run: Number of the run that is accountable for it.
        restart: Start from the beginning in any case.
        clock: Returns milliseconds since the epoch.
        on_page: Called after each page, when it is on disk.

    Returns:
        The result.

    Raises:
        BridgeError: As the client raises. What was read before is on disk.
        UserError: The list repeats itself, so that its end would never come.
    """

    async def attempt(*, restart: bool) -> SweepResult:
        begun = await ledger.call(
            begin_sweep,
            listing.feed,
            listing.query,
            restart=restart,
            now=clock(),
            list_query=listing.list_query,
        )
        return await _read_list(listing, ledger, begun, run, clock, on_page)

    try:
        return await attempt(restart=restart)
    except _ResumedAmongKnown:
        # Records added in front meanwhile moved known records to the position where reading resumed.
        return await attempt(restart=True)


class _ResumedAmongKnown(Exception):  # noqa: N818 - not an error: the sweep starts over
    """A resumed sweep met only records that it had seen before the interruption."""


async def _read_list(
    listing: SweepSource,
    ledger: Ledger,
    begun: Sweep,
    run: int,
    clock: Callable[[], int],
    on_page: Callable[[SweepResult, ObserveResult], None],
) -> SweepResult:
    """Read a list from where its sweep is to its end."""
    swept = SweepResult(resumed_at=begun.position)
    began_at = clock()
    try:
        async with aclosing(listing.pages(begun.position)) as pages:
            async for page in pages:
                if page.last:
                    swept.doubt = page.doubt
                    pending = await _end(listing, ledger, begun, run, clock, swept)
                    if pending:
                        on_page(swept, ObserveResult(0, pending))
                    swept.burst = await ledger.call(detect_mass_change, listing.feed, begun.number)
                    break
                on_page(swept, await _observe_page(page, listing, ledger, begun, run, clock, swept))
            else:  # left before its end, on purpose: nothing to go on with
                await ledger.call(end_sweep, begun, complete=False, now=clock(), problem=ONLY_A_PART)
    except BridgeError as error:
        await ledger.call(note_problem, begun, str(error))
        raise
    finally:
        log.info(
            "swept",
            connection=listing.feed.connection,
            stream=str(listing.feed.stream),
            read=swept.read,
            broken=swept.broken,
            resumed_at=swept.resumed_at,
            complete=swept.complete,
            doubt=swept.doubt.reason if swept.doubt else "",
            gone=swept.gone,
            found=swept.found,
            unsure=swept.unsure,
            missing=swept.missing,
            changed_alike=swept.burst.number if swept.burst else 0,
            seconds=round((clock() - began_at) / 1000, 3),
        )
    return swept


async def _end(
    listing: SweepSource, ledger: Ledger, begun: Sweep, run: int, clock: Callable[[], int], swept: SweepResult
) -> int:
    """Finish a list that was read to its end. Returns how many missing records are to be sent.

    If the process dies before the search for missing records, nothing is marked, and the next complete sweep
    does it.
    """
    swept.complete = listing.whole and not (swept.broken or begun.position or swept.doubt)
    problem = f"{swept.broken} could not be read" if swept.broken else ""
    problem = problem or (swept.doubt.reason if swept.doubt and swept.doubt.shown else "")
    await ledger.call(end_sweep, begun, complete=swept.complete, now=clock(), problem=problem)
    if not swept.complete:
        return 0
    observation = Observation(run, begun.number)
    unseen = await MissingRecordSearch(
        listing.feed, listing.policy, listing.by_id, ledger, observation, listing.gone_limit, clock
    ).run()
    swept.gone, swept.found, swept.unsure = unseen.gone, unseen.found, unseen.unsure
    swept.missing, swept.narrowed = unseen.missing, unseen.narrowed
    swept.read += unseen.found
    return unseen.pending


def _refuse_repetition(
    page: Page, listing: SweepSource, swept: SweepResult, *, fresh: int, resumed: bool
) -> None:
    """A list whose pages bring nothing new has no end.

    One such page is no proof: a record added in front while the list is read moves known records onto its
    last page. Two pages in a row are.
    """
    swept.pages_without_news = swept.pages_without_news + 1 if page.records and not fresh else 0
    if swept.pages_without_news and resumed:
        raise _ResumedAmongKnown
    if swept.pages_without_news >= MAX_PAGES_WITHOUT_NEWS:
        raise UserError(
            f"the list of {listing.feed.stream} repeats itself: two pages brought no record that was new",
            advice="its query must page through the list; see docs/paging.md",
        )


async def _observe_page(
    page: Page,
    listing: SweepSource,
    ledger: Ledger,
    begun: Sweep,
    run: int,
    clock: Callable[[], int],
    swept: SweepResult,
) -> ObserveResult:
    """Map a page and store it, a batch at a time. The checkpoint moves with the last batch."""
    parts = split_into_batches(page.records)
    fresh = pending = 0
    for index, part in enumerate(parts):
        position = page.next_position if index == len(parts) - 1 else None
        seen = await observe_batch(
            part, listing, ledger, Observation(run, begun.number, position), now=clock()
        )
        fresh += seen.fresh
        pending += seen.pending
    _refuse_repetition(page, listing, swept, fresh=fresh, resumed=bool(begun.position))
    swept.read += len(page.records)
    swept.broken += len(page.broken)
    room = MAX_BROKEN_SHOWN - len(swept.broken_shown)
    swept.broken_shown += [
        f"{broken.id or f'number {broken.position + 1} of the list'}: {broken.message}"
        for broken in page.broken[:room]
    ]
    return ObserveResult(fresh, pending)
