"""Makes the clients, queries, mappers and sweep sources of one connection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bridge.errors import QueryFileError
from bridge.mapping import Mapper
from bridge.records import DEAL_CONTACTS, Stream
from bridge.salestrekker.by_id_query import load_by_id_query, load_deal_query
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.list_query import load_list_query
from bridge.salestrekker.query_files import query_folders
from bridge.salestrekker.record_path import record_fields
from bridge.sync import ByIdSource, SweepSource
from bridge.trakor import TrakorClient

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bridge.ledger.feeds import Feed
    from bridge.names import Hasher
    from bridge.retry import RetryPolicy
    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.large_lists import LargeListRoom
    from bridge.salestrekker.list_query import ListQuery
    from bridge.salestrekker.login import CheckOrganization
    from bridge.salestrekker.pages import RecordsById
    from bridge.settings import ConnectionSettings, Settings

__all__ = [
    "TICKET",
    "ConnectionPlan",
    "find_mismatch",
    "load_plan",
    "make_salestrekker_client",
    "make_sweep_source",
    "make_trakor_client",
]

TICKET: Final = "ticket.graphql"
"""The query file that reads which contacts a deal is about."""

NAMED: Final = 3
"""How many of the fields in which two queries differ a message names."""


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """The queries and mappers of one connection, loaded and checked before anything is opened.

    Attributes:
        connection: The connection's settings.
        queries: Stream -> its list query.
        mappers: Stream -> what makes drafts of its records.
        by_id_queries: Stream -> its query by id, if one is configured.
        ticket: The query for a deal's contacts; None if deals are not read, or contacts not by id.
    """

    connection: ConnectionSettings
    queries: Mapping[Stream, ListQuery]
    mappers: Mapping[Stream, Mapper]
    by_id_queries: Mapping[Stream, ByIdQuery]
    ticket: ByIdQuery | None


def load_plan(
    settings: Settings,
    connection: ConnectionSettings,
    streams: Collection[Stream],
    hasher: Hasher,
    *,
    deals: bool = True,
) -> ConnectionPlan:
    """Load and compile the queries and maps of a connection's streams. Nothing is opened.

    Args:
        settings: The configuration.
        connection: One of its connections.
        streams: The wanted streams. Those that are not enabled are left out.
        hasher: Hashes with the ledger's key.
        deals: Whether deals are read, to find the contacts of a webhook.

    Raises:
        UserError: A query or a map cannot be used.
    """
    wanted = [stream for stream in Stream if stream in streams and connection.stream(stream).enabled]
    folders = query_folders(settings.folder)
    queries = {stream: load_list_query(connection.stream(stream).list_query, folders) for stream in wanted}
    by_id_queries = {
        stream: load_by_id_query(connection.stream(stream).one_query, folders)
        for stream in wanted
        if connection.stream(stream).one_query
    }
    for stream, one in by_id_queries.items():
        if difference := find_mismatch(queries[stream], one):
            raise difference
    mappers = {
        stream: Mapper(
            stream,
            connection.stream(stream).map,
            connection.stream(stream).where,
            hasher,
            queries[stream].record_fingerprint,
            connection.stream(stream).policy(),
        )
        for stream in wanted
    }
    ticket = load_deal_query(TICKET, folders) if deals and DEAL_CONTACTS in by_id_queries else None
    return ConnectionPlan(connection, queries, mappers, by_id_queries, ticket)


def find_mismatch(listing: ListQuery, one: ByIdQuery) -> QueryFileError | None:
    """Return an error if a list query and its query by id read different fields of a record; else None.

    One mapper serves both queries. A field that only one query reads would seem to change in Salestrekker
    each time that the other query reads the record.
    """
    of_list = record_fields(listing.document, listing.record_path)
    of_one = record_fields(one.document, one.record_path)
    for lacking, other, fields in (
        (one.file, listing.file, of_list - of_one),
        (listing.file, one.file, of_one - of_list),
    ):
        if fields:
            named = ", ".join(sorted(fields)[:NAMED]) + (" …" if len(fields) > NAMED else "")
            return QueryFileError(
                f"{lacking}: does not read what {other} reads of a record: {named}",
                advice="Select the same fields in both, preferably through a shared fragment.",
            )
    return None


def make_sweep_source(
    plan: ConnectionPlan, reader: SalestrekkerClient, stream: Stream, feed: Feed, since: int | None = None
) -> SweepSource:
    """Return what a sweep of one stream needs: the list, and how its records are mapped and decided.

    Args:
        plan: The connection's queries and mappers.
        reader: The connection's client, entered.
        stream: The stream.
        feed: The stream's number in the ledger.
        since: Read only what has changed since this time, in milliseconds since the epoch; None reads
            everything. Ignored if the query is not incremental.
    """
    settings = plan.connection.stream(stream)
    query, mapper = plan.queries[stream], plan.mappers[stream]
    since = since if query.is_incremental else None
    return SweepSource(
        feed=feed,
        pages=lambda start: reader.read_pages(
            query,
            stream=stream,
            identify=mapper.identify,
            page_size=settings.page_size,
            start=start,
            since=since,
        ),
        query=f"{query.checkpoint(settings.page_size, since)} {mapper.fingerprint}",
        mapper=mapper,
        policy=settings.policy(),
        gone_limit=plan.connection.schedule.gone_limit,
        whole=since is None,
        list_query=query.fingerprint,
        by_id=_by_id_source(plan, reader, stream, feed),
    )


def _by_id_source(
    plan: ConnectionPlan, reader: SalestrekkerClient, stream: Stream, feed: Feed
) -> ByIdSource | None:
    """Return how single records of a stream are read; None if no query is configured for that."""
    if stream not in plan.by_id_queries:
        return None
    mapper, per_request = plan.mappers[stream], plan.connection.salestrekker.ids_per_request

    async def read(ids: Sequence[str]) -> RecordsById:
        return await reader.read_by_id(
            plan.by_id_queries[stream],
            ids,
            stream=stream,
            identify=mapper.identify,
            ids_per_request=per_request,
        )

    return ByIdSource(feed, read, mapper, plan.connection.stream(stream).policy(), per_request)


def make_salestrekker_client(
    connection: ConnectionSettings,
    retries: RetryPolicy | None = None,
    *,
    on_token: Callable[[], None] | None = None,
    hold: CheckOrganization | None = None,
    room: LargeListRoom | None = None,
) -> SalestrekkerClient:
    """Return the client for a connection's Salestrekker, not yet entered.

    Args:
        connection: The connection's settings.
        retries: How a read is retried. None means as configured, five times within a minute at most.
        on_token: Called after each change of the token's state.
        hold: Checks the organisation of each log-in; None means that none is checked.
        room: The memory for long lists, shared by the clients of a process. None means that the client has
            its own.
    """
    settings = connection.salestrekker
    return SalestrekkerClient(
        url=settings.url,
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        email=settings.email or "",
        password=settings.password.get_secret_value() if settings.password else "",
        organization=settings.organization,
        max_in_flight=settings.max_in_flight,
        requests_per_minute=settings.requests_per_minute,
        timeout=settings.timeout,
        renew_before=settings.renew_before,
        retries=retries or replace(settings.retry, attempts=5, total=60.0),
        on_token=on_token,
        hold=hold,
        room=room,
    )


def make_trakor_client(connection: ConnectionSettings) -> TrakorClient:
    """Return the client for a connection's Trakor, not yet entered."""
    settings = connection.trakor
    return TrakorClient(
        settings.url,
        settings.api_key.get_secret_value(),
        max_in_flight=settings.max_in_flight,
        timeout=settings.timeout,
    )
