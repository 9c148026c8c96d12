"""A bridge between simulated systems, configured as a user would do it, and what its ledger then says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from bridge.backfill import backfill
from bridge.ledger.database import reading
from bridge.ledger.read_model import MARKS
from bridge.ledger.schema import claims, feeds, history, links, namespaces, records, sweeps
from bridge.names import Hasher
from bridge.records import Stream
from bridge.sandbox import Fault
from bridge.settings import load
from bridge.wiring.ledger_and_key import ledger_key, ledger_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from bridge.backfill import Report
    from bridge.sandbox import Sandbox
    from bridge.settings import Settings

__all__ = [
    "Books",
    "Bridge",
    "Known",
    "Silent",
    "adds_up",
    "configuration_of",
    "hold_reading_at",
    "numbers",
    "shown",
    "stopped_at",
    "without",
    "write_configuration",
]

QUICK: Mapping[str, Mapping[str, object]] = {
    "salestrekker": {
        "requests_per_minute": 1_000_000,
        "timeout": "10s",
        "retry_first": "1ms",
        "retry_max": "1s",
        "probe_first": "20ms",
        "probe_max": "50ms",
    },
    "trakor": {
        "timeout": "10s",
        "retry_first": "1ms",
        "retry_max": "10ms",
        "probe_first": "20ms",
        "probe_max": "50ms",
        "unanswered_wait": "20ms",
    },
}
"""As quick as tests want it."""


def configuration_of(
    source: Sandbox, destination: Sandbox, changes: Mapping[str, Mapping[str, object]]
) -> str:
    """The configuration (TOML) of one connection.

    Args:
        source: The sandbox whose Salestrekker is read.
        destination: The sandbox whose Trakor is written to.
        changes: Table -> key -> value, over what is quick for tests.
    """
    addresses: dict[str, dict[str, object]] = {
        "salestrekker": {"url": source.salestrekker_url, "api_key": source.options.api_key},
        "trakor": {"url": destination.trakor_url, "api_key": destination.options.trakor_key},
    }
    tables = {
        name: {**addresses.get(name, {}), **QUICK.get(name, {}), **changes.get(name, {})}
        for name in (*addresses, *(set(changes) - set(addresses)))
    }
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def write_configuration(folder: Path, text: str, others: Mapping[str, str] | None = None) -> Path:
    """Write config.toml, and other connections beside it; returns its path."""
    path = folder / "config.toml"
    path.write_text(('connections_dir = "connections.d"\n' if others else "") + text)
    if others:
        (folder / "connections.d").mkdir(exist_ok=True)
        for name, of_other in others.items():
            (folder / "connections.d" / f"{name}.toml").write_text(of_other)
    return path


class Silent:
    """Watches a backfill and says nothing; can be waited for.

    Args:
        read: So many contacts are to be read for ``reached``.
        on_warning: Called at each warning, when it comes.

    Attributes:
        reached: Set once they are, and on disk.
        suspicious: Set at the first warning.
        warnings: What was warned of while it ran.
    """

    def __init__(self, read: int = 0, on_warning: Callable[[], None] = lambda: None) -> None:
        self._read = read
        self._on_warning = on_warning
        self.reached = asyncio.Event()
        self.suspicious = asyncio.Event()
        self.warnings: list[str] = []

    def reading(self, connection: str, stream: Stream, read: int) -> None:  # noqa: ARG002 - as Watch has it
        """Look if it is enough."""
        if stream is Stream.CONTACTS and read >= self._read:
            self.reached.set()

    def all_read(self, connection: str, stream: Stream) -> None:
        """Nothing."""

    def pending(self, connection: str, number: int) -> None:
        """Nothing."""

    def settled(self, connection: str, number: int) -> None:
        """Nothing."""

    def waiting(self, connection: str, what: str) -> None:
        """Nothing."""

    def warned(self, connection: str, warning: str) -> None:  # noqa: ARG002 - as Watch has it
        """Keep it."""
        self.warnings.append(warning)
        self._on_warning()
        self.suspicious.set()


class Known(NamedTuple):
    """What the ledger knows of one record.

    Attributes:
        state: Its state, with the reason after a colon where it has one.
        marks: Those of ``MARKS`` that it has.
        origin: How its Trakor record came to be; empty while there is none.
        ids: Of its Trakor records, the oldest first.
        merged_into: The source id of the record that it shares the party of; empty otherwise.
        attempts: How often it was tried under its present name.
        story: The events of its history.
    """

    state: str
    marks: frozenset[str]
    origin: str
    ids: tuple[str, ...]
    merged_into: str
    attempts: int
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Books:
    """What a ledger says, read beside whoever writes it.

    Attributes:
        known: (connection, stream, source id) -> what is known.
        answered: (scope, stream) -> the keys of the names that Trakor answered for.
        linked: (scope, stream) -> the ids of Trakor's that are some record's.
        sweeps: (stream, reached its end, complete) of each sweep, oldest first.
        lines: How many lines the history has.
    """

    known: Mapping[tuple[str, Stream, str], Known]
    answered: Mapping[tuple[str, Stream], set[str]]
    linked: Mapping[tuple[str, Stream], list[str]]
    sweeps: list[tuple[Stream, bool, bool]]
    lines: int

    @classmethod
    def of(cls, path: Path) -> Books:
        """Read them."""
        with reading(path) as connection:
            rows = {name: connection.execute(select(table)).all() for name, table in _TABLES.items()}
        return _books(rows)

    def contact(self, identity: str, connection: str = "default") -> Known:
        """What is known of a contact."""
        return self.known[connection, Stream.CONTACTS, identity]

    def product(self, identity: str, connection: str = "default") -> Known:
        """What is known of a product."""
        return self.known[connection, Stream.PRODUCTS, identity]

    def ids(self, stream: Stream, *states: str, connection: str = "default") -> set[str]:
        """The source ids of a stream, of those in these states where some are named."""
        return {
            identity
            for (name, of_stream, identity), known in self.known.items()
            if (name, of_stream) == (connection, stream) and (not states or known.state in states)
        }


_TABLES = {
    "records": records,
    "feeds": feeds,
    "spaces": namespaces,
    "claims": claims,
    "links": links,
    "history": history,
    "sweeps": sweeps,
}


def _books(rows: Mapping[str, Any]) -> Books:
    feed_of = {row.number: (row.connection, Stream(row.stream)) for row in rows["feeds"]}
    space_of = {row.number: (row.scope, Stream(row.stream)) for row in rows["spaces"]}
    ids: dict[int, list[str]] = {}
    for row in sorted(rows["links"], key=lambda link: link.at):
        ids.setdefault(row.record, []).append(row.trakor_id)
    stories: dict[int, list[str]] = {}
    for row in sorted(rows["history"], key=lambda line: line.number):
        stories.setdefault(row.record, []).append(row.event)
    tried = {(row.record, row.key): row.attempts for row in rows["claims"]}
    source_id = {row.number: row.source_id for row in rows["records"]}
    known = {
        (*feed_of[row.feed], row.source_id): Known(
            f"{row.state}: {row.reason}" if row.reason else row.state,
            frozenset(mark for mark in MARKS if getattr(row, mark)),
            row.origin or "",
            tuple(ids.get(row.number, ())),
            source_id.get(row.merged_into, ""),
            tried.get((row.number, row.sent_key), 0),
            tuple(stories.get(row.number, ())),
        )
        for row in rows["records"]
    }
    assert len(known) == len(rows["records"]), "a source record stands in the ledger twice"
    return Books(
        known,
        {
            space: {row.key for row in rows["claims"] if row.answered and space_of[row.space] == space}
            for space in space_of.values()
        },
        {
            space: [row.trakor_id for row in rows["links"] if space_of[row.space] == space]
            for space in space_of.values()
        },
        [(feed_of[row.feed][1], row.ended_at is not None, bool(row.complete)) for row in rows["sweeps"]],
        len(rows["history"]),
    )


@dataclass(slots=True)
class Bridge:
    """A bridge from a sandbox's Salestrekker to its Trakor, in a folder of its own.

    Attributes:
        folder: Where configuration and ledger are.
        sandbox: What the connection ``default`` speaks to.
        changes: Table -> key -> value of its configuration; may be changed between runs.
        others: Further connections: name -> their configuration.
    """

    folder: Path
    sandbox: Sandbox
    changes: dict[str, dict[str, object]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The configuration as it stands now, written and read back."""
        text = configuration_of(self.sandbox, self.sandbox, self.changes)
        return load(write_configuration(self.folder, text, self.others), {})

    @property
    def books(self) -> Books:
        """What the ledger says now."""
        return Books.of(ledger_path(self.settings))

    async def backfill(
        self,
        *streams: Stream,
        restart: bool = False,
        stop: asyncio.Event | None = None,
        watch: Silent | None = None,
    ) -> Report:
        """Run a backfill of all connections."""
        settings = self.settings
        async with asyncio.timeout(60):
            return await backfill(
                settings,
                streams=streams or tuple(Stream),
                connections=tuple(settings.connections),
                restart=restart,
                stop=stop or asyncio.Event(),
                watch=watch or Silent(),
            )

    def in_order(self, *, also_there: Collection[str] = ()) -> Books:
        """Make sure of what must always hold between the two systems and the ledger; returns its books.

        Each source record is in exactly one state. Trakor holds no name that no record claims, and the
        reverse. No two of its names are one by the loosest reading. Each of its records is one record's.

        Args:
            also_there: Names that somebody else put into Trakor.
        """
        books = self.books
        hasher = Hasher(ledger_key(self.settings, make=False))
        for stream, rows, shelf in (
            (Stream.CONTACTS, self.sandbox.contacts, self.sandbox.trakor.parties),
            (Stream.PRODUCTS, self.sandbox.products, self.sandbox.trakor.products),
        ):
            assert {row["id"] for row in rows} <= books.ids(stream), "a source record is not in the ledger"
            entries = [entry for entry in shelf.entries() if entry.name not in also_there]
            keys = [hasher.name_key(entry.name) for entry in entries]
            assert len(set(keys)) == len(keys), "two names of Trakor's are one by the loosest reading"
            space = ("default", stream)
            assert set(keys) == books.answered.get(space, set()), "names in Trakor and claims differ"
            assert {entry.id for entry in entries} == set(books.linked.get(space, ()))
        return books


def adds_up(numbers: Mapping[str, int]) -> bool:
    """Whether each record of a run counts once in ``read`` and once in another number."""
    return numbers["read"] == sum(number for word, number in numbers.items() if word != "read")


@contextmanager
def without(bridge: Bridge, table: str) -> Iterator[None]:
    """A ledger in which whatever needs this table fails, as it does on a full disk."""
    with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        yield
    finally:
        with closing(sqlite3.connect(bridge.folder / "ledger.db")) as connection:
            connection.execute(f"ALTER TABLE away RENAME TO {table}")


def numbers(report: Report, stream: Stream = Stream.CONTACTS, connection: str = "default") -> dict[str, int]:
    found = report.connections[connection].streams[str(stream)]
    assert adds_up(found)
    return found


def shown(report: Report, connection: str = "default") -> dict[str, int]:
    """The numbers of both streams together, without the noughts."""
    both = Counter(numbers(report, Stream.CONTACTS, connection)) + Counter(
        numbers(report, Stream.PRODUCTS, connection)
    )
    return dict(both)


def hold_reading_at(sandbox: Sandbox, offset: int) -> asyncio.Event:
    """Let the page of contacts at this offset wait until the event is set."""
    gate = asyncio.Event()
    sandbox.salestrekker.faults.add(
        Fault(kind="contacts", where=lambda one: one.content["variables"]["offset"] >= offset, gate=gate)
    )
    return gate


async def stopped_at(bridge: Bridge, offset: int, *, broken: int = 0) -> Report:
    """A backfill that is stopped when all before this offset is on disk, and nothing after it was read."""
    sandbox, stop, watch = bridge.sandbox, asyncio.Event(), Silent(offset - broken)
    gate = hold_reading_at(sandbox, offset)
    running = asyncio.create_task(bridge.backfill(stop=stop, watch=watch))
    async with asyncio.timeout(20):
        await watch.reached.wait()
    stop.set()
    report = await running
    gate.set()
    sandbox.salestrekker.faults.clear()
    return report
