"""Who holds which name, as one transaction sees it: looked up many at once, and again once it changed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from bridge import naming
from bridge.decision import stands_under
from bridge.errors import LedgerError
from bridge.ledger.bulk_sql import at_once
from bridge.ledger.column_types import UNREADABLE
from bridge.ledger.connection_renames import unconfigured_feeds
from bridge.ledger.row_mapping import KNOWN, among, row_of, unpack_identifiers
from bridge.ledger.schema import claims, feeds, links, records, sweeps
from bridge.records import Holder, LedgerRow, Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.ledger.row_mapping import Feed
    from bridge.records import FieldHashes

__all__ = ["Holders"]


class Holders:
    """Who holds the claim on a name.

    Args:
        connection: Inside a writing transaction.
        feed: In whose space.
        flush: Writes what is gathered so far, so that a look at the tables sees it.
    """

    def __init__(self, connection: Connection, feed: Feed, flush: Callable[[], None]) -> None:
        self._connection = connection
        self._feed = feed
        self._flush = flush
        self._known: dict[str, Holder | None] = {}

    def of(self, key: str) -> Holder | None:
        """Who holds a name, what was written in this transaction included."""
        if key not in self._known:
            self.expect((key,))
        return self._known.get(key)

    def forget(self, *keys: str) -> None:
        """Look these names up again when they are asked for."""
        for key in keys:
            self._known.pop(key, None)

    def forget_all(self) -> None:
        """Look all names up again when they are asked for."""
        self._known.clear()

    def learn_claim(self, row: LedgerRow) -> None:
        """A record that was not known before claims its name, which nobody has held."""
        self._known[row.sent_key] = Holder(
            number=row.number,
            id=row.id,
            group=(row.identifiers,),
            answered=False,
            linked=False,
            stands=stands_under(row, row.sent_key, linked=False),
            attempts=row.attempts,
            sent=row.sent,
            first=row.first,
            origin=row.origin,
            key=row.sent_key,
        )

    def expect(self, keys: Iterable[str]) -> None:
        """Look up at once who holds these names."""
        wanted = [key for key in set(keys) if key and key not in self._known]
        if not wanted:
            return
        self._known.update(dict.fromkeys(wanted))
        self._flush()
        found = self._connection.execute(_CLAIMED, {"of_space": self._feed.space, "keys": wanted}).all()
        if found:
            self._learn({row.claimed: row for row in found})

    def _learn(self, claimed: dict[str, Row[*tuple[Any, ...]]]) -> None:
        numbers = sorted({row.holder for row in claimed.values() if row.holder is not None})
        rows = map(row_of, at_once(self._connection, _ROWS, {"numbers": numbers}))
        found = {row.number: row for row in rows}
        groups, others = self._groups(numbers), unconfigured_feeds(self._connection)
        for key, claim in claimed.items():
            row = found.get(claim.holder)
            if row is None:
                self._known[key] = _unknown(claim)
                continue
            holder = self._holder(row, key, claim, groups[row.number])
            if row.feed in others:
                # Nobody will send it, so it stands for nobody; a party that Trakor has, it keeps.
                self._known[key] = replace(holder, mergeable=False, stands=holder.stands and holder.linked)
            else:
                self._known[key] = replace(holder, mergeable=False) if holder.forgotten else holder

    def _groups(self, numbers: Sequence[int]) -> dict[int, list[FieldHashes]]:
        """The identifiers of all that are merged into these records."""
        groups: dict[int, list[FieldHashes]] = defaultdict(list)
        for row in self._connection.execute(_MERGED, {"numbers": numbers}):
            groups[row.merged_into].append(_identifiers(row.identifiers))
        return groups

    def _holder(
        self, row: LedgerRow, key: str, claim: Row[*tuple[Any, ...]], merged: Sequence[FieldHashes]
    ) -> Holder:
        # A name that Trakor answered with, or one of an older ledger, has no link of its own.
        other_name = bool(claim.answered) and claim.linked_at is None
        linked = row.answered if other_name else claim.linked_at is not None
        own = row.sent_key if other_name else key
        sent, first = row.sent, row.first
        if linked and own != row.sent_key:
            sent, first = self._sent_under(row.number, key)
        holder = Holder(
            number=row.number,
            id=row.id,
            group=(row.identifiers, *merged),
            merged_into=row.merged_into,
            answered=bool(claim.answered),
            linked=linked,
            # Nobody takes the place of one that cannot be read while it is there: it may stand.
            stands=(row.reason is Reason.DAMAGED and not row.gone) or stands_under(row, own, linked=linked),
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
        """Key of the name that a party is linked under which a record shares; empty: it shares none.

        Whether it does is the question, where it is held as ``same-party``.
        """
        if row.merged_into is None or row.reason is Reason.SAME_PARTY:
            return ""
        of = {"of_space": self._feed.space, "of_record": row.merged_into}
        return str(self._connection.scalar(_PARTY_OF, of) or "")

    def _sent_under(self, number: int, key: str) -> tuple[FieldHashes, bool]:
        """What was sent under a name that the record has no more, and whether revision 1 hashed it."""
        of = {"of_space": self._feed.space, "of_record": number, "of_key": key}
        text = self._connection.scalar(_SENT_UNDER, of) or ""
        try:
            return naming.decode(text), naming.revision_of(text) == 1
        except (ValueError, LedgerError):
            return {}, False  # nothing is known of it: all of it differs

    def _adopted_now(self, at: int) -> bool:
        """Whether a sweep that is still under way began before this time."""
        began_at = self._connection.scalar(_OPEN_SWEEP, {"of_space": self._feed.space})
        return began_at is not None and at >= began_at


def _is_anothers(row: LedgerRow) -> bool:
    """Trakor had its name before, and a person dropped it: that party is not its own, nor a twin's."""
    return row.state is State.DROPPED and row.origin is Origin.EXISTING


def _unknown(claim: Row[*tuple[Any, ...]]) -> Holder:
    """Who holds a name where the claim is damaged: it is taken, and nobody shares it or takes it over."""
    return Holder(0, UNREADABLE, answered=True, linked=True, attempts=claim.attempts or 0, mergeable=False)


def _identifiers(text: str) -> FieldHashes:
    try:
        return unpack_identifiers(text)
    except (ValueError, LedgerError):
        return {}  # of a damaged row nothing is known


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
    .where(claims.c.space == bindparam("of_space"), among(claims.c.key, "keys"))
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
_ROWS = KNOWN.where(among(records.c.number, "numbers"))
_MERGED = select(records.c.merged_into, records.c.identifiers).where(
    among(records.c.merged_into, "numbers"), records.c.state == State.MERGED
)
_OPEN_SWEEP = select(func.min(sweeps.c.began_at)).where(
    sweeps.c.ended_at.is_(None),
    sweeps.c.feed.in_(select(feeds.c.number).where(feeds.c.space == bindparam("of_space"))),
)
