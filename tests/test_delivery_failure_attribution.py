"""Whose error it is: nothing is held against a record before something else has told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.failure_attribution import MOST_FAILURES, FailureAttribution, RejectionHistory
from bridge.delivery.sending_options import MOST_REJECTIONS
from bridge.errors import NeverSent, Refused, Rejected, Transient, Unanswered
from bridge.records import Accepted, NoAnswer, Outcome, Product, Rejection, Retry, Stream, WorkItem
from builders import answer, of, work
from rigs import trakor_settings

NOW = 1_000_000
FAULT = Transient("answered 500")
BUSY = Transient("answered 429", busy=True)
CUT = Unanswered("the connection was cut")
LATE = Unanswered("no answer in time", timed_out=True)
NO = Rejected("answered 400", words="what it says")
FORBIDDEN = Refused("answered 403")
HTML = Refused("answered 201 with a page", unsure=True)


def classifier(random: float = 0.5, history: RejectionHistory | None = None) -> FailureAttribution:
    """A classifier whose waits are a known share of the longest possible."""
    return FailureAttribution(
        trakor_settings(retry_first=1.0, retry_max=300.0, unanswered_wait=150.0), lambda: random, history
    )


def passes(of_judge: FailureAttribution, sent: WorkItem) -> list[Outcome]:
    return of_judge.record_answer(sent, answer(), of("Ann Lee"), NOW)


def test_an_answer_is_certain_at_once() -> None:
    sent = work(1)
    assert passes(classifier(), sent) == [Accepted(sent, answer(), of("Ann Lee"))]


# -- failures


def test_a_failure_alone_says_nothing() -> None:
    one = classifier()
    assert one.record_failure(work(1), FAULT, NOW, down=False) == []
    assert (one.has_doubtful_failures, one.in_doubt) == (True, 1)


def test_a_failure_is_the_records_own_once_another_passes() -> None:
    one = classifier()
    one.record_failure(work(1, failures=2), FAULT, NOW, down=False)
    [taken, own] = passes(one, work(2))
    assert isinstance(taken, Accepted)
    assert own == Retry(work(1, failures=2), NOW + 2000, failed=1)  # half of 4 seconds
    assert not one.in_doubt


def test_what_is_known_to_pass_is_no_other_record_that_passed() -> None:
    """A plan's limit lets a canary pass, and a full disk a request that makes nothing."""
    one = classifier()
    for _ in range(20):
        one.record_failure(work(1), FAULT, NOW, down=False)
        assert one.record_probe_success(NOW, last=True) == [Retry(work(1), NOW + 500)]


def test_a_failure_counts_once_others_were_taken_before_the_next_one() -> None:
    one = classifier()
    one.record_failure(work(1), FAULT, NOW, down=False)
    one.record_probe_success(NOW, last=False)
    passes(one, work(2))
    assert one.record_failure(work(1, failures=1), FAULT, NOW, down=False) == [
        Retry(work(1, failures=1), NOW + 1000, failed=1)
    ]
    assert one.record_failure(work(1, failures=2), FAULT, NOW, down=False) == [], "nobody since"


def test_at_the_end_of_a_run_a_failure_counts_where_others_were_taken_in_it() -> None:
    """Nobody will come any more to compare it with."""
    one = classifier()
    passes(one, work(2))
    one.record_failure(work(1), FAULT, NOW, down=False)
    assert one.record_probe_success(NOW, last=True) == [Retry(work(1), NOW + 500, failed=1)]


def test_a_record_that_is_rejected_says_nothing_of_another_that_failed() -> None:
    """A check of the fields works where storing does not."""
    one = classifier()
    one.record_failure(work(1), FAULT, NOW, down=False)
    assert one.record_rejection(work(2), NO) == []
    assert one.has_doubtful_failures


def test_a_request_that_never_left_is_no_attempt() -> None:
    gone = NeverSent("connection refused")
    assert classifier().record_failure(work(1), gone, NOW, down=False) == [Retry(work(1), NOW, begun=False)]


def test_a_request_without_an_answer_keeps_its_name_back() -> None:
    no_answer = NoAnswer(NOW, NOW + 150_000)
    assert classifier().record_failure(work(1), CUT, NOW, down=True) == [
        Retry(work(1), NOW, no_answer=no_answer)
    ]
    one = classifier()
    one.record_failure(work(1), CUT, NOW - 9, down=False)
    assert passes(one, work(2))[1] == Retry(
        work(1), NOW + 500, failed=1, no_answer=NoAnswer(NOW - 9, NOW - 9 + 150_000)
    )


def test_the_third_time_out_of_its_own_rejects_a_record() -> None:
    one, failures = classifier(), 0
    for _ in range(2):
        one.record_failure(work(1, failures=failures), LATE, NOW, down=False)
        [_, own] = passes(one, work(2))
        assert isinstance(own, Retry)
        failures += own.failed
    one.record_failure(work(1, failures=failures), LATE, NOW, down=False)
    [_, own] = passes(one, work(2))
    assert isinstance(own, Rejection)
    assert (own.caused_by_record, own.no_answer) == (False, NoAnswer(NOW, NOW + 150_000))


def test_an_outage_holds_nothing_against_any_record() -> None:
    one = classifier()
    one.record_failure(work(1), FAULT, NOW, down=False)
    assert one.record_failure(work(2), FAULT, NOW, down=True) == [Retry(work(2), NOW), Retry(work(1), NOW)]
    assert not one.has_doubtful_failures


def test_a_destination_that_is_busy_says_nothing_of_the_record() -> None:
    one = classifier()
    assert one.record_failure(work(1), BUSY, NOW, down=False) == [Retry(work(1), NOW)]
    assert not one.in_doubt


def test_the_eighth_failure_of_its_own_rejects_a_record() -> None:
    one = classifier()
    last = work(1, failures=MOST_FAILURES - 1)
    one.record_failure(last, FAULT, NOW, down=False)
    [_, own] = passes(one, work(2))
    assert own == Rejection(last, "failed 8 times while others passed: answered 500", caused_by_record=False)


def test_the_seventh_does_not() -> None:
    one = classifier()
    one.record_failure(work(1, failures=MOST_FAILURES - 2), FAULT, NOW, down=False)
    [_, own] = passes(one, work(2))
    assert isinstance(own, Retry)
    assert own.failed


# -- rejections


def test_a_rejection_is_in_doubt_until_another_of_its_stream_is_taken() -> None:
    one = classifier()
    assert one.record_rejection(work(1), NO) == []
    assert (one.in_doubt, one.has_doubtful_failures) == (1, False)
    assert passes(one, work(2))[1:] == [Rejection(work(1), "answered 400", response_text="what it says")]
    assert not one.in_doubt


def test_a_product_that_is_taken_says_nothing_of_rejected_contacts() -> None:
    one = classifier()
    one.record_rejection(work(1), NO)
    product = work(2, Product("Plus"))
    assert product.stream is Stream.PRODUCTS
    assert len(one.record_answer(product, answer("Plus"), "key", NOW)) == 1
    assert one.in_doubt == 1


def test_a_rejection_is_believed_when_nothing_else_waits() -> None:
    one = classifier()
    one.record_rejection(work(1), NO)
    one.record_rejection(work(2, Product("Plus")), Rejected("neither"))
    assert [outcome.work.number for outcome in one.confirm_rejections()] == [1, 2]
    assert one.confirm_rejections() == []


def test_a_rejection_is_certain_where_others_were_taken_since_the_last_one() -> None:
    """After their stream had stopped each of many poison records is told by itself."""
    one = classifier()
    one.record_rejection(work(1), NO)
    one.stop_stream(Stream.CONTACTS)
    passes(one, work(2))
    assert one.record_rejection(work(1), NO) == [
        Rejection(work(1), "answered 400", response_text="what it says")
    ]


# -- refusals


def test_a_refused_record_goes_to_the_end_of_the_queue() -> None:
    """Its attempt is taken back, unless the answer was of success."""
    assert classifier().record_refusal(work(1), FORBIDDEN, NOW, last=False) == [
        Retry(work(1), NOW + 500, begun=False)
    ]
    untold = NoAnswer(NOW, 0)  # it may have been made, and is not at work any more
    assert classifier().record_refusal(work(1), HTML, NOW, last=False) == [
        Retry(work(1), NOW + 500, no_answer=untold)
    ]


def test_refused_again_after_others_were_taken_it_is_its_own_fault() -> None:
    one = classifier()
    one.record_refusal(work(1), FORBIDDEN, NOW, last=False)
    passes(one, work(2))
    assert one.record_refusal(work(1), FORBIDDEN, NOW, last=False) == [Rejection(work(1), "answered 403")]


def test_what_the_only_attempt_may_have_made_is_sent_once_more_before_it_is_rejected() -> None:
    """Its name would be given back with the first attempt."""
    one = classifier()
    one.record_refusal(work(1), FORBIDDEN, NOW, last=False)
    passes(one, work(2))
    [outcome] = one.record_refusal(work(1, attempt=1), HTML, NOW, last=False)
    assert isinstance(outcome, Retry)
    assert outcome.begun
    passes(one, work(3))
    [outcome] = one.record_refusal(work(1, attempt=2), HTML, NOW, last=False)
    assert isinstance(outcome, Rejection)


def test_refused_again_and_again_while_none_is_taken_tells_nothing() -> None:
    one = classifier()
    for _ in range(30):
        [outcome] = one.record_refusal(work(1), FORBIDDEN, NOW, last=False)
        assert isinstance(outcome, Retry)
    assert one.reason_to_stop(Stream.CONTACTS, canary=False) is None, "it is one record"


def test_what_was_refused_is_remembered_from_one_delivery_to_the_next() -> None:
    history = RejectionHistory()
    classifier(history=history).record_refusal(work(1), FORBIDDEN, NOW, last=False)
    passes(classifier(history=history), work(2))
    [outcome] = classifier(history=history).record_refusal(work(1), FORBIDDEN, NOW, last=False)
    assert isinstance(outcome, Rejection)


def test_at_the_end_of_a_run_the_second_refusal_counts_where_others_were_taken_in_it() -> None:
    one = classifier()
    passes(one, work(2))
    [first] = one.record_refusal(work(1), FORBIDDEN, NOW, last=True)
    [second] = one.record_refusal(work(1), FORBIDDEN, NOW, last=True)
    assert (type(first), type(second)) == (Retry, Rejection)


# -- twenty


def turned_down(one: FailureAttribution, numbers: range) -> None:
    for number in numbers:
        if number % 2:
            one.record_refusal(work(number), FORBIDDEN, NOW, last=False)
        else:
            one.record_rejection(work(number), NO)


def test_twenty_different_ones_turned_down_stop_the_stream_and_mark_none() -> None:
    one = classifier()
    turned_down(one, range(1, MOST_REJECTIONS))
    assert one.reason_to_stop(Stream.CONTACTS, canary=False) is None
    turned_down(one, range(MOST_REJECTIONS, MOST_REJECTIONS + 1))
    why = one.reason_to_stop(Stream.CONTACTS, canary=False)
    assert "turned down 20 different contacts" in str(why)
    assert why is not None
    assert "none of them is marked" in why.advice
    given_back = one.stop_stream(Stream.CONTACTS)
    assert given_back == [Retry(work(n), None, begun=False) for n in range(2, MOST_REJECTIONS + 1, 2)]
    assert one.reason_to_stop(Stream.CONTACTS, canary=False) is None


def test_one_that_is_taken_between_starts_the_count_anew() -> None:
    one = classifier()
    for number in range(1, 3 * MOST_REJECTIONS):
        turned_down(one, range(number, number + 1))
        if number % (MOST_REJECTIONS - 1) == 0:
            passes(one, work(1000 + number))
        assert one.reason_to_stop(Stream.CONTACTS, canary=False) is None


# -- the end


def test_stopping_gives_all_back_that_is_in_doubt() -> None:
    """A rejection made nothing, so that attempt is taken back; a failure may have."""
    one = classifier()
    one.record_failure(work(1), FAULT, NOW, down=False)
    one.record_rejection(work(2), NO)
    assert one.stop(NOW) == [Retry(work(2), None, begun=False), Retry(work(1), NOW)]
    assert not one.in_doubt


steps = st.lists(
    st.sampled_from(["passes", "fails", "cut", "busy", "down", "rejected", "refused", "quiet", "known"])
)


@given(steps, st.floats(0, 1, exclude_max=True), st.booleans())
def test_whatever_happens_each_record_has_one_outcome(what: list[str], random: float, last: bool) -> None:  # noqa: FBT001 - drawn
    one = classifier(random)
    outcomes: list[Outcome] = []
    sent = 0
    for step in what:
        if step == "quiet":
            outcomes += one.confirm_rejections()
        elif step == "known":
            outcomes += one.record_probe_success(NOW, last=last)
        else:
            sent += 1
            outcomes += happens(one, step, work(sent), last)
    outcomes += one.stop(NOW)
    assert sorted(outcome.work.number for outcome in outcomes) == list(range(1, sent + 1))
    later = [outcome.next_try_at for outcome in outcomes if isinstance(outcome, Retry)]
    assert all(at is None or at >= NOW for at in later)


def happens(one: FailureAttribution, step: str, sent: WorkItem, last: bool) -> list[Outcome]:  # noqa: FBT001 - drawn
    if step == "passes":
        return passes(one, sent)
    if step == "rejected":
        return one.record_rejection(sent, NO)
    if step == "refused":
        return one.record_refusal(sent, FORBIDDEN, NOW, last=last)
    error = {"busy": BUSY, "cut": CUT}.get(step, FAULT)
    return one.record_failure(sent, error, NOW, down=step == "down")
