"""What the state machine has found, each as the shortest sequence that it came from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bridge.sandbox.trakor_store import Behaviour
from machine import ANNA, FAILING, NOBODY, Rules, World, enter, state
from promises import ALWAYS, Tables, kept_at_rest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    made = World(Behaviour(), {"a": Rules(), "b": Rules()})
    yield made
    made.close()


def let_others_pass(world: World, times: int) -> None:
    """Time passes in which others are taken, so that what fails does so by its own error."""
    for number in range(times):
        world.enter_newcomer(f"ac{number}")
        world.sweep("a")
        world.sweep("b")
        world.pass_time(600)
        for promise in ALWAYS:
            promise(Tables(world))


def test_a_twin_of_another_connection_is_decided_again_once_its_claimant_is_rejected(world: World) -> None:
    """Its text is sealed for its own connection, and was taken for damaged."""
    enter(world, "a1", note="pox400")
    enter(world, "b1")
    assert state(world, "b1") == "merged"
    world.pass_time(5)
    assert state(world, "a1") == "rejected: refused-by-trakor"
    world.pass_time(130)  # the other connection looks now and then without being told
    assert state(world, "b1") == "delivered"


def test_a_claimant_that_is_gone_and_never_left_is_replaced(world: World) -> None:
    """While it was on its way it stood for its twin; then the request turned out to have made nothing."""
    enter(world, "a1", "a2")
    world.site.trakor.freeze()
    world.pass_time(0.1)
    world.delete("a1", told=True)
    assert state(world, "a2") == "merged"
    world.pass_time(5)
    assert state(world, "a2") == "pending"
    world.site.clear_up()
    world.pass_time(1800)
    assert state(world, "a2") == "delivered"


def test_what_is_noted_goes_with_the_place_of_one_that_fails_too_often(world: World) -> None:
    """The process ended with an error when a twin took the place of a record with a note."""
    enter(world, "a1", "a2", note="pox500")
    world.pass_time(0.1)
    enter(world, "a1", phone="0491570156", note="pox500")
    let_others_pass(world, 24)
    kept_at_rest(Tables(world))


def test_twins_that_are_turned_down_do_not_take_turns_for_ever(world: World) -> None:
    enter(world, "a1", "a2", note="pox500")
    world.pass_time(0.1)
    enter(world, "a1", phone="0491570156", note="pox500")
    enter(world, "a2", phone="0491570156", note="pox500")
    let_others_pass(world, 24)
    kept_at_rest(Tables(world))
    arrivals = len(world.site.arrivals)
    world.sweep("a")
    world.pass_time(1800)
    assert world.site.arrivals[arrivals:] == []


def test_who_takes_over_a_name_under_way_takes_over_its_answer(world: World) -> None:
    """The twin sent the name once more, beside the request that was under way."""
    enter(world, "a1", "b1")
    world.pass_time(0.1)
    assert world.decide("a1", "drop")
    assert state(world, "b1") == "pending"
    world.pass_time(5)
    assert [arrival.owner for arrival in world.site.arrivals] == ["a1"]
    assert (state(world, "a1"), state(world, "b1")) == ("dropped", "delivered")
    for promise in ALWAYS:
        promise(Tables(world))


def test_a_name_that_may_be_at_work_is_not_forgotten(world: World) -> None:
    """Another one of that name would have sent it at once."""
    enter(world, "a1")
    world.pass_time(0.1)
    world.restart(killed=True)
    world.forget("a1", delete=False)
    assert state(world, "a1") == "pending"
    world.die()
    world.pass_quietly(151)
    world.open(sending=False)
    world.forget("a1", delete=False)
    assert state(world, "a1") == "dropped"


def test_a_damaged_text_keeps_nobody_from_taking_a_place(world: World) -> None:
    enter(world, "a1", "b1")
    world.pass_time(5)
    with world.book.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE contents SET body = x'00'")
    world.delete("a1", told=True)
    assert (state(world, "a1"), state(world, "b1")) == ("merged", "delivered")


def test_a_dismissed_name_stays_dismissed_when_its_record_keeps_the_party(world: World) -> None:
    """It counted as delivered under a name that Trakor never had."""
    enter(world, "a1", "a3")
    world.pass_time(5)
    enter(world, "a3", last="Zquillo")
    assert state(world, "a3") == "held: renamed"
    assert world.decide("a3", "dismiss")
    assert state(world, "a3") == "merged"
    world.delete("a1", told=True)
    row = world.row("a3")
    assert row is not None
    assert (row["state"], row["dismissed"]) == ("delivered", 1)
    for promise in ALWAYS:
        promise(Tables(world))
    enter(world, "a3", last="Zquillos")
    assert state(world, "a3") == "held: renamed"


def test_a_dismissed_name_is_not_sent_under_the_one_that_was_shared(world: World) -> None:
    world.site.trakor.freeze()
    enter(world, "a1", "a3")
    world.pass_time(5)
    enter(world, "a3", last="Zquillo")
    assert world.decide("a3", "dismiss")
    world.delete("a1", told=True)
    for promise in ALWAYS:
        promise(Tables(world))
    world.site.clear_up()
    world.pass_time(1800)
    assert world.site.trakor.parties.names() == ["Zanna Zquillo"]


@pytest.mark.parametrize("changes", [{"where": NOBODY}, {"map": FAILING}])
@pytest.mark.parametrize("verb", ["", "accept", "dismiss"])
def test_a_rule_that_comes_back_hides_no_edit(world: World, changes: dict[str, Any], verb: str) -> None:
    """The record counted as unchanged: its input was noted beside the rules of before."""
    enter(world, "a1", phone="0491570156")
    world.pass_time(5)
    known = world.connections["a"].rules
    world.restart({"a": replace(known, **changes)})
    if verb:
        world.sweep("a")
        world.decide("a1", verb)
    world.source["a1"] = {**ANNA, "phone": "0491570157"}
    world.sweep("a")
    world.restart({"a": known})
    world.sweep("a")
    row = world.row("a1")
    assert row is not None
    assert (row["state"], row["filtered"]) == ("drifted", 0)
    for promise in ALWAYS:
        promise(Tables(world))


def test_what_was_dismissed_under_a_broken_map_stays_dismissed_when_it_is_put_back(world: World) -> None:
    """The broken field hid the others as last seen, so the dismissal covered that one alone."""
    enter(world, "a1")
    world.pass_time(5)
    enter(world, "a1", last="Zquillo")
    assert state(world, "a1") == "held: renamed"
    known = world.connections["a"].rules
    world.restart({"a": replace(known, map=FAILING)})
    world.sweep("a")
    assert state(world, "a1") == "drifted"
    assert world.decide("a1", "dismiss")
    world.restart({"a": known})
    world.sweep("a")
    row = world.row("a1")
    assert row is not None
    assert (row["state"], row["dismissed"]) == ("delivered", 1)
    enter(world, "a1", last="Zquill")
    row = world.row("a1")
    assert row is not None
    assert (row["state"], row["dismissed"]) == ("delivered", 0)


def test_what_has_no_name_is_not_filtered_once_where_says_yes(world: World) -> None:
    """It kept the mark: the drift was known already, and only a draft ended it."""
    enter(world, "a1")
    world.pass_time(5)
    enter(world, "a1", first=None, last=None)
    known = world.connections["a"].rules
    for rules in (replace(known, where=NOBODY), known):
        world.restart({"a": rules})
        world.sweep("a")
    row = world.row("a1")
    assert row is not None
    assert (row["state"], row["filtered"]) == ("drifted", 0)


def test_what_cannot_be_made_while_it_is_unanswered_is_a_drift_once_it_is_answered(world: World) -> None:
    enter(world, "a1")
    world.pass_time(0.1)
    world.restart({"a": replace(world.connections["a"].rules, map=FAILING)}, killed=True)
    world.sweep("a")
    world.pass_time(400)
    world.sweep("a")
    assert state(world, "a1") == "drifted"
