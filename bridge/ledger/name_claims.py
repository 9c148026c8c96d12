"""Claims on names: which record holds which name, and how a successor takes a name over.

``NameHolders`` looks up the holders of many names at once, as one transaction sees them. ``Succession``
moves a claim, its link and its sealed text from one record to another, in the transaction that decided
so. If the process dies before the commit, nothing has changed.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from bridge import names
from bridge.decision import represents_name
from bridge.errors import LedgerError
from bridge.ledger.bulk_sql import fetch_all
from bridge.ledger.connection_and_scope_renames import find_unconfigured_feeds
from bridge.ledger.damage_tolerant_columns import UNREADABLE
from bridge.ledger.row_mapping import KNOWN, is_in, sealer_of, to_ledger_row, unpack_identifiers
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.schema import canaries, claims, contents, feeds, links, records, sweeps
from bridge.ledger.sealed_texts import pack, to_texts
from bridge.records import LedgerRow, MergedBy, NameHolder, Origin, Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import BindParameter, Connection, Row

    from bridge.ledger.row_mapping import Feed
    from bridge.ledger.row_writes import RowWrites
    from bridge.records import Draft, FieldHashes

__all__ = ["NameHolders", "Succession"]


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


_STAY = frozenset({State.DROPPED, State.REJECTED, State.SKIPPED})
"""States that an operator, or the map, set for the former holder: it stays in them."""


class Succession:
    """Moves what one record has under a name to its successor.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        writes: The writes of that transaction.
    """

    def __init__(self, connection: Connection, feed: Feed, writes: RowWrites) -> None:
        self._connection = connection
        self._feed = feed
        self._writes = writes

    def carry_out(
        self, successor: LedgerRow, former: LedgerRow, key: str, *, own: Draft | None
    ) -> tuple[LedgerRow, LedgerRow]:
        """Move claim, attempts and link of a name to the successor, which may know the party by another name.

        Args:
            successor: The successor, as decided.
            former: The record that it succeeds.
            key: Key of the name that claim and link are stored under.
            own: The successor's own draft; None if it is not stored.

        Returns:
            Both records, as they are now.
        """
        self._writes.flush()
        moved = {"of_space": self._feed.namespace, "of_key": key, "old": former.number}
        claim = self._connection.execute(_CLAIM_OF, moved).one()
        link = self._connection.execute(_LINK_OF, moved).first()
        self._connection.execute(_MOVE_CLAIM, moved | {"new": successor.number})
        if former.sent_key == key:
            self._hand_on_request(successor, former)
        if link is not None:
            successor = self._move_link(successor, former, key, link)
        elif claim.attempts:
            successor = self._move_attempts(successor, former, claim, own)
        return successor, self._leave_name(former, successor, key)

    def move_merged(self, former: LedgerRow, key: str, successor: LedgerRow) -> list[int]:
        """Merge all records that share a name, or its party under other names, into the successor.

        Args:
            former: The record that they were merged into.
            key: Key of the name that the successor took over.
            successor: The record that they are merged into from now on.

        Returns:
            The numbers of the moved records.
        """
        self._writes.flush()
        stays_under = "" if former.sent_key == key else former.sent_key
        of = {"of_space": self._feed.namespace, "of_key": key, "old": former.number, "new": successor.number}
        of |= {"stays_under": stays_under, "shares_party": int(successor.answered)}
        return list(self._connection.scalars(_MOVE_MERGED, of))

    def _hand_on_request(self, successor: LedgerRow, former: LedgerRow) -> None:
        """Give a request that is under way for the name to the successor, so that it is not sent twice."""
        until = self._connection.scalar(_UNDER_WAY_UNTIL, {"old": former.number})
        if until:
            self._connection.execute(_SET_UNDER_WAY, {"of_record": successor.number, "until": until})
            self._connection.execute(_SET_UNDER_WAY, {"of_record": former.number, "until": 0})

    def _move_link(
        self, successor: LedgerRow, former: LedgerRow, key: str, link: Row[*tuple[Any, ...]]
    ) -> LedgerRow:
        """Move the party to the successor: the link with what was sent, and its sealed text."""
        of = {
            "of_space": self._feed.namespace,
            "of_id": link.trakor_id,
            "old": former.number,
            "new": successor.number,
        }
        self._connection.execute(_MOVE_LINK, of)
        if successor.sent_key != key:
            # Both names now belong to the party: the successor's own counts as the one that was sent.
            own = of | {"of_key": successor.sent_key}
            self._connection.execute(_LINK_UNDER, own)
            self._connection.execute(_MOVE_CLAIM, own)
            self._connection.execute(_NEVER_TRIED, of | {"of_key": key})
        self._connection.execute(_MOVE_RETURNED, of)
        self._connection.execute(delete(canaries).where(canaries.c.record == former.number))
        now = successor._replace(
            trakor_id=link.trakor_id,
            origin=Origin(link.origin) if link.origin else former.origin,
        )
        body = self._connection.scalar(_TEXT_OF, of)
        if body is not None:
            with suppress(LedgerError):  # a damaged text stops nothing: `ledger check` reports it
                texts = sealer_of(self._connection).open(body, self._feed.seal_context_of(former))
                self._writes.text(now, link.trakor_id, texts)
        self._writes.row(now, known=True, starts_over=False, read=None)
        return now

    def _move_attempts(
        self, successor: LedgerRow, former: LedgerRow, claim: Row[*tuple[Any, ...]], own: Draft | None
    ) -> LedgerRow:
        """Send what was tried again until it is answered: Trakor may have the name.

        Of a forgotten record, only the spelling of the name is sent again, with the successor's fields.
        """
        tried = self._writes.stored(former).get(TO_SEND) if former.sent_key == successor.sent_key else None
        now = successor._replace(attempts=claim.attempts)
        if tried is not None and former.forgotten and own is not None:
            self._writes.store(now, TO_SEND, own, tried.send_as)
        elif tried is not None:
            now = now._replace(sent=former.sent, seen=successor.sent)
            self._writes.store_texts(now, TO_SEND, to_texts(tried.draft, tried.send_as), pack(tried.draft))
            if own is not None:
                self._writes.store(now, NOTED, own, own.payload.name)
        self._writes.row(now, known=True, starts_over=False, read=None)
        return now

    def _leave_name(self, former: LedgerRow, successor: LedgerRow, key: str) -> LedgerRow:
        """Take the name from the former record. If that is still there, it is merged into its successor."""
        if former.sent_key != key:
            return former
        changes: dict[str, Any] = {"trakor_id": None, "origin": None, "content": {}, "attempts": 0}
        if former.forgotten:
            pass
        elif former.state in _STAY:
            # Its text was rejected: it is decided on again when the text changes.
            changes |= {"sent_key": "", "sent": former.last_seen, "seen": None}
        else:
            changes |= {
                "state": State.MERGED,
                "reason": None,
                "merged_into": successor.number,
                "merged_by": former.merged_by or MergedBy.RULE,
                "sent": former.last_seen,
                "seen": None,
                "remapped": False,
                "dismissed": False,
            }
        left = former._replace(**changes)
        self._writes.row(left, known=True, starts_over=False, read=None)
        self._writes.remove(former.number)
        self._writes.line(former.number, "merged", f"into {successor.id}, which takes its place")
        return left


_OLD: BindParameter[int] = bindparam("old")
_CLAIM_OF = select(claims.c.attempts, claims.c.tried).where(
    claims.c.space == bindparam("of_space"), claims.c.key == bindparam("of_key")
)
_LINK_OF = (
    select(links.c.trakor_id, links.c.origin, links.c.sent)
    .where(links.c.space == bindparam("of_space"), links.c.record == _OLD, links.c.key == bindparam("of_key"))
    .order_by(links.c.at.desc())
    .limit(1)
)
_MOVE_CLAIM = (
    update(claims)
    .where(claims.c.space == bindparam("of_space"), claims.c.key == bindparam("of_key"))
    .values(record=bindparam("new"))
)
_UNDER_WAY_UNTIL = select(records.c.claimed_until).where(records.c.number == _OLD)
_SET_UNDER_WAY = (
    update(records).where(records.c.number == bindparam("of_record")).values(claimed_until=bindparam("until"))
)
_MOVE_LINK = (
    update(links)
    .where(links.c.space == bindparam("of_space"), links.c.trakor_id == bindparam("of_id"))
    .values(record=bindparam("new"))
)
_LINK_UNDER = (
    update(links)
    .where(links.c.space == bindparam("of_space"), links.c.trakor_id == bindparam("of_id"))
    .values(key=bindparam("of_key"))
)
_NEVER_TRIED = (
    update(claims)
    .where(claims.c.space == bindparam("of_space"), claims.c.key == bindparam("of_key"))
    .values(answered=1, attempts=0, tried="", unanswered_at=0)
)
_OWN_LINKS = select(links.c.key).where(links.c.space == bindparam("of_space"), links.c.record == _OLD)
_MOVE_RETURNED = (
    update(claims)
    .where(
        claims.c.space == bindparam("of_space"),
        claims.c.record == _OLD,
        claims.c.answered == 1,
        claims.c.attempts == 0,
        claims.c.key.not_in(_OWN_LINKS),
    )
    .values(record=bindparam("new"))
)
_TEXT_OF = select(contents.c.body).where(
    contents.c.space == bindparam("of_space"), contents.c.trakor_id == bindparam("of_id")
)
_MOVE_MERGED = (
    update(records)
    .where(
        records.c.merged_into == _OLD,
        records.c.number != bindparam("new"),
        or_(
            records.c.sent_key == bindparam("of_key"),
            and_(
                bindparam("shares_party") == 1,
                records.c.sent_key.not_in(_OWN_LINKS),
                records.c.sent_key != bindparam("stays_under"),
            ),
        ),
    )
    .values(merged_into=bindparam("new"))
    .returning(records.c.number)
)
