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

    async def __call__(self, ids: Sequence[str], /, *, patient: bool) -> ByIdResponse:
        """What is said of these ids.

        Args:
            ids: At least one, each once.
            patient: Ask again where it fails for a moment.
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

    def take(self, answered: ByIdResponse, faults: Mapping[str, str]) -> None:
        """Add what one request said; of its faults those that are final."""
        self.found.update({one: (record, answered.read_at) for one, record in answered.found.items()})
        self.absent += answered.absent
        self.broken.update(faults)
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

    def fewer(self, query: str, passed: int) -> None:
        """Note the size that passed after a larger one was refused."""
        self._most[query] = min(passed, self._most.get(query, passed))

    def is_good(self, query: str) -> bool:
        """Whether the server has answered it: then it is not the query that it does not understand."""
        return query in self._good

    def witness(self, query: str) -> str:
        """The id that the server has answered it for last; empty where there is none."""
        return self._good.get(query, "")

    def passed(self, query: str, one: str) -> None:
        """Note that the server has answered it for this id."""
        self._good[query] = one

    def in_turn(self, query: str, ids: list[str]) -> list[str]:
        """These ids, begun with others than those that it failed with the last time."""
        at = self._begin.get(query, 0) % max(1, len(ids))
        return ids[at:] + ids[:at]

    def ended(self, query: str, *, well: bool) -> None:
        """Note whether all that was asked for together came to an end."""
        self._begin[query] = 0 if well else self._begin.get(query, 0) + MAX_SUSPECTS


async def read_in_batches(
    ids: Sequence[str], ask: SendBatch, learnt: BatchHistory, query: str, wanted: int
) -> BatchResults:
    """Read all of these, as many requests at once as ``ask`` lets pass.

    Args:
        ids: What to read; one that stands in it twice is read once.
        ask: Sends one request.
        learnt: What is known so far, and what comes to be.
        query: Fingerprint of the query that ``ask`` sends.
        wanted: How many ids share a request.

    Raises:
        BridgeError: As ``ask`` raises, where not just one id is at fault.
    """
    each, size = learnt.in_turn(query, list(dict.fromkeys(ids))), learnt.size(query, wanted)
    gathered = BatchResults()
    groups = [
        _BatchReader(ask, gathered, learnt, query).read(each[at : at + size])
        for at in range(0, len(each), size)
    ]
    tasks = [asyncio.create_task(group) for group in groups]
    try:
        await asyncio.gather(*tasks)
    except BridgeError:
        learnt.ended(query, well=False)
        raise
    else:
        learnt.ended(query, well=True)
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
        learnt: Where to note what passed.
        query: Fingerprint of the query.
    """

    def __init__(self, ask: SendBatch, gathered: BatchResults, learnt: BatchHistory, query: str) -> None:
        self._ask = ask
        self._gathered = gathered
        self._learnt = learnt
        self._query = query
        self._doubted: dict[str, BridgeError] = {}
        self._witness = ""

    async def read(self, ids: Sequence[str]) -> None:
        """Read them all."""
        await self._some(ids)
        if self._doubted:
            await self._confirm(self._witness)

    async def _some(self, ids: Sequence[str], *, patient: bool = True, last: bool = False) -> None:
        """Read some; in halves where they cannot be read together.

        Args:
            ids: At least one.
            patient: Ask again where it fails for a moment.
            last: A fault that may pass is final this time.
        """
        try:
            answered = await self._ask(ids, patient=patient)
        except BridgeError as error:
            fault = error.otherwise if isinstance(error, BatchRefused) else error
            if isinstance(fault, Transient) and (fault.busy or fault.retry_after is not None):
                raise fault from None  # too much to do already: asking more often is no help
            if len(ids) == 1:
                await self._doubt(ids[0], fault)
            else:
                await self._in_halves(ids, refused=not isinstance(error, Transient))
            return
        self._passed(ids)
        again = () if last else answered.passing
        final = {one: what for one, what in answered.faults.items() if one not in again}
        self._gathered.take(answered, final)
        if answered.unread:
            await self._some(answered.unread, last=last)
        for one in again:
            await self._some([one], last=True)

    async def _in_halves(self, ids: Sequence[str], *, refused: bool) -> None:
        """No retries here: the request for all of them had its own."""
        half = (len(ids) + 1) // 2
        await self._some(ids[:half], patient=False)
        await self._some(ids[half:], patient=False)
        at_fault = self._doubted.keys() | self._gathered.broken.keys()
        if refused and at_fault.isdisjoint(ids):
            self._learnt.fewer(self._query, half)

    async def _doubt(self, one: str, fault: BridgeError) -> None:
        """Keep it in doubt; where too many are, what has passed once tells whether it is they."""
        self._doubted[one] = fault
        if len(self._doubted) >= MAX_SUSPECTS:
            await self._confirm(self._witness or self._learnt.witness(self._query))

    def _passed(self, ids: Sequence[str]) -> None:
        """Something passes: those doubted before it are broken."""
        self._witness = ids[0]
        self._learnt.passed(self._query, ids[0])
        self._all_broken()

    async def _confirm(self, witness: str) -> None:
        """Ask once more for what has passed: only if it passes still, the doubted are at fault."""
        if witness:
            try:
                await self._ask([witness], patient=False)
            except BridgeError:
                raise self._first_fault() from None
        elif not self._only_not_understood():
            raise self._first_fault()
        self._all_broken()

    def _only_not_understood(self) -> bool:
        """Whether the server has taken the query for other ids, and says now that it does not understand."""
        return self._learnt.is_good(self._query) and all(
            isinstance(fault, QueryFileError) for fault in self._doubted.values()
        )

    def _all_broken(self) -> None:
        self._gathered.broken.update({one: str(fault) for one, fault in self._doubted.items()})
        self._doubted.clear()

    def _first_fault(self) -> BridgeError:
        return next(iter(self._doubted.values()))
