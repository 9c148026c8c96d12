"""What reviews have found in the deciding, each as the shortest sequence that shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_relations
from bridge.records import Policy
from bridge.sandbox.trakor_store import Behaviour
from machine import FAILING, Rules, World, enter, state
from promises import ALWAYS, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

ONE, TWO, THREE = "0491570156", "0491570157", "0491570158"
NAMELESS = {"first": None, "last": None}


@pytest.fixture
def world() -> Iterator[World]:
    made = World(Behaviour(), {"a": Rules(), "b": Rules()})
    yield made
    made.close()


def marks(world: World, source_id: str) -> tuple[str, bool]:
    """A record's state, and whether it is dismissed."""
    row = world.row(source_id)
    assert row is not None
    return row["state"], bool(row["dismissed"])


def keeps_its_promises(world: World) -> None:
    for promise in ALWAYS:
        promise(Tables(world))


def configure(world: World, **changes: Any) -> None:  # noqa: ANN401 - fields of Rules
    world.restart({"a": replace(world.connections["a"].rules, **changes)})


@pytest.mark.parametrize("tweak", [0, 1])
@pytest.mark.parametrize("how", ["gone", "filtered"])
def test_a_twin_that_was_away_is_asked_about_whatever_the_map_did_meanwhile(
    world: World, how: str, tweak: int
) -> None:
    """With one tweak of the map in between it stayed merged, and its number was nowhere."""
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    if how == "gone":
        world.delete("a2", told=True)
    else:
        enter(world, "a2", phone=ONE, isActive=False)
    enter(world, "a1", phone=TWO)
    configure(world, map=tweak)
    world.sweep("a")
    enter(world, "a2", phone=ONE)
    assert state(world, "a2") == "held: same-person"
    keeps_its_promises(world)


@pytest.mark.parametrize("asked_first", [False, True])
def test_a_question_about_a_person_outlasts_one_about_the_name(world: World, *, asked_first: bool) -> None:
    """A corrected name merged two persons, with nobody deciding."""
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    if asked_first:
        enter(world, "a2", phone=TWO)
        assert state(world, "a2") == "held: same-person"
    enter(world, "a2", phone=TWO, last="Zquillo")
    assert state(world, "a2") == "held: renamed"
    enter(world, "a2", phone=TWO)
    assert state(world, "a2") == "held: same-person"
    keeps_its_promises(world)


def test_a_claimant_that_changes_while_a_name_is_asked_about_is_another_person(world: World) -> None:
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    enter(world, "a2", phone=ONE, last="Zquillo")
    enter(world, "a1", phone=TWO)
    enter(world, "a2", phone=ONE)
    assert state(world, "a2") == "held: same-person"


def test_a_name_map_that_is_put_back_leaves_the_question_about_a_person(world: World) -> None:
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    enter(world, "a2", phone=TWO)
    for number in (2, 0):
        configure(world, map=number)
        world.sweep("a")
    assert state(world, "a2") == "held: same-person"


def test_who_has_nothing_in_common_any_more_is_another_person(world: World) -> None:
    """What was equal by mistake was corrected as docs/reasons.md says, and it was held for ever."""
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    enter(world, "a2", phone=TWO)
    assert state(world, "a2") == "held: same-person"
    enter(world, "a2", phone=TWO, email="two@zq.example")
    assert state(world, "a2") == "pending"
    world.pass_time(5)
    assert world.site.trakor.parties.names() == ["Zanna Zquill", "Zanna Zquill (two@zq.example)"]


def test_an_edit_under_a_map_that_fails_ends_a_dismissal(world: World) -> None:
    """As long as the map failed, no edit of a dismissed record was listed."""
    enter(world, "a1", phone=ONE)
    world.pass_time(5)
    enter(world, "a1", phone=TWO)
    assert world.decide("a1", "dismiss")
    configure(world, map=FAILING)
    world.sweep("a")
    assert marks(world, "a1") == ("delivered", True)
    for changes in ({"phone": THREE}, {"phone": THREE, "last": "Zother"}):
        enter(world, "a1", **changes)
        assert marks(world, "a1") == ("drifted", False)
        assert world.decide("a1", "dismiss")
    world.sweep("a")
    assert marks(world, "a1") == ("delivered", True)


@pytest.mark.parametrize("verb", ["dismiss", "accept"])
@pytest.mark.parametrize("tweak", [0, 1])
def test_an_edit_of_what_has_no_name_is_a_drift(world: World, verb: str, tweak: int) -> None:
    """After a person had decided, nothing that changed was listed until it had a name again."""
    enter(world, "a1", phone=ONE)
    world.pass_time(5)
    enter(world, "a1", phone=ONE, **NAMELESS)
    assert world.decide("a1", verb)
    world.sweep("a")
    assert marks(world, "a1") == ("delivered", verb == "dismiss")
    configure(world, map=tweak)
    enter(world, "a1", phone=TWO, **NAMELESS)
    assert marks(world, "a1") == ("drifted", False)
    keeps_its_promises(world)


def test_a_dismissal_ends_when_the_source_has_a_name_again(world: World) -> None:
    """The mark stayed with nothing behind it, and hid what another map made, and that it was deleted."""
    enter(world, "a1")
    world.pass_time(5)
    enter(world, "a1", **NAMELESS)
    assert world.decide("a1", "dismiss")
    enter(world, "a1")
    assert marks(world, "a1") == ("delivered", False)


def test_an_edit_that_is_taken_back_tells_of_the_older_map_again(world: World) -> None:
    """The mark was dismissed, and lost for good with the first edit: Trakor's text was nobody's any more."""
    enter(world, "a1", phone=ONE)
    world.pass_time(5)
    configure(world, map=1)
    world.sweep("a")
    assert world.decide("a1", "dismiss")
    for phone in (TWO, ONE):
        enter(world, "a1", phone=phone)
    row = world.row("a1")
    assert row is not None
    assert (row["state"], row["remapped"], row["dismissed"]) == ("delivered", 1, 0)
    keeps_its_promises(world)


@pytest.mark.parametrize("how", ["gone", "filtered"])
def test_what_comes_back_without_a_name_is_not_merged_into_one_that_is_gone(world: World, how: str) -> None:
    """It was merged, without a mark, into a record that nobody stood for."""
    enter(world, "a1", phone=ONE)
    world.pass_time(5)
    enter(world, "a2", phone=TWO)
    assert world.decide("a2", "accept")
    if how == "gone":
        world.delete("a2", told=True)
    else:
        enter(world, "a2", phone=TWO, isActive=False)
    world.delete("a1", told=True)
    enter(world, "a2", phone=TWO, **NAMELESS)
    assert state(world, "a2") == "skipped: no-name"
    keeps_its_promises(world)


@pytest.mark.parametrize("edited", [False, True])
def test_who_wants_the_name_of_an_adopted_one_counts_also_after_an_edit(*, edited: bool) -> None:
    """A record renamed before it was sent kept its earlier name in the ledger, so nobody was asked."""
    rules = {"a": Rules(policy=Policy(on_same_name="hold")), "b": Rules()}
    world = World(Behaviour(), rules)
    try:
        world.site.trakor.parties.put("Zbert Zquill", "typed by hand")
        world.die()
        world.open(sending=False)
        if edited:
            enter(world, "a1", email="three@zq.example")
        enter(world, "a2", first="Zbert")
        enter(world, "a1", first="Zbert", email="three@zq.example")
        world.die()
        world.open()
        world.pass_time(60)
        assert state(world, "a2") == "held: existing"
    finally:
        world.close()


def shown(world: World, source_id: str) -> Mapping[str, Any]:
    """What a person is shown of what Trakor has."""
    row = world.row(source_id)
    assert row is not None

    def look(connection: Connection) -> Mapping[str, Any]:
        (found,) = find_records(connection, RecordQuery(numbers=[row["number"]]))
        ids = load_relations(connection, found).trakor_ids
        return {"id": found.trakor_id, "name": found.trakor_name, "called": found.name, "ids": ids}

    found: Mapping[str, Any] = world.book.write(look)
    return found


def test_a_name_that_a_person_gave_is_shown_as_trakor_has_it(world: World) -> None:
    """A drifted one was listed under its mapped name, which in Trakor is another person's."""
    enter(world, "a1", "a2", phone=ONE)
    world.pass_time(5)
    enter(world, "a2", phone=TWO)
    assert world.decide("a2", "accept", "Zanna Zquill (daughter)")
    world.pass_time(5)
    enter(world, "a2", phone=THREE)
    assert (state(world, "a2"), shown(world, "a2")["called"]) == ("drifted", "Zanna Zquill (daughter)")


def test_what_is_shown_of_one_that_was_renamed_there_and_back_is_what_it_has_now(world: World) -> None:
    """Lists, and the advice what to correct, named the party of the name in between."""
    enter(world, "a1")
    world.pass_time(5)
    for last in ("Zquillo", "Zquill"):
        enter(world, "a1", last=last)
        assert world.decide("a1", "accept")
        world.pass_time(5)
    row, first = world.row("a1"), world.site.trakor.parties.entries()[0]
    assert row is not None
    assert (row["trakor_id"], first.name) == (first.id, "Zanna Zquill")
    found = shown(world, "a1")
    assert (found["id"], found["name"], found["ids"][-1]) == (first.id, first.name, first.id)
