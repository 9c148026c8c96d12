"""Reading records by id, many in one request, and going around what takes a request down.

::

    ids ──groups──> ask ──Answered──> Gathered
                     │ refused as a whole, or it fails again and again
                     └─ in halves, down to one id ──> doubted
                                                        ├─ a request passes afterwards: the id is broken
                                                        └─ none does: not the id is at fault; raised

Three things can be wrong with a request for many: they are too many for the server, one of them takes the
others down, or nothing would pass now. Their number is told from the rest by its parts, which all pass;
the size that passed is kept. An id is only broken where something passes after it: an outage breaks none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bridge.errors import BridgeError, QueryFileError, Transient
from bridge.salestrekker.by_id_query import BatchRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.salestrekker.by_id_query import ByIdResponse

__all__ = ["BatchHistory", "BatchResults", "SendBatch", "read_in_batches"]

MAX_SUSPECTS: Final = 3
"""So many single ids one after the other that take their request down, and it is not they, unless what has
passed before passes still."""


class SendBatch(Protocol):
    """Sends one request."""

    async def __call__(self, ids: Sequence[str], /, *, retry: bool) -> ByIdResponse:
        """What is said of these ids.

        Args:
            ids: At least one, each once.
            retry: Try again after a failure that may pass.
        """


@dataclass(slots=True)
class BatchResults:
    """What many requests said of many ids: each is in one of the first three.

    Attributes:
        found: Id -> the record as decoded, and when its request began (milliseconds since the epoch).
        absent: There are no such records.
        broken: Id -> why it could not be read, without personal data.
        read_at: When the first of the requests began that told something; None where none did.
    """

    found: dict[str, tuple[Mapping[str, object], int]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    read_at: int | None = None

    def take(self, answered: ByIdResponse, errors: Mapping[str, str]) -> None:
        """Add what one request said; of its faults those that are final."""
        self.found.update({one: (record, answered.read_at) for one, record in answered.found.items()})
        self.absent += answered.absent
        self.broken.update(errors)
        self.read_at = min(self.read_at or answered.read_at, answered.read_at)


class BatchHistory:
    """What is known of each query, by its fingerprint; kept while the client lives."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._good: dict[str, str] = {}
        self._begin: dict[str, int] = {}

    def size(self, query: str, wanted: int) -> int:
        """How many ids to ask for at once: as many as wanted, or what has passed."""
        return min(wanted, self._most.get(query, wanted))

    def limit_size(self, query: str, note_success: int) -> None:
        """Note the size that passed after a larger one was refused."""
        self._most[query] = min(note_success, self._most.get(query, note_success))

    def has_answered(self, query: str) -> bool:
        """Whether the server has answered it: then it is not the query that it does not understand."""
        return query in self._good

    def last_good_id(self, query: str) -> str:
        """The id that the server has answered it for last; empty where there is none."""
        return self._good.get(query, "")

    def note_success(self, query: str, one: str) -> None:
        """Note that the server has answered it for this id."""
        self._good[query] = one

    def rotate(self, query: str, ids: list[str]) -> list[str]:
        """These ids, begun with others than those that it failed with the last time."""
        at = self._begin.get(query, 0) % max(1, len(ids))
        return ids[at:] + ids[:at]

    def note_end(self, query: str, *, well: bool) -> None:
        """Note whether all that was asked for together came to an end."""
        self._begin[query] = 0 if well else self._begin.get(query, 0) + MAX_SUSPECTS


async def read_in_batches(
    ids: Sequence[str], ask: SendBatch, history: BatchHistory, query: str, wanted: int
) -> BatchResults:
    """Read all of these, as many requests at once as ``ask`` lets pass.

    Args:
        ids: What to read; one that stands in it twice is read once.
        ask: Sends one request.
        history: What earlier requests showed. It is updated.
        query: Fingerprint of the query that ``ask`` sends.
        wanted: How many ids share a request.

    Raises:
        BridgeError: As ``ask`` raises, where not just one id is at fault.
    """
    each, size = history.rotate(query, list(dict.fromkeys(ids))), history.size(query, wanted)
    gathered = BatchResults()
    groups = [
        _BatchReader(ask, gathered, history, query).read(each[at : at + size])
        for at in range(0, len(each), size)
    ]
    tasks = [asyncio.create_task(group) for group in groups]
    try:
        await asyncio.gather(*tasks)
    except BridgeError:
        history.note_end(query, well=False)
        raise
    else:
        history.note_end(query, well=True)
    finally:
        # Of those that fail at once one is raised; the others' requests end with it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return gathered


class _BatchReader:
    """Reads the ids of one request, in as many requests as it turns out to take.

    Args:
        ask: Sends one request.
        gathered: Where to put what they say.
        history: Where to note what passed.
        query: Fingerprint of the query.
    """

    def __init__(self, ask: SendBatch, gathered: BatchResults, history: BatchHistory, query: str) -> None:
        self._ask = ask
        self._gathered = gathered
        self._history = history
        self._query = query
        self._suspects: dict[str, BridgeError] = {}
        self._last_good_id = ""

    async def read(self, ids: Sequence[str]) -> None:
        """Read them all."""
        await self._read(ids)
        if self._suspects:
            await self._confirm(self._last_good_id)

    async def _read(self, ids: Sequence[str], *, retry: bool = True, last: bool = False) -> None:
        """Read some; in halves where they cannot be read together.

        Args:
            ids: At least one.
            retry: Try again after a failure that may pass.
            last: A fault that may pass is final this time.
        """
        try:
            answered = await self._ask(ids, retry=retry)
        except BridgeError as error:
            fault = error.request_error if isinstance(error, BatchRefused) else error
            if isinstance(fault, Transient) and (fault.busy or fault.retry_after is not None):
                raise fault from None  # too much to do already: asking more often is no help
            if len(ids) == 1:
                await self._suspect(ids[0], fault)
            else:
                await self._in_halves(ids, refused=not isinstance(error, Transient))
            return
        self._passed(ids)
        again = () if last else answered.retryable
        final = {one: what for one, what in answered.faults.items() if one not in again}
        self._gathered.take(answered, final)
        if answered.unread:
            await self._read(answered.unread, last=last)
        for one in again:
            await self._read([one], last=True)

    async def _in_halves(self, ids: Sequence[str], *, refused: bool) -> None:
        """No retries here: the request for all of them had its own."""
        half = (len(ids) + 1) // 2
        await self._read(ids[:half], retry=False)
        await self._read(ids[half:], retry=False)
        at_fault = self._suspects.keys() | self._gathered.broken.keys()
        if refused and at_fault.isdisjoint(ids):
            self._history.limit_size(self._query, half)

    async def _suspect(self, one: str, fault: BridgeError) -> None:
        """Keep it in doubt; where too many are, what has passed once tells whether it is they."""
        self._suspects[one] = fault
        if len(self._suspects) >= MAX_SUSPECTS:
            await self._confirm(self._last_good_id or self._history.last_good_id(self._query))

    def _passed(self, ids: Sequence[str]) -> None:
        """Something passes: those doubted before it are broken."""
        self._last_good_id = ids[0]
        self._history.note_success(self._query, ids[0])
        self._mark_suspects_broken()

    async def _confirm(self, last_good_id: str) -> None:
        """Ask once more for what has passed: only if it passes still, the doubted are at fault."""
        if last_good_id:
            try:
                await self._ask([last_good_id], retry=False)
            except BridgeError:
                raise self._first_error() from None
        elif not self._only_not_understood():
            raise self._first_error()
        self._mark_suspects_broken()

    def _only_not_understood(self) -> bool:
        """Whether the server has taken the query for other ids, and says now that it does not understand."""
        return self._history.has_answered(self._query) and all(
            isinstance(fault, QueryFileError) for fault in self._suspects.values()
        )

    def _mark_suspects_broken(self) -> None:
        self._gathered.broken.update({one: str(fault) for one, fault in self._suspects.items()})
        self._suspects.clear()

    def _first_error(self) -> BridgeError:
        return next(iter(self._suspects.values()))
