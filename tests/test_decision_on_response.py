"""What Trakor answers, and what becomes of the record then (docs/decisions.md, "The answer")."""

from __future__ import annotations

import pytest

from bridge.decision import fail, give_back, reject, settle
from bridge.records import DraftAction, LedgerRow, Origin, Policy, Reason, State
from builders import answer, delivered, draft, pending

DEFAULT = Policy()
ASK_FIRST = Policy(on_existing="hold")
ANN = draft("Ann Lee", "0412")
SENT = pending(ANN, attempts=1)
DROPPED = SENT._replace(state=State.DROPPED)


def test_created_is_delivered_and_what_the_record_says_is_not_needed_any_more() -> None:
    decision = settle(answer(created=True), SENT, None, DEFAULT)
    assert (decision.state, decision.origin) == (State.DELIVERED, Origin.CREATED)
    assert (decision.draft_action, decision.release) == (DraftAction.SENT, False)
    assert decision.content == ANN.hashes


def test_what_was_there_at_the_first_attempt_is_adopted() -> None:
    decision = settle(answer(created=False), SENT, None, DEFAULT)
    assert (decision.state, decision.origin) == (State.DELIVERED, Origin.EXISTING)


def test_what_was_there_at_the_first_attempt_is_held_where_the_policy_says_so() -> None:
    decision = settle(answer(created=False), SENT, None, ASK_FIRST)
    assert (decision.state, decision.reason) == (State.HELD, Reason.EXISTING)
    assert decision.origin is Origin.EXISTING


def test_what_was_there_after_a_request_without_an_answer_may_be_our_own() -> None:
    """The request before, whose answer was lost, may have made it: nobody is asked."""
    decision = settle(answer(created=False), pending(ANN, attempts=2), None, DEFAULT, silent=True)
    assert (decision.state, decision.origin) == (State.DELIVERED, Origin.UNCLEAR)


@pytest.mark.parametrize("attempts", [2, 20])
def test_what_was_there_after_attempts_that_were_all_answered_was_there_before(attempts: int) -> None:
    """429, 503 and an application's 500 are answers: nothing is known of what Trakor has."""
    decision = settle(answer(created=False), pending(ANN, attempts=attempts), None, DEFAULT)
    assert (decision.state, decision.origin, decision.content) == (State.DELIVERED, Origin.EXISTING, {})


@pytest.mark.parametrize("attempts", [2, 20])
def test_what_two_want_is_adopted_by_neither_however_often_it_was_tried(attempts: int) -> None:
    row = pending(ANN, attempts=attempts)
    decision = settle(answer(created=False), row, None, DEFAULT, wanted=True)
    assert (decision.state, decision.reason) == (State.HELD, Reason.EXISTING)


@pytest.mark.parametrize("silent", [False, True])
def test_what_may_have_been_there_before_is_held_where_the_policy_says_so(silent: bool) -> None:  # noqa: FBT001
    """Early failures prove nothing: it may have been there before all of them."""
    decision = settle(answer(created=False), pending(ANN, attempts=20), None, ASK_FIRST, silent=silent)
    assert (decision.state, decision.reason) == (State.HELD, Reason.EXISTING)


def test_what_was_tried_first_is_what_trakor_has_of_an_unclear_one() -> None:
    tried = draft("Ann Lee", "0499")
    row = pending(ANN, attempts=2, tried=tried.hashes)
    decision = settle(answer(created=False), row, None, DEFAULT, silent=True)
    assert (decision.state, decision.content) == (State.DRIFTED, tried.hashes)
    assert decision.detail == "unclear: contact_info"


def test_an_earlier_name_that_was_corrected_by_hand_has_the_content_of_then() -> None:
    """The answer proves the new name, and nothing of the other fields."""
    then = draft("Ann Ray", "0499")
    decision = settle(answer(created=False), SENT, SENT.number, DEFAULT, link=then.hashes)
    assert decision.state is State.DRIFTED
    assert decision.content == {**then.hashes, "name": ANN.hashes["name"]}
    assert decision.detail == "unclear: contact_info"


def test_an_unclear_one_that_is_as_it_was_tried_is_delivered() -> None:
    row = pending(ANN, attempts=3, tried=ANN.hashes)
    decision = settle(answer(created=False), row, None, DEFAULT, silent=True)
    assert (decision.state, decision.seen, decision.content) == (State.DELIVERED, None, ANN.hashes)


def test_what_was_made_now_has_what_was_sent_now() -> None:
    """However often it was tried before: Trakor says that this request made it."""
    tried = draft("Ann Lee", "0499")
    row = pending(ANN, attempts=3, tried=tried.hashes)
    decision = settle(answer(created=True), row, None, DEFAULT, silent=True)
    assert (decision.origin, decision.content, decision.state) == (
        Origin.CREATED,
        ANN.hashes,
        State.DELIVERED,
    )


def test_of_what_was_there_before_nothing_is_known_but_its_name() -> None:
    assert settle(answer(created=False), SENT, None, DEFAULT).content == {}


def test_early_failures_do_not_prove_what_a_held_one_has() -> None:
    """It is held for a person, with what was tried first: Trakor has that, if it was not there before."""
    row = pending(ANN, attempts=20, tried=draft("Ann Lee", "0499").hashes)
    decision = settle(answer(created=False), row, None, ASK_FIRST, silent=True)
    assert (decision.state, decision.reason, decision.origin) == (
        State.HELD,
        Reason.EXISTING,
        Origin.UNCLEAR,
    )
    assert decision.content == row.tried


@pytest.mark.parametrize("policy", [DEFAULT, ASK_FIRST])
def test_an_earlier_name_that_came_back_has_what_was_sent_under_it(policy: Policy) -> None:
    """A to B to A: the telephone was changed meanwhile, which Trakor does not know."""
    first = draft("Ann Lee", "0499")
    decision = settle(answer(created=False), SENT, SENT.number, policy, link=first.hashes)
    assert (decision.state, decision.content) == (State.DRIFTED, first.hashes)
    same = settle(answer(created=False), SENT, SENT.number, policy, link=ANN.hashes)
    assert (same.state, same.seen) == (State.DELIVERED, None)


def test_of_a_link_whose_content_is_not_known_nothing_drifts() -> None:
    decision = settle(answer(created=False), SENT, SENT.number, DEFAULT, link={})
    assert (decision.state, decision.content) == (State.DELIVERED, {})


@pytest.mark.parametrize("attempts", [2, 3])
def test_an_unclear_one_that_two_want_is_its_own(attempts: int) -> None:
    """Only what was there before can be either's: this one may have made it."""
    row = pending(ANN, attempts=attempts)
    decision = settle(answer(created=False), row, None, DEFAULT, wanted=True, silent=True)
    assert (decision.state, decision.origin) == (State.DELIVERED, Origin.UNCLEAR)


def test_what_two_records_want_is_adopted_by_neither() -> None:
    decision = settle(answer(created=False), SENT, None, DEFAULT, wanted=True)
    assert (decision.state, decision.reason) == (State.HELD, Reason.EXISTING)


@pytest.mark.parametrize("policy", [DEFAULT, ASK_FIRST])
@pytest.mark.parametrize("attempts", [1, 2])
def test_an_id_that_another_record_has_is_held(policy: Policy, attempts: int) -> None:
    """Trakor matches names more loosely than we do: the two would become one in silence."""
    decision = settle(answer(created=False), pending(ANN, attempts=attempts), 7, policy)
    assert (decision.state, decision.reason, decision.merged_into) == (
        State.HELD,
        Reason.SAME_PARTY,
        7,
    )
    assert "t1" in decision.detail


@pytest.mark.parametrize("known", [None, Origin.CREATED, Origin.EXISTING])
@pytest.mark.parametrize("policy", [DEFAULT, ASK_FIRST])
def test_an_id_that_the_record_has_itself_is_its_own(known: Origin | None, policy: Policy) -> None:
    """An earlier name of its own came back: no reason to ask anybody."""
    decision = settle(answer(created=False), SENT._replace(origin=known), SENT.number, policy)
    assert (decision.state, decision.origin) == (State.DELIVERED, known or Origin.UNCLEAR)


def test_a_difference_without_a_draft_to_decide_on_is_a_drift() -> None:
    """While it was under way it was seen without a name, or not to be mapped."""
    seen = {**ANN.hashes, "price": "?"}
    decision = settle(answer(), SENT._replace(seen=seen), None, DEFAULT)
    assert (decision.state, decision.seen) == (State.DRIFTED, seen)


def test_a_noted_draft_is_decided_on_next_so_it_is_no_drift_yet() -> None:
    seen = draft("Ann Lee", "0499").hashes
    decision = settle(answer(), SENT._replace(seen=seen), None, DEFAULT, noted=True)
    assert (decision.state, decision.seen) == (State.DELIVERED, None)


@pytest.mark.parametrize(("linked", "origin"), [(None, Origin.CREATED), (7, None)])
def test_a_record_that_was_dropped_meanwhile_stays_dropped(linked: int | None, origin: Origin | None) -> None:
    decision = settle(answer(), DROPPED, linked, DEFAULT)
    assert (decision.state, decision.origin) == (State.DROPPED, origin)
    assert decision.detail == "after it was dropped"


@pytest.mark.parametrize("created", [True, False])
@pytest.mark.parametrize("linked", [None, 7])
@pytest.mark.parametrize("policy", [DEFAULT, ASK_FIRST])
def test_an_answer_keeps_the_mark_filtered(
    created: bool,  # noqa: FBT001
    linked: int | None,
    policy: Policy,
) -> None:
    marked = SENT._replace(filtered=True)
    assert settle(answer(created=created), marked, linked, policy).filtered


def test_a_refused_record_is_rejected_with_the_message_and_gives_its_name_back() -> None:
    """Trakor said no, so nothing was made under that name."""
    decision = reject(SENT, "name: too long")
    assert (decision.state, decision.reason) == (State.REJECTED, Reason.REFUSED)
    assert (decision.release, decision.detail) == (True, "name: too long")
    assert decision.draft_action is DraftAction.KEEP


@pytest.mark.parametrize("row", [pending(ANN, attempts=2), DROPPED._replace(attempts=2)])
def test_a_refused_record_keeps_its_name_where_an_earlier_attempt_may_have_made_it(row: LedgerRow) -> None:
    """An answer was lost, then 400 for the repeat: a stranger must not get the first one's party."""
    assert not reject(row, "400").release


def test_what_trakor_said_is_kept_apart_from_the_history() -> None:
    """Its words may tell what the record says."""
    decision = reject(SENT, "400", response_text="name: Ann Lee is too short")
    assert (decision.detail, decision.response_text) == ("400", "name: Ann Lee is too short")
    assert fail(SENT, "failed 8 times", response_text="Ann Lee").response_text == "Ann Lee"


def test_failures_of_its_own_reject_a_record_but_its_name_stays_claimed() -> None:
    """A server that answers 500 may have made the party all the same."""
    decision = fail(SENT, "failed 8 times while others passed")
    assert (decision.state, decision.reason) == (State.REJECTED, Reason.SERVER_ERROR)
    assert not decision.release


def test_a_refusal_of_a_dropped_record_leaves_it_dropped_without_its_name() -> None:
    decision = reject(DROPPED, "name: too long")
    assert (decision.state, decision.release) == (State.DROPPED, True)


@pytest.mark.parametrize("row", [pending(ANN, filtered=True), DROPPED])
def test_what_was_surely_never_made_gives_its_name_back_and_stays_as_it_is(row: LedgerRow) -> None:
    decision = give_back(row)
    assert (decision.state, decision.release) == (row.state, True)
    assert decision.filtered == row.filtered


def test_a_delivered_record_that_is_answered_again_stays_delivered() -> None:
    decision = settle(answer(created=False), delivered(ANN), 1, DEFAULT)
    assert (decision.state, decision.origin) == (State.DELIVERED, Origin.CREATED)
