"""What came of claimed work is settled, a batch at a time (``queue`` claims it).

::

    pending ──claim──> Work ──delivery──> Outcome ──settle──> decided, or to be sent again
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, delete, func, or_, select, update

from bridge import decision
from bridge.ledger.batch import Batch
from bridge.ledger.deliveries import count_delivered
from bridge.ledger.queue import end_claims
from bridge.ledger.rows import ROW, among, row_of, unpack
from bridge.ledger.schema import links, records, waiting
from bridge.ledger.writes import NOTED
from bridge.records import Answered, Decision, Later, NotTaken, Reason, State, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import Draft, LedgerRow, Outcome, Policy

__all__ = ["settle"]

# Statements are made once: to build one costs ten times as much as to run it for one row.


_DELIVERED = records.c.state.in_((State.DELIVERED, State.DRIFTED))
_SETTLED = (
    update(records)
    .where(among(records.c.number, "numbers"))
    .values(
        answered_run=case(
            (_DELIVERED, func.coalesce(bindparam("of_run"), records.c.run)), else_=records.c.answered_run
        ),
        claimed_until=0,
    )
)
_ROWS = select(*ROW).where(among(records.c.number, "numbers"))
_NEVER_SENT = _ROWS.where(records.c.attempts == 0, or_(records.c.state == State.DROPPED, records.c.gone == 1))
_LINKED = select(links.c.trakor_id, links.c.record).where(
    links.c.space == bindparam("of_space"), among(links.c.trakor_id, "ids")
)
_NOTED = select(waiting.c.record, waiting.c.body).where(
    among(waiting.c.record, "numbers"), waiting.c.slot == NOTED
)
_HEIRS = select(records.c.number).where(
    among(records.c.merged_into, "numbers"), records.c.state == State.MERGED
)
_DROP_HEIRS_DRAFTS = delete(waiting).where(waiting.c.record.in_(_HEIRS))


def settle(
    connection: Connection,
    feed: Feed,
    outcomes: Sequence[Outcome],
    *,
    policy: Policy,
    now: int,
    run: int | None = 0,
) -> None:
    """Write what came of claimed work, and decide on what was noted meanwhile.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records these are.
        outcomes: What came of them.
        policy: What the user chose for this stream.
        now: The time to note.
        run: Number of the run that got the answers, 0 for none; None: the one that each record is of, for who
            sends what many sweeps have read.
    """
    end_claims(connection, feed, outcomes)
    settling = _Settling(connection, feed, policy, now)
    settling.give_back([one.work.number for one in outcomes if isinstance(one, Later) and not one.begun])
    said = [one for one in outcomes if not isinstance(one, Later)]
    if not said:
        return
    numbers = [one.work.number for one in said]
    found = connection.execute(_ROWS, {"numbers": numbers})
    rows = {row.number: row_of(row) for row in found}
    settling.expect(said)
    for one in said:
        settling.settle(one, rows[one.work.number])
    settling.batch.writes.flush()
    settling.drop_merged_drafts()
    count_delivered(connection, feed, [one for one in said if isinstance(one, Answered)], now)
    connection.execute(_SETTLED, {"numbers": numbers, "of_run": run})


class _Settling:
    """Settles one batch of outcomes."""

    def __init__(self, connection: Connection, feed: Feed, policy: Policy, now: int) -> None:
        self._connection = connection
        self._feed = feed
        self._policy = policy
        self._now = now
        self._linked: dict[str, int] = {}
        self._noted: dict[int, Draft] = {}
        self._answered: list[int] = []
        self.batch = Batch(connection, feed, now, partial(decision.decide, policy=policy))

    def give_back(self, numbers: list[int]) -> None:
        """Those that were dropped, or gone, while they waited to be sent hold no name: none ever left."""
        if numbers:
            for row in self._connection.execute(_NEVER_SENT, {"numbers": numbers}).all():
                known = row_of(row)
                self.batch.carry_out(decision.give_back(known), None, known, sight=False)
            self.batch.writes.flush()

    def expect(self, outcomes: Sequence[Answered | NotTaken]) -> None:
        """Look up at once which returned ids are linked already, and what was noted meanwhile."""
        ids = [one.answer.trakor_id for one in outcomes if isinstance(one, Answered)]
        links_found = self._connection.execute(_LINKED, {"of_space": self._feed.space, "ids": ids})
        self._linked = {row.trakor_id: row.record for row in links_found}
        noted_found = self._connection.execute(_NOTED, {"numbers": [one.work.number for one in outcomes]})
        self._noted = {row.record: unpack(row.body, self._feed.stream).draft for row in noted_found}

    def settle(self, outcome: Answered | NotTaken, row: LedgerRow) -> None:
        """Write one outcome, then decide on what was noted while it was under way."""
        if isinstance(outcome, Answered):
            now = self._answer(outcome, row)
        elif row.state is State.PENDING or (row.state is State.DROPPED and outcome.own_fault):
            judge = decision.reject if outcome.own_fault else decision.fail
            now = self.batch.carry_out(judge(row, outcome.message), None, row, sight=False)
        else:
            return  # a person dropped it while it was under way
        noted = self._noted.get(row.number)
        if noted is not None and now.state not in {State.DROPPED, State.PENDING} and now.reason not in _ASKED:
            self._decide_noted(noted, now)

    def _answer(self, outcome: Answered, row: LedgerRow) -> LedgerRow:
        answer = outcome.answer
        linked = self._linked.get(answer.trakor_id)
        verdict = decision.settle(answer, row, linked, self._policy, noted=row.number in self._noted)
        self._claim_returned_name(outcome, row)
        own = linked is None or linked == row.number
        if own:
            self._link(outcome, row)
        self._answered.append(row.number)
        return self.batch.carry_out(
            verdict, None, row, sight=False, trakor_id=answer.trakor_id if own else None
        )

    def _claim_returned_name(self, outcome: Answered, row: LedgerRow) -> None:
        """The name sent is answered for; a returned name with another key is claimed as well."""
        if outcome.key and outcome.key != row.sent_key:
            self.batch.claim_returned(row.number, outcome.key)
        self.batch.writes.answer(row.sent_key)

    def _link(self, outcome: Answered, row: LedgerRow) -> None:
        answer = outcome.answer
        self._linked[answer.trakor_id] = row.number
        self.batch.writes.link(row.number, answer.trakor_id, answer.sku)

    def _decide_noted(self, noted: Draft, row: LedgerRow) -> None:
        """What changed while the record was unanswered is decided now, as answered."""
        # A later sight of the same only moved the time of the read: the note is not old for that.
        then = replace(row, read_at=noted.read_at)
        # What is gone is not sent under another name: it is decided when it is back.
        again = None if row.gone else decision.decide(noted, then, self.batch.holder_of, self._policy)
        if again is None:
            again = Decision(
                row.state,
                row.reason,
                merged_into=row.merged_into,
                waiting=Waiting.UNNOTE,
                filtered=row.filtered,
            )
        self.batch.carry_out(again, noted, row, sight=False)

    def drop_merged_drafts(self) -> None:
        """The drafts of those merged into an answered record no longer wait for it to give up its name."""
        self._connection.execute(_DROP_HEIRS_DRAFTS, {"numbers": self._answered})


_ASKED = frozenset({Reason.EXISTING, Reason.SAME_PARTY})
"""Reasons that a person is asked about first; what was noted waits until then."""
