"""A row that cannot be read is decided at its next sight, with the name that it has claimed."""

from __future__ import annotations

import pytest

from bridge.decision import decide
from bridge.records import LedgerRow, Policy, Reason, State, Unsendable
from builders import as_seen, draft, filtered, holder, holders, nobody, of, row, unmapped, unnamed

DEFAULT = Policy()
CREATE = Policy(on_rename="create")
ANN = draft("Ann Lee", "0412", qualifier="q")
DAMAGED = row(State.REJECTED, Reason.DAMAGED, key=ANN.key, sent_key=ANN.key)
ANSWERED = DAMAGED._replace(trakor_id="t1", attempts=1)
TRIED = DAMAGED._replace(attempts=1)


def test_of_one_that_trakor_has_nobody_knows_what_was_sent() -> None:
    now = as_seen(ANSWERED, ANN)
    assert (now.state, now.differing, now.trakor_id) == (State.DRIFTED, ("rules",), "t1")
    assert decide(ANN, now, nobody, DEFAULT) is None


def test_one_that_was_tried_goes_out_again_under_the_name_that_it_was_tried_under() -> None:
    now = as_seen(TRIED, ANN)
    assert (now.state, now.sent_key, now.sent) == (State.PENDING, ANN.key, ANN.hashes)
    qualified = as_seen(TRIED._replace(sent_key=ANN.qualified_key), ANN)
    assert (qualified.state, qualified.sent_key) == (State.PENDING, ANN.qualified_key)


def test_one_that_was_tried_goes_out_under_no_other_name_unasked() -> None:
    """Trakor may have the first one: another name would make a second party."""
    bo = draft("Bo")
    now = as_seen(TRIED, bo)
    assert (now.state, now.reason) == (State.HELD, Reason.RENAMED)
    assert decide(bo, now, nobody, DEFAULT) is None
    assert as_seen(TRIED, bo, policy=CREATE).sent_key == of("Bo")


def test_one_that_was_never_tried_is_decided_as_new() -> None:
    assert as_seen(DAMAGED, ANN).state is State.PENDING
    taken = holders({"Ann Lee": holder(2)})
    assert as_seen(DAMAGED, ANN, holder_of=taken).sent_key == ANN.qualified_key


@pytest.mark.parametrize("known", [DAMAGED, TRIED, ANSWERED], ids=["unsent", "tried", "answered"])
@pytest.mark.parametrize("seen", [filtered(), unnamed(), unmapped()])
def test_one_that_makes_no_draft_stays_damaged(known: LedgerRow, seen: Unsendable) -> None:
    assert decide(seen, known, nobody, DEFAULT) is None
