"""Writes the outcomes of claimed work, a batch at a time (``send_queue`` claims it).

::

    pending ──claim──> work ──delivery──> Outcome ──settle──> decided, or to be sent again

It also stores which records of a feed Trakor rejected and that are still to be sent. A record that is
rejected again, after Trakor accepted another one of its stream, causes the error itself, even across runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import bindparam, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge import decision, names
from bridge.ledger.bulk_sql import fetch_all
from bridge.ledger.canary_payloads import store_canaries
from bridge.ledger.decision_writer import DecisionWriter
from bridge.ledger.row_mapping import KNOWN, is_in, is_one_of, to_ledger_row
from bridge.ledger.row_writes import NOTED
from bridge.ledger.schema import claims, facts, feeds, links, records, stored_texts
from bridge.ledger.send_queue import end_claims
from bridge.ledger.statistics import count_delivered
from bridge.records import Accepted, DraftAction, Rejection, Retry, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.feeds import Feed
    from bridge.records import Decision, FieldHashes, LedgerRow, Outcome, Policy

__all__ = ["RejectionLog", "load_rejections", "save_rejections", "settle"]

# Statements are built once: to build one costs ten times as much as to run it for one row.
_DELIVERED = is_one_of(records.c.state, State.DELIVERED, State.DRIFTED)
_ENDED = update(records).where(is_in(records.c.number, "numbers")).values(claimed_until=0)
_SETTLED = (
    update(records)
    .where(is_in(records.c.number, "numbers"))
    .values(
        answered_run=case(
            (_DELIVERED, func.coalesce(bindparam("of_run"), records.c.run)), else_=records.c.answered_run
        ),
    )
)
_ROWS = KNOWN.where(is_in(records.c.number, "numbers"))
_NEVER_SENT = _ROWS.where(
    func.coalesce(claims.c.attempts, 0) == 0, or_(records.c.state == State.DROPPED, records.c.gone == 1)
)
_LINKED = select(links.c.trakor_id, links.c.record, links.c.sent).where(
    links.c.space == bindparam("of_space"), is_in(links.c.trakor_id, "ids")
)
_TAKEN_OVER = text(
    "SELECT asked.key AS place, claims.record AS holder FROM json_each(:asked) AS asked"
    " CROSS JOIN claims ON claims.space = :of_space AND claims.key = json_extract(asked.value, '$[0]')"
    " WHERE claims.record <> json_extract(asked.value, '$[1]')"
)
_NOTED = select(stored_texts.c.record).where(
    is_in(stored_texts.c.record, "numbers"), stored_texts.c.slot == NOTED
)
_WANTED = select(records.c.key).where(
    records.c.feed.in_(select(feeds.c.number).where(feeds.c.space == bindparam("of_space"))),
    is_in(records.c.key, "keys"),
    records.c.sent_key != records.c.key,
    records.c.state != State.MERGED,
    records.c.forgotten == 0,
)


def settle(
    connection: Connection,
    feed: Feed,
    outcomes: Sequence[Outcome],
    *,
    policy: Policy,
    now: int,
    run: int | None = 0,
) -> bool:
    """Write the outcomes of claimed work, and decide on what was noted meanwhile.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        outcomes: The outcomes.
        policy: What the user chose for this stream.
        now: The time to note.
        run: Number of the run that got the answers, 0 for none. None: the run of each record, for a sender
            that sends what many sweeps have read.

    Returns:
        Whether something else is to be sent because of it, such as the successor of a rejected record.
    """
    sent = [one.work for one in outcomes if isinstance(one, Accepted)]
    outcomes = _reassign_to_holders(connection, feed, outcomes)
    end_claims(connection, feed, outcomes)
    settlement = _Settlement(connection, feed, policy, now)
    settlement.give_back([one.work.number for one in outcomes if isinstance(one, Retry) and not one.begun])
    answered = [one for one in outcomes if not isinstance(one, Retry)]
    if not answered:
        return settlement.batch.sends
    numbers = [one.work.number for one in answered]
    connection.execute(
        _ENDED, {"numbers": numbers}
    )  # first, because a successor takes over only what is under way
    rows = {row.number: row for row in map(to_ledger_row, fetch_all(connection, _ROWS, {"numbers": numbers}))}
    settlement.expect(answered, rows)
    for one in answered:
        settlement.settle(one, rows[one.work.number])
    settlement.batch.writes.flush()
    count_delivered(connection, feed, [one for one in answered if isinstance(one, Accepted)], now)
    connection.execute(_SETTLED, {"numbers": numbers, "of_run": run})
    if sent:
        taken = ((work.number, work.key, work.payload) for work in sent)
        store_canaries(connection, feed, taken, now=now)
    return settlement.batch.sends


def _reassign_to_holders(connection: Connection, feed: Feed, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Assign each outcome to the present holder of the name, which may have changed during the request."""
    asked = orjson.dumps([(one.work.key, one.work.number) for one in outcomes]).decode()
    taken_over = connection.execute(_TAKEN_OVER, {"of_space": feed.namespace, "asked": asked})
    now = list(outcomes)
    for row in taken_over:
        now[row.place] = replace(now[row.place], work=replace(now[row.place].work, number=row.holder))
    return now


class _Settlement:
    """Settles one batch of outcomes."""

    def __init__(self, connection: Connection, feed: Feed, policy: Policy, now: int) -> None:
        self._connection = connection
        self._feed = feed
        self._policy = policy
        self._linked: dict[str, tuple[int, FieldHashes]] = {}
        self._noted: set[int] = set()
        self._wanted: set[str] = set()
        self.batch = DecisionWriter(connection, feed, policy, now)

    def give_back(self, numbers: list[int]) -> None:
        """Release the names of records that were dropped, or gone, before their request left."""
        if numbers:
            for row in self._connection.execute(_NEVER_SENT, {"numbers": numbers}).all():
                known = to_ledger_row(row)._replace(
                    attempts=1
                )  # other records relied on this attempt until now
                self.batch.carry_out(decision.give_back(known), None, known, just_seen=False)
            self.batch.writes.flush()

    def expect(self, outcomes: Sequence[Accepted | Rejection], rows: Mapping[int, LedgerRow]) -> None:
        """Look up with one query each which ids are linked, what was noted, and which names are wanted."""
        answers = [one for one in outcomes if isinstance(one, Accepted)]
        known = {"of_space": self._feed.namespace, "ids": [one.answer.trakor_id for one in answers]}
        self._linked = {
            row.trakor_id: (row.record, names.decode(row.sent))
            for row in self._connection.execute(_LINKED, known)
        }
        numbers = [one.work.number for one in outcomes]
        self._noted = set(self._connection.scalars(_NOTED, {"numbers": numbers}))
        keys = [rows[one.work.number].key for one in answers if not one.answer.created]
        if keys:
            wanted = {"of_space": self._feed.namespace, "keys": keys}
            self._wanted = set(self._connection.scalars(_WANTED, wanted))

    def settle(self, outcome: Accepted | Rejection, row: LedgerRow) -> None:
        """Write one outcome, then decide on what was noted while it was under way."""
        row = self.batch.current(row)
        if isinstance(outcome, Accepted):
            now = self._answer(outcome, row)
        elif row.state is State.PENDING or (row.state is State.DROPPED and outcome.caused_by_record):
            judge = decision.reject if outcome.caused_by_record else decision.fail
            verdict = judge(row, outcome.message, outcome.response_text)
            now = self.batch.carry_out(verdict, None, row, just_seen=False)
        else:
            return  # an operator dropped it while it was under way
        if row.number in self._noted and now.state in _DECIDED:
            self._decide_noted(self.batch.current(now))

    def _answer(self, outcome: Accepted, row: LedgerRow) -> LedgerRow:
        answer = outcome.answer
        linked, link = self._linked.get(answer.trakor_id, (None, None))
        own = linked is None or linked == row.number
        verdict = decision.settle(
            answer,
            row,
            linked,
            self._policy,
            noted=row.number in self._noted,
            link=link if own else None,
            wanted=row.key in self._wanted,
            silent=outcome.work.unanswered_at > 0,
        )
        self._claim_returned_name(outcome, row)
        if linked is None:
            self._link(outcome, row, verdict)
        return self.batch.carry_out(
            verdict, None, row, just_seen=False, trakor_id=answer.trakor_id if own else None
        )

    def _claim_returned_name(self, outcome: Accepted, row: LedgerRow) -> None:
        """Mark the sent name as answered; claim a returned name with another key as well."""
        if outcome.key and outcome.key != row.sent_key:
            self.batch.claim_returned(row.number, outcome.key)
        self.batch.writes.answer(row.sent_key)

    def _link(self, outcome: Accepted, row: LedgerRow, verdict: Decision) -> None:
        answer = outcome.answer
        self._linked[answer.trakor_id] = (row.number, verdict.content or {})
        content = verdict.content or {}
        self.batch.writes.link(row, answer.trakor_id, answer.sku, str(verdict.origin), content)

    def _decide_noted(self, row: LedgerRow) -> None:
        """Decide on what changed while the record was unanswered, now that it is answered."""
        stored = self.batch.writes.stored(row).get(NOTED)
        if stored is None:
            return  # another record succeeded it: it is decided at its next read
        noted = stored.draft
        # A later read without a change only moved the read time: the note is not stale for that.
        then = row._replace(read_at=noted.read_at, seen=None)
        seen = replace(noted, rules=row.rules)
        # A gone record is not sent under another name: it is decided when it is back.
        again = None if row.gone else decision.decide(seen, then, self.batch.holder_of, self._policy)
        if again is None:
            again = decision.stay_unchanged(row)._replace(draft_action=DraftAction.UNNOTE)
        self.batch.carry_out(again, seen, row, just_seen=False)


_DECIDED = frozenset({State.DELIVERED, State.DRIFTED, State.REJECTED})
"""States in which a noted change is decided at once. In other states an operator is asked first."""


@dataclass(frozen=True, slots=True)
class RejectionLog:
    """Which records of a stream were rejected, measured in accepted records.

    Attributes:
        taken: How many records were accepted, as far as they were counted.
        records: Number of a record -> how many records had been accepted at its last rejection.
    """

    taken: int = 0
    records: Mapping[int, int] = field(default_factory=dict)


def save_rejections(connection: Connection, feed: Feed, known: RejectionLog) -> None:
    """Store the rejections of a feed, replacing the previous ones; delete them if no record is in doubt.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        known: The rejections.
    """
    if not known.records:
        connection.execute(delete(facts).where(facts.c.name == _fact_name(feed)))
        return
    text = orjson.dumps([known.taken, [*known.records.items()]]).decode()
    written = upsert(facts).values(name=_fact_name(feed), value=text)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": text}))


def load_rejections(connection: Connection, feed: Feed) -> RejectionLog:
    """Load the rejections of a feed; none if they are unreadable, so that each record is tried once more."""
    text = connection.scalar(select(facts.c.value).where(facts.c.name == _fact_name(feed)))
    if text is None:
        return RejectionLog()
    try:
        taken, pairs = orjson.loads(text)
        return RejectionLog(int(taken), {int(number): int(before) for number, before in pairs})
    except (ValueError, TypeError):
        return RejectionLog()


def _fact_name(feed: Feed) -> str:
    return f"turned_down:{feed.number}"
