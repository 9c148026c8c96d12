"""What reads and sends for one connection: its clients, queries, mappers and pace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.delivery import Pace
from bridge.mapping import Mapper
from bridge.records import Stream
from bridge.salestrekker.client import Retries, SalestrekkerClient
from bridge.salestrekker.documents import query_folders
from bridge.salestrekker.queries import load_list
from bridge.trakor import TrakorClient

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bridge.naming import Hasher
    from bridge.salestrekker.queries import ListQuery
    from bridge.settings import Connection, Settings

__all__ = ["Plan", "destination_of", "pace_of", "plan_of", "source_of"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one connection, checked before anything is opened."""

    connection: Connection
    queries: Mapping[Stream, ListQuery]
    mappers: Mapping[Stream, Mapper]


def plan_of(settings: Settings, connection: Connection, streams: Collection[Stream], hasher: Hasher) -> Plan:
    """Load and compile what a connection's streams are read and mapped with; nothing is opened.

    Raises:
        UserError: A query or a map cannot be used.
    """
    wanted = [stream for stream in Stream if stream in streams and connection.stream(stream).enabled]
    folders = query_folders(settings.folder)
    queries = {stream: load_list(connection.stream(stream).list_query, folders) for stream in wanted}
    mappers = {
        stream: Mapper(
            stream,
            connection.stream(stream).map,
            connection.stream(stream).where,
            hasher,
            queries[stream].fingerprint,
        )
        for stream in wanted
    }
    return Plan(connection, queries, mappers)


def source_of(connection: Connection, retries: Retries | None = None) -> SalestrekkerClient:
    """The client of a connection's Salestrekker, not yet entered.

    Args:
        connection: Whose.
        retries: How a read is retried; None: as a flow that nobody waits for.
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
        retries=retries or Retries(),
    )


def destination_of(connection: Connection) -> TrakorClient:
    """The client of a connection's Trakor, not yet entered."""
    settings = connection.trakor
    return TrakorClient(
        settings.url,
        settings.api_key.get_secret_value(),
        max_in_flight=settings.max_in_flight,
        timeout=settings.timeout,
    )


def pace_of(connection: Connection) -> Pace:
    """How fast a connection sends."""
    settings = connection.trakor
    return Pace(
        max_in_flight=settings.max_in_flight,
        requests_per_second=settings.requests_per_second,
        retry_first=settings.retry_first,
        retry_max=settings.retry_max,
        probe_first=settings.probe_first,
        probe_max=settings.probe_max,
    )
