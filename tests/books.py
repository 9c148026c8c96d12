"""A ledger on disk, and the few verbs that its tests speak in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select

from bridge.encryption import Sealer
from bridge.ledger import erasure, operator_actions, send_queue, settlement
from bridge.ledger.database import TextStorage, writing
from bridge.ledger.feeds import Feed, load_or_add_feed
from bridge.ledger.observe import Observation, ObserveResult, observe
from bridge.ledger.open import migrate, read_or_make_key
from bridge.ledger.read_model import RecordQuery, RecordSummary, find_records
from bridge.ledger.record_relations_and_history import HistoryLine, load_history, load_relations
from bridge.ledger.row_writes import TRAKOR_TEXT
from bridge.ledger.schema import claims, links, records, rules, stored_texts
from bridge.ledger.sealed_texts import StoredDraft, unpack
from bridge.records import Policy, Rules, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from bridge.ledger.erasure import ErasureResult
    from bridge.records import Draft, NameClaim, Outcome, Unsendable, WorkItem

__all__ = ["KEEPING", "KEY", "Book", "empty_ledger", "kept"]

T = TypeVar("T")

KEY = b"the key of the tests' ledgers.".ljust(32)
KEEPING = TextStorage(Sealer(KEY))
"""How the tests' ledgers seal what they keep."""


def kept(ledger: Path) -> TextStorage:
    """How a ledger seals what it keeps: with the key beside it, else with that of the tests' ledgers."""
    key = ledger.with_name("ledger.key")
    return TextStorage(Sealer(read_or_make_key(key, make=False))) if key.exists() else KEEPING


def empty_ledger(template: Path, path: Path) -> Path:
    """An empty ledger of this version: migrated once, at ``template``, and copied from then on."""
    if not template.exists():
        migrate(template, KEEPING)
    shutil.copy(template, path)
    return path


@dataclass
class Book:
    """One feed of a ledger's file. Time passes by ten milliseconds with each verb."""

    path: Path
    policy: Policy = field(default_factory=Policy)
    connection: str = "default"
    scope: str = "org"
    stream: Stream = Stream.CONTACTS
    now: int = 1000
    text_storage: TextStorage = field(default_factory=lambda: KEEPING)

    def __post_init__(self) -> None:
        with writing(self.path, self.text_storage) as connection:
            self.feed: Feed = load_or_add_feed(connection, self.connection, self.scope, self.stream)

    def write(self, transaction: Callable[[Connection], T]) -> T:
        """One transaction of one's own."""
        self.now += 10
        with writing(self.path, self.text_storage) as connection:
            return transaction(connection)

    def see(self, *seen: Draft | Unsendable, observation: Observation | None = None) -> ObserveResult:
        """A page is observed."""
        return self.write(
            lambda connection: observe(
                connection,
                self.feed,
                seen,
                observation or Observation(),
                policy=self.policy,
                now=self.now,
            )
        )

    def claim(self, limit: int = 100, *, life: int = 1000) -> list[WorkItem]:
        """Pending records that are due are claimed for sending."""
        return self.write(
            lambda connection: send_queue.claim_work(
                connection, self.feed, limit, now=self.now, until=self.now + life
            )
        )

    def settle(self, *outcomes: Outcome, run: int | None = 0) -> None:
        """What came of claimed work is written."""
        self.write(
            lambda connection: settlement.settle(
                connection, self.feed, outcomes, policy=self.policy, now=self.now, run=run
            )
        )

    def die(self, wait: int = 0) -> None:
        """The owner died, and a new one opened the ledger."""
        self.write(
            lambda connection: send_queue.release_claims(connection, self.feed, now=self.now, wait=wait)
        )

    def accept(self, id: str = "c1", name: NameClaim | None = None) -> None:  # noqa: A002 - the domain's word
        """A person accepts."""
        number = self.number(id)
        self.write(
            lambda connection: operator_actions.accept(
                connection, self.feed, number, self.policy, now=self.now, name=name
            )
        )

    def dismiss(self, id: str = "c1") -> None:  # noqa: A002
        """A person leaves what Trakor has as it is there."""
        number = self.number(id)
        self.write(
            lambda connection: operator_actions.dismiss(
                connection, self.feed, number, self.policy, now=self.now
            )
        )

    def drop(self, id: str = "c1") -> None:  # noqa: A002
        """A person drops a record."""
        number = self.number(id)
        self.write(
            lambda connection: operator_actions.drop(connection, self.feed, number, self.policy, now=self.now)
        )

    def retry(self, id: str = "c1") -> None:  # noqa: A002
        """A person wants a record to be decided anew."""
        number = self.number(id)
        self.write(
            lambda connection: operator_actions.retry(
                connection, self.feed, number, self.policy, now=self.now
            )
        )

    def forget(self, id: str = "c1") -> ErasureResult:  # noqa: A002
        """A person wants a record to be forgotten."""
        number = self.number(id)
        return self.write(
            lambda connection: erasure.forget_record(connection, number, now=self.now, policy=self.policy)
        )

    def row(self, id: str = "c1") -> Any:  # noqa: A002, ANN401 - a row of the table, any column
        """A record's row."""
        chosen = select(records).where(records.c.feed == self.feed.number, records.c.source_id == id)
        return self.write(lambda connection: connection.execute(chosen).one())

    def number(self, id: str) -> int:  # noqa: A002
        """The ledger's number of a record."""
        return int(self.row(id).number)

    def stands(self, id: str = "c1") -> str:  # noqa: A002
        """A record's state and reason, as they are shown: ``held: same-name``."""
        row = self.row(id)
        return f"{row.state}: {row.reason}" if row.reason else str(row.state)

    def shown(self, id: str = "c1") -> RecordSummary:  # noqa: A002
        """A record as a person is shown it."""
        wanted = RecordQuery(numbers=[self.number(id)])
        return self.write(lambda connection: find_records(connection, wanted))[0]

    def history(self, id: str = "c1") -> list[HistoryLine]:  # noqa: A002
        """A record's history."""
        number = self.number(id)
        return self.write(lambda connection: load_history(connection, number))

    def claimed(self) -> dict[str, int]:
        """Who holds which name: key -> number."""
        return {
            row.key: row.record
            for row in self.write(lambda connection: connection.execute(select(claims)).all())
        }

    def linked(self) -> dict[str, int]:
        """Whose is which Trakor record: id -> number."""
        found = self.write(lambda connection: connection.execute(select(links)).all())
        return {row.trakor_id: row.record for row in found}

    def waiting(self, id: str = "c1") -> dict[int, StoredDraft]:  # noqa: A002
        """The drafts that wait with a record, by slot."""
        chosen = select(stored_texts).where(
            stored_texts.c.record == self.number(id), stored_texts.c.slot < TRAKOR_TEXT
        )
        found = self.write(lambda connection: connection.execute(chosen).all())
        return {
            row.slot: unpack(self.text_storage.sealer, self.feed, id, row.meta, row.body) for row in found
        }

    def attempts(self, id: str = "c1") -> int:  # noqa: A002
        """How often a record was tried under its present name."""
        row = self.row(id)
        chosen = select(claims.c.attempts).where(claims.c.key == row.sent_key, claims.c.record == row.number)
        return self.write(lambda connection: connection.scalar(chosen)) or 0

    def rules(self, id: str = "c1") -> Rules:  # noqa: A002
        """What made the draft that a record was last observed with."""
        chosen = select(rules).where(rules.c.number == self.row(id).rules)
        found = self.write(lambda connection: connection.execute(chosen).one())
        return Rules(found.query, found.map, found.choices, found.text)

    def in_trakor(self, id: str = "c1") -> Mapping[str, str]:  # noqa: A002
        """What is kept of what Trakor has of a record, field -> text."""
        found = self.shown(id)
        return self.write(lambda connection: load_relations(connection, found)).sent
