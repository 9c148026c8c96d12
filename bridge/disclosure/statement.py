"""The data-flow statement, read from the configuration, the query files, the maps and the ledger."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bridge import __version__
from bridge.alerts import address_of
from bridge.disclosure.retention import LOGS, kept
from bridge.errors import UserError
from bridge.ledger.database import reading
from bridge.ledger.open import read_revision, require_current
from bridge.ledger.read_model import RecordQuery, count_records, list_feeds
from bridge.mapping import DEFAULTS
from bridge.records import DEAL_CONTACTS, Stream, WebhookAction
from bridge.salestrekker.query_files import load_document, query_folders
from bridge.salestrekker.record_path import selected_fields
from bridge.settings import Crontab, per_day
from bridge.wiring.connection import TICKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.settings import AlertsSettings, ConnectionSettings, Settings, Timing

__all__ = ["ConnectionFlow", "Disclosure", "StreamFlow", "WebhookFlow", "disclose"]


@dataclass(frozen=True, slots=True)
class StreamFlow:
    """What is read and sent for one stream.

    Attributes:
        stream: ``contacts`` or ``products``.
        query: The query file.
        fields_read: Each field that leaves Salestrekker, as a path in its schema.
        fields_sent: Trakor's field -> the expression that makes it.
        endpoint: Where that goes.
        filter: Which records are taken.
        query_by_id: The query file that reads one record, after a webhook or where a list does not show it
            any more; empty if none does.
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
    """What Salestrekker sends on its own initiative.

    Attributes:
        received_at: The address, without its secret part; empty if the configuration does not have it.
        actions: What webhooks are taken for.
        ids_per_request: How many records one request reads at most.
        query_for_deals: The query file that reads the contacts of a deal.
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
        webhooks: What is received and read because of it; None if the connection has no token for it.
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
        told: Other recipients, by service or host, and what they get (a key of ``--json``).
        stored: What is stored, and for how long.
        credentials: How credentials are kept.
        to_fill_in: What only the operator knows.
        disconnect: How to stop the data flow at once.
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


ENDING_PAGES: Final = 2
"""The end of a list counts only after two empty pages."""

MINUTES_PER_DAY: Final = 24 * 60

DAY: Final = 86_400
"""Seconds."""


def disclose(settings: Settings, names: tuple[str, ...]) -> Disclosure:
    """Make the statement for some connections.

    Args:
        settings: The configuration.
        names: Of the connections.

    Raises:
        UserError: A query file or the ledger cannot be read.
    """
    known = _known_records(settings)
    flows = tuple(_connection_flow(settings, settings.connections[name], known) for name in names)
    stored = kept(settings.ledger, webhooks=any(flow.webhooks for flow in flows))
    return Disclosure(
        application=f"salestrekker-trakor-bridge {__version__}",
        direction="out of Salestrekker into Trakor; nothing is ever written to Salestrekker",
        connections=flows,
        told=tuple(_recipients(settings.alerts)),
        stored=(_WHERE, *(one.line() for one in stored), LOGS),
        credentials=_CREDENTIALS,
        to_fill_in=_TO_FILL_IN,
        disconnect=_DISCONNECT,
    )


_WHERE: Final = (
    "Everything is on the machine that runs the application, in files that only their owner can read. "
    "Encrypted means AES-256-GCM with a key made of the ledger's key. The ledger is one database file; the "
    "names below are its tables, and the files beside it."
)
_CREDENTIALS: Final = (
    (
        "Salestrekker's credentials and Trakor's key are read from the configuration, the environment or "
        "secret files, and kept in memory only; they are never in the ledger, a log or a message"
    ),
    "Salestrekker's token is asked for at each start, renewed before its end, and kept in memory only",
    "no credentials of any user of another platform are stored",
    "all requests go over https, except to this machine itself or where the configuration insists",
)
_TO_FILL_IN: Final = (
    "Operator and contact person: ________",
    "Location of the machine (AU/NZ): ________",
    "How long backups of the ledger are kept: ________",
    "Date and author of the last penetration test: ________",
)
_DISCONNECT: Final = (
    (
        "Revoke the API key in Salestrekker, or have it revoked: the next request is refused, and everything "
        "stops automatically, without losing anything."
    ),
    "Or stop the process on its machine: nothing else has a credential.",
    "To erase what is stored, delete the ledger's file, those beside it, and its key.",
)


def _recipients(alerts: AlertsSettings) -> Iterator[str]:
    """The recipients of alerts and of the heartbeat, without tokens and passwords in addresses."""
    if alerts.urls:
        urls = [url.get_secret_value() for url in alerts.urls]
        shown = ", ".join(f"`{_service(url, number)}`" for number, url in enumerate(urls, start=1))
        yield (
            f"Messages go to {shown} (`[alerts] urls`): what has stopped, since when, and how many records "
            "need a decision for which reason, with the names of connections; no person's name, no id, and "
            "nothing that Salestrekker or Trakor answered"
        )
    if heartbeat := alerts.heartbeat_url.get_secret_value():
        yield (
            f"`{urlsplit(heartbeat).hostname}` (`[alerts] heartbeat_url`) is called after each good sweep, "
            "without any data"
        )
    if not alerts.urls and not heartbeat:
        yield "none: `[alerts]` has no addresses"


def _service(url: str, number: int) -> str:
    """Scheme and host of an address for alerts; only the scheme if Apprise does not know it."""
    try:
        return address_of(url, number).shown
    except UserError:
        return f"{url.partition('://')[0]}://…"


def _known_records(settings: Settings) -> dict[tuple[str, Stream], int]:
    """How many records the ledger has, by connection and stream; empty before the first run."""
    path = settings.ledger.path
    if path is None or read_revision(path) is None:
        return {}
    require_current(path)
    with reading(path) as connection:
        return {
            (feed.connection, feed.stream): count_records(connection, RecordQuery(feeds=(feed.number,)))
            for feed in list_feeds(connection)
        }


def _connection_flow(
    settings: Settings, connection: ConnectionSettings, known: dict[tuple[str, Stream], int]
) -> ConnectionFlow:
    source = connection.salestrekker
    enabled = [stream for stream in Stream if connection.stream(stream).enabled]
    timezone = connection.schedule.timezone
    return ConnectionFlow(
        connection=connection.name,
        source=urlsplit(source.url).hostname or "",
        destination=urlsplit(connection.trakor.url).hostname or "",
        login="e-mail and password" if source.api_key is None else "API key",
        requests_per_minute=source.requests_per_minute,
        requests_per_day_at_most=source.requests_per_minute * MINUTES_PER_DAY,
        reconciling=_schedule_text(connection.schedule.reconcile, timezone),
        webhooks=_webhook_flow(settings, connection) if connection.webhook_tokens else None,
        streams=tuple(
            _stream_flow(settings, connection, stream, known.get((connection.name, stream), 0))
            for stream in enabled
        ),
    )


def _stream_flow(
    settings: Settings, connection: ConnectionSettings, stream: Stream, records: int
) -> StreamFlow:
    of_stream = connection.stream(stream)
    schedule = connection.schedule
    timing = schedule.timing(stream)
    fields, sent = _fields_of(settings, of_stream.list_query), stream.spec.payload.FIELDS
    expressions = {**DEFAULTS[stream], **of_stream.map}
    requests = math.ceil(records / of_stream.page_size) + ENDING_PAGES
    sweeps = per_day(timing) + per_day(schedule.reconcile)
    query_by_id = of_stream.one_query
    return StreamFlow(
        stream=str(stream),
        query=of_stream.list_query,
        fields_read=fields,
        fields_sent={field: text for field, text in expressions.items() if text and field in sent},
        endpoint=f"POST {stream.spec.endpoint}",
        filter=of_stream.where,
        query_by_id=query_by_id,
        more_fields_by_id=_more(fields, _fields_of(settings, query_by_id)) if query_by_id else (),
        known_records=records,
        requests_per_sweep=requests,
        schedule=_schedule_text(timing, schedule.timezone),
        sweeps_per_day_at_most=sweeps,
        requests_per_day_by_schedule=sweeps * requests,
    )


def _webhook_flow(settings: Settings, connection: ConnectionSettings) -> WebhookFlow:
    address = settings.webhooks.public_url
    return WebhookFlow(
        received_at=f"{address}/webhooks/…" if address else "",
        actions=tuple(WebhookAction),
        ids_per_request=connection.salestrekker.ids_per_request,
        query_for_deals=TICKET,
        fields_of_deals=_fields_of(settings, TICKET) if connection.stream(DEAL_CONTACTS).enabled else (),
    )


def _fields_of(settings: Settings, query: str) -> tuple[str, ...]:
    return selected_fields(load_document(query, query_folders(settings.folder)))


def _more(fields: tuple[str, ...], fields_by_id: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that only the second query reads; their root fields (``contacts``, ``contact``) differ."""
    known = {field.partition(".")[2] for field in fields}
    return tuple(field for field in fields_by_id if field.partition(".")[2] not in known)


def _schedule_text(timing: Timing, timezone: str) -> str:
    """A schedule in words."""
    if isinstance(timing, Crontab):
        fields = (timing.minute, timing.hour, timing.day, timing.month, timing.weekday)
        return f"at `{' '.join(fields)}` (crontab, {timezone})"
    number, unit = next(
        (timing.seconds / seconds, unit)
        for seconds, unit in ((DAY, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
        if timing.seconds % seconds == 0 or seconds == 1
    )
    return f"every {number:g} {unit}" if number != 1 else f"every {unit.removesuffix('s')}"
