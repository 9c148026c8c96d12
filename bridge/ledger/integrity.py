"""Checks a whole ledger: its file, its key, each row, and what must hold between the tables.

::

    file ──> key ──> each value, row and sealed text ──> the invariants

It only reads, one row at a time, and repeats no text of what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import LargeBinary, Text, cast, false, null, or_, select, type_coerce
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import NullType

from bridge.encryption import Sealer
from bridge.errors import LedgerError
from bridge.ledger.damage_conditions import is_unsound
from bridge.ledger.database import TextStorage, reading
from bridge.ledger.open import verify_key
from bridge.ledger.read_model import list_feeds
from bridge.ledger.row_mapping import KNOWN, is_damaged
from bridge.ledger.row_writes import TRAKOR_TEXT
from bridge.ledger.schema import canaries, contents, facts, links, metadata, records, stored_texts
from bridge.ledger.sealed_texts import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Table

    from bridge.ledger.feeds import Feed

__all__ = ["IntegrityFinding", "check_ledger"]

AT_ONCE: Final = 500
"""Rows that are in memory at a time."""

NAMED: Final = 3
"""How many of the faulty records are named by their ids."""


@dataclass(frozen=True, slots=True)
class IntegrityFinding:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: The check passed.
        detail: What was found.
        advice: What to do about an error; empty if there is none.
    """

    name: str
    ok: bool
    detail: str
    advice: str = ""


def check_ledger(
    path: Path, key_of: Callable[[], bytes], *, keep_sent: bool = True
) -> list[IntegrityFinding]:
    """Check a whole ledger.

    Args:
        path: The ledger's file, of this version.
        key_of: Returns its key; raises LedgerError if that is missing or cannot be read.
        keep_sent: Text that was sent is kept, sealed (``[ledger] keep``).
    """
    key, finding = _key(path, key_of)
    text_storage = None if key is None else TextStorage(Sealer(key), keep_sent)
    with reading(path, text_storage) as connection:
        findings = [*_file(connection), finding, _of_rows("rows", _unreadable_rows(connection))]
        findings.append(_of_rows("values", _unreadable_values(connection)))
        if text_storage is not None:
            findings.append(_of_rows("text", _unreadable_texts(connection, text_storage.sealer)))
        if not keep_sent:
            findings.append(_holds(connection, *_KEPT_HASHES))
        findings += [_holds(connection, *promise) for promise in _INVARIANTS]
    return findings


def _file(connection: Connection) -> Iterator[IntegrityFinding]:
    damage = connection.exec_driver_sql("PRAGMA integrity_check(5)").scalars().all()
    good = damage == ["ok"]
    yield _finding("file", good, "no damage" if good else "; ".join(map(str, damage)))
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    yield _finding("references", not orphans, f"{len(orphans)} rows point to records that are not there")


def _key(path: Path, key_of: Callable[[], bytes]) -> tuple[bytes | None, IntegrityFinding]:
    """Return the key if it is the ledger's own; without it, a ledger can neither send nor show anything."""
    try:
        key = key_of()
        with reading(path) as connection:
            if _has_proof(connection):
                verify_key(connection, key)
            elif connection.scalar(select(records.c.number).limit(1)) is not None:
                return None, _finding(
                    "key", ok=False, detail="nothing in the ledger shows whether it is the right key"
                )
    except LedgerError as error:
        return None, IntegrityFinding("key", ok=False, detail=str(error), advice=error.advice)
    return key, IntegrityFinding("key", ok=True, detail="it is the one that the ledger was made with")


def _has_proof(connection: Connection) -> bool:
    return connection.scalar(select(facts.c.value).where(facts.c.name == "key_proof")) is not None


def _finding(name: str, ok: bool, detail: str) -> IntegrityFinding:  # noqa: FBT001 - as a finding has it
    return IntegrityFinding(name, ok, detail, "" if ok else _ADVICE.get(name, _RESTORE))


def _of_rows(name: str, damaged: Iterator[str]) -> IntegrityFinding:
    """Return the finding of a pass over all rows: it names a few unreadable ones by Salestrekker's ids."""
    try:
        found = list(dict.fromkeys(damaged))
    except (
        DatabaseError
    ):  # a damaged page: the rows behind it cannot be reached, and the error's text may be a record's
        return IntegrityFinding(
            name, ok=False, detail="not all could be reached: the file is damaged", advice=_RESTORE
        )
    if any(one.startswith(_NO_RECORD) for one in found):
        return IntegrityFinding(name, ok=False, detail=f"cannot be read: {_named(found)}", advice=_RESTORE)
    return _finding(name, not found, f"cannot be read: {_named(found)}" if found else _GOOD[name])


def _named(found: Sequence[str]) -> str:
    """Return the first few, and how many more there are."""
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return f"{', '.join(found[:NAMED])}{more}"


_NO_RECORD: Final = "a row of "
_GOOD: Final = {
    "rows": "each record can be read",
    "values": "each value is of its column's kind",
    "text": "each sealed text can be opened",
}
_RESTORE: Final = "restore the last backup; keep this file for an investigation"
_AGAIN: Final = "run `trakor-bridge backfill`: it decides these records again"
_ADVICE: Final = {
    "rows": _AGAIN,
    "text": f"{_AGAIN}; for what Trakor has, only the text is lost",
    "values": _AGAIN,
    "key": "put back the ledger.key, or [ledger] key, that belongs to this ledger",
    "kept": "run `trakor-bridge backfill`: it erases them",
}


def _unreadable_rows(connection: Connection) -> Iterator[str]:
    """Yield the ids of the records whose hashes, identifiers or words cannot be read."""
    for row in connection.execute(KNOWN.order_by(records.c.number)).yield_per(AT_ONCE):
        if is_damaged(row):
            yield str(row.source_id)


def _unreadable_values(connection: Connection) -> Iterator[str]:
    """Yield where a value is of another type than its column, or a text has invalid bytes."""
    for table in metadata.sorted_tables:
        whose = _whose(table)
        for row in connection.execute(select(whose).where(is_unsound(table))).yield_per(AT_ONCE):
            yield _place(table, row[0])
        texts = [column for column in table.c if isinstance(column.type, Text)]
        beyond = or_(
            false(), *(type_coerce(column, NullType()).op("GLOB")(_BEYOND_ASCII) for column in texts)
        )
        raw = [type_coerce(cast(column, LargeBinary), NullType()) for column in texts]
        for row in connection.execute(select(whose, *raw).where(beyond)).yield_per(AT_ONCE):
            if not all(_is_utf8(value) for value in row[1:]):
                yield _place(table, row[0])


_BEYOND_ASCII: Final = "*[^\x01-\x7f]*"
"""Matches a text with other characters: only those texts are examined closely."""


def _whose(table: Table) -> ColumnElement[Any]:
    """Return the record that a row belongs to, by Salestrekker's id; NULL if it belongs to none."""
    if table is records:
        return type_coerce(table.c.source_id, Text())
    if "record" not in table.c:
        return null()
    of = records.alias("of")
    return type_coerce(select(of.c.source_id).where(of.c.number == table.c.record).scalar_subquery(), Text())


def _place(table: Table, source_id: object) -> str:
    return source_id if isinstance(source_id, str) else f"{_NO_RECORD}{table.name}"


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or bool(value.decode() or True)
    except UnicodeDecodeError:
        return False


def _unreadable_texts(connection: Connection, sealer: Sealer) -> Iterator[str]:
    """Yield the ids of the records with a text that cannot be opened: drafts, sent texts, canaries."""
    feeds = {feed.number: feed for feed in list_feeds(connection)}
    for row in connection.execute(_WAITING).yield_per(AT_ONCE):
        if not _opens(
            sealer, feeds.get(row.feed), row.source_id, row.body, row.meta, of_draft=row.slot != TRAKOR_TEXT
        ):
            yield str(row.source_id)
    for one in connection.execute(_CONTENTS).yield_per(AT_ONCE):
        if not _opens(sealer, feeds.get(one.feed), one.source_id, one.body):
            yield str(one.source_id)
    for canary in connection.execute(_CANARIES).yield_per(AT_ONCE):
        if not _opens(sealer, feeds.get(canary.feed), canary.source_id, canary.body):
            yield str(canary.source_id)


def _opens(
    sealer: Sealer, feed: Feed | None, source_id: str, body: bytes, meta: str = "", *, of_draft: bool = False
) -> bool:
    try:
        if feed is None:
            return False
        if of_draft:
            unpack(sealer, feed, source_id, meta, body)
        else:
            sealer.open(body, feed.seal_context(source_id))
    except LedgerError:
        return False
    return True


_WAITING = select(
    stored_texts.c.slot, stored_texts.c.meta, stored_texts.c.body, records.c.feed, records.c.source_id
).join(records, records.c.number == stored_texts.c.record)
_CONTENTS = (
    select(contents.c.body, records.c.feed, records.c.source_id)
    .join(links, (links.c.space == contents.c.space) & (links.c.trakor_id == contents.c.trakor_id))
    .join(records, records.c.number == links.c.record)
)

_CANARIES = select(canaries.c.body, canaries.c.feed, records.c.source_id).join(
    records, records.c.number == canaries.c.record
)

_ID: Final = "SELECT DISTINCT r.source_id FROM records r"

_KEPT_HASHES: Final = (
    "kept",
    "with keep = hashes nothing is kept of what does not wait (the next backfill or daemon erases it)",
    (
        f"{_ID} JOIN links l ON l.record = r.number"
        " JOIN contents c ON c.space = l.space AND c.trakor_id = l.trakor_id UNION "
        f"{_ID} JOIN waiting w ON w.record = r.number LEFT JOIN records i ON i.number = r.merged_into"
        " WHERE r.state IN ('delivered', 'dropped', 'skipped')"
        " OR (r.state = 'merged' AND i.trakor_id IS NOT NULL)"
    ),
)

_INVARIANTS: Final = (
    (
        "links",
        "delivered and drifted records have a Trakor id that is linked to them",
        (
            f"{_ID} WHERE r.state IN ('delivered', 'drifted') AND NOT EXISTS "  # noqa: S608
            "(SELECT 1 FROM links l WHERE l.record = r.number AND l.trakor_id = r.trakor_id)"
        ),
    ),
    (
        "claims",
        "each pending or delivered record has claimed its name, unless two scopes became one",
        (
            f"{_ID} JOIN feeds f ON f.number = r.feed "  # noqa: S608
            "WHERE r.state IN ('pending', 'delivered', 'drifted') AND r.gone = 0 AND NOT EXISTS "
            "(SELECT 1 FROM claims c WHERE c.space = f.space AND c.key = r.sent_key AND (c.record = r.number "
            "OR (c.answered = 1 AND r.state <> 'pending')))"
        ),
    ),
    (
        "texts",
        "sealed text is kept only of what Trakor has and of what waits",
        (
            "SELECT c.trakor_id FROM contents c WHERE NOT EXISTS"  # noqa: S608
            " (SELECT 1 FROM links l WHERE l.space = c.space AND l.trakor_id = c.trakor_id) UNION"
            f" {_ID} JOIN waiting w ON w.record = r.number WHERE r.state = 'skipped' OR r.forgotten = 1"
        ),
    ),
    (
        "pending",
        "every pending record has a draft to send",
        (
            f"{_ID} WHERE r.state = 'pending' AND NOT EXISTS "  # noqa: S608
            "(SELECT 1 FROM waiting w WHERE w.record = r.number AND w.slot = 0)"
        ),
    ),
    (
        "merged",
        "every merged record shares what is in Trakor, will be, or is listed for a person",
        (
            f"{_ID} LEFT JOIN records i ON i.number = r.merged_into"  # noqa: S608
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
            " SELECT 'those ' || state FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) UNION"
            " SELECT 'those ' || state FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)"
        ),
    ),
)
"""The invariants: name, sentence, and the query that returns the exceptions."""


def _holds(connection: Connection, name: str, promise: str, query: str) -> IntegrityFinding:
    """Check an invariant; name the first exceptions, and how many there are."""
    try:
        found = list(map(str, connection.exec_driver_sql(query).scalars()))
    except DatabaseError:
        return IntegrityFinding(
            name, ok=False, detail="could not be counted: the file is damaged", advice=_RESTORE
        )
    return _finding(name, not found, f"not so for {_named(found)}: {promise}" if found else promise)
