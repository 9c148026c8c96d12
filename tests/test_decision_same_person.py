"""Who is one person, who perhaps, and who is not ("The same person" in docs/decisions.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bridge.decision import accept, decide
from bridge.errors import UserError
from bridge.ledger.decision_writer import apply_to_row
from bridge.records import LedgerRow, MergedBy, NameClaim, Origin, Policy, Reason, State
from builders import as_seen, delivered, draft, holder, holders, identified, nobody, of, row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.decision import HolderOf

DEFAULT = Policy()
QUALIFY, HOLD, MERGE = (Policy(on_same_name=word) for word in ("qualify", "hold", "merge"))
FATHER = {"email": "family@x", "phone": "0411"}
SON = {"email": "family@x", "phone": "0422"}
JOHN = draft("John Day", "family@x | 0422", same_as=SON, qualifier="family@x")


def shared(*identifiers: Mapping[str, str] | str, **known: Any) -> HolderOf:  # noqa: ANN401 - any field
    """Record 2 has the name, and these are its identifiers and those of all merged into it."""
    who = replace(holder(2, **known), group=tuple(identified(one) for one in identifiers))
    return holders({"John Day": who})


@pytest.mark.parametrize(
    ("own", "group", "state", "reason"),
    [
        ({"email": "a"}, [{"email": "a"}], State.MERGED, None),
        ({"email": "a", "phone": "1"}, [{"email": "a"}], State.MERGED, None),
        ({"phone": "1"}, [{"email": "a", "phone": "1"}], State.MERGED, None),
        ({"email": "a", "phone": "1"}, [{"email": "a", "phone": "2"}], State.HELD, Reason.SAME_PERSON),
        ({"email": "b", "phone": "1"}, [{"email": "a", "phone": "1"}], State.HELD, Reason.SAME_PERSON),
        ({"phone": "1"}, [{"email": "a"}, {"email": "a", "phone": "1"}], State.MERGED, None),
        ({"email": "a", "phone": "2"}, [{"email": "a"}, {"phone": "1"}], State.HELD, Reason.SAME_PERSON),
        ({"email": "b"}, [{"email": "a"}], State.PENDING, None),
        ({"email": "b", "phone": "2"}, [{"email": "a", "phone": "1"}], State.PENDING, None),
        ({"email": "a"}, [{"phone": "1"}], State.PENDING, None),
        ({}, [{"email": "a"}], State.PENDING, None),
        ({"email": "a"}, [{}], State.PENDING, None),
        ({}, [{}], State.PENDING, None),
        ("a", ["a"], State.MERGED, None),
        ("a", ["b"], State.PENDING, None),
        ({"email": "a", "phone": "1"}, ["1"], State.MERGED, None),
        ("a", [{"email": "a", "phone": "1"}], State.MERGED, None),
    ],
)
def test_one_is_equal_and_none_conflicts(
    own: Mapping[str, str] | str,
    group: list[Mapping[str, str] | str],
    state: State,
    reason: Reason | None,
) -> None:
    """One equal, none conflicts: the same. One equal, another conflicts: perhaps. None equal: two."""
    seen = draft("John Day", same_as=own, qualifier="q")
    decision = decide(seen, None, shared(*group), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.reason) == (state, reason)
    assert (decision.merged_into == 2) is (state is State.MERGED)


@pytest.mark.parametrize("policy", [QUALIFY, HOLD, MERGE])
def test_perhaps_the_same_person_is_held_whatever_the_policy(policy: Policy) -> None:
    decision = decide(JOHN, None, shared(FATHER), policy)
    assert decision is not None
    assert (decision.state, decision.reason, decision.claim) == (State.HELD, Reason.SAME_PERSON, None)


def test_one_that_conflicts_with_any_that_is_merged_into_the_claimant_is_not_the_same() -> None:
    """The claimant has no number; its twin, which is merged into it, has another one."""
    decision = decide(JOHN, None, shared({"email": "family@x"}, FATHER), DEFAULT)
    assert decision is not None
    assert decision.reason is Reason.SAME_PERSON


def test_one_that_is_equal_to_one_merged_into_the_claimant_is_the_same() -> None:
    """A person who was entered a third time, with what only the second entry has."""
    third = draft("John Day", same_as={"phone": "0411"})
    decision = decide(third, None, shared({"email": "family@x"}, FATHER), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.merged_into, decision.merged_by) == (State.MERGED, 2, MergedBy.RULE)


def test_what_is_held_as_the_same_person_is_decided_again_at_each_read() -> None:
    held = as_seen(row(State.SKIPPED, Reason.FILTERED), JOHN, holder_of=shared(FATHER))
    assert decide(JOHN, held, shared(FATHER), DEFAULT) is None
    corrected = draft("John Day", same_as=FATHER)
    assert as_seen(held, corrected, holder_of=shared(FATHER)).state is State.MERGED
    assert as_seen(held, JOHN, holder_of=nobody).state is State.PENDING
    moved = draft("John Day", same_as={"email": "own@x", "phone": "0422"}, qualifier="own@x")
    now = as_seen(held, moved, holder_of=shared(FATHER))
    assert (now.state, now.sent_key) == (State.PENDING, of("John Day (own@x)"))


def test_one_of_a_connection_that_is_not_configured_is_merged_into_by_none() -> None:
    decision = decide(JOHN, None, shared(SON, mergeable=False), MERGE)
    assert decision is not None
    assert (decision.state, decision.merged_into) == (State.HELD, None)


def test_under_the_qualified_name_only_the_same_person_shares() -> None:
    taken = holders({"John Day": holder(2), "John Day (family@x)": holder(3, same_as=FATHER)})
    decision = decide(JOHN, None, taken, QUALIFY)
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.SAME_NAME)


# -- an adopted one that another wants


def test_another_that_wants_the_name_of_an_adopted_one_puts_it_in_doubt() -> None:
    """After a lost ledger nobody knows which of the two Trakor's party is."""
    adopted = shared({"email": "other@x"}, origin=Origin.EXISTING, answered=True, linked=True, adopted_at=7)
    decision = decide(JOHN, None, adopted, DEFAULT)
    assert decision is not None
    assert decision.doubts == 2


@pytest.mark.parametrize(
    "who",
    [
        shared({"email": "other@x"}, origin=Origin.EXISTING, answered=True, linked=True),
        shared({"email": "other@x"}, origin=Origin.CREATED, answered=True, linked=True),
        shared(SON, origin=Origin.EXISTING, answered=True, linked=True, adopted_at=7),
    ],
    ids=["adopted in a sweep that has ended", "created", "the same person"],
)
def test_no_other_is_put_in_doubt(who: HolderOf) -> None:
    decision = decide(JOHN, None, who, DEFAULT)
    assert decision is not None
    assert decision.doubts is None


# -- told apart later


def merged(same_as: Mapping[str, str] = SON, by: MergedBy = MergedBy.RULE) -> LedgerRow:
    """A record that is merged into record 2."""
    what = draft("John Day", "family@x | 0422", same_as=same_as, qualifier="family@x")
    return row(
        State.MERGED,
        key=what.key,
        sent_key=what.key,
        sent=what.hashes,
        identifiers=what.identifiers,
        rules=what.rules,
        merged_into=2,
        merged_by=by,
    )


@pytest.mark.parametrize("by", list(MergedBy))
def test_merged_stays_so_while_its_identifiers_are_as_before(by: MergedBy) -> None:
    """What a person or the policy merged may conflict: nobody is asked again for that."""
    assert decide(JOHN, merged(by=by), shared(FATHER, SON), DEFAULT) is None


@pytest.mark.parametrize("by", list(MergedBy))
def test_merged_is_held_once_an_identifier_changes_and_conflicts(by: MergedBy) -> None:
    known = merged({"email": "family@x"}, by)
    now = as_seen(known, JOHN, holder_of=shared(FATHER, {"email": "family@x"}))
    assert (now.state, now.reason) == (State.HELD, Reason.SAME_PERSON)
    assert (now.merged_into, now.merged_by) == (2, by)
    assert decide(JOHN, now, shared(FATHER), DEFAULT) is None


def test_an_identifier_that_changes_and_does_not_conflict_changes_nothing() -> None:
    known = merged({"email": "family@x"})
    now = as_seen(known, JOHN, holder_of=shared({"email": "family@x"}, {"email": "family@x"}))
    assert (now.state, now.identifiers) == (State.MERGED, JOHN.identifiers)


def test_it_is_compared_with_all_others_that_share_the_party_and_not_with_what_it_said_itself() -> None:
    own = {"email": "family@x", "phone": "0400"}
    assert as_seen(merged(own), JOHN, holder_of=shared({"email": "family@x"}, own)).state is State.MERGED
    third = as_seen(merged(own), JOHN, holder_of=shared({"email": "family@x"}, own, FATHER))
    assert third.reason is Reason.SAME_PERSON


def test_what_was_told_apart_is_merged_again_when_the_identifier_is_as_before() -> None:
    known = merged({"email": "family@x"})
    group = shared(FATHER, {"email": "family@x"})
    held = as_seen(known, JOHN, holder_of=group)
    plain = draft("John Day", "family@x | 0422", same_as={"email": "family@x"}, qualifier="family@x")
    assert as_seen(held, plain, holder_of=shared(FATHER)).state is State.MERGED


def test_identifiers_that_another_map_makes_tell_nobody_apart() -> None:
    """Whoever adds the telephone to `same_as` would be asked about each family that is merged."""
    known = merged({"email": "family@x"})
    before = draft("John Day", "family@x | 0422", same_as={"email": "family@x"}, qualifier="family@x")
    seen = replace(JOHN, rules=draft(rules="rules 2").rules, before=before)
    now = as_seen(known, seen, holder_of=shared(FATHER, {"email": "family@x"}))
    assert (now.state, now.identifiers) == (State.MERGED, JOHN.identifiers)


# -- a person decides


def held_person(**known: Any) -> LedgerRow:  # noqa: ANN401 - any field
    return row(State.HELD, Reason.SAME_PERSON, key=JOHN.key, seen=JOHN.hashes, rules=JOHN.rules, **known)


def test_accepted_they_are_one_person_and_nobody_is_asked_again() -> None:
    decision = accept(held_person(), JOHN, shared(FATHER), DEFAULT)
    assert (decision.state, decision.merged_into, decision.merged_by) == (State.MERGED, 2, MergedBy.PERSON)
    now = apply_to_row(decision, JOHN, held_person(), just_seen=False)
    assert decide(JOHN, now, shared(FATHER, SON), DEFAULT) is None


def test_accepted_under_a_name_it_is_another_person() -> None:
    given = NameClaim("John Day junior", of("John Day junior"))
    decision = accept(held_person(), JOHN, shared(FATHER), DEFAULT, name=given)
    assert (decision.state, decision.claim, decision.given) == (State.PENDING, given, True)


def test_accepted_under_a_name_one_that_was_merged_leaves_the_party() -> None:
    known = held_person(sent_key=JOHN.key, merged_into=2, merged_by=MergedBy.RULE)
    given = NameClaim("John Day junior", of("John Day junior"))
    now = apply_to_row(accept(known, JOHN, shared(FATHER), DEFAULT, name=given), JOHN, known, just_seen=False)
    assert (now.state, now.sent_key, now.merged_into) == (State.PENDING, given.key, None)


def test_accepted_where_nobody_has_the_name_any_more_it_is_sent() -> None:
    decision = accept(held_person(), JOHN, nobody, DEFAULT)
    assert (decision.state, decision.claim) == (State.PENDING, NameClaim("John Day", JOHN.key))


def test_one_that_is_gone_is_neither_merged_nor_sent() -> None:
    with pytest.raises(UserError, match="gone from Salestrekker"):
        accept(held_person(gone=True), JOHN, shared(FATHER), DEFAULT)


# -- a name that a person gave


GIVEN = row(
    State.PENDING,
    key=JOHN.key,
    sent_key=of("John Day junior"),
    sent=JOHN.hashes,
    identifiers=JOHN.identifiers,
    rules=JOHN.rules,
    given=True,
)


@pytest.mark.parametrize("name", ["John Day", "Johnny Day"])
def test_a_name_that_a_person_gave_stays_whatever_changes_before_it_is_sent(name: str) -> None:
    changed = draft(name, "new@x", same_as=SON, qualifier="new@x")
    now = as_seen(GIVEN, changed)
    assert (now.state, now.given, now.sent_key) == (State.PENDING, True, GIVEN.sent_key)
    assert now.sent == changed.hashes
    delivered_now = now._replace(state=State.DELIVERED, trakor_id="t1", attempts=1, content=now.sent)
    assert decide(changed, delivered_now, nobody, DEFAULT) is None, "and nobody is asked about it afterwards"


def test_one_that_was_sent_under_a_given_name_is_renamed_when_its_own_changes() -> None:
    sent = delivered(JOHN, sent_key=GIVEN.sent_key, given=True)
    assert decide(JOHN, sent, nobody, DEFAULT) is None
    now = as_seen(sent, draft("Johnny Day", "family@x | 0422", same_as=SON))
    assert (now.state, now.reason) == (State.HELD, Reason.RENAMED)


def test_of_one_that_was_sent_under_a_given_name_the_qualifier_never_drifts() -> None:
    """It is no part of that name; also after another field drifted, and was as sent again."""
    edited = draft("John Day", "new@x", same_as=SON, qualifier="family@x")
    known = as_seen(delivered(JOHN, sent_key=GIVEN.sent_key, given=True), edited, JOHN)
    other = draft("John Day", "family@x | 0422", same_as=SON, qualifier="other")
    assert (known.given, decide(other, known, nobody, DEFAULT)) == (True, None)


@pytest.mark.parametrize("reason", [Reason.SERVER_ERROR, Reason.REFUSED])
def test_one_that_was_tried_under_a_given_name_goes_out_under_it_again(reason: Reason) -> None:
    tried = GIVEN._replace(state=State.REJECTED, reason=reason, attempts=2, stored=True, retry=True)
    decision = decide(JOHN, tried, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim, decision.given) == (State.PENDING, None, True)


def test_one_whose_given_name_is_not_stored_any_more_waits_for_a_person() -> None:
    dropped = GIVEN._replace(state=State.DROPPED, attempts=1, retry=True)
    decision = decide(JOHN, dropped, nobody, Policy(on_rename="create"))
    assert decision is not None
    assert (decision.state, decision.reason) == (State.HELD, Reason.RENAMED)
