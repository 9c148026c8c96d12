"""Who takes the place of a record that others are merged into (docs/decisions.md, "In the other states")."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.decision import accept, can_succeed, decide, represents_name, succeed
from bridge.records import Draft, DraftAction, LedgerRow, MergedBy, NameHolder, Origin, Policy, Reason, State
from builders import (
    as_seen,
    delivered,
    draft,
    filtered,
    held,
    holder,
    holders,
    identified,
    of,
    pending,
    rejected,
    row,
    unnamed,
)

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", same_as="ann@x", qualifier="q")
EDITED = draft("Ann Lee", "0499", same_as="ann@x", qualifier="q")
RAY = draft("Ann Ray", "0412", same_as="ann@x", qualifier="q")
KEY = ANN.key


# -- who stands for a name


@pytest.mark.parametrize(
    ("known", "linked", "stands"),
    [
        (pending(ANN), False, True),
        (pending(ANN, gone=True), False, False),
        (pending(ANN, attempts=1, gone=True), False, True),
        (pending(ANN, attempts=1, filtered=True), False, True),
        (rejected(Reason.REFUSED, ANN), False, False),
        (rejected(Reason.SERVER_ERROR, ANN), False, False),
        (row(State.DROPPED, sent_key=KEY), False, False),
        (row(State.SKIPPED, Reason.FILTERED, sent_key=KEY), False, False),
        (row(State.HELD, Reason.SAME_NAME, sent_key=KEY), False, False),
        (row(State.HELD, Reason.SAME_PARTY, sent_key=KEY), False, True),
        (delivered(ANN), True, True),
        (delivered(ANN, state=State.DRIFTED), True, True),
        (held(Reason.RENAMED, ANN, RAY), True, True),
        (held(Reason.EXISTING, ANN, gone=True), True, True),
        (delivered(ANN, gone=True), True, False),
        (delivered(ANN, filtered=True), True, False),
        (delivered(ANN, state=State.DROPPED), True, False),
        (row(State.DROPPED, sent_key=KEY, forgotten=True), True, False),
        (pending(RAY), True, False),
        (delivered(RAY), True, False),
    ],
    ids=[
        "to be sent", "gone before it was sent", "gone but tried", "filtered but tried", "refused",
        "tried eight times", "dropped", "skipped", "held for its name", "same party", "delivered", "drifted",
        "renamed, and held", "existing, and gone", "gone", "filtered", "dropped after it was sent",
        "forgotten", "sent under another name now", "delivered under another name now",
    ],
)  # fmt: skip
def test_who_stands_for_a_name(
    known: LedgerRow,
    linked: bool,  # noqa: FBT001
    stands: bool,  # noqa: FBT001
) -> None:
    assert represents_name(known, KEY, linked=linked) is stands


@pytest.mark.parametrize(
    ("known", "living"),
    [
        (row(State.MERGED), True),
        (row(State.MERGED, gone=True), False),
        (row(State.MERGED, filtered=True), False),
        (row(State.MERGED, forgotten=True), False),
        (row(State.HELD, Reason.RENAMED), False),
        (row(State.HELD, Reason.SAME_PERSON), False),
    ],
)
def test_only_one_that_is_merged_and_living_takes_a_place(
    known: LedgerRow,
    living: bool,  # noqa: FBT001
) -> None:
    assert can_succeed(known) is living


# -- what the successor is


def former(**known: Any) -> NameHolder:  # noqa: ANN401 - any field
    """Record 2, which does not stand for the name any more."""
    return holder(2, same_as="ann@x", represents=False, **{"sent": ANN.hashes} | known)


PARTY = {"answered": True, "linked": True, "origin": Origin.CREATED}


@pytest.mark.parametrize("attempts", [0, 3])
def test_the_claim_goes_over_where_trakor_has_nothing(attempts: int) -> None:
    decision = succeed(EDITED.hashes, KEY, former(attempts=attempts))
    assert (decision.state, decision.succeeds, decision.merged_under) == (State.PENDING, 2, KEY)
    assert (decision.sent, decision.claim, decision.draft_action) == (EDITED.hashes, None, DraftAction.STORE)


@pytest.mark.parametrize("origin", list(Origin))
def test_the_party_goes_over_where_trakor_has_it(origin: Origin) -> None:
    decision = succeed(ANN.hashes, KEY, former(**PARTY | {"origin": origin}))
    assert (decision.state, decision.succeeds, decision.seen) == (State.DELIVERED, 2, None)
    assert (decision.sent, decision.origin, decision.event) == (ANN.hashes, origin, "keeper")


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (EDITED, State.DRIFTED),
        (draft("ANN LEE", "0412", qualifier="q"), State.DRIFTED),
        (draft("Ann Lee", "0412", qualifier="another"), State.DELIVERED),
    ],
    ids=["other fields", "other spelling", "another qualifier"],
)
def test_what_the_keeper_says_is_compared_with_what_was_sent(says: Draft, state: State) -> None:
    decision = succeed(says.hashes, KEY, former(**PARTY))
    assert (decision.state, decision.sent) == (state, ANN.hashes)
    assert (decision.seen == says.hashes) is (state is State.DRIFTED)


def test_the_keeper_does_not_drift_where_the_user_ignores_changes() -> None:
    known = as_seen(
        merged(ANN),
        EDITED,
        holder_of=holders({"Ann Lee": former(**PARTY)}),
        policy=Policy(on_change="ignore"),
    )
    assert (known.state, known.sent, known.seen) == (State.DELIVERED, ANN.hashes, EDITED.hashes)


# -- at a sight


def merged(what: Draft = ANN, **known: Any) -> LedgerRow:  # noqa: ANN401 - any field
    """A record that is merged into record 2."""
    names: dict[str, Any] = {"key": what.key, "sent_key": what.key, "sent": what.hashes}
    names |= {"identifiers": what.identifiers, "rules": what.rules}
    return row(State.MERGED, **names | {"merged_into": 2, "merged_by": MergedBy.RULE} | known)


@pytest.mark.parametrize("party", [{}, PARTY])
@pytest.mark.parametrize("known", [None, merged(), merged(gone=True), merged(filtered=True)])
def test_one_that_is_seen_takes_the_place_of_a_claimant_that_does_not_stand(
    known: LedgerRow | None, party: dict[str, Any]
) -> None:
    """Also one that was gone or filtered when that happened, and one that is new."""
    decision = decide(ANN, known, holders({"Ann Lee": former(**party)}), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.succeeds) == (State.DELIVERED if party else State.PENDING, 2)


def test_a_twin_that_was_rejected_itself_takes_the_place() -> None:
    known = row(State.REJECTED, Reason.MAPPING)
    decision = decide(ANN, known, holders({"Ann Lee": former(**PARTY)}), DEFAULT)
    assert decision is not None
    assert decision.succeeds == 2


def test_one_who_accepts_that_they_are_one_person_takes_the_place() -> None:
    known = row(State.HELD, Reason.SAME_PERSON, key=KEY, seen=ANN.hashes)
    decision = accept(known, ANN, holders({"Ann Lee": former(**PARTY)}), DEFAULT)
    assert (decision.state, decision.succeeds) == (State.DELIVERED, 2)


@pytest.mark.parametrize("seen", [filtered(), unnamed()])
def test_one_that_cannot_be_sent_takes_no_place(seen: Any) -> None:  # noqa: ANN401 - of either kind
    decision = decide(seen, merged(), holders({"Ann Lee": former(**PARTY)}), DEFAULT)
    assert decision is not None
    assert decision.succeeds is None


@pytest.mark.parametrize(
    ("claimant", "state"),
    [(former(), State.SKIPPED), (former(**PARTY), State.MERGED), (holder(2), State.MERGED)],
    ids=["not in Trakor, and will not be", "in Trakor, but gone", "to be sent"],
)
def test_one_that_is_filtered_is_skipped_where_nobody_has_the_party(
    claimant: NameHolder, state: State
) -> None:
    now = as_seen(merged(), filtered(), holder_of=holders({"Ann Lee": claimant}))
    assert (now.state, now.filtered) == (state, state is State.MERGED)


def test_the_keeper_of_an_older_ledgers_party_is_compared_by_the_rules_of_then() -> None:
    """What was sent is hashed by revision 1 there; what the keeper says now, by both."""
    mail = draft("Ann Lee", "Ann@Example.org", same_as="ann@x")
    party: dict[str, Any] = {"sent": mail.first_hashes, "first": True}
    gone = holders({"Ann Lee": former(**PARTY | party)})
    assert as_seen(merged(mail), mail, holder_of=gone).state is State.DELIVERED
    assert as_seen(merged(mail), EDITED, holder_of=gone).state is State.DRIFTED


def test_one_that_is_another_person_takes_no_place() -> None:
    """The party stays with who has its name, also when that one is gone."""
    other = replace(former(**PARTY), group=(identified("other@x"),))
    decision = decide(ANN, None, holders({"Ann Lee": other}), DEFAULT)
    assert decision is not None
    assert (decision.succeeds, decision.claim and decision.claim.key) == (None, of("Ann Lee (q)"))


def test_one_that_is_renamed_meanwhile_asks_before_it_leaves_the_party() -> None:
    """Trakor has its party: another name would make a second one."""
    gone = holders({"Ann Lee": former(**PARTY)})
    now = as_seen(merged(), RAY, holder_of=gone)
    assert (now.state, now.reason, now.merged_into) == (State.HELD, Reason.RENAMED, 2)
    assert decide(RAY, now, gone, DEFAULT) is None
    created = decide(RAY, merged(), gone, CREATE)
    assert created is not None
    assert created.state is State.PENDING
    back = decide(ANN, now, gone, DEFAULT)
    assert back is not None
    assert back.succeeds == 2, "and keeps the party when its name is back"


def test_one_that_is_renamed_meanwhile_is_sent_where_trakor_has_nothing() -> None:
    decision = decide(RAY, merged(), holders({"Ann Lee": former()}), DEFAULT)
    assert decision is not None
    assert (decision.state, decision.claim and decision.claim.key) == (State.PENDING, RAY.key)


def test_the_former_one_is_merged_into_its_successor_when_it_is_back() -> None:
    """The keeper has the name now, and stands for it."""
    back = merged(ANN, merged_into=3, gone=True)
    now = as_seen(back, ANN, holder_of=holders({"Ann Lee": holder(3, same_as="ann@x", **PARTY)}))
    assert (now.state, now.merged_into, now.gone) == (State.MERGED, 3, False)
