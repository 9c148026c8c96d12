"""The operator's actions on records: each is one short transaction beside the owner of the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from bridge import decision
from bridge.errors import UserError
from bridge.ledger.decision_writer import DecisionWriter
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.row_mapping import KNOWN, to_ledger_row
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.schema import records
from bridge.records import Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.feeds import Feed
    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.sealed_texts import StoredDraft
    from bridge.records import Draft, LedgerRow, NameClaim, Policy

__all__ = [
    "AT_ONCE",
    "ActionResult",
    "OperatorAction",
    "accept",
    "apply_if_unchanged",
    "apply_to_each",
    "dismiss",
    "drop",
    "record_version",
    "retry",
]

AT_ONCE: Final = 100
"""How many records one transaction decides on: a webhook's or a settled batch's transaction waits for it."""


class OperatorAction(StrEnum):
    """What an operator can do with a record."""

    ACCEPT = "accept"
    DISMISS = "dismiss"
    DROP = "drop"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of an action on one record.

    Attributes:
        record: The record as it is now.
        refusal: Why the action was not possible; None if it was done.
    """

    record: RecordSummary
    refusal: UserError | None = None


_STANDING: Final = (
    records.c.state, records.c.reason, records.c.gone, records.c.filtered, records.c.forgotten,
    records.c.remapped, records.c.dismissed, records.c.retry, records.c.key, records.c.trakor_id,
    records.c.merged_into, records.c.seen,
)  # fmt: skip


def record_version(connection: Connection, number: int) -> str:
    """Return the version of a record as a short text. It changes with anything that an operator would see.

    A read without a change does not change it. The record's text goes in as the ledger's keyed hashes.

    Args:
        connection: Inside any transaction.
        number: The ledger's number of the record.
    """
    found = connection.execute(select(*_STANDING).where(records.c.number == number)).one_or_none()
    return "" if found is None else hashlib.sha256(repr(tuple(found)).encode()).hexdigest()[:32]


def _open(
    connection: Connection, feed: Feed, number: int, policy: Policy, now: int, by: str
) -> tuple[LedgerRow, DecisionWriter]:
    """Return the record as it is, and a writer for the decision."""
    found = connection.execute(KNOWN.where(records.c.number == number)).one_or_none()
    if found is None:
        raise UserError("the record is no longer in the ledger")
    return to_ledger_row(found), DecisionWriter(connection, feed, policy, now, by)


def accept(
    connection: Connection,
    feed: Feed,
    number: int,
    policy: Policy,
    *,
    now: int,
    name: NameClaim | None = None,
    by: str = "",
) -> LedgerRow:
    """Accept what a record waits for (see ``decision.accept``).

    Args:
        connection: Inside a writing transaction.
        feed: The record's feed.
        number: The ledger's number of it.
        policy: What the user chose for this stream.
        now: The time to note.
        name: A name that the operator gave instead of the mapped one.
        by: Where the operator decided, for example ``on the command line``; written to the history.

    Returns:
        The record as it is now.

    Raises:
        UserError: There is nothing to accept, or the name is taken.
    """
    row, batch = _open(connection, feed, number, policy, now, by)
    _refuse_forgotten_party(row, batch)
    stored = batch.writes.stored(row)
    draft = _draft(stored, row)
    verdict = decision.accept(row, draft, batch.holder_of, policy, name=name)
    after = batch.carry_out(verdict, draft, row, just_seen=False)
    after = _decide_noted(stored, after, batch, policy)
    batch.writes.flush()
    return after


def _refuse_forgotten_party(row: LedgerRow, batch: DecisionWriter) -> None:
    """Refuse to share a party that belonged to a forgotten record."""
    shared = row.merged_into if row.reason is Reason.SAME_PARTY else None
    if shared is not None and batch.row(shared).forgotten:
        raise UserError(
            f"the record whose party Trakor answered with for {row.id} was forgotten",
            advice="delete that party in Trakor by hand. Then `trakor-bridge records retry ID` sends this "
            "record again",
        )


def _refuse_unsent_party(row: LedgerRow, batch: DecisionWriter) -> None:
    """Refuse to leave a party as it is that is not in Trakor and will not be."""
    holder = batch.holder_of(row.sent_key)
    party = batch.holder_of(holder.shares) if holder is not None and holder.shares else holder
    if party is None or not (party.linked or party.represents):
        raise UserError(
            f"neither record {row.id} nor the one that it was merged into was ever sent",
            advice="`trakor-bridge records accept` sends it under its new name; `trakor-bridge records drop` "
            "ends it",
        )


def _draft(stored: dict[int, StoredDraft], row: LedgerRow) -> Draft | None:
    """Return the stored draft of a record, with the rules of its row; None if there is none."""
    return replace(stored[TO_SEND].draft, rules=row.rules) if TO_SEND in stored else None


def _decide_noted(
    stored: dict[int, StoredDraft], row: LedgerRow, batch: DecisionWriter, policy: Policy
) -> LedgerRow:
    """Decide on a change that was noted while the operator was asked."""
    if NOTED not in stored or row.gone or row.state not in {State.DELIVERED, State.MERGED}:
        return row
    noted = replace(stored[NOTED].draft, rules=row.rules)
    then = row._replace(read_at=noted.read_at, seen=None)
    again = decision.decide(noted, then, batch.holder_of, policy)
    return row if again is None else batch.carry_out(again, noted, row, just_seen=False)


def dismiss(
    connection: Connection, feed: Feed, number: int, policy: Policy, *, now: int, by: str = ""
) -> LedgerRow:
    """Leave what Trakor has (see ``decision.dismiss``); arguments as for ``accept``."""
    row, batch = _open(connection, feed, number, policy, now, by)
    _refuse_forgotten_party(row, batch)
    verdict = decision.dismiss(row)
    if verdict.state is State.MERGED and row.reason is not Reason.SAME_PARTY:
        _refuse_unsent_party(row, batch)
    after = batch.carry_out(verdict, None, row, just_seen=False)
    batch.writes.remove_noted(number)  # a change during the question is left as it is, too
    batch.writes.flush()
    return after


def drop(
    connection: Connection, feed: Feed, number: int, policy: Policy, *, now: int, by: str = ""
) -> LedgerRow:
    """Never send a record (again) (see ``decision.drop``); arguments as for ``accept``."""
    row, batch = _open(connection, feed, number, policy, now, by)
    after = batch.carry_out(decision.drop(row), None, row, just_seen=False)
    batch.writes.flush()
    return after


def retry(
    connection: Connection, feed: Feed, number: int, policy: Policy, *, now: int, by: str = ""
) -> LedgerRow:
    """Decide on a record again: at once if its draft is stored, otherwise at the next read.

    Arguments and errors as for ``accept``. A pending record is sent again without waiting.
    """
    row, batch = _open(connection, feed, number, policy, now, by)
    _refuse_under_way(connection, row, now)
    if row.state is State.PENDING:
        connection.execute(
            update(records).where(records.c.number == number).values(next_try_at=0, failures=0, turn=0)
        )
        return row
    stored = batch.writes.stored(row)
    draft = _draft(stored, row)
    verdict = decision.retry(row, draft, batch.holder_of, policy)
    if verdict is None:
        connection.execute(update(records).where(records.c.number == number).values(retry=1))
        batch.writes.line(number, "retry", "checked again at the next read")
        after = row
    else:
        after = _decide_noted(stored, batch.carry_out(verdict, draft, row, just_seen=False), batch, policy)
    batch.writes.flush()
    return after


def _refuse_under_way(connection: Connection, row: LedgerRow, now: int) -> None:
    """Refuse to retry a dropped record while its request is under way."""
    until = connection.scalar(select(records.c.claimed_until).where(records.c.number == row.number)) or 0
    if row.state is State.DROPPED and until > now:
        raise UserError(
            f"a request for record {row.id} is still under way", advice="try again when Trakor has answered"
        )


def apply_to_each(
    connection: Connection,
    verb: OperatorAction,
    wanted: RecordQuery,
    policy_of: Callable[[Feed], Policy],
    *,
    now: int,
    name: NameClaim | None = None,
    by: str = "",
) -> list[ActionResult]:
    """Apply one action to each of a few records. A refusal for one record does not affect the others.

    Args:
        connection: Inside a writing transaction.
        verb: The action.
        wanted: Which records, at most ``AT_ONCE``; those that no longer match are left out.
        policy_of: Returns the policy of a feed; raises UserError for one that is not configured.
        now: The time to note.
        name: See ``accept``.
        by: See ``accept``.

    Returns:
        The result for each record, in the ledger's order.
    """
    refusals: dict[int, UserError] = {}
    numbers = []
    for record in find_records(connection, wanted):
        numbers.append(record.number)
        try:
            with connection.begin_nested():
                policy = policy_of(record.feed)
                _apply(connection, verb, record, policy, now=now, name=name, by=by)
        except UserError as refusal:
            refusals[record.number] = refusal
    return _results(connection, numbers, refusals)


def apply_if_unchanged(
    connection: Connection,
    verb: OperatorAction,
    number: int,
    shown: str,
    policy_of: Callable[[Feed], Policy],
    *,
    now: int,
    name: NameClaim | None = None,
    by: str = "",
) -> ActionResult | None:
    """Apply an action to one record if it is still as the operator saw it.

    Otherwise a yes to one change would confirm another one that nobody has seen: after a decision in a
    second window, or a change in Salestrekker.

    Args:
        connection: Inside a writing transaction.
        verb: The action.
        number: The ledger's number of the record.
        shown: The version that the operator saw (``record_version``).
        policy_of: See ``apply_to_each``.
        now: The time to note.
        name: See ``accept``.
        by: See ``accept``.

    Returns:
        The result; None if the record has changed or is not there, so that nothing was done.
    """
    standing = record_version(connection, number)
    if not standing or shown != standing:
        return None
    wanted = RecordQuery(numbers=[number])
    (decided,) = apply_to_each(connection, verb, wanted, policy_of, now=now, name=name, by=by)
    return decided


def _apply(
    connection: Connection,
    verb: OperatorAction,
    record: RecordSummary,
    policy: Policy,
    *,
    now: int,
    name: NameClaim | None,
    by: str,
) -> None:
    match verb:
        case OperatorAction.ACCEPT:
            accept(connection, record.feed, record.number, policy, now=now, name=name, by=by)
        case OperatorAction.DISMISS:
            dismiss(connection, record.feed, record.number, policy, now=now, by=by)
        case OperatorAction.DROP:
            drop(connection, record.feed, record.number, policy, now=now, by=by)
        case OperatorAction.RETRY:
            retry(connection, record.feed, record.number, policy, now=now, by=by)


def _results(
    connection: Connection, numbers: Sequence[int], refusals: dict[int, UserError]
) -> list[ActionResult]:
    if not numbers:
        return []
    after = find_records(connection, RecordQuery(numbers=numbers))
    return [ActionResult(record, refusals.get(record.number)) for record in after]
