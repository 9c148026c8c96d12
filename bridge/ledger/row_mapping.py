"""Converts between the rows of the tables and the values of ``records``; damaged values are replaced."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import (
    Integer,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import JSON

from bridge import names
from bridge.errors import LedgerError
from bridge.ledger.damage_conditions import is_sound
from bridge.ledger.damage_tolerant_columns import (
    NUMBER,
    UNREADABLE,
    SafeText,
)
from bridge.ledger.schema import TO_SEND, claims, feeds, links, records, rules, stored_texts
from bridge.records import (
    LedgerRow,
    MergedBy,
    Origin,
    Reason,
    Rules,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Connection

    from bridge.encryption import Sealer
    from bridge.records import FieldHashes

__all__ = [
    "KNOWN",
    "KnownRow",
    "is_damaged",
    "is_in",
    "is_one_of",
    "keeps_sent_text",
    "pack_identifiers",
    "sealer_of",
    "to_ledger_row",
    "to_sql",
    "unpack_identifiers",
]


def sealer_of(connection: Connection) -> Sealer:
    """Return what seals and opens text in this ledger; whoever opened the ledger stored it there."""
    sealer: Sealer = connection.info["sealer"]
    return sealer


def keeps_sent_text(connection: Connection) -> bool:
    """Return whether text that was sent is kept, sealed."""
    return bool(connection.info.get("keeps_sent"))


def is_in(column: ColumnElement[Any], values: Collection[object] | str) -> ColumnElement[bool]:
    """Build ``column IN values`` with one parameter: three times as fast as a list, and compiled once.

    Args:
        column: A column of numbers or texts.
        values: The values; or the name of the parameter that gets them as a list, for a statement that is
            built once and run many times.
    """
    given = bindparam(values, type_=JSON) if isinstance(values, str) else type_coerce(list(values), JSON)
    kind = Integer if isinstance(column.type, Integer) else Text
    listed = func.json_each(given).table_valued("value")
    return column.in_(select(type_coerce(listed.c.value, kind)))


def is_one_of(column: ColumnElement[Any], *words: str) -> ColumnElement[bool]:
    """Build ``column IN words`` with constants: SQLAlchemy would render a list at each execution."""
    return column.in_([literal_column(f"'{word}'") for word in words])


_STORED = (
    exists()
    .where(
        stored_texts.c.record == records.c.number,
        stored_texts.c.slot == TO_SEND,
        func.instr(stored_texts.c.meta, '"' + records.c.sent + '"') > 0,  # as ``pack`` writes it
    )
    .correlate(records)
)


_KEY: Final = re.compile("[A-Za-z0-9_-]{16}|")
"""A keyed hash of a name's key; empty for none."""


def to_sql(expression: ColumnElement[Any]) -> str:
    """Return the SQL of an expression without parameters.

    To compile the expression with each statement would take ten times as long.
    """
    compiled = expression.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return str(compiled)


_INTO: Final = literal_column(
    "EXISTS (SELECT 1 FROM records AS into_ WHERE into_.number = records.merged_into)", Integer
)


_SOUND = to_sql(
    and_(
        is_sound(records),
        claims.c.key.is_(None) | is_sound(claims),
        links.c.trakor_id.is_(None) | is_sound(links),
        # What Trakor has is linked, and what is to be sent has its name: otherwise a row is damaged.
        links.c.trakor_id.is_not(None) == records.c.trakor_id.is_not(None),
        links.c.trakor_id.is_not(None) | records.c.state.not_in((State.DELIVERED, State.DRIFTED)),
        claims.c.key.is_not(None) | (records.c.state != State.PENDING) | (records.c.gone == 1),
        feeds.c.number.is_not(None),
        records.c.merged_into.is_(None) | _INTO,
    )
)


_CLAIM_SOUND = to_sql(claims.c.key.is_not(None) & is_sound(claims))


# What is left of a damaged row: the name that it has claimed, and its link.
_OWN: Final = "CASE WHEN {0} IS NOT NULL THEN {1} ELSE (SELECT {2}) END"


_OF_RECORD: Final = "WHERE own.record = records.number ORDER BY"


_OWN_KEY = _OWN.format(
    "claims.key",
    "records.sent_key",
    f"own.key FROM claims AS own {_OF_RECORD} own.answered DESC LIMIT 1",
)


_OWN_ID = _OWN.format(
    "links.trakor_id",
    "records.trakor_id",
    f"own.trakor_id FROM links AS own {_OF_RECORD} own.at DESC LIMIT 1",
)


KNOWN = (
    select(
        *(
            records.c[name]
            for name in (
                "number", "feed", "source_id", "state", "reason", "key", "sent_key", "sent", "seen",
                "identifiers", "read_at", "trakor_id", "origin", "merged_into", "merged_by", "gone",
                "filtered", "remapped", "dismissed", "given", "retry", "forgotten", "input", "sweep",
            )
        ),
        # For a name that was answered once, and came back: only attempts without an answer count.
        type_coerce(
            case(
                (records.c.trakor_id.is_(None) & (claims.c.answered == 1) & (claims.c.unanswered_at == 0), 0),
                else_=func.coalesce(claims.c.attempts, 0),
            ),
            NUMBER,
        ).label("attempts"),
        func.coalesce(claims.c.tried, "").label("tried"),
        case((records.c.trakor_id.is_(None) & (claims.c.attempts > 0), _STORED), else_=0).label("stored"),
        func.coalesce(links.c.sent, "").label("content"),
        func.coalesce(rules.c.query, "").label("query"),
        func.coalesce(rules.c.map, "").label("map"),
        func.coalesce(rules.c.choices, "").label("choices"),
        literal_column(_SOUND, Integer).label("sound"),
        literal_column(_CLAIM_SOUND, Integer).label("claim_sound"),
        literal_column(_OWN_KEY, SafeText()).label("own_key"),
        literal_column(_OWN_ID, SafeText()).label("own_id"),
    )
    .select_from(
        records.outerjoin(feeds, feeds.c.number == records.c.feed)
        .outerjoin(
            claims,
            (claims.c.space == feeds.c.space)
            & (claims.c.key == records.c.sent_key)
            & (claims.c.record == records.c.number),
        )
        .outerjoin(
            links,
            (links.c.space == feeds.c.space)
            & (links.c.trakor_id == records.c.trakor_id)
            & (links.c.record == records.c.number),
        )
        .outerjoin(rules, rules.c.number == records.c.rules)
    )
)  # fmt: skip
"""What ``to_ledger_row`` reads: a record with its present claim, link and rules."""


class KnownRow(NamedTuple):
    """What ``KNOWN`` selects, in order: the attributes of SQLAlchemy's row cost twenty times as much."""

    number: int
    feed: int
    source_id: str
    state: str
    reason: str | None
    key: str
    sent_key: str
    sent: str
    seen: str | None
    identifiers: str
    read_at: int
    trakor_id: str | None
    origin: str | None
    merged_into: int | None
    merged_by: str | None
    gone: int
    filtered: int
    remapped: int
    dismissed: int
    given: int
    retry: int
    forgotten: int
    input: str
    sweep: int
    attempts: int
    tried: str
    stored: int
    content: str
    query: str
    map: str
    choices: str
    sound: int
    claim_sound: int
    own_key: str | None
    own_id: str | None


_WIDTH: Final = len(KnownRow._fields)


def to_ledger_row(row: Sequence[Any]) -> LedgerRow:
    """Convert what a decision needs of a record; an unreadable record is damaged (see ``_damaged``)."""
    known = KnownRow._make(row[:_WIDTH])
    try:
        return _row(known)
    except (KeyError, ValueError, LedgerError):
        return _damaged(known)


def is_damaged(row: Sequence[Any]) -> bool:
    """Return whether a record cannot be read (see ``_damaged``)."""
    try:
        _row(KnownRow._make(row[:_WIDTH]))
    except (KeyError, ValueError, LedgerError):
        return True
    return False


_STATES: Final = {str(state): state for state in State}


_REASONS: Final[dict[str | None, Reason | None]] = {None: None, **{str(one): one for one in Reason}}


_ORIGINS: Final[dict[str | None, Origin | None]] = {None: None, **{str(one): one for one in Origin}}


_MERGED_BY: Final[dict[str | None, MergedBy | None]] = {None: None, **{str(one): one for one in MergedBy}}


def _row(row: KnownRow) -> LedgerRow:
    if not row.sound or not (_KEY.fullmatch(row.key) and _KEY.fullmatch(row.sent_key)):
        raise LedgerError("the ledger holds a row that cannot be read")
    sent = names.decode(row.sent)
    return LedgerRow(
        number=row.number,
        id=row.source_id,
        state=_STATES[row.state],
        reason=_REASONS[row.reason],
        key=row.key,
        sent_key=row.sent_key,
        sent=sent,
        content=sent if row.content == row.sent else names.decode(row.content),
        seen=None if row.seen is None else names.decode(row.seen),
        identifiers=unpack_identifiers(row.identifiers),
        rules=_rules(row.query, row.map, row.choices),
        read_at=row.read_at,
        attempts=row.attempts,
        tried=sent if row.tried == row.sent else names.decode(row.tried),
        stored=bool(row.stored),
        trakor_id=row.trakor_id,
        origin=_ORIGINS[row.origin],
        merged_into=row.merged_into,
        merged_by=_MERGED_BY[row.merged_by],
        gone=bool(row.gone),
        filtered=bool(row.filtered),
        remapped=bool(row.remapped),
        dismissed=bool(row.dismissed),
        given=bool(row.given),
        retry=bool(row.retry),
        forgotten=bool(row.forgotten),
        first=names.revision_of(row.sent) == 1,
        feed=row.feed,
    )


@lru_cache(maxsize=64)
def _rules(query: str, mapping: str, choices: str) -> Rules:
    return Rules(query, mapping, choices)


def _damaged(row: KnownRow) -> LedgerRow:
    """Return a record whose row cannot be read, with what is left: its name, its claim and its link.

    A record that an operator dropped or had forgotten stays so: damage must not cause it to be sent.
    """
    dropped = row.state == State.DROPPED
    claimed = row.own_key if isinstance(row.own_key, str) and _KEY.fullmatch(row.own_key) else ""
    sent_key = claimed or (row.sent_key if _KEY.fullmatch(row.sent_key or "-") else "")
    return LedgerRow(
        number=row.number,
        id=row.source_id or UNREADABLE,
        state=State.DROPPED if dropped else State.REJECTED,
        reason=None if dropped else Reason.DAMAGED,
        key=row.key if _KEY.fullmatch(row.key or "-") else sent_key,
        sent_key=sent_key,
        # If nobody knows whether a name was tried, it counts as tried.
        attempts=row.attempts if row.claim_sound else max(row.attempts, int(bool(claimed))),
        trakor_id=row.trakor_id if row.sound else row.own_id,
        gone=row.gone == 1,
        forgotten=row.forgotten == 1,
        feed=row.feed or 0,
    )


def pack_identifiers(identifiers: FieldHashes) -> str:
    """Serialize identifiers; empty for none."""
    return orjson.dumps(dict(identifiers), option=orjson.OPT_SORT_KEYS).decode() if identifiers else ""


def unpack_identifiers(text: str) -> FieldHashes:
    """Parse stored identifiers.

    Raises:
        LedgerError: The text was not written by ``pack_identifiers``.
    """
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except ValueError as error:
        raise _no_identifiers() from error
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise _no_identifiers()
    return found


def _no_identifiers() -> LedgerError:
    return LedgerError("the ledger holds identifiers that cannot be read")
