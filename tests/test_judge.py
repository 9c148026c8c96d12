"""Whose fault it is: nothing is held against a record before something else has told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.judge import MOST_FAILURES, MOST_REJECTIONS, Judge
from bridge.errors import Refused, Transient
from bridge.records import Answered, Later, NotTaken, Outcome, Product, Stream, Work
from builders import answer, of, work

NOW = 1_000_000
FAULT = Transient("answered 500")
BUSY = Transient("answered 429", busy=True)


def judge(random: float = 0.5) -> Judge:
    """A judge whose waits are a known share of the longest possible."""
    return Judge(1.0, 300.0, lambda: random)


def passes(of_judge: Judge, sent: Work) -> list[Outcome]:
    return of_judge.answered(sent, answer(), of("Ann Lee"), NOW)


def test_an_answer_is_certain_at_once() -> None:
    sent = work(1)
    assert passes(judge(), sent) == [Answered(sent, answer(), of("Ann Lee"))]


# -- failures


def test_a_failure_alone_says_nothing() -> None:
    one = judge()
    assert one.failed(work(1), FAULT, NOW, down=False) == []
    assert (one.doubts_failures, one.in_doubt) == (True, 1)


def test_a_failure_is_the_records_own_once_another_passes() -> None:
    one = judge()
    one.failed(work(1, failures=2), FAULT, NOW, down=False)
    [taken, own] = passes(one, work(2))
    assert isinstance(taken, Answered)
    assert own == Later(work(1, failures=2), NOW + 2000, failed=True)  # half of 4 seconds
    assert not one.in_doubt


def test_a_failure_is_the_records_own_once_a_witness_passes() -> None:
    one = judge()
    one.failed(work(1), FAULT, NOW, down=False)
    assert one.vouched(NOW) == [Later(work(1), NOW + 500, failed=True)]
    assert one.vouched(NOW) == []


def test_a_failure_is_the_records_own_once_another_is_refused_as_it_is() -> None:
    """Whoever says no to one record works."""
    one = judge()
    one.failed(work(1), FAULT, NOW, down=False)
    assert one.rejected(work(2), "no", NOW) == [Later(work(1), NOW + 500, failed=True)]


def test_an_outage_holds_nothing_against_any_record() -> None:
    one = judge()
    one.failed(work(1), FAULT, NOW, down=False)
    assert one.failed(work(2), FAULT, NOW, down=True) == [Later(work(2), NOW), Later(work(1), NOW)]
    assert not one.doubts_failures


def test_a_destination_that_is_busy_says_nothing_of_the_record() -> None:
    one = judge()
    assert one.failed(work(1), BUSY, NOW, down=False) == [Later(work(1), NOW)]
    assert not one.in_doubt


def test_the_eighth_failure_of_its_own_rejects_a_record() -> None:
    one = judge()
    last = work(1, failures=MOST_FAILURES - 1)
    one.failed(last, FAULT, NOW, down=False)
    [_, own] = passes(one, work(2))
    assert own == NotTaken(last, "failed 8 times while others passed: answered 500", own_fault=False)


def test_the_seventh_does_not() -> None:
    one = judge()
    one.failed(work(1, failures=MOST_FAILURES - 2), FAULT, NOW, down=False)
    [_, own] = passes(one, work(2))
    assert isinstance(own, Later)
    assert own.failed


# -- rejections


def test_a_rejection_is_in_doubt_until_another_of_its_stream_is_taken() -> None:
    one = judge()
    assert one.rejected(work(1), "no", NOW) == []
    assert (one.in_doubt, one.doubts_failures) == (1, False)
    assert passes(one, work(2))[1:] == [NotTaken(work(1), "no")]
    assert not one.in_doubt


def test_a_product_that_is_taken_says_nothing_of_rejected_contacts() -> None:
    one = judge()
    one.rejected(work(1), "no", NOW)
    product = work(2, Product("Plus"))
    assert product.stream is Stream.PRODUCTS
    assert len(one.answered(product, answer("Plus"), "key", NOW)) == 1
    assert one.in_doubt == 1


def test_a_rejection_is_believed_when_nothing_else_waits() -> None:
    one = judge()
    one.rejected(work(1), "no", NOW)
    one.rejected(work(2, Product("Plus")), "neither", NOW)
    assert one.quiet() == [NotTaken(work(1), "no"), NotTaken(work(2, Product("Plus")), "neither")]
    assert one.quiet() == []


def test_twenty_rejections_in_a_row_stop_the_stream_and_mark_none() -> None:
    one = judge()
    for number in range(1, MOST_REJECTIONS):
        one.rejected(work(number), "no", NOW)
    with pytest.raises(Refused, match="rejected 20 contacts in a row") as caught:
        one.rejected(work(MOST_REJECTIONS), "the last one", NOW)
    assert "the last one" in str(caught.value)
    assert "none of them is marked" in caught.value.advice
    outcomes = one.stop(NOW)
    assert outcomes == [Later(work(n), NOW, begun=False) for n in range(1, MOST_REJECTIONS + 1)]


def test_one_that_is_taken_between_starts_the_count_anew() -> None:
    one = judge()
    for number in range(1, 3 * MOST_REJECTIONS):
        one.rejected(work(number), "no", NOW)
        if number % (MOST_REJECTIONS - 1) == 0:
            passes(one, work(1000 + number))
    assert one.in_doubt == 2


# -- the end


def test_stopping_gives_all_back_that_is_in_doubt() -> None:
    """A rejection made nothing, so that attempt is taken back; a failure may have."""
    one = judge()
    one.failed(work(1), FAULT, NOW, down=False)
    one._rejected.setdefault(Stream.CONTACTS, []).append(NotTaken(work(2), "no"))  # noqa: SLF001 - beside a failure
    assert one.stop(NOW) == [Later(work(2), NOW, begun=False), Later(work(1), NOW)]
    assert not one.in_doubt


steps = st.lists(st.sampled_from(["passes", "fails", "busy", "down", "rejected", "quiet", "witness"]))


@given(steps, st.floats(0, 1, exclude_max=True))
def test_whatever_happens_each_record_has_one_outcome(what: list[str], random: float) -> None:
    one = judge(random)
    outcomes: list[Outcome] = []
    sent = 0
    for step in what:
        if step == "quiet":
            outcomes += one.quiet()
        elif step == "witness":
            outcomes += one.vouched(NOW)
        else:
            sent += 1
            outcomes += happens(one, step, work(sent))
    outcomes += one.stop(NOW)
    assert sorted(outcome.work.number for outcome in outcomes) == list(range(1, sent + 1))
    assert all(outcome.next_try_at >= NOW for outcome in outcomes if isinstance(outcome, Later))


def happens(one: Judge, step: str, sent: Work) -> list[Outcome]:
    if step == "passes":
        return passes(one, sent)
    if step == "rejected":
        try:
            return one.rejected(sent, "no", NOW)
        except Refused:
            return one.stop(NOW)
    return one.failed(sent, BUSY if step == "busy" else FAULT, NOW, down=step == "down")
