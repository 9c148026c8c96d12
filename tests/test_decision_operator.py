"""What a person can decide, and what that does (docs/decisions.md, "What you can do")."""

from __future__ import annotations

import pytest

from bridge.decision import accept, drop, retry
from bridge.errors import UserError
from bridge.records import Draft, DraftAction, LedgerRow, NameClaim, Origin, Policy, Reason, State
from builders import delivered, draft, held, holder, holders, nobody, of, pending, rejected, row

DEFAULT = Policy()
ANN = draft("Ann Lee", "0412", qualifier="ann@x")
RAY = draft("Ann Ray", "0412", qualifier="ann@x")
SAME_NAME = row(State.HELD, Reason.SAME_NAME, seen=ANN.hashes)
RENAMED = held(Reason.RENAMED, ANN, RAY)
EXISTING = held(Reason.EXISTING, ANN, origin=Origin.EXISTING)
SAME_PARTY = row(State.HELD, Reason.SAME_PARTY, key=ANN.key, sent_key=ANN.key, sent=ANN.hashes, merged_into=7)
DRIFTED = delivered(ANN, state=State.DRIFTED, seen=draft("Ann Lee", "0499").hashes)
TRIED = pending(ANN, attempts=1)
TAKEN = holders({"Ann Lee": holder(2)})


# -- accept


@pytest.mark.parametrize("reason", [Reason.RENAMED, Reason.REMAPPED])
def test_an_accepted_rename_is_sent_under_its_new_name_and_keeps_the_first(reason: Reason) -> None:
    decision = accept(held(reason, ANN, RAY), RAY, nobody, DEFAULT)
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Ray", RAY.key))
    assert (decision.release, decision.event) == (False, "accepted")


def test_an_accepted_rename_to_a_name_that_is_taken_is_decided_by_the_policy() -> None:
    taken = holders({"Ann Ray": holder(2)})
    assert accept(RENAMED, RAY, taken, DEFAULT).claim == NameClaim("Ann Ray (ann@x)", RAY.qualified_key)
    asked = accept(RENAMED, RAY, taken, Policy(on_same_name="hold"))
    assert (asked.state, asked.reason) == (State.HELD, Reason.SAME_NAME)


def test_an_accepted_same_name_is_sent_under_its_qualified_name_whatever_the_policy() -> None:
    decision = accept(SAME_NAME, ANN, TAKEN, Policy(on_same_name="hold"))
    assert (decision.state, decision.claim) == (
        State.PENDING,
        NameClaim("Ann Lee (ann@x)", ANN.qualified_key),
    )


def test_an_accepted_same_name_is_sent_plain_where_the_name_is_free_by_now() -> None:
    assert accept(SAME_NAME, ANN, nobody, DEFAULT).claim == NameClaim("Ann Lee", ANN.key)


def test_a_same_name_can_be_accepted_under_a_given_name() -> None:
    given = NameClaim("Ann the Second", of("Ann the Second"))
    decision = accept(SAME_NAME, ANN, TAKEN, DEFAULT, name=given)
    assert (decision.state, decision.claim, decision.sent) == (State.PENDING, given, ANN.hashes)


def test_a_rename_can_be_accepted_under_a_given_name() -> None:
    given = NameClaim("Ann Ray-Lee", of("Ann Ray-Lee"))
    assert accept(RENAMED, RAY, nobody, DEFAULT, name=given).claim == given


def test_a_given_name_that_another_has_is_refused() -> None:
    with pytest.raises(UserError, match="is taken"):
        accept(SAME_NAME, ANN, TAKEN, DEFAULT, name=NameClaim("Ann Lee", ANN.key))


@pytest.mark.parametrize(
    ("what", "taken"),
    [
        (draft("Ann Lee"), TAKEN),
        (ANN, holders({"Ann Lee": holder(2), "Ann Lee (ann@x)": holder(3)})),
    ],
    ids=["no qualifier", "qualified name taken"],
)
def test_a_same_name_without_a_free_name_asks_for_one(what: object, taken: object) -> None:
    with pytest.raises(UserError, match="no free name") as caught:
        accept(SAME_NAME, what, taken, DEFAULT)  # type: ignore[arg-type]  # of the kinds above
    assert "--as" in caught.value.advice


@pytest.mark.parametrize("known", [SAME_NAME, RENAMED])
def test_what_is_not_stored_any_more_cannot_be_sent(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="no longer stored") as caught:
        accept(known, None, nobody, DEFAULT)
    assert "retry" in caught.value.advice


@pytest.mark.parametrize(("known", "what"), [(SAME_NAME, ANN), (RENAMED, RAY)])
def test_what_is_gone_from_the_source_is_not_sent_and_its_retry_waits_for_it(
    known: LedgerRow, what: Draft
) -> None:
    gone = known._replace(gone=True)
    with pytest.raises(UserError, match="gone from Salestrekker"):
        accept(gone, what, nobody, DEFAULT)
    assert retry(gone, what, nobody, DEFAULT) is None


def test_an_accepted_same_party_is_merged_into_the_record_that_has_it() -> None:
    decision = accept(SAME_PARTY, ANN, nobody, DEFAULT)
    assert (decision.state, decision.merged_into, decision.draft_action) == (
        State.MERGED,
        7,
        DraftAction.DONE,
    )
    assert decision.merged_under == ANN.key


def test_an_accepted_existing_one_is_delivered_as_it_is() -> None:
    decision = accept(EXISTING, ANN, nobody, DEFAULT)
    assert (decision.state, decision.claim, decision.draft_action) == (
        State.DELIVERED,
        None,
        DraftAction.SENT,
    )
    assert decision.content == {}, "what else Trakor has of it is not known"


def test_an_accepted_drift_counts_as_corrected_in_trakor_by_hand() -> None:
    decision = accept(DRIFTED, None, nobody, DEFAULT)
    assert (decision.state, decision.sent, decision.seen) == (State.DELIVERED, DRIFTED.seen, None)


@pytest.mark.parametrize("known", [DRIFTED, SAME_PARTY, EXISTING])
def test_accepting_keeps_the_mark_filtered(known: LedgerRow) -> None:
    assert accept(known._replace(filtered=True), ANN, nobody, DEFAULT).filtered


@pytest.mark.parametrize(
    "known",
    [
        pending(ANN),
        TRIED,
        delivered(ANN),
        row(State.MERGED, merged_into=2),
        row(State.SKIPPED, Reason.FILTERED),
        rejected(Reason.REFUSED, ANN),
        row(State.DROPPED),
    ],
    ids=lambda known: str(known.state),
)
def test_there_is_nothing_to_accept_of_what_waits_for_no_decision(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="nothing to accept"):
        accept(known, ANN, nobody, DEFAULT)


# -- drop


@pytest.mark.parametrize(
    ("known", "gives_back"),
    [
        (pending(ANN), True),
        (TRIED, False),
        (rejected(Reason.REFUSED, ANN), True),
        (rejected(Reason.SERVER_ERROR, ANN), False),
        (SAME_NAME, True),
        (SAME_PARTY, True),
        (RENAMED, False),
        (EXISTING, False),
        (DRIFTED, False),
        (row(State.SKIPPED, Reason.FILTERED), True),
    ],
    ids=lambda value: f"{value.state}-{value.reason}" if isinstance(value, LedgerRow) else str(value),
)
def test_a_dropped_record_keeps_a_name_only_where_trakor_may_have_it(
    known: LedgerRow,
    gives_back: bool,  # noqa: FBT001
) -> None:
    decision = drop(known)
    assert (decision.state, decision.draft_action) == (State.DROPPED, DraftAction.DONE)
    assert decision.release is gives_back


@pytest.mark.parametrize("known", [delivered(ANN), row(State.MERGED, merged_into=2)])
def test_there_is_nothing_to_drop_of_what_is_settled(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="nothing to drop"):
        drop(known)


def test_what_is_dropped_already_is_said_to_be_and_not_to_be_in_trakor() -> None:
    with pytest.raises(UserError, match="dropped already") as refused:
        drop(row(State.DROPPED))
    assert "`trakor-bridge records retry ID`" in refused.value.advice


# -- retry


def test_a_refused_record_is_decided_as_new_at_once_from_its_stored_draft() -> None:
    decision = retry(rejected(Reason.REFUSED, ANN), ANN, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim, decision.event) == (
        State.PENDING,
        NameClaim("Ann Lee", ANN.key),
        "retried",
    )


def test_a_record_that_drew_server_errors_is_sent_again_under_the_name_that_it_was_tried_under() -> None:
    """It went out qualified; the plain name is free by now, but could make a second party."""
    tried = rejected(Reason.SERVER_ERROR, ANN)._replace(sent_key=ANN.qualified_key)
    decision = retry(tried, ANN, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim, decision.draft_action) == (State.PENDING, None, DraftAction.KEEP)


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_tried_is_sent_again_at_once_and_what_was_noted_still_waits(gone: bool) -> None:  # noqa: FBT001
    """Dropped or rejected, there or gone: Trakor may have it until it answers."""
    noted = rejected(Reason.SERVER_ERROR, ANN, seen=RAY.hashes, gone=gone)
    dropped = pending(ANN, attempts=1, stored=True)._replace(state=State.DROPPED, gone=gone)
    for known in (noted, dropped):
        decision = retry(known, ANN, nobody, DEFAULT)
        assert decision is not None
        assert (decision.state, decision.event) == (State.PENDING, "retried")
        assert (decision.draft_action, decision.seen) == (DraftAction.KEEP, known.seen)


def test_a_record_that_drew_server_errors_under_a_given_name_keeps_it() -> None:
    tried = rejected(Reason.SERVER_ERROR, ANN)._replace(sent_key=of("Ann the Second"))
    decision = retry(tried, ANN, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, None)


def test_a_same_name_is_decided_as_new_at_once() -> None:
    decision = retry(SAME_NAME, ANN, nobody, DEFAULT)
    assert decision is not None
    assert decision.claim == NameClaim("Ann Lee", ANN.key)


@pytest.mark.parametrize("reason", [Reason.SAME_NAME, Reason.SAME_PERSON])
def test_one_whose_name_is_still_taken_is_held_as_before_and_told_so_each_time(reason: Reason) -> None:
    same_as = {"e": "1", "p": "2"} if reason is Reason.SAME_PERSON else "another"
    what = draft("Ann Lee", same_as=same_as)
    other = holder(same_as={"e": "1", "p": "3"})
    known = row(State.HELD, reason, seen=what.hashes, key=what.key, identifiers=what.identifiers)
    for asked in (known, known._replace(retry=True)):
        decision = retry(asked, what, holders({"Ann Lee": other}), DEFAULT)
        assert decision is not None
        assert (decision.state, decision.reason, decision.event) == (State.HELD, reason, "retried")


@pytest.mark.parametrize(
    ("known", "what"),
    [
        (row(State.REJECTED, Reason.MAPPING), None),
        (row(State.SKIPPED, Reason.FILTERED), None),
        (row(State.DROPPED), None),
        (SAME_NAME, None),
        (SAME_PARTY, ANN),
        (RENAMED, RAY),
    ],
    ids=lambda value: f"{value.state}-{value.reason}" if isinstance(value, LedgerRow) else "",
)
def test_what_cannot_be_decided_from_the_ledger_is_decided_when_it_is_next_read(
    known: LedgerRow, what: object
) -> None:
    assert retry(known, what, nobody, DEFAULT) is None  # type: ignore[arg-type]  # a draft or None


def test_an_existing_one_is_taken_as_it_is_once_the_policy_says_so() -> None:
    decision = retry(EXISTING, ANN, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.event) == (State.DELIVERED, "retried")


def test_an_existing_one_stays_held_while_the_policy_says_so() -> None:
    with pytest.raises(UserError, match="stays held") as caught:
        retry(EXISTING, ANN, nobody, Policy(on_existing="hold"))
    assert "accept" in caught.value.advice


def test_deciding_anew_does_not_help_a_drifted_one() -> None:
    """It would only wait for a decision that is never another one."""
    with pytest.raises(UserError, match="checking it again changes nothing") as caught:
        retry(DRIFTED, ANN, nobody, DEFAULT)
    assert "`trakor-bridge records accept`" in caught.value.advice


@pytest.mark.parametrize("known", [delivered(ANN), row(State.MERGED, merged_into=2)])
def test_there_is_nothing_to_retry_of_what_is_settled(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="nothing to retry"):
        retry(known, None, nobody, DEFAULT)
