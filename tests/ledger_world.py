"""A small world around a ledger: a source of few records, a model of Trakor, a person, and time.

Few ids and few names, so that they meet all the time. Every verb is one thing that can happen, carried
out by the ledger's real transactions; ``snapshot`` has the tables as they stand after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, select
from sqlalchemy.pool import StaticPool

from books import KEEPING
from bridge import names
from bridge.errors import UserError
from bridge.ledger import operator_actions
from bridge.ledger.feeds import Feed, load_or_add_feed
from bridge.ledger.gone_records import find_unseen, mark_gone_by_id
from bridge.ledger.observe import Observation, observe
from bridge.ledger.row_writes import TRAKOR_TEXT
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.ledger.schema import (
    claims,
    contents,
    create_tables,
    links,
    metadata,
    records,
    rules,
    stored_texts,
)
from bridge.ledger.sealed_texts import StoredDraft, unpack
from bridge.ledger.send_queue import claim_work, release_claims
from bridge.ledger.settlement import settle
from bridge.ledger.statistics import count_states
from bridge.records import (
    Accepted,
    Draft,
    NameClaim,
    Outcome,
    Party,
    Policy,
    Rejection,
    Retry,
    State,
    Stream,
    TrakorAnswer,
    Unsendable,
    WorkItem,
)
from builders import draft, filtered, of, unmapped, unnamed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sqlalchemy import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["IDS", "MATCHINGS", "NAMES", "Content", "History", "Snapshot", "Trakor", "World"]

IDS = ("a1", "a2", "a3", "b1", "b2")
"""Records of two connections, a and b, which share one Trakor organisation."""

NAMES = ("Ann", "ann", " Ann ", "Anna", "Bob", "Pox")

REFUSED = "pox"
"""What Trakor refuses with 400 is told by the name, so that no other attempt under it was ever taken."""

MATCHINGS: Mapping[str, Callable[[str], str]] = {
    "exact": str,
    "case-insensitive": str.lower,
    "folded": str.casefold,
    "looser than ours": lambda name: names.key(name)[:3],
}
"""By what Trakor may know a name again."""


@dataclass(frozen=True)
class Content:
    """What the source says of a record."""

    name: str
    contact: str = ""
    same_as: str | Mapping[str, str] = ""
    qualifier: str = ""

    def contact_by(self, rules: int) -> str:
        """What the map of these rules makes of the contact: every second one writes more around it."""
        return self.contact and (self.contact if rules % 2 else f"Tel. {self.contact}")

    def draft(
        self, source_id: str = "c1", rules: int = 1, at: int = 10, before: Draft | Unsendable | None = None
    ) -> Draft:
        """What mapping makes of it."""
        return draft(
            self.name,
            self.contact_by(rules),
            id=source_id,
            same_as=self.same_as,
            qualifier=self.qualifier,
            rules=f"rules {rules}",
            at=at,
            before=before,
        )


class Trakor:
    """Keeps parties by name, creates and never updates; who made one is noted for the tests."""

    def __init__(self, matching: str) -> None:
        self._match = MATCHINGS[matching]
        self.parties: dict[str, tuple[TrakorAnswer, Party]] = {}
        self.made_by: dict[str, str] = {}

    def post(self, party: Party, source_id: str) -> TrakorAnswer | None:
        """Take a party: None is a 400."""
        if names.key(party.name).startswith(REFUSED):
            return None
        found = self.parties.get(self._match(party.name))
        if found is not None:
            return TrakorAnswer(found[0].trakor_id, found[0].name, created=False)
        made = TrakorAnswer(f"t{len(self.parties) + 1}", party.name, created=True)
        self.parties[self._match(party.name)] = (made, party)
        self.made_by[made.trakor_id] = source_id
        return made

    def content(self, trakor_id: str) -> Party:
        """What Trakor holds under an id."""
        return next(party for made, party in self.parties.values() if made.trakor_id == trakor_id)


@dataclass
class History:
    """What the tests remember of one source record.

    Attributes:
        latest: What the source says now: a content, why it makes no draft, or None before it is there.
        tried: Keys of the names that a request may have arrived under.
        consents: How often a person agreed that it is sent under another name.
        loose: Its content cannot be compared: a person corrected it by hand.
    """

    latest: Content | str | None = None
    tried: set[str] = field(default_factory=set)
    consents: int = 0
    loose: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The tables as they stand."""

    rows: list[Any]
    claims: dict[str, Any]
    links: dict[str, int]
    waiting: dict[tuple[int, int], StoredDraft]
    contents: set[str]
    maps: dict[int, str]
    states: dict[int, dict[tuple[str, str, frozenset[str]], int]]

    def row(self, source_id: str) -> Any:  # noqa: ANN401 - a row of the table, any column
        """A record's row; None where the ledger does not know it."""
        return next((row for row in self.rows if row.source_id == source_id), None)

    def attempts(self, row: Any) -> int:  # noqa: ANN401 - likewise
        """How often the name was tried that a record has now."""
        claim = self.claims.get(row.sent_key)
        return claim.attempts if claim is not None and claim.record == row.number else 0


@cache
def _engine() -> Engine:
    """A database in memory with the ledger's schema: made once, emptied for each world."""
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        KEEPING.attach(record.info)
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        create_tables(connection)
    return engine


class World:
    """A ledger, and everything that can happen around it.

    Args:
        policy: What the user chose.
        matching: By what Trakor knows a name again, a key of ``MATCHINGS``.
        there_before: Names that somebody typed into Trakor by hand.
    """

    def __init__(self, policy: Policy, matching: str, there_before: Iterable[str]) -> None:
        self._engine = _engine()
        self.policy = policy
        self.trakor = Trakor(matching)
        self.now = 100
        self.rules = 1
        self.sources = {one: History() for one in IDS}
        self.in_flight: list[WorkItem] = []
        self.outcomes: list[Outcome] = []
        for name in there_before:
            self.trakor.post(Party(names.fit(name), "by hand"), "by hand")
        with self._engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            self.feeds: dict[str, Feed] = {
                letter: load_or_add_feed(connection, letter, "one scope", Stream.CONTACTS) for letter in "ab"
            }

    def tick(self) -> int:
        """The time, a little later than before."""
        self.now += 10
        return self.now

    def snapshot(self) -> Snapshot:
        """The tables as they stand."""
        with self._engine.connect() as connection:
            return Snapshot(
                list(connection.execute(select(records).order_by(records.c.number))),
                {row.key: row for row in connection.execute(select(claims))},
                {row.trakor_id: row.record for row in connection.execute(select(links))},
                self._waiting(connection),
                set(connection.scalars(select(contents.c.trakor_id))),
                {row.number: row.map for row in connection.execute(select(rules))},
                count_states(connection),
            )

    def _waiting(self, connection: Connection) -> dict[tuple[int, int], StoredDraft]:
        feeds = {feed.number: feed for feed in self.feeds.values()}
        found = connection.execute(
            select(stored_texts, records.c.feed, records.c.source_id)
            .join(records, records.c.number == stored_texts.c.record)
            .where(stored_texts.c.slot != TRAKOR_TEXT)
        )
        return {
            (row.record, row.slot): unpack(KEEPING.sealer, feeds[row.feed], row.source_id, row.meta, row.body)
            for row in found
        }

    # -- the source

    def there(self) -> list[str]:
        """The records that were ever in the source."""
        return [one for one in IDS if self.sources[one].latest is not None]

    def seen(self, source_id: str, at: int) -> Draft | Unsendable:
        """What mapping makes of a record as it is now."""
        latest = self.sources[source_id].latest
        if isinstance(latest, Content):
            return latest.draft(source_id, self.rules, at, self._before(source_id, latest, at))
        made = {"filtered": filtered, "unnamed": unnamed, "unmapped": unmapped}[str(latest)]
        return made(id=source_id, rules=f"rules {self.rules}", at=at)

    def _before(self, source_id: str, latest: Content, at: int) -> Draft | None:
        """What the map makes of it that the record was last observed with (``observing.survey``)."""
        now = self.snapshot()
        row = now.row(source_id)
        former = "" if row is None else now.maps.get(row.rules, "")
        return latest.draft(source_id, int(former.removeprefix("rules ")), at) if former else None

    def observe(self, page: Collection[Draft | Unsendable]) -> None:
        """A page of each connection is observed."""
        for letter, feed in self.feeds.items():
            part = [one for one in page if one.id[0] == letter]
            if part:
                now = self.tick()
                with self._engine.begin() as connection:
                    observe(connection, feed, part, Observation(), policy=self.policy, now=now)

    def observe_all(self) -> None:
        """Everything is read once more."""
        at = self.tick()
        self.observe([self.seen(one, at) for one in self.there()])

    def deleted(self, source_id: str, age: int) -> None:
        """A webhook said that a record was deleted, and reading it by its id, a while ago, found nothing."""
        feed, now = self.feeds[source_id[0]], self.tick()
        with self._engine.begin() as connection:
            mark_gone_by_id(connection, feed, [source_id], self.policy, read_at=now - age, now=now)

    def sweep(self, letter: str, absent: Collection[str]) -> None:
        """A complete sweep of one connection; what it does not see is not found by its id either."""
        feed, begun_at, at = self.feeds[letter], self.tick(), self.tick()
        page = [self.seen(one, at) for one in self.there() if one[0] == letter and one not in absent]
        with self._engine.begin() as connection:
            begun = begin_sweep(connection, feed, "query", restart=True, now=begun_at)
            observation = Observation(sweep=begun.number)
            observe(connection, feed, page, observation, policy=self.policy, now=at)
            unseen = find_unseen(connection, feed, begun.number, after=0, most=100).values()
            at = self.tick()
            mark_gone_by_id(connection, feed, [*unseen], self.policy, read_at=at, now=at, sweep=begun.number)

    # -- on the way to Trakor

    def claim(self, letter: str, limit: int) -> list[WorkItem]:
        """Work of one connection is claimed."""
        with self._engine.begin() as connection:
            found = claim_work(connection, self.feeds[letter], limit, now=self.now, until=self.now + 10**6)
        self.in_flight += found
        return found

    def away(self) -> set[int]:
        """Numbers of the records that are on their way, or whose outcome is not settled yet."""
        return {work.number for work in self.in_flight} | {one.work.number for one in self.outcomes}

    def take(self, which: int) -> WorkItem:
        """One of those on their way."""
        return self.in_flight.pop(which % len(self.in_flight))

    def arrive(self, work: WorkItem) -> TrakorAnswer | None:
        """A request arrives: None is a 400."""
        assert isinstance(work.payload, Party)
        self.note_tried(work)
        return self.trakor.post(work.payload, self._id_of(work))

    def note_tried(self, work: WorkItem) -> None:
        """For all that the bridge knows the request may have arrived."""
        self.sources[self._id_of(work)].tried.add(of(work.payload.name))

    def _id_of(self, work: WorkItem) -> str:
        return next(str(row.source_id) for row in self.snapshot().rows if row.number == work.number)

    def answer(self, work: WorkItem) -> None:
        """A request arrives, and so does its answer."""
        said = self.arrive(work)
        no = Rejection(work, "400: name")
        self.outcomes.append(no if said is None else Accepted(work, said, of(said.name)))

    def settle(self, batch: Collection[Outcome]) -> None:
        """Outcomes are written."""
        feed_of_number = {row.number: row.feed for row in self.snapshot().rows}
        for feed in self.feeds.values():
            part = [one for one in batch if feed_of_number[one.work.number] == feed.number]
            if part:
                with self._engine.begin() as connection:
                    settle(connection, feed, part, policy=self.policy, now=self.tick())

    def die(self) -> None:
        """The process dies: what was under way is forgotten, the claims end."""
        for work in self.in_flight:
            self.note_tried(work)
        self.in_flight.clear()
        self.outcomes.clear()
        with self._engine.begin() as connection:
            for feed in self.feeds.values():
                release_claims(connection, feed, now=self.now, wait=0)

    # -- a person

    def decide_by_hand(self, source_id: str, verb: str, name: str) -> None:
        """A person decides, if there is anything to decide."""
        row = self.snapshot().row(source_id)
        history = self.sources[source_id]
        try:
            with self._engine.begin() as connection:
                self._carry_out(connection, row.number, source_id, verb, name)
        except UserError:
            return
        history.consents += verb in {"accept", "name"}
        history.loose |= bool(row.state == State.DRIFTED or row.remapped) and verb == "accept"

    def _carry_out(self, connection: Connection, number: int, source_id: str, verb: str, name: str) -> None:
        feed, now = self.feeds[source_id[0]], self.tick()
        if verb == "drop":
            operator_actions.drop(connection, feed, number, self.policy, now=now)
        elif verb == "dismiss":
            operator_actions.dismiss(connection, feed, number, self.policy, now=now)
        elif verb == "retry":
            operator_actions.retry(connection, feed, number, self.policy, now=now)
        else:
            given = NameClaim(name, of(name)) if verb == "name" else None
            operator_actions.accept(connection, feed, number, self.policy, now=now, name=given)

    # -- at rest

    def deliver_all(self) -> bool:
        """Everything that is due is sent to a healthy Trakor and settled; whether anything was."""
        for letter in self.feeds:
            self.claim(letter, 100)
        for _ in range(len(self.in_flight)):
            self.answer(self.take(0))
        batch, self.outcomes = self.outcomes, []
        self.settle(batch)
        return bool(batch)

    def end_what_is_under_way(self) -> None:
        """What is known is settled; what is on its way never left."""
        self.settle(self.outcomes)
        self.outcomes = []
        self.settle([Retry(work, 0, begun=False) for work in self.in_flight])
        self.in_flight = []
