"""The rows of the decision table for a record that is pending, held, rejected, dropped, skipped or gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.decision import decide
from bridge.records import (
    Draft,
    DraftAction,
    LedgerRow,
    MergedBy,
    NameClaim,
    Policy,
    Reason,
    State,
    Unsendable,
)
from builders import (
    delivered,
    draft,
    filtered,
    held,
    holder,
    holders,
    nobody,
    of,
    pending,
    rejected,
    row,
    unmapped,
    unnamed,
)

DEFAULT = Policy()
QUALIFY, HOLD = Policy(on_same_name="qualify"), Policy(on_same_name="hold")
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x")
OTHER_ANN = holders({"Ann Lee": holder(same_as="other@x")})
SAME_ANN = holders({"Ann Lee": holder(same_as="ann@x")})


# -- unsent and pending


@pytest.mark.parametrize("attempts", [0, 1])
def test_pending_and_unchanged_writes_nothing(attempts: int) -> None:
    assert decide(ANN, pending(ANN, attempts=attempts), nobody, DEFAULT) is None


def test_another_payload_of_an_unsent_record_replaces_the_stored_one() -> None:
    changed = draft("Ann Lee", "0499", same_as="ann@x", qualifier="ann@x")
    decision = decide(changed, pending(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.draft_action, decision.sent) == (
        State.PENDING,
        DraftAction.STORE,
        changed.hashes,
    )
    assert (decision.claim, decision.release) == (NameClaim("Ann Lee", ANN.key), False)


def test_an_unsent_record_is_sent_under_the_spelling_seen_last() -> None:
    decision = decide(draft("ANN LEE"), pending(draft("Ann Lee")), nobody, DEFAULT)
    assert decision is not None
    assert decision.claim == NameClaim("ANN LEE", of("Ann Lee"))


def test_an_unsent_qualified_record_keeps_its_qualified_name() -> None:
    changed = draft("Ann Lee", "0499", same_as="ann@x", qualifier="ann@x")
    decision = decide(changed, pending(ANN, qualified=True), OTHER_ANN, DEFAULT)
    assert decision is not None
    assert decision.claim == NameClaim("Ann Lee (ann@x)", ANN.qualified_key)


def test_an_unsent_record_keeps_the_name_that_a_person_gave() -> None:
    given = pending(ANN)._replace(sent_key=of("Ann the First"))
    decision = decide(draft("Ann Lee", "0499", qualifier="ann@x"), given, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim, decision.release) == (State.PENDING, None, False)


def test_another_name_of_an_unsent_record_gives_the_claim_back() -> None:
    decision = decide(draft("Bo"), pending(ANN), nobody, DEFAULT)
    assert decision is not None
    assert decision.release
    assert decision.claim == NameClaim("Bo", of("Bo"))


def test_another_qualifier_of_an_unsent_qualified_record_gives_the_claim_back() -> None:
    decision = decide(draft("Ann Lee", qualifier="b@x"), pending(ANN, qualified=True), OTHER_ANN, DEFAULT)
    assert decision is not None
    assert decision.release
    assert decision.claim == NameClaim("Ann Lee (b@x)", of("Ann Lee (b@x)"))


@pytest.mark.parametrize("seen", [filtered(), unnamed(), unmapped()])
def test_an_unsent_record_that_cannot_be_sent_any_more_gives_the_claim_back(seen: Unsendable) -> None:
    decision = decide(seen, pending(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.release, decision.draft_action) == (True, DraftAction.DONE)
    assert decision.reason is seen.reason


def test_what_was_noted_in_an_attempt_that_never_began_is_forgotten_when_it_is_as_before() -> None:
    noted = pending(ANN, seen=draft("Bo").hashes)
    decision = decide(ANN, noted, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.seen, decision.draft_action) == (State.PENDING, None, DraftAction.UNNOTE)


# -- unanswered


@pytest.mark.parametrize("changed", [draft("Bo"), draft("Ann Lee", "0499")])
def test_a_change_of_an_unanswered_record_is_only_noted(changed: Draft) -> None:
    """The old name and payload go out again: a request that was lost may have made them."""
    decision = decide(changed, pending(ANN, attempts=1), nobody, CREATE)
    assert decision is not None
    assert (decision.state, decision.draft_action, decision.seen) == (
        State.PENDING,
        DraftAction.NOTE,
        changed.hashes,
    )
    assert (decision.claim, decision.release, decision.sent) == (None, False, None)


def test_a_change_that_was_noted_already_writes_nothing() -> None:
    changed = draft("Bo", same_as="ann@x")
    assert decide(changed, pending(ANN, attempts=1, seen=changed.hashes), nobody, DEFAULT) is None


def test_an_unanswered_record_that_is_again_as_sent_forgets_the_note() -> None:
    decision = decide(ANN, pending(ANN, attempts=1, seen=draft("Bo").hashes), nobody, DEFAULT)
    assert decision is not None
    assert (decision.draft_action, decision.seen) == (DraftAction.UNNOTE, None)


def test_an_unanswered_record_that_is_filtered_is_marked_and_sent_all_the_same() -> None:
    decision = decide(filtered(), pending(ANN, attempts=1, seen=draft("Bo").hashes), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.filtered, decision.release) == (State.PENDING, True, False)
    assert (decision.draft_action, decision.seen) == (DraftAction.UNNOTE, None)


@pytest.mark.parametrize("seen", [unnamed(), unmapped("name")])
def test_an_unanswered_record_that_makes_no_draft_any_more_differs_in_that_field(seen: Unsendable) -> None:
    decision = decide(seen, pending(ANN, attempts=1), nobody, DEFAULT)
    assert decision is not None
    assert decision.state is State.PENDING
    assert decision.seen is not None
    assert decision.seen["name"] != ANN.hashes["name"]


def merged(into: int = 2, what: Draft = ANN, **known: object) -> LedgerRow:
    """A record that shares another's party."""
    names: dict[str, Any] = {
        "key": what.key,
        "sent_key": what.key,
        "sent": what.hashes,
        "identifiers": what.identifiers,
        "rules": what.rules,
    }
    return row(State.MERGED, merged_into=into, merged_by=MergedBy.RULE, **names | known)


# -- held, rejected, dropped, skipped, gone


def test_a_same_name_is_decided_again_at_each_read() -> None:
    waits = row(State.HELD, Reason.SAME_NAME, seen=ANN.hashes)
    assert decide(ANN, waits, OTHER_ANN, HOLD) is None
    freed = decide(ANN, waits, nobody, HOLD)
    assert freed is not None
    assert (freed.state, freed.claim) == (State.PENDING, NameClaim("Ann Lee", ANN.key))
    by_policy = decide(ANN, waits, OTHER_ANN, QUALIFY)
    assert by_policy is not None
    assert by_policy.state is State.PENDING


@pytest.mark.parametrize("reason", [Reason.EXISTING, Reason.SAME_PARTY])
@pytest.mark.parametrize("changed", [draft("Bo", same_as="ann@x"), draft("Ann Lee", "0499", same_as="ann@x")])
def test_what_changes_while_a_person_is_asked_is_noted(reason: Reason, changed: Draft) -> None:
    known = held(reason, ANN, merged_into=2 if reason is Reason.SAME_PARTY else None)
    decision = decide(changed, known, nobody, CREATE)
    assert decision is not None
    assert (decision.state, decision.reason, decision.merged_into) == (
        State.HELD,
        reason,
        known.merged_into,
    )
    assert (decision.draft_action, decision.seen) == (DraftAction.NOTE, changed.hashes)
    assert decide(changed, known._replace(seen=changed.hashes), nobody, CREATE) is None
    back = decide(ANN, known._replace(seen=changed.hashes), nobody, CREATE)
    assert back is not None
    assert (back.draft_action, back.seen) == (DraftAction.UNNOTE, None)


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.SERVER_ERROR])
def test_rejected_and_unchanged_stays(reason: Reason) -> None:
    assert decide(ANN, rejected(reason, ANN), nobody, DEFAULT) is None


@pytest.mark.parametrize("seen", [filtered(), unnamed(), unmapped(), draft("Bo"), draft("Ann Lee", "0499")])
def test_rejected_by_trakor_and_changed_is_decided_as_new(seen: Draft | Unsendable) -> None:
    decision = decide(seen, rejected(Reason.REFUSED, ANN), nobody, DEFAULT)
    assert decision is not None
    as_new = decide(seen, None, nobody, DEFAULT)
    assert decision == as_new


def test_a_failed_mapping_stays_rejected_until_it_succeeds() -> None:
    known = row(State.REJECTED, Reason.MAPPING)
    assert decide(unmapped(), known, nobody, DEFAULT) is None
    decision = decide(ANN, known, nobody, DEFAULT)
    assert decision is not None
    assert decision.state is State.PENDING


TRIED = (
    rejected(Reason.SERVER_ERROR, ANN),
    rejected(Reason.REFUSED, ANN, attempts=2, stored=True),
    pending(ANN, attempts=1, stored=True)._replace(state=State.DROPPED),
)
"""Unanswered, and not to be sent until a person wants it; what was tried is stored."""


@pytest.mark.parametrize("policy", [DEFAULT, CREATE])
@pytest.mark.parametrize("known", TRIED, ids=lambda row: f"{row.state} {row.reason}")
@pytest.mark.parametrize(
    "changed",
    [
        draft("Ann Lee", "0499", same_as="ann@x", qualifier="ann@x"),
        draft("ANN LEE", "0412", same_as="ann@x", qualifier="ann@x"),
        draft("Bo"),
    ],
    ids=["fields", "spelling", "name"],
)
def test_what_was_tried_is_sent_again_to_the_letter_and_a_change_is_only_noted(
    changed: Draft, known: LedgerRow, policy: Policy
) -> None:
    """Trakor may have it: another payload would hide what it has, another name would make a second one."""
    assert decide(changed, known, nobody, policy) is None, "until a person asks for it"
    decision = decide(changed, known._replace(retry=True), nobody, policy)
    assert decision is not None
    assert (decision.state, decision.claim, decision.release) == (State.PENDING, None, False)
    assert (decision.sent, decision.draft_action, decision.seen) == (None, DraftAction.NOTE, changed.hashes)


@pytest.mark.parametrize("known", TRIED, ids=lambda row: f"{row.state} {row.reason}")
def test_what_was_tried_and_is_not_wanted_any_more_is_sent_again_with_the_mark(known: LedgerRow) -> None:
    decision = decide(filtered(), known._replace(retry=True), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.filtered, decision.claim) == (State.PENDING, True, None)
    unchanged = decide(ANN, known._replace(retry=True), nobody, DEFAULT)
    assert unchanged is not None
    assert (unchanged.state, unchanged.draft_action, unchanged.seen) == (
        State.PENDING,
        DraftAction.KEEP,
        None,
    )


def test_another_spelling_of_a_dropped_record_that_was_tried_is_a_rename() -> None:
    """The name that it was tried under is not stored any more: `keep = "hashes"`."""
    dropped = pending(ANN, attempts=1)._replace(state=State.DROPPED, retry=True)
    same = decide(ANN, dropped, nobody, DEFAULT)
    assert same is not None
    assert (same.state, same.claim) == (State.PENDING, NameClaim("Ann Lee", ANN.key))
    respelled = decide(draft("ANN LEE", "0412"), dropped, nobody, DEFAULT)
    assert respelled is not None
    assert (respelled.state, respelled.reason) == (State.HELD, Reason.RENAMED)


@pytest.mark.parametrize(
    ("policy", "state", "reason"),
    [(DEFAULT, State.HELD, Reason.RENAMED), (CREATE, State.PENDING, None)],
)
def test_where_what_was_tried_is_not_stored_another_name_is_a_rename(
    policy: Policy, state: State, reason: Reason | None
) -> None:
    known = rejected(Reason.SERVER_ERROR, ANN, retry=True, stored=False)
    decision = decide(draft("Bo"), known, nobody, policy)
    assert decision is not None
    assert (decision.state, decision.reason, decision.release) == (state, reason, False)


@pytest.mark.parametrize("seen", [ANN, draft("Bo"), filtered(), unnamed(), unmapped()])
def test_dropped_stays_dropped_whatever_is_seen(seen: Draft | Unsendable) -> None:
    assert decide(seen, row(State.DROPPED), nobody, DEFAULT) is None
    assert decide(seen, delivered(ANN, state=State.DROPPED), nobody, DEFAULT) is None


@pytest.mark.parametrize(
    "known", [row(State.DROPPED, retry=True), row(State.REJECTED, Reason.MAPPING, retry=True)]
)
def test_what_a_person_wants_retried_is_decided_as_new_at_the_next_read(known: LedgerRow) -> None:
    decision = decide(ANN, known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Lee", ANN.key))


def test_a_retry_of_a_failed_mapping_that_fails_again_says_so_once() -> None:
    decision = decide(unmapped(), row(State.REJECTED, Reason.MAPPING, retry=True), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.REJECTED, Reason.MAPPING)


def test_a_dropped_record_that_trakor_took_meanwhile_is_delivered_when_it_is_retried() -> None:
    decision = decide(ANN, delivered(ANN, state=State.DROPPED, retry=True), nobody, DEFAULT)
    assert decision is not None
    assert decision.state is State.DELIVERED


def test_a_dropped_record_that_was_tried_goes_out_under_no_other_name_unasked() -> None:
    dropped = pending(ANN, attempts=1)._replace(state=State.DROPPED, retry=True)
    decision = decide(draft("Bo"), dropped, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.RENAMED)


def test_a_record_with_another_records_party_is_decided_as_new_when_it_is_retried() -> None:
    known = row(State.HELD, Reason.SAME_PARTY, key=ANN.key, sent_key=ANN.key, merged_into=2, retry=True)
    decision = decide(draft("Bo"), known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Bo", of("Bo")))


def test_skipped_is_decided_as_new_at_each_read() -> None:
    known = row(State.SKIPPED, Reason.FILTERED)
    assert decide(filtered(), known, nobody, DEFAULT) is None
    unnamed_now = decide(unnamed(), known, nobody, DEFAULT)
    assert unnamed_now is not None
    assert unnamed_now.reason is Reason.NO_NAME
    back = decide(ANN, known, nobody, DEFAULT)
    assert back is not None
    assert back.state is State.PENDING


@pytest.mark.parametrize(
    "known",
    [
        delivered(ANN),
        delivered(ANN, state=State.DRIFTED, seen=draft("Ann Lee", "0412").hashes),
        merged(),
        pending(ANN, attempts=1),
        rejected(Reason.REFUSED, ANN),
        row(State.DROPPED),
    ],
    ids=["delivered", "drifted", "merged", "unanswered", "rejected", "dropped"],
)
def test_gone_and_seen_again_is_decided_by_its_state(known: LedgerRow) -> None:
    """Whatever is decided clears the mark; where nothing else is to be done, that alone is."""
    there = decide(ANN, known, SAME_ANN, DEFAULT)
    back = decide(ANN, known._replace(gone=True), SAME_ANN, DEFAULT)
    assert back is not None
    assert back == there if there is not None else (back.state, back.event) == (known.state, "seen-again")


def test_a_gone_record_that_was_never_sent_claims_its_name_again_when_it_is_seen() -> None:
    decision = decide(ANN, pending(ANN, gone=True), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Lee", ANN.key))


@pytest.mark.parametrize(
    "known", [pending(ANN), delivered(ANN), merged(), row(State.SKIPPED, Reason.FILTERED)]
)
def test_an_old_page_undoes_nothing(known: LedgerRow) -> None:
    """A read begun before the one observed last is ignored; one begun at the same time is not."""
    old = draft("Bo", at=known.read_at - 1)
    assert decide(old, known, nobody, DEFAULT) is None
    assert decide(replace(old, read_at=known.read_at), known, nobody, DEFAULT) is not None
