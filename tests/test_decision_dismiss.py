"""What a person dismisses stays as it is in Trakor, and nothing is said until the source changes again."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.decision import accept, decide, dismiss, drop, retry
from bridge.errors import UserError
from bridge.ledger.decision_writer import apply_to_row
from bridge.records import Draft, LedgerRow, MergedBy, NameClaim, Origin, Policy, Reason, State
from builders import as_seen, delivered, draft, held, holder, holders, nobody, of, pending, rejected, row

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412")
EDITED = draft("Ann Lee", "0499")
RAY = draft("Ann Ray", "0412")
OWNER = holders({"Ann Lee": holder(2)})


def merged(state: State = State.MERGED, reason: Reason | None = None, **known: Any) -> LedgerRow:  # noqa: ANN401
    names = {"key": ANN.key, "sent_key": ANN.key, "sent": ANN.hashes, "rules": ANN.rules}
    return row(state, reason, **names | {"merged_into": 2, "merged_by": MergedBy.RULE} | known)


DIFFERS: list[tuple[LedgerRow, Draft, State]] = [
    (delivered(ANN, state=State.DRIFTED, seen=EDITED.hashes), EDITED, State.DELIVERED),
    (held(Reason.RENAMED, ANN, RAY), RAY, State.DELIVERED),
    (held(Reason.REMAPPED, ANN, RAY), RAY, State.DELIVERED),
    (held(Reason.EXISTING, ANN), ANN, State.DELIVERED),
    (held(Reason.EXISTING, ANN, EDITED), EDITED, State.DELIVERED),
    (merged(State.HELD, Reason.RENAMED, seen=RAY.hashes), RAY, State.MERGED),
    (merged(State.HELD, Reason.SAME_PARTY), ANN, State.MERGED),
    (merged(State.HELD, Reason.SAME_PARTY, seen=EDITED.hashes), EDITED, State.MERGED),
]
NAMES = [
    "drifted", "renamed", "remapped", "existing", "existing and changed", "merged and renamed", "same party",
    "same party and changed",
]  # fmt: skip


@pytest.mark.parametrize(("known", "says", "state"), DIFFERS, ids=NAMES)
def test_what_differs_can_be_left_as_it_is(known: LedgerRow, says: Draft, state: State) -> None:
    decision = dismiss(known)
    assert (decision.state, decision.dismissed, decision.event) == (state, True, "dismissed")
    assert (decision.sent, decision.claim, decision.release) == (None, None, False)
    now = apply_to_row(decision, None, known, just_seen=False)
    assert now.merged_into == (2 if state is State.MERGED else None)
    assert decide(says, now, OWNER, CREATE) is None, "nothing is said while the source says that"


@pytest.mark.parametrize("known", [one for one, _, _ in DIFFERS], ids=NAMES)
def test_what_was_dismissed_is_decided_again_once_the_source_changes(known: LedgerRow) -> None:
    now = apply_to_row(dismiss(known), None, known, just_seen=False)
    changed = as_seen(now, draft("Ann May", "0433"), holder_of=OWNER)
    assert (changed.state, changed.reason, changed.dismissed) == (State.HELD, Reason.RENAMED, False)
    assert changed.merged_into == known.merged_into


def test_the_mark_remapped_can_be_left_as_it_is() -> None:
    known = delivered(ANN, remapped=True)
    now = apply_to_row(dismiss(known), None, known, just_seen=False)
    assert (now.state, now.dismissed, now.remapped) == (State.DELIVERED, True, False)
    assert decide(ANN, now, nobody, DEFAULT) is None


def test_one_that_is_gone_can_be_left_once_and_is_told_of_when_it_is_back_and_changed() -> None:
    """Somebody has deleted it in Trakor by hand, or it is to stay there."""
    known = delivered(ANN, gone=True)
    now = apply_to_row(dismiss(known), None, known, just_seen=False)
    assert (now.state, now.dismissed) == (State.DELIVERED, True)
    with pytest.raises(UserError, match="nothing to dismiss"):
        dismiss(now)
    back = now._replace(gone=False)
    assert decide(ANN, back, nobody, DEFAULT) is None
    changed = decide(EDITED, back, nobody, DEFAULT)
    assert changed is not None
    assert changed.state is State.DRIFTED


@pytest.mark.parametrize("known", [one for one, _, _ in DIFFERS], ids=NAMES)
def test_dismissing_keeps_the_mark_filtered(known: LedgerRow) -> None:
    decision = dismiss(known._replace(filtered=True))
    assert decision.filtered


@pytest.mark.parametrize(
    "known",
    [
        pending(ANN),
        pending(ANN, attempts=1),
        delivered(ANN),
        merged(),
        row(State.SKIPPED, Reason.FILTERED),
        row(State.HELD, Reason.SAME_NAME),
        row(State.HELD, Reason.SAME_PERSON),
        rejected(Reason.REFUSED, ANN),
        row(State.DROPPED),
    ],
    ids=lambda known: f"{known.state} {known.reason or ''}",
)
def test_what_was_never_sent_or_does_not_differ_has_nothing_to_dismiss(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="nothing to dismiss") as caught:
        dismiss(known)
    assert "`trakor-bridge records drop`" in caught.value.advice


def test_a_drift_that_was_dismissed_can_be_accepted_no_more_and_dropped_no_more() -> None:
    """It is delivered: what differs is listed again when it changes again."""
    known = apply_to_row(dismiss(DIFFERS[0][0]), None, DIFFERS[0][0], just_seen=False)
    with pytest.raises(UserError, match="nothing to accept"):
        accept(known, None, nobody, DEFAULT)
    with pytest.raises(UserError, match="nothing to drop"):
        drop(known)


# -- what accept is for, of the new reasons and marks


def test_an_accepted_remap_is_corrected_in_trakor_by_hand_and_loses_its_mark() -> None:
    known = delivered(ANN, remapped=True, sent=EDITED.hashes)
    now = apply_to_row(accept(known, None, nobody, DEFAULT), None, known, just_seen=False)
    assert (now.state, now.remapped, now.content) == (State.DELIVERED, False, EDITED.hashes)


@pytest.mark.parametrize(
    "known",
    [
        delivered(ANN, state=State.DRIFTED, seen=EDITED.hashes),
        delivered(ANN, remapped=True),
        held(Reason.EXISTING, ANN),
        merged(State.HELD, Reason.SAME_PARTY),
    ],
    ids=["drifted", "remapped", "existing", "same party"],
)
def test_a_name_is_given_to_none_that_does_not_wait_for_one(known: LedgerRow) -> None:
    with pytest.raises(UserError, match="cannot give it one"):
        accept(known, ANN, nobody, DEFAULT, name=NameClaim("Ann May", of("Ann May")))


def test_an_accepted_drift_is_what_trakor_has_from_then_on() -> None:
    """Another drift is told against what was corrected, and the old value back is a change."""
    known = delivered(ANN, state=State.DRIFTED, seen=EDITED.hashes)
    now = apply_to_row(accept(known, None, nobody, DEFAULT), None, known, just_seen=False)
    assert (now.sent, now.content, now.seen) == (EDITED.hashes, EDITED.hashes, None)
    assert decide(EDITED, now, nobody, DEFAULT) is None
    assert as_seen(now, ANN).state is State.DRIFTED


def test_an_accepted_existing_one_that_changed_meanwhile_drifts_when_it_is_seen() -> None:
    known = held(Reason.EXISTING, ANN, EDITED, origin=Origin.EXISTING)
    now = apply_to_row(accept(known, None, nobody, DEFAULT), None, known, just_seen=False)
    assert as_seen(now, EDITED).state is State.DRIFTED


# -- retry


def test_a_forgotten_one_is_never_decided_on_again() -> None:
    with pytest.raises(UserError, match="was forgotten"):
        retry(row(State.DROPPED, forgotten=True), None, nobody, DEFAULT)


def test_perhaps_the_same_person_is_decided_at_once_when_retried() -> None:
    decision = retry(row(State.HELD, Reason.SAME_PERSON, seen=ANN.hashes), ANN, nobody, DEFAULT)
    assert decision is not None
    assert (decision.state, decision.event) == (State.PENDING, "retried")


@pytest.mark.parametrize("reason", [Reason.REMAPPED, Reason.RENAMED, Reason.DAMAGED])
def test_what_cannot_be_decided_without_the_source_waits_for_the_next_read(reason: Reason) -> None:
    state = State.REJECTED if reason is Reason.DAMAGED else State.HELD
    assert retry(row(state, reason, key=ANN.key, sent_key=ANN.key), ANN, nobody, DEFAULT) is None
