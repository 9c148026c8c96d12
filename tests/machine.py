"""A small world: two organisations that share one Trakor, the bridge between them, persons, and time.

Few records and few names, so that they meet all the time. Each verb is one thing that can happen. The bridge
is the real one, from mapping to delivery; ``machine_trakor`` is the other side, ``promises`` looks at both.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import SecretStr

from bridge.daemon.sending_worker import SendingWorker
from bridge.delivery.destination_and_streams import OutgoingStream
from bridge.errors import UserError
from bridge.ledger import operator_actions
from bridge.ledger.erasure import forget_record
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.observe import Observation
from bridge.ledger.send_queue import release_claims
from bridge.mapping import Mapper
from bridge.names import Hasher
from bridge.records import Draft, NameClaim, Policy, Product, Record, Stream
from bridge.salestrekker.pages import Page, RecordsById
from bridge.settings import TrakorSettings
from bridge.sync.by_id import ByIdSource
from bridge.sync.observe_batch import observe_batch
from bridge.sync.sweep import SweepSource, sweep
from machine_time import Book, Handle, VirtualLoop
from machine_trakor import Site, Window

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence

    from bridge.delivery.destination_and_streams import Destination
    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.records import Payload
    from bridge.sandbox.trakor_store import Behaviour

__all__ = [
    "ANNA",
    "CONTACTS",
    "FAILING",
    "HASHER",
    "IDS",
    "MAPS",
    "NOBODY",
    "PRODUCTS",
    "QUERIES",
    "WHERES",
    "Known",
    "Rules",
    "World",
    "enter",
    "state",
    "stream_of",
]

CONTACTS = ("a1", "a2", "a3", "b1", "b2")
PRODUCTS = ("ap", "aq")
IDS = CONTACTS + PRODUCTS
"""Records of two connections, a and b, which share one Trakor organisation; a has products, too."""

_KEY: Final = b"the key of the machine's ledgers".ljust(32)
HASHER: Final = Hasher(_KEY)
_BEGIN: Final = 1_800_000_000_000
WAIT: Final = 150_000

ANNA: Final = {"first": "Zanna", "last": "Zquill", "email": "one@zq.example"}
"""What a contact says, where nothing else is said."""

MAPS: Final[tuple[Mapping[str, str], ...]] = (
    {"contact_info": "join_present(' | ', [phone, email, note])"},
    {"contact_info": "join_present(' | ', [email, phone, note])"},
    {"name": "join_present(' ', [last, first])", "contact_info": "join_present(' | ', [phone, email, note])"},
    {"contact_info": "join_present(' | ', [phone, email, note])", "same_as.phone": ""},
    {"contact_info": "abs(phone)"},
)
"""What users change in their map: the order of fields, the name, what identifies a person; one that fails."""

FAILING: Final = len(MAPS) - 1

_CONTACTS: Final = {
    "id": "id",
    "name": "join_present(' ', [first, last])",
    "same_as.email": "email",
    "same_as.phone": "phone",
    "qualifier": "email || phone",
}
_PRODUCTS: Final = {
    "id": "id",
    "name": "join_present(' ', [first, last])",
    "description": "note",
    "price": "price",
    "same_as": "",
    "qualifier": "id",
}
WHERES: Final = ("isActive != `false`", "", "`false`")
NOBODY: Final = len(WHERES) - 1
QUERIES: Final[tuple[tuple[str, ...], ...]] = (("email",), ("email", "more"), ())
"""What each query selects beside the rest."""


def stream_of(source_id: str) -> Stream:
    """Which list a record is from."""
    return Stream.PRODUCTS if source_id[1] in "pq" else Stream.CONTACTS


@dataclass(frozen=True)
class Rules:
    """What the user configured of one connection."""

    policy: Policy = field(default_factory=Policy)
    map: int = 0
    where: int = 0
    query: int = 0

    def mapper(self, stream: Stream) -> Mapper:
        """What makes drafts by these."""
        return _mapper(self, stream)

    def selects(self, data: Mapping[str, object]) -> dict[str, object]:
        """What the query selects of a record."""
        optional = {"email", "more"} - set(QUERIES[self.query])
        return {key: value for key, value in data.items() if key not in optional}


@cache
def _mapper(rules: Rules, stream: Stream) -> Mapper:
    texts = {**_CONTACTS, **MAPS[rules.map]} if stream is Stream.CONTACTS else _PRODUCTS
    if stream is Stream.CONTACTS and not texts.get("same_as.phone", "phone"):
        texts = {key: text for key, text in texts.items() if text}
    return Mapper(stream, texts, WHERES[rules.where], HASHER, f"query {rules.query}", rules.policy)


@dataclass(frozen=True)
class Whose:
    """What ``observe_batch`` is handed."""

    feed: Feed
    mapper: Mapper
    policy: Policy


@dataclass
class Known:
    """What is remembered of one source record.

    Attributes:
        data: What it said when it was last observed, as the query selected it; None: it never was.
        mapper: What its draft was made by then.
        read_at: When the read began that was last observed.
        consents: How often a person, or a policy, agreed that it is sent under another name.
        dropped: A person dropped it, and did not take that back.
        dismissed: What it said when a person dismissed what differs; None: nobody did, or it changed since.
        forgotten: A person had it forgotten.
        loose: What Trakor has of it cannot be told: a ledger was restored, or a person said nothing true.
    """

    data: Mapping[str, object] | None = None
    mapper: Mapper | None = None
    read_at: int = 0
    consents: int = 0
    dropped: bool = False
    dismissed: Mapping[str, object] | None = None
    forgotten: bool = False
    loose: bool = False


@dataclass
class Connection:
    """One connection of the bridge."""

    letter: str
    rules: Rules
    feeds: dict[Stream, Feed]
    pages: list[list[Record]] = field(default_factory=list)
    """Pages that were read, and not observed yet."""


class World:
    """Everything, and everything that can happen to it.

    Args:
        behaviour: What Trakor's page leaves open.
        rules: What the user configured at first, of a and of b.
        stops_after: So many records turned down, and none taken, stop a stream.
    """

    def __init__(self, behaviour: Behaviour, rules: Mapping[str, Rules], stops_after: int = 20) -> None:
        self.loop = VirtualLoop()
        self.book = Book(_KEY)
        self.site = Site(self.loop, behaviour, self._who)
        self.skew = 0
        self._settings = TrakorSettings(
            url="https://trakor.example", api_key=SecretStr("key"), max_in_flight=4
        )
        self._stops_after = stops_after
        self.source: dict[str, dict[str, object] | None] = {}
        self.known = {one: Known() for one in IDS}
        self.copied: sqlite3.Connection | None = None
        self.restored = False
        self.connections = {letter: self._connect(letter, rules[letter]) for letter in "ab"}
        self._random = random.Random(1)  # noqa: S311 - jitter
        self.open()

    def _connect(self, letter: str, rules: Rules) -> Connection:
        streams = (Stream.CONTACTS, Stream.PRODUCTS) if letter == "a" else (Stream.CONTACTS,)
        feeds = {stream: self.book.write(load_or_add_feed, letter, "one scope", stream) for stream in streams}
        return Connection(letter, rules, feeds)

    def clock(self) -> int:
        """The wall clock: milliseconds since the epoch."""
        return _BEGIN + int(self.loop.time() * 1000) + self.skew

    # -- the bridge's process

    def open(self, *, sending: bool = True) -> None:
        """A process begins: it is the one owner, and ends the claims of the last one."""
        self.handle = Handle(self.book, self.loop)
        self._window = Window(self.site)
        self.sendings: dict[str, SendingWorker] = {}
        self._running: list[asyncio.Task[None]] = []
        for letter, connection in self.connections.items():
            for feed in connection.feeds.values():
                self.book.write(release_claims, feed, now=self.clock(), wait=WAIT)
            if sending:
                self.sendings[letter] = service = self._sending(connection)
                self._running.append(self.loop.create_task(service.run()))

    def _sending(self, connection: Connection) -> SendingWorker:
        outgoing = {
            stream: OutgoingStream(feed, connection.rules.policy) for stream, feed in connection.feeds.items()
        }
        return SendingWorker(
            cast("Ledger", self.handle),
            outgoing,
            cast("Destination", self._window),
            self._settings,
            name=connection.letter,
            key_of=HASHER.name_key,
            clock=self.clock,
            random=self._random.random,
            most_rejections=self._stops_after,
        )

    def die(self) -> None:
        """The process is killed: it writes and sends nothing any more."""
        self.handle.dead = self._window.closed = True
        while its := asyncio.all_tasks(self.loop) - self.site.works:
            for task in its:
                task.cancel()
            self._let(asyncio.wait(its))

    def end(self) -> None:
        """The process ends in order."""
        for task in self._running:
            task.cancel()
        if self._running:
            self._let(asyncio.gather(*self._running, return_exceptions=True))
        self.raise_failures()

    def restart(self, rules: Mapping[str, Rules] | None = None, *, killed: bool = False) -> None:
        """The process ends one way or the other, and another one begins, by other rules perhaps."""
        (self.die if killed else self.end)()
        for letter, given in (rules or {}).items():
            self.connections[letter].rules = given
            self.connections[letter].pages.clear()
        self.open()

    def raise_failures(self) -> None:
        """Whatever unexpected the process ended with."""
        for task in self._running:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise cast("BaseException", task.exception())

    def _let(self, awaitable: Any) -> Any:  # noqa: ANN401 - any result
        return self.loop.run_until_complete(awaitable)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - any result
        """Do something in the process, and let all else go on meanwhile."""
        return self._let(coroutine)

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self._let(asyncio.sleep(seconds))
        self.raise_failures()

    def look(self) -> None:
        """The process notices what others wrote."""
        for sending in self.sendings.values():
            sending.notice_change()

    def close(self) -> None:
        """It was all a dream."""
        self.die()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
            self._let(asyncio.gather(task, return_exceptions=True))
        self.loop.close()

    def _who(self, payload: Payload) -> tuple[str, bool]:
        """Whose claim a payload is sent under; and whether it is that record's to be sent."""
        stream = Stream.PRODUCTS if isinstance(payload, Product) else Stream.CONTACTS
        space = self.connections["a"].feeds[stream].namespace
        key = HASHER.name_key(payload.name)
        for claim in self.book.rows("claims", "WHERE space = ? AND key = ?", space, key):
            (row,) = self.book.rows("records", "WHERE number = ?", claim["record"])
            regular = row["state"] == "pending" or row["claimed_until"] > 0
            return str(row["source_id"]), bool(regular and row["sent_key"] == key)
        return "", False

    # -- the source

    def ids(self, letter: str, stream: Stream | None = None) -> list[str]:
        """The records of a connection that are in the source."""
        return [
            one
            for one, data in sorted(self.source.items())
            if data is not None and one[0] == letter and stream in (None, stream_of(one))
        ]

    def read(self, letter: str, ids: Iterable[str]) -> list[list[Record]]:
        """Read some records now; those of one stream are a page."""
        rules, now = self.connections[letter].rules, self.clock()
        pages: dict[Stream, list[Record]] = {}
        for one in ids:
            data = self.source.get(one)
            if data is not None and one[0] == letter:
                stream = stream_of(one)
                record = Record(stream, one, rules.selects({"id": one, **data}), now)
                pages.setdefault(stream, []).append(record)
        return list(pages.values())

    def whose(self, letter: str, stream: Stream) -> Whose:
        """What is made of the records of a stream."""
        connection = self.connections[letter]
        return Whose(connection.feeds[stream], connection.rules.mapper(stream), connection.rules.policy)

    def observe(self, letter: str, page: list[Record]) -> None:
        """A page that was read is observed."""
        whose = self.whose(letter, page[0].stream)
        self.run(observe_batch(page, whose, cast("Ledger", self.handle), Observation(), now=self.clock()))
        self._note(page, whose.mapper)
        self.look()

    def _note_observed(self, record: Record, mapper: Mapper) -> None:
        known = self.known[record.id]
        if known.dismissed is not None and known.dismissed != record.data:
            known.dismissed = None
        known.data, known.mapper, known.read_at = record.data, mapper, record.read_at

    def see(self, ids: Iterable[str]) -> None:
        """Webhooks came for these: they are read by id and observed."""
        wanted = list(ids)
        for letter in self.connections:
            for page in self.read(letter, wanted):
                self.observe(letter, page)

    def enter_newcomer(self, source_id: str) -> None:
        """Somebody comes whom nothing is wrong with."""
        self.known[source_id] = Known()
        self.source[source_id] = {"first": f"Zoe {source_id}", "email": f"{source_id}@zq.example"}
        self.see([source_id])

    def delete(self, source_id: str, *, told: bool) -> None:
        """A record is deleted in the source, and a webhook may tell."""
        self.source[source_id] = None
        if told:
            connection = self.connections[source_id[0]]
            feed = connection.feeds[stream_of(source_id)]
            now = self.clock()
            policy = connection.rules.policy
            self.book.write(mark_gone_by_id, feed, [source_id], policy, read_at=now, now=now)
            self.look()

    def sweep(self, letter: str, *, size: int = 100, pause: float = 0.0) -> None:
        """A complete sweep of a connection, page by page; what it does not see is gone."""
        for stream in self.connections[letter].feeds:
            self._sweep(letter, stream, size, pause)
        self.look()

    def _sweep(self, letter: str, stream: Stream, size: int, pause: float) -> None:
        whose = self.whose(letter, stream)
        read: list[Record] = []

        async def pages(_: str) -> AsyncGenerator[Page]:
            ids = self.ids(letter, stream)
            for at in range(0, len(ids), size):
                for found in self.read(letter, ids[at : at + size]):
                    read.extend(found)
                    yield Page(tuple(found), (), str(at + size))
                    await asyncio.sleep(pause)
            yield Page((), (), "", last=True)

        async def by_id(asked: Sequence[str]) -> RecordsById:
            found = [record for page in self.read(letter, asked) for record in page]
            read.extend(found)
            absent = sorted(set(asked) - {record.id for record in found})
            return RecordsById(found, absent, [], self.clock())

        ones = ByIdSource(whose.feed, by_id, whose.mapper, whose.policy)
        listing = SweepSource(whose.feed, pages, "query", whose.mapper, whose.policy, 0.2, by_id=ones)
        ledger = cast("Ledger", self.handle)
        self.run(sweep(listing, ledger, run=0, restart=True, clock=self.clock, on_page=lambda *_: None))
        self._note(read, whose.mapper)

    def _note(self, read: Iterable[Record], mapper: Mapper) -> None:
        """What was read counts as observed, unless the ledger has seen a later read."""
        rows = {row["source_id"]: row for row in self.book.rows("records")}
        for record in read:
            if rows[record.id]["read_at"] == record.read_at:
                self._note_observed(record, mapper)

    # -- persons

    def row(self, source_id: str) -> Mapping[str, Any] | None:
        """A record's row; None where the ledger does not know it."""
        return next(iter(self.book.rows("records", "WHERE source_id = ?", source_id)), None)

    def decide(self, source_id: str, verb: str, name: str = "") -> bool:
        """A person decides, if there is anything to decide."""
        row = self.row(source_id)
        if row is None:
            return False
        connection = self.connections[source_id[0]]
        feed, policy = connection.feeds[stream_of(source_id)], connection.rules.policy
        named = {"name": NameClaim(name, HASHER.name_key(name))} if name else {}
        verbs: dict[str, Callable[..., Any]] = {
            "accept": operator_actions.accept,
            "dismiss": operator_actions.dismiss,
            "drop": operator_actions.drop,
            "retry": operator_actions.retry,
        }
        try:
            self.book.write(verbs[verb], feed, row["number"], policy, now=self.clock(), **named)
        except UserError:
            return False
        self._note_decided(source_id, verb, row)
        self.look()
        return True

    def _note_decided(self, source_id: str, verb: str, row: Mapping[str, Any]) -> None:
        known = self.known[source_id]
        known.consents += verb in {"accept", "retry"}
        known.dropped = verb == "drop" or (known.dropped and verb != "retry")
        known.dismissed = known.data if verb == "dismiss" else None
        corrected = row["state"] == "drifted" or (row["state"] == "delivered" and row["remapped"])
        if verb == "accept" and corrected:
            self._correct(source_id, row)

    def _correct(self, source_id: str, row: Mapping[str, Any]) -> None:
        """A person who accepts a drift has put Trakor right before."""
        known = self.known[source_id]
        made = None
        if known.mapper is not None and known.data is not None:
            made = known.mapper(Record(stream_of(source_id), source_id, known.data, known.read_at))
        if not isinstance(made, Draft):
            known.loose = True
            return
        qualified = row["sent_key"] == made.qualified_key
        self.correct_in_trakor(
            row["trakor_id"],
            made.named(made.qualified_name if qualified else made.payload.name),
            keep_name=bool(row["given"]),
        )

    def correct_in_trakor(self, trakor_id: str, payload: Payload, *, keep_name: bool = False) -> None:
        """Somebody changes a record in Trakor by hand."""
        text, price = (*list(payload.fields().values())[1:], "")[:2]
        for shelf in self.site.shelves.values():
            for entry in shelf.entries():
                if entry.id == trakor_id:
                    shelf.change(replace_entry(entry, entry.name if keep_name else payload.name, text, price))

    def forget(self, source_id: str, *, delete: bool) -> None:
        """A person has a record forgotten, and deletes its parties in Trakor as the command says."""
        row = self.row(source_id)
        if row is None:
            return
        try:
            done = self.book.write(forget_record, row["number"], now=self.clock())
        except UserError:
            return
        known = self.known[source_id]
        known.forgotten, known.dropped, known.dismissed = True, True, None
        for shelf in self.site.shelves.values():
            for entry in shelf.entries():
                if delete and entry.id in done.trakor_ids:
                    shelf.remove(entry.id)
        self.look()

    # -- what befalls it

    def back_up(self) -> None:
        """Somebody copies the ledger."""
        self.copied = self.book.copy()

    def restore(self) -> None:
        """The process dies, and the ledger is an older one, or a new one; Trakor has ended its work."""
        self.die()
        self.pass_quietly(2 * WAIT / 1000)
        self.site.forget_waits()
        if self.copied is not None:
            self.book.restore(self.copied)
        self.restored = True
        for known in self.known.values():
            known.data, known.loose, known.dismissed, known.dropped = None, True, None, False
        forgotten = {row["source_id"]: row["forgotten"] for row in self.book.rows("records")}
        for source_id, known in self.known.items():
            known.forgotten = bool(forgotten.get(source_id))
        self.open()

    def pass_quietly(self, seconds: float) -> None:
        """Time passes while no process is there."""
        self._let(asyncio.sleep(seconds))

    def set_clock(self, hours: int) -> None:
        """Somebody sets the clock."""
        self.skew += hours * 3_600_000
        self.site.forget_waits()
        self.look()


def replace_entry(entry: Any, name: str, text: str, price: str) -> Any:  # noqa: ANN401 - the sandbox's Entry
    """A party or product as somebody corrected it."""
    return entry._replace(name=name, text=text, price=float(price) if price else entry.price)


def with_policy(rules: Rules, policy: Policy) -> Rules:
    """The same rules by another policy."""
    return replace(rules, policy=policy)


def enter(world: World, *source_ids: str, **changes: object) -> None:
    """These say all the same."""
    world.source.update({source_id: {**ANNA, **changes} for source_id in source_ids})
    world.see(source_ids)


def state(world: World, source_id: str) -> str:
    """A record's state, with its reason."""
    row = world.row(source_id)
    assert row is not None
    return f"{row['state']}: {row['reason']}" if row["reason"] else row["state"]
