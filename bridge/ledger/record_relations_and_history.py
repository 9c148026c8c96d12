"""One record in detail: how it relates to other records, what it and Trakor say, and its history."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select

from bridge.decision.same_person import equal_and_different
from bridge.errors import LedgerError
from bridge.ledger.read_model import (
    NEWEST_CONTENT,
    NEWEST_LINK,
    RecordQuery,
    RecordSummary,
    find_records,
    trakor_content,
)
from bridge.ledger.row_mapping import KNOWN, to_ledger_row, unpack_identifiers
from bridge.ledger.row_writes import NOTED, TO_SEND, TRAKOR_TEXT
from bridge.ledger.schema import (
    claims,
    history,
    links,
    records,
    stored_texts,
)
from bridge.ledger.sealed_texts import current_text, open_draft, open_trakor_text
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from bridge.ledger.sealed_texts import StoredDraft
    from bridge.records import Draft

__all__ = ["HistoryLine", "RecordRelations", "load_history", "load_relations"]


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a record's history; ``by`` says where an operator decided, if one did."""

    at: int
    event: str
    detail: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class RecordRelations:
    """How a record relates to other records, and to being sent.

    Attributes:
        attempts: How many requests for its present name were begun.
        next_try_at: A pending one is not sent before this time; 0: at once.
        claimant: The record whose party or product it shares, or would share.
        merged_here: Salestrekker's ids of the first records that share this one's party or product.
        name_holder: Salestrekker's id of the other record that has the name that this one waits with.
        holder_renamed: That record has another name in Salestrekker now; Trakor has the former one.
        equal: The names of the identifiers that are equal in both.
        different: The names of the identifiers that differ.
        qualified_name: The name that distinguishes it from that record; empty if it has none, or nothing
            waits.
        qualified_holder: Salestrekker's id of the other record that has the qualified name.
        trakor_ids: All records that it has in Trakor, the present one last: two after an accepted rename.
        draft: Its draft, while it waits; otherwise None.
        sent: What Trakor has of it, field -> text; empty if unknown or not kept.
        trakor_text: The text with which Trakor rejected it; otherwise empty.
        now: Its text when it was last read, field -> text, as far as that is stored.
        other: The record that has the name that it waits with, or whose party or product it shares.
        other_text: That record's present text, as far as it is stored, else what Trakor has, field -> text.
    """

    attempts: int
    next_try_at: int
    claimant: RecordSummary | None
    merged_here: tuple[str, ...]
    name_holder: str
    qualified_name: str
    qualified_holder: str
    trakor_ids: tuple[str, ...]
    draft: Draft | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    trakor_text: str = ""
    now: Mapping[str, str] = field(default_factory=dict)
    other: RecordSummary | None = None
    other_text: Mapping[str, str] = field(default_factory=dict)
    holder_renamed: bool = False
    equal: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


MOST_MERGED: Final = 20
"""How many of the merged records are named."""


def load_relations(connection: Connection, record: RecordSummary) -> RecordRelations:
    """Load how one record relates to others, and to being sent."""
    row = connection.execute(
        KNOWN.add_columns(records.c.next_try_at, NEWEST_LINK, NEWEST_CONTENT).where(
            records.c.number == record.number
        )
    ).one()
    kept = _stored_drafts(connection, record)
    draft = kept[TO_SEND].draft if TO_SEND in kept else None
    claimant = _find_one(connection, row.merged_into)
    holder = _other_holder(connection, record, draft.key) if draft else None
    other = holder or claimant
    equal, different = (
        _compare_identifiers(connection, record, draft, holder) if draft and holder else ((), ())
    )
    return RecordRelations(
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        claimant=claimant,
        merged_here=_merged_into(connection, record.number),
        name_holder=holder.id if holder else "",
        qualified_name=draft.qualified_name if draft else "",
        qualified_holder=_id_of(_other_holder(connection, record, draft.qualified_key)) if draft else "",
        trakor_ids=_links_of(connection, record),
        draft=draft,
        sent=trakor_content(connection, record.feed, row),
        trakor_text=_trakor_text(connection, record),
        now=current_text(kept.get(NOTED, kept.get(TO_SEND)), to_ledger_row(row)),
        other=other,
        other_text=_current_or_sent_text(connection, other) if other else {},
        holder_renamed=draft is not None and holder is not None and _is_renamed(connection, draft, holder),
        equal=equal,
        different=different,
    )


def _is_renamed(connection: Connection, draft: Draft, holder: RecordSummary) -> bool:
    """Return whether Trakor has a name's holder under that name, and Salestrekker under another one."""
    key = connection.scalar(select(records.c.key).where(records.c.number == holder.number))
    return bool(holder.trakor_id and key) and key != draft.key


def _compare_identifiers(
    connection: Connection, record: RecordSummary, draft: Draft, holder: RecordSummary
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which identifiers a record shares with a name's holder and its group, and which differ.

    A record that was merged before, and is held now, is not part of the group.
    """
    merged = (records.c.merged_into == holder.number) & (records.c.state == State.MERGED)
    of_group = or_(records.c.number == holder.number, merged) & (records.c.number != record.number)
    group = []
    for text in connection.scalars(select(records.c.identifiers).where(of_group)):
        with suppress(LedgerError, ValueError):  # nothing is known of a damaged row
            group.append(unpack_identifiers(text))
    return equal_and_different(draft.identifiers, group)


def _stored_drafts(connection: Connection, record: RecordSummary) -> dict[int, StoredDraft]:
    """Return a record's stored drafts, by slot, as far as they can be opened here."""
    kept = select(stored_texts.c.slot, stored_texts.c.meta, stored_texts.c.body).where(
        stored_texts.c.record == record.number, stored_texts.c.slot != TRAKOR_TEXT
    )
    opened = {
        row.slot: open_draft(connection, record.feed, record.id, row.meta, row.body)
        for row in connection.execute(kept)
    }
    return {slot: stored for slot, stored in opened.items() if stored is not None}


def _trakor_text(connection: Connection, record: RecordSummary) -> str:
    """Return the text with which Trakor rejected a record."""
    words = select(stored_texts.c.body).where(
        stored_texts.c.record == record.number, stored_texts.c.slot == TRAKOR_TEXT
    )
    body = connection.scalar(words)
    return "" if body is None else open_trakor_text(connection, record.feed, record.id, body)


def _current_or_sent_text(connection: Connection, record: RecordSummary) -> Mapping[str, str]:
    """Return a record's present text as far as it is stored, otherwise what Trakor has."""
    row = connection.execute(
        KNOWN.add_columns(NEWEST_LINK, NEWEST_CONTENT).where(records.c.number == record.number)
    ).one()
    content = trakor_content(connection, record.feed, row)
    return {**content, **current_text(_stored_drafts(connection, record).get(TO_SEND), to_ledger_row(row))}


def _find_one(connection: Connection, number: int | None) -> RecordSummary | None:
    """Return the record with a number; None if there is none."""
    found = [] if number is None else find_records(connection, RecordQuery(numbers=[number]))
    return found[0] if found else None


def _id_of(record: RecordSummary | None) -> str:
    return record.id if record else ""


def _merged_into(connection: Connection, number: int) -> tuple[str, ...]:
    merged = select(records.c.source_id).where(
        records.c.merged_into == number, records.c.state == State.MERGED
    )
    return tuple(connection.scalars(merged.order_by(records.c.number).limit(MOST_MERGED)))


def _other_holder(connection: Connection, record: RecordSummary, key: str) -> RecordSummary | None:
    """Return the other record that holds a name; None if the name is free or its own."""
    held = (claims.c.space == record.feed.namespace, claims.c.key == key, claims.c.record != record.number)
    return _find_one(connection, connection.scalar(select(claims.c.record).where(*held)))


def _links_of(connection: Connection, record: RecordSummary) -> tuple[str, ...]:
    """Return its ids in Trakor, the oldest first, and the present one last."""
    of_record = select(links.c.trakor_id).where(links.c.record == record.number)
    is_present = links.c.trakor_id == record.trakor_id
    return tuple(connection.scalars(of_record.order_by(is_present, links.c.at, links.c.trakor_id)))


def load_history(connection: Connection, number: int) -> list[HistoryLine]:
    """Load a record's history, oldest line first."""
    found = connection.execute(
        select(history.c.at, history.c.event, history.c.detail, history.c.by)
        .where(history.c.record == number)
        .order_by(history.c.number)
    )
    return [HistoryLine(row.at, row.event, row.detail, row.by) for row in found]
