"""A look through a whole ledger: its file, its key, each row, and what must hold between the tables.

::

    file ──> key ──> each row decoded, each sealed text opened ──> the promises, counted by the database

It only reads, one row at a time, and repeats no word of what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from bridge.errors import LedgerError
from bridge.ledger.canaries import opened_canaries
from bridge.ledger.engine import Keeping, reading
from bridge.ledger.opening import prove_key
from bridge.ledger.reading import feeds_of
from bridge.ledger.rows import KNOWN, is_damaged, unpack
from bridge.ledger.schema import contents, facts, links, records, waiting
from bridge.ledger.writes import SAID
from bridge.sealing import Sealer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed

__all__ = ["Finding", "check"]

AT_ONCE: Final = 500
"""Rows that are in memory at a time."""

NAMED: Final = 3
"""So many of the records with a fault are named by their ids."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        name: What.
        ok: It is as it must be.
        detail: What was found.
    """

    name: str
    ok: bool
    detail: str


def check(path: Path, key_of: Callable[[], bytes], *, keep_sent: bool = True) -> list[Finding]:
    """Look through a whole ledger.

    Args:
        path: The ledger's file, of this version.
        key_of: Gives its key; raises LedgerError where that is missing or cannot be read.
        keep_sent: What was sent is to stay, sealed (``[ledger] keep``).
    """
    key, finding = _key(path, key_of)
    keeping = None if key is None else Keeping(Sealer(key), keep_sent)
    with reading(path, keeping) as connection:
        findings = [*_file(connection), finding, _of_rows("rows", _unreadable_rows(connection))]
        if keeping is not None:
            findings.append(_of_rows("text", _unreadable_texts(connection, keeping.sealer)))
        if not keep_sent:
            findings.append(_holds(connection, *_KEPT_HASHES))
        findings += [_holds(connection, *promise) for promise in _PROMISES]
    return findings


def _file(connection: Connection) -> Iterator[Finding]:
    damage = connection.exec_driver_sql("PRAGMA integrity_check(5)").scalars().all()
    good = damage == ["ok"]
    yield Finding("file", good, "no damage" if good else "; ".join(map(str, damage)))
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    yield Finding("references", not orphans, f"{len(orphans)} rows point to records that are not there")


def _key(path: Path, key_of: Callable[[], bytes]) -> tuple[bytes | None, Finding]:
    """The key, where it is the ledger's own; a ledger without it can neither send nor show anything."""
    try:
        key = key_of()
        with reading(path) as connection:
            if _has_proof(connection):
                prove_key(connection, key)
            elif connection.scalar(select(records.c.number).limit(1)) is not None:
                return None, Finding(
                    "key", ok=False, detail="nothing in the ledger tells whether it is its own"
                )
    except LedgerError as error:
        return None, Finding("key", ok=False, detail=str(error))
    return key, Finding("key", ok=True, detail="it is the one that the ledger was made with")


def _has_proof(connection: Connection) -> bool:
    return connection.scalar(select(facts.c.value).where(facts.c.name == "key_proof")) is not None


def _of_rows(name: str, damaged: Iterator[str]) -> Finding:
    """What came of reading all: a few of those that cannot be read are named, by Salestrekker's ids."""
    good = {"rows": "each record can be read", "text": "each sealed text can be opened"}[name]
    try:
        found = list(dict.fromkeys(damaged))
    except DatabaseError:  # a damaged page: the rows behind it cannot be reached; its words may be a record's
        return Finding(name, ok=False, detail="not all could be reached: the file is damaged")
    if not found:
        return Finding(name, ok=True, detail=good)
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return Finding(name, ok=False, detail=f"cannot be read: {', '.join(found[:NAMED])}{more}")


def _unreadable_rows(connection: Connection) -> Iterator[str]:
    """Ids of the records whose hashes, identifiers or words nobody can read."""
    for row in connection.execute(KNOWN.order_by(records.c.number)).yield_per(AT_ONCE):
        if is_damaged(row):
            yield str(row.source_id)


def _unreadable_texts(connection: Connection, sealer: Sealer) -> Iterator[str]:
    """Ids of the records of which a text cannot be opened: what waits, what was sent, what is sent again."""
    feeds = {feed.number: feed for feed in feeds_of(connection)}
    for row in connection.execute(_WAITING).yield_per(AT_ONCE):
        if not _opens(sealer, feeds[row.feed], row.source_id, row.body, row.meta, of_draft=row.slot != SAID):
            yield str(row.source_id)
    for one in connection.execute(_CONTENTS).yield_per(AT_ONCE):
        if not _opens(sealer, feeds[one.feed], one.source_id, one.body):
            yield str(one.source_id)
    for feed in feeds.values():
        if None in opened_canaries(connection, feed):
            yield f"a canary of {feed.connection}'s {feed.stream}"


def _opens(
    sealer: Sealer, feed: Feed, source_id: str, body: bytes, meta: str = "", *, of_draft: bool = False
) -> bool:
    try:
        if of_draft:
            unpack(sealer, feed, source_id, meta, body)
        else:
            sealer.open(body, feed.place(source_id))
    except (LedgerError, ValueError, TypeError, ArithmeticError):
        return False
    return True


_WAITING = select(waiting.c.slot, waiting.c.meta, waiting.c.body, records.c.feed, records.c.source_id).join(
    records, records.c.number == waiting.c.record
)
_CONTENTS = (
    select(contents.c.body, records.c.feed, records.c.source_id)
    .join(links, (links.c.space == contents.c.space) & (links.c.trakor_id == contents.c.trakor_id))
    .join(records, records.c.number == links.c.record)
)

_KEPT_HASHES: Final = (
    "kept",
    "with keep = hashes nothing is kept of what does not wait (the next backfill or daemon erases it)",
    (
        "SELECT (SELECT count(*) FROM contents) + (SELECT count(DISTINCT w.record) FROM waiting w"
        " JOIN records r ON r.number = w.record LEFT JOIN records i ON i.number = r.merged_into"
        " WHERE r.state IN ('delivered', 'dropped', 'skipped')"
        " OR (r.state = 'merged' AND i.trakor_id IS NOT NULL))"
    ),
)

_PROMISES: Final = (
    (
        "links",
        "delivered and drifted records have a Trakor id that is linked to them",
        (
            "SELECT count(*) FROM records r WHERE r.state IN ('delivered', 'drifted') AND NOT EXISTS "
            "(SELECT 1 FROM links l WHERE l.record = r.number AND l.trakor_id = r.trakor_id)"
        ),
    ),
    (
        "claims",
        "whatever is pending or delivered holds the claim on its name, unless two scopes became one",
        (
            "SELECT count(*) FROM records r JOIN feeds f ON f.number = r.feed "
            "WHERE r.state IN ('pending', 'delivered', 'drifted') AND r.gone = 0 AND NOT EXISTS "
            "(SELECT 1 FROM claims c WHERE c.space = f.space AND c.key = r.sent_key AND (c.record = r.number "
            "OR (c.answered = 1 AND r.state <> 'pending')))"
        ),
    ),
    (
        "texts",
        "what was sent is kept only of what Trakor has, and what waits of no record that is skipped",
        (
            "SELECT (SELECT count(*) FROM contents c WHERE NOT EXISTS"
            " (SELECT 1 FROM links l WHERE l.space = c.space AND l.trakor_id = c.trakor_id))"
            " + (SELECT count(DISTINCT w.record) FROM waiting w JOIN records r ON r.number = w.record"
            " WHERE r.state = 'skipped' OR r.forgotten = 1)"
        ),
    ),
    (
        "pending",
        "every pending record has a draft to send",
        (
            "SELECT count(*) FROM records r WHERE r.state = 'pending' AND NOT EXISTS "
            "(SELECT 1 FROM waiting w WHERE w.record = r.number AND w.slot = 0)"
        ),
    ),
    (
        "merged",
        "every merged record shares what is in Trakor, will be, or is listed for a person",
        (
            "SELECT count(*) FROM records r LEFT JOIN records i ON i.number = r.merged_into"
            " WHERE r.state = 'merged' AND (i.number IS NULL OR i.number = r.number OR (r.gone = 0"
            " AND r.filtered = 0 AND i.state NOT IN ('pending', 'held', 'rejected')"
            " AND NOT EXISTS (SELECT 1 FROM links l WHERE l.record IN (i.number, i.merged_into))))"
        ),
    ),
    (
        "tallies",
        "the numbers of each state are those that counting gives",
        (
            "WITH counted AS (SELECT feed, state, coalesce(reason, ''), gone, filtered, remapped, dismissed,"
            " count(*) FROM records GROUP BY 1, 2, 3, 4, 5, 6, 7),"
            " kept AS (SELECT feed, state, reason, gone, filtered, remapped, dismissed, number FROM tallies"
            " WHERE number <> 0)"
            " SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept))"
            " + (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted))"
        ),
    ),
)
"""What must always hold: name, sentence, and the query that counts the exceptions."""


def _holds(connection: Connection, name: str, promise: str, query: str) -> Finding:
    try:
        exceptions = int(connection.exec_driver_sql(query).scalar_one())
    except DatabaseError:
        return Finding(name, ok=False, detail="could not be counted: the file is damaged")
    return Finding(name, not exceptions, promise if not exceptions else f"{exceptions} exceptions: {promise}")
