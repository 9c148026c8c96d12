"""The rows "nothing" of the decision table (docs/decisions.md), in pure code."""

from __future__ import annotations

import pytest

from bridge.decision import decide
from bridge.records import (
    Draft,
    DraftAction,
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
    holder,
    holders,
    nobody,
    of,
    unmapped,
    unnamed,
)

DEFAULT = Policy()
QUALIFY, HOLD, MERGE = (Policy(on_same_name=word) for word in ("qualify", "hold", "merge"))
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x")
OTHER_ANN = holders({"Ann Lee": holder(same_as="other@x")})
SAME_ANN = holders({"Ann Lee": holder(same_as="ann@x")})
BOTH_TAKEN = holders({"Ann Lee": holder(2), "Ann Lee (ann@x)": holder(3)})


@pytest.mark.parametrize(
    ("seen", "state", "reason"),
    [
        (filtered(), State.SKIPPED, Reason.FILTERED),
        (unnamed(), State.SKIPPED, Reason.NO_NAME),
        (unmapped(), State.REJECTED, Reason.MAPPING),
    ],
)
def test_what_makes_no_draft_is_set_aside(seen: Unsendable, state: State, reason: Reason) -> None:
    """`where` says no, no name, mapping fails: skipped or rejected, without a claim."""
    decision = decide(seen, None, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason, decision.claim) == (state, reason, None)
    assert decision.detail.endswith(seen.detail)
    assert decision.detail.startswith(seen.field if seen.detail else "")


def test_a_free_name_is_claimed_and_waits_to_be_sent() -> None:
    decision = decide(ANN, None, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Lee", of("Ann Lee")))
    assert (decision.draft_action, decision.sent) == (DraftAction.STORE, ANN.hashes)


@pytest.mark.parametrize("policy", [QUALIFY, HOLD, MERGE])
def test_the_same_person_under_one_name_is_merged_whatever_the_policy(policy: Policy) -> None:
    decision = decide(ANN, None, SAME_ANN, policy)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.claim) == (State.MERGED, 2, None)
    assert decision.detail == "into c2"


def test_two_records_without_same_as_are_never_the_same_person() -> None:
    decision = decide(draft("Ann Lee"), None, holders({"Ann Lee": holder(same_as="")}), HOLD)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.SAME_NAME)


def test_one_who_is_merged_itself_is_not_merged_into_but_what_it_is_merged_into() -> None:
    decision = decide(ANN, None, holders({"Ann Lee": holder(2, same_as="ann@x", merged_into=7)}), DEFAULT)
    assert decision is not None
    assert decision.merged_into == 7


def test_two_that_swap_names_share_each_others_party_and_none_its_own() -> None:
    """The other is merged into this one, whose name it took; now this one takes the other's."""
    swapped = holders({"Bo": holder(2, merged_into=1, answered=True)})
    decision = decide(draft("Bo"), delivered(ANN), swapped, Policy(on_same_name="merge", on_rename="create"))
    assert decision is not None
    assert (decision.state, decision.merged_into) == (State.MERGED, 2)


@pytest.mark.parametrize("answered", [False, True])
def test_what_a_merged_record_says_is_kept_since_it_may_have_to_stand_for_the_name(
    answered: bool,  # noqa: FBT001
) -> None:
    claimant = holder(same_as="ann@x", answered=answered, linked=answered)
    decision = decide(ANN, None, holders({"Ann Lee": claimant}), DEFAULT)
    assert decision is not None
    assert decision.draft_action is DraftAction.STORE


def test_one_whose_claimant_will_never_be_sent_takes_the_claim() -> None:
    """Nobody else would ever send it; how often the name was tried goes with the claim."""
    decision = decide(ANN, None, holders({"Ann Lee": holder(same_as="ann@x", represents=False)}), MERGE)
    assert decision is not None
    assert (decision.state, decision.succeeds, decision.merged_under) == (State.PENDING, 2, ANN.key)


def test_one_whose_claimant_is_gone_keeps_the_party() -> None:
    claimant = holder(same_as="ann@x", represents=False, answered=True, linked=True, sent=ANN.hashes)
    decision = decide(ANN, None, holders({"Ann Lee": claimant}), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.succeeds, decision.seen) == (State.DELIVERED, 2, None)


def test_one_that_keeps_the_party_and_says_something_else_drifts() -> None:
    claimant = holder(
        same_as="ann@x", represents=False, answered=True, linked=True, sent=draft("Ann Lee", "0499").hashes
    )
    decision = decide(ANN, None, holders({"Ann Lee": claimant}), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.succeeds, decision.seen) == (State.DRIFTED, 2, ANN.hashes)


def test_another_of_the_same_name_is_qualified() -> None:
    decision = decide(ANN, None, OTHER_ANN, QUALIFY)
    assert decision is not None
    assert (decision.state, decision.claim) == (
        State.PENDING,
        NameClaim("Ann Lee (ann@x)", of("Ann Lee (ann@x)")),
    )
    assert decision.detail == "qualified: c2 has the name"


@pytest.mark.parametrize(
    ("seen", "taken", "policy"),
    [
        (ANN, OTHER_ANN, HOLD),
        (draft("Ann Lee"), OTHER_ANN, QUALIFY),
        (ANN, BOTH_TAKEN, QUALIFY),
    ],
    ids=["by policy", "no qualifier", "qualified name taken"],
)
def test_a_name_that_cannot_be_qualified_is_held(seen: Draft, taken: object, policy: Policy) -> None:
    decision = decide(seen, None, taken, policy)  # type: ignore[arg-type]  # one of the callables above
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.SAME_NAME)
    assert (decision.claim, decision.draft_action) == (None, DraftAction.STORE)


def test_the_same_person_under_the_qualified_name_is_merged() -> None:
    taken = holders({"Ann Lee": holder(2), "Ann Lee (ann@x)": holder(3, same_as="ann@x")})
    decision = decide(ANN, None, taken, QUALIFY)
    assert decision is not None
    assert (decision.state, decision.merged_into) == (State.MERGED, 3)
    assert decision.merged_under == ANN.qualified_key


def test_every_same_name_is_merged_where_the_policy_says_so() -> None:
    decision = decide(ANN, None, OTHER_ANN, MERGE)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.merged_under) == (State.MERGED, 2, ANN.key)
