"""Each row of the decision table for what is seen (docs/decisions.md), in pure code."""

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
    made_by,
    nobody,
    of,
    pending,
    rejected,
    row,
    unmapped,
    unnamed,
)

DEFAULT = Policy()
QUALIFY, HOLD, MERGE = (Policy(on_same_name=word) for word in ("qualify", "hold", "merge"))
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x")
OTHER_ANN = holders({"Ann Lee": holder(same_as="other@x")})
SAME_ANN = holders({"Ann Lee": holder(same_as="ann@x")})
BOTH_TAKEN = holders({"Ann Lee": holder(2), "Ann Lee (ann@x)": holder(3)})


# -- nothing is known


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


# -- answered


def test_delivered_as_sent_costs_nothing() -> None:
    """What a sweep without changes consists of."""
    assert decide(ANN, delivered(ANN), nobody, DEFAULT) is None


@pytest.mark.parametrize(
    "known",
    [
        delivered(ANN, state=State.DRIFTED, seen=draft("Ann Lee", "0499").hashes),
        held(Reason.RENAMED, ANN, draft("Bo")),
        held(Reason.REMAPPED, ANN, draft("Bo")),
        held(Reason.SAME_NAME, ANN, draft("Bo")),
    ],
    ids=["drifted", "renamed", "remapped", "accepted rename that was taken"],
)
def test_what_is_again_as_sent_ends_a_drift_or_a_held_rename(known: LedgerRow) -> None:
    decision = decide(ANN, known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.seen, decision.draft_action) == (State.DELIVERED, None, DraftAction.DONE)


@pytest.mark.parametrize(
    ("sent", "now", "qualified", "fields"),
    [
        (ANN, draft("Ann Lee", "0499", qualifier="ann@x"), False, "contact_info"),
        (ANN, draft("ANN LEE", "0412", qualifier="ann@x"), False, "name"),
        (ANN, draft("Ann Lee", "0412", qualifier="new@x"), True, "qualifier"),
        (ANN, draft("Ann Lee", qualifier="ann@x"), False, "contact_info"),
        (
            draft("Plus", "fixed", product=True, price="600.00"),
            draft("Plus", "fixed", product=True, price="650.00"),
            False,
            "price",
        ),
    ],
    ids=["other field", "other spelling", "other qualifier of a qualified one", "field emptied", "price"],
)
def test_other_fields_under_the_same_key_drift(
    sent: Draft,
    now: Draft,
    qualified: bool,  # noqa: FBT001
    fields: str,
) -> None:
    """Trakor has no update, so a person sees which fields differ; nothing is sent."""
    decision = decide(now, delivered(sent, qualified=qualified), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.detail, decision.seen) == (State.DRIFTED, fields, now.hashes)
    assert (decision.claim, decision.sent, decision.draft_action) == (None, sent.hashes, DraftAction.STORE)


def test_another_qualifier_of_one_that_went_out_unqualified_is_no_change() -> None:
    now = draft("Ann Lee", "0412", same_as="ann@x", qualifier="new@x")
    assert decide(now, delivered(ANN), nobody, DEFAULT) is None


def test_a_drift_that_is_listed_already_writes_nothing() -> None:
    now = draft("Ann Lee", "0499", same_as="ann@x")
    assert decide(now, delivered(ANN, state=State.DRIFTED, seen=now.hashes), nobody, DEFAULT) is None


@pytest.mark.parametrize("seen", [unnamed(), unmapped("name"), unmapped("price")])
def test_a_delivered_record_that_makes_no_draft_any_more_drifts_in_that_field(seen: Unsendable) -> None:
    decision = decide(seen, delivered(ANN), nobody, DEFAULT)
    assert decision is not None
    assert decision.state is State.DRIFTED
    assert decision.seen == {**ANN.hashes, seen.field: "?"}


def test_changes_that_the_user_ignores_stay_delivered() -> None:
    ignore = Policy(on_change="ignore")
    now = draft("Ann Lee", "0499", same_as="ann@x")
    decision = decide(now, delivered(ANN), nobody, ignore)
    assert decision is not None
    assert (decision.state, decision.event, decision.seen) == (State.DELIVERED, "", now.hashes)
    assert decide(now, delivered(ANN, seen=now.hashes), nobody, ignore) is None


def test_a_drift_ends_when_the_user_chooses_to_ignore_changes() -> None:
    now = draft("Ann Lee", "0499")
    known = delivered(ANN, state=State.DRIFTED, seen=now.hashes)
    decision = decide(now, known, nobody, Policy(on_change="ignore"))
    assert decision is not None
    assert decision.state is State.DELIVERED


def test_a_renamed_record_is_held_with_its_new_draft() -> None:
    decision = decide(draft("Ann Ray"), delivered(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason, decision.draft_action) == (
        State.HELD,
        Reason.RENAMED,
        DraftAction.STORE,
    )
    assert (decision.claim, decision.release) == (None, False)


def test_a_held_rename_that_is_unchanged_writes_nothing() -> None:
    now = draft("Ann Ray", same_as="ann@x")
    assert decide(now, held(Reason.RENAMED, ANN, now), nobody, DEFAULT) is None


def test_a_renamed_record_is_sent_again_where_the_policy_says_so_and_keeps_its_first_claim() -> None:
    decision = decide(draft("Ann Ray"), delivered(ANN), nobody, CREATE)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Ray", of("Ann Ray")))
    assert not decision.release


def test_a_held_rename_is_sent_once_the_policy_says_so() -> None:
    now = draft("Ann Ray")
    decision = decide(now, held(Reason.RENAMED, ANN, now), nobody, CREATE)
    assert decision is not None
    assert decision.state is State.PENDING


def test_a_rename_to_a_name_that_is_taken_is_decided_as_any_other() -> None:
    taken = holders({"Ann Ray": holder()})
    decision = decide(draft("Ann Ray"), delivered(ANN), taken, CREATE)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.SAME_NAME)


def test_an_accepted_rename_whose_name_was_taken_is_decided_anew_at_each_sight() -> None:
    now = draft("Ann Ray")
    decision = decide(now, held(Reason.SAME_NAME, ANN, now), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("Ann Ray", of("Ann Ray")))


def test_what_another_map_makes_of_the_same_source_is_no_drift_but_marked() -> None:
    now = draft("Ann Lee", "Ann | 0412", rules="rules 2", qualifier="ann@x", before=ANN)
    decision = decide(now, delivered(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.sent, decision.event) == (State.DELIVERED, now.hashes, "remapped")
    assert decision.remapped
    assert decision.content is None, "what was really sent stays what was sent"
    assert "contact_info" in decision.detail


def test_an_edit_together_with_another_map_is_a_drift() -> None:
    """Trakor has the old number, and a changed map must not hide that."""
    edited = draft("Ann Lee", "0499", qualifier="ann@x")
    now = draft("Ann Lee", "Ann | 0499", rules="rules 2", qualifier="ann@x", before=edited)
    decision = decide(now, delivered(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.detail) == (State.DRIFTED, "contact_info")


def test_what_cannot_be_compared_since_the_query_changed_drifts_as_rules() -> None:
    now = draft("Ann Lee", "0499", qualifier="ann@x", query="query 2")
    decision = decide(now, delivered(ANN), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.detail) == (State.DRIFTED, "rules")


def test_other_rules_that_change_nothing_write_nothing() -> None:
    now = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x", rules="rules 2")
    assert decide(now, delivered(ANN), nobody, DEFAULT) is None


def test_another_name_by_other_rules_is_held_as_remapped_even_where_renames_are_sent() -> None:
    """A new map would otherwise make a second party of every contact."""
    decision = decide(draft("Lee, Ann", rules="rules 2"), delivered(ANN), nobody, CREATE)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.REMAPPED)


def test_what_is_held_as_remapped_stays_that_at_the_next_sight() -> None:
    now = draft("Lee, Ann", rules="rules 2", same_as="ann@x")
    known = held(Reason.REMAPPED, ANN, now, rules=made_by("rules 2"))
    assert decide(now, known, nobody, CREATE) is None


@pytest.mark.parametrize(
    "known",
    [
        delivered(ANN),
        delivered(ANN, state=State.DRIFTED, seen=draft("Ann Lee", "0499").hashes),
        held(Reason.RENAMED, ANN, draft("Bo")),
    ],
    ids=["delivered", "drifted", "renamed"],
)
def test_an_answered_record_that_where_says_no_to_keeps_its_state_and_is_marked(known: LedgerRow) -> None:
    decision = decide(filtered(), known, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason, decision.seen) == (known.state, known.reason, known.seen)
    assert (decision.filtered, decision.draft_action) == (True, DraftAction.KEEP)
    assert decide(filtered(), known._replace(filtered=True), nobody, DEFAULT) is None


def test_the_mark_filtered_goes_when_where_says_yes_again() -> None:
    decision = decide(ANN, delivered(ANN, filtered=True), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.filtered) == (State.DELIVERED, False)


# -- merged


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


# -- held, rejected, dropped, skipped, gone


def test_a_same_name_is_decided_anew_at_each_sight() -> None:
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
def test_what_a_person_wants_retried_is_decided_as_new_at_the_next_sight(known: LedgerRow) -> None:
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


def test_skipped_is_decided_as_new_at_each_sight() -> None:
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
