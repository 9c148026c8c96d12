"""Pending records are claimed for sending, and what came of it is settled, a batch at a time.

::

    pending ──claim: attempt noted, draft read──> Work ──delivery──> Outcome ──settle──> decided

A claim is noted before anything is sent: a process that dies leaves each record either untouched or
known to have been tried. A claim ends with its outcome, or after its time where its owner died.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, case, delete, func, or_, select, update

from bridge import decision
from bridge.ledger.batch import Batch
from bridge.ledger.deliveries import count_delivered
from bridge.ledger.rows import ROW, among, payload_of, row_of, unpack
from bridge.ledger.schema import links, records, waiting
from bridge.ledger.writes import NOTED, TO_SEND
from bridge.records import Answered, Decision, Later, NotTaken, Reason, State, Waiting, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import Draft, LedgerRow, Outcome, Policy

__all__ = ["Claimed", "claim", "claim_all", "give_up_claims", "next_due", "settle"]

FARTHEST: Final = 60 * 60 * 1000
"""Milliseconds; a record that is due later than that when the ledger is opened is due at once."""

# Statements are made once: to build one costs ten times as much as to run it for one row.

_FEED = records.c.feed == bindparam("of_feed")
_DUE = (_FEED, records.c.state == State.PENDING, records.c.gone == 0)
_CLAIMABLE = (
    select(records.c.number, records.c.attempts, records.c.failures, waiting.c.body)
    .join(waiting, (waiting.c.record == records.c.number) & (waiting.c.slot == TO_SEND))
    .where(*_DUE, records.c.next_try_at <= bindparam("now"), records.c.claimed_until <= bindparam("now"))
    .order_by(records.c.next_try_at, records.c.number)
    .limit(bindparam("most"))
)
_CLAIM = (
    update(records)
    .where(among(records.c.number, "numbers"))
    .values(attempts=records.c.attempts + 1, claimed_until=bindparam("until"))
)
_TOO_FAR = records.c.next_try_at > bindparam("farthest")
_GIVE_UP = (
    update(records)
    .where(_FEED, records.c.state == State.PENDING, or_(records.c.claimed_until > 0, _TOO_FAR))
    .values(claimed_until=0, next_try_at=case((_TOO_FAR, bindparam("now")), else_=records.c.next_try_at))
)
_NEXT_DUE = select(func.min(records.c.next_try_at)).where(*_DUE, records.c.claimed_until == 0)
_LATER = (
    update(records)
    .where(records.c.number == bindparam("row_number"))
    .values(
        next_try_at=bindparam("next_try"),
        failures=records.c.failures + bindparam("failed"),
        attempts=records.c.attempts - bindparam("taken_back"),
        claimed_until=0,
    )
)
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


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a look for something to send came to.

    Attributes:
        work: What was claimed.
        next_due: When it is worth looking again; None where nothing else waits.
    """

    work: list[Work]
    next_due: int | None


def claim(connection: Connection, feed: Feed, limit: int, *, now: int, until: int) -> list[Work]:
    """Claim pending records that are due, noting the attempt.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records.
        limit: How many at most.
        now: The time to compare due times with.
        until: When the claim ends by itself, should its owner die.

    Returns:
        The work, the longest due first.
    """
    found = connection.execute(_CLAIMABLE, {"of_feed": feed.number, "now": now, "most": limit}).all()
    if found:
        connection.execute(_CLAIM, {"numbers": [row.number for row in found], "until": until})
    return [
        Work(
            row.number, feed.stream, payload_of(unpack(row.body, feed.stream)), row.attempts + 1, row.failures
        )
        for row in found
    ]


def claim_all(connection: Connection, feeds: Sequence[Feed], limit: int, *, now: int, until: int) -> Claimed:
    """Claim of several feeds at once: each call waits its turn behind all that is written meanwhile.

    Args:
        connection: Inside a writing transaction.
        feeds: Whose records.
        limit: How many of each at most.
        now: The time to compare due times with.
        until: When the claims end by themselves, should their owner die.
    """
    work: list[Work] = []
    moments: list[int | None] = []
    for feed in feeds:
        claimed = claim(connection, feed, limit, now=now, until=until)
        work += claimed
        moments.append(now if len(claimed) == limit else next_due(connection, feed))
    return Claimed(work, min((moment for moment in moments if moment is not None), default=None))


def next_due(connection: Connection, feed: Feed) -> int | None:
    """When the next unclaimed pending record is due; None where none waits."""
    due: int | None = connection.scalar(_NEXT_DUE, {"of_feed": feed.number})
    return due


def give_up_claims(connection: Connection, feed: Feed, *, now: int) -> None:
    """End all claims of a feed, and waits that have no end: for the one owner, when it opens the ledger.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records.
        now: The time. What is due more than an hour from now is due now: the clock was set back since that
            was noted, or the wait was so long that one more request after a restart does no harm.
    """
    connection.execute(_GIVE_UP, {"of_feed": feed.number, "now": now, "farthest": now + FARTHEST})


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
    _settle_later(connection, [one for one in outcomes if isinstance(one, Later)])
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


def _settle_later(connection: Connection, outcomes: Sequence[Later]) -> None:
    """No answer: due again later; an attempt that never began is taken back."""
    if not outcomes:
        return
    connection.execute(
        _LATER,
        [
            {
                "row_number": one.work.number,
                "next_try": one.next_try_at,
                "failed": int(one.failed),
                "taken_back": int(not one.begun),
            }
            for one in outcomes
        ],
    )


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
