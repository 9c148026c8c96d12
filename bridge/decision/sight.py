"""At each sight of a record: what was seen, what the ledger knows, the policy -> a Decision.

A row of the decision table (docs/decisions.md) stands in the docstring of the function that
carries it out. ``decide`` returns None where nothing is to be changed, which is what a sweep
without changes consists of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bridge.decision.anew import HolderOf, decide_anew, hold, merge, why_unsendable
from bridge.decision.comparison import RULES, UNKNOWN, Comparison, by_present_rules, compare, unmade
from bridge.decision.same_person import conflicts
from bridge.records import (
    Claim,
    Decision,
    Draft,
    FieldHashes,
    Holder,
    LedgerRow,
    MergedBy,
    Origin,
    Policy,
    Reason,
    State,
    Unsendable,
    Waiting,
)

__all__ = ["decide", "decide_again", "is_stale", "unchanged"]

_ASKED: Final = frozenset({Reason.EXISTING, Reason.SAME_PARTY})


def is_stale(seen: Draft | Unsendable, row: LedgerRow | None) -> bool:
    """Whether a later read was observed already: an old page must not undo a newer webhook."""
    return row is not None and seen.read_at < row.read_at


def decide(
    seen: Draft | Unsendable, row: LedgerRow | None, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide what is to become of a record that was just seen in the source.

    Args:
        seen: What mapping made of it.
        row: What the ledger knows of it; None where it knows nothing.
        holder_of: Who holds the claim on a name.
        policy: What the user chose for this stream.

    Returns:
        The decision, or None where nothing is to be changed (or an old read came late).
    """
    if row is None:
        return decide_anew(seen, None, holder_of, policy)
    if is_stale(seen, row):
        return None
    now = by_present_rules(row, seen) if isinstance(seen, Draft) and seen.first_hashes else row
    decision = _by_state(seen, now, holder_of, policy)
    if decision is None and (now is not row or row.gone or (row.filtered and isinstance(seen, Draft))):
        event = "seen-again" if row.gone or row.filtered else ""
        decision = _stay(now, filtered=row.filtered and isinstance(seen, Unsendable), event=event)
    if decision is not None and now is not row:
        return _brought_up(decision, now)
    return decision


def _brought_up(decision: Decision, row: LedgerRow) -> Decision:
    """The first decision by today's rules on a record of an older ledger: its hashes are written anew.

    Where nothing differs by the old rules, Trakor has what the draft says.
    """
    sent = row.sent if decision.sent is None else decision.sent
    decision = replace(decision, sent=sent)
    if decision.waiting not in {Waiting.KEEP, Waiting.DONE} or row.unanswered:
        return decision
    known = row.answered and decision.state is State.DELIVERED and decision.seen is None
    if not known:
        return replace(decision, waiting=Waiting.REFRESH) if decision.waiting is Waiting.KEEP else decision
    return replace(decision, waiting=Waiting.LEARNT, content={} if row.origin is Origin.EXISTING else sent)


def _by_state(  # noqa: PLR0911 - a row of the table each
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Lead to the part of the table that the record's state belongs to."""
    if _stands(seen, row):
        return None
    if row.reason in _ASKED and not row.retry:
        return _unresolved(seen, row)
    if row.reason is Reason.DAMAGED or row.answered:
        lead = _mended if row.reason is Reason.DAMAGED else _answered
        return lead(seen, row, holder_of, policy)
    if row.state is State.PENDING:
        return _unanswered(seen, row) if row.unanswered else _unsent(seen, row, holder_of, policy)
    if row.merged_into is not None and not row.retry:
        return _merged(seen, row, holder_of, policy)
    return decide_again(seen, row, holder_of, policy)


def decide_again(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Decide on a record that does not stand where it is any more.

    As if nothing were known, unless Trakor may have it: then it goes out again under the name that
    it was tried under, to the letter, for another one could make a second party. Of most records that
    name is not stored any more: those go out only if it is still theirs. Arguments as for ``decide_anew``.
    """
    if isinstance(seen, Unsendable) or not row.unanswered:
        return decide_anew(seen, row, holder_of, policy)
    if row.reason is Reason.SERVER_ERROR and _same_name_to_send(seen, row):
        return _send_again(seen, row)
    if _spelled_as_sent(seen, row):
        return _replace(seen, row, event="pending")
    return _other_key(seen, row, compare(row, seen), holder_of, policy)


def _send_again(draft: Draft, row: LedgerRow) -> Decision:
    """The draft goes out under the stored name; if that is spelled otherwise by now, it will drift."""
    spelled = {"name": row.sent["name"]} if "name" in row.sent else {}
    sent = {**draft.hashes, **spelled}
    return Decision(State.PENDING, waiting=Waiting.STORE, sent=sent, given=row.given, event="pending")


def _spelled_as_sent(draft: Draft, row: LedgerRow) -> bool:
    """Whether the draft would go out under the very name that was sent, upper and lower case included."""
    parts = ("name",) if row.sent_key == draft.key else ("name", "qualifier")
    same = all(draft.hashes.get(part) == row.sent.get(part) for part in parts)
    return same and _claimed_name(draft, row) is not None


def _unsent(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Unsent, pending: unchanged -> nothing; other payload -> replaced; other name -> decided anew."""
    if isinstance(seen, Unsendable) or row.gone or not _same_name_to_send(seen, row):
        return decide_anew(seen, row, holder_of, policy)
    if row.sent == seen.hashes:
        # What was noted during an attempt that never began does not count any more.
        if row.seen is None:
            return None
        return Decision(State.PENDING, waiting=Waiting.UNNOTE, given=row.given, event="noted")
    return _replace(seen, row, event="replaced")


def _replace(draft: Draft, row: LedgerRow, *, event: str) -> Decision:
    """The draft goes out in place of the stored one, under the name that is claimed already."""
    return Decision(
        State.PENDING,
        claim=None if row.given else _claimed_name(draft, row),
        waiting=Waiting.STORE,
        sent=draft.hashes,
        given=row.given,
        event=event,
    )


def _claimed_name(draft: Draft, row: LedgerRow) -> Claim | None:
    """The draft's name that the record has claimed already; None where it is neither of the two."""
    if row.sent_key == draft.key:
        return Claim(draft.payload.name, draft.key)
    if row.sent_key and row.sent_key == draft.qualified_key:
        return Claim(draft.qualified_name, draft.qualified_key)
    return None


def _same_name_to_send(draft: Draft, row: LedgerRow) -> bool:
    """Whether the claimed name is still the one to send; a name that a person gave stays."""
    if row.given:
        return True
    if draft.key != row.key:
        return False
    return row.sent_key == row.key or row.sent.get("qualifier") == draft.hashes.get("qualifier")


def _unanswered(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Unanswered, any change: only noted; the old name and payload go out again until answered."""
    pending = Decision(State.PENDING, waiting=Waiting.UNNOTE, given=row.given, event="noted")
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return _forget_noted(_mark_filtered(row))
        changed = unmade(row, seen)
        if row.seen == changed:
            return None
        return replace(pending, seen=changed, detail=why_unsendable(seen))
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else pending
    if row.seen == seen.hashes:
        return None
    return replace(pending, waiting=Waiting.NOTE, seen=seen.hashes)


def _answered(
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Answered: as sent -> delivered; same key -> drifted; other key -> renamed or remapped."""
    if isinstance(seen, Unsendable):
        if seen.reason is Reason.FILTERED:
            return _mark_filtered(row)
        if row.dismissed and row.seen == unmade(row, seen):
            return None
        return _drift(unmade(row, seen), row, detail=why_unsendable(seen))
    found = compare(row, seen)
    if row.dismissed and not found.source:
        return _still_dismissed(seen, row, found)
    if seen.key == row.key:
        return _same_key(seen, row, found, policy)
    return _other_key(seen, row, found, holder_of, policy)


def _still_dismissed(draft: Draft, row: LedgerRow, found: Comparison) -> Decision | None:
    """Dismissed: source as when it was dismissed, whatever the map -> nothing."""
    if (found.sent, draft.hashes) == (row.sent, row.last_seen):
        return None
    seen = draft.hashes if found.fields else None
    return replace(_stay(row), sent=found.sent, seen=seen)


def _same_key(draft: Draft, row: LedgerRow, found: Comparison, policy: Policy) -> Decision | None:
    """As sent -> delivered; what the map alone changed -> remapped; other fields -> drifted."""
    if found.fields and policy.on_change != "ignore":
        return _drift(draft.hashes, row, found)
    seen = draft.hashes if found.fields else None
    known = (row.state, row.seen, row.sent, row.remapped, row.dismissed)
    if known == (State.DELIVERED, seen, found.sent, found.remapped, False):
        return None
    newly = found.remapped and not row.remapped
    moved = ", ".join(row.fields_between(row.sent, found.sent))
    return Decision(
        State.DELIVERED,
        waiting=Waiting.STORE if found.remapped else Waiting.DONE,
        sent=found.sent,
        seen=seen,
        remapped=found.remapped,
        event="remapped" if newly else "as-sent" if seen is None else "",
        detail=moved if newly else "",
    )


def _other_key(
    draft: Draft, row: LedgerRow, found: Comparison, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Another name: held: renamed, a second claim by policy, or held: remapped where the map did it.

    Held: same-name was accepted under its new name, which another had: decided anew at each sight.
    """
    if row.reason is Reason.SAME_NAME:
        return decide_anew(draft, row, holder_of, policy)
    at_source = "name" in found.source or (row.reason is Reason.RENAMED and RULES not in found.source)
    if not at_source:
        return hold(Reason.REMAPPED, draft, row, sent=found.sent)
    if policy.on_rename == "create":
        return decide_anew(draft, row, holder_of, policy)
    return hold(Reason.RENAMED, draft, row, sent=found.sent)


def _drift(
    seen: FieldHashes, row: LedgerRow, found: Comparison | None = None, *, detail: str = ""
) -> Decision | None:
    """The source changed and Trakor cannot take it -> drifted, which fields."""
    sent = row.sent if found is None else found.sent
    if (row.state, row.seen, row.sent) == (State.DRIFTED, seen, sent):
        return None
    return Decision(
        State.DRIFTED,
        waiting=Waiting.KEEP if found is None else Waiting.STORE,
        sent=sent,
        seen=seen,
        remapped=row.remapped if found is None else found.remapped,
        event="drifted",
        detail=detail or ", ".join(row.fields_between(sent, seen)),
    )


def _merged(  # noqa: PLR0911 - a row of the table each
    seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Merged: same key -> stays merged, unless an identifier changed and conflicts; another -> a rename.

    Without a name, or where mapping fails: as if nothing were known. Where the claimant does not stand
    for the name any more, this one takes its place.
    """
    holder = holder_of(row.sent_key)
    shared = holder is not None and _shares(holder, row)
    if shared and isinstance(seen, Unsendable) and seen.reason is Reason.FILTERED:
        return _mark_filtered(row)
    if holder is None or not shared or isinstance(seen, Unsendable):
        return decide_anew(seen, row, holder_of, policy)
    if not holder.stands and holder.number != row.number:
        return _succeed_or_leave(seen, row, holder, holder_of, policy)
    if row.dismissed and not compare(row, seen).source:
        return None
    return _still_merged(seen, row, holder, holder_of, policy)


def _still_merged(
    draft: Draft, row: LedgerRow, holder: Holder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """Merged into one that stands for the name: it stays so, is renamed, or is told apart by now."""
    if draft.key != row.key:
        return _other_key(draft, row, compare(row, draft), holder_of, policy)
    if _told_apart(draft, row, holder):
        return hold(Reason.SAME_PERSON, draft, row, detail=f"not as like {holder.id} as before")
    return _stays_merged(draft, row)


def _succeed_or_leave(
    draft: Draft, row: LedgerRow, holder: Holder, holder_of: HolderOf, policy: Policy
) -> Decision | None:
    """The claimant does not stand for the name any more: this one does, if the name is still its own."""
    if draft.key != row.key:
        return decide_anew(draft, row, holder_of, policy)
    return merge(draft, row.sent_key, holder, row, row.merged_by or MergedBy.RULE)


def _shares(holder: Holder, row: LedgerRow) -> bool:
    """Whether a name's holder is what the record is merged into, the record itself, or merged likewise."""
    return holder.number in {row.number, row.merged_into} or holder.merged_into == row.merged_into


def _told_apart(draft: Draft, row: LedgerRow, holder: Holder) -> bool:
    """Whether an identifier changed at the source, and conflicts by now with those it is merged with."""
    if row.reason is not Reason.SAME_PERSON and not _identified_otherwise(draft, row):
        return False
    others = list(holder.group)
    if row.state is State.MERGED and row.identifiers in others:
        others.remove(row.identifiers)
    return conflicts(draft.identifiers, others)


def _identified_otherwise(draft: Draft, row: LedgerRow) -> bool:
    """Whether an identifier changed at the source; what another map gives is none of its doing."""
    if row.first:
        return False
    if row.rules.map == draft.rules.map:
        return draft.identifiers != row.identifiers
    return isinstance(draft.before, Draft) and draft.before.identifiers != row.identifiers


def _stays_merged(draft: Draft, row: LedgerRow) -> Decision | None:
    same = (row.sent, row.identifiers) == (draft.hashes, draft.identifiers)
    if row.state is State.MERGED and same and not row.dismissed:
        return None
    return Decision(
        State.MERGED,
        merged_into=row.merged_into,
        merged_under=row.sent_key,
        merged_by=row.merged_by,
        waiting=Waiting.STORE,
        sent=draft.hashes,
        event="" if row.state is State.MERGED else "as-sent",
    )


def _unresolved(seen: Draft | Unsendable, row: LedgerRow) -> Decision | None:
    """Held: existing or same-party: what changes meanwhile is noted, and decided after the person."""
    if isinstance(seen, Unsendable):
        return _forget_noted(_mark_filtered(row)) if seen.reason is Reason.FILTERED else None
    if seen.key == row.key and not row.differs_from(seen.hashes):
        return None if row.seen is None else replace(_stay(row), waiting=Waiting.UNNOTE, seen=None)
    if row.seen == seen.hashes:
        return None
    return replace(_stay(row), waiting=Waiting.NOTE, seen=seen.hashes, event="noted")


def _mended(seen: Draft | Unsendable, row: LedgerRow, holder_of: HolderOf, policy: Policy) -> Decision | None:
    """Damaged: decided with the name that it has claimed.

    What Trakor has of an answered one is not known any more: it is drifted, by `rules`. One that was tried
    goes out again.
    """
    if isinstance(seen, Unsendable):
        return None
    if row.answered:
        sent = {**seen.hashes, RULES: UNKNOWN}
        decision = _drift(seen.hashes, row, Comparison(sent, (RULES,), (RULES,), remapped=False))
        return decision if decision is None else replace(decision, detail="its row was damaged")
    if row.unanswered and _claimed_name(seen, row) is not None:
        return _replace(seen, row, event="pending")
    return decide_anew(seen, row, holder_of, policy)


def _stands(seen: Draft | Unsendable, row: LedgerRow) -> bool:
    """Dropped, anything; rejected, unchanged -> stays until `retry`; one that was tried stays anyhow."""
    if row.retry or row.state not in {State.DROPPED, State.REJECTED} or row.reason is Reason.DAMAGED:
        return False
    if row.state is State.DROPPED or row.unanswered:
        return True
    if isinstance(seen, Unsendable):
        return seen.reason is row.reason
    return row.reason is not Reason.MAPPING and seen.key == row.key and not row.differs_from(seen.hashes)


def _mark_filtered(row: LedgerRow) -> Decision | None:
    """Answered, `where` says no -> state kept, mark `filtered`."""
    return None if row.filtered else _stay(row, filtered=True, event="filtered")


def _forget_noted(decision: Decision | None) -> Decision | None:
    """What was noted before does not count once `where` says no."""
    return None if decision is None else replace(decision, waiting=Waiting.UNNOTE, seen=None)


def unchanged(row: LedgerRow) -> Decision:
    """A record stays just as it is."""
    return _stay(row, filtered=row.filtered)


def _stay(row: LedgerRow, *, filtered: bool = False, event: str = "") -> Decision:
    """The same state again, with other marks."""
    return Decision(
        row.state,
        row.reason,
        merged_into=row.merged_into,
        merged_by=row.merged_by,
        seen=row.seen,
        filtered=filtered,
        remapped=row.remapped,
        dismissed=row.dismissed,
        given=row.given,
        event=event,
    )
