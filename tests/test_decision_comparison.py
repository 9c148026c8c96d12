"""Whose doing a difference is, the source's or the map's ("Whose doing it is" in docs/decisions.md)."""

from __future__ import annotations

import pytest

from bridge.decision import accept, decide
from bridge.ledger.decision_writer import apply_to_row
from bridge.records import Draft, DraftAction, LedgerRow, Origin, Policy, Reason, State, Unsendable
from builders import (
    as_seen,
    delivered,
    draft,
    filtered,
    held,
    holder,
    holders,
    nobody,
    pending,
    rejected,
    row,
    unmapped,
    unnamed,
)

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
IGNORE = Policy(on_change="ignore")
ANN = draft("Ann Lee", "0412")
EDITED = draft("Ann Lee", "0499")
RENAMED = draft("Ann Ray", "0412")


def by_new_map(
    name: str = "Ann Lee",
    contact: str = "Ann | 0412",
    *,
    before: Draft | Unsendable | None = ANN,
    query: str = "query 1",
    rules: str = "rules 2",
) -> Draft:
    """What map 2 makes of a record of which the map of before makes ``before``."""
    return draft(name, contact, rules=rules, query=query, before=before)


def by_map_2(name: str = "Ann Lee", contact: str = "Ann | 0412") -> Draft:
    """What map 2 makes, once the record was compared by it."""
    return draft(name, contact, rules="rules 2")


# -- the map alone


def test_what_the_map_alone_changed_is_marked_and_stays_marked() -> None:
    now = as_seen(delivered(ANN), by_new_map())
    assert (now.state, now.remapped, now.seen) == (State.DELIVERED, True, None)
    assert now.content == ANN.hashes, "what was really sent stays what was sent"
    assert decide(by_map_2(), now, nobody, DEFAULT) is None


def test_the_mark_ends_when_the_map_of_before_is_back() -> None:
    now = as_seen(delivered(ANN), by_new_map(), draft("Ann Lee", "0412", before=by_map_2()))
    assert (now.state, now.remapped, now.sent) == (State.DELIVERED, False, ANN.hashes)


def test_an_edit_after_a_remap_is_a_drift_in_that_field_and_ends_when_it_is_taken_back() -> None:
    drifted = as_seen(delivered(ANN), by_new_map(), by_map_2(contact="Ann | 0499"))
    assert (drifted.state, drifted.differing, drifted.remapped) == (State.DRIFTED, ("contact_info",), True)
    back = as_seen(drifted, by_map_2())
    assert (back.state, back.remapped) == (State.DELIVERED, True)


@pytest.mark.parametrize("policy", [DEFAULT, CREATE])
def test_another_name_by_the_map_is_held_as_remapped_whatever_the_policy(policy: Policy) -> None:
    lee_ann = by_new_map("Lee, Ann", "0412")
    now = as_seen(delivered(ANN), lee_ann, policy=policy)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)
    assert decide(by_map_2("Lee, Ann", "0412"), now, nobody, policy) is None


def test_a_record_that_is_held_keeps_the_mark_of_what_the_map_changed() -> None:
    """Else Trakor would be said to have what the map of today makes, once the name is back."""
    ray = draft("Ann Ray", "0412")
    known = held(Reason.RENAMED, ANN, ray)
    now = as_seen(known, by_new_map("Ann Ray", before=ray))
    assert (now.state, now.reason, now.remapped) == (State.HELD, Reason.RENAMED, True)
    back = as_seen(now, by_map_2())
    assert (back.state, back.remapped) == (State.DELIVERED, True)


def test_a_rename_that_is_taken_back_as_another_map_comes_is_the_maps_doing() -> None:
    """The source says what was sent: nobody is asked about a rename, and none is sent."""
    known = held(Reason.RENAMED, ANN, RENAMED)
    now = as_seen(known, by_new_map("Lee, Ann", "0412", before=ANN), policy=CREATE)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)


def test_a_drift_that_is_taken_back_as_another_map_comes_ends() -> None:
    known = delivered(ANN, state=State.DRIFTED, seen=EDITED.hashes)
    now = as_seen(known, by_new_map(before=ANN))
    assert (now.state, now.seen, now.remapped) == (State.DELIVERED, None, True)


def test_a_drift_goes_on_under_another_map() -> None:
    known = delivered(ANN, state=State.DRIFTED, seen=EDITED.hashes)
    now = as_seen(known, by_new_map(contact="Ann | 0499", before=EDITED))
    assert (now.state, now.differing) == (State.DRIFTED, ("contact_info",))
    assert decide(by_map_2(contact="Ann | 0499"), now, nobody, DEFAULT) is None


# -- the source, at the same time


@pytest.mark.parametrize("policy", [DEFAULT, IGNORE])
def test_an_edit_together_with_another_map_counts_as_the_sources(policy: Policy) -> None:
    now = as_seen(delivered(ANN), by_new_map(contact="Ann | 0499", before=EDITED), policy=policy)
    assert now.differing == ("contact_info",)
    assert now.state is (State.DRIFTED if policy is DEFAULT else State.DELIVERED)


def test_only_what_changed_at_the_source_is_named() -> None:
    plus = draft("Plus", "fixed", product=True, price="600.00")
    dearer = draft("Plus", "fixed", product=True, price="650.00")
    now = draft("Plus", "fixed rate", product=True, price="650.00", rules="rules 2", before=dearer)
    decision = decide(now, delivered(plus), nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.detail, decision.remapped) == (State.DRIFTED, "price", True)


def test_a_rename_together_with_another_map_is_a_rename() -> None:
    now = as_seen(delivered(ANN), by_new_map("Ray, Ann", "0412", before=RENAMED))
    assert (now.state, now.reason) == (State.HELD, Reason.RENAMED)
    assert decide(by_map_2("Ray, Ann", "0412"), now, nobody, DEFAULT) is None


# -- what cannot be compared


@pytest.mark.parametrize("before", [None, EDITED, unnamed(), unmapped("name")])
def test_what_cannot_be_compared_stands_as_rules(before: Draft | Unsendable | None) -> None:
    """The query changed, or the old map cannot be applied: a person is told, with one word for all."""
    query = "query 2" if before is EDITED else "query 1"
    now = as_seen(delivered(ANN), by_new_map(contact="Ann | 0499", before=before, query=query))
    assert (now.state, now.differing) == (State.DRIFTED, ("rules",))
    again = draft("Ann Lee", "Ann | 0499", rules="rules 2", query=query)
    assert decide(again, now, nobody, DEFAULT) is None


def test_another_name_that_cannot_be_compared_is_held_as_remapped() -> None:
    now = as_seen(delivered(ANN), by_new_map("Lee, Ann", before=None), policy=CREATE)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)
    assert decide(by_map_2("Lee, Ann"), now, nobody, CREATE) is None


def test_another_query_by_which_the_old_map_makes_what_it_made_is_the_maps_doing() -> None:
    now = as_seen(delivered(ANN), by_new_map(query="query 2"))
    assert (now.state, now.remapped) == (State.DELIVERED, True)


def test_an_edit_of_what_cannot_be_compared_is_named_beside_it() -> None:
    known = as_seen(delivered(ANN), by_new_map(before=None), by_map_2(contact="Ann | 0499"))
    assert (known.state, known.differing) == (State.DRIFTED, ("contact_info", "rules"))


def test_what_is_as_it_was_really_sent_is_delivered_however_it_was_compared() -> None:
    """`rules` says that nobody can tell; where it is what was sent, it can be told."""
    known = as_seen(delivered(ANN), by_new_map(before=None), draft("Ann Lee", "0412", rules="rules 2"))
    assert (known.state, known.seen, known.remapped) == (State.DELIVERED, None, False)


def test_a_group_that_cannot_be_compared_is_accepted_as_corrected_by_hand() -> None:
    known = as_seen(delivered(ANN), by_new_map(before=None))
    now = apply_to_row(accept(known, None, nobody, DEFAULT), None, known, just_seen=False)
    assert (now.state, now.sent, now.content) == (State.DELIVERED, by_map_2().hashes, by_map_2().hashes)
    assert decide(by_map_2(), now, nobody, DEFAULT) is None


# -- sights that compare nothing, while the map changes


@pytest.mark.parametrize(
    "between",
    [filtered(rules="rules 2"), unnamed(rules="rules 2"), unmapped("price", rules="rules 2")],
    ids=["filtered", "no name", "mapping"],
)
def test_an_edit_behind_a_sight_that_compared_nothing_is_no_doing_of_the_map(between: Unsendable) -> None:
    """A map was broken, then mended; the telephone was changed meanwhile. Trakor has the old number."""
    known = as_seen(delivered(ANN), between)
    now = as_seen(known, by_new_map(contact="Ann | 0499", before=EDITED, rules="rules 3"))
    assert (now.state, now.differing) == (State.DRIFTED, ("contact_info",))


@pytest.mark.parametrize(
    "between",
    [filtered(rules="rules 2"), unnamed(rules="rules 2"), unmapped("name", rules="rules 2")],
    ids=["filtered", "no name", "mapping"],
)
@pytest.mark.parametrize("policy", [DEFAULT, CREATE])
def test_another_name_behind_a_sight_that_compared_nothing_is_the_maps_doing(
    between: Unsendable, policy: Policy
) -> None:
    """A second party of every contact would be made where renames are sent."""
    known = as_seen(delivered(ANN), between)
    now = as_seen(known, by_new_map("Lee, Ann", before=ANN, rules="rules 3"), policy=policy)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)


@pytest.mark.parametrize(
    ("known", "then"),
    [
        (delivered(ANN, state=State.DROPPED), (State.HELD, Reason.REMAPPED)),
        (rejected(Reason.SERVER_ERROR, ANN), (State.PENDING, None)),
    ],
    ids=["dropped", "rejected when it was tried"],
)
def test_a_map_that_changed_while_nobody_decided_makes_no_second_party(
    known: LedgerRow, then: tuple[State, Reason | None]
) -> None:
    """What was tried is sent again under its name."""
    now = as_seen(known, by_new_map("Lee, Ann"), policy=CREATE)
    assert (now.state, now.rules) == (known.state, known.rules)
    retried = as_seen(now._replace(retry=True), by_new_map("Lee, Ann"), policy=CREATE)
    assert (retried.state, retried.reason, retried.sent_key) == (*then, known.sent_key)


def test_what_cannot_be_made_and_was_accepted_is_not_said_again() -> None:
    drifted = as_seen(delivered(ANN), unnamed())
    now = apply_to_row(accept(drifted, None, nobody, DEFAULT), None, drifted, just_seen=False)
    assert decide(unnamed(), now, nobody, DEFAULT) is None


# -- while it is unanswered


def test_what_the_map_alone_changed_waits_for_the_answer() -> None:
    """Noted, it would count as a change at the source, and be sent as a rename where those are sent."""
    tried = pending(ANN, attempts=1)
    assert decide(by_new_map("Lee, Ann"), tried, nobody, CREATE) is None
    assert as_seen(tried, by_new_map("Lee, Ann")).rules == tried.rules
    answered = delivered(ANN, rules=as_seen(tried, by_new_map("Lee, Ann")).rules)
    now = as_seen(answered, by_new_map("Lee, Ann"), policy=CREATE)
    assert (now.state, now.reason) == (State.HELD, Reason.REMAPPED)


def test_an_edit_together_with_another_map_is_noted() -> None:
    decision = decide(by_new_map(contact="x", before=EDITED), pending(ANN, attempts=1), nobody, DEFAULT)
    assert decision is not None
    assert decision.draft_action is DraftAction.NOTE


# -- dismissed


DISMISSED = delivered(ANN, seen=EDITED.hashes, dismissed=True)


def test_dismissed_is_quiet_while_the_source_says_what_it_said() -> None:
    assert decide(EDITED, DISMISSED, nobody, DEFAULT) is None


def test_dismissed_is_quiet_whatever_the_map_makes_of_it() -> None:
    now = as_seen(DISMISSED, by_new_map(contact="Ann | 0499", before=EDITED))
    assert (now.state, now.dismissed, now.remapped) == (State.DELIVERED, True, False)
    assert decide(by_map_2(contact="Ann | 0499"), now, nobody, DEFAULT) is None
    renamed = as_seen(DISMISSED, by_new_map("Lee, Ann", before=EDITED), policy=CREATE)
    assert (renamed.state, renamed.dismissed) == (State.DELIVERED, True)


@pytest.mark.parametrize(
    ("seen", "state", "differs"),
    [
        (draft("Ann Lee", "0433"), State.DRIFTED, ("contact_info",)),
        (draft("Ann Ray", "0499"), State.HELD, ("contact_info", "name")),
        (by_new_map(contact="Ann | 0433", before=draft("Ann Lee", "0433")), State.DRIFTED, ("contact_info",)),
        (ANN, State.DELIVERED, ()),
        (unnamed(), State.DRIFTED, ("contact_info", "name")),
    ],
    ids=["other field", "other name", "other field and map", "as sent", "no name"],
)
def test_dismissed_is_decided_as_answered_once_the_source_changes_again(
    seen: Draft | Unsendable, state: State, differs: tuple[str, ...]
) -> None:
    now = as_seen(DISMISSED, seen)
    assert (now.state, now.dismissed, now.differing) == (state, False, differs)


def test_a_dismissed_rename_is_quiet_and_a_later_edit_tells_of_it_again() -> None:
    known = delivered(ANN, seen=RENAMED.hashes, dismissed=True)
    assert decide(RENAMED, known, nobody, CREATE) is None
    now = as_seen(known, draft("Ann Ray", "0499"))
    assert (now.state, now.reason) == (State.HELD, Reason.RENAMED)


def test_dismissed_and_filtered_keeps_both_marks_and_loses_the_second_alone() -> None:
    known = as_seen(DISMISSED, filtered())
    assert (known.dismissed, known.filtered, known.seen) == (True, True, EDITED.hashes)
    back = as_seen(known, EDITED)
    assert (back.dismissed, back.filtered) == (True, False)


def test_another_qualifier_of_a_dismissed_one_that_went_out_without_writes_nothing() -> None:
    other = draft("Ann Lee", "0412", qualifier="new@x")
    assert (
        decide(other, delivered(ANN, dismissed=True, identifiers=other.identifiers), nobody, DEFAULT) is None
    )


def test_a_dismissed_merged_one_is_compared_by_the_map_of_before() -> None:
    """Where another map made it differ, nothing is said; where the source did, it is decided."""
    known = row(
        State.MERGED, key=ANN.key, sent_key=ANN.key, sent=ANN.hashes, seen=EDITED.hashes, merged_into=2,
        rules=ANN.rules, dismissed=True,
    )  # fmt: skip
    owner = holders({"Ann Lee": holder(answered=True, linked=True)})
    quiet = as_seen(known, by_new_map(contact="Ann | 0499", before=EDITED), holder_of=owner)
    assert (quiet, quiet.dismissed) == (known, True)
    now = as_seen(known, by_new_map(contact="x", before=draft("Ann Lee", "0433")), holder_of=owner)
    assert (now.state, now.dismissed) == (State.MERGED, False)


# -- what was there before


def test_of_one_that_was_there_before_an_edit_is_a_drift_all_the_same() -> None:
    known = delivered(ANN, origin=Origin.EXISTING, content={})
    assert as_seen(known, EDITED).state is State.DRIFTED
    assert decide(ANN, known, nobody, DEFAULT) is None


def test_an_identifier_that_changed_is_known_though_no_field_did() -> None:
    """Who shares its name is compared with what it says now."""
    ann, moved = draft("Ann Lee", same_as="ann@x"), draft("Ann Lee", same_as="ann@y")
    now = as_seen(delivered(ann), moved)
    assert (now.state, now.identifiers) == (State.DELIVERED, moved.identifiers)
    assert decide(moved, now, nobody, DEFAULT) is None
