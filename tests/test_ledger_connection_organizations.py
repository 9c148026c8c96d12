"""Each connection joins two organisations, and always the same two."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from bridge.decision.canary_verdict import CanaryAnswer, CanaryVerdict, judge_canaries
from bridge.ledger.canary_payloads import Canary
from bridge.ledger.connection_organizations import (
    OrganizationMismatch,
    TrakorIdentity,
    check_source,
    confirm_organizations,
    find_stop_reason,
    load_known,
    pause_if_stopped,
)
from bridge.ledger.erasure import forget_record
from bridge.ledger.stored_pauses import clear_pause, list_pauses, set_pause
from bridge.ledger.trakor_identity_check import (
    CanaryStep,
    CanaryStepKind,
    load_stray_names,
    next_step,
    note_answer,
)
from bridge.organization_guard import interpret_answer
from bridge.records import TrakorAnswer
from builders import answered, draft, of

if TYPE_CHECKING:
    from books import Book

CREATED, KNOWN, LOST = CanaryAnswer.CREATED, CanaryAnswer.KNOWN, CanaryAnswer.LOST
STRANGER, REJECTED = CanaryAnswer.STRANGER, CanaryAnswer.REJECTED
HERE, THERE, ELSEWHERE = (
    TrakorIdentity("a", "k1", "s"),
    TrakorIdentity("a", "k2", "s"),
    TrakorIdentity("a", "k3", "s"),
)
NAMES = ("Ann", "Bo", "Cy", "Di")
WAIT = 150_000


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([], CanaryVerdict.UNTOLD),
        ([CREATED, CREATED, CREATED], CanaryVerdict.ANOTHER),
        ([CREATED, KNOWN], CanaryVerdict.SAME),
        ([LOST, KNOWN], CanaryVerdict.SAME),
        ([CREATED, LOST], CanaryVerdict.OPEN),
        ([STRANGER, STRANGER], CanaryVerdict.ANOTHER),
        ([REJECTED], CanaryVerdict.ANOTHER),
    ],
)
def test_only_an_id_that_the_ledger_has_proves_the_organisation(
    answers: list[CanaryAnswer], verdict: CanaryVerdict
) -> None:
    """Any brokerage can have a client of that name, and a lost request may have made it."""
    assert judge_canaries(answers) is verdict


def take(book: Book) -> None:
    """All canaries are delivered; the Trakor that has them is noted."""
    book.see(*(draft(name, id=name) for name in NAMES))
    book.settle(*(answered(work) for work in book.claim()))
    assert step(book, HERE).kind is CanaryStepKind.CLEAR


def step(book: Book, trakor: TrakorIdentity) -> CanaryStep:
    """Four names that Trakor took lately, of which three are sent at most."""
    ids = {name: frozenset({f"t{book.number(name)}"}) for name in NAMES if trakor is not HERE}
    canaries = [Canary(draft(name).payload, of(name), ids[name]) for name in ids]
    return book.write(
        lambda connection: next_step(
            connection, "default", trakor, lambda _: canaries, now=book.now, wait=WAIT
        )
    )


def answer(book: Book, asked: CanaryStep, word: CanaryAnswer | None) -> None:
    canary = asked.canary
    assert canary is not None
    book.write(lambda connection: note_answer(connection, "default", canary.key, word))


def ask_all(book: Book, trakor: TrakorIdentity, word: CanaryAnswer) -> CanaryStep:
    """Answer each canary likewise, until something else is to be done."""
    while (found := step(book, trakor)).kind is CanaryStepKind.ASK:
        answer(book, found, word)
    return found


def stopped(book: Book) -> set[str]:
    return book.write(lambda connection: {pause.direction for pause in list_pauses(connection)})


def strays(book: Book) -> tuple[list[str], int]:
    return book.write(lambda connection: load_stray_names(connection, "default"))


def test_the_first_trakor_is_noted_and_asked_nothing(book: Book) -> None:
    take(book)
    assert step(book, HERE).kind is CanaryStepKind.CLEAR
    assert stopped(book) == set()


def test_another_key_that_knows_one_canary_is_noted_after_one_request(book: Book) -> None:
    take(book)
    found = step(book, THERE)
    assert found.canary is not None
    assert found.canary.ids == {f"t{book.number('Ann')}"}
    answer(book, found, KNOWN)
    assert step(book, THERE).kind is CanaryStepKind.CLEAR
    assert book.write(lambda connection: load_known(connection, "default").trakor) == THERE
    assert strays(book) == ([], 0)


def test_a_key_that_makes_all_three_anew_stops_reading_and_sending(book: Book) -> None:
    take(book)
    found = ask_all(book, THERE, CREATED)
    assert (found.kind, found.made) == (CanaryStepKind.STOPPED, 3)
    assert stopped(book) == {"reading", "sending"}
    assert strays(book) == (["Ann", "Bo", "Cy"], 0)
    assert step(book, THERE).kind is CanaryStepKind.STOPPED, "and nothing more is sent"


def test_who_dies_between_the_answers_goes_on_with_what_is_known(book: Book) -> None:
    """A canary that it made itself there is sent again after its time, and is no proof then."""
    take(book)
    answer(book, step(book, THERE), CREATED)
    step(book, THERE)  # sent, and the process dies: it is made there
    answer(book, step(book, THERE), CREATED)
    waits = step(book, THERE)
    assert waits.kind is CanaryStepKind.WAIT
    assert waits.until > book.now
    book.now = waits.until
    again = step(book, THERE)
    assert again.canary is not None
    assert again.canary.payload.name == "Bo"
    answer(book, again, STRANGER)
    assert step(book, THERE).kind is CanaryStepKind.STOPPED
    assert strays(book)[0] == ["Ann", "Bo", "Cy"], "it may be of ours: it is listed"


def test_a_clock_set_back_postpones_nothing(book: Book) -> None:
    take(book)
    for _ in range(3):
        step(book, THERE)
    book.now -= 10 * WAIT
    assert step(book, THERE).kind is CanaryStepKind.ASK


def test_a_request_that_made_nothing_is_none(book: Book) -> None:
    take(book)
    first = step(book, THERE)
    answer(book, first, None)
    assert step(book, THERE).canary == first.canary, "at once"
    assert strays(book) == (["Ann"], 0)


def test_the_right_key_put_back_lets_all_go_on_and_the_list_stays(book: Book) -> None:
    take(book)
    ask_all(book, THERE, CREATED)
    assert step(book, HERE).kind is CanaryStepKind.CLEAR
    assert stopped(book) == set()
    assert strays(book)[0] == ["Ann", "Bo", "Cy"]
    assert ask_all(book, ELSEWHERE, CREATED).kind is CanaryStepKind.STOPPED, "a third one is tried anew"


def test_a_forgotten_name_is_not_kept_for_deletion_either(book: Book) -> None:
    """That there is one more to delete stays known."""
    take(book)
    ask_all(book, THERE, CREATED)
    number = book.number("Bo")
    book.write(lambda connection: forget_record(connection, number, now=book.now + 10_000))
    assert strays(book) == (["Ann", "Cy"], 1)


def test_a_person_confirms_and_it_is_noted(book: Book) -> None:
    take(book)
    ask_all(book, THERE, CREATED)
    assert book.write(lambda connection: confirm_organizations(connection, "default", THERE))
    assert step(book, THERE).kind is CanaryStepKind.CLEAR
    assert (stopped(book), strays(book)) == (set(), ([], 0))
    assert book.write(lambda connection: confirm_organizations(connection, "default", THERE)) == [], (
        "nothing is left"
    )


def test_a_person_confirms_before_anything_was_asked(book: Book) -> None:
    take(book)
    assert book.write(lambda connection: confirm_organizations(connection, "default", THERE))
    assert step(book, THERE).kind is CanaryStepKind.CLEAR


def test_without_a_canary_the_change_is_noted_and_said(book: Book) -> None:
    def without(trakor: TrakorIdentity) -> CanaryStep:
        return book.write(
            lambda connection: next_step(connection, "default", trakor, lambda _: (), now=book.now, wait=WAIT)
        )

    without(HERE)
    assert without(THERE).kind is CanaryStepKind.UNPROVEN
    assert without(THERE).kind is CanaryStepKind.CLEAR
    assert book.write(lambda connection: load_known(connection, "default").mismatch.unproven)
    assert stopped(book) == set()


def test_each_login_is_held_to_the_first_organisation(book: Book) -> None:
    def hold(source: str) -> bool:
        return book.write(lambda connection: check_source(connection, "default", source, now=book.now))

    assert hold("north")
    assert hold("north")
    assert not hold("south")
    assert stopped(book) == {"reading", "sending"}
    for direction in ("reading", "sending"):
        book.write(partial(clear_pause, name="default", direction=direction))
    assert book.write(lambda connection: pause_if_stopped(connection, "default", now=book.now))
    assert stopped(book) == {"reading", "sending"}, "whoever resumes it"
    assert hold("north")
    assert (stopped(book), book.write(lambda connection: find_stop_reason(connection, "default"))) == (
        set(),
        "",
    )


def test_a_persons_pause_outlasts_all_of_it(book: Book) -> None:
    book.write(
        lambda connection: set_pause(connection, "default", "sending", reason="", now=1, by_person=True)
    )
    for source in ("north", "south", "north"):
        book.write(partial(check_source, name="default", source=source, now=book.now))
    assert stopped(book) == {"sending"}


def test_a_doubt_is_read_as_it_was_written() -> None:
    assert OrganizationMismatch.decoded("") == OrganizationMismatch()
    assert OrganizationMismatch().encoded() == ""


@pytest.mark.parametrize("answered_id", ["t1", "t9"])
def test_a_canary_that_was_made_is_no_proof_whatever_its_id(answered_id: str) -> None:
    """A Trakor that counts its records gives the first of each organisation the same id."""
    canary = Canary(draft("Ann").payload, of("Ann"), frozenset({"t1"}))
    assert interpret_answer(TrakorAnswer(answered_id, "Ann", created=True), canary) is CREATED
    there = interpret_answer(TrakorAnswer(answered_id, "Ann", created=False), canary)
    assert there is (KNOWN if answered_id == "t1" else STRANGER)


def test_of_what_is_forgotten_no_earlier_name_is_listed_for_deletion(book: Book) -> None:
    take(book)
    ask_all(book, THERE, CREATED)
    book.see(draft("Anne", id="Ann", at=book.now))
    book.accept("Ann")
    book.settle(*(answered(work) for work in book.claim()))
    number = book.number("Ann")
    book.write(lambda connection: forget_record(connection, number, now=book.now + 10_000))
    assert strays(book) == (["Bo", "Cy"], 1)
