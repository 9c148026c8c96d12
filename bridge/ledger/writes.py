"""The writes of one transaction, gathered row by row and then made in bulk, each table at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge import naming
from bridge.ledger.bulk import run_for_all
from bridge.ledger.rows import Stored, pack, unpack
from bridge.ledger.schema import claims, history, links, records, waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import Draft, LedgerRow

__all__ = ["NOTED", "TO_SEND", "Writes"]

TO_SEND = 0
"""The slot of the draft that is to be sent, or that a person decides on."""

NOTED = 1
"""The slot of the draft that was seen while another one was in flight."""

_GOVERNED = (
    "state", "reason", "gone", "filtered", "retry", "key", "sent_key", "sent", "seen", "same_as",
    "merged_into", "fingerprint", "read_at", "attempts", "trakor_id", "origin",
)  # fmt: skip
"""The columns that a decision governs."""

_FORGOTTEN = ("failures", "next_try_at", "claimed_until")
"""The columns that start again when a name is claimed anew."""

_SAME_STATE = (records.c.state == bindparam("state")) & records.c.reason.is_not_distinct_from(
    bindparam("reason")
)
_CLAIMS_ANEW = bindparam("claims_anew") == 1
_UPDATE = (
    update(records)
    # A parameter that has a column's name would set that column: hence "row_number".
    .where(records.c.number == bindparam("row_number"))
    .values({name: bindparam(name) for name in _GOVERNED})
    .values(since_at=case((_SAME_STATE, records.c.since_at), else_=bindparam("moment")))
    .values({name: case((_CLAIMS_ANEW, 0), else_=records.c[name]) for name in _FORGOTTEN})
)

# Made once: to build a statement costs ten times as much as to run it for one row.
_INSERT = insert(records)
_CLAIMED = upsert(claims)
_CLAIM = _CLAIMED.on_conflict_do_update(
    index_elements=["space", "key"],
    # A name that another record holds: no value, which the column refuses, and so ends the transaction.
    set_={"record": case((claims.c.record == _CLAIMED.excluded.record, claims.c.record))},
)
_CLAIM_RETURNED = upsert(claims).on_conflict_do_nothing()
_ANSWER = (
    update(claims)
    .where(claims.c.space == bindparam("of_space"), claims.c.key == bindparam("of_key"))
    .values(answered=1)
)
_LINK = upsert(links).on_conflict_do_nothing()
_REMOVE = delete(waiting).where(waiting.c.record == bindparam("of"))
_REMOVE_NOTED = _REMOVE.where(waiting.c.slot == NOTED)
_STORE = upsert(waiting).on_conflict_do_update(
    index_elements=["record", "slot"], set_={"body": upsert(waiting).excluded.body}
)
_LINE = insert(history)


class Writes:
    """What one transaction is going to write.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        now: The time to note.
        by: Which person decided, where one did: from where, as a sentence has it in brackets.
    """

    def __init__(self, connection: Connection, feed: Feed, now: int, by: str = "") -> None:
        self._connection = connection
        self._feed = feed
        self._now = now
        self._by = by
        self._inserts: list[dict[str, Any]] = []
        self._updates: list[dict[str, Any]] = []
        self._claims: list[dict[str, Any]] = []
        self._returned: list[dict[str, Any]] = []
        self._answered: list[dict[str, Any]] = []
        self._links: list[dict[str, Any]] = []
        self._stored: list[dict[str, Any]] = []
        self._storing: set[int] = set()
        self._removed: list[dict[str, Any]] = []
        self._unnoted: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def row(self, row: LedgerRow, *, known: bool, claims_anew: bool) -> None:
        """A record as it stands now; ``claims_anew`` forgets earlier failures and waits."""
        values = _governed(row)
        if known:
            values |= {"row_number": row.number, "moment": self._now, "claims_anew": int(claims_anew)}
            self._updates.append(values)
        else:
            values |= {"number": row.number, "feed": self._feed.number, "source_id": row.id}
            self._inserts.append(values | {"since_at": self._now})

    def claim(self, number: int, key: str) -> None:
        """A record claims a name. One that it holds already stays as it is."""
        self._claims.append({"space": self._feed.space, "key": key, "record": number})

    def claim_returned(self, number: int, key: str) -> None:
        """A record claims the name that Trakor answered with, unless another holds it."""
        self._returned.append({"space": self._feed.space, "key": key, "record": number, "answered": 1})

    def answer(self, key: str) -> None:
        """Trakor answered for a name: whoever holds it keeps it for ever."""
        self._answered.append({"of_space": self._feed.space, "of_key": key})

    def link(self, number: int, trakor_id: str, sku: str) -> None:
        """A Trakor record is a record's from now on, unless it is another's already."""
        values = {"space": self._feed.space, "trakor_id": trakor_id, "record": number, "sku": sku}
        self._links.append(values | {"at": self._now})

    def unclaim(self, number: int, key: str) -> None:
        """A record gives a name back, unless Trakor answered for it: that one is kept for ever."""
        self.flush()
        where = (
            claims.c.space == self._feed.space,
            claims.c.key == key,
            claims.c.record == number,
            claims.c.answered == 0,
        )
        self._connection.execute(delete(claims).where(*where))

    def store(self, number: int, slot: int, draft: Draft, send_as: str) -> None:
        """A draft waits from now on, in place of any other in that slot."""
        self._storing.add(number)
        self._stored.append({"record": number, "slot": slot, "body": pack(draft, send_as)})

    def remove(self, number: int) -> None:
        """No draft of a record waits any more."""
        self._let_be_stored(number)
        self._removed.append({"of": number})

    def remove_noted(self, number: int) -> None:
        """The draft that was seen while another one was in flight no longer waits."""
        self._let_be_stored(number)
        self._unnoted.append({"of": number})

    def _let_be_stored(self, number: int) -> None:
        """All drafts are removed before any is stored: one that is stored already has to be first."""
        if number in self._storing:
            self.flush()

    def line(self, number: int, event: str, detail: str) -> None:
        """A line of a record's history."""
        self._lines.append(
            {"record": number, "at": self._now, "event": event, "detail": detail, "by": self._by}
        )

    def stored(self, number: int) -> dict[int, Stored]:
        """The drafts that wait with a record, by slot, as they stand on disk and here."""
        self.flush()
        found = select(waiting.c.slot, waiting.c.body).where(waiting.c.record == number)
        return {row.slot: unpack(row.body, self._feed.stream) for row in self._connection.execute(found)}

    def flush(self) -> None:
        """Write what was gathered, in the order in which the tables depend on each other."""
        for statement, rows in (
            (_INSERT, self._inserts),
            (_UPDATE, self._updates),
            (_CLAIM, self._claims),
            (_CLAIM_RETURNED, self._returned),
            (_ANSWER, self._answered),
            (_LINK, self._links),
            (_REMOVE, self._removed),
            (_REMOVE_NOTED, self._unnoted),
            (_STORE, self._stored),
            (_LINE, self._lines),
        ):
            if rows:
                run_for_all(self._connection, statement, rows)
                rows.clear()
        self._storing.clear()


def _governed(row: LedgerRow) -> dict[str, Any]:
    """The columns of a record that a decision governs."""
    return {
        "state": str(row.state),
        "reason": None if row.reason is None else str(row.reason),
        "gone": int(row.gone),
        "filtered": int(row.filtered),
        "retry": int(row.retry),
        "key": row.key,
        "sent_key": row.sent_key,
        "sent": naming.encode(row.sent),
        "seen": None if row.seen is None else naming.encode(row.seen),
        "same_as": row.same_as,
        "merged_into": row.merged_into,
        "fingerprint": row.fingerprint,
        "read_at": row.read_at,
        "attempts": row.attempts,
        "trakor_id": row.trakor_id,
        "origin": None if row.origin is None else str(row.origin),
    }
