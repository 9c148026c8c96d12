"""The Salestrekker client: pages of records, and records by id, with a token that renews itself.

::

    read_pages ──> ListReader ──> _fetch ───────────┐
    read_by_id, read_deal_contacts ─> _send_batch ──┴─retries─> _with_token ──> _exchange ──> Transport
           └─ by_id_batches: in halves   │                         │               └─ RateLimiter
                                         │                         └─ a refused token is renewed once
                                         └─ Transient only: jitter, Retry-After, limited attempts and time

A read changes nothing in Salestrekker, so a read that fails temporarily is retried here, briefly and in
memory. Every error that reaches the caller is a ``BridgeError`` whose type says what to do.
"""

from __future__ import annotations

import asyncio
import random as chance
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import stamina
import structlog

from bridge.errors import BridgeError, Transient
from bridge.event_loop_turns import SLICE_SECONDS, run_in_slices
from bridge.retry import RetryPolicy
from bridge.salestrekker.by_id_batches import BatchHistory, BatchResults, read_in_batches
from bridge.salestrekker.by_id_query import (
    BatchRefused,
    build_batch_request,
    deal_contacts,
    read_batch_response,
)
from bridge.salestrekker.graphql_errors import ErrorKind
from bridge.salestrekker.large_lists import LargeListRoom, RoomReservation
from bridge.salestrekker.login import LoginCredentials, OrganizationLogin
from bridge.salestrekker.pages import (
    Page,
    RecordsById,
    prefetch_pages,
    sort_items,
    sort_records_by_id,
)
from bridge.salestrekker.pagination import ListReader
from bridge.salestrekker.rate_limit import RateLimiter, RetryHook
from bridge.salestrekker.response_limits import MAX_BODY, SMALL_BODY
from bridge.salestrekker.responses import (
    KEY_ADVICE,
    ListItems,
    TokenRefused,
    error_from,
    read_items_in_steps,
    read_next_page,
)
from bridge.salestrekker.tokens import TokenKeeper
from bridge.salestrekker.transport import Request, ResponseTooLarge, Transport
from bridge.salestrekker.whole_list_proof import WholeListProof

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import TypeVar

    from bridge.records import Stream
    from bridge.salestrekker.by_id_query import ByIdQuery, ByIdResponse
    from bridge.salestrekker.graphql_errors import GraphqlResult
    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.login import CheckOrganization, SalestrekkerOrganization
    from bridge.salestrekker.pages import Identify, Page, PageRequest
    from bridge.salestrekker.tokens import RenewalPolicy, Token, TokenStatus

    T = TypeVar("T")

__all__ = ["SalestrekkerClient"]

NEXT_TO_NOTHING: Final = "query { __typename }"
"""The smallest possible query: only whether it is answered matters."""


log = structlog.get_logger()


class SalestrekkerClient:
    """Reads one Salestrekker organisation; an async context manager.

    Args:
        url: The GraphQL endpoint.
        api_key: A key of that organisation; or
        email: of a login, with its
        password: password.
        organization: Name or id of the wanted organisation, if the login has several.
        max_in_flight: Maximum number of requests at once.
        requests_per_minute: Maximum number of requests a minute, at most a few in a burst. 0: no limit.
        timeout: Seconds for one request.
        renew_before: Renew the token when so many seconds, or a fifth of its life, are left, whichever is
            less.
        retries: How a read is retried. None: five attempts within a minute.
        clock: Returns seconds since the epoch.
        random: Returns a number in [0, 1).
        max_body: Bytes of one unpacked response beyond which it is not read.
        renewing: How a failed renewal of the token is tried again. None: the defaults of ``RenewalPolicy``.
        on_token: Called after each change of ``token``.
        hold: Called with the organisation of each login (``login.CheckOrganization``).
        room: For long lists, shared by all clients of the process. None: a room of its own.
    """

    def __init__(  # noqa: PLR0913 - plain values, all by name; most have a default
        self,
        *,
        url: str,
        api_key: str = "",
        email: str = "",
        password: str = "",
        organization: str = "",
        max_in_flight: int = 4,
        requests_per_minute: float = 120,
        timeout: float = 30.0,
        renew_before: float = 172_800.0,
        retries: RetryPolicy | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = chance.random,
        max_body: int = MAX_BODY,
        renewing: RenewalPolicy | None = None,
        on_token: Callable[[], None] | None = None,
        hold: CheckOrganization | None = None,
        room: LargeListRoom | None = None,
    ) -> None:
        self._retries = retries or RetryPolicy(attempts=5, total=60.0)
        self._clock = clock
        self._random = random
        self._limiter = RateLimiter(
            max_in_flight=max_in_flight, requests_per_minute=requests_per_minute, patience=self._retries.total
        )
        self._transport = Transport(url, timeout=timeout, connections=max_in_flight, clock=clock)
        self._max_body = max_body
        self._login = OrganizationLogin(
            LoginCredentials(api_key, email, password), organization, self._post, hold
        )
        self._tokens = TokenKeeper(
            self._login.token,
            renew_before=renew_before,
            clock=clock,
            renewing=renewing,
            random=random,
            on_change=on_token,
        )
        self._readers: set[AsyncGenerator[Page]] = set()
        self._history = BatchHistory()
        self._proof = WholeListProof(self._ask_for_proof, self._now)
        self._room = room or LargeListRoom()
        self._large: set[str] = set()
        self._oversized_reported: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in tuple(self._readers):
            await reader.aclose()
        await self._transport.close()

    @property
    def token_expires_at(self) -> int | None:
        """When the present token expires, milliseconds since the epoch. None before the first one."""
        expires_at = self._tokens.expires_at
        return None if expires_at is None else int(expires_at * 1000)

    @property
    def token(self) -> TokenStatus | None:
        """The state of the token. None before the first one, and while the credentials are refused."""
        return self._tokens.status

    async def keep_token(self) -> None:
        """Renew the token whenever it is due, for ever: for a process that runs for days.

        A renewal that fails or is refused is tried again at growing intervals. Meanwhile reads use the old
        token until it expires, and ``token`` shows the problem.
        """
        await self._tokens.keep()

    async def authenticate(self) -> None:
        """Get a token, unless there is one that is valid for some time.

        Raises:
            Refused: The credentials are not accepted, or the address is not Salestrekker's.
            Transient: It failed temporarily, in spite of the retries.
        """
        await self._patiently(self._tokens.current)

    async def log_in_once(self) -> None:
        """Get a token as ``authenticate`` does, by a single attempt."""
        await self._tokens.current()

    @property
    def organization(self) -> str:
        """The id of the organisation that is read. Empty before the first token, or if unknown."""
        return self._login.organization

    async def organizations(self) -> tuple[SalestrekkerOrganization, ...]:
        """All organisations that the login belongs to.

        Raises:
            Refused: The login may not list them.
            Transient: They could not be listed, in spite of the retries.
        """

        async def ask(token: Token) -> tuple[SalestrekkerOrganization, ...]:
            return await self._login.organizations(token.text)

        return await self._patiently(lambda: self._with_token(ask))

    async def ask(
        self, text: str, name: str = "", variables: Mapping[str, object] | None = None
    ) -> GraphqlResult:
        """Send a query that is no list, and return the response with its errors.

        Args:
            text: The GraphQL document, a query.
            name: The name of its operation.
            variables: Their values.

        Raises:
            Refused: The credentials are not accepted, or the address is not Salestrekker's.
            Transient: There was no response, in spite of the retries.
        """
        request = Request(text, name, variables or {}, longest=self._max_body, at_once=True)
        return await self._patiently(lambda: self._with_token(self._sending(request)))

    async def probe(self) -> None:
        """Send one small query, once, to find out whether anything can be read now.

        Credentials that were refused are tried again. A valid token is kept.

        Raises:
            Refused: The credentials are not accepted, or the address is not Salestrekker's.
            Transient: There was no response.
        """
        if self._tokens.is_refused:
            self.reset_refusal()
        await self._with_token(self._sending(Request(NEXT_TO_NOTHING, "", {})))

    def _sending(self, request: Request) -> Callable[[Token], Awaitable[GraphqlResult]]:
        """A function that sends the request with a token, and raises ``TokenRefused`` if it is refused."""

        async def send(token: Token) -> GraphqlResult:
            result, _ = await self._exchange(request, token.text)
            if any(error.kind is ErrorKind.TOKEN for error in result.errors):
                raise TokenRefused("Salestrekker refused the token", advice=KEY_ADVICE)
            if any(error.kind is ErrorKind.BUSY for error in result.errors):
                raise error_from(result.errors, "")
            return result

        return send

    def reset_refusal(self) -> None:
        """Let the next request authenticate again after a refusal.

        Until then, each request is refused at once.
        """
        self._tokens.reset_refusal()

    async def read_pages(
        self,
        query: ListQuery,
        *,
        stream: Stream,
        identify: Identify,
        page_size: int,
        start: str = "",
        since: int | None = None,
    ) -> AsyncGenerator[Page]:
        """Read a list, fetching the next page while the caller works on this one.

        Close it (``contextlib.aclosing``) if you leave it before its end, so that its request ends too.

        Args:
            query: The list query.
            stream: The stream of the records.
            identify: Returns a record's id. A record without one is a ``BrokenRecord``.
            page_size: Records per page.
            start: Where to begin: ``next_position`` of the last page that is stored. Empty: the beginning. It
                is valid only for the same ``query.checkpoint(page_size, since)``.
            since: Only what has changed since then (and a little before), milliseconds since the epoch. None:
                everything. It has no effect if the query is not incremental.

        Yields:
            The pages in order. The last one is empty and has ``last`` set: only then is the list complete.
                With ``since``, a record that is missing may just be unchanged.

        Raises:
            Transient: A page could not be read, in spite of the retries.
            Refused: The credentials or the address are wrong, or a permission is missing.
            QueryFileError: The query does not fit the schema, or does not move through the list.
        """
        reservation = RoomReservation(self._room)

        async def fetch(ask: PageRequest) -> Page:
            async def read(longest: int) -> Page:
                once = partial(self._page, query, ask, since, longest, stream, identify)
                return await (self._patiently(once) if ask.retry else once())

            return await self._in_large_list_room(query, ask, reservation, read)

        prove = partial(self._proof.doubt, query)
        reader = ListReader(
            query, fetch, self._now, prove, wanted_whole=since is None or not query.is_incremental
        )
        prefetched = prefetch_pages(reader.pages(page_size, start))
        self._readers.add(prefetched)
        try:
            async for page in prefetched:
                yield page
        finally:
            self._readers.discard(prefetched)
            try:
                await prefetched.aclose()
            finally:
                reservation.end()

    async def _in_large_list_room(
        self,
        query: ListQuery,
        ask: PageRequest,
        reservation: RoomReservation,
        read: Callable[[int], Awaitable[Page]],
    ) -> Page:
        """Read a page. A large page first waits for the room that the process has for one.

        Args:
            query: The list query. If its last page was large, the next one is taken to be large too.
            ask: Which page.
            reservation: The reservation of this reading.
            read: Reads the page if it has no more bytes than the given number.
        """
        if ask.next_page_only or query.fingerprint not in self._large:
            try:
                return await read(min(SMALL_BODY, self._max_body))
            except ResponseTooLarge:
                if ask.next_page_only or self._max_body <= SMALL_BODY:
                    raise
        await reservation.begin()
        try:
            page = await read(self._max_body)
        except BaseException:
            reservation.end()
            raise
        if page.is_long:
            self._large.add(query.fingerprint)
        elif page.count:
            self._large.discard(query.fingerprint)
        page.at_close(reservation.end)
        return page

    async def read_by_id(
        self,
        query: ByIdQuery,
        ids: Sequence[str],
        *,
        stream: Stream,
        identify: Identify,
        ids_per_request: int,
    ) -> RecordsById:
        """Read records by their ids, many in one request.

        A record that makes its request fail is read around. If the server refuses a request for its size,
        later requests ask for fewer ids.

        Args:
            query: What to read of each.
            ids: Their ids. An id that occurs twice is read once.
            stream: The stream of the records.
            identify: Returns a record's id.
            ids_per_request: The number of ids in one request.

        Raises:
            Transient: They could not be read, in spite of the retries.
            Refused: The credentials or the address are wrong, or a permission is missing.
            QueryFileError: The query does not fit the schema.
        """
        began = self._now()
        results = await self._read_batches(query, ids, ids_per_request)
        return sort_records_by_id(results, ids, stream=stream, identify=identify, began=began)

    async def read_deal_contacts(
        self, query: ByIdQuery, deal_ids: Sequence[str], ids_per_request: int
    ) -> dict[str, tuple[str, ...] | None]:
        """Find out which contacts some deals are about.

        Args:
            query: The query of ``by_id_query.load_deal_query``.
            deal_ids: Which deals.
            ids_per_request: The number of ids in one request.

        Returns:
            Deal -> the ids of its contacts, or None if there is no such deal. A deal that could not be read
                is left out.

        Raises:
            BridgeError: As ``read_by_id``.
        """
        results = await self._read_batches(query, deal_ids, ids_per_request)
        found = {one: deal_contacts(deal) for one, (deal, _) in results.found.items()}
        return {**found, **dict.fromkeys(results.absent)}

    async def _read_batches(self, query: ByIdQuery, ids: Sequence[str], ids_per_request: int) -> BatchResults:
        async def ask(some: Sequence[str], *, retry: bool) -> ByIdResponse:
            async def read() -> ByIdResponse:
                return await self._send_batch(query, some)

            return await (self._patiently(read) if retry else read())

        return await read_in_batches(ids, ask, self._history, query.fingerprint, ids_per_request)

    async def _send_batch(self, query: ByIdQuery, ids: Sequence[str]) -> ByIdResponse:
        """Send one request for these ids."""
        text, variables = build_batch_request(query, ids)
        request = Request(text, query.document.name, variables)

        async def send(token: Token) -> ByIdResponse:
            try:
                result, read_at = await self._exchange(request, token.text)
            except ResponseTooLarge as error:
                raise BatchRefused(error) if len(ids) > 1 else error from None
            return read_batch_response(result, query, ids, read_at)

        return await self._with_token(send)

    async def _page(
        self,
        query: ListQuery,
        ask: PageRequest,
        since: int | None,
        longest: int,
        stream: Stream,
        identify: Identify,
    ) -> Page:
        """One page, requested once, if it has no more bytes than ``longest``."""
        listed, read_at = await self._fetch(query, ask, since, longest)
        sorting = sort_items(
            listed, stream=stream, identify=identify, place=ask.position.read, read_at=read_at
        )
        page = await run_in_slices(sorting, rest=SLICE_SECONDS)
        self._note_size(query, ask, page.count)
        return page

    def _note_size(self, query: ListQuery, ask: PageRequest, given: int) -> None:
        """Log once for each query that the server does not keep to the page size."""
        if query.has_page_size and given > ask.size and query.fingerprint not in self._oversized_reported:
            self._oversized_reported.add(query.fingerprint)
            log.warning(
                "more than was asked for",
                query=query.file,
                asked=ask.size,
                given=given,
                advice="All of it is read, a part at a time. See docs/paging.md.",
            )

    async def _fetch(
        self, query: ListQuery, ask: PageRequest, since: int | None, longest: int
    ) -> tuple[ListItems, int]:
        """One page, and when its request began."""
        document = (query.next_page_query if ask.next_page_only else None) or query.document
        variables = query.page_variables(ask.position, ask.size, since)
        request = Request(document.text, document.name, variables, path=query.path, longest=longest)

        async def send(token: Token) -> tuple[ListItems, int]:
            result, read_at = await self._exchange(request, token.text)
            if ask.next_page_only:
                return ListItems((), {}, read_next_page(result, query)), read_at
            listed = await run_in_slices(read_items_in_steps(result, query), rest=SLICE_SECONDS)
            self._proof.note_depth(query, listed.depth)
            return listed, read_at

        return await self._with_token(send)

    async def _ask_for_proof(
        self, text: str, name: str, variables: Mapping[str, object]
    ) -> GraphqlResult | None:
        """Send a query whose answer is welcome but not needed.

        If it is refused, the token stays: a firewall may have refused the query, not the token.
        """
        request = Request(text, name, variables)

        async def once() -> GraphqlResult:
            token = await self._tokens.current()
            result, _ = await self._exchange(request, token.text)
            if any(error.kind is ErrorKind.BUSY for error in result.errors):
                raise error_from(result.errors, "")
            return result

        try:
            return await self._patiently(once)
        except BridgeError:
            return None

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        waits = RetryHook(self._retries, self._random, asyncio.get_running_loop().time)
        again = stamina.AsyncRetryingCaller(attempts=self._retries.attempts, timeout=None)
        return await again(waits, ask)

    async def _with_token(self, ask: Callable[[Token], Awaitable[T]]) -> T:
        """Send with a valid token. A token that is refused is replaced once."""
        token = await self._tokens.current()
        try:
            answer = await ask(token)
        except TokenRefused:
            token = await self._tokens.replace(token)
            answer = await self._second_time(ask, token)
        self._tokens.confirm(token)
        return answer

    async def _second_time(self, ask: Callable[[Token], Awaitable[T]], token: Token) -> T:
        try:
            return await ask(token)
        except TokenRefused as refusal:
            raise self._tokens.refused_again(token) from refusal

    async def _post(self, request: Request, token: str) -> GraphqlResult:
        result, _ = await self._exchange(request, token)
        return result

    async def _exchange(self, request: Request, token: str) -> tuple[GraphqlResult, int]:
        """Send one request when the rate limit allows. Returns the response and when the request began."""
        async with self._limiter.slot():
            began = self._now()
            try:
                result = await self._transport.post(request, token or None)
            except Transient as failure:
                self._limiter.pause(failure.retry_after or 0.0)
                raise
            # GraphQL's own rate limit comes with HTTP 200. It applies to the whole connection too.
            self._limiter.pause(result.retry_after or 0.0)
            return result, began

    def _now(self) -> int:
        return int(self._clock() * 1000)
