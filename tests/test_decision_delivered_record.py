"""The rows "answered" of the decision table (docs/decisions.md), in pure code."""

from __future__ import annotations

import pytest

from bridge.decision import decide
from bridge.records import (
    Draft,
    DraftAction,
    LedgerRow,
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
    unmapped,
    unnamed,
)

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="ann@x")


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


def test_an_accepted_rename_whose_name_was_taken_is_decided_again_at_each_read() -> None:
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


def test_what_is_held_as_remapped_stays_that_at_the_next_read() -> None:
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
