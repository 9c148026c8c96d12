"""The rows "merged" of the decision table (docs/decisions.md), in pure code."""

from __future__ import annotations

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
    draft,
    filtered,
    holder,
    holders,
    nobody,
    of,
    row,
    unmapped,
    unnamed,
)

DEFAULT = Policy()
HOLD = Policy(on_same_name="hold")
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x")
SAME_ANN = holders({"Ann Lee": holder(same_as="ann@x")})


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


def test_merged_and_unchanged_writes_nothing() -> None:
    assert decide(ANN, merged(), SAME_ANN, DEFAULT) is None


@pytest.mark.parametrize("seen", [draft("Ann Lee", "0499", same_as="ann@x"), draft("ANN LEE")])
def test_a_merged_record_stays_merged_whatever_changes_but_its_name(seen: Draft) -> None:
    decision = decide(seen, merged(), SAME_ANN, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.sent) == (State.MERGED, 2, seen.hashes)
    assert decision.draft_action is DraftAction.STORE


@pytest.mark.parametrize(
    ("seen", "state"), [(unnamed(), State.SKIPPED), (unmapped(), State.REJECTED)], ids=["no name", "mapping"]
)
def test_a_merged_record_that_makes_no_draft_is_decided_as_new(seen: Unsendable, state: State) -> None:
    decision = decide(seen, merged(), SAME_ANN, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.merged_into) == (state, None)


def test_a_merged_record_that_where_says_no_to_is_marked() -> None:
    decision = decide(filtered(), merged(), SAME_ANN, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.filtered) == (State.MERGED, 2, True)


def test_a_merged_record_that_is_renamed_is_held() -> None:
    decision = decide(draft("Ann Ray"), merged(), SAME_ANN, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason, decision.merged_into) == (State.HELD, Reason.RENAMED, 2)


def test_a_merged_record_that_is_renamed_is_decided_as_new_where_the_policy_says_so() -> None:
    decision = decide(draft("Ann Ray"), merged(), SAME_ANN, CREATE)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Ray", of("Ann Ray")))


@pytest.mark.parametrize(
    ("answered", "draft_action"), [(True, DraftAction.STORE), (False, DraftAction.STORE)]
)
def test_a_renamed_merged_record_whose_name_comes_back_is_merged_again(
    answered: bool,  # noqa: FBT001
    draft_action: DraftAction,
) -> None:
    known = merged()._replace(state=State.HELD, reason=Reason.RENAMED, seen=draft("Ann Ray").hashes)
    claimant = holders({"Ann Lee": holder(same_as="ann@x", answered=answered)})
    decision = decide(ANN, known, claimant, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.draft_action) == (State.MERGED, 2, draft_action)


@pytest.mark.parametrize("known", [merged(), merged(filtered=True), merged(gone=True)])
def test_a_merged_record_that_nobody_stands_for_any_more_is_decided_as_new(known: LedgerRow) -> None:
    """Its claimant gave the name back while this one was filtered or gone."""
    decision = decide(ANN, known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Lee", ANN.key))


def test_a_merged_record_is_not_the_one_of_a_stranger_who_took_the_name_since() -> None:
    stranger = holders({"Ann Lee": holder(9, same_as="somebody else")})
    decision = decide(ANN, merged(), stranger, HOLD)
    assert decision is not None
    assert (decision.state, decision.reason, decision.merged_into) == (State.HELD, Reason.SAME_NAME, None)


def test_a_record_merged_under_the_qualified_name_stays_so() -> None:
    known = merged(3, sent_key=ANN.qualified_key)
    taken = holders({"Ann Lee": holder(2), "Ann Lee (ann@x)": holder(3)})
    assert decide(ANN, known, taken, DEFAULT) is None
