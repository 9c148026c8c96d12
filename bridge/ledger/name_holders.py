"""Looks up the holders of many names at once, as one transaction sees them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from bridge import names
from bridge.decision import represents_name
from bridge.errors import LedgerError
from bridge.ledger.bulk_sql import fetch_all
from bridge.ledger.connection_and_scope_renames import find_unconfigured_feeds
from bridge.ledger.damage_tolerant_columns import UNREADABLE
from bridge.ledger.row_mapping import KNOWN, is_in, to_ledger_row, unpack_identifiers
from bridge.ledger.schema import claims, feeds, links, records, sweeps
from bridge.records import LedgerRow, NameHolder, Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.ledger.feeds import Feed
    from bridge.records import FieldHashes

__all__ = ["NameHolders"]


class NameHolders:
    """The holders of names in one namespace.

    Args:
        connection: Inside a writing transaction.
        feed: A feed of the namespace.
        flush: Writes what is collected so far, so that queries see it.
    """

    def __init__(self, connection: Connection, feed: Feed, flush: Callable[[], None]) -> None:
        self._connection = connection
        self._feed = feed
        self._flush = flush
        self._known: dict[str, NameHolder | None] = {}

    def of(self, key: str) -> NameHolder | None:
        """Return the holder of a name, including what was written in this transaction."""
        if key not in self._known:
            self.expect((key,))
        return self._known.get(key)

    def forget(self, *keys: str) -> None:
        """Look these names up again at the next request."""
        for key in keys:
            self._known.pop(key, None)

    def forget_all(self) -> None:
        """Look all names up again at the next request."""
        self._known.clear()

    def learn_claim(self, row: LedgerRow) -> None:
        """Add a new record as the holder of its name, which no record held."""
        self._known[row.sent_key] = NameHolder(
            number=row.number,
            id=row.id,
            group=(row.identifiers,),
            answered=False,
            linked=False,
            represents=represents_name(row, row.sent_key, linked=False),
            attempts=row.attempts,
            sent=row.sent,
            first=row.first,
            origin=row.origin,
            key=row.sent_key,
        )

    def expect(self, keys: Iterable[str]) -> None:
        """Look up the holders of these names with one query."""
        wanted = [key for key in set(keys) if key and key not in self._known]
        if not wanted:
            return
        self._known.update(dict.fromkeys(wanted))
        self._flush()
        found = self._connection.execute(_CLAIMED, {"of_space": self._feed.namespace, "keys": wanted}).all()
        if found:
            self._store_learnt({row.claimed: row for row in found})

    def _store_learnt(self, claimed: dict[str, Row[*tuple[Any, ...]]]) -> None:
        numbers = sorted({row.holder for row in claimed.values() if row.holder is not None})
        rows = map(to_ledger_row, fetch_all(self._connection, _ROWS, {"numbers": numbers}))
        found = {row.number: row for row in rows}
        groups, others = self._groups(numbers), find_unconfigured_feeds(self._connection)
        for key, claim in claimed.items():
            row = found.get(claim.holder)
            if row is None:
                self._known[key] = _damaged_holder(claim)
                continue
            holder = self._holder(row, key, claim, groups[row.number])
            if row.feed in others:
                # It will not be sent, so it represents no record. It keeps a party that Trakor has.
                self._known[key] = replace(
                    holder, mergeable=False, represents=holder.represents and holder.linked
                )
            else:
                self._known[key] = replace(holder, mergeable=False) if holder.forgotten else holder

    def _groups(self, numbers: Sequence[int]) -> dict[int, list[FieldHashes]]:
        """Return the identifiers of all records that are merged into these."""
        groups: dict[int, list[FieldHashes]] = defaultdict(list)
        for row in self._connection.execute(_MERGED, {"numbers": numbers}):
            groups[row.merged_into].append(_identifiers(row.identifiers))
        return groups

    def _holder(
        self, row: LedgerRow, key: str, claim: Row[*tuple[Any, ...]], merged: Sequence[FieldHashes]
    ) -> NameHolder:
        # A name that Trakor answered with, or a name of an older ledger, has no link of its own.
        other_name = bool(claim.answered) and claim.linked_at is None
        linked = row.answered if other_name else claim.linked_at is not None
        own = row.sent_key if other_name else key
        sent, first = row.sent, row.first
        if linked and own != row.sent_key:
            sent, first = self._sent_under(row.number, key)
        holder = NameHolder(
            number=row.number,
            id=row.id,
            group=(row.identifiers, *merged),
            merged_into=row.merged_into,
            answered=bool(claim.answered),
            linked=linked,
            # No record succeeds an unreadable one that still exists: it may represent the name.
            represents=(row.reason is Reason.DAMAGED and not row.gone)
            or represents_name(row, own, linked=linked),
            attempts=claim.attempts,
            sent=sent,
            first=first,
            origin=row.origin,
            key=own if linked else key,
            shares="" if linked else self._party_of(row),
            forgotten=row.forgotten or _is_anothers(row),
        )
        if (
            row.origin is Origin.EXISTING
            and claim.linked_at is not None
            and self._adopted_now(claim.linked_at)
        ):
            return replace(holder, adopted_at=claim.linked_at)
        return holder

    def _party_of(self, row: LedgerRow) -> str:
        """Return the name's key under which a shared party is linked; empty if the record shares none.

        For a record that is held as ``same-party``, that is the open question.
        """
        if row.merged_into is None or row.reason is Reason.SAME_PARTY:
            return ""
        of = {"of_space": self._feed.namespace, "of_record": row.merged_into}
        return str(self._connection.scalar(_PARTY_OF, of) or "")

    def _sent_under(self, number: int, key: str) -> tuple[FieldHashes, bool]:
        """Return what was sent under a former name of a record, and whether revision 1 hashed it."""
        of = {"of_space": self._feed.namespace, "of_record": number, "of_key": key}
        text = self._connection.scalar(_SENT_UNDER, of) or ""
        try:
            return names.decode(text), names.revision_of(text) == 1
        except (ValueError, LedgerError):
            return {}, False  # unknown: all of it differs

    def _adopted_now(self, at: int) -> bool:
        """Return whether a sweep that is still in progress began before this time."""
        began_at = self._connection.scalar(_OPEN_SWEEP, {"of_space": self._feed.namespace})
        return began_at is not None and at >= began_at


def _is_anothers(row: LedgerRow) -> bool:
    """Return whether an operator dropped a record whose name existed before: that party is another's."""
    return row.state is State.DROPPED and row.origin is Origin.EXISTING


def _damaged_holder(claim: Row[*tuple[Any, ...]]) -> NameHolder:
    """Return the holder of a name with a damaged claim: no record shares the name or takes it over."""
    return NameHolder(
        0, UNREADABLE, answered=True, linked=True, attempts=claim.attempts or 0, mergeable=False
    )


def _identifiers(text: str) -> FieldHashes:
    try:
        return unpack_identifiers(text)
    except (ValueError, LedgerError):
        return {}  # nothing is known of a damaged row


_CLAIMED = (
    select(
        claims.c.key.label("claimed"),
        claims.c.record.label("holder"),
        claims.c.answered,
        claims.c.attempts,
        func.max(links.c.at).label("linked_at"),
    )
    .outerjoin(
        links,
        (links.c.record == claims.c.record)
        & (links.c.space == claims.c.space)
        & (links.c.key == claims.c.key),
    )
    .where(claims.c.space == bindparam("of_space"), is_in(claims.c.key, "keys"))
    .group_by(claims.c.key, claims.c.record, claims.c.answered, claims.c.attempts)
)


_SENT_UNDER = (
    select(links.c.sent)
    .where(
        links.c.space == bindparam("of_space"),
        links.c.record == bindparam("of_record"),
        links.c.key == bindparam("of_key"),
    )
    .order_by(links.c.at.desc())
    .limit(1)
)


_PARTY_OF = (
    select(links.c.key)
    .where(links.c.space == bindparam("of_space"), links.c.record == bindparam("of_record"))
    .order_by(links.c.at.desc())
    .limit(1)
)


_ROWS = KNOWN.where(is_in(records.c.number, "numbers"))


_MERGED = select(records.c.merged_into, records.c.identifiers).where(
    is_in(records.c.merged_into, "numbers"), records.c.state == State.MERGED
)


_OPEN_SWEEP = select(func.min(sweeps.c.began_at)).where(
    sweeps.c.ended_at.is_(None),
    sweeps.c.feed.in_(select(feeds.c.number).where(feeds.c.space == bindparam("of_space"))),
)
