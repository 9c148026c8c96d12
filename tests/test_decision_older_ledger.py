"""Records of an older ledger: what changed meanwhile is listed at the first sight, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.decision import decide
from bridge.records import Draft, DraftAction, LedgerRow, MergedBy, Origin, Policy, Reason, State, Unsendable
from bridge.records.source_record import NO_RULES
from builders import as_seen, draft, filtered, holder, holders, identified, nobody, row, unnamed

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
MAIL = "Ann@Example.org"  # which revision 1 hashed as it is written
ANN = draft("Ann Lee", MAIL, same_as={"email": MAIL, "phone": "0412"}, qualifier=MAIL)
EDITED = draft("Ann Lee", "ann@y", same_as={"email": "ann@y", "phone": "0412"}, qualifier="ann@y")
SPELLED = draft("Ann Lee", MAIL.lower(), same_as={"email": MAIL, "phone": "0412"}, qualifier=MAIL.lower())
RAY = draft("Ann Ray", MAIL, same_as={"email": MAIL, "phone": "0412"}, qualifier=MAIL)


def older(state: State, reason: Reason | None = None, what: Draft = ANN, **known: Any) -> LedgerRow:  # noqa: ANN401
    """A record as an older ledger has it: hashed by revision 1, its `same_as` one text, no rules."""
    fields: dict[str, Any] = {
        "key": what.key,
        "sent_key": what.key,
        "sent": what.first_hashes,
        "identifiers": identified(MAIL),
        "rules": NO_RULES,
        "first": True,
    }
    return row(state, reason, **fields | known)


def had(state: State = State.DELIVERED, reason: Reason | None = None, **known: Any) -> LedgerRow:  # noqa: ANN401
    """The same of one that Trakor answered."""
    answer: dict[str, Any] = {"trakor_id": "t1", "attempts": 1, "origin": Origin.CREATED}
    return older(state, reason, **answer | known)


def test_the_two_rules_differ_for_this_record() -> None:
    assert ANN.first_hashes["contact_info"] != ANN.hashes["contact_info"]


def test_what_is_as_it_was_has_the_new_hashes_and_what_trakor_has_is_known() -> None:
    decision = decide(ANN, had(), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.seen, decision.event) == (State.DELIVERED, None, "")
    assert (decision.draft_action, decision.content) == (DraftAction.LEARNT, ANN.hashes)
    now = as_seen(had(), ANN)
    assert (now.first, now.sent, now.identifiers, now.rules) == (
        False,
        ANN.hashes,
        ANN.identifiers,
        ANN.rules,
    )
    assert decide(ANN, now, nobody, DEFAULT) is None


def test_of_one_that_was_there_before_nothing_more_is_known_than_then() -> None:
    decision = decide(ANN, had(origin=Origin.EXISTING), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.content) == (State.DELIVERED, {})


@pytest.mark.parametrize(
    ("seen", "differs"),
    [(EDITED, ("contact_info",)), (unnamed(), ("name",))],
    ids=["edited", "no name any more"],
)
def test_what_changed_meanwhile_is_a_drift(seen: Draft | Unsendable, differs: tuple[str, ...]) -> None:
    now = as_seen(had(), seen)
    assert (now.state, now.differing) == (State.DRIFTED, differs)
    assert decide(seen, now, nobody, DEFAULT) is None


def test_another_spelling_cannot_be_told_from_a_change_the_first_time() -> None:
    """The old hash is of the text as it was written."""
    assert as_seen(had(), SPELLED).state is State.DRIFTED


def test_a_record_without_a_name_is_brought_up_once_it_has_one() -> None:
    now = as_seen(had(), unnamed(), ANN)
    assert (now.state, now.first, now.seen) == (State.DELIVERED, False, None)


@pytest.mark.parametrize(
    ("seen_then", "state"),
    [(EDITED, State.DRIFTED), (ANN, State.DELIVERED)],
    ids=["as it drifted then", "as sent"],
)
def test_a_drift_of_then_stays_until_it_is_as_sent(seen_then: Draft, state: State) -> None:
    known = had(State.DRIFTED, seen=EDITED.first_hashes)
    now = as_seen(known, seen_then)
    assert (now.state, now.first) == (state, False)
    assert decide(seen_then, now, nobody, DEFAULT) is None


def test_a_drift_in_a_field_that_could_not_be_made_is_brought_up() -> None:
    known = had(State.DRIFTED, seen={**ANN.first_hashes, "name": "?"})
    assert as_seen(known, ANN).state is State.DELIVERED
    assert as_seen(known, EDITED).differing == ("contact_info",)


def test_what_changed_meanwhile_ends_its_drift_when_it_is_as_sent_again() -> None:
    """Also after it was hashed anew, with the old hash of what changed."""
    drifted = as_seen(had(), EDITED)
    now = as_seen(drifted, ANN)
    assert (now.state, now.seen, now.sent) == (State.DELIVERED, None, ANN.hashes)
    assert decide(ANN, now, nobody, DEFAULT) is None


@pytest.mark.parametrize("reason", [Reason.RENAMED, Reason.REMAPPED])
def test_what_was_held_for_its_name_stays_so(reason: Reason) -> None:
    known = had(State.HELD, reason, seen=RAY.first_hashes)
    now = as_seen(known, RAY)
    assert (now.state, now.reason, now.first) == (State.HELD, reason, False)
    assert decide(RAY, now, nobody, DEFAULT) is None
    assert as_seen(known, ANN).state is State.DELIVERED


def test_what_was_held_as_remapped_is_sent_by_no_policy() -> None:
    now = as_seen(had(State.HELD, Reason.REMAPPED, seen=RAY.first_hashes), RAY, policy=CREATE)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)
    assert decide(RAY, now, nobody, CREATE) is None


@pytest.mark.parametrize("reason", [Reason.EXISTING, Reason.SAME_PARTY])
def test_what_a_person_was_asked_about_stays_so(reason: Reason) -> None:
    party = {"trakor_id": "t1"} if reason is Reason.EXISTING else {"merged_into": 2}
    now = as_seen(older(State.HELD, reason, **party), ANN)
    assert (now.state, now.reason, now.seen, now.first) == (State.HELD, reason, None, False)
    noted = as_seen(older(State.HELD, reason, **party), EDITED)
    assert noted.differing == ("contact_info",)


@pytest.mark.parametrize("attempts", [0, 1])
def test_what_waits_to_be_sent_still_waits(attempts: int) -> None:
    known = older(State.PENDING, attempts=attempts)
    now = as_seen(known, ANN)
    assert (now.state, now.sent, now.seen, now.attempts) == (State.PENDING, ANN.hashes, None, attempts)
    assert decide(ANN, now, nobody, DEFAULT) is None


def test_what_changed_of_an_unanswered_one_is_noted() -> None:
    known = older(State.PENDING, attempts=1, seen=RAY.first_hashes)
    decision = decide(EDITED, known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.draft_action, decision.seen) == (DraftAction.NOTE, EDITED.hashes)
    assert as_seen(known, ANN).seen is None


def test_what_is_rejected_or_dropped_stays_so() -> None:
    for known in (
        older(State.REJECTED, Reason.REFUSED),
        older(State.REJECTED, Reason.SERVER_ERROR, attempts=8),
        older(State.DROPPED),
        had(State.DROPPED),
    ):
        now = as_seen(known, ANN)
        assert (now.state, now.reason, now.first) == (known.state, known.reason, False)
        assert decide(ANN, now, nobody, DEFAULT) is None


def test_the_marks_of_then_stay_or_end_as_ever() -> None:
    marked = as_seen(had(), filtered())
    assert (marked.state, marked.filtered, marked.first) == (State.DELIVERED, True, True)
    assert decide(filtered(), marked, nobody, DEFAULT) is None
    back = as_seen(marked._replace(gone=True), ANN)
    assert (back.filtered, back.gone, back.first, back.seen) == (False, False, False, None)


# -- merged


def merged(**known: Any) -> LedgerRow:  # noqa: ANN401 - any field
    into: dict[str, Any] = {"merged_into": 2, "merged_by": MergedBy.RULE}
    return older(State.MERGED, **into | known)


@pytest.mark.parametrize("by", list(MergedBy))
def test_a_family_that_was_merged_is_not_asked_about_again(by: MergedBy) -> None:
    """Father and son by the family's e-mail: their telephones, known only now, are no change."""
    father = replace(holder(2), group=(identified({"email": MAIL, "phone": "0499"}), identified(MAIL)))
    now = as_seen(merged(merged_by=by), ANN, holder_of=holders({"Ann Lee": father}))
    assert (now.state, now.identifiers, now.first) == (State.MERGED, ANN.identifiers, False)


def test_one_merged_by_a_number_that_is_hashed_otherwise_now_is_as_it_was() -> None:
    """No identifier of today is equal to the old one, but no field has changed."""
    father = replace(holder(2), group=(identified({"email": MAIL, "phone": "0499"}),))
    known = merged(identifiers={"": "a number as revision 1 hashed it"})
    assert as_seen(known, ANN, holder_of=holders({"Ann Lee": father})).state is State.MERGED


def test_one_whose_identifiers_changed_meanwhile_and_conflict_is_told_apart() -> None:
    father = replace(holder(2), group=(identified({"email": MAIL, "phone": "0499"}), identified(MAIL)))
    now = as_seen(merged(), EDITED, holder_of=holders({"Ann Lee": father}))
    assert (now.state, now.reason) == (State.HELD, Reason.SAME_PERSON)


@pytest.mark.parametrize("seen_then", [ANN, RAY])
def test_a_renamed_merged_one_is_as_it_was(seen_then: Draft) -> None:
    known = merged()._replace(state=State.HELD, reason=Reason.RENAMED, seen=RAY.first_hashes)
    owner = holders({"Ann Lee": holder(2, same_as=MAIL)})
    now = as_seen(known, seen_then, holder_of=owner)
    assert now.state is (State.MERGED if seen_then is ANN else State.HELD)
    assert decide(seen_then, now, owner, DEFAULT) is None
