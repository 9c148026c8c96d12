"""Read records by id, many in one request, and work around records that make a request fail.

::

    ids ──batches──> send ──ByIdResponse──> BatchResults
                      │ refused as a whole, or it fails repeatedly
                      └─ in halves, down to one id ──> suspects
                                                         ├─ a later request succeeds: the id is broken
                                                         └─ none does: the id is not the cause; raised

A request for many ids can fail for three reasons: they are too many for the server, one of them makes it
fail, or no request would succeed now. If all its parts succeed, the number was the cause, and the size that
succeeded is remembered. An id is called broken only if a request succeeds after it: an outage breaks none.
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
"""If so many single ids fail one after the other, the ids are not the cause, unless a request that succeeded
before still succeeds."""


class SendBatch(Protocol):
    """Sends one request."""

    async def __call__(self, ids: Sequence[str], /, *, retry: bool) -> ByIdResponse:
        """Send a request for these ids.

        Args:
            ids: At least one, each once.
            retry: Try again after a failure that may pass.
        """


@dataclass(slots=True)
class BatchResults:
    """The results of many requests. Each id is in one of the first three attributes.

    Attributes:
        found: Id -> the decoded record, and when its request began (milliseconds since the epoch).
        absent: Ids without a record.
        broken: Id -> why it could not be read, without personal data.
        read_at: When the first successful request began, or None.
    """

    found: dict[str, tuple[Mapping[str, object], int]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    read_at: int | None = None

    def take(self, answered: ByIdResponse, errors: Mapping[str, str]) -> None:
        """Add the response of one request, and those of its errors that are final."""
        self.found.update({one: (record, answered.read_at) for one, record in answered.found.items()})
        self.absent += answered.absent
        self.broken.update(errors)
        self.read_at = min(self.read_at or answered.read_at, answered.read_at)


class BatchHistory:
    """What earlier requests showed of each query, by its fingerprint. It lives as long as the client."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._good: dict[str, str] = {}
        self._begin: dict[str, int] = {}

    def size(self, query: str, wanted: int) -> int:
        """The number of ids to request at once: the wanted one, or a smaller one that succeeded."""
        return min(wanted, self._most.get(query, wanted))

    def limit_size(self, query: str, note_success: int) -> None:
        """Note the size that succeeded after a larger one was refused."""
        self._most[query] = min(note_success, self._most.get(query, note_success))

    def has_answered(self, query: str) -> bool:
        """Whether the server has answered the query before: then it understands the query."""
        return query in self._good

    def last_good_id(self, query: str) -> str:
        """The last id for which the server answered the query, or empty text."""
        return self._good.get(query, "")

    def note_success(self, query: str, one: str) -> None:
        """Note that the server answered the query for this id."""
        self._good[query] = one

    def rotate(self, query: str, ids: list[str]) -> list[str]:
        """These ids, starting with others than those that failed last time."""
        at = self._begin.get(query, 0) % max(1, len(ids))
        return ids[at:] + ids[:at]

    def note_end(self, query: str, *, well: bool) -> None:
        """Note whether a read of several batches succeeded."""
        self._begin[query] = 0 if well else self._begin.get(query, 0) + MAX_SUSPECTS


async def read_in_batches(
    ids: Sequence[str], ask: SendBatch, history: BatchHistory, query: str, wanted: int
) -> BatchResults:
    """Read all of these ids, with as many requests at once as ``ask`` allows.

    Args:
        ids: What to read. An id that occurs twice is read once.
        ask: Sends one request.
        history: What earlier requests showed. It is updated.
        query: Fingerprint of the query that ``ask`` sends.
        wanted: The number of ids in one request.

    Raises:
        BridgeError: As ``ask`` raises, if more than a single id failed.
    """
    each, size = history.rotate(query, list(dict.fromkeys(ids))), history.size(query, wanted)
    results = BatchResults()
    groups = [
        _BatchReader(ask, results, history, query).read(each[at : at + size])
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
        # If several fail at once, one error is raised, and the other requests end with it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return results


class _BatchReader:
    """Reads the ids of one request, in as many requests as needed.

    Args:
        ask: Sends one request.
        results: Where to put the results.
        history: Where to note what succeeded.
        query: Fingerprint of the query.
    """

    def __init__(self, ask: SendBatch, results: BatchResults, history: BatchHistory, query: str) -> None:
        self._ask = ask
        self._results = results
        self._history = history
        self._query = query
        self._suspects: dict[str, BridgeError] = {}
        self._last_good_id = ""

    async def read(self, ids: Sequence[str]) -> None:
        """Read all ids."""
        await self._read(ids)
        if self._suspects:
            await self._confirm(self._last_good_id)

    async def _read(self, ids: Sequence[str], *, retry: bool = True, last: bool = False) -> None:
        """Read some ids, in halves if they cannot be read together.

        Args:
            ids: At least one.
            retry: Try again after a failure that may pass.
            last: An error that may pass is final this time.
        """
        try:
            answered = await self._ask(ids, retry=retry)
        except BridgeError as error:
            failure = error.request_error if isinstance(error, BatchRefused) else error
            if isinstance(failure, Transient) and (failure.busy or failure.retry_after is not None):
                raise failure from None  # the server is overloaded: more requests would not help
            if len(ids) == 1:
                await self._suspect(ids[0], failure)
            else:
                await self._in_halves(ids, refused=not isinstance(error, Transient))
            return
        self._passed(ids)
        again = () if last else answered.retryable
        final = {one: what for one, what in answered.item_errors.items() if one not in again}
        self._results.take(answered, final)
        if answered.unread:
            await self._read(answered.unread, last=last)
        for one in again:
            await self._read([one], last=True)

    async def _in_halves(self, ids: Sequence[str], *, refused: bool) -> None:
        """Read two halves without retries: the request for all of them had its own."""
        half = (len(ids) + 1) // 2
        await self._read(ids[:half], retry=False)
        await self._read(ids[half:], retry=False)
        failed = self._suspects.keys() | self._results.broken.keys()
        if refused and failed.isdisjoint(ids):
            self._history.limit_size(self._query, half)

    async def _suspect(self, one: str, failure: BridgeError) -> None:
        """Suspect an id. If there are too many suspects, check with an id that succeeded before."""
        self._suspects[one] = failure
        if len(self._suspects) >= MAX_SUSPECTS:
            await self._confirm(self._last_good_id or self._history.last_good_id(self._query))

    def _passed(self, ids: Sequence[str]) -> None:
        """Note a success: the suspects before it are broken."""
        self._last_good_id = ids[0]
        self._history.note_success(self._query, ids[0])
        self._mark_suspects_broken()

    async def _confirm(self, last_good_id: str) -> None:
        """Request an id that succeeded before: only if it still succeeds, the suspects are broken."""
        if last_good_id:
            try:
                await self._ask([last_good_id], retry=False)
            except BridgeError:
                raise self._first_error() from None
        elif not self._only_not_understood():
            raise self._first_error()
        self._mark_suspects_broken()

    def _only_not_understood(self) -> bool:
        """Whether the server accepted the query for other ids, and rejects it for all suspects."""
        return self._history.has_answered(self._query) and all(
            isinstance(failure, QueryFileError) for failure in self._suspects.values()
        )

    def _mark_suspects_broken(self) -> None:
        self._results.broken.update({one: str(failure) for one, failure in self._suspects.items()})
        self._suspects.clear()

    def _first_error(self) -> BridgeError:
        return next(iter(self._suspects.values()))
