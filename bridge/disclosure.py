"""The data-flow statement that an aggregator asks for before it approves an API key.

Made from the configuration, the query files, the maps and the ledger, in the order of the checklist
that such a request meets (2026): name, direction, fields, method, frequency, storage, credentials,
testing, how to revoke. Nothing is written by hand that can be read off; what cannot be known here
(who runs it, where the machine stands) is left as a line to be filled in, and marked so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bridge import __version__
from bridge.ledger.engine import reading
from bridge.ledger.opening import require_current, revision
from bridge.ledger.reading import Wanted, feeds_of, total
from bridge.mapping import DEFAULTS
from bridge.records import Stream
from bridge.salestrekker.documents import load_document, query_folders
from bridge.salestrekker.selection import fields_read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.settings import Connection, Settings

__all__ = ["ConnectionFlow", "Disclosure", "StreamFlow", "disclose", "markdown"]

ENDING_PAGES: Final = 2
"""A list's end is believed when an empty page was given twice."""

MINUTES_PER_DAY: Final = 24 * 60

DAY: Final = 86_400
"""Seconds."""

ENDPOINTS: Final = {Stream.CONTACTS: "POST /parties", Stream.PRODUCTS: "POST /products"}


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
        known_records: How many the ledger knows of now.
        requests_per_sweep: How many requests one reading of the whole list takes for so many.
    """

    stream: str
    query: str
    fields_read: tuple[str, ...]
    fields_sent: Mapping[str, str]
    endpoint: str
    filter: str
    known_records: int
    requests_per_sweep: int


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
        streams: What flows, stream by stream.
    """

    connection: str
    source: str
    destination: str
    login: str
    requests_per_minute: int
    requests_per_day_at_most: int
    streams: tuple[StreamFlow, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The whole statement.

    Attributes:
        application: Name and version.
        direction: Which way data flows.
        connections: What flows, connection by connection.
        stored: What is stored, and for how long.
        credentials: How credentials are kept.
        to_fill_in: What only those who run it can say.
        disconnect: How to end it at once.
    """

    application: str
    direction: str
    connections: tuple[ConnectionFlow, ...]
    stored: tuple[str, ...]
    credentials: tuple[str, ...]
    to_fill_in: tuple[str, ...]
    disconnect: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The document of ``disclose --json``."""
        return asdict(self)


def disclose(settings: Settings, names: tuple[str, ...]) -> Disclosure:
    """Make the statement for some connections.

    Args:
        settings: The configuration.
        names: Of the connections.

    Raises:
        UserError: A query file or the ledger cannot be read.
    """
    known = _known_records(settings)
    return Disclosure(
        application=f"salestrekker-trakor-bridge {__version__}",
        direction="out of Salestrekker into Trakor; nothing is ever written to Salestrekker",
        connections=tuple(_connection_flow(settings, settings.connections[name], known) for name in names),
        stored=tuple(line.format(history=settings.ledger.keep_history / DAY) for line in _STORED),
        credentials=_CREDENTIALS,
        to_fill_in=_TO_FILL_IN,
        disconnect=_DISCONNECT,
    )


_STORED: Final = (
    "In one file, the ledger, on the machine that runs the application, readable by its user alone:",
    (
        "for each record its id in Salestrekker and in Trakor, its state, times, and keyed hashes of its "
        "name and fields (BLAKE2b under a key kept beside the ledger); for as long as the ledger is kept"
    ),
    (
        "what a record says (the fields sent, listed above) only while it waits to be sent or for a person's "
        "decision; the row is deleted when that ends, and overwritten"
    ),
    "a history of each record in short lines without personal data; for {history:,.0f} days",
    "Logs hold counts, ids and errors, no names, e-mail addresses or phone numbers, and no credentials.",
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
    "Who runs it, and the person to talk to: ________",
    "Where the machine stands (AU/NZ): ________",
    "Date and author of the last penetration test: ________",
)
_DISCONNECT: Final = (
    (
        "Revoke the API key in Salestrekker, or have it revoked: the next request is refused, and everything "
        "stops by itself, without losing anything."
    ),
    "Or stop the process on the machine that runs it: nothing else holds a credential.",
    "To erase what is stored, delete the ledger's file, those beside it, and its key.",
)


def _known_records(settings: Settings) -> dict[tuple[str, Stream], int]:
    """How many records the ledger knows of each stream of each connection; none before the first run."""
    path = settings.ledger.path
    if path is None or revision(path) is None:
        return {}
    require_current(path)
    with reading(path) as connection:
        return {
            (feed.connection, feed.stream): total(connection, Wanted(feeds=(feed.number,)))
            for feed in feeds_of(connection)
        }


def _connection_flow(
    settings: Settings, connection: Connection, known: dict[tuple[str, Stream], int]
) -> ConnectionFlow:
    source = connection.salestrekker
    enabled = [stream for stream in Stream if connection.stream(stream).enabled]
    return ConnectionFlow(
        connection=connection.name,
        source=urlsplit(source.url).hostname or "",
        destination=urlsplit(connection.trakor.url).hostname or "",
        login="e-mail and password" if source.api_key is None else "API key",
        requests_per_minute=source.requests_per_minute,
        requests_per_day_at_most=source.requests_per_minute * MINUTES_PER_DAY,
        streams=tuple(
            _stream_flow(settings, connection, stream, known.get((connection.name, stream), 0))
            for stream in enabled
        ),
    )


def _stream_flow(settings: Settings, connection: Connection, stream: Stream, records: int) -> StreamFlow:
    of_stream = connection.stream(stream)
    document = load_document(of_stream.list_query, query_folders(settings.folder))
    expressions = {**DEFAULTS[stream], **of_stream.map}
    return StreamFlow(
        stream=str(stream),
        query=of_stream.list_query,
        fields_read=fields_read(document),
        fields_sent={field: text for field, text in expressions.items() if text and field in _SENT[stream]},
        endpoint=ENDPOINTS[stream],
        filter=of_stream.where,
        known_records=records,
        requests_per_sweep=math.ceil(records / of_stream.page_size) + ENDING_PAGES,
    )


_SENT: Final = {
    Stream.CONTACTS: ("name", "contact_info"),
    Stream.PRODUCTS: ("name", "description", "price"),
}


def markdown(disclosure: Disclosure) -> str:
    """The statement as a document to hand in."""
    parts = [
        f"# Data-flow statement: {disclosure.application}",
        "",
        f"**Application:** {disclosure.application}",
        "",
        f"**Direction of the data flow:** {disclosure.direction}.",
    ]
    for flow in disclosure.connections:
        parts += _connection_section(flow)
    parts += _section("What is stored, where, and for how long", disclosure.stored)
    parts += _section("Credentials", disclosure.credentials)
    parts += _section("To be filled in by who runs it", disclosure.to_fill_in)
    parts += _section("How to disconnect at once", disclosure.disconnect)
    return "\n".join(parts) + "\n"


def _section(title: str, lines: tuple[str, ...]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {line}" for line in lines)]


def _connection_section(flow: ConnectionFlow) -> list[str]:
    parts = ["", f"## Connection `{flow.connection}`: {flow.source} → {flow.destination}"]
    for stream in flow.streams:
        parts += [
            "",
            f"### Fields of {stream.stream}",
            "",
            f"Read with `{stream.query}`, where `` {stream.filter} ``:",
            "",
        ]
        parts += [f"- `{field}`" for field in stream.fields_read]
        parts += ["", f"Sent to Trakor (`{stream.endpoint}`):", "", "| field | made of |", "| --- | --- |"]
        parts += [f"| `{field}` | `{_cell(text)}` |" for field, text in stream.fields_sent.items()]
    return [
        *parts,
        "",
        "### Method and frequency",
        "",
        f"- GraphQL over https, queries only but for the log-in, authenticated by {flow.login}",
        (
            f"- never more than {flow.requests_per_minute:,} requests a minute, so at most "
            f"{flow.requests_per_day_at_most:,} a day; each backfill takes"
        ),
        *(
            f"  - {stream.requests_per_sweep:,} requests for the {stream.known_records:,} {stream.stream} "
            "that are known now"
            for stream in flow.streams
        ),
        "  - and one for the token",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
