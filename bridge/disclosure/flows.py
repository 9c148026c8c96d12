"""What the statement says, as values: what flows between two organisations, how often, and what is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConnectionFlow", "Disclosure", "StreamFlow", "WebhookFlow"]


@dataclass(frozen=True, slots=True)
class StreamFlow:
    """What is read and sent of one stream.

    Attributes:
        stream: ``contacts`` or ``products``.
        query: The query file.
        fields_read: Each field that leaves Salestrekker, as a path in its schema.
        fields_sent: Trakor's field -> the expression that makes it.
        endpoint: Where that goes.
        filter: Which records are taken.
        query_by_id: The query file that reads one record, after a webhook or where a list does not show it
            any more; empty where none does.
        more_fields_by_id: Each field that this one reads and the other does not.
        known_records: How many the ledger knows of now.
        requests_per_sweep: How many requests one reading of the whole list takes for so many.
        schedule: When the daemon reads the list.
        sweeps_per_day_at_most: How often that is, the nightly reading of everything included.
        requests_per_day_by_schedule: What follows from it, for the records known now.
    """

    stream: str
    query: str
    fields_read: tuple[str, ...]
    fields_sent: Mapping[str, str]
    endpoint: str
    filter: str
    query_by_id: str
    more_fields_by_id: tuple[str, ...]
    known_records: int
    requests_per_sweep: int
    schedule: str
    sweeps_per_day_at_most: int
    requests_per_day_by_schedule: int


@dataclass(frozen=True, slots=True)
class WebhookFlow:
    """What Salestrekker sends of itself.

    Attributes:
        received_at: The address, without its secret part; empty where the configuration does not have it.
        actions: What webhooks are taken for.
        ids_per_request: How many records one request reads at most.
        query_for_deals: The query file that tells a deal's contacts.
        fields_of_deals: Each field that it reads; none where contacts are not read.
    """

    received_at: str
    actions: tuple[str, ...]
    ids_per_request: int
    query_for_deals: str
    fields_of_deals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConnectionFlow:
    """What flows between one pair of organisations.

    Attributes:
        connection: Its name.
        source: Host of Salestrekker.
        destination: Host of Trakor.
        login: ``API key`` or ``e-mail and password``.
        requests_per_minute: The limit that is never passed.
        requests_per_day_at_most: What follows from it.
        reconciling: When the daemon reads all lists once more, to find what was missed and what is gone.
        webhooks: What is received and read because of it; None where the connection has no token for it.
        streams: What flows, stream by stream.
    """

    connection: str
    source: str
    destination: str
    login: str
    requests_per_minute: int
    requests_per_day_at_most: int
    reconciling: str
    webhooks: WebhookFlow | None
    streams: tuple[StreamFlow, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The whole statement.

    Attributes:
        application: Name and version.
        direction: Which way data flows.
        connections: What flows, connection by connection.
        told: Who else is told something, by service or host, and what.
        stored: What is stored, and for how long.
        credentials: How credentials are kept.
        to_fill_in: What only those who run it can say.
        disconnect: How to end it at once.
    """

    application: str
    direction: str
    connections: tuple[ConnectionFlow, ...]
    told: tuple[str, ...]
    stored: tuple[str, ...]
    credentials: tuple[str, ...]
    to_fill_in: tuple[str, ...]
    disconnect: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The document of ``disclose --json``."""
        return asdict(self)
