"""Moves a claim, its link and its sealed text to the record that succeeds another.

All of it happens in the transaction that decided so. If the process dies before the commit, nothing has
changed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, or_, select, update

from bridge.errors import LedgerError
from bridge.ledger.row_mapping import sealer_of
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.schema import canaries, claims, contents, links, records
from bridge.ledger.sealed_texts import pack, to_texts
from bridge.records import LedgerRow, MergedBy, Origin, State

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Connection, Row

    from bridge.ledger.feeds import Feed
    from bridge.ledger.row_writes import RowWrites
    from bridge.records import Draft

__all__ = ["Succession"]

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
