"""One record takes another's place under a name: claim, link and sealed text move together.

Carried out in the transaction of the decision (``decision.succession``): who dies before its commit has
changed nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, or_, select, update

from bridge.errors import LedgerError
from bridge.ledger.row_mapping import sealer_of
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.schema import canaries, claims, contents, links, records
from bridge.ledger.stored_drafts import pack, texts_of
from bridge.records import LedgerRow, MergedBy, Origin, State

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Connection, Row

    from bridge.ledger.row_mapping import Feed
    from bridge.ledger.row_writes import Writes
    from bridge.records import Draft

__all__ = ["Succession"]

_STAY = frozenset({State.DROPPED, State.REJECTED, State.SKIPPED})
"""States that a person, or the map, has put the former one into: it stays there."""


class Succession:
    """Moves what one record has under a name to another one.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        writes: What that transaction writes.
    """

    def __init__(self, connection: Connection, feed: Feed, writes: Writes) -> None:
        self._connection = connection
        self._feed = feed
        self._writes = writes

    def carry_out(
        self, heir: LedgerRow, former: LedgerRow, key: str, *, own: Draft | None
    ) -> tuple[LedgerRow, LedgerRow]:
        """Move claim, attempts and link of a name to the heir, which may know the party by another one.

        Args:
            heir: The successor, as decided.
            former: The record whose place it takes.
            key: Key of the name that claim and link are kept under.
            own: What the successor says itself; None where that is not stored.

        Returns:
            Both, as they stand now.
        """
        self._writes.flush()
        moved = {"of_space": self._feed.space, "of_key": key, "old": former.number}
        claim = self._connection.execute(_CLAIM_OF, moved).one()
        link = self._connection.execute(_LINK_OF, moved).first()
        self._connection.execute(_MOVE_CLAIM, moved | {"new": heir.number})
        if former.sent_key == key:
            self._hand_on_request(heir, former)
        if link is not None:
            heir = self._take_link(heir, former, key, link)
        elif claim.attempts:
            heir = self._take_attempts(heir, former, claim, own)
        return heir, self._leave(former, heir, key)

    def move_merged(self, former: LedgerRow, key: str, heir: LedgerRow) -> list[int]:
        """All that are merged into a record under a name, or share its party under others, follow the heir.

        Args:
            former: The record that they were merged into.
            key: Key of the name that the heir took over.
            heir: The record that they are merged into from now on.

        Returns:
            The numbers of those that were moved.
        """
        self._writes.flush()
        stays_under = "" if former.sent_key == key else former.sent_key
        of = {"of_space": self._feed.space, "of_key": key, "old": former.number, "new": heir.number}
        of |= {"stays_under": stays_under, "shares_party": int(heir.answered)}
        return list(self._connection.scalars(_MOVE_MERGED, of))

    def _hand_on_request(self, heir: LedgerRow, former: LedgerRow) -> None:
        """A request that is under way for the name is the heir's: it is not sent again beside it."""
        until = self._connection.scalar(_UNDER_WAY_UNTIL, {"old": former.number})
        if until:
            self._connection.execute(_SET_UNDER_WAY, {"of_record": heir.number, "until": until})
            self._connection.execute(_SET_UNDER_WAY, {"of_record": former.number, "until": 0})

    def _take_link(
        self, heir: LedgerRow, former: LedgerRow, key: str, link: Row[*tuple[Any, ...]]
    ) -> LedgerRow:
        """The party is the heir's: the link with what was sent, and the sealed text of it."""
        of = {"of_space": self._feed.space, "of_id": link.trakor_id, "old": former.number, "new": heir.number}
        self._connection.execute(_MOVE_LINK, of)
        if heir.sent_key != key:
            # Both names are the party's now: the heir's own, and one that Trakor answered with, as it were.
            own = of | {"of_key": heir.sent_key}
            self._connection.execute(_LINK_UNDER, own)
            self._connection.execute(_MOVE_CLAIM, own)
            self._connection.execute(_NEVER_TRIED, of | {"of_key": key})
        self._connection.execute(_MOVE_RETURNED, of)
        self._connection.execute(delete(canaries).where(canaries.c.record == former.number))
        now = heir._replace(
            trakor_id=link.trakor_id,
            origin=Origin(link.origin) if link.origin else former.origin,
        )
        body = self._connection.scalar(_TEXT_OF, of)
        if body is not None:
            with suppress(LedgerError):  # a text that is damaged stops nobody: `ledger check` tells
                texts = sealer_of(self._connection).open(body, self._feed.place_of(former))
                self._writes.text(now, link.trakor_id, texts)
        self._writes.row(now, known=True, claims_anew=False, read=None)
        return now

    def _take_attempts(
        self, heir: LedgerRow, former: LedgerRow, claim: Row[*tuple[Any, ...]], own: Draft | None
    ) -> LedgerRow:
        """Trakor may have the name: what was tried is sent again until it is answered, whoever tried it.

        Of one that is forgotten only the name's spelling is sent again, with what the heir says.
        """
        tried = self._writes.stored(former).get(TO_SEND) if former.sent_key == heir.sent_key else None
        now = heir._replace(attempts=claim.attempts)
        if tried is not None and former.forgotten and own is not None:
            self._writes.store(now, TO_SEND, own, tried.send_as)
        elif tried is not None:
            now = now._replace(sent=former.sent, seen=heir.sent)
            self._writes.store_texts(now, TO_SEND, texts_of(tried.draft, tried.send_as), pack(tried.draft))
            if own is not None:
                self._writes.store(now, NOTED, own, own.payload.name)
        self._writes.row(now, known=True, claims_anew=False, read=None)
        return now

    def _leave(self, former: LedgerRow, heir: LedgerRow, key: str) -> LedgerRow:
        """The former one has that name no more; if it is there again it is merged into its successor."""
        if former.sent_key != key:
            return former
        changes: dict[str, Any] = {"trakor_id": None, "origin": None, "content": {}, "attempts": 0}
        if former.forgotten:
            pass
        elif former.state in _STAY:
            # What it says was turned down: it is decided on again when it says something else.
            changes |= {"sent_key": "", "sent": former.last_seen, "seen": None}
        else:
            changes |= {
                "state": State.MERGED,
                "reason": None,
                "merged_into": heir.number,
                "merged_by": former.merged_by or MergedBy.RULE,
                "sent": former.last_seen,
                "seen": None,
                "remapped": False,
                "dismissed": False,
            }
        left = former._replace(**changes)
        self._writes.row(left, known=True, claims_anew=False, read=None)
        self._writes.remove(former.number)
        self._writes.line(former.number, "merged", f"into {heir.id}, which takes its place")
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
