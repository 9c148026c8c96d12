"""The writes of one transaction: collected row by row, then written in bulk, table by table."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge import names
from bridge.errors import LedgerError
from bridge.ledger.bulk_sql import execute_many, insert_each, row_value
from bridge.ledger.canary_payloads import delete_canaries
from bridge.ledger.damage_conditions import is_sound
from bridge.ledger.row_mapping import is_in, keeps_sent_text, pack_identifiers, sealer_of
from bridge.ledger.schema import (
    NOTED,
    TO_SEND,
    TRAKOR_TEXT,
    claims,
    contents,
    history,
    links,
    records,
    rules,
    stored_texts,
)
from bridge.ledger.sealed_texts import StoredDraft, pack, to_texts, unpack
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Update

    from bridge.ledger.feeds import Feed
    from bridge.records import Draft, FieldHashes, LedgerRow, Rules

__all__ = ["NOTED", "TO_SEND", "TRAKOR_TEXT", "RowWrites", "load_or_add_rules", "observation_key"]

_SHOWN = frozenset({State.MERGED, State.DROPPED})
"""States in which a record is not sent, but operators see its text."""

_GOVERNED = (
    "state", "reason", "gone", "filtered", "remapped", "dismissed", "given", "retry", "key", "sent_key",
    "sent", "seen", "identifiers", "merged_into", "merged_by", "rules", "input", "read_at", "trakor_id",
    "origin",
)  # fmt: skip
"""The columns that a decision sets."""

_RESET = ("turn", "failures", "next_try_at", "claimed_until")
"""The columns that are reset when a record starts over with a name."""

_COUNTED = ("sweep", "missed", "run", "answered_run", "forgotten")
"""The columns that no decision sets: damage in them is repaired when the row is written."""

_SAME_STATE = (records.c.state == row_value("state")) & records.c.reason.is_not_distinct_from(
    row_value("reason")
)
_IS_TIME = is_sound(records, "since_at")
_STAYS = row_value("starts_over") == literal_column("0")
_UPDATE = (
    update(records)
    .where(records.c.number == row_value("row_number"))
    .values({name: row_value(name) for name in _GOVERNED if name != "input"})
    .values(input=func.coalesce(row_value("read_as"), records.c.input))
    .values(since_at=case((_SAME_STATE & _IS_TIME, records.c.since_at), else_=row_value("changed_at")))
    .values({name: case((_STAYS & is_sound(records, name), records.c[name]), else_=0) for name in _RESET})
    .values({name: case((is_sound(records, name), records.c[name]), else_=0) for name in _COUNTED})
)

# Built once: to build a statement costs ten times as much as to run it for one row.
_INSERT = insert_each(insert(records), "number", "feed", "source_id", *_GOVERNED, "since_at")
_CLAIMED = insert_each(upsert(claims), "space", "key", "record")
_CLAIM = _CLAIMED.on_conflict_do_update(
    index_elements=["space", "key"],
    # For a name that another record holds, the value is NULL, which fails the transaction.
    set_={"record": case((claims.c.record == _CLAIMED.excluded.record, claims.c.record))},
)
_CLAIM_RETURNED = insert_each(upsert(claims), "space", "key", "record", "answered").on_conflict_do_nothing()
_ANSWER = (
    update(claims)
    .where(claims.c.space == row_value("of_space"), claims.c.key == row_value("of_key"))
    .values(answered=1, unanswered_at=0, tried="")
)
_LINK = insert_each(
    upsert(links), "space", "trakor_id", "record", "sku", "at", "key", "origin", "sent"
).on_conflict_do_nothing()
_CONTENT = (
    update(links)
    .where(links.c.space == row_value("of_space"), links.c.trakor_id == row_value("of_id"))
    .values(sent=row_value("now_sent"))
)
_TO_BE_SENT = select(row_value("of_space"), row_value("of_id"), stored_texts.c.body).where(
    stored_texts.c.record == row_value("of"), stored_texts.c.slot == TO_SEND
)
_TEXT, _MOVE_TEXT = (
    texts.on_conflict_do_update(index_elements=["space", "trakor_id"], set_={"body": texts.excluded.body})
    for texts in (
        insert_each(upsert(contents), "space", "trakor_id", "body", binary="body"),
        upsert(contents).from_select(["space", "trakor_id", "body"], _TO_BE_SENT),
    )
)
_REMOVE = delete(stored_texts).where(stored_texts.c.record.in_(select(row_value("of"))))
_REMOVE_NOTED = _REMOVE.where(stored_texts.c.slot == NOTED)
_REMOVE_SENT = _REMOVE.where(stored_texts.c.slot != NOTED)
_REMOVE_MERGED = delete(stored_texts).where(
    stored_texts.c.record.in_(
        select(records.c.number).where(
            is_in(records.c.merged_into, "claimants"), records.c.state == State.MERGED
        )
    )
)
_STORED = insert_each(upsert(stored_texts), "record", "slot", "body", "meta", binary="body")
_STORE = _STORED.on_conflict_do_update(
    index_elements=["record", "slot"],
    set_={"body": _STORED.excluded.body, "meta": _STORED.excluded.meta},
)
_RULES = select(rules.c.number).where(
    rules.c.query == bindparam("of_query"),
    rules.c.map == bindparam("of_map"),
    rules.c.choices == bindparam("of_choices"),
)
_LINE = insert_each(insert(history), "record", "at", "event", "detail", "by")


class RowWrites:
    """What one transaction is going to write.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        now: The time to note.
        by: Where an operator decided, for example ``on the command line``; empty if none did.

    Attributes:
        keeps_text: Text that no longer waits is kept too.
    """

    def __init__(self, connection: Connection, feed: Feed, now: int, by: str = "") -> None:
        self._connection = connection
        self._feed = feed
        self._now = now
        self._by = by
        self._sealer = sealer_of(connection)
        self.keeps_text = keeps_sent_text(connection)
        self._inserts: list[dict[str, Any]] = []
        self._updates: list[dict[str, Any]] = []
        self._changes: dict[Update, list[dict[str, Any]]] = {}
        self._changing: set[int] = set()
        self._claims: list[dict[str, Any]] = []
        self._returned: list[dict[str, Any]] = []
        self._answered: list[dict[str, Any]] = []
        self._links: list[dict[str, Any]] = []
        self._linked: dict[str, FieldHashes] = {}
        self._contents: dict[str, dict[str, Any]] = {}
        self._texts: list[dict[str, Any]] = []
        self._moved: list[dict[str, Any]] = []
        self._rules: dict[tuple[str, str, str], int] = {("", "", ""): 0}
        self._stored: list[dict[str, Any]] = []
        self._storing: set[int] = set()
        self._removed: list[dict[str, Any]] = []
        self._unnoted: list[dict[str, Any]] = []
        self._unsent: list[dict[str, Any]] = []
        self._claimants: list[int] = []
        self._lines: list[dict[str, Any]] = []

    def row(
        self,
        row: LedgerRow,
        *,
        known: bool,
        starts_over: bool,
        read: str | None,
        before: LedgerRow | None = None,
    ) -> None:
        """Write a record as it is now.

        Args:
            row: The record.
            known: It is in the ledger already.
            starts_over: Earlier failures and waits no longer count.
            read: What it was observed with (``observation_key``); None if it was not read.
            before: The record as it was, if its row is readable: then only the changes are written.
        """
        if row.number in self._changing:
            self.flush()
        if known:
            self._changing.add(row.number)
        if before is not None:
            self._change(row, before, starts_over=starts_over, read=read)
            return
        values = _governed(row) | {"rules": self.rules_number(row.rules), "read_as": read}
        if known:
            values |= {"row_number": row.number, "changed_at": self._now, "starts_over": int(starts_over)}
            self._updates.append(values)
        else:
            values |= {"number": row.number, "feed": self._feed.number, "source_id": row.id}
            values["input"] = values.pop("read_as") or ""
            self._inserts.append(values | {"since_at": self._now})

    def _change(self, row: LedgerRow, before: LedgerRow, *, starts_over: bool, read: str | None) -> None:
        """Write what changed of a record, with a statement that touches no index of unchanged columns."""
        both = zip(_COLUMNS, _ATTRIBUTES(row), _ATTRIBUTES(before), strict=True)
        values: dict[str, Any] = {name: value(row) for (name, value), now, then in both if now != then}
        if "state" in values or "reason" in values:
            values["since_at"] = self._now
        if row.rules != before.rules:
            values["rules"] = self.rules_number(row.rules)
        if read is not None:
            values["input"] = read
        if starts_over:
            values |= dict.fromkeys(_RESET, 0)
        if values:
            rows = self._changes.setdefault(_update_of(tuple(values)), [])
            rows.append(values | {"row_number": row.number})

    def rules_number(self, made_by: Rules) -> int:
        """Return the ledger's number of these rules, and add them if they are new."""
        key = (made_by.query, made_by.map, made_by.choices)
        if key not in self._rules:
            self._rules[key] = load_or_add_rules(self._connection, made_by)
        return self._rules[key]

    def read_again(self, number: int) -> None:
        """Forget what a record was read with, so that it is decided on at the next read, changed or not."""
        self.flush()
        self._connection.execute(update(records).where(records.c.number == number).values(input=""))

    def move_text(self, row: LedgerRow, trakor_id: str) -> None:
        """Move the sealed text that waited to be sent to what Trakor has under an id."""
        if self.keeps_text:
            self._moved.append({"of_space": self._feed.namespace, "of_id": trakor_id, "of": row.number})

    def claim(self, number: int, key: str) -> None:
        """Claim a name for a record. A name that it holds already stays as it is."""
        self._claims.append({"space": self._feed.namespace, "key": key, "record": number})

    def claim_returned(self, number: int, key: str) -> None:
        """Claim the name that Trakor answered with for a record, unless another record holds it."""
        self._returned.append({"space": self._feed.namespace, "key": key, "record": number, "answered": 1})

    def answer(self, key: str) -> None:
        """Mark a name as answered: its holder keeps it for good."""
        self._answered.append({"of_space": self._feed.namespace, "of_key": key})

    def link(self, row: LedgerRow, trakor_id: str, sku: str, origin: str, content: FieldHashes) -> None:
        """Link a Trakor record to a record, unless it is linked to another one.

        Args:
            row: The record, with the name that was answered.
            trakor_id: Trakor's id.
            sku: A product's SKU; otherwise empty.
            origin: How it came to be.
            content: Field hashes of what Trakor has of it; empty if unknown.
        """
        values = {"space": self._feed.namespace, "trakor_id": trakor_id, "record": row.number, "sku": sku}
        values |= {"at": self._now, "key": row.sent_key, "origin": origin}
        self._links.append(values | {"sent": names.encode(content)})
        self._linked[trakor_id] = content

    def content(self, trakor_id: str, hashes: FieldHashes) -> None:
        """Write the hashes of what Trakor has under an id; none if unknown."""
        if self._linked.get(trakor_id) != hashes:  # otherwise it was just linked with these
            values = {"of_space": self._feed.namespace, "of_id": trakor_id, "now_sent": names.encode(hashes)}
            self._contents[trakor_id] = values

    def text(self, row: LedgerRow, trakor_id: str, texts: Sequence[str]) -> None:
        """Write the sealed text of what Trakor has under an id, if text is kept."""
        if self.keeps_text:
            body = self._sealer.seal(list(texts), self._feed.seal_context_of(row))
            self._texts.append({"space": self._feed.namespace, "trakor_id": trakor_id, "body": body})

    def unclaim(self, number: int, key: str) -> None:
        """Release a record's name, unless Trakor answered it: an answered name is kept for good."""
        self.flush()
        where = (
            claims.c.space == self._feed.namespace,
            claims.c.key == key,
            claims.c.record == number,
            claims.c.answered == 0,
        )
        self._connection.execute(delete(claims).where(*where))

    def store(self, row: LedgerRow, slot: int, draft: Draft, send_as: str) -> None:
        """Store a draft in a slot, replacing any other draft there."""
        self.store_texts(row, slot, to_texts(draft, send_as), pack(draft))

    def store_texts(self, row: LedgerRow, slot: int, texts: Sequence[str], meta: str) -> None:
        """Store texts in a slot, replacing any others there."""
        self._storing.add(row.number)
        body = self._sealer.seal(list(texts), self._feed.seal_context_of(row))
        self._stored.append({"record": row.number, "slot": slot, "body": body, "meta": meta})

    def done(self, row: LedgerRow) -> None:
        """Remove a record's drafts; keep the text if text is kept and operators see it."""
        if self.keeps_text and row.state in _SHOWN:
            self.remove_noted(row.number)
        else:
            self.remove(row.number)

    def remove(self, number: int) -> None:
        """Remove all drafts of a record."""
        self._flush_if_storing(number)
        self._removed.append({"of": number})

    def remove_merged(self, number: int) -> None:
        """Remove the drafts of all records merged into a record."""
        self._claimants.append(number)

    def remove_noted(self, number: int) -> None:
        """Remove the draft that was seen while another one was in flight."""
        self._flush_if_storing(number)
        self._unnoted.append({"of": number})

    def remove_sent(self, number: int) -> None:
        """Remove the draft that was to be sent, but not the one that was noted meanwhile."""
        self._flush_if_storing(number)
        self._unsent.append({"of": number})

    def _flush_if_storing(self, number: int) -> None:
        """Flush a draft that is about to be stored: all removals are written before any draft is stored."""
        if number in self._storing:
            self.flush()

    def line(self, number: int, event: str, detail: str) -> None:
        """Add a line to a record's history."""
        self._lines.append(
            {"record": number, "at": self._now, "event": event, "detail": detail, "by": self._by}
        )

    def stored(self, row: LedgerRow) -> dict[int, StoredDraft]:
        """Return a record's stored drafts by slot, including those of this transaction."""
        self.flush()
        found = select(stored_texts.c.slot, stored_texts.c.meta, stored_texts.c.body).where(
            stored_texts.c.record == row.number, stored_texts.c.slot != TRAKOR_TEXT
        )
        stored = {}
        for kept in self._connection.execute(found):
            with suppress(LedgerError):  # a damaged draft counts as none
                place = self._feed.seal_context_of(row)
                stored[kept.slot] = unpack(self._sealer, self._feed, row.id, kept.meta, kept.body, place)
        return stored

    def flush(self) -> None:
        """Write what was collected, in the order in which the tables depend on each other."""
        if self._changing:
            delete_canaries(self._connection, self._changing)
        for statement, rows in (
            (_INSERT, self._inserts),
            (_UPDATE, self._updates),
            *self._changes.items(),
            (_CLAIM, self._claims),
            (_CLAIM_RETURNED, self._returned),
            (_ANSWER, self._answered),
            (_LINK, self._links),
            (_CONTENT, list(self._contents.values())),
            (_TEXT, self._texts),
            (_MOVE_TEXT, self._moved),
            (_REMOVE, self._removed),
            (_REMOVE_NOTED, self._unnoted),
            (_REMOVE_SENT, self._unsent),
            (_STORE, self._stored),
            (_LINE, self._lines),
        ):
            if rows:
                execute_many(self._connection, statement, rows)
                rows.clear()
        if self._claimants:  # last, because drafts that were stored above may belong to merged records
            self._connection.execute(_REMOVE_MERGED, {"claimants": self._claimants})
            self._claimants.clear()
        self._contents.clear()
        self._storing.clear()
        self._changing.clear()


@lru_cache(maxsize=256)
def _update_of(names: tuple[str, ...]) -> Update:
    """Build an UPDATE of these columns of a record."""
    return (
        update(records)
        .where(records.c.number == row_value("row_number"))
        .values({name: row_value(name) for name in names})
    )


def observation_key(rules_number: int, read: str) -> str:
    """Return what a record was observed with: its input and the rules that decided on it, in one value.

    The column ``rules`` names the rules that the record is compared by, which may be older. A record is
    unchanged only if its input was observed under exactly the present rules.

    Args:
        rules_number: The ledger's number of the rules.
        read: Keyed hash of the record as it was read; empty if it could not be hashed.
    """
    return f"{rules_number}:{read}" if read else ""


def load_or_add_rules(connection: Connection, made_by: Rules) -> int:
    """Return the ledger's number of these rules, and add them if they are new.

    Args:
        connection: Inside a writing transaction.
        made_by: The rules, with the text of the map.
    """
    known = {"of_query": made_by.query, "of_map": made_by.map, "of_choices": made_by.choices}
    found = connection.scalar(_RULES, known)
    if found is None:
        values = {name: getattr(made_by, name) for name in ("query", "map", "choices", "text")}
        found = connection.scalar(insert(rules).values(values).returning(rules.c.number))
    return int(found)


def _governed(row: LedgerRow) -> dict[str, Any]:
    """Return the columns of a record that a decision sets, without rules and input."""
    return {name: value(row) for name, value in _COLUMNS}


def _revision(row: LedgerRow) -> int:
    return 1 if row.first else names.RULES


def _word(name: str) -> Callable[[LedgerRow], str | None]:
    """Return a converter of a state, a reason and the like to text."""

    def value(row: LedgerRow) -> str | None:
        found = getattr(row, name)
        return None if found is None else str(found)

    return value


def _flag(name: str) -> Callable[[LedgerRow], int]:
    return lambda row: int(getattr(row, name))


_COLUMNS: Final[tuple[tuple[str, Callable[[LedgerRow], object]], ...]] = (
    *((name, _word(name)) for name in ("state", "reason", "merged_by", "origin")),
    *((name, _flag(name)) for name in ("gone", "filtered", "remapped", "dismissed", "given", "retry")),
    *((name, attrgetter(name)) for name in ("key", "sent_key", "merged_into", "read_at", "trakor_id")),
    ("sent", lambda row: names.encode(row.sent, _revision(row))),
    ("seen", lambda row: None if row.seen is None else names.encode(row.seen, _revision(row))),
    ("identifiers", lambda row: pack_identifiers(row.identifiers)),
)
"""Column of ``records``, and the converter of its value; each is named as the row's attribute."""

_ATTRIBUTES: Final = attrgetter(*(name for name, _ in _COLUMNS))
